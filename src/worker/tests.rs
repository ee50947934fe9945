//! The real loop, two workers of one group, against Kafka in memory and a schedule of what goes wrong.
//!
//! The broker judges each commit as it happens, and the outputs at the end; the ids are those of `docs/guarantees.md`.

mod broker;
pub(super) mod clock;
mod ends;
mod schedule;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use self::broker::{Broker, SOURCE, WORKERS};
use self::ends::{Consumer, Killed, Producer, Shared};
use self::schedule::{Case, EPOCH_RECORDS, Event, Failure, Kind, PARTITIONS, Step, TOPICS, case};
use super::{Setup, recovery};
use crate::config::{Config, Guarantee};
use crate::metrics::tally::UnknownFlags;
use crate::router::Router;
use crate::status::Status;

fn config(guarantee: Guarantee, epoch_records: usize) -> Config {
    let [first, second, dead] = TOPICS;
    let text = format!(
        "kafka: {{brokers: none:9092}}\nsource: {{topics: [{SOURCE}]}}\ndead_letters: {{topic: {dead}}}\ndestinations:\n  \
         - {{use: webhook, name: first, topic: {first}}}\n  - {{use: webhook, name: second, topic: {second}}}\n"
    );
    let (mut config, warnings) = Config::from_text("test.yaml", &text, &[], &[]).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    config.delivery.guarantee = guarantee;
    config.delivery.epoch.records = epoch_records;
    config
}

static ROUTER: LazyLock<Arc<Router>> = LazyLock::new(|| {
    let router = Router::new(config(Guarantee::AtLeastOnce, 1).routing()).unwrap();
    assert_eq!(router.topics(), TOPICS);
    Arc::new(router)
});

/// Runs a case to its end; returns what was violated, and everything that led to it.
fn run(case: &Case) -> Result<(), String> {
    static CONFIGS: LazyLock<Vec<Arc<Config>>> = LazyLock::new(|| {
        let guarantees = [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce];
        let both = |records: &usize| guarantees.map(|guarantee| Arc::new(config(guarantee, *records)));
        EPOCH_RECORDS.iter().flat_map(both).collect()
    });
    let is_its = |config: &&Arc<Config>| {
        (config.delivery.guarantee, config.delivery.epoch.records) == (case.guarantee, case.epoch_records)
    };
    let config = CONFIGS.iter().find(is_its).unwrap();
    let shared = Shared::new(Broker::new(case));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let shared = &shared;
            scope.spawn(move || work(shared, config, worker));
        }
    });
    let mut broker = shared.lock();
    broker.check_outputs();
    broker.violation.take().map_or(Ok(()), |violation| Err(format!("{violation}\n{}", broker.trace.join("\n"))))
}

/// Starts one worker after the other until the end.
fn work(shared: &Shared, config: &Arc<Config>, worker: usize) {
    loop {
        let setup = Setup {
            config: Arc::clone(config),
            router: Arc::clone(&ROUTER),
            status: Arc::new(Status::new(worker)),
            stop: shared.act(worker, |broker| broker.start(worker)),
            unknown_flags: UnknownFlags::default(),
        };
        let open_source = || Consumer::open(shared, worker);
        let open_delivery = || Producer::open(shared, worker);
        let result = catch_unwind(AssertUnwindSafe(|| recovery::run(&setup, open_source, open_delivery)));
        if shared.act(worker, |broker| broker.ended(worker, result.map_err(|cause| cause.is::<Killed>()))) {
            return;
        }
    }
}

fn check(case: &Case) {
    run(case).unwrap_or_else(|violation| panic!("{violation}\n{case:?}"));
}

/// Checks an event at each of the first calls, and another one at each of the next `spread` calls from there, in both guarantees.
fn sweep(first: Event, then: Event, spread: usize) {
    const CALLS: usize = 60;
    for call in 0..CALLS * spread {
        let (at, later) = (call / spread, call % spread);
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
            check(&Case {
                guarantee,
                epoch_records: 3,
                is_eager: false,
                is_static: false,
                records: vec![vec![Kind::Both, Kind::First, Kind::Dead, Kind::Both]; PARTITIONS],
                steps: vec![Step { at, event: first }, Step { at: at + later, event: then }],
            });
        }
    }
}

#[test]
fn each_event_at_each_call() {
    for event in Event::each() {
        sweep(event, Event::Switch, 1);
    }
}

/// What was read before the gap in its batch is part of the epoch, and goes with it when the partition does.
#[test]
fn a_gap_within_a_batch() {
    sweep(Event::Fail(Failure::Gap), Event::Move(0), 8);
    sweep(Event::Fail(Failure::Gap), Event::Stop, 8);
}

/// Records that were read and undone are not forgotten by the exit code, whenever the stop comes.
#[test]
fn a_stop_while_an_epoch_is_undone() {
    sweep(Event::Stop, Event::Fail(Failure::Send), 8);
    sweep(Event::Fail(Failure::Send), Event::Stop, 8);
}

proptest! {
    // A failure becomes a row above, not a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn at_least_once_holds_whatever_happens(case in case(Guarantee::AtLeastOnce)) {
        run(&case).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn exactly_once_holds_whatever_happens(case in case(Guarantee::ExactlyOnce)) {
        run(&case).map_err(TestCaseError::fail)?;
    }
}
