//! From a record to its verdict and what leaves: the whole meaning of the program on one screen.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use bumpalo::Bump;

use crate::consent::{self, Categories};
use crate::destination::{Instance, Material, Plan};
use crate::diagnostic::Diagnostic;
use crate::envelope::{Attributes, DeadLetter, Emissions, Envelope, Format, Labels, TopicId};
use crate::event::{Event, Limits, Pointer, Reading, Rejection, SourceFormat};
use crate::flags::{Decision, FlagMatch, Flags};
use crate::json::{LoneSurrogate, Member};
use crate::record::Record;
use crate::selection::{Letters, Replay};
use crate::traits::{Privacy, Vocabulary};
use crate::verdict::{Note, Observer, Outcome, Reason, Refusal, Verdict};

/// Everything a router is made from.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    /// The topics that are read.
    pub source_topics: Vec<String>,
    /// Where the records of a topic hold their events; the value is the event for topics that are not here (semantics E14).
    pub event_at: BTreeMap<String, Pointer>,
    /// What is around the JSON of a record's value (semantics E15).
    pub source_format: SourceFormat,
    /// The destinations, in the configuration's order.
    pub destinations: Vec<Instance>,
    /// The exact names that flags may use for any known definition, configured or not (semantics F4).
    pub known_names: Vec<String>,
    /// The names that traits go by.
    pub vocabulary: Vocabulary,
    /// Whether a flag in another spelling counts.
    pub flag_match: FlagMatch,
    /// What a missing preference means for consent.
    pub missing_consent: consent::Missing,
    /// How records are made.
    pub format: Format,
    /// Where dead letters go.
    pub dead_letters: DeadLetterRules,
    /// The most a record may be.
    pub limits: Limits,
    /// The replay that this is.
    pub replay: Option<Replay>,
}

impl Routing {
    /// Returns the same with every secret masked, for what is shown to people.
    #[must_use]
    pub fn redacted(mut self) -> Routing {
        for instance in &mut self.destinations {
            instance.settings = instance.settings.redacted();
        }
        self
    }
}

/// Where dead letters go, and which are written.
#[derive(Debug, Clone)]
pub struct DeadLetterRules {
    /// Their topic, with `{source_topic}` to be filled in; the default is `{source_topic}.dead`.
    pub topic: Option<String>,
    /// Whether records that are no group event are written too; a second groupcast on the same topic leaves that to the first.
    pub events: bool,
}

impl Default for DeadLetterRules {
    fn default() -> Self {
        DeadLetterRules {
            topic: None,
            events: true,
        }
    }
}

/// Decides what becomes of each record. Does not change, and is shared by all workers.
#[derive(Debug)]
pub struct Router {
    sources: Vec<Source>,
    destinations: Vec<Destination>,
    topics: Vec<String>,
    vocabulary: Vocabulary,
    flags: std::sync::Arc<Flags>,
    missing_consent: consent::Missing,
    format: Format,
    writes_event_dead_letters: bool,
    /// How an event is read that stands alone.
    bare: Reading,
    replay: Option<Replay>,
}

#[derive(Debug, Clone)]
struct Source {
    topic: String,
    /// How its records are read.
    reading: Reading,
    dead_letters: TopicId,
    /// The output topic of each destination.
    outputs: Vec<TopicId>,
}

#[derive(Debug, Clone)]
struct Destination {
    name: String,
    plan: std::sync::Arc<Plan>,
    labels: Vec<Labels>,
    privacy: Option<Privacy>,
    consent: Categories,
}

/// How large a record each output topic takes.
pub trait TopicLimits {
    /// Returns the most bytes of one record.
    fn max_bytes(&self, topic: TopicId) -> usize;
}

/// What Kafka's brokers take unless told otherwise (`message.max.bytes`).
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 1_048_588;

/// The limits where no broker was asked: Kafka's default for every topic.
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultLimits;

impl TopicLimits for DefaultLimits {
    fn max_bytes(&self, _: TopicId) -> usize {
        DEFAULT_MAX_MESSAGE_BYTES
    }
}

/// Memory that one record needs and leaves to the next; one a worker.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Holds what is put together on the way; forgotten as a whole when the next record comes.
    arena: Bump,
}

