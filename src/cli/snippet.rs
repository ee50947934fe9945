//! A diagnostic as compilers print them: what is wrong, the source line with the place marked, and what would mend it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::terminal;
use crate::config::read_text;
use crate::destination::{self, Catalogue};
use crate::diagnostic::{Diagnostic, Place, Severity, nearest};

/// What the name of a key holds whose value is nobody else's business, whatever definition it is of.
const SECRETS: [&str; 8] = [
    "password",
    "passphrase",
    "secret",
    "token",
    "credential",
    "key",
    "auth",
    "oauthbearer.config",
];

/// Returns each diagnostic as text, with its source line where its file can be read.
pub(super) fn rendered(diagnostics: &[Diagnostic]) -> Vec<String> {
    let renderer = Renderer::styled().term_width(terminal::width());
    let secrets = secret_settings();
    let text = |diagnostic: &Diagnostic| {
        let line = diagnostic
            .place
            .and_then(|place| source_line(&diagnostic.file, place, &secrets));
        renderer.render(&[group(diagnostic, line.as_deref())])
    };
    diagnostics.iter().map(text).collect()
}

fn group<'d>(diagnostic: &'d Diagnostic, line: Option<&'d str>) -> Group<'d> {
    let level = match diagnostic.severity {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let group = match (diagnostic.place, line) {
        (Some(place), Some(line)) => title.element(
            Snippet::source(line)
                .line_start(place.line)
                .path(&*diagnostic.file)
                .annotation(AnnotationKind::Primary.span(span(line, place))),
        ),
        (Some(place), None) => title.element(
            Origin::path(&*diagnostic.file)
                .line(place.line)
                .char_column(place.column),
        ),
        (None, _) => title.element(Origin::path(&*diagnostic.file)),
    };
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.with_name("hint").message(hint.as_str())),
        None => group,
    }
}

/// Returns the bytes of `line` that `place` marks.
fn span(line: &str, place: Place) -> Range<usize> {
    let at = |characters: usize| {
        line.char_indices()
            .nth(characters)
            .map_or(line.len(), |(index, _)| index)
    };
    let start = at(place.column.saturating_sub(1));
    start..at(place.column.saturating_sub(1) + place.length)
}

/// Reads the line that `place` is on, its secrets masked; the file may be one that is built in.
fn source_line(file: &str, place: Place, secrets: &BTreeSet<String>) -> Option<String> {
    let text = read_text(Path::new(file))
        .ok()
        .or_else(|| destination::built_in_text(file))?;
    let lines: Vec<&str> = text.lines().collect();
    let index = place.line.checked_sub(1)?;
    let line = *lines.get(index)?;
    let is_secret = |key: &str| is_secret(key, secrets);
    if belongs_to_secret(&lines, index, is_secret) {
        return Some(hidden(line));
    }
    Some(masked(line, is_secret))
}

/// Returns whether the line is part of a secret key's value that began further up: a block, a list, or a text whose lines are not
/// indented as they should be.
fn belongs_to_secret(lines: &[&str], index: usize, is_secret: impl Fn(&str) -> bool) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut within = lines.get(index).map_or(0, |line| indent(line));
    let mut is_text = lines.get(index).is_some_and(|line| key_of(line).is_none());
    for line in lines.iter().take(index).rev() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let key = key_of(line);
        // A line without a key continues the line above it, however it is indented.
        if is_text || indent(line) < within {
            if key.is_some_and(&is_secret) {
                return true;
            }
            is_text = key.is_none();
            within = within.min(indent(line));
        }
    }
    false
}

/// Returns the key that a line begins with, if it does with one.
fn key_of(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("- ");
    let (key, rest) = line.split_once(':')?;
    let is_key = rest.is_empty() || rest.starts_with([' ', '\t']);
    is_key.then(|| key.trim().trim_matches(['"', '\'']))
}

/// Returns the line with `*` for all but its indentation.
fn hidden(line: &str) -> String {
    let (indent, text) = line.split_at(line.len() - line.trim_start().len());
    format!("{indent}{}", stars(text))
}

/// A letter of more bytes than one becomes as many columns as it has, or nearly: the mark is off by a little then.
fn stars(text: &str) -> String {
    text.chars()
        .flat_map(|character| std::iter::repeat_n('*', character.len_utf8()))
        .collect()
}

/// Returns whether a value of that key is to be hidden: a slip of the pen makes a secret none the less one.
fn is_secret(key: &str, settings: &BTreeSet<String>) -> bool {
    const PROPERTIES: [&str; 3] = ["sasl.password", "ssl.key.password", "ssl.keystore.password"];
    let names = settings
        .iter()
        .map(String::as_str)
        .chain(SECRETS)
        .chain(PROPERTIES);
    SECRETS.iter().any(|part| key.to_lowercase().contains(part)) || nearest(key, names).is_some()
}

