//! When and how surely what was sent is committed, and how much memory that may take.

use std::time::Duration;

/// When and how surely what was sent is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What a crash may do.
    pub guarantee: Guarantee,
    /// How large queues and epochs are unless they are set one by one.
    pub profile: Profile,
    /// When an epoch ends: at the first bound it meets.
    pub epoch: EpochBounds,
    /// How long a shutdown may take to drain and commit.
    pub shutdown_timeout: Duration,
}

/// What a crash may do to the records that leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// Repeat the last epoch's.
    AtLeastOnce,
    /// Nothing that a reader of committed records can see.
    ExactlyOnce,
}

impl Guarantee {
    /// The guarantees by the word that configuration uses.
    pub const WORDS: &'static [(&'static str, Guarantee)] = &[
        ("at_least_once", Guarantee::AtLeastOnce),
        ("exactly_once", Guarantee::ExactlyOnce),
    ];
}

/// How large queues and epochs are unless they are set one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Enough to keep a core busy.
    Standard,
    /// As little as keeps records flowing, for a container of 64 MiB.
    Small,
}

impl Profile {
    /// The profiles by the word that configuration uses.
    pub const WORDS: &'static [(&'static str, Profile)] =
        &[("standard", Profile::Standard), ("small", Profile::Small)];

    /// Returns [`EpochBounds::bytes`] where nothing else is said.
    #[must_use]
    pub fn epoch_bytes(self) -> usize {
        match self {
            Profile::Standard => 128 << 20,
            Profile::Small => 16 << 20,
        }
    }

    /// Returns how many bytes a producer's queue holds: what is sent and not acknowledged. A worker waits while it is full.
    #[must_use]
    pub fn queue_bytes(self) -> usize {
        match self {
            Profile::Standard => 64 << 20,
            Profile::Small => 8 << 20,
        }
    }
}

/// When an epoch ends: at the first bound it meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochBounds {
    /// Time since its first record (`interval_ms`).
    pub interval: Duration,
    /// Records consumed.
    pub records: usize,
    /// Bytes emitted.
    pub bytes: usize,
}
