//! The whole loop on real Apache Kafka: the program as its users start it, judged by a checker that shares none of its code.
//!
//! `GROUPCAST_EVENTS` and `GROUPCAST_KILLS` make the two long tests longer: `just million` is the first of them.

#![expect(clippy::expect_used, reason = "a test may panic and tell")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use support::checker::watch::Watch;
use support::checker::{Excuses, Format, Report, Run, bodies};
use support::generator::{DESTINATIONS, MAX_WEBHOOK_BYTES};
use support::requests::Requests;
use support::source::Source;
use support::topics::Ends;
use support::worker::{Setup, Worker};
use support::{kafka, topics, unique, until};

/// What a debug build on a busy machine may take; a lost wake-up or a stuck partition takes longer.
const LIMIT: Duration = Duration::from_secs(300);

#[test]
fn mixed_events_are_all_accounted_for() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    let setup = Setup {
        workers: 2,
        epoch_records: 100_000,
        ..stage.outputs("structured")
    };
    stage.source.produce(number("GROUPCAST_EVENTS", 20_000));

    let began = Instant::now();
    let mut worker = Worker::start(&setup).ready();
    stage.drain(&setup, &mut worker);
    let seconds = began.elapsed().as_secs_f64();

    for page in ["/healthz", "/readyz"] {
        let (status, body) = worker.get(page).expect("the worker listens");
        assert_eq!(
            (status, body.trim()),
            (200, r#"{"reasons":[],"status":"ok"}"#),
            "{page}"
        );
    }
    let counted = worker.counters();
    let memory = worker.peak_memory();
    worker.stop();
    let report = stage.check(&setup, Format::Structured);
    assert_eq!(counted, report.counters());
    assert_eq!(
        report.repetitions, 0,
        "nothing failed, and so nothing is repeated"
    );
    println!(
        "{report}{:>9.0}  events/s, {seconds:.1} s, {} MiB at most",
        events_per_second(&report, seconds),
        memory.unwrap_or(0)
    );
}

#[test]
fn a_restart_continues_where_it_stopped() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    let setup = stage.outputs("structured");
    for _ in 0..3 {
        stage.under_load(&setup, || {
            let mut worker = Worker::start(&setup);
            until_emitted(&setup, 3_000, &mut worker);
            worker.stop();
        });
    }
    stage.finish(&setup);
    assert_eq!(
        stage.check(&setup, Format::Structured).repetitions,
        0,
        "a stop drains and commits"
    );
}

