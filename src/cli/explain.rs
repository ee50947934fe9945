//! `groupcast explain`: what becomes of one event and why, by the very code that runs.

mod body;
mod text;

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use self::text::Page;
use super::report::Failure;
use super::{ConfigArguments, terminal};
use crate::explanation::explain;
use crate::kafka;
use crate::kafka::lookup::record_at;
use crate::record::{Position, Record};
use crate::router::Router;

/// Says what becomes of one event: each destination, sent or not and why; each trait; the bodies
///
/// Secrets are shown as (secret). The event itself is shown as it is: it is yours.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A file that holds the event; standard input without one, or with `-`
    #[arg(conflicts_with = "record")]
    file: Option<PathBuf>,
    /// A record on Kafka instead, as topic/partition/offset; the group is not joined
    #[arg(long, value_name = "POSITION", value_parser = position)]
    record: Option<(String, i32, i64)>,
    #[command(flatten)]
    config: ConfigArguments,
    /// Only these destinations
    #[arg(long, value_name = "NAME")]
    destination: Vec<String>,
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let mut routing = config.routing();
    for instance in &mut routing.destinations {
        instance.settings = instance.settings.redacted();
    }
    if let Some(unknown) =
        arguments.destination.iter().find(|name| routing.destinations.iter().all(|instance| instance.name != **name))
    {
        return Err(Failure::Argument(format!("not configured: {unknown}")));
    }
    let router = Router::new(routing)?;
    let mut explanation = match &arguments.record {
        Some((topic, partition, offset)) => {
            let position = Position { topic, partition: *partition, offset: *offset };
            let message = record_at(&config, position).map_err(anyhow::Error::from)?;
            explain(&router, &kafka::record(&message))
        }
        None => {
            let event = read(arguments)?;
            let topic = config.source.topics.first().map_or("", String::as_str);
            let position = Position { topic, partition: 0, offset: 0 };
            let record = Record { position, timestamp: None, key: None, value: Some(event.trim_ascii()), traceparent: None };
            explain(&router, &record)
        }
    };
    if !arguments.destination.is_empty() {
        explanation.narrow(&arguments.destination);
    }
    let mut out = anstream::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &explanation).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        Page { out: &mut out, width: terminal::width() }.write(&explanation)?;
    }
    Ok(())
}

fn position(text: &str) -> Result<(String, i32, i64), String> {
    let parts = text.rsplit('/').collect::<Vec<_>>();
    match parts.as_slice() {
        [offset, partition, topic] if !topic.is_empty() => {
            let partition = partition.parse().map_err(|_| format!("not a partition: {partition}"))?;
            let offset = offset.parse().map_err(|_| format!("not an offset: {offset}"))?;
            Ok(((*topic).to_owned(), partition, offset))
        }
        _ => Err("expected topic/partition/offset".to_owned()),
    }
}

fn read(arguments: &Arguments) -> Result<Vec<u8>, Failure> {
    match arguments.file.as_ref().filter(|file| file.as_os_str() != "-") {
        Some(file) => Ok(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?),
        None => {
            let mut event = Vec::new();
            io::stdin().lock().read_to_end(&mut event)?;
            Ok(event)
        }
    }
}
