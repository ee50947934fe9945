//! The configured destinations: definitions, instances, and the topics that they write to.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::pending::{Catalogue, DeadLetterRules, Instance};
use crate::diagnostic::{Diagnostics, Place};
use crate::yaml::{Fields, Node, Value};

/// Reads the built-in definitions and those in the folder that `node` names, relative to `folder`.
pub(super) fn catalogue(node: Option<&Node>, folder: &Path, diagnostics: &mut Diagnostics) -> Catalogue {
    let mut catalogue = Catalogue::built_in();
    let Some((node, path)) = node.and_then(|node| Some((node, folder.join(&node.as_scalar()?.text)))) else {
        if let Some(node) = node {
            diagnostics.error(node.place, format!("definitions must be the path of a folder, not {}", node.describe()));
        }
        return catalogue;
    };
    match definition_files(&path) {
        Err(error) => {
            diagnostics.error(node.place, format!("cannot read the folder of definitions ({error}): {}", path.display()));
        }
        Ok(files) => {
            if files.is_empty() {
                diagnostics.warning(node.place, format!("no definitions (*.yaml) in the folder: {}", path.display()));
            }
            for file in files {
                add(&file, &mut catalogue, node.place, diagnostics);
            }
        }
    }
    catalogue
}

/// Lists the folder's `*.yaml` in a stable order, without the hidden ones that mounted volumes keep their copies in.
fn definition_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn add(file: &Path, catalogue: &mut Catalogue, place: Place, diagnostics: &mut Diagnostics) {
    let name = file.display().to_string();
    let id = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match fs::read_to_string(file) {
        Ok(text) => diagnostics.extend(catalogue.add(&id, &name, &text)),
        Err(error) => {
            diagnostics.error(place, format!("cannot read the definition ({error}): {name}"));
        }
    }
}

/// A destination and where its parts stand in the file.
pub(super) struct Placed {
    instance: Instance,
    name_place: Place,
    topic_place: Place,
}

/// Reads the list of destinations.
pub(super) fn instances(node: &Node, catalogue: &Catalogue, diagnostics: &mut Diagnostics) -> Vec<Placed> {
    let Value::List(nodes) = &node.value else {
        let message = format!("destinations must be a list, not {}", node.describe());
        diagnostics.error(node.place, message).hint("begin each with `- use:` and a definition's id");
        return Vec::new();
    };
    let mut found: Vec<Placed> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some(placed) = instance(node, index, catalogue, diagnostics) else { continue };
        check_name(&placed, &found, diagnostics);
        found.push(placed);
    }
    found
}

fn instance(node: &Node, index: usize, catalogue: &Catalogue, diagnostics: &mut Diagnostics) -> Option<Placed> {
    let context = format!("destinations[{index}]");
    let mut fields = Fields::new(node, &context, diagnostics);
    let used = fields.node("use").filter(|node| node.as_scalar().is_some());
    let name = fields.node("name").filter(|node| node.as_scalar().is_some());
    let topic = fields.entry("topic");
    let enabled_by_default = fields.boolean("enabled_by_default", diagnostics);
    let settings = fields.node("settings");
    let place = fields.place();
    let Some(used) = used else {
        fields.missing("use", diagnostics);
        fields.finish(diagnostics);
        return None;
    };
    fields.finish(diagnostics);
    let id = text(used);
    let Some(definition) = catalogue.get(id) else {
        let ids = catalogue.iter().map(|definition| definition.id.as_str());
        diagnostics.error(used.place, format!("no such definition: {id}")).suggest(id, ids);
        return None;
    };
    if enabled_by_default.is_none() && !definition.enabled_by_default {
        let message = format!("only events whose `integrations` name it reach this opt-in destination: {}", definition.name);
        diagnostics.warning(used.place, message).hint("write `enabled_by_default: true` beside it to include every event");
    }
    let settings = definition.read_settings(settings, settings.map_or(place, |settings| settings.place), diagnostics);
    let instance = Instance {
        name: name.map_or(id, text).to_owned(),
        is_named: name.is_some(),
        definition: definition.clone(),
        topic: topic.map(|entry| text(&entry.value).to_owned()),
        enabled_by_default,
        settings,
    };
    let topic_place = topic.map_or(used.place, |entry| entry.value.place);
    Some(Placed { instance, name_place: name.map_or(used.place, |name| name.place), topic_place })
}

