//! The limit: what copying bytes costs at the best that librdkafka was found to do, in a process of its own.
//!
//! It reads the source in batches (`rd_kafka_consume_batch_queue`), parses nothing, and for each event produces to each
//! destination's topic as many records as groupcast does, with the event's key and a value of as many bytes as groupcast's
//! (a slice of one buffer), in one call a topic and batch (`rd_kafka_produce_batch`). How many and how long they are it has
//! learnt beforehand, from groupcast's router, and finds by the record's partition and offset. Every 100 ms it waits until
//! nothing is in flight and commits its offsets, as groupcast does. Clients have groupcast's settings, but for five produce requests under way; there is no group
//! to join, no metric, and no care for faults.

mod intake;

#[expect(dead_code, reason = "groupcast and its tests need the rest")]
#[path = "../../src/kafka/native.rs"]
mod native;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use groupcast::config::Config;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use self::intake::{Batch, Received};
use self::native::{Outgoing, ProducerTopic};
use crate::events::{self, N_PARTITIONS};
use crate::job::BASE;

/// The argument that makes this program the limit.
pub(crate) const COMMAND: &str = "limit";

const EPOCH: Duration = Duration::from_millis(100);
const LIMIT: Duration = Duration::from_secs(30);
/// Longer than any value that groupcast makes of the corpus.
const BUFFER: [u8; 16_384] = [b'x'; 16_384];

/// Runs until it is killed.
pub(crate) fn run(file: &str) {
    let (config, _) =
        Config::load(Path::new(file), &[]).unwrap_or_else(|faults| panic!("{file}: {faults:?}"));
    let mut copier = Copier::open(&config);
    let mut batch = Batch::of(&copier.consumer);
    let mut began = Instant::now();
    loop {
        batch.receive(Duration::from_millis(20));
        copier.copy(&batch);
        if began.elapsed() >= EPOCH {
            copier.commit();
            began = Instant::now();
        }
    }
}

struct Copier {
    consumer: BaseConsumer,
    producer: Arc<BaseProducer>,
    source: String,
    /// The outputs, in the destinations' order.
    topics: Vec<ProducerTopic<BaseProducer>>,
    /// What groupcast makes of each event: destination and length.
    emitted: Vec<Vec<(usize, usize)>>,
    /// What goes to each topic, of one batch: which record's key, and the value's length.
    lanes: Vec<Vec<(usize, usize)>>,
    outgoing: native::Batch,
    /// The next offset by partition, where it has moved since the last commit.
    next: Vec<Option<i64>>,
}

impl Copier {
    fn open(config: &Config) -> Copier {
        let source = config
            .source
            .topics
            .first()
            .expect("there is a source")
            .clone();
        let consumer: BaseConsumer = consumer_settings(config)
            .create()
            .expect("the settings are valid");
        let producer: Arc<BaseProducer> = Arc::new(
            producer_settings(config)
                .create()
                .expect("the settings are valid"),
        );
        let outputs = config
            .destinations
            .iter()
            .map(|instance| instance.topic.as_deref().expect("its topic is written"));
        let topics = outputs
            .map(|topic| ProducerTopic::new(&producer, topic).expect("it is a topic's name"))
            .collect();
        let emitted = events::emitted(config, BASE);
        consumer
            .assign(&list(&source, |_| Some(Offset::Beginning)))
            .expect("the partitions exist");
        let lanes = vec![Vec::new(); config.destinations.len()];
        let next = vec![None; usize::try_from(N_PARTITIONS).expect("partitions are few")];
        Copier {
            consumer,
            producer,
            source,
            topics,
            emitted,
            lanes,
            outgoing: native::Batch::default(),
            next,
        }
    }

    fn copy(&mut self, batch: &Batch) {
        self.lanes.iter_mut().for_each(Vec::clear);
        for (record, received) in batch.records().enumerate() {
            for (destination, length) in
                &self.emitted[events::index(received.partition, received.offset)]
            {
                self.lanes[*destination].push((record, *length));
            }
            self.next[usize::try_from(received.partition).expect("it is an index")] =
                Some(received.offset + 1);
        }
        let keys: Vec<Received<'_>> = batch.records().collect();
        for destination in 0..self.lanes.len() {
            self.produce(destination, &keys);
        }
        self.producer.poll(Duration::ZERO);
    }

    fn produce(&mut self, destination: usize, received: &[Received<'_>]) {
        let mut rest = &self.lanes[destination][..];
        while !rest.is_empty() {
            let records = rest.iter().map(|(record, length)| Outgoing {
                value: BUFFER.get(..*length),
                key: Some(received[*record].key),
                partition: None,
                opaque: 0,
            });
            self.outgoing.produce(&self.topics[destination], records);
            let n_taken = self.outgoing.results().take_while(Result::is_ok).count();
            if let Some(Err(error)) = self.outgoing.results().nth(n_taken) {
                assert_eq!(error, RDKafkaErrorCode::QueueFull);
                self.producer.poll(Duration::from_millis(5));
            }
            rest = &rest[n_taken..];
        }
    }

    fn commit(&mut self) {
        while self.producer.in_flight_count() > 0 {
            native::flush(self.producer.client(), Duration::from_millis(5));
            self.producer.poll(Duration::ZERO);
        }
        let offsets = list(&self.source, |partition| {
            self.next[partition].take().map(Offset::Offset)
        });
        if offsets.count() > 0 {
            native::commit(self.consumer.client(), &offsets, LIMIT)
                .expect("the coordinator takes the offsets");
        }
    }
}

fn list(topic: &str, mut offset: impl FnMut(usize) -> Option<Offset>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in 0..N_PARTITIONS {
        if let Some(offset) = offset(usize::try_from(partition).expect("partitions are few")) {
            let partition = i32::try_from(partition).expect("partitions are few");
            list.add_partition_offset(topic, partition, offset)
                .expect("it is an offset");
        }
    }
    list
}

fn consumer_settings(config: &Config) -> ClientConfig {
    let mut settings = common_settings(config);
    settings
        .set("group.id", &config.source.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    settings
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.queue.backoff.ms", "5");
    settings
        .set("fetch.min.bytes", "65536")
        .set("fetch.wait.max.ms", "50")
        .set("isolation.level", "read_committed");
    settings
}

fn producer_settings(config: &Config) -> ClientConfig {
    let mut settings = common_settings(config);
    settings
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "0");
    settings
        .set("linger.ms", "5")
        .set("batch.num.messages", "100000")
        .set("batch.size", "983052");
    settings
        .set("queue.buffering.max.kbytes", "65536")
        .set("partitioner", "murmur2_random");
    settings.set("delivery.report.only.error", "true");
    settings
}

fn common_settings(config: &Config) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", &config.kafka.brokers)
        .set("enable.metrics.push", "false");
    settings
}
