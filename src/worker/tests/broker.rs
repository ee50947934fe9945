//! Kafka as one value: source partitions, a group, output topics with transactions. It judges whatever is made durable, and has
//! fail what its schedule says.

pub(super) mod group;
mod judge;
pub(super) mod outputs;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::group::Member;
use self::outputs::{Landed, Producer, Transaction};
use super::schedule::{Case, Event, Failure, Kind, Step, TOPICS};
use crate::config::Guarantee;
use crate::kafka::fault::{Cause, Fault};
use crate::status::Status;
use crate::worker::stop::Stop;

pub(super) const SOURCE: &str = "in";
pub(super) const WORKERS: usize = 2;

/// How many calls after the last event all is well again, what was to fail and has not no longer does, and all records are there.
const CALLS_TO_HEAL: usize = 30;

/// How many calls the workers may make from then on until all is committed and they have ended (I8).
const CALLS_TO_END: usize = 3000;

/// Everything outside the workers.
pub(super) struct Broker {
    is_exactly_once: bool,
    is_eager: bool,
    is_static: bool,
    starts_at_end: bool,
    steps: VecDeque<Step>,
    /// What is to fail at the next occasion.
    failures: Vec<Failure>,
    partitions: Vec<Partition>,
    members: [Member; WORKERS],
    topics: [Vec<Landed>; TOPICS.len()],
    is_refusing: [bool; TOPICS.len()],
    producers: [Option<Producer>; WORKERS],
    transactions: Vec<Transaction>,
    /// How often each worker was started.
    incarnations: [usize; WORKERS],
    stops: [Arc<Stop>; WORKERS],
    /// What each worker says of itself.
    statuses: [Arc<Status>; WORKERS],
    began: Instant,
    passed: Duration,
    n_calls: usize,
    heals_at: usize,
    /// How often something happened after which records may be read again.
    excuses: usize,
    is_ending: bool,
    /// Whose turn it is to make calls.
    pub(super) turn: usize,
    pub(super) has_ended: [bool; WORKERS],
    pub(super) trace: Vec<String>,
    pub(super) violation: Option<String>,
}

/// A partition of the source.
struct Partition {
    records: Vec<Kind>,
    /// How many of them can be read by now.
    available: usize,
    /// How often each was read.
    reads: Vec<usize>,
    /// The first record that is wanted where no offset is committed.
    start: usize,
    committed: Option<i64>,
    /// Whose it is to be.
    target: usize,
    /// Who was given it and has not given it back.
    holder: Option<usize>,
    /// When an epoch of its holder's ended with records that are not committed, and its offset has not moved since.
    left_at: Option<Instant>,
}

impl Partition {
    /// Returns the index of the first record that is not done.
    fn next(&self) -> usize {
        self.committed.map_or(self.start, index_at)
    }
}

/// A record of the source. Offsets have gaps, as transactions and compaction leave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) partition: usize,
    pub(super) index: usize,
}

impl Origin {
    pub(super) fn offset(self) -> i64 {
        2 * i64::try_from(self.index).unwrap()
    }

    pub(super) fn key(self) -> String {
        format!("{}-{}", self.partition, self.index)
    }

    pub(super) fn of_key(key: &[u8]) -> Origin {
        let (partition, index) = std::str::from_utf8(key).unwrap().split_once('-').unwrap();
        Origin {
            partition: partition.parse().unwrap(),
            index: index.parse().unwrap(),
        }
    }
}

/// Returns the index of the first record at or after the offset.
fn index_at(offset: i64) -> usize {
    usize::try_from((offset + 1) / 2).unwrap()
}

/// What an event does to the worker that makes the call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    GoesOn,
    Dies,
}

fn rewind<T>(cause: Cause) -> Result<T, Fault> {
    Err(Fault::Rewind {
        cause,
        detail: "as scheduled".to_owned(),
    })
}

