//! Values on their way from an event into a body: source bytes where nothing converts them.

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};

use crate::date::{Instant, Unit};
use crate::event::Time;
use crate::json::{self, Kind, Member, Raw};
use crate::traits::{TraitId, Traits};

use super::definition::NullPolicy;

/// What an expression yields. What was put together on the way stands in the event's arena.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// Nothing was said.
    Absent,
    /// It was said to be nothing (semantics N2).
    Null,
    /// A JSON value other than null, in its source bytes.
    Raw(Raw<'a>),
    /// Text that leaves as a JSON string.
    Text(&'a str),
    /// Valid JSON made here: a number, a boolean, an array or an object.
    Json(&'a str),
    /// A date, and its source bytes if it has any.
    Date(&'a Time<'a>),
    /// A map that was opened.
    Map(&'a [Item<'a>]),
    /// A list that was made here.
    List(&'a [Value<'a>]),
}

/// One entry of an opened map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) key: &'a str,
    pub(super) value: Value<'a>,
    /// Key and value as JSON, where both are as they came in just that form; else empty.
    pub(super) source: &'a str,
    /// What it is, as far as that changes how it is written.
    pub(super) role: Role,
    /// Whether a filter changed its key.
    pub(super) is_renamed: bool,
}

/// The traits that are more than their value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// None of them.
    Other,
    /// `createdAt`, the one reserved date (semantics D1).
    CreatedAt,
    /// A custom trait that is declared a date (semantics T9).
    DeclaredDate,
    /// `address`, whose parts may be named elsewhere (semantics T4).
    Address,
}

impl Role {
    pub(super) fn of(id: Option<TraitId>, traits: &Traits<'_>) -> Role {
        match id {
            Some(TraitId::ADDRESS) => Role::Address,
            Some(TraitId::CREATED_AT) => Role::CreatedAt,
            Some(id) if traits.is_declared_date(id) => Role::DeclaredDate,
            Some(_) | None => Role::Other,
        }
    }
}

