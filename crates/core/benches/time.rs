//! Time and allocations of each stage, an event. Times vary with whatever else the machine does; compare within one run.
#![allow(clippy::expect_used, reason = "a benchmark fails by panicking")]

mod support;

use divan::{AllocProfiler, Bencher};
use support::{Calls, Readings, Worker, corpus};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(sample_size = 500, sample_count = 40)]
fn parse(bencher: Bencher<'_, '_>) {
    let mut worker = Worker::new(5, corpus::EVENTS);
    bencher.bench_local(|| worker.parse());
}

#[divan::bench(sample_size = 500, sample_count = 40)]
fn read(bencher: Bencher<'_, '_>) {
    let mut worker = Worker::new(5, corpus::EVENTS);
    bencher.bench_local(|| worker.read(&mut Calls::default()));
}

#[divan::bench(sample_size = 500, sample_count = 40)]
fn flags(bencher: Bencher<'_, '_>) {
    let mut readings = Readings::new(corpus::EVENTS);
    bencher.bench_local(|| readings.decide());
}

#[divan::bench(sample_size = 500, sample_count = 40)]
fn plan(bencher: Bencher<'_, '_>) {
    let mut readings = Readings::new(corpus::EVENTS);
    bencher.bench_local(|| readings.write());
}

#[divan::bench(args = [1, 5, 10, 20, 40], sample_size = 500, sample_count = 40)]
fn route(bencher: Bencher<'_, '_>, n_destinations: usize) {
    let mut worker = Worker::new(n_destinations, corpus::EVENTS);
    bencher.bench_local(|| worker.route(&mut Calls::default()));
}
