//! What `| filter` does to a value; [`super::entries`] has those of maps. A value that does not fit is left out and noted; null
//! and absent pass on.

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;

use crate::date::{Instant, Unit};
use crate::event::Time;
use crate::json::{self, Kind, Raw};
use crate::verdict::{NoteCode, Reason};

use super::fit::{Length, Names};
use super::value::{Item, Value, collected, formatted};

/// A filter of one value, its arguments checked.
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
    Truncate(Length),
    AtMost(Length),
    /// A number from the first to the second.
    Between(f64, f64),
    Filled,
    /// A text of the names' characters, without white space around it.
    Like(Names),
    Domain,
    Json,
    /// A list of the value, unless it is one.
    List,
    Join(String),
}

/// Is told of what a filter leaves out: the code, and the key if one of a map's is meant.
pub(super) trait Sink {
    fn note(&mut self, code: NoteCode, key: Option<&str>);
}

impl Filter {
    /// Returns whether what it does not take counts as no value, so that the next one of `??` is asked.
    pub(super) fn makes_way(&self) -> bool {
        matches!(
            self,
            Filter::String | Filter::Integer | Filter::Number | Filter::Boolean | Filter::AtMost(_)
        )
    }

    /// Applies the filter.
    pub(super) fn apply<'a>(
        &'a self,
        value: Value<'a>,
        arena: &'a Bump,
        sink: &mut impl Sink,
    ) -> Value<'a> {
        if !value.is_given() {
            return value;
        }
        self.convert(value, arena).unwrap_or_else(|| {
            sink.note(NoteCode::TraitTypeMismatch, None);
            Value::Absent
        })
    }

    /// Returns what comes of a value that is given; nothing if the filter cannot take it.
    pub(super) fn convert<'a>(&'a self, value: Value<'a>, arena: &'a Bump) -> Option<Value<'a>> {
        match self {
            Filter::Date(unit) => date(&value, *unit, arena),
            Filter::String => string(value, arena),
            Filter::Integer => integer(&value, arena),
            Filter::Number => number(value, arena),
            Filter::Boolean => boolean(&value, arena),
            Filter::Lower => value
                .text(arena)
                .map(|text| Value::Text(arena.alloc_str(&text.to_lowercase()))),
            Filter::Upper => value
                .text(arena)
                .map(|text| Value::Text(arena.alloc_str(&text.to_uppercase()))),
            Filter::Trim => value.text(arena).map(|text| Value::Text(text.trim())),
            Filter::Truncate(length) => truncate(value, *length, arena),
            Filter::AtMost(length) => {
                let text = value.text(arena);
                text.is_some_and(|text| length.holds(text)).then_some(value)
            }
            Filter::Between(least, most) => is_between(&value, *least, *most).then_some(value),
            Filter::Like(names) => {
                let is_like = |text: &&str| text.trim() == *text && names.take(text);
                value.text(arena).filter(is_like).is_some().then_some(value)
            }
            Filter::Filled => (!value.is_blank(arena)).then_some(value),
            Filter::Domain => value
                .text(arena)
                .and_then(|text| domain(text, arena))
                .map(Value::Text),
            Filter::Json => Some(Value::Text(value.json(arena))),
            Filter::List => list(value, arena),
            Filter::Join(separator) => join(&value, separator, arena),
        }
    }
}

pub(super) fn date<'a>(value: &Value<'a>, unit: Unit, arena: &'a Bump) -> Option<Value<'a>> {
    let instant = match value {
        Value::Date(time) => time.instant,
        Value::Raw(raw) => Instant::from_json(*raw)?,
        Value::Text(text) => Instant::from_text(text)?,
        Value::Json(json) => Instant::from_json(Raw::parse(json).ok()?)?,
        Value::Absent | Value::Null | Value::Map(_) | Value::List(_) => return None,
    };
    let text = formatted(instant, unit, arena);
    Some(if unit.is_number() {
        Value::Json(text)
    } else {
        Value::Text(text)
    })
}

/// Makes a value a JSON string; one that is a string already keeps its source bytes.
pub(super) fn string<'a>(value: Value<'a>, arena: &'a Bump) -> Option<Value<'a>> {
    if let Value::Raw(raw) | Value::Date(&Time { raw: Some(raw), .. }) = value
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
    value
        .text(arena)
        .filter(|text| json::is_number(text))
        .map(Value::Json)
}

/// Makes a value an integral JSON number; one written without point and exponent keeps its source bytes.
pub(super) fn integer<'a>(value: &Value<'a>, arena: &'a Bump) -> Option<Value<'a>> {
    let text = value.text(arena)?;
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'-');
    if is_plain {
        return json::is_number(text).then_some(Value::Json(text));
    }
    let (is_negative, digits, fraction) = json::decimal(text)?;
    if fraction.bytes().any(|byte| byte != b'0') {
        return None;
    }
    Some(Value::Json(joined(
        [if is_negative { "-" } else { "" }, &digits, ""],
        arena,
    )))
}

fn boolean<'a>(value: &Value<'a>, arena: &'a Bump) -> Option<Value<'a>> {
    match value.text(arena)? {
        "true" => Some(Value::boolean(true)),
        "false" => Some(Value::boolean(false)),
        _ => None,
    }
}

pub(super) fn truncate<'a>(value: Value<'a>, length: Length, arena: &'a Bump) -> Option<Value<'a>> {
    // What a string is in JSON is longer than the text itself, and a text has at most as many characters as bytes.
    if let Value::Raw(raw) = value
        && raw.is_plain_string()
        && raw.text().len() <= length.number()
    {
        return Some(value);
    }
    let value = string(value, arena)?;
    let text = value.text(arena)?;
    if length.holds(text) {
        return Some(value);
    }
    Some(Value::Text(length.cut(text)))
}

