//! The part of the source topics that a replay reads: its ends are found once, exactly, and stay where they are.

use rdkafka::message::{Message, OwnedMessage};
use rdkafka::topic_partition_list::Offset;

use super::lookup::{Lookup, Window, offsets_at};
use crate::kafka::fault::Fault;

/// One end of a range, as people say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// The oldest record that there is.
    Beginning,
    /// The end as it is now.
    Now,
    /// The first record at or after this time, in Unix milliseconds.
    Time(i64),
    /// An offset of each of these partitions, and no other partition at all.
    Offsets(Vec<(String, i32, i64)>),
}

/// Offsets of one partition: from the first up to, but not with, the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The topic.
    pub topic: String,
    /// The partition, from 0.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// One past the last record that readers of committed records see; `from` where there is none.
    pub to: i64,
}

impl Range {
    /// Returns how many offsets it covers; some may hold no record.
    #[must_use]
    pub fn len(&self) -> i64 {
        (self.to - self.from).max(0)
    }

    /// Returns whether it holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&Window<'_>> for Range {
    fn from(window: &Window<'_>) -> Range {
        Range {
            topic: window.topic.to_owned(),
            partition: window.partition,
            from: window.from,
            to: window.to,
        }
    }
}

/// What retention has taken of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The topic.
    pub topic: String,
    /// The partition, from 0.
    pub partition: i32,
    /// The oldest offset that is left.
    pub oldest: i64,
    /// How many offsets of the range are gone; absent where the range begins at a time, which nobody can tell.
    pub offsets: Option<i64>,
}

impl Lookup {
    /// Finds the ranges of `topics` between two limits, and what is lost of them.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where a topic or partition does not exist or no broker answers.
    pub fn ranges(
        &self,
        topics: &[String],
        from: &Limit,
        to: &Limit,
    ) -> Result<(Vec<Range>, Vec<Lost>), Fault> {
        let (mut ranges, mut lost) = (Vec::new(), Vec::new());
        let mut named: Vec<(&str, i32)> =
            [from, to].into_iter().flat_map(Limit::partitions).collect();
        self.each_partition(topics, |whole| {
            let place = (whole.topic, whole.partition);
            if !named.is_empty() && !named.contains(&place) {
                return Ok(());
            }
            let asked = self.resolve(from, &whole)?.unwrap_or(whole.from);
            let (topic, partition) = (whole.topic.to_owned(), whole.partition);
            // A time is never before the oldest record: where it falls on that, older ones may be gone.
            let is_cut = matches!(from, Limit::Time(_)) && asked == whole.from && whole.from > 0;
            if asked < whole.from || is_cut {
                let offsets = (asked < whole.from).then_some(whole.from - asked);
                lost.push(Lost {
                    topic: topic.clone(),
                    partition,
                    oldest: whole.from,
                    offsets,
                });
            }
            let from = asked.clamp(whole.from, whole.to);
            let end = self
                .resolve(to, &whole)?
                .unwrap_or(whole.to)
                .clamp(from, whole.to);
            let to = self
                .last_record(Window {
                    from,
                    to: end,
                    ..whole
                })?
                .map_or(from, |offset| offset + 1);
            ranges.push(Range {
                topic,
                partition,
                from,
                to,
            });
            Ok(())
        })?;
        named.retain(|(topic, partition)| {
            !ranges
                .iter()
                .any(|range| range.topic == *topic && range.partition == *partition)
        });
        match named.first() {
            Some((topic, partition)) => Err(Fault::Fatal(format!(
                "no such partition of a source topic: {topic}/{partition}"
            ))),
            None => Ok((ranges, lost)),
        }
    }

    /// Finds, for each range, what has come behind its end until now.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where no broker answers.
    pub fn behind(&self, ranges: &[Range]) -> Result<Vec<Range>, Fault> {
        let behind = ranges.iter().map(|range| {
            let (low, high) = self.bounds(&range.topic, range.partition)?;
            let from = range.to.max(low);
            let window = Window {
                topic: &range.topic,
                partition: range.partition,
                from,
                to: high.max(from),
            };
            let to = self.last_record(window)?.map_or(from, |offset| offset + 1);
            Ok(Range {
                from,
                to,
                ..range.clone()
            })
        });
        behind.collect()
    }

