//! Configuration: one YAML file, environment variables over it, flags over those; every fault reported at once.
//!
//! Reads files and nothing else of the world: no broker is asked here, and no clock.

pub mod pending;
pub mod properties;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::config::pending::{Catalogue, DeadLetterRules, FlagMatch, Instance, Limits, Routing, Vocabulary};
use crate::config::properties::Properties;
use crate::diagnostic::Diagnostic;
use crate::envelope::Format;

/// Everything that can be configured, read and checked.
pub struct Config {
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// What is read, as whom, from where on.
    pub source: Source,
    /// When and how surely what was sent is committed.
    pub delivery: Delivery,
    /// Every definition there is: the built-in ones and those of the `definitions` folder.
    pub catalogue: Catalogue,
    /// The configured destinations, in the file's order.
    pub destinations: Vec<Instance>,
    /// How a record carries its body (`records.format`).
    pub format: Format,
    /// Where that goes that cannot be sent.
    pub dead_letters: DeadLetterRules,
    /// The traits that have a canonical spelling, and their aliases.
    pub traits: Vocabulary,
    /// How flags match names (`flags.match`).
    pub flags: FlagMatch,
    /// What an event may not exceed.
    pub limits: Limits,
    /// Where metrics and health are served (`http.listen`); absent where it is `off`.
    pub http: Option<SocketAddr>,
    /// What is logged, and how.
    pub log: Log,
}

/// How to reach Kafka.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// Addresses to start from, `host:port`, comma separated.
    pub brokers: String,
    /// librdkafka properties of every client.
    pub properties: Properties,
    /// librdkafka properties of consumers, over [`Kafka::properties`].
    pub consumer_properties: Properties,
    /// librdkafka properties of producers, over [`Kafka::properties`].
    pub producer_properties: Properties,
}

impl Kafka {
    /// Returns the properties of a consumer, in clear; a later one overrides an earlier one of its name.
    pub fn consumer(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter().chain(self.consumer_properties.iter())
    }

    /// Returns the properties of a producer, in clear; a later one overrides an earlier one of its name.
    pub fn producer(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties.iter().chain(self.producer_properties.iter())
    }
}

/// What is read, as whom, from where on.
#[derive(Debug, Clone)]
pub struct Source {
    /// The topics, by literal name; at least one.
    pub topics: Vec<String>,
    /// The consumer group.
    pub group_id: String,
    /// Where a partition starts that the group has no offset for.
    pub start: Start,
    /// What to do where retention has overtaken the group's offset.
    pub on_gap: OnGap,
    /// Worker threads, each a member of the group; at least one.
    pub workers: usize,
}

/// Where a partition starts that the group has no offset for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    Earliest,
    /// At the end.
    Latest,
    /// At the first record at or after this time, in Unix milliseconds.
    Time(i64),
}

/// What to do where retention has overtaken the group's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// Stop the worker and name the lost range.
    Stop,
    /// Count and log the lost range, and go on at the oldest record.
    Continue,
}

/// When and how surely what was sent is committed.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What a crash may do.
    pub guarantee: Guarantee,
    /// When an epoch ends: at the first bound it meets.
    pub epoch: EpochBounds,
    /// How long a shutdown may take to drain and commit.
    pub shutdown_timeout: Duration,
}

/// What a crash may do to the records that leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Repeat the last epoch's.
    AtLeastOnce,
    /// Nothing that a reader of committed records can see.
    ExactlyOnce,
}

/// When an epoch ends: at the first bound it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochBounds {
    /// Time since its first record (`interval_ms`).
    pub interval: Duration,
    /// Records consumed.
    pub records: usize,
    /// Bytes emitted.
    pub bytes: usize,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// A filter as `tracing-subscriber` reads it: `info`, `groupcast=debug,warn`.
    pub level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads `file`, the process environment (`GROUPCAST__KAFKA__BROKERS`) over it, and `overrides` (dotted key and value) over both.
    ///
    /// Returns the configuration and the warnings about it.
    ///
    /// # Errors
    /// Every fault of the file, the definitions, the environment and the overrides, warnings too.
    pub fn load(file: &Path, overrides: &[(String, String)]) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
        let _ = (file, overrides);
        Err(Vec::new())
    }

    /// Does as [`Config::load`] with the text of a file called `name` and the given environment.
    ///
    /// Paths in `text` are relative to the folder of `name`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(
        name: &str,
        text: &str,
        environment: &[(String, String)],
        overrides: &[(String, String)],
    ) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
        let _ = (name, text, environment, overrides);
        Err(Vec::new())
    }

    /// Returns what a router is made from.
    #[must_use]
    pub fn routing(&self) -> Routing {
        Routing {
            source_topics: self.source.topics.clone(),
            destinations: self.destinations.clone(),
            vocabulary: self.traits.clone(),
            flag_match: self.flags,
            format: self.format,
            dead_letters: self.dead_letters.clone(),
            limits: self.limits,
            replay: None,
        }
    }
}
