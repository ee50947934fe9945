//! groupcast on a real Kafka beside what bounds it and what competes with it: `just bench-kafka`.
//!
//! One node of Kafka on a folder in memory, which takes 10 GiB at most with the default settings; a source and five
//! destinations of 6 partitions each. Round by round, in alternating order, each contestant reads the same events and writes
//! to topics of its own:
//!
//! - groupcast as shipped, default configuration, at least once and exactly once;
//! - the limit: records of the same number and sizes without parsing (`limit.rs` says how);
//! - Kafka Streams doing the same work (`benches/peers`), with both guarantees.
//!
//! What comes before `GROUPCAST_WARM_UP` committed events is not measured, nor is a run before the first round, which warms the
//! broker. First of all, bodies are compared as JSON.
//!
//! With `GROUPCAST_GROWTH=1` it measures instead how groupcast's cost grows, and how long a start takes (`growth.rs`, `start.rs`):
//! `just bench-growth`. With `GROUPCAST_FAR=1`, what distance to the brokers costs (`far.rs`): `just bench-far`.
//!
//! Settings by environment: `GROUPCAST_EVENTS` and `GROUPCAST_WARM_UP` (events of a round), `GROUPCAST_CLEAN` (clean rounds
//! wanted), `GROUPCAST_ROUNDS` (rounds at most; with growth, runs of a row), `GROUPCAST_CONTESTANTS` (a list of names),
//! `GROUPCAST_LATENCY` (seconds, 0 for none), `GROUPCAST_STARTS` (of each kind), `GROUPCAST_FOLDER` (for Kafka's data),
//! `GROUPCAST_TABLE` (the page to write the results to).

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "what takes minutes says how far it is, and then its results"
)]

mod agreement;
mod contestant;
#[path = "../../crates/core/benches/support/corpus.rs"]
mod corpus;
mod events;
mod far;
mod growth;
mod job;
mod latency;
mod limit;
mod meter;
mod page;
mod rate;
mod results;
mod stage;
mod start;
#[expect(dead_code, reason = "tests need more of it")]
#[path = "../../tests/support/mod.rs"]
mod support;

use std::env;
use std::str::FromStr;

use contestant::{CONTESTANTS, Contestant};
use job::BASE;
use latency::Latency;
use results::{Results, Round, n_clean};
use stage::Stage;

/// What the environment says.
struct Settings {
    contestants: Vec<&'static Contestant>,
    n_events: u64,
    n_warm_up: u64,
    n_clean: usize,
    n_rounds: usize,
    latency_seconds: u64,
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // The limit is a process of its own, so that its time and memory are.
        [_, limit::COMMAND, config] => limit::run(config),
        _ if is_wanted("GROUPCAST_GROWTH") => growth::measure(),
        _ if is_wanted("GROUPCAST_FAR") => far::measure(),
        _ => measure(&Settings::read()),
    }
}

fn measure(settings: &Settings) {
    let stage = Stage::start("")
        .and_then(Stage::with_peers)
        .unwrap_or_else(|reason| panic!("no Kafka to measure with: {reason}"));
    agreement::check(&stage, &settings.contestants);
    println!("all contestants' bodies are the same JSON, for every event of the corpus");
    let results = Results {
        job: events::job(),
        rounds: run_rounds(&stage, settings),
        latencies: take_latencies(&stage, settings),
    };
    println!("{results}");
    if let Ok(page) = env::var("GROUPCAST_TABLE") {
        page::write(&page, "bench-kafka", &results);
    }
}

/// Goes on until enough rounds are clean, or there were too many.
fn run_rounds(stage: &Stage, settings: &Settings) -> Vec<Round> {
    let source = stage.fill(settings.n_warm_up + settings.n_events, BASE);
    let counted = settings.n_warm_up..source.n_events;
    // The broker's code is compiled while it runs: the first to come would pay for all others.
    if let Some(first) = settings.contestants.first() {
        println!(
            "not counted: {}",
            rate::measure(stage, &source, first, counted.clone())
        );
    }
    let mut rounds: Vec<Round> = Vec::new();
    while rounds.len() < settings.n_rounds && n_clean(&rounds) < settings.n_clean {
        let mut order = settings.contestants.clone();
        if rounds.len() % 2 == 1 {
            order.reverse();
        }
        let rates = order
            .into_iter()
            .map(|contestant| rate::measure(stage, &source, contestant, counted.clone()));
        let told = rates
            .inspect(|rate| println!("round {}: {rate}", rounds.len() + 1))
            .collect();
        rounds.push(Round::new(told));
    }
    stage.remove(&source);
    rounds
}

fn take_latencies(stage: &Stage, settings: &Settings) -> Vec<(&'static str, Latency)> {
    let is_timed =
        |contestant: &&&Contestant| settings.latency_seconds > 0 && contestant.keeps_ids();
    let timed = settings.contestants.iter().filter(is_timed);
    let take = |contestant: &&'static Contestant| {
        let latency = latency::measure(stage, contestant, settings.latency_seconds);
        println!("{}: {latency}", contestant.name);
        (contestant.name, latency)
    };
    timed.map(take).collect()
}

impl Settings {
    fn read() -> Settings {
        let wanted = env::var("GROUPCAST_CONTESTANTS").ok();
        let wanted: Option<Vec<&str>> = wanted.as_ref().map(|names| names.split(',').collect());
        let is_wanted = |contestant: &&Contestant| {
            wanted
                .as_ref()
                .is_none_or(|names| names.contains(&contestant.name))
        };
        Settings {
            contestants: CONTESTANTS.iter().filter(is_wanted).collect(),
            n_events: number("GROUPCAST_EVENTS", 1_000_000),
            n_warm_up: number("GROUPCAST_WARM_UP", 500_000),
            n_clean: number("GROUPCAST_CLEAN", 3),
            n_rounds: number("GROUPCAST_ROUNDS", 8),
            latency_seconds: number("GROUPCAST_LATENCY", 20),
        }
    }
}

fn is_wanted(name: &str) -> bool {
    env::var(name).is_ok_and(|value| value == "1")
}

fn number<N: FromStr>(name: &str, default: N) -> N {
    let text = env::var(name).ok();
    text.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("not a number: {name}={text}"))
    })
}
