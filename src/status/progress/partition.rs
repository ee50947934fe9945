//! One partition's progress.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::BLOCKED_AFTER;

/// How long a partition may wait in line without a commit of its own. The line is the consumer's queue, which is bounded.
const LONGEST_LINE: Duration = Duration::from_secs(120);

/// One partition's progress.
#[derive(Debug)]
pub struct PartitionProgress {
    /// The topic.
    pub topic: String,
    /// The partition, from 0.
    pub partition: i32,
    /// The group's offset, as far as it is known.
    committed: i64,
    /// The first offset that is not done.
    pub done: i64,
    /// The partition's end, as it was seen last.
    end: Option<i64>,
    /// The ends that were seen, as far as they are not done.
    ends: Ends,
    /// Up to where records can be read, as far as it is known.
    pub(super) readable: Option<i64>,
    /// The offset after the last record of the present epoch.
    pub(super) read: Option<i64>,
    /// The offset after a record that was read and not committed, and since when.
    pub(super) uncommitted: Option<(i64, Instant)>,
    /// The same of the last that was read: what the group commits may be part of what was read.
    newest: Option<(i64, Instant)>,
    moved_at: Instant,
    /// When it last waited in line.
    in_line_at: Option<Instant>,
    /// What keeps it from being fetched, and since when.
    pub obstacle: Option<(String, Instant)>,
    /// New consumers that were opened for its sake and did not help.
    pub n_renewals: u32,
}

/// What a source sees of a partition.
#[derive(Debug, Default)]
pub struct Sight {
    /// The partition's end.
    pub end: Option<i64>,
    /// Up to where records can be read.
    pub readable: Option<i64>,
    /// The offset that the worker reads next.
    pub position: Option<i64>,
    /// Whether its records wait behind those of other partitions, which are being committed.
    pub is_in_line: bool,
    /// What keeps it from being fetched.
    pub supply: Supply,
}

/// Whether a partition's records arrive.
#[derive(Debug, Default)]
pub enum Supply {
    /// A new consumer or position has not shown it yet.
    #[default]
    Unknown,
    /// They do, as far as there are any.
    Flows,
    /// They do not, for this reason.
    Hindered(String),
}

impl PartitionProgress {
    pub(super) fn new(topic: &str, partition: i32, now: Instant) -> PartitionProgress {
        PartitionProgress {
            topic: topic.to_owned(),
            partition,
            committed: 0,
            done: 0,
            end: None,
            ends: Ends::default(),
            readable: None,
            read: None,
            uncommitted: None,
            newest: None,
            moved_at: now,
            in_line_at: None,
            obstacle: None,
            n_renewals: 0,
        }
    }

