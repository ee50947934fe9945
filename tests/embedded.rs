//! The whole loop, at least once, on the cluster inside the process: records in, records out, offsets, faults.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use groupcast::config::Config;
use groupcast::kafka::embedded::EmbeddedCluster;
use groupcast::kafka::ends::{Intake, Rebalance};
use groupcast::kafka::source::Source;
use groupcast::kafka::source::bound::Reading;
use groupcast::kafka::topics::Topics;
use groupcast::metrics::family::{Family, SECTIONS};
use groupcast::record::Position;
use groupcast::router::Router;
use groupcast::service::Service;
use groupcast::status::Status;
use groupcast::status::progress::BLOCKED_AFTER;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::mocking::MockCoordinator;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

const SOURCE: &str = "group-events";
const OUTPUTS: &[&str] = &[
    "group-events.webhook",
    "group-events.intercom",
    "group-events.dead",
];
const PARTITIONS: i32 = 4;

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(60);

struct Kafka {
    cluster: EmbeddedCluster,
    brokers: String,
}

/// A record as a reader of an output topic sees it.
#[derive(Debug, Clone)]
struct Seen {
    key: Option<String>,
    value: String,
    headers: BTreeMap<String, String>,
    partition: i32,
}

impl Kafka {
    fn start() -> Kafka {
        Kafka::start_brokers(1)
    }

    fn start_brokers(brokers: u16) -> Kafka {
        // With GROUPCAST_TEST_LOG=debug, say, a failing test tells its story.
        if let Ok(filter) = std::env::var("GROUPCAST_TEST_LOG") {
            let _already_set = tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_test_writer()
                .try_init();
        }
        let cluster = EmbeddedCluster::start(brokers).unwrap();
        cluster.create_topic(SOURCE, PARTITIONS).unwrap();
        for topic in OUTPUTS {
            cluster.create_topic(topic, PARTITIONS).unwrap();
        }
        let brokers = cluster.brokers();
        Kafka { cluster, brokers }
    }

    fn config_text(&self, consumer_properties: &str) -> String {
        format!(
            "kafka:\n  brokers: {}\n  consumer_properties: {{ fetch.wait.max.ms: 10, session.timeout.ms: 4000, heartbeat.interval.ms: 200, {consumer_properties} }}\nsource: {{ topics: [{SOURCE}] }}\n\
             destinations:\n  - use: webhook\n  - use: intercom\nhttp: {{ listen: 127.0.0.1:0 }}",
            self.brokers
        )
    }

    fn config(&self, consumer_properties: &str, overrides: &[(&str, &str)]) -> Config {
        let overrides: Vec<_> = overrides
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Config::from_text(
            "test.yaml",
            &self.config_text(consumer_properties),
            &[],
            &overrides,
        )
        .unwrap_or_else(|faults| panic!("{faults:?}"))
        .0
    }

    fn serve(&self, overrides: &[(&str, &str)]) -> Service {
        self.serve_with("", overrides)
    }

    fn serve_with(&self, consumer_properties: &str, overrides: &[(&str, &str)]) -> Service {
        let config = self.config(consumer_properties, overrides);
        let router = Router::new(config.routing()).unwrap();
        let topics = Topics::assume(router.topics());
        Service::start(Arc::new(config), router, topics, Reading::Live).unwrap()
    }

