//! What the demo prints: for a terminal of 80 columns, and plain text where it is none.

use std::io::{self, Write};

use super::{Left, Told, What};
use crate::verdict::{Outcome, Verdict};

const WIDTH: usize = 80;

/// The escapes of one look; empty where the output is no terminal. Colour never carries meaning alone.
struct Look {
    title: &'static str,
    sent: &'static str,
    dim: &'static str,
    end: &'static str,
}

const PLAIN: Look = Look {
    title: "",
    sent: "",
    dim: "",
    end: "",
};
const COLOUR: Look = Look {
    title: "\x1b[1m",
    sent: "\x1b[32m",
    dim: "\x1b[2m",
    end: "\x1b[0m",
};

/// Writes each event with what left and what did not, then the counts.
pub(super) fn write(
    events: &[Told<'_>],
    names: &[String],
    left: &[Left],
    is_terminal: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let look = if is_terminal && std::env::var_os("NO_COLOR").is_none() {
        COLOUR
    } else {
        PLAIN
    };
    let n_events = events.len();
    writeln!(
        out,
        "A Kafka cluster runs inside this process. {n_events} raw events were produced to the\ntopic group-events, and the real worker has routed them. Each record that left\nis a CloudEvent; what is shown of it is its data, the body that the API takes."
    )?;
    for (number, told) in events.iter().enumerate() {
        write_event(number, told, names, left, &look, out)?;
    }
    write_counts(events, names, left, &look, out)
}

fn write_event(
    number: usize,
    told: &Told<'_>,
    names: &[String],
    left: &[Left],
    look: &Look,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(
        out,
        "\n{}{}. {}{}",
        look.title,
        number + 1,
        told.title,
        look.end
    )?;
    write_wrapped(told.event, 3, look.dim, look, out)?;
    for record in left
        .iter()
        .filter(|record| usize::try_from(record.event) == Ok(number))
    {
        write_record(record, look, out)?;
    }
    if let Verdict::Ignored(reason) = told.verdict {
        writeln!(
            out,
            "   -- ignored: {} ({})",
            reason.sentence(),
            reason.code()
        )?;
    }
    for (destination, outcome) in &told.outcomes {
        if let Outcome::Skipped(reason) = outcome {
            let name = names.get(*destination).map_or("", String::as_str);
            writeln!(
                out,
                "   -- {name}: {} ({})",
                reason.sentence(),
                reason.code()
            )?;
        }
    }
    Ok(())
}

fn write_record(record: &Left, look: &Look, out: &mut impl Write) -> io::Result<()> {
    match &record.what {
        What::Operation {
            destination,
            operation,
            request,
            body,
        } => {
            writeln!(
                out,
                "   {}-> {destination}{}  {operation}  key {}",
                look.sent, look.end, record.key
            )?;
            write_wrapped(request, 6, "", look, out)?;
            write_wrapped(body, 6, "", look, out)
        }
        What::DeadLetter { reason, detail } => writeln!(
            out,
            "   {}-> dead letter{}  {reason}: {detail}",
            look.sent, look.end
        ),
    }
}

fn write_counts(
    events: &[Told<'_>],
    names: &[String],
    left: &[Left],
    look: &Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let count =
        |is_it: fn(&Verdict) -> bool| events.iter().filter(|told| is_it(&told.verdict)).count();
    let routed = count(|verdict| matches!(verdict, Verdict::Routed));
    let ignored = count(|verdict| matches!(verdict, Verdict::Ignored(_)));
    let dead = count(|verdict| matches!(verdict, Verdict::DeadLettered(_)));
    writeln!(
        out,
        "\n{}{} events: {routed} routed, {ignored} ignored, {dead} dead-lettered{}",
        look.title,
        events.len(),
        look.end
    )?;
    for name in names {
        let is_its = |record: &&Left| matches!(&record.what, What::Operation { destination, .. } if destination == name);
        writeln!(
            out,
            "   {:4} records for {name}",
            left.iter().filter(is_its).count()
        )?;
    }
    let is_dead = |record: &&Left| matches!(record.what, What::DeadLetter { .. });
    writeln!(
        out,
        "   {:4} dead letters",
        left.iter().filter(is_dead).count()
    )
}

fn write_wrapped(
    text: &str,
    indent: usize,
    start: &str,
    look: &Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let end = if start.is_empty() { "" } else { look.end };
    wrap(text, WIDTH - indent)
        .into_iter()
        .try_for_each(|line| writeln!(out, "{:indent$}{start}{line}{end}", ""))
}

/// Cuts `text` into lines of at most `width` characters: after a comma, else after a space, else where it must.
fn wrap(text: &str, width: usize) -> Vec<&str> {
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some((limit, _)) = rest.char_indices().nth(width) {
        let (line, _) = rest.split_at(limit);
        let (line, tail) = rest.split_at(
            line.rfind(',')
                .or_else(|| line.rfind(' '))
                .map_or(limit, |cut| cut + 1),
        );
        lines.push(line);
        rest = tail;
    }
    lines.push(rest);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, width: usize, expected: &[&str]) {
        assert_eq!(wrap(text, width), expected);
    }

    #[test]
    fn lines_break_after_a_comma_or_a_space_or_where_they_must() {
        check("short", 10, &["short"]);
        check("exactly 10", 10, &["exactly 10"]);
        check(r#"{"a":1,"b":2}"#, 8, &[r#"{"a":1,"#, r#""b":2}"#]);
        check("one two three", 8, &["one two ", "three"]);
        check("a b,c d", 6, &["a b,", "c d"]);
        check("unbreakable", 4, &["unbr", "eaka", "ble"]);
        check("éééé,éé", 5, &["éééé,", "éé"]);
    }
}
