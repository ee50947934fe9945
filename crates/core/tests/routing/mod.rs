//! Routers for tests: definitions written inline, and what a record came to as one line of text.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

use groupcast_core::destination::{Catalogue, Instance, Settings};
use groupcast_core::diagnostic::{Diagnostics, Place};
use groupcast_core::envelope::{Emissions, TopicId};
use groupcast_core::record::{Position, Record};
use groupcast_core::router::{DefaultLimits, Router, Routing, Scratch, TopicLimits};
use groupcast_core::verdict::{Note, Observer, Outcome, Verdict};
use groupcast_core::yaml;

pub const SOURCE: &str = "events";

/// What a router is made from, one destination after the other.
pub struct Setup {
    catalogue: Catalogue,
    pub routing: Routing,
}

/// Returns a setup with one destination `d`, which has one operation of that body.
pub fn one(body: &str) -> Setup {
    Setup::new().with("d", &operation(body))
}

/// Returns a definition's operations: one, of that body.
pub fn operation(body: &str) -> String {
    format!("operations:\n  - id: op\n    request: POST /\n    body: {body}\n")
}

impl Setup {
    pub fn new() -> Setup {
        let routing = Routing {
            source_topics: vec![SOURCE.to_owned()],
            ..Routing::default()
        };
        Setup {
            catalogue: Catalogue::default(),
            routing,
        }
    }

    /// Adds a destination whose definition is `text`; `name`, `about`, `membership` and `nulls` need not be written.
    pub fn with(self, id: &str, text: &str) -> Setup {
        self.with_settings(id, text, "{}")
    }

    pub fn with_settings(mut self, id: &str, text: &str, settings: &str) -> Setup {
        let mut whole = text.to_owned();
        for (key, value) in [
            ("name", id),
            ("about", "A test."),
            ("membership", "many"),
            ("nulls", "keep"),
        ] {
            if !text.starts_with(&format!("{key}:")) && !text.contains(&format!("\n{key}:")) {
                whole.push_str(&format!("\n{key}: {value}"));
            }
        }
        let diagnostics = self.catalogue.add(id, "test.yaml", &whole);
        assert!(diagnostics.is_empty(), "{whole}\n{}", lines(&diagnostics));
        self.instance(id, settings)
    }

    /// Adds a destination of the built-in catalogue.
    pub fn built_in(mut self, id: &str, settings: &str) -> Setup {
        self.catalogue = Catalogue::built_in();
        self.instance(id, settings)
    }

    fn instance(mut self, id: &str, settings: &str) -> Setup {
        let definition = self
            .catalogue
            .get(id)
            .unwrap_or_else(|| panic!("no definition {id}"))
            .clone();
        let mut diagnostics = Diagnostics::new("settings");
        let node = yaml::parse(settings, &mut diagnostics);
        let settings: Settings =
            definition.read_settings(node.as_ref(), Place::default(), &mut diagnostics);
        assert!(
            !diagnostics.has_errors(),
            "{}",
            lines(&diagnostics.into_sorted())
        );
        let instance = Instance::new(definition, settings);
        self.routing.destinations.push(instance);
        self
    }

    /// Gives the last destination a name of the configuration's own.
    pub fn named(mut self, name: &str) -> Setup {
        self.change_last(|instance| {
            instance.name = name.to_owned();
            instance.is_named = true;
        });
        self
    }

    pub fn change_last(&mut self, change: impl FnOnce(&mut Instance)) {
        change(self.routing.destinations.last_mut().expect("a destination"));
    }

    pub fn changed(mut self, change: impl FnOnce(&mut Routing)) -> Setup {
        change(&mut self.routing);
        self
    }

    pub fn router(self) -> Router {
        Router::new(self.routing).unwrap_or_else(|diagnostics| panic!("{}", lines(&diagnostics)))
    }
}

fn lines(diagnostics: &[groupcast_core::diagnostic::Diagnostic]) -> String {
    diagnostics
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

pub fn topic_id(router: &Router, name: &str) -> TopicId {
    TopicId(
        router
            .topics()
            .iter()
            .position(|topic| topic == name)
            .expect("a topic of that name"),
    )
}

/// A record without key and timestamp, at offset 7 of partition 3.
pub fn record(value: Option<&[u8]>) -> Record<'_> {
    let position = Position {
        topic: SOURCE,
        partition: 3,
        offset: 7,
    };
    Record::new(position, value)
}

