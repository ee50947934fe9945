//! What distance to the brokers costs: groupcast alone, behind a proxy that holds everything back, with one and with five produce
//! requests under way to a broker, under both guarantees. `just bench-far`.
//!
//! All runs go through the proxy, also those that are not held back. A source of the comparison's job, so that one broker leads 30
//! output partitions. Runs with one and with five take turns, and stand beside each other in their table.

use std::env;
use std::fmt;
use std::time::Duration;

use crate::contestant::{CONTESTANTS, Contestant};
use crate::job::{BASE, Job};
use crate::meter::float;
use crate::rate::{self, Rate};
use crate::results::middle;
use crate::stage::Stage;
use crate::{events, number, page};

/// Each way, in milliseconds. The proxy's clock has steps of one, so that it may be one more.
const DELAYS: [u64; 3] = [0, 1, 3];

/// Produce requests under way to a broker (`max.in.flight`).
const IN_FLIGHT: [u8; 2] = [1, 5];

const OURS: [&Contestant; 2] = [&CONTESTANTS[1], &CONTESTANTS[3]];

/// Everything that was measured.
struct Far(Vec<Pair>);

/// All runs of one at one distance: with one request under way, and with five.
struct Pair {
    guarantee: String,
    delay: u64,
    rates: [Vec<Rate>; 2],
}

/// Measures it all, prints it, and writes it to the page that `GROUPCAST_TABLE` names.
pub(crate) fn measure() {
    let stage =
        Stage::start_far().unwrap_or_else(|reason| panic!("no Kafka to measure with: {reason}"));
    let n_warm_up: u64 = number("GROUPCAST_WARM_UP", 50_000);
    let counted = n_warm_up..n_warm_up + number::<u64>("GROUPCAST_EVENTS", 150_000);
    let source = stage.fill(counted.end, BASE);
    let run = |contestant: &'static Contestant, max_in_flight| {
        let source = source.with(Job {
            max_in_flight: Some(max_in_flight),
            ..BASE
        });
        let rate = rate::measure(&stage, &source, contestant, counted.clone());
        println!("{max_in_flight} under way: {rate}");
        rate
    };
    println!("not counted:");
    run(OURS[0], 1);
    let pair = |delay, contestant: &'static Contestant| {
        let guarantee = contestant.guarantee.replace('_', " ");
        println!("{guarantee}, {delay} ms each way");
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..number("GROUPCAST_ROUNDS", 3) {
            rates
                .iter_mut()
                .zip(IN_FLIGHT)
                .for_each(|(rates, max_in_flight)| rates.push(run(contestant, max_in_flight)));
        }
        Pair {
            guarantee,
            delay,
            rates,
        }
    };
    let at = |delay| {
        stage.hold_back(Duration::from_millis(delay));
        OURS.map(|contestant| pair(delay, contestant))
    };
    let far = Far(DELAYS.into_iter().flat_map(at).collect());
    println!("{far}");
    if let Ok(page) = env::var("GROUPCAST_TABLE") {
        page::write(&page, "bench-far", &far);
    }
}

impl fmt::Display for Far {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates = self.0.iter().flat_map(|pair| &pair.rates).flatten();
        let most = rates.map(|rate| rate.span.other_cores).fold(0.0, f64::max);
        writeln!(
            formatter,
            "{} Others used {most:.2} cores at most.\n",
            events::job()
        )?;
        writeln!(
            formatter,
            "| ms each way | guarantee | requests under way | events/s | client CPU-s/M events | broker CPU-s/M events | peak MiB |\n\
             |--:|---|--:|--:|--:|--:|--:|"
        )?;
        for (pair, (rates, max_in_flight)) in self
            .0
            .iter()
            .flat_map(|pair| pair.rates.iter().zip(IN_FLIGHT).map(move |row| (pair, row)))
        {
            let middle = |figure: fn(&Rate) -> f64, digits| {
                let [middle, least, greatest] =
                    middle(rates.iter().map(figure)).expect("there are runs");
                format!("{middle:.digits$} ({least:.digits$}, {greatest:.digits$})")
            };
            let cells = [
                middle(Rate::events_a_second, 0),
                middle(Rate::client_cost, 2),
                middle(Rate::broker_cost, 2),
                middle(|rate| float(rate.memory), 0),
            ];
            writeln!(
                formatter,
                "| {} | {} | {max_in_flight} | {} |",
                pair.delay,
                pair.guarantee,
                cells.join(" | ")
            )?;
        }
        writeln!(
            formatter,
            "\nEach is the middle of its runs, the least and the greatest beside it."
        )
    }
}
