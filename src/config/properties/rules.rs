//! Every property that librdkafka has: refused, with what to do instead, or passed, with why that is safe.

use crate::diagnostic::{Diagnostics, Place};

/// Properties that groupcast sets itself or that would break what it promises, and what to do instead.
pub(super) struct Rule {
    /// The property and librdkafka's aliases of it.
    pub(super) names: &'static [&'static str],
    /// The values that do no harm.
    allowed: &'static [&'static str],
    /// Why not.
    pub(super) reason: &'static str,
    /// What to do instead.
    instead: &'static str,
}

impl Rule {
    pub(super) fn refuses(&self, name: &str, value: &str) -> bool {
        let is_allowed = self
            .allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(value));
        self.names.contains(&name) && !is_allowed
    }

    pub(super) fn report(&self, name: &str, place: Place, diagnostics: &mut Diagnostics) {
        let hint = match self.allowed {
            [] => self.instead.to_owned(),
            allowed => format!("{}, or write: {}", self.instead, allowed.join(" or ")),
        };
        diagnostics
            .error(place, format!("refused, {}: {name}", self.reason))
            .hint(hint);
    }
}

const LEAVE_OUT: &str = "leave it out";

/// Names and aliases as librdkafka 2.12's CONFIGURATION.md has them, and hidden ones of its `rdkafka_conf.c`.
pub(super) const RULES: &[Rule] = &[
    Rule {
        names: &["bootstrap.servers", "metadata.broker.list"],
        allowed: &[],
        reason: "there is a key for it",
        instead: "set kafka.brokers",
    },
    Rule {
        names: &["group.id"],
        allowed: &[],
        reason: "there is a key for it",
        instead: "set source.group_id",
    },
    Rule {
        names: &["auto.offset.reset"],
        allowed: &[],
        reason: "it would skip or repeat records without a word",
        instead: "set source.start and source.on_gap",
    },
    Rule {
        names: &[
            "enable.auto.commit",
            "auto.commit.enable",
            "enable.auto.offset.store",
        ],
        allowed: &["false"],
        reason: "offsets move only when all that was sent is acknowledged",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["offset.store.method"],
        allowed: &["broker"],
        reason: "offsets are kept by the consumer group",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["isolation.level"],
        allowed: &["read_committed"],
        reason: "records of aborted transactions were never sent",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["group.protocol"],
        allowed: &["classic"],
        reason: "the new group protocol (KIP-848) is not proven with transactions",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["enable.partition.eof"],
        allowed: &["false"],
        reason: "the end of a partition is no error",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["allow.auto.create.topics"],
        allowed: &["false"],
        reason: "a misspelt topic would be created instead of reported",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["transactional.id"],
        allowed: &[],
        reason: "transactions are groupcast's own",
        instead: "set delivery.guarantee",
    },
    Rule {
        names: &["enable.idempotence"],
        allowed: &["true"],
        reason: "retries would repeat and reorder records",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["acks", "request.required.acks"],
        allowed: &["all", "-1"],
        reason: "a record that only its leader has can be lost after the offset moved",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["max.in.flight", "max.in.flight.requests.per.connection"],
        allowed: &["1", "2", "3", "4", "5"],
        reason: "an idempotent producer has one to five requests under way",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &[
            "message.send.max.retries",
            "retries",
            "message.timeout.ms",
            "delivery.timeout.ms",
        ],
        allowed: &[],
        reason: "a record that is given up would be lost or out of order",
        instead: "leave it out: a refused record is tried until it is taken, and readiness says so",
    },
    Rule {
        names: &["enable.gapless.guarantee", "delivery.report.only.error"],
        allowed: &[],
        reason: "groupcast counts on its own setting of it",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["queuing.strategy"],
        allowed: &["fifo"],
        reason: "a group's records must leave in order",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["partitioner"],
        allowed: &["murmur2_random"],
        reason: "records of a group are partitioned as Java clients do",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["batch.size", "message.max.bytes"],
        allowed: &[],
        reason: "it follows the limits of the output topics",
        instead: "set max.message.bytes on the topics",
    },
    Rule {
        names: &["test.mock.num.brokers", "test.mock.broker.rtt"],
        allowed: &[],
        reason: "records would go to a broker inside the process",
        instead: "try `groupcast demo`",
    },
    Rule {
        // Loaded when the property is set, before any client exists (`rd_kafka_plugins_conf_set`).
        names: &[
            "plugin.library.paths",
            "ssl.engine.location",
            "ssl.engine.id",
        ],
        allowed: &[],
        reason: "it loads a library",
        instead: LEAVE_OUT,
    },
    Rule {
        // OpenSSL takes a name it does not know for a library's.
        names: &["ssl.providers"],
        allowed: &["default"],
        reason: "it loads a library",
        instead: LEAVE_OUT,
    },
    Rule {
        // `system()` in `rdkafka_sasl_cyrus.c`; the principal and the service name are put into the command unquoted.
        names: &[
            "sasl.kerberos.kinit.cmd",
            "sasl.kerberos.keytab",
            "sasl.kerberos.principal",
            "sasl.kerberos.service.name",
            "sasl.kerberos.min.time.before.relogin",
        ],
        allowed: &[],
        reason: "Kerberos runs a command, and is not built in",
        instead: "use certificates, SCRAM or OAUTHBEARER",
    },
    Rule {
        names: &["offset.store.path", "offset.store.sync.interval.ms"],
        allowed: &[],
        reason: "it writes a file; offsets are kept by the consumer group",
        instead: LEAVE_OUT,
    },
    Rule {
        // Hidden, for librdkafka's own tests: it takes the text's address for a function's, and calls it.
        names: &["ut_handle_ProduceResponse"],
        allowed: &[],
        reason: "its value would be run as code",
        instead: LEAVE_OUT,
    },
    Rule {
        // It would send its own threads whatever signal is named, one that ends the process too.
        names: &["internal.termination.signal"],
        allowed: &["0"],
        reason: "it sends signals to this process",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &["enabled_events", "enable_sasl_queue", "log.queue"],
        allowed: &[],
        reason: "groupcast serves the client's events itself",
        instead: LEAVE_OUT,
    },
    Rule {
        names: &[
            "background_event_cb",
            "closesocket_cb",
            "connect_cb",
            "consume_cb",
            "default_topic_conf",
            "dr_cb",
            "dr_msg_cb",
            "error_cb",
            "interceptors",
            "log_cb",
            "msg_order_cmp",
            "oauthbearer_token_refresh_cb",
            "offset_commit_cb",
            "opaque",
            "open_cb",
            "partitioner_cb",
            "rebalance_cb",
            "resolve_cb",
            "socket_cb",
            "ssl.certificate.verify_cb",
            "ssl_ca",
            "ssl_certificate",
            "ssl_engine_callback_data",
            "ssl_key",
            "stats_cb",
            "throttle_cb",
        ],
        allowed: &[],
        reason: "it is set by a program, not by a file",
        instead: LEAVE_OUT,
    },
];

