//! Exactly once: an epoch's records and its offsets in one transaction.
//!
//! The transaction begins with an epoch's first record. Whatever goes wrong with it, the epoch is undone and the producer
//! given up; the next one, of the same transactional id, ends on the broker what is still open before the offsets are read.

use std::time::{Duration, Instant};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::refusal::{Refused, hint};
use super::{Delivery, DeliveryContext, name};
use crate::config::Guarantee;
use crate::kafka::fault::{Call, Cause, Fault};
use crate::kafka::{REQUEST_TIMEOUT, native};
use crate::metrics;

/// Where a producer's transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// There are none: at least once.
    Unused,
    Closed,
    Open,
}

impl Transaction {
    pub(super) fn of(guarantee: Guarantee) -> Transaction {
        match guarantee {
            Guarantee::AtLeastOnce => Transaction::Unused,
            Guarantee::ExactlyOnce => Transaction::Closed,
        }
    }

    pub(super) fn is_used(self) -> bool {
        self != Transaction::Unused
    }
}

/// The first record that a topic refused in a transaction: offered to it alone until it is taken.
pub struct Probe {
    topic: usize,
    code: RDKafkaErrorCode,
    refused: Refused,
}

impl Delivery {
    /// Ends what an earlier producer of this transactional id left open, and fences it.
    pub(super) fn init_transactions(&self) -> Result<(), Fault> {
        if !self.transaction.is_used() {
            return Ok(());
        }
        self.call("init transactions", |producer| producer.init_transactions(REQUEST_TIMEOUT))
    }

    /// Begins a transaction unless one is open or none is used.
    pub(super) fn begin_transaction(&mut self) -> Result<(), Fault> {
        if self.transaction == Transaction::Closed {
            self.call("begin transaction", Producer::begin_transaction)?;
            self.transaction = Transaction::Open;
        }
        Ok(())
    }

    /// Commits `offsets` and everything that was sent, all or nothing. Everything must be acknowledged before.
    pub(super) fn commit_with(&mut self, offsets: &TopicPartitionList, member: &ConsumerGroupMetadata) -> Result<(), Fault> {
        self.begin_transaction()?;
        self.call("send offsets to transaction", |producer| {
            producer.send_offsets_to_transaction(offsets, member, REQUEST_TIMEOUT)
        })?;
        // From here on nothing but the broker knows; the transaction is no longer ours to abort.
        self.transaction = Transaction::Closed;
        self.call("commit transaction", |producer| producer.commit_transaction(REQUEST_TIMEOUT))
    }

    /// Aborts the transaction if one is open. Returns whether it is certain that none is open now.
    pub(super) fn abort_transaction(&mut self) -> bool {
        if self.transaction != Transaction::Open {
            return true;
        }
        self.transaction = Transaction::Closed;
        let result = self.call("abort transaction", |producer| producer.abort_transaction(REQUEST_TIMEOUT));
        if let Err(fault) = &result {
            // The next producer aborts it, or the broker at its timeout.
            tracing::warn!(worker = self.status.worker, error = %fault, "a transaction could not be aborted");
        }
        result.is_ok()
    }

    /// Makes a transactional call, again with the same arguments while librdkafka calls its error retriable.
    fn call(&self, name: &'static str, call: impl Fn(&BaseProducer<DeliveryContext>) -> KafkaResult<()>) -> Result<(), Fault> {
        let until = Instant::now() + REQUEST_TIMEOUT;
        loop {
            match self.status.call(name, || call(&self.producer)) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until => {
                    tracing::debug!(worker = self.status.worker, call = name, error = %error, "tried again");
                }
                Err(error) => return Err(Fault::of(Call::Transaction, &error)),
            }
        }
    }

    /// Returns the fault that a refused record is to a transaction, and keeps the record for [`Delivery::offer`].
    pub(super) fn refused_in_transaction(&mut self, topic: usize, code: RDKafkaErrorCode, refused: Refused) -> Fault {
        let detail = format!("topic {} refuses records: {code}", name(&self.topics, topic));
        self.refused.get_or_insert(Probe { topic, code, refused });
        Fault::Rewind { cause: Cause::TopicRefused, detail }
    }

    /// Offers `probe` to its topic, in a transaction that is aborted. Returns whether the topic took it.
    pub(super) fn offer(&mut self, probe: &Probe, patience: Duration) -> Result<bool, Fault> {
        self.begin_transaction()?;
        let is_queued = self.send_refused(probe.topic, &probe.refused).is_ok();
        let until = Instant::now() + patience;
        while is_queued && self.producer.in_flight_count() > 0 && Instant::now() < until {
            native::flush(self.producer.client(), Duration::from_millis(5));
            self.producer.poll(Duration::ZERO);
        }
        let is_answered = is_queued && self.producer.in_flight_count() == 0;
        let is_taken = is_answered && self.producer.context().take().is_empty();
        if !self.abort_transaction() {
            return Err(Fault::Rewind { cause: Cause::Transaction, detail: "a probe could not be aborted".to_owned() });
        }
        // What the abort itself purged is no answer of the topic.
        self.producer.poll(Duration::ZERO);
        self.producer.context().take();
        Ok(is_taken)
    }

    /// Says that `probe`'s topic refuses records, or that it takes them again.
    pub(super) fn tell_of_refusal(&self, probe: &Probe, is_refused: bool) {
        let (topic, worker) = (name(&self.topics, probe.topic), self.status.worker);
        metrics::topic_refused(topic, is_refused);
        if is_refused {
            let refused = vec![(topic.to_owned(), probe.code.to_string())];
            self.status.update(|view| view.refused = refused);
            tracing::error!(worker, topic, error = %probe.code, hint = hint(probe.code), "a topic refuses records; nothing is committed until it takes them");
        } else {
            self.status.update(|view| view.refused.clear());
            tracing::info!(worker, topic, "the topic takes records again");
        }
    }
}
