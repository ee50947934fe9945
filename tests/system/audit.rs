//! `groupcast audit` on real Apache Kafka: what it counts is what the checker counts, and what is broken on purpose it names.

#![expect(clippy::expect_used, reason = "a test may panic and tell")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use support::audit::Audit;
use support::checker::{Excuses, Format, Report, Run};
use support::generator::{DESTINATIONS, MAX_WEBHOOK_BYTES};
use support::source::Source;
use support::worker::{Setup, Worker};
use support::{kafka, topics, unique, until};

const LIMIT: Duration = Duration::from_secs(300);
const ALL: [&str; 2] = ["--from", "beginning"];

/// A source, and a service that reads it.
struct Stage {
    brokers: &'static str,
    source: Source,
    setup: Setup,
}

impl Stage {
    fn new(brokers: &'static str, guarantee: &'static str, format: &'static str) -> Stage {
        let source = Source::create(brokers, &unique("events"), 6);
        let setup = Setup {
            guarantee,
            epoch_records: 500,
            session_timeout_ms: 2_000,
            ..Setup::new(brokers, &source.topic, &unique("audited"), format)
        };
        create_outputs(brokers, &setup.prefix);
        Stage {
            brokers,
            source,
            setup,
        }
    }

    fn committed(&self) -> i64 {
        topics::committed(self.brokers, &self.setup.group, &self.setup.source)
            .values()
            .sum()
    }

    /// Has the service read the source to its end.
    fn serve(&self) {
        let mut worker = Worker::start(&self.setup).ready();
        self.drain(&mut worker);
        worker.stop();
    }

    fn drain(&self, worker: &mut Worker) {
        let end = i64::try_from(self.source.len()).expect("tests are small");
        until(LIMIT, "the service has read everything", || {
            worker.assert_runs();
            (self.committed() == end).then_some(())
        });
    }

    fn judge(&self, setup: &Setup, format: Format) -> (Report, u64, Vec<String>) {
        Run {
            brokers: self.brokers,
            source: &self.source,
            prefix: &setup.prefix,
            group: &setup.group,
            format,
            excuses: Excuses::default(),
        }
        .judge()
    }

    /// Returns the records of an output, in order within each partition.
    fn records(&self, name: &str) -> Vec<OwnedMessage> {
        let mut records = Vec::new();
        let topic = format!("{}.{name}", self.setup.prefix);
        topics::read(self.brokers, &topic, |message| {
            records.push(message.detach())
        });
        records.sort_by_key(|record| (record.partition(), record.offset()));
        records
    }
}

fn create_outputs(brokers: &str, prefix: &str) {
    let limit = MAX_WEBHOOK_BYTES.to_string();
    for name in DESTINATIONS.into_iter().chain(["dead"]) {
        let settings = [("max.message.bytes", &*limit)];
        let settings = if name == "webhook" {
            &settings[..]
        } else {
            &[]
        };
        topics::create(brokers, 4, &format!("{prefix}.{name}"), settings);
    }
}

/// Kills, and offsets that are gone, which has everything done again; aborted transactions of killed processes are in the outputs.
fn a_run_under_kills(guarantee: &'static str, format: (&'static str, Format)) {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, guarantee, format.0);
    for round in 0..4 {
        stage.source.produce(1_500);
        let before = stage.committed();
        let mut worker = Worker::start(&stage.setup);
        until(LIMIT, "some of it is done", || {
            worker.assert_runs();
            (stage.committed() > before).then_some(())
        });
        worker.kill();
        if round == 2 {
            until(LIMIT, "the group has no member", || {
                (topics::Committed::of(brokers, &stage.setup.group, &stage.setup.source)
                    .n_assigned_members()?
                    == 0)
                    .then_some(())
            });
            topics::delete_group(brokers, &stage.setup.group);
        }
    }
    stage.serve();
    let audit = Audit::of(&stage.setup, &ALL);
    let (report, n_faults, faults) = stage.judge(&stage.setup, format.1);
    assert_eq!(n_faults, 0, "{faults:?}");
    assert!(report.repetitions > 0, "its offsets were gone once");
    assert_eq!(
        audit.fault(&report, &stage.setup.prefix, &Excuses::default()),
        None
    );
    let (events, due) = (
        audit.said["records"].as_u64(),
        report.topics.values().map(|tally| tally.due).sum::<u64>(),
    );
    assert_eq!(
        (events, audit.total("due"), audit.total("missing")),
        (Some(report.n_events()), due, 0)
    );
}

