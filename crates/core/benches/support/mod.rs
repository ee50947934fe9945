//! What both benchmarks measure: the stages of an event's path, on the same events and with everything that `run` switches on.

pub(crate) mod corpus;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bumpalo::Bump;
use groupcast_core::destination::{Catalogue, Instance, Material, Plan};
use groupcast_core::diagnostic::{Diagnostics, Place};
use groupcast_core::envelope::{Emissions, TopicId};
use groupcast_core::event::{Event, Reading};
use groupcast_core::json::Object;
use groupcast_core::record::{Position, Record};
use groupcast_core::router::{Router, Routing, Scratch, TopicLimits};
use groupcast_core::traits::Vocabulary;
use groupcast_core::verdict::{Note, Observer, Outcome, Verdict};
use groupcast_core::yaml;

const SOURCE: &str = "group-events";

/// Taken in turn, so that a multiple of five is the same mix again; `all` is the setting with the most to write.
const DESTINATIONS: [(&str, &str); 5] = [
    ("mixpanel", "{ token: T }"),
    ("hubspot", "custom_traits: all"),
    ("customerio", "{}"),
    ("intercom", "custom_traits: all"),
    ("webhook", "{}"),
];

/// Returns a router of that many destinations.
fn router(n_destinations: usize) -> Router {
    let catalogue = Catalogue::built_in();
    Router::new(Routing {
        source_topics: vec![SOURCE.to_owned()],
        destinations: (0..n_destinations)
            .map(|index| instance(&catalogue, index))
            .collect(),
        known_names: catalogue
            .iter()
            .map(|definition| definition.name.clone())
            .collect(),
        ..Routing::default()
    })
    .expect("built-in destinations compile")
}

fn instance(catalogue: &Catalogue, index: usize) -> Instance {
    let (id, settings) = DESTINATIONS[index % DESTINATIONS.len()];
    let definition = Arc::clone(catalogue.get(id).expect("a built-in destination"));
    let mut diagnostics = Diagnostics::new("settings");
    let node = yaml::parse(settings, &mut diagnostics);
    let settings = definition.read_settings(node.as_ref(), Place::default(), &mut diagnostics);
    assert!(!diagnostics.has_errors(), "settings of {id}");
    Instance {
        name: format!("{id}-{index}"),
        is_named: true,
        ..Instance::new(definition, settings)
    }
}

/// Counts what it is told, so that no call of an observer is optimised away. The service's own is measured by the root's tests/allocations.rs.
#[derive(Debug, Default)]
pub(crate) struct Calls(u64);

impl Observer for Calls {
    fn event_time(&mut self, milliseconds: i64) {
        black_box(milliseconds);
        self.0 += 1;
    }

    fn note(&mut self, destination: Option<usize>, note: Note<'_>) {
        black_box((destination, note));
        self.0 += 1;
    }

    fn outcome(&mut self, destination: usize, outcome: Outcome) {
        black_box((destination, outcome));
        self.0 += 1;
    }
}

/// What the service's topics do: look the limit up, as another thread may have set it.
struct Limits(Vec<AtomicUsize>);

impl TopicLimits for Limits {
    fn max_bytes(&self, topic: TopicId) -> usize {
        self.0
            .get(topic.0)
            .map_or(0, |bytes| bytes.load(Ordering::Relaxed))
    }
}

/// A worker's part of the path: everything that it keeps from one record to the next, and the events.
pub(crate) struct Worker {
    pub(crate) router: Router,
    limits: Limits,
    events: Vec<Vec<u8>>,
    scratch: Scratch,
    arena: Bump,
    emissions: Emissions,
    next: usize,
}

impl Worker {
    /// Returns a worker for that many destinations which has seen `n_events` events once, so that its buffers have grown.
    pub(crate) fn new(n_destinations: usize, n_events: u64) -> Worker {
        let router = router(n_destinations);
        let limits = router
            .topics()
            .iter()
            .map(|_| AtomicUsize::new(1_048_588))
            .collect();
        let mut worker = Worker {
            router,
            limits: Limits(limits),
            events: (0..n_events).map(corpus::event).collect(),
            scratch: Scratch::default(),
            arena: Bump::new(),
            emissions: Emissions::default(),
            next: 0,
        };
        for _ in 0..n_events {
            worker.route(&mut ());
        }
        worker
    }

