//! How far each partition is behind, and whether it is fetched at all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::position::next_offset;
use super::{Assigned, STUCK_AFTER, Source};
use crate::kafka::fault::{Cause, Fault};
use crate::kafka::native;
use crate::status::Lag;
use crate::status::report::Partition;
use crate::watermark::Watermarks;

/// Librdkafka's report may have been on its way when a partition was assigned.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Asked once a second while reading is paused, between other things.
const ENDS_PATIENCE: Duration = Duration::from_millis(500);

/// A partition's ends as they were seen, as far as they are not committed.
#[derive(Debug, Clone, Default)]
pub(super) struct Behind(VecDeque<(i64, Instant)>);

/// An age is exact to a sixty-fourth of itself, roughly.
const MAX_ENDS: usize = 64;

impl Behind {
    /// Takes note of the end, and returns since when something before it waits.
    fn see(&mut self, end: i64, done: i64, now: Instant) -> Option<Instant> {
        while self.0.front().is_some_and(|(seen, _)| *seen <= done) {
            self.0.pop_front();
        }
        if end > done && self.0.back().is_none_or(|(seen, _)| *seen < end) {
            if self.0.len() >= MAX_ENDS {
                let mut index = 0;
                self.0.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
            }
            self.0.push_back((end, now));
        }
        self.0.front().map(|(_, since)| *since)
    }
}

impl Source {
    /// Does what [`Intake::note_committed`](crate::kafka::ends::Intake::note_committed) says.
    pub(super) fn remember_committed(&mut self, watermarks: &Watermarks) {
        for mark in watermarks.iter() {
            let is_it = |assigned: &&mut Assigned| assigned.partition == mark.partition && assigned.topic == mark.topic;
            if let Some(assigned) = self.partitions.iter_mut().find(is_it) {
                assigned.committed = Some(mark.next_offset);
            }
        }
    }

    /// Does what [`Intake::check_progress`](crate::kafka::ends::Intake::check_progress) says.
    pub(super) fn publish_progress(&mut self) -> Result<(), Fault> {
        let positions = self.positions()?;
        let (report, now) = (self.status.consumer.latest(), Instant::now());
        let is_all_committed = self.status.view().uncommitted_since.is_none();
        let ends = if self.is_paused { self.ends() } else { None };
        let mut lags = Vec::with_capacity(self.partitions.len());
        for assigned in &mut self.partitions {
            let figures = report.as_ref().filter(|(at, _)| *at > assigned.since + SETTLED_AFTER);
            let figures = figures.and_then(|(_, report)| report.partition(&assigned.topic, assigned.partition));
            let high = native::high_watermark(self.consumer.client(), &assigned.topic, assigned.partition);
            // What librdkafka knows of the end is from before, if it does not fetch since.
            let is_fetched = high.is_some() && figures.is_none_or(|figures| figures.fetch_state == "active");
            if is_fetched || self.is_paused || assigned.is_done || assigned.is_held() {
                assigned.fetched_at = now;
            } else if now.saturating_duration_since(assigned.fetched_at) > STUCK_AFTER {
                let detail = format!("{}/{} is assigned and not fetched from", assigned.topic, assigned.partition);
                return Err(Fault::Rewind { cause: Cause::PartitionStuck, detail });
            }
            let end = ends.as_ref().and_then(|ends| ends.find_partition(&assigned.topic, assigned.partition));
            let high = high.max(end.and_then(|end| number(end.offset())));
            // A replay ends where its note says.
            let Some(high) = high.map(|high| assigned.note.map_or(high, |note| note.to)) else { continue };
            // A position passes transaction marks, which take offsets and are never handed out.
            let position = next_offset(&positions, assigned).or_else(|| figures.and_then(Partition::nothing_before));
            let committed = assigned.committed.unwrap_or_default();
            let done = position.filter(|position| is_all_committed && *position > committed).unwrap_or(committed);
            let since = assigned.behind.see(high, done, now);
            let (topic, partition) = (assigned.topic.clone(), assigned.partition);
            lags.push(Lag { topic, partition, records: (high - done).max(0).unsigned_abs(), since });
        }
        self.status.set_lags(lags);
        Ok(())
    }

    /// Asks the brokers where the partitions end, which they tell with every fetch, but not where reading is paused. Without an
    /// answer the lag is what it was.
    fn ends(&self) -> Option<TopicPartitionList> {
        let wanted = self.list(|_| Offset::End).ok()?;
        let asked = self.status.call("ends", || self.consumer.offsets_for_times(wanted, ENDS_PATIENCE));
        asked.inspect_err(|error| tracing::debug!(error = %error, "the partitions' ends are not known")).ok()
    }
}

/// Returns an offset as a number, if it is one.
pub(super) fn number(offset: Offset) -> Option<i64> {
    if let Offset::Offset(offset) = offset { Some(offset) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_counts_from_when_the_oldest_open_end_was_seen() {
        let (mut behind, began) = (Behind::default(), Instant::now());
        let mut check = |end, done, second, expected: Option<u64>| {
            let since = behind.see(end, done, began + Duration::from_secs(second));
            assert_eq!(since, expected.map(|second| began + Duration::from_secs(second)), "{end} {done} at {second}");
        };
        check(10, 10, 0, None);
        check(12, 10, 1, Some(1));
        check(15, 10, 2, Some(1));
        check(15, 12, 3, Some(2));
        check(15, 15, 4, None);
        check(16, 15, 3600, Some(3600));
    }

    #[test]
    fn a_stopped_reader_costs_bounded_memory_and_keeps_its_age() {
        let (mut behind, began) = (Behind::default(), Instant::now());
        for second in 1..10_000 {
            let now = began + Duration::from_secs(u64::try_from(second).unwrap());
            assert_eq!(behind.see(second, 0, now), Some(began + Duration::from_secs(1)));
        }
        assert!(behind.0.len() <= MAX_ENDS);
    }
}
