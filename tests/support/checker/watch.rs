//! Looks at a run while it lasts: offsets never go ahead of what has left (I5), and of an event nothing or all is seen (I10).
//!
//! A look takes note of the committed offsets and of the events that are seen in part, and then of where the outputs end.
//! Whatever was acknowledged, or belongs to a transaction of which something could be read, stands before those ends: so
//! once readers of committed records get there, everything must be complete. The time that this takes does not matter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rdkafka::message::BorrowedMessage;

use super::output::{Output, headers};
use super::{At, Format, Found, N_SLOTS, WHOLE, due, index, place, topic_of};
use crate::support::generator::DESTINATIONS;
use crate::support::source::Source;
use crate::support::topics::{Committed, Ends, Tail};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// What has been seen of a run.
pub(crate) struct Watch<'a> {
    source: &'a Mutex<Source>,
    committed: Committed,
    logs: Ends,
    readable: Ends,
    tails: Vec<Tail>,
    /// Whether an event must be seen as a whole: under exactly once.
    is_atomic: bool,
    found: BTreeMap<At, Found>,
    /// By partition, the first offset of which something due is not found.
    resolved: Vec<usize>,
    /// What each is about, and how often each was seen to hold.
    pub(crate) n_looks: u64,
    faults: Vec<String>,
    is_over: Arc<dyn Fn() -> bool + Send + Sync + 'a>,
}

impl<'a> Watch<'a> {
    /// Returns a watch over outputs that begin with `prefix`, all but `ignored`, which looks until `is_over`.
    pub(crate) fn new(
        brokers: &str,
        source: &'a Mutex<Source>,
        (group, prefix, ignored): (&str, &str, Option<&'static str>),
        is_atomic: bool,
        is_over: impl Fn() -> bool + Send + Sync + 'a,
    ) -> Watch<'a> {
        let names = DESTINATIONS
            .iter()
            .chain(&["dead"])
            .filter(|name| Some(**name) != ignored);
        let topics: Vec<String> = names.map(|name| format!("{prefix}.{name}")).collect();
        let topic = source.lock().expect("nobody panics with it").topic.clone();
        Watch {
            source,
            committed: Committed::of(brokers, group, &topic),
            logs: Ends::of_logs(brokers, &topics),
            readable: Ends::committed(brokers, &topics),
            tails: topics
                .iter()
                .map(|topic| Tail::of(brokers, topic))
                .collect(),
            is_atomic,
            found: BTreeMap::new(),
            resolved: Vec::new(),
            n_looks: 0,
            faults: Vec::new(),
            is_over: Arc::new(is_over),
        }
    }

    /// Looks again and again until it is over; returns how often, or what it has seen that must not be.
    pub(crate) fn run(mut self) -> Result<u64, String> {
        while !(self.is_over)() && self.faults.is_empty() {
            self.look();
            std::thread::sleep(PAUSE);
        }
        if self.faults.is_empty() {
            Ok(self.n_looks)
        } else {
            Err(self.faults.join("\n"))
        }
    }

    /// Looks once; `None` where it was over before the readers got where they must.
    pub(crate) fn look(&mut self) -> Option<()> {
        self.read_on()?;
        let partial = if self.is_atomic {
            self.partial()
        } else {
            Vec::new()
        };
        let committed = self.try_until_over(|watch| watch.committed.now())?;
        let ends = self.try_until_over(|watch| watch.logs.now())?;
        let is_there = |now: BTreeMap<_, i64>| {
            ends.iter()
                .all(|(place, end)| now.get(place).is_some_and(|now| now >= end))
                .then_some(())
        };
        self.try_until_over(|watch| watch.readable.now().and_then(is_there))?;
        self.read_on()?;
        self.resolve();
        self.compare(&committed, &partial);
        self.n_looks += 1;
        Some(())
    }

    /// Returns what it has seen that must not be.
    pub(crate) fn faults(&self) -> &[String] {
        &self.faults
    }

