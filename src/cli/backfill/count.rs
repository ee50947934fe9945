//! What would leave, counted by the very code that sends.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bumpalo::Bump;
use rdkafka::message::OwnedMessage;

use crate::cli::terminal::{HEADING, columns};
use crate::envelope::{Emission, Emissions};
use crate::json;
use crate::kafka;
use crate::kafka::topics::Topics;
use crate::record::Record;
use crate::router::{DefaultLimits, Router, Scratch};
use crate::selection::Groups;
use crate::verdict::{Observer, Outcome, Reason, Verdict};

/// How many records are shown whole.
const EXAMPLES: usize = 3;

/// Adds the group of an event to `groups`; what is no group event has none.
pub(super) fn add_group(router: &Router, message: &OwnedMessage, groups: &mut Groups) {
    let (arena, record) = (Bump::new(), kafka::record(message));
    if let Ok(event) = router.read(&record, &arena, &mut ()) {
        groups.add(event.group_id.text);
    }
}

/// What would leave.
pub(super) struct Counts<'a> {
    router: &'a Router,
    /// The same without secrets, for examples.
    shown: &'a Router,
    topics: &'a Topics,
    /// The groups that have newer events behind the range.
    newer: &'a Groups,
    /// Those of them that are in it.
    superseded: Groups,
    n_records: u64,
    n_events: u64,
    n_bytes: u64,
    rejected: BTreeMap<Reason, u64>,
    /// By destination and operation: records and bytes.
    operations: BTreeMap<(usize, usize), (u64, u64)>,
    refused: Refused,
    dead_letters: u64,
    examples: Vec<String>,
    scratch: Scratch,
    emissions: Emissions,
}

/// Why destinations do not get an event.
#[derive(Default)]
struct Refused(BTreeMap<(usize, &'static str, &'static str), u64>);

impl Observer for Refused {
    fn outcome(&mut self, destination: usize, outcome: Outcome) {
        if !matches!(outcome, Outcome::Emitted(_)) {
            let (outcome, reason) = outcome.labels();
            *self.0.entry((destination, outcome, reason)).or_default() += 1;
        }
    }
}

