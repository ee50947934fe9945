//! What becomes of one record and why: everything that `explain` shows, told by the router that runs.

mod change;
pub mod layout;
mod origin;
mod part;
mod trace;

use bumpalo::Bump;
use serde_json::value::RawValue;

pub use self::origin::{Conversion, Origin};
pub use self::part::{
    DecisionPart, DestinationPart, EventPart, Explanation, NotePart, OperationPart, RefusedPart,
    TraitPart, TraitPlace, TraitShare,
};
use self::trace::Trace;
use crate::date::Unit;
use crate::envelope::{Emission, Emissions};
use crate::event::Event;
use crate::flags::{Decider, Decision};
use crate::record::Record;
use crate::router::{DefaultLimits, Router, Scratch};
use crate::traits::Fold;
use crate::verdict::{Note, NoteCode, Observer, Outcome, Reason, Refusal, Verdict};

/// Collects what the router tells.
#[derive(Default)]
struct Listener {
    notes: Vec<NotePart>,
    outcomes: Vec<Outcome>,
    /// By destination and operation.
    refusals: Vec<(usize, usize, Refusal)>,
    missing: Vec<(usize, String)>,
}

impl Observer for Listener {
    fn note(&mut self, destination: Option<usize>, note: Note<'_>) {
        let Note { code, subject } = note;
        let note = NotePart {
            code: code.code(),
            subject: subject.to_owned(),
            sentence: match (code, destination) {
                (NoteCode::TraitTypeMismatch, None) => UNDECLARED,
                (code, _) => code.sentence(),
            },
            destination,
        };
        // Two operations that leave the same out say so twice.
        if !self.notes.contains(&note) || code == NoteCode::TraitCollision {
            self.notes.push(note);
        }
    }

    fn refused(&mut self, destination: usize, operation: usize, refusal: Refusal) {
        self.refusals.push((destination, operation, refusal));
    }

    fn missing(&mut self, destination: usize, subject: &str) {
        self.missing.push((destination, subject.to_owned()));
    }

    fn outcome(&mut self, _: usize, outcome: Outcome) {
        self.outcomes.push(outcome);
    }
}

impl Listener {
    fn refused_of(&self, router: &Router, destination: usize) -> Vec<RefusedPart> {
        let refusals = self.refusals.iter().filter(|(of, ..)| *of == destination);
        let part = |(_, operation, refusal): &(usize, usize, Refusal)| {
            let (Refusal::NotDue(reason)
            | Refusal::Skipped(reason)
            | Refusal::DeadLettered(reason)) = *refusal;
            RefusedPart {
                operation: router.operation_id(destination, *operation).to_owned(),
                reason: reason.code(),
                sentence: operation_sentence(reason),
            }
        };
        refusals.map(part).collect()
    }

    fn missing_of(&self, destination: usize) -> Vec<String> {
        self.missing
            .iter()
            .filter(|(of, _)| *of == destination)
            .map(|(_, subject)| subject.clone())
            .collect()
    }

    fn notes_of(&self, destination: Option<usize>) -> Vec<NotePart> {
        self.notes
            .iter()
            .filter(|note| note.destination == destination)
            .cloned()
            .collect()
    }
}

/// What is said of a value that has not its declared type, and stays (semantics T9).
const UNDECLARED: &str =
    "a value is not of the type that traits.types declares, and stays as it came";

/// Returns what a reason says of one operation, where its own sentence is about a whole destination.
fn operation_sentence(reason: Reason) -> &'static str {
    if reason == Reason::NothingToSend {
        return "nothing to say here";
    }
    if reason == Reason::NoMember {
        "the id that it needs is absent"
    } else {
        reason.sentence()
    }
}

/// Explains one record.
#[must_use]
pub fn explain(router: &Router, record: &Record<'_>) -> Explanation {
    let (mut listener, mut emissions) = (Listener::default(), Emissions::default());
    let verdict = router.route(
        record,
        &DefaultLimits,
        &mut Scratch::default(),
        &mut emissions,
        &mut listener,
    );
    let (name, reason) = verdict.labels();
    let sentence = match verdict {
        Verdict::Routed => "a group event; every destination was asked",
        Verdict::Ignored(reason) | Verdict::DeadLettered(reason) => reason.sentence(),
    };
    let mut explanation = Explanation {
        verdict: name,
        reason,
        sentence,
        detail: String::new(),
        event: None,
        notes: listener.notes_of(None),
        destinations: Vec::new(),
        is_traced: true,
    };
    // The same parser and the same flags again, for what the router keeps to itself.
    let arena = Bump::new();
    match router.read(record, &arena, &mut ()) {
        Ok(event) if verdict == Verdict::Routed => {
            let decisions = router
                .flags()
                .decide(event.field("integrations"), &arena, &mut ())
                .unwrap_or_default();
            let trace = Trace::of(router, record, &event, &emissions);
            explanation.is_traced = trace.is_some();
            let trace = trace.unwrap_or_default();
            explanation.destinations =
                destinations(router, &listener, decisions, &emissions, &trace);
            explanation.event = Some(EventPart::of(&event, &explanation.destinations, &arena));
        }
        // All that can be wrong with an event that was read.
        Ok(_) => "a key of integrations".clone_into(&mut explanation.detail),
        Err(rejection) => explanation.detail = rejection.detail,
    }
    explanation
}

