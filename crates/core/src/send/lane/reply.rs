//! What follows an answer, or its lack.

use std::collections::HashSet;
use std::time::Duration;

use crate::destination::send::{Meaning, Scope};
use crate::send::answer::{self, Answer, ItemReading, Later, Reading};
use crate::send::done::Room;
use crate::send::moment::Moment;
use crate::send::pace::{self, Load};

use super::Lane;
use super::fill::RequestId;
use super::record::{Flight, Key, Part, State, Ticket};
use super::refused::{Answered, Refusal, Refused};

/// What came of a request.
#[derive(Debug, Clone, Copy)]
pub enum Reply<'a> {
    /// The vendor answered.
    Answer(&'a Answer<'a>),
    /// It did not leave: no address, connection or TLS.
    Unsent,
    /// It may have arrived: no answer in time, or one that was cut off.
    Unsure,
}

/// A request that is over, while its records go their ways.
struct Landing {
    flight: Flight,
    status: Option<u16>,
    is_by_item: bool,
    later: Later,
    now: Moment,
    random: u32,
    answered: Answered,
}

/// After so many failures in a row a request of several items is split: one of them may be to blame.
const SPLIT_AFTER: u32 = 3;

impl Lane {
    /// Takes an answer in, or its lack. `random` is any number.
    pub fn answered(
        &mut self,
        id: RequestId,
        reply: Reply<'_>,
        now: Moment,
        random: u32,
    ) -> Answered {
        let Some(flight) = self.flights.remove(&id) else {
            return Answered::default();
        };
        let reading = self.reading(&flight, reply);
        self.tell_pace(&flight, &reading, reply, now, random);
        let keys: HashSet<Key> = flight.keys.iter().cloned().collect();
        for key in &flight.keys {
            if let Some(queue) = self.keys.get_mut(key) {
                queue.n_in_flight = queue.n_in_flight.saturating_sub(1);
            }
        }
        let mut landing = Landing {
            status: match reply {
                Reply::Answer(answer) => Some(answer.status),
                Reply::Unsent | Reply::Unsure => None,
            },
            is_by_item: reading.is_by_item || flight.tickets.len() == 1,
            later: reading.later,
            now,
            random,
            answered: Answered::default(),
            flight,
        };
        self.land(&mut landing, reading.items);
        keys.iter().for_each(|key| self.activate(key));
        landing.answered
    }

    fn reading(&self, flight: &Flight, reply: Reply<'_>) -> Reading {
        let n_items = flight.tickets.len();
        match reply {
            Reply::Answer(answer) => {
                let operation = self.definition.operations.get(flight.operation);
                let operation = operation.map_or("", |operation| &*operation.id);
                answer::read(&self.sending.rules, operation, n_items, answer)
            }
            Reply::Unsent | Reply::Unsure => {
                let item = ItemReading {
                    means: Meaning::Retry,
                    detail: None,
                };
                Reading {
                    items: vec![item; n_items],
                    is_by_item: false,
                    wait: None,
                    of: Scope::default(),
                    later: Later::default(),
                }
            }
        }
    }

    /// Says to the pace what the answer says of the vendor.
    fn tell_pace(
        &mut self,
        flight: &Flight,
        reading: &Reading,
        reply: Reply<'_>,
        now: Moment,
        random: u32,
    ) {
        let keys_of = |wanted: Option<Meaning>| -> Vec<&[u8]> {
            let items = flight.keys.iter().zip(&reading.items);
            let is_it = |means| wanted.is_none_or(|wanted| wanted == means);
            items
                .filter(|(_, item)| is_it(item.means))
                .map(|(key, _)| &*key.key)
                .collect()
        };
        let load = |keys| Load {
            operation: flight.operation,
            keys,
        };
        let has = |meaning| reading.items.iter().any(|item| item.means == meaning);
        if has(Meaning::Throttled) {
            let keys = keys_of(Some(Meaning::Throttled));
            let wait = reading.wait;
            return self
                .pace
                .told_to_wait(reading.of, &load(&keys), wait, now, random);
        }
        if has(Meaning::Credentials) {
            return self.pace.login_refused(now);
        }
        if reading
            .items
            .iter()
            .all(|item| item.means == Meaning::Retry)
        {
            let is_overload = match reply {
                Reply::Answer(answer) => matches!(answer.status, 503 | 504),
                Reply::Unsure => true,
                Reply::Unsent => false,
            };
            return self.pace.failed(is_overload, now, random);
        }
        self.pace.reached(now);
        if has(Meaning::Refused) && !reading.is_by_item {
            self.pace.refused(&load(&keys_of(None)), now);
        }
    }

