//! Sending: a producer, and what it has in flight.
//!
//! An epoch commits only if as many records were confirmed as were handed over. Confirmed means reported with an offset: librdkafka
//! also reports success for records that no broker acknowledged, when a later one was (`rd_kafka_dr_implicit_ack`), and where the
//! partition knew nothing of the producer that conclusion is wrong (KAFKA-15591).
//!
//! A record that its topic refuses ends the producer and rolls the epoch back, so that nothing behind it gets ahead (`probe.rs`).

mod lane;
mod opening;
mod probe;
mod transaction;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use rdkafka::topic_partition_list::TopicPartitionList;

use self::lane::Lane;
use self::opening::Openings;
pub use self::probe::Probe;
use self::probe::{HeldRecord, Suspect, first_of_each_partition};
use self::transaction::Transaction;
use crate::config::Config;
use crate::envelope::{Emission, Emissions, Partition};
use crate::kafka::ends::Outlet;
use crate::kafka::fault::{Call, Cause, Fault, Reaction, reaction};
use crate::kafka::topics::{Topics, partition_count};
use crate::kafka::{ClientLog, REQUEST_TIMEOUT, native, producer_settings};
use crate::status::Status;

/// What is waited for a topic's number of partitions while others wait to be sent.
const PARTITIONS_PATIENCE: Duration = Duration::from_secs(1);

/// Librdkafka gives up at once what is purged; this is for a machine that is busy.
const PURGE_TIMEOUT: Duration = Duration::from_secs(5);

/// A worker's end of the output topics.
pub struct Delivery {
    producer: Arc<BaseProducer<DeliveryContext>>,
    settings: ClientConfig,
    topics: Arc<Topics>,
    lanes: Vec<Lane>,
    /// The number of the next record that is handed over.
    sequence: u32,
    /// How many of a batch's emissions are in the lanes, or were.
    n_distributed: usize,
    batch: native::Batch,
    /// The most bytes of a batch, as it was when the producer was opened.
    batch_size: usize,
    /// How many topics' limits were known then.
    n_limits: usize,
    /// Partitions of each topic, or what the broker says instead. Forgotten once it has refused records: it may have been recreated.
    partitions: Vec<Result<i32, RDKafkaErrorCode>>,
    openings: Openings,
    /// How many records the client took, and how many of them came back with an offset.
    n_handed_over: u64,
    n_confirmed: u64,
    status: Arc<Status>,
    transaction: Transaction,
    /// What topics refused of this producer's epoch.
    refused: Option<Probe>,
}

impl Delivery {
    /// Opens a producer.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a property is wrong, [`Fault::Rewind`] where no broker tells the topics' partitions.
    pub fn open(
        config: &Config,
        topics: Arc<Topics>,
        status: Arc<Status>,
    ) -> Result<Delivery, Fault> {
        status.call("topic limits", || topics.settle_refused_batches(config));
        let settings = producer_settings(config, status.worker, &topics);
        let producer = open_producer(&settings, &status)?;
        let mut partitions = Vec::with_capacity(topics.names.len());
        for name in &topics.names {
            let count = status
                .call("metadata", || {
                    partition_count(producer.client(), name, REQUEST_TIMEOUT)
                })
                .map_err(|detail| Fault::Rewind {
                    cause: Cause::Producer,
                    detail,
                })?;
            partitions.push(count);
        }
        let delivery = Delivery {
            lanes: Lane::open_all(&producer, &topics)?,
            producer,
            settings,
            batch_size: topics.batch_size(),
            n_limits: topics.n_told(),
            openings: Openings::new(topics.names.len()),
            topics,
            sequence: 0,
            n_distributed: 0,
            batch: native::Batch::default(),
            partitions,
            n_handed_over: 0,
            n_confirmed: 0,
            status,
            transaction: Transaction::of(config.delivery.guarantee),
            refused: None,
        };
        delivery.init_transactions()?;
        Ok(delivery)
    }

    /// Has another producer take the place of this one, which holds nothing that is wanted.
    fn reopen(&mut self) -> Result<(), Fault> {
        self.purge();
        let producer = open_producer(&self.settings, &self.status)?;
        self.lanes = Lane::open_all(&producer, &self.topics)?;
        let old = std::mem::replace(&mut self.producer, producer);
        self.status.call("close producer", || drop(old));
        self.openings = Openings::new(self.topics.names.len());
        (self.n_handed_over, self.n_confirmed) = (0, 0);
        Ok(())
    }

