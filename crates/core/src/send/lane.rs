//! A lane: what one process does for one destination. It holds the records that are read and not finished, says which
//! request leaves next, and what follows an answer.
//!
//! - A record is sent only when every earlier record of its key in its partition is finished: taken, or refused and
//!   written down. So requests may be in flight at once, and a key's records stay in order.
//! - A record is given up only while others of its operation get through. While nothing does, everything waits.
//! - An offset moves over finished records only ([`super::done`]).

mod fill;
mod record;
mod refused;
mod reply;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::destination::Definition;
use crate::destination::send::Sending;

use super::done::{Commit, Damaged, DoneMap, MAX_SPAN, Read, Room};
use super::moment::Moment;
use super::pace::Pace;
use super::request::{Item, Shape};

pub use self::fill::{Next, Request, RequestId};
use self::record::{Failures, Flight, Key, Operation, Partition, Queue, Record, State, Ticket};
pub use self::refused::{Answered, Refusal, Refused};
pub use self::reply::Reply;

/// What a lane is bounded by.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The most offsets of a partition from its first unfinished record to the last that is read.
    pub span: u16,
    /// The most bytes of records that are read and not finished, over all partitions.
    pub bytes: usize,
    /// The most requests in flight, where that is less than what the definition says.
    pub in_flight: Option<usize>,
    /// How long a request that is not full waits for more items while another of its kind is in flight.
    pub linger: Duration,
    /// A record is given up after so many failures, with others getting through in between,
    pub attempts: u32,
    /// and so long after the first.
    pub after: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            span: MAX_SPAN,
            bytes: 16 << 20,
            in_flight: None,
            linger: Duration::from_millis(50),
            attempts: 12,
            after: Duration::from_mins(15),
        }
    }
}

/// One destination's records on their way.
#[derive(Debug)]
pub struct Lane {
    definition: Arc<Definition>,
    sending: Sending,
    bounds: Bounds,
    pace: Pace,
    partitions: BTreeMap<i32, Partition>,
    records: HashMap<Ticket, Record>,
    keys: HashMap<Key, Queue>,
    /// What may go now and was never tried, and what was.
    fresh: BTreeSet<Ticket>,
    again: BTreeSet<Ticket>,
    /// What is tried again at its time.
    due: BTreeSet<(Moment, Ticket)>,
    flights: BTreeMap<RequestId, Flight>,
    operations: Vec<Operation>,
    bytes: usize,
    n_tickets: u64,
    n_requests: u64,
    n_parts: u64,
}

impl Lane {
    /// Returns a lane that has no partition yet.
    #[must_use]
    pub fn new(definition: Arc<Definition>, sending: Sending, bounds: Bounds) -> Lane {
        let in_flight = in_flight(&definition, &sending, bounds.in_flight);
        Lane {
            pace: Pace::new(&sending.rules.limits, in_flight),
            operations: definition
                .operations
                .iter()
                .map(|_| Operation::default())
                .collect(),
            definition,
            sending,
            bounds,
            partitions: BTreeMap::new(),
            records: HashMap::new(),
            keys: HashMap::new(),
            fresh: BTreeSet::new(),
            again: BTreeSet::new(),
            due: BTreeSet::new(),
            flights: BTreeMap::new(),
            bytes: 0,
            n_tickets: 0,
            n_requests: 0,
            n_parts: 0,
        }
    }

    /// Begins a partition at what is committed of it. Records are read from the commit's offset on.
    ///
    /// # Errors
    /// [`Damaged`] if the commit's map cannot be used: the partition begins all the same, and repeats what the map said.
    pub fn assign(&mut self, partition: i32, commit: &Commit) -> Result<(), Damaged> {
        self.revoke(partition);
        let restored = DoneMap::restore(commit, self.bounds.span);
        let result = restored.as_ref().map(|_| ()).map_err(|damaged| *damaged);
        let done = restored.unwrap_or_else(|_| DoneMap::new(commit.offset, self.bounds.span));
        let tickets = BTreeMap::new();
        self.partitions
            .insert(partition, Partition { done, tickets });
        result
    }

    /// Forgets a partition: it is another's now. What is in flight of it changes nothing any more.
    pub fn revoke(&mut self, partition: i32) {
        let Some(gone) = self.partitions.remove(&partition) else {
            return;
        };
        for ticket in gone.tickets.into_values() {
            self.forget(ticket);
        }
    }

