//! `groupcast topics`: what creates the output topics, for a shell, Strimzi or Terraform.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use super::ConfigArguments;
use super::report::{self, Failure};
use crate::config::Config;
use crate::kafka::topics::{Report, TopicState};
use crate::router::Router;

/// Prints what creates the output topics of a configuration; creates nothing
///
/// Each output topic gets as many partitions as the largest source topic, which the brokers are asked for unless you give
/// --partitions. Retention is yours to choose: a topic must keep records for as long as its sender may be down.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Only those that do not exist yet; asks the brokers
    #[arg(long)]
    missing: bool,
    /// What to print
    #[arg(long, value_enum, default_value = "shell")]
    format: Format,
    /// Partitions of each topic
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: Option<u32>,
    /// Replicas of each partition; the brokers' default unless you say so, and 3 for Terraform, which must know
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    replication_factor: Option<u16>,
    /// The name of the Kafka resource that Strimzi's topics belong to
    #[arg(long, value_name = "NAME", default_value = "kafka")]
    cluster: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The names, one a line
    Names,
    /// One kafka-topics.sh command per topic
    Shell,
    /// KafkaTopic resources for the Strimzi operator
    Strimzi,
    /// kafka_topic resources for the Terraform provider Mongey/kafka
    Terraform,
}

/// One topic to be created.
struct Topic<'a> {
    name: &'a str,
    partitions: u32,
    replicas: Option<u16>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let router = Router::new(config.routing())?;
    let mut names: Vec<&str> = router.topics().iter().map(String::as_str).collect();
    let mut partitions = arguments.partitions;
    if arguments.missing || (partitions.is_none() && arguments.format != Format::Names) {
        let report = Report::of(&config, router.topics())?;
        if partitions.is_none() {
            partitions = Some(source_partitions(&report.topics, &config)?);
        }
        if arguments.missing {
            names.retain(|name| !exists(&report.topics, name));
        }
    }
    let topics = names.iter().map(|name| Topic {
        name,
        partitions: partitions.unwrap_or(1),
        replicas: arguments.replication_factor,
    });
    let mut out = io::stdout().lock();
    for topic in topics {
        match arguments.format {
            Format::Names => writeln!(out, "{}", topic.name)?,
            Format::Shell => writeln!(out, "{}", topic.shell(&config.kafka.brokers))?,
            Format::Strimzi => writeln!(out, "{}", topic.strimzi(&arguments.cluster))?,
            Format::Terraform => writeln!(out, "{}", topic.terraform())?,
        }
    }
    if names.is_empty() {
        report::say("all output topics exist");
    }
    Ok(())
}

/// Returns how many partitions the largest source topic has.
fn source_partitions(topics: &[TopicState], config: &Config) -> Result<u32, Failure> {
    let sources = topics.iter().filter(|topic| topic.is_source);
    let largest = sources.filter_map(|topic| topic.partitions).max();
    largest
        .and_then(|count| u32::try_from(count).ok())
        .ok_or_else(|| {
            let names = config.source.topics.join(", ");
            Failure::Argument(format!(
                "no source topic exists to take the number of partitions from, so give --partitions: {names}"
            ))
        })
}

fn exists(topics: &[TopicState], name: &str) -> bool {
    let found = topics.iter().find(|topic| topic.name == name);
    found.is_some_and(|topic| topic.partitions.is_some())
}

impl Topic<'_> {
    fn shell(&self, brokers: &str) -> String {
        let Topic {
            name, partitions, ..
        } = self;
        let replicas = self.replicas.map_or(String::new(), |replicas| {
            format!(" --replication-factor {replicas}")
        });
        format!(
            "kafka-topics.sh --bootstrap-server {brokers} --create --if-not-exists --topic {name} --partitions {partitions}{replicas}"
        )
    }

    /// A resource's name takes small letters, digits, `-` and `.` only, so the topic's own name stands in the specification.
    fn strimzi(&self, cluster: &str) -> String {
        let Topic {
            name, partitions, ..
        } = self;
        let replicas = self.replicas.map_or(String::new(), |replicas| {
            format!("\n  replicas: {replicas}")
        });
        let resource = name.to_ascii_lowercase().replace('_', "-");
        format!(
            "---
apiVersion: kafka.strimzi.io/v1beta2
kind: KafkaTopic
metadata:
  name: {resource}
  labels:
    strimzi.io/cluster: {cluster}
spec:
  topicName: {name}
  partitions: {partitions}{replicas}"
        )
    }

    fn terraform(&self) -> String {
        let Topic {
            name, partitions, ..
        } = self;
        let replicas = self.replicas.unwrap_or(3);
        let resource = name.replace('.', "_");
        format!(
            "resource \"kafka_topic\" \"{resource}\" {{
  name               = \"{name}\"
  partitions         = {partitions}
  replication_factor = {replicas}
}}
"
        )
    }
}