    /// Has each record go its way. Those of partitions that were given back have none.
    fn land(&mut self, landing: &mut Landing, items: Vec<ItemReading>) {
        let tickets = landing.flight.tickets.clone();
        if !landing.is_by_item {
            let Some(item) = items.into_iter().next() else {
                return;
            };
            let live = tickets
                .into_iter()
                .filter(|ticket| self.records.contains_key(ticket));
            return self.land_all(landing, live.collect(), item);
        }
        // What follows a record of its key that is not finished was applied too early, and is sent again behind it.
        let mut unsettled = HashSet::new();
        for (ticket, item) in tickets.into_iter().zip(items) {
            let Some(key) = self.key_of(ticket) else {
                continue;
            };
            if unsettled.contains(&key) {
                self.enter(ticket, State::Queued);
            } else if !self.land_one(landing, ticket, item) {
                unsettled.insert(key);
            }
        }
    }

    /// Has a request of several items land that are not told apart.
    fn land_all(&mut self, landing: &mut Landing, live: Vec<Ticket>, item: ItemReading) {
        match item.means {
            Meaning::Taken => {
                for ticket in live {
                    self.take(landing, ticket);
                }
            }
            // One of them is bad, or several, or all: halves will tell.
            Meaning::Refused => self.split(&live, true, landing.now),
            Meaning::TooLarge => {
                let half = landing.flight.bytes / 2;
                if let Some(operation) = self.operations.get_mut(landing.flight.operation) {
                    operation.max_bytes = Some(operation.max_bytes.unwrap_or(half).min(half));
                }
                self.split(&live, false, landing.now);
            }
            Meaning::Retry => {
                let mut n_failed = 0;
                for ticket in &live {
                    n_failed = n_failed.max(self.fail(*ticket, landing));
                }
                let due = landing.now.after(pace::backoff(n_failed, landing.random));
                if n_failed >= SPLIT_AFTER {
                    self.split(&live, false, due);
                } else {
                    self.put_back(&live, false, due);
                }
            }
            Meaning::Throttled | Meaning::Credentials => {
                for ticket in live {
                    self.enter(ticket, State::Queued);
                }
            }
            Meaning::Later => {
                for ticket in live {
                    let item = item.clone();
                    self.land_one(landing, ticket, item);
                }
            }
        }
    }

    /// Has one item land of which the answer speaks. Returns whether it is settled: it will not be sent again.
    fn land_one(&mut self, landing: &mut Landing, ticket: Ticket, item: ItemReading) -> bool {
        match item.means {
            Meaning::Taken => self.take(landing, ticket),
            Meaning::Refused => self.refuse(landing, ticket, Refusal::Refused, item.detail),
            Meaning::TooLarge => self.refuse(landing, ticket, Refusal::TooLarge, item.detail),
            Meaning::Retry => {
                let n_failed = self.fail(ticket, landing);
                if self.is_hopeless(ticket, landing) {
                    self.refuse(landing, ticket, Refusal::GaveUp, item.detail);
                    return true;
                }
                let due = landing.now.after(pace::backoff(n_failed, landing.random));
                self.put_back(&[ticket], false, due);
                return false;
            }
            Meaning::Throttled | Meaning::Credentials => {
                self.enter(ticket, State::Queued);
                return false;
            }
            Meaning::Later => return self.put_off(landing, ticket, item.detail),
        }
        true
    }

    fn take(&mut self, landing: &mut Landing, ticket: Ticket) {
        if let Some(operation) = self.operations.get_mut(landing.flight.operation) {
            operation.n_taken += 1;
        }
        landing.answered.n_taken += 1;
        self.finish(ticket);
    }

