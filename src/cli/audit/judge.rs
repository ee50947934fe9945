//! Holds what is there against what is due, id by id.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use super::collect::{Collector, at};
use super::entry::{Entry, Id, Line, Side};
use super::findings::{Finding, Kind, OfTopic};
use super::slots::Slots;
use super::sorter::Sorter;
use crate::kafka::range::Range;

/// Compares, and counts.
struct Judge<'a> {
    slots: &'a Slots,
    topics: Vec<OfTopic>,
    /// What [`Collector::fronts`] says.
    fronts: HashMap<(u16, i32, u32), (i64, u16)>,
    /// What was read of each output, by partition.
    read: &'a [Vec<Range>],
    order: Order,
    /// What has no counterpart of its key.
    unmatched: Sorter,
    /// Whether it is this that is looked at, so that there is nothing else to look for.
    is_last: bool,
}

/// All entries of one id, which come one after the other.
struct Group {
    id: Id,
    due: Option<Entry>,
    /// The first that was found.
    first: Option<(i32, i64)>,
    is_in_one_partition: bool,
    n_found: u64,
    n_replayed: u64,
}

/// The furthest record of a line in each partition of its topic.
#[derive(Default)]
struct Order {
    line: Option<Line>,
    furthest: HashMap<i32, (i64, Id)>,
}

/// What was compared.
pub(super) struct Judged {
    pub(super) topics: Vec<OfTopic>,
    pub(super) n_records: u64,
    pub(super) n_events: u64,
    /// How much of the folder for temporary files it took.
    pub(super) n_bytes: u64,
}

/// Judges all that was collected.
pub(super) fn judge(
    collected: Collector<'_>,
    read: &[Vec<Range>],
    folder: PathBuf,
) -> io::Result<Judged> {
    let (n_records, n_events) = (collected.n_records, collected.n_events);
    let n_bytes = collected.sorter.n_bytes();
    let mut judge = Judge {
        slots: collected.slots,
        topics: collected.topics,
        fronts: collected.fronts,
        read,
        order: Order::default(),
        unmatched: Sorter::new(folder.clone()),
        is_last: false,
    };
    judge.take_all(collected.sorter.into_sorted()?)?;
    // Sorted by key, a record with another key than it should have stands elsewhere than what is due.
    judge.is_last = true;
    let unmatched = std::mem::replace(&mut judge.unmatched, Sorter::new(folder));
    judge.take_all(unmatched.into_sorted()?)?;
    Ok(Judged {
        topics: judge.topics,
        n_records,
        n_events,
        n_bytes,
    })
}

impl Judge<'_> {
    fn take_all(&mut self, entries: impl Iterator<Item = io::Result<Entry>>) -> io::Result<()> {
        let mut group: Option<Group> = None;
        for entry in entries {
            let entry = entry?;
            let ended = group.take_if(|group| group.id != entry.id);
            if let Some(ended) = ended {
                self.end(&ended)?;
            }
            self.take(group.get_or_insert_with(|| Group::new(entry.id)), entry)?;
        }
        group.map_or(Ok(()), |group| self.end(&group))
    }

    fn take(&mut self, group: &mut Group, entry: Entry) -> io::Result<()> {
        let Some(due) = &group.due else {
            return match entry.side {
                Side::Due => {
                    group.due = Some(entry);
                    Ok(())
                }
                Side::Found | Side::Replayed => self.leave(entry),
            };
        };
        match entry.side {
            // One id is due once.
            Side::Due => {}
            // A replay goes by the configuration of its own time, and sends what it calls by its name.
            Side::Replayed => group.n_replayed += 1,
            Side::Found => {
                let place = (entry.partition, entry.offset);
                let first = *group.first.get_or_insert(place);
                group.is_in_one_partition &= first.0 == entry.partition;
                group.n_found += 1;
                let is_different = entry.digest != due.digest;
                if group.n_found > 1 {
                    self.note(Kind::Repeated, &entry, None);
                }
                if is_different {
                    self.note(Kind::Different, &entry, None);
                }
            }
        }
        Ok(())
    }

    /// Puts an entry aside that has no counterpart, or says so where there is none to come.
    fn leave(&mut self, entry: Entry) -> io::Result<()> {
        if !self.is_last {
            let mut entry = entry;
            entry.id.line.key = 0;
            return self.unmatched.push(entry);
        }
        match entry.side {
            Side::Due if self.is_before_what_is_there(&entry) => {
                self.count(&entry.id, |topic| topic.counts.due += 1);
                self.note(Kind::NotJudged, &entry, None);
            }
            Side::Due => {
                self.count(&entry.id, |topic| topic.counts.due += 1);
                self.note(Kind::Missing, &entry, None);
            }
            Side::Found => self.note(Kind::NotDue, &entry, None),
            // Selected by a replay, or due to a configuration of another time.
            Side::Replayed => self.count(&entry.id, |topic| topic.counts.replayed += 1),
        }
        Ok(())
    }

    fn end(&mut self, group: &Group) -> io::Result<()> {
        let Some(due) = group.due else {
            return Ok(());
        };
        if group.n_found + group.n_replayed == 0 {
            return self.leave(due);
        }
        self.count(&group.id, |topic| {
            topic.counts.due += 1;
            topic.counts.found += 1;
            topic.counts.replayed += group.n_replayed;
        });
        // Nobody orders two partitions, and of two keys in the last round nothing is known.
        if let Some((partition, offset)) = group
            .first
            .filter(|_| group.is_in_one_partition && !self.is_last)
        {
            let found = Entry {
                partition,
                offset,
                ..due
            };
            if let Some(before) = self.order.advance(&found) {
                self.note(Kind::OutOfOrder, &found, Some(before));
            }
        }
        Ok(())
    }

    /// Returns whether a record that is not there would have stood before what is left of its partition, of which something is
    /// gone: records of one source keep their order (semantics I4).
    fn is_before_what_is_there(&self, due: &Entry) -> bool {
        let Line { topic, source, .. } = due.id.line;
        let ranges = self.read.get(usize::from(topic)).into_iter().flatten();
        let is_cut = ranges
            .filter(|range| range.partition == due.partition)
            .any(|range| range.from > 0);
        let front = self.fronts.get(&(topic, due.partition, source));
        is_cut && front.is_none_or(|front| (due.id.offset, due.id.slot) < *front)
    }

    fn count(&mut self, id: &Id, count: impl FnOnce(&mut OfTopic)) {
        if let Some(topic) = self.topics.get_mut(usize::from(id.line.topic)) {
            count(topic);
        }
    }

    fn note(&mut self, kind: Kind, entry: &Entry, before: Option<Id>) {
        let slots = self.slots;
        self.count(&entry.id, |topic| {
            topic.note(kind, |topic| Finding {
                finding: kind,
                id: Some(slots.text(&entry.id)),
                at: (entry.offset >= 0).then(|| at(topic, entry.partition, entry.offset)),
                before: before.map(|before| slots.text(&before)),
            });
        });
    }
}