fn text(node: &Node) -> &str {
    node.as_scalar().map_or("", |scalar| scalar.text.as_str())
}

fn check_name(placed: &Placed, before: &[Placed], diagnostics: &mut Diagnostics) {
    let name = &placed.instance.name;
    if name.is_empty() || !name.bytes().all(is_legal) {
        let message = format!("a destination's name is made of letters, digits, `.`, `_` and `-`, as its topic is: {name}");
        diagnostics.error(placed.name_place, message);
    }
    if let Some(first) = before.iter().find(|first| first.instance.name == *name) {
        let message = format!("two destinations have one name, the first on line {}: {name}", first.name_place.line);
        diagnostics.error(placed.name_place, message).hint("tell them apart with `name:`");
    }
}

/// Returns the instances; their topics are checked by [`check_topics`].
pub(super) fn into_instances(placed: Vec<Placed>) -> Vec<Instance> {
    placed.into_iter().map(|placed| placed.instance).collect()
}

/// An output topic and who writes to it.
struct Output<'a> {
    topic: String,
    owner: &'a str,
}

/// Checks that every output topic is legal, that none is a source, and that dead letters have a topic of their own (semantics K1, K7).
pub(super) fn check_topics(
    sources: &[String],
    destinations: &[Placed],
    (dead_letters, dead_letter_place): (&DeadLetterRules, Place),
    diagnostics: &mut Diagnostics,
) {
    let mut outputs: Vec<Output<'_>> = Vec::new();
    for placed in destinations {
        let Instance { name, topic, .. } = &placed.instance;
        let template = topic.as_deref().unwrap_or("{source_topic}.{instance}");
        for topic in expand(template, sources, name, placed.topic_place, diagnostics) {
            check_is_no_source(&topic, sources, name, placed.topic_place, diagnostics);
            if let Some(other) = outputs.iter().find(|output| output.topic == topic && output.owner != name) {
                let message = format!("{} and {name} share one topic: {topic}", other.owner);
                diagnostics.warning(placed.topic_place, message).hint("a topic of its own lets each be sent at its own pace");
            }
            outputs.push(Output { topic, owner: name });
        }
    }
    let template = dead_letters.topic.as_deref().unwrap_or("{source_topic}.dead");
    for topic in expand(template, sources, "", dead_letter_place, diagnostics) {
        check_is_no_source(&topic, sources, "dead_letters", dead_letter_place, diagnostics);
        if let Some(output) = outputs.iter().find(|output| output.topic == topic) {
            let message = format!("dead letters and {} share one topic: {topic}", output.owner);
            diagnostics.error(dead_letter_place, message).hint("give dead letters a topic of their own: dead_letters.topic");
        }
    }
}

fn check_is_no_source(topic: &str, sources: &[String], owner: &str, place: Place, diagnostics: &mut Diagnostics) {
    if sources.iter().any(|source| source == topic) {
        let message = format!("the output of {owner} is also a source topic: {topic}");
        diagnostics.error(place, message).hint("what leaves would be read again: choose another topic");
    }
}

/// Returns the topics that `template` stands for, once each, and reports the first that Kafka would not take.
fn expand(template: &str, sources: &[String], instance: &str, place: Place, diagnostics: &mut Diagnostics) -> Vec<String> {
    let mut topics = Vec::new();
    for source in sources {
        let topic = template.replace("{source_topic}", source);
        // Dead letters are everybody's: their topic cannot name an instance.
        let topic = if instance.is_empty() { topic } else { topic.replace("{instance}", instance) };
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    if let Some(illegal) = topics.iter().find(|topic| !is_legal_topic(topic)) {
        report_illegal(illegal, place, diagnostics);
    }
    topics
}

/// Reports a topic name that Kafka would not take.
pub(super) fn report_illegal(topic: &str, place: Place, diagnostics: &mut Diagnostics) {
    let added = diagnostics.error(place, format!("not a legal topic name: {topic}"));
    added.hint(if topic.contains('{') {
        "placeholders are {source_topic} and, for a destination, {instance}"
    } else {
        "a topic name has 1 to 249 letters, digits, `.`, `_` and `-`"
    });
}

/// Returns whether Kafka takes `topic` for a name, as its `Topic.validate` decides.
pub(super) fn is_legal_topic(topic: &str) -> bool {
    (1..=249).contains(&topic.len()) && topic != "." && topic != ".." && topic.bytes().all(is_legal)
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}
