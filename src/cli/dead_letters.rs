//! `groupcast dead-letters`: what could not be sent, why, and sending it after its cause is mended.

mod letter;

use std::collections::BTreeMap;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use rdkafka::Message;
use rdkafka::message::OwnedMessage;
use serde::Serialize;

use self::letter::{LetterRow, date};
use super::backfill::{self, Job, Moment, limit};
use super::explain::write_explanation;
use super::report::{Failure, say};
use super::terminal::HEADING;
use super::{ConfigArguments, check_names, position};
use crate::config::Config;
use crate::explanation::explain;
use crate::kafka;
use crate::kafka::fault::Fault;
use crate::kafka::lookup::Lookup;
use crate::kafka::range::Range;
use crate::kafka::source::bound::Rate;
use crate::record::{Letter, Position, Record};
use crate::router::Router;
use crate::selection::{Letters, Replay, Selection};
use crate::verdict::Reason;

/// What could not be sent: list it, count it, look at one, send it again after its cause is mended
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(ListArguments),
    Counts(CountsArguments),
    Show(ShowArguments),
    Redrive(RedriveArguments),
}

/// Which dead letters are meant.
#[derive(Debug, Args)]
struct Choice {
    /// Only of these reasons, by code: too_large, invalid_json
    #[arg(long, value_name = "CODE")]
    reason: Vec<String>,
    /// Only these destinations' shares
    #[arg(long, value_name = "NAME")]
    destination: Vec<String>,
    /// Only those since: a time (2026-11-01T00:00:00Z), how long ago (2h, 3d), or beginning
    #[arg(long, value_name = "TIME", default_value = "beginning", value_parser = Moment::parse)]
    since: Moment,
    /// Only those before this time
    #[arg(long, value_name = "TIME", default_value = "now", value_parser = Moment::parse)]
    until: Moment,
}

/// Lists dead letters, the newest first, without what is in them
#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    choice: Choice,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// Write JSON, one dead letter a line
    #[arg(long)]
    json: bool,
}

/// Counts dead letters by reason and destination
#[derive(Debug, Args)]
struct CountsArguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    choice: Choice,
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Shows one dead letter: why it is one, its source, the event itself, and what today's code and configuration make of it
///
/// The event is shown as it is, trait values too.
#[derive(Debug, Args)]
struct ShowArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Where it stands, as `list` says it: topic/partition/offset
    #[arg(value_parser = position)]
    position: (String, i32, i64),
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Sends dead letters again, by today's configuration and definitions
///
/// A destination's share goes to that destination alone, a whole record to all of them. What leaves has the id that it would have had
/// the first time and the attribute `replay` with the redrive's name. What fails again becomes a dead letter again, which counts its
/// attempts. The progress is kept in Kafka as the offsets of the group GROUP.redrive.NAME: killed and started again with the same name,
/// it goes on; the range ends where the topic ended at the first start.
#[derive(Debug, Args)]
struct RedriveArguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    choice: Choice,
    /// The redrive's name: letters, digits, `.`, `_` and `-`
    #[arg(long, value_name = "NAME", value_parser = backfill::name)]
    name: String,
    /// Send a destination's share to all destinations, not to that one alone
    #[arg(long)]
    all_destinations: bool,
    /// Leave out what was redriven so often before
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    max_attempts: u32,
    /// Also what adds rather than sets, such as a charge: sent twice, it counts twice
    #[arg(long)]
    repeat_additions: bool,
    /// At most so many a second, or bytes: 500, 2MB
    #[arg(long, value_name = "RATE", value_parser = backfill::rate)]
    rate: Option<Rate>,
    /// Count what would leave, show some of it, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; without a terminal to ask at it does not start otherwise
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(arguments) => list(arguments),
        Command::Counts(arguments) => counts(arguments),
        Command::Show(arguments) => show(arguments),
        Command::Redrive(arguments) => redrive(arguments),
    }
}

impl Choice {
    fn check(&self) -> Result<(), Failure> {
        check_names("reason", &self.reason, Reason::ALL.iter().map(|reason| reason.code()))
    }

    fn takes(&self, letter: &Letter<'_>) -> bool {
        (self.reason.is_empty() || self.reason.iter().any(|code| code == letter.reason))
            && (self.destination.is_empty() || self.destination.iter().any(|name| Some(name.as_str()) == letter.destination))
    }

    /// Opens a reader of the dead letter topics, and finds what is to be read of them.
    fn find(&self, config: &Config) -> Result<(Lookup, Vec<Range>), Failure> {
        self.check()?;
        let lookup = Lookup::open(config).map_err(failure)?;
        let (since, until) =
            (limit("--since", std::slice::from_ref(&self.since))?, limit("--until", std::slice::from_ref(&self.until))?);
        let (ranges, _) = lookup.ranges(&topics(config), &since, &until).map_err(failure)?;
        Ok((lookup, ranges))
    }
}

