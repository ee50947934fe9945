//! How much memory a backlog takes at its worst: many partitions, forty destinations, the default configuration, real Apache Kafka.
//! A few thousand events by default, which shows that it can be done at all; `just backlog` has a million of them in 64 partitions.

#![expect(clippy::expect_used, reason = "a test may panic and tell")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use groupcast::destination::Catalogue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use support::kafka::node::{Node, Ports};
use support::kafka::{StateFolder, free_port, jars, skip};
use support::topics::{Committed, Ends};
use support::worker::Worker;
use support::{topics, unique, until};

const N_DESTINATIONS: usize = 40;

/// What the whole process may have had at most.
const MAX_MIB: u64 = 256;

/// Time for a million events on two cores that others use too.
const LIMIT: Duration = Duration::from_secs(3600);

/// Forty times a backlog would fill the disk. What is sent is not read here, so that each partition keeps a mebibyte of it.
const KEPT: topics::Settings<'_> = &[
    ("segment.bytes", "1048576"),
    ("retention.bytes", "1048576"),
    ("file.delete.delay.ms", "1000"),
];

/// Two and a half thousand partitions want more than the other tests' heap.
const BROKER_OPTIONS: [&str; 3] = ["-Xms256m", "-Xmx1g", "-XX:+UseSerialGC"];
const BROKER_SETTINGS: &str =
    "log.retention.check.interval.ms=5000\nlog.initial.task.delay.ms=1000\n";

#[test]
fn a_backlog_for_forty_destinations_stays_within_256_mib() {
    let (n_events, n_partitions) = (
        number("GROUPCAST_EVENTS", 2_000),
        number("GROUPCAST_PARTITIONS", 4),
    );
    let folder = StateFolder::new();
    let node = match start(&folder.path) {
        Ok(node) => node,
        Err(reason) => return skip(&reason),
    };
    let brokers = node.address();
    let (source, group) = (unique("backlog"), unique("group"));
    let outputs: Vec<String> = destinations()
        .into_iter()
        .map(|(name, _)| format!("{source}.{name}"))
        .collect();
    let kept = outputs
        .iter()
        .map(|topic| (topic.clone(), KEPT))
        .chain([(format!("{source}.dead"), &[][..])]);
    topics::create(&brokers, n_partitions, &source, &[]);
    topics::create_all(&brokers, n_partitions, &kept.collect::<Vec<_>>());
    fill(&brokers, &source, n_events, n_partitions);

    let port = free_port();
    let config = folder.path.join("groupcast.yaml");
    fs::write(&config, configuration(&brokers, &source, &group, port))
        .expect("the target folder can be written");
    let (began, worker) = (Instant::now(), Worker::start_with(config, port, &["run"]));
    let committed = Committed::of(&brokers, &group, &source);
    until(LIMIT, "all of the backlog is committed", || {
        // The brokers have enough to do.
        std::thread::sleep(Duration::from_millis(500));
        (committed.sum()? == n_events).then_some(())
    });
    let (seconds, peak) = (began.elapsed().as_secs(), worker.peak_memory());
    worker.stop();

    let sent = |topics: &[String]| Ends::of_logs(&brokers, topics).sum();
    for output in &outputs {
        assert!(
            sent(std::slice::from_ref(output)) >= n_events,
            "{output} has not got every event"
        );
    }
    assert_eq!(sent(&[format!("{source}.dead")]), 0, "dead letters");
    let Some(peak) = peak else {
        return skip("this system does not tell a process's peak memory");
    };
    println!(
        "{n_events} events of {n_partitions} partitions made {} records in {seconds} s; peak {peak} MiB",
        sent(&outputs)
    );
    assert!(peak <= MAX_MIB, "{peak} MiB");
}

fn start(folder: &Path) -> Result<Node, String> {
    let ports = [Ports {
        client: free_port(),
        controller: free_port(),
    }];
    let mut node =
        Node::format(folder, &jars()?, 0, &ports, BROKER_SETTINGS)?.with_options(&BROKER_OPTIONS);
    node.start()?;
    Ok(node)
}

/// Returns the first forty of the catalogue, each with the settings of its first example as JSON, which is YAML.
fn destinations() -> Vec<(String, String)> {
    let catalogue = Catalogue::built_in();
    let settings = catalogue.iter().map(|definition| {
        let mut json = String::new();
        let settings = definition
            .examples
            .first()
            .and_then(|example| example.settings.as_ref());
        settings
            .into_iter()
            .for_each(|settings| settings.write_json(&mut json));
        (
            definition.id.clone(),
            if json.is_empty() {
                "{}".to_owned()
            } else {
                json
            },
        )
    });
    settings.take(N_DESTINATIONS).collect()
}

/// Every default stays what it is.
fn configuration(brokers: &str, source: &str, group: &str, port: u16) -> String {
    let destinations: String = destinations()
        .iter()
        .map(|(name, settings)| {
            format!("  - {{ use: {name}, enabled_by_default: true, settings: {settings} }}\n")
        })
        .collect();
    format!(
        "kafka: {{ brokers: \"{brokers}\" }}\nsource: {{ topics: [{source}], group_id: {group} }}\nhttp: {{ listen: 127.0.0.1:{port} }}\n\
         destinations:\n{destinations}"
    )
}

/// Writes events of some 300 bytes that every destination takes, to all partitions in turn.
fn fill(brokers: &str, topic: &str, n_events: u64, n_partitions: usize) {
    let producer: BaseProducer = topics::client(brokers)
        .set("linger.ms", "20")
        .create()
        .expect("the settings are valid");
    for index in 0..n_events {
        let partition = i32::try_from(index % n_partitions as u64).expect("partitions are few");
        let key = format!("g{}", index % 50_000);
        let event = event(&key, index);
        let mut record = BaseRecord::to(topic)
            .partition(partition)
            .key(&key)
            .payload(&event);
        while let Err((error, back)) = producer.send(record) {
            assert_eq!(
                error,
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
            );
            producer.poll(Duration::from_millis(20));
            record = back;
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(LIMIT).expect("Kafka takes all events");
}

fn event(group: &str, index: u64) -> String {
    format!(
        r#"{{"type":"group","messageId":"m{index}","timestamp":"2026-01-31T08:00:00.000Z","groupId":"{group}","userId":"u{index}","anonymousId":"a{index}","traits":{{"name":"Initech {index}","email":"it@{group}.example.com","website":"https://{group}.example.com","industry":"Paper","employees":{index},"plan":"gold","total billed":830}}}}"#
    )
}

fn number<N: std::str::FromStr>(name: &str, default: N) -> N {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("not a number: {name}={text}"))
    })
}
