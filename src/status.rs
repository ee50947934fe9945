//! What a worker says of itself while it runs: read by `/healthz`, `/readyz` and the watchdog, written by the worker.

pub mod progress;
pub mod report;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::progress::partition::PartitionProgress;
use self::progress::{BLOCKED_AFTER, Progress};
use self::report::Reports;

/// One worker's state, shared between its thread and those who watch it.
#[derive(Debug)]
pub struct Status {
    /// The worker's index, from 0.
    pub worker: usize,
    view: Mutex<View>,
    progress: Mutex<Progress>,
    /// What the worker's consumer says of itself.
    pub consumer: Reports,
    /// What its producer says of itself.
    pub producer: Reports,
}

/// A worker that lives is never silent for this long: it tells how it is in every turn of its loop, and no call it makes may take so long.
const DEAD_AFTER: Duration = Duration::from_secs(30);

/// A partition that cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that is not done.
    pub offset: i64,
    /// What keeps it there.
    pub reason: String,
}

/// Rewinds that follow each other without a commit between them.
#[derive(Debug, Clone)]
pub struct Rewound {
    /// When the first of them was.
    pub since: Instant,
    /// The cause of the last one, as the metric has it.
    pub cause: &'static str,
    /// The same for people.
    pub detail: String,
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
    /// The partitions that cannot go on.
    pub blocked: Vec<Blocked>,
    /// The rewinds since records were last committed, or known to be.
    pub rewound: Option<Rewound>,
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
            committed_at: Instant::now(),
            was_member: false,
            in_flight: 0,
            in_flight_limit: 0,
            is_held: false,
            refused: Vec::new(),
            blocked: Vec::new(),
            rewound: None,
        };
        Status {
            worker,
            view: Mutex::new(view),
            progress: Mutex::default(),
            consumer: Reports::default(),
            producer: Reports::default(),
        }
    }

    /// Returns a copy of the present state.
    #[must_use]
    pub fn view(&self) -> View {
        self.lock().clone()
    }

    /// Returns the state with every partition that is blocked at `now`: see [`progress`].
    #[must_use]
    pub fn view_at(&self, now: Instant) -> View {
        let mut view = self.view();
        let is_named = |known: &PartitionProgress| {
            view.blocked
                .iter()
                .any(|named| (&named.topic, named.partition) == (&known.topic, known.partition))
        };
        let progress = self.progress();
        let stalled = progress
            .iter()
            .filter(|known| !is_named(known))
            .filter_map(|known| view.blocked(known, now));
        let stalled: Vec<Blocked> = stalled.collect();
        view.blocked.extend(stalled);
        view
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

    /// Returns the progress of the worker's partitions.
    pub fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.call
            .filter(|(_, since)| since.elapsed() > deadline)
            .map(|(name, _)| name)
    }

    /// Returns for how long epochs have been undone at `now` without a commit, where that is too long.
    #[must_use]
    pub fn rewinds_for(&self, now: Instant) -> Option<(Duration, &Rewound)> {
        let rewound = self.rewound.as_ref()?;
        let duration = now.saturating_duration_since(rewound.since);
        (duration > BLOCKED_AFTER).then_some((duration, rewound))
    }

    /// Returns where and why a partition is blocked at `now`, if it is.
    fn blocked(&self, known: &PartitionProgress, now: Instant) -> Option<Blocked> {
        let duration = known.blocked_for(now)?;
        let PartitionProgress {
            topic,
            partition,
            done,
            ..
        } = known;
        let reason = format!(
            "no progress for {} s: {}",
            duration.as_secs(),
            self.hindrance(known)
        );
        Some(Blocked {
            topic: topic.clone(),
            partition: *partition,
            offset: *done,
            reason,
        })
    }

    /// Returns why a partition does not move, the nearest cause first.
    fn hindrance(&self, known: &PartitionProgress) -> String {
        if let Some((obstacle, _)) = &known.obstacle {
            obstacle.clone()
        } else if let Some(rewound) = &self.rewound {
            rewound.to_string()
        } else if let Some((topic, code)) = self.refused.first() {
            format!("topic {topic} refuses records: {code}")
        } else if known.is_uncommitted() {
            "its records are read and not committed".to_owned()
        } else {
            "its records are not read".to_owned()
        }
    }

    /// Returns for how long nothing was heard, where that is longer than a worker that lives is ever silent.
    #[must_use]
    pub fn silence(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.beat)).filter(|silence| *silence > DEAD_AFTER)
    }
}

impl std::fmt::Display for Rewound {
    /// Writes the cause on one line; advice has lines of its own.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let detail = self.detail.lines().next().unwrap_or_default();
        write!(formatter, "the epoch was undone ({}): {detail}", self.cause)
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
