//! What is known of the workers at the moment of a scrape.

use std::time::Instant;

use crate::metrics::family;
use crate::metrics::page::{Page, approximately};
use crate::status::Status;
use crate::status::report::Report;

/// Says all that one worker's status tells.
pub(super) fn say(page: &mut Page, status: &Status) {
    let (view, worker) = (status.view_at(Instant::now()), status.worker.to_string());
    let uncommitted = status
        .progress()
        .uncommitted_since()
        .map(|since| since.elapsed())
        .unwrap_or_default();
    for (family, value) in [
        (family::PARTITIONS, count(view.partitions)),
        (family::BLOCKED, count(view.blocked.len())),
        (family::IN_FLIGHT, count(view.in_flight)),
        (family::IN_FLIGHT_LIMIT, count(view.in_flight_limit)),
        (family::HELD, f64::from(u8::from(view.is_held))),
        (family::UNCOMMITTED_AGE, uncommitted.as_secs_f64()),
        (
            family::LAST_COMMIT,
            view.committed_at.elapsed().as_secs_f64(),
        ),
    ] {
        page.say(family, &[&worker], value);
    }
    for known in status.progress().iter() {
        let Some(lag) = known.lag() else { continue };
        let labels = [known.topic.as_str(), &known.partition.to_string()];
        page.say(family::LAG, &labels, approximately(lag));
        page.say(
            family::UNPROCESSED_AGE,
            &labels,
            known
                .waits_since()
                .map_or(0.0, |since| since.elapsed().as_secs_f64()),
        );
    }
    if let Some((_, report)) = status.consumer.latest() {
        page.say(
            family::QUEUE,
            &["consumer", &worker],
            approximately(report.fetched_bytes()),
        );
        say_brokers(page, "consumer", &worker, &report);
    }
    if let Some((_, report)) = status.producer.latest() {
        page.say(
            family::QUEUE,
            &["producer", &worker],
            approximately(report.msg_size),
        );
        page.say(
            family::QUEUE_LIMIT,
            &["producer", &worker],
            approximately(report.msg_size_max),
        );
        say_brokers(page, "producer", &worker, &report);
    }
}

fn say_brokers(page: &mut Page, client: &str, worker: &str, report: &Report) {
    // An address to start from is a broker that is not known yet, and is there again under its id.
    for broker in report.brokers.values().filter(|broker| broker.nodeid >= 0) {
        let id = broker.nodeid.to_string();
        let labels = [client, worker, id.as_str()];
        page.say(
            family::BROKER_UP,
            &labels,
            f64::from(u8::from(broker.state == "UP")),
        );
        page.say(
            family::ROUND_TRIP,
            &labels,
            approximately(broker.rtt.p99.max(0).unsigned_abs()) / 1e6,
        );
        page.say(
            family::THROTTLE,
            &labels,
            approximately(broker.throttle.avg.max(0).unsigned_abs()) / 1e3,
        );
        page.say(
            family::TIMEOUTS,
            &labels,
            approximately(broker.req_timeouts),
        );
    }
}

fn count(number: usize) -> f64 {
    u64::try_from(number).map_or(f64::INFINITY, approximately)
}