    /// Returns how many partitions a topic has, and asks where that is not known.
    fn n_partitions(&mut self, topic: usize) -> Result<i32, RDKafkaErrorCode> {
        const UNKNOWN: RDKafkaErrorCode = RDKafkaErrorCode::UnknownTopicOrPartition;
        let known = self.partitions.get_mut(topic).ok_or(UNKNOWN)?;
        if known.is_err() {
            let name = name(&self.topics, topic);
            let asked = self.status.call("metadata", || {
                partition_count(self.producer.client(), name, PARTITIONS_PATIENCE)
            });
            *known = asked.unwrap_or(Err(UNKNOWN));
        }
        *known
    }

    /// Has the topic's number of partitions asked for again: it may have been recreated.
    fn forget_partitions(&mut self, topic: usize) {
        if let Some(partitions) = self.partitions.get_mut(topic) {
            *partitions = Err(RDKafkaErrorCode::UnknownTopicOrPartition);
        }
    }

    /// Returns the fault that ends this producer, once all that it still had came back. `error` is what a call said.
    ///
    /// Where a topic refused a record, the first of each partition that did not get through is kept for [`Delivery::offer_all`]:
    /// those behind it may have come back for other reasons.
    fn give_up(&mut self, mut reports: Reports, error: Option<Fault>) -> Fault {
        let failure = self.failure();
        reports.returned.append(&mut self.purge().returned);
        let mut refusing = refusing_topics(&reports.returned);
        if refusing.is_empty() && reaction(Call::Send, failure.code) == Reaction::Hold {
            // Only the coordinator said so, and it is not known which topic failed: one that is missing keeps it from adding any.
            refusing = reports
                .returned
                .iter()
                .map(|(message, ..)| (message.topic().to_owned(), failure.code))
                .collect();
            refusing.sort_by(|one, other| one.0.cmp(&other.0));
            refusing.dedup_by(|one, other| one.0 == other.0);
        }
        if let Some((topic, code)) = refusing.first() {
            let (cause, detail) = if *code == RDKafkaErrorCode::MessageTimedOut {
                (
                    Cause::Transaction,
                    format!(
                        "records for topic {topic} were not acknowledged within transaction.timeout.ms"
                    ),
                )
            } else {
                (
                    Cause::TopicRefused,
                    format!("topic {topic} refused a record: {code}"),
                )
            };
            self.keep_suspects(reports.returned, &refusing);
            return Fault::Rewind { cause, detail };
        }
        if let Some(topic) = reports.unconfirmed {
            let detail = format!(
                "a record for topic {topic} was reported as delivered without an offset, and may be in no log"
            );
            return Fault::Rewind {
                cause: Cause::Producer,
                detail,
            };
        }
        error.unwrap_or(failure.fault)
    }

    fn keep_suspects(&mut self, returned: Vec<Returned>, refusing: &[(String, RDKafkaErrorCode)]) {
        let mut by_topic: Vec<Vec<HeldRecord>> = refusing.iter().map(|_| Vec::new()).collect();
        for (message, opaque, _) in returned {
            let index = refusing
                .iter()
                .position(|(topic, _)| topic == message.topic());
            if let Some(records) = index.and_then(|index| by_topic.get_mut(index)) {
                let (partition, sequence) = from_opaque(opaque);
                records.push(HeldRecord {
                    message,
                    partition,
                    sequence,
                });
            }
        }
        let mut suspects = Vec::new();
        for ((name, code), records) in refusing.iter().zip(by_topic) {
            let Some(topic) = self.topics.names.iter().position(|other| other == name) else {
                continue;
            };
            if *code == RDKafkaErrorCode::MessageSizeTooLarge {
                self.topics.note_refused_batch(topic, self.batch_size);
            }
            let n_partitions = self
                .partitions
                .get(topic)
                .and_then(|known| known.ok())
                .unwrap_or(1);
            let firsts = first_of_each_partition(records, n_partitions);
            suspects.extend(firsts.into_iter().map(|record| Suspect {
                topic,
                code: *code,
                record,
            }));
            self.forget_partitions(topic);
        }
        self.refused = Some(Probe::new(suspects, self.n_limits));
    }