    /// Returns `ranges`, each from the first record at or after a time, in Unix milliseconds. All are asked about at once.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where no broker answers.
    pub fn since(&self, ranges: &[Range], milliseconds: i64) -> Result<Vec<Range>, Fault> {
        let found = offsets_at(self.consumer(), ranges, Offset::Offset(milliseconds))?;
        let since = ranges.iter().zip(found).map(|(range, found)| Range {
            from: found.unwrap_or(range.to).clamp(range.from, range.to),
            ..range.clone()
        });
        Ok(since.collect())
    }

    /// Reads all records of a range, in order.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where no broker answers.
    pub fn read_range(&self, range: &Range, each: impl FnMut(OwnedMessage)) -> Result<(), Fault> {
        self.read(
            Window {
                topic: &range.topic,
                partition: range.partition,
                from: range.from,
                to: range.to,
            },
            each,
        )
    }

    /// Reads all records of ranges at once that are partitions of one topic. Within each they come in order.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where no broker answers.
    pub fn read_topic(
        &self,
        ranges: &[Range],
        each: impl FnMut(OwnedMessage),
    ) -> Result<(), Fault> {
        let windows = ranges.iter().map(|range| Window {
            topic: &range.topic,
            partition: range.partition,
            from: range.from,
            to: range.to,
        });
        self.read_all(&windows.collect::<Vec<_>>(), each)
    }

    /// Returns whether a range still holds a record; retention and compaction may have taken them since it was found.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where no broker answers.
    pub fn holds_record(&self, range: &Range) -> Result<bool, Fault> {
        let (low, high) = self.bounds(&range.topic, range.partition)?;
        let (from, to) = (range.from.max(low), range.to.min(high));
        Ok(self
            .last_record(Window {
                topic: &range.topic,
                partition: range.partition,
                from,
                to,
            })?
            .is_some())
    }

    /// Returns the offset that a limit means in one partition; `None` where it means nothing in particular there.
    fn resolve(&self, limit: &Limit, whole: &Window<'_>) -> Result<Option<i64>, Fault> {
        Ok(match limit {
            Limit::Beginning => Some(whole.from),
            Limit::Now => Some(whole.to),
            Limit::Time(milliseconds) => Some(self.offset_at(whole, *milliseconds)?),
            Limit::Offsets(offsets) => {
                let found = offsets.iter().find(|(topic, partition, _)| {
                    topic == whole.topic && *partition == whole.partition
                });
                found.map(|(.., offset)| *offset)
            }
        })
    }

    /// Returns the offset of the first record at or after a time, the end where there is none.
    fn offset_at(&self, whole: &Window<'_>, milliseconds: i64) -> Result<i64, Fault> {
        let place = [Range::from(whole)];
        let found = offsets_at(self.consumer(), &place, Offset::Offset(milliseconds))?;
        Ok(found.into_iter().flatten().next().unwrap_or(whole.to))
    }

    /// Returns the last offset of `window` that holds a record: behind it there may be marks of transactions, and records that
    /// were aborted.
    fn last_record(&self, window: Window<'_>) -> Result<Option<i64>, Fault> {
        let (mut to, mut step) = (window.to, 2);
        while to > window.from {
            let from = window.from.max(to - step);
            let mut last = None;
            self.read(Window { from, to, ..window }, |message| {
                last = Some(message.offset())
            })?;
            if last.is_some() {
                return Ok(last);
            }
            (to, step) = (from, step.saturating_mul(8).min(1 << 20));
        }
        Ok(None)
    }
}

impl Limit {
    fn partitions(&self) -> impl Iterator<Item = (&str, i32)> {
        let offsets = if let Limit::Offsets(offsets) = self {
            offsets.as_slice()
        } else {
            &[]
        };
        offsets
            .iter()
            .map(|(topic, partition, _)| (topic.as_str(), *partition))
    }
}
