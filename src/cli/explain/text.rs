//! The explanation for people: first what became of it, then each destination, each trait, and what leaves.

use std::io::{self, Write};

use crate::cli::terminal::{self, BAD, CALM, GOOD, HEADING, ORIGIN, columns, shortened, wrapped};
use crate::explanation::layout::{self, Line};
use crate::explanation::{
    DestinationPart, EventPart, Explanation, NotePart, OperationPart, Origin, TraitPart, TraitShare,
};
use crate::verdict::NoteCode;

/// Lays an explanation out.
pub(super) struct Page<'o, W> {
    pub(super) out: &'o mut W,
    pub(super) width: usize,
}

impl<W: Write> Page<'_, W> {
    pub(super) fn write(&mut self, explanation: &Explanation) -> io::Result<()> {
        self.verdict(explanation)?;
        if let Some(event) = &explanation.event {
            self.event(event)?;
        }
        self.notes(&explanation.notes)?;
        self.destinations(&explanation.destinations)?;
        if let Some(event) = &explanation.event {
            self.traits(event)?;
        }
        for destination in &explanation.destinations {
            for operation in &destination.operations {
                self.operation(destination, operation)?;
            }
        }
        if !explanation.is_traced {
            self.line(
                "\n",
                "The event has too many values to look for what came from where.",
            )?;
        }
        Ok(())
    }

    fn verdict(&mut self, explanation: &Explanation) -> io::Result<()> {
        let style = match explanation.verdict {
            "routed" => GOOD,
            "ignored" => CALM,
            _ => BAD,
        };
        write!(
            self.out,
            "{style}{}{style:#}: {}",
            explanation.verdict.replace('_', "-"),
            explanation.sentence
        )?;
        if !explanation.reason.is_empty() {
            write!(self.out, " ({})", explanation.reason)?;
        }
        writeln!(self.out)?;
        if explanation.detail.is_empty() {
            Ok(())
        } else {
            self.line("  ", &explanation.detail)
        }
    }

    fn event(&mut self, event: &EventPart) -> io::Result<()> {
        self.line("  group   ", &event.group_id)?;
        self.line("  member  ", event.member.as_deref().unwrap_or("none"))?;
        self.line("  time    ", event.time.as_deref().unwrap_or("none"))
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{HEADING}{text}{HEADING:#}")
    }

    /// Writes `text` behind `first`, broken into lines of which the others begin below it.
    fn line(&mut self, first: &str, text: &str) -> io::Result<()> {
        let indent = columns(first.trim_start_matches('\n'));
        for (index, line) in wrapped(text, self.width.saturating_sub(indent))
            .iter()
            .enumerate()
        {
            if index == 0 {
                writeln!(self.out, "{first}{line}")?
            } else {
                writeln!(self.out, "{:indent$}{line}", "")?
            }
        }
        Ok(())
    }

    fn notes(&mut self, notes: &[NotePart]) -> io::Result<()> {
        // Which key won is said at its trait.
        let notes: Vec<NotePart> = notes
            .iter()
            .filter(|note| note.code != NoteCode::TraitCollision.code())
            .cloned()
            .collect();
        if notes.is_empty() {
            return Ok(());
        }
        self.heading("notes on the event")?;
        grouped(&notes)
            .iter()
            .try_for_each(|note| self.line("  ", note))
    }

    fn destinations(&mut self, destinations: &[DestinationPart]) -> io::Result<()> {
        if destinations.is_empty() {
            return Ok(());
        }
        self.heading("destinations")?;
        let name_width = destinations
            .iter()
            .map(|part| columns(&part.destination))
            .max()
            .unwrap_or_default();
        destinations
            .iter()
            .try_for_each(|destination| self.destination(destination, name_width))
    }

    fn destination(&mut self, part: &DestinationPart, name_width: usize) -> io::Result<()> {
        let (style, word) = match part.outcome {
            "emitted" => (GOOD, "sent       "),
            "skipped" => (CALM, "not sent   "),
            _ => (BAD, "dead letter"),
        };
        let padding = name_width - columns(&part.destination);
        let indent = " ".repeat(17 + name_width);
        write!(
            self.out,
            "  {style}{word}{style:#}  {HEADING}{}{HEADING:#}{:padding$}  ",
            part.destination, ""
        )?;
        let what = match part.outcome {
            "emitted" => part
                .operations
                .iter()
                .map(|operation| operation.operation.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            _ => format!("{} ({})", part.sentence, part.reason),
        };
        self.continued(&indent, &what)?;
        if !part.missing.is_empty() {
            self.line(&indent, &format!("absent: {}", part.missing.join(", ")))?;
        }
        self.line(&indent, &part.decided_by.sentence)?;
        // Why the whole is not sent is said above, if it is the only thing that there is to say.
        let refused = part
            .refused
            .iter()
            .filter(|refused| part.outcome == "emitted" || refused.reason != part.reason);
        let refused = refused.map(|refused| {
            (
                format!("no {}", refused.operation),
                said(refused.sentence, refused.reason),
            )
        });
        by_reason(refused)
            .iter()
            .try_for_each(|refused| self.line(&indent, refused))?;
        grouped(&part.notes)
            .iter()
            .try_for_each(|note| self.line(&indent, note))
    }

    /// Writes what follows on a line that has come to the indent already.
    fn continued(&mut self, indent: &str, text: &str) -> io::Result<()> {
        for (index, line) in wrapped(text, self.width.saturating_sub(columns(indent)))
            .iter()
            .enumerate()
        {
            if index == 0 {
                writeln!(self.out, "{line}")?
            } else {
                writeln!(self.out, "{indent}{line}")?
            }
        }
        Ok(())
    }

    fn traits(&mut self, event: &EventPart) -> io::Result<()> {
        self.heading("traits")?;
        if event.traits.is_empty() {
            writeln!(self.out, "  none")?;
        }
        if let Some(place) = event.traits_elsewhere {
            let hint = format!("the group's traits must be sent as traits, not as {place}");
            self.line("  hint: ", &hint)?;
        }
        event
            .traits
            .iter()
            .try_for_each(|found| self.found_trait(found))
    }

    fn found_trait(&mut self, found: &TraitPart) -> io::Result<()> {
        let value = found.value.as_ref().map_or_else(
            || "put together of several keys".to_owned(),
            |value| json_line(value.get()),
        );
        let room = self.width.saturating_sub(columns(&found.name) + 4);
        writeln!(
            self.out,
            "  {HEADING}{}{HEADING:#}  {}",
            found.name,
            shortened(&value, room)
        )?;
        if !found.key.is_empty() && found.key != found.name {
            writeln!(self.out, "    came as \"{}\"", found.key)?;
        }
        if !found.lost.is_empty() {
            let lost: Vec<String> = found.lost.iter().map(|key| format!("\"{key}\"")).collect();
            self.line("    ", &format!("won over {}", lost.join(", ")))?;
        }
        let name_width = found
            .destinations
            .iter()
            .map(|share| columns(&share.destination))
            .max()
            .unwrap_or_default();
        found
            .destinations
            .iter()
            .try_for_each(|share| self.share(share, name_width))
    }

    fn share(&mut self, share: &TraitShare, name_width: usize) -> io::Result<()> {
        let padding = name_width - columns(&share.destination);
        let head = format!("    {}{:padding$}  ", share.destination, "");
        let mut said: Vec<String> = share.places.iter().map(place).collect();
        said.extend(share.notes.iter().map(reason));
        if said.is_empty() {
            said.push("takes it nowhere".to_owned());
        }
        let indent = " ".repeat(columns(&head));
        for (index, text) in said.iter().enumerate() {
            self.line(if index == 0 { &head } else { &indent }, text)?;
        }
        Ok(())
    }

    fn operation(
        &mut self,
        destination: &DestinationPart,
        operation: &OperationPart,
    ) -> io::Result<()> {
        self.heading(&format!(
            "{}: {}",
            destination.destination, operation.operation
        ))?;
        self.line("  topic    ", &operation.topic)?;
        self.with_origin("  key      ", &operation.key, operation, "key")?;
        self.with_origin("  request  ", &operation.request, operation, "request")?;
        if !operation.due_to.is_empty() {
            self.line("  due to   ", &operation.due_to.join(", "))?;
        }
        let lines = layout::lines(operation.body.get(), &operation.origins);
        // What is longer than half the width does not push all origins to the right.
        let lengths = lines
            .iter()
            .map(|line| columns(&line.text))
            .filter(|length| length * 2 <= self.width);
        let column = lengths.max().unwrap_or_default() + 4;
        lines
            .iter()
            .try_for_each(|line| self.body_line(line, column))
    }

    fn with_origin(
        &mut self,
        head: &str,
        text: &str,
        operation: &OperationPart,
        place: &str,
    ) -> io::Result<()> {
        let from = operation
            .origins
            .iter()
            .find(|origin| origin.place == place)
            .map(|origin| origin.from.join(", "));
        let Some(from) = from.map(|from| format!("<- {from}")) else {
            return writeln!(self.out, "{head}{text}");
        };
        if columns(head) + columns(text) + 3 + columns(&from) <= self.width {
            return writeln!(self.out, "{head}{text}   {ORIGIN}{from}{ORIGIN:#}");
        }
        writeln!(self.out, "{head}{text}")?;
        self.line(&" ".repeat(columns(head)), &from)
    }

    fn body_line(&mut self, line: &Line, column: usize) -> io::Result<()> {
        let length = columns(&line.text) + 2;
        let Some(from) = line.origin.as_ref().map(from) else {
            return writeln!(self.out, "  {}", line.text);
        };
        let column = column.max(length + 2);
        if column + 3 + columns(&from) <= self.width {
            let padding = column - length;
            return writeln!(
                self.out,
                "  {}{:padding$}{ORIGIN}<- {}{ORIGIN:#}",
                line.text, "", from
            );
        }
        writeln!(self.out, "  {}", line.text)?;
        let indent = " ".repeat(line.indent + 4);
        for (index, text) in wrapped(&from, self.width.saturating_sub(columns(&indent) + 3))
            .iter()
            .enumerate()
        {
            let arrow = if index == 0 { "<- " } else { "   " };
            writeln!(self.out, "{indent}{ORIGIN}{arrow}{text}{ORIGIN:#}")?;
        }
        Ok(())
    }
}

/// Says what a place was made of.
fn from(origin: &Origin) -> String {
    let from = origin.from.join(", ");
    match &origin.conversion {
        Some(conversion) => format!("{from}, which came as {}", shortened(&conversion.came, 40)),
        None => from,
    }
}

/// Says each kind of note once, with all that it happened to.
fn grouped(notes: &[NotePart]) -> Vec<String> {
    by_reason(
        notes
            .iter()
            .map(|note| (format!("\"{}\"", note.subject), reason(note))),
    )
}

/// Puts together the subjects that have the same reason, in the order that the reasons came.
fn by_reason(found: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (subject, reason) in found {
        match groups.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, subjects)) => subjects.push(subject),
            None => groups.push((reason, vec![subject])),
        }
    }
    groups
        .into_iter()
        .map(|(reason, subjects)| format!("{}: {reason}", subjects.join(", ")))
        .collect()
}

fn reason(note: &NotePart) -> String {
    said(note.sentence, note.code)
}

fn said(sentence: &str, code: &str) -> String {
    format!("{sentence} ({code})")
}

fn place(place: &crate::explanation::TraitPlace) -> String {
    let became = place.became.as_ref().map_or_else(String::new, |became| {
        format!(", as {}", terminal::shortened(became, 40))
    });
    format!("{} {}{became}", place.operation, place.place)
}

fn json_line(json: &str) -> String {
    crate::json::compact(json)
}
