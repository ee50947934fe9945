//! More entries than fit into memory, in order: runs are sorted in memory, written to files, and merged.
//!
//! The entries have one small size and are read once, in order. A database such as redb would keep each at its place in a tree,
//! for which every one of them would be looked up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek, Write};
use std::path::PathBuf;
use std::vec;

use super::entry::Entry;

/// So many entries are sorted in memory: 28 MiB.
const IN_MEMORY: usize = 1 << 19;

/// So many runs are merged into one of the next level, so that no number of entries needs more open files than a few times that.
const FAN_IN: usize = 64;

/// Takes entries in any order. Its files have no names, and are gone with it.
pub(super) struct Sorter {
    folder: PathBuf,
    in_memory: usize,
    gathered: Vec<Entry>,
    /// What was written, by how often it was merged.
    levels: Vec<Vec<Run>>,
    n_bytes: u64,
}

/// A file of entries in order.
struct Run {
    file: File,
    n_entries: u64,
}

impl Sorter {
    pub(super) fn new(folder: PathBuf) -> Sorter {
        Sorter::with_limit(folder, IN_MEMORY)
    }

    fn with_limit(folder: PathBuf, in_memory: usize) -> Sorter {
        Sorter {
            folder,
            in_memory,
            gathered: Vec::new(),
            levels: Vec::new(),
            n_bytes: 0,
        }
    }

    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        if self.gathered.len() >= self.in_memory {
            let mut gathered = std::mem::take(&mut self.gathered);
            gathered.sort_unstable();
            let run = self.write(gathered.iter().copied().map(Ok))?;
            self.keep(0, run)?;
            gathered.clear();
            self.gathered = gathered;
        }
        self.gathered.push(entry);
        Ok(())
    }

    fn keep(&mut self, level: usize, run: Run) -> io::Result<()> {
        if level == self.levels.len() {
            self.levels.push(Vec::new());
        }
        let Some(runs) = self.levels.get_mut(level) else {
            return Ok(());
        };
        runs.push(run);
        if runs.len() < FAN_IN {
            return Ok(());
        }
        let merged = Merged::of(std::mem::take(runs), Vec::new())?;
        let run = self.write(merged)?;
        self.keep(level + 1, run)
    }

    fn write(&mut self, entries: impl Iterator<Item = io::Result<Entry>>) -> io::Result<Run> {
        let mut out = BufWriter::new(tempfile::tempfile_in(&self.folder)?);
        let mut n_entries = 0;
        for entry in entries {
            entry?.write(&mut out)?;
            n_entries += 1;
        }
        out.flush()?;
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.n_bytes += n_entries * Entry::BYTES;
        Ok(Run { file, n_entries })
    }

    /// Returns how many bytes were written to files.
    pub(super) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Returns the entries in order.
    pub(super) fn into_sorted(mut self) -> io::Result<Merged> {
        self.gathered.sort_unstable();
        Merged::of(self.levels.into_iter().flatten().collect(), self.gathered)
    }
}

/// Entries in order, from runs that are.
pub(super) struct Merged {
    inputs: Vec<Input>,
    /// The next entry of each input.
    heads: BinaryHeap<Reverse<(Entry, usize)>>,
}

enum Input {
    Memory(vec::IntoIter<Entry>),
    File { reader: BufReader<File>, left: u64 },
}

impl Input {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        match self {
            Input::Memory(entries) => Ok(entries.next()),
            Input::File { left: 0, .. } => Ok(None),
            Input::File { reader, left } => {
                *left -= 1;
                Entry::read(reader).map(Some)
            }
        }
    }
}

impl Merged {
    fn of(runs: Vec<Run>, gathered: Vec<Entry>) -> io::Result<Merged> {
        let files = runs.into_iter().map(|run| Input::File {
            reader: BufReader::with_capacity(1 << 16, run.file),
            left: run.n_entries,
        });
        let mut inputs: Vec<Input> = files.collect();
        inputs.push(Input::Memory(gathered.into_iter()));
        let mut heads = BinaryHeap::with_capacity(inputs.len());
        for (index, input) in inputs.iter_mut().enumerate() {
            heads.extend(input.next()?.map(|entry| Reverse((entry, index))));
        }
        Ok(Merged { inputs, heads })
    }
}

impl Iterator for Merged {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<io::Result<Entry>> {
        let Reverse((entry, index)) = self.heads.pop()?;
        match self.inputs.get_mut(index).map(Input::next)? {
            Ok(next) => {
                self.heads.extend(next.map(|entry| Reverse((entry, index))));
                Some(Ok(entry))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::audit::entry::{Id, Line, Side};

    fn entry(number: u64) -> Entry {
        // Any order that has nothing to do with the number's.
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let small = |shift: u32, count: u64| (mixed >> shift) % count;
        let line = Line {
            topic: u16::try_from(small(0, 3)).unwrap(),
            key: small(7, 5),
            source: u32::try_from(small(13, 4)).unwrap(),
        };
        let id = Id {
            line,
            offset: i64::try_from(small(20, 50)).unwrap(),
            timestamp: -1,
            slot: u16::try_from(small(30, 3)).unwrap(),
        };
        let sides = [Side::Due, Side::Found, Side::Replayed];
        Entry {
            id,
            side: sides[usize::try_from(small(33, 3)).unwrap()],
            partition: i32::try_from(small(36, 7)).unwrap() - 1,
            offset: i64::MAX - i64::try_from(number).unwrap(),
            digest: mixed,
        }
    }

    #[test]
    fn entries_come_back_in_order_whatever_was_put_into_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut expected: Vec<Entry> = (0..2_000).map(entry).collect();
        expected.sort_unstable();
        // In memory; with some files; with files that are merged before the end, more than once.
        for (in_memory, n_levels) in [(10_000, 0), (100, 1), (7, 2)] {
            let mut sorter = Sorter::with_limit(folder.path().to_owned(), in_memory);
            for number in 0..2_000 {
                sorter.push(entry(number)).unwrap();
            }
            assert_eq!(sorter.levels.len(), n_levels);
            let is_open = sorter.levels.iter().all(|runs| runs.len() < FAN_IN);
            assert!(is_open, "no more files than a few times {FAN_IN}");
            let found: Vec<Entry> = sorter
                .into_sorted()
                .unwrap()
                .collect::<io::Result<_>>()
                .unwrap();
            assert!(found == expected, "{in_memory}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        let mut sorter = Sorter::with_limit(PathBuf::from("/nowhere/at/all"), 1);
        sorter.push(entry(0)).unwrap();
        assert!(sorter.push(entry(1)).is_err());
    }
}
