//! `groupcast replay` on real Apache Kafka: what it sends is held, record by record, against what the service had sent.

#![expect(clippy::expect_used, reason = "a test may panic and tell")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::Offset;
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use support::generator::{DESTINATIONS, MAX_WEBHOOK_BYTES};
use support::requests::Requests;
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
            topics::create(
                brokers,
                4,
                &topic,
                if name == "webhook" { &settings } else { &[] },
            );
        }
        Stage {
            brokers,
            source,
            setup,
        }
    }

    /// Has the service read the source to its end.
    fn serve(&self) {
        let mut worker = Worker::start(&self.setup).ready();
        until(LIMIT, "the service has read everything", || {
            worker.assert_runs();
            (self.committed().values().sum::<i64>()
                == i64::try_from(self.source.len()).expect("tests are small"))
            .then_some(())
        });
        worker.stop();
    }

    fn committed(&self) -> BTreeMap<i32, i64> {
        topics::committed(self.brokers, &self.setup.group, &self.setup.source)
            .into_iter()
            .collect()
    }

    /// Returns the records of a destination that carry the replay's name, or none, with that taken out.
    fn records(&self, destination: &str, replay: Option<&str>) -> Records {
        let mut records = Records::new();
        topics::read(
            self.brokers,
            &format!("{}.{destination}", self.setup.prefix),
            |message| {
                let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
                let text =
                    String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
                let attribute =
                    replay.map_or_else(String::new, |name| format!(r#","replay":"{name}""#));
                let is_meant = if replay.is_some() {
                    text.contains(&attribute)
                } else {
                    !text.contains(r#","replay":""#)
                };
                if is_meant {
                    *records
                        .entry((key, text.replacen(&attribute, "", 1)))
                        .or_default() += 1;
                }
            },
        );
        records
    }

    /// Returns those of `records` whose source lies in the ranges of offsets, one for each partition.
    fn within(records: Records, from: &[usize], to: &[usize]) -> Records {
        let is_within = |(_, text): &(String, String)| {
            let parts: Vec<usize> = source_of(text)
                .split('/')
                .map(|part| part.parse().expect("a number"))
                .collect();
            (from[parts[0]]..to[parts[0]]).contains(&parts[1])
        };
        records
            .into_iter()
            .filter(|(record, _)| is_within(record))
            .collect()
    }

    fn config(&self) -> PathBuf {
        self.setup.write(kafka::free_port())
    }

    /// Runs `groupcast` to its end; returns its exit code and what it printed.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        Stage::run_with(&self.config(), arguments)
    }

    fn run_with(config: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(support::PROGRAM);
        let output = command
            .args(arguments)
            .arg("--config")
            .arg(config)
            .output()
            .expect("the program is built");
        let [said, complaint] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.code(), said + &complaint)
    }

    /// Waits until no transaction of a killed process hides what came after it.
    fn settle(&self) {
        let outputs: Vec<String> = DESTINATIONS
            .iter()
            .chain(&["dead"])
            .map(|name| format!("{}.{name}", self.setup.prefix))
            .collect();
        let (committed, logs) = (
            Ends::committed(self.brokers, &outputs),
            Ends::of_logs(self.brokers, &outputs),
        );
        until(LIMIT, "no transaction is open", || {
            (committed.sum() == logs.sum()).then_some(())
        });
    }
}

/// Returns the time as `--from` takes it; the record before it and the one after it have other times.
fn now() -> String {
    sleep(Duration::from_millis(20));
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is right");
    sleep(Duration::from_millis(20));
    jiff::Timestamp::from_millisecond(i64::try_from(since.as_millis()).expect("a time of today"))
        .expect("a time")
        .to_string()
}

