//! Destinations: definitions as written, plans as run, and the catalogue of those that are built in.

mod case;
mod compile;
mod definition;
mod entries;
mod expression;
mod filter;
mod fit;
mod material;
mod plan;
mod request;
mod run;
mod schema;
pub mod send;
mod settings;
mod value;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use rust_embed::RustEmbed;

pub use self::definition::{
    Batch, Conditions, Definition, Encoding, Example, Expected, ExpectedOperation, Layout,
    Membership, NullPolicy, OperationSpec,
};
pub(crate) use self::definition::{event_text, read_list, read_outcome, required};
pub use self::material::Material;
pub use self::plan::{Operation, Plan};
pub use self::run::Run;
pub use self::schema::schema;
pub use self::settings::{SettingSpec, SettingType, SettingValue, Settings};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::flags::FlagNames;
use crate::traits::{TraitRules, Vocabulary};

/// A destination as the configuration lists it: a definition, and what is its own.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its name; the definition's id unless the configuration gives another.
    pub name: String,
    /// Whether the configuration gave the name, so that flags may use it (semantics F4).
    pub is_named: bool,
    /// The definition.
    pub definition: Arc<Definition>,
    /// Its topic, with `{source_topic}` and `{instance}` to be filled in; the default joins them with a dot (K1).
    pub topic: Option<String>,
    /// Whether events reach it by default, where that differs from the definition (F2).
    pub enabled_by_default: Option<bool>,
    /// Its settings.
    pub settings: Settings,
    /// Which traits it gets.
    pub traits: TraitRules,
    /// The categories of consent that it needs (F10).
    pub consent: Vec<String>,
    /// What must be present in an event for it to reach the destination (F11).
    pub when: Conditions,
}

impl Instance {
    /// Returns an instance of which the configuration says nothing but its settings.
    #[must_use]
    pub fn new(definition: Arc<Definition>, settings: Settings) -> Instance {
        Instance {
            name: definition.id.clone(),
            is_named: false,
            definition,
            topic: None,
            enabled_by_default: None,
            settings,
            traits: TraitRules::default(),
            consent: Vec::new(),
            when: Conditions::default(),
        }
    }

    /// Returns whether events reach it unless a flag says otherwise (semantics F1, F2).
    #[must_use]
    pub fn is_enabled_by_default(&self) -> bool {
        self.enabled_by_default
            .unwrap_or(self.definition.enabled_by_default)
    }

    /// Returns what flags may call it (semantics F4).
    #[must_use]
    pub fn flag_names(&self) -> FlagNames<'_> {
        FlagNames {
            instance: self.is_named.then_some(&*self.name),
            definition: &self.definition.name,
            aliases: &self.definition.aliases,
            is_enabled_by_default: self.is_enabled_by_default(),
        }
    }

    /// Makes the plan. Traits that the definition mentions become known to `vocabulary`.
    ///
    /// # Errors
    /// Faults of the definition, which [`Definition::parse`] has ruled out already.
    pub fn compile(&self, vocabulary: &mut Vocabulary) -> Result<Plan, Vec<Diagnostic>> {
        let mut diagnostics = Diagnostics::new(&self.definition.file);
        let plan = compile::compile(
            &self.definition,
            &self.settings,
            &self.when,
            vocabulary,
            &mut diagnostics,
        );
        if diagnostics.has_errors() {
            Err(diagnostics.into_sorted())
        } else {
            Ok(plan)
        }
    }
}

/// All known definitions by id.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    definitions: BTreeMap<String, Arc<Definition>>,
}

// The folder also has what the vendors take, which is for the tests.
#[derive(RustEmbed)]
#[folder = "destinations"]
#[include = "*.yaml"]
struct Files;

/// Returns the text of a definition that is part of the program, by the file that diagnostics name.
#[must_use]
pub fn built_in_text(file: &str) -> Option<String> {
    let embedded = Files::get(file.strip_prefix("destinations/")?)?;
    Some(String::from_utf8_lossy(&embedded.data).into_owned())
}

impl Catalogue {
    /// Returns the definitions that are part of the program. A test parses each of them.
    #[must_use]
    pub fn built_in() -> Catalogue {
        // Parsed once: a configuration is read again at each reload, and thousands of times a second where it is fuzzed.
        static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(Catalogue::parse_built_in);
        BUILT_IN.clone()
    }

    fn parse_built_in() -> Catalogue {
        let mut catalogue = Catalogue::default();
        for file in Files::iter() {
            let Some(embedded) = Files::get(&file) else {
                continue;
            };
            let text = String::from_utf8_lossy(&embedded.data);
            catalogue.add(
                file.trim_end_matches(".yaml"),
                &format!("destinations/{file}"),
                &text,
            );
        }
        catalogue
    }

    /// Parses a definition and adds it, in the place of one of the same id. Returns what is wrong with it; a definition
    /// with errors is not added.
    pub fn add(&mut self, id: &str, file: &str, text: &str) -> Vec<Diagnostic> {
        match Definition::parse(id, file, text) {
            Ok(definition) => {
                self.definitions.insert(id.to_owned(), Arc::new(definition));
                Vec::new()
            }
            Err(diagnostics) => diagnostics,
        }
    }

    /// Returns the definition of that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Definition>> {
        self.definitions.get(id)
    }

    /// Returns all definitions in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.values()
    }
}

#[cfg(test)]
mod tests;
