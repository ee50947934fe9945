//! The explanation for people.

use std::io::{self, Write};

use super::{DestinationPart, EventPart, Explanation, NotePart, TraitPart};
use crate::json;

pub(super) fn write(explanation: &Explanation<'_>, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{}: {}", explanation.verdict.replace('_', "-"), explanation.sentence)?;
    if !explanation.reason.is_empty() {
        write!(out, " ({})", explanation.reason)?;
    }
    if !explanation.detail.is_empty() {
        write!(out, "\n  {}", explanation.detail)?;
    }
    writeln!(out)?;
    if let Some(event) = &explanation.event {
        write_event(event, out)?;
    }
    write_notes(&explanation.notes, "  ", out)?;
    for destination in &explanation.destinations {
        write_destination(destination, out)?;
    }
    Ok(())
}

fn write_event(event: &EventPart, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  group   {}", event.group_id)?;
    writeln!(out, "  member  {}", event.member.as_deref().unwrap_or("none"))?;
    writeln!(out, "  time    {}", event.time.as_deref().unwrap_or("none"))?;
    writeln!(out, "\ntraits")?;
    if event.traits.is_empty() {
        writeln!(out, "  none")?;
    }
    event.traits.iter().try_for_each(|found| writeln!(out, "  {}", trait_line(found)))
}

fn trait_line(found: &TraitPart) -> String {
    let from = match found.key.as_str() {
        "" => " (put together)".to_owned(),
        key if key == found.name => String::new(),
        key => format!(" <- \"{key}\""),
    };
    let lost: Vec<String> = found.lost.iter().map(|key| format!("\"{key}\"")).collect();
    let lost = if lost.is_empty() { String::new() } else { format!(", won over {}", lost.join(", ")) };
    format!("{}{from}: {}{lost}", found.name, found.kind)
}

fn write_destination(destination: &DestinationPart<'_>, out: &mut impl Write) -> io::Result<()> {
    if destination.operations.is_empty() {
        writeln!(out, "\n{}: not sent: {} ({})", destination.destination, destination.sentence, destination.reason)?;
    } else {
        let n_operations = destination.operations.len();
        let operations = if n_operations == 1 { "operation" } else { "operations" };
        writeln!(out, "\n{}: sent, {n_operations} {operations}", destination.destination)?;
    }
    writeln!(out, "  decided by {}", destination.decided_by)?;
    write_notes(&destination.notes, "  ", out)?;
    for operation in &destination.operations {
        writeln!(out, "  {} -> {} (key {})", operation.operation, operation.topic, operation.key)?;
        writeln!(out, "    {}", operation.request)?;
        for line in json::pretty(operation.body.get()).lines() {
            writeln!(out, "    {line}")?;
        }
    }
    Ok(())
}

fn write_notes(notes: &[NotePart], indent: &str, out: &mut impl Write) -> io::Result<()> {
    notes.iter().try_for_each(|note| writeln!(out, "{indent}note: {}: {} ({})", note.subject, note.sentence, note.code))
}
