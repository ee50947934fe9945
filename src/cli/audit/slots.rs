//! Which of an event's records one is, as a number, and what a record's id names.

use std::collections::HashMap;

use super::entry::Id;
use crate::kafka::range::Range;
use crate::record::Position;
use crate::router::Router;

/// Everything that one event can make: a record of each operation, the dead letter of the whole, and one of each destination's
/// share.
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// By destination, its operations' ids with their slots.
    operations: HashMap<String, Vec<(String, u16)>>,
    letters: HashMap<Option<String>, u16>,
    /// What is read of the source, by index, and where it is by name.
    pub(super) sources: Vec<Range>,
    by_name: HashMap<String, Vec<Option<u32>>>,
}

enum Slot {
    Operation(String, String),
    Letter(Option<String>),
}

/// What an id, or the headers of a dead letter, names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    /// The partition of the source; `None` where the topic has no such partition.
    pub(super) source: Option<u32>,
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    /// `None` where no destination of that name is configured, or it has no such operation.
    pub(super) slot: Option<u16>,
}

/// Why a record cannot be told by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// It is of a topic that is not read: of another groupcast, or of another time's configuration.
    OtherSource,
    /// It is no id.
    NoId,
}

impl Slots {
    /// Returns the slots of a router that reads `sources`.
    pub(super) fn new(router: &Router, sources: Vec<Range>) -> Slots {
        let (mut slots, mut operations, mut letters) = (Vec::new(), HashMap::new(), HashMap::new());
        let mut add = |slot| {
            slots.push(slot);
            // There are as many as operations in the configuration.
            u16::try_from(slots.len() - 1).unwrap_or(u16::MAX)
        };
        letters.insert(None, add(Slot::Letter(None)));
        for (index, name) in router.destination_names().enumerate() {
            let ids = (0..)
                .map(|operation| router.operation_id(index, operation))
                .take_while(|id| !id.is_empty());
            let named = ids.map(|id| {
                let slot = add(Slot::Operation(name.to_owned(), id.to_owned()));
                (id.to_owned(), slot)
            });
            operations.insert(name.to_owned(), named.collect());
            let letter = Some(name.to_owned());
            letters.insert(letter.clone(), add(Slot::Letter(letter)));
        }
        let mut by_name: HashMap<String, Vec<Option<u32>>> = HashMap::new();
        for (index, source) in (0..).zip(&sources) {
            let partitions = by_name.entry(source.topic.clone()).or_default();
            let partition = usize::try_from(source.partition).unwrap_or_default();
            if partitions.len() <= partition {
                partitions.resize(partition + 1, None);
            }
            if let Some(place) = partitions.get_mut(partition) {
                *place = Some(index);
            }
        }
        Slots {
            slots,
            operations,
            letters,
            sources,
            by_name,
        }
    }

    /// Returns the slot of an operation.
    pub(super) fn operation(&self, destination: &str, operation: &str) -> Option<u16> {
        let operations = self.operations.get(destination)?;
        operations
            .iter()
            .find(|(id, _)| id == operation)
            .map(|(_, slot)| *slot)
    }

    /// Returns the slot of a dead letter, of a whole record where there is no destination.
    pub(super) fn letter(&self, destination: Option<&str>) -> Option<u16> {
        self.letters.get(&destination.map(str::to_owned)).copied()
    }

    /// Returns the index of a partition of the source; `Err` where its topic is not read.
    pub(super) fn source(&self, topic: &str, partition: i32) -> Result<Option<u32>, Unnamed> {
        let partitions = self.by_name.get(topic).ok_or(Unnamed::OtherSource)?;
        let partition = usize::try_from(partition).map_err(|_| Unnamed::NoId)?;
        Ok(partitions.get(partition).copied().flatten())
    }

    /// Reads `topic/partition/offset/timestamp/instance/operation`.
    pub(super) fn read(&self, id: &str) -> Result<Named, Unnamed> {
        let parts: Vec<&str> = id.split('/').collect();
        let [topic, partition, offset, timestamp, destination, operation] = parts.as_slice() else {
            return Err(Unnamed::NoId);
        };
        let number = |text: &str| text.parse::<i64>().map_err(|_| Unnamed::NoId);
        let partition = partition.parse().map_err(|_| Unnamed::NoId)?;
        Ok(Named {
            source: self.source(topic, partition)?,
            offset: number(offset)?,
            timestamp: number(timestamp)?,
            slot: self.operation(destination, operation),
        })
    }

    /// Returns an id as the record has it, or what a dead letter is of.
    pub(super) fn text(&self, id: &Id) -> String {
        let source = usize::try_from(id.line.source)
            .ok()
            .and_then(|source| self.sources.get(source));
        let position = Position {
            topic: source.map_or("", |source| &source.topic),
            partition: source.map_or(0, |source| source.partition),
            offset: id.offset,
        };
        match self.slots.get(usize::from(id.slot)) {
            Some(Slot::Operation(destination, operation)) => {
                format!("{position}/{}/{destination}/{operation}", id.timestamp)
            }
            Some(Slot::Letter(Some(destination))) => {
                format!("dead letter of {position} for {destination}")
            }
            Some(Slot::Letter(None)) | None => format!("dead letter of {position}"),
        }
    }
}
