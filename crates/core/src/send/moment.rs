//! Times on the sender's own clock.

use std::time::Duration;

/// A time on the sender's own clock, which never goes back and says nothing of the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(Duration);

impl Moment {
    /// Returns the moment that long after the clock began.
    #[must_use]
    pub const fn new(since_start: Duration) -> Moment {
        Moment(since_start)
    }

    /// Returns the moment that much later. A wait without an end stays one.
    #[must_use]
    pub fn after(self, wait: Duration) -> Moment {
        Moment(self.0.saturating_add(wait))
    }

    /// Returns the moment that much earlier, or the clock's beginning.
    #[must_use]
    pub fn before(self, time: Duration) -> Moment {
        Moment(self.0.saturating_sub(time))
    }

    /// Returns how long it is from here to `later`; nothing if that is past.
    #[must_use]
    pub fn until(self, later: Moment) -> Duration {
        later.0.saturating_sub(self.0)
    }
}