    /// Fails unless every record that was handed over was confirmed. Nothing is in flight.
    fn check_confirmed(&self) -> Result<(), Fault> {
        if self.n_confirmed == self.n_handed_over {
            return Ok(());
        }
        let (handed_over, confirmed) = (self.n_handed_over, self.n_confirmed);
        let detail =
            format!("{handed_over} records were handed over and {confirmed} were confirmed");
        Err(Fault::Rewind {
            cause: Cause::Producer,
            detail,
        })
    }

    /// Forgets what is in flight, and returns what comes back of it: the client waits with an abort until that is taken.
    fn purge(&self) -> Reports {
        let until = Instant::now() + PURGE_TIMEOUT;
        self.status.call("purge", || {
            self.producer
                .purge(PurgeConfig::default().queue().inflight())
        });
        while self.producer.in_flight_count() > 0 && Instant::now() < until {
            self.producer.poll(Duration::from_millis(1));
        }
        self.producer.context().take()
    }

    /// Returns what is reported by now. Each poll brings one event, which is the reports of one batch.
    fn reports(&self) -> Reports {
        let context = self.producer.context();
        loop {
            let n_reports = context.reports().len();
            self.producer.poll(Duration::ZERO);
            if context.reports().len() == n_reports {
                return context.take();
            }
        }
    }
}

impl Outlet for Delivery {
    type Offsets = (TopicPartitionList, ConsumerGroupMetadata);
    type Probe = Probe;

    fn send(&mut self, emissions: &Emissions) -> Result<bool, Fault> {
        self.send_lanes(emissions)
    }

    fn serve(&mut self, duration: Duration) -> Result<(), Fault> {
        // A poll that waits would spin through the last millisecond (rdkafka 0.39 rounds what is left down to none).
        if !duration.is_zero() {
            std::thread::sleep(duration);
        }
        let reports = self.reports();
        self.n_confirmed += reports.n_confirmed;
        // A refused batch under `at_least_once` (`enable.gapless.guarantee`), or a state that the producer cannot get out of.
        let is_broken = self.producer.client().fatal_error().is_some();
        if reports.returned.is_empty() && reports.unconfirmed.is_none() && !is_broken {
            return Ok(());
        }
        Err(self.give_up(reports, None))
    }

