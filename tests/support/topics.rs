//! Topics of a cluster, as one who is not the worker sees them: created, read to the end, and how far a group has come.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

const LIMIT: Duration = Duration::from_secs(60);

/// Creates topics of so many partitions, each with its settings.
pub(crate) fn create(brokers: &str, n_partitions: usize, topics: &[(&str, &[(&str, &str)])]) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().expect("the settings are valid");
    let wanted = topics.iter().map(|(name, settings)| NewTopic {
        name,
        num_partitions: i32::try_from(n_partitions).expect("partitions are few"),
        replication: TopicReplication::Fixed(-1),
        config: settings.to_vec(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be built");
    let wanted: Vec<NewTopic<'_>> = wanted.collect();
    let options = AdminOptions::new().operation_timeout(Some(LIMIT)).request_timeout(Some(LIMIT));
    for created in runtime.block_on(admin.create_topics(&wanted, &options)).expect("the brokers answer") {
        created.unwrap_or_else(|(topic, code)| panic!("cannot create {topic}: {code}"));
    }
}

/// Lends every record of a topic that is committed, each partition in its order, to the end that it has now.
pub(crate) fn read(brokers: &str, topic: &str, mut take: impl FnMut(&BorrowedMessage<'_>)) {
    let reader = reader(brokers, &super::unique("reader"));
    let partitions = partitions(&reader, topic);
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning).expect("the beginning is an offset");
    }
    reader.assign(&list).expect("the partitions exist");
    let mut n_open = partitions.len();
    let mut seen = Instant::now();
    while n_open > 0 {
        assert!(seen.elapsed() < LIMIT, "{topic}: nothing to read for {LIMIT:?}, and {n_open} partitions not at their end");
        match reader.poll(Duration::from_millis(100)) {
            None => continue,
            Some(Ok(message)) => take(&message),
            Some(Err(KafkaError::PartitionEOF(_))) => n_open -= 1,
            Some(Err(error)) => panic!("cannot read {topic}: {error}"),
        }
        seen = Instant::now();
    }
}

/// Returns the end offset of each partition of a topic.
pub(crate) fn ends(brokers: &str, topic: &str) -> BTreeMap<i32, i64> {
    let reader = reader(brokers, "ends");
    let end = |partition| reader.fetch_watermarks(topic, partition, LIMIT).expect("the brokers answer").1;
    partitions(&reader, topic).into_iter().map(|partition| (partition, end(partition))).collect()
}

/// Returns the next offset that a group has committed for each partition of a topic, 0 where it has none.
pub(crate) fn committed(brokers: &str, group: &str, topic: &str) -> BTreeMap<i32, i64> {
    let reader = reader(brokers, group);
    let mut list = TopicPartitionList::new();
    for partition in partitions(&reader, topic) {
        list.add_partition(topic, partition);
    }
    let committed = reader.committed_offsets(list, LIMIT).expect("the brokers answer");
    let offset = |offset| if let Offset::Offset(next) = offset { next } else { 0 };
    committed.elements().iter().map(|element| (element.partition(), offset(element.offset()))).collect()
}

fn partitions(reader: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = reader.fetch_metadata(Some(topic), LIMIT).expect("the brokers answer");
    metadata.topics().iter().flat_map(|topic| topic.partitions()).map(rdkafka::metadata::MetadataPartition::id).collect()
}

fn reader(brokers: &str, group: &str) -> BaseConsumer {
    let mut settings = client(brokers);
    settings.set("group.id", group).set("enable.auto.commit", "false").set("isolation.level", "read_committed");
    settings.set("enable.partition.eof", "true").create().expect("the settings are valid")
}

/// Returns what all clients of the tests have in common.
pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
    settings
}