#[test]
fn a_middle_range_goes_to_the_chosen_destinations_and_nowhere_else() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
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

    let range = [
        "replay",
        "--from",
        &from,
        "--to",
        &to,
        "--destination",
        "webhook",
        "--destination",
        "hubspot",
        "--name",
        "middle",
    ];
    let (code, said) = stage.run(&[&range[..], &["--dry-run"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let expected = Stage::within(sent.clone(), &from_ends, &to_ends);
    let counted = said.lines().find_map(|line| {
        line.trim_start()
            .strip_prefix("webhook event.post ")?
            .split_whitespace()
            .next()
    });
    assert_eq!(counted, Some(expected.len().to_string().as_str()), "{said}");
    assert!(
        said.contains("a newer event behind the range") && said.contains("example 2"),
        "{said}"
    );
    assert_eq!(
        stage.records("webhook", Some("middle")),
        Records::new(),
        "a dry run sends nothing"
    );
    let (code, said) = stage.run(&range);
    assert_eq!(
        (code, said.contains("there is no terminal to ask at")),
        (Some(2), true),
        "{said}"
    );

    let (code, said) = stage.run(&[&range[..], &["--yes"]].concat());
    assert_eq!(
        (code, said.contains("replay middle is done")),
        (Some(0), true),
        "{said}"
    );
    for destination in ["webhook", "hubspot"] {
        let expected = Stage::within(stage.records(destination, None), &from_ends, &to_ends);
        assert!(expected.len() > 500, "{}", expected.len());
        assert_eq!(
            stage.records(destination, Some("middle")),
            expected,
            "{destination}"
        );
    }
    assert_eq!(
        stage.records("mixpanel", Some("middle")),
        Records::new(),
        "it was not chosen"
    );
    assert_eq!(
        stage.records("webhook", None),
        sent,
        "what the service had sent is as it was"
    );
    assert_eq!(
        stage.committed(),
        committed,
        "the service's group is where it was"
    );

    let (code, said) = stage.run(&[&range[..], &["--yes"]].concat());
    assert_eq!(
        (code, said.contains("it is done already")),
        (Some(0), true),
        "{said}"
    );
    let (code, said) = stage.run(&[&range[..], &["--yes", "--group-id", "g1"]].concat());
    assert_eq!(
        (code, said.contains("begun with other arguments")),
        (Some(2), true),
        "{said}"
    );
}

#[test]
fn every_command_of_the_recipe_runs() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, "at_least_once");
    stage.source.produce(600);
    stage.serve();
    let recipe = include_str!("../../docs/replay.md");
    let commands: Vec<&str> = recipe
        .lines()
        .filter_map(|line| line.strip_prefix("groupcast "))
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let command = command
            .replace("--config groupcast.yaml ", "")
            .replace("group-events", &stage.source.topic);
        let (code, said) = stage.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{command}: {said}");
    }
    let sent = stage.records("webhook", None);
    assert_eq!(
        stage.records("webhook", Some("backfill-2026-11")),
        sent,
        "all of it is younger than a month"
    );
    assert_eq!(
        stage.records("hubspot", Some("lost-hour")),
        Records::new(),
        "nothing is as old as that"
    );
    let those = Stage::within(sent, &[0, 0, 40, 0, 0, 0], &[0, 0, 50, 0, 0, 0]);
    assert_eq!(stage.records("webhook", Some("those-ten")), those);
}

/// A dead letter, read from its headers: reason, destination, source position, attempts.
type LetterOf = (String, Option<String>, String, Option<String>);

impl Stage {
    fn letters(&self) -> Vec<LetterOf> {
        let mut letters = Vec::new();
        topics::read(
            self.brokers,
            &format!("{}.dead", self.setup.prefix),
            |message| {
                let headers = message.headers().expect("a dead letter has headers");
                let header = |name: &str| {
                    let found = headers.iter().find(|header| header.key == name)?;
                    found
                        .value
                        .map(|value| String::from_utf8_lossy(value).into_owned())
                };
                let part = |name| header(name).expect("each has it");
                let source = format!("{}/{}", part("source_partition"), part("source_offset"));
                letters.push((
                    part("reason"),
                    header("destination"),
                    source,
                    header("attempts"),
                ));
            },
        );
        letters.sort();
        letters
    }
}