/// Asks as people do while a service runs, with transactions' marks between the records, and leaves no trace of a group.
#[test]
fn explain_suggest_and_check_ask_without_joining_the_group() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let (source, group) = (unique("asked"), unique("asked-group"));
    let [webhook, dead] = ["webhook", "dead"].map(|name| format!("{source}.{name}"));
    let small: &[(&str, &str)] = &[("max.message.bytes", "5000")];
    topics::create_all(
        brokers,
        1,
        &[
            (source.clone(), &[]),
            (webhook.clone(), small),
            (dead.clone(), &[]),
        ],
    );
    let mut settings = topics::client(brokers);
    let producer: BaseProducer = settings
        .set("transactional.id", &group)
        .create()
        .expect("the settings are valid");
    producer
        .init_transactions(LIMIT)
        .expect("the brokers answer");
    for (message, commits) in [("m0", true), ("m1", false), ("m2", true)] {
        let event = format!(r#"{{"type":"group","groupId":"g1","messageId":"{message}"}}"#);
        producer.begin_transaction().expect("none is open");
        assert!(
            producer
                .send(BaseRecord::<str, str>::to(&source).payload(&event))
                .is_ok(),
            "an empty queue has room"
        );
        producer.flush(LIMIT).expect("the brokers take the record");
        if commits {
            producer.commit_transaction(LIMIT)
        } else {
            producer.abort_transaction(LIMIT)
        }
        .expect("it is open");
    }
    let file = env::temp_dir().join(format!("{source}.yaml"));
    let text = format!(
        "kafka: {{ brokers: \"{brokers}\" }}\nsource: {{ topics: [{source}], group_id: {group} }}\ndestinations: [{{ use: webhook }}]\n"
    );
    std::fs::write(&file, text).expect("the folder is there");
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(support::PROGRAM);
        let output = command
            .args(arguments)
            .arg("--config")
            .arg(&file)
            .output()
            .expect("the program is built");
        let [said, complaint] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.success(), said, complaint)
    };

    let (is_good, said, complaint) = ask(&["check", "--broker"]);
    assert!(is_good, "{complaint}");
    for line in [
        format!(
            "{source}          source, 1 partition, may be read, records of up to 1048588 bytes"
        ),
        format!("{webhook}  output, 1 partition, may be written, records of up to 5000 bytes"),
    ] {
        assert!(said.contains(&line), "{said}");
    }
    assert!(
        complaint.contains(&format!("{webhook} takes less than the 1048576 bytes")),
        "{complaint}"
    );

    // Offsets: m0, its mark, m1, its mark, m2, its mark.
    for (arguments, offset) in [
        (["--message-id", "m0"], "0"),
        (["--group-id", "g1"], "4"),
        (["--record", &format!("{source}/0/4")], "4"),
    ] {
        let (is_good, said, complaint) = ask(&[&["explain"], &arguments[..]].concat());
        assert!(
            is_good && said.starts_with(&format!("record {source}/0/{offset}\n")),
            "{arguments:?}: {said}{complaint}"
        );
    }
    let (is_good, _, complaint) = ask(&["explain", "--record", &format!("{source}/0/5")]);
    assert!(
        !is_good && complaint.contains("it is a transaction's mark"),
        "{complaint}"
    );
    let (is_good, _, complaint) = ask(&["explain", "--message-id", "m1"]);
    assert!(
        !is_good && complaint.contains("no event of messageId m1"),
        "what was aborted never was: {complaint}"
    );
    let (_, said, complaint) = ask(&["suggest", "--sample", "1000"]);
    assert!(said.starts_with("2 records\n"), "{said}{complaint}");

    let groups = producer
        .client()
        .fetch_group_list(None, LIMIT)
        .expect("the brokers answer");
    assert!(
        groups.groups().iter().all(|known| known.name() != group),
        "somebody joined the group"
    );
    std::fs::remove_file(&file).expect("it was written above");
}

#[test]
fn a_process_that_leaves_the_group_hands_over_what_it_has_not_done() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    let setup = stage.outputs("structured");
    let mut stays = Worker::start(&setup).ready();
    stage.under_load(&setup, || {
        let mut leaves = Worker::start(&setup).ready();
        until(LIMIT, "both processes route events", || {
            stays.assert_runs();
            leaves.assert_runs();
            [&stays, &leaves]
                .iter()
                .all(|worker| !routed(worker).is_empty())
                .then_some(())
        });
        leaves.stop();
        until_emitted(&setup, 3_000, &mut stays);
    });
    stage.drain(&setup, &mut stays);
    stays.stop();
    assert_eq!(
        stage.check(&setup, Format::Structured).repetitions,
        0,
        "a revoke commits first"
    );
}

#[test]
fn partitions_that_are_added_lose_nothing_where_the_start_is_the_end() {
    add_partitions("at_least_once");
}

#[test]
fn partitions_that_are_added_lose_nothing_exactly_once_where_the_start_is_the_end() {
    add_partitions("exactly_once");
}

/// Adds partitions to the source twice, and writes to them before the consumer knows of them.
fn add_partitions(guarantee: &'static str) {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage {
        brokers,
        source: Source::create(brokers, &unique("events"), 2),
    };
    let refresh = |milliseconds: &str| {
        vec![(
            "topic.metadata.refresh.interval.ms",
            milliseconds.to_owned(),
        )]
    };
    let setup = Setup {
        guarantee,
        start: "latest",
        consumer_properties: refresh("2000"),
        ..stage.outputs("structured")
    };
    let mut worker = Worker::start(&setup).ready();
    stage.source.produce(1_000);
    stage.source.grow(brokers, 4);
    stage.source.produce(2_000);
    until(LIMIT, "the worker has the new partitions", || {
        worker.assert_runs();
        (worker.partitions() == 4).then_some(())
    });
    stage.source.produce(1_000);
    stage.drain(&setup, &mut worker);
    worker.stop();

    // One that asks for the topic's partitions every hour learns of more at its restart.
    let setup = Setup {
        consumer_properties: refresh("3600000"),
        ..setup
    };
    let mut worker = Worker::start(&setup).ready();
    until(LIMIT, "the worker has the partitions", || {
        (worker.partitions() == 4).then_some(())
    });
    stage.source.grow(brokers, 6);
    stage.source.produce(2_000);
    worker.assert_runs();
    worker.stop();
    stage.finish(&setup);
    assert_eq!(
        stage.check(&setup, Format::Structured).repetitions,
        0,
        "nothing failed"
    );
}

