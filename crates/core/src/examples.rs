//! Runs a definition's examples through the router, as `check` and the tests do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::destination::send::{AnswerExample, Meaning, Rules};
use crate::destination::{Definition, Example, Expected, ExpectedOperation, Instance};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::envelope::{Emission, Emissions};
use crate::json;
use crate::record::{Position, Record};
use crate::router::{DefaultLimits, Router, Routing, Scratch};
use crate::send::answer::{self, Answer};
use crate::verdict::{Observer, Outcome, Verdict};

/// Returns what is wrong with the definition's examples: each that does not come out as it says, at its place.
#[must_use]
pub fn check(definition: &Arc<Definition>) -> Vec<Diagnostic> {
    let mut diagnostics = Diagnostics::new(&definition.file);
    let mut exercised = BTreeSet::new();
    for example in &definition.examples {
        check_one(definition, example, &mut exercised, &mut diagnostics);
    }
    for operation in definition
        .operations
        .iter()
        .filter(|operation| !exercised.contains(&operation.id))
    {
        diagnostics.warning(
            None,
            format!("no example shows the operation: {}", operation.id),
        );
    }
    if let Some(send) = &definition.send {
        for example in &send.examples {
            check_answer(definition, &send.rules, example, &mut diagnostics);
        }
    }
    diagnostics.into_sorted()
}

/// Returns how many examples the definition has: events, and answers of its vendor.
#[must_use]
pub fn count(definition: &Definition) -> usize {
    let answers = definition.send.as_ref().map(|send| send.examples.len());
    definition.examples.len() + answers.unwrap_or_default()
}

fn check_answer(
    definition: &Definition,
    rules: &Rules,
    example: &AnswerExample,
    diagnostics: &mut Diagnostics,
) {
    let first = definition.operations.first();
    let first = first.map_or("", |operation| &*operation.id);
    let operation = example.operation.as_deref().unwrap_or(first);
    let headers: Vec<(&str, &str)> = example
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let answer = Answer {
        status: example.status,
        headers: &headers,
        body: example.body.as_bytes(),
        received_unix_ms: 0,
    };
    let reading = answer::read(rules, operation, example.means.len(), &answer);
    let words = |means: &mut dyn Iterator<Item = Meaning>| -> String {
        means.map(Meaning::word).collect::<Vec<_>>().join(", ")
    };
    let means = words(&mut reading.items.iter().map(|item| item.means));
    let detail = reading.items.iter().find_map(|item| item.detail.clone());
    let wait = |wait: Option<Duration>| wait.map(|wait| format!("{} ms", wait.as_millis()));
    let parts = [
        (
            "means",
            Some(words(&mut example.means.iter().copied())),
            Some(means),
        ),
        ("wait", wait(example.wait), wait(reading.wait)),
        ("detail", example.detail.clone(), detail),
    ];
    for (part, wanted, came) in parts.into_iter().filter(|(_, wanted, came)| wanted != came) {
        let none = || "none".to_owned();
        let (wanted, came) = (wanted.unwrap_or_else(none), came.unwrap_or_else(none));
        diagnostics.error(
            example.place,
            format!(
                "answer \"{}\": {part} is expected to be {wanted}, {came} came",
                example.about
            ),
        );
    }
}

fn check_one(
    definition: &Arc<Definition>,
    example: &Example,
    exercised: &mut BTreeSet<String>,
    diagnostics: &mut Diagnostics,
) {
    let settings = definition.read_settings(example.settings.as_ref(), example.place, diagnostics);
    let instance = Instance::new(Arc::clone(definition), settings);
    let router = match Router::new(Routing {
        source_topics: vec![TOPIC.to_owned()],
        destinations: vec![instance],
        ..Routing::default()
    }) {
        Ok(router) => router,
        Err(faults) => return diagnostics.extend(faults),
    };
    let routed = Routed::of(&router, TOPIC, &example.event);
    let verdict = routed.verdict;
    if verdict != Verdict::Routed {
        let (verdict, reason) = verdict.labels();
        diagnostics.error(
            example.place,
            format!(
                "example \"{}\": its event is {verdict}: {reason}",
                example.about
            ),
        );
        return;
    }
    let actual = routed.at(&router, 0);
    exercised.extend(
        actual
            .operations
            .iter()
            .map(|operation| operation.id.clone()),
    );
    if let Some(difference) = difference(&example.expected, &actual) {
        diagnostics.error(
            example.place,
            format!("example \"{}\": {difference}", example.about),
        );
    }
}

