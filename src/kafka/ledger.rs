//! How far a replay has come. It is kept in Kafka itself: the offsets of a group of its own, each with where the replay began
//! and ends in that partition and what it was asked for, so that whoever takes part needs nothing but its name.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::Config;
use crate::kafka::complaint;
use crate::kafka::fault::{Call, Fault};
use crate::kafka::range::Range;
use crate::kafka::{COMMIT_TIMEOUT, REQUEST_TIMEOUT, consumer_settings, native};

/// What stands beside each offset of a replay's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// The first offset of the partition's range.
    pub from: i64,
    /// One past its last.
    pub to: i64,
    /// Stands for all that the replay was asked for.
    pub fingerprint: u64,
}

/// The version of the text, so that a later one is told from it.
const VERSION: &str = "groupcast-replay-1";

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{VERSION} {} {} {:016x}",
            self.from, self.to, self.fingerprint
        )
    }
}

impl FromStr for Note {
    type Err = ();

    fn from_str(text: &str) -> Result<Note, ()> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [VERSION, from, to, fingerprint] = parts.as_slice() else {
            return Err(());
        };
        let offset = |text: &str| text.parse().map_err(|_| ());
        let fingerprint = u64::from_str_radix(fingerprint, 16).map_err(|_| ())?;
        Ok(Note {
            from: offset(from)?,
            to: offset(to)?,
            fingerprint,
        })
    }
}

/// One partition of a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is read.
    pub range: Range,
    /// The first offset that is not done.
    pub next: i64,
    /// Stands for all that the replay was asked for.
    pub fingerprint: u64,
}

impl Entry {
    /// Returns what is still to be done.
    #[must_use]
    pub fn rest(&self) -> Range {
        Range {
            from: self.next,
            ..self.range.clone()
        }
    }

    /// Returns how many offsets are still to be done.
    #[must_use]
    pub fn left(&self) -> i64 {
        (self.range.to - self.next).max(0)
    }
}

/// Reads and begins a replay's progress. The group does not hear of it.
pub struct Ledger {
    consumer: BaseConsumer,
    group: String,
}

impl Ledger {
    /// Opens a client of its own; the configuration's group is the replay's.
    ///
    /// # Errors
    /// Where a property is wrong.
    pub fn open(config: &Config) -> Result<Ledger, Fault> {
        let mut settings = consumer_settings(config, 0);
        settings.remove("group.instance.id");
        let consumer = settings
            .create()
            .map_err(|error| Fault::of(Call::Open, &error))?;
        Ok(Ledger {
            consumer,
            group: config.source.group_id.clone(),
        })
    }

    /// Reads how far the replay has come in `partitions`; those that are not part of it are left out.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where the coordinator does not answer, or the group holds offsets that are no replay's.
    pub fn read(&self, partitions: &[Range]) -> Result<Vec<Entry>, Fault> {
        let wanted = list(
            partitions
                .iter()
                .map(|range| (range, Offset::Invalid, String::new())),
        )?;
        let found = committed(&self.consumer, &self.group, &wanted)?;
        let mut entries = Vec::new();
        for element in found.elements() {
            element.error().map_err(|error| self.fatal(&error))?;
            let Offset::Offset(next) = element.offset() else {
                continue;
            };
            let note: Note = element.metadata().parse().map_err(|()| {
                Fault::Fatal(format!(
                    "group {} holds offsets that are no replay's; take another name",
                    self.group
                ))
            })?;
            let (topic, partition) = (element.topic().to_owned(), element.partition());
            let range = Range {
                topic,
                partition,
                from: note.from,
                to: note.to,
            };
            entries.push(Entry {
                range,
                next,
                fingerprint: note.fingerprint,
            });
        }
        Ok(entries)
    }

