//! The next offset to read, per partition: what an epoch has taken, and what is committed once all of it is durable.
//!
//! Knows no Kafka client. Offsets have gaps (compaction, transaction markers), so a watermark only ever says "all before
//! this is done", never how many records that were.

use crate::record::Position;

/// One partition's next offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    /// The topic.
    pub topic: String,
    /// The partition, from 0.
    pub partition: i32,
    /// The first offset that is not done.
    pub next_offset: i64,
}

/// The watermarks of the partitions that an epoch has touched.
#[derive(Debug, Clone, Default)]
pub struct Watermarks {
    partitions: Vec<Watermark>,
    /// Where the last one was found: records come in runs of one partition.
    last: usize,
}

impl Watermarks {
    /// Takes note that the record at `position` is part of the epoch.
    pub fn advance(&mut self, position: Position<'_>) {
        self.set(
            position.topic,
            position.partition,
            position.offset.saturating_add(1),
        );
    }

    /// Sets a partition's next offset, whatever it was: where reading starts, or what a seek has changed.
    pub fn set(&mut self, topic: &str, partition: i32, next_offset: i64) {
        match self.find(topic, partition) {
            Some(watermark) => watermark.next_offset = next_offset,
            None => self.partitions.push(Watermark {
                topic: topic.to_owned(),
                partition,
                next_offset,
            }),
        }
    }

    fn find(&mut self, topic: &str, partition: i32) -> Option<&mut Watermark> {
        let is_it =
            |watermark: &Watermark| watermark.partition == partition && watermark.topic == topic;
        if !self.partitions.get(self.last).is_some_and(is_it) {
            self.last = self.partitions.iter().position(is_it)?;
        }
        self.partitions.get_mut(self.last)
    }

    /// Forgets a partition: another worker has it now.
    pub fn forget(&mut self, topic: &str, partition: i32) {
        self.partitions
            .retain(|watermark| watermark.partition != partition || watermark.topic != topic);
    }

    /// Forgets all partitions: they are committed, or the epoch is undone.
    pub fn clear(&mut self) {
        self.partitions.clear();
    }

    /// Returns whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Returns the watermarks, in the order in which their partitions first came.
    pub fn iter(&self) -> impl Iterator<Item = &Watermark> {
        self.partitions.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(positions: &[(&'static str, i32, i64)]) -> Watermarks {
        let mut watermarks = Watermarks::default();
        for &(topic, partition, offset) in positions {
            watermarks.advance(Position {
                topic,
                partition,
                offset,
            });
        }
        watermarks
    }

    fn check(watermarks: &Watermarks, expected: &[(&str, i32, i64)]) {
        let found: Vec<_> = watermarks
            .iter()
            .map(|mark| (mark.topic.as_str(), mark.partition, mark.next_offset))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn next_offset_is_one_past_the_last_record_of_each_partition() {
        check(
            &after(&[("a", 0, 4), ("a", 1, 9), ("b", 0, 0), ("a", 0, 7)]),
            &[("a", 0, 8), ("a", 1, 10), ("b", 0, 1)],
        );
    }

    #[test]
    fn a_partition_is_its_topic_and_its_number() {
        check(
            &after(&[("a", 0, 1), ("b", 0, 2), ("a", 0, 3)]),
            &[("a", 0, 4), ("b", 0, 3)],
        );
    }

    #[test]
    fn a_set_offset_stands_even_where_it_goes_back() {
        let mut watermarks = after(&[("a", 0, 41)]);
        watermarks.set("a", 0, 7);
        watermarks.set("a", 1, 0);
        check(&watermarks, &[("a", 0, 7), ("a", 1, 0)]);
    }

    #[test]
    fn a_forgotten_partition_is_not_committed_and_the_others_are() {
        let mut watermarks = after(&[("a", 0, 1), ("a", 1, 1), ("b", 0, 1)]);
        watermarks.forget("a", 0);
        check(&watermarks, &[("a", 1, 2), ("b", 0, 2)]);
        watermarks.advance(Position {
            topic: "b",
            partition: 0,
            offset: 5,
        });
        check(&watermarks, &[("a", 1, 2), ("b", 0, 6)]);
        watermarks.clear();
        assert!(watermarks.is_empty());
    }
}
