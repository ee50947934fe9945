//! What all rounds came to: medians, and ratios of what ran in one round.

use std::fmt;

use crate::contestant::{CONTESTANTS, Contestant, Kind};
use crate::latency::Latency;
use crate::rate::Rate;

/// A round counts as clean where anything else used less than this of the machine, in cores.
pub(crate) const CLEAN: f64 = 0.25;

/// Everything that was measured.
pub(crate) struct Results {
    /// What was to be done.
    pub(crate) job: String,
    pub(crate) rounds: Vec<Round>,
    pub(crate) latencies: Vec<(&'static str, Latency)>,
}

/// One run of each contestant.
pub(crate) struct Round {
    rates: Vec<Rate>,
}

impl Round {
    pub(crate) fn new(rates: Vec<Rate>) -> Round {
        Round { rates }
    }

    fn is_clean(&self) -> bool {
        self.rates.iter().all(|rate| rate.span.other_cores < CLEAN)
    }

    fn of(&self, kind: Kind, guarantee: &str) -> Option<&Rate> {
        let is_meant =
            |rate: &&Rate| rate.contestant.kind == kind && rate.contestant.guarantee == guarantee;
        self.rates.iter().find(is_meant)
    }
}

/// Returns the middle, least and greatest of some figures; absent where there is none.
pub(crate) fn middle(figures: impl Iterator<Item = f64>) -> Option<[f64; 3]> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    Some([
        *figures.get(figures.len() / 2)?,
        *figures.first()?,
        *figures.last()?,
    ])
}

/// Returns how many rounds are clean.
pub(crate) fn n_clean(rounds: &[Round]) -> usize {
    rounds.iter().filter(|round| round.is_clean()).count()
}

impl Results {
    /// The clean rounds; all of them where none is.
    fn counted(&self) -> impl Iterator<Item = &Round> + Clone {
        let is_any = n_clean(&self.rounds) > 0;
        self.rounds
            .iter()
            .filter(move |round| !is_any || round.is_clean())
    }

    /// Returns the middle, least and greatest of a figure over the rounds that count.
    fn over<F: Fn(&Round) -> Option<f64>>(&self, figure: F) -> Option<[f64; 3]> {
        middle(self.counted().filter_map(figure))
    }

    fn figure(&self, contestant: &Contestant, figure: impl Fn(&Rate) -> f64) -> Option<f64> {
        let over =
            self.over(|round| Some(figure(round.of(contestant.kind, contestant.guarantee)?)));
        over.map(|[middle, ..]| middle)
    }

    /// Returns what a contestant's figure is of another's in the same round.
    fn ratio(
        &self,
        one: (Kind, &str),
        other: (Kind, &str),
        figure: impl Fn(&Rate) -> f64,
    ) -> Option<[f64; 3]> {
        self.over(|round| {
            Some(figure(round.of(one.0, one.1)?) / figure(round.of(other.0, other.1)?))
        })
    }

    /// Says how much the figures are worth.
    fn verdict(&self) -> String {
        let (n_clean, n_rounds) = (n_clean(&self.rounds), self.rounds.len());
        let most = self
            .rounds
            .iter()
            .flat_map(|round| &round.rates)
            .map(|rate| rate.span.other_cores)
            .fold(0.0, f64::max);
        let latency = self
            .latencies
            .iter()
            .map(|(_, latency)| latency.other_cores)
            .fold(0.0, f64::max);
        let rounds = match n_clean {
            0 => format!(
                "NOT CLEAN: none of {n_rounds} rounds was, and all are counted; compare no rates"
            ),
            1 | 2 => format!("FEW: {n_clean} of {n_rounds} rounds were clean, and are counted"),
            _ => format!("{n_clean} of {n_rounds} rounds were clean, and are counted"),
        };
        format!(
            "{rounds}. Clean means that others used less than {CLEAN} cores; at most it was {most:.2}, and {latency:.2} while \
             latencies were taken."
        )
    }
}

const HEAD: &str = "| contestant | events/s | records/s | client CPU-s/M events | broker CPU-s/M events | peak MiB | p50 ms | p99 ms |\n\
                    |---|--:|--:|--:|--:|--:|--:|--:|";

impl fmt::Display for Results {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}\n\n{}\n\n{HEAD}", self.job, self.verdict())?;
        for contestant in &CONTESTANTS {
            if let Some(cells) = self.row(contestant) {
                writeln!(formatter, "| {} | {} |", contestant.name, cells.join(" | "))?;
            }
        }
        writeln!(
            formatter,
            "\n| ratio | middle | least | greatest |\n|---|--:|--:|--:|"
        )?;
        for (name, ratio) in self.ratios() {
            let [middle, least, greatest] = ratio.map(|ratio| format!("{ratio:.2}"));
            writeln!(formatter, "| {name} | {middle} | {least} | {greatest} |")?;
        }
        Ok(())
    }
}

impl Results {
    fn row(&self, contestant: &Contestant) -> Option<Vec<String>> {
        let latency = self
            .latencies
            .iter()
            .find(|(name, _)| *name == contestant.name)
            .map(|(_, latency)| latency);
        let percentile = |percent| {
            latency.map_or("-".to_owned(), |latency| {
                format!("{:.0}", latency.percentile(percent))
            })
        };
        Some(vec![
            format!("{:.0}", self.figure(contestant, Rate::events_a_second)?),
            format!("{:.0}", self.figure(contestant, Rate::records_a_second)?),
            format!("{:.2}", self.figure(contestant, Rate::client_cost)?),
            format!("{:.2}", self.figure(contestant, Rate::broker_cost)?),
            format!(
                "{:.0}",
                self.figure(contestant, |rate| crate::meter::float(rate.memory))?
            ),
            percentile(50),
            percentile(99),
        ])
    }

    /// Of what ran in the same round.
    fn ratios(&self) -> Vec<(&'static str, [f64; 3])> {
        const ALO: &str = "at_least_once";
        const EOS: &str = "exactly_once";
        const LIMIT: (Kind, &str) = (Kind::Limit, ALO);
        const OURS: (Kind, &str) = (Kind::Groupcast, ALO);
        const OURS_EOS: (Kind, &str) = (Kind::Groupcast, EOS);
        let rate = |one, other| self.ratio(one, other, Rate::events_a_second);
        let cost = |one, other| self.ratio(one, other, Rate::client_cost);
        let all = [
            ("groupcast's rate of the limit's", rate(OURS, LIMIT)),
            ("groupcast's CPU of the limit's", cost(OURS, LIMIT)),
            (
                "groupcast's rate of Streams'",
                rate(OURS, (Kind::Streams, ALO)),
            ),
            (
                "Streams' CPU of groupcast's",
                cost((Kind::Streams, ALO), OURS),
            ),
            (
                "groupcast's rate of Streams', both exactly once",
                rate(OURS_EOS, (Kind::Streams, EOS)),
            ),
            (
                "Streams' CPU of groupcast's, both exactly once",
                cost((Kind::Streams, EOS), OURS_EOS),
            ),
            (
                "groupcast's rate exactly once of that at least once",
                rate(OURS_EOS, OURS),
            ),
        ];
        all.into_iter()
            .filter_map(|(name, ratio)| Some((name, ratio?)))
            .collect()
    }
}
