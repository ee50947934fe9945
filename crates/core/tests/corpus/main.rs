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

use crate::limits::Limits;

mod limits;

#[test]
fn nothing_that_leaves_is_invalid_over_long_or_of_another_event() {
    let start = Instant::now();
    let definitions = definitions();
    let mut limits = Limits::of(&definitions);
    let routing = routing(&definitions);
    let events = events(&limits);
    let router = Router::new(routing.clone()).unwrap();

    let mut scratch = Scratch::default();
    let mut emissions = Emissions::default();
    let (mut n_records, mut n_bytes) = (0, 0);
    for (index, event) in events.iter().enumerate() {
        // What came before is the event before, and one that breaks off.
        let cut = Record {
            position: POSITION,
            timestamp: None,
            key: None,
            value: Some(&event.as_bytes()[..event.len() - 1]),
            traceparent: None,
            letter: None,
        };
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
const POSITION: Position<'static> = Position {
    topic: TOPIC,
    partition: 0,
    offset: 0,
};

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
    let left = emissions.iter().map(|emission| {
        let destination = emission.destination.unwrap();
        let operation = emission
            .operation()
            .unwrap_or_else(|| panic!("event {index}: a dead letter of {destination}"));
        Left {
            destination,
            name: router.destination_name(destination).to_owned(),
            operation: router.operation_id(destination, operation.index).to_owned(),
            key: emission.key.unwrap().to_vec(),
            value: emission.value.unwrap().to_vec(),
            request: operation.request.to_owned(),
            body: String::from_utf8(operation.body.to_vec()).unwrap(),
        }
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

/// A lone surrogate is allowed in JSON text, but no parser makes a string of it.
const LONE: &str = r"\ud800";
/// So is a number that no float holds.
const HUGE: &str = "1e999";

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

/// Returns the events: every key with several hostile values, and every hostile value under many keys; then single odd ones.
fn events(limits: &Limits) -> Vec<String> {
    let own_keys = limits.keys();
    let n_values = values("").len();
    let per_event = own_keys.len().div_ceil(n_values) * 2;
    let mut events: Vec<String> = (0..n_values)
        .map(|turn| {
            let sentinel = sentinel(turn);
            let values = values(&sentinel);
            let value = |index: usize| values[(index + turn) % n_values].as_str();
            let mut members: Vec<String> = KEYS
                .iter()
                .enumerate()
                .map(|(index, key)| format!("\"{key}\":{}", value(index)))
                .collect();
            // Keys that the definitions' own fields have.
            let fields = own_keys
                .iter()
                .cycle()
                .skip(turn * per_event / 2)
                .take(per_event)
                .enumerate();
            members.extend(fields.map(|(index, key)| {
                format!(
                    "{}:{}",
                    serde_json::to_string(key).unwrap(),
                    value(index * 7)
                )
            }));
            members.push(format!(r#""{}":"{sentinel}""#, "k".repeat(300)));
            let id = format!("g/{sentinel} é?{}", "i".repeat(turn * 7));
            call(
                &id,
                &sentinel,
                &format!("{{{}}}", members.join(",")),
                value(3),
                value(5),
            )
        })
        .collect();
    for odd in ODD {
        let sentinel = sentinel(events.len());
        events.push(odd.replace('%', &sentinel));
    }
    for (length, flags) in [(300, String::new()), (70_000, limits.flags_of_large())] {
        let sentinel = sentinel(events.len());
        let long = |unit: &str| format!("\"{sentinel}{}\"", unit.repeat(length));
        let mut names: Vec<String> = RESERVED_TEXTS
            .iter()
            .map(|name| format!("\"{name}\":{}", long("x")))
            .collect();
        names.push(format!(r#""custom":{}"#, long("y")));
        names.push(r#""createdAt":"2015-02-23""#.to_owned());
        events.push(format!(
            r#"{{"type":"group","groupId":"g {sentinel}","userId":"u {sentinel}","traits":{{{}}}{flags}}}"#,
            names.join(",")
        ));
    }
    events
}

fn sentinel(event: usize) -> String {
    format!("Z{event:04}Z")
}

fn call(id: &str, sentinel: &str, traits: &str, context: &str, time: &str) -> String {
    // A trait and a field of the event twice: the last one wins (E10).
    format!(
        r#"{{"type":"group","groupId":"lost","groupId":"{id}","userId":"u {sentinel}","anonymousId":"a {sentinel}","traits":{traits},"context":{{"ip":{context},"library":{context},"locale":{context}}},"timestamp":{time},"messageId":{context},"unknown":{context}}}"#
    )
}

const RESERVED_TEXTS: [&str; 13] = [
    "name",
    "email",
    "phone",
    "website",
    "industry",
    "description",
    "avatar",
    "plan",
    "street",
    "city",
    "state",
    "postalCode",
    "country",
];

/// As they stand in JSON.
const KEYS: [&str; 44] = [
    "name",
    "Name",
    "email",
    "phone",
    "website",
    "industry",
    "description",
    "avatar",
    "plan",
    "id",
    "employees",
    "revenue",
    "createdAt",
    "created_at",
    "address",
    "address.city",
    "city",
    "state",
    "zip",
    "country",
    "street",
    "",
    " ",
    "___",
    "*",
    "$set",
    "$${",
    "${groupId}",
    "a.b",
    "__proto__",
    "constructor",
    "\\u516c\\u53f8",
    "\u{130}stanbul",
    "ß",
    "total billed",
    "totalBilled",
    "Total-Billed",
    "😀",
    "a\\u0000b",
    "\\\"quoted\\\"",
    "\\\\",
    "\\n",
    "tags",
    "tags",
];

/// Hostile values as JSON text; each text of them holds the sentinel, if it has letters at all.
fn values(sentinel: &str) -> Vec<String> {
    let fixed = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.0",
        "1e3",
        "1e999",
        "-1E-999",
        "12345678901234567890123",
        "-9223372036854775809",
        "0.1e-7",
        "1424649600",
        "-62135596801",
        "253402300800000",
        "-0.5",
        r#""""#,
        r#"" ""#,
        "[]",
        "{}",
        "[null]",
        "[[],{}]",
        r#"{"":""}"#,
        r#"{"a":null}"#,
        r#""9999-12-31T23:59:59.999999999Z""#,
        r#""0000-01-01""#,
        r#""2021-02-30""#,
        r#""2016-12-31T23:59:60Z""#,
        r#""2015-02-23T00:30:00+14:00""#,
        r#""-1""#,
        r#""1424649600.5""#,
        r#""1e999""#,
        r#""50""#,
        r#""true""#,
        r#""\u0000\u001f\u007f""#,
    ];
    let texts = [
        "%".to_owned(),
        format!(r"% {LONE} lone"),
        format!("% {}", r"\ud83d\ude00".repeat(260)),
        format!("% {}", "😀".repeat(70)),
        format!("% {}", "e\u{301}".repeat(70)),
        format!("% {}", r#"\\\""#.repeat(70)),
        format!("% {}", r"\n\t\u0001".repeat(50)),
        "% ${groupId} {{x}} </script> a,b;c=d&e %25".replace("%25", "25"),
        "https://www.%.example.com:8080/a?b=c#d".to_owned(),
        r#"{\"%\":1}"#.to_owned(),
    ];
    let structures = [
        r#"{"city":"%","zip":1,"x":{"y":["%"]},"State":null}"#.to_owned(),
        r#"{"a":"%","A":"%","a_b":{"c":1},"a":{"b_c":2}}"#.replacen(r#","a":{"#, r#","a b":{"#, 1),
        r#"["%",1,null,{"k":"%"},["%"]]"#.to_owned(),
        format!("{}\"%\"{}", "[".repeat(40), "]".repeat(40)),
        format!("{}\"%\"{}", r#"{"n":"#.repeat(40), "}".repeat(40)),
    ];
    let texts = texts.iter().map(|text| format!("\"{text}\""));
    let own = texts
        .chain(structures)
        .map(|text| text.replace('%', sentinel));
    fixed
        .iter()
        .map(|text| (*text).to_owned())
        .chain(own)
        .collect()
}

/// Events that are odd as a whole; `%` is the sentinel.
const ODD: [&str; 10] = [
    r#"{"type":"group","groupId":"%"}"#,
    r#"{"type":"group","groupId":"%","traits":null,"userId":null,"anonymousId":"a %"}"#,
    r#"{"type":"group","groupId":"%","userId":"u %","traits":{}}"#,
    r#"{"type":"group","groupId":123456789012345678901234567890,"userId":1.50,"traits":{"name":"%"}}"#,
    r#"{"type":"group","groupId":"\u0000\u001f\" \\ \ud83d\ude00 %","userId":"../..\u0000/%?&=#","traits":{"name":"%","plan":null}}"#,
    r#"{"type":"group","groupId":"%xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","userId":"u %"}"#,
    r#"{"type":"group","groupId":"%","userId":"u %","traits":{"name":null,"email":null,"phone":null,"website":null,"industry":null,"description":null,"avatar":null,"plan":null,"id":null,"employees":null,"revenue":null,"createdAt":null,"address":null,"custom":null,"":null}}"#,
    r#"{"type":"group","groupId":"%","userId":"u %","traits":{"address":{"city":null,"street":"%","x":{"y":"%"}},"City":"%","postcode":1,"state":"%"}}"#,
    r#"{"type":"group","groupId":"%","userId":"u %","traits":{"address":"% street","city":"%"},"context":{"groupId":"%","traits":{"name":"%"}}}"#,
    r#" { "type" : "group" , "groupId" : "%" , "userId" : {"a":"%"} , "traits" : { "name" : "%" , "name" : "%2" , "NAME" : "%3" } , "timestamp" : "no date" } "#,
];