fn destinations(
    router: &Router,
    listener: &Listener,
    decisions: &[Decision<'_>],
    emissions: &Emissions,
    trace: &Trace,
) -> Vec<DestinationPart> {
    let outcomes = listener.outcomes.iter().zip(decisions).enumerate();
    let part = |(index, (outcome, decision)): (usize, (&Outcome, &Decision<'_>))| DestinationPart {
        destination: router.destination_name(index).to_owned(),
        outcome: outcome.labels().0,
        reason: outcome.labels().1,
        sentence: match outcome {
            Outcome::Emitted(_) => "",
            Outcome::Skipped(reason) | Outcome::DeadLettered(reason) => reason.sentence(),
        },
        decided_by: DecisionPart::of(router, index, decision),
        missing: listener.missing_of(index),
        operations: operations(router, emissions, index, trace),
        refused: listener.refused_of(router, index),
        notes: listener.notes_of(Some(index)),
    };
    outcomes.map(part).collect()
}

fn operations(
    router: &Router,
    emissions: &Emissions,
    destination: usize,
    trace: &Trace,
) -> Vec<OperationPart> {
    let part = |(index, emission): (usize, Emission<'_>)| {
        let operation = emission
            .operation()
            .filter(|_| emission.destination == Some(destination))?;
        let (origins, due_to) = trace.get(index);
        Some(OperationPart {
            operation: router.operation_id(destination, operation.index).to_owned(),
            topic: router.topics().get(emission.topic.0)?.clone(),
            request: operation.request.to_owned(),
            id: operation.id.to_owned(),
            key: String::from_utf8_lossy(emission.key?).into_owned(),
            body: serde_json::from_slice(operation.body).ok()?,
            origins,
            due_to,
        })
    };
    emissions.iter().enumerate().filter_map(part).collect()
}

impl DecisionPart {
    fn of(router: &Router, destination: usize, decision: &Decision<'_>) -> DecisionPart {
        let by = match decision.decider {
            Decider::InstanceName => "instance_name",
            Decider::DefinitionName => "definition_name",
            Decider::Alias(_) => "alias",
            Decider::Fold => "fold",
            Decider::All => "all",
            Decider::Default => "default",
        };
        let matched = decision
            .flag
            .and_then(|flag| router.flags().matched(destination, flag, decision.decider));
        DecisionPart {
            by,
            flag: decision.flag.map(str::to_owned),
            matched: matched.map(str::to_owned),
            sentence: decision_sentence(decision, matched.unwrap_or_default()),
        }
    }
}

fn decision_sentence(decision: &Decision<'_>, matched: &str) -> String {
    let flag = decision.flag.unwrap_or_default();
    let says = match (decision.excluded.is_some(), decision.options.is_some()) {
        (_, true) => "options",
        (true, false) if decision.decider != Decider::All => "false",
        (false, false) => "true",
        (true, false) => match decision.excluded {
            Some(Reason::AllFalse) => "false",
            Some(_) | None => "true",
        },
    };
    match decision.decider {
        Decider::InstanceName => format!("flag \"{flag}\": {says}, this destination's own name"),
        Decider::DefinitionName => format!("flag \"{flag}\": {says}, its definition's name"),
        Decider::Alias(_) => format!("flag \"{flag}\": {says}, an alias of its definition"),
        Decider::Fold => {
            format!("flag \"{flag}\": {says}, its name \"{matched}\" in another spelling")
        }
        Decider::All => format!("flag \"{flag}\": {says}, as no flag names it"),
        Decider::Default if decision.excluded.is_some() => {
            "no flag: the default, which is to leave it out".to_owned()
        }
        Decider::Default => "no flag: the default, which is to send".to_owned(),
    }
}

impl EventPart {
    fn of<'a>(event: &Event<'a>, destinations: &[DestinationPart], arena: &'a Bump) -> EventPart {
        let traits = event.traits.entries().iter().map(|entry| {
            let is_address = entry.key().is_empty();
            TraitPart {
                name: entry.name.to_owned(),
                key: entry.key().to_owned(),
                lost: lost(event, entry.name),
                kind: if is_address {
                    "an object"
                } else {
                    entry.value.kind().name()
                },
                value: RawValue::from_string(entry.value.text().to_owned())
                    .ok()
                    .filter(|_| !is_address),
                destinations: destinations
                    .iter()
                    .filter(|part| part.outcome == "emitted")
                    .map(|part| share(entry.name, part))
                    .collect(),
            }
        });
        EventPart {
            group_id: event.group_id.text.to_owned(),
            member: event.member().map(|member| member.text.to_owned()),
            time: event.time.map(|time| time.instant.format(Unit::Iso8601)),
            traits: traits.collect(),
            traits_elsewhere: event.traits_elsewhere(arena),
        }
    }
}

fn lost(event: &Event<'_>, name: &str) -> Vec<String> {
    let collisions = event
        .traits
        .collisions()
        .iter()
        .filter(|collision| collision.name == name);
    collisions
        .map(|collision| collision.lost.to_owned())
        .collect()
}

fn share(name: &str, destination: &DestinationPart) -> TraitShare {
    let places = destination.operations.iter().flat_map(|operation| {
        let origins = operation
            .origins
            .iter()
            .filter(|origin| origin.is_of_trait(name));
        origins.map(|origin| TraitPlace {
            operation: operation.operation.clone(),
            place: origin.place.clone(),
            became: origin
                .conversion
                .as_ref()
                .map(|conversion| conversion.became.clone()),
        })
    });
    let fold = Fold::of(name);
    TraitShare {
        destination: destination.destination.clone(),
        places: places.collect(),
        notes: destination
            .notes
            .iter()
            .filter(|note| fold.is_of(&note.subject))
            .cloned()
            .collect(),
    }
}
