//! The latest state of each group instead of its history: folded first, then sent, at least once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bumpalo::Bump;
use rdkafka::message::OwnedMessage;

use super::count::Counts;
use super::watch::Progress;
use super::{Plan, failure};
use crate::cli::report::{Failure, say};
use crate::config::{Config, Guarantee};
use crate::envelope::Emissions;
use crate::event::Event;
use crate::kafka;
use crate::kafka::delivery::Delivery;
use crate::kafka::ends::Outlet;
use crate::kafka::fault::Fault;
use crate::kafka::lookup::Lookup;
use crate::kafka::range::Range;
use crate::kafka::source::bound::Rate;
use crate::kafka::topics::Topics;
use crate::latest::{Folded, Order, Shelf, ShelfError, State};
use crate::record::Record;
use crate::router::{Router, Scratch};
use crate::selection::Groups;
use crate::service::set_limits;
use crate::status::Status;

/// How much is handed over at a time.
const BATCH_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(1);

/// Folds the ranges, asks, and sends.
pub(super) fn run(plan: &Plan<'_>, lookup: &Lookup, ranges: &[Range]) -> Result<(), Failure> {
    let newer = plan.superseded(lookup, ranges)?;
    // The events that are folded are selected one by one; what they come to is sent whole.
    let choosing = plan.router(if plan.job.skips_superseded { newer.clone() } else { Groups::default() })?;
    let mut shelf = Shelf::new(std::env::temp_dir());
    fold(plan, lookup, ranges, &choosing, &mut shelf)?;
    let mut whole = plan.job.replay.clone();
    whole.selection = Default::default();
    let router = Router::new(crate::router::Routing { replay: Some(whole), ..plan.job.routing.clone() })?;
    let topics = Topics::check(plan.config, router.topics()).map_err(failure)?;
    set_limits(&router, &topics);
    if plan.counts_first() {
        let mut counts = Counts::new(&router, &newer);
        each(&mut shelf, &plan.config.source.topics, |record, _| {
            counts.add(record);
            Ok(())
        })?;
        if !plan.ask(&counts)? {
            return Ok(());
        }
    }
    let n_groups = send(plan, &router, topics, &mut shelf)?;
    say(format_args!("{} {} is done: the latest state of {n_groups} groups", plan.job.kind, plan.job.replay.name));
    Ok(())
}

fn fold(plan: &Plan<'_>, lookup: &Lookup, ranges: &[Range], router: &Router, shelf: &mut Shelf) -> Result<(), Failure> {
    let mut progress = Progress::new("reading", ranges.iter().map(Range::len).sum(), 0);
    let (mut arena, mut before, mut fault) = (Bump::new(), 0, None);
    for range in ranges {
        let topic = plan.config.source.topics.iter().position(|topic| *topic == range.topic).unwrap_or_default();
        let mut latest = i64::MIN;
        let read = |message: OwnedMessage| {
            let record = kafka::record(&message);
            progress.set(before + record.position.offset - range.from + 1);
            latest = latest.max(record.timestamp.unwrap_or_default());
            let order = Order { timestamp: latest, topic, partition: range.partition, offset: record.position.offset };
            arena.reset();
            if let Err(error) = add(router, &record, order, &arena, shelf) {
                fault.get_or_insert(error);
            }
        };
        lookup.read_range(range, read).map_err(failure)?;
        before += range.len();
        if let Some(error) = fault.take() {
            return Err(failed(&error));
        }
    }
    progress.end();
    Ok(())
}

fn add(router: &Router, record: &Record<'_>, order: Order, arena: &Bump, shelf: &mut Shelf) -> Result<(), ShelfError> {
    let Ok(event) = Event::parse(record, router.limits(), router.vocabulary(), arena, &mut ()) else { return Ok(()) };
    if router.leaves_out(&event, arena).is_some() {
        return Ok(());
    }
    shelf.add(event.group_id.text, State::of(&event, order, record.timestamp))
}

fn failed(error: &ShelfError) -> Failure {
    failure(Fault::Fatal(error.to_string()))
}

/// Lends each record that is made of the states; `is_first` of a group.
fn each(
    shelf: &mut Shelf,
    topics: &[String],
    mut take: impl FnMut(&Record<'_>, bool) -> Result<(), Fault>,
) -> Result<(), Failure> {
    let lend = |state: State| -> Result<(), Stopped> {
        for (index, Folded { event, order, timestamp }) in state.events().into_iter().enumerate() {
            let position = order.position(topics.get(order.topic).map_or("", String::as_str));
            let record =
                Record { position, timestamp, key: None, value: Some(event.as_bytes()), traceparent: None, letter: None };
            take(&record, index == 0)?;
        }
        Ok(())
    };
    shelf.each(lend).map_err(|Stopped(fault)| failure(fault))
}

struct Stopped(Fault);

impl From<ShelfError> for Stopped {
    fn from(error: ShelfError) -> Stopped {
        Stopped(Fault::Fatal(error.to_string()))
    }
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Stopped {
        Stopped(fault)
    }
}

/// Sends everything and waits until it is acknowledged; returns of how many groups.
fn send(plan: &Plan<'_>, router: &Router, topics: Topics, shelf: &mut Shelf) -> Result<usize, Failure> {
    let mut delivery = Delivery::open(plan.config, Arc::new(topics), Arc::new(Status::new(0))).map_err(failure)?;
    let (mut emissions, mut scratch, mut n_groups) = (Emissions::default(), Scratch::default(), 0_usize);
    let began = Instant::now();
    let (mut n_events, mut n_bytes) = (0_u32, 0_u32);
    each(shelf, &plan.config.source.topics, |record, is_first| {
        n_groups += usize::from(is_first);
        n_events = n_events.saturating_add(1);
        n_bytes = n_bytes.saturating_add(u32::try_from(record.value.map_or(0, <[u8]>::len)).unwrap_or(u32::MAX));
        router.route(record, &mut scratch, &mut emissions, &mut ());
        let seconds = match plan.job.rate {
            None => 0.0,
            Some(Rate::Records(rate)) => f64::from(n_events) / rate,
            Some(Rate::Bytes(rate)) => f64::from(n_bytes) / rate,
        };
        std::thread::sleep(Duration::from_secs_f64(seconds).saturating_sub(began.elapsed()));
        if emissions.bytes() < BATCH_BYTES { Ok(()) } else { hand_over(&mut delivery, &mut emissions) }
    })?;
    hand_over(&mut delivery, &mut emissions).map_err(failure)?;
    while !delivery.drain(PATIENCE).map_err(failure)? {}
    delivery.close();
    Ok(n_groups)
}

fn hand_over(delivery: &mut Delivery, emissions: &mut Emissions) -> Result<(), Fault> {
    while !delivery.send(emissions)? {
        delivery.serve(Duration::from_millis(2))?;
    }
    emissions.clear();
    Ok(())
}

/// Returns the configuration with the one guarantee that this has.
pub(super) fn at_least_once(mut config: Config) -> Config {
    config.delivery.guarantee = Guarantee::AtLeastOnce;
    config
}
