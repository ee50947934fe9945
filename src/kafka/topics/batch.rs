//! How large a batch may be: a topic's limit is its batches', and one producer has one size for all topics.

use std::sync::atomic::{AtomicUsize, Ordering};

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;

use super::{DEFAULT_MAX_MESSAGE_BYTES, Topics, UNTOLD, admin, describe_settings, limit, told};
use crate::config::Config;

/// librdkafka's own default and sensible maximum of a batch.
const MAX_BATCH_BYTES: usize = 1_000_000;

impl Topics {
    /// Returns a batch size that every topic takes: the limit is the batch's, and librdkafka has one size for all topics.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        let smallest = self.limits().min().unwrap_or(DEFAULT_MAX_MESSAGE_BYTES);
        let refused = self.batch_bytes.iter().filter_map(told).min();
        batch_below(smallest).min(refused.unwrap_or(MAX_BATCH_BYTES))
    }

    /// Takes note that a topic refused a batch of at most `bytes` as too large: its limit was lowered.
    pub(in crate::kafka) fn note_refused_batch(&self, topic: usize, bytes: usize) {
        if let Some(refused) = self.refused_batch_bytes.get(topic) {
            refused.store(bytes, Ordering::Relaxed);
        }
    }

    /// Asks for the limits of the topics that once refused a batch, so that batches grow again where a limit was raised.
    pub(super) fn learn_raised_limits(&self, admin: &AdminClient<DefaultClientContext>) {
        let lowered: Vec<(&String, &AtomicUsize)> = self
            .names
            .iter()
            .zip(&self.batch_bytes)
            .filter(|(_, bytes)| told(bytes).is_some())
            .collect();
        if lowered.is_empty() {
            return;
        }
        let names: Vec<String> = lowered.iter().map(|(name, _)| (*name).clone()).collect();
        let described = describe_settings(admin, &names).unwrap_or_default();
        for (name, known) in lowered {
            if let Some(bytes) = limit(&described, name).map(batch_below) {
                known.store(bytes, Ordering::Relaxed);
            }
        }
    }

    /// Finds a smaller batch for each topic that refused one: as the broker tells now, or half as large where it does not. Records
    /// that do not fit alone wait for the limit to be raised again.
    pub(in crate::kafka) fn settle_refused_batches(&self, config: &Config) {
        let take = |refused: &AtomicUsize| {
            Some(refused.swap(UNTOLD, Ordering::Relaxed)).filter(|bytes| *bytes != UNTOLD)
        };
        let refused: Vec<(usize, usize)> = self
            .refused_batch_bytes
            .iter()
            .map(take)
            .enumerate()
            .filter_map(|(topic, bytes)| Some((topic, bytes?)))
            .collect();
        if refused.is_empty() {
            return;
        }
        let names: Vec<String> = refused
            .iter()
            .filter_map(|(topic, _)| self.names.get(*topic).cloned())
            .collect();
        let asked = admin(config)
            .map_err(|fault| fault.to_string())
            .and_then(|admin| describe_settings(&admin, &names));
        let described = asked.unwrap_or_else(|error| {
            tracing::debug!(error, "the broker does not tell its topics' limits");
            Vec::new()
        });
        for (topic, bytes) in refused {
            let (Some(name), Some(known)) = (self.names.get(topic), self.batch_bytes.get(topic))
            else {
                continue;
            };
            let smaller = limit(&described, name)
                .map_or(bytes / 2, batch_below)
                .max(1);
            known.store(smaller, Ordering::Relaxed);
            tracing::warn!(
                topic = name,
                bytes = smaller,
                "a topic takes smaller batches than before; batches follow"
            );
        }
    }
}

/// Returns a size that leaves room for what a batch has besides its records.
fn batch_below(limit: usize) -> usize {
    (limit - limit / 16).clamp(1, MAX_BATCH_BYTES)
}
