//! Batches that the client cannot decode: damaged ones, and those that would become larger than `source.max_batch_bytes`.
//!
//! Under `source.on_undecodable: hold` the partition is paused where it stands, and fetched again from time to time. Under `skip`
//! reading goes on behind the batch, whose end is searched for first.

use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::Offset;

use super::batch_end::Search;
use super::position::{list, next_offset};
use super::{Assigned, Source};
use crate::config::OnUndecodable;
use crate::kafka::ends::{Intake, Polled};
use crate::kafka::fault::Fault;
use crate::kafka::native::ConsumerError;
use crate::metrics;
use crate::record::Position;
use crate::status::Blocked;
use crate::watermark::Watermark;

/// How long a held partition rests before its batch is fetched again. Retention may have removed it by then, or another broker,
/// with an undamaged copy, may lead the partition.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What neither fails nor brings a record in this time is taken for readable: behind the last batch that can be read only
/// transaction marks or aborted records may follow. To be wrong here costs another search and skips nothing readable.
const SILENT_AFTER: Duration = Duration::from_secs(5);

/// Where a partition waits, and why.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// The first offset that is not read.
    offset: i64,
    /// What librdkafka names the batch by.
    batch: i64,
    reason: String,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    /// Paused until then.
    Held(Instant),
    /// Fetched again.
    Retried,
    /// Its end is searched for.
    Searched(Search),
}

impl Assigned {
    /// Returns whether its batch rests before it is fetched again.
    pub(super) fn is_held(&self) -> bool {
        matches!(
            self.block,
            Some(Block {
                state: State::Held(_),
                ..
            })
        )
    }

    /// Returns the offset that it stands at while fetches go elsewhere to find a batch's end.
    pub(super) fn searched_from(&self) -> Option<i64> {
        self.search().map(|(offset, _)| offset)
    }

    fn search(&self) -> Option<(i64, &Search)> {
        match &self.block {
            Some(Block {
                state: State::Searched(search),
                offset,
                ..
            }) => Some((*offset, search)),
            Some(Block {
                state: State::Held(_) | State::Retried,
                ..
            })
            | None => None,
        }
    }
}

/// Returns why a batch cannot be read, where an error says that; nothing for every other error.
fn reason(error: &ConsumerError, max_batch_bytes: u64) -> Option<String> {
    let limit = format!(
        "a batch cannot be decompressed: it is damaged, or larger than source.max_batch_bytes: {max_batch_bytes}"
    );
    let reasons = [
        (RDKafkaErrorCode::BadCompression, limit),
        (
            RDKafkaErrorCode::BadMessage,
            "a batch is damaged: its checksum is wrong".to_owned(),
        ),
        (
            RDKafkaErrorCode::NotImplemented,
            "a batch has a format that the client does not know".to_owned(),
        ),
    ];
    reasons
        .into_iter()
        .find(|(code, _)| *code == error.code)
        .map(|(_, reason)| reason)
}

impl Source {
    /// Acts on an error that is about a batch; returns nothing where it is about something else.
    pub(super) fn heed_undecodable(
        &mut self,
        error: &ConsumerError,
    ) -> Result<Option<Polled>, Fault> {
        let (Some(reason), Some((topic, partition, batch))) =
            (reason(error, self.max_batch_bytes), &error.place)
        else {
            return Ok(None);
        };
        let Some(index) = self.index_of(topic, *partition) else {
            return Ok(Some(Polled::Nothing));
        };
        let Some(assigned) = self.partitions.get_mut(index) else {
            return Ok(Some(Polled::Nothing));
        };
        if let Some(Block {
            state: State::Searched(search),
            batch: searched,
            ..
        }) = &mut assigned.block
        {
            if search.asked_at.is_some() {
                search.learn(batch == searched);
            }
            return self.search_on(index).map(Some);
        }
        self.block(index, *batch, reason, error).map(Some)
    }

