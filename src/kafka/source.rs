//! Reading: a member of the group, its partitions, where each starts, and the offsets that it commits.
//!
//! A rebalance arrives as a value: the callback only takes note of it, and the worker acts on it with everything at hand
//! (librdkafka waits for the assign or unassign call, not for the callback to make it). Positions are always set explicitly,
//! so that librdkafka never asks for a partition's committed offset by itself, which a moved coordinator can make it
//! forget for good (its issue 5586).

mod batch_end;
pub mod bound;
mod context;
mod fetch;
mod gap;
mod lag;
mod position;
mod start;
mod undecodable;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use self::bound::{Pace, Reading};
use self::context::SourceContext;
use self::fetch::{Answer, Fetching, Obstacle};
use self::lag::{Capacity, number};
use self::position::list;
use self::start::Began;
use self::undecodable::Block;
use crate::config::{Config, OnGap, OnUndecodable, Start};
use crate::kafka::ends::{Intake, Polled, Rebalance};
use crate::kafka::fault::{Call, Cause, Fault};
use crate::kafka::ledger::Note;
use crate::kafka::native::{ConsumerError, ConsumerQueue, Fetched, Kind};
use crate::kafka::{self, COMMIT_TIMEOUT, consumer_settings, decompress, native};
use crate::metrics;
use crate::record::Record;
use crate::status::Status;
use crate::watermark::{Watermark, Watermarks};

/// A worker's end of the source topics.
pub struct Source {
    /// Stands before its consumer, and is dropped before it.
    queue: ConsumerQueue,
    consumer: BaseConsumer<SourceContext>,
    partitions: Vec<Assigned>,
    is_paused: bool,
    /// Absent where it reads on and on.
    pace: Option<Pace>,
    start: Start,
    on_gap: OnGap,
    on_undecodable: OnUndecodable,
    max_batch_bytes: u64,
    /// Whether any partition's records only tell where a batch ends that cannot be decoded.
    is_searching: bool,
    /// Where reading goes on behind batches that were skipped, to be committed.
    skipped: Vec<Watermark>,
    /// Whether a skip was found while nobody polled.
    is_skip_due: bool,
    /// Whether the client has given up a position that lies outside its partition.
    has_gap: bool,
    max_poll_interval: Duration,
    capacity: Capacity,
    /// A broker that is asked for records is not silent for longer: it answers within `fetch.wait.max.ms`, records or not.
    silence: Duration,
    /// When the progress was last looked at.
    looked_at: Instant,
    status: Arc<Status>,
}

/// A partition that the group gave us.
#[derive(Debug, Clone)]
struct Assigned {
    topic: String,
    partition: i32,
    /// Where reading began; [`Offset::Beginning`] where nothing was committed and the oldest record is wanted.
    start: Offset,
    /// When its position was last set, or it was paused or resumed.
    since: Instant,
    fetching: Fetching,
    /// What its leader has just answered.
    answer: Option<Answer>,
    /// What was logged last.
    obstacle: Option<Obstacle>,
    /// Where a replay ends in it; absent where it is not part of one.
    note: Option<Note>,
    /// What a group that began elsewhere than at the beginning keeps beside its offset.
    began: Option<Began>,
    /// Whether a replay has read it to the end.
    is_done: bool,
    /// Where reading was last set to after its start; a partition has no position before a record of it is read.
    moved_to: Option<i64>,
    /// What it waits for.
    block: Option<Block>,
}

impl Source {
    /// Opens a consumer and joins the group.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a property is wrong.
    pub fn open(config: &Config, status: Arc<Status>, reading: Reading) -> Result<Source, Fault> {
        let settings = consumer_settings(config, status.worker);
        let setting = |name: &str, default: u32| {
            settings
                .get(name)
                .and_then(|text| text.parse().ok())
                .unwrap_or(default)
        };
        let milliseconds = setting("max.poll.interval.ms", 300_000);
        let capacity = Capacity {
            bytes: u64::from(setting("queued.max.messages.kbytes", 65_536)) * 1024,
            records: i64::from(setting("queued.min.messages", 100_000)),
        };
        let consumer: BaseConsumer<SourceContext> = status
            .call("open consumer", || {
                settings.create_with_context(SourceContext::new(Arc::clone(&status)))
            })
            .map_err(|error| Fault::of(Call::Open, &error))?;
        let topics: Vec<&str> = config.source.topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(|error| Fault::of(Call::Open, &error))?;
        let no_queue = || Fault::Fatal("the consumer has no queue".to_owned());
        let queue = ConsumerQueue::of(consumer.client()).ok_or_else(no_queue)?;
        decompress::limit_batches(config.source.max_batch_bytes);
        status.update(|view| (view.is_member, view.partitions) = (false, 0));
        Ok(Source {
            queue,
            consumer,
            partitions: Vec::new(),
            is_paused: false,
            pace: Pace::of(reading),
            start: config.source.start,
            on_gap: config.source.on_gap,
            on_undecodable: config.source.on_undecodable,
            max_batch_bytes: config.source.max_batch_bytes,
            is_searching: false,
            skipped: Vec::new(),
            is_skip_due: false,
            has_gap: false,
            max_poll_interval: Duration::from_millis(u64::from(milliseconds)),
            capacity,
            silence: Duration::from_millis(u64::from(setting("fetch.wait.max.ms", 500)))
                + Duration::from_secs(2),
            looked_at: Instant::now(),
            status,
        })
    }

