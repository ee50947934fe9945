//! Any bytes as the headers of a dead letter: read or not, and routed again in any case.
#![no_main]

use std::sync::LazyLock;

use groupcast::envelope::Emissions;
use groupcast::kafka::dead_letter;
use groupcast::router::{DefaultLimits, Router, Scratch};
use libfuzzer_sys::fuzz_target;
use rdkafka::Timestamp;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

#[path = "../../crates/core/fuzz/routers.rs"]
mod routers;

static ROUTER: LazyLock<Router> = LazyLock::new(routers::few);

const NAMES: [&str; 12] = [
    "reason",
    "detail",
    "source_topic",
    "source_partition",
    "source_offset",
    "source_timestamp",
    "destination",
    "key_omitted",
    "value_omitted",
    "attempts",
    "traceparent",
    "something",
];

fuzz_target!(|input: (Vec<(u8, Option<Vec<u8>>)>, Option<Vec<u8>>)| {
    let (written, value) = input;
    let named = written
        .iter()
        .map(|(index, value)| (NAMES[usize::from(*index) % NAMES.len()], value));
    let headers = named.fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header {
            key,
            value: value.as_ref(),
        })
    });
    let message = OwnedMessage::new(
        value,
        None,
        routers::TOPIC.to_owned(),
        Timestamp::NotAvailable,
        0,
        0,
        Some(headers),
    );
    let record = dead_letter(&message);
    let mut emissions = Emissions::default();
    ROUTER.route(
        &record,
        &DefaultLimits,
        &mut Scratch::default(),
        &mut emissions,
        &mut (),
    );
    for (name, header) in emissions
        .iter()
        .flat_map(|emission| emission.headers().collect::<Vec<_>>())
    {
        assert!(header.len() < 4096, "a header grows");
        assert!(
            !name.ends_with("traceparent") || header.starts_with(b"00-") && header.len() == 55,
            "a traceparent that is not valid leaves"
        );
    }
});
