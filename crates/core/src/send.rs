//! Sending: how the records of a destination's topic become requests to the vendor, and what the answers mean.
//!
//! Pure, as the rest of the core: the clock and the dice are passed in, and nobody waits here. The caller reads the
//! topic, makes the calls, writes down refused records and commits offsets; it does what [`lane::Lane`] says next.

pub mod moment;
pub mod done;
pub mod request;
pub mod head;
pub mod wait;
pub mod answer;
pub mod pace;
pub mod lane;
