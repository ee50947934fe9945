//! Any bytes as the event that `explain` is asked about: total, and its answer is JSON.
#![no_main]

use std::sync::LazyLock;

use groupcast_core::explanation::explain;
use groupcast_core::record::{Position, Record};
use groupcast_core::router::Router;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

#[path = "../routers.rs"]
mod routers;

static ROUTER: LazyLock<Router> = LazyLock::new(routers::few);

fuzz_target!(|bytes: &[u8]| {
    let position = Position::first(routers::TOPIC);
    let record = Record::new(position, Some(bytes));
    let json = serde_json::to_string(&explain(&ROUTER, &record)).expect("an explanation is JSON");
    serde_json::from_str::<&RawValue>(&json).expect("an explanation is JSON");
});
