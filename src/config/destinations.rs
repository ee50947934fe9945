//! The configured destinations: definitions, instances, and the topics that they write to.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::fields::{strings, text};
use crate::config::{privacy, read_text};
use crate::destination::{Catalogue, Conditions, Definition, Instance};
use crate::diagnostic::{Diagnostics, Place};
use crate::flags::{self, Claim, FlagMatch};
use crate::router::DeadLetterRules;
use crate::yaml::{Fields, Node, Value};

/// Reads the built-in definitions and those of the folder `named` in the file, relative to `folder`.
pub(super) fn catalogue(
    named: Option<(String, Place)>,
    folder: &Path,
    diagnostics: &mut Diagnostics,
) -> Catalogue {
    let mut catalogue = Catalogue::built_in();
    let Some((path, place)) = named else {
        return catalogue;
    };
    let path = folder.join(path);
    match definition_files(&path) {
        Ok(files) if files.is_empty() => {
            diagnostics.warning(
                place,
                format!("no definitions (*.yaml) in the folder: {}", path.display()),
            );
        }
        Ok(files) => files
            .iter()
            .for_each(|file| add(file, &mut catalogue, place, diagnostics)),
        Err(error) => {
            diagnostics.error(
                place,
                format!(
                    "cannot read the folder of definitions ({error}): {}",
                    path.display()
                ),
            );
        }
    }
    catalogue
}

/// Lists the folder's `*.yaml` in a stable order, without the hidden ones that mounted volumes keep their copies in.
fn definition_files(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "yaml")
        {
            files.insert(path);
        }
    }
    Ok(files)
}