    fn advance(&mut self) -> usize {
        let index = self.next % self.events.len();
        self.next += 1;
        index
    }

    /// Does the whole job for the next event, up to its emissions.
    pub(crate) fn route(&mut self, observer: &mut impl Observer) -> Verdict {
        let index = self.advance();
        // A worker hands its batch to the producer after 500 records.
        if index.is_multiple_of(500) {
            self.emissions.clear();
        }
        let record = record(&self.events[index], index);
        self.router.route(
            &record,
            &self.limits,
            &mut self.scratch,
            &mut self.emissions,
            observer,
        )
    }

    /// Checks the next event's JSON and cuts it into its members.
    pub(crate) fn parse(&mut self) {
        let index = self.advance();
        let text = std::str::from_utf8(&self.events[index]).expect("UTF-8");
        self.arena.reset();
        black_box(Object::parse(text, "traits", &self.arena).expect("an object"));
    }

    /// Reads the next event: what `parse` does, the ids, the time, and the traits.
    pub(crate) fn read(&mut self, observer: &mut impl Observer) {
        let index = self.advance();
        let record = record(&self.events[index], index);
        self.arena.reset();
        black_box(
            self.router
                .read(&record, &self.arena, observer)
                .expect("a group event"),
        );
    }
}

/// Events that were read already, for the stages that follow. They borrow, and live as long as the process does.
pub(crate) struct Readings {
    router: &'static Router,
    plan: &'static Plan,
    events: Vec<Event<'static>>,
    arena: Bump,
    out: Vec<u8>,
    next: usize,
}

impl Readings {
    /// Reads `n_events` events, for five destinations and for the plan of the first.
    pub(crate) fn new(n_events: u64) -> Readings {
        let mut vocabulary = Vocabulary::default();
        let plan = instance(&Catalogue::built_in(), 0)
            .compile(&mut vocabulary)
            .expect("a built-in destination compiles");
        let (router, vocabulary): (&'static Router, &'static Vocabulary) =
            (leaked(router(5)), leaked(vocabulary));
        let read = |index: u64| {
            let value: &'static Vec<u8> = leaked(corpus::event(index));
            let record = record(value, 0);
            Event::parse(
                &record,
                leaked(Reading::default()),
                vocabulary,
                leaked(Bump::new()),
                &mut (),
            )
            .expect("a group event")
        };
        let mut readings = Readings {
            router,
            plan: leaked(plan),
            events: (0..n_events).map(read).collect(),
            arena: Bump::new(),
            out: Vec::new(),
            next: 0,
        };
        (0..n_events).for_each(|_| readings.decide());
        (0..n_events).for_each(|_| readings.write());
        readings
    }

    fn advance(&mut self) -> usize {
        let index = self.next % self.events.len();
        self.next += 1;
        index
    }

    /// Decides for five destinations on the next event's flags.
    pub(crate) fn decide(&mut self) {
        let index = self.advance();
        let integrations = self.events[index].field("integrations");
        self.arena.reset();
        black_box(
            self.router
                .flags()
                .decide(integrations, &self.arena, &mut ())
                .expect("text"),
        );
    }

    /// Has one plan, Mixpanel's, write the next event's bodies.
    pub(crate) fn write(&mut self) {
        let index = self.advance();
        self.arena.reset();
        let observer = &mut ();
        let material = Material::new(&self.events[index], &self.arena);
        let mut run = self.plan.start(&material, None, 0, observer);
        self.out.clear();
        for operation in self.plan.operations() {
            if run.check_due(operation).is_ok() {
                let written = run.write_body(operation, &mut self.out);
                black_box(written.is_ok());
            }
        }
        black_box(&self.out);
    }
}

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn record(value: &[u8], index: usize) -> Record<'_> {
    let offset = i64::try_from(index).expect("an offset");
    let position = Position {
        topic: SOURCE,
        partition: 3,
        offset: 1_000_000 + offset,
    };
    Record {
        position,
        timestamp: Some(1_795_000_000_000 + offset),
        key: None,
        value: Some(value),
        traceparent: None,
        letter: None,
    }
}
