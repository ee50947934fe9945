//! Topics of a cluster, as one who is not the worker sees them: created, read to the end, and how far a group has come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::until;

const LIMIT: Duration = Duration::from_secs(60);
/// A million events' records take minutes in a debug build.
const READ_LIMIT: Duration = Duration::from_secs(1800);

/// Settings of a new topic.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

/// Creates a topic of so many partitions with its settings.
pub(crate) fn create(brokers: &str, n_partitions: usize, topic: &str, settings: Settings<'_>) {
    create_all(brokers, n_partitions, &[(topic.to_owned(), settings)]);
}

/// Creates topics of so many partitions each, with their settings.
pub(crate) fn create_all(brokers: &str, n_partitions: usize, topics: &[(String, Settings<'_>)]) {
    create_with(brokers, n_partitions, topics, || {
        TopicReplication::Fixed(-1)
    });
}

/// Creates topics whose partitions have the nodes of these ids as their replicas; the first of each leads.
pub(crate) fn create_on<'a>(
    brokers: &str,
    replicas: &'a [&'a [i32]],
    topics: &'a [(String, Settings<'a>)],
) {
    create_with(brokers, replicas.len(), topics, || {
        TopicReplication::Variable(replicas)
    });
}

fn create_with<'a>(
    brokers: &str,
    n_partitions: usize,
    topics: &'a [(String, Settings<'a>)],
    replication: impl Fn() -> TopicReplication<'a>,
) {
    let admin = admin(brokers);
    let count = i32::try_from(n_partitions).expect("partitions are few");
    let wanted: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|(topic, settings)| NewTopic {
            config: settings.to_vec(),
            ..NewTopic::new(topic, count, replication())
        })
        .collect();
    let created = block_on(admin.create_topics(&wanted, &options())).expect("the brokers answer");
    assert!(
        created.iter().all(Result::is_ok),
        "cannot create topics: {created:?}"
    );
    // The controller has them; each broker learns of them a moment later. A new client asks the one that it was given.
    for broker in brokers.split(',') {
        until(LIMIT, "the brokers know the new topics", || {
            let metadata = self::admin(broker)
                .inner()
                .fetch_metadata(None, Duration::from_secs(10))
                .ok()?;
            let n_led = |topic: &MetadataTopic| {
                topic
                    .partitions()
                    .iter()
                    .filter(|partition| partition.leader() >= 0)
                    .count()
            };
            let is_there = |name: &String| {
                metadata
                    .topics()
                    .iter()
                    .any(|topic| topic.name() == name && n_led(topic) == n_partitions)
            };
            topics.iter().all(|(name, _)| is_there(name)).then_some(())
        });
    }
}

/// Deletes topics, and waits until no broker knows them.
pub(crate) fn delete(brokers: &str, topics: &[&str]) {
    let deleted =
        block_on(admin(brokers).delete_topics(topics, &options())).expect("the brokers answer");
    assert!(
        deleted.iter().all(Result::is_ok),
        "cannot delete topics: {deleted:?}"
    );
    // Each broker hears of it by itself, and takes records until then. A new client asks the only one that it knows.
    for (broker, topic) in brokers
        .split(',')
        .flat_map(|broker| topics.iter().map(move |topic| (broker, topic)))
    {
        until(LIMIT, "the topic is gone", || {
            partitions(admin(broker).inner(), topic, |_| true)?
                .is_empty()
                .then_some(())
        });
    }
}

/// Gives a topic more partitions.
pub(crate) fn grow(brokers: &str, topic: &str, n_partitions: usize) {
    let admin = admin(brokers);
    let grown =
        block_on(admin.create_partitions(&[NewPartitions::new(topic, n_partitions)], &options()));
    assert!(
        grown.is_ok_and(|results| results.iter().all(Result::is_ok)),
        "cannot grow {topic}"
    );
    until(LIMIT, "the new partitions have leaders", || {
        (partitions(admin.inner(), topic, |partition| partition.leader() >= 0)?.len()
            == n_partitions)
            .then_some(())
    });
}

/// Deletes a group that has no members, and its offsets with it.
pub(crate) fn delete_group(brokers: &str, group: &str) {
    let deleted =
        block_on(admin(brokers).delete_groups(&[group], &options())).expect("the brokers answer");
    assert!(
        deleted.iter().all(Result::is_ok),
        "cannot delete the group: {deleted:?}"
    );
}

/// Returns whether all of so many brokers are there, and every partition is where it should be.
pub(crate) fn is_whole(brokers: &str, n_brokers: usize) -> bool {
    let admin = admin(brokers);
    let Ok(metadata) = admin.inner().fetch_metadata(None, Duration::from_secs(10)) else {
        return false;
    };
    let mut partitions = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions());
    metadata.brokers().len() == n_brokers
        && partitions.all(|partition| {
            partition.leader() >= 0 && partition.isr().len() == partition.replicas().len()
        })
}

