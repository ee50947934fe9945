//! Everything that operators are given, seen moving in a real run: every metric, every alert, every panel of the board.
//!
//! What docker-compose.yml starts is started by processes, Grafana apart: real Kafka, two of groupcast as the image configures
//! it, the sample events, Prometheus with our rules. Then what moves each figure is done to it, and at last Prometheus is asked
//! what it has seen. `cargo test` runs it in haste, with shorter waits in the rules; `GROUPCAST_BOARD=full` runs it with the waits
//! and thresholds as they are, in half an hour.
//!
//! A worker that makes no progress is had with `strace`, which holds its thread; without it that part is skipped, aloud.

#![expect(clippy::expect_used, reason = "a test may panic and tell")]
#![expect(clippy::print_stdout, reason = "what takes minutes says how far it is")]

mod hold;
mod lag;
mod panels;
mod picture;
mod prometheus;
mod samples;
mod stage;
mod textfile;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../../support/mod.rs"]
mod support;

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use groupcast::metrics::family::{self, Family, Kind, SECTIONS};
use hold::Hold;
use rdkafka::Offset;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use stage::{LIMIT, SOURCE, Stage, values_of};
use support::topics::{self, Ends};
use support::until;

/// Does not move by its nature, and is there.
const CONSTANT: [(Family, &str); 13] = [
    (family::AUDIT_REPEATED, "tests/system/audit.rs moves it"),
    (family::AUDIT_OUT_OF_ORDER, "tests/system/audit.rs moves it"),
    (family::AUDIT_DIFFERENT, "tests/system/audit.rs moves it"),
    (family::AUDIT_NOT_DUE, "tests/system/audit.rs moves it"),
    (family::AUDIT_NOT_JUDGED, "tests/system/audit.rs moves it"),
    (family::BLOCKED, "tests/batches.rs moves it"),
    (family::UNDECODABLE, "tests/batches.rs moves it"),
    (family::LOG_LINES_LOST, "tests/hostile.rs moves it"),
    (family::HEALTHY, "what is not healthy starts over at once"),
    (family::BUILD, "a program's version"),
    (family::MAX_FILES, "a limit of the process"),
    (family::IN_FLIGHT_LIMIT, "a limit as configured"),
    (family::QUEUE_LIMIT, "a limit as configured"),
];

const WEBHOOK: &str = "group-events.webhook";

