//! Kafka as one value: source partitions, a group, output topics with transactions. It checks the guarantee whenever something
//! is made durable, and makes whatever fails fail as its schedule says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::topic_partition_list::TopicPartitionList;

use super::schedule::{Answer, Case, Event, Failure, Kind, PARTITIONS, Step, TOPICS};
use crate::config::Guarantee;
use crate::kafka::ends::Rebalance;
use crate::kafka::fault::{Cause, Fault};
use crate::watermark::Watermarks;
use crate::worker::stop::Stop;

pub(super) const SOURCE: &str = "in";
pub(super) const WORKERS: usize = 2;

/// How many calls after the last event everything is well again, what was to fail has not, and all records are there.
const CALLS_TO_HEAL: usize = 30;

/// How many calls the workers may make from then on until all is committed and they have ended (I8).
const CALLS_TO_END: usize = 3000;

/// A record of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) partition: usize,
    pub(super) index: usize,
}

impl Origin {
    /// Offsets have gaps, as transactions and compaction leave them.
    pub(super) fn offset(self) -> i64 {
        2 * self.index as i64
    }

    pub(super) fn key(self) -> String {
        format!("{}-{}", self.partition, self.index)
    }

    pub(super) fn of_key(key: &[u8]) -> Origin {
        let (partition, index) = std::str::from_utf8(key).unwrap().split_once('-').unwrap();
        Origin { partition: partition.parse().unwrap(), index: index.parse().unwrap() }
    }
}

/// Returns the index of the first record that is not before the offset.
fn index_at(offset: i64) -> usize {
    usize::try_from((offset + 1) / 2).unwrap()
}

struct Partition {
    records: Vec<Kind>,
    /// How many of them can be read by now.
    available: usize,
    /// How often each was read.
    reads: Vec<usize>,
    committed: i64,
    /// Whose it is to be.
    target: usize,
    /// Who was given it and has not given it back.
    holder: Option<usize>,
}

#[derive(Default)]
struct Member {
    is_open: bool,
    /// The partitions that its consumer has, with the index of the next record.
    held: Vec<(usize, usize)>,
    next: usize,
    is_paused: bool,
    wanted: Option<Rebalance>,
    /// Whether something has changed that the group tells even if it brings no partition.
    has_news: bool,
    must_revoke: bool,
    /// Polls until it learns that it was expelled.
    expelled: Option<usize>,
    is_lost: bool,
    has_left_uncommitted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    topic: usize,
    origin: Origin,
}

/// A record in an output topic.
struct Landed {
    origin: Origin,
    transaction: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Committed,
    Aborted,
}

struct Transaction {
    id: String,
    state: State,
    /// Offsets that a lost commit has left undecided.
    pending: Vec<(usize, i64)>,
}

struct Producer {
    id: String,
    in_flight: VecDeque<Sent>,
    transaction: Option<usize>,
    /// Why it must not be used any more.
    broken: Option<&'static str>,
    refused: Option<usize>,
}

/// Everything outside the workers.
pub(super) struct Broker {
    is_exactly_once: bool,
    is_eager: bool,
    is_static: bool,
    steps: VecDeque<Step>,
    partitions: Vec<Partition>,
    topics: [Vec<Landed>; TOPICS.len()],
    is_refusing: [bool; TOPICS.len()],
    members: [Member; WORKERS],
    producers: [Option<Producer>; WORKERS],
    transactions: Vec<Transaction>,
    incarnations: [usize; WORKERS],
    failures: Vec<Failure>,
    began: Instant,
    now: Duration,
    n_calls: usize,
    heals_at: usize,
    calls_left: usize,
    /// How often something happened after which records may be read again.
    excuses: usize,
    stops: [Arc<Stop>; WORKERS],
    is_ending: bool,
    /// Who goes on.
    pub(super) turn: usize,
    pub(super) has_ended: [bool; WORKERS],
    pub(super) trace: Vec<String>,
    pub(super) violation: Option<String>,
}

