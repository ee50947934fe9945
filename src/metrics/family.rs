//! The families: name, kind, labels and what they say. `docs/metrics.md` is made of this table.

/// How a family's values behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, and starts at zero with the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by buckets, with a sum.
    Histogram,
}

impl Kind {
    /// Returns the word that Prometheus' text format has for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One name on the page, and all that its series have in common.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The name, its unit last but for `_total`.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// The labels of each series. What an event says is in none of them.
    pub labels: &'static [&'static str],
    /// What it says, as a phrase without a full stop.
    pub help: &'static str,
}

macro_rules! families {
    ($($title:literal { $($constant:ident = $kind:ident $name:literal [$($label:literal)*] $help:literal,)+ })+) => {
        $($(#[doc = concat!("`", $name, "`: ", $help)]
        pub const $constant: Family =
            Family { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)+)+

        /// All families, in the order in which a person asks.
        pub const SECTIONS: &[(&str, &[Family])] = &[$(($title, &[$($constant),+]),)+];
    };
}

families! {
    "Events" {
        CONSUMED = Counter "groupcast_records_consumed_total" ["topic"] "Records consumed and committed, by source topic",
        VERDICTS = Counter "groupcast_verdicts_total" ["verdict" "reason"] "How consumed records ended, exactly one each",
        OUTCOMES = Counter "groupcast_outcomes_total" ["destination" "outcome" "reason"]
            "Outcomes of routed events, exactly one per event and destination",
        OPERATIONS = Counter "groupcast_operations_emitted_total" ["destination"] "Records made for each destination's topic",
        NOTES = Counter "groupcast_notes_total" ["destination" "code"]
            "Things passed over, left out or changed without changing the verdict; the label destination is empty where they concern the event itself",
        LATENCY = Histogram "groupcast_end_to_end_latency_seconds" ["since"]
            "Seconds from the event's own time (event_time) or the Kafka record's (record_time) until everything made of the record was acknowledged and committed",
    }
    "Source" {
        LAG = Gauge "groupcast_consumer_lag_records" ["topic" "partition"]
            "Offsets between the group's committed offset and the partition's end, 0 once only transaction markers are left; of assigned partitions only",
        UNPROCESSED_AGE = Gauge "groupcast_oldest_unprocessed_age_seconds" ["topic" "partition"]
            "Seconds since the oldest uncommitted record was first seen at the partition's end, 0 if there is none; a backlog counts from the assignment on; neither a rewind nor a new consumer resets it",
        PARTITIONS = Gauge "groupcast_assigned_partitions" ["worker"] "Partitions that the group has given to the worker",
        REBALANCES = Counter "groupcast_rebalances_total" ["worker" "kind"] "Assignments and revocations that the worker has answered",
        SKIPPED = Counter "groupcast_gap_offsets_skipped_total" ["topic"]
            "Offsets that retention deleted before they were read, skipped because of source.on_gap",
        UNDECODABLE = Counter "groupcast_undecodable_offsets_skipped_total" ["topic"]
            "Offsets of batches that could not be decoded, skipped because of source.on_undecodable",
        BLOCKED = Gauge "groupcast_blocked_partitions" ["worker"]
            "Assigned partitions that are blocked at an offset; /readyz names each with its offset and reason",
    }
    "Epochs" {
        EPOCHS = Counter "groupcast_epochs_total" ["result"] "Ends of epochs: committed, held, deferred or rewound",
        COMMIT_DURATION = Histogram "groupcast_commit_duration_seconds" []
            "Seconds that an epoch's commit took: the wait for acknowledgements, then the offsets",
        IN_FLIGHT = Gauge "groupcast_in_flight_bytes" ["worker"] "Bytes of output made since the last commit",
        IN_FLIGHT_LIMIT = Gauge "groupcast_in_flight_limit_bytes" ["worker"]
            "Bytes of output after which an epoch ends; it may exceed them by one batch",
        HELD = Gauge "groupcast_worker_held" ["worker"] "1 while reading is paused until the records sent are acknowledged",
        REWINDS = Counter "groupcast_rewinds_total" ["cause"] "Epochs rolled back and sent again",
        UNCOMMITTED_AGE = Gauge "groupcast_oldest_uncommitted_age_seconds" ["worker"]
            "Seconds since the oldest uncommitted record was first read, however often its epoch was rolled back; 0 if there is none",
        LAST_COMMIT = Gauge "groupcast_last_commit_age_seconds" ["worker"]
            "Seconds since the last commit, or since the start; an idle worker commits nothing",
    }
    "Topics and brokers" {
        REFUSED = Gauge "groupcast_topic_refused" ["topic"] "1 while a topic refuses records and holds the epoch",
        TOPIC_PROBLEMS = Gauge "groupcast_topic_problems" []
            "Problems that the last check of the topics found: missing topics, missing rights, no answer",
        CLIENT_ERRORS = Counter "groupcast_client_errors_total" ["client" "code"] "Errors that a Kafka client reported on its own",
        QUEUE = Gauge "groupcast_client_queue_bytes" ["client" "worker"]
            "Bytes in the client's queue: fetched and not read (consumer), not acknowledged (producer)",
        QUEUE_LIMIT = Gauge "groupcast_client_queue_limit_bytes" ["client" "worker"] "Bytes that a producer's queue may hold",
        BROKER_UP = Gauge "groupcast_broker_up" ["client" "worker" "broker"]
            "1 while the client is connected to the broker; it connects only to brokers that it needs",
        ROUND_TRIP = Gauge "groupcast_broker_round_trip_p99_seconds" ["client" "worker" "broker"]
            "99th percentile of the broker's answer time in the last second; a fetch may wait for records",
        THROTTLE = Gauge "groupcast_broker_throttle_seconds" ["client" "worker" "broker"]
            "Mean time that the broker throttled the client by quota, in the last second",
        TIMEOUTS = Counter "groupcast_broker_request_timeouts_total" ["client" "worker" "broker"]
            "Requests that the broker did not answer in time since the client was opened",
    }
    "Service" {
        READY = Gauge "groupcast_ready" [] "1 while /readyz says ok",
        HEALTHY = Gauge "groupcast_healthy" [] "1 while /healthz says ok",
        RELOADS = Counter "groupcast_config_reloads_total" ["result"]
            "Configurations reloaded at SIGHUP: applied, or refused while the old one stays in force",
        LAST_RELOAD = Gauge "groupcast_config_last_reload_success" []
            "0 if the last reload was refused, else 1",
        STARTED_OVER = Counter "groupcast_process_started_over_total" []
            "Times the process restarted in place, because a Kafka client call hung or credentials were exchanged",
        LOG_LINES_LOST = Counter "groupcast_log_lines_lost_total" ["reason"]
            "Log lines that could not be written to standard error: nobody read it and the queue was full (no_room), or a write failed (not_written)",
        BUILD = Gauge "groupcast_build_info" ["version" "librdkafka"] "1, with the versions as labels",
    }
    "The file of `groupcast audit --metrics-file`" {
        AUDIT_DUE = Gauge "groupcast_audit_due_records" ["topic"] "Records that the audited range of the source makes",
        AUDIT_MISSING = Gauge "groupcast_audit_missing_records" ["topic"] "Records that are due and not in their topic",
        AUDIT_REPEATED = Gauge "groupcast_audit_repeated_records" ["topic"] "Records that are there once more than due",
        AUDIT_OUT_OF_ORDER = Gauge "groupcast_audit_out_of_order_records" ["topic"]
            "Records that stand before an earlier one of their key",
        AUDIT_DIFFERENT = Gauge "groupcast_audit_different_records" ["topic"]
            "Records that have the id of one that is due and other bytes",
        AUDIT_NOT_DUE = Gauge "groupcast_audit_not_due_records" ["topic"] "Records that are there and not due",
        AUDIT_NOT_JUDGED = Gauge "groupcast_audit_not_judged_records" ["topic"]
            "Records that are due and not there, where retention has removed what was",
        AUDIT_END = Gauge "groupcast_audit_end_time_seconds" [] "When the last audit ended, in Unix seconds",
    }
    "Process" {
        CPU = Counter "process_cpu_seconds_total" [] "User and system CPU time in seconds",
        OPEN_FILES = Gauge "process_open_fds" [] "Open file descriptors",
        MAX_FILES = Gauge "process_max_fds" [] "The most file descriptors that may be open, 0 if there is no limit",
        MEMORY = Gauge "process_resident_memory_bytes" [] "Resident memory in bytes",
        VIRTUAL_MEMORY = Gauge "process_virtual_memory_bytes" [] "Virtual memory in bytes",
        START_TIME = Gauge "process_start_time_seconds" [] "Start time of the process in Unix seconds",
        THREADS = Gauge "process_threads" [] "Threads of the process",
    }
}
