//! What a consumer calls back: rebalances, errors, log lines, statistics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use super::answer;
use crate::kafka::ClientLog;
use crate::kafka::ends::Rebalance;
use crate::status::Status;

/// Takes note of rebalances for the worker, and passes on what the client says.
pub(super) struct SourceContext {
    log: ClientLog,
    status: Arc<Status>,
    wanted: Mutex<Option<Rebalance>>,
    pub(super) is_closing: AtomicBool,
}

impl SourceContext {
    pub(super) fn new(status: Arc<Status>) -> SourceContext {
        let log = ClientLog::new("consumer", status.worker);
        SourceContext {
            log,
            status,
            wanted: Mutex::default(),
            is_closing: AtomicBool::new(false),
        }
    }

    pub(super) fn wanted(&self) -> MutexGuard<'_, Option<Rebalance>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for SourceContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.log.line(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(&error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.status.consumer.post(statistics);
    }
}

impl ConsumerContext for SourceContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
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