/// Returns the topics of dead letters, each once.
fn topics(config: &Config) -> Vec<String> {
    let mut topics: Vec<String> = config.source.topics.iter().map(|source| config.dead_letters.topic_for(source)).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let (lookup, ranges) = arguments.choice.find(&arguments.config.load()?)?;
    let is_meant =
        |message: &OwnedMessage| kafka::dead_letter(message).letter.is_some_and(|letter| arguments.choice.takes(&letter));
    let mut newest = Vec::new();
    for range in &ranges {
        newest.extend(lookup.newest(range, arguments.limit, is_meant).map_err(failure)?);
    }
    newest.sort_by_key(|message| std::cmp::Reverse(message.timestamp().to_millis()));
    newest.truncate(arguments.limit);
    let rows: Vec<LetterRow> = newest.iter().filter_map(LetterRow::of).collect();
    let mut out = anstream::stdout().lock();
    if arguments.json {
        for row in &rows {
            serde_json::to_writer(&mut out, row).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        return Ok(());
    }
    if rows.is_empty() {
        say("no dead letters");
    }
    letter::write_list(&rows, &mut out)?;
    Ok(())
}

/// How many dead letters there are of one kind.
#[derive(Debug, Default, Serialize)]
struct Count {
    reason: String,
    /// Absent for whole records.
    destination: Option<String>,
    letters: u64,
    oldest: String,
    newest: String,
}

fn counts(arguments: &CountsArguments) -> Result<(), Failure> {
    let (lookup, ranges) = arguments.choice.find(&arguments.config.load()?)?;
    let mut counts: BTreeMap<(String, Option<String>), (u64, i64, i64)> = BTreeMap::new();
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        lookup
            .read_range(range, |message| {
                let Some(letter) = kafka::dead_letter(&message).letter.filter(|letter| arguments.choice.takes(letter)) else {
                    return;
                };
                let at = message.timestamp().to_millis().unwrap_or_default();
                let kind = (letter.reason.to_owned(), letter.destination.map(str::to_owned));
                let (count, oldest, newest) = counts.entry(kind).or_insert((0, at, at));
                (*count, *oldest, *newest) = (*count + 1, (*oldest).min(at), (*newest).max(at));
            })
            .map_err(failure)?;
    }
    let counts: Vec<Count> = counts
        .into_iter()
        .map(|((reason, destination), (letters, oldest, newest))| Count {
            reason,
            destination,
            letters,
            oldest: date(oldest),
            newest: date(newest),
        })
        .collect();
    let mut out = anstream::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &counts).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    let mut rows = vec![["reason", "destination", "letters", "oldest", "newest"].map(str::to_owned)];
    rows.extend(counts.into_iter().map(|count| {
        let Count { reason, destination, letters, oldest, newest } = count;
        [reason, destination.unwrap_or_else(|| "-".to_owned()), letters.to_string(), oldest, newest]
    }));
    letter::write_columns(&rows, &mut out)?;
    Ok(())
}

fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let mut routing = config.routing();
    for instance in &mut routing.destinations {
        instance.settings = instance.settings.redacted();
    }
    let router = Router::new(routing)?;
    let (topic, partition, offset) = &arguments.position;
    let position = Position { topic, partition: *partition, offset: *offset };
    let message = Lookup::open(&config).and_then(|lookup| lookup.at(position)).map_err(failure)?;
    let record = kafka::dead_letter(&message);
    let (Some(row), Some(letter)) = (LetterRow::of(&message), record.letter) else {
        return Err(failure(Fault::Fatal(format!("{position}: {}", Reason::NoDeadLetter.sentence()))));
    };
    let source = Record { position: letter.source, timestamp: letter.timestamp, letter: None, ..record };
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
    row.write(&mut out)?;
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
    writeln!(out, "\n{HEADING}what today's code and configuration make of it{HEADING:#}\n")?;
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
    today: Option<crate::explanation::Explanation>,
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
                character if character.is_control() => write!(formatter, "{}", character.escape_default()),
                character => write!(formatter, "{character}"),
            }),
            Bytes::Base64(text) => write!(formatter, "{text} (base64; it is not UTF-8)"),
        }
    }
}

fn text(bytes: &[u8]) -> Bytes<'_> {
    std::str::from_utf8(bytes).map_or_else(|_| Bytes::Base64(STANDARD.encode(bytes)), Bytes::Text)
}

fn redrive(arguments: &RedriveArguments) -> Result<(), Failure> {
    let RedriveArguments { choice, name, all_destinations, max_attempts, repeat_additions, .. } = arguments;
    choice.check()?;
    let mut config = arguments.config.load()?;
    check_names("destination", &choice.destination, config.destinations.iter().map(|instance| instance.name.as_str()))?;
    let routing = config.routing();
    config.source.topics = topics(&config);
    let letters = Letters {
        reasons: choice.reason.clone(),
        destinations: choice.destination.clone(),
        is_for_all: *all_destinations,
        max_attempts: *max_attempts,
    };
    let Choice { reason, destination, since, until } = choice;
    let asked = [reason, destination].map(|names| backfill::sorted(names));
    let asked = format!("{since:?} {until:?} {asked:?} {all_destinations} {max_attempts} {repeat_additions}");
    let selection = Selection::default();
    let job = Job {
        kind: "redrive",
        from: std::slice::from_ref(since),
        to: std::slice::from_ref(until),
        skips_superseded: false,
        rate: arguments.rate,
        is_dry_run: arguments.dry_run,
        is_agreed: arguments.yes,
        fingerprint: backfill::fingerprint(&asked),
        replay: Replay { name: name.clone(), selection, repeats_additions: *repeat_additions, letters: Some(letters) },
        routing,
    };
    job.run(config)
}

fn failure(fault: Fault) -> Failure {
    super::run::failure(fault)
}
