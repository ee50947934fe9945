//! One dead letter with all that is in it.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::letter::LetterRow;
use crate::cli::explain::write_explanation;
use crate::cli::report::Failure;
use crate::cli::terminal::{Disarmed, HEADING};
use crate::cli::{ConfigArguments, position};
use crate::explanation::{Explanation, explain};
use crate::kafka;
use crate::kafka::fault::Fault;
use crate::kafka::lookup::Lookup;
use crate::record::{Position, Record};
use crate::router::Router;
use crate::verdict::Reason;

/// Shows one dead letter: why it is one, its source, the event itself, and what today's code and configuration make of it
///
/// The event is shown as it is, trait values too.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Where it stands, as `list` says it: topic/partition/offset
    #[arg(value_parser = position)]
    position: (String, i32, i64),
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let router = Router::new(config.routing().redacted())?;
    let (topic, partition, offset) = &arguments.position;
    let position = Position {
        topic,
        partition: *partition,
        offset: *offset,
    };
    let message = Lookup::open(&config).and_then(|lookup| lookup.at(position))?;
    let record = kafka::dead_letter(&message);
    let (Some(row), Some(letter)) = (LetterRow::of(&message), record.letter) else {
        return Err(Failure::from(Fault::Fatal(format!(
            "{position}: {}",
            Reason::NoDeadLetter.sentence()
        ))));
    };
    let source = Record {
        position: letter.source,
        timestamp: letter.timestamp,
        letter: None,
        ..record
    };
    let mut explanation = explain(&router, &source);
    if let Some(destination) = letter.destination {
        explanation.narrow(&[destination.to_owned()]);
    }
    let mut out = anstream::stdout().lock();
    if arguments.json {
        let shown = Shown {
            letter: row,
            key: record.key.map(text),
            value: record.value.map(text),
            today: (!letter.is_cut).then_some(explanation),
        };
        serde_json::to_writer_pretty(&mut out, &shown).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    row.write(&mut Disarmed(&mut out))?;
    for (name, bytes) in [("key", record.key), ("value", record.value)] {
        let bytes = bytes.map_or_else(|| "none".to_owned(), |bytes| text(bytes).to_string());
        writeln!(out, "\n{HEADING}{name}{HEADING:#}\n{bytes}")?;
    }
    if letter.is_cut {
        writeln!(
            out,
            "\nIt was too large to go along: `groupcast explain --record {}` reads it where it came from.",
            letter.source
        )?;
        return Ok(());
    }
    writeln!(
        out,
        "\n{HEADING}what today's code and configuration make of it{HEADING:#}\n"
    )?;
    write_explanation(&explanation, &mut out)?;
    Ok(())
}

/// A dead letter and what it would be today.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    letter: LetterRow,
    key: Option<Bytes<'a>>,
    value: Option<Bytes<'a>>,
    today: Option<Explanation>,
}

/// Bytes as text where they are text, else as base64.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Bytes<'a> {
    Text(&'a str),
    Base64(String),
}

impl std::fmt::Display for Bytes<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // What a terminal would obey is shown, not done.
            Bytes::Text(text) => text.chars().try_for_each(|character| match character {
                '\n' | '\t' => write!(formatter, "{character}"),
                character if character.is_control() => {
                    write!(formatter, "{}", character.escape_default())
                }
                character => write!(formatter, "{character}"),
            }),
            Bytes::Base64(text) => write!(formatter, "{text} (base64; it is not UTF-8)"),
        }
    }
}

fn text(bytes: &[u8]) -> Bytes<'_> {
    std::str::from_utf8(bytes).map_or_else(|_| Bytes::Base64(STANDARD.encode(bytes)), Bytes::Text)
}
