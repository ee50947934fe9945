//! `groupcast test`: the user's own cases, run under a configuration.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::ConfigArguments;
use super::report::{self, Failure};
use crate::cases::Cases;
use crate::router::Router;

/// Runs your own cases: events, and what must become of them under a configuration
///
/// A file of cases is YAML. Each case has an event and what you expect: per destination what it emits or why it skips the
/// event, or why the whole record is ignored or dead-lettered. Destinations that a case does not name are not looked at.
/// Needs no broker. Exits 1 if a case fails, 2 if a file is wrong.
#[derive(Debug, Args)]
#[command(after_help = "cases:
  - about: staging events never reach the CRM
    event: { type: group, groupId: g1, traits: { name: Initech }, integrations: { HubSpot: false } }
    expect:
      hubspot: { skips: flag_false }
      webhook: { emits: [{ operation: event.post, body: { … } }] }
  - about: a page view is not ours
    event: { type: page }
    ignored: not_group")]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Files of cases (YAML)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = arguments.config.load()?;
    let router = Router::new(config.routing())?;
    let (mut wrong, mut failed, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for file in &arguments.files {
        let name = file.display().to_string();
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::Argument(format!("cannot read {name}: {error}")))?;
        match Cases::read(&name, &text, &router, &config.source.topics) {
            Ok(cases) => {
                let found = cases.run(&router);
                if found.is_empty() {
                    let count = cases.count();
                    let verb = if count == 1 {
                        "case passes"
                    } else {
                        "cases pass"
                    };
                    lines.push(format!("{name}: {count} {verb}"));
                } else {
                    lines.push(format!("{name}: cases fail"));
                }
                failed.extend(found);
            }
            Err(found) => wrong.extend(found),
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::Input(wrong));
    }
    report::print_diagnostics(&failed);
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Said(1))
    }
}
