//! Reading: a member of the group, its partitions, where each starts, and the offsets that it commits.
//!
//! A rebalance arrives as a value: the callback only takes note of it, and the worker acts on it with everything at hand
//! (librdkafka waits for the assign or unassign call, not for the callback to make it). Positions are always set explicitly,
//! so that librdkafka never asks for a partition's committed offset by itself, which a moved coordinator can make it
//! forget for good (its issue 5586).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use crate::config::{Config, OnGap, Start};
use crate::kafka::{COMMIT_TIMEOUT, Call, Cause, Fault, REQUEST_TIMEOUT, client_error, consumer_settings, log_line, native};
use crate::metrics;
use crate::status::Status;
use crate::watermark::{Watermark, Watermarks};

/// A partition of which no fetch was answered for this long is stuck, or its leader is away; a new consumer cures the first.
const STUCK_AFTER: Duration = Duration::from_secs(20);

/// A worker's end of the source topics.
pub struct Source {
    consumer: BaseConsumer<SourceContext>,
    partitions: Vec<Assigned>,
    is_paused: bool,
    start: Start,
    on_gap: OnGap,
    max_poll_interval: Duration,
    status: Arc<Status>,
}

/// A partition that the group gave us.
#[derive(Debug, Clone)]
struct Assigned {
    topic: String,
    partition: i32,
    /// Where reading began; [`Offset::Beginning`] where nothing was committed and the oldest record is wanted.
    start: Offset,
    /// Since when it ought to be fetched.
    since: Instant,
}

/// What asking for the next record brought.
pub enum Polled<'a> {
    /// A record.
    Record(BorrowedMessage<'a>),
    /// None for now. A rebalance may have arrived: see [`Source::rebalance`].
    Nothing,
    /// A position lies outside its partition: see [`Source::mend_gaps`].
    Gap,
}

/// What the group wants. It waits until the worker has acted on it.
#[derive(Debug, Clone)]
pub enum Rebalance {
    /// These partitions are ours: see [`Source::assign`].
    Assign(TopicPartitionList),
    /// These are asked back: see [`Source::unassign`].
    Revoke(TopicPartitionList),
}

