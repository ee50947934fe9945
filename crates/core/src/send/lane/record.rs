//! What a lane remembers of its records, of those in flight, and of what comes in order.

use std::collections::{BTreeMap, VecDeque};

use crate::send::done::DoneMap;
use crate::send::moment::Moment;
use crate::send::request::Item;

/// A record's number in the order in which the lane got them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(pub(super) u64);

/// What order holds within: a key of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) partition: i32,
    pub(super) key: Box<[u8]>,
}

/// The records of a key, in their order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) tickets: VecDeque<Ticket>,
    /// How many items of requests in flight are of the key, those of partitions that were given back included: what
    /// comes next could overtake them.
    pub(super) n_in_flight: usize,
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) done: DoneMap,
    pub(super) tickets: BTreeMap<i64, Ticket>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) item: Item,
    pub(super) state: State,
    pub(super) arrived: Moment,
    pub(super) first_sent: Option<Moment>,
    pub(super) n_sent: u32,
    /// It goes only with those of the same part.
    pub(super) part: Option<Part>,
    pub(super) failures: Failures,
    /// Since when it is for later, and how often it was.
    pub(super) later: Option<(Moment, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Another record of its key comes first.
    Queued,
    Ready,
    Due(Moment),
    InFlight,
    /// Refused, and not yet written down.
    Aside,
}

/// Records that were sent together, failed, and are sent again by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) number: u64,
    /// Whether one of them is to blame.
    pub(super) is_isolating: bool,
}

#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) n: u32,
    /// How many of them were its own: nothing else was in the request, and others got through since the last one.
    pub(super) n_alone: u32,
    pub(super) first: Option<Moment>,
    /// How many records had been taken at the last one, of the destination and of the operation.
    pub(super) taken_at_last: u64,
    pub(super) taken_of_operation: u64,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) operation: usize,
    pub(super) request: Box<str>,
    pub(super) tickets: Vec<Ticket>,
    pub(super) keys: Vec<Key>,
    pub(super) bytes: u64,
    pub(super) is_again: bool,
}

#[derive(Debug, Default)]
pub(super) struct Operation {
    pub(super) n_taken: u64,
    /// The most bytes of a request, once the vendor has said that one is too large.
    pub(super) max_bytes: Option<u64>,
}
