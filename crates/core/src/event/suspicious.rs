//! Ids that stand for none: what a program writes for an id that it does not have (semantics E16).

use super::Id;
use crate::verdict::{Note, NoteCode, Observer};

/// What becomes of an id that stands for none (semantics E16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SuspiciousIds {
    /// It is counted, and is an id like any other.
    #[default]
    Count,
    /// It is no id.
    Reject,
}

impl SuspiciousIds {
    /// The words of the configuration.
    pub const WORDS: &'static [(&'static str, SuspiciousIds)] = &[
        ("count", SuspiciousIds::Count),
        ("reject", SuspiciousIds::Reject),
    ];
}

/// What programs write for an id that they do not have.
const NO_IDS: [&str; 4] = ["undefined", "null", "NaN", "[object Object]"];

/// Notes an id that stands for none, and returns whether it is one (E16).
pub(super) fn is_noted(name: &str, id: &Id<'_>, observer: &mut impl Observer) -> bool {
    // Nearly all ids begin otherwise.
    let may_be = match id.text.as_bytes().first() {
        Some(b'u' | b'U' | b'n' | b'N' | b'[') => true,
        Some(first) => *first <= b' ' || !first.is_ascii(),
        None => false,
    };
    if !may_be {
        return false;
    }
    let text = id.text.trim();
    let is_one = text.is_empty() || NO_IDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one {
        observer.note(
            None,
            Note {
                code: NoteCode::SuspiciousId,
                subject: name,
            },
        );
    }
    is_one
}
