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
use super::{Delivery, DeliveryContext, Reports, name};
use crate::config::Guarantee;
use crate::kafka::fault::{Call, Cause, Fault, Reaction, reaction};
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

/// The first record of each topic that may have failed a transaction: offered to its topic alone until that takes it.
pub struct Probe(Vec<Suspect>);

struct Suspect {
    topic: usize,
    code: RDKafkaErrorCode,
    refused: Refused,
    is_told: bool,
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
        self.purge();
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

    /// Returns the fault that a refused record is to its transaction, and keeps the record for [`Delivery::offer`].
    pub(super) fn refused_in_transaction(&mut self, topic: usize, code: RDKafkaErrorCode, refused: Refused) -> Fault {
        // Perhaps it is not at fault: one missing topic keeps the coordinator from adding any.
        let detail = format!("a record for topic {} was not taken: {code}", name(&self.topics, topic));
        let suspects = &mut self.refused.get_or_insert_with(|| Probe(Vec::new())).0;
        if suspects.iter().all(|suspect| suspect.topic != topic) {
            suspects.push(Suspect { topic, code, refused, is_told: false });
        }
        Fault::Rewind { cause: Cause::TopicRefused, detail }
    }

    /// Returns the fault that purged records are to their transaction: librdkafka gives up all of it when one partition fails.
    ///
    /// Where it is a topic that failed, but only the coordinator said so, it is not known which: then each is a suspect.
    pub(super) fn purged_in_transaction(&mut self, purged: Vec<(usize, Refused)>) -> Fault {
        let error = self.failure();
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        if reaction(Call::Send, code) == Reaction::Hold && self.refused.is_none() {
            for (topic, refused) in purged {
                self.refused_in_transaction(topic, code, refused);
            }
            return Fault::Rewind { cause: Cause::TopicRefused, detail: format!("a topic refuses records: {code}") };
        }
        Fault::of(Call::Transaction, &error)
    }

    /// Returns why the open transaction failed. librdkafka tells only who makes a call that is not allowed then, as to begin
    /// another; it is never allowed while one is open, so that it does nothing.
    fn failure(&self) -> KafkaError {
        let refused = self.status.call("begin transaction", || self.producer.begin_transaction());
        refused.err().unwrap_or(KafkaError::Canceled)
    }

    /// Offers each record of `probe` to its topic, in a transaction that is aborted, until one is refused. Returns whether all
    /// topics take records.
    pub(super) fn offer_all(&mut self, probe: &mut Probe, patience: Duration) -> Result<bool, Fault> {
        while let Some(suspect) = probe.0.first_mut() {
            if !self.offer(suspect, patience)? {
                if !std::mem::replace(&mut suspect.is_told, true) {
                    self.tell_of(suspect, true);
                }
                return Ok(false);
            }
            if suspect.is_told {
                self.tell_of(suspect, false);
            }
            probe.0.remove(0);
        }
        Ok(true)
    }

    fn offer(&mut self, suspect: &Suspect, patience: Duration) -> Result<bool, Fault> {
        let Some(partitions) = self.n_partitions(suspect.topic) else { return Ok(false) };
        self.begin_transaction()?;
        let is_queued = self.send_refused(suspect.topic, &suspect.refused, partitions).is_ok();
        let until = Instant::now() + patience;
        while is_queued && self.producer.in_flight_count() > 0 && Instant::now() < until {
            native::flush(self.producer.client(), Duration::from_millis(5));
            self.producer.poll(Duration::ZERO);
        }
        let is_answered = is_queued && self.producer.in_flight_count() == 0;
        let is_taken = is_answered && {
            let Reports { returned, unconfirmed, .. } = self.producer.context().take();
            returned.is_empty() && unconfirmed.is_none()
        };
        if !self.abort_transaction() {
            return Err(Fault::Rewind { cause: Cause::Transaction, detail: "a probe could not be aborted".to_owned() });
        }
        // What the abort itself purged is no answer of the topic.
        self.producer.poll(Duration::ZERO);
        self.producer.context().take();
        Ok(is_taken)
    }

    /// Says that a topic refuses records, or that it takes them again.
    fn tell_of(&self, suspect: &Suspect, is_refused: bool) {
        let (topic, worker) = (name(&self.topics, suspect.topic), self.status.worker);
        metrics::topic_refused(topic, is_refused);
        if is_refused {
            let refused = vec![(topic.to_owned(), suspect.code.to_string())];
            self.status.update(|view| view.refused = refused);
            tracing::error!(worker, topic, error = %suspect.code, hint = hint(suspect.code), "a topic refuses records; nothing is committed until it takes them");
        } else {
            self.status.update(|view| view.refused.clear());
            tracing::info!(worker, topic, "the topic takes records again");
        }
    }
}