    fn block(
        &mut self,
        index: usize,
        batch: i64,
        reason: String,
        error: &ConsumerError,
    ) -> Result<Polled, Fault> {
        let positions = self.positions()?;
        let worker = self.status.worker;
        let Some(assigned) = self.partitions.get(index) else {
            return Ok(Polled::Nothing);
        };
        let offset = next_offset(&positions, assigned).map_or(batch, |next| next.max(batch));
        let (topic, partition) = (assigned.topic.clone(), assigned.partition);
        let state = match self.on_undecodable {
            OnUndecodable::Hold => State::Held(Instant::now() + RETRY_AFTER),
            OnUndecodable::Skip => {
                State::Searched(Search::new(offset, self.bounds(&topic, partition)?.1))
            }
        };
        let Some(assigned) = self.partitions.get_mut(index) else {
            return Ok(Polled::Nothing);
        };
        let is_news = assigned
            .block
            .as_ref()
            .is_none_or(|block| block.offset != offset);
        if is_news && self.on_undecodable == OnUndecodable::Hold {
            let error = &error.reason;
            tracing::error!(
                worker,
                topic,
                partition,
                offset,
                reason,
                error,
                "a batch cannot be decoded; its partition waits, the others go on"
            );
        }
        assigned.block = Some(Block {
            offset,
            batch,
            reason,
            state,
        });
        self.publish_blocked();
        match self.on_undecodable {
            // What stands behind the batch in librdkafka's queue is dropped with it.
            OnUndecodable::Hold => self.pause(&list(
                [(topic.as_str(), partition, Offset::Invalid)].into_iter(),
            )?)?,
            OnUndecodable::Skip => return self.search_on(index),
        }
        Ok(Polled::Nothing)
    }

    /// Returns whether a record only tells that a batch's end lies before it. It comes again once the end is known.
    pub(super) fn heed_probe(&mut self, position: Position<'_>) -> Result<Option<Polled>, Fault> {
        let Some(index) = self.index_of(position.topic, position.partition) else {
            return Ok(None);
        };
        let Some(Block {
            state: State::Searched(search),
            ..
        }) = self
            .partitions
            .get_mut(index)
            .and_then(|assigned| assigned.block.as_mut())
        else {
            return Ok(None);
        };
        if search.asked_at.is_some() {
            search.learn(false);
        }
        self.search_on(index).map(Some)
    }

    /// Fetches at the search's next offset, or goes on behind the batch.
    fn search_on(&mut self, index: usize) -> Result<Polled, Fault> {
        // Setting positions would be taken for the answer to a rebalance.
        let may_move = self.rebalance().is_none();
        let Some(Block {
            state: State::Searched(search),
            ..
        }) = self
            .partitions
            .get_mut(index)
            .and_then(|assigned| assigned.block.as_mut())
        else {
            return Ok(Polled::Nothing);
        };
        search.asked_at = may_move.then(Instant::now);
        let (end, probe) = (search.end(), search.probe());
        match end {
            _ if !may_move => Ok(Polled::Nothing),
            Some(end) => self.skip_batch(index, end),
            None => self.move_to(index, probe).map(|()| Polled::Nothing),
        }
    }

    fn skip_batch(&mut self, index: usize, end: i64) -> Result<Polled, Fault> {
        let Some(block) = self
            .partitions
            .get_mut(index)
            .and_then(|assigned| assigned.block.take())
        else {
            return Ok(Polled::Nothing);
        };
        self.move_to(index, end)?;
        self.publish_blocked();
        let Some(assigned) = self.partitions.get_mut(index) else {
            return Ok(Polled::Nothing);
        };
        let Block { offset, reason, .. } = block;
        let (topic, partition) = (assigned.topic.clone(), assigned.partition);
        metrics::undecodable_skipped(&topic, u64::try_from(end - offset).unwrap_or_default());
        tracing::error!(
            worker = self.status.worker,
            topic,
            partition,
            from = offset,
            to = end,
            reason,
            "a batch cannot be decoded and is skipped; going on behind it"
        );
        // A replay's progress is its own.
        if self.pace.is_none() {
            self.skipped.push(Watermark {
                topic,
                partition,
                next_offset: end,
            });
            return Ok(Polled::Gap);
        }
        let is_done = self
            .partitions
            .get(index)
            .is_some_and(|assigned| self.is_done(assigned, Offset::Offset(end)));
        if let Some(assigned) = self.partitions.get_mut(index) {
            assigned.is_done = is_done;
        }
        self.pause(&self.list(|_| Offset::Invalid)?)?;
        Ok(Polled::Nothing)
    }

