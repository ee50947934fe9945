//! One definition under one choice of settings, and what leaves of an event there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use groupcast_core::destination::{Definition, Instance, NullPolicy, SettingType};
use groupcast_core::diagnostic::{Diagnostics, Place};
use groupcast_core::envelope::Emissions;
use groupcast_core::record::{Position, Record};
use groupcast_core::router::{DefaultLimits, Router, Routing, Scratch};
use groupcast_core::verdict::Verdict;
use groupcast_core::yaml;
use serde_json::{Map, Value, json};

use crate::events::{HUGE, LONE};

/// A definition under some settings.
pub(crate) struct Instances {
    router: Router,
    requests: BTreeMap<String, String>,
    pub(crate) examples: Vec<String>,
    pub(crate) trial: Trial,
    pub(crate) nulls: NullPolicy,
}

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    /// Everything.
    Whole,
    /// All but the corpus and the laws.
    Events,
    /// The definition's examples.
    Examples,
}

/// A record that left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Left {
    pub(crate) operation: String,
    pub(crate) request: String,
    /// The request as the definition writes it.
    template: String,
    pub(crate) body: Value,
    pub(crate) n_bytes: usize,
}

impl Left {
    /// Returns what stands in the request's path for each `${…}`, under the last word of its name, and what its query says.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        let mut parameters = Vec::new();
        let split = |text: &str| -> Vec<String> {
            text.split(['/', '?', '&', '='])
                .map(str::to_owned)
                .collect()
        };
        for (written, came) in split(&self.template).iter().zip(split(&self.request)) {
            if let Some(name) = written
                .strip_prefix("${")
                .and_then(|name| name.strip_suffix('}'))
            {
                let name = name.split(['.', ' ']).rfind(|word| !word.is_empty());
                parameters.push((name.unwrap_or_default().to_owned(), unescaped(&came)));
            }
        }
        let query = self.request.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        parameters.extend(pairs.map(|(name, value)| (name.to_owned(), unescaped(value))));
        parameters
    }
}

fn unescaped(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .expect("UTF-8")
        .into_owned()
}

impl Instances {
    /// Returns the definition once as it is by default, once with each of the settings that its examples use, and once with
    /// everything on: all of those together, and all custom traits.
    pub(crate) fn of(definition: &Arc<Definition>) -> Vec<Instances> {
        let examples: Vec<Map<String, Value>> = definition
            .examples
            .iter()
            .map(|example| {
                let mut text = String::new();
                example
                    .settings
                    .iter()
                    .for_each(|settings| settings.write_json(&mut text));
                serde_json::from_str(&text).unwrap_or_default()
            })
            .collect();
        let mut least = Map::new();
        let mut all = Map::new();
        for setting in &definition.settings {
            let shown = examples
                .iter()
                .find_map(|settings| settings.get(&setting.name));
            if setting.is_required {
                let value = shown.expect("an example sets what is required").clone();
                least.insert(setting.name.clone(), value);
            }
            let widest = examples
                .iter()
                .filter_map(|settings| settings.get(&setting.name))
                .max_by_key(|value| value.to_string().len());
            match (setting.setting_type, widest) {
                (SettingType::List, _) if setting.name == "custom_traits" => {
                    all.insert(setting.name.clone(), json!("all"));
                }
                (SettingType::Boolean, _) => {
                    all.insert(setting.name.clone(), json!(true));
                }
                (_, Some(value)) => {
                    all.insert(setting.name.clone(), value.clone());
                }
                (_, None) => {}
            }
        }
        let mut seen = BTreeSet::new();
        [all, least]
            .into_iter()
            .chain(examples)
            .filter(|settings| seen.insert(json!(settings).to_string()))
            .enumerate()
            .map(|(index, settings)| {
                let trial = match index {
                    0 => Trial::Whole,
                    1 => Trial::Events,
                    _ => Trial::Examples,
                };
                Instances::new(definition, settings, trial)
            })
            .collect()
    }

    fn new(definition: &Arc<Definition>, settings: Map<String, Value>, trial: Trial) -> Instances {
        let mut diagnostics = Diagnostics::new("settings");
        // JSON is YAML.
        let node = yaml::parse(&json!(settings).to_string(), &mut diagnostics);
        let read = definition.read_settings(node.as_ref(), Place::default(), &mut diagnostics);
        assert!(!diagnostics.has_errors(), "{}: {settings:?}", definition.id);
        let mut instance = Instance::new(Arc::clone(definition), read);
        instance.enabled_by_default = Some(true);
        let routing = Routing {
            source_topics: vec!["accepts".to_owned()],
            destinations: vec![instance],
            ..Routing::default()
        };
        Instances {
            router: Router::new(routing).unwrap(),
            requests: definition
                .operations
                .iter()
                .map(|operation| (operation.id.clone(), operation.request().to_owned()))
                .collect(),
            examples: definition
                .examples
                .iter()
                .map(|example| example.event.clone())
                .collect(),
            trial,
            nulls: definition.nulls,
        }
    }

    /// Returns what leaves of one event.
    pub(crate) fn route(&self, event: &str) -> Vec<Left> {
        let record = Record {
            position: Position::first("accepts"),
            timestamp: Some(1_700_000_000_000),
            key: None,
            value: Some(event.as_bytes()),
            traceparent: None,
            letter: None,
        };
        let mut emissions = Emissions::default();
        let verdict = self.router.route(
            &record,
            &DefaultLimits,
            &mut Scratch::default(),
            &mut emissions,
            &mut (),
        );
        assert_eq!(
            verdict,
            Verdict::Routed,
            "{}",
            event.chars().take(300).collect::<String>()
        );
        let left = emissions.iter().filter_map(|emission| {
            // A dead letter has no operation: nothing of it reaches the vendor.
            let operation = emission.operation()?;
            let id = self.router.operation_id(0, operation.index).to_owned();
            let text = std::str::from_utf8(operation.body).expect("UTF-8");
            let text = text.replace(LONE, r"\ufffd").replace(HUGE, "1");
            Some(Left {
                template: self.requests[&id].clone(),
                operation: id,
                request: operation.request.to_owned(),
                body: serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{fault}: {text}")),
                n_bytes: operation.body.len(),
            })
        });
        left.collect()
    }
}
