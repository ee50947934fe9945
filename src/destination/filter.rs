//! What `| filter` does to a value. A value that does not fit is left out and noted; null and absent pass on.

use std::borrow::Cow;

use heck::{ToLowerCamelCase, ToSnakeCase, ToTitleCase};

use crate::date::{Instant, Unit};
use crate::json::{self, Kind, Raw};
use crate::traits::Fold;
use crate::verdict::{NoteCode, Reason};

use super::definition::NullPolicy;
use super::value::{Item, Value};

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

    fn apply(self, key: &str) -> String {
        match self {
            Case::Snake => key.to_snake_case(),
            Case::Camel => key.to_lower_camel_case(),
            Case::Title => key.to_title_case(),
            Case::Upper => key.to_uppercase(),
        }
    }
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
    pub(super) fn apply<'a>(&'a self, value: Value<'a>, sink: &mut impl Sink) -> Result<Value<'a>, Reason> {
        if !value.is_given() {
            return Ok(value);
        }
        let converted = match self {
            Filter::Date(unit) => date(&value, *unit),
            Filter::String => string(value),
            Filter::Integer => integer(&value),
            Filter::Number => number(value),
            Filter::Boolean => boolean(&value),
            Filter::Lower => value.text().map(|text| Value::Text(Cow::Owned(text.to_lowercase()))),
            Filter::Upper => value.text().map(|text| Value::Text(Cow::Owned(text.to_uppercase()))),
            Filter::Trim => value.text().map(|text| Value::Text(Cow::Owned(text.trim().to_owned()))),
            Filter::Truncate(length) => truncate(value, *length),
            Filter::Domain => value.text().and_then(|text| domain(&text)).map(|domain| Value::Text(Cow::Owned(domain))),
            Filter::Json => Some(json_text(&value)),
            Filter::Join(separator) => join(&value, separator),
            Filter::Nulls(_) => Some(value),
            Filter::Only { .. }
            | Filter::Except(_)
            | Filter::Rename(_)
            | Filter::Prefix(_)
            | Filter::Suffix(_)
            | Filter::Case(_)
            | Filter::Flatten(_)
            | Filter::Scalars
            | Filter::Dates(_) => match open(value)? {
                Some(items) => Some(Value::Map(self.apply_to_map(items, sink)?)),
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

    fn apply_to_map<'a>(&'a self, mut items: Vec<Item<'a>>, sink: &mut impl Sink) -> Result<Vec<Item<'a>>, Reason> {
        match self {
            Filter::Only { folds, is_setting } => items.retain(|item| {
                let is_listed = folds.iter().any(|fold| fold.is_of(&item.key));
                if !is_listed && *is_setting {
                    sink.note(NoteCode::UnlistedTrait, Some(&item.key));
                }
                is_listed
            }),
            Filter::Except(folds) => items.retain(|item| folds.iter().all(|fold| !fold.is_of(&item.key))),
            Filter::Rename(pairs) => {
                rename(&mut items, |key| pairs.iter().find(|(from, _)| from.is_of(key)).map(|(_, to)| to.clone()))
            }
            Filter::Prefix(prefix) => rename(&mut items, |key| Some(format!("{prefix}{key}"))),
            Filter::Suffix(suffix) => rename(&mut items, |key| Some(format!("{key}{suffix}"))),
            Filter::Case(case) => rename(&mut items, |key| Some(case.apply(key))),
            Filter::Flatten(separator) => {
                let mut flat = Vec::with_capacity(items.len());
                flatten(items, separator, &mut flat)?;
                items = flat;
            }
            Filter::Scalars => items.retain(|item| {
                let is_scalar = !item.value.is_container();
                if !is_scalar {
                    sink.note(NoteCode::TraitTypeMismatch, Some(&item.key));
                }
                is_scalar
            }),
            Filter::Dates(unit) => dates(&mut items, *unit, sink),
            Filter::Date(_)
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
            | Filter::Nulls(_) => {}
        }
        Ok(items)
    }
}

fn date<'a>(value: &Value<'a>, unit: Unit) -> Option<Value<'a>> {
    let instant = match value {
        Value::Date(instant, _) => *instant,
        Value::Raw(raw) => Instant::from_json(*raw)?,
        Value::Text(text) => Instant::from_text(text)?,
        Value::Json(json) => Instant::from_json(Raw::parse(json).ok()?)?,
        Value::Absent | Value::Null | Value::Map(_) | Value::List(_) => return None,
    };
    let text = Cow::Owned(instant.format(unit));
    Some(if unit.is_number() { Value::Json(text) } else { Value::Text(text) })
}

/// Makes a value a JSON string; one that is a string already keeps its source bytes.
pub(super) fn string(value: Value<'_>) -> Option<Value<'_>> {
    if let Value::Raw(raw) | Value::Date(_, Some(raw)) = value
        && raw.kind() == Kind::String
    {
        return Some(Value::Raw(raw));
    }
    value.text().map(Value::Text)
}

/// Makes a value a JSON number; one that is a number already keeps its source bytes.
pub(super) fn number(value: Value<'_>) -> Option<Value<'_>> {
    if let Value::Raw(raw) = value
        && raw.kind() == Kind::Number
    {
        return Some(value);
    }
    value.text().filter(|text| json::is_number(text)).map(Value::Json)
}

/// Makes a value an integral JSON number; one written without point and exponent keeps its source bytes.
pub(super) fn integer<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    let text = value.text()?;
    let (is_negative, digits, fraction) = json::decimal(&text)?;
    if fraction.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    Some(Value::Json(if is_plain { text } else { Cow::Owned(format!("{}{digits}", if is_negative { "-" } else { "" })) }))
}

fn boolean<'a>(value: &Value<'a>) -> Option<Value<'a>> {
    match &*value.text()? {
        "true" => Some(Value::boolean(true)),
        "false" => Some(Value::boolean(false)),
        _ => None,
    }
}

