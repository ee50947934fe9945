//! The signals that ask for something: SIGTERM and SIGINT for a stop, SIGHUP for a reload.
//!
//! They are blocked from the first line of the program on, and one thread takes them. So none is lost and none kills: not while
//! the process starts, not when it starts over in place (an `exec` keeps what is blocked and pending, and resets handlers), and
//! not in process 1 of a container, for which the kernel drops what is neither blocked nor handled.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use tokio::sync::Semaphore;

/// The stops that were asked for and that nobody has acted upon.
static STOPS: Semaphore = Semaphore::const_new(0);

/// The same of reloads.
static RELOADS: Semaphore = Semaphore::const_new(0);

static PHASE: Mutex<Phase> = Mutex::new(Phase::Unwatched);
static PHASE_CHANGED: Condvar = Condvar::new();

/// The thread takes a signal at once; nothing that it does waits.
const HAND_ON_TIMEOUT: Duration = Duration::from_secs(1);

/// Who acts upon a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The system.
    Unwatched,
    /// The thread that takes it: nothing has begun, so that a stop ends the process with this code.
    Starting(u8),
    /// The service.
    Serving,
    /// The next start in this process, once the thread has taken the SIGHUP that tells it so.
    HandingOn,
    /// The next start.
    HandedOn,
}

/// What a SIGHUP asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// A reload.
    Reload,
    /// A stop: the terminal is gone.
    Stop,
}

/// Blocks the signals, for this thread and all that it starts. It stands before everything else.
///
/// # Errors
/// Where the system refuses.
pub fn hold() -> io::Result<()> {
    Ok(signals().thread_block()?)
}

/// Leaves the signals to the system again, which ends the process: for commands that have nothing to finish.
///
/// # Errors
/// Where the system refuses.
pub fn release() -> io::Result<()> {
    Ok(signals().thread_unblock()?)
}

/// Starts the thread that takes the signals. Until [`serve`], a stop ends the process with `exit_code`.
///
/// # Errors
/// Where the system gives no thread.
pub fn watch(exit_code: u8, hangup: Hangup) -> io::Result<()> {
    *phase() = Phase::Starting(exit_code);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || take(hangup))
        .map(drop)
}

/// Leaves the signals to the service that is about to start; they wait for it.
pub fn serve() {
    let mut phase = phase();
    if let Phase::Starting(_) = *phase {
        *phase = Phase::Serving;
    }
}

/// Waits until a stop is asked for.
pub async fn stop_asked() {
    if let Ok(stop) = STOPS.acquire().await {
        stop.forget();
    }
}

/// Waits until a reload is asked for. Those that were asked for meanwhile are one.
pub async fn reload_asked() {
    if let Ok(reload) = RELOADS.acquire().await {
        reload.forget();
    }
    RELOADS.forget_permits(Semaphore::MAX_PERMITS);
}

/// Leaves the signals to the next start in this process: from here on they stay pending, and so does a stop that nobody has acted
/// upon. A reload needs no passing on, since the next start reads the configuration anyway.
pub(super) fn hand_on() {
    let mut phase = phase();
    if *phase == Phase::Unwatched {
        return;
    }
    *phase = Phase::HandingOn;
    send(Signal::SIGHUP);
    let is_on_its_way = |phase: &mut Phase| *phase != Phase::HandedOn;
    let waited = PHASE_CHANGED.wait_timeout_while(phase, HAND_ON_TIMEOUT, is_on_its_way);
    drop(waited.unwrap_or_else(PoisonError::into_inner));
    if STOPS.available_permits() > 0 {
        send(Signal::SIGTERM);
    }
}

fn signals() -> SigSet {
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM]
        .into_iter()
        .collect()
}

fn send(signal: Signal) {
    if let Err(error) = kill(Pid::this(), signal) {
        tracing::error!(error = %error, signal = signal.as_str(), "a signal cannot be passed on");
    }
}

fn phase() -> MutexGuard<'static, Phase> {
    PHASE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes one signal after the other.
#[expect(
    clippy::exit,
    reason = "it is what is asked for, and nothing has begun"
)]
fn take(hangup: Hangup) {
    let signals = signals();
    loop {
        // It fails only where the set has a number that is no signal.
        let Ok(signal) = signals.wait() else { return };
        let mut phase = phase();
        let is_hangup = signal == Signal::SIGHUP;
        match *phase {
            Phase::HandingOn if is_hangup => {
                *phase = Phase::HandedOn;
                PHASE_CHANGED.notify_all();
                return;
            }
            _ if is_hangup && hangup == Hangup::Reload => RELOADS.add_permits(1),
            Phase::Starting(exit_code) => std::process::exit(i32::from(exit_code)),
            Phase::Unwatched | Phase::Serving | Phase::HandingOn | Phase::HandedOn => {
                STOPS.add_permits(1)
            }
        }
    }
}
