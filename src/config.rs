//! Configuration: one YAML file, environment variables over it, flags over those; every fault reported at once.
//!
//! Reads files and nothing else of the world: no broker is asked here, and no clock.

mod delivery;
mod destinations;
mod difference;
mod fields;
mod merge;
mod place;
mod privacy;
pub mod properties;
mod read;
mod secrets;
mod traits;

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use self::delivery::{Delivery, EpochBounds, Guarantee, Profile};
use crate::config::properties::Properties;
use crate::config::secrets::Secrets;
use crate::consent;
use crate::destination::{Catalogue, Instance};
use crate::diagnostic::{Diagnostic, Diagnostics, has_errors};
use crate::envelope::Format;
use crate::event::{Limits, Pointer, SourceFormat};
use crate::flags::FlagMatch;
use crate::router::{DeadLetterRules, Routing};
use crate::traits::Vocabulary;
use crate::yaml;

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
    /// What a category of consent means that an event has no preference for (`consent.missing`).
    pub missing_consent: consent::Missing,
    /// What an event may not exceed.
    pub limits: Limits,
    /// Where metrics and health are served (`http.listen`); absent where it is `off`.
    pub http: Option<SocketAddr>,
    /// What is logged, and how.
    pub log: Log,
    /// The files that passwords, keys and certificates are read from.
    pub credentials: Vec<PathBuf>,
    /// What must not be printed.
    secrets: Vec<String>,
}

/// How to reach Kafka.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// Addresses to start from, `host:port`, comma separated.
    pub brokers: String,
    /// What all clients call themselves unless a property says otherwise; absent, each worker's has a name of its own.
    pub client_id: Option<&'static str>,
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
        self.properties
            .iter()
            .chain(self.consumer_properties.iter())
    }

    /// Returns the properties of a producer, in clear; a later one overrides an earlier one of its name.
    pub fn producer(&self) -> impl Iterator<Item = (&str, &str)> {
        self.properties
            .iter()
            .chain(self.producer_properties.iter())
    }

    /// Returns the files that librdkafka reads keys and certificates from, once for each client.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let is_file = |name: &str| name.ends_with(".location") || name.ends_with(".file");
        let all = self.consumer().chain(self.producer_properties.iter());
        all.filter(move |(name, value)| is_file(name) && *value != "probe")
            .map(|(_, value)| PathBuf::from(value))
    }
}

/// What is read, as whom, from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The topics, by literal name; at least one.
    pub topics: Vec<String>,
    /// Where the records of a topic hold their events; the value is the event for topics that are not here.
    pub event_at: BTreeMap<String, Pointer>,
    /// What is around the JSON of a record's value.
    pub format: SourceFormat,
    /// The consumer group.
    pub group_id: String,
    /// Where the group starts in a topic that it has no offset in; a partition that is added later starts at its beginning.
    pub start: Start,
    /// What to do where retention has overtaken the group's offset.
    pub on_gap: OnGap,
    /// What to do where the client cannot decode a batch.
    pub on_undecodable: OnUndecodable,
    /// What a batch may decompress to.
    pub max_batch_bytes: u64,
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

/// What to do where the client cannot decode a batch: it is damaged, or larger than [`Source::max_batch_bytes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUndecodable {
    /// Have its partition wait, and name the offset.
    Hold,
    /// Count and log the batch, and go on behind it.
    Skip,
}

