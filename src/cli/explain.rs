//! `groupcast explain`: what becomes of one event and why, by the very code that runs.

mod text;

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use bumpalo::Bump;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::ConfigArguments;
use super::report::Failure;
use crate::date::Unit;
use crate::envelope::Emissions;
use crate::event::Event;
use crate::flags::{Decider, Decision};
use crate::kafka;
use crate::kafka::lookup::record_at;
use crate::record::{Position, Record};
use crate::router::{Router, Scratch};
use crate::verdict::{Note, Observer, Outcome, Verdict};

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
    let mut emissions = Emissions::default();
    let mut explanation = match &arguments.record {
        Some((topic, partition, offset)) => {
            let position = Position { topic, partition: *partition, offset: *offset };
            let message = record_at(&config, position).map_err(anyhow::Error::from)?;
            explain(&router, &kafka::record(&message), &mut emissions)
        }
        None => {
            let event = read(arguments)?;
            let topic = config.source.topics.first().map_or("", String::as_str);
            let position = Position { topic, partition: 0, offset: 0 };
            let record = Record { position, timestamp: None, key: None, value: Some(event.trim_ascii()), traceparent: None };
            explain(&router, &record, &mut emissions)
        }
    };
    if !arguments.destination.is_empty() {
        explanation.destinations.retain(|destination| arguments.destination.iter().any(|name| name == destination.destination));
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &explanation).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        text::write(&explanation, &mut out)?;
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

/// All that is to say of one record.
#[derive(Debug, Serialize)]
struct Explanation<'a> {
    verdict: &'static str,
    reason: &'static str,
    sentence: &'static str,
    detail: String,
    event: Option<EventPart>,
    notes: Vec<NotePart>,
    destinations: Vec<DestinationPart<'a>>,
}

#[derive(Debug, Serialize)]
struct EventPart {
    group_id: String,
    member: Option<String>,
    time: Option<String>,
    traits: Vec<TraitPart>,
}

#[derive(Debug, Serialize)]
struct TraitPart {
    name: String,
    /// The key that won; empty for an address that was put together of several.
    key: String,
    lost: Vec<String>,
    kind: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct NotePart {
    #[serde(skip)]
    destination: Option<usize>,
    code: &'static str,
    subject: String,
    sentence: &'static str,
}

#[derive(Debug, Serialize)]
struct DestinationPart<'a> {
    destination: &'a str,
    outcome: &'static str,
    reason: &'static str,
    sentence: &'static str,
    decided_by: String,
    operations: Vec<OperationPart<'a>>,
    notes: Vec<NotePart>,
}

#[derive(Debug, Serialize)]
struct OperationPart<'a> {
    operation: &'a str,
    topic: &'a str,
    request: &'a str,
    id: &'a str,
    key: String,
    body: &'a RawValue,
}

/// Collects what the router tells.
#[derive(Default)]
struct Listener {
    notes: Vec<NotePart>,
    outcomes: Vec<Outcome>,
}

impl Observer for Listener {
    fn note(&mut self, destination: Option<usize>, note: Note<'_>) {
        let Note { code, subject } = note;
        self.notes.push(NotePart { destination, code: code.code(), subject: subject.to_owned(), sentence: code.sentence() });
    }

    fn outcome(&mut self, _: usize, outcome: Outcome) {
        self.outcomes.push(outcome);
    }
}

fn explain<'a>(router: &'a Router, record: &Record<'_>, emissions: &'a mut Emissions) -> Explanation<'a> {
    let mut listener = Listener::default();
    let verdict = router.route(record, &mut Scratch::default(), emissions, &mut listener);
    let emissions = &*emissions;
    let (name, reason) = verdict.labels();
    let sentence = match verdict {
        Verdict::Routed => "a group event; every destination was asked",
        Verdict::Ignored(reason) | Verdict::DeadLettered(reason) => reason.sentence(),
    };
    // The same parser again, for what the router keeps to itself.
    let arena = Bump::new();
    let parsed = Event::parse(record, router.limits(), router.vocabulary(), &arena, &mut ());
    let detail = parsed.as_ref().err().map_or_else(String::new, |rejection| rejection.detail.clone());
    // A flag that is no text made the verdict above; there is nothing to decide then.
    let decided = parsed.as_ref().map(|event| router.flags().decide(event.field("integrations"), &arena, &mut ()));
    let decisions = decided.map_or(Ok(Default::default()), |decided| decided).unwrap_or_default();
    let outcomes = listener.outcomes.iter().zip(decisions).enumerate();
    let destinations = outcomes.map(|(index, (outcome, decision))| DestinationPart {
        destination: router.destination_name(index),
        outcome: outcome.labels().0,
        reason: outcome.labels().1,
        sentence: match outcome {
            Outcome::Emitted(_) => "",
            Outcome::Skipped(reason) | Outcome::DeadLettered(reason) => reason.sentence(),
        },
        decided_by: decided_by(decision),
        operations: operations(router, emissions, index),
        notes: listener.notes.iter().filter(|note| note.destination == Some(index)).cloned().collect(),
    });
    Explanation {
        verdict: name,
        reason,
        sentence,
        detail,
        notes: listener.notes.iter().filter(|note| note.destination.is_none()).cloned().collect(),
        destinations: destinations.collect(),
        event: parsed.ok().filter(|_| verdict == Verdict::Routed).map(|event| EventPart::of(&event)),
    }
}

impl EventPart {
    fn of(event: &Event<'_>) -> EventPart {
        let traits = event.traits.entries().iter().map(|entry| {
            let lost = event.traits.collisions().iter().filter(|collision| collision.name == entry.name);
            TraitPart {
                name: entry.name.to_owned(),
                key: entry.key().to_owned(),
                lost: lost.map(|collision| collision.lost.to_owned()).collect(),
                kind: if entry.key().is_empty() { "an object" } else { entry.value.kind().name() },
            }
        });
        EventPart {
            group_id: event.group_id.text.to_owned(),
            member: event.member().map(|member| member.text.to_owned()),
            time: event.time.map(|time| time.instant.format(Unit::Iso8601)),
            traits: traits.collect(),
        }
    }
}

fn decided_by(decision: &Decision<'_>) -> String {
    let flag = decision.flag.unwrap_or_default();
    match decision.decider {
        Decider::InstanceName => format!("flag \"{flag}\", this destination's own name"),
        Decider::DefinitionName => format!("flag \"{flag}\", its name"),
        Decider::Alias(_) => format!("flag \"{flag}\", another of its names"),
        Decider::Fold => format!("flag \"{flag}\", one of its names in another spelling"),
        Decider::All => format!("flag \"{flag}\", for all that are not named"),
        Decider::Default => "no flag: the default".to_owned(),
    }
}

fn operations<'a>(router: &'a Router, emissions: &'a Emissions, destination: usize) -> Vec<OperationPart<'a>> {
    let emitted = emissions.iter().filter(|emission| emission.destination == Some(destination));
    let part = |emission: crate::envelope::Emission<'a>| {
        let operation = emission.operation?;
        Some(OperationPart {
            operation: router.operation_id(destination, operation.index),
            topic: router.topics().get(emission.topic.0)?,
            request: operation.request,
            id: operation.id,
            key: String::from_utf8_lossy(emission.key?).into_owned(),
            body: serde_json::from_slice(operation.body).ok()?,
        })
    };
    emitted.filter_map(part).collect()
}
