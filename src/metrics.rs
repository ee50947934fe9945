//! Every metric and label, once. Nothing else names a metric.
//!
//! Records are counted into a [`Tally`](tally::Tally), plain numbers, and reach the registry once an epoch.

pub mod family;
pub mod latency;
pub mod page;
pub mod tally;

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use self::family::{
    BUILD, CLIENT_ERRORS, COMMIT_DURATION, EPOCHS, Family, Kind, LAST_RELOAD, REBALANCES, REFUSED,
    RELOADS, REWINDS, SECTIONS, SKIPPED, STARTED_OVER, TOPIC_PROBLEMS, UNDECODABLE,
};
use self::latency::Latencies;

/// From a commit on a broker next door to one that waits for a coordinator to move.
const COMMIT_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The registry of one service. Not global: two services in a process do not count into each other.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    /// Counted by workers directly: it is in buckets already.
    pub latencies: Arc<Latencies>,
}

impl Metrics {
    /// Returns an empty registry that describes every metric.
    ///
    /// # Errors
    /// Where the exporter refuses the buckets.
    pub fn new() -> Result<Metrics, metrics_exporter_prometheus::BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(
                Matcher::Full(COMMIT_DURATION.name.to_owned()),
                COMMIT_BUCKETS,
            )?
            .build_recorder();
        let handle = recorder.handle();
        let metrics = Metrics {
            recorder: Arc::new(recorder),
            handle,
            latencies: Arc::default(),
        };
        metrics.record(describe);
        Ok(metrics)
    }

    /// Runs `action`, whose metrics on this thread go to this registry.
    pub fn record<T>(&self, action: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&*self.recorder, action)
    }

    /// Returns what was counted, in Prometheus' text format; see [`page::Page`] for what is known at a scrape only.
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
    for Family {
        name, kind, help, ..
    } in SECTIONS.iter().flat_map(|(_, families)| *families)
    {
        match kind {
            Kind::Counter => describe_counter!(*name, *help),
            Kind::Gauge => describe_gauge!(*name, *help),
            Kind::Histogram => describe_histogram!(*name, *help),
        }
    }
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
    counter!(EPOCHS.name, "result" => result.label()).increment(1);
}

/// Observes how long a commit took.
pub fn commit_took(duration: Duration) {
    histogram!(COMMIT_DURATION.name).record(duration);
}

/// Sets whether a topic refuses records.
pub fn topic_refused(topic: &str, is_refused: bool) {
    gauge!(REFUSED.name, "topic" => topic.to_owned()).set(if is_refused { 1.0 } else { 0.0 });
}

/// Sets how much is wrong with the topics.
pub fn topic_problems(problems: usize) {
    gauge!(TOPIC_PROBLEMS.name).set(count(problems));
}

/// Counts a rewind.
pub fn rewind(cause: &'static str) {
    counter!(REWINDS.name, "cause" => cause).increment(1);
}

/// Counts offsets that were lost to retention and skipped.
pub fn gap_skipped(topic: &str, offsets: u64) {
    counter!(SKIPPED.name, "topic" => topic.to_owned()).increment(offsets);
}

/// Counts offsets of batches that could not be decoded and were skipped.
pub fn undecodable_skipped(topic: &str, offsets: u64) {
    counter!(UNDECODABLE.name, "topic" => topic.to_owned()).increment(offsets);
}

/// Counts an error that the client reported by itself.
pub fn client_error(client: &'static str, code: String) {
    counter!(CLIENT_ERRORS.name, "client" => client, "code" => code).increment(1);
}

/// Counts an answer to the group: `kind` is `assign` or `revoke`.
pub fn rebalance(worker: usize, kind: &'static str) {
    counter!(REBALANCES.name, "worker" => worker.to_string(), "kind" => kind).increment(1);
}

/// Counts a configuration that was read anew.
pub fn reloaded(is_applied: bool) {
    counter!(RELOADS.name, "result" => if is_applied { "applied" } else { "refused" }).increment(1);
    gauge!(LAST_RELOAD.name).set(f64::from(u8::from(is_applied)));
}

/// Has reloads be series from the start, so that their first one is seen to rise.
pub fn never_reloaded() {
    for result in ["applied", "refused"] {
        counter!(RELOADS.name, "result" => result).increment(0);
    }
    gauge!(LAST_RELOAD.name).set(1.0);
}

/// Sets how often the process started over.
pub fn started_over(times: u32) {
    counter!(STARTED_OVER.name).absolute(u64::from(times));
}

/// Has a rewind's cause be a series from the start, so that its first one is seen to rise.
pub fn rewind_cause(cause: &'static str) {
    counter!(REWINDS.name, "cause" => cause).increment(0);
}

/// States what runs.
pub fn build(version: &'static str, librdkafka: String) {
    gauge!(BUILD.name, "version" => version, "librdkafka" => librdkafka).set(1.0);
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
        assert!(
            text.contains(r#"groupcast_commit_duration_seconds_bucket{le="0.005"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"groupcast_commit_duration_seconds_bucket{le="0.0025"} 0"#),
            "{text}"
        );
    }
}