/// What became of a worker that has just made a call.
#[derive(PartialEq, Eq)]
pub(super) enum Fate {
    GoesOn,
    Dies,
}

/// A position lies outside its partition.
pub(super) struct Gap;

fn rewind<T>(cause: Cause) -> Result<T, Fault> {
    Err(Fault::Rewind { cause, detail: "as scheduled".to_owned() })
}

fn list(partitions: &[usize]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(SOURCE, i32::try_from(*partition).unwrap());
    }
    list
}

pub(super) fn numbers(list: &TopicPartitionList) -> Vec<usize> {
    list.elements().iter().map(|element| usize::try_from(element.partition()).unwrap()).collect()
}

impl Broker {
    pub(super) fn new(case: &Case) -> Broker {
        let mut steps = case.steps.clone();
        steps.sort_by_key(|step| step.at);
        let partition = |(number, records): (usize, &Vec<Kind>)| Partition {
            records: records.clone(),
            available: records.len() / 2,
            reads: vec![0; records.len()],
            committed: 0,
            target: number % WORKERS,
            holder: None,
        };
        Broker {
            is_exactly_once: case.guarantee == Guarantee::ExactlyOnce,
            is_eager: case.is_eager,
            is_static: case.is_static,
            partitions: case.records.iter().enumerate().map(partition).collect(),
            topics: Default::default(),
            is_refusing: Default::default(),
            members: Default::default(),
            producers: Default::default(),
            transactions: Vec::new(),
            incarnations: Default::default(),
            failures: Vec::new(),
            began: Instant::now(),
            now: Duration::ZERO,
            n_calls: 0,
            heals_at: steps.last().map_or(0, |step| step.at) + CALLS_TO_HEAL,
            steps: steps.into(),
            calls_left: CALLS_TO_END,
            excuses: 0,
            stops: Default::default(),
            is_ending: false,
            turn: 0,
            has_ended: Default::default(),
            trace: Vec::new(),
            violation: None,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.began + self.now
    }

    pub(super) fn is_over(&self) -> bool {
        self.violation.is_some()
    }

    pub(super) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violate(what());
        }
    }

    pub(super) fn sleep(&mut self, duration: Duration) {
        self.now += duration;
    }

    pub(super) fn tell(&mut self, worker: usize, what: &str) {
        self.trace.push(format!("{:>8.3} {worker} {what}", self.now.as_secs_f64()));
    }

    // Events.

    /// Has what is due happen before a call of the worker.
    pub(super) fn pass(&mut self, worker: usize) -> Fate {
        self.now += Duration::from_millis(1);
        self.n_calls += 1;
        let n_calls = self.n_calls;
        match self.steps.pop_front_if(|step| step.at <= n_calls) {
            Some(step) => {
                self.tell(worker, &format!("--- {step:?}"));
                self.happen(worker, step.event)
            }
            None => {
                if self.n_calls >= self.heals_at {
                    self.end();
                }
                GoesOn
            }
        }
    }

    /// Heals everything, and stops the workers once they are done.
    fn end(&mut self) {
        self.failures.clear();
        self.is_refusing = Default::default();
        let (available, total) = (|p: &Partition| p.available, |p: &Partition| p.records.len());
        if self.partitions.iter().any(|partition| available(partition) < total(partition)) {
            self.partitions.iter_mut().for_each(|partition| partition.available = partition.records.len());
        }
        let is_committed = self.partitions.iter().all(|partition| index_at(partition.committed) == partition.records.len());
        let is_sound = |producer: &Option<Producer>| producer.as_ref().is_some_and(|producer| producer.broken.is_none());
        let is_calm = self.members.iter().all(|member| member.expelled.is_none() && member.wanted.is_none())
            && self.producers.iter().all(is_sound);
        if is_committed && is_calm && !self.is_ending {
            self.is_ending = true;
            self.stops.iter().for_each(|stop| stop.request());
        }
        self.calls_left = self.calls_left.saturating_sub(1);
        let left = self.calls_left;
        self.must(left > 0, || "I8: all is well, and yet not all gets committed".to_owned());
    }

    fn happen(&mut self, worker: usize, event: Event) -> Fate {
        let other = 1 - worker;
        match event {
            Event::Switch => self.turn = other,
            Event::Append(partition) => {
                let partition = &mut self.partitions[partition];
                partition.available = partition.records.len().min(partition.available + 1);
            }
            Event::Move(partition) => {
                self.partitions[partition].target = 1 - self.partitions[partition].target;
                self.rebalance();
            }
            Event::Expel { told_after } => self.expel(worker, told_after),
            Event::Crash { landed } => {
                self.excuses += 1;
                self.lose_producer(worker, landed);
                self.leave(worker);
                return Fate::Dies;
            }
            Event::Stop => self.stops[worker].request(),
            Event::Refuse(topic) => self.is_refusing[topic] = true,
            Event::Take(topic) => self.is_refusing[topic] = false,
            Event::Fail(failure) => self.failures.push(failure),
        }
        GoesOn
    }

    fn fails(&mut self, is_it: impl Fn(Failure) -> bool) -> Option<Failure> {
        let index = self.failures.iter().position(|failure| is_it(*failure))?;
        Some(self.failures.remove(index))
    }

    /// Returns whether `failure` is due; it is after-effects that make records be read again.
    fn breaks(&mut self, worker: usize, failure: Failure) -> bool {
        let is_due = self.fails(|due| due == failure).is_some();
        if is_due {
            self.excuses += 1;
            self.tell(worker, &format!("    fails: {failure:?}"));
        }
        is_due
    }

    // The group.

    fn rebalance(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.is_open) {
            member.has_news = true;
            member.must_revoke = self.is_eager && !member.held.is_empty();
        }
    }

    fn expel(&mut self, worker: usize, told_after: usize) {
        let member = &mut self.members[worker];
        if !member.is_open || member.wanted.is_some() || member.expelled.is_some() {
            return;
        }
        self.excuses += 1;
        member.expelled = Some(told_after);
        member.must_revoke = false;
        for partition in self.partitions.iter_mut().filter(|partition| partition.holder == Some(worker)) {
            (partition.holder, partition.target) = (None, 1 - worker);
        }
        self.rebalance();
    }

    fn leave(&mut self, worker: usize) {
        self.members[worker] = Member::default();
        for partition in self.partitions.iter_mut().filter(|partition| partition.holder == Some(worker)) {
            partition.holder = None;
        }
    }

    pub(super) fn open_source(&mut self, worker: usize) {
        self.leave(worker);
        self.members[worker].is_open = true;
        self.rebalance();
    }

    pub(super) fn close_source(&mut self, worker: usize) {
        let is_done = |(partition, next): &(usize, usize)| *next <= index_at(self.partitions[*partition].committed);
        let has_left_uncommitted = !self.members[worker].held.iter().all(is_done);
        let held = self.members[worker].held.clone();
        self.check_given_back(worker, &held.iter().map(|(partition, _)| *partition).collect::<Vec<_>>());
        self.leave(worker);
        self.members[worker].has_left_uncommitted = has_left_uncommitted;
    }

    /// Has the group say what it wants of the worker.
    fn tell_member(&mut self, worker: usize) {
        let is_settling = self.members.iter().any(|member| member.must_revoke);
        let member = &mut self.members[worker];
        let held: Vec<usize> = member.held.iter().map(|(partition, _)| *partition).collect();
        if member.wanted.is_some() {
            return;
        }
        if let Some(told_after) = member.expelled {
            member.expelled = Some(told_after.saturating_sub(1));
            if told_after == 0 {
                member.is_lost = true;
                member.wanted = Some(Rebalance::Revoke(list(&held)));
            }
            return;
        }
        let is_foreign = |partition: &usize| self.partitions[*partition].target != worker;
        let back: Vec<usize> = held.iter().copied().filter(|partition| member.must_revoke || is_foreign(partition)).collect();
        if !back.is_empty() {
            member.wanted = Some(Rebalance::Revoke(list(&back)));
            return;
        }
        let is_free = |partition: &Partition| partition.target == worker && partition.holder.is_none();
        let free: Vec<usize> = (0..PARTITIONS).filter(|partition| is_free(&self.partitions[*partition])).collect();
        if !is_settling && (member.has_news || !free.is_empty()) {
            member.has_news = false;
            member.wanted = Some(Rebalance::Assign(list(&free)));
            free.iter().for_each(|partition| self.partitions[*partition].holder = Some(worker));
        }
    }

    pub(super) fn wanted(&self, worker: usize) -> Option<Rebalance> {
        self.members[worker].wanted.clone()
    }

    pub(super) fn is_lost(&self, worker: usize) -> bool {
        self.members[worker].is_lost
    }

    pub(super) fn assign(&mut self, worker: usize, partitions: &[usize]) -> Result<(), Fault> {
        self.must(matches!(self.wanted(worker), Some(Rebalance::Assign(_))), || "nothing is to be assigned".to_owned());
        self.fetch_offsets(worker, partitions)?;
        for partition in partitions {
            let next = index_at(self.partitions[*partition].committed);
            self.members[worker].held.push((*partition, next));
        }
        self.members[worker].wanted = None;
        Ok(())
    }

    /// Waits for what may still decide on offsets of the partitions, as a fetch of stable offsets does (KIP-447).
    fn fetch_offsets(&mut self, worker: usize, partitions: &[usize]) -> Result<(), Fault> {
        let is_pending = |transaction: &&mut Transaction| {
            transaction.state == State::Open && transaction.pending.iter().any(|(partition, _)| partitions.contains(partition))
        };
        let mut n_pending = 0;
        for transaction in self.transactions.iter_mut().filter(is_pending) {
            transaction.state = State::Aborted;
            n_pending += 1;
        }
        if n_pending > 0 || self.breaks(worker, Failure::Position) {
            return rewind(Cause::Consumer);
        }
        Ok(())
    }

    pub(super) fn unassign(&mut self, worker: usize, partitions: &[usize]) -> Result<(), Fault> {
        self.must(matches!(self.wanted(worker), Some(Rebalance::Revoke(_))), || "nothing is asked back".to_owned());
        if self.breaks(worker, Failure::Position) {
            return rewind(Cause::Consumer);
        }
        self.check_given_back(worker, partitions);
        for partition in partitions {
            let holder = &mut self.partitions[*partition].holder;
            // What was lost is perhaps ours again already, to be told after this.
            if *holder == Some(worker) && !self.members[worker].is_lost {
                *holder = None;
            }
        }
        let member = &mut self.members[worker];
        member.held.retain(|(partition, _)| !partitions.contains(partition));
        (member.wanted, member.expelled, member.is_lost, member.must_revoke, member.has_news) =
            (None, None, false, false, true);
        Ok(())
    }

    /// I6: nothing of ours may follow what the next owner sends.
    fn check_given_back(&mut self, worker: usize, partitions: &[usize]) {
        let Some(producer) = &self.producers[worker] else { return };
        let is_of = |origin: Origin| partitions.contains(&origin.partition);
        let n_in_flight = producer.in_flight.iter().filter(|sent| is_of(sent.origin)).count();
        let is_ours = |landed: &&Landed| producer.transaction.is_some() && landed.transaction == producer.transaction;
        let n_open = self.topics.iter().flatten().filter(is_ours).filter(|landed| is_of(landed.origin)).count();
        self.must(n_in_flight + n_open == 0, || {
            format!("I6: given back with {n_in_flight} records in flight and {n_open} in an open transaction")
        });
    }

    pub(super) fn go_back(&mut self, worker: usize) -> Result<(), Fault> {
        let held: Vec<usize> = self.members[worker].held.iter().map(|(partition, _)| *partition).collect();
        if held.is_empty() {
            return Ok(());
        }
        if self.members[worker].wanted.is_some() {
            return rewind(Cause::Consumer);
        }
        self.fetch_offsets(worker, &held)?;
        for (partition, next) in &mut self.members[worker].held {
            *next = index_at(self.partitions[*partition].committed);
        }
        Ok(())
    }

    pub(super) fn set_paused(&mut self, worker: usize, is_paused: bool) -> Result<(), Fault> {
        if self.breaks(worker, Failure::Position) {
            return rewind(Cause::Consumer);
        }
        self.members[worker].is_paused = is_paused;
        Ok(())
    }

    pub(super) fn check_progress(&mut self, worker: usize) -> Result<(), Fault> {
        if self.breaks(worker, Failure::Stuck) { rewind(Cause::PartitionStuck) } else { Ok(()) }
    }

    // Reading.

    /// Returns the worker's next record. Where it has none, it is the other one's turn.
    pub(super) fn poll(&mut self, worker: usize, timeout: Duration) -> Option<Result<(Origin, Kind), Gap>> {
        if self.fails(|failure| failure == Failure::Gap).is_some() {
            return Some(Err(Gap));
        }
        self.tell_member(worker);
        let member = &mut self.members[worker];
        let is_readable = |(partition, next): &(usize, usize)| *next < self.partitions[*partition].available;
        let n_held = member.held.len();
        let mut turns = (0..n_held).map(|turn| (member.next + turn) % n_held);
        let Some(found) = turns.find(|index| !member.is_paused && is_readable(&member.held[*index])) else {
            self.now += timeout;
            self.turn = if self.has_ended[1 - worker] { worker } else { 1 - worker };
            return None;
        };
        member.next = found + 1;
        let (partition, next) = &mut member.held[found];
        let origin = Origin { partition: *partition, index: *next };
        *next += 1;
        self.partitions[origin.partition].reads[origin.index] += 1;
        let is_again = self.partitions[origin.partition].reads[origin.index] > 1;
        let is_excused = !is_again || self.excuses > 0;
        self.must(is_excused, || format!("I3: {origin:?} is read again, and nothing went wrong"));
        self.tell(worker, &format!("    reads {}", origin.key()));
        Some(Ok((origin, self.partitions[origin.partition].records[origin.index])))
    }

    /// Commits offsets, at least once.
    pub(super) fn commit(&mut self, worker: usize, watermarks: &Watermarks) -> Result<(), Fault> {
        let answer = self.answer();
        let is_member = self.members[worker].expelled.is_none();
        if is_member && matches!(answer, None | Some(Answer::LostAfter)) {
            self.move_offsets(worker, &offsets(watermarks));
        }
        if answer == Some(Answer::Fenced) {
            self.excuses += 1;
            return Err(Fault::Fatal("another process has this member's name".to_owned()));
        }
        if is_member && answer.is_none() {
            return Ok(());
        }
        // Who reads on commits later; a partition that goes now is read again.
        self.excuses += usize::from(self.is_leaving(worker));
        Err(Fault::Defer("the group is moving".to_owned()))
    }

    fn is_leaving(&self, worker: usize) -> bool {
        matches!(self.members[worker].wanted, Some(Rebalance::Revoke(_))) || self.stops[worker].is_requested()
    }

    fn answer(&mut self) -> Option<Answer> {
        let failure = self.fails(|failure| matches!(failure, Failure::Commit(_)))?;
        if let Failure::Commit(answer) = failure { Some(answer) } else { None }
    }

    /// I2, I5, I6: offsets follow what is visible, of partitions that are ours, and never go back.
    fn move_offsets(&mut self, worker: usize, offsets: &[(usize, i64)]) {
        for &(number, offset) in offsets {
            let partition = &self.partitions[number];
            let (before, after) = (index_at(partition.committed), index_at(offset));
            let position = self.members[worker].held.iter().find(|(held, _)| *held == number).map(|(_, next)| *next);
            let mut faults = Vec::new();
            if position.is_none() {
                faults.push(format!("I6: {number} at {offset} is committed after it was given back"));
            }
            if position.is_some_and(|position| after > position) {
                faults.push(format!("I5: {number} at {offset} is committed before it was read"));
            }
            if after < before {
                faults.push(format!("I5: {number} goes back to {offset}"));
            }
            for index in before..after {
                let origin = Origin { partition: number, index };
                let missing = partition.records[index].outputs().iter().filter(|topic| self.visible(**topic, origin) == 0);
                faults.extend(missing.map(|topic| format!("I2: {origin:?} is committed without {}", TOPICS[*topic])));
            }
            faults.into_iter().for_each(|fault| self.violate(fault));
            self.partitions[number].committed = offset;
        }
    }

    /// Returns how many readers of committed records see.
    fn visible(&self, topic: usize, origin: Origin) -> usize {
        self.topics[topic].iter().filter(|landed| landed.origin == origin && self.is_visible(landed)).count()
    }

    fn is_visible(&self, landed: &Landed) -> bool {
        landed.transaction.is_none_or(|transaction| self.transactions[transaction].state == State::Committed)
    }

    // Sending.

    pub(super) fn open_delivery(&mut self, worker: usize) -> Result<(), Fault> {
        self.lose_producer(worker, 0);
        if self.breaks(worker, Failure::Open) {
            return rewind(Cause::Producer);
        }
        let incarnation = if self.is_static { 0 } else { self.incarnations[worker] };
        let id = format!("{worker}-{incarnation}");
        for transaction in self.transactions.iter_mut().filter(|other| other.id == id && other.state == State::Open) {
            transaction.state = State::Aborted;
        }
        self.producers[worker] =
            Some(Producer { id, in_flight: VecDeque::new(), transaction: None, broken: None, refused: None });
        Ok(())
    }

    fn producer(&mut self, worker: usize) -> &mut Producer {
        self.producers[worker].as_mut().unwrap()
    }

    /// Ends the worker's producer; of what it has in flight, `landed` records arrive all the same.
    fn lose_producer(&mut self, worker: usize, landed: usize) {
        if self.producers[worker].is_some() {
            self.land(worker, landed);
            self.producers[worker] = None;
        }
    }

    fn check_usable(&mut self, worker: usize, what: &str) {
        if let Some(broken) = self.producer(worker).broken {
            self.violate(format!("{what} by a producer that {broken}"));
        }
    }

    fn begin_transaction(&mut self, worker: usize) {
        if self.is_exactly_once && self.producer(worker).transaction.is_none() {
            let id = self.producer(worker).id.clone();
            self.transactions.push(Transaction { id, state: State::Open, pending: Vec::new() });
            self.producer(worker).transaction = Some(self.transactions.len() - 1);
        }
    }

    /// Takes records into the queue as long as there is room; returns how many.
    pub(super) fn send(&mut self, worker: usize, records: impl Iterator<Item = (usize, Origin)>) -> Result<usize, Fault> {
        self.check_usable(worker, "records are sent");
        let room = self.fails(|failure| matches!(failure, Failure::Full(_)));
        let room = room.map_or(usize::MAX, |failure| if let Failure::Full(room) = failure { room } else { 0 });
        let mut n_taken = 0;
        for (topic, origin) in records.take(room) {
            if self.breaks(worker, Failure::Send) {
                self.producer(worker).broken = Some("has failed");
                return rewind(Cause::Producer);
            }
            let is_held = self.members[worker].held.iter().any(|(partition, _)| *partition == origin.partition);
            self.must(is_held, || format!("I6: {origin:?} is sent after its partition was given back"));
            self.begin_transaction(worker);
            self.producer(worker).in_flight.push_back(Sent { topic, origin });
            n_taken += 1;
        }
        Ok(n_taken)
    }

    /// Has at most `limit` records arrive, in order by topic, but none in a topic that refuses.
    fn land(&mut self, worker: usize, limit: usize) {
        let (is_refusing, transaction) = (self.is_refusing, self.producer(worker).transaction);
        let mut n_landed = 0;
        let mut kept = VecDeque::new();
        for sent in std::mem::take(&mut self.producer(worker).in_flight) {
            if is_refusing[sent.topic] || n_landed >= limit {
                kept.push_back(sent);
            } else {
                self.topics[sent.topic].push(Landed { origin: sent.origin, transaction });
                n_landed += 1;
            }
        }
        self.producer(worker).in_flight = kept;
    }

    /// Acknowledges at most `limit` records.
    pub(super) fn serve(&mut self, worker: usize, limit: usize) -> Result<(), Fault> {
        self.check_usable(worker, "reports are served");
        if self.breaks(worker, Failure::Serve) {
            self.producer(worker).broken = Some("has failed");
            return rewind(Cause::Producer);
        }
        if self.fails(|failure| failure == Failure::Stall).is_some() {
            self.tell(worker, "    stalls");
            return Ok(());
        }
        self.land(worker, limit);
        let is_refusing = self.is_refusing;
        let refused = self.producer(worker).in_flight.iter().map(|sent| sent.topic).find(|topic| is_refusing[*topic]);
        if self.is_exactly_once && refused.is_some() {
            self.excuses += 1;
            let producer = self.producer(worker);
            (producer.refused, producer.broken) = (refused, Some("has a refused record in its transaction"));
            return rewind(Cause::TopicRefused);
        }
        Ok(())
    }

    /// Returns whether all is acknowledged.
    pub(super) fn drain(&mut self, worker: usize, patience: Duration) -> Result<bool, Fault> {
        self.serve(worker, usize::MAX)?;
        let is_drained = self.producer(worker).in_flight.is_empty();
        if !is_drained {
            self.now += patience;
            self.excuses += usize::from(self.is_leaving(worker));
        }
        Ok(is_drained)
    }

    pub(super) fn unacknowledged(&self, worker: usize) -> usize {
        self.producers[worker].as_ref().map_or(0, |producer| producer.in_flight.len())
    }

    pub(super) fn abandon(&mut self, worker: usize) {
        // What was on its way arrives all the same, at least the older half of it.
        let n_landed = self.unacknowledged(worker) / 2;
        self.land(worker, n_landed);
        self.producer(worker).in_flight.clear();
        self.abort(worker);
        self.producer(worker).broken.get_or_insert("was abandoned");
    }

    /// Returns whether it is certain that no transaction is open.
    fn abort(&mut self, worker: usize) -> bool {
        let Some(transaction) = self.producer(worker).transaction.take() else { return true };
        if self.breaks(worker, Failure::Abort) {
            return false;
        }
        self.transactions[transaction].state = State::Aborted;
        true
    }

    /// Commits a transaction with its offsets.
    pub(super) fn commit_transaction(&mut self, worker: usize, watermarks: &Watermarks) -> Result<(), Fault> {
        self.check_usable(worker, "a transaction is committed");
        let n_in_flight = self.unacknowledged(worker);
        self.must(n_in_flight == 0, || format!("a transaction is committed with {n_in_flight} records in flight"));
        self.begin_transaction(worker);
        let answer = self.answer();
        let is_member = self.members[worker].expelled.is_none();
        if !is_member || matches!(answer, Some(Answer::Refused | Answer::Fenced)) {
            self.excuses += 1;
            self.producer(worker).broken = Some("has a transaction whose offsets were refused");
            return rewind(Cause::GroupMoved);
        }
        let transaction = self.producer(worker).transaction.take().unwrap();
        let offsets = offsets(watermarks);
        if answer == Some(Answer::LostBefore) {
            self.transactions[transaction].pending = offsets;
        } else {
            self.transactions[transaction].state = State::Committed;
            self.check_fan_out(transaction);
            self.move_offsets(worker, &offsets);
        }
        if answer.is_some() {
            self.excuses += 1;
            self.producer(worker).broken = Some("does not know what became of its transaction");
            return rewind(Cause::Transaction);
        }
        Ok(())
    }

    /// I3, I10: all that a record leads to is in one transaction, and in no other that is committed.
    fn check_fan_out(&mut self, transaction: usize) {
        let is_in = |landed: &&Landed| landed.transaction == Some(transaction);
        let mut origins: Vec<Origin> = self.topics.iter().flatten().filter(is_in).map(|landed| landed.origin).collect();
        origins.sort_unstable();
        origins.dedup();
        for origin in origins {
            for topic in self.partitions[origin.partition].records[origin.index].outputs() {
                let n_visible = self.visible(*topic, origin);
                self.must(n_visible == 1, || format!("I3, I10: {n_visible} of {origin:?} in {}", TOPICS[*topic]));
            }
        }
    }

    pub(super) fn take_refused(&mut self, worker: usize) -> Option<usize> {
        self.producer(worker).refused.take()
    }

    /// Offers one record to a topic; returns whether it takes it.
    pub(super) fn probe(&mut self, worker: usize, topic: usize) -> Result<bool, Fault> {
        self.check_usable(worker, "a record is offered");
        self.begin_transaction(worker);
        if !self.abort(worker) {
            self.producer(worker).broken = Some("could not abort");
            return rewind(Cause::Transaction);
        }
        Ok(!self.is_refusing[topic])
    }

    pub(super) fn close_delivery(&mut self, worker: usize) {
        self.abandon(worker);
        self.producers[worker] = None;
    }

    // Ends.

    /// Begins a worker, the first one of its name or the next; returns how it is asked to stop.
    pub(super) fn start(&mut self, worker: usize) -> Arc<Stop> {
        self.incarnations[worker] += 1;
        self.stops[worker] = Arc::new(Stop::default());
        if self.is_ending {
            self.stops[worker].request();
        }
        Arc::clone(&self.stops[worker])
    }

    /// Judges how a worker ended: with a result, or by unwinding, because it was killed or not. Returns whether it was the last.
    pub(super) fn ended(&mut self, worker: usize, result: Result<Result<(), Fault>, bool>) -> bool {
        self.tell(worker, &format!("ends: {result:?}"));
        match result {
            Ok(Ok(())) => {
                let (is_asked, has_left) = (self.stops[worker].is_requested(), self.members[worker].has_left_uncommitted);
                self.must(is_asked, || "a worker has ended by itself".to_owned());
                self.must(!has_left, || "a worker has left records uncommitted and does not say so".to_owned());
            }
            Ok(Err(fault)) => {
                let is_excused = self.excuses > 0 && !self.is_ending;
                self.must(is_excused, || format!("a worker has failed, and nothing went wrong: {fault}"));
            }
            Err(was_killed) => self.must(was_killed, || "a worker panics".to_owned()),
        }
        self.has_ended[worker] = self.is_ending || self.is_over();
        self.has_ended[worker]
    }

    /// Judges what is left in the topics: I2, I3, I4.
    pub(super) fn check_outputs(&mut self) {
        for (topic, name) in TOPICS.into_iter().enumerate() {
            for number in 0..PARTITIONS {
                let visible = |landed: &&Landed| landed.origin.partition == number && self.is_visible(landed);
                let found: Vec<usize> = self.topics[topic].iter().filter(visible).map(|landed| landed.origin.index).collect();
                let mut first: Vec<usize> = Vec::new();
                found.iter().for_each(|index| {
                    if !first.contains(index) {
                        first.push(*index)
                    }
                });
                let partition = &self.partitions[number];
                let is_routed = |index: &usize| partition.records[*index].outputs().contains(&topic);
                let expected: Vec<usize> = (0..partition.records.len()).filter(is_routed).collect();
                let is_explained = first.iter().all(|index| {
                    let n_found = found.iter().filter(|other| *other == index).count();
                    n_found <= if self.is_exactly_once { 1 } else { partition.reads[*index] }
                });
                self.must(first == expected, || {
                    format!("I2, I4: {name} has {found:?} of partition {number}, not {expected:?}")
                });
                self.must(is_explained, || format!("I3: {name} has {found:?} of partition {number}"));
            }
        }
    }
}

use Fate::GoesOn;

fn offsets(watermarks: &Watermarks) -> Vec<(usize, i64)> {
    watermarks.iter().map(|mark| (usize::try_from(mark.partition).unwrap(), mark.next_offset)).collect()
}
