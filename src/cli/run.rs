//! `groupcast run`: the service.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use tracing_subscriber::EnvFilter;

use super::ConfigArguments;
use super::report::{Failure, say};
use crate::config::{Config, Log, LogFormat};
use crate::diagnostic::Diagnostic;
use crate::kafka::refusal;
use crate::kafka::source::bound::Reading;
use crate::kafka::topics::Topics;
use crate::log;
use crate::process::{self, Process, signals};
use crate::router::Router;
use crate::service::{Ended, Service};

/// Runs the service: reads the source topics and writes each destination's topic, until SIGTERM or Ctrl-C
///
/// SIGHUP reads the configuration anew: destinations, flags, traits, limits, records, dead letters and their secrets change
/// between two epochs; what else differs, or has a fault, is refused, and the old configuration stays in force.
///
/// At SIGTERM it drains and commits, within delivery.shutdown_timeout_ms; a second signal ends it at once. Where a Kafka client call
/// hangs, the process starts over in place, with the same process id; it ends with exit code 70 if that happens while it
/// stops. Nothing is lost either way.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
}

/// How long a process that starts over waits for a configuration that loads.
const LOAD_PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Arc::new(load(&arguments.config)?);
    refusal::check_settings(&config).map_err(Failure::Argument)?;
    start_log(&config.log)?;
    let router = Router::new(config.routing())?;
    // A process that started over does not end where a broker is away: no supervisor need start it again, later and later.
    let topics = match Process::this().restarts {
        0 => Topics::check(&config, router.topics())?,
        _ => Topics::unasked(router.topics()),
    };
    signals::serve();
    let service = Service::start(Arc::clone(&config), router, topics, Reading::Live)?;
    service.stop_on_signals();
    let files = arguments.config.clone();
    service.start_over_when_stuck(move || check(&files).map(drop));
    let again = arguments.config.clone();
    service.reload_on_hangup(Arc::clone(&config), move || {
        again.load().map_err(Failure::into_text)
    });
    let files = arguments.config.clone();
    service.follow_credentials(config.credentials.clone(), move || try_out(&files));
    let (workers, group_id) = (config.source.workers, &config.source.group_id);
    let http = service.http().map(|address| address.to_string());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        workers,
        group_id,
        http,
        "running"
    );
    // Each fault is in the log by now.
    match service.wait().map_err(|_| Failure::Said(1))? {
        Ended::Stopped => {
            tracing::info!("stopped");
            Ok(())
        }
        Ended::ToStartOver => Err(Failure::Work(anyhow!(
            "the process cannot start over: {}",
            process::start_over()
        ))),
    }
}

/// Loads the configuration. A process that starts over has found that it loads: if it no longer does, somebody is writing it.
fn load(arguments: &ConfigArguments) -> Result<Config, Failure> {
    let until = Instant::now() + LOAD_PATIENCE;
    let mut result = arguments.load();
    if result.is_err() && Process::this().restarts > 0 {
        say(format_args!(
            "the configuration does not load; it is read again for {} s",
            LOAD_PATIENCE.as_secs()
        ));
        while result.is_err() && Instant::now() < until {
            thread::sleep(Duration::from_millis(200));
            result = arguments.load();
        }
    }
    result
}

/// Reads the configuration again, and asks the brokers with it.
fn try_out(arguments: &ConfigArguments) -> Result<(), String> {
    let (config, router) = check(arguments)?;
    Topics::check(&config, router.topics())
        .map(drop)
        .map_err(|fault| fault.to_string())
}

/// Reads the configuration again, as the next start will.
fn check(arguments: &ConfigArguments) -> Result<(Config, Router), String> {
    let told = |diagnostics: Vec<Diagnostic>| {
        diagnostics
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    let (config, _) = Config::load(&arguments.config, &arguments.overrides).map_err(told)?;
    refusal::check_settings(&config)?;
    let router = Router::new(config.routing()).map_err(told)?;
    Ok((config, router))
}

/// Sends log lines to standard error, in the configured format.
pub(super) fn start_log(settings: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.level)
        .map_err(|error| Failure::Argument(format!("log.level: {error}")))?;
    log::start()?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would print what it cannot write to standard error, and panic where that cannot be written to either.
        .log_internal_errors(false)
        .with_writer(|| log::Line);
    let started = match settings.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::Work(anyhow!("the log cannot be started: {error}")))
}