#[test]
fn a_new_group_at_the_end_reads_no_history() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    for guarantee in ["at_least_once", "exactly_once"] {
        let mut stage = Stage::new(brokers);
        let setup = Setup {
            guarantee,
            start: "latest",
            ..stage.outputs("structured")
        };
        stage.source.produce(2_000);
        let mut workers = [(); 3].map(|()| Worker::start(&setup));
        let has_partitions = |workers: &mut [Worker]| {
            workers.iter_mut().for_each(Worker::assert_runs);
            let partitions: Vec<u64> = workers.iter().map(Worker::partitions).collect();
            (partitions.iter().sum::<u64>() == 6
                && !partitions.contains(&0)
                && committed(&setup) == stage.source.len())
            .then_some(())
        };
        until(
            LIMIT,
            "all have partitions, and the starts are committed",
            || has_partitions(&mut workers),
        );
        let n_routed = |workers: &[Worker]| {
            workers
                .iter()
                .flat_map(|worker| worker.metric("groupcast_verdicts_total").into_values())
                .sum::<u64>()
        };
        assert_eq!(n_routed(&workers), 0, "{guarantee}: history was read");

        let [leaves, stays, stays_too] = workers;
        leaves.stop();
        let mut workers = [Worker::start(&setup), stays, stays_too];
        until(LIMIT, "all have partitions again", || {
            has_partitions(&mut workers)
        });
        stage.source.produce(600);
        stage.drain(&setup, &mut workers[0]);
        assert_eq!(n_routed(&workers), 600, "{guarantee}");
        workers.into_iter().for_each(Worker::stop);
    }
}

#[test]
fn killed_again_and_again_under_load_it_loses_nothing() {
    let Some((report, n_kills)) = kill_again_and_again("at_least_once") else {
        return;
    };
    println!(
        "at least once: {n_kills} kills, {} of {} events repeated",
        report.repetitions,
        report.n_events()
    );
    assert!(report.repetitions > 0, "no kill fell into an epoch");
    // An epoch may go over its bound by one batch of as many records.
    assert!(
        report.repetitions <= n_kills * 2 * (500 + 500),
        "{} repetitions",
        report.repetitions
    );
}

#[test]
fn killed_again_and_again_exactly_once_repeats_nothing() {
    let Some((report, n_kills)) = kill_again_and_again("exactly_once") else {
        return;
    };
    println!(
        "exactly once: {n_kills} kills, {} of {} events repeated",
        report.repetitions,
        report.n_events()
    );
    assert_eq!(
        report.repetitions, 0,
        "a reader of committed records sees each once"
    );
}

/// Kills the program with SIGKILL under load, and returns what the checker says afterwards, and the number of kills.
fn kill_again_and_again(guarantee: &'static str) -> Option<(Report, u64)> {
    let brokers = kafka::brokers()?;
    let n_kills = number("GROUPCAST_KILLS", 10);
    let mut stage = Stage::new(brokers);
    let setup = Setup {
        workers: 2,
        epoch_records: 500,
        session_timeout_ms: 2_000,
        guarantee,
        ..stage.outputs("structured")
    };
    stage.under_load(&setup, || {
        for kill in 0..n_kills {
            let mut worker = Worker::start(&setup);
            // Another number each time, so that it falls on any moment of an epoch.
            until_emitted(&setup, 1 + kill * 7_919 % 4_000, &mut worker);
            worker.kill();
        }
    });
    stage.finish(&setup);
    let report = stage.check(&setup, Format::Structured);
    Some((report, n_kills))
}