#[test]
fn dead_letters_are_redriven_each_once_after_their_cause_is_mended() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, "exactly_once");
    stage.source.produce(8_000);
    stage.serve();
    let letters = stage.letters();
    let reasons: BTreeSet<&str> = letters.iter().map(|(reason, ..)| reason.as_str()).collect();
    assert!(reasons.len() > 8, "{reasons:?}");
    let mended = ["too_large", "too_many_traits", "record_too_large"];
    assert!(
        mended.iter().all(|reason| reasons.contains(reason)),
        "{reasons:?}"
    );

    let (code, said) = stage.run(&["dead-letters", "counts"]);
    assert_eq!(code, Some(0), "{said}");
    for reason in &reasons {
        let count = letters.iter().filter(|(of, ..)| of == reason).count();
        let counted = said
            .lines()
            .find(|line| line.split_whitespace().next() == Some(reason))
            .expect("each is listed");
        assert_eq!(
            counted.split_whitespace().nth(2),
            Some(count.to_string().as_str()),
            "{said}"
        );
    }
    let (code, said) = stage.run(&[
        "dead-letters",
        "list",
        "--reason",
        "too_large",
        "--json",
        "--limit",
        "5",
    ]);
    assert_eq!(
        (code, said.matches("\"position\"").count()),
        (Some(0), 5),
        "{said}"
    );
    let position = said
        .split("\"position\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a position")
        .to_owned();
    let (code, said) = stage.run(&["dead-letters", "show", &position]);
    assert_eq!(
        (
            code,
            said.contains("too_large: the record that would leave is larger")
        ),
        (Some(0), true),
        "{said}"
    );

    let mut requests = Requests::to(brokers);
    requests.set_topic(
        &format!("{}.webhook", stage.setup.prefix),
        "max.message.bytes",
        "10000000",
    );
    let redrive = [
        "dead-letters",
        "redrive",
        "--name",
        "mended",
        "--rate",
        "400",
        "--yes",
        "--set",
        "limits.traits=100000",
        "--set",
        "limits.record_bytes=10000000",
    ];
    let config = stage.config();
    for _ in 0..3 {
        let mut worker = Worker::start_with(config.clone(), 0, &redrive);
        let webhook = Ends::of_logs(brokers, &[format!("{}.webhook", stage.setup.prefix)]);
        let wanted = webhook.sum() + 20;
        until(LIMIT, "it sends", || {
            worker.assert_runs();
            (webhook.sum() >= wanted).then_some(())
        });
        worker.kill();
    }
    let mut worker = Worker::start_with(config, 0, &redrive);
    assert_eq!(worker.end(LIMIT).code(), Some(0), "{}", worker.log());
    stage.settle();

    let replayed = stage.records("webhook", Some("mended"));
    assert!(replayed.values().all(|count| *count == 1), "each once");
    let sources: Vec<String> = replayed.keys().map(|(_, text)| source_of(text)).collect();
    for (reason, destination, source, _) in &letters {
        let is_mended = mended.contains(&reason.as_str())
            && destination.as_deref().is_none_or(|name| name == "webhook");
        let times = sources.iter().filter(|of| *of == source).count();
        // An event can have been left out by its flags.
        assert!(
            times == usize::from(is_mended) || (is_mended && destination.is_none()),
            "{reason} {source}: {times}"
        );
    }
    assert!(sources.len() > 20, "{}", sources.len());
    let failed: Vec<LetterOf> = stage
        .letters()
        .into_iter()
        .filter(|(.., attempts)| attempts.is_some())
        .collect();
    let expected: Vec<LetterOf> = letters
        .iter()
        .filter(|(reason, ..)| !mended.contains(&reason.as_str()))
        .map(|(reason, destination, source, _)| {
            (
                reason.clone(),
                destination.clone(),
                source.clone(),
                Some("1".to_owned()),
            )
        })
        .collect();
    assert_eq!(
        failed, expected,
        "what fails again is a dead letter again, once"
    );
    let hubspot = stage.records("hubspot", Some("mended"));
    let shares: BTreeSet<&String> = letters
        .iter()
        .filter(|(_, name, ..)| name.is_some())
        .map(|(.., source, _)| source)
        .collect();
    assert!(
        hubspot
            .keys()
            .all(|(_, text)| !shares.contains(&source_of(text))),
        "a share goes to its destination alone"
    );
}