    fn drain(&mut self, patience: Duration) -> Result<bool, Fault> {
        let until = Instant::now() + patience;
        loop {
            native::flush(self.producer.client(), Duration::from_millis(5));
            // Before the reports are taken: then none of what it counts is missing among them.
            let is_answered = self.producer.in_flight_count() == 0;
            self.serve(Duration::ZERO)?;
            if is_answered {
                self.check_confirmed()?;
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    fn is_outdated(&self) -> bool {
        self.topics.batch_size() > self.batch_size
    }

    fn unacknowledged(&self) -> usize {
        let waiting: usize = self.lanes.iter().map(Lane::len).sum();
        usize::try_from(self.producer.in_flight_count()).unwrap_or_default() + waiting
    }

    fn abandon(&mut self) {
        self.purge();
        self.abort_transaction();
        self.forget_refusals();
    }

    fn commit_transaction(&mut self, (offsets, member): &Self::Offsets) -> Result<(), Fault> {
        self.commit_with(offsets, member)
    }

    fn take_probe(&mut self) -> Option<Probe> {
        self.refused.take()
    }

    fn probe(&mut self, probe: &mut Probe, patience: Duration) -> Result<bool, Fault> {
        self.offer_all(probe, patience)
    }

    fn close(mut self) {
        self.abandon();
        let status = Arc::clone(&self.status);
        status.call("close producer", || drop(self));
        status.producer.clear();
    }
}

fn open_producer(
    settings: &ClientConfig,
    status: &Arc<Status>,
) -> Result<Arc<BaseProducer<DeliveryContext>>, Fault> {
    let context = DeliveryContext {
        log: ClientLog::new("producer", status.worker),
        status: Arc::clone(status),
        reports: Mutex::default(),
    };
    let opened = status.call("open producer", || settings.create_with_context(context));
    opened
        .map(Arc::new)
        .map_err(|error| Fault::of(Call::Open, &error))
}

/// Returns the topics that refused one of `returned`, each with the first reason. What was purged says nothing of its topic.
fn refusing_topics(returned: &[Returned]) -> Vec<(String, RDKafkaErrorCode)> {
    let mut refusing: Vec<(String, RDKafkaErrorCode)> = Vec::new();
    for (message, _, code) in returned {
        let is_purged = matches!(
            code,
            RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight
        );
        let is_known = refusing.iter().any(|(topic, _)| topic == message.topic());
        if !is_purged && !is_known && reaction(Call::Delivery, *code) == Reaction::Hold {
            refusing.push((message.topic().to_owned(), *code));
        }
    }
    refusing
}

fn name(topics: &Topics, topic: usize) -> &str {
    topics.names.get(topic).map_or("", String::as_str)
}

fn owned(emission: &Emission<'_>, topic: &str) -> OwnedMessage {
    let (value, key) = (
        emission.value.map(<[u8]>::to_vec),
        emission.key.map(<[u8]>::to_vec),
    );
    OwnedMessage::new(
        value,
        key,
        topic.to_owned(),
        Timestamp::NotAvailable,
        -1,
        -1,
        headers(emission),
    )
}

fn headers(emission: &Emission<'_>) -> Option<OwnedHeaders> {
    let headers = emission.headers();
    (headers.len() > 0).then(|| headers_of(headers.map(|(name, value)| (name, Some(value)))))
}

fn headers_of<'a>(headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> OwnedHeaders {
    headers.fold(OwnedHeaders::new(), |list, (key, value)| {
        list.insert(Header { key, value })
    })
}

/// What comes back with a refused record, beside the record: the partition it wanted, and its number among all.
fn to_opaque(partition: Partition, sequence: u32) -> usize {
    let wanted = match partition {
        Partition::ByKey => 0,
        Partition::AsSource(source) => u32::try_from(source).map_or(0, |source| source + 1),
    };
    (sequence as usize) << 32 | wanted as usize
}

fn from_opaque(opaque: usize) -> (Partition, u32) {
    let partition = match u32::try_from(opaque & 0xFFFF_FFFF)
        .ok()
        .and_then(|wanted| wanted.checked_sub(1))
        .map(i32::try_from)
    {
        Some(Ok(source)) => Partition::AsSource(source),
        Some(Err(_)) | None => Partition::ByKey,
    };
    (partition, u32::try_from(opaque >> 32).unwrap_or_default())
}

/// Counts what is confirmed, keeps what comes back, and passes on what the client says.
struct DeliveryContext {
    log: ClientLog,
    status: Arc<Status>,
    reports: Mutex<Reports>,
}

/// What the delivery reports told since they were last taken.
#[derive(Default)]
struct Reports {
    /// How many records were reported with an offset.
    n_confirmed: u64,
    returned: Vec<Returned>,
    /// The topic of a record that was reported as delivered without an offset: no broker acknowledged it.
    unconfirmed: Option<String>,
}

impl Reports {
    fn len(&self) -> usize {
        usize::try_from(self.n_confirmed)
            .unwrap_or(usize::MAX)
            .saturating_add(self.returned.len())
    }
}

/// A record that was not taken, what it was sent with, and why.
type Returned = (OwnedMessage, usize, RDKafkaErrorCode);

impl DeliveryContext {
    fn reports(&self) -> MutexGuard<'_, Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Reports {
        std::mem::take(&mut self.reports())
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.log.line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.status.producer.post(statistics);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        let mut reports = self.reports();
        match result {
            Ok(message) if message.offset() < 0 => {
                reports.unconfirmed = Some(message.topic().to_owned())
            }
            Ok(_) => reports.n_confirmed += 1,
            Err((error, message)) => {
                let code = error
                    .rdkafka_error_code()
                    .unwrap_or(RDKafkaErrorCode::Unknown);
                reports.returned.push((message.detach(), opaque, code));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wanted_partition_comes_back_with_the_record() {
        for partition in [
            Partition::ByKey,
            Partition::AsSource(0),
            Partition::AsSource(i32::MAX),
        ] {
            for sequence in [0, 1, u32::MAX] {
                assert_eq!(
                    from_opaque(to_opaque(partition, sequence)),
                    (partition, sequence)
                );
            }
        }
    }
}
