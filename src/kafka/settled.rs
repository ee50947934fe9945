//! What can be judged of topics that are still written to: how far the group has come, and where topics end once every
//! transaction that is open now is over.

use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::ledger;
use super::lookup::{Lookup, offsets_at};
use crate::config::Config;
use crate::kafka::consumer_settings;
use crate::kafka::fault::{Call, Fault};
use crate::kafka::range::Range;

/// How long an open transaction is waited for. A broker aborts one after `transaction.timeout.ms`, by default 30 s, and looks
/// every ten seconds (`transaction.abort.timed.out.transaction.cleanup.interval.ms`).
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(100);

impl Lookup {
    /// Returns what each partition of `topics` holds for readers of committed records.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a topic does not exist or no broker answers.
    pub fn held(&self, topics: &[String]) -> Result<Vec<Range>, Fault> {
        let mut held = self.partitions(topics)?;
        let from = offsets_at(self.consumer(), &held, Offset::Beginning)?;
        let to = offsets_at(self.consumer(), &held, Offset::End)?;
        for (range, (from, to)) in held.iter_mut().zip(from.into_iter().zip(to)) {
            range.from = from.unwrap_or_default();
            range.to = to.unwrap_or_default().max(range.from);
        }
        Ok(held)
    }

    /// Returns what each partition of `topics` holds up to where it ends now, open transactions included, once all of those are
    /// over.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a transaction stays open, where a topic does not exist, or where no broker answers.
    pub fn settled(&self, config: &Config, topics: &[String]) -> Result<Vec<Range>, Fault> {
        let mut settings = consumer_settings(config, 0);
        settings.remove("group.instance.id");
        settings.set("isolation.level", "read_uncommitted");
        let of_logs: BaseConsumer = settings
            .create()
            .map_err(|error| Fault::of(Call::Open, &error))?;
        let until = Instant::now() + PATIENCE;
        let ends = offsets_at(&of_logs, &self.partitions(topics)?, Offset::End)?;
        loop {
            let mut held = self.held(topics)?;
            let mut open = None;
            for (range, end) in held.iter_mut().zip(&ends) {
                let end = end.unwrap_or_default();
                if range.to < end {
                    open = Some(format!("{}/{}", range.topic, range.partition));
                }
                range.to = range.to.min(end).max(range.from);
            }
            match open {
                None => return Ok(held),
                Some(place) if Instant::now() > until => {
                    return Err(Fault::Fatal(format!(
                        "{place}: a transaction has been open for {} s; nothing behind it can be read until it is over",
                        PATIENCE.as_secs()
                    )));
                }
                Some(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Returns the offset that the group of `config` has committed for each partition of the source; `None` where it has none.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a topic does not exist, or where the coordinator does not answer.
    pub fn committed(&self, config: &Config) -> Result<Vec<(Range, Option<i64>)>, Fault> {
        let partitions = self.partitions(&config.source.topics)?;
        let fatal = |error| Fault::Fatal(format!("group {}: {error}", config.source.group_id));
        let mut wanted = TopicPartitionList::new();
        for range in &partitions {
            wanted
                .add_partition_offset(&range.topic, range.partition, Offset::Invalid)
                .map_err(fatal)?;
        }
        let found = ledger::committed(self.consumer(), &config.source.group_id, &wanted)?;
        let mut committed = Vec::with_capacity(partitions.len());
        for range in partitions {
            let element = found.find_partition(&range.topic, range.partition);
            let offset = element
                .map(|element| element.error().map(|()| element.offset()))
                .transpose()
                .map_err(fatal)?;
            let next = if let Some(Offset::Offset(next)) = offset {
                Some(next)
            } else {
                None
            };
            committed.push((range, next));
        }
        Ok(committed)
    }
}
