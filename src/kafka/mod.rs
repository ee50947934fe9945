//! Kafka: the clients and their settings, and what their errors mean to us. No decisions about events.

mod complaint;
mod decompress;
pub mod delivery;
pub mod embedded;
pub mod ends;
pub mod fault;
pub mod ledger;
pub mod lookup;
mod lz4;
mod native;
pub mod range;
pub mod refusal;
pub mod settled;
pub mod source;
pub mod topics;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};

use crate::config::{Config, Guarantee, Profile};
use crate::envelope::Emission;
use crate::kafka::topics::Topics;
use crate::metrics;
use crate::process::Process;
use crate::record::{Letter, Position, Record, Traceparent};

/// Past this, a client call that blocks is taken for one that never returns. Starting over is the cure: offsets were not
/// moved past what was acknowledged.
pub const CALL_DEADLINE: Duration = Duration::from_secs(15);

/// What a call that asks a broker something is given. Well below [`CALL_DEADLINE`], so that the deadline means a bug.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What a commit is given. In the cooperative protocol it may have to wait behind the group's own requests; the worker
/// reads on meanwhile, and the next commit says the same and more.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client's error is not repeated above `debug`.
const QUIET: Duration = Duration::from_secs(30);

/// Lends a client's message as a record.
pub fn record<M: Message>(message: &M) -> Record<'_> {
    Record {
        position: Position {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
        },
        timestamp: message.timestamp().to_millis(),
        key: message.key(),
        value: message.payload(),
        traceparent: message.headers().and_then(traceparent),
        letter: None,
    }
}

/// Lends a client's message as a record whose headers are a dead letter's, if they are.
pub fn dead_letter<M: Message>(message: &M) -> Record<'_> {
    Record {
        letter: message.headers().and_then(letter),
        ..record(message)
    }
}

/// Returns the partition that a record goes to, in a topic of so many.
#[must_use]
pub fn partition_of(emission: &Emission<'_>, partitions: i32) -> i32 {
    let key = emission.key.unwrap_or_default();
    emission
        .partition
        .of(partitions)
        .unwrap_or_else(|| native::partition_of_key(key, partitions))
}

fn letter(headers: &impl Headers) -> Option<Letter<'_>> {
    let text = |name: &str| {
        let header = headers.iter().find(|header| header.key == name)?;
        std::str::from_utf8(header.value?).ok()
    };
    let partition = text("source_partition")?.parse().ok()?;
    let offset = text("source_offset")?.parse().ok()?;
    Some(Letter {
        reason: text("reason")?,
        detail: text("detail").unwrap_or_default(),
        source: Position {
            topic: text("source_topic")?,
            partition,
            offset,
        },
        timestamp: text("source_timestamp").and_then(|text| text.parse().ok()),
        destination: text("destination"),
        attempts: text("attempts")
            .and_then(|text| text.parse().ok())
            .unwrap_or_default(),
        is_cut: text("key_omitted").or(text("value_omitted")).is_some(),
    })
}

fn traceparent(headers: &impl Headers) -> Option<Traceparent> {
    let named = headers.iter().filter(|header| header.key == "traceparent");
    Traceparent::first(named.filter_map(|header| header.value))
}

/// Returns a consumer's settings: our defaults, the configuration over them, and over both what the guarantee needs.
fn consumer_settings(config: &Config, worker: usize) -> ClientConfig {
    let mut settings = ClientConfig::new();
    // An abandoned member keeps its partitions this long, so it is shorter than librdkafka's five minutes.
    settings.set("max.poll.interval.ms", "60000");
    // Enough to keep one worker busy; the default of 64 MiB is only memory. An answer counts when it is there, so that it has
    // to be no larger.
    let kilobytes: u32 = match config.delivery.profile {
        Profile::Standard => 16_384,
        Profile::Small => 2048,
    };
    settings.set("queued.max.messages.kbytes", kilobytes.to_string());
    settings.set("fetch.max.bytes", (kilobytes * 1024).to_string());
    // The default waits a second when the queue was full once.
    settings.set("fetch.queue.backoff.ms", "5");
    settings.set("fetch.min.bytes", "65536");
    settings.set("fetch.wait.max.ms", "50");
    // Else a damaged batch is read as whatever its bytes happen to mean; librdkafka's default is off.
    settings.set("check.crcs", "true");
    // How long a fetch that failed rests: the end of a batch that cannot be decoded is found by many.
    settings.set("fetch.error.backoff.ms", "100");
    // How soon a partition that was added is read; librdkafka's default is five minutes.
    settings.set("topic.metadata.refresh.interval.ms", "30000");
    // A rebalance takes away only the partitions that move, and a restart keeps the others flowing.
    settings.set("partition.assignment.strategy", "cooperative-sticky");
    common_settings(&mut settings, config, worker);
    for (name, value) in config.kafka.consumer() {
        settings.set(name, value);
    }
    limit_response(&mut settings, config.source.max_batch_bytes);
    settings.set("group.id", &config.source.group_id);
    settings.set("enable.auto.commit", "false");
    settings.set("enable.auto.offset.store", "false");
    // Positions are set by us, explicitly; where retention has overtaken one, we are told.
    settings.set("auto.offset.reset", "error");
    settings.set("isolation.level", "read_committed");
    if let Some(instance) = settings
        .get("group.instance.id")
        .filter(|_| config.source.workers > 1)
    {
        let instance = format!("{instance}-{worker}");
        settings.set("group.instance.id", instance);
    }
    settings
}

