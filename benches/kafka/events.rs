//! Which event stands where in a source, and what groupcast makes of it.

use groupcast::config::Config;
use groupcast::envelope::Emissions;
use groupcast::record::{Position, Record};
use groupcast::router::{DefaultLimits, Router, Scratch};

use crate::job::{BASE, Job};
use crate::{contestant, corpus};

/// Partitions of the source and of each output where contestants are compared.
pub(crate) const N_PARTITIONS: u64 = BASE.n_partitions;

/// What is written to the source for one event.
pub(crate) struct Event {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
}

impl Event {
    /// Returns the event of this index; its key is its group's id.
    fn of(index: u64, job: Job) -> Event {
        let value = value(index, job);
        let parsed: serde_json::Value = serde_json::from_slice(&value).expect("an event is JSON");
        Event {
            key: parsed["groupId"]
                .as_str()
                .expect("an event has a group's id")
                .to_owned(),
            value,
        }
    }

    /// Returns all that differ.
    pub(crate) fn all(job: Job) -> Vec<Event> {
        (0..corpus::EVENTS)
            .map(|index| Event::of(index, job))
            .collect()
    }
}

/// Returns the corpus' event of this index, with traits that pad it to the job's length.
fn value(index: u64, job: Job) -> Vec<u8> {
    const TRAITS: &str = r#""traits":{"#;
    let mut text = String::from_utf8(corpus::event(index)).expect("an event is text");
    let (length, mut padding) = (text.len() * (job.length - 1), String::new());
    for number in (0..).take_while(|number| number * PADDING.len() < length) {
        padding += &PADDING.replace("00", &format!("{number:02}"));
    }
    let traits = text.find(TRAITS).expect("an event has traits") + TRAITS.len();
    text.insert_str(traits, &padding);
    text.into_bytes()
}

/// As long as most traits are: more bytes are more traits.
const PADDING: &str = r#""padding 00":"so that the event is longer than it was","#;

/// Returns how many bytes a job's events have on average.
pub(crate) fn mean_length(job: Job) -> usize {
    let n_events = usize::try_from(corpus::EVENTS).expect("the corpus is in memory");
    (0..corpus::EVENTS)
        .map(|index| value(index, job).len())
        .sum::<usize>()
        / n_events
}

/// Returns the partition and the offset of the event of this index.
pub(crate) fn place(index: u64, n_partitions: u64) -> (i32, i64) {
    let partition = i32::try_from(index % n_partitions).expect("partitions are few");
    (
        partition,
        i64::try_from(index / n_partitions).expect("events are fewer"),
    )
}

/// Returns where in the corpus the event at a partition and offset stands.
pub(crate) fn index(partition: i32, offset: i64) -> usize {
    let (partition, offset) = (
        u64::try_from(partition).unwrap_or_default(),
        u64::try_from(offset).unwrap_or_default(),
    );
    usize::try_from((offset * N_PARTITIONS + partition) % corpus::EVENTS)
        .expect("the corpus is in memory")
}

/// Says what the job is.
pub(crate) fn job() -> String {
    let emitted = emitted(&contestant::config("group-events", BASE), BASE);
    let lengths: Vec<usize> = emitted
        .into_iter()
        .flatten()
        .map(|(_, length)| length)
        .collect();
    let n_events = usize::try_from(corpus::EVENTS).expect("the corpus is in memory");
    let (n_tenths, n_written) = (
        lengths.len() * 10 / n_events,
        lengths.iter().sum::<usize>() / lengths.len(),
    );
    format!(
        "An event of {} bytes on average makes {}.{} records of {n_written} bytes for {} destinations.",
        mean_length(BASE),
        n_tenths / 10,
        n_tenths % 10,
        BASE.n_destinations
    )
}

/// For each event of the corpus the records that groupcast makes of it: the destination's index and the value's length.
///
/// An id holds the record's place and time, so that in later cycles a value is some bytes longer than this.
pub(crate) fn emitted(config: &Config, job: Job) -> Vec<Vec<(usize, usize)>> {
    let router = Router::new(config.routing()).expect("the destinations compile");
    let topic = config.source.topics.first().expect("there is a source");
    let (mut scratch, mut emissions) = (Scratch::default(), Emissions::default());
    let of = |index| {
        emissions.clear();
        let (partition, offset) = place(index, job.n_partitions);
        let (position, value) = (
            Position {
                topic,
                partition,
                offset,
            },
            value(index, job),
        );
        let record = Record {
            position,
            timestamp: Some(1_795_000_000_000),
            key: None,
            value: Some(&value),
            traceparent: None,
            letter: None,
        };
        router.route(
            &record,
            &DefaultLimits,
            &mut scratch,
            &mut emissions,
            &mut (),
        );
        let records = emissions.iter().map(|emission| {
            (
                emission.destination.expect("no event is a dead letter"),
                emission.value.map_or(0, <[u8]>::len),
            )
        });
        records.collect()
    };
    (0..corpus::EVENTS).map(of).collect()
}
