//! Records read where they lie, without joining the group: one by its position, the latest of a kind, the last few.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::Config;
use crate::kafka::complaint;
use crate::kafka::fault::{Call, Fault};
use crate::kafka::range::Range;
use crate::kafka::topics::{Problem, partition_count};
use crate::kafka::{REQUEST_TIMEOUT, consumer_settings};
use crate::record::Position;

/// How many offsets are read at once on the way back from a partition's end.
const WINDOW: i64 = 10_000;

/// Reads records of any partition. The group does not hear of it, and no offset moves.
pub struct Lookup {
    consumer: BaseConsumer,
}

/// Offsets of one partition: from the first up to, but not with, the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'t> {
    pub(super) topic: &'t str,
    pub(super) partition: i32,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Window<'_> {
    pub(super) fn position(&self) -> Position<'_> {
        Position {
            topic: self.topic,
            partition: self.partition,
            offset: self.from,
        }
    }
}

impl Lookup {
    /// Opens a client of its own.
    ///
    /// # Errors
    /// Where a property is wrong.
    pub fn open(config: &Config) -> Result<Lookup, Fault> {
        let mut settings = consumer_settings(config, 0);
        settings.remove("group.instance.id");
        settings.set("enable.partition.eof", "true");
        Ok(Lookup {
            consumer: settings
                .create()
                .map_err(|error| Fault::of(Call::Open, &error))?,
        })
    }

    pub(super) fn consumer(&self) -> &BaseConsumer {
        &self.consumer
    }

    /// Reads the record at `position`.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where the partition holds no such record (it says which it holds) or no broker answers.
    pub fn at(&self, position: Position<'_>) -> Result<OwnedMessage, Fault> {
        let Position {
            topic,
            partition,
            offset,
        } = position;
        // Of a topic that is not there, or not shown to us, the next question says only that there is no such partition.
        self.n_partitions(topic)?;
        let (low, high) = self.bounds(topic, partition)?;
        if offset < low || offset >= high {
            let holds = if low == high {
                "nothing".to_owned()
            } else {
                format!("offsets {low} to {}", high - 1)
            };
            return Err(Fault::Fatal(format!(
                "no record at {position}: the partition holds {holds}"
            )));
        }
        let mut found = None;
        self.read(
            Window {
                topic,
                partition,
                from: offset,
                to: offset + 1,
            },
            |message| found = Some(message),
        )?;
        found.ok_or_else(|| {
            Fault::Fatal(format!(
                "no record at {position}: it is a transaction's mark, or was compacted away"
            ))
        })
    }

    /// Finds the latest record that `is_wanted` among the last `depth` offsets of each partition of `topics`.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a topic does not exist or no broker answers.
    pub fn latest(
        &self,
        topics: &[String],
        depth: i64,
        is_wanted: impl Fn(&OwnedMessage) -> bool,
    ) -> Result<Option<OwnedMessage>, Fault> {
        let mut latest: Option<OwnedMessage> = None;
        self.each_partition(topics, |whole| {
            let floor = whole.from.max(whole.to.saturating_sub(depth));
            let mut to = whole.to;
            while to > floor {
                let from = floor.max(to - WINDOW);
                let (mut found, mut oldest) = (None, None);
                self.read(Window { from, to, ..whole }, |message| {
                    oldest = oldest.or(message.timestamp().to_millis());
                    if is_wanted(&message) {
                        found = Some(message);
                    }
                })?;
                let is_later = |message: &OwnedMessage| {
                    latest.as_ref().is_none_or(|latest| {
                        message.timestamp().to_millis() > latest.timestamp().to_millis()
                    })
                };
                if let Some(message) = found {
                    if is_later(&message) {
                        latest = Some(message);
                    }
                    return Ok(());
                }
                // All that lies before is older than what another partition holds.
                if latest.as_ref().is_some_and(|latest| {
                    oldest.is_some() && latest.timestamp().to_millis() > oldest
                }) {
                    return Ok(());
                }
                to = from;
            }
            Ok(())
        })?;
        Ok(latest)
    }

    /// Returns the newest records of a range that are wanted, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where no broker answers.
    pub fn newest(
        &self,
        range: &Range,
        limit: usize,
        is_wanted: impl Fn(&OwnedMessage) -> bool,
    ) -> Result<Vec<OwnedMessage>, Fault> {
        let (mut newest, mut to) = (Vec::new(), range.to);
        while to > range.from && newest.len() < limit {
            let from = range.from.max(to - WINDOW);
            let mut found = Vec::new();
            let window = Window {
                topic: &range.topic,
                partition: range.partition,
                from,
                to,
            };
            self.read(window, |message| {
                if is_wanted(&message) {
                    found.push(message);
                }
            })?;
            newest.extend(found.into_iter().rev());
            to = from;
        }
        newest.truncate(limit);
        Ok(newest)
    }

    /// Reads the last records of `topics`, about `count` in all, an equal share of each partition.
    ///
    /// # Errors
    /// As [`Lookup::latest`].
    pub fn last(
        &self,
        topics: &[String],
        count: i64,
        mut each: impl FnMut(&OwnedMessage),
    ) -> Result<(), Fault> {
        let mut n_partitions = 0;
        self.each_partition(topics, |_| {
            n_partitions += 1;
            Ok(())
        })?;
        let share = (count / n_partitions.max(1)).max(1);
        self.each_partition(topics, |whole| {
            let from = whole.from.max(whole.to.saturating_sub(share));
            self.read(Window { from, ..whole }, |message| each(&message))
        })
    }