fn truncate(value: Value<'_>, length: usize) -> Option<Value<'_>> {
    let value = string(value)?;
    let text = value.text()?;
    match text.char_indices().nth(length) {
        None => Some(value),
        Some((end, _)) => Some(Value::Text(Cow::Owned(text.get(..end)?.to_owned()))),
    }
}

/// Returns the host of a URL, lower case and without `www.`; a bare host is its own.
fn domain(url: &str) -> Option<String> {
    let url = url.trim();
    let rest = url.split_once("//").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = host.split_once(':').map_or(host, |(host, _)| host).trim_end_matches('.').to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let is_host = host.contains('.')
        && host.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|character| character.is_alphanumeric() || matches!(character, '-' | '_'))
        });
    is_host.then(|| host.to_owned())
}

fn json_text<'a>(value: &Value<'a>) -> Value<'a> {
    let mut json = Vec::new();
    value.write(NullPolicy::Keep, &mut json);
    Value::Text(Cow::Owned(String::from_utf8_lossy(&json).into_owned()))
}

fn join<'a>(value: &Value<'a>, separator: &str) -> Option<Value<'a>> {
    let texts = match value {
        Value::Raw(raw) => texts(*raw)?,
        Value::Json(json) => texts(Raw::parse(json).ok()?)?,
        Value::List(values) => values.iter().map(Value::text).collect::<Option<_>>()?,
        Value::Absent | Value::Null | Value::Text(_) | Value::Date(..) | Value::Map(_) => return None,
    };
    Some(Value::Text(Cow::Owned(texts.join(separator))))
}

/// Returns the elements of an array as texts; `None` if it is none, or holds what has no text.
fn texts(raw: Raw<'_>) -> Option<Vec<Cow<'_, str>>> {
    let is_array = raw.kind() == Kind::Array;
    is_array.then(|| raw.elements())?.into_iter().map(|element| Value::Raw(element).text()).collect()
}

/// Opens an object; `None` for what is none.
pub(super) fn open(value: Value<'_>) -> Result<Option<Vec<Item<'_>>>, Reason> {
    match value {
        Value::Map(items) => Ok(Some(items)),
        Value::Raw(raw) if raw.kind() == Kind::Object => {
            let mut members = Vec::new();
            raw.members(&mut members).map_err(|_| Reason::InvalidString)?;
            Ok(Some(members.into_iter().map(|member| Item::new(member.key, member.value)).collect()))
        }
        Value::Json(Cow::Borrowed(json)) if json.starts_with('{') => {
            Raw::parse(json).map_or(Ok(None), |raw| open(Value::Raw(raw)))
        }
        Value::Json(Cow::Owned(json)) if json.starts_with('{') => {
            Ok(open(Value::Json(Cow::Borrowed(&json)))?.map(|items| items.iter().map(Item::to_owned).collect()))
        }
        Value::Absent | Value::Null | Value::Raw(_) | Value::Text(_) | Value::Json(_) | Value::Date(..) | Value::List(_) => {
            Ok(None)
        }
    }
}

fn rename(items: &mut [Item<'_>], new_key: impl Fn(&str) -> Option<String>) {
    for item in items {
        if let Some(key) = new_key(&item.key).filter(|key| *key != item.key) {
            item.key = Cow::Owned(key);
            item.is_renamed = true;
        }
    }
}

/// Moves the members of objects up under joined keys. Depth is bounded by the limit on an event's nesting (E9).
fn flatten<'a>(items: Vec<Item<'a>>, separator: &str, flat: &mut Vec<Item<'a>>) -> Result<(), Reason> {
    for item in items {
        if !item.value.is_map() {
            flat.push(item);
            continue;
        }
        let mut inner = open(item.value)?.unwrap_or_default();
        for member in &mut inner {
            member.key = Cow::Owned(format!("{}{separator}{}", item.key, member.key));
            member.is_renamed = true;
            member.id = None;
        }
        flatten(inner, separator, flat)?;
    }
    Ok(())
}

/// Converts `createdAt`, the one trait that is a date (semantics D1); one that is none is left out.
fn dates<'a>(items: &mut Vec<Item<'a>>, unit: Unit, sink: &mut impl Sink) {
    items.retain_mut(|item| {
        if item.id != Some(crate::traits::TraitId::CREATED_AT) || !item.value.is_given() {
            return true;
        }
        match date(&item.value, unit) {
            Some(value) => item.value = value,
            None => {
                sink.note(NoteCode::TraitTypeMismatch, Some(&item.key));
                return false;
            }
        }
        true
    });
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
            assert_eq!(domain(url).as_deref(), expected, "{url}");
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
            let value = integer(&Value::Raw(Raw::parse(json).unwrap()));
            assert_eq!(value.and_then(|value| value.text().map(Cow::into_owned)).as_deref(), expected, "{json}");
        }
    }
}
