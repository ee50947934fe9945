//! What a command says when it fails, and its exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use super::snippet;
use crate::diagnostic::{Diagnostic, has_errors};
use crate::kafka::fault::Fault;
use crate::log;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The work failed: exit code 1.
    Work(anyhow::Error),
    /// Configuration, definitions or arguments are wrong: exit code 2.
    Input(Vec<Diagnostic>),
    /// An argument is wrong in a way that only its use shows: exit code 2.
    Argument(String),
    /// All has been said already; only the exit code remains.
    Said(u8),
}

impl Failure {
    /// Prints the failure to standard error and returns its exit code.
    pub(super) fn report(self) -> ExitCode {
        match self {
            // Whoever reads our output has gone: nobody is left to tell, and nothing is wrong.
            Failure::Work(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Failure::Work(error) => {
                say(format_args!("error: {error:#}"));
                ExitCode::from(1)
            }
            Failure::Input(diagnostics) => {
                print_diagnostics(&diagnostics);
                ExitCode::from(2)
            }
            Failure::Argument(message) => {
                say(format_args!("error: {message}"));
                ExitCode::from(2)
            }
            Failure::Said(code) => ExitCode::from(code),
        }
    }
}

impl Failure {
    /// Returns the failure as a log line has it.
    pub(super) fn into_text(self) -> String {
        match self {
            Failure::Work(error) => format!("{error:#}"),
            Failure::Input(diagnostics) => diagnostics
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n"),
            Failure::Argument(message) => message,
            Failure::Said(_) => String::new(),
        }
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Failure::Input(diagnostics)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Work(error)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Work(fault.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Work(error.into())
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints diagnostics to standard error with their source lines, and how many there are if any is an error.
pub(super) fn print_diagnostics(diagnostics: &[Diagnostic]) {
    for text in snippet::rendered(diagnostics) {
        say(format_args!("{text}\n"));
    }
    if has_errors(diagnostics) {
        let count = diagnostics
            .iter()
            .filter(|diagnostic| has_errors(std::slice::from_ref(diagnostic)))
            .count();
        say(format_args!(
            "{count} {}",
            if count == 1 { "error" } else { "errors" }
        ));
    }
}

/// Prints a line to standard error.
pub(super) fn say(line: impl Display) {
    log::say(&line.to_string());
}