#[test]
fn a_process_that_was_frozen_past_its_session_loses_nothing() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    let setup = Setup {
        session_timeout_ms: 2_000,
        ..stage.outputs("structured")
    };
    let mut first = Worker::start(&setup).ready();
    stage.under_load(&setup, || {
        until_emitted(&setup, 3_000, &mut first);
        first.signal("STOP");
        let mut second = Worker::start(&setup);
        until(LIMIT, "the second process has all partitions", || {
            second.assert_runs();
            (second.partitions() == 6).then_some(())
        });
        until_emitted(&setup, 3_000, &mut second);
        first.signal("CONT");
        until(LIMIT, "the first process has partitions again", || {
            first.assert_runs();
            (1..6).contains(&first.partitions()).then_some(())
        });
        until_emitted(&setup, 3_000, &mut first);
        second.stop();
    });
    stage.drain(&setup, &mut first);
    first.stop();
    let report = stage.check(&setup, Format::Structured);
    println!(
        "{} of {} events repeated",
        report.repetitions,
        report.n_events()
    );
}

/// A revoke meets a held epoch, whose partitions are paused; they must be read again when they come back.
#[test]
fn a_process_that_dies_while_a_topic_refuses_keeps_nobody_from_reading() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    let setup = Setup {
        session_timeout_ms: 2_000,
        ..stage.outputs("structured")
    };
    let mut stays = Worker::start(&setup).ready();
    let dies = Worker::start(&setup).ready();
    until(LIMIT, "both have partitions", || {
        (stays.partitions() == 3 && dies.partitions() == 3).then_some(())
    });
    let webhook = format!("{}.webhook", setup.prefix);
    let mut requests = Requests::to(brokers);
    // Those that run go by the limit that they were told at their start.
    requests.set_topic(&webhook, "max.message.bytes", "500");
    stage.source.produce(1_000);
    for worker in [&stays, &dies] {
        let refused = || {
            worker
                .metric("groupcast_topic_refused")
                .values()
                .any(|refused| *refused == 1)
                .then_some(())
        };
        until(LIMIT, "the topic refuses records", refused);
    }
    dies.kill();
    until(LIMIT, "one has all partitions", || {
        (stays.partitions() == 6).then_some(())
    });
    requests.set_topic(
        &webhook,
        "max.message.bytes",
        &MAX_WEBHOOK_BYTES.to_string(),
    );
    stage.source.produce(1_000);
    stage.drain(&setup, &mut stays);
    stays.stop();
    stage.check(&setup, Format::Structured);
}

/// Dead letters go to the partition of their source, among as many as the topic has when it is back.
#[test]
fn a_topic_that_vanishes_turns_readiness_until_it_is_back() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    let setup = Setup {
        guarantee: "exactly_once",
        ..stage.outputs("structured")
    };
    stage.source.produce(300);
    let mut worker = Worker::start(&setup).ready();
    stage.drain(&setup, &mut worker);
    let dead = format!("{}.dead", setup.prefix);
    let until_readiness = |worker: &Worker, status: u16, named: &str| {
        until(LIMIT, &format!("readiness answers {status}"), || {
            let (code, body) = worker.get("/readyz")?;
            (code == status && body.contains(named)).then_some(())
        });
    };
    let deleted = Some(("dead", stage.source.ends()));
    topics::delete(brokers, &[&dead]);
    until_readiness(&worker, 503, &format!("does not exist: {dead}"));
    let (_, page) = worker.get("/metrics").expect("the worker listens");
    assert!(
        page.lines()
            .any(|line| line == "groupcast_topic_problems 1"),
        "{page}"
    );
    stage.source.produce(1_000);
    until_readiness(&worker, 503, &format!("topic {dead} refuses records"));
    topics::create(brokers, 4, &dead, &[]);
    stage.drain(&setup, &mut worker);
    until_readiness(&worker, 200, "ok");
    worker.stop();
    let run = Run {
        excuses: Excuses {
            deleted,
            ..Excuses::default()
        },
        ..stage.run(&setup, Format::Structured)
    };
    let report = run.check().unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(report.repetitions, 0, "what was aborted is not read");
}