/// Sets the only limit that librdkafka has for what a batch decompresses to, and only for zstd (`rdkafka_zstd.c`): it tries
/// buffers of which each is three times the last, so that what needs more than a third may fail (its issue 5260). It must hold a
/// whole fetch, too.
fn limit_response(settings: &mut ClientConfig, max_batch_bytes: u64) {
    const NAME: &str = "receive.message.max.bytes";
    /// What librdkafka wants beside `fetch.max.bytes`.
    const FRAME: u64 = 512;
    let fetch = settings
        .get("fetch.max.bytes")
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or_default();
    if settings.get(NAME).is_none() {
        settings.set(NAME, (3 * max_batch_bytes).max(fetch + FRAME).to_string());
    }
}

const MAX_IN_FLIGHT: &str = "max.in.flight";

/// Other names that librdkafka has for what a producer is given here, and the names that are used here.
const ALIASES: &[(&str, &str)] = &[
    ("max.in.flight.requests.per.connection", MAX_IN_FLIGHT),
    ("queue.buffering.max.ms", "linger.ms"),
];

/// Returns a producer's settings; `topics` gives the sizes.
fn producer_settings(config: &Config, worker: usize, topics: &Topics) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings.set("linger.ms", "5");
    settings.set("batch.num.messages", "100000");
    // This is what bounds memory; the default of 1 GiB bounds nothing. Two of the largest records fit at least.
    let bytes = config
        .delivery
        .profile
        .queue_bytes()
        .max(2 * topics.largest_limit());
    settings.set("queue.buffering.max.kbytes", (bytes / 1024).to_string());
    // As many as a broker tells in and out of order for one producer and partition.
    settings.set(MAX_IN_FLIGHT, "5");
    common_settings(&mut settings, config, worker);
    for (name, value) in config.kafka.producer() {
        // The settings have no order, so that an alias would win or lose by chance.
        let name = ALIASES
            .iter()
            .find(|(alias, _)| *alias == name)
            .map_or(name, |(_, name)| name);
        settings.set(name, value);
    }
    settings.set("enable.idempotence", "true");
    settings.set("acks", "all");
    settings.set("partitioner", "murmur2_random");
    match config.delivery.guarantee {
        // Nothing is dropped because a destination is down: the epoch waits.
        Guarantee::AtLeastOnce => {
            settings.set("message.timeout.ms", "0");
            // A batch that its topic refuses is fatal to the producer, within the client and before it sends another. Else the
            // client would number the batches behind it anew, and they would get ahead. A refused transaction fails as a whole.
            settings.set("enable.gapless.guarantee", "true")
        }
        Guarantee::ExactlyOnce => {
            // How long a killed worker's open transaction keeps readers of committed records waiting, at most.
            let timeout = settings
                .get("transaction.timeout.ms")
                .unwrap_or("30000")
                .to_owned();
            let static_member = config
                .kafka
                .consumer()
                .filter(|(name, _)| *name == "group.instance.id")
                .last();
            settings.set(
                "transactional.id",
                transactional_id(config, worker, static_member.map(|(_, member)| member)),
            );
            settings.set("transaction.timeout.ms", &timeout);
            // librdkafka wants it within the transaction's; past that the transaction is aborted and the epoch done again.
            settings.set("message.timeout.ms", timeout)
        }
    };
    // An epoch commits when as many records are confirmed as were handed over.
    settings.set("delivery.report.only.error", "false");
    settings.set("batch.size", topics.batch_size().to_string());
    settings.set("message.max.bytes", topics.largest_limit().to_string());
    settings
}

/// Returns a worker's transactional id: no two that live at once share one, whatever the scale.
///
/// Fencing is the group's business (KIP-447: the offsets carry the member's generation), so the id need not belong to a
/// partition. A static member keeps its id over a restart, which ends at once what it left open, as a process does that
/// starts over in place; any other gets a new one.
fn transactional_id(config: &Config, worker: usize, static_member: Option<&str>) -> String {
    let (group, member) = (
        &config.source.group_id,
        static_member.unwrap_or(&Process::this().identity),
    );
    format!("groupcast-{group}-{member}-{worker}")
}

