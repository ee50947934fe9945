//! Where the parts of a record that leaves came from.

use std::collections::BTreeMap;

use bumpalo::Bump;
use serde::Serialize;

use crate::json::{Kind, Raw};

/// One place of an operation, and the values of the event that it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// A JSON pointer into the body (RFC 6901), or `request` or `key`.
    pub place: String,
    /// What it was made of: traits by canonical names (`traits.employees`), other fields as the event has them.
    pub from: Vec<String>,
    /// Absent where the value stands as it came, or where it was made of several.
    pub conversion: Option<Conversion>,
}

/// A value that leaves otherwise than it came, both as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conversion {
    /// What came.
    pub came: String,
    /// What leaves.
    pub became: String,
}

impl Origin {
    /// Returns whether it was made of the trait, or of a part of it.
    #[must_use]
    pub fn is_of_trait(&self, name: &str) -> bool {
        self.is_of(&format!("traits.{name}"))
    }

    /// Returns whether it was made of the field, or of a part of it.
    pub(super) fn is_of(&self, field: &str) -> bool {
        let rest = |from: &'_ String| {
            from.strip_prefix(field)
                .map(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.from.iter().any(|from| rest(from) == Some(true))
    }
}

/// The scalars of a body by JSON pointer, each with its source text.
pub(super) type Leaves<'a> = BTreeMap<String, &'a str>;

/// Adds every scalar and empty container of `value`, which stands at `pointer`.
pub(super) fn collect_leaves<'a>(
    value: Raw<'a>,
    pointer: &str,
    arena: &'a Bump,
    leaves: &mut Leaves<'a>,
) {
    let before = leaves.len();
    match value.kind() {
        Kind::Object => {
            for member in value.members(arena).unwrap_or_default() {
                collect_leaves(
                    member.value,
                    &format!("{pointer}/{}", escaped(member.key)),
                    arena,
                    leaves,
                );
            }
        }
        Kind::Array => {
            for (index, element) in value.elements().into_iter().enumerate() {
                collect_leaves(element, &format!("{pointer}/{index}"), arena, leaves);
            }
        }
        Kind::Null | Kind::Boolean | Kind::Number | Kind::String => {}
    }
    if leaves.len() == before {
        leaves.insert(pointer.to_owned(), value.text());
    }
}

/// Returns a key as it stands in a JSON pointer.
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
