//! From a record's bytes to the object that is its event, or the reason that there is none (semantics E9, E10, E12, E14).

use bumpalo::Bump;

use super::place::Pointer;
use super::{Limits, Rejection, dead, ignored, lone_surrogate, shape};
use crate::json::{self, Kind, LoneSurrogate, Object, Raw};
use crate::record::Record;
use crate::verdict::Reason;

/// How the records of a topic are read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The most a record may be.
    pub limits: Limits,
    /// What is around the JSON of a value.
    pub format: SourceFormat,
    /// Where the value holds the event; absent where the value is the event (semantics E14).
    pub event_at: Option<Pointer>,
}

/// What is around the JSON of a record's value (semantics E15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceFormat {
    /// Nothing.
    #[default]
    Json,
    /// The frame of a schema registry: a zero byte and the schema's id in four.
    JsonSchema,
}

impl SourceFormat {
    /// The formats by the word that the configuration uses.
    pub const WORDS: &'static [(&'static str, SourceFormat)] = &[
        ("json", SourceFormat::Json),
        ("json_schema", SourceFormat::JsonSchema),
    ];
}

impl Reading {
    /// Returns what the record holds in the event's place, good event or not; `None` where it holds no JSON there.
    #[must_use]
    pub fn find<'a>(&self, record: &Record<'a>, arena: &'a Bump) -> Option<Raw<'a>> {
        let whole = Raw::parse(self.text(record).ok()?).ok()?;
        let Some(place) = &self.event_at else {
            return Some(whole);
        };
        let found = place.find(whole, arena).ok().flatten()?;
        match found.string(arena) {
            Ok(Some(text)) => Raw::parse(text).ok(),
            Ok(None) => Some(found),
            Err(LoneSurrogate) => None,
        }
    }

    /// Turns what stands in the event's place into JSON, or says why it is none (E9, E10, E12, E13, E14).
    pub(super) fn object<'a>(
        &self,
        record: &Record<'a>,
        arena: &'a Bump,
    ) -> Result<Object<'a>, Rejection> {
        let text = self.text(record)?;
        let Some(place) = &self.event_at else {
            return parse_object(text, self.limits.nesting, arena);
        };
        let whole = Raw::parse(text).map_err(|error| invalid_json(&error, text))?;
        check_nesting(text, self.limits.nesting)?;
        let found = place
            .find(whole, arena)
            .map_err(|_| lone_surrogate(&format!("a key on the way to {place}")))?;
        let Some(found) = found else {
            let but = if shape::is_group_call(whole, arena) {
                ", but the record itself is a group event"
            } else {
                ""
            };
            return Err(dead(
                Reason::NotAnObject,
                format!("nothing at {place}{but}"),
            ));
        };
        let text = match found.string(arena) {
            Ok(Some(text)) => text,
            Ok(None) => found.text(),
            Err(LoneSurrogate) => return Err(lone_surrogate(&format!("the text at {place}"))),
        };
        parse_object(text, self.limits.nesting, arena)
            .map_err(|rejection| rejection.at(Some(place)))
    }

    /// Returns the record's value as text.
    fn text<'a>(&self, record: &Record<'a>) -> Result<&'a str, Rejection> {
        let Some(value) = record.value else {
            return Err(ignored(Reason::Tombstone));
        };
        let size = value.len() + record.key.map_or(0, <[u8]>::len);
        if size > self.limits.record_bytes {
            return Err(dead(
                Reason::RecordTooLarge,
                format!("{size} bytes, the limit is {}", self.limits.record_bytes),
            ));
        }
        let value = match (self.format, value) {
            (SourceFormat::JsonSchema, [0x00, _, _, _, _, framed @ ..]) => framed,
            (SourceFormat::Json | SourceFormat::JsonSchema, _) => value,
        };
        match value {
            [] => return Err(dead(Reason::EmptyValue, "")),
            [0x00, rest @ ..] => {
                return Err(dead(Reason::UnsupportedEnvelope, "starts with 0x00")
                    .looking(shape::frame(rest)));
            }
            [0xC3, 0x01, ..] => {
                return Err(dead(Reason::UnsupportedEnvelope, "starts with 0xC3 0x01")
                    .looking(shape::AVRO_OBJECT));
            }
            _ => {}
        }
        let text = std::str::from_utf8(value).map_err(|error| {
            let place = format!("first invalid byte at {}", error.valid_up_to());
            let rejection = dead(Reason::InvalidUtf8, place);
            match value {
                [0x1F, 0x8B, ..] => rejection.looking(shape::GZIP),
                _ => rejection,
            }
        })?;
        // RFC 8259, section 8.1, lets a parser pass over a byte order mark.
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
    }
}

/// Reads a text as exactly one object.
fn parse_object<'a>(
    text: &'a str,
    max_nesting: usize,
    arena: &'a Bump,
) -> Result<Object<'a>, Rejection> {
    let object = Object::parse(text, "traits", arena);
    if object.is_none() {
        Raw::parse(text).map_err(|error| invalid_json(&error, text))?;
    }
    check_nesting(text, max_nesting)?;
    object.ok_or_else(|| no_object(text, arena))
}

fn check_nesting(text: &str, limit: usize) -> Result<(), Rejection> {
    if json::is_nested_deeper(text, limit) {
        return Err(dead(Reason::NestedTooDeep, format!("the limit is {limit}")));
    }
    Ok(())
}

fn invalid_json(error: &serde_json::Error, text: &str) -> Rejection {
    // serde_json's own message can quote the value; its category and place cannot.
    let what = if error.is_eof() {
        "ends too early"
    } else {
        "syntax error"
    };
    let (line, column) = (error.line(), error.column());
    let rejection = dead(
        Reason::InvalidJson,
        format!("{what} at line {line} column {column}"),
    );
    match shape::syntax(text, line, column) {
        Some(looks) => rejection.looking(looks),
        None => rejection,
    }
}

/// Says why valid JSON is no object whose keys are text.
fn no_object<'a>(text: &'a str, arena: &'a Bump) -> Rejection {
    let value = Raw::parse(text).unwrap_or(Raw::NULL);
    match value.kind() {
        Kind::Object => lone_surrogate("a key of the event"),
        Kind::Array => dead(Reason::UnsupportedEnvelope, "").looking(shape::ARRAY),
        Kind::String if shape::json_inside(value, arena).is_some() => {
            dead(Reason::NotAnObject, "a string").looking(shape::JSON_TEXT)
        }
        kind @ (Kind::Null | Kind::Boolean | Kind::Number | Kind::String) => {
            dead(Reason::NotAnObject, kind.name())
        }
    }
}