#[test]
fn every_metric_alert_and_panel_moves() {
    let mut stage = match Stage::start() {
        Ok(stage) => stage,
        Err(reason) => return skip("every_metric_alert_and_panel_moves", &reason),
    };
    let began = Instant::now();
    calm(&stage);
    members_come_and_go(&mut stage);
    dead_letters(&stage);
    reloads(&stage);
    new_credentials(&stage);
    frozen(&stage);
    broker_restarts(&mut stage);
    topic_refuses(&stage);
    audits(&stage);
    throttled(&stage);
    gap(&mut stage);
    rewinds(&stage);
    all_is_well_again(&stage);
    let faults = [families(&stage), panels(&stage), alerts(&stage)].concat();
    picture::take(stage.prometheus.port, &stage.pace);
    stage.members.iter_mut().for_each(stage::Member::stop);
    println!("{:.0} s in all", began.elapsed().as_secs_f64());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Where nothing is wrong no alert fires.
fn calm(stage: &Stage) {
    stage.samples.send_good();
    stage.until_true(
        "sum(up{job=\"groupcast\"}) == 2 and sum(groupcast_ready) == 2",
        LIMIT,
    );
    stage.until_true("sum(rate(groupcast_records_consumed_total[1m])) > 0", LIMIT);
    stage.let_pass(6);
    assert!(
        stage.prometheus.firing().is_empty(),
        "{:?}",
        stage.prometheus.firing()
    );
}

/// Lag is what Kafka's own tool says. An open transaction keeps what follows it from being read, so that there is some.
fn members_come_and_go(stage: &mut Stage) {
    stage.samples.pause();
    stage.let_pass(1);
    stage.drain();
    assert_eq!(stage.lag_agrees("with nothing to do"), 0);
    let open = open_transaction(&stage.kafka.brokers);
    samples::send_now(&stage.kafka.brokers, SOURCE, &vec![event("g", "A"); 50]);
    stage.let_pass(2);
    assert_eq!(
        stage.lag_agrees("in steady state"),
        56,
        "a record in each of six partitions, and fifty"
    );

    stage.members[1].stop();
    stage.until_shared([6, 0]);
    stage.let_pass(1);
    stage.lag_agrees("after a stop");
    stage.fires("GroupcastDown", LIMIT);
    stage.members[1].start();
    stage.members[1].wait_until_ready();
    stage.until_shared([3, 3]);
    stage.let_pass(1);
    stage.lag_agrees("after a rebalance");
    let ends = Ends::of_logs(&stage.kafka.brokers, &[SOURCE.to_owned()]);
    let marked = ends.sum() + 6;
    open.abort_transaction(LIMIT).expect("it is open");
    // Kafka's tool counts the marks of the transaction's end as long as nothing behind them is read, and the coordinator answers
    // before they are written.
    until(LIMIT, "every partition has its mark", || {
        (ends.sum() == marked).then_some(())
    });
    samples::send_now(&stage.kafka.brokers, SOURCE, &vec![event("g", "A"); 6]);
    stage.drain();
    stage.lag_agrees("when all is done");
    stage.resolves("GroupcastDown", LIMIT);
}

fn dead_letters(stage: &Stage) {
    stage.samples.send_all();
    // What comes of it is larger than a topic takes.
    samples::send_now(
        &stage.kafka.brokers,
        SOURCE,
        &[event("g", &"x".repeat(1_048_400))],
    );
    stage.fires("GroupcastDeadLetters", LIMIT);
    stage.let_pass(4);
    stage.samples.send_good();
}

fn reloads(stage: &Stage) {
    let member = &stage.members[0];
    member.write_config(&member.config().replace("use: webhook", "use: webhok"));
    member.worker().signal("HUP");
    stage.fires("GroupcastConfigRefused", LIMIT);
    member.write_config(&member.config());
    member.worker().signal("HUP");
    stage.resolves("GroupcastConfigRefused", LIMIT);
}

fn new_credentials(stage: &Stage) {
    stage.members[1].write_token("another-token");
    stage.fires("GroupcastStartedOver", LIMIT);
    stage.members[1].wait_until_ready();
    stage.until_shared([3, 3]);
}

/// A stuck broker; and meanwhile a stuck worker, of the other process, which starts over and waits for the broker.
fn frozen(stage: &Stage) {
    let [held, member] = &stage.members;
    // Idle, it is in no client call that the watchdog knows by name.
    stage.samples.pause();
    stage.drain();
    let hold = Hold::of(held.worker().id(), "worker-0")
        .map_err(|reason| skip("a worker without progress", &reason))
        .ok();
    let held_at = Instant::now();
    stage.kafka.freeze();
    let began = Instant::now();
    until(Duration::from_secs(30), "readiness turns", || {
        member.status("/readyz").filter(|status| *status == 503)
    });
    println!("not ready after {:.1} s", began.elapsed().as_secs_f64());
    let instance = format!("127.0.0.1:{}", member.worker().port());
    let is_paged = || {
        stage
            .prometheus
            .firing()
            .contains(&("GroupcastNotReady".to_owned(), instance.clone()))
            .then_some(())
    };
    until(
        Duration::from_secs(120).saturating_sub(began.elapsed()),
        "the alert fires within two minutes",
        is_paged,
    );
    println!(
        "GroupcastNotReady fires {:.1} s after the broker froze",
        began.elapsed().as_secs_f64()
    );
    if let Some(hold) = hold {
        until(LIMIT, "the watchdog sees that it is silent", || {
            held.worker().log().contains("starts over").then_some(())
        });
        println!(
            "starts over {:.1} s after it was held",
            held_at.elapsed().as_secs_f64()
        );
        // A thread that is traced does not end before its tracer lets it go.
        drop(hold);
        let waits = || {
            held.worker()
                .get("/readyz")
                .filter(|(status, body)| *status == 503 && body.contains("no broker answers"))
        };
        until(LIMIT, "it has started over, and waits for a broker", waits);
    }
    // Requests run out of time a minute after they were made, unless configured otherwise.
    stage.until_true("sum(groupcast_broker_request_timeouts_total) > 0", LIMIT);
    stage.kafka.thaw();
    let thawed = Instant::now();
    stage
        .members
        .iter()
        .for_each(stage::Member::wait_until_ready);
    println!("ready again after {:.1} s", thawed.elapsed().as_secs_f64());
    stage.resolves("GroupcastNotReady", LIMIT);
    println!(
        "GroupcastNotReady resolves {:.1} s after the broker went on",
        thawed.elapsed().as_secs_f64()
    );
}

fn broker_restarts(stage: &mut Stage) {
    stage.kafka.restart(Duration::from_secs(3));
    stage.until_true("min(groupcast_broker_up) == 1", LIMIT);
    stage.until_shared([3, 3]);
}

/// A topic that is deleted: records wait, offsets wait, the gauges and four alerts say so, until it is there again.
fn topic_refuses(stage: &Stage) {
    stage.samples.send_good();
    stage.delete(WEBHOOK);
    for alert in [
        "GroupcastTopicRefused",
        "GroupcastTopicProblems",
        "GroupcastNotReady",
    ] {
        stage.fires(alert, LIMIT);
    }
    stage.fires(
        "GroupcastBehind",
        if stage.pace.is_full {
            Duration::from_secs(900)
        } else {
            LIMIT
        },
    );
    stage.samples.pause();
    stage.let_pass(1);
    assert!(
        stage.lag_agrees("while a topic refuses") > 0,
        "the samples have gone on"
    );
    stage.samples.send_good();
    stage.create(WEBHOOK);
    for alert in [
        "GroupcastTopicRefused",
        "GroupcastTopicProblems",
        "GroupcastNotReady",
        "GroupcastBehind",
    ] {
        stage.resolves(alert, LIMIT);
    }
}

/// The topic that was deleted has lost what it held; since then nothing was lost.
fn audits(stage: &Stage) {
    assert_eq!(
        stage.audit("beginning"),
        Some(1),
        "records went with a topic"
    );
    stage.fires("GroupcastAuditMissing", LIMIT);
    let since = jiff::Timestamp::now().to_string();
    stage.samples.send_good();
    stage.let_pass(4);
    assert_eq!(stage.audit(&since), Some(0));
    stage.resolves("GroupcastAuditMissing", LIMIT);
}

fn throttled(stage: &Stage) {
    stage
        .requests()
        .limit_production("ANONYMOUS", Some(10_000.0));
    samples::send_now(
        &stage.kafka.brokers,
        SOURCE,
        &vec![event("g", &"x".repeat(2_000)); 20],
    );
    stage.until_true("max(groupcast_broker_throttle_seconds) > 0", LIMIT);
    stage.requests().limit_production("ANONYMOUS", None);
    stage.until_true("max(groupcast_broker_throttle_seconds) == 0", LIMIT);
}

/// Both start again, exactly once from now on; what they would have read is gone from one partition.
fn gap(stage: &mut Stage) {
    stage.samples.pause();
    stage.let_pass(1);
    stage.drain();
    stage.members.iter_mut().for_each(stage::Member::stop);
    samples::send_now(&stage.kafka.brokers, SOURCE, &vec![event("g", "A"); 20]);
    for partition in 0..samples::N_PARTITIONS {
        topics::truncate_to(&stage.kafka.brokers, SOURCE, partition, Offset::End);
    }
    for member in &mut stage.members {
        member.set("GROUPCAST__SOURCE__ON_GAP", "continue");
        member.set("GROUPCAST__DELIVERY__GUARANTEE", "exactly_once");
        member.start();
    }
    stage
        .members
        .iter()
        .for_each(stage::Member::wait_until_ready);
    stage.until_shared([3, 3]);
    stage.fires("GroupcastRecordsLostToRetention", LIMIT);
    stage.drain();
    assert_eq!(
        stage.lag_agrees("behind a gap"),
        0,
        "what is gone is not waited for"
    );
    stage.samples.send_good();
}

/// Exactly once, an epoch with a refused record is undone: on each of the two, each time that the topic takes less than before.
fn rewinds(stage: &Stage) {
    for _ in 0..if stage.pace.is_full { 4 } else { 1 } {
        let before = format!("sum(groupcast_rewinds_total) > {}", n_rewinds(stage) + 1.0);
        stage
            .requests()
            .set_topic(WEBHOOK, "max.message.bytes", "100");
        stage.until_true(&before, LIMIT);
        stage.let_pass(2);
        stage
            .requests()
            .set_topic(WEBHOOK, "max.message.bytes", "1048588");
        stage.until_true(
            "max(groupcast_topic_refused) == 0 and min(groupcast_ready) == 1",
            LIMIT,
        );
    }
    stage.fires("GroupcastRewinding", LIMIT);
    let n_skipped = stage
        .prometheus
        .ask("sum(groupcast_gap_offsets_skipped_total)");
    assert_eq!(
        n_skipped[0].values[0].1, 20.0,
        "each offset that was gone is counted once, rewinds or not"
    );
}

fn n_rewinds(stage: &Stage) -> f64 {
    let [ref sum] = stage.prometheus.ask("sum(groupcast_rewinds_total)")[..] else {
        panic!("a sum is one series")
    };
    sum.values[0].1
}

fn all_is_well_again(stage: &Stage) {
    let limit = if stage.pace.is_full {
        Duration::from_secs(600)
    } else {
        LIMIT
    };
    let firing = || stage.prometheus.firing();
    let is_over = support::try_until(limit, || {
        thread::sleep(Duration::from_millis(200));
        firing().is_empty().then_some(())
    });
    assert!(
        is_over.is_some(),
        "still firing when all is well: {:?}",
        firing()
    );
}

/// Returns what is wrong with the families: each has a series of two values at least.
fn families(stage: &Stage) -> Vec<String> {
    let mut faults = Vec::new();
    for family in SECTIONS.iter().flat_map(|(_, families)| *families) {
        let name = if family.kind == Kind::Histogram {
            format!("{}_count", family.name)
        } else {
            family.name.to_owned()
        };
        let series = values_of(&stage.prometheus, &name);
        let most = series.values().map(Vec::len).max().unwrap_or(0);
        let range = |values: &Vec<f64>| {
            let (least, most) = values
                .iter()
                .fold((f64::MAX, f64::MIN), |(least, most), value| {
                    (least.min(*value), most.max(*value))
                });
            format!("{least} to {most}")
        };
        let widest = series
            .values()
            .max_by_key(|values| values.len())
            .map(range)
            .unwrap_or_default();
        println!(
            "{:<45} {:>3} series, at most {most:>3} values, {widest}",
            family.name,
            series.len()
        );
        let constant = CONSTANT.iter().find(|(constant, _)| constant == family);
        match (constant, most) {
            (Some(_), 1..) | (None, 2..) => {}
            (_, _) => faults.push(format!("{} has not moved: {series:?}", family.name)),
        }
    }
    faults
}

/// Returns what is wrong with the panels: each query has had data, and not always the same.
fn panels(stage: &Stage) -> Vec<String> {
    let queries = panels::queries(stage.pace.scrape_seconds);
    assert!(queries.len() > 25, "the board has its panels");
    let mut faults = Vec::new();
    for panels::Query { panel, expression } in queries {
        let series = values_of(&stage.prometheus, &expression);
        let most = series.values().map(Vec::len).max().unwrap_or(0);
        println!(
            "{panel:<38} {:>3} series, at most {most:>3} values",
            series.len()
        );
        let is_constant = CONSTANT
            .iter()
            .any(|(family, _)| expression.contains(family.name));
        if most < if is_constant { 1 } else { 2 } {
            faults.push(format!("{panel} has not moved: {expression}: {series:?}"));
        }
    }
    faults
}

/// Returns the alerts that were not seen to fire; none fires now.
fn alerts(stage: &Stage) -> Vec<String> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus/alerts.yml");
    let rules = fs::read_to_string(rules).expect("the rules are there");
    let names: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(names.len() > 8, "{names:?}");
    let is_unseen = |name: &&&str| {
        let history = format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}");
        stage.prometheus.history(&history).is_empty()
    };
    names
        .iter()
        .filter(is_unseen)
        .map(|name| format!("{name} was not seen to fire"))
        .collect()
}

