//! A user's own cases: an event, and what must become of it under a configuration. `groupcast test` runs them.

use crate::destination::{Expected, event_text, read_list, read_outcome, required};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::examples::{Actual, Routed, difference};
use crate::router::Router;
use crate::verdict::{Outcome, Reason, Verdict};
use crate::yaml::{self, Fields, Node, Value};

/// A file of cases, read and checked against a router's names.
#[derive(Debug)]
pub struct Cases {
    file: String,
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    about: String,
    place: Place,
    /// The source topic; the first one unless the case says so.
    topic: String,
    event: String,
    expected: Expectation,
}

#[derive(Debug)]
enum Expectation {
    /// The record goes nowhere, and this is why.
    Record(Verdict),
    /// What these destinations make of it, by index. The others are not looked at.
    Shares(Vec<(usize, Place, Share)>),
}

/// What one destination makes of the event.
#[derive(Debug)]
enum Share {
    Is(Expected),
    DeadLetter(Reason),
}

impl Cases {
    /// Reads `text`, the contents of `file`; topics and destinations must be among those of `router` and `topics`.
    ///
    /// # Errors
    /// All that is wrong with the file, each with its place.
    pub fn read(
        file: &str,
        text: &str,
        router: &Router,
        topics: &[String],
    ) -> Result<Cases, Vec<Diagnostic>> {
        let mut diagnostics = Diagnostics::new(file);
        let cases = match yaml::parse(text, &mut diagnostics) {
            Some(tree) => read_cases(&tree, router, topics, &mut diagnostics),
            None => Vec::new(),
        };
        let found = diagnostics.into_sorted();
        if found.is_empty() {
            Ok(Cases {
                file: file.to_owned(),
                cases,
            })
        } else {
            Err(found)
        }
    }

    /// Returns how many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.cases.len()
    }

    /// Runs them all. Returns those that come out differently, each at its place, with the difference.
    #[must_use]
    pub fn run(&self, router: &Router) -> Vec<Diagnostic> {
        let mut diagnostics = Diagnostics::new(&self.file);
        for case in &self.cases {
            case.run(router, &mut diagnostics);
        }
        diagnostics.into_sorted()
    }
}

fn read_cases(
    tree: &Node,
    router: &Router,
    topics: &[String],
    diagnostics: &mut Diagnostics,
) -> Vec<Case> {
    let mut fields = Fields::new(tree, "", diagnostics);
    if !fields.has("cases") {
        fields.missing("cases", diagnostics);
    }
    let cases = read_list(&mut fields, "cases", diagnostics, |node, context, found| {
        read_case(node, context, router, topics, found)
    });
    fields.finish(diagnostics);
    cases
}

fn read_case(
    node: &Node,
    context: &str,
    router: &Router,
    topics: &[String],
    diagnostics: &mut Diagnostics,
) -> Option<Case> {
    let mut fields = Fields::new(node, context, diagnostics);
    let about = required(&mut fields, "about", diagnostics);
    let topic = read_topic(&mut fields, topics, diagnostics);
    let event = fields.node("event").map(event_text);
    if event.is_none() {
        fields.missing("event", diagnostics);
    }
    let expected = read_expectation(&mut fields, router, diagnostics);
    fields.finish(diagnostics);
    Some(Case {
        about: about?,
        place: node.place,
        topic: topic?,
        event: event?,
        expected: expected?,
    })
}

fn read_topic(
    fields: &mut Fields<'_>,
    topics: &[String],
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let Some(node) = fields.node("topic") else {
        return topics.first().cloned();
    };
    let written = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
    if !topics.iter().any(|topic| topic == written) {
        diagnostics
            .error(node.place, format!("not a source topic: {written}"))
            .suggest(written, topics.iter().map(String::as_str));
    }
    Some(written.to_owned())
}

