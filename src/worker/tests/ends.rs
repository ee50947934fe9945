//! A worker's two ends in memory. Every call is a point where the schedule may interfere, and where the other worker may go on.

use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::topic_partition_list::TopicPartitionList;

use super::broker::group::Gap;
use super::broker::outputs::Sent;
use super::broker::{Broker, Fate, Origin, SOURCE, WORKERS};
use super::clock;
use crate::envelope::Emissions;
use crate::kafka::ends::{Intake, Outlet, Polled, Rebalance};
use crate::kafka::fault::Fault;
use crate::record::{Position, Record};
use crate::watermark::{Watermark, Watermarks};

/// What a thread unwinds with whose worker was killed.
pub(super) struct Killed;

/// The broker, and the right to call it, which one worker has at a time.
pub(super) struct Shared {
    broker: Mutex<Broker>,
    turn_changed: Condvar,
}

impl Shared {
    pub(super) fn new(broker: Broker) -> Shared {
        Shared {
            broker: Mutex::new(broker),
            turn_changed: Condvar::new(),
        }
    }

    /// Returns the broker once it is the worker's turn.
    fn wait(&self, worker: usize) -> MutexGuard<'_, Broker> {
        let broker = self.lock();
        let is_others = |broker: &mut Broker| broker.turn != worker && !broker.is_over();
        self.turn_changed
            .wait_while(broker, is_others)
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is no call of a client: starting and ending.
    pub(super) fn act<T>(&self, worker: usize, act: impl FnOnce(&mut Broker) -> T) -> T {
        let mut broker = self.wait(worker);
        clock::set(broker.now());
        let result = act(&mut broker);
        if broker.has_ended[broker.turn] {
            broker.turn = WORKERS - 1 - broker.turn;
        }
        self.turn_changed.notify_all();
        result
    }

    fn call<T>(&self, worker: usize, name: &str, call: impl FnOnce(&mut Broker) -> T) -> T {
        let mut broker = self.wait(worker);
        let mut fate = if broker.is_over() {
            Fate::Dies
        } else {
            broker.pass(worker)
        };
        if broker.turn != worker {
            self.turn_changed.notify_all();
            drop(broker);
            broker = self.wait(worker);
        }
        let mut result = None;
        if fate == Fate::GoesOn && !broker.is_over() {
            if !name.is_empty() {
                broker.tell(worker, name);
            }
            result = Some(call(&mut broker));
        }
        if broker.is_over() {
            fate = Fate::Dies;
        }
        clock::set(broker.now());
        self.turn_changed.notify_all();
        drop(broker);
        match result {
            Some(result) if fate == Fate::GoesOn => result,
            _ => resume_unwind(Box::new(Killed)),
        }
    }
}

/// A consumer.
pub(super) struct Consumer<'a> {
    shared: &'a Shared,
    worker: usize,
}

impl<'a> Consumer<'a> {
    pub(super) fn open(shared: &'a Shared, worker: usize) -> Result<Consumer<'a>, Fault> {
        shared.call(worker, "open source", |broker| broker.open_source(worker));
        Ok(Consumer { shared, worker })
    }

    fn call<T>(&self, name: &str, call: impl FnOnce(&mut Broker, usize) -> T) -> T {
        self.shared
            .call(self.worker, name, |broker| call(broker, self.worker))
    }
}

impl Intake for Consumer<'_> {
    type Offsets = Watermarks;