    fn compare(&mut self, committed: &BTreeMap<i32, i64>, partial: &[At]) {
        for (partition, next) in committed {
            let resolved = self.resolved.get(index(*partition)).copied().unwrap_or(0);
            if index(*next) > resolved {
                let at = At {
                    partition: index(*partition),
                    offset: resolved,
                };
                let found = self.found.get(&at);
                self.faults
                    .push(format!("partition {partition}: {next} is committed, and of {resolved} only {found:?} has left"));
            }
        }
        let torn = partial
            .iter()
            .filter(|at| !self.is_complete(**at))
            .map(|at| format!("{at:?} is seen in part"))
            .collect::<Vec<_>>();
        self.faults.extend(torn);
    }

    fn try_until_over<T>(&self, ask: impl Fn(&Self) -> Option<T>) -> Option<T> {
        loop {
            if let Some(answer) = ask(self) {
                return Some(answer);
            }
            if (self.is_over)() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn read_on(&mut self) -> Option<()> {
        let Watch {
            tails,
            found,
            is_over,
            faults,
            ..
        } = self;
        for tail in tails {
            let topic = tail.topic.rsplit('.').next().unwrap_or_default().to_owned();
            let take = |message: &BorrowedMessage<'_>| match slot(&topic, message) {
                Ok((at, slot)) => {
                    let found = found.entry(at).or_insert([0; N_SLOTS]);
                    found[slot] = found[slot].saturating_add(1);
                }
                Err(fault) => faults.push(fault),
            };
            if !tail.read_on(take, || is_over()) {
                return None;
            }
        }
        Some(())
    }

    /// Returns the events of which something is found and something is not.
    fn partial(&self) -> Vec<At> {
        let unresolved = self
            .found
            .keys()
            .filter(|at| at.offset >= self.resolved.get(at.partition).copied().unwrap_or(0));
        unresolved
            .copied()
            .filter(|at| !self.is_complete(*at))
            .collect()
    }

    fn resolve(&mut self) {
        let n_partitions = self.source().events.len();
        self.resolved.resize(n_partitions, 0);
        for partition in 0..n_partitions {
            while self.is_complete(At {
                partition,
                offset: self.resolved[partition],
            }) {
                self.resolved[partition] += 1;
            }
        }
    }

    /// Returns whether all that is due of an event, of what is watched, is found; not so for an event that is not written.
    fn is_complete(&self, at: At) -> bool {
        let Some(expected) = self.expected(at) else {
            return false;
        };
        let found = self.found.get(&at).copied().unwrap_or([0; N_SLOTS]);
        let is_watched = |slot| {
            self.tails
                .iter()
                .any(|tail| tail.topic.ends_with(&format!(".{}", topic_of(slot))))
        };
        (0..N_SLOTS).all(|slot| found[slot] > 0 || !expected[slot] || !is_watched(slot))
    }

    fn expected(&self, at: At) -> Option<[bool; N_SLOTS]> {
        let source = self.source();
        let is_written = at.offset < source.events.get(at.partition)?.len();
        let event = source.event(at.partition, at.offset);
        is_written.then(|| event.map_or([false; N_SLOTS], |event| due(&event.expected())))
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().expect("nobody panics with it")
    }
}

/// Returns the event that a record was made of, and which of its records it is.
fn slot(topic: &str, message: &BorrowedMessage<'_>) -> Result<(At, usize), String> {
    if let Some(destination) = DESTINATIONS.iter().position(|name| *name == topic) {
        return place(destination, &Output::read(Format::Structured, message)?.id);
    }
    let headers = headers(message)?;
    let number = |name: &str| {
        headers
            .get(name)
            .and_then(|text| text.parse().ok())
            .ok_or(format!("no number in header {name}"))
    };
    let at = At {
        partition: number("source_partition")?,
        offset: number("source_offset")?,
    };
    let share = headers
        .get("destination")
        .and_then(|name| DESTINATIONS.iter().position(|other| other == name));
    Ok((
        at,
        share.map_or(WHOLE, |destination| WHOLE + 1 + destination),
    ))
}