#[test]
fn every_command_about_dead_letters_runs() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, "at_least_once");
    stage.source.produce(1_500);
    stage.serve();
    let page = include_str!("../../docs/dead-letters.md");
    let commands: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("groupcast "))
        .collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        let command = command
            .replace("--config groupcast.yaml", "")
            .replace("group-events", &stage.setup.prefix);
        let (code, said) = stage.run(&command.split_whitespace().collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{command}: {said}");
        println!("$ groupcast {command}\n{said}");
    }
}

fn source_of(text: &str) -> String {
    // A lone surrogate leaves as it came, and no parser takes it.
    let record: Value = serde_json::from_str(&text.replace(r"\ud800", "?")).expect("JSON");
    record["id"]
        .as_str()
        .expect("an id")
        .split('/')
        .skip(1)
        .take(2)
        .collect::<Vec<_>>()
        .join("/")
}

/// Folds events as the rules say, knowing nothing of the program: absent keeps, null clears, members are collected.
#[derive(Default)]
struct Fold {
    traits: BTreeMap<String, Value>,
    members: BTreeSet<String>,
    newest: String,
}

#[test]
fn the_latest_state_of_each_group_is_what_its_events_come_to() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let stage = Stage::new(brokers, "at_least_once");
    let producer: BaseProducer = topics::client(brokers)
        .set("partitioner", "murmur2_random")
        .create()
        .expect("the settings are valid");
    let mut folds: BTreeMap<String, Fold> = BTreeMap::new();
    // A multiplier that visits all residues, for a mix that is the same each time.
    let picks = (0..4_000_u64).map(|index| index.wrapping_mul(2_654_435_761) >> 7);
    for (index, pick) in picks.enumerate() {
        let (group, user) = (format!("g{}", pick % 90), format!("u{}", pick / 90 % 7));
        let name =
            ["plan", "seats", "tier", "name", "city"][usize::try_from(pick % 5).expect("small")];
        let value = if pick % 11 == 0 {
            Value::Null
        } else {
            Value::from(format!("v{index}"))
        };
        let spelled = if pick % 3 == 0 {
            name.to_uppercase()
        } else {
            name.to_owned()
        };
        let event = format!(
            r#"{{"type":"group","messageId":"m{index}","groupId":"{group}","userId":"{user}","traits":{{"{spelled}":{value}}}}}"#
        );
        let fold = folds.entry(group.clone()).or_default();
        fold.traits.insert(name.to_owned(), value);
        fold.members.insert(user.clone());
        fold.newest = format!("m{index}");
        while producer
            .send(
                BaseRecord::to(&stage.source.topic)
                    .key(&group)
                    .payload(&event),
            )
            .is_err()
        {
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(LIMIT).expect("the brokers take the events");
    let replay = [
        "replay",
        "--from",
        "beginning",
        "--name",
        "latest",
        "--latest-per-group",
        "--destination",
        "webhook",
    ];
    let (code, said) = stage.run(&[&replay[..], &["--dry-run"]].concat());
    let n_records: usize = folds.values().map(|fold| fold.members.len()).sum();
    assert_eq!(
        (
            code,
            said.contains(&format!("webhook event.post  {n_records}"))
        ),
        (Some(0), true),
        "{n_records}: {said}"
    );
    let (code, said) = stage.run(&[&replay[..], &["--yes"]].concat());
    let done = format!("the latest state of {} groups", folds.len());
    assert_eq!((code, said.contains(&done)), (Some(0), true), "{said}");

    let (code, said) = stage.run(&[&replay[..], &["--yes"]].concat());
    assert_eq!(
        (code, said.contains("it is done already")),
        (Some(0), true),
        "{said}"
    );
    let history: Vec<&str> = replay
        .iter()
        .copied()
        .filter(|argument| *argument != "--latest-per-group")
        .collect();
    let (code, said) = stage.run(&[&history[..], &["--yes"]].concat());
    assert_eq!(
        (code, said.contains("begun with other arguments")),
        (Some(2), true),
        "{said}"
    );

    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for ((key, text), count) in stage.records("webhook", Some("latest")) {
        let record: Value = serde_json::from_str(&text).expect("JSON");
        let (data, fold) = (&record["data"], &folds[&key]);
        assert_eq!(
            (count, data["messageId"].as_str()),
            (1, Some(fold.newest.as_str())),
            "{text}"
        );
        let is_new = seen
            .entry(key)
            .or_default()
            .insert(data["userId"].as_str().expect("a user").to_owned());
        assert!(is_new, "each member once: {text}");
        // What a name's spelling was last is what it leaves under; reserved ones have their own.
        let found: BTreeMap<String, Value> = data["traits"]
            .as_object()
            .expect("traits")
            .iter()
            .flat_map(flat)
            .collect();
        if !found.is_empty() {
            assert_eq!(found, fold.traits, "{text}");
        }
    }
    let members: BTreeMap<String, BTreeSet<String>> = folds
        .into_iter()
        .map(|(group, fold)| (group, fold.members))
        .collect();
    assert_eq!(seen, members);
}

/// Returns traits by lower-case name, an address's parts among them.
fn flat((name, value): (&String, &Value)) -> Vec<(String, Value)> {
    match value.as_object() {
        Some(parts) => parts.iter().flat_map(flat).collect(),
        None => vec![(name.to_lowercase(), value.clone())],
    }
}

#[test]
fn a_state_that_cannot_be_sent_is_told() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let stage = Stage::new(brokers, "at_least_once");
    for (group, trait_name) in [("g1", "a"), ("g1", "b"), ("g2", "a")] {
        let event =
            format!(r#"{{"type":"group","groupId":"{group}","traits":{{"{trait_name}":1}}}}"#);
        topics::write(
            brokers,
            &stage.source.topic,
            group.as_bytes(),
            event.as_bytes(),
        );
    }
    let latest = [
        "replay",
        "--from",
        "beginning",
        "--name",
        "big",
        "--latest-per-group",
        "--yes",
        "--set",
        "limits.traits=1",
    ];
    let (code, said) = stage.run(&latest);
    assert_eq!(
        (code, said.contains("warning: 1 states are not sent")),
        (Some(1), true),
        "{said}"
    );
    assert!(
        said.contains("too_many_traits: the event has more traits than the limit"),
        "{said}"
    );
    let keys: Vec<String> = stage
        .records("webhook", Some("big"))
        .into_keys()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys, ["g2"], "the others are sent");
}

