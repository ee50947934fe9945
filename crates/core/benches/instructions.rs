//! Instructions of each stage, counted by callgrind: the same on any machine of this architecture, however busy it is.
//! `.ci/instructions` holds them to `instructions.txt`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::exit,
    missing_docs,
    reason = "a benchmark fails by panicking; the macros make public items and start processes"
)]

mod support;

use gungraun::{
    Callgrind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use support::{Calls, Readings, Worker};

/// How many events a count is of. `.ci/instructions` divides by it.
const EVENTS: u64 = 500;

#[library_benchmark(setup = Worker::new)]
#[bench::event(5, EVENTS)]
fn parse(mut worker: Worker) -> Worker {
    (0..EVENTS).for_each(|_| worker.parse());
    worker
}

#[library_benchmark(setup = Worker::new)]
#[bench::event(5, EVENTS)]
fn read(mut worker: Worker) -> Worker {
    let mut calls = Calls::default();
    (0..EVENTS).for_each(|_| worker.read(&mut calls));
    worker
}

#[library_benchmark(setup = Readings::new)]
#[bench::to_05(EVENTS)]
fn flags(mut readings: Readings) -> Readings {
    (0..EVENTS).for_each(|_| readings.decide());
    readings
}

#[library_benchmark(setup = Readings::new)]
#[bench::event(EVENTS)]
fn plan(mut readings: Readings) -> Readings {
    (0..EVENTS).for_each(|_| readings.write());
    readings
}

#[library_benchmark(setup = Worker::new)]
#[bench::to_01(1, EVENTS)]
#[bench::to_05(5, EVENTS)]
#[bench::to_10(10, EVENTS)]
#[bench::to_20(20, EVENTS)]
#[bench::to_40(40, EVENTS)]
fn route(mut worker: Worker) -> Worker {
    let mut calls = Calls::default();
    for _ in 0..EVENTS {
        worker.route(&mut calls);
    }
    worker
}

library_benchmark_group!(
    name = stages,
    benchmarks = [parse, read, flags, plan, route]
);
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = stages
);
