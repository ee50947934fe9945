//! What `| filter` does to a map: all filters that follow one another to one entry, then to the next. What does not fit is left out
//! and noted.

use std::fmt::Write;

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};
use heck::{AsLowerCamelCase, AsSnakeCase, AsTitleCase};

use crate::date::Unit;
use crate::event::Time;
use crate::json::Kind;
use crate::traits::Fold;
use crate::verdict::{NoteCode, Reason};

use super::filter::{Sink, date, joined, open, truncate};
use super::value::{Item, Role, Value};

/// A filter of a map's entries, its arguments checked.
#[derive(Debug, Clone)]
pub(super) enum EntryFilter {
    Only {
        folds: Vec<Fold>,
        /// Whether what is not listed was left out by the instance's settings, and is counted.
        is_setting: bool,
    },
    Except(Vec<Fold>),
    Rename(Vec<(Fold, String)>),
    Prefix(String),
    Suffix(String),
    Case(Case),
    Flatten(String),
    Scalars,
    Dates(Unit),
    Texts(usize),
}

impl EntryFilter {
    /// Returns whether the filter can make two keys one.
    pub(super) fn changes_keys(&self) -> bool {
        match self {
            EntryFilter::Rename(_)
            | EntryFilter::Prefix(_)
            | EntryFilter::Suffix(_)
            | EntryFilter::Case(_)
            | EntryFilter::Flatten(_) => true,
            EntryFilter::Only { .. }
            | EntryFilter::Except(_)
            | EntryFilter::Scalars
            | EntryFilter::Dates(_)
            | EntryFilter::Texts(_) => false,
        }
    }
}

/// Takes one entry through the filters, and appends what comes of it to `kept`.
///
/// # Errors
/// [`Reason::InvalidString`] where an object is opened that has a key with a lone surrogate.
pub(super) fn pass<'a>(
    item: &Item<'a>,
    filters: &'a [EntryFilter],
    arena: &'a Bump,
    sink: &mut impl Sink,
    kept: &mut ArenaVec<'a, Item<'a>>,
) -> Result<(), Reason> {
    let (mut key, mut value) = (item.key, item.value);
    for (index, filter) in filters.iter().enumerate() {
        match filter {
            EntryFilter::Only { folds, is_setting } => {
                if !folds.iter().any(|fold| fold.is_of(key)) {
                    if *is_setting {
                        sink.note(NoteCode::UnlistedTrait, Some(key));
                    }
                    return Ok(());
                }
            }
            EntryFilter::Except(folds) => {
                if folds.iter().any(|fold| fold.is_of(key)) {
                    return Ok(());
                }
            }
            EntryFilter::Rename(pairs) => {
                if let Some((_, to)) = pairs.iter().find(|(from, _)| from.is_of(key)) {
                    key = to;
                }
            }
            EntryFilter::Prefix(prefix) => key = joined([prefix, key, ""], arena),
            EntryFilter::Suffix(suffix) => key = joined([key, suffix, ""], arena),
            EntryFilter::Case(case) => key = case.apply(key, arena),
            EntryFilter::Flatten(separator) => {
                if value.is_map() {
                    let filters = filters.get(index..).unwrap_or_default();
                    return flatten(key, value, separator, filters, arena, sink, kept);
                }
            }
            EntryFilter::Scalars => {
                if value.is_container() {
                    sink.note(NoteCode::TraitTypeMismatch, Some(key));
                    return Ok(());
                }
            }
            EntryFilter::Dates(unit) => {
                if item.role == Role::CreatedAt && value.is_given() {
                    let Some(date) = date(&value, *unit, arena) else {
                        sink.note(NoteCode::TraitTypeMismatch, Some(key));
                        return Ok(());
                    };
                    value = date;
                }
            }
            EntryFilter::Texts(length) => value = shortened(value, *length, arena),
        }
    }
    kept.push(Item { value, ..item.renamed(key) });
    Ok(())
}

/// Moves the members of an object up under joined keys, and on through `filters`, the first of which is what flattens them.
/// Depth is bounded by the limit on an event's nesting (E9).
fn flatten<'a>(
    key: &str,
    value: Value<'a>,
    separator: &str,
    filters: &'a [EntryFilter],
    arena: &'a Bump,
    sink: &mut impl Sink,
    kept: &mut ArenaVec<'a, Item<'a>>,
) -> Result<(), Reason> {
    for member in open(value, arena)?.unwrap_or_default() {
        let key = joined([key, separator, member.key], arena);
        let item = Item { is_renamed: true, ..Item::new(key, member.value) };
        pass(&item, filters, arena, sink, kept)?;
    }
    Ok(())
}

/// Cuts a value that is a text, or a date that is sent as the text that it came as.
fn shortened<'a>(value: Value<'a>, length: usize, arena: &'a Bump) -> Value<'a> {
    let is_text = match value {
        Value::Raw(raw) | Value::Date(&Time { raw: Some(raw), .. }) => raw.kind() == Kind::String,
        Value::Text(_) => true,
        Value::Absent | Value::Null | Value::Json(_) | Value::Date(Time { raw: None, .. }) | Value::Map(_) | Value::List(_) => {
            false
        }
    };
    if is_text { truncate(value, length, arena).unwrap_or(value) } else { value }
}

/// How keys are cased on the way out (semantics T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Snake,
    Camel,
    Title,
    Upper,
}

