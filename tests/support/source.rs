//! The source topic: the mix of events is written to it, and which event stands where is remembered.

use std::sync::Mutex;
use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, error::KafkaError};

use super::generator::Recipe;
use super::topics;

/// Past any outage that a test makes.
const LIMIT: Duration = Duration::from_secs(400);

/// A source topic and the events in it.
pub(crate) struct Source {
    pub(crate) topic: String,
    /// The index of the event at each partition and offset.
    pub(crate) events: Vec<Vec<u64>>,
    next: u64,
    producer: BaseProducer<Refusals>,
}

impl Source {
    /// Creates the topic.
    pub(crate) fn create(brokers: &str, topic: &str, n_partitions: usize) -> Source {
        topics::create(brokers, n_partitions, topic, &[]);
        let mut settings = topics::client(brokers);
        settings.set("enable.idempotence", "true").set("linger.ms", "20").set("compression.type", "lz4");
        // However long the brokers are away: an event that is remembered must be there.
        settings.set("message.timeout.ms", "0");
        let producer = settings.create_with_context(Refusals::default()).expect("the settings are valid");
        Source { topic: topic.to_owned(), events: vec![Vec::new(); n_partitions], next: 0, producer }
    }

    /// Gives the topic more partitions: later events of many groups go to others than before.
    pub(crate) fn grow(&mut self, brokers: &str, n_partitions: usize) {
        topics::grow(brokers, &self.topic, n_partitions);
        self.events.resize(n_partitions, Vec::new());
    }

    /// Returns where its partitions end.
    pub(crate) fn ends(&self) -> Vec<usize> {
        self.events.iter().map(Vec::len).collect()
    }

    /// Returns how many events were written.
    pub(crate) fn len(&self) -> u64 {
        self.next
    }

    /// Returns the event at an offset.
    pub(crate) fn event(&self, partition: usize, offset: usize) -> Recipe {
        Recipe::of(self.events[partition][offset])
    }

    /// Writes the next so many events and waits until they are there.
    pub(crate) fn produce(&mut self, n_events: u64) {
        for index in self.next..self.next + n_events {
            let event = Recipe::of(index);
            let partition = event.partition(self.events.len());
            self.events[partition].push(index);
            self.send(event, i32::try_from(partition).expect("partitions are few"));
        }
        self.producer.flush(LIMIT).expect("the brokers take all events");
        let refusals = self.producer.context().0.lock().expect("nobody panics with it");
        assert!(refusals.is_empty(), "{}: {refusals:?}", self.topic);
        self.next += n_events;
    }

    fn send(&self, event: Recipe, partition: i32) {
        let (key, value, headers) = (event.key(), event.value(), headers(event));
        let mut record = BaseRecord::<str, [u8]>::to(&self.topic).partition(partition);
        record.key = key.as_deref();
        record.payload = value.as_deref();
        record.headers = headers;
        while let Err((error, back)) = self.producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            self.producer.poll(Duration::from_millis(50));
            record = back;
        }
    }
}

fn headers(event: Recipe) -> Option<OwnedHeaders> {
    let traceparent = event.traceparent()?;
    Some(OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(&traceparent) }))
}

/// What the brokers refused, for the one who waits at the end.
#[derive(Default)]
struct Refusals(Mutex<Vec<KafkaError>>);

impl ClientContext for Refusals {}

impl ProducerContext for Refusals {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().expect("nobody panics with it").push(error.clone());
        }
    }
}