/// Returns whether a value is a number between two, or one of them.
pub(super) fn is_between(value: &Value<'_>, least: f64, most: f64) -> bool {
    let number = match value {
        Value::Raw(raw) if raw.kind() == Kind::Number => raw.text().parse(),
        Value::Json(json) => json.parse::<f64>(),
        Value::Absent
        | Value::Null
        | Value::Raw(_)
        | Value::Text(_)
        | Value::Date(..)
        | Value::Map(_)
        | Value::List(_) => return false,
    };
    number.is_ok_and(|number| (least..=most).contains(&number))
}

/// Returns the host of a URL, lower case and without `www.`; a bare host is its own.
fn domain<'a>(url: &'a str, arena: &'a Bump) -> Option<&'a str> {
    // Bytes are looked for, and all of them ASCII: searching for patterns costs more than the rest of a body.
    let before = |text: &'a str, is_end: fn(&u8) -> bool| {
        text.get(..text.bytes().position(|byte| is_end(&byte))?)
    };
    let url = url.trim();
    let rest = match url.as_bytes().windows(2).position(|pair| pair == b"//") {
        Some(slashes) => url.get(slashes + 2..)?,
        None => url,
    };
    let authority = before(rest, |byte| matches!(byte, b'/' | b'?' | b'#' | b'\\')).unwrap_or(rest);
    let host = match authority.bytes().rposition(|byte| byte == b'@') {
        Some(at) => authority.get(at + 1..)?,
        None => authority,
    };
    let host = lower(
        before(host, |byte| *byte == b':')
            .unwrap_or(host)
            .trim_end_matches('.'),
        arena,
    );
    let host = host.strip_prefix("www.").unwrap_or(host);
    is_host(host).then_some(host)
}

/// Returns whether a text is labels with dots between them, two at least.
fn is_host(host: &str) -> bool {
    let (mut n_dots, mut before) = (0, '.');
    for character in host.chars() {
        match character {
            '.' if before == '.' => return false,
            '.' => n_dots += 1,
            '-' | '_' => {}
            _ if character.is_alphanumeric() => {}
            _ => return false,
        }
        before = character;
    }
    n_dots > 0 && before != '.'
}

fn lower<'a>(text: &'a str, arena: &'a Bump) -> &'a str {
    let is_lower = text
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
    if is_lower {
        text
    } else {
        arena.alloc_str(&text.to_lowercase())
    }
}

pub(super) fn join<'a>(value: &Value<'a>, separator: &str, arena: &'a Bump) -> Option<Value<'a>> {
    let mut joined = ArenaString::new_in(arena);
    let mut is_first = true;
    let mut push = |text: &str| {
        if !std::mem::take(&mut is_first) {
            joined.push_str(separator);
        }
        joined.push_str(text);
    };
    let array = match value {
        Value::Raw(raw) => *raw,
        Value::Json(json) => Raw::parse(json).ok()?,
        Value::List(values) => {
            for value in *values {
                push(value.text(arena)?);
            }
            return Some(Value::Text(joined.into_bump_str()));
        }
        Value::Absent | Value::Null | Value::Text(_) | Value::Date(..) | Value::Map(_) => {
            return None;
        }
    };
    if array.kind() != Kind::Array {
        return None;
    }
    for element in array.elements_in(arena) {
        push(Value::Raw(*element).text(arena)?);
    }
    Some(Value::Text(joined.into_bump_str()))
}

fn list<'a>(value: Value<'a>, arena: &'a Bump) -> Option<Value<'a>> {
    if !value.is_container() {
        let element = value.json(arena);
        return Some(Value::Json(joined(["[", element, "]"], arena)));
    }
    (!value.is_map()).then_some(value)
}

/// Opens an object; `None` for what is none.
pub(super) fn open<'a>(
    value: Value<'a>,
    arena: &'a Bump,
) -> Result<Option<&'a [Item<'a>]>, Reason> {
    match value {
        Value::Map(items) => Ok(Some(items)),
        Value::Raw(raw) if raw.kind() == Kind::Object => {
            let members = raw.members(arena).map_err(|_| Reason::InvalidString)?;
            Ok(Some(collected(members.iter().map(Item::of), arena)))
        }
        Value::Json(json) if json.starts_with('{') => {
            Raw::parse(json).map_or(Ok(None), |raw| open(Value::Raw(raw), arena))
        }
        Value::Absent
        | Value::Null
        | Value::Raw(_)
        | Value::Text(_)
        | Value::Json(_)
        | Value::Date(..)
        | Value::List(_) => Ok(None),
    }
}

pub(super) fn joined<'a>(parts: [&str; 3], arena: &'a Bump) -> &'a str {
    let mut whole = ArenaString::with_capacity_in(parts.iter().map(|part| part.len()).sum(), arena);
    parts.iter().for_each(|part| whole.push_str(part));
    whole.into_bump_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_hosts() {
        for (url, expected) in [
            (
                "https://www.Initech.example.com/about?x#y",
                Some("initech.example.com"),
            ),
            ("initech.example.com", Some("initech.example.com")),
            (
                "http://user:pass@initech.example.com:8080",
                Some("initech.example.com"),
            ),
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
            assert_eq!(
                value.and_then(|value| value.text(&arena)),
                expected,
                "{json}"
            );
        }
    }
}
