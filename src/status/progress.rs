//! Progress, defined once: what readiness, metrics and alerts say of it comes from here, under both guarantees.
//!
//! A partition is *done* up to its committed offset, and past it where only transaction marks follow. For each partition
//! that the group has given to this worker:
//!
//! - its **lag** is the number of offsets between done and the partition's end;
//! - its **age** counts from when the oldest of them was first seen;
//! - it is **stalled** from when it last moved, while records wait that can be read. It moves when done does. It also
//!   counts as moving, for a while, when its records are fetched and wait in line behind others that are committed: a
//!   backlog that is worked off is old, but not stalled. A partition whose leader does not answer is stalled too, since
//!   nobody can say whether records wait there.
//!
//! Records behind an open transaction of somebody else cannot be read: they have a lag and an age, and stall nothing.
//!
//! All of it outlives rewinds, new producers and new consumers. It ends when the group takes the partition away, or does not
//! give it back to a new consumer.

pub mod partition;

use std::time::{Duration, Instant};

use self::partition::{PartitionProgress, Sight};
use crate::watermark::Watermarks;

/// A partition that is stalled for longer than this is blocked: several times what the longest epoch and its commit are given.
pub const BLOCKED_AFTER: Duration = Duration::from_secs(20);

/// The partitions of one worker.
#[derive(Debug, Default)]
pub struct Progress {
    partitions: Vec<PartitionProgress>,
    /// Whether a new consumer has not been given partitions yet.
    is_joining: bool,
}

impl Progress {
    /// Takes note that a consumer is opened: what its first assignment does not bring is another member's.
    pub fn join(&mut self) {
        self.is_joining = true;
    }

    /// Takes note that the group has given these partitions to the worker.
    pub fn assign<'a>(
        &mut self,
        partitions: impl Iterator<Item = (&'a str, i32)> + Clone,
        now: Instant,
    ) {
        if std::mem::take(&mut self.is_joining) {
            self.partitions.retain(|known| {
                partitions
                    .clone()
                    .any(|(topic, partition)| known.is(topic, partition))
            });
        }
        for (topic, partition) in partitions {
            self.entry(topic, partition, now);
        }
    }

    /// Forgets a partition that the group has taken away.
    pub fn unassign(&mut self, topic: &str, partition: i32) {
        self.partitions.retain(|known| !known.is(topic, partition));
    }

    /// Takes note of where reading starts, which is the group's offset where it has one.
    pub fn start_at(&mut self, topic: &str, partition: i32, offset: i64, now: Instant) {
        self.entry(topic, partition, now).start_at(offset, now);
    }

    /// Takes note that the worker goes back to the committed offsets: nothing is read now.
    pub fn rewind(&mut self) {
        for known in &mut self.partitions {
            known.read = None;
        }
    }

    /// Takes note of what was read and is not committed.
    pub fn read(&mut self, watermarks: &Watermarks, now: Instant) {
        for mark in watermarks.iter() {
            self.entry(&mark.topic, mark.partition, now)
                .read(mark.next_offset, now);
        }
    }

    /// Takes note of what is committed.
    pub fn commit(&mut self, watermarks: &Watermarks, now: Instant) {
        for mark in watermarks.iter() {
            self.entry(&mark.topic, mark.partition, now)
                .commit(mark.next_offset, now);
        }
    }

    /// Takes note of the group's offset, as the group tells it.
    pub fn confirm(&mut self, topic: &str, partition: i32, offset: i64, now: Instant) {
        self.entry(topic, partition, now).commit(offset, now);
    }

    /// Takes note of what a source sees of a partition.
    pub fn see(&mut self, topic: &str, partition: i32, sight: Sight, now: Instant) {
        self.entry(topic, partition, now).see(sight, now);
    }

    /// Takes note that a new consumer is opened for the sake of a partition.
    pub fn renew(&mut self, topic: &str, partition: i32) {
        if let Some(known) = self
            .partitions
            .iter_mut()
            .find(|known| known.is(topic, partition))
        {
            known.n_renewals += 1;
        }
    }

    /// Returns one partition's progress.
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<&PartitionProgress> {
        self.partitions
            .iter()
            .find(|known| known.is(topic, partition))
    }

    /// Returns every partition's progress.
    pub fn iter(&self) -> impl Iterator<Item = &PartitionProgress> {
        self.partitions.iter()
    }

    /// Returns since when the oldest record waits that was read and is not committed.
    #[must_use]
    pub fn uncommitted_since(&self) -> Option<Instant> {
        self.partitions
            .iter()
            .filter_map(|known| known.uncommitted)
            .map(|(_, since)| since)
            .min()
    }

