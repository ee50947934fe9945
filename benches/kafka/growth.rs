//! How cost grows: groupcast alone, at the comparison's job with one thing changed at a time. `just bench-growth`.
//!
//! Each row is a run as in a round (`rate.rs`), whose records are read back and counted. Members come together: the node waits for
//! them as Kafka does by default, and a run counts from when each has partitions. Some events follow those that count, so that
//! as much is under way at the end of the measurement as at its beginning, however short it is.

use std::env;
use std::fmt;
use std::ops::Range;

use crate::contestant::CONTESTANTS;
use crate::job::{BASE, Job};
use crate::meter::float;
use crate::rate::{self, Rate};
use crate::results::CLEAN;
use crate::stage::{Source, Stage};
use crate::start::{self, Starts};
use crate::{events, number, page};

/// What grows.
struct Axis {
    name: &'static str,
    values: &'static [u16],
    set: fn(&mut Job, u16),
    get: fn(&Job) -> usize,
}

const AXES: [Axis; 5] = [
    Axis {
        name: "destinations",
        values: &[1, 5, 10, 20, 40],
        set: |job, value| job.n_destinations = value.into(),
        get: |job| job.n_destinations,
    },
    Axis {
        name: "bytes an event",
        values: &[1, 2, 4],
        set: |job, value| job.length = value.into(),
        get: |job| events::mean_length(*job),
    },
    Axis {
        name: "partitions",
        values: &[1, 6, 24, 96],
        set: |job, value| job.n_partitions = value.into(),
        get: |job| usize::try_from(job.n_partitions).expect("partitions are few"),
    },
    Axis {
        name: "workers of one process",
        values: &[1, 2],
        set: |job, value| job.n_workers = value.into(),
        get: |job| job.n_workers,
    },
    Axis {
        name: "processes of one group",
        values: &[1, 2],
        set: |job, value| job.n_processes = value.into(),
        get: |job| job.n_processes,
    },
];

/// Events after those that count: more than a worker has fetched ahead.
const N_LAST: u64 = 20_000;

/// Kafka's own default; the tests' is 0.
const DEFAULT_DELAY: &str = "group.initial.rebalance.delay.ms=3000\n";

/// Everything that was measured.
struct Growth {
    parts: Vec<Part>,
    starts: Vec<Starts>,
}

/// One axis, measured.
struct Part {
    axis: &'static Axis,
    rows: Vec<Row>,
}

struct Row {
    /// The axis' figure.
    figure: f64,
    is_base: bool,
    rate: Rate,
}

/// Measures it all, prints it, and writes it to the page that `GROUPCAST_TABLE` names.
pub(crate) fn measure() {
    let stage = |settings| {
        Stage::start(settings).unwrap_or_else(|reason| panic!("no Kafka to measure with: {reason}"))
    };
    let delayed = stage(DEFAULT_DELAY);
    let parts = measure_parts(&delayed);
    let mut starts = start::measure(&delayed, ", Kafka's default delay");
    drop(delayed);
    starts.extend(start::measure(&stage(""), ""));
    let growth = Growth { parts, starts };
    println!("{growth}");
    if let Ok(page) = env::var("GROUPCAST_TABLE") {
        page::write(&page, "bench-growth", &growth);
    }
}

fn measure_parts(stage: &Stage) -> Vec<Part> {
    let n_warm_up: u64 = number("GROUPCAST_WARM_UP", 50_000);
    let counted = n_warm_up..n_warm_up + number::<u64>("GROUPCAST_EVENTS", 150_000);
    let base = stage.fill(counted.end + N_LAST, BASE);
    // The broker's code is compiled while it runs: the first to come would pay for all others.
    println!(
        "not counted: {}",
        rate::measure(stage, &base, &CONTESTANTS[1], counted.clone())
    );
    let row = |axis: &Axis, value: u16| {
        let mut job = BASE;
        (axis.set)(&mut job, value);
        let figure = (axis.get)(&job);
        let has_base_source = (job.n_partitions, job.length) == (BASE.n_partitions, BASE.length);
        let source = if has_base_source {
            base.with(job)
        } else {
            stage.fill(base.n_events, job)
        };
        let rate = measure_cleanly(stage, &source, &counted);
        println!("{} {figure}: {rate}", axis.name);
        if !has_base_source {
            stage.remove(&source);
        }
        Row {
            figure: float(figure as u64),
            is_base: figure == (axis.get)(&BASE),
            rate,
        }
    };
    let part = |axis| Part {
        axis,
        rows: axis.values.iter().map(|value| row(axis, *value)).collect(),
    };
    let parts = AXES.iter().map(part).collect();
    stage.remove(&base);
    parts
}