    fn client(&self) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", &self.brokers)
            .set("fetch.wait.max.ms", "10");
        settings
    }

    /// Produces `values` into the source, the n-th into partition n modulo four.
    fn produce<'a>(&self, values: impl IntoIterator<Item = &'a str>) {
        let producer: BaseProducer = self.client().create().unwrap();
        for (index, value) in values.into_iter().enumerate() {
            let partition = i32::try_from(index).unwrap() % PARTITIONS;
            producer
                .send(
                    BaseRecord::<str, str>::to(SOURCE)
                        .payload(value)
                        .key("source key")
                        .partition(partition),
                )
                .unwrap();
        }
        producer.flush(DEADLINE).unwrap();
    }

    /// Reads `topic` until it holds `count` records, then a little longer to see any that are too many.
    fn read(&self, topic: &str, count: usize) -> Vec<Seen> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&all).unwrap();
        let mut seen = Vec::new();
        let mut until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            if let Some(message) = consumer.poll(Duration::from_millis(20)) {
                let message = message.unwrap();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers = message.headers().map(|headers| {
                    headers
                        .iter()
                        .map(|header| {
                            (
                                header.key.to_owned(),
                                text(header.value.unwrap_or_default()),
                            )
                        })
                        .collect()
                });
                seen.push(Seen {
                    key: message.key().map(text),
                    value: message.payload().map(text).unwrap_or_default(),
                    headers: headers.unwrap_or_default(),
                    partition: message.partition(),
                });
                if seen.len() >= count {
                    until = Instant::now() + Duration::from_millis(300);
                }
            }
        }
        seen
    }

    /// The sum of the offsets that the group has committed.
    fn committed(&self) -> i64 {
        let consumer: BaseConsumer = self.client().set("group.id", "groupcast").create().unwrap();
        let mut all = TopicPartitionList::new();
        all.add_partition_range(SOURCE, 0, PARTITIONS - 1);
        let offsets = consumer.committed_offsets(all, DEADLINE).unwrap();
        offsets
            .elements()
            .iter()
            .map(|element| element.offset().to_raw().unwrap_or(0).max(0))
            .sum()
    }

    fn wait_for_commit(&self, offsets: i64) {
        until("the offsets are committed", || self.committed() == offsets);
    }

    /// Leaves the group at an offset that partition 2 does not have.
    fn commit_beyond_the_end(&self) {
        self.commit(2, 100, "");
    }

    /// Commits one offset of the group, which has no members.
    fn commit(&self, partition: i32, offset: i64, metadata: &str) {
        let consumer: BaseConsumer = self.client().set("group.id", "groupcast").create().unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(SOURCE, partition, Offset::Offset(offset))
            .unwrap();
        offsets
            .find_partition(SOURCE, partition)
            .unwrap()
            .set_metadata(metadata);
        consumer.commit(&offsets, CommitMode::Sync).unwrap();
    }

    /// The metadata of the group's offsets, by partition.
    fn metadata(&self) -> Vec<String> {
        let consumer: BaseConsumer = self.client().set("group.id", "groupcast").create().unwrap();
        let mut all = TopicPartitionList::new();
        all.add_partition_range(SOURCE, 0, PARTITIONS - 1);
        let offsets = consumer.committed_offsets(all, DEADLINE).unwrap();
        offsets
            .elements()
            .iter()
            .map(|element| element.metadata().to_owned())
            .collect()
    }

    fn fail(&self, api: RDKafkaApiKey, errors: &[RDKafkaRespErr]) {
        self.cluster.mock().unwrap().request_errors(api, errors);
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn stop(service: Service) {
    service.stop();
    service.wait().unwrap();
}

/// Returns the status code and the body of a page.
fn get(service: &Service, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(service.http().unwrap()).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

fn metric(service: &Service, line_start: &str) -> f64 {
    let text = service.watched().metrics.render();
    let line = text.lines().find(|line| line.starts_with(line_start));
    line.and_then(|line| line.rsplit(' ').next())
        .map_or(0.0, |number| number.parse().unwrap())
}

fn event(group: &str) -> String {
    format!(
        r#"{{"type":"group","groupId":"{group}","userId":"u1","traits":{{"name":"Initech"}},"integrations":{{}}}}"#
    )
}

fn events(count: usize) -> Vec<String> {
    (0..count)
        .map(|index| event(&format!("g{index}")))
        .collect()
}

fn texts(events: &[String]) -> impl Iterator<Item = &str> {
    events.iter().map(String::as_str)
}

/// The records' keys, sorted.
fn keys(seen: &[Seen]) -> Vec<String> {
    let mut keys: Vec<String> = seen
        .iter()
        .map(|record| record.key.clone().unwrap_or_default())
        .collect();
    keys.sort();
    keys
}

#[test]
fn events_reach_every_topic_and_offsets_follow() {
    let kafka = Kafka::start();
    let events = events(200);
    kafka.produce(texts(&events));
    let service = kafka.serve(&[]);
    let webhook = kafka.read("group-events.webhook", 200);
    let mut expected: Vec<String> = (0..200).map(|index| format!("g{index}")).collect();
    expected.sort();
    assert_eq!(keys(&webhook), expected);
    assert_eq!(keys(&kafka.read("group-events.intercom", 200)), expected);
    kafka.wait_for_commit(200);
    assert!(metric(&service, r#"groupcast_verdicts_total{verdict="routed""#) == 200.0);
    stop(service);
}

#[test]
fn events_flow_while_hundreds_hang_on_to_the_page() {
    let kafka = Kafka::start();
    let service = kafka.serve(&[]);
    let hang_on = |request: &[u8]| {
        let mut stream = TcpStream::connect(service.http().unwrap()).unwrap();
        stream.write_all(request).unwrap();
        stream
    };
    let mut hanging: Vec<TcpStream> = (0..200)
        .map(|_| hang_on(b"GET /metrics HTTP/1.1\r\n"))
        .collect();
    hanging.extend((0..200).map(|_| hang_on(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")));
    let events = events(2_000);
    kafka.produce(texts(&events));
    assert_eq!(kafka.read("group-events.webhook", 2_000).len(), 2_000);
    kafka.wait_for_commit(2_000);
    // They were sent away meanwhile, or will be.
    assert_eq!(get(&service, "/healthz").0, 200);
    drop(hanging);
    stop(service);
}

/// Runs a service until it has committed `offsets`.
fn run_until_committed(kafka: &Kafka, overrides: &[(&str, &str)], offsets: i64) {
    let service = kafka.serve(overrides);
    kafka.wait_for_commit(offsets);
    stop(service);
}

#[test]
fn k4_structured_records_are_cloudevents_without_headers() {
    let kafka = Kafka::start();
    kafka.produce([event("g1").as_str()]);
    run_until_committed(&kafka, &[], 1);
    let seen = kafka.read("group-events.webhook", 1);
    assert!(seen[0].headers.is_empty());
    assert!(
        seen[0]
            .value
            .starts_with(r#"{"specversion":"1.0","id":"group-events/0/0/"#),
        "{}",
        seen[0].value
    );
    assert!(
        seen[0]
            .value
            .contains(r#""source":"groupcast","type":"webhook."#),
        "{}",
        seen[0].value
    );
}

#[test]
fn k4_binary_records_carry_the_attributes_as_headers() {
    let kafka = Kafka::start();
    kafka.produce([event("g1").as_str()]);
    run_until_committed(&kafka, &[("records.format", "binary")], 1);
    let seen = kafka.read("group-events.webhook", 1);
    let names: Vec<&str> = seen[0].headers.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "ce_id",
            "ce_request",
            "ce_source",
            "ce_specversion",
            "ce_type",
            "content-type"
        ]
    );
    assert!(!seen[0].value.contains("specversion"), "{}", seen[0].value);
}

#[test]
fn k4_the_trace_of_the_source_goes_on_with_every_record() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let kafka = Kafka::start();
    let producer: BaseProducer = kafka.client().create().unwrap();
    let event = event("g1");
    let headers = OwnedHeaders::new().insert(Header {
        key: "traceparent",
        value: Some(TRACE),
    });
    producer
        .send(
            BaseRecord::<str, str>::to(SOURCE)
                .payload(&event)
                .headers(headers),
        )
        .unwrap();
    producer.flush(DEADLINE).unwrap();
    run_until_committed(&kafka, &[], 1);
    for topic in ["group-events.webhook", "group-events.intercom"] {
        let seen = kafka.read(topic, 1);
        assert!(
            seen[0]
                .value
                .contains(&format!(r#""traceparent":"{TRACE}""#)),
            "{}",
            seen[0].value
        );
    }
}

#[test]
fn k4_a_body_is_a_body() {
    let kafka = Kafka::start();
    kafka.produce([event("g1").as_str()]);
    run_until_committed(&kafka, &[("records.format", "body")], 1);
    let seen = kafka.read("group-events.webhook", 1);
    assert!(seen[0].headers.is_empty());
    assert!(
        seen[0].value.starts_with('{') && !seen[0].value.contains("specversion"),
        "{}",
        seen[0].value
    );
}

#[test]
fn k7_dead_letters_keep_key_bytes_and_partition_and_say_whence_and_why() {
    let kafka = Kafka::start();
    let good = event("g1");
    kafka.produce([
        good.as_str(),
        "{not json",
        r#"{"type":"track"}"#,
        r#"{"type":"group"}"#,
    ]);
    run_until_committed(&kafka, &[], 4);
    let mut dead = kafka.read("group-events.dead", 2);
    dead.sort_by_key(|record| record.partition);
    assert_eq!(dead.len(), 2);
    for (record, partition, reason, value) in [
        (&dead[0], 1, "invalid_json", "{not json"),
        (&dead[1], 3, "missing_group_id", r#"{"type":"group"}"#),
    ] {
        assert_eq!(
            (record.partition, record.value.as_str()),
            (partition, value)
        );
        assert_eq!(record.key.as_deref(), Some("source key"));
        let header = |name: &str| record.headers.get(name).map(String::as_str);
        assert_eq!(header("reason"), Some(reason));
        assert_eq!(header("source_topic"), Some(SOURCE));
        assert_eq!(
            header("source_partition"),
            Some(partition.to_string().as_str())
        );
        assert_eq!(header("source_offset"), Some("0"));
    }
    assert_eq!(kafka.read("group-events.webhook", 1).len(), 1);
}

#[test]
fn explain_finds_a_record_on_kafka_by_position_message_or_group() {
    let kafka = Kafka::start();
    let event = |group: &str, message: &str| {
        format!(r#"{{"type":"group","groupId":{group},"messageId":"{message}"}}"#)
    };
    let events = [
        event("\"a\"", "m0"),
        event("7", "m1"),
        event("\"a\"", "m2"),
        "no json".to_owned(),
        event("\"a\"", "m4"),
    ];
    kafka.produce(events.iter().map(String::as_str));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("groupcast.yaml");
    fs::write(&config, kafka.config_text("")).unwrap();
    let explain = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
        let output = command
            .arg("explain")
            .arg("--config")
            .arg(&config)
            .args(arguments)
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (
            output.status.code().unwrap(),
            stdout.lines().take(2).collect::<Vec<_>>().join("|"),
            stderr,
        )
    };
    let routed = |position: &str| {
        format!("record {SOURCE}/{position}|routed: a group event; every destination was asked")
    };
    for (arguments, position) in [
        (["--record", &format!("{SOURCE}/2/0")], "2/0"),
        (["--message-id", "m1"], "1/0"),
        (["--group-id", "a"], "0/1"),
        (["--group-id", "7"], "1/0"),
    ] {
        assert_eq!(
            explain(&arguments),
            (0, routed(position), String::new()),
            "{arguments:?}"
        );
    }
    let (code, said, _) = explain(&["--record", &format!("{SOURCE}/3/0")]);
    assert_eq!((code, said.contains("dead-lettered")), (0, true), "{said}");
    for (arguments, complaint) in [
        (
            ["--record", &format!("{SOURCE}/3/9")],
            "no record at group-events/3/9: the partition holds offsets 0 to 0",
        ),
        (
            ["--message-id", "absent"],
            "no event of messageId absent among the last 100000 records of each partition",
        ),
        (["--group-id", "m1"], "no event of groupId m1"),
    ] {
        let (code, _, said) = explain(&arguments);
        assert!(
            code == 1 && said.contains(complaint),
            "{arguments:?}: {code} {said}"
        );
    }
    for (count, expected) in [("100", "5 records"), ("4", "4 records")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
        let output = command
            .arg("suggest")
            .arg("--config")
            .arg(&config)
            .args(["--sample", count])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.starts_with(expected), "{said}");
    }
    // Nothing of the group moved, nor was there ever one.
    assert_eq!(kafka.committed(), 0);
}

#[test]
fn check_says_how_the_broker_has_each_topic() {
    let kafka = Kafka::start();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("groupcast.yaml");
    let check = |text: &str| {
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
        let output = command
            .args(["check", "--broker", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code().unwrap(), stdout, stderr)
    };
    // The embedded cluster tells neither rights nor limits.
    let (code, said, complaint) = check(&kafka.config_text(""));
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert!(
        said.contains(
            "  group-events           source, 4 partitions, rights not told, limit not told\n"
        ),
        "{said}"
    );
    assert!(
        said.contains(
            "  group-events.dead      output, 4 partitions, rights not told, limit not told\n"
        ),
        "{said}"
    );
    assert!(
        said.ends_with("  all topics are there and may be used\n"),
        "{said}"
    );
    let (code, said, complaint) = check(
        &kafka
            .config_text("")
            .replace("use: intercom", "{ use: intercom, topic: absent }"),
    );
    assert_eq!(code, 1, "{complaint}");
    assert!(
        said.contains("absent                output, not there\n"),
        "{said}"
    );
    assert!(
        complaint.contains("--create --topic absent --partitions 4"),
        "{complaint}"
    );
    assert_eq!(kafka.committed(), 0);
}

#[test]
fn a_restart_continues_where_the_last_run_stopped() {
    let kafka = Kafka::start();
    let events = events(60);
    kafka.produce(texts(&events[..20]));
    run_until_committed(&kafka, &[], 20);
    kafka.produce(texts(&events[20..]));
    run_until_committed(&kafka, &[], 60);
    let mut expected: Vec<String> = (0..60).map(|index| format!("g{index}")).collect();
    expected.sort();
    assert_eq!(keys(&kafka.read("group-events.webhook", 60)), expected);
}

#[test]
fn several_workers_share_the_partitions() {
    let kafka = Kafka::start();
    let events = events(100);
    let service = kafka.serve(&[("source.workers", "2")]);
    until("both workers have partitions", || {
        service
            .watched()
            .statuses
            .iter()
            .all(|status| status.view().partitions == 2)
    });
    kafka.produce(texts(&events));
    kafka.wait_for_commit(100);
    assert_eq!(kafka.read("group-events.webhook", 100).len(), 100);
    stop(service);
}

#[test]
fn a_refused_topic_holds_the_offsets_and_heals_and_nothing_is_lost() {
    let kafka = Kafka::start();
    let events = events(20);
    kafka.produce(texts(&events));
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.fail(RDKafkaApiKey::Produce, &[denied; 1000]);
    let service = kafka.serve(&[]);
    // The other topic's records may never have left.
    let refused = || {
        service.watched().statuses[0]
            .view()
            .refused
            .first()
            .map(|(topic, _)| topic.clone())
    };
    until("a topic refuses", || refused().is_some());
    let topic = refused().unwrap();
    let gauge = format!(r#"groupcast_topic_refused{{topic="{topic}"}}"#);
    until("reading is paused", || {
        service.watched().statuses[0].view().is_held
    });
    let (code, body) = get(&service, "/readyz");
    assert_eq!(code, 503);
    assert!(
        body.contains(&format!("worker 0: topic {topic} refuses records")),
        "{body}"
    );
    assert_eq!(get(&service, "/healthz").0, 200);
    assert_eq!(metric(&service, &gauge), 1.0);
    assert_eq!(kafka.committed(), 0);
    let n_rewinds = metric(
        &service,
        r#"groupcast_rewinds_total{cause="topic_refused"}"#,
    );
    assert!(
        (1.0..=2.0).contains(&n_rewinds),
        "each topic can roll an epoch back once: {n_rewinds}"
    );

    kafka
        .cluster
        .mock()
        .unwrap()
        .clear_request_errors(RDKafkaApiKey::Produce);
    kafka.wait_for_commit(20);
    assert_eq!(
        first_of_each(&kafka.read("group-events.webhook", 20)).len(),
        20
    );
    assert_eq!(
        first_of_each(&kafka.read("group-events.intercom", 20)).len(),
        20
    );
    until("it is ready again", || get(&service, "/readyz").0 == 200);
    assert_eq!(metric(&service, &gauge), 0.0);
    // Reading goes on.
    kafka.produce(texts(&events));
    kafka.wait_for_commit(40);
    let now = metric(
        &service,
        r#"groupcast_rewinds_total{cause="topic_refused"}"#,
    );
    assert_eq!(now, n_rewinds, "the outage itself rolls nothing back");
    stop(service);
}

/// librdkafka remembers that a partition was paused, also while it is another member's.
#[test]
fn partitions_that_left_while_reading_was_paused_are_read_when_they_come_back() {
    for assignor in ["range", "cooperative-sticky"] {
        leave_while_paused(assignor);
    }
}

fn leave_while_paused(assignor: &str) {
    let kafka = Kafka::start();
    let events = events(20);
    kafka.produce(texts(&events));
    let config = kafka.config(&format!("partition.assignment.strategy: {assignor}"), &[]);
    let open =
        |worker| Source::open(&config, Arc::new(Status::new(worker)), Reading::Live).unwrap();
    let mut first = open(0);
    until("the first has all partitions", || {
        turn(&mut first, |_| {}) == Some(4)
    });
    first.set_paused(true).unwrap();
    let mut second = open(1);
    let mut seen = BTreeSet::new();
    let mut look = |position: Position<'_>| seen.extend([(position.partition, position.offset)]);
    until("the second has partitions", || {
        // What a worker does whose epoch is undone at the revoke, be it of all partitions or of those that move.
        if turn(&mut first, &mut look) == Some(0) {
            first.set_paused(false).unwrap();
        }
        turn(&mut second, |_| {}) == Some(2)
    });
    second.close();
    until("the first has read all records", || {
        turn(&mut first, |position| {
            seen.extend([(position.partition, position.offset)])
        });
        seen.len() == 20
    });
    first.close();
}

/// A position from before would be taken for one behind transaction marks, and records that were undone for done.
#[test]
fn a_position_from_before_a_rewind_is_not_one_that_reading_has_passed() {
    let kafka = Kafka::start();
    kafka.produce(texts(&events(20)));
    for assignor in ["range", "cooperative-sticky"] {
        let config = kafka.config(&format!("partition.assignment.strategy: {assignor}"), &[]);
        let status = Arc::new(Status::new(0));
        let mut source = Source::open(&config, Arc::clone(&status), Reading::Live).unwrap();
        until("it has all partitions", || {
            turn(&mut source, |_| {}) == Some(4)
        });
        status.progress().assign(
            (0..PARTITIONS).map(|partition| (SOURCE, partition)),
            Instant::now(),
        );
        for round in 0..5 {
            let mut seen = BTreeSet::new();
            until("all is read", || {
                turn(&mut source, |position| {
                    seen.extend([(position.partition, position.offset)])
                });
                seen.len() == 20
            });
            assert_eq!(
                source.passed().unwrap().len(),
                4,
                "of what is read, nothing is committed"
            );
            source.rewind().unwrap();
            assert_eq!(source.passed().unwrap(), [], "{assignor}, round {round}");
        }
        source.close();
    }
}

/// Polls once, and gives the group what it wants; returns the number of partitions where that has changed it.
fn turn(source: &mut Source, mut take: impl FnMut(Position<'_>)) -> Option<usize> {
    source
        .poll(Duration::from_millis(10), |record| take(record.position))
        .unwrap();
    match source.rebalance() {
        None => None,
        Some(Rebalance::Assign(partitions)) => {
            let count = partitions.count();
            source.assign(partitions).unwrap();
            Some(count)
        }
        Some(Rebalance::Revoke(partitions)) => {
            source.unassign(&partitions).unwrap();
            Some(0)
        }
    }
}

#[test]
fn a_shutdown_while_a_topic_refuses_says_what_is_left_and_the_next_start_sends_it() {
    let kafka = Kafka::start();
    let events = events(5);
    kafka.produce(texts(&events));
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.fail(RDKafkaApiKey::Produce, &[denied; 1000]);
    let service = kafka.serve(&[("delivery.shutdown_timeout_ms", "300")]);
    until("a topic refuses", || {
        !service.watched().statuses[0].view().refused.is_empty()
    });
    service.stop();
    let fault = service.wait().unwrap_err().to_string();
    assert!(
        fault.contains("stopped while topics refuse records (group-events."),
        "{fault}"
    );
    assert_eq!(kafka.committed(), 0);
    kafka
        .cluster
        .mock()
        .unwrap()
        .clear_request_errors(RDKafkaApiKey::Produce);
    run_until_committed(&kafka, &[], 5);
    assert_eq!(
        first_of_each(&kafka.read("group-events.webhook", 5)).len(),
        5
    );
}

#[test]
fn offsets_that_the_group_does_not_take_go_with_a_later_commit() {
    let kafka = Kafka::start();
    let events = events(8);
    kafka.produce(texts(&events));
    let moving = RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
    kafka.fail(RDKafkaApiKey::OffsetCommit, &[moving; 3]);
    let service = kafka.serve(&[]);
    kafka.wait_for_commit(8);
    assert!(metric(&service, r#"groupcast_epochs_total{result="deferred"}"#) >= 1.0);
    assert_eq!(metric(&service, "groupcast_rewinds_total"), 0.0);
    assert_eq!(kafka.read("group-events.webhook", 8).len(), 8);
    stop(service);
}

/// librdkafka issue 5586: with its own query for committed offsets, a partition would never be read.
#[test]
fn a_coordinator_that_moves_while_offsets_are_fetched_strands_no_partition() {
    let kafka = Kafka::start();
    let events = events(20);
    kafka.produce(texts(&events));
    let moved = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
    kafka.fail(RDKafkaApiKey::OffsetFetch, &[moved; 2]);
    let service = kafka.serve(&[]);
    assert_eq!(kafka.read("group-events.webhook", 20).len(), 20);
    kafka.wait_for_commit(20);
    stop(service);
}

#[test]
fn a_fatal_producer_error_rewinds_and_nothing_is_lost() {
    let kafka = Kafka::start();
    let events = events(20);
    kafka.produce(texts(&events));
    kafka.fail(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER],
    );
    let service = kafka.serve(&[]);
    kafka.wait_for_commit(20);
    let mut seen = keys(&kafka.read("group-events.webhook", 20));
    seen.dedup();
    assert_eq!(seen.len(), 20);
    assert!(metric(&service, r#"groupcast_rewinds_total{cause="producer"}"#) >= 1.0);
    assert_eq!(
        metric(&service, r#"groupcast_verdicts_total{verdict="routed""#),
        20.0,
        "undone records are not counted"
    );
    stop(service);
}

/// Each epoch is undone soon, so that none of them is old by itself.
#[test]
fn rewinds_without_a_commit_are_not_ready_and_each_partition_is_named() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    };
    rewind_again_and_again(
        "at_least_once",
        RDKafkaApiKey::Produce,
        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        "producer",
    );
    rewind_again_and_again(
        "exactly_once",
        RDKafkaApiKey::EndTxn,
        RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        "transaction",
    );
}

fn rewind_again_and_again(guarantee: &str, api: RDKafkaApiKey, error: RDKafkaRespErr, cause: &str) {
    let kafka = Kafka::start();
    let events = events(4);
    kafka.produce(texts(&events));
    kafka.fail(api, &[error; 1000]);
    let service = kafka.serve(&[("delivery.guarantee", guarantee)]);
    let rewinds = || {
        metric(
            &service,
            &format!(r#"groupcast_rewinds_total{{cause="{cause}"}}"#),
        )
    };
    until("an epoch is undone", || rewinds() >= 1.0);
    let undone_at = Instant::now();
    until("it is undone again and again", || rewinds() >= 4.0);
    let reasons = service
        .watched()
        .why_not_ready(undone_at + BLOCKED_AFTER + Duration::from_secs(1));
    for partition in 0..PARTITIONS {
        let name = format!(
            "worker 0: partition {SOURCE}/{partition} is blocked at offset 0: no progress for 2"
        );
        let is_named = |reason: &String| {
            reason.starts_with(&name) && reason.contains(&format!("undone ({cause})"))
        };
        assert!(
            reasons.iter().any(is_named),
            "{name} is not in {reasons:#?}"
        );
    }
    let page = get(&service, "/metrics").1;
    let age = page.lines().find_map(|line| {
        line.strip_prefix(r#"groupcast_oldest_uncommitted_age_seconds{worker="0"} "#)
    });
    assert!(
        age.unwrap().parse::<f64>().unwrap() >= undone_at.elapsed().as_secs_f64() - 1.0,
        "{age:?}"
    );

    kafka.cluster.mock().unwrap().clear_request_errors(api);
    until("all is committed", || {
        service.watched().statuses[0]
            .progress()
            .uncommitted_since()
            .is_none()
    });
    until("it is ready again", || get(&service, "/readyz").0 == 200);
    stop(service);
}

#[test]
fn a_partition_without_a_leader_is_named_and_disturbs_no_other() {
    let kafka = Kafka::start();
    let events = events(4);
    kafka.produce(texts(&events));
    run_until_committed(&kafka, &[], 4);
    let mock = kafka.cluster.mock().unwrap();
    mock.partition_leader(SOURCE, 2, None).unwrap();
    let service = kafka.serve(&[]);
    let status = &service.watched().statuses[0];
    until("it has its partitions", || status.view().partitions == 4);
    let assigned_at = Instant::now();
    kafka.produce(texts(&events[..2]));
    kafka.wait_for_commit(6);
    // A new consumer was opened 20 s after the partition was assigned.
    let blocked = || {
        status
            .progress()
            .get(SOURCE, 2)
            .and_then(|known| known.blocked_for(Instant::now()))
    };
    until("it is blocked", || {
        blocked().is_some() && assigned_at.elapsed() > Duration::from_secs(25)
    });
    let (code, body) = get(&service, "/readyz");
    let reason =
        format!("worker 0: partition {SOURCE}/2 is blocked at offset 1: no progress for 2");
    assert!(
        code == 503 && body.contains(&reason) && body.contains(" s: no broker leads it"),
        "{body}"
    );
    assert_eq!(body.matches("blocked").count(), 1, "{body}");
    kafka.produce(texts(&events[..2]));
    kafka.wait_for_commit(8);
    assert_eq!(
        metric(
            &service,
            r#"groupcast_rewinds_total{cause="partition_stuck"}"#
        ),
        0.0
    );
    assert_eq!(
        metric(
            &service,
            r#"groupcast_rebalances_total{worker="0",kind="assign"}"#
        ),
        1.0
    );

    mock.partition_leader(SOURCE, 2, Some(1)).unwrap();
    kafka.produce(texts(&events));
    kafka.wait_for_commit(12);
    until("it is ready again", || get(&service, "/readyz").0 == 200);
    stop(service);
}

/// Nothing waits anywhere, for all that is known.
#[test]
fn a_leader_that_does_not_answer_is_named_for_its_own_partitions_only() {
    let kafka = Kafka::start_brokers(2);
    let mock = kafka.cluster.mock().unwrap();
    mock.coordinator(MockCoordinator::Group("groupcast".to_owned()), 1)
        .unwrap();
    for topic in OUTPUTS.iter().chain([&SOURCE]) {
        let leader = |partition| {
            if *topic == SOURCE && partition > 1 {
                2
            } else {
                1
            }
        };
        (0..PARTITIONS).for_each(|partition| {
            mock.partition_leader(topic, partition, Some(leader(partition)))
                .unwrap()
        });
    }
    let events = events(4);
    kafka.produce(texts(&events));
    let service = kafka.serve(&[]);
    kafka.wait_for_commit(4);
    let status = &service.watched().statuses[0];
    until("it is known that nothing waits", || {
        status.progress().is_all_done()
    });
    mock.broker_round_trip_time(2, Duration::from_secs(300))
        .unwrap();
    let is_hindered = |partition| {
        status
            .progress()
            .get(SOURCE, partition)
            .is_some_and(|known| known.obstacle.is_some())
    };
    until("both of its partitions are hindered", || {
        is_hindered(2) && is_hindered(3)
    });
    let reasons = service
        .watched()
        .why_not_ready(Instant::now() + BLOCKED_AFTER);
    for partition in 0..PARTITIONS {
        let name =
            format!("partition {SOURCE}/{partition} is blocked at offset 1: no progress for 2");
        let is_named = |reason: &String| {
            reason.contains(&name) && reason.ends_with("its leader does not answer")
        };
        assert_eq!(
            reasons.iter().any(is_named),
            partition > 1,
            "{partition} in {reasons:#?}"
        );
    }
    assert_eq!(metric(&service, "groupcast_rewinds_total"), 0.0);
    mock.broker_round_trip_time(2, Duration::ZERO).unwrap();
    stop(service);
}

/// What librdkafka does to a partition that it has forgotten (its issue 5591): all looks well, and nothing arrives. Here the leader
/// sends it to a follower that does not exist.
#[test]
fn records_that_the_leader_has_and_that_do_not_arrive_are_noticed() {
    let kafka = Kafka::start();
    let events = events(4);
    kafka.produce(texts(&events));
    run_until_committed(&kafka, &[], 4);
    let mock = kafka.cluster.mock().unwrap();
    mock.partition_follower(SOURCE, 2, 9).unwrap();
    let service = kafka.serve(&[]);
    kafka.produce(texts(&events));
    kafka.wait_for_commit(7);
    until("the partition is stuck", || {
        metric(
            &service,
            r#"groupcast_rewinds_total{cause="partition_stuck"}"#,
        ) >= 1.0
    });
    let status = &service.watched().statuses[0];
    until("it is blocked with the new consumer, too", || {
        let (code, body) = get(&service, "/readyz");
        code == 503
            && status.view().partitions == 4
            && body.contains(&format!("partition {SOURCE}/2 is blocked at offset 1"))
    });
    mock.partition_follower(SOURCE, 2, -1).unwrap();
    kafka.wait_for_commit(8);
    until("it is ready again", || get(&service, "/readyz").0 == 200);
    stop(service);
}

/// Twenty events of one group, which reach one partition of one topic, each in a request of its own.
struct OneByOne {
    kafka: Kafka,
    events: Vec<String>,
}

impl OneByOne {
    fn start() -> OneByOne {
        let kafka = Kafka::start();
        // Else an answer can come before the next request is sent.
        kafka
            .cluster
            .mock()
            .unwrap()
            .broker_round_trip_time(1, Duration::from_millis(50))
            .unwrap();
        // Another topic's requests would be in flight instead of the next one's.
        let event = event("g").replace(
            r#""integrations":{}"#,
            r#""integrations":{"Intercom":false}"#,
        );
        let numbered = |number: usize| {
            event.replace(r#""type""#, &format!(r#""messageId":"{number:02}","type""#))
        };
        OneByOne {
            kafka,
            events: (0..20).map(numbered).collect(),
        }
    }

    fn serve(&self, overrides: &[(&str, &str)]) -> Service {
        let one_record = [("kafka.producer_properties.batch.num.messages", "1")];
        self.kafka.serve(&[&one_record, overrides].concat())
    }

    /// Produces events into one partition of the source, in one request.
    fn produce(&self, events: &[String]) {
        let producer: BaseProducer = self
            .kafka
            .client()
            .set("linger.ms", "300")
            .create()
            .unwrap();
        for event in events {
            producer
                .send(
                    BaseRecord::<str, str>::to(SOURCE)
                        .payload(event)
                        .key("source key")
                        .partition(0),
                )
                .unwrap();
        }
        producer.flush(DEADLINE).unwrap();
    }

    /// Has the first request for an output fail, once events are produced.
    fn produce_and_fail(&self, events: &[String], error: RDKafkaRespErr) {
        self.kafka.fail(
            RDKafkaApiKey::Produce,
            &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR, error],
        );
        self.produce(events);
    }

    /// Returns the ids of the events in the order in which each came first.
    fn order(&self) -> Vec<String> {
        let id = |value: &String| {
            value
                .split(r#""messageId":""#)
                .nth(1)
                .map(|rest| rest[..2].to_owned())
                .unwrap()
        };
        first_of_each(&self.kafka.read("group-events.webhook", 20))
            .iter()
            .map(id)
            .collect()
    }
}

fn in_order() -> Vec<String> {
    (0..20).map(|number| format!("{number:02}")).collect()
}

/// The values of records, repetitions left out: those are the same bytes, with the same id.
fn first_of_each(seen: &[Seen]) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for record in seen {
        if !values.contains(&record.value) {
            values.push(record.value.clone());
        }
    }
    values
}

/// A partition that has no record of the producer would take the second request after it refused the first (KIP-360), as the
/// embedded cluster always does.
#[test]
fn k5_the_first_record_of_a_partition_goes_alone() {
    for error in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    ] {
        let stage = OneByOne::start();
        stage.produce_and_fail(&stage.events, error);
        let service = stage.serve(&[]);
        stage.kafka.wait_for_commit(20);
        assert_eq!(stage.order(), in_order(), "{error:?}");
        stop(service);
    }
}

/// A recreated partition answers like this: it refuses one request, and takes the next, whose sequence number it cannot check.
/// librdkafka takes that acknowledgement for one of all records before it.
#[test]
fn an_epoch_with_an_unconfirmed_record_is_rolled_back() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let stage = OneByOne::start();
        let service = stage.serve(&[("delivery.guarantee", guarantee)]);
        stage.produce(&stage.events[..1]);
        // The embedded cluster keeps no offsets of a transaction.
        until("the partition knows the producer", || {
            metric(&service, r#"groupcast_epochs_total{result="committed"}"#) >= 1.0
        });
        stage.produce_and_fail(
            &stage.events[1..],
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        );
        let rewinds = |cause: &str| {
            metric(
                &service,
                &format!(r#"groupcast_rewinds_total{{cause="{cause}"}}"#),
            )
        };
        // Of a transaction the client may notice it first.
        until("the epoch is rolled back", || {
            rewinds("producer") + rewinds("transaction") >= 1.0
        });
        let mut order = stage.order();
        order.sort_unstable();
        assert_eq!(order, in_order(), "{guarantee}");
        stop(service);
    }
}

#[test]
fn a_broker_that_is_away_loses_nothing() {
    let kafka = Kafka::start();
    let events = events(40);
    kafka.produce(texts(&events[..20]));
    let service = kafka.serve(&[]);
    kafka.wait_for_commit(20);
    kafka.produce(texts(&events[20..]));
    kafka.cluster.mock().unwrap().broker_down(1).unwrap();
    thread::sleep(Duration::from_secs(4));
    kafka.cluster.mock().unwrap().broker_up(1).unwrap();
    kafka.wait_for_commit(40);
    let mut seen = keys(&kafka.read("group-events.webhook", 40));
    seen.dedup();
    assert_eq!(seen.len(), 40);
    stop(service);
}

#[test]
fn a_start_at_the_end_is_committed_at_once_so_that_a_restart_skips_nothing() {
    let kafka = Kafka::start();
    let events = events(12);
    kafka.produce(texts(&events[..8]));
    run_until_committed(&kafka, &[("source.start", "latest")], 8);
    kafka.produce(texts(&events[8..]));
    run_until_committed(&kafka, &[("source.start", "latest")], 12);
    assert_eq!(
        keys(&kafka.read("group-events.webhook", 4)),
        ["g10", "g11", "g8", "g9"]
    );
}

/// Else records that come while nothing can be sent would be skipped by a restart.
#[test]
fn a_start_at_the_end_is_committed_before_anything_is_read() {
    let kafka = Kafka::start_brokers(2);
    let mock = kafka.cluster.mock().unwrap();
    mock.coordinator(MockCoordinator::Group("groupcast".to_owned()), 1)
        .unwrap();
    for (topic, leader) in OUTPUTS.iter().map(|topic| (*topic, 2)).chain([(SOURCE, 1)]) {
        (0..PARTITIONS).for_each(|partition| {
            mock.partition_leader(topic, partition, Some(leader))
                .unwrap()
        });
    }
    let events = events(12);
    kafka.produce(texts(&events[..8]));
    mock.broker_down(2).unwrap();
    let service = kafka.serve(&[
        ("source.start", "latest"),
        ("delivery.epoch.interval_ms", "10000"),
    ]);
    until("the group has given it partitions", || {
        service.watched().statuses[0].view().partitions == 4
    });
    kafka.produce(texts(&events[8..]));
    kafka.wait_for_commit(8);
    mock.broker_up(2).unwrap();
    kafka.wait_for_commit(12);
    stop(service);
}

#[test]
fn a_partition_that_was_added_starts_at_its_beginning() {
    for start in ["latest", "2100-01-01T00:00:00Z"] {
        // A group with a note, and one that has none, as it began before there were notes.
        for note in ["groupcast-start-1 1", ""] {
            let kafka = Kafka::start();
            let events = events(12);
            kafka.produce(texts(&events[..8]));
            kafka.commit(0, 2, note);
            run_until_committed(&kafka, &[("source.start", start)], 8);
            let added = ["g1", "g2", "g3", "g5", "g6", "g7"];
            assert_eq!(
                keys(&kafka.read("group-events.webhook", 6)),
                added,
                "{start}, {note}"
            );
            kafka.produce(texts(&events[8..]));
            run_until_committed(&kafka, &[("source.start", start)], 12);
            assert_eq!(
                kafka.read("group-events.webhook", 10).len(),
                10,
                "{start}, {note}"
            );
        }
    }
}

/// The members of a new group ask and commit at their own pace: one that is slow must not take the group for an old one.
#[test]
fn a_new_group_reads_no_history_however_slow_a_member_is() {
    let kafka = Kafka::start();
    let events = events(12);
    kafka.produce(texts(&events[..8]));
    kafka.commit(0, 2, "groupcast-start-1 4");
    run_until_committed(&kafka, &[("source.start", "latest")], 8);
    kafka.produce(texts(&events[8..]));
    run_until_committed(&kafka, &[("source.start", "latest")], 12);
    assert_eq!(
        keys(&kafka.read("group-events.webhook", 4)),
        ["g10", "g11", "g8", "g9"]
    );
    assert_eq!(
        kafka.metadata(),
        ["groupcast-start-1 4"; 4],
        "every commit repeats it"
    );
}

#[test]
fn a_position_that_the_partition_does_not_have_stops_the_worker_and_is_named() {
    let kafka = Kafka::start();
    kafka.commit_beyond_the_end();
    let service = kafka.serve(&[]);
    let fault = service.wait().unwrap_err().to_string();
    assert!(
        fault.contains("group-events/2: the group is at 100 and the partition ends at 0"),
        "{fault}"
    );
    assert!(fault.contains("source.on_gap: continue"), "{fault}");
}

#[test]
fn on_gap_continue_goes_on_at_the_oldest_record() {
    let kafka = Kafka::start();
    kafka.commit_beyond_the_end();
    let events = events(8);
    kafka.produce(texts(&events));
    let service = kafka.serve(&[("source.on_gap", "continue")]);
    assert_eq!(kafka.read("group-events.webhook", 8).len(), 8);
    kafka.wait_for_commit(8);
    stop(service);
}

#[test]
fn a_gap_is_closed_beside_a_partition_without_a_leader() {
    let kafka = Kafka::start();
    kafka.commit_beyond_the_end();
    kafka.commit(3, 1, "");
    let events = events(8);
    kafka.produce(texts(&events));
    kafka
        .cluster
        .mock()
        .unwrap()
        .partition_leader(SOURCE, 3, None)
        .unwrap();
    let service = kafka.serve(&[("source.on_gap", "continue")]);
    kafka.wait_for_commit(7);
    assert_eq!(
        metric(&service, r#"groupcast_rewinds_total{cause="consumer"}"#),
        0.0
    );
    stop(service);
}

#[test]
fn the_eager_protocol_works_too() {
    let kafka = Kafka::start();
    let events = events(40);
    kafka.produce(texts(&events[..20]));
    let service = kafka.serve_with(
        "partition.assignment.strategy: range",
        &[("source.workers", "2")],
    );
    kafka.wait_for_commit(20);
    kafka.produce(texts(&events[20..]));
    kafka.wait_for_commit(40);
    let mut seen = keys(&kafka.read("group-events.webhook", 40));
    seen.dedup();
    assert_eq!(seen.len(), 40);
    stop(service);
}

#[test]
fn a_missing_topic_is_named_with_the_command_that_creates_it() {
    let kafka = Kafka::start();
    let config = kafka.config("", &[("source.topics", "other-events")]);
    let router = Router::new(config.routing()).unwrap();
    let fault = Topics::check(&config, router.topics())
        .unwrap_err()
        .to_string();
    let (source, outputs) = fault.split_once('\n').unwrap();
    assert_eq!(source, "source topic does not exist: other-events");
    assert!(
        outputs.contains("--create --topic other-events.webhook --partitions 1"),
        "{fault}"
    );
}

#[test]
fn the_page_shows_metrics_health_and_readiness() {
    let kafka = Kafka::start();
    kafka.produce([event("g1").as_str()]);
    let service = kafka.serve(&[]);
    kafka.wait_for_commit(1);
    until("it is ready", || {
        get(&service, "/readyz") == (200, "{\"reasons\":[],\"status\":\"ok\"}\n".to_owned())
    });
    assert_eq!(get(&service, "/healthz").0, 200);
    let (code, body) = get(&service, "/metrics");
    assert_eq!(code, 200);
    assert!(
        body.contains(
            r#"groupcast_outcomes_total{destination="webhook",outcome="emitted",reason=""} 1"#
        ),
        "{body}"
    );
    until("the lag is known", || {
        get(&service, "/metrics")
            .1
            .contains(r#"groupcast_consumer_lag_records{topic="group-events",partition="0"} 0"#)
    });
    until("the clients have told of themselves", || {
        get(&service, "/metrics")
            .1
            .contains("groupcast_broker_up{client=\"producer\"")
    });
    let body = get(&service, "/metrics").1;
    every_series_is_of_a_known_family(&body);
    assert_eq!(get(&service, "/startupz").0, 200);
    for age in [
        "groupcast_last_commit_age_seconds",
        "groupcast_oldest_uncommitted_age_seconds",
    ] {
        assert!(
            body.contains(&format!("{age}{{worker=\"0\"}} ")),
            "{age} is not in:\n{body}"
        );
    }
    service
        .watched()
        .topic_problems
        .lock()
        .unwrap()
        .push("output topic does not exist: webhook".to_owned());
    let (code, body) = get(&service, "/readyz");
    assert_eq!(
        (code, body.trim()),
        (
            503,
            r#"{"reasons":["output topic does not exist: webhook"],"status":"failing"}"#
        )
    );
    stop(service);
}

#[test]
fn health_ends_as_the_pages_say() {
    let kafka = Kafka::start();
    let service = kafka.serve(&[]);
    let health = |page: &str| {
        let url = format!("http://{}{page}", service.http().unwrap());
        let output = Command::new(env!("CARGO_BIN_EXE_groupcast"))
            .args(["health", "--url", &url])
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (
            output.status.code().unwrap(),
            stdout,
            stderr.replace(&url, "URL"),
        )
    };
    until("it is ready", || get(&service, "/readyz").0 == 200);
    for page in ["/healthz", "/readyz", "/startupz"] {
        assert_eq!(
            health(page),
            (0, "ok\n".to_owned(), String::new()),
            "{page}"
        );
    }
    let problems = [
        "output topic does not exist: webhook",
        "output topic may not be written: intercom",
    ];
    service
        .watched()
        .topic_problems
        .lock()
        .unwrap()
        .extend(problems.map(str::to_owned));
    assert_eq!(
        health("/readyz"),
        (1, String::new(), problems.join("\n") + "\n")
    );
    assert_eq!(health("/healthz").0, 0);
    assert_eq!(
        health("/nothing"),
        (
            1,
            String::new(),
            "error: no health page of groupcast, status 404: URL\n".to_owned()
        )
    );
    assert_eq!(
        health("/metrics"),
        (
            1,
            String::new(),
            "error: no health page of groupcast, status 200: URL\n".to_owned()
        )
    );
    stop(service);
}

/// The table of families is what `docs/metrics.md` is made of.
fn every_series_is_of_a_known_family(page: &str) {
    let known: BTreeMap<&str, &Family> = SECTIONS
        .iter()
        .flat_map(|(_, families)| *families)
        .map(|family| (family.name, family))
        .collect();
    let mut seen = BTreeSet::new();
    for line in page
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let bare = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        let family = known
            .get(bare)
            .unwrap_or_else(|| panic!("not in the table: {line}"));
        let labels = labels
            .trim_end_matches('}')
            .split(',')
            .filter_map(|label| label.split('=').next());
        let labels: Vec<&str> = labels
            .filter(|label| !label.is_empty() && *label != "le")
            .collect();
        assert_eq!(labels, family.labels, "{line}");
        assert!(
            page.contains(&format!("# TYPE {bare} {}\n", family.kind.word())),
            "{line}"
        );
        assert_eq!(
            page.matches(&format!("# HELP {bare} {}\n", family.help))
                .count(),
            1,
            "{line}"
        );
        seen.insert(bare);
    }
    // What a service that has done its work and met no fault has no series of.
    let of_faults = [
        "groupcast_notes_total",
        "groupcast_gap_offsets_skipped_total",
        "groupcast_topic_refused",
        "groupcast_topic_problems",
        "groupcast_client_errors_total",
    ];
    let unseen: Vec<&str> = known
        .keys()
        .copied()
        .filter(|name| !seen.contains(name) && !of_faults.contains(name))
        // An audit writes these to a file of its own.
        .filter(|name| !name.starts_with("groupcast_audit_"))
        .collect();
    assert!(unseen.is_empty(), "never said: {unseen:?} in\n{page}");
}

/// Starts `groupcast run` as a process of its own.
fn start_process(kafka: &Kafka, folder: &Path) -> Child {
    start_process_with(&kafka.config_text(""), folder, &[])
}

fn start_process_with(config: &str, folder: &Path, environment: &[(&str, &str)]) -> Child {
    let file = folder.join("groupcast.yaml");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
    command
        .arg("run")
        .arg("--config")
        .arg(file)
        .envs(environment.iter().copied())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns what waits until the process has said something on standard error.
fn listen(process: &mut Child) -> impl Fn(&str) + use<> {
    let (sender, lines) = mpsc::channel();
    let stderr = BufReader::new(process.stderr.take().unwrap());
    thread::spawn(move || {
        stderr
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    move |text| {
        let next = || {
            lines
                .recv_timeout(DEADLINE)
                .unwrap_or_else(|_| panic!("never said: {text}"))
        };
        while !next().contains(text) {}
    }
}

fn signal(process: &Child, name: &str) {
    assert!(
        Command::new("kill")
            .args([name, &process.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// Returns the exit code and what was written to standard error.
fn wait(mut process: Child) -> (Option<i32>, String) {
    let mut log = String::new();
    process
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    (process.wait().unwrap().code(), log)
}

#[test]
fn a_process_that_gets_sigterm_commits_and_exits_with_0() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let events = events(30);
    kafka.produce(texts(&events));
    let process = start_process(&kafka, folder.path());
    kafka.wait_for_commit(30);
    signal(&process, "-TERM");
    let (code, log) = wait(process);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("all is acknowledged and committed"), "{log}");
}

#[test]
fn a_process_whose_log_nobody_reads_stops_all_the_same() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    kafka.produce(texts(&events(4)));
    let mut process = start_process(&kafka, folder.path());
    kafka.wait_for_commit(4);
    drop(process.stderr.take());
    signal(&process, "-HUP");
    signal(&process, "-TERM");
    assert_eq!(ended(process), Some(0));
}

/// Waits until the program's first line has run: it blocks the signals that it will act upon.
fn wait_for_first_line(process: &Child) {
    const SIGTERM: u64 = 1 << (15 - 1);
    until("it holds signals", || {
        let status =
            fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        blocked.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & SIGTERM != 0)
    });
}

/// Returns the exit code; none where the process does not end, and is killed.
fn ended(mut process: Child) -> Option<i32> {
    let until = Instant::now() + DEADLINE;
    while process.try_wait().unwrap().is_none() && Instant::now() < until {
        thread::sleep(Duration::from_millis(10));
    }
    process.kill().unwrap();
    process.wait().unwrap().code()
}

/// Has something happen at many moments of a start: before, while and after the brokers are asked, which takes three seconds
/// as the embedded cluster does not tell rights. Each process has a group of its own.
fn at_each_moment(kafka: &Kafka, happen: impl Fn(Child, Duration) + Sync) {
    let moments = (0..500).step_by(50).chain((2800..4000).step_by(100));
    let (happen, text) = (&happen, kafka.config_text(""));
    thread::scope(|scope| {
        for moment in moments {
            let config = text.replace("source: {", &format!("source: {{ group_id: g{moment},"));
            scope.spawn(move || {
                let folder = tempfile::tempdir().unwrap();
                let process = start_process_with(&config, folder.path(), &[]);
                wait_for_first_line(&process);
                let moment = Duration::from_millis(moment);
                thread::sleep(moment);
                happen(process, moment);
            });
        }
    });
}

#[test]
fn a_stop_at_any_moment_of_a_start_ends_it_with_0() {
    at_each_moment(&Kafka::start(), |process, moment| {
        signal(
            &process,
            if moment.as_millis() % 100 == 0 {
                "-TERM"
            } else {
                "-INT"
            },
        );
        assert_eq!(ended(process), Some(0), "after {moment:?}");
    });
}

#[test]
fn a_hangup_at_any_moment_of_a_start_reloads() {
    at_each_moment(&Kafka::start(), |mut process, moment| {
        let wait_for = listen(&mut process);
        signal(&process, "-HUP");
        wait_for("the configuration is reloaded");
        signal(&process, "-TERM");
        assert_eq!(ended(process), Some(0), "after {moment:?}");
    });
}

/// An `exec` resets handlers, so that what comes around it is killed by or lost where signals are not blocked.
#[test]
fn a_signal_at_any_moment_of_a_start_over_is_acted_upon() {
    let kafka = Kafka::start();
    thread::scope(|scope| {
        for moment in (0..600).step_by(50).map(Duration::from_millis) {
            let config = kafka.config_text("sasl.password: { file: secret }");
            let config = config.replace(
                "source: {",
                &format!("source: {{ group_id: g{},", moment.as_millis()),
            );
            scope.spawn(move || {
                let folder = tempfile::tempdir().unwrap();
                fs::write(folder.path().join("secret"), "the first").unwrap();
                let mut process = start_process_with(&config, folder.path(), &[]);
                let wait_for = listen(&mut process);
                wait_for("the group has changed our partitions");
                fs::write(folder.path().join("secret"), "the second").unwrap();
                wait_for("credentials have changed");
                for name in ["-HUP", "-TERM"] {
                    thread::sleep(moment / 2);
                    signal(&process, name);
                }
                assert_eq!(ended(process), Some(0), "after {moment:?}");
            });
        }
    });
}

#[test]
fn sighup_reloads_what_may_change_and_refuses_the_rest() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let (events, text) = (events(8), kafka.config_text(""));
    kafka.produce(texts(&events[..4]));
    let mut process = start_process_with(&text, folder.path(), &[]);
    let wait_for = listen(&mut process);
    kafka.wait_for_commit(4);
    let reload = |text: &str| {
        fs::write(folder.path().join("groupcast.yaml"), text).unwrap();
        signal(&process, "-HUP");
    };
    let fewer = text.replace("  - use: intercom\n", "");
    reload(&fewer.replace("use: webhook", "use: webhok"));
    wait_for("the configuration is refused; the old one stays in force");
    reload(&fewer.replace("topics: [group-events]", "topics: [group-events, others]"));
    wait_for("changes only with a restart: source");
    reload(&fewer);
    wait_for("goes on with the reloaded configuration");
    kafka.produce(texts(&events[4..]));
    kafka.wait_for_commit(8);
    signal(&process, "-TERM");
    wait_for("stopped");
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert_eq!(kafka.read("group-events.webhook", 8).len(), 8);
    assert_eq!(
        kafka.read("group-events.intercom", 4).len(),
        4,
        "the destination has left the configuration"
    );
}

#[test]
fn a_reload_without_the_topic_that_refuses_frees_the_epoch() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let (events, text) = (events(4), kafka.config_text(""));
    kafka.produce(texts(&events));
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.fail(RDKafkaApiKey::Produce, &[denied; 1000]);
    let mut process = start_process_with(&text, folder.path(), &[]);
    let wait_for = listen(&mut process);
    wait_for("a topic refuses records");
    fs::write(
        folder.path().join("groupcast.yaml"),
        text.replace("  - use: intercom\n", ""),
    )
    .unwrap();
    signal(&process, "-HUP");
    wait_for("goes on with the reloaded configuration");
    kafka
        .cluster
        .mock()
        .unwrap()
        .clear_request_errors(RDKafkaApiKey::Produce);
    kafka.wait_for_commit(4);
    signal(&process, "-TERM");
    wait_for("stopped");
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert_eq!(
        first_of_each(&kafka.read("group-events.webhook", 4)).len(),
        4
    );
    let reader: BaseConsumer = kafka.client().create().unwrap();
    for partition in 0..PARTITIONS {
        let ends = reader
            .fetch_watermarks("group-events.intercom", partition, DEADLINE)
            .unwrap();
        assert_eq!(ends, (0, 0), "the destination has left the configuration");
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once_with_1() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let events = events(4);
    kafka.produce(texts(&events));
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.fail(RDKafkaApiKey::Produce, &[denied; 1000]);
    let mut process = start_process(&kafka, folder.path());
    let wait_for = listen(&mut process);
    wait_for("a topic refuses records");
    signal(&process, "-TERM");
    wait_for("asked to stop");
    signal(&process, "-TERM");
    wait_for("asked again");
    assert_eq!(process.wait().unwrap().code(), Some(1));
    assert_eq!(kafka.committed(), 0);
}

/// librdkafka issues 5456 and 5511: the call that adds the offsets to a transaction ignores its timeout while the group's
/// coordinator is away.
#[test]
fn a_client_call_that_hangs_has_the_process_start_over_in_place() {
    let (kafka, folder) = (Kafka::start_brokers(2), tempfile::tempdir().unwrap());
    let mock = kafka.cluster.mock().unwrap();
    mock.coordinator(MockCoordinator::Group("groupcast".to_owned()), 2)
        .unwrap();
    mock.coordinator(
        MockCoordinator::Transaction("groupcast-groupcast-test-0".to_owned()),
        1,
    )
    .unwrap();
    for topic in OUTPUTS.iter().chain([&SOURCE]) {
        (0..PARTITIONS)
            .for_each(|partition| mock.partition_leader(topic, partition, Some(1)).unwrap());
    }
    let config = format!(
        "{}\ndelivery: {{ guarantee: exactly_once }}",
        kafka.config_text("")
    );
    // As if it had the identity from an earlier start, so that its transactional id is known.
    let mut process = start_process_with(
        &config,
        folder.path(),
        &[("GROUPCAST_STARTED_OVER", "0 test")],
    );
    let wait_for = listen(&mut process);
    wait_for("the group has changed our partitions");
    let open_files = || {
        fs::read_dir(format!("/proc/{}/fd", process.id()))
            .unwrap()
            .count()
    };
    let open_before = open_files();

    mock.broker_down(2).unwrap();
    let events = events(4);
    kafka.produce(texts(&events));
    wait_for("the process starts over");
    mock.broker_up(2).unwrap();
    wait_for("the group has changed our partitions");
    assert!(
        open_files() <= open_before + 24,
        "{} files are open, before {open_before}",
        open_files()
    );
    signal(&process, "-TERM");
    wait_for("stopped");
    assert_eq!(process.wait().unwrap().code(), Some(0), "the same process");
}

/// Whoever supervises the process kills it ten seconds after the limit: an end that says why comes before.
#[test]
fn a_stop_that_a_client_call_holds_up_ends_with_70_in_time() {
    let (kafka, folder) = (Kafka::start_brokers(2), tempfile::tempdir().unwrap());
    let mock = kafka.cluster.mock().unwrap();
    mock.coordinator(MockCoordinator::Group("groupcast".to_owned()), 2)
        .unwrap();
    mock.coordinator(
        MockCoordinator::Transaction("groupcast-groupcast-test-0".to_owned()),
        1,
    )
    .unwrap();
    for topic in OUTPUTS.iter().chain([&SOURCE]) {
        (0..PARTITIONS)
            .for_each(|partition| mock.partition_leader(topic, partition, Some(1)).unwrap());
    }
    let config = format!(
        "{}\ndelivery: {{ guarantee: exactly_once, shutdown_timeout_ms: 1000 }}",
        kafka.config_text("")
    );
    let mut process = start_process_with(
        &config,
        folder.path(),
        &[("GROUPCAST_STARTED_OVER", "0 test")],
    );
    let wait_for = listen(&mut process);
    wait_for("the group has changed our partitions");
    mock.broker_down(2).unwrap();
    kafka.produce(texts(&events(4)));
    let reader: BaseConsumer = kafka.client().create().unwrap();
    let end = |partition| {
        reader
            .fetch_watermarks("group-events.webhook", partition, DEADLINE)
            .unwrap()
            .1
    };
    until("all has left, and the offsets are to follow", || {
        (0..PARTITIONS).map(end).sum::<i64>() == 4
    });
    signal(&process, "-TERM");
    wait_for("asked to stop");
    wait_for("the stop takes longer than delivery.shutdown_timeout_ms");
    assert_eq!(ended(process), Some(70));
}

/// A file that somebody is writing, or that is broken, must not end a service that ran well.
#[test]
fn a_process_starts_over_once_its_configuration_loads() {
    let (kafka, folder) = (Kafka::start_brokers(2), tempfile::tempdir().unwrap());
    let mock = kafka.cluster.mock().unwrap();
    mock.coordinator(MockCoordinator::Group("groupcast".to_owned()), 2)
        .unwrap();
    mock.coordinator(
        MockCoordinator::Transaction("groupcast-groupcast-test-0".to_owned()),
        1,
    )
    .unwrap();
    for topic in OUTPUTS.iter().chain([&SOURCE]) {
        (0..PARTITIONS)
            .for_each(|partition| mock.partition_leader(topic, partition, Some(1)).unwrap());
    }
    let config = format!(
        "{}\ndelivery: {{ guarantee: exactly_once }}",
        kafka.config_text("")
    );
    let mut process = start_process_with(
        &config,
        folder.path(),
        &[("GROUPCAST_STARTED_OVER", "0 test")],
    );
    let wait_for = listen(&mut process);
    wait_for("the group has changed our partitions");
    let file = folder.path().join("groupcast.yaml");
    fs::write(&file, "kafka: [").unwrap();
    mock.broker_down(2).unwrap();
    kafka.produce(texts(&events(4)));
    wait_for("the process cannot start over");
    fs::write(&file, &config).unwrap();
    wait_for("the process starts over");
    mock.broker_up(2).unwrap();
    wait_for("the group has changed our partitions");
    signal(&process, "-TERM");
    wait_for("stopped");
    assert_eq!(process.wait().unwrap().code(), Some(0), "the same process");
}

#[test]
fn what_keeps_a_process_from_starting_over_is_a_reason_of_readiness() {
    let kafka = Kafka::start();
    let service = kafka.serve(&[]);
    until("it is ready", || get(&service, "/readyz").0 == 200);
    for obstacle in [
        &service.watched().new_credentials,
        &service.watched().start_over,
    ] {
        obstacle.set(Some("not yet: because".to_owned()));
        let (code, body) = get(&service, "/readyz");
        assert_eq!(
            (code, body.contains("not yet: because")),
            (503, true),
            "{body}"
        );
        assert_eq!(get(&service, "/healthz").0, 200);
        obstacle.set(None);
        assert_eq!(get(&service, "/readyz").0, 200);
    }
    stop(service);
}

#[test]
fn a_process_that_starts_over_reads_a_configuration_again_that_is_being_written() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let mut process = start_process_with(
        "kafka: [",
        folder.path(),
        &[("GROUPCAST_STARTED_OVER", "1 test")],
    );
    let wait_for = listen(&mut process);
    wait_for("it is read again for 30 s");
    fs::write(folder.path().join("groupcast.yaml"), kafka.config_text("")).unwrap();
    wait_for("the group has changed our partitions");
    signal(&process, "-TERM");
    wait_for("stopped");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn credentials_that_cannot_be_used_are_tried_again() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let secret = folder.path().join("secret");
    fs::write(&secret, "the first").unwrap();
    let config = kafka.config_text(&format!("sasl.password: {{ file: {} }}", secret.display()));
    let mut process = start_process_with(&config, folder.path(), &[]);
    let wait_for = listen(&mut process);
    wait_for("the group has changed our partitions");
    let mock = kafka.cluster.mock().unwrap();
    mock.broker_down(1).unwrap();
    fs::write(&secret, "the second").unwrap();
    wait_for("new credentials cannot be used yet");
    mock.broker_up(1).unwrap();
    wait_for("credentials have changed");
    wait_for("the group has changed our partitions");
    signal(&process, "-TERM");
    wait_for("stopped");
    assert_eq!(process.wait().unwrap().code(), Some(0), "the same process");
}

/// The old credentials may be what keeps the epoch from ending.
#[test]
fn new_credentials_start_the_process_over_while_a_topic_refuses() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let (events, secret) = (events(4), folder.path().join("secret"));
    fs::write(&secret, "the first").unwrap();
    kafka.produce(texts(&events));
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.fail(RDKafkaApiKey::Produce, &[denied; 1000]);
    let config = kafka.config_text(&format!("sasl.password: {{ file: {} }}", secret.display()));
    let mut process = start_process_with(&config, folder.path(), &[]);
    let wait_for = listen(&mut process);
    wait_for("a topic refuses records");
    fs::write(&secret, "the second").unwrap();
    wait_for("credentials have changed");
    wait_for("the group has changed our partitions");
    kafka
        .cluster
        .mock()
        .unwrap()
        .clear_request_errors(RDKafkaApiKey::Produce);
    kafka.wait_for_commit(4);
    signal(&process, "-TERM");
    wait_for("stopped");
    assert_eq!(process.wait().unwrap().code(), Some(0), "the same process");
}

#[test]
fn a_process_that_starts_over_while_no_broker_answers_waits_for_one() {
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let mock = kafka.cluster.mock().unwrap();
    mock.broker_down(1).unwrap();
    let config = kafka.config_text("");
    let mut process = start_process_with(
        &config,
        folder.path(),
        &[("GROUPCAST_STARTED_OVER", "1 test")],
    );
    let wait_for = listen(&mut process);
    wait_for("no broker answers");
    mock.broker_up(1).unwrap();
    wait_for("all topics can be used again");
    wait_for("the group has changed our partitions");
    signal(&process, "-TERM");
    wait_for("stopped");
    assert_eq!(process.wait().unwrap().code(), Some(0), "the same process");
}

#[test]
fn workers_wait_alive_for_the_first_answer_about_their_topics() {
    let kafka = Kafka::start();
    let mock = kafka.cluster.mock().unwrap();
    mock.broker_down(1).unwrap();
    let (config, reading) = (kafka.config("", &[]), Reading::Live);
    let router = Router::new(config.routing()).unwrap();
    let topics = Topics::unasked(router.topics());
    let service = Service::start(Arc::new(config), router, topics, reading).unwrap();
    until("it says that no broker answers", || {
        let (code, body) = get(&service, "/readyz");
        code == 503 && body.contains("no broker answers")
    });
    assert_eq!(get(&service, "/healthz").0, 200);
    mock.broker_up(1).unwrap();
    kafka.produce([event("g1").as_str()]);
    kafka.wait_for_commit(1);
    until("it is ready", || get(&service, "/readyz").0 == 200);
    stop(service);
}

#[test]
fn a_process_without_its_topics_says_which_to_create_and_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = EmbeddedCluster::start(1).unwrap();
    cluster.create_topic(SOURCE, 3).unwrap();
    cluster.create_topic("group-events.intercom", 3).unwrap();
    let kafka = Kafka {
        brokers: cluster.brokers(),
        cluster,
    };
    let (code, log) = wait(start_process(&kafka, folder.path()));
    assert_eq!(code, Some(1));
    for topic in ["group-events.webhook", "group-events.dead"] {
        let command = format!(
            "kafka-topics.sh --bootstrap-server {} --create --topic {topic} --partitions 3\n",
            kafka.brokers
        );
        assert!(log.contains(&command), "{log}");
    }
    assert!(!log.contains("--topic group-events.intercom"), "{log}");
}

#[test]
fn the_demo_shows_the_job_in_plain_text_of_80_columns() {
    let output = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .arg("demo")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), output.stderr),
        (Some(0), Vec::new()),
        "{text}"
    );
    assert!(
        text.lines()
            .all(|line| line.chars().count() <= 80 && !line.contains('\u{1b}')),
        "{text}"
    );
    for part in [
        "-> webhook  event.post  key 0e8c78ea9d97a7b8185e8632\n",
        "-- mixpanel: a flag in integrations excludes it (flag_false)\n",
        "-> salesforce  account.upsert  key globex\n",
        "-> dead letter  missing_group_id",
        "-- ignored: the event's type is not group (not_group)\n",
        "12 events: 8 routed, 1 ignored, 3 dead-lettered\n",
        "   3 dead letters\n",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}
