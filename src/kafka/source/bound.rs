//! A source that ends: a replay reads each partition to where its group's notes say, and no faster than asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};

use super::position::list;
use super::{Assigned, SourceContext};
use crate::kafka::fault::{Call, Fault};
use crate::record::{Position, Record};

/// How far the source reads, and how fast.
#[derive(Debug, Clone)]
pub enum Reading {
    /// On and on.
    Live,
    /// To where the group's notes say ([`Note`](crate::kafka::ledger::Note)), at most at the meter's rate.
    Replay(Meter),
    /// The same, of dead letters.
    Redrive(Meter),
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
    /// Returns how long one record takes at this rate.
    pub(crate) fn time_of(self, record: &Record<'_>) -> Duration {
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        let seconds = match self {
            Rate::Records(rate) => 1.0 / rate,
            Rate::Bytes(rate) => u32::try_from(bytes).map_or(f64::MAX, f64::from) / rate,
        };
        // The group must hear of a member that waits, well within `max.poll.interval.ms`.
        Duration::from_secs_f64(seconds.clamp(0.0, 10.0))
    }
}

/// Keeps all workers of a process to one rate, however few of them have something to read.
#[derive(Debug, Clone)]
pub struct Meter(Option<(Rate, Arc<Mutex<Instant>>)>);

impl Meter {
    /// Returns a meter that lets the first record through at once; absent, it lets through all.
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Meter {
        Meter(rate.map(|rate| (rate, Arc::new(Mutex::new(Instant::now())))))
    }

    /// Returns how long it is until the next record is due.
    fn ahead(&self) -> Duration {
        let due = self
            .0
            .as_ref()
            .map(|(_, next_at)| *next_at.lock().unwrap_or_else(PoisonError::into_inner));
        due.map_or(Duration::ZERO, |due| {
            due.saturating_duration_since(Instant::now())
        })
    }

    fn count(&self, record: &Record<'_>) {
        if let Some((rate, next_at)) = &self.0 {
            let now = Instant::now();
            let mut next_at = next_at.lock().unwrap_or_else(PoisonError::into_inner);
            *next_at = (*next_at).max(now.checked_sub(BURST).unwrap_or(now)) + rate.time_of(record);
        }
    }
}

/// How one worker reads what has an end.
#[derive(Debug)]
pub(super) struct Pace {
    meter: Meter,
    /// Whether what is read are dead letters.
    pub(super) is_redrive: bool,
}

/// What may be made up for after a pause: an epoch's commit, say.
const BURST: Duration = Duration::from_millis(500);

impl Pace {
    /// Returns a worker's pace; none where reading goes on and on.
    pub(super) fn of(reading: Reading) -> Option<Pace> {
        match reading {
            Reading::Live => None,
            Reading::Replay(meter) => Some(Pace {
                meter,
                is_redrive: false,
            }),
            Reading::Redrive(meter) => Some(Pace {
                meter,
                is_redrive: true,
            }),
        }
    }

    /// Waits until the next record is due, at most `timeout`; returns what is left of that, or `None` if it is not yet due.
    pub(super) fn wait(&self, timeout: Duration) -> Option<Duration> {
        let ahead = self.meter.ahead();
        std::thread::sleep(ahead.min(timeout));
        timeout.checked_sub(ahead)
    }

    pub(super) fn count(&self, record: &Record<'_>) {
        self.meter.count(record);
    }
}

/// Puts partitions that are not part of the replay at their end. They are paused there; without a position librdkafka would
/// ask for one again and again.
pub(super) fn pass_over_foreign(partitions: &mut TopicPartitionList) -> Result<(), Fault> {
    let is_foreign =
        |element: &TopicPartitionListElem<'_>| !matches!(element.offset(), Offset::Offset(_));
    let mut foreign = partitions.elements().into_iter().filter(is_foreign);
    foreign
        .try_for_each(|mut element| element.set_offset(Offset::End))
        .map_err(|error| Fault::of(Call::Position, &error))
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
    let is_it = |assigned: &&mut Assigned| {
        assigned.partition == position.partition && assigned.topic == position.topic
    };
    let Some(assigned) = partitions.iter_mut().find(is_it) else {
        return Ok(false);
    };
    if assigned.ends_before(position.offset + 1) && !assigned.is_done {
        assigned.is_done = true;
        let done = list([(position.topic, position.partition, Offset::Invalid)].into_iter())?;
        consumer
            .pause(&done)
            .map_err(|error| Fault::of(Call::Position, &error))?;
    }
    Ok(!assigned.ends_before(position.offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_over_many_records() {
        let record = |value| Record {
            position: Position::first("a"),
            timestamp: None,
            key: Some(b"12"),
            value: Some(value),
            traceparent: None,
            letter: None,
        };
        assert_eq!(
            Rate::Records(100.0).time_of(&record(b"")),
            Duration::from_millis(10)
        );
        assert_eq!(
            Rate::Bytes(1000.0).time_of(&record(b"12345678")),
            Duration::from_millis(10)
        );
        assert_eq!(
            Rate::Bytes(0.001).time_of(&record(b"12345678")),
            Duration::from_secs(10)
        );

        let reading = Reading::Replay(Meter::new(Some(Rate::Records(1000.0))));
        let paces = [
            Pace::of(reading.clone()).unwrap(),
            Pace::of(reading).unwrap(),
        ];
        let began = Instant::now();
        for turn in 0..50 {
            let pace = &paces[turn % 2];
            while pace.wait(Duration::from_millis(1)).is_none() {}
            pace.count(&record(b""));
        }
        assert!(
            began.elapsed() >= Duration::from_millis(40),
            "{:?}",
            began.elapsed()
        );
        let unhurried = Pace::of(Reading::Redrive(Meter::new(None))).unwrap();
        unhurried.count(&record(b""));
        assert_eq!(
            unhurried.wait(Duration::from_secs(60)),
            Some(Duration::from_secs(60))
        );
        assert!(Pace::of(Reading::Live).is_none());
    }

    #[test]
    fn one_worker_alone_has_the_whole_rate() {
        let position = Position::first("a");
        let record = Record::new(position, None);
        let meter = Meter::new(Some(Rate::Records(0.2)));
        let paces = [
            Pace::of(Reading::Replay(meter.clone())).unwrap(),
            Pace::of(Reading::Replay(meter)).unwrap(),
        ];
        paces[0].count(&record);
        // A fixed share would make the first wait ten seconds, and leave the second free.
        for pace in &paces {
            let ahead = pace.meter.ahead().as_secs_f64();
            assert!((3.0..=5.0).contains(&ahead), "{ahead}");
        }
    }
}
