//! Every fault that a run can be put through, by its id, which is a few words: what it does, and what it needs.

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
const SHORT: &[&str] = &[
    "rolling-restart",
    "end-txn-unanswered",
    "processes-scaled",
    "output-recreated",
    "answered-late",
    "right-revoked",
    "smaller-batches",
];

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

const POISON: &[&str] = &[
    "empty_value",
    "invalid_utf8",
    "invalid_json",
    "nested_too_deep",
    "too_many_traits",
    "not_an_object",
];

pub(crate) static FAULTS: &[Fault] = &[
    fault("worker-killed", "worker killed", workers::killed),
    fault(
        "killed-before-commit",
        "worker killed between the acknowledgement and the commit",
        workers::killed_before_commit,
    ),
    fault(
        "worker-stopped",
        "worker stopped under load",
        workers::stopped,
    ),
    fault(
        "stopped-twice",
        "worker asked twice to stop",
        workers::stopped_twice,
    ),
    fault(
        "stopped-without-coordinator",
        "worker asked to stop while its group's coordinator is away",
        workers::stopped_without_coordinator,
    ),
    fault(
        "stopped-without-brokers",
        "worker asked to stop while all brokers are away",
        workers::stopped_without_brokers,
    ),
    fault(
        "worker-frozen",
        "worker frozen for twice its session, then woken",
        workers::frozen,
    ),
    Fault {
        consumer: &[("max.poll.interval.ms", "8000")],
        ..fault(
            "frozen-past-poll-interval",
            "worker frozen past max.poll.interval.ms, then woken",
            workers::frozen_past_poll_interval,
        )
    },
    fault("broker-killed", "broker killed", brokers::killed),
    fault(
        "rolling-restart",
        "brokers restarted cleanly, one after the other",
        brokers::rolling_restart,
    ),
    fault(
        "two-brokers-killed",
        "two of three brokers killed",
        brokers::two_killed,
    ),
    fault(
        "all-brokers-killed",
        "all brokers killed",
        brokers::all_killed,
    ),
    fault("broker-frozen", "broker frozen", brokers::frozen),
    fault(
        "broker-frozen-at-start",
        "broker frozen as workers start",
        brokers::frozen_as_workers_start,
    ),
    fault(
        "coordinator-unreachable",
        "group coordinator unreachable for workers, not for brokers",
        wires::coordinator_unreachable,
    ),
    fault(
        "broker-unreachable",
        "broker unreachable for workers and brokers, which it reaches",
        wires::broker_unreachable,
    ),
    fault(
        "cut-off-silently",
        "workers cut off, connections left open",
        wires::silent,
    ),
    fault(
        "cut-off-refused",
        "workers cut off, connections refused",
        wires::cut,
    ),
    fault(
        "slow-network",
        "100 ms of latency and 3 Mbit/s",
        wires::slow,
    ),
    fault(
        "coordinator-moves",
        "group coordinator moves",
        brokers::coordinators_move,
    ),
    fault(
        "end-txn-unanswered",
        "reply to EndTxn lost",
        wires::end_txn_unanswered,
    ),
    fault(
        "end-txn-while-moving",
        "transaction coordinator moves during EndTxn",
        wires::end_txn_while_moving,
    ),
    Fault {
        session_timeout_ms: 45_000,
        ..fault(
            "transaction-timeout",
            "transaction times out while open",
            workers::frozen_past_transaction,
        )
    },
    Fault {
        n_processes: 1,
        ..fault(
            "processes-scaled",
            "processes scaled 1, 3, 1, 5",
            workers::scaled,
        )
    },
    Fault {
        is_static: true,
        ..fault(
            "static-restarted",
            "static member restarted within its session",
            workers::stopped,
        )
    },
    Fault {
        is_static: true,
        ..fault(
            "static-replaced",
            "static member replaced by another of its id",
            workers::replaced,
        )
    },
    Fault {
        consumer: &[("topic.metadata.refresh.interval.ms", "5000")],
        ..fault(
            "partitions-added",
            "partitions added to source and outputs",
            topics::grown,
        )
    },
    Fault {
        unwatched: Some("webhook"),
        ..fault(
            "output-recreated",
            "output deleted and created anew",
            topics::output_deleted,
        )
    },
    Fault {
        clients: &[("topic.metadata.refresh.interval.ms", "700")],
        unwatched: Some("webhook"),
        ..fault(
            "answered-late",
            "output recreated while its old leader owes an answer",
            topics::answered_late,
        )
    },
    Fault {
        is_watched: false,
        ..fault(
            "source-recreated",
            "source deleted and created anew",
            topics::source_deleted,
        )
    },
    Fault {
        is_watched: false,
        ..fault(
            "retention",
            "retention overtakes stopped workers",
            topics::retention,
        )
    },
    fault(
        "offsets-gone",
        "committed offsets gone",
        topics::offsets_gone,
    ),
    fault(
        "right-revoked",
        "right to write one output revoked",
        topics::right_revoked,
    ),
    fault(
        "throttled",
        "production throttled to 10 KB/s by quota",
        topics::throttled,
    ),
    fault(
        "under-replicated",
        "one output short of in-sync replicas",
        topics::under_replicated,
    ),
    fault(
        "small-records-only",
        "one output takes only small records for a while",
        topics::limit_lowered,
    ),
    fault(
        "smaller-batches",
        "one output takes only smaller batches for a while",
        topics::batches_shrink,
    ),
    Fault {
        dead_letters: &["too_large"],
        ..fault(
            "one-too-large",
            "one record in 1,000 too large for one output",
            topics::long_load,
        )
    },
    Fault {
        dead_letters: POISON,
        ..fault("poison", "poisonous events", topics::long_load)
    },
    Fault {
        unwatched: Some("dead"),
        ..fault(
            "dead-letters-recreated",
            "dead letter topic deleted and created anew",
            topics::dead_letters_deleted,
        )
    },
    fault(
        "small-records-only-killed",
        "one output takes only small records, and a worker is killed",
        topics::death_while_refused,
    ),
    fault(
        "hot-group",
        "one group has nine events in ten",
        topics::hot_group,
    ),
    fault(
        "scrapes",
        "thousands of scrapes, and scrapers that hang",
        workers::scraped,
    ),
    fault(
        "source-aborts",
        "transactions aborted in the source, one long open",
        topics::aborted_in_source,
    ),
];

impl Fault {
    /// Returns whether it belongs to what every test run does.
    pub(crate) fn is_short(&self) -> bool {
        SHORT.contains(&self.id)
    }
}

#[test]
fn ids_are_words() {
    // A letter and a number is a rule's id, in docs/semantics.md.
    let is_word = |id: &str| {
        id.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    assert!(
        FAULTS.iter().all(|fault| is_word(fault.id)),
        "an id is small letters and -"
    );
    assert!(
        SHORT
            .iter()
            .all(|id| FAULTS.iter().any(|fault| fault.id == *id)),
        "SHORT names a fault that is not there"
    );
}
