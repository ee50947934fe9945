//! Why the service ends: somebody asked for it, or it makes way for a start with new credentials. Whoever asks for an end wins.

use std::sync::atomic::{AtomicU8, Ordering};

const NONE: u8 = 0;
const ROTATING: u8 = 1;
const ASKED: u8 = 2;

/// One value, so that a stop cannot fall between a look and a change.
#[derive(Debug, Default)]
pub(super) struct Ending(AtomicU8);

impl Ending {
    /// Takes note that somebody asked for an end, also where a new start was under way.
    pub(super) fn ask(&self) {
        self.0.store(ASKED, Ordering::SeqCst);
    }

    /// Takes note that a new start is due, unless somebody has asked for an end. Returns whether it is.
    pub(super) fn rotate(&self) -> bool {
        let before = self
            .0
            .compare_exchange(NONE, ROTATING, Ordering::SeqCst, Ordering::SeqCst);
        before.is_ok()
    }

    /// Returns whether a new start follows.
    pub(super) fn is_rotating(&self) -> bool {
        self.0.load(Ordering::SeqCst) == ROTATING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_for_an_end_wins() {
        let ending = Ending::default();
        assert!(!ending.is_rotating());
        assert!(ending.rotate() && ending.is_rotating());
        ending.ask();
        assert!(!ending.is_rotating(), "a stop during a new start");
        // The trial of new credentials ends after somebody has asked for an end.
        assert!(!ending.rotate());
        assert!(!ending.is_rotating());
    }
}
