//! What `| filter` does to a value. A value that does not fit is left out and noted; null and absent pass on.

use std::fmt::Write;

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};
use heck::{AsLowerCamelCase, AsSnakeCase, AsTitleCase};

use crate::date::{Instant, Unit};
use crate::json::{self, Kind, Raw};
use crate::traits::Fold;
use crate::verdict::{NoteCode, Reason};

use super::definition::NullPolicy;
use super::value::{Item, Value, collected, formatted};

/// A filter, its arguments checked.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    Date(Unit),
    String,
    Integer,
    Number,
    Boolean,
    Lower,
    Upper,
    Trim,
    Truncate(usize),
    Domain,
    Json,
    Join(String),
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
    Nulls(NullPolicy),
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
        if self == Case::Snake {
            if is_snake(key) {
                return key;
            }
            if let Some(cased) = snake(key, arena) {
                return cased;
            }
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

/// Returns whether a key is in snake case, as most that are ASCII are.
fn is_snake(key: &str) -> bool {
    let is_word_byte = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut before = b'_';
    let is_snake = key.bytes().all(|byte| {
        let follows = is_word_byte(&byte) || byte == b'_' && before != b'_';
        before = byte;
        follows
    });
    is_snake && before != b'_'
}

/// Does what heck does, to a key that is ASCII; `None` for others.
fn snake<'a>(key: &str, arena: &'a Bump) -> Option<&'a str> {
    key.is_ascii().then_some(())?;
    // At most a `_` before each letter.
    let cased = arena.alloc_slice_fill_copy(2 * key.len(), b'_');
    let (mut length, mut is_in_word, mut is_lower, mut is_upper) = (0, false, false, false);
    let mut bytes = key.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if !byte.is_ascii_alphanumeric() {
            (is_in_word, is_lower, is_upper) = (false, false, false);
            continue;
        }
        let begins_word =
            byte.is_ascii_uppercase() && (is_lower || is_upper && bytes.peek().is_some_and(u8::is_ascii_lowercase));
        if (begins_word || !is_in_word) && length > 0 {
            length += 1;
        }
        // A digit is neither, and changes nothing.
        if byte.is_ascii_alphabetic() {
            (is_lower, is_upper) = (byte.is_ascii_lowercase(), byte.is_ascii_uppercase());
        }
        is_in_word = true;
        *cased.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    str::from_utf8(cased.get(..length)?).ok()
}

/// Is told of what a filter leaves out: the code, and the key if one of a map's is meant.
pub(super) trait Sink {
    fn note(&mut self, code: NoteCode, key: Option<&str>);
}

