//! `groupcast transform`: the records that would leave, for other programs to read. Its lines are a contract.

use std::io::{self, BufRead, BufReader, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::ConfigArguments;
use super::report::Failure;
use crate::envelope::{Emission, Emissions};
use crate::record::{Position, Record};
use crate::router::{DefaultLimits, Router, Scratch};

/// Reads raw events from standard input, one JSON a line, and writes what would leave, one JSON a line
///
/// Needs no broker. Line N is taken for offset N-1 of partition 0 of the first source topic. Blank lines are skipped, and
/// events that are ignored print nothing. The exit code is 0 whatever the events are.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let router = Router::new(config.routing())?;
    let topic = config.source.topics.first().map_or("", String::as_str);
    transform(
        &router,
        topic,
        BufReader::new(io::stdin().lock()),
        io::BufWriter::new(io::stdout().lock()),
    )?;
    Ok(())
}

fn transform<R: io::Read>(
    router: &Router,
    topic: &str,
    mut input: BufReader<R>,
    mut output: impl Write,
) -> io::Result<()> {
    let (mut scratch, mut emissions, mut line) =
        (Scratch::default(), Emissions::default(), Vec::new());
    for number in 0.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let event = line.trim_ascii_end();
        if event.trim_ascii_start().is_empty() {
            continue;
        }
        let position = Position {
            topic,
            partition: 0,
            offset: number,
        };
        let record = Record::new(position, Some(event));
        emissions.clear();
        router.route(
            &record,
            &DefaultLimits,
            &mut scratch,
            &mut emissions,
            &mut (),
        );
        for emission in emissions.iter() {
            write_line(router, &emission, number + 1, &mut output)?;
        }
        // Whoever writes one event and waits for its answer gets it.
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    output.flush()
}

#[derive(Serialize)]
struct OperationLine<'a> {
    destination: &'a str,
    topic: &'a str,
    operation: &'a str,
    request: &'a str,
    id: &'a str,
    key: &'a str,
    value: &'a RawValue,
}

#[derive(Serialize)]
struct DeadLetterLine<'a> {
    dead_letter: DeadLetterFields<'a>,
}

#[derive(Serialize)]
struct DeadLetterFields<'a> {
    reason: &'a str,
    detail: &'a str,
    destination: Option<&'a str>,
    line: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

fn write_line(
    router: &Router,
    emission: &Emission<'_>,
    line: i64,
    output: &mut impl Write,
) -> io::Result<()> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    match (emission.operation(), emission.destination) {
        (Some(operation), Some(destination)) => {
            let line = OperationLine {
                destination: router.destination_name(destination),
                topic: router
                    .topics()
                    .get(emission.topic.0)
                    .map_or("", String::as_str),
                operation: router.operation_id(destination, operation.index),
                request: operation.request,
                id: operation.id,
                key: text(emission.key.unwrap_or_default()),
                value: serde_json::from_slice(operation.body)?,
            };
            serde_json::to_writer(&mut *output, &line)?;
        }
        (Some(_) | None, _) => {
            let header = |name| {
                emission
                    .headers()
                    .find(|(header, _)| *header == name)
                    .map(|(_, value)| text(value))
            };
            let value = emission.value.unwrap_or_default();
            let utf8 = std::str::from_utf8(value).ok();
            let dead_letter = DeadLetterFields {
                reason: header("reason").unwrap_or_default(),
                detail: header("detail").unwrap_or_default(),
                destination: header("destination"),
                line,
                value: utf8,
                value_base64: utf8.is_none().then(|| STANDARD.encode(value)),
            };
            serde_json::to_writer(&mut *output, &DeadLetterLine { dead_letter })?;
        }
    }
    output.write_all(b"\n")
}
