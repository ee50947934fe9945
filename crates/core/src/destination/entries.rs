//! What `| filter` does to a map: all filters that follow one another to one entry, then to the next. What does not fit is left out
//! and noted.

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use crate::date::Unit;
use crate::event::Time;
use crate::json::{Kind, Raw};
use crate::traits::{Fold, PARTS};
use crate::verdict::{NoteCode, Reason};

use super::case::Case;
use super::filter::{
    Filter, Sink, date, integer, is_between, join, joined, open, string, truncate,
};
use super::fit::{Length, Names};
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
    Texts(Length),
    /// Lists whose elements are all of these kinds; other values as they are.
    ListsOf(Vec<Kind>),
    /// Entries whose key begins so, through a filter of a value.
    Convert(Vec<(String, Filter)>),
    /// Numbers that are not whole, or not from the first to the second, as text; other values as they are.
    Integers(f64, f64),
    /// Each number and boolean as text, or the booleans alone.
    Strings {
        numbers: bool,
    },
    /// Each list as one text.
    Lists(String),
    /// The members of that one object among the others.
    Unwrap(Fold),
    /// Entries whose key does not begin so.
    ExceptPrefix(Vec<String>),
    /// Numbers from the first to the second; other values as they are.
    Numbers(f64, f64),
    /// Entries whose key the vendor takes.
    Names(Names),
    /// No more entries than this.
    First(usize),
}

impl EntryFilter {
    /// Returns whether the filter can make two keys one.
    pub(super) fn changes_keys(&self) -> bool {
        match self {
            EntryFilter::Rename(_)
            | EntryFilter::Prefix(_)
            | EntryFilter::Suffix(_)
            | EntryFilter::Case(_)
            | EntryFilter::Unwrap(_)
            | EntryFilter::Flatten(_) => true,
            EntryFilter::Only { .. }
            | EntryFilter::Except(_)
            | EntryFilter::Scalars
            | EntryFilter::Dates(_)
            | EntryFilter::Texts(_)
            | EntryFilter::ListsOf(_)
            | EntryFilter::Convert(_)
            | EntryFilter::Integers(..)
            | EntryFilter::Strings { .. }
            | EntryFilter::Lists(_)
            | EntryFilter::ExceptPrefix(_)
            | EntryFilter::Numbers(..)
            | EntryFilter::Names(_)
            | EntryFilter::First(_) => false,
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
    // A name that `rename` gives is the whole name.
    let mut is_final = false;
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
                    (key, is_final) = (to, true);
                }
            }
            EntryFilter::Prefix(_) | EntryFilter::Suffix(_) | EntryFilter::Case(_) if is_final => {}
            EntryFilter::Prefix(prefix) => key = joined([prefix, key, ""], arena),
            EntryFilter::Suffix(suffix) => key = joined([key, suffix, ""], arena),
            EntryFilter::Case(case) => {
                let cased = case.apply(key, arena);
                if cased.is_empty() {
                    sink.note(NoteCode::KeyEmpty, Some(key));
                    return Ok(());
                }
                key = cased;
            }
            EntryFilter::Flatten(separator) => {
                let filters = filters.get(index..).unwrap_or_default();
                if value.is_map() {
                    return flatten(key, value, separator, filters, arena, sink, kept);
                }
                if item.role == Role::Address && matches!(value, Value::Null) {
                    return flatten_null(key, separator, filters, arena, sink, kept);
                }
            }
            EntryFilter::Scalars => {
                if value.is_container() {
                    sink.note(NoteCode::TraitTypeMismatch, Some(key));
                    return Ok(());
                }
            }
            EntryFilter::Dates(unit) => {
                let is_date = matches!(item.role, Role::CreatedAt | Role::DeclaredDate);
                if is_date && value.is_given() {
                    match date(&value, *unit, arena) {
                        Some(date) => value = date,
                        // It was noted when the event was read, and stays (semantics T9).
                        None if item.role == Role::DeclaredDate => {}
                        None => {
                            sink.note(NoteCode::TraitTypeMismatch, Some(key));
                            return Ok(());
                        }
                    }
                }
            }
            EntryFilter::Texts(length) => value = shortened(value, *length, arena),
            EntryFilter::ListsOf(kinds) => {
                if !is_list_of(&value, kinds, arena) {
                    sink.note(NoteCode::TraitTypeMismatch, Some(key));
                    return Ok(());
                }
            }
            EntryFilter::Convert(filters) => {
                let is_of = |(prefix, _): &&(String, Filter)| key.starts_with(&**prefix);
                if let Some((_, filter)) = filters.iter().find(is_of)
                    && value.is_given()
                {
                    let Some(converted) = filter.convert(value, arena) else {
                        sink.note(NoteCode::TraitTypeMismatch, Some(key));
                        return Ok(());
                    };
                    value = converted;
                }
            }
            EntryFilter::Integers(least, most) => {
                if value.is_number() {
                    value = match integer(&value, arena) {
                        Some(whole) if is_between(&whole, *least, *most) => whole,
                        _ => string(value, arena).unwrap_or(value),
                    };
                }
            }
            EntryFilter::Strings { numbers } => {
                if value.is_given() && !value.is_container() && (*numbers || !value.is_number()) {
                    value = string(value, arena).unwrap_or(value);
                }
            }
            EntryFilter::Lists(separator) => {
                if let Some(text) = join(&value, separator, arena) {
                    value = text;
                }
            }
            EntryFilter::Unwrap(fold) => {
                if fold.is_of(key) && value.is_map() {
                    let filters = filters.get(index + 1..).unwrap_or_default();
                    for member in open(value, arena)?.unwrap_or_default() {
                        let item = Item {
                            is_renamed: true,
                            ..*member
                        };
                        pass(&item, filters, arena, sink, kept)?;
                    }
                    return Ok(());
                }
            }
            EntryFilter::ExceptPrefix(prefixes) => {
                if prefixes.iter().any(|prefix| key.starts_with(&**prefix)) {
                    sink.note(NoteCode::KeyRefused, Some(key));
                    return Ok(());
                }
            }
            EntryFilter::Numbers(least, most) => {
                if value.is_number() && !is_between(&value, *least, *most) {
                    sink.note(NoteCode::TraitTypeMismatch, Some(key));
                    return Ok(());
                }
            }
            EntryFilter::Names(names) => {
                if !names.take(key) {
                    sink.note(NoteCode::KeyRefused, Some(key));
                    return Ok(());
                }
            }
            EntryFilter::First(most) => {
                if kept.len() >= *most {
                    sink.note(NoteCode::KeyRefused, Some(key));
                    return Ok(());
                }
            }
        }
    }
    kept.push(Item {
        value,
        ..item.renamed(key)
    });
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
        let item = Item {
            is_renamed: true,
            ..Item::new(key, member.value)
        };
        pass(&item, filters, arena, sink, kept)?;
    }
    Ok(())
}