/// Everything that was told of one record.
#[derive(Debug, Default)]
pub struct Seen {
    pub verdict: Option<Verdict>,
    pub notes: Vec<String>,
    pub outcomes: Vec<Option<Outcome>>,
    pub emissions: Emissions,
}

impl Observer for Seen {
    fn note(&mut self, _: Option<usize>, note: Note<'_>) {
        self.notes
            .push(format!("~{}:{}", note.code.code(), note.subject));
    }

    fn outcome(&mut self, destination: usize, outcome: Outcome) {
        let earlier = self.outcomes[destination].replace(outcome);
        assert_eq!(
            earlier, None,
            "E11: two outcomes of destination {destination}"
        );
    }
}

/// Routes one record. Counts what E11 says whatever the test is about: one verdict; of a routed event one outcome a
/// destination; as many operations as the outcomes say; and one dead letter for each that an outcome or verdict names.
pub fn route(router: &Router, record: &Record<'_>) -> Seen {
    route_within(router, &DefaultLimits, record)
}

/// As [`route`], to topics that take so much.
pub fn route_within(router: &Router, topic_limits: &impl TopicLimits, record: &Record<'_>) -> Seen {
    let mut seen = Seen {
        outcomes: vec![None; router.destination_names().count()],
        ..Seen::default()
    };
    let mut emissions = Emissions::default();
    let verdict = router.route(
        record,
        topic_limits,
        &mut Scratch::default(),
        &mut emissions,
        &mut seen,
    );
    seen.emissions = emissions;
    seen.verdict = Some(verdict);
    assert_counts_add_up(router, &seen);
    seen
}

fn assert_counts_add_up(router: &Router, seen: &Seen) {
    let is_routed = seen.verdict == Some(Verdict::Routed);
    assert!(
        seen.outcomes
            .iter()
            .all(|outcome| outcome.is_some() == is_routed),
        "E11: {:?} {:?}",
        seen.verdict,
        seen.outcomes
    );
    for (index, outcome) in seen.outcomes.iter().enumerate() {
        let of_destination =
            |emission: &groupcast_core::envelope::Emission<'_>| emission.destination == Some(index);
        let operations = seen
            .emissions
            .iter()
            .filter(of_destination)
            .filter(|emission| emission.operation().is_some())
            .count();
        let letters = seen.emissions.iter().filter(of_destination).count() - operations;
        let expected = match outcome {
            Some(Outcome::Emitted(count)) => (usize::from(*count), 0),
            Some(Outcome::DeadLettered(_)) => (0, 1),
            Some(Outcome::Skipped(_)) | None => (0, 0),
        };
        assert_eq!(
            (operations, letters),
            expected,
            "E11: destination {index} of {:?}",
            router.topics()
        );
    }
}

/// Says in one line what a record came to: of a routed one each destination's bodies, or why there are none; then the notes.
/// Of any other one the verdict, its reason, and in parentheses the detail of its dead letter.
pub fn told(router: &Router, record: &Record<'_>) -> String {
    in_words(route(router, record))
}

/// As [`told`], of a record that was routed.
pub fn in_words(seen: Seen) -> String {
    let mut words = Vec::new();
    if let Some(verdict) = seen.verdict.filter(|verdict| *verdict != Verdict::Routed) {
        let (name, reason) = verdict.labels();
        words.push(format!("{name} {reason}"));
        words.extend(seen.emissions.iter().map(|letter| {
            let detail = letter
                .headers()
                .find(|(name, _)| *name == "detail")
                .expect("a detail")
                .1;
            format!("({})", text(detail))
        }));
    }
    for (index, outcome) in seen.outcomes.iter().enumerate() {
        match outcome {
            Some(Outcome::Emitted(_)) => {
                words.extend(
                    seen.emissions
                        .iter()
                        .filter(|emission| emission.destination == Some(index))
                        .map(|emission| {
                            text(emission.operation().expect("an operation").body).to_owned()
                        }),
                );
            }
            Some(outcome) => words.push(format!("{} {}", outcome.labels().0, outcome.labels().1)),
            None => {}
        }
    }
    words.extend(seen.notes);
    words.join(" ")
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}
