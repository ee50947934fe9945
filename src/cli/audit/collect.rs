//! What is due, by the very code that sends, and what is there: both as entries.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::io;

use rdkafka::message::{Headers, Message, OwnedMessage};
use serde::Deserialize;

use super::entry::{Entry, Id, Line, Side};
use super::findings::{Finding, Kind, OfTopic};
use super::slots::{Named, Slots, Unnamed};
use super::sorter::Sorter;
use crate::envelope::{Emission, Emissions, Format};
use crate::kafka;
use crate::kafka::topics::Topics;
use crate::record::Position;
use crate::router::{Router, Scratch};
use crate::verdict::Verdict;

/// What is asked of one output topic.
pub(super) struct Output {
    pub(super) name: String,
    pub(super) n_partitions: i32,
    pub(super) holds_letters: bool,
}

/// Reads both sides.
pub(super) struct Collector<'a> {
    pub(super) slots: &'a Slots,
    pub(super) outputs: &'a [Output],
    /// By the source's index: the offset where it ends by now. Nothing that is there can be made of what comes later.
    pub(super) ends: &'a [i64],
    pub(super) format: Format,
    pub(super) seed: &'a RandomState,
    pub(super) sorter: Sorter,
    /// By output topic, partition and source: the first record of that source that is still there.
    pub(super) fronts: HashMap<(u16, i32, u32), (i64, u16)>,
    pub(super) topics: Vec<OfTopic>,
    pub(super) n_records: u64,
    pub(super) n_events: u64,
    /// The earliest time that a record of the source has.
    pub(super) earliest: Option<i64>,
}

/// What a record says of itself, in either of the formats that say something (semantics K4).
#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    replay: Option<Cow<'a, str>>,
}

/// Routes records of the source into what is due.
pub(super) struct Dues<'a> {
    pub(super) router: &'a Router,
    pub(super) limits: &'a Topics,
    scratch: Scratch,
    emissions: Emissions,
}

impl<'a> Dues<'a> {
    pub(super) fn new(router: &'a Router, limits: &'a Topics) -> Dues<'a> {
        Dues {
            router,
            limits,
            scratch: Scratch::default(),
            emissions: Emissions::default(),
        }
    }

    /// Adds all that a record of the source makes.
    pub(super) fn add(
        &mut self,
        message: &OwnedMessage,
        into: &mut Collector<'_>,
    ) -> io::Result<()> {
        let record = kafka::record(message);
        let Ok(Some(source)) = into
            .slots
            .source(record.position.topic, record.position.partition)
        else {
            return Ok(());
        };
        self.emissions.clear();
        let verdict = self.router.route(
            &record,
            self.limits,
            &mut self.scratch,
            &mut self.emissions,
            &mut (),
        );
        into.n_records += 1;
        into.n_events += u64::from(verdict == Verdict::Routed);
        into.earliest = match (into.earliest, record.timestamp) {
            (Some(earliest), Some(time)) => Some(earliest.min(time)),
            (earliest, time) => earliest.or(time),
        };
        let (offset, timestamp) = (record.position.offset, record.timestamp.unwrap_or(-1));
        for emission in self.emissions.iter() {
            let Some((topic, output)) = u16::try_from(emission.topic.0)
                .ok()
                .zip(into.outputs.get(emission.topic.0))
            else {
                continue;
            };
            let Some(slot) = self.slot(&emission, into.slots) else {
                continue;
            };
            let line = Line {
                topic,
                key: into.line_key(output, emission.key),
                source,
            };
            let entry = Entry {
                id: Id {
                    line,
                    offset,
                    timestamp,
                    slot,
                },
                side: Side::Due,
                partition: kafka::partition_of(&emission, output.n_partitions),
                offset: -1,
                digest: into.digest(emission.key, emission.value, emission.headers()),
            };
            into.sorter.push(entry)?;
        }
        Ok(())
    }

    fn slot(&self, emission: &Emission<'_>, slots: &Slots) -> Option<u16> {
        let destination = emission
            .destination
            .map(|destination| self.router.destination_name(destination));
        match (destination, emission.operation()) {
            (Some(name), Some(operation)) => {
                let index = emission.destination?;
                slots.operation(name, self.router.operation_id(index, operation.index))
            }
            (destination, _) => slots.letter(destination),
        }
    }
}

