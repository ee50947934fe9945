//! What is done about an error of the outside: decided here, for every code of librdkafka, and nowhere else.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::kafka::complaint;

/// An error of the outside, named by what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The group is moving: keep the epoch, poll on, commit later. At least once only.
    #[error("{0}")]
    Defer(String),
    /// Undo the epoch and do it again from the committed offsets.
    #[error("{detail}")]
    Rewind {
        /// Why, as the metric says it.
        cause: Cause,
        /// Why, for people.
        detail: String,
    },
    /// Nothing that the process does will mend it.
    #[error("{0}")]
    Fatal(String),
}

/// Why an epoch was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The group gave the partitions to others without asking.
    AssignmentLost,
    /// The group moved on before it took a transaction's offsets. Exactly once only.
    GroupMoved,
    /// Partitions were asked back, and the epoch could not be made durable in time.
    RevokedTooSoon,
    /// The producer cannot go on.
    Producer,
    /// A transaction could not be begun, committed or aborted.
    Transaction,
    /// A topic refused a record, and with it the epoch.
    TopicRefused,
    /// The consumer cannot go on.
    Consumer,
    /// A partition is assigned, and nothing is fetched.
    PartitionStuck,
}

impl Cause {
    /// Every cause, so that each is a series from the start.
    pub const ALL: [Cause; 8] = [
        Cause::AssignmentLost,
        Cause::GroupMoved,
        Cause::RevokedTooSoon,
        Cause::Producer,
        Cause::Transaction,
        Cause::TopicRefused,
        Cause::Consumer,
        Cause::PartitionStuck,
    ];

    /// Returns the metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Cause::AssignmentLost => "assignment_lost",
            Cause::GroupMoved => "group_moved",
            Cause::RevokedTooSoon => "revoked_too_soon",
            Cause::Producer => "producer",
            Cause::Transaction => "transaction",
            Cause::TopicRefused => "topic_refused",
            Cause::Consumer => "consumer",
            Cause::PartitionStuck => "partition_stuck",
        }
    }

    /// Returns whether the consumer itself is at fault, so that a new one is needed.
    #[must_use]
    pub fn is_consumers(self) -> bool {
        matches!(self, Cause::Consumer | Cause::PartitionStuck)
    }
}

/// The client calls whose errors are classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Making a client, subscribing: what fails here is a setting.
    Open,
    /// Asking for records or events; only an error that the client itself calls fatal gets here.
    Poll,
    /// Asking for, setting or seeking positions.
    Position,
    /// Committing offsets.
    Commit,
    /// Handing over a record.
    Send,
    /// The brokers' answer to a record.
    Delivery,
    /// Anything of a transaction.
    Transaction,
}

/// What is done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// The topic is at fault: the epoch is rolled back, and waits until the topic takes the refused record.
    Hold,
    /// See [`Fault::Defer`].
    Defer,
    /// See [`Fault::Rewind`].
    Rewind(Cause),
    /// See [`Fault::Fatal`].
    Fatal,
}

/// Another process has our static membership; two would take turns for ever.
const REPLACED: &[Code] = &[Code::FencedInstanceId, Code::UnreleasedInstanceId];

/// What a topic says today it may not say tomorrow.
const TOPIC_REFUSES: &[Code] = &[
    Code::UnknownTopic,
    Code::UnknownTopicOrPartition,
    Code::TopicAuthorizationFailed,
    Code::InvalidTopic,
    Code::MessageSizeTooLarge,
];

/// The producer's own state is broken, whatever the topic.
const PRODUCER_BROKEN: &[Code] = &[
    Code::Fatal,
    Code::Fenced,
    Code::GaplessGuarantee,
    Code::Inconsistent,
    Code::State,
    Code::ClusterAuthorizationFailed,
    Code::TransactionalIdAuthorizationFailed,
    Code::OutOfOrderSequenceNumber,
    Code::InvalidProducerEpoch,
    Code::ProducerFenced,
    Code::InvalidProducerIdMapping,
    Code::InvalidTransactionalState,
    Code::TransactionCoordinatorFenced,
    Code::UnknownProducerId,
];

/// The membership that a transaction's offsets were sent under is over (KIP-447).
const GROUP_MOVED: &[Code] = &[
    Code::IllegalGeneration,
    Code::RebalanceInProgress,
    Code::UnknownMemberId,
    Code::FencedMemberEpoch,
    Code::StaleMemberEpoch,
];

