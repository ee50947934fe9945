//! Records that are not sent any more, and why.

use crate::send::moment::Moment;

/// What an answer changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// How many records the vendor took.
    pub n_taken: usize,
    /// What must be written down where refused records stand; then call [`Lane::parked`](super::Lane::parked).
    pub refused: Vec<Refused>,
}

/// A record that is not sent any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why.
    pub refusal: Refusal,
    /// The last status, if it was answered.
    pub status: Option<u16>,
    /// The vendor's words. They may repeat values of the item.
    pub detail: Option<String>,
    /// How often it was sent.
    pub n_sent: u32,
    /// When it was first sent.
    pub first_sent: Option<Moment>,
}

/// Why a record is not sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The vendor refuses it.
    Refused,
    /// It alone is larger than what the vendor takes.
    TooLarge,
    /// It failed again and again while others got through.
    GaveUp,
    /// What it needs did not come in time.
    NotInTime,
}

impl Refusal {
    /// Returns the stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Refusal::Refused => "refused",
            Refusal::TooLarge => "too_large",
            Refusal::GaveUp => "gave_up",
            Refusal::NotInTime => "not_in_time",
        }
    }
}