impl Broker {
    pub(super) fn new(case: &Case) -> Broker {
        let mut steps = case.steps.clone();
        steps.sort_by_key(|step| step.at);
        let partition = |(number, records): (usize, &Vec<Kind>)| Partition {
            records: records.clone(),
            available: if number == 0 {
                records.len()
            } else {
                records.len() / 2
            },
            reads: vec![0; records.len()],
            start: 0,
            committed: None,
            target: number % WORKERS,
            holder: None,
            left_at: None,
        };
        Broker {
            is_exactly_once: case.guarantee == Guarantee::ExactlyOnce,
            is_eager: case.is_eager,
            is_static: case.is_static,
            starts_at_end: case.starts_at_end,
            heals_at: steps.last().map_or(0, |step| step.at) + CALLS_TO_HEAL,
            steps: steps.into(),
            failures: Vec::new(),
            partitions: case.records.iter().enumerate().map(partition).collect(),
            members: Default::default(),
            topics: Default::default(),
            is_refusing: Default::default(),
            producers: Default::default(),
            transactions: Vec::new(),
            incarnations: Default::default(),
            stops: Default::default(),
            statuses: [0, 1].map(|worker| Arc::new(Status::new(worker))),
            began: Instant::now(),
            passed: Duration::ZERO,
            n_calls: 0,
            excuses: 0,
            is_ending: false,
            turn: 0,
            has_ended: Default::default(),
            trace: Vec::new(),
            violation: None,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.began + self.passed
    }

    pub(super) fn sleep(&mut self, duration: Duration) {
        self.passed += duration;
    }

    pub(super) fn tell(&mut self, worker: usize, what: &str) {
        self.trace.push(format!(
            "{:>8.3} {worker} {what}",
            self.passed.as_secs_f64()
        ));
    }

    pub(super) fn is_over(&self) -> bool {
        self.violation.is_some()
    }

    /// Has what is due happen before a call of the worker.
    pub(super) fn pass(&mut self, worker: usize) -> Fate {
        self.sleep(Duration::from_millis(1));
        self.n_calls += 1;
        let n_calls = self.n_calls;
        if let Some(step) = self.steps.pop_front_if(|step| step.at <= n_calls) {
            self.tell(worker, &format!("--- {step:?}"));
            return self.happen(worker, step.event);
        }
        if n_calls >= self.heals_at {
            self.heal();
            self.stop_when_done();
        }
        Fate::GoesOn
    }

    fn happen(&mut self, worker: usize, event: Event) -> Fate {
        match event {
            Event::Switch => self.turn = 1 - worker,
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
        Fate::GoesOn
    }

    fn heal(&mut self) {
        self.failures.clear();
        self.is_refusing = Default::default();
        self.partitions
            .iter_mut()
            .for_each(|partition| partition.available = partition.records.len());
    }

    /// Asks the workers to stop once all is committed and nobody is about to undo an epoch.
    fn stop_when_done(&mut self) {
        let starts_at_end = self.starts_at_end;
        let is_done = |partition: &Partition| {
            partition.next() == partition.records.len()
                && (partition.committed.is_some() || !starts_at_end)
        };
        let is_calm = |member: &Member| member.expelled.is_none() && member.wanted.is_none();
        let is_sound = |producer: &Option<Producer>| {
            producer
                .as_ref()
                .is_some_and(|producer| producer.broken.is_none())
        };
        if self.partitions.iter().all(is_done)
            && self.members.iter().all(is_calm)
            && self.producers.iter().all(is_sound)
            && !self.is_ending
        {
            self.is_ending = true;
            self.stops.iter().for_each(|stop| stop.request());
        }
        let is_in_time = self.n_calls < self.heals_at + CALLS_TO_END;
        self.must(is_in_time, || {
            "I8: all is well, and yet not all gets committed".to_owned()
        });
    }

    /// Returns the failure if it is due.
    fn due(&mut self, is_it: impl Fn(Failure) -> bool) -> Option<Failure> {
        let index = self.failures.iter().position(|failure| is_it(*failure))?;
        Some(self.failures.remove(index))
    }

    /// Returns whether the failure is due, after which records may be read again.
    fn fails(&mut self, worker: usize, failure: Failure) -> bool {
        let is_due = self.due(|due| due == failure).is_some();
        if is_due {
            self.excuses += 1;
            self.tell(worker, &format!("    fails: {failure:?}"));
        }
        is_due
    }

    /// Begins a worker, the first one of its name or the next; returns how it is asked to stop.
    pub(super) fn start(&mut self, worker: usize, status: Arc<Status>) -> Arc<Stop> {
        self.incarnations[worker] += 1;
        self.statuses[worker] = status;
        self.stops[worker] = Arc::new(Stop::default());
        if self.is_ending {
            self.stops[worker].request();
        }
        Arc::clone(&self.stops[worker])
    }

    /// Takes note that a worker has ended, and judges how. Returns whether no other follows it.
    pub(super) fn end(&mut self, worker: usize, result: Ending) -> bool {
        self.tell(worker, &format!("ends: {result:?}"));
        self.judge_ending(worker, &result);
        self.has_ended[worker] = self.is_ending || self.is_over();
        self.has_ended[worker]
    }
}

/// How a worker ended.
#[derive(Debug)]
pub(super) enum Ending {
    Returned(Result<(), Fault>),
    Killed,
    Panicked,
}
