//! Where a job is done: what it reads, how far it has come, and what is left of it.

use crate::cli::report::say;
use crate::kafka::fault::Fault;
use crate::kafka::ledger::{Entry, Ledger};
use crate::kafka::lookup::Lookup;
use crate::kafka::range::Range;

/// Where the job is done, and how far it has come.
pub(super) struct Place {
    pub(super) lookup: Lookup,
    pub(super) ledger: Ledger,
    /// All that a job of this name may have.
    pub(super) partitions: Vec<Range>,
    /// What it reads.
    pub(super) ranges: Vec<Range>,
}

impl Place {
    /// Returns whether what is left holds no record any more, so that no worker comes to its end.
    pub(super) fn is_drained(&self, entries: &[Entry]) -> Result<bool, Fault> {
        for entry in entries.iter().filter(|entry| entry.left() > 0) {
            if self.lookup.holds_record(&entry.rest())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes down as done, and says, what retention or compaction has taken since the ranges were found.
    pub(super) fn finish_drained(&self) -> Result<(), Fault> {
        let mut drained = Vec::new();
        for entry in self.ledger.read(&self.partitions)? {
            if entry.left() > 0 && !self.lookup.holds_record(&entry.rest())? {
                drained.push(entry);
            }
        }
        if drained.is_empty() || !self.ledger.finish(&drained)? {
            return Ok(());
        }
        for Entry {
            range:
                Range {
                    topic,
                    partition,
                    to,
                    ..
                },
            next,
            ..
        } in &drained
        {
            say(format_args!(
                "warning: {topic}/{partition}: nothing is left of offsets {next} to {}; retention or compaction took it",
                to - 1
            ));
        }
        Ok(())
    }
}
