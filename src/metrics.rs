//! Every metric and label, once. Nothing else names a metric.
//!
//! Records are counted into a [`Tally`], plain numbers, and reach the registry once an epoch.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::verdict::{Note, NoteCode, Observer, Outcome, Verdict};

const CONSUMED: &str = "groupcast_records_consumed_total";
const VERDICTS: &str = "groupcast_verdicts_total";
const OUTCOMES: &str = "groupcast_outcomes_total";
const OPERATIONS: &str = "groupcast_operations_emitted_total";
const NOTES: &str = "groupcast_notes_total";
const EPOCHS: &str = "groupcast_epochs_total";
const COMMIT_DURATION: &str = "groupcast_commit_duration_seconds";
const IN_FLIGHT: &str = "groupcast_in_flight_bytes";
const IN_FLIGHT_LIMIT: &str = "groupcast_in_flight_limit_bytes";
const REFUSED: &str = "groupcast_topic_refused";
const REWINDS: &str = "groupcast_rewinds_total";
const SKIPPED: &str = "groupcast_gap_offsets_skipped_total";
const CLIENT_ERRORS: &str = "groupcast_client_errors_total";
const PARTITIONS: &str = "groupcast_assigned_partitions";
const LAG: &str = "groupcast_consumer_lag_records";
const BUILD: &str = "groupcast_build_info";

/// From a commit on a broker next door to one that waits for a coordinator to move.
const COMMIT_BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The registry of one service. Not global: two services in a process do not count into each other.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Metrics {
    /// Returns an empty registry that describes every metric.
    ///
    /// # Errors
    /// Where the exporter refuses the buckets.
    pub fn new() -> Result<Metrics, metrics_exporter_prometheus::BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(COMMIT_DURATION.to_owned()), COMMIT_BUCKETS)?
            .build_recorder();
        let handle = recorder.handle();
        let metrics = Metrics { recorder: Arc::new(recorder), handle };
        metrics.record(describe);
        Ok(metrics)
    }

    /// Runs `action`, whose metrics on this thread go to this registry.
    pub fn record<T>(&self, action: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&*self.recorder, action)
    }

    /// Returns all metrics in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Moves what histograms have gathered into their buckets; without it they grow while nobody scrapes.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn describe() {
    describe_counter!(CONSUMED, "Records consumed, by source topic");
    describe_counter!(VERDICTS, "How consumed records ended; one each");
    describe_counter!(OUTCOMES, "What each destination made of routed events; one each");
    describe_counter!(OPERATIONS, "Records made for each destination's topic");
    describe_counter!(NOTES, "What was passed over or dropped on the way without changing the verdict");
    describe_counter!(EPOCHS, "Ends of epochs: committed, held, deferred or rewound");
    describe_histogram!(COMMIT_DURATION, "Seconds from the last send of an epoch to its committed offsets");
    describe_gauge!(IN_FLIGHT, "Bytes sent and not yet acknowledged, by worker");
    describe_gauge!(IN_FLIGHT_LIMIT, "Bytes after which an epoch ends, by worker");
    describe_gauge!(REFUSED, "1 while a topic refuses records and holds the epoch");
    describe_counter!(REWINDS, "Epochs undone and done again, by cause");
    describe_counter!(SKIPPED, "Offsets that retention deleted before they were read, skipped by source.on_gap");
    describe_counter!(CLIENT_ERRORS, "Errors that the Kafka client reported, by client and code");
    describe_gauge!(PARTITIONS, "Partitions assigned, by worker");
    describe_gauge!(LAG, "Records between a partition's end and what was read of it");
    describe_gauge!(BUILD, "1, with the versions as labels");
}

/// How an epoch's end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochResult {
    /// All is durable and the offsets are committed.
    Committed,
    /// Something is not acknowledged yet; reading is paused.
    Held,
    /// All is durable, the group did not take the offsets; they go with the next epoch.
    Deferred,
    /// Undone.
    Rewound,
}

impl EpochResult {
    fn label(self) -> &'static str {
        match self {
            EpochResult::Committed => "committed",
            EpochResult::Held => "held",
            EpochResult::Deferred => "deferred",
            EpochResult::Rewound => "rewound",
        }
    }
}

/// Counts the end of an epoch.
pub fn epoch(result: EpochResult) {
    counter!(EPOCHS, "result" => result.label()).increment(1);
}

/// Observes how long a commit took.
pub fn commit_took(duration: Duration) {
    histogram!(COMMIT_DURATION).record(duration);
}

/// Sets what a worker has in flight.
pub fn in_flight(worker: usize, bytes: usize) {
    gauge!(IN_FLIGHT, "worker" => worker.to_string()).set(count(bytes));
}

/// Sets the bytes after which a worker's epoch ends.
pub fn in_flight_limit(worker: usize, bytes: usize) {
    gauge!(IN_FLIGHT_LIMIT, "worker" => worker.to_string()).set(count(bytes));
}

/// Sets whether a topic refuses records.
pub fn topic_refused(topic: &str, is_refused: bool) {
    gauge!(REFUSED, "topic" => topic.to_owned()).set(if is_refused { 1.0 } else { 0.0 });
}

/// Counts a rewind.
pub fn rewind(cause: &'static str) {
    counter!(REWINDS, "cause" => cause).increment(1);
}

