//! Batches that the client cannot decode: the partition waits or steps over them, the others go on, and memory stays bounded.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use groupcast::config::Config;
use groupcast::kafka::embedded::EmbeddedCluster;
use groupcast::kafka::source::bound::Reading;
use groupcast::kafka::topics::Topics;
use groupcast::router::Router;
use groupcast::service::Service;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const PARTITIONS: i32 = 2;

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(90);

/// The partition with the bad batch, and one without.
const BAD: i32 = 0;
const GOOD: i32 = 1;

const GUARANTEES: [&str; 2] = ["at_least_once", "exactly_once"];

struct Kafka {
    _cluster: Option<EmbeddedCluster>,
    brokers: String,
    /// The source topic, and the group.
    source: String,
}

impl Kafka {
    fn start() -> Kafka {
        if let Ok(filter) = std::env::var("GROUPCAST_TEST_LOG") {
            let _already_set = tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_test_writer()
                .try_init();
        }
        let cluster = EmbeddedCluster::start(1).unwrap();
        for topic in ["", ".webhook", ".dead"] {
            cluster
                .create_topic(&format!("group-events{topic}"), PARTITIONS)
                .unwrap();
        }
        let brokers = cluster.brokers();
        Kafka {
            _cluster: Some(cluster),
            brokers,
            source: "group-events".to_owned(),
        }
    }

    /// Uses real Kafka, which checks what it is sent, and commits offsets of transactions.
    fn real() -> Option<Kafka> {
        let brokers = support::kafka::brokers()?;
        let source = support::unique("batches");
        let topics =
            ["", ".webhook", ".dead"].map(|topic| (format!("{source}{topic}"), [].as_slice()));
        support::topics::create_all(brokers, PARTITIONS.try_into().unwrap(), &topics);
        Some(Kafka {
            _cluster: None,
            brokers: brokers.to_owned(),
            source,
        })
    }

    fn is_real(&self) -> bool {
        self._cluster.is_none()
    }

    fn client(&self) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", &self.brokers)
            .set("fetch.wait.max.ms", "10");
        settings
    }

    fn config_text(&self, source: &str, guarantee: &str, listen: &str) -> String {
        format!(
            "kafka:\n  brokers: {1}\n  consumer_properties: {{ fetch.wait.max.ms: 10, session.timeout.ms: 4000, heartbeat.interval.ms: 200 }}\n\
             source: {{ topics: [{0}], group_id: {0}, {source} }}\ndelivery: {{ guarantee: {guarantee} }}\n\
             destinations:\n  - use: webhook\nhttp: {{ listen: {listen} }}\n",
            self.source, self.brokers
        )
    }

    fn serve(&self, source: &str, guarantee: &str) -> Service {
        self.serve_with(source, guarantee, &[])
    }

    fn serve_with(&self, source: &str, guarantee: &str, overrides: &[(String, String)]) -> Service {
        let text = self.config_text(source, guarantee, "127.0.0.1:0");
        let config = Config::from_text("test.yaml", &text, &[], overrides)
            .unwrap_or_else(|faults| panic!("{faults:?}"))
            .0;
        let router = Router::new(config.routing()).unwrap();
        let topics = Topics::assume(router.topics());
        Service::start(Arc::new(config), router, topics, Reading::Live).unwrap()
    }

    /// Produces one event, as any client does.
    fn produce(&self, partition: i32, group: &str) {
        let producer: BaseProducer = self.client().create().unwrap();
        let value = event(group);
        producer
            .send(
                BaseRecord::<str, str>::to(&self.source)
                    .payload(&value)
                    .partition(partition),
            )
            .unwrap();
        producer.flush(DEADLINE).unwrap();
    }

    /// Sends a batch as it is. The embedded broker does not look into it.
    fn produce_raw(&self, partition: i32, batch: &[u8]) {
        let mut request = Vec::new();
        request.extend([0, 0, 0, 7, 0, 0, 0, 1]); // Produce, version 7, correlation id
        request.extend([0, 1, b't']); // client id
        request.extend((-1_i16).to_be_bytes()); // no transactional id
        request.extend((-1_i16).to_be_bytes()); // all replicas
        request.extend(10_000_i32.to_be_bytes());
        request.extend(1_i32.to_be_bytes());
        request.extend(i16::try_from(self.source.len()).unwrap().to_be_bytes());
        request.extend(self.source.as_bytes());
        request.extend(1_i32.to_be_bytes());
        request.extend(partition.to_be_bytes());
        request.extend(i32::try_from(batch.len()).unwrap().to_be_bytes());
        request.extend(batch);
        let mut stream = TcpStream::connect(&self.brokers).unwrap();
        stream
            .write_all(&i32::try_from(request.len()).unwrap().to_be_bytes())
            .unwrap();
        stream.write_all(&request).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        stream.read_exact(&mut answer).unwrap();
        // Correlation id, one topic by name, one partition: then the error code.
        let at = 4 + 4 + 2 + self.source.len() + 4 + 4;
        assert_eq!(answer[at..at + 2], [0, 0], "{answer:?}");
    }

    /// Waits until the output has the groups, and returns all its groups, sorted.
    fn groups(&self, wanted: &[&str]) -> Vec<String> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(
                &format!("{}.webhook", self.source),
                partition,
                Offset::Beginning,
            )
            .unwrap();
        }
        consumer.assign(&all).unwrap();
        let (mut seen, deadline) = (Vec::new(), Instant::now() + DEADLINE);
        while !wanted
            .iter()
            .all(|group| seen.iter().any(|other| other == group))
        {
            assert!(
                Instant::now() < deadline,
                "{wanted:?} are not all there: {seen:?}"
            );
            if let Some(message) = consumer.poll(Duration::from_millis(20)) {
                seen.push(String::from_utf8(message.unwrap().key().unwrap().to_vec()).unwrap());
            }
        }
        seen.sort();
        seen
    }

    fn committed(&self, partition: i32) -> i64 {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", &self.source)
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.source, partition);
        let offsets = consumer.committed_offsets(list, DEADLINE).unwrap();
        offsets.elements()[0].offset().to_raw().unwrap_or_default()
    }
}

