//! The section `traits`: canonical spellings, aliases, declared types.

use crate::config::fields::{section, strings};
use crate::diagnostic::Diagnostics;
use crate::traits::{DeclaredType, Vocabulary};
use crate::yaml::{Entry, Fields, Node, Value};

/// Reads the section.
pub(super) fn vocabulary(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vocabulary {
    let mut fields = section(fields, "traits", diagnostics);
    let known = fields
        .node("known")
        .map(|node| strings(node, "traits.known", diagnostics))
        .unwrap_or_default();
    let aliases = fields
        .node("aliases")
        .map(|node| aliases(node, diagnostics))
        .unwrap_or_default();
    let types = fields.node("types");
    fields.finish(diagnostics);
    let names: Vec<String> = known.iter().map(|(name, _)| name.clone()).collect();
    let pairs: Vec<(String, String)> = aliases
        .iter()
        .map(|(entry, name)| (entry.key.clone(), name.clone()))
        .collect();
    let mut vocabulary = Vocabulary::new(&names, &pairs).unwrap_or_else(|faults| {
        for fault in faults {
            // The culprit stands last in the message; of two alike the second is the one too many.
            let is_culprit = |name: &str| {
                fault
                    .strip_suffix(name)
                    .is_some_and(|rest| rest.ends_with(": "))
            };
            let alias = aliases
                .iter()
                .rfind(|(entry, _)| is_culprit(&entry.key))
                .map(|(entry, _)| entry.key_place);
            let place = alias.or_else(|| {
                known
                    .iter()
                    .rfind(|(name, _)| is_culprit(name))
                    .map(|(_, place)| *place)
            });
            diagnostics.error(place, format!("traits: {fault}"));
        }
        Vocabulary::default()
    });
    if let Some(node) = types {
        declare_types(node, &mut vocabulary, diagnostics);
    }
    vocabulary
}

fn declare_types(node: &Node, vocabulary: &mut Vocabulary, diagnostics: &mut Diagnostics) {
    if node.is_null() {
        return;
    }
    let Value::Map(entries) = &node.value else {
        let message = format!("traits.types must be a mapping, not {}", node.describe());
        diagnostics
            .error(node.place, message)
            .hint("write `trait: date`");
        return;
    };
    let words = DeclaredType::WORDS;
    for Entry {
        key,
        key_place,
        value,
    } in entries
    {
        let written = value
            .as_scalar()
            .map_or(value.describe(), |scalar| scalar.text.as_str());
        let Some((_, declared)) = words.iter().find(|(word, _)| *word == written) else {
            let choices: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!(
                "traits.types.{key} must be one of {}, not: {written}",
                choices.join(", ")
            );
            diagnostics
                .error(value.place, message)
                .suggest(written, choices);
            continue;
        };
        if let Err(fault) = vocabulary.declare(key, *declared) {
            diagnostics.error(*key_place, format!("traits.types: {fault}"));
        }
    }
}

fn aliases<'n>(node: &'n Node, diagnostics: &mut Diagnostics) -> Vec<(&'n Entry, String)> {
    let Value::Map(entries) = &node.value else {
        let message = format!("traits.aliases must be a mapping, not {}", node.describe());
        diagnostics
            .error(node.place, message)
            .hint("write `alias: trait`");
        return Vec::new();
    };
    let mut aliases = Vec::new();
    for entry in entries {
        match entry.value.as_scalar().filter(|_| !entry.value.is_null()) {
            Some(scalar) => aliases.push((entry, scalar.text.clone())),
            None => {
                let message = format!(
                    "traits.aliases.{} must be a trait's name, not {}",
                    entry.key,
                    entry.value.describe()
                );
                diagnostics.error(entry.value.place, message);
            }
        }
    }
    aliases
}
