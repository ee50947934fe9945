//! `groupcast suggest`: what a sample of events tells about the configuration.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::ConfigArguments;
use super::report::Failure;
use super::terminal::{self, BAD, CALM, Disarmed, GOOD, HEADING, columns, wrapped};
use crate::kafka;
use crate::kafka::lookup::Lookup;
use crate::record::{Position, Record};
use crate::router::Router;
use crate::suggestion::{Finding, Report, Sample, VerdictCount};

/// Says what a sample of events tells about the configuration, with what to add to it
///
/// Records that cannot be read and why, keys that look like reserved traits, spellings that differ, types that change, collisions,
/// ids that stand for none, flags that name nobody, traits that a destination's settings do not list. Nothing is sent or changed, and
/// the group is not joined.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A file of events, one JSON a line; standard input without one, or with `-`
    #[arg(conflicts_with = "sample")]
    file: Option<PathBuf>,
    /// The last records of the source topics on Kafka instead, about this many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..))]
    sample: Option<i64>,
    #[command(flatten)]
    config: ConfigArguments,
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let router = Router::new(config.routing())?;
    let mut sample = Sample::new(&router, &config.destinations);
    let topic = config.source.topics.first().map_or("", String::as_str);
    match (arguments.sample, &arguments.file) {
        (Some(count), _) => Lookup::open(&config)
            .and_then(|lookup| {
                lookup.last(&config.source.topics, count, |message| {
                    sample.add(&kafka::record(message))
                })
            })
            .map_err(Failure::from)?,
        (None, Some(file)) if file.as_os_str() != "-" => {
            add_lines(
                File::open(file).with_context(|| format!("cannot read {}", file.display()))?,
                topic,
                &mut sample,
            )?;
        }
        (None, _) => add_lines(io::stdin().lock(), topic, &mut sample)?,
    }
    let report = sample.report();
    let mut out = anstream::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write_report(&report, &mut Disarmed(out))?;
    }
    Ok(())
}

fn add_lines(input: impl Read, topic: &str, sample: &mut Sample<'_>) -> io::Result<()> {
    for (offset, line) in (0..).zip(BufReader::new(input).split(b'\n')) {
        let line = line?;
        let event = line.trim_ascii();
        if !event.is_empty() {
            let position = Position {
                topic,
                partition: 0,
                offset,
            };
            sample.add(&Record::new(position, Some(event)));
        }
    }
    Ok(())
}

/// What each kind of finding is headed by.
const KINDS: [(&str, &str); 11] = [
    ("unreadable", "records that no group event can be read from"),
    ("misplaced_traits", "traits that stand elsewhere"),
    ("suspicious_id", "ids that stand for none"),
    ("lookalike", "keys that look like reserved traits"),
    ("spellings", "traits in several spellings"),
    ("type_drift", "traits whose type changes"),
    ("collision", "keys that collide"),
    ("type_mismatch", "values that do not fit"),
    ("unknown_flag", "flags that name nobody"),
    ("invalid_flag", "flags that are none"),
    ("unlisted_traits", "traits that are not listed"),
];

/// More findings of a kind than this are only counted.
const MAX_SHOWN: usize = 20;

fn write_report(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{HEADING}{} records{HEADING:#}", report.records)?;
    for count in &report.verdicts {
        let reason = if count.reason.is_empty() {
            String::new()
        } else {
            format!(" ({})", count.reason)
        };
        writeln!(
            out,
            "  {:>7}  {}{reason}",
            count.records,
            count.verdict.replace('_', "-")
        )?;
    }
    for (kind, heading) in KINDS {
        let findings: Vec<&Finding> = report
            .findings
            .iter()
            .filter(|finding| finding.kind == kind)
            .collect();
        write_findings(heading, &findings, out)?;
    }
    if report.records == 0 {
        return writeln!(out, "\nno events were read, so there is nothing to say");
    }
    let is_routed = |count: &VerdictCount| count.verdict == "routed" && count.records > 0;
    if report.findings.is_empty() && !report.verdicts.iter().any(is_routed) {
        return writeln!(
            out,
            "\n{BAD}no record is a group event{BAD:#}: `groupcast explain` on one of them says why"
        );
    }
    if report.findings.is_empty() {
        return writeln!(
            out,
            "\n{GOOD}nothing found{GOOD:#}: these events and this configuration fit"
        );
    }
    if !report.configuration.is_empty() {
        writeln!(
            out,
            "\n{HEADING}to add to the configuration{HEADING:#}\n\n{}",
            report.configuration.trim_end()
        )?;
    }
    Ok(())
}

fn write_findings(heading: &str, findings: &[&Finding], out: &mut impl Write) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{CALM}{heading}{CALM:#}")?;
    let name_width = findings
        .iter()
        .map(|finding| columns(&finding.subject))
        .max()
        .unwrap_or_default()
        .min(24);
    for finding in findings.iter().take(MAX_SHOWN) {
        write_finding(finding, name_width, out)?;
    }
    match findings.len().saturating_sub(MAX_SHOWN) {
        0 => Ok(()),
        more => writeln!(out, "           and {more} more: --json has all"),
    }
}

fn write_finding(finding: &Finding, name_width: usize, out: &mut impl Write) -> io::Result<()> {
    let padding = (name_width + 2).saturating_sub(columns(&finding.subject));
    let head = format!(
        "  {:>7}  \"{}\"{:padding$}",
        finding.events, finding.subject, ""
    );
    let indent = 15 + name_width;
    let mut lines =
        wrapped(&finding.sentence, terminal::width().saturating_sub(indent)).into_iter();
    // A name that is too long leaves its sentence the next line.
    if columns(&head) > indent {
        writeln!(out, "{head}")?;
    } else {
        writeln!(out, "{head}{}", lines.next().unwrap_or_default())?;
    }
    lines.try_for_each(|line| writeln!(out, "{:indent$}{line}", ""))
}
