//! Where a partition begins that has no committed offset: as `source.start` says if the group is new to the topic, else at its
//! beginning, because the partition was added later.
//!
//! The members of a new group ask and commit at their own pace, so that an offset of another partition alone does not tell the
//! two apart. Each offset of such a group therefore has a note beside it, in Kafka's own metadata field: how many partitions
//! the topic had when the group began. Every later commit repeats it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use super::Source;
use super::position::list;
use crate::config::Start;
use crate::kafka::REQUEST_TIMEOUT;
use crate::kafka::fault::{Call, Cause, Fault};
use crate::watermark::Watermark;

/// What stands beside each offset of a group that began elsewhere than at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Began {
    /// How many partitions the topic had then.
    n_partitions: i32,
}

/// The version of the text, so that a later one is told from it.
const VERSION: &str = "groupcast-start-1";

impl fmt::Display for Began {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{VERSION} {}", self.n_partitions)
    }
}

impl FromStr for Began {
    type Err = ();

    fn from_str(text: &str) -> Result<Began, ()> {
        let (VERSION, n_partitions) = text.split_once(' ').ok_or(())? else {
            return Err(());
        };
        Ok(Began {
            n_partitions: n_partitions.parse().map_err(|_| ())?,
        })
    }
}

impl Began {
    /// Reads the metadata of the group's offsets in a topic that has `n_partitions` now.
    fn of<'a>(metadata: impl Iterator<Item = &'a str>, n_partitions: i32) -> Began {
        let mut metadata = metadata.peekable();
        if metadata.peek().is_none() {
            return Began { n_partitions };
        }
        // Members that saw the topic grow while the group began may differ: the smallest number skips nothing. A group
        // without a note began at the beginning, or before there were notes: what has no offset is younger than the group.
        let noted = metadata
            .filter_map(|text| text.parse().ok())
            .min_by_key(|began: &Began| began.n_partitions);
        noted.unwrap_or(Began { n_partitions: 0 })
    }

    /// Returns whether a partition without an offset is younger than the group.
    fn precedes(self, partition: i32) -> bool {
        partition >= self.n_partitions
    }
}

impl Source {
    /// Sets where the partitions of `list` begin that have no committed offset, and returns those that are worth a commit.
    pub(super) fn start_fresh(
        &self,
        list: &mut TopicPartitionList,
    ) -> Result<Vec<Watermark>, Fault> {
        let (mut starts, mut begun) = (Vec::new(), BTreeMap::new());
        for mut element in list.elements() {
            if matches!(element.offset(), Offset::Offset(_)) {
                continue;
            }
            let (topic, partition) = (element.topic().to_owned(), element.partition());
            if self.start != Start::Earliest && !begun.contains_key(&topic) {
                begun.insert(topic.clone(), self.began(&topic, partition)?);
            }
            let began = begun.get(&topic).copied();
            if let Some(began) = began {
                element.set_metadata(began.to_string());
            }
            let is_added = began.is_some_and(|began: Began| began.precedes(partition));
            let offset = if is_added {
                Offset::Beginning
            } else {
                self.configured_start(&topic, partition)?
            };
            element
                .set_offset(offset)
                .map_err(|error| Fault::of(Call::Position, &error))?;
            if is_added {
                tracing::info!(
                    topic,
                    partition,
                    "the partition was added to the topic; starting at its beginning"
                );
            } else {
                tracing::info!(topic, partition, offset = ?offset, "the group has no offset; starting as source.start says");
            }
            if let Offset::Offset(next_offset) = offset {
                starts.push(Watermark {
                    topic,
                    partition,
                    next_offset,
                });
            }
        }
        Ok(starts)
    }

    /// Returns what `source.start` means in a partition.
    fn configured_start(&self, topic: &str, partition: i32) -> Result<Offset, Fault> {
        Ok(match self.start {
            Start::Earliest => Offset::Beginning,
            Start::Latest => Offset::Offset(self.bounds(topic, partition)?.1),
            Start::Time(milliseconds) => {
                Offset::Offset(self.offset_at(topic, partition, milliseconds)?)
            }
        })
    }

    /// Asks for the group's offsets in all partitions of a topic, also those that other members have. `assigned` is one of ours.
    fn began(&self, topic: &str, assigned: i32) -> Result<Began, Fault> {
        let fault = |error| Fault::of(Call::Position, &error);
        let metadata = self
            .status
            .call("metadata", || {
                self.consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)
            })
            .map_err(fault)?;
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic && found.error().is_none());
        let count = found
            .and_then(|found| i32::try_from(found.partitions().len()).ok())
            .unwrap_or(0);
        if count <= assigned {
            // The broker that answered knows less than the group's leader. Members must not note different numbers.
            let detail =
                format!("{topic}/{assigned} is assigned, and the broker knows {count} partitions");
            return Err(Fault::Rewind {
                cause: Cause::Consumer,
                detail,
            });
        }
        let all = list((0..count).map(|partition| (topic, partition, Offset::Invalid)))?;
        let found = self.committed(all)?;
        let elements = found.elements();
        let committed = elements
            .iter()
            .filter(|element| matches!(element.offset(), Offset::Offset(_)));
        Ok(Began::of(
            committed.map(TopicPartitionListElem::metadata),
            count,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_nothing_else_is_one() {
        let note = Began { n_partitions: 12 };
        assert_eq!(note.to_string(), "groupcast-start-1 12");
        assert_eq!(note.to_string().parse(), Ok(note));
        for text in [
            "",
            "groupcast-start-1",
            "groupcast-start-2 12",
            "groupcast-start-1 x",
            "groupcast-replay-1 7 8 ab",
            "12",
        ] {
            assert_eq!(text.parse::<Began>(), Err(()), "{text}");
        }
    }

    /// Returns the partitions of a topic of four that count as added, given the metadata of the offsets that the group has.
    fn added(metadata: &[&str]) -> Vec<i32> {
        let began = Began::of(metadata.iter().copied(), 4);
        (0..4)
            .filter(|partition| began.precedes(*partition))
            .collect()
    }

    #[test]
    fn a_partition_without_an_offset_was_added_unless_the_group_is_new() {
        assert_eq!(added(&[]), [0; 0], "a new group");
        assert_eq!(
            added(&["groupcast-start-1 4"]),
            [0; 0],
            "another member of a new group was faster"
        );
        assert_eq!(
            added(&["groupcast-start-1 2", "groupcast-start-1 2"]),
            [2, 3],
            "two partitions were added"
        );
        assert_eq!(
            added(&["groupcast-start-1 4", "groupcast-start-1 2"]),
            [2, 3],
            "they were added while it began"
        );
        assert_eq!(
            added(&["", "groupcast-start-1 2"]),
            [2, 3],
            "an offset was reset by hand"
        );
        assert_eq!(
            added(&["", "another program's"]),
            [0, 1, 2, 3],
            "the group has no notes"
        );
    }
}
