//! Whether all contestants make the same of every event: keys, partitions, and values as JSON.

use std::collections::HashMap;

use rdkafka::message::Message;
use serde_json::Value;

use crate::contestant::{CONTESTANTS, Contestant, Running};
use crate::corpus;
use crate::job::BASE;
use crate::rate;
use crate::stage::{Source, Stage};
use crate::support::topics;

/// A topic's records by the ids in their values: partition, key and value.
type Records = HashMap<String, (i32, Vec<u8>, Vec<u8>)>;

/// Has each contestant do the whole corpus once, and compares it with groupcast at least once.
///
/// # Panics
/// Where one makes anything else of an event.
pub(crate) fn check(stage: &Stage, contestants: &[&'static Contestant]) {
    let source = stage.fill(corpus::EVENTS, BASE);
    let reference = &CONTESTANTS[1];
    let (running, expected) = outputs(stage, &source, reference);
    for contestant in contestants
        .iter()
        .filter(|contestant| contestant.keeps_ids() && contestant.name != reference.name)
    {
        let (running, found) = outputs(stage, &source, contestant);
        for ((topic, expected), found) in running.topics.iter().zip(&expected).zip(&found) {
            compare(topic, expected, found);
        }
        stage.delete(&running.topics);
    }
    stage.delete(&running.topics);
    stage.remove(&source);
}

fn outputs(stage: &Stage, source: &Source, contestant: &Contestant) -> (Running, Vec<Records>) {
    let mut running = contestant.start(stage, source);
    rate::watch(stage, source, &mut running);
    running.stop();
    rate::check_counts(stage, source, &running);
    let records = running
        .topics
        .iter()
        .map(|topic| read(stage.brokers(), topic))
        .collect();
    (running, records)
}

fn read(brokers: &str, topic: &str) -> Records {
    let mut records = Records::new();
    topics::read(brokers, topic, |message| {
        let value = message.payload().expect("a record has a value").to_vec();
        let id = json(&value)["id"]
            .as_str()
            .expect("a record has an id")
            .to_owned();
        let key = message.key().expect("a record has a key").to_vec();
        assert!(
            records
                .insert(id, (message.partition(), key, value))
                .is_none(),
            "an id comes twice in {topic}"
        );
    });
    records
}

fn compare(topic: &str, expected: &Records, found: &Records) {
    for (id, (partition, key, value)) in expected {
        let (found_partition, found_key, found_value) = found
            .get(id)
            .unwrap_or_else(|| panic!("{topic}: {id} is missing"));
        assert_eq!(
            (partition, key),
            (found_partition, found_key),
            "{topic}: partition and key of {id}"
        );
        assert_eq!(json(found_value), json(value), "{topic}: {id}");
    }
}

fn json(value: &[u8]) -> Value {
    serde_json::from_slice(value)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(value)))
}