    /// Returns the partitions of `topics`, each as a range with nothing in it.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a topic does not exist or no broker answers.
    pub fn partitions(&self, topics: &[String]) -> Result<Vec<Range>, Fault> {
        let mut partitions = Vec::new();
        for topic in topics {
            let empty = |partition| Range {
                topic: topic.clone(),
                partition,
                from: 0,
                to: 0,
            };
            partitions.extend((0..self.n_partitions(topic)?).map(empty));
        }
        Ok(partitions)
    }

    fn n_partitions(&self, topic: &str) -> Result<i32, Fault> {
        let count = partition_count(self.consumer.client(), topic, REQUEST_TIMEOUT)
            .map_err(Fault::Fatal)?;
        count.map_err(|code| {
            Fault::Fatal(if code == RDKafkaErrorCode::TopicAuthorizationFailed {
                complaint::with_advice(&format!("topic {topic}: {code}"))
            } else {
                format!("topic does not exist: {topic}")
            })
        })
    }

    pub(super) fn each_partition(
        &self,
        topics: &[String],
        mut visit: impl FnMut(Window<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for topic in topics {
            for partition in 0..self.n_partitions(topic)? {
                let (from, to) = self.bounds(topic, partition)?;
                visit(Window {
                    topic,
                    partition,
                    from,
                    to,
                })?;
            }
        }
        Ok(())
    }

    /// Returns the first offset that a partition holds and the one behind its last.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64), Fault> {
        let bounds = self
            .consumer
            .fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        bounds.map_err(|error| Fault::Fatal(format!("{topic}/{partition}: {error}")))
    }

    /// Reads all records of `window`, in order.
    pub(super) fn read(
        &self,
        window: Window<'_>,
        each: impl FnMut(OwnedMessage),
    ) -> Result<(), Fault> {
        self.read_all(&[window], each)
    }

    /// Reads all records of windows at once that are partitions of one topic. Within each they come in order.
    pub(super) fn read_all(
        &self,
        windows: &[Window<'_>],
        mut each: impl FnMut(OwnedMessage),
    ) -> Result<(), Fault> {
        let filled = windows.iter().filter(|window| window.from < window.to);
        let mut open: BTreeMap<i32, Window<'_>> =
            filled.map(|window| (window.partition, *window)).collect();
        let mut is_assigned = false;
        let mut until = Instant::now() + REQUEST_TIMEOUT;
        while let Some(window) = open.values().next().copied() {
            if !is_assigned {
                self.assign(open.values())
                    .map_err(|error| unreadable(&window, &error))?;
                is_assigned = true;
            }
            if Instant::now() > until {
                return Err(Fault::Fatal(format!(
                    "{}: no answer within {REQUEST_TIMEOUT:?}",
                    window.position()
                )));
            }
            match self.consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                    until = Instant::now() + REQUEST_TIMEOUT;
                }
                // The client looks for the group's coordinator, too; whoever only looks needs no right to the group.
                Some(Err(error))
                    if error.rdkafka_error_code()
                        == Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {}
                Some(Err(error)) => return Err(unreadable(&window, &error)),
                Some(Ok(message)) => {
                    until = Instant::now() + REQUEST_TIMEOUT;
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some(window) = open.get_mut(&partition) else {
                        // Nothing more of it is wanted, and there is more.
                        is_assigned = false;
                        continue;
                    };
                    // Offsets have gaps: where a transaction ended, and where a topic is compacted.
                    if offset < window.to {
                        each(message.detach());
                    }
                    window.from = offset + 1;
                    if window.from >= window.to {
                        open.remove(&partition);
                    }
                }
            }
        }
        Ok(())
    }

    /// Has the consumer read windows from their beginning. Assigned by hand: the group does not hear of it.
    fn assign<'w>(&self, windows: impl Iterator<Item = &'w Window<'w>>) -> Result<(), KafkaError> {
        let mut wanted = TopicPartitionList::new();
        for window in windows {
            let from = Offset::Offset(window.from);
            wanted.add_partition_offset(window.topic, window.partition, from)?;
        }
        self.consumer.assign(&wanted)
    }
}

/// Returns for each partition the offset of the first record at or after a time; `None` where there is none. All are asked about
/// at once: each question takes some 40 ms, however little it asks.
///
/// [`Offset::Beginning`] and [`Offset::End`] are asked for in the same way: librdkafka writes an offset into the request as the
/// time that it is (`rd_kafka_make_ListOffsetsRequest`), and in Kafka's protocol −2 and −1 stand for the two.
pub(super) fn offsets_at(
    consumer: &BaseConsumer,
    places: &[Range],
    wanted: Offset,
) -> Result<Vec<Option<i64>>, Fault> {
    let of = |place: &Range, error: KafkaError| {
        Fault::Fatal(format!("{}/{}: {error}", place.topic, place.partition))
    };
    let Some(first) = places.first() else {
        return Ok(Vec::new());
    };
    let mut asked = TopicPartitionList::new();
    for place in places {
        asked
            .add_partition_offset(&place.topic, place.partition, wanted)
            .map_err(|error| of(place, error))?;
    }
    let answer = consumer
        .offsets_for_times(asked, REQUEST_TIMEOUT)
        .map_err(|error| of(first, error))?;
    let offsets = places.iter().map(|place| {
        let Some(element) = answer.find_partition(&place.topic, place.partition) else {
            return Ok(None);
        };
        element.error().map_err(|error| of(place, error))?;
        Ok(if let Offset::Offset(offset) = element.offset() {
            Some(offset)
        } else {
            None
        })
    });
    offsets.collect()
}

fn unreadable(window: &Window<'_>, error: &KafkaError) -> Fault {
    let is_forbidden =
        error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed);
    Fault::Fatal(if is_forbidden {
        Problem::NotReadable(window.topic.to_owned()).to_string()
    } else {
        complaint::with_advice(&format!("{}: {error}", window.position()))
    })
}
