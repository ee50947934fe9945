//! The sample events of docker-compose.yml, sent again and again, and what a test adds to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::{topics, until};

const EVENTS: &str = include_str!("../../../src/cli/demo/events.jsonl");
const LIMIT: Duration = Duration::from_secs(120);

/// As many as docker-compose.yml gives the source.
pub(crate) const N_PARTITIONS: i32 = 6;

const PAUSED: u8 = 0;
const GOOD: u8 = 1;
const ALL: u8 = 2;
const OVER: u8 = 3;

/// Sends in the background until it is dropped.
pub(crate) struct Samples {
    mode: Arc<AtomicU8>,
    /// Whether nothing is on its way.
    is_idle: Arc<AtomicBool>,
    sender: Option<thread::JoinHandle<()>>,
}

impl Samples {
    pub(crate) fn start(brokers: &str, topic: &str, pause: Duration) -> Samples {
        let (mode, is_idle) = (
            Arc::new(AtomicU8::new(PAUSED)),
            Arc::new(AtomicBool::new(false)),
        );
        let (producer, topic, wanted, is_done) = (
            producer(brokers),
            topic.to_owned(),
            Arc::clone(&mode),
            Arc::clone(&is_idle),
        );
        let sender = thread::spawn(move || {
            let mut n_rounds = 0;
            loop {
                match wanted.load(Ordering::Relaxed) {
                    OVER => break,
                    PAUSED => {
                        producer.flush(LIMIT).expect("the brokers take the events");
                        is_done.store(true, Ordering::Relaxed);
                    }
                    which => {
                        n_rounds += 1;
                        send(
                            &producer,
                            &topic,
                            lines(n_rounds)
                                .iter()
                                .filter(|line| which == ALL || is_good(line)),
                        );
                    }
                }
                thread::sleep(pause);
            }
        });
        Samples {
            mode,
            is_idle,
            sender: Some(sender),
        }
    }

    /// Sends none from now on, and waits until the brokers have what was sent.
    pub(crate) fn pause(&self) {
        self.mode.store(PAUSED, Ordering::Relaxed);
        self.is_idle.store(false, Ordering::Relaxed);
        until(LIMIT, "what was sent is there", || {
            self.is_idle.load(Ordering::Relaxed).then_some(())
        });
    }

    /// Sends those that can be read.
    pub(crate) fn send_good(&self) {
        self.mode.store(GOOD, Ordering::Relaxed);
    }

    /// Sends all, as docker-compose.yml does.
    pub(crate) fn send_all(&self) {
        self.mode.store(ALL, Ordering::Relaxed);
    }
}

impl Drop for Samples {
    fn drop(&mut self) {
        self.mode.store(OVER, Ordering::Relaxed);
        let ended = self.sender.take().expect("it is ended once").join();
        assert!(
            ended.is_ok() || thread::panicking(),
            "the samples' sender has panicked"
        );
    }
}

/// Sends events once and waits until the brokers have them.
pub(crate) fn send_now(brokers: &str, topic: &str, values: &[String]) {
    let producer = producer(brokers);
    send(&producer, topic, values.iter());
    producer.flush(LIMIT).expect("the brokers take the events");
}

/// The sample events of this moment, and one whose flag names nobody, another one each time, and whose keys mean the same.
fn lines(n_rounds: u32) -> Vec<String> {
    let odd = format!(
        r#"{{"type":"group","groupId":"g","traits":{{"name":"A","NAME":"B"}},"integrations":{{"Nobody {n_rounds}":true}}}}"#
    );
    EVENTS.lines().map(of_now).chain([odd]).collect()
}

/// Has an event happen now, as docker-compose.yml does with sed.
fn of_now(line: &str) -> String {
    const KEY: &str = "\"timestamp\":\"";
    let Some((before, rest)) = line.split_once(KEY) else {
        return line.to_owned();
    };
    let (_, after) = rest.split_once('"').expect("a text ends");
    format!("{before}{KEY}{}\"{after}", jiff::Timestamp::now())
}

/// The samples that are dead letters are the cut off one, the one without a group and the one whose traits are a text.
fn is_good(line: &str) -> bool {
    line.contains("groupId") && !line.contains("cut off") && !line.contains("soylent")
}

fn producer(brokers: &str) -> BaseProducer {
    let mut settings = topics::client(brokers);
    settings
        .set("message.max.bytes", "2000000")
        .set("compression.type", "lz4")
        .set("message.timeout.ms", "0");
    settings.create().expect("the settings are valid")
}

fn send<'a>(producer: &BaseProducer, topic: &str, values: impl Iterator<Item = &'a String>) {
    // Kafka's own tool knows no lag of a partition that never had a record.
    for (partition, value) in (0..N_PARTITIONS).cycle().zip(values) {
        let record = BaseRecord::<str, str>::to(topic)
            .partition(partition)
            .payload(value);
        assert!(producer.send(record).is_ok(), "the queue has room");
    }
    producer.poll(Duration::ZERO);
}