/// Properties that pass as they are written, and why that is safe.
///
/// A property that stands neither here nor in [`RULES`] never reaches librdkafka, so that a new version of it brings
/// nothing that nobody has judged.
pub(super) const PASSED: &[(&str, &[&str])] = &[
    (
        "it opens a file for reading, the one that the configuration names, once a client is created",
        &[
            "https.ca.location",
            "sasl.oauthbearer.assertion.file",
            "sasl.oauthbearer.assertion.jwt.template.file",
            "sasl.oauthbearer.assertion.private.key.file",
            "ssl.ca.location",
            "ssl.certificate.location",
            "ssl.crl.location",
            "ssl.key.location",
            "ssl.keystore.location",
        ],
    ),
    (
        // curl is held to http and https (`rdhttp.c`).
        "it connects by HTTP to the address that the configuration names, once a client is created",
        &["sasl.oauthbearer.token.endpoint.url"],
    ),
    (
        "it connects to the cloud's own address for virtual machines, once a client is created",
        &["sasl.oauthbearer.metadata.authentication.type"],
    ),
    (
        "it says who we are and whom we trust, in the property itself",
        &[
            "enable.sasl.oauthbearer.unsecure.jwt",
            "enable.ssl.certificate.verification",
            "https.ca.pem",
            "sasl.mechanism",
            "sasl.mechanisms",
            "sasl.oauthbearer.assertion.algorithm",
            "sasl.oauthbearer.assertion.claim.aud",
            "sasl.oauthbearer.assertion.claim.exp.seconds",
            "sasl.oauthbearer.assertion.claim.iss",
            "sasl.oauthbearer.assertion.claim.jti.include",
            "sasl.oauthbearer.assertion.claim.nbf.seconds",
            "sasl.oauthbearer.assertion.claim.sub",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.client.credentials.client.id",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.client.id",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.extensions",
            "sasl.oauthbearer.grant.type",
            "sasl.oauthbearer.method",
            "sasl.oauthbearer.scope",
            "sasl.password",
            "sasl.username",
            "security.protocol",
            "ssl.ca.certificate.stores",
            "ssl.ca.pem",
            "ssl.certificate.pem",
            "ssl.cipher.suites",
            "ssl.curves.list",
            "ssl.endpoint.identification.algorithm",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "ssl.sigalgs.list",
        ],
    ),
    (
        "it says what the client calls itself, tells the brokers or writes into our log",
        &[
            "builtin.features",
            "client.id",
            "client.rack",
            "client.software.name",
            "client.software.version",
            "debug",
            "enable.metrics.push",
            "log.connection.close",
            "log.thread.name",
            "log_level",
            "statistics.interval.ms",
        ],
    ),
    (
        "it is about the group that the configuration names",
        &[
            "coordinator.query.interval.ms",
            "group.instance.id",
            "group.protocol.type",
            "group.remote.assignor",
            "heartbeat.interval.ms",
            "max.poll.interval.ms",
            "partition.assignment.strategy",
            "session.timeout.ms",
        ],
    ),
    (
        "it is a number, a size, a time or a choice of how to talk to the brokers",
        &[
            "api.version.fallback.ms",
            "api.version.request",
            "api.version.request.timeout.ms",
            "auto.commit.interval.ms",
            "batch.num.messages",
            "broker.address.family",
            "broker.address.ttl",
            "broker.version.fallback",
            "check.crcs",
            "client.dns.lookup",
            "compression.codec",
            "compression.level",
            "compression.type",
            "connections.max.idle.ms",
            "consume.callback.max.messages",
            "enable.random.seed",
            "enable.sparse.connections",
            "fetch.error.backoff.ms",
            "fetch.max.bytes",
            "fetch.message.max.bytes",
            "fetch.min.bytes",
            "fetch.queue.backoff.ms",
            "fetch.wait.max.ms",
            "linger.ms",
            "max.partition.fetch.bytes",
            "message.copy.max.bytes",
            "metadata.max.age.ms",
            "metadata.recovery.rebootstrap.trigger.ms",
            "metadata.recovery.strategy",
            "metadata.request.timeout.ms",
            "produce.offset.report",
            "queue.buffering.backpressure.threshold",
            "queue.buffering.max.kbytes",
            "queue.buffering.max.messages",
            "queue.buffering.max.ms",
            "queued.max.messages.kbytes",
            "queued.min.messages",
            "receive.message.max.bytes",
            "reconnect.backoff.jitter.ms",
            "reconnect.backoff.max.ms",
            "reconnect.backoff.ms",
            "request.timeout.ms",
            "retry.backoff.max.ms",
            "retry.backoff.ms",
            "socket.blocking.max.ms",
            "socket.connection.setup.timeout.ms",
            "socket.keepalive.enable",
            "socket.max.fails",
            "socket.nagle.disable",
            "socket.receive.buffer.bytes",
            "socket.send.buffer.bytes",
            "socket.timeout.ms",
            "sticky.partitioning.linger.ms",
            "topic.blacklist",
            "topic.metadata.propagation.max.ms",
            "topic.metadata.refresh.fast.cnt",
            "topic.metadata.refresh.fast.interval.ms",
            "topic.metadata.refresh.interval.ms",
            "topic.metadata.refresh.sparse",
            "transaction.timeout.ms",
        ],
    ),
];