fn event(group: &str) -> String {
    format!(
        r#"{{"type":"group","groupId":"{group}","userId":"u1","traits":{{"name":"Initech"}},"integrations":{{}}}}"#
    )
}

const NONE: u8 = 0;
const GZIP: u8 = 1;
const SNAPPY: u8 = 2;
const LZ4: u8 = 3;
const ZSTD: u8 = 4;

/// Returns a batch (KIP-98) of `n_records` with `payload`, its records as its codec leaves them, and a good checksum.
fn batch(codec: u8, n_records: i32, payload: &[u8]) -> Vec<u8> {
    let mut checked = Vec::new();
    checked.extend([0, codec]);
    checked.extend((n_records - 1).to_be_bytes());
    checked.extend([0; 16]); // both timestamps
    checked.extend([0xff; 8 + 2 + 4]); // no producer
    checked.extend(n_records.to_be_bytes());
    checked.extend(payload);
    let mut batch = vec![0; 8];
    batch.extend(i32::try_from(checked.len() + 9).unwrap().to_be_bytes());
    batch.extend([0, 0, 0, 0, 2]); // leader epoch, magic
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
        crc
    })
}

/// Returns a record without key and headers.
fn record(offset_delta: i32, value: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(varint(0));
    body.extend(varint(offset_delta));
    body.extend(varint(-1));
    body.extend(varint(i32::try_from(value.len()).unwrap()));
    body.extend(value);
    body.extend(varint(0));
    [varint(i32::try_from(body.len()).unwrap()), body].concat()
}

fn varint(number: i32) -> Vec<u8> {
    let mut zigzag = ((number << 1) ^ (number >> 31)).cast_unsigned();
    let mut bytes = Vec::new();
    while zigzag >= 0x80 {
        bytes.push(u8::try_from(zigzag & 0x7f).unwrap() | 0x80);
        zigzag >>= 7;
    }
    bytes.push(u8::try_from(zigzag).unwrap());
    bytes
}

/// Returns a gzip batch of `n_records` of `size` equal bytes each.
fn gzip_bomb(n_records: i32, size: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let value = vec![b'x'; size];
    for index in 0..n_records {
        encoder.write_all(&record(index, &value)).unwrap();
    }
    batch(GZIP, n_records, &encoder.finish().unwrap())
}

