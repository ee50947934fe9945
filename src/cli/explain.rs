//! `groupcast explain`: what becomes of one event and why, by the very code that runs.

mod text;

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use bumpalo::Bump;
use clap::{ArgGroup, Args};
use rdkafka::message::OwnedMessage;

use self::text::Page;
use super::report::Failure;
use super::terminal::{self, Disarmed};
use super::{ConfigArguments, check_names, position};
use crate::config::Config;
use crate::explanation::{Explanation, explain};
use crate::json::{Kind, Member};
use crate::kafka;
use crate::kafka::lookup::Lookup;
use crate::record::{Position, Record};
use crate::router::Router;

/// Says what becomes of one event: each destination, sent or not and why; each trait; the bodies
///
/// The event comes from a file, standard input, or Kafka, where the group is not joined. What is printed is what the very
/// code that runs makes of it; what came from where is found by changing the event's values one at a time and routing again.
/// Secrets are shown as (secret). The event itself is shown as it is: it is yours.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("event").multiple(false))]
pub(super) struct Arguments {
    /// A file that holds the event; standard input without one, or with `-`
    #[arg(group = "event")]
    file: Option<PathBuf>,
    /// A record on Kafka instead, as topic/partition/offset
    #[arg(long, value_name = "POSITION", value_parser = position, group = "event")]
    record: Option<(String, i32, i64)>,
    /// The latest record of the source topics whose event has this messageId
    #[arg(long, value_name = "ID", group = "event")]
    message_id: Option<String>,
    /// The latest group call of the source topics for this group
    #[arg(long, value_name = "ID", group = "event")]
    group_id: Option<String>,
    /// How many of each partition's last records --message-id and --group-id look through
    #[arg(long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(i64).range(1..))]
    depth: i64,
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
    let routing = config.routing().redacted();
    check_names(
        "destination",
        &arguments.destination,
        routing
            .destinations
            .iter()
            .map(|instance| instance.name.as_str()),
    )?;
    let router = Router::new(routing)?;
    let mut explanation = match on_kafka(arguments, &config, &router)? {
        Some(message) => {
            if !arguments.json {
                let position = kafka::record(&message).position;
                writeln!(anstream::stdout(), "record {position}")?;
            }
            explain(&router, &kafka::record(&message))
        }
        None => {
            let event = read(arguments)?;
            let topic = config.source.topics.first().map_or("", String::as_str);
            let position = Position::first(topic);
            explain(&router, &Record::new(position, Some(event.trim_ascii())))
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
        write_explanation(&explanation, &mut out)?;
    }
    Ok(())
}

/// Lays an explanation out for people.
pub(super) fn write_explanation(explanation: &Explanation, out: &mut impl Write) -> io::Result<()> {
    Page {
        out: &mut Disarmed(out),
        width: terminal::width(),
    }
    .write(explanation)
}

/// Returns the record on Kafka that the arguments name, if they name one.
fn on_kafka(
    arguments: &Arguments,
    config: &Config,
    router: &Router,
) -> Result<Option<OwnedMessage>, Failure> {
    let depth = arguments.depth;
    let latest = |what: &str, id: &str, is_wanted: &dyn Fn(&[Member<'_>]) -> bool| {
        let lookup = Lookup::open(config)?;
        let found = lookup.latest(&config.source.topics, depth, |message| {
            let (record, arena) = (kafka::record(message), Bump::new());
            let event = router.reading(&record).find(&record, &arena);
            event.is_some_and(|event| is_wanted(event.members(&arena).unwrap_or_default()))
        })?;
        found.map(Some).ok_or_else(|| {
            kafka::fault::Fault::Fatal(format!(
                "no event of {what} {id} among the last {depth} records of each partition\n  hint: --depth looks further back"
            ))
        })
    };
    let found = match arguments {
        Arguments {
            record: Some((topic, partition, offset)),
            ..
        } => Lookup::open(config)
            .and_then(|lookup| {
                lookup.at(Position {
                    topic,
                    partition: *partition,
                    offset: *offset,
                })
            })
            .map(Some),
        Arguments {
            message_id: Some(id),
            ..
        } => latest("messageId", id, &|event| {
            says(event, "messageId", |text| text == id)
        }),
        Arguments {
            group_id: Some(id), ..
        } => latest("groupId", id, &|event| {
            says(event, "groupId", |text| text == id)
                && says(event, "type", |text| text.eq_ignore_ascii_case("group"))
        }),
        Arguments { .. } => Ok(None),
    };
    Ok(found?)
}

/// Returns whether the event's field is such a text, or a number of such digits; the event need not be a good one.
fn says(event: &[Member<'_>], field: &str, is_wanted: impl Fn(&str) -> bool) -> bool {
    let arena = Bump::new();
    let member = event.iter().find(|member| member.key == field);
    member.is_some_and(|member| match member.value.string(&arena) {
        Ok(Some(text)) => is_wanted(text),
        Ok(None) => member.value.kind() == Kind::Number && is_wanted(member.value.text()),
        Err(_) => false,
    })
}

fn read(arguments: &Arguments) -> Result<Vec<u8>, Failure> {
    match arguments
        .file
        .as_ref()
        .filter(|file| file.as_os_str() != "-")
    {
        Some(file) => {
            Ok(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?)
        }
        None => {
            let mut event = Vec::new();
            io::stdin().lock().read_to_end(&mut event)?;
            Ok(event)
        }
    }
}