/// Returns the index of the broker that leads a partition.
pub(crate) fn leader(brokers: &str, topic: &str, partition: i32) -> usize {
    until(LIMIT, "the partition has a leader", || {
        let metadata = admin(brokers)
            .inner()
            .fetch_metadata(Some(topic), Duration::from_secs(10))
            .ok()?;
        let found = metadata
            .topics()
            .first()?
            .partitions()
            .iter()
            .find(|found| found.id() == partition)?
            .leader();
        usize::try_from(found - 1).ok()
    })
}

fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    client(brokers).create().expect("the settings are valid")
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(LIMIT))
        .request_timeout(Some(LIMIT))
}

/// Deletes what is in a partition.
pub(crate) fn truncate(brokers: &str, topic: &str, partition: i32) {
    truncate_to(brokers, topic, partition, Offset::End);
}

/// Deletes what is in a partition before an offset.
pub(crate) fn truncate_to(brokers: &str, topic: &str, partition: i32, offset: Offset) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, offset)
        .expect("it is an offset");
    block_on(admin(brokers).delete_records(&list, &options())).expect("the brokers answer");
}

/// Writes a record as a Java client would: to the partition of its key.
pub(crate) fn write(brokers: &str, topic: &str, key: &[u8], value: &[u8]) {
    let producer: BaseProducer = client(brokers)
        .set("partitioner", "murmur2_random")
        .create()
        .expect("the settings are valid");
    assert!(
        producer
            .send(BaseRecord::to(topic).key(key).payload(value))
            .is_ok(),
        "an empty queue has room"
    );
    producer.flush(LIMIT).expect("the brokers take the record");
}

/// Returns the key and value of the topic's record that is read last.
pub(crate) fn any_record(brokers: &str, topic: &str) -> (Vec<u8>, Vec<u8>) {
    let mut last = None;
    read(brokers, topic, |message| {
        last = Some((
            message.key().map(<[u8]>::to_vec),
            message.payload().map(<[u8]>::to_vec),
        ))
    });
    let Some((Some(key), Some(value))) = last else {
        panic!("{topic} holds no record")
    };
    (key, value)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be built")
        .block_on(future)
}

/// Lends every record of a topic that is committed, each partition in its order, to the end that it has now.
pub(crate) fn read(brokers: &str, topic: &str, take: impl FnMut(&BorrowedMessage<'_>)) {
    let began = Instant::now();
    assert!(
        Tail::of(brokers, topic).read_on(take, || began.elapsed() > READ_LIMIT),
        "{topic} cannot be read to its end"
    );
}

/// A reader of a topic's committed records that goes on where it stopped.
pub(crate) struct Tail {
    reader: BaseConsumer,
    pub(crate) topic: String,
    /// Where to go on, by partition.
    next: BTreeMap<i32, Offset>,
}

impl Tail {
    pub(crate) fn of(brokers: &str, topic: &str) -> Tail {
        let reader = reader(brokers, &super::unique("reader"));
        let partitions = until(LIMIT, "the brokers tell the partitions", || {
            partitions(reader.client(), topic, |_| true).filter(|partitions| !partitions.is_empty())
        });
        let next = partitions
            .into_iter()
            .map(|partition| (partition, Offset::Beginning))
            .collect();
        Tail {
            reader,
            topic: topic.to_owned(),
            next,
        }
    }

    /// Lends every record from where it stopped to the end of each partition. Returns whether it got there before it was told
    /// to give up; what it has read it has read.
    pub(crate) fn read_on(
        &mut self,
        mut take: impl FnMut(&BorrowedMessage<'_>),
        give_up: impl Fn() -> bool,
    ) -> bool {
        // It may have been given more.
        for partition in partitions(self.reader.client(), &self.topic, |_| true).unwrap_or_default()
        {
            self.next.entry(partition).or_insert(Offset::Beginning);
        }
        let mut list = TopicPartitionList::new();
        for (partition, next) in &self.next {
            list.add_partition_offset(&self.topic, *partition, *next)
                .expect("it is an offset");
        }
        // Assigned anew each time: only then every partition says again that it is at its end.
        self.reader.assign(&list).expect("the partitions exist");
        let mut open: BTreeSet<i32> = self.next.keys().copied().collect();
        while !open.is_empty() {
            match self.reader.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    take(&message);
                    self.next
                        .insert(message.partition(), Offset::Offset(message.offset() + 1));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                // The client tries again by itself; where it does so in vain the caller gives up.
                Some(Err(_)) | None => {}
            }
            if give_up() {
                return false;
            }
        }
        true
    }
}

/// Returns how many partitions a topic has.
pub(crate) fn n_partitions(brokers: &str, topic: &str) -> usize {
    all_partitions(&reader(brokers, "partitions"), topic).len()
}

/// The ends of some topics, asked for again and again.
pub(crate) struct Ends {
    reader: BaseConsumer,
    topics: Vec<String>,
}

impl Ends {
    /// The ends as a reader of committed records sees them: before the first transaction that is open.
    pub(crate) fn committed(brokers: &str, topics: &[String]) -> Ends {
        Ends {
            reader: reader(brokers, "ends"),
            topics: topics.to_vec(),
        }
    }

    /// The ends of the logs themselves.
    pub(crate) fn of_logs(brokers: &str, topics: &[String]) -> Ends {
        let mut settings = client(brokers);
        settings
            .set("group.id", "ends")
            .set("isolation.level", "read_uncommitted");
        Ends {
            reader: settings.create().expect("the settings are valid"),
            topics: topics.to_vec(),
        }
    }

    /// Returns the end of every partition, by the topic's index; `None` while a broker does not answer.
    pub(crate) fn now(&self) -> Option<BTreeMap<(usize, i32), i64>> {
        let mut ends = BTreeMap::new();
        for (index, topic) in self.topics.iter().enumerate() {
            for partition in partitions(self.reader.client(), topic, |_| true)? {
                let (_, end) = self
                    .reader
                    .fetch_watermarks(topic, partition, Duration::from_secs(5))
                    .ok()?;
                ends.insert((index, partition), end);
            }
        }
        Some(ends)
    }

    /// Returns how many records all of them have taken.
    pub(crate) fn sum(&self) -> u64 {
        let sum: i64 = until(LIMIT, "the brokers tell the ends", || self.now())
            .values()
            .sum();
        u64::try_from(sum).expect("offsets are not negative")
    }
}

/// Returns the next offset that a group has committed for each partition of a topic, 0 where it has none.
pub(crate) fn committed(brokers: &str, group: &str, topic: &str) -> BTreeMap<i32, i64> {
    // Where the group is young, its coordinator may still be moving in.
    let committed = Committed::of(brokers, group, topic);
    until(LIMIT, "the coordinator answers", || committed.now())
}

/// Commits an offset for a group that has no members.
pub(crate) fn commit(brokers: &str, group: &str, topic: &str, partition: i32, next: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(next))
        .expect("it is an offset");
    reader(brokers, group)
        .commit(&list, CommitMode::Sync)
        .expect("the coordinator takes it");
}

