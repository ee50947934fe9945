//! groupcast: a Kafka worker that fans Segment-style `group` events out as each destination's own API bodies.

// The core, crates/core: what becomes of a record.
pub use groupcast_core::{
    cases, consent, date, destination, diagnostic, envelope, event, examples, explanation, flags,
    json, latest, record, router, selection, suggestion, traits, verdict, watermark, yaml,
};

// The shell: effects, and no decisions about events.
pub mod playground;
pub mod log;
pub mod process;
pub mod config;
pub mod metrics;
pub mod status;
pub mod kafka;
pub mod worker;
pub mod http;
pub mod service;
pub mod cli;