    /// Writes down where the replay begins and ends, before anybody takes part. Returns whether it did: another process may
    /// have been faster, and is at it or has even done it. `partitions` are all that a replay of the name may have.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where the group does not take it.
    pub fn begin(
        &self,
        partitions: &[Range],
        ranges: &[Range],
        fingerprint: u64,
    ) -> Result<bool, Fault> {
        // What was counted and agreed to took its time.
        if !self.read(partitions)?.is_empty() {
            return Ok(false);
        }
        self.write(ranges.iter().map(|range| (range, range.from, fingerprint)))
    }

    /// Writes down that `entries` are done. Returns whether it did: whoever is still at it does so in the end.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where the group does not take it.
    pub fn finish(&self, entries: &[Entry]) -> Result<bool, Fault> {
        self.write(
            entries
                .iter()
                .map(|entry| (&entry.range, entry.range.to, entry.fingerprint)),
        )
    }

    fn write<'a>(
        &self,
        entries: impl Iterator<Item = (&'a Range, i64, u64)>,
    ) -> Result<bool, Fault> {
        let offsets = list(entries.map(|(range, next, fingerprint)| {
            let note = Note {
                from: range.from,
                to: range.to,
                fingerprint,
            };
            (range, Offset::Offset(next), note.to_string())
        }))?;
        match native::commit(self.consumer.client(), &offsets, COMMIT_TIMEOUT) {
            Ok(()) => Ok(true),
            // Only a group without members takes offsets of one who is none.
            Err(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::IllegalGeneration) => {
                Ok(false)
            }
            Err(code) => Err(self.fatal(&KafkaError::ConsumerCommit(code))),
        }
    }

    fn fatal(&self, error: &KafkaError) -> Fault {
        Fault::Fatal(format!("group {}: {error}", self.group))
    }
}

/// Asks the coordinator what `group`, that of the consumer, has committed for the partitions of `wanted`.
///
/// # Errors
/// [`Fault::Fatal`] where it does not answer.
pub(super) fn committed(
    consumer: &BaseConsumer,
    group: &str,
    wanted: &TopicPartitionList,
) -> Result<TopicPartitionList, Fault> {
    // A coordinator that is only just found answers the second time.
    let mut attempts = 0;
    loop {
        match consumer.committed_offsets(wanted.clone(), REQUEST_TIMEOUT) {
            Ok(found) => return Ok(found),
            Err(error) if attempts == 5 => {
                return Err(Fault::Fatal(format!("group {group}: {error}")));
            }
            Err(_) => {
                // Where the right is missing, the coordinator is never found.
                let complaint = complaint::most_telling(&native::complaints(consumer.client()));
                if let Some(complaint) =
                    complaint.filter(|complaint| complaint.contains("authorization failed"))
                {
                    return Err(Fault::Fatal(format!("group {group}: {complaint}")));
                }
                attempts += 1;
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

fn list<'a>(
    partitions: impl Iterator<Item = (&'a Range, Offset, String)>,
) -> Result<TopicPartitionList, Fault> {
    let mut list = TopicPartitionList::new();
    for (range, offset, note) in partitions {
        let fatal = |error: KafkaError| Fault::of(Call::Position, &error);
        list.add_partition_offset(&range.topic, range.partition, offset)
            .map_err(fatal)?;
        if let (Some(mut element), false) = (
            list.find_partition(&range.topic, range.partition),
            note.is_empty(),
        ) {
            element.set_metadata(note);
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_nothing_else_is_one() {
        let note = Note {
            from: 7,
            to: 1_000_000_000_000,
            fingerprint: 0xAB,
        };
        assert_eq!(
            note.to_string(),
            "groupcast-replay-1 7 1000000000000 00000000000000ab"
        );
        assert_eq!(note.to_string().parse(), Ok(note));
        for text in [
            "",
            "groupcast-replay-1 7 8",
            "groupcast-replay-2 7 8 ab",
            "groupcast-replay-1 7 8 xy",
            "7 8",
        ] {
            assert_eq!(text.parse::<Note>(), Err(()), "{text}");
        }
    }
}