/// What a group has committed, asked for again and again.
pub(crate) struct Committed {
    reader: BaseConsumer,
    group: String,
    topic: String,
}

impl Committed {
    pub(crate) fn of(brokers: &str, group: &str, topic: &str) -> Committed {
        Committed {
            reader: reader(brokers, group),
            group: group.to_owned(),
            topic: topic.to_owned(),
        }
    }

    /// Returns the next offset of each partition, 0 where there is none; `None` while nobody answers.
    pub(crate) fn now(&self) -> Option<BTreeMap<i32, i64>> {
        let mut list = TopicPartitionList::new();
        for partition in partitions(self.reader.client(), &self.topic, |_| true)? {
            list.add_partition(&self.topic, partition);
        }
        let committed = self
            .reader
            .committed_offsets(list, Duration::from_secs(5))
            .ok()?;
        let offset = |offset| {
            if let Offset::Offset(next) = offset {
                next
            } else {
                0
            }
        };
        let elements = committed.elements();
        elements
            .iter()
            .map(|element| {
                Some((
                    element.partition(),
                    offset(element.error().map(|()| element.offset()).ok()?),
                ))
            })
            .collect()
    }

    /// Returns how many members of the group have partitions; `None` while nobody answers.
    pub(crate) fn n_assigned_members(&self) -> Option<usize> {
        let groups = self
            .reader
            .client()
            .fetch_group_list(Some(&self.group), Duration::from_secs(5))
            .ok()?;
        // A version of two bytes comes first, then the number of topics in four.
        let has_topics =
            |assignment: &[u8]| assignment.get(2..6).is_some_and(|count| count != [0; 4]);
        let members = groups.groups().iter().flat_map(|group| group.members());
        Some(
            members
                .filter(|member| member.assignment().is_some_and(has_topics))
                .count(),
        )
    }

    /// Returns how many records all partitions together are committed.
    pub(crate) fn sum(&self) -> Option<u64> {
        u64::try_from(self.now()?.values().sum::<i64>()).ok()
    }
}

fn all_partitions(reader: &BaseConsumer, topic: &str) -> Vec<i32> {
    until(LIMIT, "the brokers tell the partitions", || {
        partitions(reader.client(), topic, |_| true)
    })
}

/// Returns the partitions of a topic that `is_wanted`, none where there is no such topic; `None` while nobody answers.
fn partitions<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    is_wanted: impl Fn(&MetadataPartition) -> bool,
) -> Option<Vec<i32>> {
    let metadata = client
        .fetch_metadata(Some(topic), Duration::from_secs(10))
        .ok()?;
    let partitions = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions());
    Some(
        partitions
            .filter(|partition| is_wanted(partition))
            .map(MetadataPartition::id)
            .collect(),
    )
}

fn reader(brokers: &str, group: &str) -> BaseConsumer {
    let mut settings = client(brokers);
    settings
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed");
    // A broker says where the end is only after it has waited this long for more.
    settings
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10")
        .create()
        .expect("the settings are valid")
}

/// Returns what all clients of the tests have in common.
pub(crate) fn client(brokers: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", brokers)
        .set("allow.auto.create.topics", "false");
    settings
}
