//! Which request leaves next, and what is in it.

use std::collections::HashSet;

use crate::send::moment::Moment;
use crate::send::pace::Load;
use crate::send::request::Filling;

use super::Lane;
use super::record::{Flight, Key, Part, Record, State, Ticket};

/// Names a request of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// What the caller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Make this request. Then ask again.
    Send(Request),
    /// Ask again at this moment, or once something has happened: a record, an answer, new credentials.
    Wait(Option<Moment>),
}

/// A request that leaves now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name, for the answer.
    pub id: RequestId,
    /// The number of its operation in the definition.
    pub operation: usize,
    /// Method and path.
    pub request: Box<str>,
    /// Where its items' records stand, in the order of the items.
    pub records: Vec<(i32, i64)>,
}

/// A request as it would leave.
struct Filled {
    tickets: Vec<Ticket>,
    bytes: u64,
}

/// Why a record cannot leave now, and from when on it may.
struct Blocked {
    until: Moment,
    /// Whether that is so for all records of its operation and path.
    is_kind: bool,
}

/// While others wait, so much of what leaves is tried again: one request of so many. Else what keeps failing takes the
/// place of what does not.
const TRIED_AGAIN: u64 = 20;

impl Lane {
    /// Returns what to do now.
    pub fn next(&mut self, now: Moment) -> Next {
        self.wake(now);
        if self.flights.len() >= self.pace.in_flight() {
            return Next::Wait(None);
        }
        match self.pace.opens_at(self.flights.len()) {
            None => return Next::Wait(None),
            Some(at) if at > now => return Next::Wait(Some(at)),
            Some(_) => {}
        }
        let of_all = self.pace.ready_at(&Load::ANY, false);
        if of_all > now {
            return Next::Wait(Some(of_all));
        }
        let mut wake = self.due.first().map(|(at, _)| *at);
        let mut blocked_kinds = HashSet::new();
        let mut filled = None;
        for ticket in self.candidates() {
            let Some(record) = self.records.get(&ticket) else {
                continue;
            };
            let kind = (record.item.operation, &*record.item.request);
            if record.part.is_none() && blocked_kinds.contains(&kind) {
                continue;
            }
            match self.fill(ticket, record, now) {
                Ok(found) => {
                    filled = Some(found);
                    break;
                }
                Err(blocked) => {
                    wake = Some(wake.map_or(blocked.until, |wake| wake.min(blocked.until)));
                    if blocked.is_kind && record.part.is_none() {
                        blocked_kinds.insert(kind);
                    }
                }
            }
        }
        match filled {
            Some(filled) => Next::Send(self.depart(filled, now)),
            None => Next::Wait(wake),
        }
    }

    /// Makes those ready whose time has come.
    fn wake(&mut self, now: Moment) {
        while let Some((at, ticket)) = self.due.first().copied() {
            if at > now {
                return;
            }
            self.enter(ticket, State::Queued);
            if let Some(key) = self.key_of(ticket) {
                self.activate(&key);
            }
        }
    }

