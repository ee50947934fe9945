//! How long records take from end to end, in fixed buckets. Counted once an epoch, from what the epoch has noted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::family::LATENCY;
use super::page::{Page, approximately};

/// The upper bounds in seconds, in milliseconds and as the label has them: from an epoch next door to a day's backlog.
const BUCKETS: [(i64, &str); 19] = [
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    // An epoch's interval and its commit, as a rule, which shall not all be one number.
    (150, "0.15"),
    (200, "0.2"),
    (250, "0.25"),
    (500, "0.5"),
    (1_000, "1"),
    (2_500, "2.5"),
    (5_000, "5"),
    (10_000, "10"),
    (30_000, "30"),
    (60_000, "60"),
    (300_000, "300"),
    (900_000, "900"),
    (3_600_000, "3600"),
    (21_600_000, "21600"),
    (86_400_000, "86400"),
];

/// The latencies of all workers of a service.
#[derive(Debug, Default)]
pub struct Latencies {
    /// Since the events' own times.
    pub event: Latency,
    /// Since the Kafka records' times.
    pub record: Latency,
}

/// One histogram.
#[derive(Debug, Default)]
pub struct Latency {
    /// How many fell into each bucket and no lower one; the last is what lies beyond all.
    counts: [AtomicU64; BUCKETS.len() + 1],
    sum_ms: AtomicU64,
}

impl Latencies {
    /// Says both histograms.
    pub fn say(&self, page: &mut Page) {
        self.event.say("event_time", page);
        self.record.say("record_time", page);
    }
}

impl Latency {
    fn observe(&self, milliseconds: i64, number: u64) {
        // A clock that is ahead of ours makes no negative latency.
        let milliseconds = milliseconds.max(0);
        let bucket = BUCKETS
            .iter()
            .position(|(bound, _)| milliseconds <= *bound)
            .unwrap_or(BUCKETS.len());
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(number, Ordering::Relaxed);
        }
        self.sum_ms.fetch_add(
            milliseconds.unsigned_abs().saturating_mul(number),
            Ordering::Relaxed,
        );
    }

    fn say(&self, since: &str, page: &mut Page) {
        let mut total = 0;
        for (count, (_, bound)) in self
            .counts
            .iter()
            .zip(BUCKETS.iter().chain([&(i64::MAX, "+Inf")]))
        {
            total += count.load(Ordering::Relaxed);
            page.line(
                LATENCY,
                "_bucket",
                &[("since", since), ("le", bound)],
                approximately(total),
            );
        }
        let sum = approximately(self.sum_ms.load(Ordering::Relaxed)) / 1000.0;
        page.line(LATENCY, "_sum", &[("since", since)], sum);
        page.line(LATENCY, "_count", &[("since", since)], approximately(total));
    }
}

/// The times of an epoch's records: runs of one millisecond, since records that come together were made together.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<(i64, u64)>);

impl Times {
    pub(super) fn add(&mut self, milliseconds: i64) {
        match self.0.last_mut() {
            Some((last, number)) if *last == milliseconds => *number += 1,
            Some(_) | None => self.0.push((milliseconds, 1)),
        }
    }

    /// Counts all of them as done at `now`, and forgets them; the memory stays for the next epoch.
    pub(super) fn flush(&mut self, latency: &Latency, now: i64) {
        for (milliseconds, number) in self.0.drain(..) {
            latency.observe(now.saturating_sub(milliseconds), number);
        }
    }
}

/// Returns the time in Unix milliseconds.
pub(super) fn now() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_latency_falls_into_its_bucket_and_those_above() {
        let (latencies, mut times) = (Latencies::default(), Times::default());
        for time in [1_000, 1_000, 900, 2_000, -90_000_000] {
            times.add(time);
        }
        assert_eq!(times.0.len(), 4, "the same millisecond is one run");
        times.flush(&latencies.record, 1_010);
        let mut page = Page::default();
        latencies.say(&mut page);
        let text = page.into_text();
        let prefix = "groupcast_end_to_end_latency_seconds";
        for (line, value) in [
            (r#"_bucket{since="record_time",le="0.01"}"#, "3"),
            (r#"_bucket{since="record_time",le="0.1"}"#, "3"),
            (r#"_bucket{since="record_time",le="0.15"}"#, "4"),
            (r#"_bucket{since="record_time",le="0.25"}"#, "4"),
            (r#"_bucket{since="record_time",le="86400"}"#, "4"),
            (r#"_bucket{since="record_time",le="+Inf"}"#, "5"),
            (r#"_sum{since="record_time"}"#, "90001.14"),
            (r#"_count{since="record_time"}"#, "5"),
            (r#"_count{since="event_time"}"#, "0"),
        ] {
            assert!(
                text.contains(&format!("{prefix}{line} {value}\n")),
                "{line} {value} is not in:\n{text}"
            );
        }
    }
}