impl Filter {
    /// Applies the filter.
    ///
    /// # Errors
    /// [`Reason::InvalidString`] if it opens an object that has a key with a lone surrogate.
    pub(super) fn apply<'a>(&'a self, value: Value<'a>, arena: &'a Bump, sink: &mut impl Sink) -> Result<Value<'a>, Reason> {
        if !value.is_given() {
            return Ok(value);
        }
        let converted = match self {
            Filter::Date(unit) => date(&value, *unit, arena),
            Filter::String => string(value, arena),
            Filter::Integer => integer(&value, arena),
            Filter::Number => number(value, arena),
            Filter::Boolean => boolean(&value, arena),
            Filter::Lower => value.text(arena).map(|text| Value::Text(arena.alloc_str(&text.to_lowercase()))),
            Filter::Upper => value.text(arena).map(|text| Value::Text(arena.alloc_str(&text.to_uppercase()))),
            Filter::Trim => value.text(arena).map(|text| Value::Text(text.trim())),
            Filter::Truncate(length) => truncate(value, *length, arena),
            Filter::Domain => value.text(arena).and_then(|text| domain(text, arena)).map(Value::Text),
            Filter::Json => Some(Value::Text(value.json(arena))),
            Filter::Join(separator) => join(&value, separator, arena),
            Filter::Nulls(_) => Some(value),
            Filter::Only { .. }
            | Filter::Except(_)
            | Filter::Rename(_)
            | Filter::Prefix(_)
            | Filter::Suffix(_)
            | Filter::Case(_)
            | Filter::Flatten(_)
            | Filter::Scalars
            | Filter::Dates(_)
            | Filter::Texts(_) => match open(value, arena)? {
                Some(items) => Some(Value::Map(self.apply_to_map(items, arena, sink)?)),
                None => None,
            },
        };
        Ok(converted.unwrap_or_else(|| {
            sink.note(NoteCode::TraitTypeMismatch, None);
            Value::Absent
        }))
    }

    /// Returns whether the filter can make two keys one.
    pub(super) fn changes_keys(&self) -> bool {
        matches!(self, Filter::Rename(_) | Filter::Prefix(_) | Filter::Suffix(_) | Filter::Case(_) | Filter::Flatten(_))
    }

    fn apply_to_map<'a>(
        &'a self,
        items: &'a [Item<'a>],
        arena: &'a Bump,
        sink: &mut impl Sink,
    ) -> Result<&'a [Item<'a>], Reason> {
        Ok(match self {
            Filter::Only { folds, is_setting } => retained(items, arena, |item| {
                let is_listed = folds.iter().any(|fold| fold.is_of(item.key));
                if !is_listed && *is_setting {
                    sink.note(NoteCode::UnlistedTrait, Some(item.key));
                }
                is_listed
            }),
            Filter::Except(folds) => retained(items, arena, |item| folds.iter().all(|fold| !fold.is_of(item.key))),
            Filter::Rename(pairs) => {
                renamed(items, arena, |key| pairs.iter().find(|(from, _)| from.is_of(key)).map_or(key, |(_, to)| to.as_str()))
            }
            Filter::Prefix(prefix) => renamed(items, arena, |key| joined([prefix, key, ""], arena)),
            Filter::Suffix(suffix) => renamed(items, arena, |key| joined([key, suffix, ""], arena)),
            Filter::Case(case) => renamed(items, arena, |key| case.apply(key, arena)),
            Filter::Flatten(separator) if items.iter().any(|item| item.value.is_map()) => {
                let mut flat = ArenaVec::with_capacity_in(2 * items.len(), arena);
                flatten(items, separator, &mut flat, arena)?;
                flat.into_bump_slice()
            }
            Filter::Scalars => retained(items, arena, |item| {
                let is_scalar = !item.value.is_container();
                if !is_scalar {
                    sink.note(NoteCode::TraitTypeMismatch, Some(item.key));
                }
                is_scalar
            }),
            Filter::Dates(unit) => collected(items.iter().filter_map(|item| dated(*item, *unit, arena, sink)), arena),
            Filter::Texts(length) => collected(items.iter().map(|item| shortened(*item, *length, arena)), arena),
            Filter::Flatten(_)
            | Filter::Date(_)
            | Filter::String
            | Filter::Integer
            | Filter::Number
            | Filter::Boolean
            | Filter::Lower
            | Filter::Upper
            | Filter::Trim
            | Filter::Truncate(_)
            | Filter::Domain
            | Filter::Json
            | Filter::Join(_)
            | Filter::Nulls(_) => items,
        })
    }
}

