//! The counts of one epoch.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;

use super::family::{CONSUMED, NOTES, OPERATIONS, OUTCOMES, VERDICTS};
use super::latency::{self, Latencies, Times};
use crate::verdict::{Note, NoteCode, Observer, Outcome, Reason, Verdict};

/// The counts of one epoch: an [`Observer`] that adds numbers and, once an epoch, hands them to the registry.
pub struct Tally {
    destinations: Arc<[String]>,
    unknown_flags: UnknownFlags,
    consumed: Counts<String>,
    verdicts: Counts<Verdict>,
    outcomes: Counts<(usize, Outcome)>,
    operations: Counts<usize>,
    notes: Counts<(Option<usize>, NoteCode)>,
    latencies: Arc<Latencies>,
    event_times: Times,
    record_times: Times,
}

impl Tally {
    /// Returns an empty tally for the destinations, named in the order of their indices.
    #[must_use]
    pub fn new(
        destinations: Arc<[String]>,
        unknown_flags: UnknownFlags,
        latencies: Arc<Latencies>,
    ) -> Tally {
        declare(&destinations);
        Tally {
            destinations,
            unknown_flags,
            consumed: Counts::default(),
            verdicts: Counts::default(),
            outcomes: Counts::default(),
            operations: Counts::default(),
            notes: Counts::default(),
            latencies,
            event_times: Times::default(),
            record_times: Times::default(),
        }
    }

    /// Counts one consumed record, its time in Unix milliseconds and its verdict.
    pub fn verdict(&mut self, topic: &str, timestamp: Option<i64>, verdict: Verdict) {
        if let Some(timestamp) = timestamp {
            self.record_times.add(timestamp);
        }
        self.consumed
            .add_with(|counted| counted == topic, || topic.to_owned(), 1);
        self.verdicts.add(verdict, 1);
    }

    /// Hands all counts to the registry and starts at zero: what was counted is committed now.
    pub fn flush(&mut self) {
        let now = latency::now();
        self.event_times.flush(&self.latencies.event, now);
        self.record_times.flush(&self.latencies.record, now);
        for (topic, number) in self.consumed.take() {
            counter!(CONSUMED.name, "topic" => topic).increment(number);
        }
        for (verdict, number) in self.verdicts.take() {
            let (verdict, reason) = verdict.labels();
            counter!(VERDICTS.name, "verdict" => verdict, "reason" => reason).increment(number);
        }
        for ((destination, outcome), number) in self.outcomes.take() {
            let (outcome, reason) = outcome.labels();
            counter!(OUTCOMES.name, "destination" => self.name(destination), "outcome" => outcome, "reason" => reason)
                .increment(number);
        }
        for (destination, number) in self.operations.take() {
            counter!(OPERATIONS.name, "destination" => self.name(destination)).increment(number);
        }
        for ((destination, code), number) in self.notes.take() {
            let name = destination.map_or_else(String::new, |destination| self.name(destination));
            counter!(NOTES.name, "destination" => name, "code" => code.code()).increment(number);
        }
    }

    fn name(&self, destination: usize) -> String {
        self.destinations
            .get(destination)
            .cloned()
            .unwrap_or_default()
    }
}

/// Has dead letters be series from the start: a first burst of them would not be seen to rise, and is what people look for.
fn declare(destinations: &[String]) {
    for reason in Reason::DEAD_LETTERS {
        let (verdict, reason) = Verdict::DeadLettered(*reason).labels();
        counter!(VERDICTS.name, "verdict" => verdict, "reason" => reason).increment(0);
    }
    for (destination, reason) in destinations
        .iter()
        .flat_map(|name| Reason::UNFIT.iter().map(move |reason| (name, reason)))
    {
        let (outcome, reason) = Outcome::DeadLettered(*reason).labels();
        counter!(OUTCOMES.name, "destination" => destination.clone(), "outcome" => outcome, "reason" => reason).increment(0);
    }
}

impl Observer for Tally {
    fn event_time(&mut self, milliseconds: i64) {
        self.event_times.add(milliseconds);
    }

    fn note(&mut self, destination: Option<usize>, note: Note<'_>) {
        self.notes.add((destination, note.code), 1);
        if note.code == NoteCode::FlagUnknown {
            self.unknown_flags.tell(note.subject);
        }
    }

    fn outcome(&mut self, destination: usize, outcome: Outcome) {
        if let Outcome::Emitted(operations) = outcome {
            self.operations.add(destination, u64::from(operations));
        }
        // One label set for all emitted ones, whatever their number of operations.
        let kind = if matches!(outcome, Outcome::Emitted(_)) {
            Outcome::Emitted(1)
        } else {
            outcome
        };
        self.outcomes.add((destination, kind), 1);
    }
}

/// Numbers by key. The keys of an epoch are few, so a list beats a hash.
struct Counts<K>(Vec<(K, u64)>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Counts(Vec::new())
    }
}