    /// Returns whether it is known that no record waits.
    #[must_use]
    pub fn is_all_done(&self) -> bool {
        self.partitions
            .iter()
            .all(|known| known.readable.is_some() && known.stalled_since().is_none())
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the index was found, or is the last one's"
    )]
    fn entry(&mut self, topic: &str, partition: i32, now: Instant) -> &mut PartitionProgress {
        let found = self
            .partitions
            .iter()
            .position(|known| known.is(topic, partition));
        let index = found.unwrap_or_else(|| {
            self.partitions
                .push(PartitionProgress::new(topic, partition, now));
            self.partitions.len() - 1
        });
        &mut self.partitions[index]
    }
}

#[cfg(test)]
mod tests {
    use super::partition::Supply;
    use super::*;

    const TOPIC: &str = "events";

    /// One partition, and the seconds that pass.
    struct Stage {
        progress: Progress,
        began: Instant,
    }

    impl Stage {
        /// Partition 0, committed up to 10.
        fn new() -> Stage {
            let mut stage = Stage {
                progress: Progress::default(),
                began: Instant::now(),
            };
            stage.assign(0, &[0]);
            stage.progress.start_at(TOPIC, 0, 10, stage.began);
            stage
        }

        fn at(&self, second: u64) -> Instant {
            self.began + Duration::from_secs(second)
        }

        fn assign(&mut self, second: u64, partitions: &[i32]) {
            let now = self.at(second);
            self.progress
                .assign(partitions.iter().map(|partition| (TOPIC, *partition)), now);
        }

        fn see(&mut self, second: u64, end: i64, position: i64) {
            self.see_more(
                second,
                Sight {
                    end: Some(end),
                    readable: Some(end),
                    position: Some(position),
                    ..Sight::default()
                },
            );
        }

        fn see_more(&mut self, second: u64, sight: Sight) {
            let now = self.at(second);
            self.progress.see(TOPIC, 0, sight, now);
        }

        fn marks(next_offset: i64) -> Watermarks {
            let mut marks = Watermarks::default();
            marks.set(TOPIC, 0, next_offset);
            marks
        }

        fn read(&mut self, second: u64, next_offset: i64) {
            let now = self.at(second);
            self.progress.read(&Stage::marks(next_offset), now);
        }

        fn commit(&mut self, second: u64, next_offset: i64) {
            let now = self.at(second);
            self.progress.commit(&Stage::marks(next_offset), now);
        }

        /// Asserts since which seconds the partition waits and is stalled.
        #[track_caller]
        fn check(&self, waits: Option<u64>, stalled: Option<u64>) {
            let known = self.progress.get(TOPIC, 0).unwrap();
            let second = |at: Instant| (at - self.began).as_secs();
            assert_eq!(
                (
                    known.waits_since().map(second),
                    known.stalled_since().map(second)
                ),
                (waits, stalled)
            );
        }
    }

    #[test]
    fn an_age_counts_from_when_the_oldest_open_end_was_seen() {
        let mut stage = Stage::new();
        stage.see(0, 10, 10);
        stage.check(None, None);
        stage.see(1, 12, 10);
        stage.check(Some(1), Some(1));
        stage.see(2, 15, 12);
        stage.read(2, 12);
        stage.commit(3, 12);
        stage.check(Some(2), Some(3));
        stage.read(4, 15);
        stage.commit(4, 15);
        stage.check(None, None);
        stage.see(3599, 15, 15);
        stage.see(3600, 16, 15);
        stage.check(Some(3600), Some(3600));
    }

    #[test]
    fn a_backlog_that_is_worked_off_is_old_and_not_stalled() {
        let mut stage = Stage::new();
        for second in 1..100 {
            stage.see(second, 1_000_000, 10);
            stage.read(second, 10 + i64::try_from(second).unwrap());
            stage.commit(second, 10 + i64::try_from(second).unwrap());
            stage.check(Some(1), Some(second));
        }
        assert_eq!(
            stage
                .progress
                .get(TOPIC, 0)
                .unwrap()
                .blocked_for(stage.at(119)),
            None
        );
        assert_eq!(
            stage
                .progress
                .get(TOPIC, 0)
                .unwrap()
                .blocked_for(stage.at(120)),
            Some(Duration::from_secs(21))
        );
    }