const TOPIC: &str = "examples";

/// What became of an event that is in no topic.
pub(crate) struct Routed {
    pub(crate) verdict: Verdict,
    emissions: Emissions,
    outcomes: Outcomes,
}

/// Each destination's outcome, by index.
struct Outcomes(Vec<Option<Outcome>>);

impl Observer for Outcomes {
    fn outcome(&mut self, destination: usize, outcome: Outcome) {
        if let Some(known) = self.0.get_mut(destination) {
            *known = Some(outcome);
        }
    }
}

impl Routed {
    pub(crate) fn of(router: &Router, topic: &str, event: &str) -> Routed {
        let record = Record::new(Position::first(topic), Some(event.as_bytes()));
        let mut emissions = Emissions::default();
        let mut outcomes = Outcomes(vec![None; router.destination_names().len()]);
        let verdict = router.route(
            &record,
            &DefaultLimits,
            &mut Scratch::default(),
            &mut emissions,
            &mut outcomes,
        );
        Routed {
            verdict,
            emissions,
            outcomes,
        }
    }

    /// Returns the outcome at a destination; `None` where it was not asked, or is not there.
    pub(crate) fn outcome(&self, destination: usize) -> Option<Outcome> {
        self.outcomes.0.get(destination).copied().flatten()
    }

    /// Returns what the destination made of it.
    pub(crate) fn at(&self, router: &Router, destination: usize) -> Actual {
        let outcome = self.outcome(destination);
        Actual::of(router, destination, &self.emissions, outcome)
    }
}

/// What became of an event at one destination.
pub(crate) struct Actual {
    operations: Vec<ActualOperation>,
    reason: &'static str,
}

struct ActualOperation {
    id: String,
    request: String,
    key: String,
    body: String,
}

impl Actual {
    fn of(
        router: &Router,
        destination: usize,
        emissions: &Emissions,
        outcome: Option<Outcome>,
    ) -> Actual {
        let is_its = |emission: &Emission<'_>| emission.destination == Some(destination);
        let operations = emissions.iter().filter(is_its).filter_map(|emission| {
            let operation = emission.operation()?;
            Some(ActualOperation {
                id: router.operation_id(destination, operation.index).to_owned(),
                request: operation.request.to_owned(),
                key: String::from_utf8_lossy(emission.key.unwrap_or_default()).into_owned(),
                body: json::compact(&String::from_utf8_lossy(operation.body)),
            })
        });
        Actual {
            operations: operations.collect(),
            reason: outcome.map_or("", |outcome| outcome.labels().1),
        }
    }
}

/// Says how an event came out differently, if it did.
pub(crate) fn difference(expected: &Expected, actual: &Actual) -> Option<String> {
    let emitted: Vec<&str> = actual
        .operations
        .iter()
        .map(|operation| operation.id.as_str())
        .collect();
    match expected {
        Expected::Skips(reason) if !emitted.is_empty() => Some(format!(
            "expected to skip ({reason}), got {}",
            emitted.join(", ")
        )),
        Expected::Skips(reason) if *reason != actual.reason => Some(format!(
            "expected to skip ({reason}), got {}",
            actual.reason
        )),
        Expected::Skips(_) => None,
        Expected::Emits(operations) => {
            let wanted: Vec<&str> = operations
                .iter()
                .map(|operation| operation.operation.as_str())
                .collect();
            if wanted != emitted {
                let came = if emitted.is_empty() {
                    actual.reason.to_owned()
                } else {
                    emitted.join(", ")
                };
                return Some(format!("expected {}, got {came}", wanted.join(", ")));
            }
            operations
                .iter()
                .zip(&actual.operations)
                .find_map(|(wanted, came)| operation_difference(wanted, came))
        }
    }
}

fn operation_difference(wanted: &ExpectedOperation, came: &ActualOperation) -> Option<String> {
    let body = json::compact(&wanted.body);
    let parts = [
        ("body", Some(&body), &came.body),
        ("request", wanted.request.as_ref(), &came.request),
        ("key", wanted.key.as_ref(), &came.key),
    ];
    parts.into_iter().find_map(|(part, wanted, came_part)| {
        let wanted = wanted.filter(|wanted| *wanted != came_part)?;
        Some(format!(
            "{}: the {part} differs\n  expected {wanted}\n  got      {came_part}",
            came.id
        ))
    })
}
