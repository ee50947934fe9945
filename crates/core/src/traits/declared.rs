//! Custom traits whose type the configuration declares (semantics T9).

use bumpalo::Bump;

use super::{ABSENT, TraitId, Traits};
use crate::date::Instant;
use crate::json::{self, Kind, Raw};

/// What the configuration says that a custom trait is (T9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredType {
    /// A date in one of the forms of D2.
    Date,
    /// A number, or a string of one.
    Number,
    /// A string, or a number's digits.
    Text,
}

impl DeclaredType {
    /// The types by the word that the configuration uses.
    pub const WORDS: &'static [(&'static str, DeclaredType)] = &[
        ("date", DeclaredType::Date),
        ("number", DeclaredType::Number),
        ("text", DeclaredType::Text),
    ];
}

impl Traits<'_> {
    /// Gives each trait whose type the configuration declares that type; what does not fit stays as it came, and `unfit` is told
    /// its name (T9).
    pub fn convert_declared(&mut self, mut unfit: impl FnMut(&str)) {
        for (id, declared) in self.vocabulary.declared() {
            let index = self.slots.get(id.index()).copied().unwrap_or(ABSENT);
            let Some(entry) = self.entries.get_mut(index as usize) else {
                continue;
            };
            match converted(entry.value, *declared, self.arena) {
                Some(value) if value == entry.value => {}
                Some(value) => {
                    entry.value = value;
                    entry.source = "";
                }
                None => unfit(entry.name),
            }
        }
    }

    /// Returns whether the trait is a date by declaration (T9).
    #[must_use]
    pub fn is_declared_date(&self, id: TraitId) -> bool {
        let declared = self.vocabulary.declared();
        !declared.is_empty() && declared.contains(&(id, DeclaredType::Date))
    }
}

/// Returns a value in the declared type, null as null; `None` where it does not fit.
fn converted<'a>(value: Raw<'a>, declared: DeclaredType, arena: &'a Bump) -> Option<Raw<'a>> {
    match (declared, value.kind()) {
        (_, Kind::Null)
        | (DeclaredType::Number, Kind::Number)
        | (DeclaredType::Text, Kind::String) => Some(value),
        (DeclaredType::Date, _) => Instant::from_json(value).map(|_| value),
        (DeclaredType::Number, Kind::String) => {
            let text = value.string(arena).ok()??;
            json::is_number(text).then(|| Raw::parse(text).ok())?
        }
        (DeclaredType::Text, Kind::Number) => {
            Raw::parse(arena.alloc_str(&json::quoted(value.text()))).ok()
        }
        (DeclaredType::Number | DeclaredType::Text, _) => None,
    }
}
