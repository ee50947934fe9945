//! Hostile events through all definitions at once: what leaves is JSON without duplicate keys, within the limits that the definitions
//! declare, and holds nothing of another event.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may read files and take times"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::time::Instant;

use groupcast_core::destination::{Catalogue, Definition, Instance};
use groupcast_core::diagnostic::{Diagnostics, Place};
use groupcast_core::envelope::Emissions;
use groupcast_core::record::{Position, Record};
use groupcast_core::router::{DefaultLimits, Router, Routing, Scratch};
use groupcast_core::verdict::Verdict;
use groupcast_core::yaml::{self, Node};
use serde::de::{MapAccess, SeqAccess};

use crate::events::{HUGE, LONE, events, sentinel};
use crate::limits::Limits;

mod events;
mod limits;

#[test]
fn nothing_that_leaves_is_invalid_over_long_or_of_another_event() {
    let start = Instant::now();
    let definitions = definitions();
    let mut limits = Limits::of(&definitions);
    let routing = routing(&definitions);
    let events = events(&limits.keys(), &limits.flags_of_large());
    let router = Router::new(routing.clone()).unwrap();

    let mut scratch = Scratch::default();
    let mut emissions = Emissions::default();
    let (mut n_records, mut n_bytes) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        // What came before is the event before, and one that breaks off.
        let cut = Record::new(POSITION, Some(&event.as_bytes()[..event.len() - 1]));
        router.route(&cut, &DefaultLimits, &mut scratch, &mut emissions, &mut ());
        let left = route(&router, index, event, &mut scratch, &mut emissions);
        assert!(!left.is_empty(), "nothing leaves of event {index}");
        // Alone, in a router that has seen nothing, it comes to the same bytes.
        let fresh = Router::new(routing.clone()).unwrap();
        assert_same(
            &route(
                &fresh,
                index,
                event,
                &mut Scratch::default(),
                &mut Emissions::default(),
            ),
            &left,
            index,
        );
        for record in &left {
            n_records += 1;
            n_bytes += record.value.len();
            check_sentinels(record, index);
            let definition = &routing.destinations[record.destination].definition;
            limits.check(
                &definition.id,
                &record.operation,
                &check_json(record),
                &record.place(index),
            );
        }
    }
    limits.assert_all_were_reached();
    println!(
        "{} events through {} destinations: {n_records} records, {n_bytes} bytes, {:?}",
        events.len(),
        routing.destinations.len(),
        start.elapsed()
    );
}

fn definitions() -> Vec<std::sync::Arc<Definition>> {
    Catalogue::built_in().iter().cloned().collect()
}

/// Returns every definition once with each of the settings that its examples use, and with all custom traits where that is a
/// setting.
fn routing(definitions: &[std::sync::Arc<Definition>]) -> Routing {
    let mut destinations = Vec::new();
    for definition in definitions {
        let mut seen = BTreeSet::new();
        let mut settings: Vec<String> = definition
            .examples
            .iter()
            .map(|example| json(example.settings.as_ref()))
            .collect();
        if definition
            .settings
            .iter()
            .any(|setting| setting.name == "custom_traits")
        {
            let mut all: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&settings[0]).unwrap();
            all.insert("custom_traits".to_owned(), "all".into());
            settings.push(serde_json::to_string(&all).unwrap());
        }
        for settings in settings {
            if !seen.insert(settings.clone()) {
                continue;
            }
            let mut diagnostics = Diagnostics::new("settings");
            // JSON is YAML.
            let node = yaml::parse(&settings, &mut diagnostics);
            let settings =
                definition.read_settings(node.as_ref(), Place::default(), &mut diagnostics);
            assert!(!diagnostics.has_errors(), "{}", definition.id);
            destinations.push(Instance {
                name: format!("{}-{}", definition.id, seen.len()),
                enabled_by_default: Some(true),
                ..Instance::new(definition.clone(), settings)
            });
        }
    }
    Routing {
        source_topics: vec![TOPIC.to_owned()],
        destinations,
        ..Routing::default()
    }
}

fn json(settings: Option<&Node>) -> String {
    let mut json = String::new();
    settings
        .into_iter()
        .for_each(|settings| settings.write_json(&mut json));
    if json.is_empty() {
        "{}".to_owned()
    } else {
        json
    }
}