#[test]
fn a_dry_run_shows_no_secret() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let stage = Stage::new(brokers, "at_least_once");
    let event = r#"{"type":"group","groupId":"g1","userId":"u1","context":{"traits":{"name":"Ann"}},"traits":{"name":"Initech"}}"#;
    topics::write(brokers, &stage.source.topic, b"g1", event.as_bytes());
    let config = stage.config();
    let canny = format!(
        "  - {{ use: canny, topic: {}.webhook, settings: {{ api_key: hunter2 }} }}\n",
        stage.setup.prefix
    );
    let text = fs::read_to_string(&config).expect("it was written just now") + &canny;
    fs::write(&config, text).expect("it can be written again");
    for how in [&[][..], &["--latest-per-group"]] {
        let dry = [
            "replay",
            "--from",
            "beginning",
            "--name",
            "shown",
            "--destination",
            "canny",
            "--dry-run",
        ];
        let (code, said) = Stage::run_with(&config, &[&dry[..], how].concat());
        assert_eq!(
            (code, said.contains("Initech"), said.contains("(secret)")),
            (Some(0), true, true),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn what_retention_takes_meanwhile_is_told_and_nobody_waits_for_it() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, "at_least_once");
    stage.setup.on_gap = "continue";
    stage.source.produce(2_000);
    stage.serve();
    let (topic, end) = (stage.source.topic.clone(), stage.source.ends()[2]);
    let (from, to) = (format!("{topic}/2/0"), format!("{topic}/2/{end}"));
    let arguments = [
        "replay", "--from", &from, "--to", &to, "--name", "gone", "--yes",
    ];
    let webhook = [format!("{}.webhook", stage.setup.prefix)];
    let ends = Ends::of_logs(brokers, &webhook);
    let before = ends.sum();
    let slowly = [&arguments[..], &["--rate", "50"]].concat();
    let mut worker = Worker::start_with(stage.config(), 0, &slowly);
    until(LIMIT, "it sends", || {
        worker.assert_runs();
        (ends.sum() > before + 5).then_some(())
    });
    worker.kill();
    // Behind the range, so that something is there to read but nothing to send.
    stage.source.produce(1_000);
    topics::truncate_to(
        brokers,
        &topic,
        2,
        Offset::Offset(i64::try_from(end).expect("tests are small")),
    );
    let mut worker = Worker::start_with(stage.config(), 0, &arguments);
    let status = worker.end(LIMIT);
    let said = worker.log();
    assert_eq!(
        (status.code(), said.contains("replay gone is done")),
        (Some(0), true),
        "{said}"
    );
    assert!(
        said.contains(&format!("to {}; retention or compaction took it", end - 1)),
        "{said}"
    );
    let (code, said) = stage.run(&arguments);
    assert_eq!(
        (code, said.contains("it is done already")),
        (Some(0), true),
        "{said}"
    );
}