#[test]
fn a_run_at_least_once_is_counted_as_the_checker_counts_it() {
    a_run_under_kills("at_least_once", ("structured", Format::Structured));
}

#[test]
fn a_run_exactly_once_is_counted_as_the_checker_counts_it() {
    a_run_under_kills("exactly_once", ("binary", Format::Binary));
}

/// What was done to a copy of the outputs, by the ids that an audit must name.
#[derive(Default)]
struct Damage {
    dropped: BTreeSet<String>,
    doubled: BTreeSet<String>,
    swapped: BTreeSet<String>,
    altered: BTreeSet<String>,
    invented: BTreeSet<String>,
}

/// Returns the id of a record, as a reader finds it.
fn id(record: &OwnedMessage) -> String {
    let text = String::from_utf8_lossy(record.payload().expect("a value")).into_owned();
    let (_, rest) = text.split_once(r#""id":""#).expect("an id");
    rest.split('"').next().expect("an end").to_owned()
}

/// Returns what an audit calls a dead letter.
fn letter(record: &OwnedMessage) -> String {
    let headers: BTreeMap<&str, String> = record
        .headers()
        .into_iter()
        .flat_map(Headers::iter)
        .map(|header| {
            let value = String::from_utf8_lossy(header.value.unwrap_or_default());
            (header.key, value.into_owned())
        })
        .collect();
    let position = ["source_topic", "source_partition", "source_offset"]
        .map(|name| headers[name].as_str())
        .join("/");
    match headers.get("destination") {
        Some(destination) => format!("dead letter of {position} for {destination}"),
        None => format!("dead letter of {position}"),
    }
}

/// Writes records to the partitions that they had, in this order.
fn write(brokers: &str, topic: &str, records: &[OwnedMessage]) {
    let producer: BaseProducer = topics::client(brokers)
        .set("enable.idempotence", "true")
        // One of the topics takes no more.
        .set("batch.size", "65536")
        .create()
        .expect("the settings are valid");
    for record in records {
        let mut copy = BaseRecord::<[u8], [u8]>::to(topic).partition(record.partition());
        (copy.key, copy.payload) = (record.key(), record.payload());
        copy.headers = record.headers().cloned();
        while let Err((_, back)) = producer.send(copy) {
            producer.poll(Duration::from_millis(20));
            copy = back;
        }
    }
    producer.flush(LIMIT).expect("the brokers take the records");
}

/// Breaks a destination's records in each way, far from each other, and writes down how.
fn damage(records: &mut Vec<OwnedMessage>, damage: &mut Damage) {
    // From the end, so that what stands before stays where it is.
    let n = records.len();
    let mut record = records[n - 3].clone();
    let known = id(&record);
    let invented = known.replace("event.post", "event.posted");
    record = with_value(&record, |text| text.replace(&known, &invented));
    damage.invented.insert(invented);
    records.insert(n - 3, record);
    // Of an event that the source has not, and will not have for long.
    let beyond = known.replace(known.split('/').nth(2).expect("an offset"), "987654321");
    records.push(with_value(&records[n - 5], |text| {
        let own = text.clone();
        let (_, rest) = own.split_once(r#""id":""#).expect("an id");
        text.replace(rest.split('"').next().expect("an end"), &beyond)
    }));
    damage.invented.insert(beyond);

    let index = n / 2;
    damage.altered.insert(id(&records[index]));
    records[index] = with_value(&records[index], |text| {
        text.replacen(r#""request":"POST /""#, r#""request":"PUT /""#, 1)
    });
    let index = n / 2 - 40;
    damage.altered.insert(id(&records[index]));
    let other_key = records[index].clone().set_key(Some(b"another".to_vec()));
    records[index] = other_key;

    // Two of one key, of which the later is to stand first.
    let (first, second) = (0..n / 3)
        .flat_map(|first| (first + 1..n / 3).map(move |second| (first, second)))
        .find(|(first, second)| {
            records[*first].key() == records[*second].key()
                && records[*first].partition() == records[*second].partition()
                && !records[*first + 1..*second]
                    .iter()
                    .any(|between| between.key() == records[*first].key())
        })
        .expect("a group with two events");
    damage.swapped.insert(id(&records[second]));
    records.swap(first, second);

    for index in [n / 3 + 50, n / 3 + 30] {
        damage.doubled.insert(id(&records[index]));
        records.insert(index + 7, records[index].clone());
    }
    for index in [n / 3 + 20, n / 3 + 10, n / 3 + 9] {
        damage.dropped.insert(id(&records.remove(index)));
    }
}

fn with_value(record: &OwnedMessage, change: impl FnOnce(String) -> String) -> OwnedMessage {
    let text = String::from_utf8_lossy(record.payload().expect("a value")).into_owned();
    record.clone().set_payload(Some(change(text).into_bytes()))
}

fn ids(findings: Vec<(Option<String>, Option<String>)>) -> BTreeSet<String> {
    findings.into_iter().filter_map(|(id, _)| id).collect()
}

fn set(texts: &[String]) -> BTreeSet<String> {
    texts.iter().cloned().collect()
}

#[test]
fn what_is_broken_on_purpose_is_named() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, "exactly_once", "structured");
    stage.source.produce(4_000);
    stage.serve();
    let clean = Audit::of(&stage.setup, &ALL);
    let (report, n_faults, faults) = stage.judge(&stage.setup, Format::Structured);
    assert_eq!(n_faults, 0, "{faults:?}");
    assert_eq!(
        clean.fault(&report, &stage.setup.prefix, &Excuses::default()),
        None
    );
    assert_eq!((clean.total("repeated"), clean.total("replayed")), (0, 0));

    let copy = Setup {
        prefix: unique("copied"),
        ..stage.setup.clone()
    };
    create_outputs(brokers, &copy.prefix);
    let mut expected = Damage::default();
    let mut letters = (String::new(), String::new());
    for name in DESTINATIONS.into_iter().chain(["dead"]) {
        let mut records = stage.records(name);
        match name {
            "webhook" => damage(&mut records, &mut expected),
            "dead" => {
                let (dropped, doubled) = (records.remove(20), records[5].clone());
                letters = (letter(&dropped), letter(&doubled));
                records.insert(9, doubled);
            }
            _ => {}
        }
        write(brokers, &format!("{}.{name}", copy.prefix), &records);
    }
    let audit = Audit::of(&copy, &[&ALL[..], &["--limit", "100"]].concat());
    let Damage {
        dropped,
        doubled,
        swapped,
        altered,
        invented,
    } = expected;
    let and = |ids: &BTreeSet<String>, letter: &String| &set(std::slice::from_ref(letter)) | ids;
    assert_eq!(ids(audit.findings("missing")), and(&dropped, &letters.0));
    assert_eq!(ids(audit.findings("repeated")), and(&doubled, &letters.1));
    assert_eq!(ids(audit.findings("out_of_order")), swapped);
    assert_eq!(ids(audit.findings("different")), altered);
    // An operation that there is not has no id of ours, but a place.
    let not_due = audit.findings("not_due");
    assert_eq!(not_due.len(), invented.len(), "{audit:?}");
    assert!(
        not_due.iter().all(|(_, at)| at.is_some()) && ids(not_due).is_subset(&invented),
        "{audit:?}"
    );
    for (what, count) in [
        ("missing", 4),
        ("repeated", 3),
        ("out_of_order", 1),
        ("different", 2),
        ("not_due", 2),
        ("not_judged", 0),
    ] {
        assert_eq!(audit.total(what), count, "{what}: {audit:?}");
    }
    assert_eq!(audit.code, Some(1), "something is missing");
    // The checker takes what is altered for a fault, and not for the record.
    let (broken, n_faults, _) = stage.judge(&copy, Format::Structured);
    assert!(n_faults > 0);
    for (topic, tally) in &broken.topics {
        let name = format!("{}.{topic}", copy.prefix);
        let n_altered = audit.count(&name, "different");
        assert_eq!(
            (tally.due, tally.found + n_altered, tally.repeated),
            (
                audit.count(&name, "due"),
                audit.count(&name, "found"),
                audit.count(&name, "repeated")
            ),
            "{topic}"
        );
    }

    // What is sent again by a replay is there.
    let position: Vec<&str> = dropped
        .first()
        .expect("something was dropped")
        .split('/')
        .take(3)
        .collect();
    let offset: i64 = position[2].parse().expect("an offset");
    let place = format!("{}/{}", position[0], position[1]);
    let output = Command::new(support::PROGRAM)
        .args([
            "replay",
            "--name",
            "repaired",
            "--destination",
            "webhook",
            "--yes",
        ])
        .args(["--from", &format!("{place}/{offset}")])
        .args(["--to", &format!("{place}/{}", offset + 1)])
        .arg("--config")
        .arg(copy.write(kafka::free_port()))
        .output()
        .expect("the program is built");
    assert!(output.status.success(), "{output:?}");
    let repaired = Audit::of(&copy, &ALL);
    assert_eq!(
        (repaired.total("missing"), repaired.total("replayed")),
        (3, 1),
        "{repaired:?}"
    );
    assert_eq!(repaired.total("repeated"), 3, "{repaired:?}");
}

/// What retention has removed is not missing; what is missing behind that is. What is on its way is not missing, unless told.
#[test]
fn what_cannot_be_there_is_told_from_what_is_missing() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, "at_least_once", "structured");
    stage.source.produce(3_000);
    let none = Audit::of(&stage.setup, &ALL);
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(
        none.complaint.contains("has committed no offset of"),
        "{none:?}"
    );
    stage.serve();
    // Nobody reads this.
    stage.source.produce(200);
    let audit = Audit::of(&stage.setup, &ALL);
    assert_eq!(
        (audit.code, audit.total("missing")),
        (Some(0), 0),
        "{audit:?}"
    );
    assert_eq!(audit.said["uncommitted_offsets"], 200);
    let audit = Audit::of(&stage.setup, &[&ALL[..], &["--uncommitted"]].concat());
    assert_eq!(audit.code, Some(1), "{audit:?}");
    assert_eq!(
        audit.total("missing"),
        audit.total("due") - audit.total("found")
    );
    assert!(audit.total("missing") > 100, "{audit:?}");

    // The first third of a partition is removed, and one record behind that was never there.
    let mut records = stage.records("hubspot");
    records.retain(|record| record.partition() == 2);
    let copy = Setup {
        prefix: unique("cut"),
        ..stage.setup.clone()
    };
    create_outputs(brokers, &copy.prefix);
    for name in DESTINATIONS.into_iter().chain(["dead"]) {
        let mut all = stage.records(name);
        if name == "hubspot" {
            let lost = id(&records[records.len() / 2]);
            all.retain(|record| id(record) != lost);
        }
        write(brokers, &format!("{}.{name}", copy.prefix), &all);
    }
    let cut = records.len() / 3;
    let offset = Offset::Offset(i64::try_from(cut).expect("tests are small"));
    topics::truncate_to(brokers, &format!("{}.hubspot", copy.prefix), 2, offset);
    let audit = Audit::of(&copy, &[&ALL[..], &["--limit", "5000"]].concat());
    let removed: BTreeSet<String> = records[..cut].iter().map(id).collect();
    assert_eq!(ids(audit.findings("not_judged")), removed);
    assert_eq!(
        ids(audit.findings("missing")),
        set(&[id(&records[records.len() / 2])])
    );

    // A part of the source that is gone is not asked for.
    topics::truncate_to(brokers, &stage.source.topic, 1, Offset::Offset(100));
    let audit = Audit::of(&stage.setup, &ALL);
    assert_eq!(
        (audit.code, audit.total("not_due")),
        (Some(0), 0),
        "{audit:?}"
    );
    assert_eq!(audit.said["source"][1]["from"], 100);
}

