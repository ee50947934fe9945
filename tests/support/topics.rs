//! Topics of a cluster, as one who is not the worker sees them: created, read to the end, and how far a group has come.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::until;

const LIMIT: Duration = Duration::from_secs(60);

/// Creates a topic of so many partitions with its settings.
pub(crate) fn create(brokers: &str, n_partitions: usize, topic: &str, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().expect("the settings are valid");
    let count = i32::try_from(n_partitions).expect("partitions are few");
    let mut wanted = NewTopic::new(topic, count, TopicReplication::Fixed(-1));
    wanted.config = settings.to_vec();
    let options = AdminOptions::new().operation_timeout(Some(LIMIT)).request_timeout(Some(LIMIT));
    let created = block_on(admin.create_topics([&wanted], &options)).expect("the brokers answer");
    assert!(created.iter().all(Result::is_ok), "cannot create {topic}: {created:?}");
    // The controller has it; a broker learns of it a moment later.
    until(LIMIT, "the brokers know the new topic", || {
        let metadata = admin.inner().fetch_metadata(Some(topic), LIMIT).expect("the brokers answer");
        let n_led =
            metadata.topics().iter().flat_map(|topic| topic.partitions()).filter(|partition| partition.leader() >= 0).count();
        (n_led == n_partitions).then_some(())
    });
}

/// Deletes what is in a partition.
pub(crate) fn truncate(brokers: &str, topic: &str, partition: i32) {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().expect("the settings are valid");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::End).expect("the end is an offset");
    block_on(admin.delete_records(&list, &AdminOptions::new())).expect("the brokers answer");
}

/// Writes a record as a Java client would: to the partition of its key.
pub(crate) fn write(brokers: &str, topic: &str, key: &[u8], value: &[u8]) {
    let producer: BaseProducer = client(brokers).set("partitioner", "murmur2_random").create().expect("the settings are valid");
    assert!(producer.send(BaseRecord::to(topic).key(key).payload(value)).is_ok(), "an empty queue has room");
    producer.flush(LIMIT).expect("the brokers take the record");
}

/// Returns the key and value of the topic's record that is read last.
pub(crate) fn any_record(brokers: &str, topic: &str) -> (Vec<u8>, Vec<u8>) {
    let mut last = None;
    read(brokers, topic, |message| last = Some((message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec))));
    let Some((Some(key), Some(value))) = last else { panic!("{topic} holds no record") };
    (key, value)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be built").block_on(future)
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

/// Returns how many partitions a topic has.
pub(crate) fn n_partitions(brokers: &str, topic: &str) -> usize {
    partitions(&reader(brokers, "partitions"), topic).len()
}

/// The ends of some topics, asked for again and again.
pub(crate) struct Ends {
    reader: BaseConsumer,
    partitions: Vec<(String, i32)>,
}

impl Ends {
    /// The ends as a reader of committed records sees them: before the first transaction that is open.
    pub(crate) fn committed(brokers: &str, topics: &[String]) -> Ends {
        Ends::of(reader(brokers, "ends"), topics)
    }

    /// The ends of the logs themselves.
    pub(crate) fn of_logs(brokers: &str, topics: &[String]) -> Ends {
        let mut settings = client(brokers);
        settings.set("group.id", "ends").set("isolation.level", "read_uncommitted");
        Ends::of(settings.create().expect("the settings are valid"), topics)
    }

    fn of(reader: BaseConsumer, topics: &[String]) -> Ends {
        let of_one =
            |topic: &String| partitions(&reader, topic).into_iter().map(|partition| (topic.clone(), partition)).collect();
        let partitions = topics.iter().flat_map::<Vec<_>, _>(of_one).collect();
        Ends { reader, partitions }
    }

    /// Returns how many records all of them have taken.
    pub(crate) fn sum(&self) -> u64 {
        let end = |topic: &str, partition| self.reader.fetch_watermarks(topic, partition, LIMIT).expect("the brokers answer").1;
        let sum: i64 = self.partitions.iter().map(|(topic, partition)| end(topic, *partition)).sum();
        u64::try_from(sum).expect("offsets are not negative")
    }
}

/// Returns the next offset that a group has committed for each partition of a topic, 0 where it has none.
pub(crate) fn committed(brokers: &str, group: &str, topic: &str) -> BTreeMap<i32, i64> {
    let reader = reader(brokers, group);
    let mut list = TopicPartitionList::new();
    for partition in partitions(&reader, topic) {
        list.add_partition(topic, partition);
    }
    // Where the group is young, its coordinator may still be moving in.
    let committed = until(LIMIT, "the coordinator answers", || reader.committed_offsets(list.clone(), LIMIT).ok());
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
    // A broker says where the end is only after it has waited this long for more.
    settings.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10").create().expect("the settings are valid")
}

/// Returns what all clients of the tests have in common.
pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", brokers).set("allow.auto.create.topics", "false");
    settings
}
