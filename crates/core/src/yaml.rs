//! YAML with positions: a tree of nodes that know their place, so that every fault names line and column.
//!
//! Scalars follow the YAML 1.2 core schema (`no` and `2015-02-23` are strings). Anchors, aliases and tags are refused:
//! files here are short, and a reader should see what a key holds where it stands.

use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::diagnostic::{Diagnostics, Place, nearest};
use crate::json;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where the value begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A single value; [`Scalar::kind`] says what the core schema takes it for.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the file's order, keys unique.
    Map(Vec<Entry>),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// The value.
    pub value: Node,
}

/// A single value as written.
#[derive(Clone, PartialEq, Eq)]
pub struct Scalar {
    /// Its text, without quotes and with escapes resolved.
    pub text: String,
    /// Whether it was written without quotes, so that it may be something other than a string.
    pub is_plain: bool,
    /// Whether it was read from a file or the environment as a secret: never printed.
    pub is_secret: bool,
}

impl fmt::Debug for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_secret {
            formatter.write_str("(secret)")
        } else {
            write!(formatter, "{:?}", self.text)
        }
    }
}

/// What the core schema takes a scalar for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number, as JSON writes it: its own text where that is JSON already.
    Number(String),
    /// Anything else.
    String,
}

impl Scalar {
    /// Returns what the core schema takes this scalar for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if !self.is_plain {
            return Kind::String;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
            "true" | "True" | "TRUE" => Kind::Boolean(true),
            "false" | "False" | "FALSE" => Kind::Boolean(false),
            text => number(text).map_or(Kind::String, Kind::Number),
        }
    }
}

/// Returns a core schema number as JSON writes it. `.inf` and `.nan`, which JSON lacks, are no numbers here.
fn number(text: &str) -> Option<String> {
    if json::is_number(text) {
        return Some(text.to_owned());
    }
    let radix = |prefix, radix| {
        text.strip_prefix(prefix)
            .and_then(|digits| i64::from_str_radix(digits, radix).ok())
    };
    if let Some(integer) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(integer.to_string());
    }
    // What is left of the schema: a plus sign, leading zeros, a bare point on either side.
    let looks_numeric = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'))
        && text.bytes().any(|b| b.is_ascii_digit());
    if !looks_numeric {
        return None;
    }
    text.parse::<i64>()
        .map(|integer| integer.to_string())
        .ok()
        .or_else(|| {
            let float = text.parse::<f64>().ok()?;
            serde_json::Number::from_f64(float).map(|number| number.to_string())
        })
}

