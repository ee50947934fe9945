//! The real loop, two workers of one group, against Kafka in memory and a schedule of what goes wrong.
//!
//! The broker judges everything as it happens, and the outputs at the end:
//!
//! - I2 what is committed has all its outputs;
//! - I3 what is there twice was read twice, because something went wrong; under exactly once nothing is;
//! - I4 the first outputs of a partition's records are in the source's order;
//! - I5 an offset is never ahead of what is durable or was read, and never goes back;
//! - I6 nothing is sent or committed for a partition after it was given back;
//! - I8 the group is answered at once, and when all is well everything gets committed within a number of calls;
//! - I9 the age of the oldest uncommitted record grows until the partition's offset moves or the group takes it away;
//! - I10 under exactly once readers see all of what a record leads to, or nothing.
//!
//! What it does not model: librdkafka, and `kafka/` around it. `tests/embedded.rs` and `tests/broker.rs` are for these.

mod broker;
pub(super) mod clock;
mod ends;
mod schedule;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use self::broker::{Broker, Ending, SOURCE, WORKERS};
use self::ends::{Consumer, Killed, Producer, Shared};
use self::schedule::{
    Answer, Case, EPOCH_RECORDS, Event, Failure, Kind, PARTITIONS, Step, TOPICS, case,
};
use super::routes::{Current, Routes};
use super::{Setup, recovery};
use crate::config::{Config, Guarantee};
use crate::kafka::topics::Topics;
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
        let both =
            |records: &usize| guarantees.map(|guarantee| Arc::new(config(guarantee, *records)));
        EPOCH_RECORDS.iter().flat_map(both).collect()
    });
    let is_its = |config: &&Arc<Config>| {
        (config.delivery.guarantee, config.delivery.epoch.records)
            == (case.guarantee, case.epoch_records)
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
    broker.judge_outputs();
    broker.violation.take().map_or(Ok(()), |violation| {
        Err(format!("{violation}\n{}", broker.trace.join("\n")))
    })
}

/// Starts one worker after the other until the end.
fn work(shared: &Shared, config: &Arc<Config>, worker: usize) {
    loop {
        let status = Arc::new(Status::new(worker));
        let setup = Setup {
            config: Arc::clone(config),
            routes: Arc::new(Current::new(Routes {
                router: Arc::clone(&ROUTER),
                topics: Arc::new(Topics::assume(ROUTER.topics())),
            })),
            status: Arc::clone(&status),
            stop: shared.act(worker, |broker| broker.start(worker, status)),
            unknown_flags: UnknownFlags::default(),
            latencies: Arc::default(),
        };
        let open_source = || Consumer::open(shared, worker);
        let open_delivery = |_: &Routes| Producer::open(shared, worker);
        let ending = match catch_unwind(AssertUnwindSafe(|| {
            recovery::run(&setup, open_source, open_delivery)
        })) {
            Ok(result) => Ending::Returned(result),
            Err(cause) if cause.is::<Killed>() => Ending::Killed,
            Err(_) => Ending::Panicked,
        };
        if shared.act(worker, |broker| broker.end(worker, ending)) {
            return;
        }
    }
}

fn check(case: &Case) {
    run(case).unwrap_or_else(|violation| panic!("{violation}\n{case:?}"));
}

/// Checks an event at each of the first calls, and another one at each of the next `spread` calls from there, in both guarantees.
fn sweep(starts_at_end: bool, first: Event, then: Event, spread: usize) {
    const CALLS: usize = 40;
    for call in 0..CALLS * spread {
        let (at, later) = (call / spread, call % spread);
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
            check(&Case {
                guarantee,
                epoch_records: 3,
                is_eager: false,
                is_static: false,
                starts_at_end,
                records: vec![vec![Kind::Both, Kind::First, Kind::Dead, Kind::Both]; PARTITIONS],
                steps: vec![
                    Step { at, event: first },
                    Step {
                        at: at + later,
                        event: then,
                    },
                ],
            });
        }
    }
}

#[test]
fn each_event_at_each_call() {
    for event in Event::each() {
        sweep(false, event, Event::Switch, 1);
    }
}

/// What was read before the gap in its batch is part of the epoch, and goes with it when the partition does.
#[test]
fn a_gap_within_a_batch() {
    sweep(false, Event::Fail(Failure::Gap), Event::Move(0), 5);
    sweep(false, Event::Fail(Failure::Gap), Event::Stop, 5);
}

/// What the group did not take goes with the next commit, of the partitions that are kept.
#[test]
fn offsets_that_are_not_taken_when_another_partition_goes() {
    sweep(
        false,
        Event::Move(2),
        Event::Fail(Failure::Commit(Answer::Refused)),
        5,
    );
}

/// Else records that come before the first commit would be skipped by a restart.
#[test]
fn a_start_at_the_end_is_committed_even_if_its_epoch_is_undone() {
    sweep(
        true,
        Event::Fail(Failure::Commit(Answer::Refused)),
        Event::Switch,
        1,
    );
    sweep(true, Event::Fail(Failure::Serve), Event::Switch, 1);
}

/// Records that were read and undone are not forgotten by the exit code, whenever the stop comes.
#[test]
fn a_stop_while_an_epoch_is_undone() {
    sweep(false, Event::Stop, Event::Fail(Failure::Send), 5);
    sweep(false, Event::Fail(Failure::Send), Event::Stop, 5);
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
