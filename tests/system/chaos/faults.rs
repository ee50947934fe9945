//! Every fault that a run can be put through, by its id in the list of faults: what it does, and what it needs.

mod brokers;
mod topics;
mod wires;
mod workers;

use std::time::Duration;

use crate::scene::Scene;

/// How long a fault that lasts does so, unless it says otherwise.
const OUTAGE: Duration = Duration::from_secs(15);

/// A fault.
pub(crate) struct Fault {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) strike: fn(&mut Scene<'_>),
    /// Processes of each fleet at the start, and whether each is a static member.
    pub(crate) n_processes: usize,
    pub(crate) is_static: bool,
    pub(crate) session_timeout_ms: u64,
    /// What its workers' consumers need beside the usual.
    pub(crate) consumer: &'static [(&'static str, &'static str)],
    /// What all its clients need beside the usual.
    pub(crate) clients: &'static [(&'static str, &'static str)],
    /// The output that it destroys, which therefore cannot be watched meanwhile; or nothing can, as the source is destroyed.
    pub(crate) unwatched: Option<&'static str>,
    pub(crate) is_watched: bool,
    /// The reasons of dead letters without which the run proves nothing.
    pub(crate) dead_letters: &'static [&'static str],
}

/// Short are those where most goes on between groupcast and Kafka.
const SHORT: &[&str] = &["F5b", "F12", "F14", "F17", "F17b", "F22", "F23f"];

const fn fault(id: &'static str, name: &'static str, strike: fn(&mut Scene<'_>)) -> Fault {
    Fault {
        id,
        name,
        strike,
        n_processes: 2,
        is_static: false,
        session_timeout_ms: 6_000,
        consumer: &[],
        clients: &[],
        unwatched: None,
        is_watched: true,
        dead_letters: &[],
    }
}

const POISON: &[&str] = &["empty_value", "invalid_utf8", "invalid_json", "nested_too_deep", "too_many_traits", "not_an_object"];

pub(crate) static FAULTS: &[Fault] = &[
    fault("F1", "worker killed", workers::killed),
    fault("F1b", "worker killed between the acknowledgement and the commit", workers::killed_before_commit),
    fault("F2", "worker stopped under load", workers::stopped),
    fault("F2b", "worker asked twice to stop", workers::stopped_twice),
    fault("F2c", "worker asked to stop while its group's coordinator is away", workers::stopped_without_coordinator),
    fault("F2d", "worker asked to stop while all brokers are away", workers::stopped_without_brokers),
    fault("F3", "worker frozen for twice its session, then woken", workers::frozen),
    Fault {
        consumer: &[("max.poll.interval.ms", "8000")],
        ..fault("F4", "worker frozen past max.poll.interval.ms, then woken", workers::frozen_past_poll_interval)
    },
    fault("F5a", "broker killed", brokers::killed),
    fault("F5b", "brokers restarted cleanly, one after the other", brokers::rolling_restart),
    fault("F6a", "two of three brokers killed", brokers::two_killed),
    fault("F6b", "all brokers killed", brokers::all_killed),
    fault("F7", "broker frozen", brokers::frozen),
    fault("F7b", "broker frozen as workers start", brokers::frozen_as_workers_start),
    fault("F8a", "group coordinator unreachable for workers, not for brokers", wires::coordinator_unreachable),
    fault("F8b", "broker unreachable for workers and brokers, which it reaches", wires::broker_unreachable),
    fault("F9a", "workers cut off, connections left open", wires::silent),
    fault("F9b", "workers cut off, connections refused", wires::cut),
    fault("F10", "100 ms of latency and 3 Mbit/s", wires::slow),
    fault("F11", "group coordinator moves", brokers::coordinators_move),
    fault("F12", "reply to EndTxn lost", wires::end_txn_unanswered),
    fault("F12b", "transaction coordinator moves during EndTxn", wires::end_txn_while_moving),
    Fault { session_timeout_ms: 45_000, ..fault("F13", "transaction times out while open", workers::frozen_past_transaction) },
    Fault { n_processes: 1, ..fault("F14", "processes scaled 1, 3, 1, 5", workers::scaled) },
    Fault { is_static: true, ..fault("F15a", "static member restarted within its session", workers::stopped) },
    Fault { is_static: true, ..fault("F15b", "static member replaced by another of its id", workers::replaced) },
    Fault {
        consumer: &[("topic.metadata.refresh.interval.ms", "5000")],
        ..fault("F16", "partitions added to source and outputs", topics::grown)
    },
    Fault { unwatched: Some("webhook"), ..fault("F17", "output deleted and created anew", topics::output_deleted) },
    Fault {
        clients: &[("topic.metadata.refresh.interval.ms", "700")],
        unwatched: Some("webhook"),
        ..fault("F17b", "output recreated while its old leader owes an answer", topics::answered_late)
    },
    Fault { is_watched: false, ..fault("F18", "source deleted and created anew", topics::source_deleted) },
    Fault { is_watched: false, ..fault("F19", "retention overtakes stopped workers", topics::retention) },
    fault("F20", "committed offsets gone", topics::offsets_gone),
    fault("F22", "right to write one output revoked", topics::right_revoked),
    fault("F23a", "production throttled to 10 KB/s by quota", topics::throttled),
    fault("F23b", "one output short of in-sync replicas", topics::under_replicated),
    fault("F23c", "one output takes only small records for a while", topics::limit_lowered),
    fault("F23f", "one output takes only smaller batches for a while", topics::batches_shrink),
    Fault { dead_letters: &["too_large"], ..fault("F23d", "one record in 1,000 too large for one output", topics::long_load) },
    Fault { dead_letters: POISON, ..fault("F24", "poisonous events", topics::long_load) },
    Fault {
        unwatched: Some("dead"),
        ..fault("F26", "dead letter topic deleted and created anew", topics::dead_letters_deleted)
    },
    fault("F23e", "one output takes only small records, and a worker is killed", topics::death_while_refused),
    fault("F28", "one group has nine events in ten", topics::hot_group),
    fault("F30", "thousands of scrapes, and scrapers that hang", workers::scraped),
    fault("F31", "transactions aborted in the source, one long open", topics::aborted_in_source),
];

impl Fault {
    /// Returns whether it belongs to what every test run does.
    pub(crate) fn is_short(&self) -> bool {
        SHORT.contains(&self.id)
    }
}
