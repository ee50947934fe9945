//! A body laid out in lines, each with what it came from.

use bumpalo::Bump;
use serde::Serialize;

use super::Origin;
use super::origin::escaped;
use crate::json::{Kind, Raw, quoted};

/// One line of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The line with its indent.
    pub text: String,
    /// How many columns it is indented.
    pub indent: usize,
    /// What it was made of; absent for what is the same for every event.
    pub origin: Option<Origin>,
}

/// Returns the lines of `body`, valid JSON, each value on a line of its own and as it leaves, digit for digit.
#[must_use]
pub fn lines(body: &str, origins: &[Origin]) -> Vec<Line> {
    let arena = Bump::new();
    let mut layout = Layout {
        origins,
        arena: &arena,
        lines: Vec::new(),
    };
    match Raw::parse(body) {
        Ok(body) => layout.value("", body, "", 0, ""),
        // A body is what the router wrote.
        Err(_) => layout.line(body.to_owned(), 0, None),
    }
    layout.lines
}

struct Layout<'a> {
    origins: &'a [Origin],
    arena: &'a Bump,
    lines: Vec<Line>,
}

impl<'a> Layout<'a> {
    /// Adds `value` behind its key `head` and before `tail`, which may be a comma.
    fn value(&mut self, head: &str, value: Raw<'a>, pointer: &str, indent: usize, tail: &str) {
        let children: Vec<(String, String, Raw<'a>)> = match value.kind() {
            Kind::Object => value
                .members(self.arena)
                .unwrap_or_default()
                .iter()
                .map(|member| {
                    (
                        format!("{}: ", quoted(member.key)),
                        escaped(member.key),
                        member.value,
                    )
                })
                .collect(),
            Kind::Array => value
                .elements()
                .into_iter()
                .enumerate()
                .map(|(index, element)| (String::new(), index.to_string(), element))
                .collect(),
            Kind::Null | Kind::Boolean | Kind::Number | Kind::String => Vec::new(),
        };
        let Some(last) = children.len().checked_sub(1) else {
            return self.line(
                format!("{head}{}{tail}", value.text()),
                indent,
                Some(pointer),
            );
        };
        let (open, close) = if value.kind() == Kind::Object {
            ("{", "}")
        } else {
            ("[", "]")
        };
        self.line(format!("{head}{open}"), indent, None);
        for (index, (head, key, child)) in children.into_iter().enumerate() {
            self.value(
                &head,
                child,
                &format!("{pointer}/{key}"),
                indent + 2,
                if index == last { "" } else { "," },
            );
        }
        self.line(format!("{close}{tail}"), indent, None);
    }

    fn line(&mut self, text: String, indent: usize, pointer: Option<&str>) {
        let origin = self
            .origins
            .iter()
            .find(|origin| Some(&*origin.place) == pointer)
            .cloned();
        self.lines.push(Line {
            text: format!("{:indent$}{text}", ""),
            indent,
            origin,
        });
    }
}
