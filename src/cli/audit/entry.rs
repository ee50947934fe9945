//! A record that is due or was found, in the few bytes that it takes to compare the two.

use std::io::{self, Read, Write};

/// Where records stand that keep one order: those of one key, in one topic, from one partition of the source (semantics K5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    /// The output topic.
    pub(super) topic: u16,
    /// Stands for the key. Dead letters have none here: a whole partition of the source keeps its order.
    pub(super) key: u64,
    /// The partition of the source, by its index.
    pub(super) source: u32,
}

/// What stands in a record's id (semantics K4), and where it belongs. Within a line ids have the order of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) line: Line,
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    /// Which of an event's records it is; see [`Slots`](super::slots::Slots).
    pub(super) slot: u16,
}

/// Where an entry comes from. What is due stands before what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Due,
    Found,
    /// Found, and sent by a replay or a redrive.
    Replayed,
}

/// A record that is due or was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) side: Side,
    /// The partition of the output, and the offset there; of what is due, where it should be, without an offset.
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Stands for key, value and headers.
    pub(super) digest: u64,
}

impl Entry {
    /// What [`Entry::write`] writes.
    pub(super) const BYTES: u64 = 2 + 8 + 4 + 8 + 8 + 2 + 1 + 4 + 8 + 8;

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let Id {
            line,
            offset,
            timestamp,
            slot,
        } = self.id;
        out.write_all(&line.topic.to_le_bytes())?;
        out.write_all(&line.key.to_le_bytes())?;
        out.write_all(&line.source.to_le_bytes())?;
        out.write_all(&offset.to_le_bytes())?;
        out.write_all(&timestamp.to_le_bytes())?;
        out.write_all(&slot.to_le_bytes())?;
        out.write_all(&[match self.side {
            Side::Due => 0,
            Side::Found => 1,
            Side::Replayed => 2,
        }])?;
        out.write_all(&self.partition.to_le_bytes())?;
        out.write_all(&self.offset.to_le_bytes())?;
        out.write_all(&self.digest.to_le_bytes())
    }

    pub(super) fn read(input: &mut impl Read) -> io::Result<Entry> {
        let line = Line {
            topic: u16::from_le_bytes(bytes(input)?),
            key: u64::from_le_bytes(bytes(input)?),
            source: u32::from_le_bytes(bytes(input)?),
        };
        let id = Id {
            line,
            offset: i64::from_le_bytes(bytes(input)?),
            timestamp: i64::from_le_bytes(bytes(input)?),
            slot: u16::from_le_bytes(bytes(input)?),
        };
        let side = match bytes(input)? {
            [0] => Side::Due,
            [1] => Side::Found,
            [_] => Side::Replayed,
        };
        Ok(Entry {
            id,
            side,
            partition: i32::from_le_bytes(bytes(input)?),
            offset: i64::from_le_bytes(bytes(input)?),
            digest: u64::from_le_bytes(bytes(input)?),
        })
    }
}

fn bytes<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
