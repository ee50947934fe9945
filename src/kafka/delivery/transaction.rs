//! Exactly once: an epoch's records and its offsets in one transaction.
//!
//! The transaction begins with an epoch's first record. Whatever goes wrong with it, the epoch is undone and the producer
//! given up; the next one, of the same transactional id, ends on the broker what is still open before the offsets are read.

use std::time::Instant;

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::{Delivery, DeliveryContext};
use crate::config::Guarantee;
use crate::kafka::REQUEST_TIMEOUT;
use crate::kafka::fault::{Call, Cause, Fault};

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

impl Delivery {
    /// Ends what an earlier producer of this transactional id left open, and fences it.
    pub(super) fn init_transactions(&self) -> Result<(), Fault> {
        if !self.transaction.is_used() {
            return Ok(());
        }
        self.call("init transactions", |producer| {
            producer.init_transactions(REQUEST_TIMEOUT)
        })
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
    pub(super) fn commit_with(
        &mut self,
        offsets: &TopicPartitionList,
        member: &ConsumerGroupMetadata,
    ) -> Result<(), Fault> {
        self.begin_transaction()?;
        self.call("send offsets to transaction", |producer| {
            producer.send_offsets_to_transaction(offsets, member, REQUEST_TIMEOUT)
        })?;
        // From here on nothing but the broker knows; the transaction is no longer ours to abort.
        self.transaction = Transaction::Closed;
        self.call("commit transaction", |producer| {
            producer.commit_transaction(REQUEST_TIMEOUT)
        })
    }

    /// Aborts the transaction if one is open. Returns whether it is certain that none is open now.
    pub(super) fn abort_transaction(&mut self) -> bool {
        if self.transaction != Transaction::Open {
            return true;
        }
        self.transaction = Transaction::Closed;
        self.purge();
        let result = self.call("abort transaction", |producer| {
            producer.abort_transaction(REQUEST_TIMEOUT)
        });
        if let Err(fault) = &result {
            // The next producer aborts it, or the broker at its timeout.
            tracing::warn!(worker = self.status.worker, error = %fault, "a transaction could not be aborted");
        }
        result.is_ok()
    }

    /// Makes a transactional call, again with the same arguments while librdkafka calls its error retriable.
    fn call(
        &self,
        name: &'static str,
        call: impl Fn(&BaseProducer<DeliveryContext>) -> KafkaResult<()>,
    ) -> Result<(), Fault> {
        let until = Instant::now() + REQUEST_TIMEOUT;
        loop {
            match self.status.call(name, || call(&self.producer)) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && Instant::now() < until =>
                {
                    tracing::debug!(worker = self.status.worker, call = name, error = %error, "tried again");
                }
                Err(error) => return Err(Fault::of(Call::Transaction, &error)),
            }
        }
    }

    /// Returns why this producer failed, as far as it says so.
    ///
    /// librdkafka tells of a failed transaction only who makes a call that is not allowed then, as to begin another; that is never
    /// allowed while one is open, so that it does nothing.
    pub(super) fn failure(&self) -> Failure {
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            let detail = format!("the producer cannot go on: {reason}");
            return Failure {
                code,
                fault: Fault::Rewind {
                    cause: Cause::Producer,
                    detail,
                },
            };
        }
        if self.transaction != Transaction::Open {
            let detail = "the producer cannot go on".to_owned();
            return Failure {
                code: RDKafkaErrorCode::Unknown,
                fault: Fault::Rewind {
                    cause: Cause::Producer,
                    detail,
                },
            };
        }
        let refused = self
            .status
            .call("begin transaction", || self.producer.begin_transaction());
        let error = refused.err().unwrap_or(KafkaError::Canceled);
        let code = error
            .rdkafka_error_code()
            .unwrap_or(RDKafkaErrorCode::Unknown);
        Failure {
            code,
            fault: Fault::of(Call::Transaction, &error),
        }
    }
}

/// Why a producer failed.
pub(super) struct Failure {
    pub(super) code: RDKafkaErrorCode,
    pub(super) fault: Fault,
}