/// Returns the first run that is clean, or the last of those that are allowed.
fn measure_cleanly(stage: &Stage, source: &Source, counted: &Range<u64>) -> Rate {
    let n_runs: usize = number("GROUPCAST_ROUNDS", 3);
    let mut rate = rate::measure(stage, source, &CONTESTANTS[1], counted.clone());
    for _ in 1..n_runs {
        if rate.span.other_cores < CLEAN {
            break;
        }
        rate = rate::measure(stage, source, &CONTESTANTS[1], counted.clone());
    }
    rate
}

impl fmt::Display for Growth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = || self.parts.iter().flat_map(|part| &part.rows);
        let n_clean = rows()
            .filter(|row| row.rate.span.other_cores < CLEAN)
            .count();
        let most = rows()
            .map(|row| row.rate.span.other_cores)
            .fold(0.0, f64::max);
        let (verdict, n_rows) = (
            if n_clean == rows().count() {
                ""
            } else {
                "NOT CLEAN: "
            },
            rows().count(),
        );
        writeln!(
            formatter,
            "{verdict}{n_clean} of {n_rows} runs were clean; others used {most:.2} cores at most."
        )?;
        self.parts
            .iter()
            .try_for_each(|part| write!(formatter, "\n{part}"))?;
        writeln!(formatter, "\n{}", start::HEAD)?;
        self.starts
            .iter()
            .try_for_each(|starts| writeln!(formatter, "{starts}"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.axis.name;
        writeln!(
            formatter,
            "| {name} | events/s | records an event | client CPU-s/M events | broker CPU-s/M events | peak MiB | others' cores |\n\
             |--:|--:|--:|--:|--:|--:|--:|"
        )?;
        for Row { figure, rate, .. } in &self.rows {
            let beside_base = |of: fn(&Rate) -> f64, digits| {
                format!("{:.digits$} ({:.2})", of(rate), of(rate) / of(self.base()))
            };
            let cells = [
                format!("{figure}"),
                beside_base(Rate::events_a_second, 0),
                format!("{:.1}", rate.records_an_event),
                beside_base(Rate::client_cost, 2),
                beside_base(Rate::broker_cost, 2),
                beside_base(|rate| float(rate.memory), 0),
                format!("{:.2}", rate.span.other_cores),
            ];
            writeln!(formatter, "| {} |", cells.join(" | "))?;
        }
        if let [first, second] = &self.rows[..] {
            return writeln!(formatter, "\n{}", estimate(&first.rate, &second.rate));
        }
        writeln!(formatter, "\nClient: {}.", self.line(Rate::client_cost))?;
        writeln!(formatter, "Broker: {}.", self.line(Rate::broker_cost))
    }
}

impl Part {
    fn base(&self) -> &Rate {
        &self
            .rows
            .iter()
            .find(|row| row.is_base)
            .expect("the base's value is among an axis' values")
            .rate
    }

    /// Says how near the costs are to a line.
    fn line(&self, cost: fn(&Rate) -> f64) -> String {
        let points: Vec<(f64, f64)> = self
            .rows
            .iter()
            .map(|row| (row.figure, cost(&row.rate)))
            .collect();
        let (begin, slope) = fit(&points);
        let deviation = |(x, y): &(f64, f64)| (y / (begin + slope * x) - 1.0) * 100.0;
        let far = points
            .iter()
            .max_by(|one, other| deviation(one).abs().total_cmp(&deviation(other).abs()));
        let far = far.expect("an axis has values");
        let (name, deviation) = (self.axis.name, deviation(far));
        format!(
            "cost = {begin:.2} + {slope:.4} × {name}; the farthest from that line is the row of {}, by {deviation:+.0} %",
            far.0
        )
    }
}

/// Says what more than these two would come to, where each has a core of its own.
fn estimate(one: &Rate, two: &Rate) -> String {
    let factor = two.client_cost() / one.client_cost();
    let [four, eight] = [
        two.client_cost() * factor,
        two.client_cost() * factor * factor,
    ];
    format!(
        "An estimate, not measured: if each doubling changes the client's cost as this one did, by a factor of {factor:.2}, it is {four:.2} \
         with 4 and {eight:.2} with 8. Four cores that do nothing else then take {:.0} events a second and eight {:.0}, for \
         which the brokers need {:.2} CPU-seconds a million.",
        4e6 / four,
        8e6 / eight,
        two.broker_cost()
    )
}

/// Returns the line of least squares through some points: where it begins, and its slope.
fn fit(points: &[(f64, f64)]) -> (f64, f64) {
    let n_points = float(points.len() as u64);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n_points;
    let (x_mean, y_mean) = (mean(|(x, _)| *x), mean(|(_, y)| *y));
    let sum = |of: &dyn Fn(f64, f64) -> f64| {
        points
            .iter()
            .map(|(x, y)| of(x - x_mean, y - y_mean))
            .sum::<f64>()
    };
    let slope = sum(&|x, y| x * y) / sum(&|x, _| x * x);
    (y_mean - slope * x_mean, slope)
}