fn get(address: impl std::net::ToSocketAddrs, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return String::new();
    };
    let mut answer = String::new();
    drop(write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    ));
    drop(stream.read_to_string(&mut answer));
    answer
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn metric(service: &Service, line_start: &str) -> f64 {
    let text = service.watched().page();
    let line = text.lines().find(|line| line.starts_with(line_start));
    line.and_then(|line| line.rsplit(' ').next())
        .map_or(0.0, |number| number.parse().unwrap())
}

fn stop(service: Service) {
    service.stop();
    service.wait().unwrap();
}

/// Puts the batch of `n_records` between two events, and holds what the service makes of it against each guarantee and setting.
fn check(bad: &[u8], n_records: i32, source: &str, reason: &str) {
    let produce_bad = |kafka: &Kafka| kafka.produce_raw(BAD, bad);
    for guarantee in GUARANTEES {
        check_held(produce_bad, source, guarantee, reason);
        check_skipped(produce_bad, n_records, source, guarantee);
    }
}

fn fill(kafka: &Kafka, produce_bad: impl Fn(&Kafka)) {
    kafka.produce(BAD, "before");
    produce_bad(kafka);
    kafka.produce(BAD, "behind");
    kafka.produce(GOOD, "elsewhere");
}

fn check_held(produce_bad: impl Fn(&Kafka), source: &str, guarantee: &str, reason: &str) {
    let kafka = Kafka::start();
    fill(&kafka, produce_bad);
    hold(&kafka, source, guarantee, reason);
}

fn hold(kafka: &Kafka, source: &str, guarantee: &str, reason: &str) {
    let service = kafka.serve(source, guarantee);
    let expected = format!(
        "partition {}/{BAD} is blocked at offset 1: {reason}",
        kafka.source
    );
    until("readiness names the offset", || {
        get(service.http().unwrap(), "/readyz").contains(&expected)
    });
    assert_eq!(metric(&service, "groupcast_blocked_partitions"), 1.0);
    kafka.produce(GOOD, "later");
    assert_eq!(
        kafka.groups(&["before", "elsewhere", "later"]),
        ["before", "elsewhere", "later"],
        "{guarantee}"
    );
    // The embedded broker commits no offsets of transactions.
    if guarantee == "at_least_once" || kafka.is_real() {
        until("what was read is committed", || {
            kafka.committed(BAD) == 1 && kafka.committed(GOOD) == 2
        });
    }
    assert!(get(service.http().unwrap(), "/healthz").contains("200 OK"));
    stop(service);
}

fn check_skipped(produce_bad: impl Fn(&Kafka), n_records: i32, source: &str, guarantee: &str) {
    let kafka = Kafka::start();
    fill(&kafka, produce_bad);
    skip(
        &kafka,
        n_records,
        source,
        guarantee,
        &["before", "behind", "elsewhere"],
    );
}

fn skip(kafka: &Kafka, n_records: i32, source: &str, guarantee: &str, groups: &[&str]) {
    let service = kafka.serve(&format!("{source}, on_undecodable: skip"), guarantee);
    assert_eq!(kafka.groups(groups), groups, "{guarantee}");
    let skipped = format!(
        "groupcast_undecodable_offsets_skipped_total{{topic=\"{}\"}}",
        kafka.source
    );
    assert_eq!(
        metric(&service, &skipped),
        f64::from(n_records),
        "{guarantee}"
    );
    until("nothing is blocked", || {
        get(service.http().unwrap(), "/readyz").contains("200 OK")
    });
    if guarantee == "at_least_once" || kafka.is_real() {
        until("all is committed", || {
            kafka.committed(BAD) == i64::from(n_records) + 2
        });
    }
    stop(service);
}

const LIMIT: &str = "max_batch_bytes: 1048576";
const UNDECOMPRESSED: &str =
    "a batch cannot be decompressed: it is damaged, or larger than source.max_batch_bytes: 1048576";

#[test]
fn a_batch_that_is_not_what_its_codec_says_is_held_or_skipped() {
    for codec in [GZIP, SNAPPY, LZ4, ZSTD] {
        check(
            &batch(codec, 7, b"no codec wrote this"),
            7,
            LIMIT,
            UNDECOMPRESSED,
        );
    }
}

