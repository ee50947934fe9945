//! What becomes of a record, for each destination: groupcast without its effects.
//!
//! Pure and total: it knows no Kafka, clock, file, environment, log or metric, and no input makes it fail.

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
pub mod consent;
pub mod destination;
pub mod latest;
pub mod selection;
pub mod router;
pub mod send;
pub mod examples;
pub mod cases;
pub mod explanation;
pub mod suggestion;
pub mod watermark;
