//! The source topic: the mix of events is written to it, and which event stands where is remembered.

use std::sync::Mutex;
use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, error::KafkaError};

use super::generator::Recipe;
use super::topics::{self, Ends};
use super::until;

/// Past any outage that a test makes.
const LIMIT: Duration = Duration::from_secs(400);

/// Stands where a transaction was aborted, for its records and for its end.
const NOTHING: u64 = u64::MAX;

/// A source topic and the events in it.
pub(crate) struct Source {
    pub(crate) topic: String,
    /// The index of the event at each partition and offset; [`NOTHING`] where readers of committed records see none.
    pub(crate) events: Vec<Vec<u64>>,
    /// Whether nine events in ten are of one group.
    pub(crate) is_hot: bool,
    next: u64,
    producer: BaseProducer<Refusals>,
}

impl Source {
    /// Creates the topic.
    pub(crate) fn create(brokers: &str, topic: &str, n_partitions: usize) -> Source {
        topics::create(brokers, n_partitions, topic, &[]);
        let mut settings = topics::client(brokers);
        settings
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .set("compression.type", "lz4");
        // However long the brokers are away: an event that is remembered must be there.
        settings.set("message.timeout.ms", "0");
        let producer = settings
            .create_with_context(Refusals::default())
            .expect("the settings are valid");
        Source {
            topic: topic.to_owned(),
            events: vec![Vec::new(); n_partitions],
            is_hot: false,
            next: 0,
            producer,
        }
    }

    /// Gives the topic more partitions: later events of many groups go to others than before.
    pub(crate) fn grow(&mut self, brokers: &str, n_partitions: usize) {
        topics::grow(brokers, &self.topic, n_partitions);
        self.events.resize(n_partitions, Vec::new());
        // The producer refuses a partition that it has not heard of, and by itself asks every few minutes.
        until(LIMIT, "the producer knows the new partitions", || {
            let metadata = self
                .producer
                .client()
                .fetch_metadata(Some(&self.topic), LIMIT)
                .ok()?;
            (metadata.topics().first()?.partitions().len() == n_partitions).then_some(())
        });
    }

    /// Returns where its partitions end.
    pub(crate) fn ends(&self) -> Vec<usize> {
        self.events.iter().map(Vec::len).collect()
    }

    /// Returns how many offsets there are, with and without an event.
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.ends().iter().sum::<usize>()).expect("tests are smaller")
    }

    /// Returns how many events were written.
    pub(crate) fn n_events(&self) -> u64 {
        let events = self
            .events
            .iter()
            .flatten()
            .filter(|index| **index != NOTHING);
        u64::try_from(events.count()).expect("tests are smaller")
    }

    /// Returns the event at an offset; `None` where there is none.
    pub(crate) fn event(&self, partition: usize, offset: usize) -> Option<Recipe> {
        self.events
            .get(partition)?
            .get(offset)
            .filter(|index| **index != NOTHING)
            .map(|index| Recipe::of(*index))
    }

    /// Begins a transaction with a record in every partition. Until [`Source::abort`] readers of committed records see
    /// nothing of what follows.
    pub(crate) fn begin(&mut self, brokers: &str) -> BaseProducer {
        let mut settings = topics::client(brokers);
        settings.set("transactional.id", super::unique("source"));
        let producer: BaseProducer = settings.create().expect("the settings are valid");
        producer
            .init_transactions(LIMIT)
            .expect("the coordinator answers");
        producer.begin_transaction().expect("none is open");
        for (partition, events) in self.events.iter_mut().enumerate() {
            let partition = i32::try_from(partition).expect("partitions are few");
            let record = BaseRecord::<str, str>::to(&self.topic)
                .partition(partition)
                .payload("never committed");
            assert!(producer.send(record).is_ok(), "an empty queue has room");
            events.push(NOTHING);
        }
        producer.flush(LIMIT).expect("the brokers take the records");
        producer
    }

    /// Aborts what [`Source::begin`] has begun.
    pub(crate) fn abort(&mut self, brokers: &str, producer: &BaseProducer) {
        producer.abort_transaction(LIMIT).expect("it is open");
        self.events
            .iter_mut()
            .for_each(|events| events.push(NOTHING));
        // The coordinator answers before the markers are written, and no event may come in between.
        let logs = Ends::of_logs(brokers, std::slice::from_ref(&self.topic));
        until(LIMIT, "every partition has the marker", || {
            (logs.sum() == self.len()).then_some(())
        });
    }

    /// Writes the next so many events and waits until they are there.
    pub(crate) fn produce(&mut self, n_events: u64) {
        for _ in 0..n_events {
            let index = self.next_index();
            let event = Recipe::of(index);
            let partition = event.partition(self.events.len());
            self.events[partition].push(index);
            self.send(event, i32::try_from(partition).expect("partitions are few"));
        }
        self.producer
            .flush(LIMIT)
            .expect("the brokers take all events");
        let refusals = self
            .producer
            .context()
            .0
            .lock()
            .expect("nobody panics with it");
        assert!(refusals.is_empty(), "{}: {refusals:?}", self.topic);
    }

    /// Returns the index of the next event, which is that of a hot group's next where it is its turn.
    fn next_index(&mut self) -> u64 {
        let is_due = self.is_hot && !self.next.is_multiple_of(10);
        let index = (self.next..)
            .find(|index| !is_due || Recipe::of(*index).is_hot())
            .expect("every group has its turn");
        self.next = index + 1;
        index
    }

    fn send(&self, event: Recipe, partition: i32) {
        let (key, value, headers) = (event.key(), event.value(), headers(event));
        let mut record = BaseRecord::<str, [u8]>::to(&self.topic).partition(partition);
        record.key = key.as_deref();
        record.payload = value.as_deref();
        record.headers = headers;
        while let Err((error, back)) = self.producer.send(record) {
            assert_eq!(
                error,
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
            );
            self.producer.poll(Duration::from_millis(50));
            record = back;
        }
    }
}

fn headers(event: Recipe) -> Option<OwnedHeaders> {
    let traceparent = event.traceparent()?;
    Some(OwnedHeaders::new().insert(Header {
        key: "traceparent",
        value: Some(&traceparent),
    }))
}

/// What the brokers refused, for the one who waits at the end.
#[derive(Default)]
struct Refusals(Mutex<Vec<KafkaError>>);

impl ClientContext for Refusals {}

impl ProducerContext for Refusals {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0
                .lock()
                .expect("nobody panics with it")
                .push(error.clone());
        }
    }
}
