//! Where a batch ends that cannot be decoded.
//!
//! librdkafka does not hand out the batch's last offset. But an offset lies in the batch as long as a fetch there fails at the
//! batch's first offset, so that fetches find the end: some twenty for a batch of a thousand records.

use std::time::Instant;

/// The search for a batch's end, in doubling steps at first.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// An offset in the batch.
    inside: i64,
    /// An offset behind it.
    beyond: i64,
    step: i64,
    /// When the probe was last fetched; absent where it could not be yet.
    pub(super) asked_at: Option<Instant>,
}

impl Search {
    /// Returns the search between an offset in the batch and the partition's end.
    pub(super) fn new(inside: i64, end: i64) -> Search {
        Search {
            inside,
            beyond: end.max(inside + 1),
            step: 1,
            asked_at: None,
        }
    }

    /// Returns where the next fetch is tried.
    pub(super) fn probe(&self) -> i64 {
        self.inside
            .saturating_add(self.step)
            .min(self.inside + (self.beyond - self.inside) / 2)
            .max(self.inside + 1)
    }

    /// Takes note of whether the probe lies in the batch.
    pub(super) fn learn(&mut self, is_inside: bool) {
        let probe = self.probe();
        if is_inside {
            (self.inside, self.step) = (probe, self.step.saturating_mul(2));
        } else {
            self.beyond = probe;
        }
    }

    /// Returns the first offset behind the batch, once it is known.
    pub(super) fn end(&self) -> Option<i64> {
        (self.beyond - self.inside <= 1).then_some(self.beyond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches for the end of a batch in a partition, and returns it with the number of fetches.
    fn find(inside: i64, batch_end: i64, partition_end: i64) -> (i64, u32) {
        let (mut search, mut probes) = (Search::new(inside, partition_end), 0);
        loop {
            if let Some(end) = search.end() {
                return (end, probes);
            }
            let probe = search.probe();
            assert!(probe > inside && probe < partition_end, "{probe}");
            search.learn(probe < batch_end);
            probes += 1;
        }
    }

    #[test]
    fn the_end_of_a_batch_is_found_in_few_fetches() {
        for (inside, batch_end, partition_end) in [
            (0, 1, 1),
            (0, 1, 2),
            (0, 1, 1_000_000),
            (0, 600, 601),
            (0, 600, 600),
            (7, 600, 9_000_000_000),
            (599, 600, 4000),
        ] {
            let (end, probes) = find(inside, batch_end, partition_end);
            assert_eq!(end, batch_end, "{inside} {batch_end} {partition_end}");
            assert!(probes <= 20, "{probes} fetches");
        }
    }

    #[test]
    fn the_end_is_behind_the_batch_even_where_the_partition_shrinks() {
        assert_eq!(Search::new(5, 3).end(), Some(6));
    }
}
