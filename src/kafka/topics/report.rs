//! Every topic of a configuration as the brokers have it, all that is wrong at once; for `check`, which waits for nothing.

use super::{Problem, admin, describe, describe_settings, explain, limit, problems};
use crate::config::Config;
use crate::kafka::fault::Fault;
use crate::kafka::native::TopicDescription;

/// What the brokers say of all topics.
#[derive(Debug)]
pub struct Report {
    /// The source topics, then the output topics.
    pub topics: Vec<TopicState>,
    /// What is wrong, with the command that creates each missing output; empty where nothing is.
    pub complaint: String,
}

/// One topic.
#[derive(Debug, PartialEq, Eq)]
pub struct TopicState {
    /// Its name.
    pub name: String,
    /// Whether it is read.
    pub is_source: bool,
    /// How many partitions it has; absent if it does not exist or is not shown to us.
    pub partitions: Option<usize>,
    /// Whether we may do with it what we want; absent where the brokers do not tell.
    pub is_allowed: Option<bool>,
    /// The largest record batch it takes; absent where the brokers do not tell.
    pub max_message_bytes: Option<usize>,
}

impl Report {
    /// Asks the brokers once about the topics of `config`; `outputs` are the output topics. The group is not joined.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where no broker answers.
    pub fn of(config: &Config, outputs: &[String]) -> Result<Report, Fault> {
        let admin = admin(config)?;
        let described = describe(admin.inner(), config, outputs).map_err(Fault::Fatal)?;
        let names: Vec<String> = config
            .source
            .topics
            .iter()
            .chain(outputs)
            .cloned()
            .collect();
        // Where the limits are not told, Kafka's own are assumed, and the table says that they are not known.
        let settings = describe_settings(&admin, &names).unwrap_or_default();
        let state = |name: &String| {
            let topic = described.iter().find(|topic| topic.name == *name);
            let is_source = config.source.topics.contains(name);
            let is_allowed = if is_source {
                TopicDescription::may_read
            } else {
                TopicDescription::may_write
            };
            TopicState {
                name: name.clone(),
                is_source,
                partitions: topic.and_then(|topic| topic.partitions.as_ref().ok().copied()),
                is_allowed: topic
                    .filter(|topic| topic.operations.is_some())
                    .map(is_allowed),
                max_message_bytes: limit(&settings, name),
            }
        };
        let problems: Vec<Problem> = problems(&described, config, outputs);
        let complaint = if problems.is_empty() {
            String::new()
        } else {
            explain(&problems, &described, config)
        };
        Ok(Report {
            topics: names.iter().map(state).collect(),
            complaint,
        })
    }
}