    /// Makes the call that answers `rebalance`.
    fn answer(&self, rebalance: &Rebalance) -> KafkaResult<()> {
        self.status
            .call("assign", || answer(&self.consumer, rebalance))?;
        metrics::rebalance(
            self.status.worker,
            if matches!(rebalance, Rebalance::Assign(_)) {
                "assign"
            } else {
                "revoke"
            },
        );
        *self.consumer.context().wanted() = None;
        Ok(())
    }

    /// Pauses or resumes `partitions`, as all are but those that a replay has done or that wait at a batch. Always said:
    /// librdkafka remembers that a partition was paused over the time when it was not ours.
    fn pause(&self, partitions: &TopicPartitionList) -> Result<(), Fault> {
        let is_stopped =
            |assigned: &&Assigned| self.is_paused || assigned.is_done || assigned.is_held();
        let is_meant = |assigned: &&Assigned| {
            partitions
                .find_partition(&assigned.topic, assigned.partition)
                .is_some()
        };
        let list_of = |is_wanted: bool| {
            let meant = self
                .partitions
                .iter()
                .filter(|assigned| is_meant(assigned) && is_stopped(assigned) == is_wanted);
            list(
                meant
                    .map(|assigned| (assigned.topic.as_str(), assigned.partition, Offset::Invalid)),
            )
        };
        let (stopped, running) = (list_of(true)?, list_of(false)?);
        let paused = if stopped.count() > 0 {
            self.consumer.pause(&stopped)
        } else {
            Ok(())
        };
        let resumed = if running.count() > 0 {
            self.consumer.resume(&running)
        } else {
            Ok(())
        };
        paused
            .and(resumed)
            .map_err(|error| Fault::of(Call::Position, &error))
    }

    fn remember(&mut self, partitions: &TopicPartitionList) {
        let now = Instant::now();
        for element in partitions.elements() {
            let mut assigned = Assigned {
                topic: element.topic().to_owned(),
                partition: element.partition(),
                start: element.offset(),
                since: now,
                fetching: Fetching::new(now),
                answer: None,
                obstacle: None,
                note: self
                    .pace
                    .as_ref()
                    .and_then(|_| element.metadata().parse().ok()),
                began: (self.pace.is_none() && self.start != Start::Earliest)
                    .then(|| element.metadata().parse().ok())
                    .flatten(),
                is_done: false,
                moved_to: None,
                block: None,
            };
            assigned.is_done = self.is_done(&assigned, assigned.start);
            if let Some(offset) = number(assigned.start) {
                self.status
                    .progress()
                    .start_at(&assigned.topic, assigned.partition, offset, now);
            }
            self.partitions.push(assigned);
        }
        self.tell();
    }

    /// Has reports count once more only when they tell of what is so from now on.
    fn settle(&mut self) {
        let now = Instant::now();
        for assigned in &mut self.partitions {
            assigned.since = now;
            assigned.fetching.rest(now);
        }
    }

    /// Returns whether this is a replay that has nothing left to do in the partition, once it stands at `offset`.
    fn is_done(&self, assigned: &Assigned, offset: Offset) -> bool {
        let next = if let Offset::Offset(next) = offset {
            next
        } else {
            i64::MIN
        };
        self.pace.is_some() && assigned.ends_before(next)
    }

