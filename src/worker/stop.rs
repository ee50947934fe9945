//! A request to stop.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::clock;

/// A request to stop, shared by all who may make it and all who must heed it.
#[derive(Debug, Default)]
pub struct Stop {
    requested_at: OnceLock<Instant>,
}

impl Stop {
    /// Asks for a stop.
    pub fn request(&self) {
        self.requested_at();
    }

    /// Returns when a stop was first asked for, which is now if it was not.
    pub fn requested_at(&self) -> Instant {
        *self.requested_at.get_or_init(clock::now)
    }

    /// Returns whether a stop was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.requested_at.get().is_some()
    }

    /// Sleeps, but not past a request.
    pub(super) fn sleep(&self, duration: Duration) {
        let until = clock::now() + duration;
        while !self.is_requested() && clock::now() < until {
            clock::sleep(Duration::from_millis(20).min(duration));
        }
    }
}
