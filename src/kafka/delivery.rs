//! Sending: a producer, what it has in flight, and the topics that refuse.
//!
//! A topic that refuses records (it vanished, the right to write is gone, a record is too large for it) holds the epoch:
//! its records are kept, and tried again with growing pauses, one of each partition first and the rest once those are taken.
//! Nothing else is sent again, nothing is dropped, and no offset moves.

mod lane;
mod refusal;
mod transaction;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use rdkafka::topic_partition_list::TopicPartitionList;

use self::lane::Lane;
use self::refusal::{Refusal, Refused, hint};
pub use self::transaction::Probe;
use self::transaction::Transaction;
use crate::config::Config;
use crate::envelope::{Emission, Emissions, Partition};
use crate::kafka::ends::Outlet;
use crate::kafka::fault::{Call, Cause, Fault, Reaction, reaction};
use crate::kafka::topics::{Topics, partition_count};
use crate::kafka::{ClientLog, REQUEST_TIMEOUT, native, producer_settings};
use crate::metrics;
use crate::status::Status;

/// What is waited for a topic's number of partitions while others wait to be sent.
const PARTITIONS_PATIENCE: Duration = Duration::from_secs(1);

/// Librdkafka gives up at once what is purged; this is for a machine that is busy.
const PURGE_TIMEOUT: Duration = Duration::from_secs(5);

/// A worker's end of the output topics.
pub struct Delivery {
    producer: Arc<BaseProducer<DeliveryContext>>,
    topics: Arc<Topics>,
    lanes: Vec<Lane>,
    /// The number of the next record that is handed over.
    sequence: u32,
    /// How many of a batch's emissions are in the lanes, or were.
    n_distributed: usize,
    batch: native::Batch,
    /// The most bytes of a batch, as it was when the producer was opened.
    batch_size: usize,
    /// Partitions of each topic; absent while it is missing, and once it has refused records: it may be made anew.
    partitions: Vec<Option<i32>>,
    refusals: Vec<Refusal>,
    status: Arc<Status>,
    transaction: Transaction,
    /// What a topic refused in this producer's transaction.
    refused: Option<Probe>,
}

impl Delivery {
    /// Opens a producer.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a property is wrong, [`Fault::Rewind`] where no broker tells the topics' partitions.
    pub fn open(config: &Config, topics: Arc<Topics>, status: Arc<Status>) -> Result<Delivery, Fault> {
        let settings = producer_settings(config, status.worker, &topics);
        let producer: Arc<BaseProducer<DeliveryContext>> = status
            .call("open producer", || {
                settings.create_with_context(DeliveryContext {
                    log: ClientLog::new("producer", status.worker),
                    status: Arc::clone(&status),
                    reports: Mutex::default(),
                })
            })
            .map(Arc::new)
            .map_err(|error| Fault::of(Call::Open, &error))?;
        let mut partitions = Vec::with_capacity(topics.names.len());
        for name in &topics.names {
            let count = status
                .call("metadata", || partition_count(producer.client(), name, REQUEST_TIMEOUT))
                .map_err(|detail| Fault::Rewind { cause: Cause::Producer, detail })?;
            partitions.push(count);
        }
        let delivery = Delivery {
            lanes: Lane::open_all(&producer, &topics)?,
            producer,
            batch_size: topics.batch_size(),
            topics,
            sequence: 0,
            n_distributed: 0,
            batch: native::Batch::default(),
            partitions,
            refusals: Vec::new(),
            status,
            transaction: Transaction::of(config.delivery.guarantee),
            refused: None,
        };
        delivery.init_transactions()?;
        Ok(delivery)
    }

    /// Returns how many partitions a topic has, and asks where that is not known; absent if it is missing or nobody answers.
    fn n_partitions(&mut self, topic: usize) -> Option<i32> {
        let known = self.partitions.get_mut(topic)?;
        if known.is_none() {
            let name = name(&self.topics, topic);
            let asked = self.status.call("metadata", || partition_count(self.producer.client(), name, PARTITIONS_PATIENCE));
            *known = asked.ok().flatten();
        }
        *known
    }

    /// Puts a refused record aside, to be sent again. A transaction is lost with it.
    fn refuse(&mut self, topic: usize, code: RDKafkaErrorCode, refused: Refused) -> Result<(), Fault> {
        if let Some(partitions) = self.partitions.get_mut(topic) {
            *partitions = None;
        }
        if self.transaction.is_used() {
            return Err(self.refused_in_transaction(topic, code, refused));
        }
        if let Some(refusal) = self.refusals.iter_mut().find(|refusal| refusal.topic == topic) {
            refusal.code = code;
            refusal.returned.push(refused);
            return Ok(());
        }
        self.refusals.push(Refusal::new(topic, code, refused));
        let topic = name(&self.topics, topic);
        metrics::topic_refused(topic, true);
        tracing::error!(worker = self.status.worker, topic, error = %code, hint = hint(code), "a topic refuses records; nothing is committed until it takes them");
        self.tell();
        Ok(())
    }