impl<'a> Item<'a> {
    /// Returns an entry that was put together here.
    pub(super) fn new(key: &'a str, value: Value<'a>) -> Item<'a> {
        Item {
            key,
            value,
            source: "",
            role: Role::Other,
            is_renamed: false,
        }
    }

    pub(super) fn of(member: &Member<'a>) -> Item<'a> {
        Item {
            source: member.source,
            ..Item::new(member.key, Value::from_raw(member.value))
        }
    }

    pub(super) fn renamed(self, key: &'a str) -> Item<'a> {
        if key == self.key {
            self
        } else {
            Item {
                key,
                source: "",
                is_renamed: true,
                ..self
            }
        }
    }

    /// Appends `"key":value` with the comma before it, or nothing at all if the value says nothing. A null goes by `nulls`;
    /// those that stand deeper belong to the trait's own value, and only its source says what they mean there.
    pub(super) fn write(&self, nulls: NullPolicy, is_first: &mut bool, out: &mut Vec<u8>) {
        // A filter that changed the value left it in another form than its source's.
        if let (false, Value::Raw(_)) = (self.source.is_empty(), self.value) {
            if !std::mem::take(is_first) {
                out.push(b',');
            }
            out.extend_from_slice(self.source.as_bytes());
            return;
        }
        let policy = if matches!(self.value, Value::Null) {
            nulls
        } else {
            NullPolicy::Keep
        };
        let (start, was_first) = (out.len(), *is_first);
        append_key(self.key, is_first, out);
        if !self.value.write(policy, out) {
            out.truncate(start);
            *is_first = was_first;
        }
    }
}

impl<'a> Value<'a> {
    pub(super) fn from_raw(raw: Raw<'a>) -> Value<'a> {
        if raw.is_null() {
            Value::Null
        } else {
            Value::Raw(raw)
        }
    }

    pub(super) fn boolean(value: bool) -> Value<'a> {
        Value::Json(if value { "true" } else { "false" })
    }

    /// Returns whether there is something to put into a field: neither absent nor null.
    pub(super) fn is_given(&self) -> bool {
        !matches!(self, Value::Absent | Value::Null)
    }

    /// Returns whether it is a text of white space, or of nothing.
    pub(super) fn is_blank(&self, arena: &'a Bump) -> bool {
        match self {
            Value::Text(text) => text.trim().is_empty(),
            // Nearly every text shows by its first byte that it is none.
            Value::Raw(raw) if raw.kind() == Kind::String => {
                let first = raw.text().as_bytes().get(1);
                let may_be = first.is_some_and(|byte| matches!(byte, b'"' | b' ' | b'\\' | 0x80..));
                may_be && raw_text(*raw, arena).is_some_and(|text| text.trim().is_empty())
            }
            Value::Absent
            | Value::Null
            | Value::Raw(_)
            | Value::Json(_)
            | Value::Date(..)
            | Value::Map(_)
            | Value::List(_) => false,
        }
    }

    /// Returns whether `when:` takes it for present: null, false, blank text, [] and {} are not, 0 is.
    pub(super) fn is_present(&self, policy: NullPolicy, arena: &'a Bump) -> bool {
        match self {
            Value::Absent | Value::Null => false,
            Value::Raw(raw) => {
                raw.text() != "false" && !is_empty_container(raw.text()) && !self.is_blank(arena)
            }
            Value::Text(_) => !self.is_blank(arena),
            Value::Json(json) => *json != "false" && !is_empty_container(json),
            Value::Date(..) => true,
            Value::Map(items) => items.iter().any(|item| item.value.is_written(policy)),
            Value::List(values) => !values.is_empty(),
        }
    }

    fn is_written(&self, policy: NullPolicy) -> bool {
        match self {
            Value::Absent => false,
            Value::Null => matches!(policy, NullPolicy::Keep | NullPolicy::Empty),
            Value::Raw(_)
            | Value::Text(_)
            | Value::Json(_)
            | Value::Date(..)
            | Value::Map(_)
            | Value::List(_) => true,
        }
    }

    /// Returns the value as text, as inside a longer string: a string's characters, a number's digits, `true`.
    ///
    /// `None` for what has no text: nothing, containers, and strings with a lone surrogate.
    pub(super) fn text(&self, arena: &'a Bump) -> Option<&'a str> {
        match self {
            Value::Absent | Value::Null | Value::Map(_) | Value::List(_) => None,
            Value::Raw(raw) | Value::Date(Time { raw: Some(raw), .. }) => raw_text(*raw, arena),
            Value::Text(text) => Some(text),
            Value::Json(json) if json.starts_with(['{', '[']) => None,
            Value::Json(json) => Some(json),
            Value::Date(Time { instant, raw: None }) => {
                Some(formatted(*instant, Unit::Iso8601, arena))
            }
        }
    }

    /// Returns the value as JSON text.
    pub(super) fn json(&self, arena: &'a Bump) -> &'a str {
        let mut json = Vec::new();
        self.write(NullPolicy::Keep, &mut json);
        arena.alloc_str(&String::from_utf8_lossy(&json))
    }

    /// Returns whether it is an object.
    pub(super) fn is_map(&self) -> bool {
        match self {
            Value::Map(_) => true,
            Value::Raw(raw) => raw.kind() == Kind::Object,
            Value::Json(json) => json.starts_with('{'),
            Value::Absent | Value::Null | Value::Text(_) | Value::Date(..) | Value::List(_) => {
                false
            }
        }
    }

    /// Returns whether it is a number.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Value::Raw(raw) => raw.kind() == Kind::Number,
            Value::Json(json) => json::is_number(json),
            Value::Absent
            | Value::Null
            | Value::Text(_)
            | Value::Date(..)
            | Value::Map(_)
            | Value::List(_) => false,
        }
    }

    /// Returns whether it is an object or an array.
    pub(super) fn is_container(&self) -> bool {
        match self {
            Value::Map(_) | Value::List(_) => true,
            Value::Raw(raw) => matches!(raw.kind(), Kind::Object | Kind::Array),
            Value::Json(json) => json.starts_with(['{', '[']),
            Value::Absent | Value::Null | Value::Text(_) | Value::Date(..) => false,
        }
    }

    /// Appends the value as JSON; returns whether it said anything. Null goes by `policy`.
    pub(super) fn write(&self, policy: NullPolicy, out: &mut Vec<u8>) -> bool {
        match self {
            Value::Absent => return false,
            Value::Null => match policy {
                NullPolicy::Keep => out.extend_from_slice(b"null"),
                NullPolicy::Empty => out.extend_from_slice(b"\"\""),
                NullPolicy::Unset | NullPolicy::Drop => return false,
            },
            Value::Raw(raw) | Value::Date(Time { raw: Some(raw), .. }) => {
                out.extend_from_slice(raw.text().as_bytes())
            }
            Value::Text(text) => json::write_quoted(text, out),
            Value::Json(json) => out.extend_from_slice(json.as_bytes()),
            Value::Date(Time { instant, raw: None }) => {
                json::write_quoted(&instant.format(Unit::Iso8601), out)
            }
            Value::Map(items) => write_map(items, policy, out),
            Value::List(values) => write_list(values, out),
        }
        true
    }
}

/// Appends a key to an object, and the comma before it.
pub(super) fn append_key(key: &str, is_first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(is_first) {
        out.push(b',');
    }
    json::write_quoted(key, out);
    out.push(b':');
}

fn write_map(items: &[Item<'_>], policy: NullPolicy, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut is_first = true;
    for item in items {
        item.write(policy, &mut is_first, out);
    }
    out.push(b'}');
}

fn write_list(values: &[Value<'_>], out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        value.write(NullPolicy::Keep, out);
    }
    out.push(b']');
}

fn raw_text<'a>(raw: Raw<'a>, arena: &'a Bump) -> Option<&'a str> {
    match raw.kind() {
        Kind::String => raw.string(arena).ok().flatten(),
        Kind::Number | Kind::Boolean => Some(raw.text()),
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}

/// Returns an instant as text in the arena.
pub(super) fn formatted(instant: Instant, unit: Unit, arena: &Bump) -> &str {
    let mut text = ArenaString::with_capacity_in(32, arena);
    // Writing to a string cannot fail.
    instant.write(unit, &mut text).unwrap_or_default();
    text.into_bump_str()
}

/// Returns the items as a slice of the arena.
pub(super) fn collected<'a>(
    items: impl Iterator<Item = Item<'a>>,
    arena: &'a Bump,
) -> &'a [Item<'a>] {
    let mut collected = ArenaVec::with_capacity_in(items.size_hint().1.unwrap_or_default(), arena);
    collected.extend(items);
    collected.into_bump_slice()
}

fn is_empty_container(json: &str) -> bool {
    let inner = json
        .strip_prefix(['{', '['])
        .and_then(|rest| rest.strip_suffix(['}', ']']));
    inner.is_some_and(|inner| inner.trim().is_empty())
}