    /// Returns whether requests are in flight that hold records of the partition.
    #[must_use]
    pub fn is_in_flight(&self, partition: i32) -> bool {
        let mut keys = self.flights.values().flat_map(|flight| &flight.keys);
        keys.any(|key| key.partition == partition)
    }

    /// Returns whether another record of the partition can be read.
    #[must_use]
    pub fn has_room(&self, partition: i32) -> bool {
        let Some(partition) = self.partitions.get(&partition) else {
            return false;
        };
        self.has_room_at(partition, partition.done.next_offset())
    }

    fn has_room_at(&self, partition: &Partition, offset: i64) -> bool {
        let has_room = match partition.done.room(offset) {
            Room::Plenty => true,
            Room::Reserve => self.is_in_doubt(partition),
            Room::None => false,
        };
        has_room && self.bytes < self.bounds.bytes
    }

    /// Returns whether the record that holds a partition up has failed, nothing got through since, and nothing else of
    /// the partition is left to try: then only another record can tell whether it fails alone.
    fn is_in_doubt(&self, partition: &Partition) -> bool {
        let record = |ticket: &Ticket| self.records.get(ticket);
        let first = partition.tickets.values().next().and_then(record);
        let n_taken = self.n_taken();
        let is_failing = |first: &Record| {
            let failures = &first.failures;
            failures.n > 0
                && failures.n_alone < self.bounds.attempts
                && failures.taken_at_last == n_taken
                && first.state != State::Aside
        };
        let is_untried = |record: &Record| {
            record.failures.n == 0 && matches!(record.state, State::Ready | State::InFlight)
        };
        let mut records = partition.tickets.values().filter_map(record);
        first.is_some_and(is_failing) && !records.any(is_untried)
    }

    fn n_taken(&self) -> u64 {
        self.operations
            .iter()
            .map(|operation| operation.n_taken)
            .sum()
    }