/// What does not fit into memory is sorted in files. `GROUPCAST_EVENTS=1000000` gives the figures of docs/audit.md.
#[test]
fn memory_does_not_grow_with_the_range() {
    const LIMIT_MIB: u64 = 192;
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let n_events = env::var("GROUPCAST_EVENTS").map_or(20_000, |text| {
        text.parse().expect("GROUPCAST_EVENTS is a number")
    });
    let mut source = Source::create(brokers, &unique("events"), 12);
    let setup = Setup {
        workers: 2,
        ..Setup::new(brokers, &source.topic, &unique("audited"), "structured")
    };
    let more = ["w1", "w2", "w3", "w4"];
    let outputs = DESTINATIONS.into_iter().chain(["dead"]).chain(more);
    for name in outputs {
        topics::create(brokers, 12, &format!("{}.{name}", setup.prefix), &[]);
    }
    source.produce(n_events);
    let port = kafka::free_port();
    let config = setup.write(port);
    let mut text = fs::read_to_string(&config).expect("it was written");
    for name in more {
        text.push_str(&format!(
            "  - {{ use: webhook, name: {name}, topic: {}.{name} }}\n",
            setup.prefix
        ));
    }
    fs::write(&config, text).expect("the folder can be written");
    let began = Instant::now();
    let mut worker = Worker::start_with(config.clone(), port, &["run"]).ready();
    let end = i64::try_from(source.len()).expect("tests are small");
    until(LIMIT * 10, "the service has read everything", || {
        worker.assert_runs();
        let committed = topics::committed(brokers, &setup.group, &setup.source);
        (committed.values().sum::<i64>() == end).then_some(())
    });
    worker.stop();
    println!("the service took {:.0} s", began.elapsed().as_secs_f64());

    let began = Instant::now();
    let mut audit = Worker::start_with(config, port, &["audit", "--from", "beginning"]);
    let mut peak = 0;
    let status = until(LIMIT * 10, "the audit ends", || {
        peak = peak.max(audit.peak_memory().unwrap_or(0));
        audit.has_ended()
    });
    println!(
        "{}\n{:.0} s, {peak} MiB at most",
        audit.log(),
        began.elapsed().as_secs_f64()
    );
    assert_eq!(status.code(), Some(0), "{}", audit.log());
    assert!((1..=LIMIT_MIB).contains(&peak), "{peak} MiB");
}

