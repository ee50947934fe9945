//! One dead letter as people and programs see it, without what is in it.

use std::io::{self, Write};

use jiff::Timestamp;
use rdkafka::Message;
use rdkafka::message::OwnedMessage;
use serde::Serialize;

use crate::cli::terminal::{BAD, HEADING, columns};
use crate::kafka;
use crate::verdict::Reason;

/// What a dead letter's headers say.
#[derive(Debug, Clone, Serialize)]
pub(super) struct LetterRow {
    /// Where the dead letter stands, `topic/partition/offset`.
    position: String,
    /// When it became one.
    time: String,
    reason: String,
    detail: String,
    /// Absent for a whole record.
    destination: Option<String>,
    /// Where the source record stands.
    source: String,
    source_time: Option<String>,
    /// How often it was redriven.
    attempts: u32,
    /// Whether the key or the value was too large to go along.
    is_cut: bool,
}

impl LetterRow {
    pub(super) fn of(message: &OwnedMessage) -> Option<LetterRow> {
        let record = kafka::dead_letter(message);
        let letter = record.letter?;
        Some(LetterRow {
            position: record.position.to_string(),
            time: date(message.timestamp().to_millis().unwrap_or_default()),
            reason: letter.reason.to_owned(),
            detail: letter.detail.to_owned(),
            destination: letter.destination.map(str::to_owned),
            source: letter.source.to_string(),
            source_time: letter.timestamp.map(date),
            attempts: letter.attempts,
            is_cut: letter.is_cut,
        })
    }

    /// Lays it out over several lines.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let reason = Reason::ALL
            .iter()
            .find(|reason| reason.code() == self.reason);
        let sentence = reason.map_or("a reason that this version does not know", |reason| {
            reason.sentence()
        });
        writeln!(out, "{BAD}{}{BAD:#}: {sentence}", self.reason)?;
        // The letter cannot know what happened to it since: a redrive writes a new letter if it fails again.
        let attempts = match self.attempts {
            0 => "before it was written, none; what came after is not recorded here".to_owned(),
            1 => "once before it was written".to_owned(),
            count => format!("{count} times before it was written"),
        };
        let destination = self
            .destination
            .as_deref()
            .unwrap_or("none: the whole record");
        for (name, said) in [
            ("detail", self.detail.as_str()),
            ("destination", destination),
            (
                "dead letter",
                &format!("{}, written {}", self.position, self.time),
            ),
            (
                "source",
                &format!(
                    "{}, written {}",
                    self.source,
                    self.source_time.as_deref().unwrap_or("at no known time")
                ),
            ),
            ("redrives", &attempts),
        ] {
            if !said.is_empty() {
                writeln!(out, "  {name:12}{said}")?;
            }
        }
        Ok(())
    }
}

/// Returns a time of Kafka's, in milliseconds, as RFC 3339.
pub(super) fn date(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| milliseconds.to_string(), |time| time.to_string())
}

/// Lists dead letters, one a line.
pub(super) fn write_list(rows: &[LetterRow], out: &mut impl Write) -> io::Result<()> {
    let mut lines = vec![
        [
            "time",
            "dead letter",
            "reason",
            "destination",
            "source",
            "detail",
        ]
        .map(str::to_owned),
    ];
    lines.extend(rows.iter().map(|row| {
        let attempts = if row.attempts == 0 {
            String::new()
        } else {
            format!(" (after {} redrives)", row.attempts)
        };
        let destination = row.destination.as_deref().unwrap_or("-");
        [
            &row.time,
            &row.position,
            &row.reason,
            destination,
            &row.source,
            &format!("{}{attempts}", row.detail),
        ]
        .map(str::to_owned)
    }));
    if lines.len() > 1 {
        write_columns(&lines, out)
    } else {
        Ok(())
    }
}

/// Writes rows in columns; the first one is their heading.
pub(super) fn write_columns<const N: usize>(
    rows: &[[String; N]],
    out: &mut impl Write,
) -> io::Result<()> {
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| columns(cell))
            .max()
            .unwrap_or_default()
    });
    for (index, row) in rows.iter().enumerate() {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell}{:1$}", "", width - columns(cell)));
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        if index == 0 {
            writeln!(out, "{HEADING}{line}{HEADING:#}")?
        } else {
            writeln!(out, "{line}")?
        }
    }
    Ok(())
}
