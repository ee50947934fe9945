//! The limits of texts that definitions declare (`truncate N`, `texts N`), read from the files themselves, and held against what leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use groupcast_core::destination::Definition;
use groupcast_core::diagnostic::Diagnostics;
use groupcast_core::yaml::{self, Entry, Node, Value};

use crate::Json;

/// All definitions as they are written.
pub(crate) struct Limits {
    files: BTreeMap<String, File>,
    /// By definition and limit as written, where it stands: the limit, and the longest text that was seen there.
    seen: BTreeMap<(String, String), (usize, usize)>,
}

struct File {
    name: String,
    properties: Option<Node>,
    bodies: BTreeMap<String, Node>,
}

impl Limits {
    pub(crate) fn of(definitions: &[Arc<Definition>]) -> Limits {
        let mut limits = Limits {
            files: BTreeMap::new(),
            seen: BTreeMap::new(),
        };
        for definition in definitions {
            let text = std::fs::read_to_string(&definition.file).expect("a file of the folder");
            let node = yaml::parse(&text, &mut Diagnostics::new("")).expect("a definition");
            let bodies = elements(node.get("operations").expect("operations"))
                .map(|operation| {
                    (
                        scalar(operation.get("id")),
                        operation.get("body").expect("a body").clone(),
                    )
                })
                .collect();
            let file = File {
                name: definition.name.clone(),
                properties: node.get("properties").cloned(),
                bodies,
            };
            for body in file.bodies.values().chain(&file.properties) {
                limits.declare(&definition.id, "", body);
            }
            limits.files.insert(definition.id.clone(), file);
        }
        assert!(limits.seen.len() > 30, "the limits were not found");
        limits
    }

    fn declare(&mut self, id: &str, key: &str, node: &Node) {
        match &node.value {
            Value::Map(entries) => entries
                .iter()
                .for_each(|entry| self.declare(id, &entry.key, &entry.value)),
            Value::List(nodes) => nodes.iter().for_each(|node| self.declare(id, key, node)),
            Value::Scalar(scalar) => {
                if let Some(limit) = limit(&scalar.text) {
                    self.seen.insert(
                        (id.to_owned(), format!("{key}: {}", scalar.text)),
                        (limit, 0),
                    );
                }
            }
        }
    }

    /// Returns every key that a definition writes, since a trait may have it as well.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys = BTreeSet::new();
        for file in self.files.values() {
            file.bodies
                .values()
                .chain(&file.properties)
                .for_each(|node| collect_keys(node, &mut keys));
        }
        keys.into_iter().collect()
    }

    /// Returns the flags of an event that goes to those destinations only that take very long texts.
    pub(crate) fn flags_of_large(&self) -> String {
        let large: BTreeSet<&String> = self
            .seen
            .iter()
            .filter(|(_, (limit, _))| *limit > 300)
            .map(|((id, _), _)| id)
            .collect();
        let flags: Vec<String> = large
            .iter()
            .map(|id| format!("\"{}\":true", self.files[*id].name))
            .collect();
        format!(r#","integrations":{{"All":false,{}}}"#, flags.join(","))
    }

    /// Fails where a text of the body is longer than the definition says.
    pub(crate) fn check(&mut self, id: &str, operation: &str, body: &Json, place: &str) {
        let Some(file) = self.files.get(id) else {
            return;
        };
        let template = &file.bodies[operation];
        let mut found = Vec::new();
        file.walk("", template, body, &mut found);
        for (written, length) in found {
            let (limit, longest) = self
                .seen
                .get_mut(&(id.to_owned(), written.clone()))
                .expect("a limit that was declared");
            assert!(length <= *limit, "{place}: {length} characters: {written}");
            *longest = length.max(*longest);
        }
    }

    /// Fails where no text came up to the limit, so that nothing was tried there.
    pub(crate) fn assert_all_were_reached(&self) {
        for ((id, written), (limit, longest)) in &self.seen {
            assert_eq!(
                longest, limit,
                "{id}: no text was as long as the limit: {written}"
            );
        }
    }
}

impl File {
    /// Goes through a body as written and as it left, side by side, and lists the limits with the lengths of what stands there.
    fn walk(&self, key: &str, template: &Node, left: &Json, found: &mut Vec<(String, usize)>) {
        match (&template.value, left) {
            (Value::Map(entries), Json::Object(members)) => {
                for (name, value) in members {
                    self.walk_member(entries, name, value, found);
                }
            }
            (Value::List(templates), Json::Array(elements)) => {
                // Which template an element is of is not known where one may say nothing: the other ones have other types.
                for (template, element) in templates
                    .iter()
                    .flat_map(|template| elements.iter().map(move |element| (template, element)))
                {
                    self.walk(key, template, element, found);
                }
            }
            // What cuts one text makes no object: this is another template's.
            (Value::Scalar(scalar), Json::Object(members))
                if !scalar.text.contains("| truncate ") =>
            {
                members
                    .iter()
                    .for_each(|(name, value)| self.spread(template, name, value, found));
            }
            (Value::Scalar(scalar), Json::Text(text)) if limit(&scalar.text).is_some() => {
                found.push((format!("{key}: {}", scalar.text), text.chars().count()));
            }
            (Value::Map(_) | Value::List(_) | Value::Scalar(_), _) => {}
        }
    }

    fn walk_member(
        &self,
        entries: &[Entry],
        name: &str,
        value: &Json,
        found: &mut Vec<(String, usize)>,
    ) {
        if let Some(entry) = entries
            .iter()
            .find(|entry| entry.key == name && name != "*")
        {
            self.walk(name, &entry.value, value, found);
        } else if let [entry] = entries
            && entry.key.contains("${")
        {
            self.walk(name, &entry.value, value, found);
        } else if let Some(spread) = entries.iter().find(|entry| entry.key == "*") {
            self.spread(&spread.value, name, value, found);
        }
    }

    /// Does so for one member of a map that an expression yields.
    fn spread(
        &self,
        expression: &Node,
        name: &str,
        value: &Json,
        found: &mut Vec<(String, usize)>,
    ) {
        let written = scalar(Some(expression));
        match self.properties.as_ref().map(|properties| &properties.value) {
            Some(Value::Map(entries)) if written == "${properties}" => {
                self.walk_member(entries, name, value, found)
            }
            _ => {
                if let (Some(_), Json::Text(text)) = (limit(&written), value) {
                    found.push((format!("*: {written}"), text.chars().count()));
                }
            }
        }
    }
}

/// Returns the limit that an expression declares.
fn limit(expression: &str) -> Option<usize> {
    let (_, rest) = expression
        .split_once("| truncate ")
        .or_else(|| expression.split_once("| texts "))?;
    rest.split([' ', '}']).next()?.parse().ok()
}

fn collect_keys(node: &Node, keys: &mut BTreeSet<String>) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                if !entry.key.contains("${") {
                    keys.insert(entry.key.clone());
                }
                collect_keys(&entry.value, keys);
            }
        }
        Value::List(nodes) => nodes.iter().for_each(|node| collect_keys(node, keys)),
        Value::Scalar(_) => {}
    }
}

fn elements(node: &Node) -> impl Iterator<Item = &Node> {
    match &node.value {
        Value::List(nodes) => nodes.iter(),
        Value::Map(_) | Value::Scalar(_) => [].iter(),
    }
}

fn scalar(node: Option<&Node>) -> String {
    node.and_then(Node::as_scalar)
        .map(|scalar| scalar.text.clone())
        .unwrap_or_default()
}