/// What `kafka-consumer-groups.sh` says, a partition's end less the group's offset, in steady state, while a topic refuses,
/// after rebalances and after a stop; but for transaction marks at the end, which nobody reads.
#[test]
fn lag_is_what_kafka_says_and_gone_with_the_partition() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    let setup = stage.outputs("structured");
    stage.source.produce(600);
    let mut first = Worker::start(&setup).ready();
    stage.drain(&setup, &mut first);
    until_lag_agrees(&setup, &[&first]);

    let second = Worker::start(&setup).ready();
    until(LIMIT, "both have partitions", || {
        (first.partitions() == 3 && second.partitions() == 3).then_some(())
    });
    until_lag_agrees(&setup, &[&first, &second]);
    let webhook = format!("{}.webhook", setup.prefix);
    let mut requests = Requests::to(brokers);
    requests.set_topic(&webhook, "max.message.bytes", "500");
    stage.source.produce(1_000);
    let behind = until_lag_agrees(&setup, &[&first, &second]);
    assert_eq!(behind, 1_000, "nothing is committed while a topic refuses");
    requests.set_topic(
        &webhook,
        "max.message.bytes",
        &MAX_WEBHOOK_BYTES.to_string(),
    );
    stage.drain(&setup, &mut first);
    assert_eq!(until_lag_agrees(&setup, &[&first, &second]), 0);

    second.stop();
    until(LIMIT, "one has all partitions", || {
        (first.partitions() == 6).then_some(())
    });
    until_lag_agrees(&setup, &[&first]);
    let producer = stage.source.begin(brokers);
    stage.source.abort(brokers, &producer);
    until(
        Duration::from_secs(10),
        "what was aborted is no lag",
        || {
            (kafka_lag(&setup).values().sum::<u64>() > 0
                && lag(&first).values().all(|lag| *lag == 0))
            .then_some(())
        },
    );
    first.stop();
    let again = Worker::start(&setup).ready();
    until(
        Duration::from_secs(10),
        "nor is it after a restart, when no record was read",
        || {
            let lag = lag(&again);
            (lag.len() == 6 && lag.values().all(|lag| *lag == 0)).then_some(())
        },
    );
    again.stop();
}

/// Waits until the workers together say what Kafka says, each partition once; returns the sum. Two scrapes may pass.
fn until_lag_agrees(setup: &Setup, workers: &[&Worker]) -> u64 {
    let (mut said, mut known) = (Vec::new(), BTreeMap::new());
    let agreed = support::try_until(Duration::from_secs(30), || {
        known = kafka_lag(setup);
        said = workers.iter().flat_map(|worker| lag(worker)).collect();
        said.sort_unstable();
        (said == known.clone().into_iter().collect::<Vec<_>>()).then_some(())
    });
    assert!(
        agreed.is_some(),
        "Kafka says {known:?}, the workers {said:?}"
    );
    known.values().sum()
}

fn lag(worker: &Worker) -> BTreeMap<i32, u64> {
    let partition = |labels: String| {
        labels
            .split_once("partition=\"")?
            .1
            .strip_suffix('"')?
            .parse()
            .ok()
    };
    let series = worker.metric("groupcast_consumer_lag_records").into_iter();
    series
        .map(|(labels, lag)| (partition(labels).expect("the label is a number"), lag))
        .collect()
}

fn kafka_lag(setup: &Setup) -> BTreeMap<i32, u64> {
    let committed = topics::committed(&setup.brokers, &setup.group, &setup.source);
    let ends = Ends::of_logs(&setup.brokers, std::slice::from_ref(&setup.source));
    let ends = until(LIMIT, "the brokers tell the ends", || ends.now());
    let behind = |(&(_, partition), end): (&(usize, i32), &i64)| {
        let lag = end - committed.get(&partition).copied().unwrap_or(0).max(0);
        (
            partition,
            u64::try_from(lag).expect("no offset is beyond the end"),
        )
    };
    ends.iter().map(behind).collect()
}