impl Collector<'_> {
    /// Adds a record of an output.
    pub(super) fn add(&mut self, topic: usize, message: &OwnedMessage) -> io::Result<()> {
        let Some((output, topic)) = self.outputs.get(topic).zip(u16::try_from(topic).ok()) else {
            return Ok(());
        };
        let (named, side) = if output.holds_letters {
            self.letter(message)
        } else {
            self.operation(message)
        };
        let (place, offset) = (message.partition(), message.offset());
        let named = match named {
            Ok(named) => named,
            Err(Unnamed::OtherSource) => return Ok(()),
            Err(Unnamed::NoId) => {
                self.note_stray(topic, message, None);
                return Ok(());
            }
        };
        let Some((source, range, end)) = named.source.and_then(|source| {
            let index = usize::try_from(source).ok()?;
            Some((
                source,
                self.slots.sources.get(index)?,
                *self.ends.get(index)?,
            ))
        }) else {
            self.note_stray(topic, message, None);
            return Ok(());
        };
        if let (Side::Found, Some(slot)) = (side, named.slot) {
            let front = (named.offset, slot);
            self.fronts
                .entry((topic, place, source))
                .and_modify(|known| *known = front.min(*known))
                .or_insert(front);
        }
        let is_within = (range.from..range.to).contains(&named.offset);
        let is_invented = named.offset >= end || named.offset < 0;
        match (is_within, named.slot) {
            (false, _) if !is_invented => Ok(()),
            (false, _) | (true, None) if side == Side::Replayed => Ok(()),
            (false, slot) | (true, slot @ None) => {
                let line = Line {
                    topic,
                    key: 0,
                    source,
                };
                let id = slot.map(|slot| Id {
                    line,
                    offset: named.offset,
                    timestamp: named.timestamp,
                    slot,
                });
                self.note_stray(topic, message, id);
                Ok(())
            }
            (true, Some(slot)) => {
                let line = Line {
                    topic,
                    key: self.line_key(output, message.key()),
                    source,
                };
                let id = Id {
                    line,
                    offset: named.offset,
                    timestamp: named.timestamp,
                    slot,
                };
                let headers = message.headers().into_iter().flat_map(Headers::iter);
                let headers = headers.map(|header| (header.key, header.value.unwrap_or_default()));
                let digest = self.digest(message.key(), message.payload(), headers);
                self.sorter.push(Entry {
                    id,
                    side,
                    partition: place,
                    offset,
                    digest,
                })
            }
        }
    }

    /// Counts a record that cannot be due, whatever the source holds.
    fn note_stray(&mut self, topic: u16, message: &OwnedMessage, id: Option<Id>) {
        let slots = self.slots;
        if let Some(of_topic) = self.topics.get_mut(usize::from(topic)) {
            of_topic.note(Kind::NotDue, |topic| Finding {
                finding: Kind::NotDue,
                id: id.map(|id| slots.text(&id)),
                at: Some(at(topic, message.partition(), message.offset())),
                before: None,
            });
        }
    }

    fn operation(&self, message: &OwnedMessage) -> (Result<Named, Unnamed>, Side) {
        let attributes = match self.format {
            Format::Structured => {
                serde_json::from_slice::<Attributes<'_>>(message.payload().unwrap_or_default()).ok()
            }
            Format::Binary | Format::Body => header(message, "ce_id").map(|id| Attributes {
                id: Cow::Borrowed(id),
                replay: header(message, "ce_replay").map(Cow::Borrowed),
            }),
        };
        let Some(Attributes { id, replay }) = attributes else {
            return (Err(Unnamed::NoId), Side::Found);
        };
        let side = if replay.is_some() {
            Side::Replayed
        } else {
            Side::Found
        };
        (self.slots.read(&id), side)
    }

    fn letter(&self, message: &OwnedMessage) -> (Result<Named, Unnamed>, Side) {
        let record = kafka::dead_letter(message);
        let Some(letter) = record.letter else {
            return (Err(Unnamed::NoId), Side::Found);
        };
        let side = if letter.attempts > 0 {
            Side::Replayed
        } else {
            Side::Found
        };
        let Position {
            topic,
            partition,
            offset,
        } = letter.source;
        let named = self.slots.source(topic, partition).map(|source| Named {
            source,
            offset,
            timestamp: letter.timestamp.unwrap_or(-1),
            slot: self.slots.letter(letter.destination),
        });
        (named, side)
    }

    fn line_key(&self, output: &Output, key: Option<&[u8]>) -> u64 {
        if output.holds_letters {
            0
        } else {
            self.seed.hash_one(key)
        }
    }

    fn digest<'n, 'v>(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'n str, &'v [u8])>,
    ) -> u64 {
        let mut hasher = self.seed.build_hasher();
        (key, value).hash(&mut hasher);
        headers.for_each(|header| header.hash(&mut hasher));
        hasher.finish()
    }
}

fn header<'m>(message: &'m OwnedMessage, name: &str) -> Option<&'m str> {
    let header = message
        .headers()?
        .iter()
        .find(|header| header.key == name)?;
    std::str::from_utf8(header.value?).ok()
}

/// Returns a place as positions are written everywhere.
pub(super) fn at(topic: &str, partition: i32, offset: i64) -> String {
    Position {
        topic,
        partition,
        offset,
    }
    .to_string()
}