/// Returns the items that are kept, which are nearly always all of them.
fn retained<'a>(items: &'a [Item<'a>], arena: &'a Bump, mut is_kept: impl FnMut(&Item<'a>) -> bool) -> &'a [Item<'a>] {
    let n_first = items.iter().position(|item| !is_kept(item)).unwrap_or(items.len());
    let Some((first, [_, rest @ ..])) = items.split_at_checked(n_first) else { return items };
    collected(first.iter().chain(rest.iter().filter(|item| is_kept(item))).copied(), arena)
}

fn date<'a>(value: &Value<'a>, unit: Unit, arena: &'a Bump) -> Option<Value<'a>> {
    let instant = match value {
        Value::Date(instant, _) => **instant,
        Value::Raw(raw) => Instant::from_json(*raw)?,
        Value::Text(text) => Instant::from_text(text)?,
        Value::Json(json) => Instant::from_json(Raw::parse(json).ok()?)?,
        Value::Absent | Value::Null | Value::Map(_) | Value::List(_) => return None,
    };
    let text = formatted(instant, unit, arena);
    Some(if unit.is_number() { Value::Json(text) } else { Value::Text(text) })
}

/// Makes a value a JSON string; one that is a string already keeps its source bytes.
pub(super) fn string<'a>(value: Value<'a>, arena: &'a Bump) -> Option<Value<'a>> {
    if let Value::Raw(raw) | Value::Date(_, Some(raw)) = value
        && raw.kind() == Kind::String
    {
        return Some(Value::Raw(raw));
    }
    value.text(arena).map(Value::Text)
}

/// Makes a value a JSON number; one that is a number already keeps its source bytes.
pub(super) fn number<'a>(value: Value<'a>, arena: &'a Bump) -> Option<Value<'a>> {
    if let Value::Raw(raw) = value
        && raw.kind() == Kind::Number
    {
        return Some(value);
    }
    value.text(arena).filter(|text| json::is_number(text)).map(Value::Json)
}

/// Makes a value an integral JSON number; one written without point and exponent keeps its source bytes.
pub(super) fn integer<'a>(value: &Value<'a>, arena: &'a Bump) -> Option<Value<'a>> {
    let text = value.text(arena)?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_plain {
        return json::is_number(text).then_some(Value::Json(text));
    }
    let (is_negative, digits, fraction) = json::decimal(text)?;
    if fraction.bytes().any(|byte| byte != b'0') {
        return None;
    }
    Some(Value::Json(joined([if is_negative { "-" } else { "" }, &digits, ""], arena)))
}

fn boolean<'a>(value: &Value<'a>, arena: &'a Bump) -> Option<Value<'a>> {
    match value.text(arena)? {
        "true" => Some(Value::boolean(true)),
        "false" => Some(Value::boolean(false)),
        _ => None,
    }
}

fn truncate<'a>(value: Value<'a>, length: usize, arena: &'a Bump) -> Option<Value<'a>> {
    // What a string is in JSON is longer than the text itself, and a text has at most as many characters as bytes.
    if let Value::Raw(raw) = value
        && raw.is_plain_string()
        && raw.text().len() <= length
    {
        return Some(value);
    }
    let value = string(value, arena)?;
    let text = value.text(arena)?;
    // A text has at most as many characters as bytes.
    if text.len() <= length {
        return Some(value);
    }
    match text.char_indices().nth(length) {
        None => Some(value),
        Some((end, _)) => Some(Value::Text(text.get(..end)?)),
    }
}

/// Cuts the item's value where it is a text, or a date that is sent as the text that it came as.
fn shortened<'a>(item: Item<'a>, length: usize, arena: &'a Bump) -> Item<'a> {
    let is_text = match item.value {
        Value::Raw(raw) | Value::Date(_, Some(raw)) => raw.kind() == Kind::String,
        Value::Text(_) => true,
        Value::Absent | Value::Null | Value::Json(_) | Value::Date(_, None) | Value::Map(_) | Value::List(_) => false,
    };
    let value = is_text.then(|| truncate(item.value, length, arena)).flatten();
    Item { value: value.unwrap_or(item.value), ..item }
}

/// Returns the host of a URL, lower case and without `www.`; a bare host is its own.
fn domain<'a>(url: &'a str, arena: &'a Bump) -> Option<&'a str> {
    let url = url.trim();
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = lower(host.split_once(':').map_or(host, |(host, _)| host).trim_end_matches('.'), arena);
    let host = host.strip_prefix("www.").unwrap_or(host);
    let is_host = host.contains('.')
        && host.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|character| character.is_alphanumeric() || matches!(character, '-' | '_'))
        });
    is_host.then_some(host)
}

fn lower<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    let is_lower = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower { text } else { arena.alloc_str(&text.to_lowercase()) }
}

fn join<'a>(value: &Value<'a>, separator: &str, arena: &'a Bump) -> Option<Value<'a>> {
    let texts: Vec<&str> = match value {
        Value::Raw(raw) => texts(*raw, arena)?,
        Value::Json(json) => texts(Raw::parse(json).ok()?, arena)?,
        Value::List(values) => values.iter().map(|value| value.text(arena)).collect::<Option<_>>()?,
        Value::Absent | Value::Null | Value::Text(_) | Value::Date(..) | Value::Map(_) => return None,
    };
    Some(Value::Text(arena.alloc_str(&texts.join(separator))))
}

/// Returns the elements of an array as texts; `None` if it is none, or holds what has no text.
fn texts<'a>(raw: Raw<'a>, arena: &'a Bump) -> Option<Vec<&'a str>> {
    let is_array = raw.kind() == Kind::Array;
    is_array.then(|| raw.elements())?.into_iter().map(|element| Value::Raw(element).text(arena)).collect()
}

/// Opens an object; `None` for what is none.
pub(super) fn open<'a>(value: Value<'a>, arena: &'a Bump) -> Result<Option<&'a [Item<'a>]>, Reason> {
    match value {
        Value::Map(items) => Ok(Some(items)),
        Value::Raw(raw) if raw.kind() == Kind::Object => {
            let members = raw.members(arena).map_err(|_| Reason::InvalidString)?;
            Ok(Some(collected(members.iter().map(Item::of), arena)))
        }
        Value::Json(json) if json.starts_with('{') => Raw::parse(json).map_or(Ok(None), |raw| open(Value::Raw(raw), arena)),
        Value::Absent | Value::Null | Value::Raw(_) | Value::Text(_) | Value::Json(_) | Value::Date(..) | Value::List(_) => {
            Ok(None)
        }
    }
}

