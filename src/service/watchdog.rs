//! The watchdog: a worker that is stuck in a client call has the process start over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ending::Ending;
use crate::http::{Obstacle, Watched};
use crate::kafka::CALL_DEADLINE;
use crate::process;
use crate::status::View;

/// The exit code of a process that ended with a client call that did not return.
const EXIT_STUCK: i32 = 70;

const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// How long clients may take to close after the limit of a stop. What supervises the process waits ten seconds longer than the limit.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a stop is watched.
pub(super) struct Stopping {
    /// What the configuration gives to a stop.
    pub(super) limit: Duration,
    /// Whether it makes way for a start with new credentials.
    pub(super) ending: Arc<Ending>,
}

impl Stopping {
    /// Returns whether somebody has asked for an end, and not only for a new start.
    fn is_asked_for(&self, watched: &Watched) -> bool {
        watched.stop.is_requested() && !self.ending.is_rotating()
    }
}

/// Looks at the workers again and again.
pub(super) async fn watch<F>(watched: Watched, stopping: Stopping, can_start: F)
where
    F: Fn() -> Result<(), String> + Clone + Send + 'static,
{
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    let mut were_silent = vec![false; watched.statuses.len()];
    loop {
        ticks.tick().await;
        let is_stopping = stopping.is_asked_for(&watched);
        if is_stopping && watched.stop.requested_at().elapsed() > stopping.limit + CLOSE_TIMEOUT {
            end_late(&stopping);
        }
        let mut stuck = None;
        for (status, was_silent) in watched.statuses.iter().zip(&mut were_silent) {
            let call = stuck_in(&status.view(), is_stopping, was_silent);
            stuck = stuck.or(call.map(|call| (status.worker, call)));
        }
        let Some((worker, call)) = stuck else {
            watched.start_over.set(None);
            continue;
        };
        if is_stopping || is_startable(&watched.start_over, worker, call, can_start.clone()).await {
            // A stop may have been asked for while the configuration was read.
            end_stuck(worker, call, stopping.is_asked_for(&watched));
        }
    }
}

/// Returns whether a new start would find what it needs; `obstacle` says why not. A configuration that somebody is writing, or that
/// is broken, must not end a process whose other workers run: it ends with the next start anyway, if nobody mends it.
async fn is_startable<F>(
    obstacle: &Obstacle,
    worker: usize,
    call: &'static str,
    can_start: F,
) -> bool
where
    F: FnOnce() -> Result<(), String> + Send + 'static,
{
    // It reads files, and waits.
    let checked = tokio::task::spawn_blocking(can_start).await;
    let Err(reason) = checked.unwrap_or_else(|error| Err(error.to_string())) else {
        return true;
    };
    let said = format!("worker {worker} is stuck and the process cannot start over: {reason}");
    if obstacle.get().as_ref() != Some(&said) {
        tracing::error!(
            worker,
            call,
            reason,
            "a Kafka client call does not return, and the process cannot start over; it tries again until it can"
        );
        obstacle.set(Some(said));
    }
    false
}

/// Returns the client call that a worker is stuck in.
///
/// Calls that ask the brokers are named. A short one that waits for ever for a lock of librdkafka's (its issue 5476) is noticed by the silence, which counts
/// at the second look, since a process that was frozen is silent when it wakes; and not while the workers stop, when one may have ended.
fn stuck_in(view: &View, is_stopping: bool, was_silent: &mut bool) -> Option<&'static str> {
    let is_silent = !is_stopping && view.silence(Instant::now()).is_some();
    let is_stuck = std::mem::replace(was_silent, is_silent) && is_silent;
    view.overdue(CALL_DEADLINE)
        .or_else(|| is_stuck.then_some("one that asks no broker"))
}

/// Ends a stop that client calls hold up, before whoever supervises the process kills it.
fn end_late(stopping: &Stopping) -> ! {
    let limit = stopping.limit;
    tracing::error!(
        ?limit,
        exit_code = EXIT_STUCK,
        "the stop takes longer than delivery.shutdown_timeout_ms; the process ends, the next start sends again what was not committed"
    );
    process::exit(EXIT_STUCK);
}

/// Starts over, or ends where that was asked for or cannot be.
fn end_stuck(worker: usize, call: &'static str, is_stopping: bool) -> ! {
    if is_stopping {
        tracing::error!(
            worker,
            call,
            exit_code = EXIT_STUCK,
            "a Kafka client call does not return; the process ends, nothing is lost"
        );
    } else {
        tracing::error!(
            worker,
            call,
            "a Kafka client call does not return; the process starts over, nothing is lost"
        );
        let error = process::start_over();
        tracing::error!(error = %error, exit_code = EXIT_STUCK, "the process cannot start over; it ends");
    }
    process::exit(EXIT_STUCK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    #[tokio::test]
    async fn a_process_starts_over_only_where_it_can_start() {
        let obstacle = Obstacle::default();
        let broken = || Err("g.yaml:1:1: error: not a mapping".to_owned());
        assert!(!is_startable(&obstacle, 1, "commit", broken).await);
        let said =
            "worker 1 is stuck and the process cannot start over: g.yaml:1:1: error: not a mapping";
        assert_eq!(obstacle.get().as_deref(), Some(said));
        assert!(!is_startable(&obstacle, 1, "commit", || panic!("while it reads")).await);
        assert!(is_startable(&obstacle, 1, "commit", || Ok(())).await);
    }

    #[test]
    fn a_worker_is_stuck_in_a_named_call_or_after_a_silence_that_lasts() {
        let status = Status::new(0);
        let looks = |view: &View, is_stopping| {
            let mut was_silent = false;
            [(); 3].map(|()| stuck_in(view, is_stopping, &mut was_silent).is_some())
        };
        let mut view = status.view();
        assert_eq!(looks(&view, false), [false, false, false]);
        view.beat -= Duration::from_secs(29);
        assert_eq!(looks(&view, false), [false, false, false]);
        view.beat -= Duration::from_secs(2);
        assert_eq!(looks(&view, false), [false, true, true]);
        assert_eq!(
            looks(&view, true),
            [false, false, false],
            "it may have ended"
        );
        view.call = Some(("commit", view.beat));
        assert_eq!(looks(&view, true), [true, true, true]);
    }
}
