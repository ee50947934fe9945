//! groupcast: a Kafka worker that fans Segment-style `group` events out as each destination's own API bodies.

// The core: pure and total. Knows no Kafka, clock, file, environment, log or metric.
pub mod record;
pub mod json;
pub mod date;
pub mod diagnostic;
pub mod yaml;
pub mod verdict;
pub mod envelope;
pub mod traits;
pub mod flags;
pub mod event;
pub mod destination;
pub mod latest;
pub mod selection;
pub mod router;
pub mod examples;
pub mod explanation;
pub mod suggestion;
pub mod watermark;

// The shell: effects, and no decisions about events.
pub mod playground;
pub mod process;
pub mod config;
pub mod metrics;
pub mod status;
pub mod kafka;
pub mod worker;
pub mod http;
pub mod service;
pub mod cli;