    fn refuse(
        &mut self,
        landing: &mut Landing,
        ticket: Ticket,
        refusal: Refusal,
        detail: Option<String>,
    ) {
        self.enter(ticket, State::Aside);
        let Some(record) = self.records.get(&ticket) else {
            return;
        };
        landing.answered.refused.push(Refused {
            partition: record.partition,
            offset: record.offset,
            refusal,
            status: landing.status,
            detail,
            n_sent: record.n_sent,
            first_sent: record.first_sent,
        });
    }

    /// Counts a failure. Returns how many there were.
    fn fail(&mut self, ticket: Ticket, landing: &Landing) -> u32 {
        let n_taken = self.n_taken();
        let operation = self.operations.get(landing.flight.operation);
        let of_operation = operation.map_or(0, |operation| operation.n_taken);
        let is_alone = landing.flight.tickets.len() == 1;
        let is_blocking = self.is_blocking(ticket);
        let Some(record) = self.records.get_mut(&ticket) else {
            return 0;
        };
        let failures = &mut record.failures;
        // One of the vendor's operations may be down by itself. But where a record holds its partition up, there may be no
        // other of the operation.
        let others_got_through = if is_blocking {
            n_taken > failures.taken_at_last
        } else {
            of_operation > failures.taken_of_operation
        };
        let is_first = failures.n == 0;
        failures.n_alone += u32::from(is_alone && !is_first && others_got_through);
        failures.first.get_or_insert(landing.now);
        failures.taken_at_last = n_taken;
        failures.taken_of_operation = of_operation;
        failures.n = failures.n.saturating_add(1);
        failures.n
    }

    /// Returns whether the record's partition is read no further, but for what tells whether the record fails alone.
    fn is_blocking(&self, ticket: Ticket) -> bool {
        let partition = self.records.get(&ticket).map(|record| record.partition);
        let partition = partition.and_then(|partition| self.partitions.get(&partition));
        partition.is_some_and(|partition| {
            partition.done.room(partition.done.next_offset()) != Room::Plenty
        })
    }

    /// Returns whether a record that was sent alone is given up.
    fn is_hopeless(&self, ticket: Ticket, landing: &Landing) -> bool {
        let Some(record) = self.records.get(&ticket) else {
            return false;
        };
        let failures = &record.failures;
        let is_old = failures
            .first
            .is_some_and(|first| first.after(self.bounds.after) <= landing.now);
        failures.n_alone >= self.bounds.attempts && is_old
    }

    /// Has a record wait for what it needs. Returns whether its time is over.
    fn put_off(&mut self, landing: &mut Landing, ticket: Ticket, detail: Option<String>) -> bool {
        const LONGEST: Duration = Duration::from_mins(5);
        let Some(record) = self.records.get_mut(&ticket) else {
            return true;
        };
        let (since, n) = record.later.unwrap_or((landing.now, 0));
        record.later = Some((since, n.saturating_add(1)));
        if since.after(landing.later.patience) <= landing.now {
            if landing.later.then == Meaning::Taken {
                self.take(landing, ticket);
            } else {
                self.refuse(landing, ticket, Refusal::NotInTime, detail);
            }
            return true;
        }
        let wait = Duration::from_secs(5_u64.saturating_pow(n)).min(LONGEST);
        self.put_back(&[ticket], false, landing.now.after(wait));
        false
    }

    fn split(&mut self, tickets: &[Ticket], is_isolating: bool, due: Moment) {
        let (first, second) = tickets.split_at(tickets.len() / 2);
        self.put_back(first, is_isolating, due);
        self.put_back(second, is_isolating, due);
    }

    /// Has records be sent again at their time, together and with no others.
    fn put_back(&mut self, tickets: &[Ticket], is_isolating: bool, due: Moment) {
        let part = Part {
            number: self.n_parts,
            is_isolating,
        };
        self.n_parts += 1;
        for ticket in tickets {
            if let Some(record) = self.records.get_mut(ticket) {
                record.part = Some(part);
            }
            // When its time has come it goes if it is the first of its key.
            self.enter(*ticket, State::Due(due));
        }
    }
}
