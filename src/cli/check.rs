//! `groupcast check`: the configuration, every definition and its examples; nothing is connected to unless asked.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::report::{self, Failure};
use super::terminal::columns;
use crate::config::Config;
use crate::destination::Catalogue;
use crate::diagnostic::has_errors;
use crate::examples;
use crate::kafka::refusal;
use crate::kafka::topics::{Report, TopicState};
use crate::router::Router;

/// Checks the configuration, every definition and its examples, and says all that is wrong at once
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file; without one the built-in definitions are checked
    #[arg(long, short, value_name = "FILE", env = "GROUPCAST_CONFIG")]
    config: Option<PathBuf>,
    /// Set one key over the file and the environment
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value)]
    overrides: Vec<(String, String)>,
    /// Also ask the brokers about each topic: partitions, rights and sizes; the group is not joined
    #[arg(long, requires = "config")]
    broker: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loaded = match &arguments.config {
        Some(file) => Some(Config::load(file, &arguments.overrides)?),
        None => None,
    };
    let built_in;
    let catalogue = match &loaded {
        Some((config, _)) => &config.catalogue,
        None => {
            built_in = Catalogue::built_in();
            &built_in
        }
    };
    let mut found: Vec<_> = loaded
        .iter()
        .flat_map(|(_, warnings)| warnings.clone())
        .collect();
    found.extend(catalogue.iter().flat_map(examples::check));
    report::print_diagnostics(&found);
    if has_errors(&found) {
        return Err(Failure::Said(2));
    }
    if let Some((config, _)) = &loaded {
        refusal::check_settings(config).map_err(Failure::Argument)?;
    }
    let mut out = io::stdout().lock();
    let n_examples: usize = catalogue
        .iter()
        .map(|definition| examples::count(definition))
        .sum();
    writeln!(
        out,
        "definitions: {} good, {n_examples} examples come out as they say",
        catalogue.iter().count()
    )?;
    if let Some((config, _)) = &loaded {
        print_routes(config, &mut out)?;
        if arguments.broker {
            print_topics(config, &mut out)?;
        }
    }
    Ok(())
}

/// Prints each topic as the brokers have it, then all that is wrong.
fn print_topics(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let router = Router::new(config.routing())?;
    let Report { topics, complaint } = Report::of(config, router.topics())?;
    writeln!(
        out,
        "broker: {} answers for {} topics",
        config.kafka.brokers,
        topics.len()
    )?;
    let width = topics
        .iter()
        .map(|topic| columns(&topic.name))
        .max()
        .unwrap_or_default();
    for topic in &topics {
        let padding = width - columns(&topic.name);
        writeln!(out, "  {}{:padding$}  {}", topic.name, "", describe(topic))?;
    }
    let is_small = |topic: &&TopicState| {
        !topic.is_source
            && topic
                .max_message_bytes
                .is_some_and(|bytes| bytes < router.limits().record_bytes)
    };
    for topic in topics.iter().filter(is_small) {
        let limit = router.limits().record_bytes;
        let text = format!(
            "{} takes less than the {limit} bytes that an event may have",
            topic.name
        );
        report::say(format_args!(
            "warning: {text}\n  hint: what does not fit becomes a dead letter (too_large)"
        ));
    }
    if complaint.is_empty() {
        writeln!(out, "  all topics are there and may be used")?;
        return Ok(());
    }
    Err(Failure::Work(anyhow::anyhow!(complaint)))
}

fn describe(topic: &TopicState) -> String {
    let role = if topic.is_source { "source" } else { "output" };
    let Some(partitions) = topic.partitions else {
        return format!("{role}, not there");
    };
    let partitions = if partitions == 1 {
        "1 partition".to_owned()
    } else {
        format!("{partitions} partitions")
    };
    let verb = if topic.is_source { "read" } else { "written" };
    let rights = match topic.is_allowed {
        Some(true) => format!("may be {verb}"),
        Some(false) => format!("may not be {verb}"),
        None => "rights not told".to_owned(),
    };
    let size = topic.max_message_bytes.map_or_else(
        || "limit not told".to_owned(),
        |bytes| format!("records of up to {bytes} bytes"),
    );
    format!("{role}, {partitions}, {rights}, {size}")
}

fn print_routes(config: &Config, out: &mut impl Write) -> Result<(), Failure> {
    let router = Router::new(config.routing())?;
    writeln!(out, "configuration: good")?;
    for source in &config.source.topics {
        writeln!(out, "  {source}")?;
        for instance in &config.destinations {
            let note = if instance.is_enabled_by_default() {
                ""
            } else {
                "   (opt-in: only by a flag of its own)"
            };
            writeln!(out, "    -> {}{note}", instance.topic_for(source))?;
        }
        writeln!(
            out,
            "    -> {}   (dead letters)",
            config.dead_letters.topic_for(source)
        )?;
    }
    writeln!(out, "  {} output topics", router.topics().len())?;
    Ok(())
}