fn add(file: &Path, catalogue: &mut Catalogue, place: Place, diagnostics: &mut Diagnostics) {
    let name = file.display().to_string();
    let id = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    match read_text(file) {
        Ok(text) => diagnostics.extend(catalogue.add(&id, &name, &text)),
        Err(error) => {
            diagnostics.error(
                place,
                format!("cannot read the definition ({error}): {name}"),
            );
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
pub(super) fn instances(
    node: &Node,
    catalogue: &Catalogue,
    diagnostics: &mut Diagnostics,
) -> Vec<Placed> {
    let Value::List(nodes) = &node.value else {
        let message = format!("destinations must be a list, not {}", node.describe());
        diagnostics
            .error(node.place, message)
            .hint("begin each with `- use:` and a definition's id");
        return Vec::new();
    };
    if nodes.is_empty() {
        diagnostics.error(node.place, "destinations must not be empty");
    }
    let mut found: Vec<Placed> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some(placed) = instance(node, index, catalogue, diagnostics) else {
            continue;
        };
        check_name(&placed, &found, diagnostics);
        found.push(placed);
    }
    found
}

fn instance(
    node: &Node,
    index: usize,
    catalogue: &Catalogue,
    diagnostics: &mut Diagnostics,
) -> Option<Placed> {
    let mut fields = Fields::new(node, &format!("destinations[{index}]"), diagnostics);
    let place = fields.place();
    let definition = definition(&mut fields, catalogue, diagnostics);
    let name = text(&mut fields, "name", diagnostics);
    let topic = text(&mut fields, "topic", diagnostics);
    let enabled_by_default = fields.boolean("enabled_by_default", diagnostics);
    let settings = fields.node("settings");
    let traits = privacy::rules(&mut fields, diagnostics);
    let consent = fields
        .node("consent")
        .map(|node| strings(node, &fields.name_of("consent"), diagnostics))
        .unwrap_or_default();
    let Some((definition, use_place)) = definition else {
        fields.node("when");
        fields.finish(diagnostics);
        return None;
    };
    let settings_place = settings.map_or(place, |settings| settings.place);
    let settings = definition.read_settings(settings, settings_place, diagnostics);
    let when = Conditions::read(&mut fields, &definition, &settings, diagnostics);
    fields.finish(diagnostics);

    if enabled_by_default.is_none() && !definition.enabled_by_default {
        let message = format!(
            "only events whose `integrations` name it reach this opt-in destination: {}",
            definition.name
        );
        diagnostics
            .warning(use_place, message)
            .hint("write `enabled_by_default: true` beside it to include every event");
    }
    let place_of =
        |written: &Option<(String, Place)>| written.as_ref().map_or(use_place, |(_, place)| *place);
    let (name_place, topic_place) = (place_of(&name), place_of(&topic));
    let instance = Instance {
        is_named: name.is_some(),
        name: name.map_or_else(|| definition.id.clone(), |(name, _)| name),
        topic: topic.map(|(topic, _)| topic),
        enabled_by_default,
        settings,
        when,
        traits,
        consent: consent.into_iter().map(|(name, _)| name).collect(),
        definition,
    };
    Some(Placed {
        instance,
        name_place,
        topic_place,
    })
}

/// Takes `use` and finds what it names.
fn definition(
    fields: &mut Fields<'_>,
    catalogue: &Catalogue,
    diagnostics: &mut Diagnostics,
) -> Option<(Arc<Definition>, Place)> {
    let Some(node) = fields.node("use") else {
        fields.missing("use", diagnostics);
        return None;
    };
    let id = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
    let found = catalogue
        .get(id)
        .map(|definition| (Arc::clone(definition), node.place));
    if found.is_none() {
        let ids = catalogue.iter().map(|definition| definition.id.as_str());
        diagnostics
            .error(node.place, format!("no such definition: {id}"))
            .suggest(id, ids);
    }
    found
}

fn check_name(placed: &Placed, before: &[Placed], diagnostics: &mut Diagnostics) {
    let name = &placed.instance.name;
    if !is_legal_name(name) {
        let message = format!(
            "a destination's name is made of letters, digits, `.`, `_` and `-`, as its topic is: {name}"
        );
        diagnostics.error(placed.name_place, message);
    }
    if let Some(first) = before.iter().find(|first| first.instance.name == *name) {
        let message = format!(
            "two destinations have one name, the first on line {}: {name}",
            first.name_place.line
        );
        diagnostics
            .error(placed.name_place, message)
            .hint("tell them apart with `name:`");
    }
}

/// Returns the instances; their topics are checked by [`check_topics`].
pub(super) fn into_instances(placed: Vec<Placed>) -> Vec<Instance> {
    placed.into_iter().map(|placed| placed.instance).collect()
}

/// Warns of destinations that a flag may mean together, though each has a name of its own (semantics F4).
pub(super) fn check_flags(
    placed: &[Placed],
    catalogue: &Catalogue,
    flag_match: FlagMatch,
    diagnostics: &mut Diagnostics,
) {
    let claims = flags::collisions(placed.iter().map(|placed| placed.instance.flag_names()));
    // Where flags match exactly, only what is one name to the letter is one flag.
    for (first, second) in claims
        .iter()
        .filter(|(first, second)| flag_match == FlagMatch::Fold || first.name == second.name)
    {
        let (Some(one), Some(other)) = (
            placed.get(first.destination),
            placed.get(second.destination),
        ) else {
            continue;
        };
        let names = [one.instance.name.as_str(), other.instance.name.as_str()];
        let message = format!(
            "a flag may mean both {} and {}: {}, {}",
            names[0], names[1], first.name, second.name
        );
        let [first_means, second_means] = [(first, second, names[0]), (second, first, names[1])]
            .map(|(own, other, name)| {
                if is_own(own, other, catalogue) {
                    name
                } else {
                    "both"
                }
            });
        let hint = if first.name == second.name {
            "one of them needs another name, if each is to have flags of its own".to_owned()
        } else {
            let (first, second) = (first.name, second.name);
            format!(
                "the flag `{first}` decides for {first_means}, `{second}` for {second_means}, any other spelling for both"
            )
        };
        diagnostics.warning(other.name_place, message).hint(hint);
    }
}

/// Returns whether a flag of this name decides for its own destination only: a definition's name to the letter does, while an
/// instance's is by fold the other's as well.
fn is_own(own: &Claim<'_>, other: &Claim<'_>, catalogue: &Catalogue) -> bool {
    let is_known = catalogue.iter().any(|definition| {
        definition.name == own.name || definition.aliases.iter().any(|alias| alias == own.name)
    });
    own.name != other.name && is_known
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
    // What is wrong with a name has been said of the name.
    for placed in destinations
        .iter()
        .filter(|placed| is_legal_name(&placed.instance.name))
    {
        let name = &placed.instance.name;
        for topic in outputs_of(
            sources,
            |source| placed.instance.topic_for(source),
            placed.topic_place,
            diagnostics,
        ) {
            check_is_no_source(&topic, sources, name, placed.topic_place, diagnostics);
            if let Some(other) = outputs
                .iter()
                .find(|output| output.topic == topic && output.owner != name)
            {
                let message = format!("{} and {name} share one topic: {topic}", other.owner);
                diagnostics
                    .warning(placed.topic_place, message)
                    .hint("a topic of its own lets each be sent at its own pace");
            }
            outputs.push(Output { topic, owner: name });
        }
    }
    for topic in outputs_of(
        sources,
        |source| dead_letters.topic_for(source),
        dead_letter_place,
        diagnostics,
    ) {
        check_is_no_source(
            &topic,
            sources,
            "dead_letters",
            dead_letter_place,
            diagnostics,
        );
        if let Some(output) = outputs.iter().find(|output| output.topic == topic) {
            let message = format!("dead letters and {} share one topic: {topic}", output.owner);
            diagnostics
                .error(dead_letter_place, message)
                .hint("give dead letters a topic of their own: dead_letters.topic");
        }
    }
}

fn check_is_no_source(
    topic: &str,
    sources: &[String],
    owner: &str,
    place: Place,
    diagnostics: &mut Diagnostics,
) {
    if sources.iter().any(|source| source == topic) {
        let message = format!("the output of {owner} is also a source topic: {topic}");
        diagnostics
            .error(place, message)
            .hint("what leaves would be read again: choose another topic");
    }
}

/// Returns the topics that `topic_for` names for the sources, once each, and reports the first that Kafka would not take.
fn outputs_of(
    sources: &[String],
    topic_for: impl Fn(&str) -> String,
    place: Place,
    diagnostics: &mut Diagnostics,
) -> BTreeSet<String> {
    let legal_sources = sources.iter().filter(|source| is_legal_topic(source));
    let topics: BTreeSet<String> = legal_sources.map(|source| topic_for(source)).collect();
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

fn is_legal_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_legal)
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}