impl Node {
    /// Returns the text if this is a scalar, whatever its kind.
    #[must_use]
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Returns whether this is null or nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.as_scalar()
            .is_some_and(|scalar| scalar.kind() == Kind::Null)
    }

    /// Returns whether any value in here was read as a secret.
    #[must_use]
    pub fn holds_secret(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.is_secret,
            Value::List(nodes) => nodes.iter().any(Node::holds_secret),
            Value::Map(entries) => entries.iter().any(|entry| entry.value.holds_secret()),
        }
    }

    /// Returns what this is, for messages: `a list`, `a mapping`, `a number` …
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(scalar) => match scalar.kind() {
                Kind::Null => "null",
                Kind::Boolean(_) => "a boolean",
                Kind::Number(_) => "a number",
                Kind::String => "a string",
            },
        }
    }

    /// Returns the value under `key` if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.value),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// Appends this node as JSON, compact, keys in the file's order.
    pub fn write_json(&self, out: &mut String) {
        match &self.value {
            Value::Scalar(scalar) => match scalar.kind() {
                Kind::Null => out.push_str("null"),
                Kind::Boolean(value) => out.push_str(if value { "true" } else { "false" }),
                Kind::Number(number) => out.push_str(&number),
                Kind::String => out.push_str(&json::quoted(&scalar.text)),
            },
            Value::List(nodes) => {
                out.push('[');
                for (index, node) in nodes.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    node.write_json(out);
                }
                out.push(']');
            }
            Value::Map(entries) => {
                out.push('{');
                for (index, entry) in entries.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    out.push_str(&json::quoted(&entry.key));
                    out.push(':');
                    entry.value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// Parses one document. An empty file is null. What is not YAML, or not the YAML we take, is reported and yields nothing.
pub fn parse(text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for item in Parser::new_from_str(text) {
        let (event, span) = match item {
            Ok(item) => item,
            Err(error) => {
                let at = error.marker();
                let place = Place {
                    source: 0,
                    line: at.line().max(1),
                    column: at.col() + 1,
                    length: 1,
                };
                diagnostics
                    .error(place, format!("not valid YAML: {}", error.info()))
                    .hint("inside { } or [ ] write a ${…} in double quotes, and likewise any text that holds `: ` or ` #`");
                return None;
            }
        };
        let place = place_of(span);
        let (node, refused) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let scalar = Scalar {
                    text: text.into_owned(),
                    is_plain,
                    is_secret: false,
                };
                (
                    Some(Node {
                        place,
                        value: Value::Scalar(scalar),
                    }),
                    anchor != 0 || tag.is_some(),
                )
            }
            Event::SequenceStart(anchor, tag) => {
                open.push(Open::List(place, Vec::new()));
                (None, anchor != 0 || tag.is_some())
            }
            Event::MappingStart(anchor, tag) => {
                open.push(Open::Map(place, Vec::new(), None));
                (None, anchor != 0 || tag.is_some())
            }
            Event::SequenceEnd | Event::MappingEnd => (open.pop().map(Open::close), false),
            Event::Alias(_) => (None, true),
            Event::DocumentStart(_) if root.is_some() => {
                diagnostics
                    .error(place, "more than one YAML document in the file")
                    .hint("remove the `---` and what follows it");
                return None;
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => (None, false),
        };
        if refused {
            diagnostics
                .error(place, "anchors, aliases and tags are not supported")
                .hint("write the value out where it is needed");
            return None;
        }
        let Some(node) = node else { continue };
        match open.last_mut() {
            Some(parent) => parent.add(node, diagnostics)?,
            None => root = Some(node),
        }
    }
    Some(root.unwrap_or(Node {
        place: Place {
            source: 0,
            line: 1,
            column: 1,
            length: 1,
        },
        value: Value::Scalar(Scalar {
            text: String::new(),
            is_plain: true,
            is_secret: false,
        }),
    }))
}

fn place_of(span: Span) -> Place {
    let one_line = span.end.line() == span.start.line();
    let length = if one_line {
        span.end.col().saturating_sub(span.start.col()).max(1)
    } else {
        1
    };
    Place {
        source: 0,
        line: span.start.line(),
        column: span.start.col() + 1,
        length,
    }
}

/// A list or mapping whose end has not been seen.
enum Open {
    List(Place, Vec<Node>),
    Map(Place, Vec<Entry>, Option<(String, Place)>),
}

impl Open {
    fn add(&mut self, node: Node, diagnostics: &mut Diagnostics) -> Option<()> {
        match self {
            Open::List(_, nodes) => nodes.push(node),
            Open::Map(_, entries, key @ None) => {
                let Value::Scalar(scalar) = node.value else {
                    diagnostics.error(node.place, "a key must be a single value");
                    return None;
                };
                if let Some(first) = entries.iter().find(|entry| entry.key == scalar.text) {
                    let line = first.key_place.line;
                    diagnostics.error(
                        node.place,
                        format!("duplicate key, first on line {line}: {}", scalar.text),
                    );
                }
                *key = Some((scalar.text, node.place));
            }
            Open::Map(_, entries, key) => {
                if let Some((key, key_place)) = key.take() {
                    entries.push(Entry {
                        key,
                        key_place,
                        value: node,
                    });
                }
            }
        }
        Some(())
    }

    fn close(self) -> Node {
        match self {
            Open::List(place, nodes) => Node {
                place,
                value: Value::List(nodes),
            },
            Open::Map(place, entries, _) => Node {
                place,
                value: Value::Map(entries),
            },
        }
    }
}

/// Reads the keys of one mapping, reporting each that is missing, of another type, or unknown.
///
/// Every getter takes its key out of those still unread; [`Fields::finish`] reports what nobody asked for.
pub struct Fields<'n> {
    /// What the mapping is, for messages (`source`, `destinations[2]`); empty for the whole file.
    context: String,
    place: Place,
    unread: Vec<&'n Entry>,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Starts to read `node`, which must be a mapping; null reads as an empty one.
    pub fn new(node: &'n Node, context: &str, diagnostics: &mut Diagnostics) -> Self {
        let unread = match &node.value {
            Value::Map(entries) => entries.iter().collect(),
            Value::Scalar(_) | Value::List(_) => {
                if !node.is_null() {
                    let name = if context.is_empty() {
                        "the file"
                    } else {
                        context
                    };
                    diagnostics.error(
                        node.place,
                        format!("{name} must be a mapping, not {}", node.describe()),
                    );
                }
                Vec::new()
            }
        };
        Fields {
            context: context.to_owned(),
            place: node.place,
            unread,
            known: Vec::new(),
        }
    }

    /// Returns where the mapping begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Returns `context.key`, as messages name it.
    #[must_use]
    pub fn name_of(&self, key: &str) -> String {
        if self.context.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.context)
        }
    }

    /// Returns whether `key` is still unread and not null.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.unread
            .iter()
            .any(|entry| entry.key == key && !entry.value.is_null())
    }

    /// Takes the entry under `key`, whatever it is. Null counts as absent.
    pub fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.known.push(key);
        let index = self.unread.iter().position(|entry| entry.key == key)?;
        Some(self.unread.remove(index)).filter(|entry| !entry.value.is_null())
    }

    /// Takes the value under `key`, whatever it is. Null counts as absent.
    pub fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Takes a string. Numbers and booleans are taken as they are written.
    pub fn string(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<String> {
        let node = self.node(key)?;
        let text = node.as_scalar().map(|scalar| scalar.text.clone());
        self.checked(key, node, text, "a string", diagnostics)
    }

    /// Takes a boolean.
    pub fn boolean(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<bool> {
        let node = self.node(key)?;
        self.checked(key, node, boolean(node), "true or false", diagnostics)
    }

    /// Takes a whole number that is not negative.
    pub fn integer(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<u64> {
        let node = self.node(key)?;
        let value = node.as_scalar().and_then(|scalar| scalar.text.parse().ok());
        self.checked(key, node, value, "a whole number, 0 or more", diagnostics)
    }

    /// Takes a list of strings; a single string is a list of one.
    pub fn strings(
        &mut self,
        key: &'static str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Vec<String>> {
        let node = self.node(key)?;
        self.checked(key, node, strings(node), "a list of strings", diagnostics)
    }

    /// Takes one of `choices`, a table of words and what they mean.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        let node = self.node(key)?;
        let written = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
        let found = choices
            .iter()
            .find(|(word, _)| *word == written)
            .map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let message = format!(
                "{} must be one of {}, not: {written}",
                self.name_of(key),
                words.join(", ")
            );
            diagnostics
                .error(node.place, message)
                .suggest(written, words);
        }
        found
    }

    fn checked<T>(
        &self,
        key: &str,
        node: &Node,
        value: Option<T>,
        wanted: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        if value.is_none() {
            diagnostics.error(
                node.place,
                format!(
                    "{} must be {wanted}, not {}",
                    self.name_of(key),
                    node.describe()
                ),
            );
        }
        value
    }

    /// Reports a key that must be there and is not.
    pub fn missing(&self, key: &str, diagnostics: &mut Diagnostics) {
        diagnostics.error(self.place, format!("missing key: {}", self.name_of(key)));
    }

    /// Reports every key that no getter asked for.
    pub fn finish(self, diagnostics: &mut Diagnostics) {
        for entry in &self.unread {
            let message = format!("unknown key: {}", self.name_of(&entry.key));
            let added = diagnostics.error(entry.key_place, message);
            match nearest(&entry.key, self.known.iter().copied()) {
                Some(near) => added.hint(format!("did you mean: {near}")),
                None if self.known.is_empty() => {}
                None => added.hint(format!("the keys are {}", self.known.join(", "))),
            }
        }
    }
}

