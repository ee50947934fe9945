//! Where reading goes on: committed offsets, and going back to them.

use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::lag::number;
use super::{Assigned, Source};
use crate::kafka::REQUEST_TIMEOUT;
use crate::kafka::ends::Intake;
use crate::kafka::fault::{Call, Cause, Fault};
use crate::watermark::Watermark;

impl Source {
    /// Does what [`Intake::rewind`] says.
    pub(super) fn go_back(&mut self) -> Result<Vec<Watermark>, Fault> {
        if self.partitions.is_empty() {
            return Ok(Vec::new());
        }
        if self.rebalance().is_some() {
            // Setting positions now would be taken for the answer.
            let detail = "the group rebalances while the epoch is undone".to_owned();
            return Err(Fault::Rewind {
                cause: Cause::Consumer,
                detail,
            });
        }
        let offsets = self.committed(self.list(|_| Offset::Invalid)?)?;
        let committed = |assigned: &Assigned| {
            let offset = offsets
                .find_partition(&assigned.topic, assigned.partition)
                .map(|element| element.offset());
            offset.filter(|offset| matches!(offset, Offset::Offset(_)))
        };
        let known: Vec<_> = self
            .partitions
            .iter()
            .map(|assigned| committed(assigned).and_then(number))
            .collect();
        let wanted = |assigned: &Assigned| match (committed(assigned), assigned.start) {
            // The end of a gap that was counted, and is not committed yet.
            (Some(Offset::Offset(next)), start @ Offset::Offset(end)) if end > next => start,
            (found, start) => found.unwrap_or(start),
        };
        let done: Vec<bool> = self
            .partitions
            .iter()
            .map(|assigned| self.is_done(assigned, wanted(assigned)))
            .collect();
        let positions = self.list(wanted)?;
        self.partitions
            .iter_mut()
            .zip(done)
            .for_each(|(assigned, is_done)| assigned.is_done = is_done);
        self.skipped.clear();
        self.retry_blocks();
        self.reposition(&positions)?;
        let mut progress = self.status.progress();
        for (assigned, known) in self.partitions.iter().zip(known) {
            if let Some(offset) = known {
                progress.confirm(&assigned.topic, assigned.partition, offset, Instant::now());
            }
        }
        drop(progress);
        Ok(self
            .partitions
            .iter()
            .filter(|assigned| committed(assigned).is_none())
            .filter_map(Assigned::fresh_start)
            .collect())
    }

    /// Returns where each partition is read on. It asks no broker, but can wait for a lock of librdkafka's for ever.
    pub(super) fn positions(&self) -> Result<TopicPartitionList, Fault> {
        self.status
            .call("position", || self.consumer.position())
            .map_err(|error| Fault::of(Call::Position, &error))
    }

    /// Returns `partitions` with the group's committed offsets, asking again while the coordinator moves.
    pub(super) fn committed(
        &self,
        partitions: TopicPartitionList,
    ) -> Result<TopicPartitionList, Fault> {
        let until = Instant::now() + self.revoke_patience();
        loop {
            let asked = self.status.call("committed offsets", || {
                self.consumer
                    .committed_offsets(partitions.clone(), self.revoke_patience() / 2)
            });
            let error = match asked.and_then(without_errors) {
                Ok(offsets) => return Ok(offsets),
                Err(error) => error,
            };
            if Instant::now() > until {
                return Err(Fault::of(Call::Position, &error));
            }
            tracing::debug!(worker = self.status.worker, error = %error, "committed offsets are asked for again");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Returns the offset of the first record at or after a time, the end where there is none (librdkafka issue 3186).
    pub(super) fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        milliseconds: i64,
    ) -> Result<i64, Fault> {
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset(topic, partition, Offset::Offset(milliseconds))
            .and_then(|()| {
                self.status.call("offsets for times", || {
                    self.consumer.offsets_for_times(wanted, REQUEST_TIMEOUT)
                })
            })
            .and_then(without_errors)
            .map_err(|error| Fault::of(Call::Position, &error))?
            .find_partition(topic, partition)
            .map_or(Ok(Offset::End), |found| Ok(found.offset()))
            .and_then(|offset| match offset {
                Offset::Offset(offset) => Ok(offset),
                Offset::Beginning
                | Offset::End
                | Offset::Stored
                | Offset::Invalid
                | Offset::OffsetTail(_) => self.bounds(topic, partition).map(|(_, end)| end),
            })
    }

    /// Returns the first and the next offset of a partition.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64), Fault> {
        self.status
            .call("watermarks", || {
                self.consumer
                    .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
            })
            .map_err(|error| Fault::of(Call::Position, &error))
    }

    /// Reads on from `offsets`, which are of all our partitions, or of some in the cooperative protocol.
    ///
    /// Not by seeking: librdkafka refuses that for a partition whose position it has given up.
    pub(super) fn reposition(&mut self, offsets: &TopicPartitionList) -> Result<(), Fault> {
        self.status
            .call("reposition", || match self.consumer.rebalance_protocol() {
                RebalanceProtocol::Cooperative => self
                    .consumer
                    .incremental_unassign(offsets)
                    .and_then(|()| self.consumer.incremental_assign(offsets)),
                RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(offsets),
            })
            .map_err(|error| Fault::of(Call::Position, &error))?;
        for assigned in &mut self.partitions {
            if let Some(element) = offsets.find_partition(&assigned.topic, assigned.partition) {
                assigned.moved_to = number(element.offset());
            }
        }
        self.settle();
        self.pause(offsets)
    }

    pub(super) fn list(
        &self,
        offset: impl Fn(&Assigned) -> Offset,
    ) -> Result<TopicPartitionList, Fault> {
        list(self.partitions.iter().map(|assigned| {
            (
                assigned.topic.as_str(),
                assigned.partition,
                offset(assigned),
            )
        }))
    }
}

impl Assigned {
    /// Returns whether this is the partition of that name.
    pub(super) fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && self.topic == topic
    }

    /// Returns the start as a watermark, if it is one that would be another one later.
    fn fresh_start(&self) -> Option<Watermark> {
        let Offset::Offset(next_offset) = self.start else {
            return None;
        };
        Some(Watermark {
            topic: self.topic.clone(),
            partition: self.partition,
            next_offset,
        })
    }

    /// Returns where the client reads on: after the last record that it handed out, or where it was set to.
    pub(super) fn fetched_next(&self, positions: &TopicPartitionList) -> Option<i64> {
        let position = positions
            .find_partition(&self.topic, self.partition)
            .map(|element| element.offset());
        position
            .and_then(number)
            .or(self.moved_to)
            .or_else(|| number(self.start))
    }
}

/// Returns the offset after the last record that was read, or where reading began.
pub(super) fn next_offset(positions: &TopicPartitionList, assigned: &Assigned) -> Option<i64> {
    assigned
        .searched_from()
        .or_else(|| assigned.fetched_next(positions))
}

pub(super) fn list<'a>(
    partitions: impl Iterator<Item = (&'a str, i32, Offset)>,
) -> Result<TopicPartitionList, Fault> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in partitions {
        list.add_partition_offset(topic, partition, offset)
            .map_err(|error| Fault::of(Call::Position, &error))?;
    }
    Ok(list)
}

/// Returns `list` if no partition of it carries an error.
fn without_errors(list: TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    list.elements()
        .iter()
        .try_for_each(|element| element.error())?;
    Ok(list)
}
