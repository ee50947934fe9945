//! What was taken since the last commit, and when the next is due.

use std::time::{Duration, Instant};

use super::clock;
use crate::config::{EpochBounds, Guarantee};
use crate::watermark::Watermarks;

/// What was taken since the last commit.
#[derive(Default)]
pub(super) struct Epoch {
    pub(super) watermarks: Watermarks,
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// Since when something waits for a commit.
    pub(super) began: Option<Instant>,
    /// When the next commit is due by time.
    pub(super) due_at: Option<Instant>,
    /// Whether the group did not take the offsets once already.
    pub(super) is_deferred: bool,
}

impl Epoch {
    pub(super) fn begin(&mut self, bounds: &EpochBounds) {
        let now = clock::now();
        self.began.get_or_insert(now);
        self.due_at.get_or_insert(now + bounds.interval);
    }

    /// Starts a new stretch after the present one was sent and acknowledged but its offsets were not taken.
    pub(super) fn defer(&mut self, bounds: &EpochBounds) {
        (self.records, self.bytes) = (0, 0);
        self.due_at = Some(clock::now() + bounds.interval);
    }

    pub(super) fn is_due(&self, bounds: &EpochBounds) -> bool {
        self.due_at.is_some_and(|due_at| clock::now() >= due_at)
            || self.records >= bounds.records
            || self.bytes >= bounds.bytes
    }
}

/// Returns how long the next epoch may last after a commit that took `took`: so long that commits are a small part of the time,
/// up to a second. What was read waits for what was sent while it commits, and the last batches before it leave half empty.
pub(super) fn interval_after(
    configured: &EpochBounds,
    guarantee: Guarantee,
    took: Duration,
) -> Duration {
    const LONGEST_STRETCH: Duration = Duration::from_secs(1);
    let commits_an_epoch = match guarantee {
        // Nobody waits for the commit: records can be read as soon as they are acknowledged.
        Guarantee::AtLeastOnce => 20,
        Guarantee::ExactlyOnce => 10,
    };
    configured
        .interval
        .max((took * commits_an_epoch).min(LONGEST_STRETCH))
}

#[cfg(test)]
mod tests {

    use super::*;

    const BOUNDS: EpochBounds = EpochBounds {
        interval: Duration::from_secs(3600),
        records: 10,
        bytes: 1000,
    };

    fn check(records: usize, bytes: usize, expected: bool) {
        let mut epoch = Epoch {
            records,
            bytes,
            ..Epoch::default()
        };
        epoch.begin(&BOUNDS);
        assert_eq!(
            epoch.is_due(&BOUNDS),
            expected,
            "{records} records, {bytes} bytes"
        );
    }

    #[test]
    fn an_epoch_ends_at_the_first_bound_it_meets() {
        check(9, 999, false);
        check(10, 0, true);
        check(1, 1000, true);
        let mut epoch = Epoch::default();
        epoch.begin(&EpochBounds {
            interval: Duration::ZERO,
            ..BOUNDS
        });
        assert!(epoch.is_due(&BOUNDS));
    }

    #[test]
    fn an_epoch_is_worth_its_commit() {
        let check = |guarantee, took, expected| {
            let epoch = EpochBounds {
                interval: Duration::from_millis(100),
                ..BOUNDS
            };
            let interval = interval_after(&epoch, guarantee, Duration::from_millis(took));
            assert_eq!(
                interval,
                Duration::from_millis(expected),
                "{guarantee:?} {took}"
            );
        };
        for guarantee in [Guarantee::AtLeastOnce, Guarantee::ExactlyOnce] {
            check(guarantee, 5, 100);
            check(guarantee, 5000, 1000);
        }
        check(Guarantee::AtLeastOnce, 30, 600);
        check(Guarantee::ExactlyOnce, 30, 300);
    }

    #[test]
    fn an_idle_epoch_is_never_due() {
        assert!(!Epoch::default().is_due(&BOUNDS));
    }

    #[test]
    fn a_deferred_epoch_keeps_its_offsets_and_its_age() {
        let mut epoch = Epoch {
            records: 10,
            bytes: 1000,
            ..Epoch::default()
        };
        epoch.begin(&BOUNDS);
        epoch.watermarks.set("a", 0, 7);
        let began = epoch.began;
        epoch.defer(&BOUNDS);
        assert!(!epoch.is_due(&BOUNDS));
        assert_eq!((epoch.began, epoch.watermarks.is_empty()), (began, false));
    }
}
