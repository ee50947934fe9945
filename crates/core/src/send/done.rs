//! What may be committed of one partition: the first offset that is not finished, and which later ones are.
//!
//! Requests are answered in any order, and a commit is one offset. So the records finished beyond it stand in the
//! metadata of the commit, for whoever owns the partition next. The metadata is compact enough to fit always:
//! [`MAX_SPAN`] offsets take 2,744 bytes at most, and a broker allows 4,096 unless told otherwise
//! (`offset.metadata.max.bytes`). A map that outgrows that limit stalls the partition
//! (confluentinc/parallel-consumer #647), and one that is believed although it is damaged skips records. So a map has
//! a checksum over itself and its offset, and whatever fails it counts as no map: its records are sent again.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The most offsets from the first unfinished one to the last that is read: what a map must be able to say.
pub const MAX_SPAN: u16 = 16_384;

/// Which records of a partition are finished, of those that are read and of those that a former owner finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoneMap {
    span: i64,
    /// The offset after the last one read.
    next: i64,
    /// Read and not finished.
    unfinished: BTreeSet<i64>,
    /// Finished, from the first unfinished offset on.
    finished: BTreeSet<i64>,
}

/// What is committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The first offset that is not finished.
    pub offset: i64,
    /// Which later ones are; empty if none is.
    pub metadata: String,
}

/// The metadata of a commit is not a map of that commit: damaged, of another offset, or somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged;

/// What is to be done with a record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// It is to be sent.
    New,
    /// A former owner of the partition finished it.
    Finished,
    /// The window is full: read it again when there is room.
    Full,
    /// It lies before what was read already, so that the topic is not the one that the map is about.
    Behind,
}

/// Whether the window has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It has.
    Plenty,
    /// The last quarter, for records that show whether the first unfinished one alone fails.
    Reserve,
    /// It has none.
    None,
}

impl DoneMap {
    /// Returns the map of a partition that is read from `offset` on, of which nothing is known. `span` bounds the
    /// window, [`MAX_SPAN`] at most.
    #[must_use]
    pub fn new(offset: i64, span: u16) -> DoneMap {
        DoneMap {
            span: i64::from(span.clamp(1, MAX_SPAN)),
            next: offset,
            unfinished: BTreeSet::new(),
            finished: BTreeSet::new(),
        }
    }

    /// Returns the map that a former owner committed.
    ///
    /// # Errors
    /// [`Damaged`]: then start with [`DoneMap::new`], which repeats records and skips none.
    pub fn restore(commit: &Commit, span: u16) -> Result<DoneMap, Damaged> {
        let mut map = DoneMap::new(commit.offset, span);
        if !commit.metadata.is_empty() {
            map.finished = decode(commit.offset, &commit.metadata).ok_or(Damaged)?;
        }
        Ok(map)
    }

    /// Takes note that the record at `offset` was read. Offsets come in ascending order, with gaps.
    pub fn read(&mut self, offset: i64) -> Read {
        if offset < self.next {
            return Read::Behind;
        }
        if self.room(offset) == Room::None {
            return Read::Full;
        }
        self.next = offset.saturating_add(1);
        if self.finished.contains(&offset) {
            self.forget_before_offset();
            return Read::Finished;
        }
        self.unfinished.insert(offset);
        self.forget_before_offset();
        Read::New
    }

    /// Takes note that a record is finished: the vendor has it, or it stands where refused records stand.
    pub fn finish(&mut self, offset: i64) {
        if self.unfinished.remove(&offset) {
            self.finished.insert(offset);
            self.forget_before_offset();
        }
    }

    /// Returns whether the window has room for the record at `offset`.
    #[must_use]
    pub fn room(&self, offset: i64) -> Room {
        let first = self.unfinished.first().copied().unwrap_or(offset);
        let distance = offset.saturating_sub(first);
        if distance >= self.span {
            Room::None
        } else if distance >= self.span - self.span / 4 {
            Room::Reserve
        } else {
            Room::Plenty
        }
    }

    /// Returns the offset after the last one read.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.next
    }

    /// Returns how many records are read and not finished.
    #[must_use]
    pub fn n_unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// Returns what to commit now.
    #[must_use]
    pub fn commit(&self) -> Commit {
        let offset = self.offset();
        Commit {
            offset,
            metadata: encode(offset, &self.finished),
        }
    }

    fn offset(&self) -> i64 {
        self.unfinished.first().copied().unwrap_or(self.next)
    }

    fn forget_before_offset(&mut self) {
        let offset = self.offset();
        while self.finished.first().is_some_and(|first| *first < offset) {
            self.finished.pop_first();
        }
    }
}

const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;
const BITMAP: u8 = 0;
const RUNS: u8 = 1;

