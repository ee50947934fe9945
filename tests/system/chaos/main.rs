//! Faults: real workers under load on a cluster of three nodes, while something goes wrong; then the checker counts.
//!
//! `cargo test` runs the faults that matter most, once each. `just chaos` runs all of them several times and writes the
//! table of docs/guarantees.md. `GROUPCAST_FAULTS=broker-killed,output-recreated` runs only these, `GROUPCAST_RUNS` each so often, and
//! `GROUPCAST_KILLS` is how often workers are killed in one run.

#![expect(clippy::expect_used, reason = "a test may panic and tell")]
#![expect(clippy::print_stderr, reason = "what takes minutes says how far it is")]

mod faults;
mod fleet;
mod scene;
#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../../support/mod.rs"]
mod support;
mod table;

use std::env;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use faults::{FAULTS, Fault};
use support::cluster::Cluster;
use support::kafka;
use table::Table;

/// Assignors take turns.
const ASSIGNORS: [&str; 2] = ["range", "cooperative-sticky"];

#[test]
fn every_fault_is_survived() {
    let mut cluster = match Cluster::start() {
        Ok(cluster) => cluster,
        Err(reason) => return kafka::skip(&reason),
    };
    let wanted = wanted();
    let (runs, rounds) = (number("GROUPCAST_RUNS", 1), number("GROUPCAST_KILLS", 1));
    let (mut table, page) = (Table::default(), env::var("GROUPCAST_TABLE").ok());
    for run in 0..runs {
        for (index, fault) in wanted.iter().enumerate() {
            let seed = number("GROUPCAST_SEED", now());
            let assignor =
                ASSIGNORS[(usize::try_from(run).expect("runs are few") + index) % ASSIGNORS.len()];
            let began = Instant::now();
            let result = within_limit(fault.id, || {
                scene::run(&mut cluster, fault, assignor, rounds, seed)
            });
            eprintln!(
                "{} {} ({assignor}, seed {seed}): {:.1} s",
                fault.id,
                fault.name,
                began.elapsed().as_secs_f64()
            );
            table.add(fault, result);
            cluster.heal();
            // After every run, since a day of runs may end early.
            if let Some(page) = &page {
                table.write(page);
            }
        }
    }
    eprintln!("{table}");
    assert!(table.failures.is_empty(), "{}", table.failures.join("\n\n"));
}

/// Far more than any scene takes on a busy machine.
const SCENE_LIMIT: Duration = Duration::from_secs(900);

/// Plays a scene, and ends everything with a word where it does not end: the checker's readers have no watchdog, and librdkafka's threads can lock
/// each other out.
fn within_limit<T>(fault: &'static str, play: impl FnOnce() -> T) -> T {
    let (done, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        if end.recv_timeout(SCENE_LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!(
                "{fault} has not ended in {SCENE_LIMIT:?}: probably a reader of the test's that hangs; look with gdb next time"
            );
            std::process::abort();
        }
    });
    let result = play();
    drop(done);
    result
}

/// Returns the faults that the environment asks for.
fn wanted() -> Vec<&'static Fault> {
    let wanted = env::var("GROUPCAST_FAULTS").unwrap_or_else(|_| "short".to_owned());
    let is_wanted = |fault: &&Fault| match wanted.as_str() {
        "short" => fault.is_short(),
        "all" => true,
        ids => ids.split(',').any(|id| id == fault.id),
    };
    let faults: Vec<&Fault> = FAULTS.iter().filter(is_wanted).collect();
    assert!(
        !faults.is_empty(),
        "GROUPCAST_FAULTS names no fault: {wanted}"
    );
    faults
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number: {text}"))
    })
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("it is past 1970")
        .as_secs()
}