impl<K: PartialEq> Counts<K> {
    fn add(&mut self, key: K, number: u64) {
        match self.0.iter_mut().find(|(counted, _)| *counted == key) {
            Some((_, total)) => *total += number,
            None => self.0.push((key, number)),
        }
    }

    fn add_with(&mut self, is_it: impl Fn(&K) -> bool, key: impl FnOnce() -> K, number: u64) {
        match self.0.iter_mut().find(|(counted, _)| is_it(counted)) {
            Some((_, total)) => *total += number,
            None => self.0.push((key(), number)),
        }
    }

    fn take(&mut self) -> Vec<(K, u64)> {
        std::mem::take(&mut self.0)
    }
}

/// The flags that name no destination: each new name is logged once, up to a hundred (semantics F8).
#[derive(Debug, Clone, Default)]
pub struct UnknownFlags {
    told: HashSet<String>,
    /// What all workers have told.
    shared: Arc<Mutex<HashSet<String>>>,
}

const MAX_UNKNOWN_FLAGS: usize = 100;
/// A flag is a destination's name; what is longer is data that strayed there.
const MAX_FLAG_BYTES: usize = 100;

impl UnknownFlags {
    fn tell(&mut self, flag: &str) {
        if self.told.len() >= MAX_UNKNOWN_FLAGS
            || flag.len() > MAX_FLAG_BYTES
            || self.told.contains(flag)
        {
            return;
        }
        self.told.insert(flag.to_owned());
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.len() < MAX_UNKNOWN_FLAGS && shared.insert(flag.to_owned()) {
            tracing::info!(flag, "a flag names no known destination");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn tally() -> Tally {
        Tally::new(
            Arc::from(["mixpanel".to_owned(), "webhook".to_owned()]),
            UnknownFlags::default(),
            Arc::default(),
        )
    }

    fn rendered(tally: &mut Tally) -> String {
        let metrics = Metrics::new().unwrap();
        metrics.record(|| tally.flush());
        metrics.render()
    }

    #[test]
    fn e11_every_count_reaches_the_registry_with_its_labels() {
        let mut tally = tally();
        tally.verdict("events", None, Verdict::Routed);
        tally.verdict("events", None, Verdict::Routed);
        tally.verdict("events", None, Verdict::Ignored(Reason::NotGroup));
        tally.outcome(0, Outcome::Emitted(2));
        tally.outcome(0, Outcome::Emitted(1));
        tally.outcome(1, Outcome::Skipped(Reason::FlagFalse));
        tally.note(
            Some(1),
            Note {
                code: NoteCode::NullNotExpressible,
                subject: "plan",
            },
        );
        tally.note(
            None,
            Note {
                code: NoteCode::TraitCollision,
                subject: "name",
            },
        );
        let text = rendered(&mut tally);
        for line in [
            r#"groupcast_records_consumed_total{topic="events"} 3"#,
            r#"groupcast_verdicts_total{verdict="routed",reason=""} 2"#,
            r#"groupcast_verdicts_total{verdict="ignored",reason="not_group"} 1"#,
            r#"groupcast_outcomes_total{destination="mixpanel",outcome="emitted",reason=""} 2"#,
            r#"groupcast_outcomes_total{destination="webhook",outcome="skipped",reason="flag_false"} 1"#,
            r#"groupcast_operations_emitted_total{destination="mixpanel"} 3"#,
            r#"groupcast_notes_total{destination="webhook",code="null_not_expressible"} 1"#,
            r#"groupcast_notes_total{destination="",code="trait_collision"} 1"#,
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
    }

    #[test]
    fn dead_letters_are_series_before_the_first_one() {
        let metrics = Metrics::new().unwrap();
        metrics.record(tally);
        let text = metrics.render();
        for line in [
            r#"groupcast_verdicts_total{verdict="dead_lettered",reason="invalid_json"} 0"#,
            r#"groupcast_outcomes_total{destination="webhook",outcome="dead_lettered",reason="too_large"} 0"#,
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        let of_records = text.matches("groupcast_verdicts_total{").count();
        assert_eq!(of_records, Reason::DEAD_LETTERS.len());
    }

    #[test]
    fn a_flushed_tally_starts_at_zero() {
        let mut tally = tally();
        tally.verdict("events", None, Verdict::Routed);
        rendered(&mut tally);
        assert!(!rendered(&mut tally).contains("groupcast_records_consumed_total{"));
    }

    #[test]
    fn f8_an_unknown_flag_is_told_once_and_a_hundred_at_most() {
        let mut first = UnknownFlags::default();
        let mut second = first.clone();
        for index in 0..150 {
            first.tell(&format!("flag {index}"));
            second.tell(&format!("flag {index}"));
        }
        first.tell(&"x".repeat(101));
        assert_eq!(first.shared.lock().unwrap().len(), MAX_UNKNOWN_FLAGS);
        assert!(!first.shared.lock().unwrap().contains("flag 100"));
    }
}
