//! A thread that does not come round: `strace` holds it at its next system call for as long as this lives.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::process::Tethered;

/// A thread that is held.
pub(crate) struct Hold(Tethered);

impl Hold {
    /// Holds the thread of this name.
    pub(crate) fn of(process: u32, name: &str) -> Result<Hold, String> {
        Command::new("strace")
            .arg("-V")
            .output()
            .map_err(|error| format!("no strace: {error}"))?;
        let tasks =
            fs::read_dir(format!("/proc/{process}/task")).map_err(|error| error.to_string())?;
        let mut tasks = tasks.flatten().map(|task| task.path());
        let is_it = |comm: std::io::Result<String>| comm.is_ok_and(|found| found.trim() == name);
        let thread = tasks
            .find(|task| is_it(fs::read_to_string(task.join("comm"))))
            .ok_or("no such thread")?;
        let thread = thread
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut command = Command::new("sh");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let arguments =
            ["-qq", "-p", &thread, "-e", "inject=all:delay_enter=3600s"].map(str::to_owned);
        let mut strace = Tethered::start(command, "strace", &arguments);
        thread::sleep(Duration::from_millis(500));
        match strace.has_ended() {
            Some(status) => Err(format!("strace may not hold a thread: {status}")),
            None => Ok(Hold(strace)),
        }
    }
}

impl Drop for Hold {
    /// Asked to end, it lets the thread go first.
    fn drop(&mut self) {
        self.0.signal("TERM");
        if !thread::panicking() {
            self.0.wait(Duration::from_secs(10), "strace ends");
        }
    }
}