/// Returns a boolean node's value.
#[must_use]
pub fn boolean(node: &Node) -> Option<bool> {
    match node.as_scalar()?.kind() {
        Kind::Boolean(value) => Some(value),
        Kind::Null | Kind::Number(_) | Kind::String => None,
    }
}

/// Returns the strings of a list node, or the one string of a scalar node.
#[must_use]
pub fn strings(node: &Node) -> Option<Vec<String>> {
    match &node.value {
        Value::Scalar(scalar) => Some(vec![scalar.text.clone()]),
        Value::List(nodes) => nodes
            .iter()
            .map(|node| node.as_scalar().map(|scalar| scalar.text.clone()))
            .collect(),
        Value::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(yaml: &str) -> String {
        let mut diagnostics = Diagnostics::new("test.yaml");
        let mut out = String::new();
        match parse(yaml, &mut diagnostics) {
            Some(node) => node.write_json(&mut out),
            None => {
                out = diagnostics
                    .into_sorted()
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n")
            }
        }
        out
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        let rows = [
            ("no", r#""no""#),
            ("2015-02-23", r#""2015-02-23""#),
            ("true", "true"),
            ("~", "null"),
            ("", "null"),
            ("1.50", "1.50"),
            ("12345678901234567890", "12345678901234567890"),
            ("+5", "5"),
            ("007", "7"),
            ("0x1F", "31"),
            (".5", "0.5"),
            (".inf", r#"".inf""#),
            ("1-2", r#""1-2""#),
            ("'42'", r#""42""#),
            ("{a: [1, \"${x}\"], b: }", r#"{"a":[1,"${x}"],"b":null}"#),
        ];
        for (yaml, expected) in rows {
            assert_eq!(json_of(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn refuses_what_hides_values() {
        assert!(json_of("a: &x 1\nb: *x").starts_with("test.yaml:1:4: error: anchors"));
        assert!(json_of("a: 1\n---\nb: 2").contains("more than one YAML document"));
        assert!(json_of("a: {b: ${x}}").starts_with("test.yaml:1:"));
    }

    #[test]
    fn fields_report_everything_at_once() {
        let mut diagnostics = Diagnostics::new("c.yaml");
        let node = parse(
            "brokrs: x\nn: many\nlist: {a: 1}\nkind: binry",
            &mut diagnostics,
        )
        .unwrap();
        let mut fields = Fields::new(&node, "kafka", &mut diagnostics);
        assert_eq!(fields.string("brokers", &mut diagnostics), None);
        assert_eq!(fields.integer("n", &mut diagnostics), None);
        assert_eq!(fields.strings("list", &mut diagnostics), None);
        assert_eq!(
            fields.choice("kind", &[("binary", 1), ("body", 2)], &mut diagnostics),
            None
        );
        fields.finish(&mut diagnostics);
        let found: Vec<String> = diagnostics
            .into_sorted()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "c.yaml:1:1: error: unknown key: kafka.brokrs\n  hint: did you mean: brokers",
                "c.yaml:2:4: error: kafka.n must be a whole number, 0 or more, not a string",
                "c.yaml:3:7: error: kafka.list must be a list of strings, not a mapping",
                "c.yaml:4:7: error: kafka.kind must be one of binary, body, not: binry\n  hint: did you mean: binary",
            ]
        );
    }
}