/// No new producer will be told otherwise until somebody changes a setting or the broker.
const TRANSACTIONS_IMPOSSIBLE: &[Code] = &[
    Code::NotConfigured,
    Code::NotImplemented,
    Code::UnsupportedFeature,
    Code::InvalidTransactionTimeout,
    Code::UnsupportedVersion,
    Code::UnsupportedForMessageFormat,
];

/// Classifies an error of `call`.
pub(super) fn reaction(call: Call, code: Code) -> Reaction {
    match call {
        Call::Open | Call::Poll => Reaction::Fatal,
        Call::Position => Reaction::Rewind(Cause::Consumer),
        Call::Commit | Call::Transaction if REPLACED.contains(&code) => Reaction::Fatal,
        // Whatever the coordinator's trouble is: all is durable, and the next commit says the same and more. Where the
        // membership is gone, the group takes the partitions and the revoke decides.
        Call::Commit => Reaction::Defer,
        Call::Send if TOPIC_REFUSES.contains(&code) => Reaction::Hold,
        Call::Send => Reaction::Rewind(Cause::Producer),
        Call::Delivery if PRODUCER_BROKEN.contains(&code) => Reaction::Rewind(Cause::Producer),
        // librdkafka has tried again what may be tried again. What it reports is a matter between this topic and this record.
        Call::Delivery => Reaction::Hold,
        Call::Transaction if TRANSACTIONS_IMPOSSIBLE.contains(&code) => Reaction::Fatal,
        Call::Transaction if GROUP_MOVED.contains(&code) => Reaction::Rewind(Cause::GroupMoved),
        // Whether it took effect is not known, or not worth telling apart: the next producer of this transactional id ends
        // what this one began, one way or the other, and the committed offsets say which (librdkafka lacks KIP-890, so that
        // a producer is never used again after such an error).
        Call::Transaction => Reaction::Rewind(Cause::Transaction),
    }
}

impl Fault {
    /// Returns the fault that an error of `call` is; what holds a topic is one only where the caller cannot hold it.
    pub(super) fn of(call: Call, error: &KafkaError) -> Fault {
        let detail = complaint::with_advice(&error.to_string());
        match reaction(call, error.rdkafka_error_code().unwrap_or(Code::Unknown)) {
            Reaction::Defer => Fault::Defer(detail),
            Reaction::Hold => Fault::Rewind {
                cause: Cause::TopicRefused,
                detail,
            },
            Reaction::Rewind(cause) => Fault::Rewind { cause, detail },
            Reaction::Fatal => Fault::Fatal(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use rdkafka::types::RDKafkaRespErr;

    use super::*;

    const CALLS: [Call; 7] = [
        Call::Open,
        Call::Poll,
        Call::Position,
        Call::Commit,
        Call::Send,
        Call::Delivery,
        Call::Transaction,
    ];

    fn word(reaction: Reaction) -> &'static str {
        match reaction {
            Reaction::Hold => "hold",
            Reaction::Defer => "defer",
            Reaction::Rewind(cause) => cause.label(),
            Reaction::Fatal => "FATAL",
        }
    }

    /// Every code that librdkafka knows, and the reaction to it in each call. `UPDATE_GOLDEN=1` writes the file anew.
    #[test]
    fn every_code_has_its_reaction() {
        let mut table = format!("{:<36}", "");
        for call in CALLS {
            write!(table, "{:<16}", format!("{call:?}").to_lowercase()).unwrap();
        }
        let known =
            (-200..=200).filter_map(|number| RDKafkaRespErr::try_from(number).ok().map(Code::from));
        for code in known
            .filter(|code| !matches!(code, Code::Begin | Code::End | Code::EndAll | Code::NoError))
        {
            write!(table, "\n{:<36}", format!("{code:?}")).unwrap();
            for call in CALLS {
                write!(table, "{:<16}", word(reaction(call, code))).unwrap();
            }
        }
        let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
        let table = lines.join("\n") + "\n";
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kafka/fault.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(golden, &table).unwrap();
        }
        assert_eq!(
            table,
            std::fs::read_to_string(golden).unwrap(),
            "read the difference, then UPDATE_GOLDEN=1"
        );
    }

    #[test]
    fn an_error_without_a_code_is_classified_too() {
        let error = KafkaError::Canceled;
        assert!(matches!(
            Fault::of(Call::Transaction, &error),
            Fault::Rewind {
                cause: Cause::Transaction,
                ..
            }
        ));
        assert!(matches!(Fault::of(Call::Open, &error), Fault::Fatal(_)));
    }
}
