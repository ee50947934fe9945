//! `source.event_at`: where the records of a topic hold their events.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostics;
use crate::event::Pointer;
use crate::yaml::{Node, Value};

/// Reads where the events stand: one place for all topics, or one for each of some.
pub(super) fn event_at(
    node: &Node,
    topics: &[String],
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, Pointer> {
    let Value::Map(entries) = &node.value else {
        let pointer = pointer(node, "source.event_at", diagnostics);
        let places = topics
            .iter()
            .map(|topic| Some((topic.clone(), pointer.clone()?)));
        return places.flatten().collect();
    };
    let mut places = BTreeMap::new();
    for entry in entries {
        if !topics.contains(&entry.key) {
            let message = format!("source.event_at: not a source topic: {}", entry.key);
            diagnostics
                .error(entry.key_place, message)
                .suggest(&entry.key, topics.iter().map(String::as_str));
        }
        let name = format!("source.event_at.{}", entry.key);
        if let Some(pointer) = pointer(&entry.value, &name, diagnostics) {
            places.insert(entry.key.clone(), pointer);
        }
    }
    places
}

fn pointer(node: &Node, name: &str, diagnostics: &mut Diagnostics) -> Option<Pointer> {
    let written = node.as_scalar().filter(|_| !node.is_null());
    let pointer = written.and_then(|scalar| Pointer::parse(&scalar.text));
    if pointer.is_none() {
        let found = written.map_or(node.describe(), |scalar| scalar.text.as_str());
        diagnostics
            .error(
                node.place,
                format!("{name} must be a JSON Pointer, not: {found}"),
            )
            .hint("write /data, or /payload/event; \"\" for a value that is a string of JSON");
    }
    pointer
}