#[test]
fn a_name_stands_for_one_of_the_topics_alone() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, "at_least_once");
    stage.source.produce(100);
    let mut other = Source::create(brokers, &unique("others"), 2);
    other.produce(100);
    let config = stage.config();
    let (one, both) = (
        format!("topics: [{}]", stage.source.topic),
        format!("topics: [{}, {}]", stage.source.topic, other.topic),
    );
    let text = fs::read_to_string(&config)
        .expect("it was written just now")
        .replace(&one, &both);
    fs::write(&config, text).expect("it can be written again");
    let run = |topic: &str| {
        let replay = [
            "replay",
            "--from",
            "beginning",
            "--name",
            "one-topic",
            "--destination",
            "webhook",
            "--topic",
            topic,
            "--yes",
        ];
        Stage::run_with(&config, &replay)
    };
    let (code, said) = run(&stage.source.topic);
    assert_eq!(
        (code, said.contains("replay one-topic is done")),
        (Some(0), true),
        "{said}"
    );
    let (code, said) = run(&other.topic);
    assert_eq!(
        (code, said.contains("begun with other arguments")),
        (Some(2), true),
        "{said}"
    );
}

#[test]
fn one_who_says_yes_too_late_sends_nothing_again() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    if Command::new("script").arg("--version").output().is_err() {
        kafka::skip("no `script`, which lends a terminal");
        return;
    }
    let mut stage = Stage::new(brokers, "at_least_once");
    stage.source.produce(300);
    stage.serve();
    let arguments = "replay --from beginning --name asked --destination webhook";
    let program = support::PROGRAM;
    let command = format!(
        "{program} {arguments} --config {}",
        stage.config().display()
    );
    let mut terminal = Command::new("script");
    terminal
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut terminal = terminal.spawn().expect("script is there");
    let mut screen = terminal.stdout.take().expect("it is piped");
    let mut shown = String::new();
    while !shown.contains("Send it? [y/N]") {
        let mut bytes = [0; 4096];
        let n_read = screen.read(&mut bytes).expect("a pipe can be read");
        assert_ne!(n_read, 0, "it ended: {shown}");
        shown += &String::from_utf8_lossy(&bytes[..n_read]);
    }
    assert!(shown.contains("example 1"), "{shown}");

    let others: Vec<&str> = arguments.split(' ').chain(["--yes"]).collect();
    let (code, said) = stage.run(&others);
    assert_eq!(code, Some(0), "{said}");
    let sent = stage.records("webhook", Some("asked"));
    assert!(
        sent.len() > 100 && sent.values().all(|count| *count == 1),
        "{}",
        sent.len()
    );
    terminal
        .stdin
        .take()
        .expect("it is piped")
        .write_all(b"y\n")
        .expect("it waits for an answer");
    screen
        .read_to_string(&mut shown)
        .expect("a pipe can be read");
    assert!(terminal.wait().expect("it is ours").success(), "{shown}");
    assert!(shown.contains("replay asked is done"), "{shown}");
    assert_eq!(stage.records("webhook", Some("asked")), sent);
}