/// [`Source::max_batch_bytes`] where nothing else is said: many times what Kafka's own limit of 1 MiB, compressed, holds as a
/// rule.
pub const MAX_BATCH_BYTES: u64 = 32 << 20;

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
    pub fn load(
        file: &Path,
        overrides: &[(String, String)],
    ) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
        let name = file.display().to_string();
        let mut diagnostics = Diagnostics::new(&name);
        let environment = process_environment(&mut diagnostics);
        let text = match read_text(file) {
            Ok(text) => text,
            Err(error) => {
                diagnostics.error(None, format!("cannot be read: {error}"));
                return Err(diagnostics.into_sorted());
            }
        };
        if diagnostics.has_errors() {
            return Err(diagnostics.into_sorted());
        }
        Config::from_text(&name, &text, &environment, overrides)
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
        let mut diagnostics = Diagnostics::new(name);
        let Some(file) = yaml::parse(text, &mut diagnostics) else {
            return Err(diagnostics.into_sorted());
        };
        let (mut tree, origins) = merge::merge(&file, environment, overrides, &mut diagnostics);

        let folder = Path::new(name).parent().unwrap_or(Path::new(""));
        let mut secrets = Secrets::new(folder, environment);
        let mut about_secrets = Diagnostics::new(name);
        secrets.resolve(&mut tree, &mut about_secrets);

        let mut config = read::config(&tree, folder, &mut diagnostics);
        let about_values = diagnostics
            .into_sorted()
            .into_iter()
            .filter(|diagnostic| !secrets.is_consequence(diagnostic));
        about_secrets.extend(about_values);
        let told = about_secrets
            .into_sorted()
            .into_iter()
            .map(|found| secrets.redacted(origins.name(found)));
        let told: Vec<Diagnostic> = told.collect();
        (config.secrets, config.credentials) = secrets.into_texts_and_files();
        config.credentials.extend(config.kafka.files());
        if has_errors(&told) {
            Err(told)
        } else {
            Ok((config, told))
        }
    }

    /// Takes what is secret out of a text.
    pub(crate) fn redacted(&self, text: String) -> String {
        secrets::redact(text, &self.secrets)
    }

    /// Returns what a router is made from.
    #[must_use]
    pub fn routing(&self) -> Routing {
        let names = self
            .catalogue
            .iter()
            .flat_map(|definition| [&definition.name].into_iter().chain(&definition.aliases));
        Routing {
            source_topics: self.source.topics.clone(),
            event_at: self.source.event_at.clone(),
            source_format: self.source.format,
            destinations: self.destinations.clone(),
            known_names: names.cloned().collect(),
            vocabulary: self.traits.clone(),
            flag_match: self.flags,
            missing_consent: self.missing_consent,
            format: self.format,
            dead_letters: self.dead_letters.clone(),
            limits: self.limits,
            replay: None,
        }
    }
}

/// Reads a regular file. A pipe or a device could keep its reader waiting for ever, as at a reload.
pub(crate) fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    fs::read(file)
}

/// The same of a file that is text.
pub(crate) fn read_text(file: &Path) -> io::Result<String> {
    String::from_utf8(read_bytes(file)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

/// Returns the variables that are text. One of ours that is not is reported.
fn process_environment(diagnostics: &mut Diagnostics) -> Vec<(String, String)> {
    let mut environment = Vec::new();
    for (name, text) in env::vars_os() {
        match (name.into_string(), text.into_string()) {
            (Ok(name), Ok(text)) => environment.push((name, text)),
            (Ok(name), Err(_)) if name.to_ascii_uppercase().starts_with("GROUPCAST__") => {
                diagnostics.error(None, format!("not valid UTF-8: environment {name}"));
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => {}
        }
    }
    environment
}

impl fmt::Debug for Config {
    /// Writes everything but what came from a secret, wherever it is used, and but the destinations' settings.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config {
            kafka,
            source,
            delivery,
            format,
            dead_letters,
            traits,
            flags,
            limits,
            http,
            log,
            ..
        } = self;
        let destinations: Vec<&str> = self
            .destinations
            .iter()
            .map(|instance| instance.name.as_str())
            .collect();
        let shown = format!(
            "Config {{ kafka: {kafka:?}, source: {source:?}, delivery: {delivery:?}, destinations: {destinations:?}, \
             format: {format:?}, dead_letters: {dead_letters:?}, traits: {traits:?}, flags: {flags:?}, limits: {limits:?}, \
             http: {http:?}, log: {log:?} }}"
        );
        formatter.write_str(&secrets::redact(shown, &self.secrets))
    }
}

#[cfg(test)]
mod tests;
