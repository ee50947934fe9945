//! The routers that are fuzzed.
#![allow(dead_code, reason = "each target has its own")]

use std::collections::BTreeSet;
use std::sync::Arc;

use groupcast_core::destination::{Catalogue, Definition, Instance};
use groupcast_core::diagnostic::Diagnostics;
use groupcast_core::router::{Router, Routing};

pub const TOPIC: &str = "fuzz";

/// Every built-in definition once with each of the settings that its examples use.
pub fn all() -> Router {
    of(Catalogue::built_in().iter().flat_map(instances))
}

/// Those whose definitions do the most: `explain` routes an event once for each value in it.
pub fn few() -> Router {
    let catalogue = Catalogue::built_in();
    let chosen = ["mixpanel", "salesforce", "hubspot", "klaviyo", "webhook"]
        .map(|id| catalogue.get(id).expect("built in"));
    of(chosen
        .into_iter()
        .filter_map(|definition| instances(definition).pop()))
}

/// One definition as somebody wrote it, if its settings need no values.
pub fn one(definition: Arc<Definition>) -> Option<Router> {
    let mut diagnostics = Diagnostics::new("fuzz");
    let settings = definition.read_settings(None, Default::default(), &mut diagnostics);
    let instance = Instance {
        name: "fuzz".to_owned(),
        enabled_by_default: Some(true),
        ..Instance::new(definition, settings)
    };
    (!diagnostics.has_errors()).then(|| of([instance]))
}

fn of(destinations: impl IntoIterator<Item = Instance>) -> Router {
    let destinations = destinations.into_iter().collect();
    Router::new(Routing {
        source_topics: vec![TOPIC.to_owned()],
        destinations,
        ..Routing::default()
    })
    .unwrap_or_else(|faults| panic!("a definition that was checked compiles: {faults:?}"))
}

fn instances(definition: &Arc<Definition>) -> Vec<Instance> {
    let (mut seen, mut instances) = (BTreeSet::new(), Vec::new());
    for example in &definition.examples {
        let mut json = String::new();
        example
            .settings
            .iter()
            .for_each(|settings| settings.write_json(&mut json));
        if !seen.insert(json) {
            continue;
        }
        let settings = definition.read_settings(
            example.settings.as_ref(),
            example.place,
            &mut Diagnostics::new("settings"),
        );
        instances.push(Instance {
            name: format!("{}-{}", definition.id, seen.len()),
            enabled_by_default: Some(true),
            ..Instance::new(definition.clone(), settings)
        });
    }
    instances
}
