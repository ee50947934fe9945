//! One short run on real Apache Kafka: the program as its users start it, with both guarantees, judged by a checker that shares none of
//! its code. `tests/system` has the long ones, with everything that can go wrong.
#![expect(clippy::expect_used, reason = "a test may panic and tell")]

#[expect(dead_code, reason = "other tests need more of it")]
mod support;

use std::time::Duration;

use support::checker::{Excuses, Format, Run};
use support::generator::{DESTINATIONS, MAX_WEBHOOK_BYTES};
use support::source::Source;
use support::worker::{Setup, Worker};
use support::{kafka, topics, unique, until};

/// What a debug build on a busy machine may take.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn every_event_is_accounted_for_with_both_guarantees() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut source = Source::create(brokers, &unique("events"), 6);
    source.produce(2_000);
    let setups = ["at_least_once", "exactly_once"].map(|guarantee| Setup {
        guarantee,
        ..Setup::new(brokers, &source.topic, &unique(guarantee), "structured")
    });
    let mut workers = Vec::new();
    for setup in &setups {
        let outputs = DESTINATIONS
            .into_iter()
            .chain(["dead"])
            .map(|name| format!("{}.{name}", setup.prefix));
        let limit = MAX_WEBHOOK_BYTES.to_string();
        let settings = [("max.message.bytes", &*limit)];
        let outputs: Vec<_> = outputs
            .map(|topic| {
                (
                    topic.clone(),
                    if topic.ends_with(".webhook") {
                        &settings[..]
                    } else {
                        &[]
                    },
                )
            })
            .collect();
        topics::create_all(brokers, 4, &outputs);
        workers.push(Worker::start(setup));
    }
    for (setup, mut worker) in setups.iter().zip(workers) {
        until(LIMIT, "the group has committed all of the source", || {
            worker.assert_runs();
            let committed: i64 = topics::committed(brokers, &setup.group, &setup.source)
                .values()
                .sum();
            (u64::try_from(committed).expect("offsets are not negative") == source.len())
                .then_some(())
        });
        let counted = worker.counters();
        worker.stop();
        let Setup {
            prefix,
            group,
            guarantee,
            ..
        } = setup;
        let run = Run {
            brokers,
            source: &source,
            prefix,
            group,
            format: Format::Structured,
            excuses: Excuses::default(),
        };
        let report = run
            .check()
            .unwrap_or_else(|faults| panic!("{guarantee}: {faults}"));
        assert_eq!(counted, report.counters(), "{guarantee}");
        assert_eq!(
            report.repetitions, 0,
            "{guarantee}: nothing failed, and so nothing is repeated"
        );
    }
}
