//! Records that their topics refused, offered again until they are taken.
//!
//! The epoch is rolled back by then. The first refused record of each partition is offered alone, so that an outage neither fills
//! the logs with aborted epochs nor repeats the epoch to the topics that are well. Under `at_least_once` an offered record stays in
//! its topic when it is taken, and comes again with its epoch; under `exactly_once` its transaction is aborted.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::producer::{BaseRecord, Producer};

use super::{Delivery, Reports, headers_of, name, to_opaque};
use crate::envelope::Partition;
use crate::kafka::fault::{Cause, Fault};
use crate::kafka::native;
use crate::metrics;

/// What failed an epoch: the first refused record of each partition.
pub struct Probe {
    suspects: Vec<Suspect>,
    /// How many limits were known when the records were sent.
    n_limits: usize,
}

/// A record that its topic refused, or may have.
pub(super) struct Suspect {
    pub(super) topic: usize,
    pub(super) code: RDKafkaErrorCode,
    pub(super) record: HeldRecord,
}

/// A record that came back.
pub(super) struct HeldRecord {
    pub(super) message: OwnedMessage,
    pub(super) partition: Partition,
    /// Its number among all that were handed over; it wraps.
    pub(super) sequence: u32,
}

impl HeldRecord {
    /// Returns the partition that it goes to; absent where any will do, as there is no key.
    fn partition_among(&self, partitions: i32) -> Option<i32> {
        let of_key = || {
            self.message
                .key()
                .map(|key| native::partition_of_key(key, partitions))
        };
        self.partition.of(partitions).or_else(of_key)
    }
}

impl Probe {
    pub(super) fn new(suspects: Vec<Suspect>, n_limits: usize) -> Probe {
        Probe { suspects, n_limits }
    }

    fn is_of_size(&self) -> bool {
        self.suspects
            .iter()
            .any(|suspect| suspect.code == RDKafkaErrorCode::MessageSizeTooLarge)
    }

    /// Returns the topics that still have a suspect.
    fn topics(&self) -> Vec<usize> {
        let mut topics: Vec<usize> = self.suspects.iter().map(|suspect| suspect.topic).collect();
        topics.dedup();
        topics
    }

    fn first_of(&self, topic: usize) -> Option<usize> {
        self.suspects
            .iter()
            .position(|suspect| suspect.topic == topic)
    }
}

/// Returns the first record of each partition among those of one topic that came back, in the order in which they were handed over.
pub(super) fn first_of_each_partition(
    mut records: Vec<HeldRecord>,
    partitions: i32,
) -> Vec<HeldRecord> {
    // Far fewer are in flight than would make the numbers meet.
    let newest = records.last().map_or(0, |record| record.sequence);
    records.sort_by_key(|record| record.sequence.wrapping_sub(newest).wrapping_add(1 << 31));
    let mut seen = Vec::new();
    records.retain(|record| {
        let partition = record.partition_among(partitions);
        let is_first = !seen.contains(&partition);
        if is_first {
            seen.push(partition);
        }
        is_first
    });
    records
}

impl Delivery {
    /// Offers the suspects to their topics, for `patience` or a little longer. Returns whether all were taken.
    pub(super) fn offer_all(
        &mut self,
        probe: &mut Probe,
        patience: Duration,
    ) -> Result<bool, Fault> {
        if probe.is_of_size() && self.topics.n_told() > probe.n_limits {
            // A broker has told a limit that was not known: what was too large may be a dead letter now.
            probe.suspects.clear();
            self.forget_refusals();
        }
        let until = Instant::now() + patience;
        for topic in probe.topics() {
            self.offer_topic(probe, topic, until)?;
            if Instant::now() >= until {
                break;
            }
        }
        Ok(probe.suspects.is_empty())
    }

    /// Offers one topic's suspects, one after the other, until one is not taken.
    fn offer_topic(
        &mut self,
        probe: &mut Probe,
        topic: usize,
        until: Instant,
    ) -> Result<(), Fault> {
        while let Some(index) = probe.first_of(topic) {
            let Some(suspect) = probe.suspects.get(index) else {
                break;
            };
            if !self.offer(suspect, until)? {
                self.tell_refused(topic, suspect.code);
                return Ok(());
            }
            probe.suspects.remove(index);
        }
        self.tell_taken(topic);
        Ok(())
    }

    /// Offers one record. Returns whether the topic took it.
    fn offer(&mut self, suspect: &Suspect, until: Instant) -> Result<bool, Fault> {
        let Ok(partitions) = self.n_partitions(suspect.topic) else {
            return Ok(false);
        };
        self.begin_transaction()?;
        let is_queued = self
            .send_held(suspect.topic, &suspect.record, partitions)
            .is_ok();
        while is_queued && self.producer.in_flight_count() > 0 && Instant::now() < until {
            native::flush(self.producer.client(), Duration::from_millis(5));
            self.producer.poll(Duration::ZERO);
        }
        let is_answered = is_queued && self.producer.in_flight_count() == 0;
        let is_taken = is_answered && {
            let Reports {
                returned,
                unconfirmed,
                ..
            } = self.producer.context().take();
            returned.is_empty() && unconfirmed.is_none()
        };
        if !is_taken {
            self.forget_partitions(suspect.topic);
        }
        if self.transaction.is_used() {
            if !self.abort_transaction() {
                return Err(Fault::Rewind {
                    cause: Cause::Transaction,
                    detail: "a probe could not be aborted".to_owned(),
                });
            }
            // What the abort itself purged is no answer of the topic.
            self.producer.poll(Duration::ZERO);
            self.producer.context().take();
        } else if !is_taken {
            // A refusal is fatal to the producer, and what is unanswered must not arrive beside the next offer.
            self.reopen()?;
        }
        Ok(is_taken)
    }

