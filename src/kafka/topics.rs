//! The output topics as the broker has them: that they exist, how many partitions, how large a record each takes.

mod batch;
mod report;
mod watch;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier,
};
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

pub use self::report::{Report, TopicState};
pub use self::watch::TopicWatch;
use crate::config::Config;
use crate::envelope::TopicId;
use crate::kafka::complaint;
use crate::kafka::fault::{Call, Fault};
use crate::kafka::native::{self, TopicDescription};
use crate::kafka::{REQUEST_TIMEOUT, common_settings};
use crate::router::{DEFAULT_MAX_MESSAGE_BYTES, TopicLimits};

const UNTOLD: usize = 0;

/// How long a start waits for topics that are missing.
const PATIENCE: Duration = Duration::from_secs(3);

/// The embedded cluster never answers what we may do, and the service waits for this long at its start.
const RIGHTS_TIMEOUT: Duration = Duration::from_secs(3);

/// What is known of the output topics, in the router's order.
#[derive(Debug)]
pub struct Topics {
    /// Their names.
    pub names: Vec<String>,
    /// The largest record batch that each takes, as the broker told first, or [`UNTOLD`]. Larger records are dead letters.
    max_message_bytes: Vec<AtomicUsize>,
    /// The largest batch that each is sent where it has refused a larger one since, or [`UNTOLD`].
    batch_bytes: Vec<AtomicUsize>,
    /// The size of the batches of which each has refused one, until that is settled, or [`UNTOLD`].
    refused_batch_bytes: Vec<AtomicUsize>,
    /// Whether no more is to be waited for; see [`Topics::unasked`].
    are_known: AtomicBool,
}

