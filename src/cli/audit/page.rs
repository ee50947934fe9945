//! What an audit says: to people, to programs, to Prometheus.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use super::Audit;
use super::findings::{Counts, Finding, Kind, OfTopic};
use crate::cli::report::{Failure, say};
use crate::cli::terminal::{BAD, Disarmed, GOOD, HEADING, columns};
use crate::kafka::range::Range;
use crate::metrics::family::{
    AUDIT_DIFFERENT, AUDIT_DUE, AUDIT_END, AUDIT_MISSING, AUDIT_NOT_DUE, AUDIT_NOT_JUDGED,
    AUDIT_OUT_OF_ORDER, AUDIT_REPEATED, Family,
};
use crate::metrics::page::{Page, approximately};

/// Writes it to standard output.
pub(super) fn write(audit: &Audit, is_json: bool) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    if is_json {
        serde_json::to_writer_pretty(&mut out, &Json::of(audit)).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    if audit.n_uncommitted > 0 {
        say(format_args!(
            "{} offsets of the range are left out: the group has not committed them",
            audit.n_uncommitted
        ));
    }
    let mut out = Disarmed(out);
    write_counts(audit, &mut out)?;
    for topic in &audit.topics {
        write_findings(topic, &mut out)?;
    }
    let style = if audit.total.missing == 0 { GOOD } else { BAD };
    writeln!(out, "\n{style}{}{style:#}", summary(audit))?;
    Ok(())
}

/// Returns the line for a ticket.
fn summary(audit: &Audit) -> String {
    let mut topics: Vec<&str> = audit
        .sources
        .iter()
        .map(|source| source.topic.as_str())
        .collect();
    topics.dedup();
    let Counts {
        due,
        missing,
        repeated,
        out_of_order,
        different,
        not_due,
        not_judged,
        ..
    } = audit.total;
    let mut line = format!(
        "audit of {} {}: {} events, {} due, {} missing, {} repeated, {} out of order",
        topics.join(", "),
        audit.range,
        number(audit.n_events),
        number(due),
        number(missing),
        number(repeated),
        number(out_of_order),
    );
    for (count, words) in [
        (different, Kind::Different.words()),
        (not_due, Kind::NotDue.words()),
        (not_judged, Kind::NotJudged.words()),
    ] {
        if count > 0 {
            line.push_str(&format!(", {} {words}", number(count)));
        }
    }
    line
}

/// Returns a number with its thousands apart.
fn number(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

fn write_counts(audit: &Audit, out: &mut impl Write) -> io::Result<()> {
    let mut rows = vec![
        ["topic", "due", "found"]
            .into_iter()
            .chain(Kind::ALL.map(Kind::words))
            .chain(["replayed"])
            .map(str::to_owned)
            .collect::<Vec<String>>(),
    ];
    let row = |name: &str, counts: &Counts| {
        let numbers = [counts.due, counts.found]
            .into_iter()
            .chain(Kind::ALL.map(|kind| counts.of(kind)))
            .chain([counts.replayed]);
        std::iter::once(name.to_owned())
            .chain(numbers.map(number))
            .collect()
    };
    rows.extend(
        audit
            .topics
            .iter()
            .map(|topic| row(&topic.topic, &topic.counts)),
    );
    rows.push(row("in all", &audit.total));
    let widths: Vec<usize> = (0..Kind::ALL.len() + 4)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| columns(cell)).max().unwrap_or_default()
        })
        .collect();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            line.push_str(&match column {
                0 => format!("{cell:width$}"),
                _ => format!("  {cell:>width$}"),
            });
        }
        match index {
            0 => writeln!(out, "{HEADING}{line}{HEADING:#}")?,
            _ => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

fn write_findings(topic: &OfTopic, out: &mut impl Write) -> io::Result<()> {
    for kind in Kind::ALL {
        let found: Vec<&Finding> = topic
            .findings
            .iter()
            .filter(|finding| finding.finding == kind)
            .collect();
        if found.is_empty() {
            continue;
        }
        let (words, count) = (kind.words(), topic.counts.of(kind));
        let shown = match u64::try_from(found.len()) {
            Ok(shown) if shown < count => format!(", {shown} of them shown"),
            _ => String::new(),
        };
        writeln!(
            out,
            "\n{HEADING}{}: {} {words}{shown}{HEADING:#}",
            topic.topic,
            number(count)
        )?;
        for finding in found {
            let id = finding.id.as_deref().unwrap_or("a record without an id");
            let at = finding.at.iter().map(|at| format!(" at {at}"));
            let before = finding
                .before
                .iter()
                .map(|before| format!(", before {before}"));
            let rest: String = at.chain(before).collect();
            writeln!(out, "  {id}{rest}")?;
        }
    }
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Json<'a> {
    source: Vec<JsonRange<'a>>,
    /// Records of the source in the range, and those of them that are group events.
    records: u64,
    events: u64,
    uncommitted_offsets: i64,
    topics: &'a [OfTopic],
    total: Counts,
    summary: String,
}

#[derive(Serialize)]
struct JsonRange<'a> {
    topic: &'a str,
    partition: i32,
    from: i64,
    to: i64,
}

impl<'a> Json<'a> {
    fn of(audit: &'a Audit) -> Json<'a> {
        let source = audit.sources.iter().map(|range: &Range| JsonRange {
            topic: &range.topic,
            partition: range.partition,
            from: range.from,
            to: range.to,
        });
        Json {
            source: source.collect(),
            records: audit.n_records,
            events: audit.n_events,
            uncommitted_offsets: audit.n_uncommitted,
            topics: &audit.topics,
            total: audit.total,
            summary: summary(audit),
        }
    }
}

/// Writes the counts in Prometheus' text format. Whoever collects the file sees the old one or the new one, never a part.
pub(super) fn write_metrics(audit: &Audit, path: &Path) -> Result<(), Failure> {
    let mut page = Page::default();
    for OfTopic { topic, counts, .. } in &audit.topics {
        let said: [(Family, u64); 7] = [
            (AUDIT_DUE, counts.due),
            (AUDIT_MISSING, counts.missing),
            (AUDIT_REPEATED, counts.repeated),
            (AUDIT_OUT_OF_ORDER, counts.out_of_order),
            (AUDIT_DIFFERENT, counts.different),
            (AUDIT_NOT_DUE, counts.not_due),
            (AUDIT_NOT_JUDGED, counts.not_judged),
        ];
        for (family, count) in said {
            page.say(family, &[topic], approximately(count));
        }
    }
    let seconds = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    page.say(AUDIT_END, &[], approximately(seconds));
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let written = tempfile::Builder::new()
        .permissions(readable())
        .tempfile_in(folder)
        .and_then(|mut file| {
            file.write_all(page.into_text().as_bytes())?;
            file.persist(path).map_err(|error| error.error)
        });
    written.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(())
}

/// The collector is another user.
fn readable() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o644)
}