#[test]
fn killed_again_and_again_it_still_ends_complete() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    for guarantee in ["exactly_once", "at_least_once"] {
        let mut stage = Stage::new(brokers, guarantee);
        stage.source.produce(20_000);
        stage.serve();
        let sent = stage.records("webhook", None);
        let replay = [
            "replay",
            "--from",
            "beginning",
            "--name",
            "again",
            "--destination",
            "webhook",
            "--rate",
            "5000",
            "--yes",
        ];
        let config = stage.config();
        let start = || Worker::start_with(config.clone(), 0, &replay);
        let webhook = [format!("{}.webhook", stage.setup.prefix)];
        for kill in 0..10_u64 {
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
        println!(
            "{guarantee}: {} of {} records repeated",
            repetitions,
            sent.len()
        );
        assert!(
            replayed.keys().eq(sent.keys()),
            "{guarantee}: something is missing, or more than was asked for"
        );
        if guarantee == "exactly_once" {
            assert_eq!(
                repetitions, 0,
                "a reader of committed records sees each once"
            );
        }
    }
}

#[test]
fn a_selection_takes_what_it_says_and_retention_is_told() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers, "at_least_once");
    stage.source.produce(1_000);
    stage.serve();
    let sent = stage.records("webhook", None);
    // The group of most events.
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    sent.keys()
        .for_each(|(group, _)| *counts.entry(group).or_default() += 1);
    let (group, count) = counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .expect("groups");
    let (code, said) = stage.run(&[
        "replay",
        "--from",
        "1h",
        "--name",
        "one",
        "--group-id",
        group,
        "--yes",
    ]);
    assert_eq!(code, Some(0), "{said}");
    let replayed = stage.records("webhook", Some("one"));
    assert_eq!(replayed.len(), count);
    assert!(
        replayed
            .keys()
            .all(|record| &record.0 == group && sent.contains_key(record))
    );

    // All of the range's groups are superseded where all come again.
    let ends = stage.source.ends();
    stage.source.produce(5_000);
    let to: Vec<String> = ends
        .iter()
        .enumerate()
        .map(|(partition, end)| format!("{}/{partition}/{end}", stage.source.topic))
        .collect();
    let mut arguments = vec![
        "replay",
        "--from",
        "beginning",
        "--name",
        "newest",
        "--skip-superseded",
        "--dry-run",
    ];
    to.iter().for_each(|to| arguments.extend(["--to", to]));
    let (code, said) = stage.run(&arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("superseded"), "{said}");

    topics::truncate_to(brokers, &stage.source.topic, 2, Offset::Offset(40));
    let topic = &stage.source.topic;
    let from = format!("{topic}/2/10");
    let (code, said) = stage.run(&[
        "replay",
        "--from",
        &from,
        "--to",
        &format!("{topic}/2/50"),
        "--name",
        "late",
        "--yes",
    ]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(&format!(
            "{topic}/2: 30 offsets of the range are gone to retention; it begins at 40"
        )),
        "{said}"
    );
    let (from, to) = ([0, 0, 40, 0, 0, 0], [0, 0, 50, 0, 0, 0]);
    assert_eq!(
        stage.records("webhook", Some("late")),
        Stage::within(sent, &from, &to)
    );

    let (code, said) = stage.run(&[
        "replay",
        "--from",
        &format!("{topic}/77/0"),
        "--name",
        "x",
        "--yes",
    ]);
    assert_eq!(
        (
            code,
            said.contains(&format!("no such partition of a source topic: {topic}/77"))
        ),
        (Some(1), true),
        "{said}"
    );
}
