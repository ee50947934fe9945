//! Stands in for the core until it is merged; then this file goes and the paths in its comments hold.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::envelope::Format;
use crate::event::Limits;
use crate::flags::FlagMatch;
use crate::traits::Vocabulary;
use crate::yaml;

/// `crate::router::DeadLetterRules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterRules {
    /// The topic; by default `{source_topic}.dead`.
    pub topic: Option<String>,
    /// Whether whole events are dead-lettered.
    pub events: bool,
}

impl Default for DeadLetterRules {
    fn default() -> Self {
        DeadLetterRules { topic: None, events: true }
    }
}

/// `crate::destination::Definition`.
#[derive(Debug)]
pub struct Definition {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Whether it is on unless a flag says otherwise.
    pub enabled_by_default: bool,
}

/// `crate::destination::Settings`.
#[derive(Debug, Clone, Default)]
pub struct Settings(pub Option<yaml::Node>);

impl Definition {
    /// Reads settings.
    pub fn read_settings(&self, node: Option<&yaml::Node>, place: Place, diagnostics: &mut Diagnostics) -> Settings {
        if self.id == "mixpanel" && node.is_none_or(|node| node.get("token").is_none()) {
            diagnostics.error(place, "missing setting: token");
        }
        Settings(node.cloned())
    }
}

/// `crate::destination::Instance`.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Name.
    pub name: String,
    /// Whether the configuration wrote it.
    pub is_named: bool,
    /// Definition.
    pub definition: Arc<Definition>,
    /// Topic, with placeholders; by default `{source_topic}.{instance}`.
    pub topic: Option<String>,
    /// Overrides the definition's.
    pub enabled_by_default: Option<bool>,
    /// Settings.
    pub settings: Settings,
}

/// `crate::destination::Catalogue`.
#[derive(Debug)]
pub struct Catalogue(Vec<Arc<Definition>>);

impl Catalogue {
    /// The built-in definitions.
    #[must_use]
    pub fn built_in() -> Catalogue {
        let ids = ["customerio", "hubspot", "intercom", "mixpanel", "salesforce", "webhook"];
        let make = |id: &str| Definition {
            id: id.to_owned(),
            name: if id == "salesforce" { "Salesforce" } else { id }.to_owned(),
            enabled_by_default: id != "salesforce",
        };
        Catalogue(ids.into_iter().map(|id| Arc::new(make(id))).collect())
    }

    /// Adds one.
    pub fn add(&mut self, id: &str, file: &str, text: &str) -> Vec<Diagnostic> {
        let mut diagnostics = Diagnostics::new(file);
        if text.contains("bad") {
            diagnostics.error(None, "bad definition");
        }
        self.0.retain(|definition| definition.id != id);
        self.0.push(Arc::new(Definition { id: id.to_owned(), name: id.to_owned(), enabled_by_default: true }));
        diagnostics.into_sorted()
    }

    /// Finds one.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Definition>> {
        self.0.iter().find(|definition| definition.id == id)
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.0.iter()
    }
}

/// `crate::router::Routing`.
#[derive(Debug)]
pub struct Routing {
    /// Source topics.
    pub source_topics: Vec<String>,
    /// Destinations.
    pub destinations: Vec<Instance>,
    /// Traits.
    pub vocabulary: Vocabulary,
    /// Flags.
    pub flag_match: FlagMatch,
    /// Format.
    pub format: Format,
    /// Dead letters.
    pub dead_letters: DeadLetterRules,
    /// Limits.
    pub limits: Limits,
    /// Replay.
    pub replay: Option<String>,
}