impl<'a> Counts<'a> {
    pub(super) fn new(
        router: &'a Router,
        shown: &'a Router,
        topics: &'a Topics,
        newer: &'a Groups,
    ) -> Counts<'a> {
        Counts {
            router,
            shown,
            topics,
            newer,
            superseded: newer.empty(),
            n_records: 0,
            n_events: 0,
            n_bytes: 0,
            rejected: BTreeMap::new(),
            operations: BTreeMap::new(),
            refused: Refused::default(),
            dead_letters: 0,
            examples: Vec::new(),
            scratch: Scratch::default(),
            emissions: Emissions::default(),
        }
    }

    /// Counts what becomes of one record.
    pub(super) fn add(&mut self, record: &Record<'_>) {
        self.n_records += 1;
        self.emissions.clear();
        let verdict = self.router.route(
            record,
            self.topics,
            &mut self.scratch,
            &mut self.emissions,
            &mut self.refused,
        );
        match verdict {
            Verdict::Routed => self.n_events += 1,
            Verdict::Ignored(reason) | Verdict::DeadLettered(reason) => {
                *self.rejected.entry(reason).or_default() += 1
            }
        }
        if matches!(
            verdict,
            Verdict::Routed | Verdict::Ignored(Reason::Superseded)
        ) && !self.newer.is_empty()
        {
            self.add_superseded(record);
        }
        let mut fresh = Vec::new();
        for emission in self.emissions.iter() {
            let bytes = u64::try_from(emission.size()).unwrap_or_default();
            self.n_bytes += bytes;
            let (Some(destination), Some(operation)) = (emission.destination, emission.operation())
            else {
                self.dead_letters += 1;
                continue;
            };
            let (records, total) = self
                .operations
                .entry((destination, operation.index))
                .or_default();
            if *records == 0 {
                fresh.push((destination, operation.index));
            }
            *records += 1;
            *total += bytes;
        }
        if !fresh.is_empty() && self.examples.len() < EXAMPLES {
            self.add_examples(record, &fresh);
        }
    }

    /// Keeps what `wanted` operations make of a record, with their secrets masked.
    fn add_examples(&mut self, record: &Record<'_>, wanted: &[(usize, usize)]) {
        self.emissions.clear();
        self.shown.route(
            record,
            &DefaultLimits,
            &mut self.scratch,
            &mut self.emissions,
            &mut (),
        );
        let is_wanted = |emission: &Emission<'_>| {
            let operation = emission
                .destination
                .zip(emission.operation().map(|operation| operation.index));
            operation.is_some_and(|operation| wanted.contains(&operation))
        };
        let room = EXAMPLES.saturating_sub(self.examples.len());
        let examples = self.emissions.iter().filter(is_wanted).take(room);
        self.examples
            .extend(examples.map(|emission| example(self.shown, &emission)));
    }

    fn add_superseded(&mut self, record: &Record<'_>) {
        let arena = Bump::new();
        let event = self.router.read(record, &arena, &mut ());
        if let Some(event) = event
            .ok()
            .filter(|event| self.newer.holds(event.group_id.text))
        {
            self.superseded.add(event.group_id.text);
        }
    }

    /// Lays the counts out for people.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n{HEADING}read{HEADING:#}")?;
        let mut rows = vec![[
            "records".to_owned(),
            self.n_records.to_string(),
            String::new(),
        ]];
        rows.extend(self.rejected.iter().map(|(reason, count)| {
            [
                format!("  {}", reason.code()),
                count.to_string(),
                reason.sentence().to_owned(),
            ]
        }));
        rows.push([
            "to be sent".to_owned(),
            self.n_events.to_string(),
            String::new(),
        ]);
        table(out, &rows)?;
        self.write_operations(out)?;
        let n_superseded = self.superseded.len();
        if n_superseded > 0 {
            let groups = if n_superseded == 1 {
                "group has"
            } else {
                "groups have"
            };
            writeln!(
                out,
                "\n{n_superseded} {groups} a newer event behind the range: older values would be put over newer ones."
            )?;
            writeln!(out, "  hint: --skip-superseded leaves their events out")?;
        }
        for (index, example) in self.examples.iter().enumerate() {
            writeln!(
                out,
                "\n{HEADING}example {}{HEADING:#}\n{example}",
                index + 1
            )?;
        }
        Ok(())
    }

    fn write_operations(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n{HEADING}what would leave{HEADING:#}")?;
        let sent = self
            .operations
            .iter()
            .map(|((destination, operation), (records, bytes))| {
                let name = self.router.destination_name(*destination);
                let operation = self.router.operation_id(*destination, *operation);
                [
                    format!("{name} {operation}"),
                    records.to_string(),
                    indicatif::HumanBytes(*bytes).to_string(),
                ]
            });
        let refused = self
            .refused
            .0
            .iter()
            .map(|((destination, outcome, reason), count)| {
                let name = self.router.destination_name(*destination);
                [
                    format!("{name} {}", outcome.replace('_', " ")),
                    count.to_string(),
                    (*reason).to_owned(),
                ]
            });
        let mut rows: Vec<[String; 3]> = sent.chain(refused).collect();
        if rows.is_empty() {
            return writeln!(out, "  nothing");
        }
        let n_records = self
            .operations
            .values()
            .map(|(records, _)| records)
            .sum::<u64>()
            + self.dead_letters;
        rows.push([
            "in all".to_owned(),
            n_records.to_string(),
            indicatif::HumanBytes(self.n_bytes).to_string(),
        ]);
        table(out, &rows)
    }
}

fn example(router: &Router, emission: &Emission<'_>) -> String {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let topic = router
        .topics()
        .get(emission.topic.0)
        .map_or("", String::as_str);
    let value = text(emission.value);
    format!(
        "topic {topic}, key {}\n{}",
        text(emission.key),
        json::pretty(&value)
    )
}

/// Writes rows of a name, a number and what is said of it.
fn table(out: &mut impl Write, rows: &[[String; 3]]) -> io::Result<()> {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| columns(cell))
            .max()
            .unwrap_or_default()
    };
    let (names, numbers) = (width(0), width(1));
    for [name, number, said] in rows {
        writeln!(
            out,
            "{}",
            format!("  {name:names$}  {number:>numbers$}  {said}").trim_end()
        )?;
    }
    Ok(())
}