impl Source {
    /// Opens a consumer and joins the group.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a property is wrong.
    pub fn open(config: &Config, status: Arc<Status>) -> Result<Source, Fault> {
        let settings = consumer_settings(config, status.worker);
        let milliseconds = settings.get("max.poll.interval.ms").and_then(|text| text.parse().ok()).unwrap_or(300_000);
        let consumer: BaseConsumer<SourceContext> = status
            .call("open consumer", || settings.create_with_context(SourceContext::default()))
            .map_err(|error| Fault::of(Call::Open, &error))?;
        let topics: Vec<&str> = config.source.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| Fault::of(Call::Open, &error))?;
        status.update(|view| (view.is_member, view.partitions) = (false, 0));
        Ok(Source {
            consumer,
            partitions: Vec::new(),
            is_paused: false,
            start: config.source.start,
            on_gap: config.source.on_gap,
            max_poll_interval: Duration::from_millis(milliseconds),
            status,
        })
    }

    /// Returns how long a revoke may keep the group waiting.
    #[must_use]
    pub fn revoke_patience(&self) -> Duration {
        (self.max_poll_interval / 3).min(Duration::from_secs(10))
    }

    /// Asks for the next record, at most `timeout`.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where the consumer cannot go on, such as a static member that another process has replaced.
    pub fn poll(&self, timeout: Duration) -> Result<Polled<'_>, Fault> {
        match self.consumer.poll(timeout) {
            None => Ok(Polled::Nothing),
            Some(Ok(message)) => Ok(Polled::Record(message)),
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => Err(Fault::of(Call::Poll, &error)),
            Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => Ok(Polled::Gap),
            Some(Err(error)) => {
                // Everything else librdkafka tries again by itself; the callback has logged the reason.
                tracing::debug!(worker = self.status.worker, error = %error, "poll");
                Ok(Polled::Nothing)
            }
        }
    }

    /// Returns what the group wants, until [`Source::assign`] or [`Source::unassign`] has answered it.
    #[must_use]
    pub fn rebalance(&self) -> Option<Rebalance> {
        self.consumer.context().wanted().clone()
    }

    /// Makes the call that answers `rebalance`.
    fn answer(&self, rebalance: &Rebalance) -> KafkaResult<()> {
        self.status.call("assign", || answer(&self.consumer, rebalance))?;
        *self.consumer.context().wanted() = None;
        Ok(())
    }

    /// Returns whether the group has already given our partitions to others, so that nothing may be committed.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    /// Takes over `partitions`, each at the group's committed offset or, where there is none, at `source.start`.
    ///
    /// Returns the starts that are worth committing at once: a start at the end or at a time would be another one later.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the offsets cannot be learnt in time.
    pub fn assign(&mut self, mut partitions: TopicPartitionList) -> Result<Vec<Watermark>, Fault> {
        let mut starts = Vec::new();
        if partitions.count() > 0 {
            partitions = self.committed(partitions)?;
            starts = self.start_fresh(&mut partitions)?;
        }
        self.answer(&Rebalance::Assign(partitions.clone())).map_err(|error| Fault::of(Call::Position, &error))?;
        self.remember(&partitions);
        if self.is_paused {
            self.consumer.pause(&partitions).map_err(|error| Fault::of(Call::Position, &error))?;
        }
        Ok(starts)
    }

    /// Returns `partitions` with the group's committed offsets, asking again while the coordinator moves.
    fn committed(&self, partitions: TopicPartitionList) -> Result<TopicPartitionList, Fault> {
        let until = Instant::now() + self.revoke_patience();
        loop {
            let asked = self
                .status
                .call("committed offsets", || self.consumer.committed_offsets(partitions.clone(), self.revoke_patience() / 2));
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

    /// Sets where the partitions of `list` begin that have no committed offset, and returns those that are worth a commit.
    fn start_fresh(&self, list: &mut TopicPartitionList) -> Result<Vec<Watermark>, Fault> {
        let mut starts = Vec::new();
        for mut element in list.elements() {
            if matches!(element.offset(), Offset::Offset(_)) {
                continue;
            }
            let (topic, partition) = (element.topic().to_owned(), element.partition());
            let offset = match self.start {
                Start::Earliest => Offset::Beginning,
                Start::Latest => Offset::Offset(self.bounds(&topic, partition)?.1),
                Start::Time(milliseconds) => Offset::Offset(self.offset_at(&topic, partition, milliseconds)?),
            };
            element.set_offset(offset).map_err(|error| Fault::of(Call::Position, &error))?;
            tracing::info!(topic, partition, offset = ?offset, "the group has no offset; starting as source.start says");
            if let Offset::Offset(next_offset) = offset {
                starts.push(Watermark { topic, partition, next_offset });
            }
        }
        Ok(starts)
    }

    /// Returns the first and the next offset of a partition.
    fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64), Fault> {
        self.status
            .call("watermarks", || self.consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT))
            .map_err(|error| Fault::of(Call::Position, &error))
    }

    /// Returns the offset of the first record at or after a time, the end where there is none (librdkafka issue 3186).
    fn offset_at(&self, topic: &str, partition: i32, milliseconds: i64) -> Result<i64, Fault> {
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset(topic, partition, Offset::Offset(milliseconds))
            .and_then(|()| self.status.call("offsets for times", || self.consumer.offsets_for_times(wanted, REQUEST_TIMEOUT)))
            .and_then(without_errors)
            .map_err(|error| Fault::of(Call::Position, &error))?
            .find_partition(topic, partition)
            .map_or(Ok(Offset::End), |found| Ok(found.offset()))
            .and_then(|offset| match offset {
                Offset::Offset(offset) => Ok(offset),
                Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => {
                    self.bounds(topic, partition).map(|(_, end)| end)
                }
            })
    }

    fn remember(&mut self, partitions: &TopicPartitionList) {
        self.partitions.extend(partitions.elements().iter().map(|element| Assigned {
            topic: element.topic().to_owned(),
            partition: element.partition(),
            start: element.offset(),
            since: Instant::now(),
        }));
        self.tell();
    }

    fn tell(&self) {
        let partitions = self.partitions.len();
        self.status.update(|view| (view.is_member, view.partitions) = (true, partitions));
        metrics::assigned_partitions(self.status.worker, partitions);
        tracing::info!(worker = self.status.worker, partitions, "the group has changed our partitions");
    }

    /// Gives `partitions` back to the group.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the consumer refuses.
    pub fn unassign(&mut self, partitions: &TopicPartitionList) -> Result<(), Fault> {
        self.answer(&Rebalance::Revoke(partitions.clone())).map_err(|error| Fault::of(Call::Position, &error))?;
        for element in partitions.elements() {
            metrics::lag(element.topic(), element.partition(), 0);
        }
        self.partitions.retain(|assigned| partitions.find_partition(&assigned.topic, assigned.partition).is_none());
        self.tell();
        Ok(())
    }

    /// Commits the offsets of `watermarks`. All that was made of the records before them must be durable.
    ///
    /// # Errors
    /// [`Fault::Defer`] where the group is moving, [`Fault::Fatal`] where it has replaced us.
    pub fn commit(&self, watermarks: &Watermarks) -> Result<(), Fault> {
        let offsets =
            list(watermarks.iter().map(|mark| (mark.topic.as_str(), mark.partition, Offset::Offset(mark.next_offset))))?;
        self.status
            .call("commit", || native::commit(self.consumer.client(), &offsets, COMMIT_TIMEOUT))
            .map_err(|code| Fault::of(Call::Commit, &KafkaError::ConsumerCommit(code)))
    }

    /// Goes back to the committed offsets, after an epoch was undone.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the offsets cannot be learnt or set.
    pub fn rewind(&mut self) -> Result<(), Fault> {
        if self.partitions.is_empty() {
            return Ok(());
        }
        if self.rebalance().is_some() {
            // Setting positions now would be taken for the answer.
            let detail = "the group rebalances while the epoch is undone".to_owned();
            return Err(Fault::Rewind { cause: Cause::Consumer, detail });
        }
        let offsets = self.committed(self.list(|_| Offset::Invalid)?)?;
        let committed = self.list(|assigned| {
            let offset = offsets.find_partition(&assigned.topic, assigned.partition).map(|element| element.offset());
            offset.filter(|offset| matches!(offset, Offset::Offset(_))).unwrap_or(assigned.start)
        })?;
        self.reposition(&committed)
    }

    /// Reads on from `offsets`, which are of all our partitions.
    ///
    /// Not by seeking: librdkafka refuses that for a partition whose position it has given up.
    fn reposition(&mut self, offsets: &TopicPartitionList) -> Result<(), Fault> {
        self.status
            .call("reposition", || match self.consumer.rebalance_protocol() {
                RebalanceProtocol::Cooperative => {
                    self.consumer.incremental_unassign(offsets).and_then(|()| self.consumer.incremental_assign(offsets))
                }
                RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(offsets),
            })
            .map_err(|error| Fault::of(Call::Position, &error))?;
        // Assigning forgets that a partition was paused.
        let is_paused = std::mem::take(&mut self.is_paused);
        self.set_paused(is_paused)
    }

    fn list(&self, offset: impl Fn(&Assigned) -> Offset) -> Result<TopicPartitionList, Fault> {
        list(self.partitions.iter().map(|assigned| (assigned.topic.as_str(), assigned.partition, offset(assigned))))
    }

    /// Stops or starts fetching, whatever the group assigns meanwhile. The group goes on seeing a live member.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the consumer refuses.
    pub fn set_paused(&mut self, is_paused: bool) -> Result<(), Fault> {
        if self.is_paused == is_paused {
            return Ok(());
        }
        let all = self.list(|_| Offset::Invalid)?;
        let result = if is_paused { self.consumer.pause(&all) } else { self.consumer.resume(&all) };
        result.map_err(|error| Fault::of(Call::Position, &error))?;
        self.is_paused = is_paused;
        for assigned in &mut self.partitions {
            assigned.since = Instant::now();
        }
        Ok(())
    }

    /// Deals with positions outside their partition as `source.on_gap` says: retention was faster, or the topic is another.
    ///
    /// # Errors
    /// [`Fault::Fatal`] with the lost ranges, where `source.on_gap` is `stop`.
    pub fn mend_gaps(&mut self) -> Result<(), Fault> {
        let positions = self.consumer.position().map_err(|error| Fault::of(Call::Position, &error))?;
        let mut gaps = Vec::new();
        for assigned in &self.partitions {
            let Some(position) = next_offset(&positions, assigned) else { continue };
            let (low, high) = self.bounds(&assigned.topic, assigned.partition)?;
            if position < low || position > high {
                gaps.push(Gap { topic: assigned.topic.clone(), partition: assigned.partition, position, low, high });
            }
        }
        if self.on_gap == OnGap::Stop && !gaps.is_empty() {
            return Err(Fault::Fatal(gap_message(&gaps)));
        }
        self.skip(&gaps, &positions)
    }

    /// Goes on at the oldest record of each partition with a gap, and where it is in the others.
    fn skip(&mut self, gaps: &[Gap], positions: &TopicPartitionList) -> Result<(), Fault> {
        for gap in gaps {
            metrics::gap_skipped(&gap.topic, u64::try_from(gap.low - gap.position).unwrap_or_default());
            tracing::error!(
                topic = gap.topic,
                partition = gap.partition,
                from = gap.position,
                to = gap.low,
                end = gap.high,
                "the group's offset is outside its partition; going on at the oldest record"
            );
        }
        let offsets = self.list(|assigned| {
            let gap = gaps.iter().find(|gap| gap.partition == assigned.partition && gap.topic == assigned.topic);
            let offset = gap.map(|gap| gap.low).or_else(|| next_offset(positions, assigned));
            offset.map_or(assigned.start, Offset::Offset)
        })?;
        self.reposition(&offsets)
    }

    /// Publishes how far each partition is behind.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where a partition is assigned and yet not fetched from.
    pub fn check_progress(&self) -> Result<(), Fault> {
        let positions = self.consumer.position().map_err(|error| Fault::of(Call::Position, &error))?;
        for assigned in &self.partitions {
            match native::high_watermark(self.consumer.client(), &assigned.topic, assigned.partition) {
                Some(high) => {
                    let next = next_offset(&positions, assigned).unwrap_or_default();
                    metrics::lag(&assigned.topic, assigned.partition, high - next);
                }
                None if !self.is_paused && assigned.since.elapsed() > STUCK_AFTER => {
                    let detail = format!("{}/{} is assigned and not fetched from", assigned.topic, assigned.partition);
                    return Err(Fault::Rewind { cause: Cause::PartitionStuck, detail });
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Leaves the group. Nothing is committed here.
    pub fn close(self) {
        let status = Arc::clone(&self.status);
        // Its drop closes the consumer and serves the last revoke.
        status.call("close consumer", || drop(self));
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.consumer.context().is_closing.store(true, Ordering::Relaxed);
        // A rebalance that nobody has answered would keep the close waiting.
        let unanswered = match self.rebalance() {
            Some(Rebalance::Assign(_)) => Some(Rebalance::Assign(TopicPartitionList::new())),
            revoke => revoke,
        };
        if let Some(Err(error)) = unanswered.map(|rebalance| self.answer(&rebalance)) {
            tracing::warn!(error = %error, "a rebalance could not be answered");
        }
        for assigned in &self.partitions {
            metrics::lag(&assigned.topic, assigned.partition, 0);
        }
        metrics::assigned_partitions(self.status.worker, 0);
    }
}

/// A position outside its partition.
struct Gap {
    topic: String,
    partition: i32,
    position: i64,
    low: i64,
    high: i64,
}

fn gap_message(gaps: &[Gap]) -> String {
    let lines = gaps.iter().map(|gap| {
        let Gap { topic, partition, position, low, high } = gap;
        if position < low {
            format!("  {topic}/{partition}: offsets {position} to {} were deleted before they were read", low - 1)
        } else {
            format!(
                "  {topic}/{partition}: the group is at {position} and the partition ends at {high}; was the topic made anew?"
            )
        }
    });
    let lines: Vec<String> = lines.collect();
    format!(
        "committed offsets lie outside their partitions:\n{}\n  hint: source.on_gap: continue goes on at the oldest record",
        lines.join("\n")
    )
}

/// Returns the offset after the last record that was read, or where reading began.
fn next_offset(positions: &TopicPartitionList, assigned: &Assigned) -> Option<i64> {
    let position = positions.find_partition(&assigned.topic, assigned.partition).map(|element| element.offset());
    let known = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
    position.and_then(known).or_else(|| known(assigned.start))
}

fn list<'a>(partitions: impl Iterator<Item = (&'a str, i32, Offset)>) -> Result<TopicPartitionList, Fault> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in partitions {
        list.add_partition_offset(topic, partition, offset).map_err(|error| Fault::of(Call::Position, &error))?;
    }
    Ok(list)
}

