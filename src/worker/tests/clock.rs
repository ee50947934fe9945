//! A clock that only moves when it is told to; one a thread.

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! { static NOW: Cell<Option<Instant>> = const { Cell::new(None) } }

/// Returns the simulated time, none on a thread that simulates none.
pub(in crate::worker) fn now() -> Option<Instant> {
    NOW.get()
}

pub(super) fn set(now: Instant) {
    NOW.set(Some(now));
}

/// Returns whether the time is simulated; then it has passed.
pub(in crate::worker) fn sleep(duration: Duration) -> bool {
    NOW.get().inspect(|now| set(*now + duration)).is_some()
}