impl Router {
    /// Compiles the destinations' plans and lays out the topics.
    ///
    /// # Errors
    /// Faults of definitions, which parsing them has ruled out already.
    pub fn new(routing: Routing) -> Result<Router, Vec<Diagnostic>> {
        let mut vocabulary = routing.vocabulary;
        let mut destinations = Vec::with_capacity(routing.destinations.len());
        let mut faults = Vec::new();
        for instance in &routing.destinations {
            let privacy = Privacy::new(&instance.traits, &mut vocabulary);
            match instance.compile(&mut vocabulary) {
                Ok(plan) => {
                    let is_once = routing
                        .replay
                        .as_ref()
                        .is_some_and(|replay| !replay.repeats_additions);
                    let plan = if is_once {
                        plan.without_additions()
                    } else {
                        plan
                    };
                    destinations.push(Destination::new(instance, plan, privacy));
                }
                Err(diagnostics) => faults.extend(diagnostics),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let flags = Flags::new(
            routing.destinations.iter().map(Instance::flag_names),
            routing.known_names.iter().map(String::as_str),
            routing.flag_match,
        );
        let mut router = Router {
            sources: Vec::new(),
            destinations,
            topics: Vec::new(),
            vocabulary,
            flags: std::sync::Arc::new(flags),
            missing_consent: routing.missing_consent,
            format: routing.format,
            // What is no group event became a dead letter when it came first.
            writes_event_dead_letters: routing.dead_letters.events
                && routing
                    .replay
                    .as_ref()
                    .is_none_or(|replay| replay.letters.is_some()),
            bare: Reading {
                limits: routing.limits,
                format: routing.source_format,
                event_at: None,
            },
            replay: routing.replay,
        };
        for source in &routing.source_topics {
            let outputs = routing
                .destinations
                .iter()
                .map(|instance| router.topic(&instance.topic_for(source)))
                .collect();
            let dead_letters = router.topic(&routing.dead_letters.topic_for(source));
            router.sources.push(Source {
                topic: source.clone(),
                reading: Reading {
                    event_at: routing.event_at.get(source).cloned(),
                    ..router.bare.clone()
                },
                dead_letters,
                outputs,
            });
        }
        Ok(router)
    }

    fn topic(&mut self, name: &str) -> TopicId {
        let index = self
            .topics
            .iter()
            .position(|topic| topic == name)
            .unwrap_or_else(|| {
                self.topics.push(name.to_owned());
                self.topics.len() - 1
            });
        TopicId(index)
    }

    /// Returns every output topic, those of dead letters too, by [`TopicId`].
    #[must_use]
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// Returns the destinations' names in the configuration's order.
    pub fn destination_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.destinations
            .iter()
            .map(|destination| destination.name.as_str())
    }

    /// Returns the name of the destination of that index.
    #[must_use]
    pub fn destination_name(&self, destination: usize) -> &str {
        self.destinations
            .get(destination)
            .map_or("", |destination| &destination.name)
    }

    /// Returns an operation's id, by the indices that an emission carries.
    #[must_use]
    pub fn operation_id(&self, destination: usize, operation: usize) -> &str {
        let operation = self
            .destinations
            .get(destination)
            .and_then(|found| found.plan.operations().get(operation));
        operation.map_or("", |operation| &operation.id)
    }

    /// Returns the names that traits go by, those that definitions mention among them.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns what decides on flags.
    #[must_use]
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// Returns the most that a record may be.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.bare.limits
    }

