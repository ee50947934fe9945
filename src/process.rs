//! This process: who it is among those that share a group, and how it starts over without ending.

pub mod signals;

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::log;

/// What a process leaves to itself when it starts over: how often it did, and its identity.
const INHERITED: &str = "GROUPCAST_STARTED_OVER";

static PROCESS: LazyLock<Process> = LazyLock::new(|| {
    let inherited = std::env::var(INHERITED)
        .ok()
        .and_then(|text| Process::read(&text));
    inherited.unwrap_or_else(Process::new)
});

/// A process, from its start to its end, however often it starts over in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// No two that ever live have the same.
    pub identity: String,
    /// How often it started over.
    pub restarts: u32,
}

impl Process {
    /// Returns this process.
    #[must_use]
    pub fn this() -> &'static Process {
        &PROCESS
    }

    fn new() -> Process {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Process {
            identity: format!("{:x}-{:x}", std::process::id(), since_epoch.as_nanos()),
            restarts: 0,
        }
    }

    fn read(inherited: &str) -> Option<Process> {
        let (restarts, identity) = inherited.split_once(' ')?;
        Some(Process {
            identity: identity.to_owned(),
            restarts: restarts.parse().ok()?,
        })
    }

    fn leave(&self) -> String {
        format!("{} {}", self.restarts.saturating_add(1), self.identity)
    }
}

/// Replaces this process by a new start of its program, with the same arguments, environment and process id, so that
/// whoever supervises it sees one that lives. All threads end at once, a stuck one too; signals wait for the new start.
///
/// Returns only if the system refuses, with its reason.
#[must_use]
pub fn start_over() -> io::Error {
    signals::hand_on();
    log::flush();
    match replace() {
        Err(error) => error,
    }
}

/// Not by the standard library's `exec`, which unblocks all signals first.
fn replace() -> io::Result<Infallible> {
    // The path, if the file is still there, keeps the name that `ps` shows.
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    let program = c_string(
        program
            .unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
            .as_os_str(),
    )?;
    let arguments: Vec<CString> = std::env::args_os()
        .map(|text| c_string(&text))
        .collect::<io::Result<_>>()?;
    let inherited = (
        OsString::from(INHERITED),
        OsString::from(Process::this().leave()),
    );
    let others = std::env::vars_os().filter(|(name, _)| name != INHERITED);
    let variables = others
        .chain([inherited])
        .map(|(name, value)| c_string(&[name, value].join(OsStr::new("="))));
    let variables: Vec<CString> = variables.collect::<io::Result<_>>()?;
    Ok(nix::unistd::execve(&program, &arguments, &variables)?)
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

/// Ends this process, whatever its threads do, once what it logged is written.
#[expect(clippy::exit, reason = "stuck threads cannot be joined")]
pub fn exit(code: i32) -> ! {
    log::flush();
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_keeps_its_identity_when_it_starts_over() {
        let first = Process::new();
        let second = Process::read(&first.leave()).unwrap();
        assert_eq!(
            second,
            Process {
                restarts: 1,
                ..first
            }
        );
        assert_eq!(Process::read(&second.leave()).unwrap().restarts, 2);
        assert_eq!(Process::read("nonsense"), None);
        assert_ne!(Process::new().identity, Process::new().identity);
    }
}