fn renamed<'a>(items: &[Item<'a>], arena: &'a Bump, new_key: impl Fn(&'a str) -> &'a str) -> &'a [Item<'a>] {
    collected(items.iter().map(|item| item.renamed(new_key(item.key))), arena)
}

fn joined<'a>(parts: [&str; 3], arena: &'a Bump) -> &'a str {
    let mut whole = ArenaString::with_capacity_in(parts.iter().map(|part| part.len()).sum(), arena);
    parts.iter().for_each(|part| whole.push_str(part));
    whole.into_bump_str()
}

/// Moves the members of objects up under joined keys. Depth is bounded by the limit on an event's nesting (E9).
fn flatten<'a>(items: &[Item<'a>], separator: &str, flat: &mut ArenaVec<'a, Item<'a>>, arena: &'a Bump) -> Result<(), Reason> {
    for item in items {
        if !item.value.is_map() {
            flat.push(*item);
            continue;
        }
        let inner = open(item.value, arena)?.unwrap_or_default().iter().map(|member| {
            let key = joined([item.key, separator, member.key], arena);
            Item { is_renamed: true, ..Item::new(key, member.value) }
        });
        flatten(collected(inner, arena), separator, flat, arena)?;
    }
    Ok(())
}

/// Converts `createdAt`, the one trait that is a date (semantics D1); one that is none is left out.
fn dated<'a>(item: Item<'a>, unit: Unit, arena: &'a Bump, sink: &mut impl Sink) -> Option<Item<'a>> {
    if item.id != Some(crate::traits::TraitId::CREATED_AT) || !item.value.is_given() {
        return Some(item);
    }
    let value = date(&item.value, unit, arena);
    if value.is_none() {
        sink.note(NoteCode::TraitTypeMismatch, Some(item.key));
    }
    Some(Item { value: value?, ..item })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_hosts() {
        for (url, expected) in [
            ("https://www.Initech.example.com/about?x#y", Some("initech.example.com")),
            ("initech.example.com", Some("initech.example.com")),
            ("http://user:pass@initech.example.com:8080", Some("initech.example.com")),
            ("//initech.example.com/", Some("initech.example.com")),
            ("WWW.initech.example.com.", Some("initech.example.com")),
            ("münchen.example.de", Some("münchen.example.de")),
            ("localhost", None),
            ("not a host.com", None),
            ("", None),
            ("https://", None),
            ("a..b", None),
        ] {
            assert_eq!(domain(url, &Bump::new()), expected, "{url}");
        }
    }

    #[test]
    fn t6_the_short_way_to_snake_case_is_the_same_case() {
        let letters = ["a", "B", "1", "_", "-", " ", ".", "é"];
        let keys = (0..letters.len().pow(5))
            .map(|index| (0..5).map(|place| letters[index / letters.len().pow(place) % letters.len()]).collect::<String>());
        let arena = Bump::new();
        let words = ["totalBilled", "Total Billed", "HTTPServer2", "x", "", "aBaBaBaBaB"];
        for key in keys.chain(words.map(str::to_owned)) {
            let expected = AsSnakeCase(&key).to_string();
            assert_eq!(is_snake(&key), key.is_ascii() && key == expected && !key.is_empty(), "{key:?}");
            assert_eq!(snake(&key, &arena), key.is_ascii().then_some(&*expected), "{key:?}");
        }
    }

    #[test]
    fn t8_integers_are_integral() {
        for (json, expected) in [
            ("50", Some("50")),
            (r#""50""#, Some("50")),
            ("50.0", Some("50")),
            ("5e1", Some("50")),
            ("-7", Some("-7")),
            ("12345678901234567890", Some("12345678901234567890")),
            ("50.5", None),
            ("1e-1", None),
            (r#""fifty""#, None),
            (r#""""#, None),
            ("true", None),
            ("[]", None),
            ("1e9999", None),
        ] {
            let arena = Bump::new();
            let value = integer(&Value::Raw(Raw::parse(json).unwrap()), &arena);
            assert_eq!(value.and_then(|value| value.text(&arena)), expected, "{json}");
        }
    }
}
