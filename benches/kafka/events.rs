//! Which event stands where in a source, and what groupcast makes of it.

use groupcast::config::Config;
use groupcast::envelope::Emissions;
use groupcast::record::{Position, Record};
use groupcast::router::{Router, Scratch};

use crate::{contestant, corpus};

/// Partitions of the source and of each output.
pub(crate) const N_PARTITIONS: u64 = 6;

/// What is written to the source for one event.
pub(crate) struct Event {
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
}

impl Event {
    /// Returns the event of this index; its key is its group's id.
    pub(crate) fn of(index: u64) -> Event {
        let value = corpus::event(index);
        let parsed: serde_json::Value = serde_json::from_slice(&value).expect("an event is JSON");
        Event { key: parsed["groupId"].as_str().expect("an event has a group's id").to_owned(), value }
    }

    /// Returns all that differ.
    pub(crate) fn all() -> Vec<Event> {
        (0..corpus::EVENTS).map(Event::of).collect()
    }
}

/// Returns the partition and the offset of the event of this index.
pub(crate) fn place(index: u64) -> (i32, i64) {
    let partition = i32::try_from(index % N_PARTITIONS).expect("partitions are few");
    (partition, i64::try_from(index / N_PARTITIONS).expect("events are fewer"))
}

/// Returns where in the corpus the event at a partition and offset stands.
pub(crate) fn index(partition: i32, offset: i64) -> usize {
    let (partition, offset) = (u64::try_from(partition).unwrap_or_default(), u64::try_from(offset).unwrap_or_default());
    usize::try_from((offset * N_PARTITIONS + partition) % corpus::EVENTS).expect("the corpus is in memory")
}

/// Says what the job is.
pub(crate) fn job() -> String {
    let n_read: usize = (0..corpus::EVENTS).map(|index| corpus::event(index).len()).sum();
    let emitted = emitted(&contestant::config("group-events"));
    let lengths: Vec<usize> = emitted.into_iter().flatten().map(|(_, length)| length).collect();
    let n_events = usize::try_from(corpus::EVENTS).expect("the corpus is in memory");
    let (n_tenths, n_written) = (lengths.len() * 10 / n_events, lengths.iter().sum::<usize>() / lengths.len());
    format!(
        "An event of {} bytes on average makes {}.{} records of {n_written} bytes for {} destinations.",
        n_read / n_events,
        n_tenths / 10,
        n_tenths % 10,
        contestant::DESTINATIONS.len()
    )
}

/// For each event of the corpus the records that groupcast makes of it: the destination's index and the value's length.
///
/// An id holds the record's place and time, so that in later cycles a value is some bytes longer than this.
pub(crate) fn emitted(config: &Config) -> Vec<Vec<(usize, usize)>> {
    let router = Router::new(config.routing()).expect("the destinations compile");
    let topic = config.source.topics.first().expect("there is a source");
    let (mut scratch, mut emissions) = (Scratch::default(), Emissions::default());
    let of = |index| {
        emissions.clear();
        let (partition, offset) = place(index);
        let (position, value) = (Position { topic, partition, offset }, corpus::event(index));
        let record = Record {
            position,
            timestamp: Some(1_795_000_000_000),
            key: None,
            value: Some(&value),
            traceparent: None,
            letter: None,
        };
        router.route(&record, &mut scratch, &mut emissions, &mut ());
        let records = emissions
            .iter()
            .map(|emission| (emission.destination.expect("no event is a dead letter"), emission.value.map_or(0, <[u8]>::len)));
        records.collect()
    };
    (0..corpus::EVENTS).map(of).collect()
}
