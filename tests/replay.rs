//! `groupcast replay` on real Apache Kafka: what it sends is held, record by record, against what the service had sent.

#![expect(clippy::expect_used, reason = "a test may panic and tell")]

#[expect(dead_code, reason = "other tests need more of it")]
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::Offset;
use rdkafka::message::Message;
use serde_json::Value;
use support::generator::{DESTINATIONS, MAX_WEBHOOK_BYTES};
use support::source::Source;
use support::topics::Ends;
use support::worker::{Setup, Worker};
use support::{kafka, topics, unique, until};

const LIMIT: Duration = Duration::from_secs(300);

/// What a record says apart from the replay that it is part of, by how often it is there.
type Records = BTreeMap<(String, String), usize>;

/// A source that a service has read to its end, with what it sent.
struct Stage {
    brokers: &'static str,
    source: Source,
    setup: Setup,
}

impl Stage {
    fn new(brokers: &'static str, guarantee: &'static str) -> Stage {
        let source = Source::create(brokers, &unique("events"), 6);
        let limit = MAX_WEBHOOK_BYTES.to_string();
        let setup = Setup {
            guarantee,
            epoch_records: 500,
            session_timeout_ms: 2_000,
            ..Setup::new(brokers, &source.topic, &unique("replayed"), "structured")
        };
        for name in DESTINATIONS.into_iter().chain(["dead"]) {
            let settings = [("max.message.bytes", &*limit)];
            let topic = format!("{}.{name}", setup.prefix);
            topics::create(brokers, 4, &topic, if name == "webhook" { &settings } else { &[] });
        }
        Stage { brokers, source, setup }
    }

    /// Has the service read the source to its end.
    fn serve(&self) {
        let mut worker = Worker::start(&self.setup).ready();
        until(LIMIT, "the service has read everything", || {
            worker.assert_runs();
            (self.committed().values().sum::<i64>() == i64::try_from(self.source.len()).expect("tests are small")).then_some(())
        });
        worker.stop();
    }

    fn committed(&self) -> BTreeMap<i32, i64> {
        topics::committed(self.brokers, &self.setup.group, &self.setup.source).into_iter().collect()
    }

