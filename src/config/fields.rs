//! What the sections have in common: how an absent one reads, lists with places, numbers within a range.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::diagnostic::{Diagnostics, Place};
use crate::yaml::{Fields, Node, Scalar, Value};

/// What stands where nothing is written: null, at the beginning of the file.
static NOTHING: Node = Node {
    place: Place {
        source: 0,
        line: 1,
        column: 1,
        length: 1,
    },
    value: Value::Scalar(Scalar {
        text: String::new(),
        is_plain: true,
        is_secret: false,
    }),
};

/// Starts to read the mapping under `key`; where there is none, an empty one.
pub(super) fn section<'n>(
    fields: &mut Fields<'n>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Fields<'n> {
    let node = fields.node(key).unwrap_or(&NOTHING);
    Fields::new(node, &fields.name_of(key), diagnostics)
}

/// Reads a list of strings with their places; a single string is a list of one.
pub(super) fn strings(
    node: &Node,
    name: &str,
    diagnostics: &mut Diagnostics,
) -> Vec<(String, Place)> {
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(node),
    };
    let mut strings = Vec::new();
    for node in nodes {
        match node.as_scalar().filter(|_| !node.is_null()) {
            Some(scalar) => strings.push((scalar.text.clone(), node.place)),
            None => {
                let message = format!("{name} must be a list of strings, not {}", node.describe());
                diagnostics.error(node.place, message);
            }
        }
    }
    strings
}

/// Takes a string and its place.
pub(super) fn text(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<(String, Place)> {
    let node = fields.node(key)?;
    let text = node
        .as_scalar()
        .map(|scalar| (scalar.text.clone(), node.place));
    if text.is_none() {
        diagnostics.error(
            node.place,
            format!(
                "{} must be a string, not {}",
                fields.name_of(key),
                node.describe()
            ),
        );
    }
    text
}

/// Takes a string that may be left out but not left empty, and its place.
pub(super) fn filled(
    fields: &mut Fields<'_>,
    key: &'static str,
    default: &str,
    diagnostics: &mut Diagnostics,
) -> (String, Place) {
    let (text, place) =
        text(fields, key, diagnostics).unwrap_or_else(|| (default.to_owned(), fields.place()));
    if text.trim().is_empty() {
        diagnostics.error(place, format!("must not be empty: {}", fields.name_of(key)));
    }
    (text, place)
}

/// Takes a time in milliseconds within `range`.
pub(super) fn milliseconds(
    fields: &mut Fields<'_>,
    key: &'static str,
    default: u64,
    range: RangeInclusive<u64>,
    diagnostics: &mut Diagnostics,
) -> Duration {
    Duration::from_millis(whole(fields, key, default, range, diagnostics))
}

/// Takes a whole number within `range`.
pub(super) fn whole<T: TryFrom<u64>>(
    fields: &mut Fields<'_>,
    key: &'static str,
    default: T,
    range: RangeInclusive<u64>,
    diagnostics: &mut Diagnostics,
) -> T {
    let Some(node) = fields.node(key) else {
        return default;
    };
    let written = node.as_scalar().map(|scalar| scalar.text.as_str());
    let number = written
        .and_then(|text| text.parse().ok())
        .filter(|number| range.contains(number));
    number
        .and_then(|number| T::try_from(number).ok())
        .unwrap_or_else(|| {
            let (name, start, end) = (fields.name_of(key), range.start(), range.end());
            let found = written.unwrap_or(node.describe());
            diagnostics.error(
                node.place,
                format!("{name} must be a whole number from {start} to {end}, not: {found}"),
            );
            default
        })
}