    /// Returns who may go, in the order in which they are asked.
    fn candidates(&self) -> Box<dyn Iterator<Item = Ticket> + '_> {
        let (fresh, again) = (self.fresh.iter().copied(), self.again.iter().copied());
        if self.pace.is_held() {
            // One is tried for all: who was tried least, so that one that always fails does not speak for the rest.
            let n_sent = |ticket: &Ticket| self.records.get(ticket).map(|record| record.n_sent);
            let all = fresh.chain(again);
            let least = all.clone().min_by_key(|ticket| (n_sent(ticket), *ticket));
            return Box::new(least.into_iter().chain(all));
        }
        // What fails may also be slow: it never takes all places.
        let n_again = self.flights.values().filter(|flight| flight.is_again);
        if n_again.count() >= (self.pace.in_flight() / 2).max(1) {
            Box::new(fresh)
        } else if self.n_requests.is_multiple_of(TRIED_AGAIN) {
            Box::new(again.chain(fresh))
        } else {
            Box::new(fresh.chain(again))
        }
    }

    fn fill(&self, first: Ticket, record: &Record, now: Moment) -> Result<Filled, Blocked> {
        self.check_first(record, now)?;
        let filled = self.gather(first, record, now);
        if filled.tickets.is_empty() {
            return Err(Blocked {
                until: record.arrived.after(self.bounds.linger),
                is_kind: true,
            });
        }
        let keys: Vec<&[u8]> = filled
            .tickets
            .iter()
            .filter_map(|ticket| Some(&*self.records.get(ticket)?.item.key))
            .collect();
        let load = Load {
            operation: record.item.operation,
            keys: &keys,
        };
        let until = self.pace.ready_at(&load, is_isolating(record.part));
        if until > now {
            return Err(Blocked {
                until,
                is_kind: true,
            });
        }
        Ok(filled)
    }

    /// Checks whether a record may leave by itself.
    fn check_first(&self, record: &Record, now: Moment) -> Result<(), Blocked> {
        let load = |keys| Load {
            operation: record.item.operation,
            keys,
        };
        let keys = [&*record.item.key];
        let until = self.pace.ready_at(&load(&keys), is_isolating(record.part));
        if until <= now {
            return Ok(());
        }
        let of_all = self.pace.ready_at(&load(&[]), is_isolating(record.part));
        Err(Blocked {
            until,
            is_kind: of_all > now,
        })
    }

    /// Gathers a request from its first record on. It is empty if it had better wait for more.
    fn gather(&self, first: Ticket, record: &Record, now: Moment) -> Filled {
        let operation = record.item.operation;
        let mut tickets = Vec::new();
        let Some(shape) = self.shape(operation) else {
            return Filled { tickets, bytes: 0 };
        };
        let of_operation = self.operations.get(operation);
        let max_bytes = of_operation.and_then(|operation| operation.max_bytes);
        let max_bytes = max_bytes.unwrap_or(u64::MAX);
        let mut filling = Filling::new(shape, self.pace.max_items(), max_bytes);
        let set = match record.part {
            Some(_) => &self.again,
            None => &self.fresh,
        };
        for ticket in set.range(first..).copied() {
            if filling.is_full() {
                break;
            }
            let Some(other) = self.records.get(&ticket) else {
                continue;
            };
            let is_free = ticket == first || self.check_first(other, now).is_ok();
            if !is_of_kind(other, record) || !is_free {
                continue;
            }
            if !filling.add(&other.item.body) {
                break;
            }
            tickets.push(ticket);
            self.gather_repeats(other, record, &mut filling, &mut tickets);
        }
        let bytes = filling.bytes();
        if record.part.is_none() && !filling.is_full() && self.lingers(record, now) {
            tickets.clear();
        }
        Filled { tickets, bytes }
    }

    /// Adds what follows a record of the same key, where the vendor takes several in a request.
    fn gather_repeats(
        &self,
        of: &Record,
        record: &Record,
        filling: &mut Filling<'_>,
        tickets: &mut Vec<Ticket>,
    ) {
        if !self.sending.rules.repeats || of.part.is_some() {
            return;
        }
        let key = Key {
            partition: of.partition,
            key: of.item.key.clone(),
        };
        let queue = self.keys.get(&key).into_iter();
        for ticket in queue.flat_map(|queue| queue.tickets.iter().skip(1)) {
            let Some(next) = self.records.get(ticket) else {
                return;
            };
            let is_next = next.state == State::Queued && is_of_kind(next, record);
            if filling.is_full() || !is_next || !filling.add(&next.item.body) {
                return;
            }
            tickets.push(*ticket);
        }
    }

    /// Returns whether a request that is not full waits: another of its kind is in flight, and it is young.
    fn lingers(&self, record: &Record, now: Moment) -> bool {
        let is_kind = |flight: &Flight| {
            flight.operation == record.item.operation && flight.request == record.item.request
        };
        record.arrived.after(self.bounds.linger) > now && self.flights.values().any(is_kind)
    }

    fn depart(&mut self, filled: Filled, now: Moment) -> Request {
        let id = RequestId(self.n_requests);
        self.n_requests += 1;
        let keys: Vec<Key> = filled
            .tickets
            .iter()
            .filter_map(|ticket| self.key_of(*ticket))
            .collect();
        let first = filled
            .tickets
            .first()
            .and_then(|first| self.records.get(first));
        let (operation, request, is_again) = first.map_or((0, "".into(), false), |first| {
            let item = &first.item;
            (item.operation, item.request.clone(), first.part.is_some())
        });
        let bytes_of_keys: Vec<&[u8]> = keys.iter().map(|key| &*key.key).collect();
        let load = Load {
            operation,
            keys: &bytes_of_keys,
        };
        self.pace.sent(&load, now);
        let mut records = Vec::with_capacity(filled.tickets.len());
        for ticket in &filled.tickets {
            self.enter(*ticket, State::InFlight);
            if let Some(record) = self.records.get_mut(ticket) {
                record.n_sent = record.n_sent.saturating_add(1);
                record.first_sent.get_or_insert(now);
                records.push((record.partition, record.offset));
            }
        }
        for key in &keys {
            self.keys.entry(key.clone()).or_default().n_in_flight += 1;
        }
        let flight = Flight {
            operation,
            request: request.clone(),
            tickets: filled.tickets,
            keys,
            bytes: filled.bytes,
            is_again,
        };
        self.flights.insert(id, flight);
        Request {
            id,
            operation,
            request,
            records,
        }
    }
}

fn is_isolating(part: Option<Part>) -> bool {
    part.is_some_and(|part| part.is_isolating)
}

/// Returns whether the records may share a request.
fn is_of_kind(one: &Record, other: &Record) -> bool {
    one.item.operation == other.item.operation
        && one.item.request == other.item.request
        && one.part == other.part
}
