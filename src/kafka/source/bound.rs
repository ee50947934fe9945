//! A source that ends: a replay reads each partition to where its group's notes say, and no faster than asked.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use super::position::list;
use super::{Assigned, SourceContext};
use crate::kafka::fault::{Call, Fault};
use crate::record::{Position, Record};

/// How far the source reads, and how fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// On and on.
    Live,
    /// To where the group's notes say ([`Note`](crate::kafka::ledger::Note)), at most at this rate.
    Replay(Option<Rate>),
    /// The same, of dead letters.
    Redrive(Option<Rate>),
}

/// The most that is read a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Records.
    Records(f64),
    /// Bytes of keys and values.
    Bytes(f64),
}

impl Rate {
    /// Returns an equal share of the rate.
    #[must_use]
    pub fn share(self, count: usize) -> Rate {
        let count = u32::try_from(count).map_or(1.0, f64::from).max(1.0);
        match self {
            Rate::Records(rate) => Rate::Records(rate / count),
            Rate::Bytes(rate) => Rate::Bytes(rate / count),
        }
    }

    /// Returns how long one record takes at this rate.
    fn time_of(self, record: &Record<'_>) -> Duration {
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        let seconds = match self {
            Rate::Records(rate) => 1.0 / rate,
            Rate::Bytes(rate) => u32::try_from(bytes).map_or(f64::MAX, f64::from) / rate,
        };
        // The group must hear of a member that waits, well within `max.poll.interval.ms`.
        Duration::from_secs_f64(seconds.clamp(0.0, 10.0))
    }
}

/// Keeps to a rate.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<Rate>,
    /// Whether what is read are dead letters.
    pub(super) is_redrive: bool,
    next_at: Instant,
}

/// What may be made up for after a pause: an epoch's commit, say.
const BURST: Duration = Duration::from_millis(500);

impl Pace {
    /// Returns the pace of one of `n_workers`; none where reading goes on and on.
    pub(super) fn of(reading: Reading, n_workers: usize) -> Option<Pace> {
        let (rate, is_redrive) = match reading {
            Reading::Live => return None,
            Reading::Replay(rate) => (rate, false),
            Reading::Redrive(rate) => (rate, true),
        };
        Some(Pace { rate: rate.map(|rate| rate.share(n_workers)), is_redrive, next_at: Instant::now() })
    }

    /// Waits until the next record is due, at most `timeout`; returns what is left of that, or `None` if it is not yet due.
    pub(super) fn wait(&self, timeout: Duration) -> Option<Duration> {
        if self.rate.is_none() {
            return Some(timeout);
        }
        let ahead = self.next_at.saturating_duration_since(Instant::now());
        std::thread::sleep(ahead.min(timeout));
        timeout.checked_sub(ahead)
    }

    pub(super) fn count(&mut self, record: &Record<'_>) {
        if let Some(rate) = self.rate {
            let now = Instant::now();
            self.next_at = self.next_at.max(now.checked_sub(BURST).unwrap_or(now)) + rate.time_of(record);
        }
    }
}

/// Puts partitions that are not part of the replay at their end. They are paused there; without a position librdkafka would
/// ask for one again and again.
pub(super) fn pass_over_foreign(partitions: &mut TopicPartitionList) -> Result<(), Fault> {
    let is_foreign = |element: &TopicPartitionListElem<'_>| !matches!(element.offset(), Offset::Offset(_));
    let mut foreign = partitions.elements().into_iter().filter(is_foreign);
    foreign.try_for_each(|mut element| element.set_offset(Offset::End)).map_err(|error| Fault::of(Call::Position, &error))
}

impl Assigned {
    /// Returns whether the partition's range lies before `offset`. A partition without a range has nothing to read.
    pub(super) fn ends_before(&self, offset: i64) -> bool {
        self.note.is_none_or(|note| offset >= note.to)
    }
}

/// Returns whether `position` lies in what is to be read, and pauses its partition where it does not, or is the last.
pub(super) fn admit(
    consumer: &impl Consumer<SourceContext>,
    partitions: &mut [Assigned],
    position: Position<'_>,
) -> Result<bool, Fault> {
    let is_it = |assigned: &&mut Assigned| assigned.partition == position.partition && assigned.topic == position.topic;
    let Some(assigned) = partitions.iter_mut().find(is_it) else { return Ok(false) };
    if assigned.ends_before(position.offset + 1) && !assigned.is_done {
        assigned.is_done = true;
        let done = list([(position.topic, position.partition, Offset::Invalid)].into_iter())?;
        consumer.pause(&done).map_err(|error| Fault::of(Call::Position, &error))?;
    }
    Ok(!assigned.ends_before(position.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_over_many_records() {
        let record = |value| Record {
            position: Position { topic: "a", partition: 0, offset: 0 },
            timestamp: None,
            key: Some(b"12"),
            value: Some(value),
            traceparent: None,
            letter: None,
        };
        assert_eq!(Rate::Records(200.0).share(2).time_of(&record(b"")), Duration::from_millis(10));
        assert_eq!(Rate::Bytes(1000.0).time_of(&record(b"12345678")), Duration::from_millis(10));
        assert_eq!(Rate::Bytes(0.001).time_of(&record(b"12345678")), Duration::from_secs(10));

        let mut pace = Pace::of(Reading::Replay(Some(Rate::Records(2000.0))), 2).unwrap();
        let began = Instant::now();
        for _ in 0..50 {
            while pace.wait(Duration::from_millis(1)).is_none() {}
            pace.count(&record(b""));
        }
        assert!(began.elapsed() >= Duration::from_millis(40), "{:?}", began.elapsed());
        let unhurried = Pace::of(Reading::Redrive(None), 1).unwrap();
        assert_eq!(unhurried.wait(Duration::from_secs(60)), Some(Duration::from_secs(60)));
        assert!(Pace::of(Reading::Live, 1).is_none());
    }
}
