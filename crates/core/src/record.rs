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

impl<'a> Position<'a> {
    /// Returns the first position of partition 0: where an event stands that is in no topic yet.
    #[must_use]
    pub const fn first(topic: &'a str) -> Position<'a> {
        Position {
            topic,
            partition: 0,
            offset: 0,
        }
    }
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
    /// The W3C trace context of the record's `traceparent` header, if that is valid.
    pub traceparent: Option<Traceparent>,
    /// What its headers say where it is read as a dead letter.
    pub letter: Option<Letter<'a>>,
}

impl<'a> Record<'a> {
    /// Returns a record of which nothing is known but where it stands and its value: one that does not come from Kafka, or of which
    /// only these count.
    #[must_use]
    pub fn new(position: Position<'a>, value: Option<&'a [u8]>) -> Record<'a> {
        Record {
            position,
            timestamp: None,
            key: None,
            value,
            traceparent: None,
            letter: None,
        }
    }
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

/// A valid trace context, as <https://www.w3.org/TR/trace-context/#traceparent-header> defines version 00 (semantics K4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent([u8; Traceparent::LENGTH]);

impl Traceparent {
    const LENGTH: usize = 55;

    /// Returns the first valid one of what a record's headers say.
    pub fn first<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<Traceparent> {
        values.into_iter().find_map(Traceparent::parse)
    }

    /// Reads one. Of a later version the fields of version 00 are taken, as the recommendation has it, which is what leaves.
    fn parse(value: &[u8]) -> Option<Traceparent> {
        let (known, rest) = value.split_first_chunk::<{ Traceparent::LENGTH }>()?;
        let mut fields = known.split(|byte| *byte == b'-');
        let mut hexadecimal = |length| {
            let is_hexadecimal = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let field = fields.next()?;
            (field.len() == length && field.iter().all(is_hexadecimal)).then_some(field)
        };
        let version = hexadecimal(2)?;
        let ids = [hexadecimal(32)?, hexadecimal(16)?];
        hexadecimal(2)?;
        let is_zero = |id: &[u8]| id.iter().all(|byte| *byte == b'0');
        let is_whole = match version {
            b"00" => rest.is_empty(),
            b"ff" => false,
            _ => matches!(rest, [] | [b'-', ..]),
        };
        if !is_whole || ids.into_iter().any(is_zero) {
            return None;
        }
        let mut text = *known;
        if let Some((version, _)) = text.split_first_chunk_mut() {
            *version = *b"00";
        }
        Some(Traceparent(text))
    }

    /// Returns it as a header has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_valid_or_absent() {
        const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let long = format!("01-{}-{}", &VALID[3..], "x".repeat(300_000));
        let rows = [
            (VALID, Some(VALID)),
            (
                &VALID.replace("-01", "-ff"),
                Some(&*VALID.replace("-01", "-ff")),
            ),
            // Later versions may be longer behind a hyphen.
            (&VALID.replace("00-4", "01-4"), Some(VALID)),
            (&long, Some(VALID)),
            (&format!("01-{}x", &VALID[3..]), None),
            (&format!("{VALID}-more"), None),
            (&format!("{VALID}\r\n"), None),
            (&format!(" {VALID}"), None),
            (&VALID.replace("00-4", "ff-4"), None),
            (&VALID.replace("00-4", "0x-4"), None),
            (&VALID.to_uppercase(), None),
            (
                &VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
                None,
            ),
            (&VALID.replace("00f067aa0ba902b7", &"0".repeat(16)), None),
            (&VALID.replace("-01", "-0\n"), None),
            (&VALID.replace("-00f", "000f"), None),
            (&VALID[..54], None),
            ("", None),
            (&"x".repeat(55), None),
            (&"-".repeat(55), None),
            (
                "é-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                None,
            ),
        ];
        for (written, expected) in rows {
            let read = Traceparent::parse(written.as_bytes());
            assert_eq!(
                read.as_ref().map(Traceparent::as_str),
                expected,
                "{written}"
            );
        }
    }

    #[test]
    fn the_first_valid_traceparent_counts() {
        let [first, second] =
            ["1", "2"].map(|id| format!("00-{}-00f067aa0ba902b7-01", id.repeat(32)));
        let first_of = |values: &[&str]| {
            let values = values.iter().map(|value| value.as_bytes());
            Traceparent::first(values).map(|found| found.as_str().to_owned())
        };
        assert_eq!(first_of(&["bad", &first, &second]), Some(first.clone()));
        assert_eq!(first_of(&[&second, &first]), Some(second));
        assert_eq!(first_of(&["bad", ""]), None);
        assert_eq!(first_of(&[]), None);
    }
}
