//! What a worker says of itself while it runs: read by `/healthz`, `/readyz` and the watchdog, written by the worker.

pub mod report;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::report::Reports;

/// One worker's state, shared between its thread and those who watch it.
#[derive(Debug)]
pub struct Status {
    /// The worker's index, from 0.
    pub worker: usize,
    view: Mutex<View>,
    lags: Mutex<Vec<Lag>>,
    /// What the worker's consumer says of itself.
    pub consumer: Reports,
    /// What its producer says of itself.
    pub producer: Reports,
}

/// A worker that lives is never silent for this long: it tells how it is in every turn of its loop, and no call it makes may take so long.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// How far one assigned partition is behind.
#[derive(Debug, Clone)]
pub struct Lag {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Offsets between what is committed and the end.
    pub records: u64,
    /// Since when the oldest of them is known to be there.
    pub since: Option<Instant>,
}

/// A worker's state at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// When the worker last came round its loop.
    pub beat: Instant,
    /// The client call it is in, and since when.
    pub call: Option<(&'static str, Instant)>,
    /// Whether the group has told it its partitions, none perhaps.
    pub is_member: bool,
    /// How many partitions it has.
    pub partitions: usize,
    /// Since when records are taken whose offsets are not committed.
    pub uncommitted_since: Option<Instant>,
    /// When offsets were last committed, or when the worker began.
    pub committed_at: Instant,
    /// Whether it has had partitions, none perhaps, since the process began.
    pub was_member: bool,
    /// Bytes made since the last commit.
    pub in_flight: usize,
    /// Bytes after which an epoch ends.
    pub in_flight_limit: usize,
    /// Whether reading is paused until what was sent is acknowledged.
    pub is_held: bool,
    /// The topics that refuse records, with the broker's reason.
    pub refused: Vec<(String, String)>,
    /// The partitions that wait at an offset.
    pub blocked: Vec<Blocked>,
}

/// A partition that is not read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that is not read.
    pub offset: i64,
    /// Why.
    pub reason: String,
}

impl Status {
    /// Returns the state of a worker that has just begun.
    #[must_use]
    pub fn new(worker: usize) -> Status {
        let view = View {
            beat: Instant::now(),
            call: None,
            is_member: false,
            partitions: 0,
            uncommitted_since: None,
            committed_at: Instant::now(),
            was_member: false,
            in_flight: 0,
            in_flight_limit: 0,
            is_held: false,
            refused: Vec::new(),
            blocked: Vec::new(),
        };
        Status {
            worker,
            view: Mutex::new(view),
            lags: Mutex::default(),
            consumer: Reports::default(),
            producer: Reports::default(),
        }
    }

    /// Returns a copy of the present state.
    #[must_use]
    pub fn view(&self) -> View {
        self.lock().clone()
    }

    /// Changes the state, and counts as a beat.
    pub fn update(&self, change: impl FnOnce(&mut View)) {
        let mut view = self.lock();
        view.beat = Instant::now();
        change(&mut view);
    }

    /// Makes a client call that may block, in sight of the watchdog.
    ///
    /// librdkafka has calls that ignore their own timeout (its issues 5456 and 5511); see [`View::overdue`].
    pub fn call<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        self.update(|view| view.call = Some((name, Instant::now())));
        let result = call();
        self.update(|view| view.call = None);
        result
    }

    /// Returns how far the partitions are behind, as the worker knew it last.
    #[must_use]
    pub fn lags(&self) -> Vec<Lag> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets how far the partitions are behind.
    pub fn set_lags(&self, lags: Vec<Lag>) {
        *self.lags.lock().unwrap_or_else(PoisonError::into_inner) = lags;
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        // A view is plain data, sound even if its writer panicked half way.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// Returns the client call that has taken longer than `deadline`, if there is one.
    #[must_use]
    pub fn overdue(&self, deadline: Duration) -> Option<&'static str> {
        self.call.filter(|(_, since)| since.elapsed() > deadline).map(|(name, _)| name)
    }

    /// Returns for how long nothing was heard, where that is longer than a worker that lives is ever silent.
    #[must_use]
    pub fn silence(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.beat)).filter(|silence| *silence > DEAD_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_overdue_only_while_it_lasts() {
        let status = Status::new(0);
        assert_eq!(status.view().overdue(Duration::ZERO), None);
        status.call("commit", || {
            std::thread::sleep(Duration::from_millis(2));
            assert_eq!(status.view().overdue(Duration::ZERO), Some("commit"));
            assert_eq!(status.view().overdue(Duration::from_secs(60)), None);
        });
        assert_eq!(status.view().overdue(Duration::ZERO), None);
    }
}
