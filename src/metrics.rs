//! Every metric and label, once. Nothing else names a metric.
//!
//! Records are counted into a [`Tally`](tally::Tally), plain numbers, and reach the registry once an epoch.

pub mod tally;

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

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
const TOPIC_PROBLEMS: &str = "groupcast_topic_problems";
const REWINDS: &str = "groupcast_rewinds_total";
const SKIPPED: &str = "groupcast_gap_offsets_skipped_total";
const CLIENT_ERRORS: &str = "groupcast_client_errors_total";
const PARTITIONS: &str = "groupcast_assigned_partitions";
const LAG: &str = "groupcast_consumer_lag_records";
const STARTED_OVER: &str = "groupcast_process_started_over_total";
const UNCOMMITTED_AGE: &str = "groupcast_oldest_uncommitted_age_seconds";
const LAST_COMMIT: &str = "groupcast_last_commit_age_seconds";
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
    describe_gauge!(TOPIC_PROBLEMS, "What the last look at the topics found wrong: missing ones, missing rights, no answer");
    describe_counter!(REWINDS, "Epochs undone and done again, by cause");
    describe_counter!(SKIPPED, "Offsets that retention deleted before they were read, skipped by source.on_gap");
    describe_counter!(CLIENT_ERRORS, "Errors that the Kafka client reported, by client and code");
    describe_gauge!(PARTITIONS, "Partitions assigned, by worker");
    describe_gauge!(LAG, "Records between a partition's end and what was read of it");
    describe_counter!(STARTED_OVER, "Times the process started over because a Kafka client call did not return");
    describe_gauge!(
        UNCOMMITTED_AGE,
        "Seconds since the oldest record was read whose offset is not committed, 0 where none is; by worker"
    );
    describe_gauge!(
        LAST_COMMIT,
        "Seconds since the last commit, or since the start; an idle worker commits nothing; by worker"
    );
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

/// Sets how much is wrong with the topics.
pub fn topic_problems(problems: usize) {
    gauge!(TOPIC_PROBLEMS).set(count(problems));
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

/// Sets how often the process started over.
pub fn started_over(times: u32) {
    counter!(STARTED_OVER).absolute(u64::from(times));
}

/// Has a rewind's cause be a series from the start, so that its first one is seen to rise.
pub fn rewind_cause(cause: &'static str) {
    counter!(REWINDS, "cause" => cause).increment(0);
}

/// Sets how old a worker's oldest uncommitted record and its last commit are, at the moment of a scrape.
pub fn ages(worker: usize, uncommitted: Duration, last_commit: Duration) {
    gauge!(UNCOMMITTED_AGE, "worker" => worker.to_string()).set(uncommitted);
    gauge!(LAST_COMMIT, "worker" => worker.to_string()).set(last_commit);
}

/// States what runs.
pub fn build(version: &'static str, librdkafka: String) {
    gauge!(BUILD, "version" => version, "librdkafka" => librdkafka).set(1.0);
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_histogram_has_buckets() {
        let metrics = Metrics::new().unwrap();
        metrics.record(|| commit_took(Duration::from_millis(3)));
        metrics.upkeep();
        let text = metrics.render();
        assert!(text.contains(r#"groupcast_commit_duration_seconds_bucket{le="0.005"} 1"#), "{text}");
        assert!(text.contains(r#"groupcast_commit_duration_seconds_bucket{le="0.0025"} 0"#), "{text}");
    }
}