/// Returns a producer with a record in every partition of the source that is not committed.
fn open_transaction(brokers: &str) -> BaseProducer {
    let mut settings = topics::client(brokers);
    settings
        .set("transactional.id", support::unique("board"))
        .set("transaction.timeout.ms", "600000");
    let producer: BaseProducer = settings.create().expect("the settings are valid");
    producer
        .init_transactions(LIMIT)
        .expect("the coordinator answers");
    producer.begin_transaction().expect("none is open");
    for partition in 0..samples::N_PARTITIONS {
        let record = BaseRecord::<str, str>::to(SOURCE)
            .partition(partition)
            .payload("never committed");
        assert!(producer.send(record).is_ok(), "an empty queue has room");
    }
    producer.flush(LIMIT).expect("the brokers take the records");
    producer
}

fn event(group: &str, name: &str) -> String {
    format!(r#"{{"type":"group","groupId":"{group}","userId":"u","traits":{{"name":"{name}"}}}}"#)
}

/// Says that something is skipped, or fails where `GROUPCAST_REQUIRE_PROMETHEUS` is 1.
fn skip(what: &str, reason: &str) {
    assert!(
        env::var("GROUPCAST_REQUIRE_PROMETHEUS").as_deref() != Ok("1"),
        "{what}: {reason}"
    );
    writeln!(std::io::stderr(), "\nSKIPPED: {what}: {reason}")
        .expect("standard error can be written");
}
