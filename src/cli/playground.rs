//! `groupcast playground`: the page to try events and definitions on, without Kafka.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;

use super::demo::samples;
use super::report::{self, Failure, say};
use crate::config::Config;
use crate::destination::Catalogue;
use crate::http;
use crate::playground::Playground;

/// Serves a page to try events, flags and definitions on, as one types; without Kafka
///
/// What it shows is what the very code that runs makes of the event. The page loads nothing from elsewhere; what is typed is
/// sent to this process only, and kept nowhere. Settings that are secret are never shown.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A configuration, whose destinations, names of traits, flags and limits count; without one there are all built-in destinations
    #[arg(long, short, value_name = "FILE", env = "GROUPCAST_CONFIG")]
    config: Option<PathBuf>,
    /// Set one key over the file and the environment, like flags.match=exact
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = super::key_value, requires = "config")]
    overrides: Vec<(String, String)>,
    /// Where it listens; whoever reaches the address can use the page
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9465")]
    listen: SocketAddr,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let playground = match &arguments.config {
        None => Playground::of_catalogue(&Catalogue::built_in(), samples()),
        Some(file) => {
            let (config, warnings) = Config::load(file, &arguments.overrides)?;
            report::print_diagnostics(&warnings);
            Playground::of_routing(config.routing(), samples())
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let taken = || format!("cannot listen on {}", arguments.listen);
        let listener = TcpListener::bind(arguments.listen)
            .await
            .with_context(taken)?;
        let address = listener.local_addr().with_context(taken)?;
        say(format_args!(
            "The playground: http://{address}/ (Ctrl-C ends it)"
        ));
        let pages = http::playground::routes(playground);
        tokio::select! {
            () = http::serve(listener, pages) => {}
            ended = tokio::signal::ctrl_c() => ended.context("waiting for Ctrl-C")?,
        }
        Ok(())
    })
}