    fn poll(&mut self, timeout: Duration, take: impl FnOnce(&Record<'_>)) -> Result<Polled, Fault> {
        let (origin, kind) = match self.call("", |broker, worker| broker.poll(worker, timeout)) {
            Some(Ok(found)) => found,
            Some(Err(Gap)) => return Ok(Polled::Gap),
            None => return Ok(Polled::Nothing),
        };
        let (key, partition) = (origin.key(), i32::try_from(origin.partition).unwrap());
        take(&Record {
            position: Position {
                topic: SOURCE,
                partition,
                offset: origin.offset(),
            },
            timestamp: None,
            key: Some(key.as_bytes()),
            value: Some(kind.value(&key).as_bytes()),
            traceparent: None,
            letter: None,
        });
        Ok(Polled::Record)
    }

    fn mend_gaps(&mut self) -> Result<Vec<Watermark>, Fault> {
        self.call("mend gaps", |_, _| Ok(Vec::new()))
    }

    fn rebalance(&self) -> Option<Rebalance> {
        self.shared.lock().wanted(self.worker)
    }

    fn assign(&mut self, partitions: TopicPartitionList) -> Result<Vec<Watermark>, Fault> {
        let partitions = numbers(&partitions);
        self.call(&format!("assign {partitions:?}"), |broker, worker| {
            broker.assign(worker, &partitions)
        })
    }

    fn unassign(&mut self, partitions: &TopicPartitionList) -> Result<(), Fault> {
        let partitions = numbers(partitions);
        self.call(&format!("unassign {partitions:?}"), |broker, worker| {
            broker.unassign(worker, &partitions)
        })
    }

    fn is_lost(&self) -> bool {
        self.shared.lock().is_lost(self.worker)
    }

    fn revoke_patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn commit(&mut self, watermarks: &Watermarks) -> Result<(), Fault> {
        self.call("commit", |broker, worker| broker.commit(worker, watermarks))
    }

    fn to_commit(&self, watermarks: &Watermarks) -> Result<Watermarks, Fault> {
        Ok(watermarks.clone())
    }

    fn rewind(&mut self) -> Result<Vec<Watermark>, Fault> {
        self.call("rewind", Broker::go_back)
    }

    fn set_paused(&mut self, is_paused: bool) -> Result<(), Fault> {
        let name = if is_paused { "pause" } else { "resume" };
        self.call(name, |broker, worker| broker.set_paused(worker, is_paused))
    }

    fn check_progress(&mut self) -> Result<(), Fault> {
        self.call("", Broker::check_progress)
    }

    fn close(self) {
        self.call("close source", Broker::close_source);
    }
}

/// A producer.
pub(super) struct Producer<'a> {
    shared: &'a Shared,
    worker: usize,
    /// How many of a batch it has taken.
    n_taken: usize,
}

impl<'a> Producer<'a> {
    pub(super) fn open(shared: &'a Shared, worker: usize) -> Result<Producer<'a>, Fault> {
        shared.call(worker, "open delivery", |broker| {
            broker.open_delivery(worker)
        })?;
        Ok(Producer {
            shared,
            worker,
            n_taken: 0,
        })
    }

    fn call<T>(&self, name: &str, call: impl FnOnce(&mut Broker, usize) -> T) -> T {
        self.shared
            .call(self.worker, name, |broker| call(broker, self.worker))
    }
}

impl Outlet for Producer<'_> {
    type Offsets = Watermarks;
    type Probe = Sent;

    fn send(&mut self, emissions: &Emissions) -> Result<bool, Fault> {
        let rest = emissions.iter().skip(self.n_taken);
        let name = if emissions.is_empty() {
            String::new()
        } else {
            format!("send {} records", rest.len())
        };
        let records =
            rest.map(|emission| (emission.topic.0, Origin::of_key(emission.key.unwrap())));
        self.n_taken += self.call(&name, |broker, worker| broker.send(worker, records))?;
        let is_all = self.n_taken == emissions.len();
        if is_all {
            self.n_taken = 0;
        }
        Ok(is_all)
    }

    fn serve(&mut self, duration: Duration) -> Result<(), Fault> {
        self.call("", |broker, worker| {
            broker.sleep(duration);
            broker.serve(worker, 2)
        })
    }

    fn drain(&mut self, patience: Duration) -> Result<bool, Fault> {
        self.call("drain", |broker, worker| broker.drain(worker, patience))
    }

    fn unacknowledged(&self) -> usize {
        self.shared.lock().unacknowledged(self.worker)
    }

    fn abandon(&mut self) {
        self.call("abandon", Broker::abandon);
    }

    fn commit_transaction(&mut self, offsets: &Watermarks) -> Result<(), Fault> {
        self.call("commit transaction", |broker, worker| {
            broker.commit_transaction(worker, offsets)
        })
    }

    fn take_probe(&mut self) -> Option<Sent> {
        self.shared.lock().take_refused(self.worker)
    }

    fn probe(&mut self, refused: &mut Sent, _: Duration) -> Result<bool, Fault> {
        self.call("probe", |broker, worker| broker.probe(worker, *refused))
    }

    fn close(self) {
        self.call("close delivery", Broker::close_delivery);
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<usize> {
    list.elements()
        .iter()
        .map(|element| usize::try_from(element.partition()).unwrap())
        .collect()
}
