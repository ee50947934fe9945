//! The latest state of each group instead of its history: folded first, then sent, at least once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bumpalo::Bump;
use rdkafka::message::OwnedMessage;

use super::count::Counts;
use super::shelf::{Shelf, ShelfError};
use super::watch::Progress;
use super::{Place, Plan};
use crate::cli::report::{Failure, say};
use crate::config::{Config, Guarantee};
use crate::envelope::Emissions;
use crate::kafka;
use crate::kafka::delivery::Delivery;
use crate::kafka::ends::Outlet;
use crate::kafka::fault::Fault;
use crate::kafka::lookup::Lookup;
use crate::kafka::range::Range;
use crate::kafka::topics::Topics;
use crate::latest::{Folded, Order, State};
use crate::record::Record;
use crate::router::{Router, Routing, Scratch};
use crate::selection::Groups;
use crate::status::Status;
use crate::verdict::{Reason, Verdict};

/// How much is handed over at a time.
const BATCH_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(1);

/// Folds the ranges, asks, and sends.
pub(super) fn run(plan: &Plan<'_>, place: &Place, newer: Groups) -> Result<(), Failure> {
    // The events that are folded are selected one by one; what they come to is sent whole.
    let choosing = plan.router(if plan.job.skips_superseded {
        newer.clone()
    } else {
        Groups::default()
    })?;
    let mut shelf = Shelf::new(std::env::temp_dir());
    fold(plan, &place.lookup, &place.ranges, &choosing, &mut shelf)?;
    let mut whole = plan.job.replay.clone();
    whole.selection = Default::default();
    let routing = Routing {
        replay: Some(whole),
        // What is put together stands alone, whatever the records held their events in.
        event_at: Default::default(),
        ..plan.job.routing.clone()
    };
    let shown = Router::new(routing.clone().redacted())?;
    let router = Router::new(routing)?;
    let topics = Arc::new(Topics::check(plan.config, router.topics())?);
    if plan.counts_first() {
        let mut counts = Counts::new(&router, &shown, &topics, &newer);
        each(&mut shelf, &plan.config.source.topics, |record, _| {
            counts.add(record);
            Ok(())
        })?;
        if !plan.ask(&counts)? {
            return Ok(());
        }
    }
    plan.begin(place)?;
    let sent = send(plan, &router, &topics, &mut shelf)?;
    sent.tell(&plan.job.replay.name)?;
    place
        .ledger
        .finish(&place.ledger.read(&place.partitions)?)?;
    Ok(())
}

/// What became of the states.
#[derive(Default)]
struct Sent {
    n_groups: usize,
    /// Records of which no event can be read: what is put together can be larger than each of its parts.
    refused: BTreeMap<Reason, (usize, String)>,
}

impl Sent {
    fn add(&mut self, record: &Record<'_>, verdict: Verdict) {
        if let Verdict::Ignored(reason) | Verdict::DeadLettered(reason) = verdict {
            let (count, _) = self
                .refused
                .entry(reason)
                .or_insert_with(|| (0, record.position.to_string()));
            *count += 1;
        }
    }

    fn tell(&self, name: &str) -> Result<(), Failure> {
        let Sent { n_groups, refused } = self;
        for (reason, (count, position)) in refused {
            let (code, sentence) = (reason.code(), reason.sentence());
            say(format_args!(
                "warning: {count} states are not sent, the first is that of {position}: {code}: {sentence}"
            ));
        }
        if !refused.is_empty() {
            say(format_args!("replay {name} ended without them"));
            return Err(Failure::Said(1));
        }
        say(format_args!(
            "replay {name} is done: the latest state of {n_groups} groups"
        ));
        Ok(())
    }
}

fn fold(
    plan: &Plan<'_>,
    lookup: &Lookup,
    ranges: &[Range],
    router: &Router,
    shelf: &mut Shelf,
) -> Result<(), Failure> {
    let mut progress = Progress::new("reading", ranges.iter().map(Range::len).sum(), 0);
    let (mut arena, mut before, mut fault) = (Bump::new(), 0, None);
    for range in ranges {
        let topic = plan
            .config
            .source
            .topics
            .iter()
            .position(|topic| *topic == range.topic)
            .unwrap_or_default();
        let mut latest = i64::MIN;
        let read = |message: OwnedMessage| {
            let record = kafka::record(&message);
            progress.set(before + record.position.offset - range.from + 1);
            latest = latest.max(record.timestamp.unwrap_or_default());
            let order = Order {
                timestamp: latest,
                topic,
                partition: range.partition,
                offset: record.position.offset,
            };
            arena.reset();
            if let Err(error) = add(router, &record, order, &arena, shelf) {
                fault.get_or_insert(error);
            }
        };
        lookup.read_range(range, read)?;
        before += range.len();
        if let Some(error) = fault.take() {
            return Err(failed(&error));
        }
    }
    progress.end();
    Ok(())
}

fn add(
    router: &Router,
    record: &Record<'_>,
    order: Order,
    arena: &Bump,
    shelf: &mut Shelf,
) -> Result<(), ShelfError> {
    let Ok(event) = router.read(record, arena, &mut ()) else {
        return Ok(());
    };
    if router.leaves_out(&event, arena).is_some() {
        return Ok(());
    }
    shelf.add(
        event.group_id.text,
        State::of(&event, order, record.timestamp),
    )
}

fn failed(error: &ShelfError) -> Failure {
    Failure::from(Fault::Fatal(error.to_string()))
}

/// Lends each record that is made of the states; `is_first` of a group.
fn each(
    shelf: &mut Shelf,
    topics: &[String],
    mut take: impl FnMut(&Record<'_>, bool) -> Result<(), Fault>,
) -> Result<(), Failure> {
    let lend = |state: State| -> Result<(), Stopped> {
        for (
            index,
            Folded {
                event,
                order,
                timestamp,
            },
        ) in state.events().into_iter().enumerate()
        {
            let position = order.position(topics.get(order.topic).map_or("", String::as_str));
            let record = Record {
                position,
                timestamp,
                key: None,
                value: Some(event.as_bytes()),
                traceparent: None,
                letter: None,
            };
            take(&record, index == 0)?;
        }
        Ok(())
    };
    shelf
        .each(lend)
        .map_err(|Stopped(fault)| Failure::from(fault))
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

/// Sends everything and waits until it is acknowledged.
fn send(
    plan: &Plan<'_>,
    router: &Router,
    topics: &Arc<Topics>,
    shelf: &mut Shelf,
) -> Result<Sent, Failure> {
    let mut delivery = Delivery::open(plan.config, Arc::clone(topics), Arc::new(Status::new(0)))?;
    let (mut emissions, mut scratch, mut sent) =
        (Emissions::default(), Scratch::default(), Sent::default());
    // When the next record is due.
    let mut next_at = Instant::now();
    each(shelf, &plan.config.source.topics, |record, is_first| {
        sent.n_groups += usize::from(is_first);
        sent.add(
            record,
            router.route(
                record,
                topics.as_ref(),
                &mut scratch,
                &mut emissions,
                &mut (),
            ),
        );
        if emissions.bytes() >= BATCH_BYTES || plan.job.care.rate.is_some() {
            hand_over(&mut delivery, &mut emissions)?;
        }
        if let Some(rate) = plan.job.care.rate {
            next_at += rate.time_of(record);
            std::thread::sleep(next_at.saturating_duration_since(Instant::now()));
        }
        Ok(())
    })?;
    hand_over(&mut delivery, &mut emissions)?;
    while !delivery.drain(PATIENCE)? {}
    delivery.close();
    Ok(sent)
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
