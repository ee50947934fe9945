//! What metrics need done again and again.

use std::sync::Arc;
use std::time::Duration;

use crate::metrics::Metrics;
use crate::status::Status;

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// librdkafka reports once a second.
const STATISTICS_INTERVAL: Duration = Duration::from_millis(500);

/// Reads what the clients say of themselves, so that no worker needs to.
pub(super) async fn read_statistics(statuses: Arc<[Arc<Status>]>) {
    let mut ticks = tokio::time::interval(STATISTICS_INTERVAL);
    loop {
        ticks.tick().await;
        for status in statuses.iter() {
            status.consumer.read();
            status.producer.read();
        }
    }
}

/// Without it, histograms grow while nobody scrapes (metrics-rs issue 467).
pub(super) async fn run(metrics: Metrics) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        metrics.upkeep();
    }
}