/// The harder case: an idle worker, which has nothing to commit.
#[test]
fn a_frozen_broker_turns_readiness_within_thirty_seconds_and_back() {
    let Some(kafka) = kafka::own() else { return };
    let mut stage = Stage::new(&kafka.brokers);
    let setup = stage.outputs("structured");
    stage.source.produce(300);
    let mut worker = Worker::start(&setup).ready();
    stage.drain(&setup, &mut worker);
    assert_eq!(worker.get("/startupz").map(|(code, _)| code), Some(200));
    let readiness =
        |worker: &Worker, code| worker.get("/readyz").filter(|(found, _)| *found == code);
    let ready = |worker: &Worker| {
        let page = worker.get("/metrics").expect("the worker listens").1;
        page.lines()
            .find_map(|line| line.strip_prefix("groupcast_ready ").map(str::to_owned))
    };

    kafka.freeze();
    let began = Instant::now();
    let (_, said) = until(Duration::from_secs(30), "readiness turns", || {
        readiness(&worker, 503)
    });
    println!(
        "not ready after {:.1} s: {said}",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(ready(&worker).as_deref(), Some("0"), "{said}");
    assert_eq!(
        worker.get("/startupz").map(|(code, _)| code),
        Some(200),
        "a start happens once"
    );
    kafka.thaw();
    let began = Instant::now();
    let is_back =
        support::try_until(Duration::from_secs(120), || readiness(&worker, 200)).is_some();
    assert!(is_back, "not ready again: {:?}", worker.get("/readyz"));
    println!("ready again after {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(ready(&worker).as_deref(), Some("1"));
    stage.source.produce(300);
    stage.drain(&setup, &mut worker);
    worker.stop();
    stage.check(&setup, Format::Structured);
}

/// A secret is replaced while nobody can say whether it is good.
#[test]
fn new_credentials_are_taken_once_a_frozen_broker_is_back() {
    let Some(kafka) = kafka::own() else { return };
    let mut stage = Stage::new(&kafka.brokers);
    let file = env::temp_dir().join(unique("secret"));
    std::fs::write(&file, "the first").expect("the folder is there");
    // The broker wants no password; that it changes is all there is to see.
    let properties = vec![("sasl.password", format!("{{ file: {} }}", file.display()))];
    let setup = Setup {
        properties,
        ..stage.outputs("structured")
    };
    stage.source.produce(300);
    let mut worker = Worker::start(&setup).ready();
    stage.drain(&setup, &mut worker);

    kafka.freeze();
    std::fs::write(&file, "the second").expect("it was written before");
    until(LIMIT, "readiness says that they are not used", || {
        let (code, body) = worker.get("/readyz")?;
        (code == 503 && body.contains("new credentials cannot be used yet")).then_some(())
    });
    kafka.thaw();
    until(LIMIT, "the worker has started over", || {
        worker.assert_runs();
        let (_, page) = worker.get("/metrics")?;
        page.lines()
            .any(|line| line == "groupcast_process_started_over_total 1")
            .then_some(())
    });
    let mut worker = worker.ready();
    stage.source.produce(300);
    stage.drain(&setup, &mut worker);
    worker.stop();
    stage.check(&setup, Format::Structured);
    std::fs::remove_file(&file).expect("it was written above");
}

#[test]
fn every_format_carries_the_same_bodies() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    stage.source.produce(3_000);
    let setups = ["structured", "binary", "body"].map(|format| stage.outputs(format));
    let mut workers: Vec<Worker> = setups.iter().map(Worker::start).collect();
    for (setup, worker) in setups.iter().zip(&mut workers) {
        stage.drain(setup, worker);
    }
    workers.into_iter().for_each(Worker::stop);

    let [structured, binary, body] = &setups;
    assert_eq!(
        stage.check(structured, Format::Structured),
        stage.check(binary, Format::Binary)
    );
    for destination in DESTINATIONS {
        let bare = bodies(brokers, &format!("{}.{destination}", body.prefix), None);
        let wrapped = bodies(
            brokers,
            &format!("{}.{destination}", structured.prefix),
            Some(Format::Structured),
        );
        assert!(
            !bare.is_empty() && bare == wrapped,
            "{destination}: a bare body is the envelope's data, in the same order"
        );
    }
    let dead = |setup: &Setup| {
        let mut bodies: Vec<Vec<u8>> = bodies(brokers, &format!("{}.dead", setup.prefix), None)
            .into_values()
            .flatten()
            .collect();
        bodies.sort_unstable();
        bodies
    };
    assert!(
        dead(body) == dead(structured),
        "dead letters have one format"
    );
}

#[test]
fn the_checker_sees_a_repetition_a_change_and_a_loss() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    let setup = stage.outputs("structured");
    stage.source.produce(300);
    stage.finish(&setup);
    assert_eq!(stage.check(&setup, Format::Structured).repetitions, 0);

    let topic = format!("{}.webhook", setup.prefix);
    let (key, value) = topics::any_record(brokers, &topic);
    topics::write(brokers, &topic, &key, &value);
    assert_eq!(stage.check(&setup, Format::Structured).repetitions, 1);

    topics::write(brokers, &topic, b"another group", &value);
    let faults = stage
        .run(&setup, Format::Structured)
        .check()
        .expect_err("a key is wrong");
    assert!(
        faults.starts_with("1 faults") && faults.contains("key is"),
        "{faults}"
    );

    topics::truncate(brokers, &format!("{}.dead", setup.prefix), 0);
    let faults = stage
        .run(&setup, Format::Structured)
        .check()
        .expect_err("dead letters are gone");
    assert!(faults.contains("due DeadLettered"), "{faults}");

    stage.source.produce(1);
    let faults = stage
        .run(&setup, Format::Structured)
        .check()
        .expect_err("one event is not routed");
    assert!(faults.contains("is committed"), "{faults}");
}

