//! The time, and waiting. In the loop's own tests both are simulated, so that a schedule means the same on any machine.

use std::time::{Duration, Instant};

pub(super) fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = super::tests::clock::now() {
        return now;
    }
    Instant::now()
}

pub(super) fn sleep(duration: Duration) {
    #[cfg(test)]
    if super::tests::clock::sleep(duration) {
        return;
    }
    std::thread::sleep(duration);
}