fn read_expectation(
    fields: &mut Fields<'_>,
    router: &Router,
    diagnostics: &mut Diagnostics,
) -> Option<Expectation> {
    let ways = ["expect", "ignored", "dead_letter"];
    if ways.iter().filter(|way| fields.has(way)).count() != 1 {
        let message = "a case says exactly one of expect, ignored, dead_letter";
        diagnostics
            .error(fields.place(), message)
            .hint("expect: names destinations; ignored: and dead_letter: are reasons for the whole record");
    }
    let shares = fields
        .node("expect")
        .map(|node| read_shares(node, router, diagnostics));
    let ignored = fields.choice(
        "ignored",
        &Reason::choices(&[Reason::Tombstone, Reason::NotGroup]),
        diagnostics,
    );
    let dead = fields.choice(
        "dead_letter",
        &Reason::choices(Reason::DEAD_LETTERS),
        diagnostics,
    );
    let record = ignored
        .map(Verdict::Ignored)
        .or(dead.map(Verdict::DeadLettered));
    shares
        .map(Expectation::Shares)
        .or(record.map(Expectation::Record))
}

fn read_shares(
    node: &Node,
    router: &Router,
    diagnostics: &mut Diagnostics,
) -> Vec<(usize, Place, Share)> {
    let Value::Map(entries) = &node.value else {
        let message = format!("expect must be a mapping, not {}", node.describe());
        diagnostics.error(node.place, message);
        return Vec::new();
    };
    let mut shares = Vec::new();
    for entry in entries {
        let found = router
            .destination_names()
            .position(|name| name == entry.key);
        let Some(destination) = found else {
            let message = format!("no destination of the configuration: {}", entry.key);
            diagnostics
                .error(entry.key_place, message)
                .suggest(&entry.key, router.destination_names());
            continue;
        };
        let context = format!("expect.{}", entry.key);
        let mut fields = Fields::new(&entry.value, &context, diagnostics);
        let share = if fields.has("dead_letter") {
            let reasons = Reason::choices(Reason::UNFIT);
            let reason = fields.choice("dead_letter", &reasons, diagnostics);
            reason.map(Share::DeadLetter)
        } else {
            let reasons = [Reason::SKIPS, Reason::WITHHELD].concat();
            read_outcome(&mut fields, &context, &reasons, diagnostics).map(Share::Is)
        };
        fields.finish(diagnostics);
        shares.extend(share.map(|share| (destination, entry.key_place, share)));
    }
    shares
}

impl Case {
    fn run(&self, router: &Router, diagnostics: &mut Diagnostics) {
        let routed = Routed::of(router, &self.topic, &self.event);
        let verdict = routed.verdict;
        let mut fail = |place, difference| {
            let message = format!("case \"{}\": {difference}", self.about);
            diagnostics.error(place, message);
        };
        match &self.expected {
            Expectation::Record(wanted) if *wanted == verdict => {}
            Expectation::Record(wanted) => {
                let difference = format!("expected {}, got {}", said(*wanted), said(verdict));
                fail(self.place, difference);
            }
            Expectation::Shares(_) if verdict != Verdict::Routed => {
                fail(self.place, format!("the record is {}", said(verdict)));
            }
            Expectation::Shares(shares) => {
                for (destination, place, share) in shares {
                    let outcome = routed.outcome(*destination);
                    let actual = routed.at(router, *destination);
                    if let Some(difference) = share.difference(&actual, outcome) {
                        let name = router.destination_name(*destination);
                        fail(*place, format!("{name}: {difference}"));
                    }
                }
            }
        }
    }
}

impl Share {
    fn difference(&self, actual: &Actual, outcome: Option<Outcome>) -> Option<String> {
        match self {
            Share::DeadLetter(reason) if outcome == Some(Outcome::DeadLettered(*reason)) => None,
            Share::DeadLetter(reason) => {
                let (outcome, why) = outcome.map_or(("", ""), Outcome::labels);
                let code = reason.code();
                Some(format!(
                    "expected dead_lettered {code}, got {outcome} {why}"
                ))
            }
            Share::Is(expected) => difference(expected, actual),
        }
    }
}

fn said(verdict: Verdict) -> String {
    let (verdict, reason) = verdict.labels();
    format!("{verdict} {reason}").trim_end().to_owned()
}