    /// Returns what to commit for `watermarks`, with what stands beside each offset: a commit without it would erase it.
    fn offsets(&self, watermarks: &Watermarks) -> Result<TopicPartitionList, Fault> {
        let offsets = list(watermarks.iter().map(|mark| {
            (
                mark.topic.as_str(),
                mark.partition,
                Offset::Offset(mark.next_offset),
            )
        }))?;
        for assigned in &self.partitions {
            let note = assigned
                .note
                .map(|note| note.to_string())
                .or_else(|| assigned.began.map(|began| began.to_string()));
            if let (Some(note), Some(mut element)) = (
                note,
                offsets.find_partition(&assigned.topic, assigned.partition),
            ) {
                element.set_metadata(note);
            }
        }
        Ok(offsets)
    }

    fn lend(
        &mut self,
        message: &Fetched<'_>,
        take: impl FnOnce(&Record<'_>),
    ) -> Result<Polled, Fault> {
        let is_redrive = self.pace.as_ref().is_some_and(|pace| pace.is_redrive);
        let record = if is_redrive {
            kafka::dead_letter(message)
        } else {
            kafka::record(message)
        };
        if self.is_searching
            && let Some(polled) = self.heed_probe(record.position)?
        {
            return Ok(polled);
        }
        if let Some(pace) = &self.pace {
            if !bound::admit(&self.consumer, &mut self.partitions, record.position)? {
                return Ok(Polled::Nothing);
            }
            pace.count(&record);
        }
        take(&record);
        Ok(Polled::Record)
    }

    fn heed(&mut self, error: &ConsumerError) -> Result<Polled, Fault> {
        self.consumer
            .context()
            .error(KafkaError::Global(error.code), &error.reason);
        if error.is_fatal {
            return Err(Fault::of(
                Call::Poll,
                &KafkaError::MessageConsumptionFatal(error.code),
            ));
        }
        if error.code == RDKafkaErrorCode::AutoOffsetReset {
            self.has_gap = true;
            return Ok(Polled::Gap);
        }
        if let Some(polled) = self.heed_undecodable(error)? {
            return Ok(polled);
        }
        // Everything else librdkafka tries again by itself; the callback has logged the reason.
        tracing::debug!(worker = self.status.worker, error = %error.code, "poll");
        Ok(Polled::Nothing)
    }

    fn tell(&self) {
        let partitions = self.partitions.len();
        self.status.update(|view| {
            (view.is_member, view.was_member, view.partitions) = (true, true, partitions);
        });
        tracing::info!(
            worker = self.status.worker,
            partitions,
            "the group has changed our partitions"
        );
    }
}

impl Intake for Source {
    type Offsets = (TopicPartitionList, ConsumerGroupMetadata);