impl Group {
    fn new(id: Id) -> Group {
        Group {
            id,
            due: None,
            first: None,
            is_in_one_partition: true,
            n_found: 0,
            n_replayed: 0,
        }
    }
}

impl Order {
    /// Takes the next record of the source's order; returns the one that it must not stand before, if it does.
    fn advance(&mut self, found: &Entry) -> Option<Id> {
        if self.line != Some(found.id.line) {
            self.line = Some(found.id.line);
            self.furthest.clear();
        }
        let place = (found.offset, found.id);
        let furthest = self.furthest.entry(found.partition).or_insert(place);
        if found.offset < furthest.0 {
            return Some(furthest.1);
        }
        *furthest = place;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use super::*;
    use crate::cli::audit::findings::Counts;
    use crate::envelope::Format;
    use crate::router::{Router, Routing};

    /// A record of one topic: the offset of its event, its key, and where it is.
    fn entry(side: Side, source: i64, key: u64, place: (i32, i64)) -> Entry {
        let line = Line {
            topic: 0,
            key,
            source: 0,
        };
        let id = Id {
            line,
            offset: source,
            timestamp: 7,
            slot: 1,
        };
        Entry {
            id,
            side,
            partition: place.0,
            offset: place.1,
            // As if key and body were the event's.
            digest: key * 1000 + source.unsigned_abs(),
        }
    }

    fn due(source: i64, key: u64) -> Entry {
        entry(Side::Due, source, key, (0, -1))
    }

    fn found(source: i64, key: u64, offset: i64) -> Entry {
        entry(Side::Found, source, key, (0, offset))
    }

    /// Judges entries, where reading began at `start` of the output's partition.
    fn judged(entries: &[Entry], start: i64) -> OfTopic {
        let router = Router::new(Routing::default()).unwrap();
        let range = |from| Range {
            topic: "t".to_owned(),
            partition: 0,
            from,
            to: 100,
        };
        let (slots, seed) = (Slots::new(&router, vec![range(0)]), RandomState::new());
        let folder = std::env::temp_dir();
        let mut collected = Collector {
            slots: &slots,
            outputs: &[],
            ends: &[100],
            format: Format::Structured,
            seed: &seed,
            sorter: Sorter::new(folder.clone()),
            fronts: HashMap::new(),
            topics: vec![OfTopic::new("t", 10)],
            n_records: 0,
            n_events: 0,
            earliest: None,
        };
        for entry in entries {
            collected.sorter.push(*entry).unwrap();
            if entry.side == Side::Found {
                let front = (entry.id.offset, entry.id.slot);
                let known = collected.fronts.entry((0, entry.partition, 0));
                known
                    .and_modify(|known| *known = front.min(*known))
                    .or_insert(front);
            }
        }
        let judged = judge(collected, &[vec![range(start)]], folder).unwrap();
        judged.topics.into_iter().next().unwrap()
    }

    fn check(entries: &[Entry], start: i64, expected: Counts) {
        let found = judged(entries, start);
        assert_eq!(found.counts, expected, "{entries:?}: {:?}", found.findings);
        let Counts {
            due,
            found,
            missing,
            not_judged,
            ..
        } = found.counts;
        assert_eq!(due, found + missing + not_judged);
    }

    fn counts(due: u64, found: u64) -> Counts {
        Counts {
            due,
            found,
            ..Counts::default()
        }
    }

    #[test]
    fn what_is_due_is_found_or_missing() {
        check(&[], 0, counts(0, 0));
        check(&[due(1, 5), found(1, 5, 0)], 0, counts(1, 1));
        let missing = Counts {
            missing: 1,
            ..counts(2, 1)
        };
        check(&[due(1, 5), due(2, 5), found(2, 5, 0)], 0, missing);
        let not_due = Counts {
            not_due: 1,
            ..counts(1, 1)
        };
        check(&[due(1, 5), found(1, 5, 0), found(9, 5, 1)], 0, not_due);
    }

    #[test]
    fn each_copy_beyond_the_first_is_a_repetition() {
        let repeated = Counts {
            repeated: 2,
            ..counts(1, 1)
        };
        let copies = [due(1, 5), found(1, 5, 0), found(1, 5, 3), found(1, 5, 9)];
        check(&copies, 0, repeated);
    }

    #[test]
    fn other_bytes_and_another_key_are_differences() {
        let different = Counts {
            different: 1,
            ..counts(1, 1)
        };
        let other_body = Entry {
            digest: 0,
            ..found(1, 5, 0)
        };
        check(&[due(1, 5), other_body], 0, different);
        check(&[due(1, 5), found(1, 6, 0)], 0, different);
    }

    #[test]
    fn a_record_of_a_replay_is_there_and_nothing_else() {
        let replayed = |source| entry(Side::Replayed, source, 5, (0, 50));
        let is_there = Counts {
            replayed: 1,
            ..counts(1, 1)
        };
        check(&[due(1, 5), replayed(1)], 0, is_there);
        check(&[due(1, 5), found(1, 5, 0), replayed(1)], 0, is_there);
        let beside = Counts {
            replayed: 1,
            ..counts(0, 0)
        };
        check(&[replayed(1)], 0, beside);
    }

    #[test]
    fn the_first_copies_of_a_key_are_in_order() {
        let in_order = |entries: &[Entry], n_out_of_order| {
            let dues = entries
                .iter()
                .map(|entry| due(entry.id.offset, entry.id.line.key));
            let mut all: Vec<Entry> = dues.collect();
            all.sort_unstable();
            all.dedup();
            let n = u64::try_from(all.len()).unwrap();
            all.extend(entries);
            let repeated = u64::try_from(entries.len()).unwrap() - n;
            let expected = Counts {
                repeated,
                out_of_order: n_out_of_order,
                ..counts(n, n)
            };
            check(&all, 0, expected);
        };
        in_order(&[found(1, 5, 0), found(2, 5, 1)], 0);
        in_order(&[found(2, 5, 0), found(1, 5, 1)], 1);
        // Another key may stand anywhere, and so may a repetition.
        in_order(&[found(2, 6, 0), found(1, 5, 1)], 0);
        in_order(&[found(1, 5, 0), found(2, 5, 1), found(1, 5, 2)], 0);
        in_order(&[found(1, 5, 1), found(2, 5, 0), found(1, 5, 2)], 1);
        // Nobody orders two partitions.
        let elsewhere = Entry {
            partition: 1,
            ..found(2, 5, 0)
        };
        in_order(&[found(1, 5, 4), elsewhere], 0);
        let report = judged(&[due(1, 5), due(2, 5), found(2, 5, 0), found(1, 5, 1)], 0);
        let [Finding { id, at, before, .. }] = report.findings.as_slice() else {
            panic!("{:?}", report.findings)
        };
        assert!(
            id.as_ref().unwrap().contains("t/0/2") && before.as_ref().unwrap().contains("t/0/1")
        );
        assert_eq!(at.as_deref(), Some("t/0/0"));
    }

    #[test]
    fn what_retention_may_have_removed_is_not_missing() {
        let entries = [due(1, 5), due(2, 6), due(3, 5), due(4, 6), found(3, 5, 40)];
        let is_cut = Counts {
            not_judged: 2,
            missing: 1,
            ..counts(4, 1)
        };
        check(&entries, 40, is_cut);
        let is_whole = Counts {
            missing: 3,
            ..counts(4, 1)
        };
        check(&entries, 0, is_whole);
        let nothing_left = Counts {
            not_judged: 1,
            ..counts(1, 0)
        };
        check(&[due(1, 5)], 100, nothing_left);
    }
}
