//! A body laid out in lines, each with what it came from.

use bumpalo::Bump;

use crate::cli::terminal::shortened;
use crate::explanation::Origin;
use crate::json::{Kind, Raw, quoted};

/// One line of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    /// How many columns it is indented.
    pub(super) indent: usize,
    /// What it was made of; empty for what is the same for every event.
    pub(super) from: String,
}

/// Returns the lines of `body`, valid JSON.
pub(super) fn lines(body: &str, origins: &[Origin]) -> Vec<Line> {
    let arena = Bump::new();
    let mut layout = Layout { origins, arena: &arena, lines: Vec::new() };
    match Raw::parse(body) {
        Ok(body) => layout.value("", body, "", 0, ""),
        // A body is what the router wrote.
        Err(_) => layout.line(body.to_owned(), 0, ""),
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
                    (format!("{}: ", quoted(member.key)), member.key.replace('~', "~0").replace('/', "~1"), member.value)
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
            return self.line(format!("{head}{}{tail}", value.text()), indent, pointer);
        };
        let (open, close) = if value.kind() == Kind::Object { ("{", "}") } else { ("[", "]") };
        self.line(format!("{head}{open}"), indent, "\0");
        for (index, (head, key, child)) in children.into_iter().enumerate() {
            self.value(&head, child, &format!("{pointer}/{key}"), indent + 2, if index == last { "" } else { "," });
        }
        self.line(format!("{close}{tail}"), indent, "\0");
    }

    fn line(&mut self, text: String, indent: usize, pointer: &str) {
        let origin = self.origins.iter().find(|origin| origin.place == pointer);
        let from = origin.map_or_else(String::new, |origin| match &origin.conversion {
            Some(conversion) => format!("{}, which came as {}", origin.from.join(", "), shortened(&conversion.came, 40)),
            None => origin.from.join(", "),
        });
        self.lines.push(Line { text: format!("{:indent$}{text}", ""), indent, from });
    }
}
