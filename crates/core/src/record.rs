//! A Kafka record as plain borrowed data. Knows no Kafka client.

use std::fmt;

/// Where a record stands in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position<'a> {
    /// The source topic.
    pub topic: &'a str,
    /// The partition, from 0.
    pub partition: i32,
    /// The offset, from 0.
    pub offset: i64,
}

impl fmt::Display for Position<'_> {
    /// Writes `topic/partition/offset`, the form that every command takes and prints.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}/{}/{}",
            self.topic, self.partition, self.offset
        )
    }
}

/// One consumed record, borrowed from whoever holds its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where it stands.
    pub position: Position<'a>,
    /// The record's timestamp in Unix milliseconds, if it has one.
    pub timestamp: Option<i64>,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value; absent for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The W3C trace context of the record's `traceparent` header, if it is text.
    pub traceparent: Option<&'a str>,
    /// What its headers say where it is read as a dead letter.
    pub letter: Option<Letter<'a>>,
}

/// What the headers of a dead letter say (semantics K7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter<'a> {
    /// The reason's code.
    pub reason: &'a str,
    /// What a person needs beyond the reason.
    pub detail: &'a str,
    /// Where the source record stands.
    pub source: Position<'a>,
    /// The source record's timestamp in Unix milliseconds, if it has one.
    pub timestamp: Option<i64>,
    /// The destination whose share it is; absent for a whole record.
    pub destination: Option<&'a str>,
    /// How often it was redriven before it came to this one.
    pub attempts: u32,
    /// Whether the key or the value was too large to go along.
    pub is_cut: bool,
}