#[test]
fn a_gzip_batch_above_the_limit_is_held_or_skipped() {
    check(&gzip_bomb(60, 20_000), 60, LIMIT, UNDECOMPRESSED);
}

/// Returns a batch whose `blocks` of 128 KiB each are one byte, repeated; only its size is good.
fn zstd_bomb(blocks: u32) -> Vec<u8> {
    // Magic, no content size, a window of 128 KiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    for block in 1..=blocks {
        let repeated = 1 << 1;
        let header = (131_072 << 3) | repeated | u32::from(block == blocks);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(b'x');
    }
    batch(ZSTD, 1, &frame)
}

/// Returns a batch whose `blocks` of about 4 MB each are one byte, repeated; only its size is good.
fn lz4_bomb(blocks: usize) -> Vec<u8> {
    // One literal, the match that repeats it, and five literals.
    let mut block = vec![0x1f, b'x', 1, 0];
    block.extend(vec![255; 16_000]);
    block.extend([0, 0x50]);
    block.extend(b"xxxxx");
    // Magic, independent blocks of up to 4 MB, the header's checksum.
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];
    for _ in 0..blocks {
        frame.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
        frame.extend(&block);
    }
    frame.extend([0; 4]);
    batch(LZ4, 1, &frame)
}

/// Has a client compress one batch of `n_records` of `size` equal bytes each.
fn bomb_of(codec: &'static str, n_records: i32, size: usize) -> impl Fn(&Kafka) {
    move |kafka| {
        let mut settings = kafka.client();
        settings
            .set("compression.type", codec)
            .set("linger.ms", "60000")
            .set("message.max.bytes", "300000000");
        settings
            .set("batch.size", "300000000")
            .set("queue.buffering.max.kbytes", "1000000");
        let producer: BaseProducer = settings.create().unwrap();
        let value = vec![b'x'; size];
        for _ in 0..n_records {
            producer
                .send(
                    BaseRecord::<str, [u8]>::to(&kafka.source)
                        .payload(&value)
                        .partition(BAD),
                )
                .unwrap();
        }
        producer.flush(DEADLINE).unwrap();
    }
}

#[test]
fn an_lz4_batch_above_the_limit_is_held_or_skipped() {
    check(&lz4_bomb(1), 1, LIMIT, UNDECOMPRESSED);
}

/// The limit of zstd is that of a whole answer of the broker, which is 16 MiB at least.
#[test]
fn a_zstd_batch_above_the_limit_is_held_or_skipped() {
    check(&zstd_bomb(150), 1, LIMIT, UNDECOMPRESSED);
}

#[test]
fn batches_of_every_codec_within_the_limit_are_read() {
    let kafka = Kafka::start();
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        let producer: BaseProducer = kafka
            .client()
            .set("compression.type", codec)
            .set("linger.ms", "100")
            .create()
            .unwrap();
        let value = format!("{}{}", event(codec), " ".repeat(50_000));
        for _ in 0..15 {
            producer
                .send(
                    BaseRecord::<str, str>::to(&kafka.source)
                        .payload(&value)
                        .partition(BAD),
                )
                .unwrap();
        }
        producer.flush(DEADLINE).unwrap();
    }
    let service = kafka.serve(LIMIT, "at_least_once");
    until("all is committed", || kafka.committed(BAD) == 75);
    kafka.groups(&codecs);
    stop(service);
}

#[test]
fn a_batch_with_a_wrong_checksum_is_held_or_skipped() {
    let mut damaged = batch(NONE, 1, &record(0, event("damaged").as_bytes()));
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    check(
        &damaged,
        1,
        LIMIT,
        "a batch is damaged: its checksum is wrong",
    );
}

#[test]
fn a_batch_of_an_unknown_codec_is_held_or_skipped() {
    check(
        &batch(6, 3, b"?"),
        3,
        LIMIT,
        "a batch has a format that the client does not know",
    );
}

#[test]
fn bad_batches_in_a_row_and_at_the_end_are_skipped() {
    let kafka = Kafka::start();
    kafka.produce(BAD, "before");
    for n_records in [1, 40, 3] {
        kafka.produce_raw(BAD, &batch(ZSTD, n_records, b"no codec wrote this"));
    }
    let service = kafka.serve("on_undecodable: skip", "at_least_once");
    until("all is committed", || kafka.committed(BAD) == 45);
    kafka.produce(BAD, "behind");
    assert_eq!(kafka.groups(&["before", "behind"]), ["before", "behind"]);
    stop(service);
}

