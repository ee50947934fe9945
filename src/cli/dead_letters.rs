//! `groupcast dead-letters`: what could not be sent, why, and sending it after its cause is mended.

mod letter;
mod redrive;
mod show;

use std::collections::BTreeMap;
use std::io::{self, Write};

use clap::{Args, Subcommand};
use rdkafka::Message;
use rdkafka::message::OwnedMessage;
use serde::Serialize;

use self::letter::{LetterRow, date};
use super::backfill::{Moment, limit};
use super::report::{Failure, say};
use super::terminal::Disarmed;
use super::{ConfigArguments, check_names};
use crate::config::Config;
use crate::kafka;
use crate::kafka::lookup::Lookup;
use crate::kafka::range::Range;
use crate::record::Letter;
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
    Show(show::Arguments),
    Redrive(redrive::Arguments),
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

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(arguments) => list(arguments),
        Command::Counts(arguments) => counts(arguments),
        Command::Show(arguments) => show::run(arguments),
        Command::Redrive(arguments) => redrive::run(arguments),
    }
}

impl Choice {
    fn check(&self) -> Result<(), Failure> {
        check_names(
            "reason",
            &self.reason,
            Reason::ALL.iter().map(|reason| reason.code()),
        )
    }

    fn takes(&self, letter: &Letter<'_>) -> bool {
        (self.reason.is_empty() || self.reason.iter().any(|code| code == letter.reason))
            && (self.destination.is_empty()
                || self
                    .destination
                    .iter()
                    .any(|name| Some(name.as_str()) == letter.destination))
    }

    /// Opens a reader of the dead letter topics, and finds what is to be read of them.
    fn find(&self, config: &Config) -> Result<(Lookup, Vec<Range>), Failure> {
        self.check()?;
        let lookup = Lookup::open(config)?;
        let (since, until) = (
            limit("--since", std::slice::from_ref(&self.since))?,
            limit("--until", std::slice::from_ref(&self.until))?,
        );
        let (ranges, _) = lookup.ranges(&topics(config), &since, &until)?;
        Ok((lookup, ranges))
    }
}

/// Returns the topics of dead letters, each once.
fn topics(config: &Config) -> Vec<String> {
    let mut topics: Vec<String> = config
        .source
        .topics
        .iter()
        .map(|source| config.dead_letters.topic_for(source))
        .collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let (lookup, ranges) = arguments.choice.find(&arguments.config.load()?)?;
    let is_meant = |message: &OwnedMessage| {
        kafka::dead_letter(message)
            .letter
            .is_some_and(|letter| arguments.choice.takes(&letter))
    };
    let mut newest = Vec::new();
    for range in &ranges {
        newest.extend(lookup.newest(range, arguments.limit, is_meant)?);
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
    letter::write_list(&rows, &mut Disarmed(out))?;
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
        lookup.read_range(range, |message| {
            let Some(letter) = kafka::dead_letter(&message)
                .letter
                .filter(|letter| arguments.choice.takes(letter))
            else {
                return;
            };
            let at = message.timestamp().to_millis().unwrap_or_default();
            let kind = (
                letter.reason.to_owned(),
                letter.destination.map(str::to_owned),
            );
            let (count, oldest, newest) = counts.entry(kind).or_insert((0, at, at));
            (*count, *oldest, *newest) = (*count + 1, (*oldest).min(at), (*newest).max(at));
        })?;
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
    let mut rows =
        vec![["reason", "destination", "letters", "oldest", "newest"].map(str::to_owned)];
    rows.extend(counts.into_iter().map(|count| {
        let Count {
            reason,
            destination,
            letters,
            oldest,
            newest,
        } = count;
        [
            reason,
            destination.unwrap_or_else(|| "-".to_owned()),
            letters.to_string(),
            oldest,
            newest,
        ]
    }));
    letter::write_columns(&rows, &mut Disarmed(out))?;
    Ok(())
}