    pub(super) fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && self.topic == topic
    }

    /// Returns the number of offsets that are not done; absent while the end is not known.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.end.map(|end| (end - self.done).max(0).unsigned_abs())
    }

    /// Returns since when the oldest record that is not done waits.
    #[must_use]
    pub fn waits_since(&self) -> Option<Instant> {
        self.ends.oldest()
    }

    /// Returns since when it is stalled, if it is.
    #[must_use]
    pub fn stalled_since(&self) -> Option<Instant> {
        let still_since = self.waits().then(|| {
            self.in_line_at
                .map_or(self.moved_at, |at| at.max(self.moved_at))
        });
        let hindered_since = self.obstacle.as_ref().map(|(_, since)| *since);
        still_since.into_iter().chain(hindered_since).min()
    }

    /// Returns for how long it has been blocked at `now`, if it is.
    #[must_use]
    pub fn blocked_for(&self, now: Instant) -> Option<Duration> {
        let stalled = self
            .stalled_since()
            .map(|since| now.saturating_duration_since(since));
        stalled.filter(|duration| *duration > BLOCKED_AFTER)
    }

    /// Returns whether records were read that are not committed.
    #[must_use]
    pub fn is_uncommitted(&self) -> bool {
        self.uncommitted.is_some()
    }

    fn waits(&self) -> bool {
        self.uncommitted.is_some() || self.readable.is_some_and(|readable| readable > self.done)
    }

    pub(super) fn start_at(&mut self, offset: i64, now: Instant) {
        if offset < self.committed {
            // Somebody has set the group back.
            (self.done, self.readable) = (offset, None);
            self.moved(now);
        }
        // A commit whose answer was lost may have done what was read.
        self.commit(offset, now);
    }

    pub(super) fn read(&mut self, next_offset: i64, now: Instant) {
        self.rest(now);
        self.read = Some(next_offset);
        self.uncommitted.get_or_insert((next_offset, now));
        if self.newest.is_none_or(|(offset, _)| offset < next_offset) {
            self.newest = Some((next_offset, now));
        }
        // No look is taken in a second that is not over when the epoch is undone.
        (self.end, self.readable) = (
            self.end.max(Some(next_offset)),
            self.readable.max(Some(next_offset)),
        );
        self.ends.see(next_offset, self.done, now);
    }

    pub(super) fn commit(&mut self, next_offset: i64, now: Instant) {
        self.committed = next_offset;
        self.read.take_if(|read| *read <= next_offset);
        self.newest.take_if(|(offset, _)| *offset <= next_offset);
        if self
            .uncommitted
            .take_if(|(offset, _)| *offset <= next_offset)
            .is_some()
        {
            self.uncommitted = self.newest;
            self.moved(now);
        }
        self.advance(next_offset, now);
    }

    pub(super) fn see(&mut self, sight: Sight, now: Instant) {
        if self.read.is_none() {
            // Nothing was read past what is committed, so that a position beyond it has passed transaction marks.
            self.advance(sight.position.unwrap_or(self.done), now);
        }
        self.rest(now);
        if let Some(end) = sight.end {
            self.end = Some(end);
            self.ends.see(end, self.done, now);
        }
        self.readable = self.readable.max(sight.readable);
        let is_known_done = self.readable.is_some_and(|readable| readable <= self.done);
        if self.read.is_none() && is_known_done {
            // What was read once and undone is gone, or was done by a commit whose answer was lost.
            (self.uncommitted, self.newest) = (None, None);
        }
        if sight.is_in_line && now.saturating_duration_since(self.moved_at) < LONGEST_LINE {
            self.in_line_at = Some(now);
        }
        let before = self.obstacle.take();
        self.obstacle = match sight.supply {
            Supply::Unknown => before,
            Supply::Flows => None,
            Supply::Hindered(reason) => Some((reason, before.map_or(now, |(_, since)| since))),
        };
    }

    fn advance(&mut self, done: i64, now: Instant) {
        if done > self.done {
            self.done = done;
            self.moved(now);
        }
        self.ends.pass(self.done);
    }

    fn moved(&mut self, now: Instant) {
        (self.moved_at, self.n_renewals) = (now, 0);
    }

    /// While nothing waits, nothing has to move.
    fn rest(&mut self, now: Instant) {
        if !self.waits() {
            self.moved(now);
        }
    }
}

/// A partition's ends as they were seen, as far as they are not done.
#[derive(Debug, Clone, Default)]
struct Ends(VecDeque<(i64, Instant)>);

/// An age is exact to a sixty-fourth of itself, roughly.
const MAX_ENDS: usize = 64;

impl Ends {
    fn see(&mut self, end: i64, done: i64, now: Instant) {
        self.pass(done);
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
    }

    fn pass(&mut self, done: i64) {
        while self.0.front().is_some_and(|(seen, _)| *seen <= done) {
            self.0.pop_front();
        }
    }

    /// Returns since when something before the oldest end waits.
    fn oldest(&self) -> Option<Instant> {
        self.0.front().map(|(_, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_reader_costs_bounded_memory_and_keeps_its_age() {
        let (mut ends, began) = (Ends::default(), Instant::now());
        for second in 1..10_000 {
            ends.see(
                second,
                0,
                began + Duration::from_secs(u64::try_from(second).unwrap()),
            );
            assert_eq!(ends.oldest(), Some(began + Duration::from_secs(1)));
        }
        assert!(ends.0.len() <= MAX_ENDS);
    }
}
