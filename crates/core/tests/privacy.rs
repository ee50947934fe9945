//! No way out misses a rule: a trait that is denied or hashed leaves no destination as it came, whatever its key is spelled like and
//! whatever the destination's definition does with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use groupcast_core::destination::{Catalogue, Instance};
use groupcast_core::diagnostic::Diagnostics;
use groupcast_core::envelope::Emissions;
use groupcast_core::record::{Position, Record};
use groupcast_core::router::{DefaultLimits, Router, Routing, Scratch};
use groupcast_core::traits::TraitRules;
use groupcast_core::verdict::Verdict;

/// Part of each value that is to be kept private, and of no other.
const PRIVATE: &str = "pr1vate";

const EVENT: &str = r#"{"type":"group","groupId":"g1","userId":"u1","messageId":"m1","timestamp":"2026-01-31T08:00:00Z",
 "traits":{"email":"pr1vate@gone.example","traits":1},
 "traits":{"name":"Initech","e-mail":"pr1vate@a.example","E_Mail":"pr1vate@b.example","phone":"pr1vate-1","website":"https://pr1vate.example",
 "Tax Number":"pr1vate-2","notes":{"deep":["pr1vate-3",{"pr1vately":"pr1vate-4"}]},"address":{"city":"pr1vate-5","street":"1 Way"},
 "address.city":"pr1vate-6","CITY":"pr1vate-7","employees":50,"plan":"gold"}}"#;

const NAMES: [&str; 6] = [
    "email",
    "phone",
    "website",
    "taxNumber",
    "notes",
    "address.city",
];

/// Returns what leaves of the event through every built-in definition with each of the settings of its examples.
fn left(rules: &TraitRules) -> Vec<(String, String)> {
    let mut destinations = Vec::new();
    for definition in Catalogue::built_in().iter() {
        let mut seen = BTreeSet::new();
        for example in &definition.examples {
            let mut json = String::new();
            example
                .settings
                .iter()
                .for_each(|settings| settings.write_json(&mut json));
            if seen.insert(json) {
                let settings = definition.read_settings(
                    example.settings.as_ref(),
                    example.place,
                    &mut Diagnostics::new("s"),
                );
                destinations.push(Instance {
                    name: format!("{}-{}", definition.id, seen.len()),
                    enabled_by_default: Some(true),
                    traits: rules.clone(),
                    ..Instance::new(definition.clone(), settings)
                });
            }
        }
    }
    let router = Router::new(Routing {
        source_topics: vec!["t".to_owned()],
        destinations,
        ..Routing::default()
    })
    .unwrap();
    let position = Position::first("t");
    let record = Record::new(position, Some(EVENT.as_bytes()));
    let mut emissions = Emissions::default();
    assert_eq!(
        router.route(
            &record,
            &DefaultLimits,
            &mut Scratch::default(),
            &mut emissions,
            &mut ()
        ),
        Verdict::Routed
    );
    let texts = emissions.iter().map(|emission| {
        let operation = emission
            .operation()
            .unwrap_or_else(|| panic!("a dead letter of {:?}", emission.destination));
        let destination = router
            .destination_name(emission.destination.unwrap())
            .to_owned();
        (
            destination,
            format!(
                "{} {}",
                operation.request,
                String::from_utf8_lossy(emission.value.unwrap())
            ),
        )
    });
    texts.collect()
}

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

#[test]
fn p1_nothing_private_leaves_any_destination() {
    let salt = "a salt that nobody knows".to_owned();
    let rules = [
        TraitRules {
            deny: names(),
            ..TraitRules::default()
        },
        TraitRules {
            hash: names(),
            salt,
            ..TraitRules::default()
        },
        TraitRules {
            allow: Some(vec![
                "name".to_owned(),
                "plan".to_owned(),
                "street".to_owned(),
            ]),
            ..TraitRules::default()
        },
        TraitRules {
            allow: Some(Vec::new()),
            ..TraitRules::default()
        },
    ];
    for rules in rules {
        let left = left(&rules);
        for (destination, text) in &left {
            // A key is no value; who wants it gone denies the trait that holds it.
            let text = text.replace("pr1vately", "");
            assert!(!text.contains(PRIVATE), "{rules:?}\n{destination}: {text}");
        }
        assert!(
            left.len() > 20,
            "{rules:?}: only {} records leave",
            left.len()
        );
    }
}

#[test]
fn without_rules_the_same_leaves_nearly_everywhere() {
    let left = left(&TraitRules::default());
    let private: BTreeSet<&String> = left
        .iter()
        .filter(|(_, text)| text.contains(PRIVATE))
        .map(|(name, _)| name)
        .collect();
    assert!(private.len() > 40, "only {private:?}");
}