    fn poll(&mut self, timeout: Duration, take: impl FnOnce(&Record<'_>)) -> Result<Polled, Fault> {
        let timeout = match &self.pace {
            None => timeout,
            Some(pace) => match pace.wait(timeout) {
                None => return Ok(Polled::Nothing),
                Some(timeout) => timeout,
            },
        };
        if std::mem::take(&mut self.is_skip_due) {
            return Ok(Polled::Gap);
        }
        let Some(event) = self.queue.poll(timeout) else {
            return Ok(Polled::Nothing);
        };
        match event.kind() {
            Kind::Record(message) => self.lend(&message, take),
            Kind::Error(error) => self.heed(&error),
            Kind::Rebalance(kind, partitions) => {
                let partitions = partitions
                    .iter()
                    .map(|(topic, partition)| (topic.as_str(), *partition, Offset::Invalid));
                self.consumer
                    .context()
                    .rebalance(&self.consumer, kind, &mut list(partitions)?);
                Ok(Polled::Nothing)
            }
            Kind::Statistics(statistics) => {
                self.consumer.context().stats_raw(statistics);
                Ok(Polled::Nothing)
            }
            Kind::Log {
                level,
                facility,
                line,
            } => {
                self.consumer
                    .context()
                    .log(log_level(level), facility.trim(), line.trim());
                Ok(Polled::Nothing)
            }
            Kind::Other => Ok(Polled::Nothing),
        }
    }

    fn mend_gaps(&mut self) -> Result<Vec<Watermark>, Fault> {
        let mut starts = std::mem::take(&mut self.skipped);
        if std::mem::take(&mut self.has_gap) {
            starts.extend(self.close_gaps()?);
        }
        Ok(starts)
    }

    fn rebalance(&self) -> Option<Rebalance> {
        self.consumer.context().wanted().clone()
    }

    fn assign(&mut self, mut partitions: TopicPartitionList) -> Result<Vec<Watermark>, Fault> {
        let mut starts = Vec::new();
        if partitions.count() > 0 {
            partitions = self.committed(partitions)?;
            match self.pace {
                None => starts = self.start_fresh(&mut partitions)?,
                Some(_) => bound::pass_over_foreign(&mut partitions)?,
            }
        }
        self.answer(&Rebalance::Assign(partitions.clone()))
            .map_err(|error| Fault::of(Call::Position, &error))?;
        self.remember(&partitions);
        self.pause(&partitions)?;
        Ok(starts)
    }

    fn unassign(&mut self, partitions: &TopicPartitionList) -> Result<(), Fault> {
        self.answer(&Rebalance::Revoke(partitions.clone()))
            .map_err(|error| Fault::of(Call::Position, &error))?;
        self.partitions.retain(|assigned| {
            partitions
                .find_partition(&assigned.topic, assigned.partition)
                .is_none()
        });
        self.skipped.retain(|mark| {
            partitions
                .find_partition(&mark.topic, mark.partition)
                .is_none()
        });
        self.publish_blocked();
        self.tell();
        Ok(())
    }

    fn is_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    fn revoke_patience(&self) -> Duration {
        (self.max_poll_interval / 3).min(Duration::from_secs(10))
    }

    fn commit(&mut self, watermarks: &Watermarks) -> Result<(), Fault> {
        let offsets = self.offsets(watermarks)?;
        self.status
            .call("commit", || {
                native::commit(self.consumer.client(), &offsets, COMMIT_TIMEOUT)
            })
            .map_err(|code| Fault::of(Call::Commit, &KafkaError::ConsumerCommit(code)))
    }

    fn to_commit(&self, watermarks: &Watermarks) -> Result<Self::Offsets, Fault> {
        // Read anew each time: the generation is in it (KIP-447).
        let no_member = || Fault::Rewind {
            cause: Cause::Consumer,
            detail: "no longer a member of the group".to_owned(),
        };
        Ok((
            self.offsets(watermarks)?,
            self.consumer.group_metadata().ok_or_else(no_member)?,
        ))
    }

    fn rewind(&mut self) -> Result<Vec<Watermark>, Fault> {
        self.go_back()
    }

    fn set_paused(&mut self, is_paused: bool) -> Result<(), Fault> {
        if self.is_paused == is_paused {
            return Ok(());
        }
        self.is_paused = is_paused;
        self.pause(&self.list(|_| Offset::Invalid)?)?;
        self.settle();
        Ok(())
    }

    fn check_progress(&mut self) -> Result<(), Fault> {
        self.publish_progress()?;
        if self
            .partitions
            .iter()
            .any(|assigned| assigned.block.is_some())
        {
            self.check_blocks()
        } else {
            Ok(())
        }
    }

    fn close(self) {
        let status = Arc::clone(&self.status);
        // Its drop closes the consumer and serves the last revoke.
        status.call("close consumer", || drop(self));
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.consumer
            .context()
            .is_closing
            .store(true, Ordering::Relaxed);
        // A rebalance that nobody has answered would keep the close waiting.
        let unanswered = match self.rebalance() {
            Some(Rebalance::Assign(_)) => Some(Rebalance::Assign(TopicPartitionList::new())),
            revoke => revoke,
        };
        if let Some(Err(error)) = unanswered.map(|rebalance| self.answer(&rebalance)) {
            tracing::warn!(error = %error, "a rebalance could not be answered");
        }
        self.status.consumer.clear();
        self.status
            .update(|view| (view.partitions, view.blocked) = (0, Vec::new()));
    }
}

/// Returns a level of syslog's as the binding names it.
fn log_level(level: i32) -> RDKafkaLogLevel {
    match level {
        0 => RDKafkaLogLevel::Emerg,
        1 => RDKafkaLogLevel::Alert,
        2 => RDKafkaLogLevel::Critical,
        3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 => RDKafkaLogLevel::Notice,
        6 => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    }
}

/// Makes the call that answers `rebalance`, as the group's protocol wants it.
fn answer(consumer: &BaseConsumer<SourceContext>, rebalance: &Rebalance) -> KafkaResult<()> {
    match (consumer.rebalance_protocol(), rebalance) {
        (RebalanceProtocol::Cooperative, Rebalance::Assign(partitions)) => {
            consumer.incremental_assign(partitions)
        }
        (RebalanceProtocol::Cooperative, Rebalance::Revoke(partitions)) => {
            consumer.incremental_unassign(partitions)
        }
        (RebalanceProtocol::Eager | RebalanceProtocol::None, Rebalance::Assign(partitions)) => {
            consumer.assign(partitions)
        }
        (RebalanceProtocol::Eager | RebalanceProtocol::None, Rebalance::Revoke(_)) => {
            consumer.unassign()
        }
    }
}
