//! What an event costs the allocator on the whole path: at most two allocations once the buffers have grown.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the benchmarks use the rest")]

#[path = "../crates/core/benches/support/mod.rs"]
mod support;

use std::sync::Arc;

use groupcast::metrics::tally::{Tally, UnknownFlags};

const EVENTS: u64 = 500;

#[test]
fn an_event_costs_two_allocations_at_most() {
    for n_destinations in [1, 5, 40] {
        let mut worker = support::Worker::new(n_destinations, EVENTS);
        let names: Arc<[String]> = worker
            .router
            .destination_names()
            .map(str::to_owned)
            .collect();
        let mut tally = Tally::new(names, UnknownFlags::default(), Arc::default());
        let mut route = || {
            let verdict = worker.route(&mut tally);
            tally.verdict("group-events", Some(1_795_000_000_000), verdict);
        };
        (0..EVENTS).for_each(|_| route());
        let counted = allocation_counter::measure(|| (0..EVENTS).for_each(|_| route()));
        let an_event = counted.count_total * 100 / EVENTS;
        println!(
            "{n_destinations} destinations: {}.{:02} allocations an event",
            an_event / 100,
            an_event % 100
        );
        assert!(
            an_event <= 200,
            "{n_destinations} destinations: {}.{:02} allocations an event",
            an_event / 100,
            an_event % 100
        );
    }
}