    /// Takes a record in, unless it is finished already or there is no room. A partition that is not assigned has none.
    pub fn offer(&mut self, partition: i32, offset: i64, item: Item, now: Moment) -> Read {
        let read = self.read(partition, offset);
        if read != Read::New {
            return read;
        }
        let ticket = Ticket(self.n_tickets);
        self.n_tickets += 1;
        self.bytes += item.size();
        let key = Key {
            partition,
            key: item.key.clone(),
        };
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.tickets.insert(offset, ticket);
        }
        let record = Record {
            partition,
            offset,
            item,
            state: State::Queued,
            arrived: now,
            first_sent: None,
            n_sent: 0,
            part: None,
            failures: Failures::default(),
            later: None,
        };
        self.records.insert(ticket, record);
        let queue = self.keys.entry(key.clone()).or_default();
        queue.tickets.push_back(ticket);
        self.activate(&key);
        Read::New
    }

    /// Takes note of a record that is no item: it is finished once it is written down ([`Lane::parked`]).
    pub fn set_aside(&mut self, partition: i32, offset: i64) -> Read {
        self.read(partition, offset)
    }

    fn read(&mut self, partition: i32, offset: i64) -> Read {
        let has_room = |partition| self.has_room_at(partition, offset);
        if !self.partitions.get(&partition).is_some_and(has_room) {
            return Read::Full;
        }
        let partition = self.partitions.get_mut(&partition);
        partition.map_or(Read::Full, |partition| partition.done.read(offset))
    }

    /// Takes note that a record stands where refused records stand, acknowledged. Its key goes on.
    pub fn parked(&mut self, partition: i32, offset: i64) {
        let Some(of_record) = self.partitions.get_mut(&partition) else {
            return;
        };
        match of_record.tickets.get(&offset).copied() {
            None => of_record.done.finish(offset),
            // Else it was refused under another assignment, and is on its way again.
            Some(ticket) if self.state(ticket) == Some(State::Aside) => self.finish(ticket),
            Some(_) => {}
        }
    }

    /// Takes note that there are other credentials: they are tried at once.
    pub fn login_changed(&mut self) {
        self.pace.login_changed();
    }

    /// Returns what to commit of a partition now.
    #[must_use]
    pub fn commit(&self, partition: i32) -> Option<Commit> {
        Some(self.partitions.get(&partition)?.done.commit())
    }

    /// Returns how many requests are in flight.
    #[must_use]
    pub fn n_in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Returns how many records are read and not finished.
    #[must_use]
    pub fn n_unfinished(&self) -> usize {
        let partitions = self.partitions.values();
        partitions
            .map(|partition| partition.done.n_unfinished())
            .sum()
    }

    /// Writes the body of a request that leaves, with fields beside its items; `None` if a partition that it holds
    /// records of was given back since.
    #[must_use]
    pub fn body(&self, id: RequestId, fields: &[(String, String)]) -> Option<Vec<u8>> {
        let flight = self.flights.get(&id)?;
        let body = |ticket: &Ticket| Some(&*self.records.get(ticket)?.item.body);
        let bodies = flight
            .tickets
            .iter()
            .map(body)
            .collect::<Option<Vec<_>>>()?;
        let shape = Shape {
            fields,
            ..self.shape(flight.operation)?
        };
        Some(shape.write(bodies))
    }

    fn shape(&self, operation: usize) -> Option<Shape<'_>> {
        Some(Shape {
            batch: &self.definition.operations.get(operation)?.batch,
            mark: self.sending.rules.mark.as_deref(),
            fields: &[],
        })
    }

    fn state(&self, ticket: Ticket) -> Option<State> {
        Some(self.records.get(&ticket)?.state)
    }

    fn key_of(&self, ticket: Ticket) -> Option<Key> {
        let record = self.records.get(&ticket)?;
        Some(Key {
            partition: record.partition,
            key: record.item.key.clone(),
        })
    }

    /// Makes a key's first record ready, if nothing of the key is in flight and it has not to wait by itself.
    fn activate(&mut self, key: &Key) {
        let Some(queue) = self.keys.get(key) else {
            return;
        };
        let Some(first) = queue.tickets.front().copied() else {
            if queue.n_in_flight == 0 {
                self.keys.remove(key);
            }
            return;
        };
        if queue.n_in_flight == 0 && self.state(first) == Some(State::Queued) {
            self.enter(first, State::Ready);
        }
    }

    /// Changes a record's state, and keeps the sets that say who may go.
    fn enter(&mut self, ticket: Ticket, state: State) {
        let Some(record) = self.records.get_mut(&ticket) else {
            return;
        };
        let before = std::mem::replace(&mut record.state, state);
        let is_part = record.part.is_some();
        if let State::Due(at) = before {
            self.due.remove(&(at, ticket));
        }
        self.fresh.remove(&ticket);
        self.again.remove(&ticket);
        match state {
            State::Ready if is_part => {
                self.again.insert(ticket);
            }
            State::Ready => {
                self.fresh.insert(ticket);
            }
            State::Due(at) => {
                self.due.insert((at, ticket));
            }
            State::Queued | State::InFlight | State::Aside => {}
        }
    }

    fn finish(&mut self, ticket: Ticket) {
        let Some(record) = self.records.get(&ticket) else {
            return;
        };
        let (partition, offset) = (record.partition, record.offset);
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.tickets.remove(&offset);
            partition.done.finish(offset);
        }
        self.forget(ticket);
    }

    /// Takes a record out of everything but its partition.
    fn forget(&mut self, ticket: Ticket) {
        self.enter(ticket, State::Aside);
        let key = self.key_of(ticket);
        if let Some(record) = self.records.remove(&ticket) {
            self.bytes = self.bytes.saturating_sub(record.item.size());
        }
        let Some(key) = key else { return };
        if let Some(queue) = self.keys.get_mut(&key) {
            queue.tickets.retain(|other| *other != ticket);
        }
        self.activate(&key);
    }
}

/// Requests that hold several items are few and large; those of one item are many and small.
fn in_flight(definition: &Definition, sending: &Sending, most: Option<usize>) -> usize {
    let is_batched = |batch: &crate::destination::Batch| batch.records != Some(1);
    let has_batches = definition
        .operations
        .iter()
        .any(|operation| is_batched(&operation.batch));
    let usual = if has_batches { 4 } else { 16 };
    let by_definition = sending.rules.in_flight.map(usize::try_from);
    let by_definition = by_definition.map_or(usual, |count| count.unwrap_or(usize::MAX));
    by_definition.min(most.unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests;
