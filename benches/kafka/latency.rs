//! How long an event takes to its records, while 10,000 events a second come in.
//!
//! From the source record's own time, which the producer gives it in whole milliseconds, to when a consumer of committed
//! records has it in hand: all five destinations' topics are read as the records come. Producing and reading is this program's.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::contestant::Contestant;
use crate::events::{Event, N_PARTITIONS};
use crate::job::BASE;
use crate::meter::{Sample, Span};
use crate::rate;
use crate::stage::{Filler, Source, Stage};
use crate::support::topics;

const EVENTS_A_SECOND: u64 = 10_000;
/// Events of the first seconds are not measured: groups form, and a JVM warms up.
const WARM_UP: Duration = Duration::from_secs(20);
/// Past the last event, for its records to come.
const LIMIT: Duration = Duration::from_secs(60);

/// What was seen of one contestant.
pub(crate) struct Latency {
    /// Milliseconds, in order.
    sorted: Vec<f64>,
    pub(crate) other_cores: f64,
}

impl Latency {
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let index = (self.sorted.len() * percent / 100).min(self.sorted.len().saturating_sub(1));
        self.sorted.get(index).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [middle, late, last] = [50, 99, 100].map(|percent| self.percentile(percent));
        let (count, others) = (self.sorted.len(), self.other_cores);
        write!(
            formatter,
            "p50 {middle:.0} ms, p99 {late:.0} ms, at most {last:.0} ms ({count} records), others {others:.2} cores"
        )
    }
}

/// Lets a contestant run on a source that grows.
pub(crate) fn measure(stage: &Stage, contestant: &Contestant, seconds: u64) -> Latency {
    let (mut source, events) = (stage.create_source(BASE), Event::all(BASE));
    let running = contestant.start(stage, &source);
    let sample = || Sample::take(0, &running.ids(), stage.broker_id());
    let begin = now() + milliseconds(WARM_UP);
    let is_written = AtomicBool::new(false);
    let (sorted, span) = thread::scope(|scope| {
        let reading = scope.spawn(|| read(stage.brokers(), running.outputs(), begin, &is_written));
        let filler = Filler::new(stage.brokers(), "1");
        pace(&filler, &mut source, &events, WARM_UP);
        let first = sample();
        pace(&filler, &mut source, &events, Duration::from_secs(seconds));
        let span = Span::between(&first, &sample());
        filler.finish();
        wait(&source, stage, running.outputs());
        is_written.store(true, Ordering::Relaxed);
        (reading.join().expect("reading goes on"), span)
    });
    let mut running = running;
    running.assert_runs();
    running.stop();
    stage.delete(&running.topics);
    stage.remove(&source);
    Latency {
        sorted,
        other_cores: span.other_cores,
    }
}

/// Writes events evenly over a time.
fn pace(filler: &Filler, source: &mut Source, events: &[Event], duration: Duration) {
    let (began, first) = (Instant::now(), source.n_events);
    while began.elapsed() < duration {
        let due = u64::try_from(began.elapsed().as_micros()).expect("it is short")
            * EVENTS_A_SECOND
            / 1_000_000;
        while source.n_events - first < due {
            let index =
                usize::try_from(source.n_events).expect("events are counted") % events.len();
            filler.send(source, &events[index]);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until all records are there.
fn wait(source: &Source, stage: &Stage, outputs: &[String]) {
    let due: u64 = rate::due(source).iter().sum();
    let ends = topics::Ends::of_logs(stage.brokers(), outputs);
    // Markers of transactions count here, so that the last records may still be on their way.
    let all = crate::support::try_until(LIMIT, || (ends.sum() >= due).then_some(()));
    assert!(all.is_some(), "not all records came in {LIMIT:?}");
    thread::sleep(Duration::from_secs(2));
}

/// Reads as records come, and returns how late those were whose events came after `begin`.
fn read(brokers: &str, outputs: &[String], begin: f64, is_written: &AtomicBool) -> Vec<f64> {
    let mut settings = topics::client(brokers);
    settings
        .set("group.id", "latency")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed");
    let reader: BaseConsumer = settings
        .set("fetch.wait.max.ms", "100")
        .create()
        .expect("the settings are valid");
    reader
        .assign(&partitions(outputs))
        .expect("the partitions exist");
    let mut latencies = Vec::new();
    while !is_written.load(Ordering::Relaxed) {
        let Some(message) = reader.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message.expect("the brokers are there");
        let came = event_time(message.payload().unwrap_or_default())
            .expect("a record's id holds its event's time");
        if came >= begin {
            latencies.push(now() - came);
        }
    }
    latencies.sort_unstable_by(f64::total_cmp);
    latencies
}

fn partitions(outputs: &[String]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for topic in outputs {
        for partition in 0..N_PARTITIONS {
            let partition = i32::try_from(partition).expect("partitions are few");
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .expect("it is an offset");
        }
    }
    list
}

/// Returns the time in a record's id: `topic/partition/offset/timestamp/…`.
fn event_time(value: &[u8]) -> Option<f64> {
    let id = value.strip_prefix(br#"{"specversion":"1.0","id":""#)?;
    let time = id.split(|byte| *byte == b'/').nth(3)?;
    std::str::from_utf8(time).ok()?.parse().ok()
}

/// Milliseconds since 1970.
fn now() -> f64 {
    milliseconds(
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("it is past 1970"),
    )
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