impl Case {
    pub(super) const WORDS: &'static [(&'static str, Case)] =
        &[("snake", Case::Snake), ("camel", Case::Camel), ("title", Case::Title), ("upper", Case::Upper)];

    fn apply<'a>(self, key: &'a str, arena: &'a Bump) -> &'a str {
        if let (Case::Snake, Some(cased)) = (self, snake(key, arena)) {
            return cased;
        }
        let mut cased = ArenaString::with_capacity_in(2 * key.len(), arena);
        let written = match self {
            Case::Snake => write!(cased, "{}", AsSnakeCase(key)),
            Case::Camel => write!(cased, "{}", AsLowerCamelCase(key)),
            Case::Title => write!(cased, "{}", AsTitleCase(key)),
            Case::Upper => {
                cased.extend(key.chars().flat_map(char::to_uppercase));
                Ok(())
            }
        };
        // Writing to a string cannot fail.
        written.unwrap_or_default();
        cased.into_bump_str()
    }
}

/// What a character is to a name in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letter {
    Lower,
    Upper,
    /// A digit, or a letter without case.
    Neither,
    /// Nothing of a word.
    Between,
}

impl Letter {
    fn of(character: char) -> Letter {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => Letter::of_byte(byte),
            Ok(_) | Err(_) if character.is_lowercase() => Letter::Lower,
            Ok(_) | Err(_) if character.is_uppercase() => Letter::Upper,
            Ok(_) | Err(_) if character.is_alphanumeric() => Letter::Neither,
            Ok(_) | Err(_) => Letter::Between,
        }
    }

    fn of_byte(byte: u8) -> Letter {
        const LETTERS: [Letter; 256] = {
            let mut letters = [Letter::Between; 256];
            let mut byte = 0_u8;
            while byte.is_ascii() {
                letters[byte as usize] = match byte {
                    b'a'..=b'z' => Letter::Lower,
                    b'A'..=b'Z' => Letter::Upper,
                    b'0'..=b'9' => Letter::Neither,
                    _ => Letter::Between,
                };
                byte += 1;
            }
            letters
        };
        LETTERS.get(usize::from(byte)).copied().unwrap_or(Letter::Between)
    }
}

/// Where words begin: what has come of a key so far.
struct Words {
    is_in_word: bool,
    is_empty: bool,
    /// The last letter that has case.
    last: Letter,
}

impl Words {
    const NONE: Words = Words { is_in_word: false, is_empty: true, last: Letter::Neither };

    /// Takes the next character; returns whether a word begins with it that is not the first.
    fn begins(&mut self, letter: Letter, next: impl FnOnce() -> Option<Letter>) -> bool {
        if letter == Letter::Between {
            (self.is_in_word, self.last) = (false, Letter::Neither);
            return false;
        }
        let is_boundary = letter == Letter::Upper
            && (self.last == Letter::Lower || self.last == Letter::Upper && next() == Some(Letter::Lower));
        let begins = (is_boundary || !self.is_in_word) && !self.is_empty;
        (self.is_in_word, self.is_empty) = (true, false);
        if letter != Letter::Neither {
            self.last = letter;
        }
        begins
    }
}

/// Does what heck does, to a key without a capital sigma, whose lower case depends on what follows: `None` where there is one.
fn snake<'a>(key: &'a str, arena: &'a Bump) -> Option<&'a str> {
    if key.is_ascii() { ascii_snake(key, arena) } else { unicode_snake(key, arena) }
}

fn ascii_snake<'a>(key: &'a str, arena: &'a Bump) -> Option<&'a str> {
    // At most a `_` before each letter.
    let mut cased = ArenaString::with_capacity_in(2 * key.len(), arena);
    let (mut words, mut begin) = (Words::NONE, 0);
    let bytes = key.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let letter = Letter::of_byte(*byte);
        let was_in_word = words.is_in_word;
        // Most letters are small, and go on with their word.
        if letter == Letter::Lower && was_in_word {
            words.last = letter;
            continue;
        }
        let begins = words.begins(letter, || bytes.get(index + 1).map(|next| Letter::of_byte(*next)));
        if was_in_word && (begins || letter == Letter::Between) {
            cased.push_str(key.get(begin..index)?);
        }
        if begins {
            cased.push('_');
        }
        if begins || !was_in_word {
            begin = index;
        }
    }
    if words.is_in_word {
        cased.push_str(key.get(begin..)?);
    }
    cased.make_ascii_lowercase();
    Some(cased.into_bump_str())
}

fn unicode_snake<'a>(key: &'a str, arena: &'a Bump) -> Option<&'a str> {
    // At most a `_` before each letter, and few letters are longer in lower case.
    let mut cased = ArenaString::with_capacity_in(2 * key.len(), arena);
    let mut words = Words::NONE;
    let mut characters = key.chars().peekable();
    while let Some(character) = characters.next() {
        if character == 'Σ' {
            return None;
        }
        let letter = Letter::of(character);
        if words.begins(letter, || characters.peek().map(|next| Letter::of(*next))) {
            cased.push('_');
        }
        if letter != Letter::Between {
            cased.extend(character.to_lowercase());
        }
    }
    Some(cased.into_bump_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t6_the_short_way_to_snake_case_is_the_same_case() {
        let letters = ["a", "B", "1", "_", ".", "–", "é", "É", "ǅ", "İ", "字"];
        let keys = (0..letters.len().pow(5))
            .map(|index| (0..5).map(|place| letters[index / letters.len().pow(place) % letters.len()]).collect::<String>());
        let arena = Bump::new();
        let words = ["totalBilled", "Total Billed", "HTTPServer2", "x", "", "größe", "GRÖẞE", "ΟΔΟΣ ΣΟΥ", "aBaBaBaBaB"];
        for key in keys.chain(words.map(str::to_owned)) {
            let expected = AsSnakeCase(&key).to_string();
            assert_eq!(snake(&key, &arena), (!key.contains('Σ')).then_some(&*expected), "{key:?}");
        }
    }
}