/// Under the eager protocol each step of the search sets all partitions.
#[test]
fn a_skip_reads_no_other_partition_twice() {
    let kafka = Kafka::start();
    kafka.produce(GOOD, "elsewhere");
    kafka.produce_raw(BAD, &batch(ZSTD, 40, b"no codec wrote this"));
    let eager = [(
        "kafka.consumer_properties.partition.assignment.strategy".to_owned(),
        "range".to_owned(),
    )];
    let service = kafka.serve_with("on_undecodable: skip", "at_least_once", &eager);
    until("all is committed", || {
        kafka.committed(BAD) == 40 && kafka.committed(GOOD) == 1
    });
    kafka.produce(BAD, "behind");
    assert_eq!(
        kafka.groups(&["elsewhere", "behind"]),
        ["behind", "elsewhere"]
    );
    until("all is committed", || kafka.committed(BAD) == 41);
    assert_eq!(metric(&service, "groupcast_records_consumed_total"), 2.0);
    stop(service);
}

#[test]
fn a_gzip_batch_within_the_limit_is_read() {
    let kafka = Kafka::start();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(&record(0, event("gzip").as_bytes()))
        .unwrap();
    encoder
        .write_all(&record(1, event("zip").as_bytes()))
        .unwrap();
    kafka.produce_raw(BAD, &batch(GZIP, 2, &encoder.finish().unwrap()));
    let service = kafka.serve(LIMIT, "at_least_once");
    assert_eq!(kafka.groups(&["gzip", "zip"]), ["gzip", "zip"]);
    stop(service);
}

/// Holds the partition, and skips the batch after a restart with the other setting.
#[test]
fn real_kafka_takes_large_batches_that_are_held_or_skipped() {
    for guarantee in GUARANTEES {
        for codec in ["gzip", "lz4", "zstd"] {
            let Some(kafka) = Kafka::real() else { return };
            fill(&kafka, bomb_of(codec, 40, 900_000));
            hold(&kafka, LIMIT, guarantee, UNDECOMPRESSED);
            skip(
                &kafka,
                40,
                LIMIT,
                guarantee,
                &["before", "behind", "elsewhere", "later"],
            );
        }
    }
}

/// A process of its own, so that its memory can be told.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    }
}

/// The chart gives a process 256 MiB.
fn check_memory(produce_bad: impl Fn(&Kafka)) {
    let kafka = Kafka::start();
    fill(&kafka, produce_bad);
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let file = folder.path().join("groupcast.yaml");
    fs::write(
        &file,
        kafka.config_text("workers: 1", "at_least_once", &address.to_string()),
    )
    .unwrap();
    let running = run(&file);
    until("readiness names the offset", || {
        let peak = running.peak_mib();
        assert!(peak < 256, "{peak} MiB");
        get(address, "/readyz").contains(&format!(
            "partition {}/{BAD} is blocked at offset 1: ",
            kafka.source
        ))
    });
    assert_eq!(
        kafka.groups(&["before", "elsewhere"]),
        ["before", "elsewhere"]
    );
    let peak = running.peak_mib();
    assert!(peak < 256, "{peak} MiB");
}

/// 592 KB, and 540 MB once decompressed.
#[test]
fn a_gzip_batch_that_would_fill_the_memory_is_refused_within_it() {
    let bomb = gzip_bomb(600, 900_000);
    check_memory(|kafka| kafka.produce_raw(BAD, &bomb));
}

/// 1.6 MB, and 400 MB once decompressed.
#[test]
fn an_lz4_batch_that_would_fill_the_memory_is_refused_within_it() {
    check_memory(|kafka| kafka.produce_raw(BAD, &lz4_bomb(100)));
}

/// 16 KB, and 540 MB once decompressed.
#[test]
fn a_zstd_batch_that_would_fill_the_memory_is_refused_within_it() {
    check_memory(|kafka| kafka.produce_raw(BAD, &zstd_bomb(4120)));
}

fn run(file: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast-under-test"));
    command
        .args(["run", "--config"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Running(command.spawn().unwrap())
}
