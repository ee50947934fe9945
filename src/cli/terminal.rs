//! What is known of who reads: how wide the terminal is, and whether it shows colours, which never say anything alone.

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
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
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

/// Returns how many columns `text` takes.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// Breaks `text` between words, so that no line takes more than `width` columns unless a word alone does.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| columns(line) + 1 + columns(word) <= width) {
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
        assert_eq!(wrapped("incomprehensible word", 5), ["incomprehensible", "word"]);
    }

    #[test]
    fn shortens_by_columns() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
        assert_eq!(columns(&shortened("公司公司公司", 6)), 5);
    }
}