    /// Reads the event of a record, as its topic's records are read.
    ///
    /// # Errors
    /// The [`Rejection`] of a record that holds no group event.
    pub fn read<'a>(
        &'a self,
        record: &Record<'a>,
        arena: &'a Bump,
        observer: &mut impl Observer,
    ) -> Result<Event<'a>, Rejection> {
        let reading = self.reading(record);
        Event::parse(record, reading, &self.vocabulary, arena, observer)
    }

    /// Returns how the record's topic is read.
    #[must_use]
    pub fn reading(&self, record: &Record<'_>) -> &Reading {
        self.source(record)
            .map_or(&self.bare, |source| &source.reading)
    }

    fn source(&self, record: &Record<'_>) -> Option<&Source> {
        self.sources
            .iter()
            .find(|source| source.topic == record.position.topic)
            .or(self.sources.first())
    }

    /// Decides what becomes of one record and appends what leaves; what is larger than `topic_limits` allow does not. Total: no
    /// input makes it fail (semantics E11).
    pub fn route(
        &self,
        record: &Record<'_>,
        topic_limits: &impl TopicLimits,
        scratch: &mut Scratch,
        emissions: &mut Emissions,
        observer: &mut impl Observer,
    ) -> Verdict {
        let letters = self
            .replay
            .as_ref()
            .and_then(|replay| replay.letters.as_ref());
        let opened = match letters.map(|letters| self.open(letters, record)) {
            None => None,
            Some(Ok(source)) => Some(source),
            Some(Err(reason)) => return Verdict::Ignored(reason),
        };
        let record = opened.as_ref().unwrap_or(record);
        let Some(source) = self.source(record) else {
            return Verdict::Routed;
        };
        let reading = &source.reading;
        scratch.arena.reset();
        let arena = &scratch.arena;
        let event = match Event::parse(record, reading, &self.vocabulary, arena, observer) {
            Ok(event) => event,
            Err(rejection) => {
                return self.reject(
                    record,
                    source,
                    topic_limits,
                    rejection.verdict,
                    &rejection.detail,
                    emissions,
                );
            }
        };
        if let Some(reason) = self.leaves_out(&event, arena) {
            return Verdict::Ignored(reason);
        }
        let Ok(decisions) = self
            .flags
            .decide(event.field("integrations"), arena, observer)
        else {
            let verdict = Verdict::DeadLettered(Reason::InvalidString);
            return self.reject(
                record,
                source,
                topic_limits,
                verdict,
                "a key of integrations",
                emissions,
            );
        };
        if let Some(time) = event.time.filter(|time| time.raw.is_some()) {
            observer.event_time(time.instant.unix_ms());
        }
        let shared = Shared::new(self, record, &event, emissions);
        let material = &Material::new(&event, arena);
        let call = Call {
            router: self,
            record,
            source,
            topic_limits,
            event: &event,
            arena,
            material,
            shared,
            preferences: OnceCell::new(),
        };
        let only = record
            .letter
            .filter(|_| letters.is_some_and(|letters| !letters.is_for_all));
        let only = only.and_then(|letter| letter.destination);
        for (index, (destination, decision)) in self.destinations.iter().zip(decisions).enumerate()
        {
            if only.is_some_and(|only| only != destination.name) {
                continue;
            }
            let outcome = match (call.is_denied(destination), decision.excluded) {
                (Err(LoneSurrogate), _) => {
                    let (reason, detail) = (Reason::InvalidString, "a key of consent preferences");
                    call.dead_letter(index, destination, detail, reason, emissions);
                    Outcome::DeadLettered(reason)
                }
                (Ok(true), _) => Outcome::Skipped(Reason::ConsentDenied),
                (Ok(false), Some(reason)) => Outcome::Skipped(reason),
                (Ok(false), None) => call.emit(index, destination, decision, emissions, observer),
            };
            observer.outcome(index, outcome);
        }
        Verdict::Routed
    }

    /// Returns why a replay passes the event over; `None` where it does not.
    pub fn leaves_out<'a>(&self, event: &Event<'a>, arena: &'a Bump) -> Option<Reason> {
        self.replay.as_ref()?.selection.leaves_out(event, arena)
    }

    /// Returns the source record of a dead letter, or why it is passed over.
    fn open<'a>(&self, letters: &Letters, record: &Record<'a>) -> Result<Record<'a>, Reason> {
        let source = letters.open(record)?;
        let failed = source
            .letter
            .and_then(|letter| letter.destination)
            .filter(|_| !letters.is_for_all);
        let is_configured =
            failed.is_none_or(|failed| self.destination_names().any(|name| name == failed));
        if is_configured {
            Ok(source)
        } else {
            Err(Reason::NotConfigured)
        }
    }

    fn reject(
        &self,
        record: &Record<'_>,
        source: &Source,
        topic_limits: &impl TopicLimits,
        verdict: Verdict,
        detail: &str,
        emissions: &mut Emissions,
    ) -> Verdict {
        if let (Verdict::DeadLettered(reason), true) = (verdict, self.writes_event_dead_letters) {
            let topic = source.dead_letters;
            let max_bytes = topic_limits.max_bytes(topic);
            emissions.push_dead_letter(&DeadLetter {
                topic,
                max_bytes,
                record,
                reason,
                detail,
                destination: None,
            });
        }
        verdict
    }
}