fn encode(offset: i64, finished: &BTreeSet<i64>) -> String {
    if finished.is_empty() {
        return String::new();
    }
    let bits = bits(offset, finished);
    let bitmap = bitmap(&bits);
    let runs = runs(&bits);
    let mut payload = Vec::with_capacity(bitmap.len() + 1);
    if runs.len() < bitmap.len() {
        payload.push(RUNS);
        payload.extend(runs);
    } else {
        payload.push(BITMAP);
        payload.extend(bitmap);
    }
    let mut bytes = vec![VERSION];
    bytes.extend(checksum(offset, &payload));
    bytes.extend(payload);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns whether each offset is finished, from `offset` to the last that is.
fn bits(offset: i64, finished: &BTreeSet<i64>) -> Vec<bool> {
    let mut bits = Vec::new();
    for index in finished.iter().filter_map(|at| distance(offset, *at)) {
        bits.resize(index, false);
        bits.push(true);
    }
    bits
}

/// Returns how far `at` lies behind `offset`, unless no map reaches that far.
fn distance(offset: i64, at: i64) -> Option<usize> {
    let distance = usize::try_from(at.checked_sub(offset)?).ok()?;
    (distance < usize::from(MAX_SPAN)).then_some(distance)
}

fn bitmap(bits: &[bool]) -> Vec<u8> {
    let byte = |chunk: &[bool]| {
        let bits = chunk.iter().enumerate();
        bits.fold(0, |byte, (index, bit)| byte | u8::from(*bit) << index)
    };
    bits.chunks(8).map(byte).collect()
}

/// Returns how long each run is, the first one of unfinished offsets, in base 128.
fn runs(bits: &[bool]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = bits;
    let mut is_finished = false;
    while !rest.is_empty() {
        let length = rest.iter().take_while(|bit| **bit == is_finished).count();
        write_number(length, &mut bytes);
        rest = rest.get(length..).unwrap_or_default();
        is_finished = !is_finished;
    }
    bytes
}

fn write_number(mut number: usize, out: &mut Vec<u8>) {
    while number >= 128 {
        out.push(0x80 | low_bits(number));
        number >>= 7;
    }
    out.push(low_bits(number));
}

fn low_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

fn checksum(offset: i64, payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = Sha256::new()
        .chain_update([VERSION])
        .chain_update(offset.to_be_bytes())
        .chain_update(payload)
        .finalize();
    let mut checksum = [0; CHECKSUM_BYTES];
    for (byte, hashed) in checksum.iter_mut().zip(hash) {
        *byte = hashed;
    }
    checksum
}

fn decode(offset: i64, metadata: &str) -> Option<BTreeSet<i64>> {
    let bytes = URL_SAFE_NO_PAD.decode(metadata).ok()?;
    let (version, rest) = bytes.split_first()?;
    let (found, payload) = rest.split_at_checked(CHECKSUM_BYTES)?;
    if *version != VERSION || found != checksum(offset, payload) {
        return None;
    }
    let bits = match payload.split_first()? {
        (&BITMAP, bitmap) => read_bitmap(bitmap),
        (&RUNS, runs) => read_runs(runs)?,
        _ => return None,
    };
    if bits.len() > usize::from(MAX_SPAN) {
        return None;
    }
    let offsets = (offset..).zip(bits);
    Some(offsets.filter_map(|(at, bit)| bit.then_some(at)).collect())
}

fn read_bitmap(bytes: &[u8]) -> Vec<bool> {
    let bits = |byte: &u8| {
        let byte = *byte;
        (0..8).map(move |index| byte >> index & 1 == 1)
    };
    bytes.iter().flat_map(bits).collect()
}

fn read_runs(mut bytes: &[u8]) -> Option<Vec<bool>> {
    let mut bits = Vec::new();
    let mut is_finished = false;
    while !bytes.is_empty() {
        let length = read_number(&mut bytes)?;
        let end = bits.len().checked_add(length)?;
        if end > usize::from(MAX_SPAN) {
            return None;
        }
        bits.resize(end, is_finished);
        is_finished = !is_finished;
    }
    Some(bits)
}

fn read_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for shift in [0, 7, 14] {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    /// What a broker takes as metadata unless told otherwise.
    const BROKER_LIMIT: usize = 4096;

    /// Reads offsets from `offset` on and finishes those that are given.
    fn map(offset: i64, n_read: u16, finished: &[i64]) -> DoneMap {
        let mut map = DoneMap::new(offset, MAX_SPAN);
        for at in offset..offset + i64::from(n_read) {
            assert_eq!(map.read(at), Read::New);
        }
        finished.iter().for_each(|at| map.finish(*at));
        map
    }

    #[test]
    fn the_offset_is_the_first_unfinished_one() {
        assert_eq!(map(7, 3, &[]).commit().offset, 7);
        assert_eq!(map(7, 3, &[8]).commit().offset, 7);
        assert_eq!(map(7, 3, &[8, 7]).commit().offset, 9);
        let all = map(7, 3, &[8, 7, 9]).commit();
        assert_eq!((all.offset, all.metadata.as_str()), (10, ""));
    }

    #[test]
    fn what_is_finished_is_not_sent_again_by_the_next_owner() {
        let commit = map(7, 5, &[8, 10]).commit();
        let mut next = DoneMap::restore(&commit, MAX_SPAN).unwrap();
        let reads: Vec<Read> = (7..13).map(|at| next.read(at)).collect();
        use Read::{Finished, New};
        assert_eq!(reads, [New, Finished, New, Finished, New, New]);
    }

    /// An owner that commits before it has read all of the map must hand on the rest.
    #[test]
    fn what_is_not_read_again_yet_stays_in_the_map() {
        let commit = map(7, 5, &[8, 10]).commit();
        let mut next = DoneMap::restore(&commit, MAX_SPAN).unwrap();
        assert_eq!(next.commit(), commit);
        assert_eq!(next.read(7), Read::New);
        next.finish(7);
        let mut third = DoneMap::restore(&next.commit(), MAX_SPAN).unwrap();
        assert_eq!(third.next_offset(), 8);
        let reads: Vec<Read> = (8..12).map(|at| third.read(at)).collect();
        use Read::{Finished, New};
        assert_eq!(reads, [Finished, New, Finished, New]);
    }

    #[test]
    fn the_window_is_full_a_span_behind_the_first_unfinished_offset() {
        let mut map = DoneMap::new(0, 4);
        assert_eq!(map.read(0), Read::New);
        assert_eq!(map.read(3), Read::New);
        assert_eq!(map.read(4), Read::Full);
        map.finish(0);
        assert_eq!(map.read(4), Read::New);
        assert_eq!(map.read(4), Read::Behind);
    }

    #[test]
    fn the_last_quarter_of_the_window_is_a_reserve() {
        let map = map(10, 1, &[]);
        let last = 10 + i64::from(MAX_SPAN);
        let rows = [
            (11, Room::Plenty),
            (last - 4097, Room::Plenty),
            (last - 4096, Room::Reserve),
            (last - 1, Room::Reserve),
            (last, Room::None),
        ];
        for (offset, room) in rows {
            assert_eq!(map.room(offset), room, "{offset}");
        }
    }

    /// Compaction leaves gaps wider than a window.
    #[test]
    fn a_gap_wider_than_the_window_does_not_fill_it() {
        let mut map = DoneMap::new(0, 4);
        assert_eq!(map.read(1_000_000), Read::New);
        assert_eq!(map.commit().offset, 1_000_000);
    }

    #[test]
    fn the_worst_map_fits() {
        let span = i64::from(MAX_SPAN);
        let every_other: Vec<i64> = (1..span).step_by(2).collect();
        let all_but_the_first: Vec<i64> = (1..span).collect();
        let pairs: Vec<i64> = (1..span).filter(|at| at / 2 % 2 == 0).collect();
        for finished in [every_other, all_but_the_first, pairs] {
            let map = map(0, MAX_SPAN, &finished);
            let commit = map.commit();
            assert!(commit.metadata.len() <= 2_744, "{}", commit.metadata.len());
            assert!(commit.metadata.len() < BROKER_LIMIT);
            let restored = DoneMap::restore(&commit, MAX_SPAN).unwrap();
            assert_eq!(restored.finished, map.finished);
        }
    }

    #[test]
    fn a_map_of_another_offset_is_none() {
        let mut commit = map(7, 5, &[8, 10]).commit();
        commit.offset = 8;
        assert_eq!(DoneMap::restore(&commit, MAX_SPAN), Err(Damaged));
    }

    #[test]
    fn what_others_write_is_no_map() {
        for metadata in ["x", "NO_METADATA", "AQ", "AAAAAAAAAAAAAAAA", "é"] {
            let metadata = metadata.to_owned();
            let commit = Commit {
                offset: 7,
                metadata,
            };
            assert_eq!(DoneMap::restore(&commit, MAX_SPAN), Err(Damaged));
        }
    }

    /// One changed or missing character is always noticed.
    #[test]
    fn each_damage_of_one_character_is_noticed() {
        let commit = map(7, 40, &[8, 10, 11, 12, 30]).commit();
        for index in 0..commit.metadata.len() {
            let mut without = commit.clone();
            without.metadata.remove(index);
            assert_eq!(DoneMap::restore(&without, MAX_SPAN), Err(Damaged));
            let mut bytes = commit.metadata.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = Commit {
                offset: commit.offset,
                metadata: String::from_utf8(bytes).unwrap(),
            };
            assert_eq!(DoneMap::restore(&changed, MAX_SPAN), Err(Damaged));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_map_comes_back_as_it_was(
            offset in 0..1_000_000_i64,
            finished in btree_set(1..i64::from(MAX_SPAN), 0..2000),
        ) {
            let finished: BTreeSet<i64> = finished.into_iter().map(|at| offset + at).collect();
            let metadata = encode(offset, &finished);
            prop_assert!(metadata.len() <= 2_744);
            let found = if metadata.is_empty() { Some(BTreeSet::new()) } else { decode(offset, &metadata) };
            prop_assert_eq!(found, Some(finished));
        }

        #[test]
        fn no_bytes_make_a_map_by_themselves(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode(7, &URL_SAFE_NO_PAD.encode(bytes)), None);
        }
    }
}