    fn send_held(&self, topic: usize, held: &HeldRecord, partitions: i32) -> KafkaResult<()> {
        let message = &held.message;
        let headers = message
            .headers()
            .map(|headers| headers_of(headers.iter().map(|header| (header.key, header.value))));
        let record = BaseRecord {
            topic: name(&self.topics, topic),
            partition: held.partition.of(partitions),
            payload: message.payload(),
            key: message.key(),
            timestamp: None,
            headers,
            delivery_opaque: to_opaque(held.partition, held.sequence),
        };
        self.producer.send(record).map_err(|(error, _)| error)
    }

    fn is_told(&self, topic: &str) -> bool {
        self.status
            .view()
            .refused
            .iter()
            .any(|(refused, _)| refused == topic)
    }

    fn tell_refused(&self, topic: usize, code: RDKafkaErrorCode) {
        let (topic, worker) = (name(&self.topics, topic), self.status.worker);
        if self.is_told(topic) {
            return;
        }
        metrics::topic_refused(topic, true);
        self.status
            .update(|view| view.refused.push((topic.to_owned(), code.to_string())));
        tracing::error!(worker, topic, error = %code, hint = hint(code), "a topic refuses records; nothing is committed until it takes them");
    }

    fn tell_taken(&self, topic: usize) {
        let (topic, worker) = (name(&self.topics, topic), self.status.worker);
        if !self.is_told(topic) {
            return;
        }
        metrics::topic_refused(topic, false);
        self.status
            .update(|view| view.refused.retain(|(refused, _)| refused != topic));
        tracing::info!(worker, topic, "the topic takes records again");
    }

    /// Says no longer that any topic refuses records: nobody offers them any.
    pub(super) fn forget_refusals(&self) {
        for (topic, _) in self.status.view().refused {
            metrics::topic_refused(&topic, false);
        }
        self.status.update(|view| view.refused.clear());
    }
}

/// Returns what would make the topic take records again; it is tried until then.
pub(super) fn hint(code: RDKafkaErrorCode) -> &'static str {
    if matches!(
        code,
        RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition
    ) {
        "create the topic"
    } else if code == RDKafkaErrorCode::UnknownPartition {
        // What the client says of a topic that is gone, too.
        "create the topic, with as many partitions as it had"
    } else if code == RDKafkaErrorCode::TopicAuthorizationFailed {
        "grant Write on the topic"
    } else if code == RDKafkaErrorCode::MessageSizeTooLarge {
        // Larger ones are dead letters before they are sent, so the limit was lowered since the start.
        "raise the topic's max.message.bytes to what it was, or restart to make larger records dead letters"
    } else if code == RDKafkaErrorCode::MessageTimedOut {
        "see why its partitions have no leader, or too few replicas in sync"
    } else if code == RDKafkaErrorCode::InvalidRecord {
        "a compacted topic takes no record without a key; a topic with message.timestamp.after.max.ms takes none from a clock ahead of the broker's"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Timestamp;

    use super::*;

    fn held(sequence: u32, key: Option<&str>, partition: Partition) -> HeldRecord {
        let key = key.map(|key| key.as_bytes().to_vec());
        let message = OwnedMessage::new(
            None,
            key,
            "a".to_owned(),
            Timestamp::NotAvailable,
            0,
            0,
            None,
        );
        HeldRecord {
            message,
            partition,
            sequence,
        }
    }

    fn check(records: Vec<HeldRecord>, partitions: i32, expected: &[u32]) {
        let firsts = first_of_each_partition(records, partitions);
        let sequences: Vec<u32> = firsts.iter().map(|record| record.sequence).collect();
        assert_eq!(sequences, expected);
    }

    #[test]
    fn the_first_of_each_partition_is_the_one_handed_over_first() {
        let of = |sequence, partition| held(sequence, None, Partition::AsSource(partition));
        check(vec![of(3, 0), of(4, 1), of(1, 1), of(2, 0)], 2, &[1, 2]);
        // Where the topic has fewer partitions than the source, some share one.
        check(vec![of(3, 0), of(1, 2)], 2, &[1]);
    }

    #[test]
    fn numbers_that_wrap_keep_their_order() {
        let of = |sequence| held(sequence, Some("g"), Partition::ByKey);
        check(vec![of(1), of(u32::MAX), of(0)], 4, &[u32::MAX]);
    }

    #[test]
    fn records_of_one_key_share_a_partition() {
        let of = |sequence, key| held(sequence, Some(key), Partition::ByKey);
        check(vec![of(1, "a"), of(2, "a")], 8, &[1]);
        check(vec![of(1, "a"), of(2, "b")], 1, &[1]);
    }

    #[test]
    fn records_without_a_key_count_as_one_partition() {
        check(
            vec![
                held(2, None, Partition::ByKey),
                held(1, None, Partition::ByKey),
            ],
            8,
            &[1],
        );
    }
}
