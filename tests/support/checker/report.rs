//! The counts of a run (semantics E11), and how often it repeated itself.

use std::collections::BTreeMap;
use std::fmt;

use super::super::generator::{DESTINATIONS, Expected, Outcome};
use super::{Found, N_SLOTS, topic_of};

/// What is due in a topic, and what is there: each record counts, not each event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) due: u64,
    /// Of what is due, what is there, once or more.
    pub(crate) found: u64,
    /// What is there beyond the first of each.
    pub(crate) repeated: u64,
}

/// What a run made of its source, counted once for each event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// By verdict and reason.
    pub(crate) verdicts: BTreeMap<(&'static str, &'static str), u64>,
    /// By destination, outcome and reason.
    pub(crate) outcomes: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    /// Records of operations, by destination.
    pub(crate) operations: BTreeMap<&'static str, u64>,
    /// Source records of which something that was due is not there.
    pub(crate) lost: u64,
    /// Source records of which something left more than once, and how often in all.
    pub(crate) repeated: u64,
    pub(crate) repetitions: u64,
    /// By topic, without its prefix: of the source records that are still there.
    pub(crate) topics: BTreeMap<&'static str, Tally>,
}

impl Report {
    pub(super) fn count_records(&mut self, due: &[bool; N_SLOTS], found: &Found) {
        for (slot, (is_due, found)) in due.iter().zip(found).enumerate() {
            let tally = self.topics.entry(topic_of(slot)).or_default();
            if *is_due {
                tally.due += 1;
                tally.found += u64::from(*found > 0);
                tally.repeated += u64::from(found.saturating_sub(1));
            }
        }
    }

    pub(super) fn count(&mut self, expected: &Expected, found: &Found) {
        let most = u64::from(found.iter().copied().max().unwrap_or(0));
        self.repeated += u64::from(most > 1);
        self.repetitions += most.saturating_sub(1);
        let verdict = match expected {
            Expected::Ignored(reason) => ("ignored", *reason),
            Expected::DeadLettered(reason) => ("dead_lettered", *reason),
            Expected::Routed(_) => ("routed", ""),
        };
        *self.verdicts.entry(verdict).or_default() += 1;
        let Expected::Routed(outcomes) = expected else {
            return;
        };
        for (destination, outcome) in DESTINATIONS.into_iter().zip(outcomes) {
            let (word, reason, n_operations) = match outcome {
                Outcome::Emitted(operations) => ("emitted", "", operations.len()),
                Outcome::Skipped(reason) => ("skipped", *reason, 0),
                Outcome::DeadLettered(reason) => ("dead_lettered", *reason, 0),
            };
            *self
                .outcomes
                .entry((destination, word, reason))
                .or_default() += 1;
            *self.operations.entry(destination).or_default() +=
                u64::try_from(n_operations).expect("operations are few");
        }
    }

    /// Returns the reasons that dead letters have.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = &'static str> {
        let whole = self
            .verdicts
            .keys()
            .filter(|(verdict, _)| *verdict == "dead_lettered")
            .map(|(_, reason)| *reason);
        let shares = self
            .outcomes
            .keys()
            .filter(|(_, outcome, _)| *outcome == "dead_lettered")
            .map(|(_, _, reason)| *reason);
        whole.chain(shares)
    }

    /// Returns what workers must have counted, where each event was done once: series and value, without zeros.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let verdicts = self.verdicts.iter().map(|((verdict, reason), value)| {
            (
                format!("groupcast_verdicts_total{{verdict=\"{verdict}\",reason=\"{reason}\"}}"),
                *value,
            )
        });
        let outcomes = self
            .outcomes
            .iter()
            .map(|((destination, outcome, reason), value)| {
                let labels = format!(
                    "destination=\"{destination}\",outcome=\"{outcome}\",reason=\"{reason}\""
                );
                (format!("groupcast_outcomes_total{{{labels}}}"), *value)
            });
        let operations = self.operations.iter().map(|(destination, value)| {
            (
                format!("groupcast_operations_emitted_total{{destination=\"{destination}\"}}"),
                *value,
            )
        });
        verdicts
            .chain(outcomes)
            .chain(operations)
            .filter(|(_, value)| *value > 0)
            .collect()
    }

    /// Returns how many events there are.
    pub(crate) fn n_events(&self) -> u64 {
        self.verdicts.values().sum()
    }

    /// Returns how many records of operations and dead letters left, each counted once.
    pub(crate) fn n_emitted(&self) -> u64 {
        let dead = self
            .verdicts
            .iter()
            .filter(|((verdict, _), _)| *verdict == "dead_lettered")
            .map(|(_, count)| count);
        let dead_shares = self
            .outcomes
            .iter()
            .filter(|((_, outcome, _), _)| *outcome == "dead_lettered")
            .map(|(_, count)| count);
        self.operations
            .values()
            .chain(dead)
            .chain(dead_shares)
            .sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((verdict, reason), count) in &self.verdicts {
            writeln!(formatter, "{count:>9}  {verdict:<14} {reason}")?;
        }
        for ((destination, outcome, reason), count) in &self.outcomes {
            writeln!(
                formatter,
                "{count:>9}  {destination:<14} {outcome} {reason}"
            )?;
        }
        for (destination, count) in &self.operations {
            writeln!(
                formatter,
                "{count:>9}  {destination:<14} records of operations"
            )?;
        }
        writeln!(
            formatter,
            "{:>9}  events, {} emitted, {} repeated",
            self.n_events(),
            self.n_emitted(),
            self.repetitions
        )
    }
}