fn common_settings(settings: &mut ClientConfig, config: &Config, worker: usize) {
    settings.set("bootstrap.servers", &config.kafka.brokers);
    settings.set(
        "client.id",
        config
            .kafka
            .client_id
            .map_or_else(|| format!("groupcast-{worker}"), str::to_owned),
    );
    settings.set("allow.auto.create.topics", "false");
    // Client telemetry to the brokers (KIP-714) is for the operator to switch on.
    settings.set("enable.metrics.push", "false");
    // For partitions that are not fetched, and for the metrics.
    settings.set("statistics.interval.ms", "1000");
    settings.set_log_level(RDKafkaLogLevel::Info);
}

/// Passes on what one client says of itself. Where a broker is away it says the same many times a second.
struct ClientLog {
    client: &'static str,
    worker: usize,
    /// What was told, and when last.
    told: Mutex<Vec<(String, Instant)>>,
}

impl ClientLog {
    fn new(client: &'static str, worker: usize) -> ClientLog {
        ClientLog {
            client,
            worker,
            told: Mutex::default(),
        }
    }

    /// Passes on a log line of librdkafka. It copes with most of what it calls an error, so that none is one here.
    fn line(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        let ClientLog { client, worker, .. } = self;
        let is_warning = match level {
            Emerg | Alert | Critical | Error | Warning => true,
            Notice | Info | Debug => false,
        };
        // Of our own settings: one that we rely on is called experimental.
        let is_ours = facility == "CONFWARN" && line.contains("enable.gapless.guarantee");
        if is_warning && !is_ours && !is_deliberate(line) && self.is_news(facility) {
            tracing::warn!(target: "librdkafka", client, worker, facility, line);
        } else {
            tracing::debug!(target: "librdkafka", client, worker, facility, line);
        }
    }

    /// Tells of an error that a client reports by itself. A wrong password or certificate shows here and nowhere else.
    fn error(&self, error: &KafkaError, reason: &str) {
        let ClientLog { client, worker, .. } = self;
        let code = error
            .rdkafka_error_code()
            .map_or_else(|| "other".to_owned(), |code| format!("{code:?}"));
        if !is_deliberate(reason) && self.is_news(&code) {
            tracing::warn!(
                client,
                worker,
                code,
                reason,
                advice = complaint::advice(reason),
                "kafka client error"
            );
        } else {
            tracing::debug!(client, worker, code, reason, "kafka client error");
        }
        metrics::client_error(client, code);
    }

    /// Returns whether `subject` was not told lately.
    fn is_news(&self, subject: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(_, at)| at.elapsed() < QUIET);
        let is_news = told.iter().all(|(other, _)| other != subject);
        if is_news {
            told.push((subject.to_owned(), Instant::now()));
        }
        is_news
    }
}

/// Returns whether a client fails as it was told to: a refused batch ends its producer, and the delivery says which topic refused it.
fn is_deliberate(text: &str) -> bool {
    text.ends_with("unable to satisfy gap-less guarantee")
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::native::tests::property_names;
    use super::*;
    use crate::config::properties::judged;

    /// A new librdkafka brings new properties: somebody has to say of each what it opens and runs.
    #[test]
    fn every_property_of_the_linked_librdkafka_is_judged_once() {
        let names: Vec<&str> = judged().collect();
        for name in &names {
            let n_times = names.iter().filter(|other| *other == name).count();
            assert_eq!(n_times, 1, "{name} stands in more than one place");
        }
        let known = property_names();
        for name in &known {
            assert!(names.contains(&name.as_str()), "nobody has judged {name}");
        }
        // What is hidden and has no value is in no dump.
        for name in names.iter().filter(|name| !known.contains(**name)) {
            let set = ClientConfig::new().set(*name, "").create_native_config();
            assert!(
                !set.is_err_and(|error| error.to_string().contains("No such")),
                "librdkafka has no such property: {name}"
            );
        }
    }

    /// A dead letter is read again with the trace that the source record had.
    #[test]
    fn k4_the_first_valid_trace_of_a_record_counts_as_a_dead_letter_too() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let other = valid.replace("-01", "-00");
        let long = "x".repeat(300_000);
        let read = |values: &[&str]| {
            let named = values.iter().fold(OwnedHeaders::new(), |headers, value| {
                headers.insert(Header {
                    key: "traceparent",
                    value: Some(*value),
                })
            });
            let message = OwnedMessage::new(
                None,
                None,
                "events".to_owned(),
                Timestamp::NotAvailable,
                0,
                0,
                Some(named),
            );
            let read = [record(&message), dead_letter(&message)].map(|record| record.traceparent);
            assert_eq!(read[0], read[1]);
            read[0].map(|found| found.as_str().to_owned())
        };
        assert_eq!(
            read(&[&long, "\r\n", valid, &other]).as_deref(),
            Some(valid)
        );
        assert_eq!(read(&[&other, valid]), Some(other));
        assert_eq!(read(&["00-a-b-01"]), None);
    }

    #[test]
    fn a_repeated_error_is_no_news() {
        let log = ClientLog::new("consumer", 0);
        assert!(log.is_news("AllBrokersDown"));
        assert!(!log.is_news("AllBrokersDown"));
        assert!(log.is_news("Resolve"));
    }
}
