//! How fast a contestant gets through a source that is full, and what that costs.

use std::fmt;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use crate::contestant::{self, Contestant, Running};
use crate::corpus;
use crate::events;
use crate::meter::{Sample, Span, float, peak_memory};
use crate::stage::{Source, Stage};
use crate::support::topics::{self, Committed};

/// The slowest contestant on a busy machine.
const LIMIT: Duration = Duration::from_secs(900);
const INTERVAL: Duration = Duration::from_millis(50);

/// What one contestant did in one round.
pub(crate) struct Rate {
    pub(crate) contestant: &'static Contestant,
    pub(crate) span: Span,
    pub(crate) records_an_event: f64,
    /// MiB.
    pub(crate) memory: u64,
}

impl Rate {
    pub(crate) fn events_a_second(&self) -> f64 {
        self.span.events / self.span.seconds
    }

    pub(crate) fn records_a_second(&self) -> f64 {
        self.events_a_second() * self.records_an_event
    }

    /// CPU-seconds a million events.
    pub(crate) fn client_cost(&self) -> f64 {
        self.span.client_seconds / self.span.events * 1e6
    }

    /// The same of the broker.
    pub(crate) fn broker_cost(&self) -> f64 {
        self.span.broker_seconds / self.span.events * 1e6
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {:.0} events/s, {:.0} records/s, {:.2} + {:.2} CPU-s a million events, {} MiB, others {:.2} cores",
            self.contestant.name,
            self.events_a_second(),
            self.records_a_second(),
            self.client_cost(),
            self.broker_cost(),
            self.memory,
            self.span.other_cores,
        )
    }
}

/// Runs a contestant over a whole source, and reads back how much it has written. Those events are `counted` that are committed
/// after so many and up to so many.
pub(crate) fn measure(
    stage: &Stage,
    source: &Source,
    contestant: &'static Contestant,
    counted: Range<u64>,
) -> Rate {
    let mut running = contestant.start(stage, source);
    let samples = watch(stage, source, &mut running);
    let memory = running.ids().into_iter().map(peak_memory).sum();
    running.stop();
    let find = |n_events: u64| {
        samples
            .iter()
            .find(|sample| sample.committed > 0 && sample.committed >= n_events)
    };
    let (Some(first), Some(last)) = (find(counted.start), find(counted.end)) else {
        panic!("nothing was seen of {}", contestant.name)
    };
    assert!(
        first.committed < last.committed,
        "{}: too few events for a measurement",
        contestant.name
    );

    let n_records = check_counts(stage, source, &running);
    stage.delete(&running.topics);
    let records_an_event = float(n_records) / float(source.n_events);
    Rate {
        contestant,
        span: Span::between(first, last),
        records_an_event,
        memory,
    }
}

/// Looks again and again until all is committed, from when all members have their share of the partitions.
pub(crate) fn watch(stage: &Stage, source: &Source, running: &mut Running) -> Vec<Sample> {
    let (committed, began) = (
        Committed::of(stage.brokers(), &running.group, &source.topic),
        Instant::now(),
    );
    let (mut samples, mut is_whole) = (Vec::<Sample>::new(), running.n_members == 0);
    while samples
        .last()
        .is_none_or(|sample| sample.committed < source.n_events)
    {
        running.assert_runs();
        assert!(
            began.elapsed() < LIMIT,
            "{} is not through in {LIMIT:?}:\n{}",
            running.group,
            running.said()
        );
        is_whole = is_whole || committed.n_assigned_members() >= Some(running.n_members);
        if let Some(committed) = committed.sum().filter(|_| is_whole) {
            samples.push(Sample::take(committed, &running.ids(), stage.broker_id()));
        }
        thread::sleep(INTERVAL);
    }
    samples
}

/// Reads all topics back, and returns how many records they hold: what groupcast's router makes of the events, exactly.
pub(crate) fn check_counts(stage: &Stage, source: &Source, running: &Running) -> u64 {
    let due = due(source);
    for (topic, due) in running.topics.iter().zip(&due) {
        let mut found = 0;
        topics::read(stage.brokers(), topic, |_| found += 1);
        assert_eq!(found, *due, "records in {topic}:\n{}", running.said());
    }
    due.iter().sum()
}

/// Returns how many records each destination gets of a source; no event of the corpus is a dead letter.
pub(crate) fn due(source: &Source) -> Vec<u64> {
    let emitted = events::emitted(&contestant::config(&source.topic, source.job), source.job);
    let mut due = vec![0; source.job.n_destinations + 1];
    for (index, records) in (0..).zip(emitted) {
        // How often the corpus' event stands in the source.
        let times = (source.n_events + corpus::EVENTS - 1 - index) / corpus::EVENTS;
        records
            .iter()
            .for_each(|(destination, _)| due[*destination] += times);
    }
    due
}