/// Returns `list` if no partition of it carries an error.
fn without_errors(list: TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    list.elements().iter().try_for_each(|element| element.error())?;
    Ok(list)
}

/// Makes the call that answers `rebalance`, as the group's protocol wants it.
fn answer(consumer: &BaseConsumer<SourceContext>, rebalance: &Rebalance) -> KafkaResult<()> {
    match (consumer.rebalance_protocol(), rebalance) {
        (RebalanceProtocol::Cooperative, Rebalance::Assign(partitions)) => consumer.incremental_assign(partitions),
        (RebalanceProtocol::Cooperative, Rebalance::Revoke(partitions)) => consumer.incremental_unassign(partitions),
        (RebalanceProtocol::Eager | RebalanceProtocol::None, Rebalance::Assign(partitions)) => consumer.assign(partitions),
        (RebalanceProtocol::Eager | RebalanceProtocol::None, Rebalance::Revoke(_)) => consumer.unassign(),
    }
}

/// Takes note of rebalances for the worker, and passes on what the client says.
#[derive(Default)]
struct SourceContext {
    wanted: Mutex<Option<Rebalance>>,
    is_closing: AtomicBool,
}

impl SourceContext {
    fn wanted(&self) -> MutexGuard<'_, Option<Rebalance>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for SourceContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line("consumer", level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_error("consumer", &error, reason);
    }
}

impl ConsumerContext for SourceContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let partitions = partitions.clone();
        let rebalance = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke(partitions)
        };
        if !self.is_closing.load(Ordering::Relaxed) {
            *self.wanted() = Some(rebalance);
        } else if let Err(error) = answer(consumer, &rebalance) {
            // Nobody is left to act on it, and the close waits for the answer.
            tracing::warn!(error = %error, "a rebalance could not be answered");
        }
    }
}