impl Topics {
    /// Asks the brokers about the topics of `config`; `names` are the output topics.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a topic is missing or may not be used (all of them are named, with the command that creates each)
    /// or where no broker answers.
    pub fn check(config: &Config, names: &[String]) -> Result<Topics, Fault> {
        let admin = admin(config)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let described = describe(admin.inner(), config, names).map_err(Fault::Fatal)?;
            let problems = problems(&described, config, names);
            if problems.is_empty() {
                break;
            }
            // Of a topic that was just created not every broker knows yet.
            if Instant::now() > until {
                return Err(Fault::Fatal(explain(&problems, &described, config)));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        let topics = Topics::assume(names);
        topics.learn_limits_until(&admin, until);
        Ok(topics)
    }

    /// Asks the brokers for the limits of the topics `names` and for nothing else: whoever only reads them needs no right to write.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a property is wrong.
    pub fn limits_of(config: &Config, names: &[String]) -> Result<Topics, Fault> {
        let topics = Topics::assume(names);
        topics.learn_limits_until(&admin(config)?, Instant::now() + PATIENCE);
        Ok(topics)
    }

    /// Returns `names` with Kafka's own limits, for a cluster that was just made and cannot be asked, as the embedded one.
    #[must_use]
    pub fn assume(names: &[String]) -> Topics {
        Topics {
            are_known: AtomicBool::new(true),
            ..Topics::unasked(names)
        }
    }

    /// Returns `names` before anybody has answered about them, for a process that started over: it goes on when the brokers
    /// do, as it would have had it not started over.
    #[must_use]
    pub fn unasked(names: &[String]) -> Topics {
        let untold = || names.iter().map(|_| AtomicUsize::new(UNTOLD)).collect();
        Topics {
            names: names.to_vec(),
            max_message_bytes: untold(),
            batch_bytes: untold(),
            refused_batch_bytes: untold(),
            are_known: AtomicBool::new(false),
        }
    }

    /// Returns whether the brokers have answered: before that nobody knows how large a record may be.
    #[must_use]
    pub fn are_known(&self) -> bool {
        self.are_known.load(Ordering::Acquire)
    }

    /// Takes note that they have.
    pub fn set_known(&self) {
        self.are_known.store(true, Ordering::Release);
    }

    /// Returns the largest record batch that each topic takes, in bytes.
    fn limits(&self) -> impl Iterator<Item = usize> {
        (0..self.max_message_bytes.len()).map(|topic| self.max_bytes(TopicId(topic)))
    }

    /// Asks the broker for the limits that it has not told yet. Returns whether all are told.
    ///
    /// What was told holds until the next start: where a limit is lowered, larger records wait until it is raised again.
    fn learn_limits(&self, admin: &AdminClient<DefaultClientContext>) -> bool {
        let is_untold = |bytes: &&AtomicUsize| bytes.load(Ordering::Relaxed) == UNTOLD;
        if self.max_message_bytes.iter().filter(is_untold).count() == 0 {
            return true;
        }
        let described = describe_settings(admin, &self.names).unwrap_or_else(|error| {
            tracing::debug!(error, "the broker does not tell its topics' limits");
            Vec::new()
        });
        let mut is_all = true;
        for (name, known) in self
            .names
            .iter()
            .zip(&self.max_message_bytes)
            .filter(|(_, known)| is_untold(known))
        {
            match limit(&described, name) {
                Some(bytes) => known.store(bytes, Ordering::Relaxed),
                None => is_all = false,
            }
        }
        is_all
    }

    fn learn_limits_until(&self, admin: &AdminClient<DefaultClientContext>, until: Instant) {
        while !self.learn_limits(admin) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Returns how many topics' limits the brokers have told: a record that was too large may be a dead letter once there are more.
    #[must_use]
    pub fn n_told(&self) -> usize {
        self.max_message_bytes.iter().filter_map(told).count()
    }

    /// Returns the largest limit: a record for that topic must be able to leave.
    #[must_use]
    pub fn largest_limit(&self) -> usize {
        self.limits().max().unwrap_or(DEFAULT_MAX_MESSAGE_BYTES)
    }
}

/// Returns the number, unless nobody has told it.
fn told(bytes: &AtomicUsize) -> Option<usize> {
    Some(bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes != UNTOLD)
}

impl TopicLimits for Topics {
    fn max_bytes(&self, topic: TopicId) -> usize {
        self.max_message_bytes
            .get(topic.0)
            .and_then(told)
            .unwrap_or(DEFAULT_MAX_MESSAGE_BYTES)
    }
}

/// Why a topic cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no such topic to read.
    #[error("source topic does not exist: {0}")]
    NoSource(String),
    /// There is no such topic to write to.
    #[error("output topic does not exist: {0}")]
    NoOutput(String),
    /// It may not be read.
    #[error("no right to read topic {0}; grant Read on it")]
    NotReadable(String),
    /// It may not be written to.
    #[error("no right to write to topic {0}; grant Write on it")]
    NotWritable(String),
    /// The broker says something else.
    #[error("topic {0}: {1}")]
    Other(String, RDKafkaErrorCode),
}

fn admin(config: &Config) -> Result<AdminClient<DefaultClientContext>, Fault> {
    let mut settings = ClientConfig::new();
    common_settings(&mut settings, config, 0);
    for (name, value) in config.kafka.properties.iter() {
        settings.set(name, value);
    }
    settings
        .create()
        .map_err(|error| Fault::of(Call::Open, &error))
}

/// Describes the source topics and the output topics `names`; without our rights where the brokers do not tell them.
fn describe<C: ClientContext>(
    client: &Client<C>,
    config: &Config,
    names: &[String],
) -> Result<Vec<TopicDescription>, String> {
    // A redrive reads a topic that it also writes to; the client refuses to ask about one twice.
    let all: BTreeSet<&str> = config
        .source
        .topics
        .iter()
        .chain(names)
        .map(String::as_str)
        .collect();
    let all: Vec<&str> = all.into_iter().collect();
    native::describe_topics(client, &all, RIGHTS_TIMEOUT).or_else(|error| {
        tracing::debug!(error = %error, "the brokers do not tell what we may do with the topics");
        let complaints = native::complaints(client);
        if let Some(complaint) = complaint::lockout(&complaints) {
            return Err(format!("no broker answers: {complaint}"));
        }
        let described: Result<_, String> = all
            .iter()
            .map(|name| describe_plainly(client, config, name))
            .collect();
        described.map_err(|error| {
            complaint::most_telling(&complaints)
                .map_or(error, |said| format!("no broker answers: {said}"))
        })
    })
}

fn describe_plainly<C: ClientContext>(
    client: &Client<C>,
    config: &Config,
    name: &str,
) -> Result<TopicDescription, String> {
    let count = partition_count(client, name, REQUEST_TIMEOUT)
        .map_err(|error| format!("{error}; kafka.brokers is {}", config.kafka.brokers))?;
    let partitions = count.map(|count| usize::try_from(count).unwrap_or_default());
    Ok(TopicDescription {
        name: name.to_owned(),
        partitions,
        operations: None,
    })
}

fn problems(described: &[TopicDescription], config: &Config, names: &[String]) -> Vec<Problem> {
    let find = |name: &str| described.iter().find(|topic| topic.name == name);
    let of_source = |name: &String| {
        problem(
            name,
            find(name),
            TopicDescription::may_read,
            Problem::NoSource,
            Problem::NotReadable,
        )
    };
    let of_output = |name: &String| {
        problem(
            name,
            find(name),
            TopicDescription::may_write,
            Problem::NoOutput,
            Problem::NotWritable,
        )
    };
    config
        .source
        .topics
        .iter()
        .filter_map(of_source)
        .chain(names.iter().filter_map(of_output))
        .collect()
}

/// Returns why a topic cannot be used, as those of its kind say it.
fn problem(
    name: &str,
    topic: Option<&TopicDescription>,
    is_allowed: fn(&TopicDescription) -> bool,
    missing: fn(String) -> Problem,
    forbidden: fn(String) -> Problem,
) -> Option<Problem> {
    match topic.map(|topic| (&topic.partitions, is_allowed(topic))) {
        Some((Ok(_), true)) => None,
        None | Some((Err(RDKafkaErrorCode::UnknownTopicOrPartition), _)) => {
            Some(missing(name.to_owned()))
        }
        Some((Ok(_) | Err(RDKafkaErrorCode::TopicAuthorizationFailed), _)) => {
            Some(forbidden(name.to_owned()))
        }
        Some((Err(code), _)) => Some(Problem::Other(name.to_owned(), *code)),
    }
}

/// Says all that is wrong with the topics, and the command that creates each missing output, as large as the source.
fn explain(problems: &[Problem], described: &[TopicDescription], config: &Config) -> String {
    let is_source = |topic: &&TopicDescription| config.source.topics.contains(&topic.name);
    let sizes = described
        .iter()
        .filter(is_source)
        .filter_map(|topic| topic.partitions.as_ref().ok());
    let n_partitions = sizes.max().copied().unwrap_or(1);
    let (mut lines, mut commands) = (Vec::new(), Vec::new());
    for problem in problems {
        match problem {
            Problem::NoOutput(topic) => commands.push(create_command(config, topic, n_partitions)),
            Problem::NoSource(_)
            | Problem::NotReadable(_)
            | Problem::NotWritable(_)
            | Problem::Other(..) => {
                lines.push(problem.to_string());
            }
        }
    }
    if !commands.is_empty() {
        lines.push(format!(
            "output topics do not exist; create them:\n{}",
            commands.join("\n")
        ));
    }
    lines.join("\n")
}

/// Returns how many partitions a topic has, or what the broker says of one that is missing or that we may not see.
pub(crate) fn partition_count<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Result<i32, RDKafkaErrorCode>, String> {
    const MISSING: RDKafkaErrorCode = RDKafkaErrorCode::UnknownTopicOrPartition;
    let metadata = client
        .fetch_metadata(Some(topic), timeout)
        .map_err(|error| {
            let cause = complaint::most_telling(&native::complaints(client))
                .unwrap_or_else(|| error.to_string());
            format!("no broker answers about topic {topic}: {cause}")
        })?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(Err(MISSING));
    };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(i32::try_from(found.partitions().len())
            .ok()
            .filter(|count| *count > 0)
            .ok_or(MISSING)),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok(Err(MISSING))
        }
        Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => Ok(Err(code)),
        Some(code) => Err(complaint::with_advice(&format!("topic {topic}: {code}"))),
    }
}