    /// Reads on from `offset` in one partition, and where they are in the others.
    fn move_to(&mut self, index: usize, offset: i64) -> Result<(), Fault> {
        let positions = self.positions()?;
        // The eager protocol knows no assignment of one partition.
        let is_alone = matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        let moved = self
            .partitions
            .iter()
            .enumerate()
            .filter(|(other, _)| !is_alone || *other == index);
        let offsets = list(moved.map(|(other, assigned)| {
            let next = if other == index {
                Some(offset)
            } else {
                assigned.fetched_next(&positions)
            };
            (
                assigned.topic.as_str(),
                assigned.partition,
                next.map_or(assigned.start, Offset::Offset),
            )
        }))?;
        self.reposition(&offsets)
    }

    /// Fetches held batches again that have rested, asks again what could not be asked, and forgets blocks that reading has
    /// passed.
    pub(super) fn check_blocks(&mut self) -> Result<(), Fault> {
        let positions = self.positions()?;
        let (now, worker, is_paused) = (Instant::now(), self.status.worker, self.is_paused);
        let mut is_resumed = false;
        let mut asked = Vec::new();
        for (index, assigned) in self.partitions.iter_mut().enumerate() {
            let next = next_offset(&positions, assigned);
            let Some(block) = &mut assigned.block else {
                continue;
            };
            match &mut block.state {
                State::Held(until) if *until <= now => {
                    block.state = State::Retried;
                    is_resumed = true;
                }
                State::Held(_) => {}
                State::Searched(search) => match search.asked_at {
                    None => asked.push(index),
                    // Nothing can answer.
                    Some(_) if is_paused => search.asked_at = Some(now),
                    Some(at) if now.saturating_duration_since(at) > SILENT_AFTER => {
                        search.learn(false);
                        asked.push(index);
                    }
                    Some(_) => {}
                },
                State::Retried if next.is_some_and(|next| next > block.offset) => {
                    let (topic, partition, offset) =
                        (&assigned.topic, assigned.partition, block.offset);
                    tracing::info!(
                        worker,
                        topic,
                        partition,
                        offset,
                        "the partition is read again"
                    );
                    assigned.block = None;
                }
                State::Retried => {}
            }
        }
        if is_resumed {
            self.pause(&self.list(|_| Offset::Invalid)?)?;
        }
        for index in asked {
            if self.search_on(index)? == Polled::Gap {
                self.is_skip_due = true;
            }
        }
        self.publish_blocked();
        Ok(())
    }

    /// Has every blocked partition be fetched where it is set next. What blocks it shows again if it is still there.
    pub(super) fn retry_blocks(&mut self) {
        for block in self
            .partitions
            .iter_mut()
            .filter_map(|assigned| assigned.block.as_mut())
        {
            block.state = State::Retried;
        }
        self.is_searching = false;
    }

    /// Tells what waits, and where.
    pub(super) fn publish_blocked(&mut self) {
        self.is_searching = self
            .partitions
            .iter()
            .any(|assigned| assigned.search().is_some());
        let blocked = self.partitions.iter().filter_map(|assigned| {
            let block = assigned.block.as_ref()?;
            let (topic, reason) = (assigned.topic.clone(), block.reason.clone());
            Some(Blocked {
                topic,
                partition: assigned.partition,
                offset: block.offset,
                reason,
            })
        });
        let blocked: Vec<Blocked> = blocked.collect();
        self.status.update(|view| view.blocked = blocked);
    }

    fn index_of(&self, topic: &str, partition: i32) -> Option<usize> {
        self.partitions
            .iter()
            .position(|assigned| assigned.partition == partition && assigned.topic == topic)
    }
}