    /// A topic's limit is its batches', and a producer keeps the size of its batches for life.
    fn check_batch_size(&self) -> Result<(), Fault> {
        let is_too_large = |refusal: &Refusal| refusal.code == RDKafkaErrorCode::MessageSizeTooLarge;
        if self.topics.batch_size() < self.batch_size && self.refusals.iter().any(is_too_large) {
            let detail = "a topic takes smaller batches than were known".to_owned();
            return Err(Fault::Rewind { cause: Cause::Producer, detail });
        }
        Ok(())
    }

    /// Forgets what is in flight, and what comes back of it: the client waits with an abort until that is taken.
    fn purge(&self) {
        let until = Instant::now() + PURGE_TIMEOUT;
        self.status.call("purge", || self.producer.purge(PurgeConfig::default().queue().inflight()));
        while self.producer.in_flight_count() > 0 && Instant::now() < until {
            self.producer.poll(Duration::from_millis(1));
        }
        self.producer.context().take();
    }

    /// Returns what is reported by now. Each poll brings one event, which is the reports of one batch.
    fn reports(&self) -> Reports {
        let context = self.producer.context();
        loop {
            let count = context.reports().count;
            self.producer.poll(Duration::ZERO);
            if context.reports().count == count {
                return context.take();
            }
        }
    }

    fn tell(&self) {
        let describe = |refusal: &Refusal| (name(&self.topics, refusal.topic).to_owned(), refusal.code.to_string());
        let refused: Vec<_> = self.refusals.iter().map(describe).collect();
        self.status.update(|view| view.refused = refused);
    }

    /// Takes stock while nothing is in flight: what came back waits for another try, what has all gone is over.
    fn settle(&mut self, now: Instant) {
        for refusal in &mut self.refusals {
            refusal.settle(now);
        }
        let mut is_over = false;
        for refusal in self.refusals.extract_if(.., |refusal| refusal.waiting.is_empty()) {
            let topic = name(&self.topics, refusal.topic);
            metrics::topic_refused(topic, false);
            tracing::info!(worker = self.status.worker, topic, "the topic takes records again");
            is_over = true;
        }
        if is_over {
            self.tell();
        }
    }

    /// Sends again what is due: one record a partition of a topic whose state is unknown, all of one that took them.
    fn retry(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        for index in 0..self.refusals.len() {
            let due = self.refusals.get(index).filter(|refusal| refusal.try_at <= now);
            let Some(topic) = due.map(|refusal| refusal.topic) else { continue };
            let partitions = self.n_partitions(topic);
            let Some(refusal) = self.refusals.get_mut(index) else { continue };
            let Some(partitions) = partitions else {
                refusal.postpone(now);
                // Each question may take a while where nobody answers, and the group must hear from us.
                break;
            };
            let mut due = if std::mem::take(&mut refusal.is_probe) {
                refusal.first_of_each_to_front(|refused| refused.partition_among(partitions))
            } else {
                refusal.waiting.len()
            };
            while due > 0 && self.send_again(index, topic, partitions)? {
                due -= 1;
            }
        }
        Ok(())
    }