fn create_command(config: &Config, topic: &str, partitions: usize) -> String {
    let brokers = &config.kafka.brokers;
    format!(
        "  kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions {partitions}"
    )
}

fn limit(described: &[ConfigResource], name: &str) -> Option<usize> {
    let is_it = |resource: &&ConfigResource| matches!(&resource.specifier, OwnedResourceSpecifier::Topic(topic) if topic == name);
    let entry = described.iter().find(is_it)?.get("max.message.bytes")?;
    entry.value.as_deref()?.parse().ok()
}

fn describe_settings(
    admin: &AdminClient<DefaultClientContext>,
    names: &[String],
) -> Result<Vec<ConfigResource>, String> {
    let resources: Vec<ResourceSpecifier<'_>> = names
        .iter()
        .map(|name| ResourceSpecifier::Topic(name))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| error.to_string())?;
    let answer = runtime
        .block_on(admin.describe_configs(&resources, &options))
        .map_err(|error| error.to_string())?;
    Ok(answer.into_iter().filter_map(Result::ok).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(limits: &[usize]) -> Topics {
        let max_message_bytes = limits.iter().copied().map(AtomicUsize::new).collect();
        Topics {
            max_message_bytes,
            ..Topics::assume(&[])
        }
    }

    #[test]
    fn a_topic_takes_what_it_told_and_kafkas_default_until_then() {
        let topics = topics(&[1600, UNTOLD]);
        assert_eq!(
            [0, 1, 2].map(|index| topics.max_bytes(TopicId(index))),
            [1600, 1_048_588, 1_048_588]
        );
    }

    #[test]
    fn a_batch_fits_the_smallest_topic_and_a_record_the_largest() {
        assert_eq!(topics(&[1_048_588, 10_485_760]).batch_size(), 983_052);
        assert_eq!(topics(&[1_048_588, 10_485_760]).largest_limit(), 10_485_760);
        assert_eq!(topics(&[20_000_000]).batch_size(), 1_000_000);
        assert_eq!(topics(&[1600]).batch_size(), 1500);
    }

    #[test]
    fn batches_are_as_small_as_the_topic_that_refused_one_wants_them() {
        let topics = Topics {
            batch_bytes: vec![AtomicUsize::new(500)],
            ..topics(&[1_048_588])
        };
        assert_eq!(
            (topics.batch_size(), topics.largest_limit()),
            (500, 1_048_588)
        );
    }
}
