//! The definition language, row by row.

mod diagnostics;
mod filters;
mod language;
mod settings;

use super::*;
use crate::diagnostic::Place;
use crate::envelope::Emissions;
use crate::record::{Position, Record};
use crate::router::{DefaultLimits, Router, Routing, Scratch};
use crate::verdict::{Note, Observer, Outcome, Verdict};
use crate::yaml;

/// What every definition must say, behind the text so that lines count from 1.
const TAIL: &str = "\nname: Test\nabout: A test.\nmembership: many\nnulls: keep\n";

/// Returns a definition of one operation with that body; the body stands at line 4, column 11.
fn of_body(body: &str) -> String {
    format!("operations:\n  - id: op\n    request: POST /\n    body: {body}\n")
}

fn parse(text: &str) -> Result<Definition, Vec<Diagnostic>> {
    let is_said = |line: &str| {
        text.lines()
            .any(|other| other.split(':').next() == line.split(':').next())
    };
    let tail: Vec<&str> = TAIL.lines().filter(|line| !is_said(line)).collect();
    Definition::parse("test", "t.yaml", &format!("{text}\n{}\n", tail.join("\n")))
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Makes a router of one instance of the definition and routes a group call of `g` with these further members. Says its
/// requests and bodies, or the outcome, and then the notes.
fn told(text: &str, settings: &str, members: &str) -> String {
    let definition =
        parse(text).unwrap_or_else(|diagnostics| panic!("{text}\n{}", lines(&diagnostics)));
    let mut diagnostics = Diagnostics::new("settings");
    let node = yaml::parse(settings, &mut diagnostics);
    let settings = definition.read_settings(node.as_ref(), Place::default(), &mut diagnostics);
    assert!(
        !diagnostics.has_errors(),
        "{}",
        lines(&diagnostics.into_sorted())
    );
    let instance = Instance::new(Arc::new(definition), settings);
    let router = Router::new(Routing {
        source_topics: vec!["events".to_owned()],
        destinations: vec![instance],
        ..Routing::default()
    })
    .unwrap_or_else(|diagnostics| panic!("{text}\n{}", lines(&diagnostics)));
    let separator = if members.is_empty() { "" } else { "," };
    let event = format!(r#"{{"type":"group","groupId":"g"{separator}{members}}}"#);
    let position = Position::first("events");
    let record = Record::new(position, Some(event.as_bytes()));
    let (mut emissions, mut seen) = (Emissions::default(), Seen::default());
    assert_eq!(
        router.route(
            &record,
            &DefaultLimits,
            &mut Scratch::default(),
            &mut emissions,
            &mut seen
        ),
        Verdict::Routed,
        "{event}"
    );
    let operations = emissions
        .iter()
        .filter_map(|emission| emission.operation())
        .map(|operation| {
            let body = std::str::from_utf8(operation.body).unwrap();
            if operation.request == "POST /" {
                body.to_owned()
            } else {
                format!("{} {body}", operation.request)
            }
        });
    let mut words: Vec<String> = operations.collect();
    words.append(&mut seen.0);
    words.join(" ")
}

#[derive(Default)]
struct Seen(Vec<String>);

impl Observer for Seen {
    fn note(&mut self, _: Option<usize>, note: Note<'_>) {
        self.0
            .push(format!("~{}:{}", note.code.code(), note.subject));
    }

    fn outcome(&mut self, _: usize, outcome: Outcome) {
        let (name, reason) = outcome.labels();
        if !matches!(outcome, Outcome::Emitted(_)) {
            self.0.push(format!("{name} {reason}"));
        }
    }
}

/// Checks what a definition makes of a group call with these members.
#[track_caller]
fn check(text: &str, members: &str, expected: &str) {
    assert_eq!(told(text, "{}", members), expected, "{text}\n{members}");
}

/// Checks what a body makes of these traits.
#[track_caller]
fn check_body(body: &str, traits: &str, expected: &str) {
    check(&of_body(body), &format!(r#""traits":{traits}"#), expected);
}

#[test]
fn every_built_in_definition_parses() {
    let mut n_files = 0;
    for file in Files::iter() {
        let text = Files::get(&file).unwrap().data;
        let definition = Definition::parse("x", &file, std::str::from_utf8(&text).unwrap());
        if let Err(diagnostics) = definition {
            panic!("{}", lines(&diagnostics));
        }
        n_files += 1;
    }
    assert!(n_files >= 6, "{n_files}");
}

#[test]
fn the_catalogue_replaces_a_definition_of_the_same_id_and_keeps_it_from_one_with_errors() {
    let mut catalogue = Catalogue::built_in();
    let count = catalogue.iter().count();
    assert!(
        catalogue
            .add("webhook", "mine.yaml", &format!("{}{TAIL}", of_body("1")))
            .is_empty()
    );
    assert_eq!(catalogue.get("webhook").unwrap().file, "mine.yaml");
    assert!(!catalogue.add("webhook", "bad.yaml", "name: x").is_empty());
    assert_eq!(catalogue.get("webhook").unwrap().file, "mine.yaml");
    assert!(catalogue.get("nothing").is_none());
    assert!(
        catalogue
            .add("new", "new.yaml", &format!("{}{TAIL}", of_body("1")))
            .is_empty()
    );
    assert_eq!(catalogue.iter().count(), count + 1);
    let ids: Vec<&str> = catalogue
        .iter()
        .map(|definition| definition.id.as_str())
        .collect();
    assert!(ids.is_sorted(), "{ids:?}");
}