    /// Sends the first record that waits for the topic; returns whether to go on with the next.
    fn send_again(&mut self, index: usize, topic: usize, partitions: i32) -> Result<bool, Fault> {
        let Some(refused) = self.refusals.get_mut(index).and_then(|refusal| refusal.waiting.pop_front()) else {
            return Ok(false);
        };
        let refused = Refused { sequence: self.sequence, ..refused };
        let Err(error) = self.send_refused(topic, &refused, partitions) else {
            self.sequence = self.sequence.wrapping_add(1);
            return Ok(true);
        };
        let Some(refusal) = self.refusals.get_mut(index) else { return Ok(false) };
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => refusal.waiting.push_front(refused),
            Some(code) if reaction(Call::Send, code) == Reaction::Hold => {
                refusal.code = code;
                refusal.returned.push(refused);
            }
            _ => return Err(Fault::of(Call::Send, &error)),
        }
        Ok(false)
    }

    fn send_refused(&self, topic: usize, refused: &Refused, partitions: i32) -> KafkaResult<()> {
        let message = &refused.message;
        let headers = message.headers().map(|headers| headers_of(headers.iter().map(|header| (header.key, header.value))));
        let record = BaseRecord {
            topic: name(&self.topics, topic),
            partition: refused.partition.of(partitions),
            payload: message.payload(),
            key: message.key(),
            timestamp: None,
            headers,
            delivery_opaque: to_opaque(refused.partition, refused.sequence),
        };
        self.producer.send(record).map_err(|(error, _)| error)
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
        let Reports { returned, unconfirmed, .. } = self.reports();
        if let Some((_, reason)) = self.producer.client().fatal_error() {
            return Err(Fault::Rewind { cause: Cause::Producer, detail: format!("the producer cannot go on: {reason}") });
        }
        if let Some(topic) = unconfirmed {
            let detail =
                format!("a record of topic {topic} counts as acknowledged since a later one was, and may be in no log");
            return Err(Fault::Rewind { cause: Cause::Producer, detail });
        }
        let mut purged = Vec::new();
        for (message, opaque, code) in returned {
            let Some(topic) = self.topics.names.iter().position(|name| name == message.topic()) else { continue };
            let (partition, sequence) = from_opaque(opaque);
            let refused = Refused { message, partition, sequence };
            if matches!(code, RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) {
                purged.push((topic, refused));
            } else if reaction(Call::Delivery, code) == Reaction::Hold {
                self.refuse(topic, code, refused)?;
            } else {
                return Err(Fault::of(Call::Delivery, &KafkaError::MessageProduction(code)));
            }
        }
        if self.transaction.is_used() && !purged.is_empty() { Err(self.purged_in_transaction(purged)) } else { Ok(()) }
    }

    fn drain(&mut self, patience: Duration) -> Result<bool, Fault> {
        let until = Instant::now() + patience;
        loop {
            native::flush(self.producer.client(), Duration::from_millis(5));
            self.serve(Duration::ZERO)?;
            if self.producer.in_flight_count() == 0 {
                self.settle(Instant::now());
                if self.refusals.is_empty() {
                    return Ok(true);
                }
                self.check_batch_size()?;
                self.retry()?;
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            if !self.refusals.is_empty() {
                self.serve(Duration::from_millis(10))?;
            }
        }
    }

    fn unacknowledged(&self) -> usize {
        let refused: usize = self.refusals.iter().map(|refusal| refusal.waiting.len() + refusal.returned.len()).sum();
        let waiting: usize = self.lanes.iter().map(Lane::len).sum();
        usize::try_from(self.producer.in_flight_count()).unwrap_or_default() + refused + waiting
    }

    fn abandon(&mut self) {
        self.purge();
        self.abort_transaction();
        for refusal in self.refusals.drain(..) {
            metrics::topic_refused(name(&self.topics, refusal.topic), false);
        }
        self.tell();
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

fn name(topics: &Topics, topic: usize) -> &str {
    topics.names.get(topic).map_or("", String::as_str)
}

fn owned(emission: &Emission<'_>, topic: &str, sequence: u32) -> Refused {
    let (value, key) = (emission.value.map(<[u8]>::to_vec), emission.key.map(<[u8]>::to_vec));
    let message = OwnedMessage::new(value, key, topic.to_owned(), Timestamp::NotAvailable, -1, -1, headers(emission));
    Refused { message, partition: emission.partition, sequence }
}

fn headers(emission: &Emission<'_>) -> Option<OwnedHeaders> {
    let headers = emission.headers();
    (headers.len() > 0).then(|| headers_of(headers.map(|(name, value)| (name, Some(value)))))
}

fn headers_of<'a>(headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>) -> OwnedHeaders {
    headers.fold(OwnedHeaders::new(), |list, (key, value)| list.insert(Header { key, value }))
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
    let partition = match u32::try_from(opaque & 0xFFFF_FFFF).ok().and_then(|wanted| wanted.checked_sub(1)).map(i32::try_from) {
        Some(Ok(source)) => Partition::AsSource(source),
        Some(Err(_)) | None => Partition::ByKey,
    };
    (partition, u32::try_from(opaque >> 32).unwrap_or_default())
}

/// Keeps what comes back, and passes on what the client says. Successes are reported to it only where `max.in.flight` is more than one.
struct DeliveryContext {
    log: ClientLog,
    status: Arc<Status>,
    reports: Mutex<Reports>,
}

/// What the delivery reports told since they were last taken.
#[derive(Default)]
struct Reports {
    /// How many there were.
    count: usize,
    returned: Vec<Returned>,
    /// The topic of a record that was acknowledged without an offset. No broker acknowledged it: librdkafka concludes it from the
    /// acknowledgement of a later one, which is wrong where the partition knew nothing of the producer.
    unconfirmed: Option<String>,
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
        reports.count += 1;
        match result {
            Ok(message) if message.offset() < 0 => reports.unconfirmed = Some(message.topic().to_owned()),
            Ok(_) => {}
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
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
        for partition in [Partition::ByKey, Partition::AsSource(0), Partition::AsSource(i32::MAX)] {
            for sequence in [0, 1, u32::MAX] {
                assert_eq!(from_opaque(to_opaque(partition, sequence)), (partition, sequence));
            }
        }
    }
}
