//! The command line: parse, call, print. One file a subcommand.

mod audit;
mod backfill;
mod check;
mod completions;
mod dead_letters;
mod demo;
mod destinations;
mod explain;
mod health;
mod playground;
mod replay;
mod report;
mod run;
mod snippet;
mod suggest;
mod terminal;
mod test;
mod topics;
mod transform;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use self::report::Failure;
use crate::config::Config;
use crate::diagnostic::nearest;
use crate::log;
use crate::process::signals::{self, Hangup};

/// Runs the program with the arguments of the process: exit code 0 done, 1 the work failed, 2 the input is wrong.
#[must_use]
pub fn main() -> ExitCode {
    // Before anything else: what comes until somebody can act upon it waits.
    let held = signals::hold();
    let arguments = Arguments::parse();
    terminal::set_color(arguments.color);
    let ended = held
        .and_then(|()| arguments.command.await_signals())
        .map_err(Failure::from)
        .and_then(|()| arguments.command.run());
    let code = match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    };
    log::flush();
    code
}
/// Returns the whole command line, for what must cover every command.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Fans Segment-style `group` events on a Kafka topic out to one topic per destination, in each API's own shape.
#[derive(Debug, Parser)]
#[command(name = "groupcast", version, long_version = version(), max_term_width = 100)]
#[command(
    after_help = "Start with `groupcast demo`: it needs nothing installed and shows the whole job."
)]
struct Arguments {
    /// When to colour what is printed; NO_COLOR counts too
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false
    )]
    color: clap::ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Replay(replay::Arguments),
    Audit(audit::Arguments),
    DeadLetters(dead_letters::Arguments),
    Demo(demo::Arguments),
    Transform(transform::Arguments),
    Explain(explain::Arguments),
    Playground(playground::Arguments),
    Suggest(suggest::Arguments),
    Check(check::Arguments),
    Test(test::Arguments),
    Topics(topics::Arguments),
    Health(health::Arguments),
    Destinations(destinations::Arguments),
    Completions(completions::CompletionsArguments),
    Man(completions::ManArguments),
}

impl Command {
    /// Has signals wait for a command that runs the service's loop, and leaves them to the system for all others.
    fn await_signals(&self) -> io::Result<()> {
        match self {
            Command::Run(_) => signals::watch(0, Hangup::Reload),
            // What was to be done is not done.
            Command::Replay(_) | Command::DeadLetters(_) | Command::Demo(_) => {
                signals::watch(1, Hangup::Stop)
            }
            Command::Transform(_)
            | Command::Explain(_)
            | Command::Playground(_)
            | Command::Suggest(_)
            | Command::Audit(_)
            | Command::Check(_)
            | Command::Test(_)
            | Command::Topics(_)
            | Command::Health(_)
            | Command::Destinations(_)
            | Command::Completions(_)
            | Command::Man(_) => signals::release(),
        }
    }

    fn run(&self) -> Result<(), Failure> {
        match self {
            Command::Run(arguments) => run::run(arguments),
            Command::Replay(arguments) => replay::run(arguments),
            Command::Audit(arguments) => audit::run(arguments),
            Command::DeadLetters(arguments) => dead_letters::run(arguments),
            Command::Demo(arguments) => demo::run(arguments),
            Command::Transform(arguments) => transform::run(arguments),
            Command::Explain(arguments) => explain::run(arguments),
            Command::Playground(arguments) => playground::run(arguments),
            Command::Suggest(arguments) => suggest::run(arguments),
            Command::Check(arguments) => check::run(arguments),
            Command::Test(arguments) => test::run(arguments),
            Command::Topics(arguments) => topics::run(arguments),
            Command::Health(arguments) => health::run(arguments),
            Command::Destinations(arguments) => destinations::run(arguments),
            Command::Completions(arguments) => completions::completions(arguments, command()),
            Command::Man(arguments) => completions::man(arguments, command()),
        }
    }
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
struct ConfigArguments {
    /// The configuration file (YAML); deploy/groupcast.yaml is a commented one
    #[arg(long, short, value_name = "FILE", env = "GROUPCAST_CONFIG")]
    config: PathBuf,
    /// Set one key over the file and the environment, like source.group_id=backfill
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,
}

impl ConfigArguments {
    /// Loads the configuration and prints its warnings to standard error.
    fn load(&self) -> Result<Config, Failure> {
        let (config, warnings) = Config::load(&self.config, &self.overrides)?;
        report::print_diagnostics(&warnings);
        Ok(config)
    }
}

/// Reads `topic/partition/offset`, the form in which positions are printed everywhere.
fn position(text: &str) -> Result<(String, i32, i64), String> {
    let parts = text.rsplit('/').collect::<Vec<_>>();
    match parts.as_slice() {
        [offset, partition, topic] if !topic.is_empty() => {
            let partition = partition
                .parse()
                .map_err(|_| format!("not a partition: {partition}"))?;
            let offset = offset
                .parse()
                .map_err(|_| format!("not an offset: {offset}"))?;
            Ok(((*topic).to_owned(), partition, offset))
        }
        _ => Err("expected topic/partition/offset".to_owned()),
    }
}

/// Checks that each of `given` is one of `known`.
fn check_names<'a>(
    what: &str,
    given: &[String],
    known: impl Iterator<Item = &'a str>,
) -> Result<(), Failure> {
    let known: Vec<&str> = known.collect();
    match given.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let hint = nearest(unknown, known).map_or_else(String::new, |near| {
                format!("\n  hint: did you mean: {near}")
            });
            Err(Failure::Argument(format!(
                "not a configured {what}: {unknown}{hint}"
            )))
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn version() -> &'static str {
    static VERSION: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
        // What it was built with: TLS or a compression that is missing shows here, and not before it is needed elsewhere.
        let settings = rdkafka::ClientConfig::new().create_native_config();
        let features = settings
            .and_then(|settings| settings.get("builtin.features"))
            .unwrap_or_default();
        format!(
            "{}\nlibrdkafka {librdkafka} with {features}",
            env!("CARGO_PKG_VERSION")
        )
    });
    &VERSION
}