/// The last line is for a ticket, the file for Prometheus; each wrong question is answered with exit code 2.
#[test]
fn an_audit_is_told_to_people_and_to_prometheus() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, "at_least_once", "structured");
    stage.source.produce(500);
    stage.serve();
    let config = stage.setup.write(kafka::free_port());
    let folder = config.parent().expect("a folder");
    let run = |arguments: &[&str]| {
        let output = Command::new(support::PROGRAM)
            .args(["audit", "--config"])
            .arg(&config)
            .args(arguments)
            .output()
            .expect("the program is built");
        let [said, complaint] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.code(), said, complaint)
    };
    let file = folder.join("audit.prom");
    let path = file.display().to_string();
    let (code, said, complaint) = run(&["--from", "1d", "--metrics-file", &path]);
    assert_eq!(code, Some(0), "{said}{complaint}");
    let line = said.lines().last().expect("a last line");
    assert!(
        line.starts_with(&format!("audit of {} 20", stage.source.topic))
            && line.contains(" due, 0 missing, 0 repeated, 0 out of order"),
        "{line}"
    );
    let page = fs::read_to_string(&file).expect("it was written");
    for name in DESTINATIONS.into_iter().chain(["dead"]) {
        let series = format!(
            "groupcast_audit_missing_records{{topic=\"{}.{name}\"}} 0\n",
            stage.setup.prefix
        );
        assert!(page.contains(&series), "{page}");
    }
    assert!(
        page.contains("\ngroupcast_audit_end_time_seconds "),
        "{page}"
    );
    let left: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    let place = format!("{}/2/10", stage.source.topic);
    let end = format!("{}/2/20", stage.source.topic);
    let (code, said, complaint) = run(&["--from", &place, "--to", &end, "--json"]);
    assert_eq!(code, Some(0), "{said}{complaint}");
    assert!(said.contains(r#""records": 10"#), "{said}");
    for (arguments, expected) in [
        (&["--from", "never"][..], "expected a time"),
        (&["--from", "1d", "--set", "records.format=body"], "no id"),
        (&["--from", "1d", "--from", "2d"], "with offsets only"),
        (&[], "--from"),
    ] {
        let (code, _, complaint) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {complaint}");
        assert!(complaint.contains(expected), "{arguments:?}: {complaint}");
    }
    let (code, _, complaint) = run(&["--from", "1d", "--metrics-file", "/nowhere/at/all"]);
    assert_eq!(code, Some(1), "{complaint}");
}