#[test]
fn the_watch_sees_an_offset_that_is_ahead_and_an_event_in_part() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let mut stage = Stage::new(brokers);
    let setup = stage.outputs("structured");
    stage.source.produce(300);
    stage.finish(&setup);
    let faults = |setup: &Setup, stage: Stage<'_>| {
        let source = Mutex::new(stage.source);
        let mut watch = Watch::new(
            brokers,
            &source,
            (&setup.group, &setup.prefix, None),
            true,
            || false,
        );
        watch.look().expect("it looks until it has seen");
        let faults = watch.faults().to_vec();
        drop(watch);
        (
            faults,
            Stage {
                brokers,
                source: source.into_inner().expect("nobody panics with it"),
            },
        )
    };
    let (seen, mut stage) = faults(&setup, stage);
    assert_eq!(seen, [""; 0], "nothing is wrong");

    stage.source.produce(100);
    let end = stage.source.events[0].len();
    topics::commit(
        brokers,
        &setup.group,
        &stage.source.topic,
        0,
        i64::try_from(end).expect("tests are small"),
    );
    let (seen, stage) = faults(&setup, stage);
    assert!(
        seen.len() == 1 && seen[0].contains(&format!("{end} is committed")),
        "{seen:?}"
    );

    // Whatever the webhook gets HubSpot gets, too.
    let (key, value) = topics::any_record(brokers, &format!("{}.webhook", setup.prefix));
    let torn = stage.outputs("structured");
    topics::write(brokers, &format!("{}.webhook", torn.prefix), &key, &value);
    let (seen, _) = faults(&torn, stage);
    assert!(
        seen.len() == 1 && seen[0].contains("is seen in part"),
        "{seen:?}"
    );
}

#[test]
fn missing_topics_are_named_with_the_commands_that_create_them() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let stage = Stage::new(brokers);
    let mut setup = stage.outputs("structured");
    setup.prefix = unique("nowhere");
    let mut worker = Worker::start(&setup);
    assert_eq!(worker.end(LIMIT).code(), Some(1), "{}", worker.log());
    for topic in DESTINATIONS.into_iter().chain(["dead"]) {
        let command = format!("--create --topic {}.{topic} --partitions 6", setup.prefix);
        assert!(
            worker.log().contains(&command),
            "{command} is not in:\n{}",
            worker.log()
        );
    }
}

#[test]
fn a_wrong_address_is_named_in_bounded_time() {
    // Nobody listens there, and no Kafka is needed to see it.
    let brokers = format!("127.0.0.1:{}", kafka::free_port());
    let mut worker = Worker::start(&Setup::new(&brokers, "events", "events", "structured"));
    assert_eq!(
        worker.end(Duration::from_secs(60)).code(),
        Some(1),
        "{}",
        worker.log()
    );
    assert!(
        worker.log().contains(&brokers),
        "{brokers} is not in:\n{}",
        worker.log()
    );
}