fn secret_settings() -> BTreeSet<String> {
    let catalogue = Catalogue::built_in();
    let settings = catalogue.iter().flat_map(|definition| &definition.settings);
    settings
        .filter(|setting| setting.is_secret)
        .map(|setting| setting.name.clone())
        .collect()
}

/// Returns the line with `*` for each character of a value whose key is secret, so that all columns stay. A reference to a
/// secret is not one.
fn masked(line: &str, is_secret: impl Fn(&str) -> bool) -> String {
    let mut masked = line.to_owned();
    for (colon, _) in line.match_indices(':') {
        let (before, after) = (
            line.get(..colon).unwrap_or_default(),
            line.get(colon + 1..).unwrap_or_default(),
        );
        let key = before.trim_end().trim_end_matches(['"', '\'']);
        let key = key
            .rsplit(|character: char| !(character.is_alphanumeric() || "_.-".contains(character)))
            .next();
        let value = after.trim_start();
        if !key.is_some_and(&is_secret)
            || is_reference(value)
            || matches!(value.trim_end(), "" | "|" | ">" | "|-" | ">-" | "|+" | ">+")
            || value.starts_with('#')
            || value.len() == after.len()
        {
            continue;
        }
        let start = line.len() - value.len();
        let hidden = value.get(..value_length(value)).unwrap_or_default();
        masked.replace_range(start..start + hidden.len(), &stars(hidden));
    }
    masked
}

/// Returns whether the value is `{ file: PATH }` or `{ env: NAME }` and nothing else.
fn is_reference(value: &str) -> bool {
    let inner = value
        .strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .map(|(inner, _)| inner.trim());
    inner.is_some_and(|inner| {
        let is_one = !inner.contains([',', '{']);
        is_one && (inner.starts_with("file: ") || inner.starts_with("env: "))
    })
}

/// Returns how long the value is that `text` begins with: a plain or quoted scalar, or, of anything else, the whole rest.
fn value_length(text: &str) -> usize {
    let quote = text
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''));
    let end = match quote {
        Some(quote) => text
            .get(1..)
            .and_then(|rest| rest.find(quote))
            .map(|end| end + 2)
            // What follows belongs to it if the text goes on at once: its quotes are wrong.
            .filter(|end| text.get(*end..).is_some_and(ends_value)),
        None if text.starts_with(['{', '[', '|', '>']) => None,
        None => text.find([',', '}', ']']).or_else(|| text.find(" #")),
    };
    end.unwrap_or(text.len())
}

fn ends_value(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with([',', '}', ']', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_values_of_secret_keys_and_nothing_else() {
        let is_secret = |key: &str| key.contains("token");
        for (line, expected) in [
            (
                "settings: { token: abc, region: eu }",
                "settings: { token: ***, region: eu }",
            ),
            ("  api_token: \"a b\" # why", "  api_token: ***** # why"),
            ("  token: { env: TOKEN }", "  token: { env: TOKEN }"),
            ("\"token\": 'a, b', x: 1", "\"token\": ******, x: 1"),
            // Not a reference, though it may look like one.
            ("token: { value: abc }", "token: **************"),
            (
                "token: { file: x, env: abc }",
                "token: *********************",
            ),
            (
                "token: { file: x, other: abc }",
                "token: ***********************",
            ),
            ("token: { abc }", "token: *******"),
            ("token: [ abc ]", "token: *******"),
            ("token : abc", "token : ***"),
            ("token: \"\\u00\"abc", "token: *********"),
            ("topic: token", "topic: token"),
            ("url: http://token:8080/x", "url: http://token:8080/x"),
        ] {
            assert_eq!(masked(line, is_secret), expected);
        }
    }

    #[test]
    fn masks_what_stands_under_a_secret_key() {
        let is_secret = |key: &str| key.contains("token");
        for (text, expected) in [
            ("token:\n  value: abc", "  **********"),
            ("token:\n  - abc", "  *****"),
            ("token:\n- abc", "*****"),
            ("token: |\nabc", "***"),
            ("a:\n  token: |\n  abc\n  def", "  ***"),
            ("a:\n  token: x\n  b: c", "  b: c"),
            ("a:\n  token:\n    file: x\n  b: c", "  b: c"),
        ] {
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.len() - 1;
            let seen = match belongs_to_secret(&lines, last, is_secret) {
                true => hidden(lines[last]),
                false => masked(lines[last], is_secret),
            };
            assert_eq!(seen, expected, "{text}");
        }
    }

    #[test]
    fn marks_characters_not_bytes() {
        let place = Place {
            source: 0,
            line: 1,
            column: 3,
            length: 2,
        };
        assert_eq!(span("äöüß", place), 4..8);
        assert_eq!(span("a", place), 1..1);
    }
}
