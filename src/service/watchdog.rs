//! The watchdog: a worker that is stuck in a client call has the process start over.

use std::time::{Duration, Instant};

use crate::http::Watched;
use crate::kafka::CALL_DEADLINE;
use crate::process;
use crate::status::View;

/// The exit code of a process that ended with a client call that did not return.
const EXIT_STUCK: i32 = 70;

const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Looks at the workers again and again.
pub(super) async fn watch(watched: Watched) {
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    let mut were_silent = vec![false; watched.statuses.len()];
    loop {
        ticks.tick().await;
        let is_stopping = watched.stop.is_requested();
        for (status, was_silent) in watched.statuses.iter().zip(&mut were_silent) {
            if let Some(call) = stuck_in(&status.view(), is_stopping, was_silent) {
                end_stuck(status.worker, call, is_stopping);
            }
        }
    }
}

/// Returns the client call that a worker is stuck in.
///
/// Calls that ask the brokers are named. A short one that waits for ever for a lock of librdkafka's (its issue 5476) is noticed by the silence, which counts
/// at the second look, since a process that was frozen is silent when it wakes; and not while the workers stop, when one may have ended.
fn stuck_in(view: &View, is_stopping: bool, was_silent: &mut bool) -> Option<&'static str> {
    let is_silent = !is_stopping && view.silence(Instant::now()).is_some();
    let is_stuck = std::mem::replace(was_silent, is_silent) && is_silent;
    view.overdue(CALL_DEADLINE).or_else(|| is_stuck.then_some("one that asks no broker"))
}

/// Starts over, or ends where that was asked for or cannot be.
#[expect(clippy::exit, reason = "the stuck thread cannot be joined")]
fn end_stuck(worker: usize, call: &'static str, is_stopping: bool) -> ! {
    if is_stopping {
        tracing::error!(
            worker,
            call,
            exit_code = EXIT_STUCK,
            "a Kafka client call does not return; the process ends, nothing is lost"
        );
    } else {
        tracing::error!(worker, call, "a Kafka client call does not return; the process starts over, nothing is lost");
        let error = process::start_over();
        tracing::error!(error = %error, exit_code = EXIT_STUCK, "the process cannot start over; it ends");
    }
    std::process::exit(EXIT_STUCK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

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
        assert_eq!(looks(&view, true), [false, false, false], "it may have ended");
        view.call = Some(("commit", view.beat));
        assert_eq!(looks(&view, true), [true, true, true]);
    }
}
