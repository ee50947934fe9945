//! What leaves is what the vendor takes. `destinations/accepts/` holds, for each operation, a JSON Schema that somebody wrote from
//! the vendor's pages without having seen the definition. Every example, the corpus and a hostile set are held to it, and to laws
//! that no schema can say.
//!
//! `GROUPCAST_ACCEPTS=hubspot cargo test --test accepts -- --nocapture` tells each fault of one destination with the body.
#![expect(
    clippy::disallowed_methods,
    reason = "a test may read files and variables"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use groupcast_core::destination::{Catalogue, Definition};

use crate::accepted::Accepted;
use crate::hostile::Hostile;
use crate::known::KNOWN;
use crate::route::{Instances, Trial};

mod accepted;
mod described;
#[path = "../corpus/events.rs"]
#[allow(dead_code, reason = "the corpus uses the rest")]
mod events;
mod hostile;
mod known;
mod law;
mod route;

#[test]
fn every_operation_has_a_schema_and_the_vendors_own_examples_pass() {
    let mut faults = Vec::new();
    for definition in definitions() {
        let accepted = Accepted::read(&definition.id);
        let ours: BTreeSet<&str> = definition
            .operations
            .iter()
            .map(|operation| operation.id.as_str())
            .collect();
        if ours != accepted.operations() {
            faults.push(format!(
                "{}: operations {ours:?}, and schemas of {:?}",
                definition.id,
                accepted.operations()
            ));
        }
        faults.extend(accepted.examples_faults());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_leaves_is_what_the_vendor_takes() {
    let only = std::env::var("GROUPCAST_ACCEPTS").ok();
    let asked: Vec<Arc<Definition>> = definitions()
        .into_iter()
        .filter(|definition| only.as_ref().is_none_or(|only| *only == definition.id))
        .collect();
    let found = std::thread::scope(|scope| {
        let threads: Vec<_> = asked
            .chunks(asked.len().div_ceil(4))
            .map(|definitions| scope.spawn(|| Found::of(definitions)))
            .collect();
        let mut found = Found::default();
        for thread in threads {
            found.merge(thread.join().expect("a thread that judges"));
        }
        found
    });
    println!(
        "{} bodies were held to their schemas, {} laws were tried",
        found.n_bodies, found.n_laws
    );
    if only.is_some() {
        println!("{}", found.in_full());
    }
    let is_asked = |id: &str| only.as_ref().is_none_or(|only| only == id);
    let known: BTreeSet<(&str, &str)> = KNOWN
        .iter()
        .filter(|(id, ..)| is_asked(id))
        .map(|(id, what, _)| (*id, *what))
        .collect();
    assert!(
        KNOWN.iter().all(|(.., why)| !why.is_empty()),
        "a known fault has a reason"
    );
    let mut complaints: Vec<String> = found
        .faults
        .iter()
        .filter(|((id, what), _)| !known.contains(&(id.as_str(), what.as_str())))
        .map(|((id, what), fault)| format!("{id}: {what} ({} times)\n    {}", fault.n, fault.first))
        .collect();
    complaints.extend(
        known
            .iter()
            .filter(|(id, what)| {
                !found
                    .faults
                    .contains_key(&((*id).to_owned(), (*what).to_owned()))
            })
            .map(|(id, what)| format!("{id}: no more, so take it out of the list: {what}")),
    );
    assert!(
        complaints.is_empty(),
        "{} differ\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

/// `just vendor-schemas` fetches the descriptions and names their folder.
#[test]
fn the_vendors_own_descriptions_have_the_same_fields() {
    let Ok(folder) = std::env::var("GROUPCAST_VENDOR_SCHEMAS") else {
        println!("SKIPPED: GROUPCAST_VENDOR_SCHEMAS names no folder: just vendor-schemas");
        return;
    };
    let (mut said, mut differences) = (Vec::new(), Vec::new());
    for definition in definitions() {
        let accepted = Accepted::read(&definition.id);
        differences.extend(accepted.differences(&definition.id, &folder, &mut said));
    }
    println!("{}", said.join("\n"));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Routes everything through one definition, under each of its settings, and judges what leaves.
fn hold(definition: &Arc<Definition>, found: &mut Found) {
    let accepted = Accepted::read(&definition.id);
    let hostile = Hostile::of(definition);
    for instance in Instances::of(definition) {
        let mut judge = |event: &str| {
            for record in instance.route(event) {
                found.n_bodies += 1;
                for fault in accepted.faults(&record) {
                    let what = format!("{} {}", record.operation, fault.what);
                    found.add(&definition.id, what, || {
                        let body = record.body.to_string();
                        vec![event.to_owned(), record.request.clone(), body, fault.detail]
                    });
                }
            }
        };
        instance.examples.iter().for_each(|event| judge(event));
        if instance.trial != Trial::Examples {
            hostile.events.iter().for_each(|event| judge(event));
        }
        // What takes longest is tried where everything is on.
        if instance.trial == Trial::Whole {
            hostile.corpus.iter().for_each(|event| judge(event));
            for (what, event, detail) in
                law::broken(&instance, &accepted, &hostile, &mut found.n_laws)
            {
                found.add(&definition.id, what, || vec![event, detail]);
            }
        }
    }
}

/// What was found to be refused: per definition, and per place of its schema.
#[derive(Default)]
struct Found {
    n_bodies: usize,
    n_laws: usize,
    faults: BTreeMap<(String, String), Fault>,
}

struct Fault {
    n: usize,
    first: String,
}

impl Found {
    fn of(definitions: &[Arc<Definition>]) -> Found {
        let mut found = Found::default();
        definitions
            .iter()
            .for_each(|definition| hold(definition, &mut found));
        found
    }

    /// Takes in what was found of other definitions.
    fn merge(&mut self, other: Found) {
        self.n_bodies += other.n_bodies;
        self.n_laws += other.n_laws;
        self.faults.extend(other.faults);
    }

    fn add(&mut self, id: &str, what: String, details: impl FnOnce() -> Vec<String>) {
        let key = (id.to_owned(), what);
        let fault = self.faults.entry(key).or_insert_with(|| Fault {
            n: 0,
            first: details()
                .iter()
                .map(|detail| shortened(detail))
                .collect::<Vec<_>>()
                .join("\n    "),
        });
        fault.n += 1;
    }

    fn in_full(&self) -> String {
        let lines = self.faults.iter().map(|((id, what), fault)| {
            format!("{id}: {what} ({} times)\n    {}", fault.n, fault.first)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(600) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn definitions() -> Vec<Arc<Definition>> {
    Catalogue::built_in().iter().cloned().collect()
}
