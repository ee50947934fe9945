//! Every built-in definition comes out as its examples say, and has the examples that a definition needs.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may read files and take times"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use groupcast_core::destination::{Catalogue, Definition, Expected};
use groupcast_core::examples;
use groupcast_core::flags::{self, FlagNames};

#[test]
fn every_example_comes_out_as_it_says() {
    let start = std::time::Instant::now();
    let catalogue = Catalogue::built_in();
    let faults: Vec<String> = catalogue
        .iter()
        .flat_map(examples::check)
        .map(|fault| fault.to_string())
        .collect();
    let n_examples: usize = catalogue
        .iter()
        .map(|definition| definition.examples.len())
        .sum();
    println!(
        "{} definitions compiled, {n_examples} examples run: {:?}",
        catalogue.iter().count(),
        start.elapsed()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_definition_cites_its_vendor() {
    for definition in definitions() {
        assert!(definition.read.is_some(), "{} has no read", definition.id);
        assert!(!definition.docs.is_empty(), "{} has no docs", definition.id);
        assert!(
            definition
                .docs
                .iter()
                .all(|page| page.starts_with("https://")),
            "{}",
            definition.id
        );
    }
}

#[test]
fn every_definition_has_the_examples_it_needs() {
    for definition in definitions() {
        let events: Vec<serde_json::Value> = definition
            .examples
            .iter()
            .filter_map(|example| serde_json::from_str(&example.event).ok())
            .collect();
        assert!(
            definition.examples.len() >= 5,
            "{}: fewer than five examples",
            definition.id
        );
        let has = |wanted: &dyn Fn(&serde_json::Value) -> bool, what: &str| {
            assert!(
                events.iter().any(wanted),
                "{}: no example has {what}",
                definition.id
            );
        };
        let reserved = [
            "name",
            "email",
            "phone",
            "website",
            "industry",
            "description",
            "employees",
            "createdAt",
            "avatar",
            "id",
            "plan",
            "address",
        ];
        has(
            &|event| {
                reserved
                    .iter()
                    .all(|name| event["traits"].get(name).is_some())
            },
            "all reserved traits",
        );
        has(
            &|event| event.get("traits").is_none() && event.get("userId").is_none(),
            "the least event",
        );
        has(
            &|event| {
                event["traits"]
                    .as_object()
                    .is_some_and(|traits| traits.values().any(serde_json::Value::is_null))
            },
            "a null",
        );
        has(
            &|event| {
                event["traits"].as_object().is_some_and(|traits| {
                    traits
                        .keys()
                        .any(|key| key.eq_ignore_ascii_case("NAME") && key != "name")
                })
            },
            "another spelling of name",
        );
        let skips = definition
            .examples
            .iter()
            .any(|example| matches!(example.expected, Expected::Skips(_)));
        // These make something of every event but those that a flag keeps from them.
        let takes_everything =
            ["customerio", "hubspot", "intercom"].contains(&definition.id.as_str());
        assert!(
            skips || takes_everything,
            "{}: no example is skipped",
            definition.id
        );
    }
}

#[test]
fn no_two_definitions_claim_one_name() {
    let mut names: Vec<String> = definitions()
        .iter()
        .flat_map(|definition| {
            definition
                .aliases
                .iter()
                .chain([&definition.name])
                .cloned()
                .collect::<Vec<_>>()
        })
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// F4: a flag in a spelling of its own means one definition, so that no configuration of built-in ones is warned of.
#[test]
fn no_two_definitions_have_names_of_one_fold() {
    let definitions = definitions();
    let names = definitions.iter().map(|definition| FlagNames {
        instance: None,
        definition: &definition.name,
        aliases: &definition.aliases,
        is_enabled_by_default: definition.enabled_by_default,
    });
    let collisions: Vec<_> = flags::collisions(names)
        .into_iter()
        .map(|(first, second)| (first.name, second.name))
        .collect();
    assert_eq!(collisions, []);
}

fn definitions() -> Vec<std::sync::Arc<Definition>> {
    let definitions: Vec<_> = Catalogue::built_in().iter().cloned().collect();
    // All of the folder, and nothing else, is built in.
    let mut files: Vec<String> =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/destinations"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
            .collect();
    files.sort_unstable();
    let ids: Vec<&str> = definitions
        .iter()
        .map(|definition| definition.id.as_str())
        .collect();
    assert_eq!(ids, files);
    definitions
}
