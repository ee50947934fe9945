//! What is to be done: which events, for how many destinations, by how many.

use std::sync::LazyLock;

use groupcast::destination::{Catalogue, Definition};

/// What contestants do. Growth changes one thing of it at a time.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    /// The first so many of all destinations.
    pub(crate) n_destinations: usize,
    /// Of the source and of each output.
    pub(crate) n_partitions: u64,
    /// How many times as long the events are as the corpus has them.
    pub(crate) length: usize,
    pub(crate) n_processes: usize,
    /// Of each process.
    pub(crate) n_workers: usize,
    /// Whether a process that starts again is the group's same member (`group.instance.id`).
    pub(crate) is_static: bool,
    /// Produce requests under way to a broker, where it is not the default.
    pub(crate) max_in_flight: Option<u8>,
}

/// What they are compared at.
pub(crate) const BASE: Job = Job {
    n_destinations: 5,
    n_partitions: 6,
    length: 1,
    n_processes: 1,
    n_workers: 1,
    is_static: false,
    max_in_flight: None,
};

impl Job {
    /// Returns the destinations by their definitions, with what is set.
    pub(crate) fn destinations(self) -> &'static [(String, String)] {
        &DESTINATIONS[..self.n_destinations]
    }
}

/// Those of the comparison, which crates/core/benches/support has for the stages of the path, too; then the catalogue's others that get
/// events without being named, with the settings of their first example, and all custom traits where they can have them.
static DESTINATIONS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let first = FIRST.map(|(id, settings)| (id.to_owned(), settings.to_owned()));
    let catalogue = Catalogue::built_in();
    let is_other = |definition: &Definition| {
        definition.enabled_by_default && FIRST.iter().all(|(id, _)| *id != definition.id)
    };
    let others = catalogue.iter().filter(|definition| is_other(definition));
    first
        .into_iter()
        .chain(others.map(|definition| (definition.id.clone(), settings(definition))))
        .collect()
});

const FIRST: [(&str, &str); BASE.n_destinations] = [
    ("mixpanel", "{ token: T }"),
    ("hubspot", "{ custom_traits: all }"),
    ("customerio", "{}"),
    ("intercom", "{ custom_traits: all }"),
    ("webhook", "{}"),
];

fn settings(definition: &Definition) -> String {
    let mut json = String::new();
    let example = definition
        .examples
        .first()
        .and_then(|example| example.settings.as_ref());
    example
        .into_iter()
        .for_each(|settings| settings.write_json(&mut json));
    let mut settings: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&json).unwrap_or_default();
    if definition
        .settings
        .iter()
        .any(|setting| setting.name == "custom_traits")
    {
        settings.insert("custom_traits".to_owned(), "all".into());
    }
    // JSON is YAML.
    serde_json::Value::from(settings).to_string()
}