/// Has each part of an address be null under its joined key (semantics T4).
fn flatten_null<'a>(
    key: &str,
    separator: &str,
    filters: &'a [EntryFilter],
    arena: &'a Bump,
    sink: &mut impl Sink,
    kept: &mut ArenaVec<'a, Item<'a>>,
) -> Result<(), Reason> {
    for part in PARTS {
        let item = Item {
            is_renamed: true,
            ..Item::new(joined([key, separator, part.name()], arena), Value::Null)
        };
        pass(&item, filters, arena, sink, kept)?;
    }
    Ok(())
}

/// Returns whether a value is no list, or a list of these kinds.
fn is_list_of<'a>(value: &Value<'a>, kinds: &[Kind], arena: &'a Bump) -> bool {
    let list = match value {
        Value::Raw(raw) => Some(*raw),
        Value::Json(json) => Raw::parse(json).ok(),
        // The one list that a definition writes itself is that of keys.
        Value::Absent
        | Value::Null
        | Value::Text(_)
        | Value::Date(..)
        | Value::Map(_)
        | Value::List(_) => None,
    };
    let is_taken = |element: &Raw<'a>| kinds.contains(&element.kind());
    list.filter(|list| list.kind() == Kind::Array)
        .is_none_or(|list| list.elements_in(arena).iter().all(is_taken))
}

/// Cuts a value that is a text, or a date that is sent as the text that it came as.
fn shortened<'a>(value: Value<'a>, length: Length, arena: &'a Bump) -> Value<'a> {
    let is_text = match value {
        Value::Raw(raw) | Value::Date(&Time { raw: Some(raw), .. }) => raw.kind() == Kind::String,
        Value::Text(_) => true,
        Value::Absent
        | Value::Null
        | Value::Json(_)
        | Value::Date(Time { raw: None, .. })
        | Value::Map(_)
        | Value::List(_) => false,
    };
    if is_text {
        truncate(value, length, arena).unwrap_or(value)
    } else {
        value
    }
}