    /// Returns the records of a destination that carry the replay's name, or none, with that taken out.
    fn records(&self, destination: &str, replay: Option<&str>) -> Records {
        let mut records = Records::new();
        topics::read(self.brokers, &format!("{}.{destination}", self.setup.prefix), |message| {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
            let text = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
            let attribute = replay.map_or_else(String::new, |name| format!(r#","replay":"{name}""#));
            let is_meant = if replay.is_some() { text.contains(&attribute) } else { !text.contains(r#","replay":""#) };
            if is_meant {
                *records.entry((key, text.replacen(&attribute, "", 1))).or_default() += 1;
            }
        });
        records
    }

    /// Returns those of `records` whose source lies in the ranges of offsets, one for each partition.
    fn within(records: Records, from: &[usize], to: &[usize]) -> Records {
        let is_within = |(_, text): &(String, String)| {
            // A lone surrogate leaves as it came, and no parser takes it.
            let record: Value = serde_json::from_str(&text.replace(r"\ud800", "?")).expect("JSON");
            let parts: Vec<usize> = record["id"]
                .as_str()
                .expect("an id")
                .split('/')
                .skip(1)
                .take(2)
                .map(|part| part.parse().expect("a number"))
                .collect();
            (from[parts[0]]..to[parts[0]]).contains(&parts[1])
        };
        records.into_iter().filter(|(record, _)| is_within(record)).collect()
    }

    fn config(&self) -> PathBuf {
        self.setup.write(kafka::free_port())
    }

    /// Runs `groupcast` to its end; returns its exit code and what it printed.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
        let output = command.args(arguments).arg("--config").arg(self.config()).output().expect("the program is built");
        let [said, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.code(), said + &complaint)
    }

    /// Waits until no transaction of a killed process hides what came after it.
    fn settle(&self) {
        let outputs: Vec<String> =
            DESTINATIONS.iter().chain(&["dead"]).map(|name| format!("{}.{name}", self.setup.prefix)).collect();
        let (committed, logs) = (Ends::committed(self.brokers, &outputs), Ends::of_logs(self.brokers, &outputs));
        until(LIMIT, "no transaction is open", || (committed.sum() == logs.sum()).then_some(()));
    }
}

/// Returns the time as `--from` takes it; the record before it and the one after it have other times.
fn now() -> String {
    sleep(Duration::from_millis(20));
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is right");
    sleep(Duration::from_millis(20));
    jiff::Timestamp::from_millisecond(i64::try_from(since.as_millis()).expect("a time of today")).expect("a time").to_string()
}

#[test]
fn a_middle_range_goes_to_the_chosen_destinations_and_nowhere_else() {
    let Some(brokers) = kafka::brokers() else { return };
    let mut stage = Stage::new(brokers, "exactly_once");
    stage.source.produce(2_000);
    let (from, from_ends) = (now(), stage.source.ends());
    stage.source.produce(2_000);
    // What was aborted, and its marks, are no records of the range, and nothing comes behind them in some partition.
    let transaction = stage.source.begin(brokers);
    stage.source.abort(brokers, &transaction);
    let (to, to_ends) = (now(), stage.source.ends());
    stage.source.produce(100);
    stage.serve();
    let (committed, sent) = (stage.committed(), stage.records("webhook", None));

    let range =
        ["replay", "--from", &from, "--to", &to, "--destination", "webhook", "--destination", "hubspot", "--name", "middle"];
    let (code, said) = stage.run(&[&range[..], &["--dry-run"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let expected = Stage::within(sent.clone(), &from_ends, &to_ends);
    let counted =
        said.lines().find_map(|line| line.trim_start().strip_prefix("webhook event.post ")?.split_whitespace().next());
    assert_eq!(counted, Some(expected.len().to_string().as_str()), "{said}");
    assert!(said.contains("a newer event behind the range") && said.contains("example 2"), "{said}");
    assert_eq!(stage.records("webhook", Some("middle")), Records::new(), "a dry run sends nothing");
    let (code, said) = stage.run(&range);
    assert_eq!((code, said.contains("there is no terminal to ask at")), (Some(2), true), "{said}");

    let (code, said) = stage.run(&[&range[..], &["--yes"]].concat());
    assert_eq!((code, said.contains("replay middle is done")), (Some(0), true), "{said}");
    for destination in ["webhook", "hubspot"] {
        let expected = Stage::within(stage.records(destination, None), &from_ends, &to_ends);
        assert!(expected.len() > 500, "{}", expected.len());
        assert_eq!(stage.records(destination, Some("middle")), expected, "{destination}");
    }
    assert_eq!(stage.records("mixpanel", Some("middle")), Records::new(), "it was not chosen");
    assert_eq!(stage.records("webhook", None), sent, "what the service had sent is as it was");
    assert_eq!(stage.committed(), committed, "the service's group is where it was");

    let (code, said) = stage.run(&[&range[..], &["--yes"]].concat());
    assert_eq!((code, said.contains("it is done already")), (Some(0), true), "{said}");
    let (code, said) = stage.run(&[&range[..], &["--yes", "--group-id", "g1"]].concat());
    assert_eq!((code, said.contains("begun with other arguments")), (Some(2), true), "{said}");
}

#[test]
fn every_command_of_the_recipe_runs() {
    let Some(brokers) = kafka::brokers() else { return };
    let mut stage = Stage::new(brokers, "at_least_once");
    stage.source.produce(600);
    stage.serve();
    let recipe = include_str!("../docs/replay.md");
    let commands: Vec<&str> = recipe.lines().filter_map(|line| line.strip_prefix("groupcast ")).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let command = command.replace("--config groupcast.yaml ", "").replace("group-events", &stage.source.topic);
        let (code, said) = stage.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{command}: {said}");
    }
    let sent = stage.records("webhook", None);
    assert_eq!(stage.records("webhook", Some("backfill-2026-11")), sent, "all of it is younger than a month");
    assert_eq!(stage.records("hubspot", Some("lost-hour")), Records::new(), "nothing is as old as that");
    let those = Stage::within(sent, &[0, 0, 40, 0, 0, 0], &[0, 0, 50, 0, 0, 0]);
    assert_eq!(stage.records("webhook", Some("those-ten")), those);
}

#[test]
fn killed_again_and_again_it_still_ends_complete() {
    let Some(brokers) = kafka::brokers() else { return };
    for guarantee in ["exactly_once", "at_least_once"] {
        let mut stage = Stage::new(brokers, guarantee);
        stage.source.produce(20_000);
        stage.serve();
        let sent = stage.records("webhook", None);
        let replay =
            ["replay", "--from", "beginning", "--name", "again", "--destination", "webhook", "--rate", "5000", "--yes"];
        let config = stage.config();
        let start = || Worker::start_with(config.clone(), 0, &replay);
        let webhook = [format!("{}.webhook", stage.setup.prefix)];
        for kill in 0..6_u64 {
            let mut worker = start();
            let ends = Ends::of_logs(brokers, &webhook);
            let wanted = ends.sum() + 200 + kill * 337 % 900;
            until(LIMIT, "it sends", || {
                worker.assert_runs();
                (ends.sum() >= wanted).then_some(())
            });
            worker.kill();
        }
        // Two share what is left.
        let mut both = [start(), start()];
        for worker in &mut both {
            let status = worker.end(LIMIT);
            assert_eq!(status.code(), Some(0), "{}", worker.log());
        }
        stage.settle();
        let replayed = stage.records("webhook", Some("again"));
        let repetitions: usize = replayed.values().map(|count| count - 1).sum();
        println!("{guarantee}: {} of {} records repeated", repetitions, sent.len());
        assert!(replayed.keys().eq(sent.keys()), "{guarantee}: something is missing, or more than was asked for");
        if guarantee == "exactly_once" {
            assert_eq!(repetitions, 0, "a reader of committed records sees each once");
        }
    }
}

#[test]
fn a_selection_takes_what_it_says_and_retention_is_told() {
    let Some(brokers) = kafka::brokers() else { return };
    let mut stage = Stage::new(brokers, "at_least_once");
    stage.source.produce(1_000);
    stage.serve();
    let sent = stage.records("webhook", None);
    // The group of most events.
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    sent.keys().for_each(|(group, _)| *counts.entry(group).or_default() += 1);
    let (group, count) = counts.into_iter().max_by_key(|(_, count)| *count).expect("groups");
    let (code, said) = stage.run(&["replay", "--from", "1h", "--name", "one", "--group-id", group, "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let replayed = stage.records("webhook", Some("one"));
    assert_eq!(replayed.len(), count);
    assert!(replayed.keys().all(|record| &record.0 == group && sent.contains_key(record)));

    // All of the range's groups are superseded where all come again.
    let ends = stage.source.ends();
    stage.source.produce(5_000);
    let to: Vec<String> =
        ends.iter().enumerate().map(|(partition, end)| format!("{}/{partition}/{end}", stage.source.topic)).collect();
    let mut arguments = vec!["replay", "--from", "beginning", "--name", "newest", "--skip-superseded", "--dry-run"];
    to.iter().for_each(|to| arguments.extend(["--to", to]));
    let (code, said) = stage.run(&arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("superseded"), "{said}");

    topics::truncate_to(brokers, &stage.source.topic, 2, Offset::Offset(40));
    let topic = &stage.source.topic;
    let from = format!("{topic}/2/10");
    let (code, said) = stage.run(&["replay", "--from", &from, "--to", &format!("{topic}/2/50"), "--name", "late", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("{topic}/2: 30 offsets of the range are gone to retention; it begins at 40")), "{said}");
    let (from, to) = ([0, 0, 40, 0, 0, 0], [0, 0, 50, 0, 0, 0]);
    assert_eq!(stage.records("webhook", Some("late")), Stage::within(sent, &from, &to));

    let (code, said) = stage.run(&["replay", "--from", &format!("{topic}/77/0"), "--name", "x", "--yes"]);
    assert_eq!((code, said.contains(&format!("no such partition of a source topic: {topic}/77"))), (Some(1), true), "{said}");
}
