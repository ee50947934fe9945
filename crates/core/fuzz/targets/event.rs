//! Any bytes as a record's value, through every built-in definition with each of the settings that its examples use: total,
//! valid JSON, bounded, the key never a trait's doing, nothing of another event.
#![no_main]

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use groupcast_core::envelope::{Emission, Emissions};
use groupcast_core::record::{Position, Record, Traceparent};
use groupcast_core::router::{DefaultLimits, Router, Scratch};
use groupcast_core::verdict::Verdict;
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

#[path = "../routers.rs"]
mod routers;

static ROUTER: LazyLock<Router> = LazyLock::new(routers::all);

/// An event of another customer. Its mark stands nowhere else.
const BEFORE: &[u8] =
    br#"{"type":"group","groupId":"q7zgroup","userId":"q7zuser","traits":{"name":"q7zname","q7zkey":["q7z"]}}"#;
const MARK: &[u8] = b"q7z";

/// A record that leaves may be this many times as long as what came, with what is written around it.
const GROWTH: usize = 64;
const AROUND: usize = 8192;

fuzz_target!(|bytes: &[u8]| {
    if has_mark(bytes) {
        return;
    }
    let (mut scratch, mut emissions) = (Scratch::default(), Emissions::default());
    ROUTER.route(
        &record(BEFORE),
        &DefaultLimits,
        &mut scratch,
        &mut emissions,
        &mut (),
    );
    emissions.clear();
    let verdict = ROUTER.route(
        &record(bytes),
        &DefaultLimits,
        &mut scratch,
        &mut emissions,
        &mut (),
    );
    if matches!(verdict, Verdict::Ignored(_)) {
        assert!(emissions.is_empty());
        return;
    }
    let ids = ids(bytes);
    for emission in emissions.iter() {
        check(&emission, bytes, ids.as_deref());
    }
});

fn record(value: &[u8]) -> Record<'_> {
    let position = Position::first(routers::TOPIC);
    Record {
        position,
        timestamp: Some(1_700_000_000_000),
        key: None,
        value: Some(value),
        traceparent: Traceparent::first([value]),
        letter: None,
    }
}

fn has_mark(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK)
}

fn check(emission: &Emission<'_>, came: &[u8], ids: Option<&[String]>) {
    let value = emission
        .value
        .expect("an event of this size leaves with a value");
    assert!(
        emission.size() <= came.len() * GROWTH + AROUND,
        "{} bytes of {}",
        emission.size(),
        came.len()
    );
    let headers = emission.headers().map(|(_, value)| value);
    assert!(
        headers
            .chain(emission.key)
            .chain([value])
            .all(|bytes| !has_mark(bytes)),
        "another event's value leaves"
    );
    let Some(operation) = emission.operation() else {
        assert_eq!(value, came, "a dead letter carries the record as it came");
        for (name, value) in emission.headers() {
            let text = std::str::from_utf8(value).expect("a header is text");
            assert!(
                text.len() < 1024,
                "the header {name} has {} bytes",
                text.len()
            );
        }
        return;
    };
    check_object(value);
    // What forwards the source's own bytes forwards its repetitions, too.
    if operation.body.starts_with(b"{") && operation.body != came.trim_ascii() {
        check_object(operation.body);
    }
    assert!(
        operation
            .request
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~')),
        "a request is one line"
    );
    let key =
        std::str::from_utf8(emission.key.expect("a record has a key")).expect("a key is text");
    if let Some(ids) = ids {
        assert!(
            ids.iter().any(|id| id == key),
            "the key is none of the event's ids"
        );
    }
}

/// Returns the event's ids as another parser reads them; absent where that one cannot.
fn ids(bytes: &[u8]) -> Option<Vec<String>> {
    let members: HashMap<String, &RawValue> = serde_json::from_slice(bytes).ok()?;
    let read = |name| {
        let raw = members.get(name)?.get();
        if raw.starts_with('"') {
            serde_json::from_str(raw).ok()
        } else {
            Some(raw.to_owned())
        }
    };
    Some(
        ["groupId", "userId", "anonymousId"]
            .into_iter()
            .filter_map(read)
            .collect(),
    )
}

/// Fails where `bytes` are no JSON object, or one with a key twice; what is nested came so.
fn check_object(bytes: &[u8]) {
    struct Unique;
    impl<'de> Visitor<'de> for Unique {
        type Value = ();

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut seen = BTreeSet::new();
            while let Some(key) = map.next_key::<Box<RawValue>>()? {
                // A lone surrogate makes no text, so that keys compare as they are written.
                let key = serde_json::from_str::<String>(key.get())
                    .unwrap_or_else(|_| key.get().to_owned());
                map.next_value::<IgnoredAny>()?;
                assert!(seen.insert(key), "a key twice");
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    deserializer
        .deserialize_map(Unique)
        .and_then(|()| deserializer.end())
        .expect("what leaves is JSON");
}