/// What all destinations of one event share in the buffer.
struct Shared<'a> {
    group_key: Range<usize>,
    member_key: Range<usize>,
    attributes: Attributes<'a>,
}

impl<'a> Shared<'a> {
    fn new(
        router: &'a Router,
        record: &Record<'a>,
        event: &Event<'_>,
        emissions: &mut Emissions,
    ) -> Self {
        let group_key = emissions.share(event.group_id.text.as_bytes());
        let member_key = event.member().map_or_else(
            || group_key.clone(),
            |member| emissions.share(member.text.as_bytes()),
        );
        Shared {
            group_key,
            member_key,
            attributes: Attributes::new(
                record,
                router.replay.as_ref().map(|replay| replay.name.as_str()),
                emissions,
            ),
        }
    }
}

/// One group call on its way to the destinations.
struct Call<'a, L> {
    router: &'a Router,
    record: &'a Record<'a>,
    source: &'a Source,
    topic_limits: &'a L,
    event: &'a Event<'a>,
    arena: &'a Bump,
    material: &'a Material<'a>,
    shared: Shared<'a>,
    /// What the event says of consent, once a destination asked for it.
    preferences: OnceCell<Result<&'a [Member<'a>], LoneSurrogate>>,
}

impl<L: TopicLimits> Call<'_, L> {
    /// Returns whether the event's consent keeps it from a destination, whatever its flags say (F10).
    fn is_denied(&self, destination: &Destination) -> Result<bool, LoneSurrogate> {
        if destination.consent.is_empty() {
            return Ok(false);
        }
        let read = || consent::preferences(self.event, self.arena);
        let preferences = (*self.preferences.get_or_init(read))?;
        let missing = self.router.missing_consent;
        Ok(destination
            .consent
            .are_denied(preferences, missing, self.arena))
    }

    /// Returns whether the configuration's conditions let the event reach a destination (F11). They see all of the event, also
    /// what the destination does not get.
    fn is_wanted(
        &self,
        index: usize,
        destination: &Destination,
        decision: &Decision<'_>,
        observer: &mut impl Observer,
    ) -> Result<bool, Reason> {
        let plan = &destination.plan;
        let mut run = plan.start(self.material, decision.options, index, observer);
        run.is_wanted().map_err(|refusal| match refusal {
            Refusal::NotDue(reason) | Refusal::Skipped(reason) | Refusal::DeadLettered(reason) => {
                reason
            }
        })
    }

    /// Has one destination's operations written, all or none of them.
    fn emit(
        &self,
        index: usize,
        destination: &Destination,
        decision: &Decision<'_>,
        emissions: &mut Emissions,
        observer: &mut impl Observer,
    ) -> Outcome {
        if destination.plan.is_conditional() {
            match self.is_wanted(index, destination, decision, observer) {
                Ok(true) => {}
                Ok(false) => return Outcome::Skipped(Reason::Filtered),
                Err(reason) => {
                    self.dead_letter(index, destination, "when", reason, emissions);
                    return Outcome::DeadLettered(reason);
                }
            }
        }
        let start = emissions.mark();
        let topic = self
            .source
            .outputs
            .get(index)
            .copied()
            .unwrap_or(self.source.dead_letters);
        let max_bytes = self.topic_limits.max_bytes(topic);
        let material = match &destination.privacy {
            None => self.material,
            Some(privacy) => match self.keep_private(privacy, index, observer) {
                Ok(material) => material,
                Err(reason) => {
                    self.dead_letter(index, destination, "operation ", reason, emissions);
                    return Outcome::DeadLettered(reason);
                }
            },
        };
        let mut run = destination
            .plan
            .start(material, decision.options, index, observer);
        let (mut emitted, mut first_reason) = (0, None);
        for (operation_index, (operation, labels)) in destination
            .plan
            .operations()
            .iter()
            .zip(&destination.labels)
            .enumerate()
        {
            let before = emissions.mark();
            let envelope = Envelope {
                format: self.router.format,
                attributes: &self.shared.attributes,
                labels,
                topic,
                max_bytes,
                destination: index,
                operation: operation_index,
                key: if operation.is_keyed_by_member {
                    &self.shared.member_key
                } else {
                    &self.shared.group_key
                }
                .clone(),
            };
            let written = run.check_due(operation).and_then(|()| {
                emissions.push_operation(
                    &envelope,
                    &mut run,
                    |run, out| run.write_request(operation, out),
                    |run, out| run.write_body(operation, out),
                )
            });
            if let Err(refusal) = written {
                run.tell_refused(operation_index, refusal);
            }
            match written {
                Ok(()) => emitted += 1,
                Err(Refusal::NotDue(reason)) => {
                    emissions.roll_back(before);
                    first_reason = first_reason.or(Some(reason));
                }
                Err(Refusal::Skipped(reason)) => {
                    emissions.roll_back(start);
                    return Outcome::Skipped(reason);
                }
                Err(Refusal::DeadLettered(reason)) => {
                    emissions.roll_back(start);
                    let detail = format!("operation {}", operation.id);
                    self.dead_letter(index, destination, &detail, reason, emissions);
                    return Outcome::DeadLettered(reason);
                }
            }
        }
        if emitted == 0 {
            Outcome::Skipped(first_reason.unwrap_or(Reason::NothingToSend))
        } else {
            Outcome::Emitted(emitted)
        }
    }

    /// Returns the event as a destination's rules let it be seen, read like any other.
    fn keep_private(
        &self,
        privacy: &Privacy,
        index: usize,
        observer: &mut impl Observer,
    ) -> Result<&Material<'_>, Reason> {
        let Call {
            router,
            event,
            arena,
            ..
        } = *self;
        let note = |note: Note<'_>| observer.note(Some(index), note);
        let value = privacy.rewrite(event.members, &router.vocabulary, arena, note);
        // It was within the limits as it came; hashes may be longer than what they stand for.
        let limits = Limits {
            record_bytes: usize::MAX,
            ..router.bare.limits
        };
        let reading = Reading {
            limits,
            ..router.bare.clone()
        };
        let record = Record {
            value: Some(value),
            ..*self.record
        };
        match Event::parse(&record, &reading, &router.vocabulary, arena, &mut ()) {
            Ok(event) => Ok(arena.alloc(Material::new(arena.alloc(event), arena))),
            Err(Rejection {
                verdict: Verdict::DeadLettered(reason) | Verdict::Ignored(reason),
                ..
            }) => Err(reason),
            Err(Rejection {
                verdict: Verdict::Routed,
                ..
            }) => Err(Reason::InvalidJson),
        }
    }

    fn dead_letter(
        &self,
        index: usize,
        destination: &Destination,
        detail: &str,
        reason: Reason,
        emissions: &mut Emissions,
    ) {
        let topic = self.source.dead_letters;
        emissions.push_dead_letter(&DeadLetter {
            topic,
            max_bytes: self.topic_limits.max_bytes(topic),
            record: self.record,
            reason,
            detail,
            destination: Some((index, &destination.name)),
        });
    }
}

impl Destination {
    fn new(instance: &Instance, plan: Plan, privacy: Option<Privacy>) -> Destination {
        let operations = plan.operations().iter();
        let labels = operations
            .map(|operation| Labels::new(&instance.name, &instance.definition.id, &operation.id));
        Destination {
            name: instance.name.clone(),
            labels: labels.collect(),
            plan: std::sync::Arc::new(plan),
            privacy,
            consent: Categories::new(&instance.consent),
        }
    }
}

impl Instance {
    /// Returns the topic for events of `source` (semantics K1).
    #[must_use]
    pub fn topic_for(&self, source: &str) -> String {
        let template = self.topic.as_deref().unwrap_or("{source_topic}.{instance}");
        template
            .replace("{source_topic}", source)
            .replace("{instance}", &self.name)
    }
}

impl DeadLetterRules {
    /// Returns the dead letter topic for records of `source` (semantics K7).
    #[must_use]
    pub fn topic_for(&self, source: &str) -> String {
        self.topic
            .as_deref()
            .unwrap_or("{source_topic}.dead")
            .replace("{source_topic}", source)
    }
}