    #[test]
    fn rewinds_and_new_consumers_leave_the_age_as_it_is() {
        let mut stage = Stage::new();
        stage.see(0, 10, 10);
        for second in 1..50 {
            stage.read(second, 12);
            stage.progress.rewind();
            if second % 7 == 0 {
                stage.progress.join();
                stage.assign(second, &[0]);
            }
            let now = stage.at(second);
            stage.progress.start_at(TOPIC, 0, 10, now);
            stage.progress.confirm(TOPIC, 0, 10, now);
            stage.see(second, 12, 10);
            stage.check(Some(1), Some(1));
            assert_eq!(stage.progress.uncommitted_since(), Some(stage.at(1)));
        }
        stage.read(49, 15);
        assert_eq!(
            stage.progress.get(TOPIC, 0).unwrap().lag(),
            Some(5),
            "records that are read are there"
        );
        stage.commit(50, 15);
        stage.check(None, None);
        assert_eq!(stage.progress.uncommitted_since(), None);
    }

    #[test]
    fn a_commit_whose_answer_was_lost_counts_when_the_group_tells_it() {
        let mut stage = Stage::new();
        stage.read(1, 12);
        stage.progress.rewind();
        let now = stage.at(5);
        stage.progress.confirm(TOPIC, 0, 12, now);
        stage.check(None, None);
        assert_eq!(stage.progress.uncommitted_since(), None);
    }

    #[test]
    fn a_partition_that_is_taken_away_is_forgotten() {
        let mut stage = Stage::new();
        stage.assign(0, &[1]);
        stage.read(1, 12);
        stage.progress.unassign(TOPIC, 0);
        assert_eq!(
            stage
                .progress
                .iter()
                .map(|known| known.partition)
                .collect::<Vec<_>>(),
            [1]
        );
        // A new consumer that joins keeps what it is given back, and what comes later is new.
        stage.progress.join();
        stage.assign(2, &[0]);
        stage.assign(3, &[2]);
        assert_eq!(
            stage
                .progress
                .iter()
                .map(|known| known.partition)
                .collect::<Vec<_>>(),
            [0, 2]
        );
        stage.check(None, None);
    }

    #[test]
    fn transaction_marks_stall_nothing_however_busy_the_others_are() {
        let mut stage = Stage::new();
        stage.read(1, 12);
        stage.commit(1, 12);
        stage.see(2, 13, 13);
        stage.check(None, None);
        // A record was read and the mark behind it is not done.
        stage.read(3, 14);
        stage.see(3, 15, 15);
        stage.check(Some(3), Some(3));
        stage.commit(4, 14);
        stage.see(5, 15, 15);
        stage.check(None, None);
    }

    #[test]
    fn an_open_transaction_has_an_age_and_stalls_nothing() {
        let mut stage = Stage::new();
        for second in 1..100 {
            let sight = Sight {
                end: Some(20),
                readable: Some(10),
                position: Some(10),
                ..Sight::default()
            };
            stage.see_more(second, sight);
        }
        stage.check(Some(1), None);
        stage.see(100, 20, 10);
        stage.check(Some(1), Some(100));
    }

    #[test]
    fn a_partition_in_line_is_not_stalled_for_a_while() {
        let mut stage = Stage::new();
        let in_line = || Sight {
            end: Some(20),
            readable: Some(20),
            is_in_line: true,
            ..Sight::default()
        };
        stage.see_more(1, in_line());
        for second in 2..200 {
            stage.see_more(second, in_line());
        }
        stage.check(Some(1), Some(120));
        stage.commit(200, 11);
        stage.check(Some(1), Some(200));
    }

    #[test]
    fn an_obstacle_stalls_a_partition_of_which_nothing_is_known() {
        let mut stage = Stage::new();
        let hindered = || Sight {
            supply: Supply::Hindered("no leader".to_owned()),
            ..Sight::default()
        };
        stage.see_more(5, hindered());
        stage.check(None, Some(5));
        // A new consumer knows nothing at first.
        stage.progress.join();
        stage.assign(6, &[0]);
        stage.see_more(7, Sight::default());
        stage.see_more(9, hindered());
        stage.check(None, Some(5));
        stage.see_more(
            10,
            Sight {
                supply: Supply::Flows,
                ..Sight::default()
            },
        );
        stage.check(None, None);
    }

    #[test]
    fn a_group_that_is_set_back_moves() {
        let mut stage = Stage::new();
        stage.see(1, 12, 10);
        let now = stage.at(9);
        stage.progress.start_at(TOPIC, 0, 3, now);
        stage.see(9, 12, 3);
        assert_eq!(stage.progress.get(TOPIC, 0).unwrap().lag(), Some(9));
        stage.check(Some(1), Some(9));
    }
}
