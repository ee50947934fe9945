//! The output topics as the broker has them: that they exist, how many partitions, how large a record each takes.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

use crate::config::Config;
use crate::kafka::fault::{Call, Fault};
use crate::kafka::{REQUEST_TIMEOUT, common_settings};

/// What a broker takes if nobody changed it: Kafka's own default of `max.message.bytes`.
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 1_048_588;

/// librdkafka's own default and sensible maximum of a batch.
const MAX_BATCH_BYTES: usize = 1_000_000;

/// What is known of the output topics, in the router's order.
#[derive(Debug, Clone)]
pub struct Topics {
    /// Their names.
    pub names: Vec<String>,
    /// The largest record batch that each takes.
    pub max_message_bytes: Vec<usize>,
}

impl Topics {
    /// Asks the broker about the output topics.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a topic is missing (all of them are named, with the command that creates each) or where no
    /// broker answers.
    pub fn check(config: &Config, names: &[String]) -> Result<Topics, Fault> {
        let admin: AdminClient<DefaultClientContext> =
            settings(config).create().map_err(|error| Fault::of(Call::Open, &error))?;
        let partitions = source_partitions(admin.inner(), config)?;
        let mut missing = Vec::new();
        for name in names {
            if known_partitions(admin.inner(), config, name)?.is_none() {
                missing.push(create_command(config, name, partitions));
            }
        }
        if !missing.is_empty() {
            return Err(Fault::Fatal(format!("output topics do not exist; create them:\n{}", missing.join("\n"))));
        }
        Ok(Topics { names: names.to_vec(), max_message_bytes: limits(&admin, names) })
    }

    /// Returns `names` with Kafka's own limits, for a cluster that was just made and cannot be asked, as the embedded one.
    #[must_use]
    pub fn assume(names: &[String]) -> Topics {
        Topics { names: names.to_vec(), max_message_bytes: vec![DEFAULT_MAX_MESSAGE_BYTES; names.len()] }
    }

    /// Returns the largest limit: a record for that topic must be able to leave.
    #[must_use]
    pub fn largest_limit(&self) -> usize {
        self.max_message_bytes.iter().copied().max().unwrap_or(DEFAULT_MAX_MESSAGE_BYTES)
    }

    /// Returns a batch size that every topic takes: the limit is the batch's, and librdkafka has one size for all topics.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        let smallest = self.max_message_bytes.iter().copied().min().unwrap_or(DEFAULT_MAX_MESSAGE_BYTES);
        (smallest - smallest / 16).clamp(1, MAX_BATCH_BYTES)
    }
}

fn settings(config: &Config) -> ClientConfig {
    let mut settings = ClientConfig::new();
    common_settings(&mut settings, config, 0);
    for (name, value) in config.kafka.properties.iter() {
        settings.set(name, value);
    }
    settings
}

/// Returns the most partitions that a source topic has.
fn source_partitions<C: ClientContext>(client: &Client<C>, config: &Config) -> Result<usize, Fault> {
    let mut most = 1;
    for topic in &config.source.topics {
        let count = known_partitions(client, config, topic)?;
        most = most.max(count.ok_or_else(|| Fault::Fatal(format!("source topic does not exist: {topic}")))?);
    }
    Ok(most)
}

fn known_partitions<C: ClientContext>(client: &Client<C>, config: &Config, topic: &str) -> Result<Option<usize>, Fault> {
    partition_count(client, topic)
        .map_err(|detail| Fault::Fatal(format!("{detail}; kafka.brokers is {}", config.kafka.brokers)))
}

/// Returns how many partitions a topic has, none if it does not exist.
pub(crate) fn partition_count<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<Option<usize>, String> {
    let metadata = client
        .fetch_metadata(Some(topic), REQUEST_TIMEOUT)
        .map_err(|error| format!("no broker answers about topic {topic}: {error}"))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(Some(found.partitions().len())),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
        Some(code) => Err(format!("topic {topic}: {code}")),
    }
}

fn create_command(config: &Config, topic: &str, partitions: usize) -> String {
    let brokers = &config.kafka.brokers;
    format!("  kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions {partitions}")
}

/// Returns each topic's `max.message.bytes`; the default, and a log line, where the broker does not tell.
fn limits(admin: &AdminClient<DefaultClientContext>, names: &[String]) -> Vec<usize> {
    let described = describe(admin, names).unwrap_or_else(|error| {
        tracing::info!(error, assumed = DEFAULT_MAX_MESSAGE_BYTES, "the broker does not tell its topics' limits");
        Vec::new()
    });
    names.iter().map(|name| limit(&described, name).unwrap_or(DEFAULT_MAX_MESSAGE_BYTES)).collect()
}

fn limit(described: &[ConfigResource], name: &str) -> Option<usize> {
    let is_it =
        |resource: &&ConfigResource| matches!(&resource.specifier, OwnedResourceSpecifier::Topic(topic) if topic == name);
    let entry = described.iter().find(is_it)?.get("max.message.bytes")?;
    entry.value.as_deref()?.parse().ok()
}

fn describe(admin: &AdminClient<DefaultClientContext>, names: &[String]) -> Result<Vec<ConfigResource>, String> {
    let resources: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
    let answer = runtime.block_on(admin.describe_configs(&resources, &options)).map_err(|error| error.to_string())?;
    answer.into_iter().collect::<Result<_, _>>().map_err(|code| code.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(limits: &[usize]) -> Topics {
        Topics { names: Vec::new(), max_message_bytes: limits.to_vec() }
    }

    #[test]
    fn a_batch_fits_the_smallest_topic_and_a_record_the_largest() {
        assert_eq!(topics(&[1_048_588, 10_485_760]).batch_size(), 983_052);
        assert_eq!(topics(&[1_048_588, 10_485_760]).largest_limit(), 10_485_760);
        assert_eq!(topics(&[20_000_000]).batch_size(), 1_000_000);
        assert_eq!(topics(&[1600]).batch_size(), 1500);
    }
}
