//! Child processes that never outlive the tests, however these end.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::until;

/// A process that is killed with whoever holds it, and, through a pipe, with the test process itself.
pub(crate) struct Tethered(Child);

/// Becomes the command after leaving a watcher behind that kills it when standard input ends: the kernel closes that
/// pipe even where the test process is killed and no `Drop` runs. A command that has ended is no longer the watcher's
/// parent, and whoever has its process id by then is left alone.
const TETHER: &str = r#"
    exec 3<&0
    (cat <&3; read _ _ _ parent _ </proc/self/stat; [ "${parent:-$$}" = $$ ] && kill -KILL $$) >/dev/null 2>&1 &
    exec "$@" 3<&- </dev/null
"#;

impl Tethered {
    /// Starts `program` with `arguments`; the other settings of `command`, a shell to be, hold for it too.
    pub(crate) fn start(mut command: Command, program: &str, arguments: &[String]) -> Tethered {
        command
            .args(["-c", TETHER, "sh", program])
            .args(arguments)
            .stdin(Stdio::piped());
        Tethered(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("cannot start {program}: {error}")),
        )
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("the child is ours")
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "cannot send {name} to {}",
            self.id()
        );
    }

    pub(crate) fn wait(&mut self, limit: Duration, what: &str) -> ExitStatus {
        until(limit, what, || self.has_ended())
    }

    /// Kills the process and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("the child is ours");
        self.0.wait().expect("the child is ours");
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}