/// A source topic of six partitions, and the outputs that are made of it.
struct Stage<'a> {
    brokers: &'a str,
    source: Source,
}

impl<'a> Stage<'a> {
    fn new(brokers: &'a str) -> Stage<'a> {
        Stage {
            brokers,
            source: Source::create(brokers, &unique("events"), 6),
        }
    }

    /// Creates output topics of four partitions, and returns how to write to them.
    fn outputs(&self, format: &'static str) -> Setup {
        let setup = Setup::new(self.brokers, &self.source.topic, &unique(format), format);
        let limit = MAX_WEBHOOK_BYTES.to_string();
        for name in DESTINATIONS.into_iter().chain(["dead"]) {
            let settings = [("max.message.bytes", &*limit)];
            let topic = format!("{}.{name}", setup.prefix);
            topics::create(
                self.brokers,
                4,
                &topic,
                if name == "webhook" { &settings } else { &[] },
            );
        }
        setup
    }

    /// Waits until the group has committed the whole source.
    fn drain(&self, setup: &Setup, worker: &mut Worker) {
        until(LIMIT, "the group has committed all of the source", || {
            worker.assert_runs();
            (committed(setup) == self.source.len()).then_some(())
        });
    }

    /// Has a last worker do what is left.
    fn finish(&self, setup: &Setup) {
        let mut worker = Worker::start(setup).ready();
        self.drain(setup, &mut worker);
        worker.stop();
    }

    /// Runs `action` while events come in, some thousands ahead of what is committed.
    fn under_load(&mut self, setup: &Setup, action: impl FnOnce()) {
        let source = &mut self.source;
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let _over = SetOnDrop(&is_over);
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    if source.len() < committed(setup) + 5_000 {
                        source.produce(1_000);
                    }
                }
            });
            action();
        });
    }

    fn run<'r>(&'r self, setup: &'r Setup, format: Format) -> Run<'r> {
        Run {
            brokers: self.brokers,
            source: &self.source,
            prefix: &setup.prefix,
            group: &setup.group,
            format,
            excuses: Excuses::default(),
        }
    }

    /// Has the checker judge everything, once no transaction of a killed process is open any more: until the broker aborts
    /// it at its timeout, readers of committed records do not see what came after it.
    fn check(&self, setup: &Setup, format: Format) -> Report {
        let (committed, logs) = (
            Ends::committed(self.brokers, &outputs(setup)),
            Ends::of_logs(self.brokers, &outputs(setup)),
        );
        until(LIMIT, "no transaction is open", || {
            (committed.sum() == logs.sum()).then_some(())
        });
        self.run(setup, format)
            .check()
            .unwrap_or_else(|faults| panic!("{faults}"))
    }
}

/// Ends the load also where the test panics, which then would wait for it for ever.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn outputs(setup: &Setup) -> Vec<String> {
    DESTINATIONS
        .iter()
        .chain(&["dead"])
        .map(|name| format!("{}.{name}", setup.prefix))
        .collect()
}

fn committed(setup: &Setup) -> u64 {
    let committed: i64 = topics::committed(&setup.brokers, &setup.group, &setup.source)
        .values()
        .sum();
    u64::try_from(committed).expect("offsets are not negative")
}

/// Waits until so many more records than now have left.
fn until_emitted(setup: &Setup, n_records: u64, worker: &mut Worker) {
    let ends = Ends::of_logs(&setup.brokers, &outputs(setup));
    let wanted = ends.sum() + n_records;
    until(
        LIMIT,
        &format!("{n_records} more records have left"),
        || {
            worker.assert_runs();
            (ends.sum() >= wanted).then_some(())
        },
    );
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}"))
    })
}

fn events_per_second(report: &Report, seconds: f64) -> f64 {
    f64::from(u32::try_from(report.n_events()).expect("tests are smaller")) / seconds
}

fn routed(worker: &Worker) -> BTreeMap<String, u64> {
    worker
        .metric("groupcast_verdicts_total")
        .into_iter()
        .filter(|(labels, _)| labels.contains("\"routed\""))
        .collect()
}