const TOPIC: &str = "corpus";
const POSITION: Position<'static> = Position::first(TOPIC);

/// A record that left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Left {
    destination: usize,
    name: String,
    operation: String,
    key: Vec<u8>,
    value: Vec<u8>,
    request: String,
    body: String,
}

impl Left {
    fn place(&self, event: usize) -> String {
        format!("event {event}, {} {}", self.name, self.operation)
    }
}

fn route(
    router: &Router,
    index: usize,
    event: &str,
    scratch: &mut Scratch,
    emissions: &mut Emissions,
) -> Vec<Left> {
    emissions.clear();
    let position = Position {
        topic: TOPIC,
        partition: 0,
        offset: i64::try_from(index).unwrap(),
    };
    let record = Record {
        position,
        timestamp: Some(1_700_000_000_000),
        key: None,
        value: Some(event.as_bytes()),
        traceparent: None,
        letter: None,
    };
    let verdict = router.route(&record, &DefaultLimits, scratch, emissions, &mut ());
    assert_eq!(
        verdict,
        Verdict::Routed,
        "event {index}: {}",
        event.chars().take(300).collect::<String>()
    );
    let left = emissions.iter().filter_map(|emission| {
        let destination = emission.destination.unwrap();
        // What is larger than its vendor takes is a dead letter (K7), and nothing else here is.
        let Some(operation) = emission.operation() else {
            let mut headers = emission.headers();
            let reason = headers.find(|(name, _)| *name == "reason").unwrap().1;
            assert_eq!(reason, b"too_large", "event {index}");
            return None;
        };
        Some(Left {
            destination,
            name: router.destination_name(destination).to_owned(),
            operation: router.operation_id(destination, operation.index).to_owned(),
            key: emission.key.unwrap().to_vec(),
            value: emission.value.unwrap().to_vec(),
            request: operation.request.to_owned(),
            body: String::from_utf8(operation.body.to_vec()).unwrap(),
        })
    });
    left.collect()
}

fn assert_same(left: &[Left], right: &[Left], event: usize) {
    assert_eq!(left.len(), right.len(), "event {event}");
    for (one, other) in left.iter().zip(right) {
        assert!(
            one == other,
            "{}: {}\n{}",
            one.place(event),
            one.body,
            other.body
        );
    }
}

/// Every text of an event holds the event's sentinel, `Z`, four digits and `Z`; what leaves holds no other.
fn check_sentinels(record: &Left, event: usize) {
    let own = sentinel(event).to_ascii_lowercase();
    for bytes in [&record.key, &record.value, record.request.as_bytes()] {
        let text = std::str::from_utf8(bytes).unwrap().to_ascii_lowercase();
        for (place, _) in text.match_indices("z0") {
            let found = text.get(place..place + own.len()).unwrap_or_default();
            assert!(
                !found.ends_with('z') || found == own,
                "{}: {found}",
                record.place(event)
            );
        }
    }
}

/// Parses the value and returns the body in it; only the whole event as it came may have a key twice.
fn check_json(record: &Left) -> Json {
    let text = std::str::from_utf8(&record.value)
        .unwrap()
        .replace(LONE, r"\ufffd")
        .replace(HUGE, "1");
    let envelope: Json = serde_json::from_str(&text)
        .unwrap_or_else(|fault| panic!("{}: {fault}\n{text}", record.name));
    if !record.name.starts_with("raw-") {
        envelope.assert_unique(&record.name);
    }
    assert!(
        record
            .request
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~')),
        "{}: {}",
        record.name,
        record.request
    );
    let Json::Object(members) = envelope else {
        panic!("{}: no object", record.name)
    };
    members
        .into_iter()
        .find(|(key, _)| key == "data")
        .unwrap()
        .1
}

/// JSON with duplicate keys kept.
#[derive(Debug)]
enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Text(String),
    Other,
}

impl Json {
    fn assert_unique(&self, place: &str) {
        match self {
            Json::Object(members) => {
                let mut seen = BTreeSet::new();
                for (key, value) in members {
                    assert!(seen.insert(key), "{place}: twice: {key}");
                    value.assert_unique(place);
                }
            }
            Json::Array(elements) => elements
                .iter()
                .for_each(|element| element.assert_unique(place)),
            Json::Text(_) | Json::Other => {}
        }
    }
}

impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> serde::de::Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }
}
