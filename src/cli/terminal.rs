//! What is known of who reads: how wide the terminal is, and whether it shows colours, which never say anything alone.

use std::io::{self, Write};

use anstream::ColorChoice;
use clap::builder::styling::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

/// For what is a heading.
pub(super) const HEADING: Style = Style::new().bold();
/// For what was sent.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// For what was not sent, as it should be.
pub(super) const CALM: Style = AnsiColor::Yellow.on_default().bold();
/// For what is wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// For where something came from.
pub(super) const ORIGIN: Style = AnsiColor::Cyan.on_default();

/// Without a terminal and without `COLUMNS`.
const DEFAULT_WIDTH: usize = 100;

/// Narrower than this nothing can be laid out.
const MIN_WIDTH: usize = 40;

/// Returns how many columns there are: what `COLUMNS` says, else the terminal.
pub(super) fn width() -> usize {
    let said = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let asked = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    said.or_else(asked).unwrap_or(DEFAULT_WIDTH).max(MIN_WIDTH)
}

/// Lets `choice` hold for all that is printed from now on.
pub(super) fn set_color(choice: clap::ColorChoice) {
    match choice {
        // NO_COLOR, CLICOLOR and whether it is a terminal at all.
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    }
    .write_global();
}

/// Passes texts on, but what a terminal would obey is shown, not done: an event may hold anything. Only our own styles are let through.
pub(super) struct Disarmed<W>(pub(super) W);

/// What the styles above are written with.
const STYLES: [&str; 6] = [
    "\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m",
];

impl<W: Write> Write for Disarmed<W> {
    /// Takes all of what comes: formatting hands it whole texts, in which no character is cut.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut rest = &*text;
        while let Some(character) = rest.chars().next() {
            let obeyed =
                |character: char| character.is_control() && !matches!(character, '\n' | '\t');
            let length = match STYLES.iter().find(|style| rest.starts_with(**style)) {
                Some(style) => style.len(),
                None if obeyed(character) => {
                    write!(self.0, "{}", character.escape_default())?;
                    rest = rest.get(character.len_utf8()..).unwrap_or_default();
                    continue;
                }
                None => rest.find(obeyed).unwrap_or(rest.len()),
            };
            let (plain, behind) = rest.split_at(length);
            self.0.write_all(plain.as_bytes())?;
            rest = behind;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Returns how many columns `text` takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// Breaks `text` between words, so that no line takes more than `width` columns unless a word alone does.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines
            .last_mut()
            .filter(|line| columns(line) + 1 + columns(word) <= width)
        {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns `text` in at most `width` columns, with an ellipsis for what is left out.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        if columns(&short) + columns(character.encode_utf8(&mut [0; 4])) + 1 > width {
            break;
        }
        short.push(character);
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_between_words_by_columns() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("公司 公司", 8), ["公司", "公司"]);
        assert_eq!(
            wrapped("incomprehensible word", 5),
            ["incomprehensible", "word"]
        );
    }

    #[test]
    fn shortens_by_columns() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
        assert_eq!(columns(&shortened("公司公司公司", 6)), 5);
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let check = |text: &str, expected: &str| {
            let mut out = Disarmed(Vec::new());
            write!(out, "{text}").unwrap();
            assert_eq!(String::from_utf8(out.0).unwrap(), expected);
        };
        check("naïve\n\ttext", "naïve\n\ttext");
        check(
            &format!("{BAD}bad{BAD:#}, {HEADING}é{HEADING:#}"),
            &format!("{BAD}bad{BAD:#}, {HEADING}é{HEADING:#}"),
        );
        check("a\x1b]0;title\x07b", "a\\u{1b}]0;title\\u{7}b");
        check("\x1b[2J\x1b[8mhidden\r", "\\u{1b}[2J\\u{1b}[8mhidden\\r");
        check("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}");
    }
}