/// Counts offsets that were lost to retention and skipped.
pub fn gap_skipped(topic: &str, offsets: u64) {
    counter!(SKIPPED, "topic" => topic.to_owned()).increment(offsets);
}

/// Counts an error that the client reported by itself.
pub fn client_error(client: &'static str, code: String) {
    counter!(CLIENT_ERRORS, "client" => client, "code" => code).increment(1);
}

/// Sets how many partitions a worker has.
pub fn assigned_partitions(worker: usize, partitions: usize) {
    gauge!(PARTITIONS, "worker" => worker.to_string()).set(count(partitions));
}

/// Sets how far a partition is behind.
pub fn lag(topic: &str, partition: i32, records: i64) {
    let records = u32::try_from(records.max(0)).unwrap_or(u32::MAX);
    gauge!(LAG, "topic" => topic.to_owned(), "partition" => partition.to_string()).set(f64::from(records));
}

/// States what runs.
pub fn build(version: &'static str, librdkafka: String) {
    gauge!(BUILD, "version" => version, "librdkafka" => librdkafka).set(1.0);
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The counts of one epoch: an [`Observer`] that adds numbers and, once an epoch, hands them to the registry.
pub struct Tally {
    destinations: Arc<[String]>,
    unknown_flags: UnknownFlags,
    consumed: Counts<String>,
    verdicts: Counts<Verdict>,
    outcomes: Counts<(usize, Outcome)>,
    operations: Counts<usize>,
    notes: Counts<(Option<usize>, NoteCode)>,
}

impl Tally {
    /// Returns an empty tally for the destinations, named in the order of their indices.
    #[must_use]
    pub fn new(destinations: Arc<[String]>, unknown_flags: UnknownFlags) -> Tally {
        Tally {
            destinations,
            unknown_flags,
            consumed: Counts::default(),
            verdicts: Counts::default(),
            outcomes: Counts::default(),
            operations: Counts::default(),
            notes: Counts::default(),
        }
    }

    /// Counts one consumed record and its verdict.
    pub fn verdict(&mut self, topic: &str, verdict: Verdict) {
        self.consumed.add_with(|counted| counted == topic, || topic.to_owned(), 1);
        self.verdicts.add(verdict, 1);
    }

    /// Hands all counts to the registry and starts at zero.
    pub fn flush(&mut self) {
        for (topic, number) in self.consumed.take() {
            counter!(CONSUMED, "topic" => topic).increment(number);
        }
        for (verdict, number) in self.verdicts.take() {
            let (verdict, reason) = verdict.labels();
            counter!(VERDICTS, "verdict" => verdict, "reason" => reason).increment(number);
        }
        for ((destination, outcome), number) in self.outcomes.take() {
            let (outcome, reason) = outcome.labels();
            counter!(OUTCOMES, "destination" => self.name(destination), "outcome" => outcome, "reason" => reason)
                .increment(number);
        }
        for (destination, number) in self.operations.take() {
            counter!(OPERATIONS, "destination" => self.name(destination)).increment(number);
        }
        for ((destination, code), number) in self.notes.take() {
            let name = destination.map_or_else(String::new, |destination| self.name(destination));
            counter!(NOTES, "destination" => name, "code" => code.code()).increment(number);
        }
    }

    fn name(&self, destination: usize) -> String {
        self.destinations.get(destination).cloned().unwrap_or_default()
    }
}

impl Observer for Tally {
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
        let kind = if matches!(outcome, Outcome::Emitted(_)) { Outcome::Emitted(1) } else { outcome };
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
        if self.told.len() >= MAX_UNKNOWN_FLAGS || flag.len() > MAX_FLAG_BYTES || self.told.contains(flag) {
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
    use crate::verdict::Reason;

    fn tally() -> Tally {
        Tally::new(Arc::from(["mixpanel".to_owned(), "webhook".to_owned()]), UnknownFlags::default())
    }

    fn rendered(tally: &mut Tally) -> String {
        let metrics = Metrics::new().unwrap();
        metrics.record(|| tally.flush());
        metrics.render()
    }

    #[test]
    fn e11_every_count_reaches_the_registry_with_its_labels() {
        let mut tally = tally();
        tally.verdict("events", Verdict::Routed);
        tally.verdict("events", Verdict::Routed);
        tally.verdict("events", Verdict::Ignored(Reason::NotGroup));
        tally.outcome(0, Outcome::Emitted(2));
        tally.outcome(0, Outcome::Emitted(1));
        tally.outcome(1, Outcome::Skipped(Reason::FlagFalse));
        tally.note(Some(1), Note { code: NoteCode::NullNotExpressible, subject: "plan" });
        tally.note(None, Note { code: NoteCode::TraitCollision, subject: "name" });
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
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_flushed_tally_starts_at_zero() {
        let mut tally = tally();
        tally.verdict("events", Verdict::Routed);
        rendered(&mut tally);
        assert!(!rendered(&mut tally).contains("groupcast_records_consumed_total{"));
    }

    #[test]
    fn the_commit_histogram_has_buckets() {
        let metrics = Metrics::new().unwrap();
        metrics.record(|| commit_took(Duration::from_millis(3)));
        metrics.upkeep();
        let text = metrics.render();
        assert!(text.contains(r#"groupcast_commit_duration_seconds_bucket{le="0.005"} 1"#), "{text}");
        assert!(text.contains(r#"groupcast_commit_duration_seconds_bucket{le="0.0025"} 0"#), "{text}");
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
