//! A part of a topic read once more by the service's own loop: found, counted, agreed to, sent, followed to its end.

mod count;
mod latest;
mod place;
mod said;
mod shelf;
mod watch;

use std::hash::Hasher;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use clap::Args;
use fnv::FnvHasher;

use self::count::Counts;
use self::place::Place;
pub(super) use self::said::{Moment, before_now, limit, name, rate};
use super::report::{Failure, say};
use super::run;
use super::terminal::Disarmed;
use crate::config::Config;
use crate::kafka::fault::Fault;
use crate::kafka::ledger::{Entry, Ledger};
use crate::kafka::lookup::Lookup;
use crate::kafka::range::{Lost, Range};
use crate::kafka::source::bound::{Meter, Rate, Reading};
use crate::kafka::topics::Topics;
use crate::router::{Router, Routing};
use crate::selection::{Groups, Replay};
use crate::service::Service;

/// How carefully it is done.
#[derive(Debug, Args)]
pub(super) struct Care {
    /// Also what adds rather than sets, such as a charge: sent twice, it counts twice
    #[arg(long)]
    pub(super) repeat_additions: bool,
    /// At most so many a second, or bytes: 500, 2MB
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<Rate>,
    /// Count what would leave, show some of it, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; without a terminal to ask at it does not start otherwise
    #[arg(long, short)]
    yes: bool,
}

/// What is to be sent once more.
pub(super) struct Job<'a> {
    /// `replay` or `redrive`: what it is called, and a part of its group's name.
    pub(super) kind: &'static str,
    pub(super) from: &'a [Moment],
    pub(super) to: &'a [Moment],
    /// All topics that a job of this name may have, those that are read among them.
    pub(super) known_topics: Vec<String>,
    pub(super) skips_superseded: bool,
    /// Whether each group's latest state is sent instead of its history.
    pub(super) is_latest: bool,
    pub(super) care: &'a Care,
    /// Stands for all that decides what is sent; see [`fingerprint`].
    pub(super) fingerprint: u64,
    pub(super) replay: Replay,
    /// The destinations, and everything else that decides on events.
    pub(super) routing: Routing,
}

/// Returns a number that stands for a text, the same in every version.
pub(super) fn fingerprint(text: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Returns the names in an order that does not depend on how they were given.
pub(super) fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

impl Job<'_> {
    /// Does the job on the topics of `config`, whose group's name becomes a part of the job's own.
    pub(super) fn run(self, mut config: Config) -> Result<(), Failure> {
        config.source.group_id = format!(
            "{}.{}.{}",
            config.source.group_id, self.kind, self.replay.name
        );
        // A quota of its own can be given to it: quotas go by this name.
        config.kafka.client_id = Some(if self.kind == "redrive" {
            "groupcast-redrive"
        } else {
            "groupcast-replay"
        });
        // The page's address is the running service's.
        config.http = None;
        run::start_log(&said::quieter(&config.log))?;
        if self.is_latest {
            config = latest::at_least_once(config);
        }
        Plan {
            job: &self,
            config: &Arc::new(config),
        }
        .carry_out()
    }
}

struct Plan<'a> {
    job: &'a Job<'a>,
    config: &'a Arc<Config>,
}

impl Plan<'_> {
    fn carry_out(&self) -> Result<(), Failure> {
        let (lookup, ledger) = (
            Lookup::open(self.config).map_err(failure)?,
            Ledger::open(self.config).map_err(failure)?,
        );
        let partitions = lookup.partitions(&self.job.known_topics).map_err(failure)?;
        let begun = ledger.read(&partitions).map_err(failure)?;
        self.check_same(&begun)?;
        let ranges = if begun.is_empty() {
            self.find(&lookup)?
        } else {
            begun.iter().map(|entry| entry.range.clone()).collect()
        };
        let left: Vec<Range> = match begun.as_slice() {
            [] => ranges.clone(),
            begun => begun.iter().map(Entry::rest).collect(),
        };
        self.tell(&begun, &ranges);
        if left.iter().all(Range::is_empty) {
            return Ok(());
        }
        self.check_can_ask()?;
        let superseded = self.superseded(&lookup, &ranges)?;
        let place = Place {
            lookup,
            ledger,
            partitions,
            ranges,
        };
        if self.job.is_latest {
            return latest::run(self, &place, superseded);
        }
        if !self.is_agreed(&place.lookup, &left, &superseded)? {
            return Ok(());
        }
        self.begin(&place)?;
        self.send(&place, superseded)
    }

    /// Writes down what is to be done, unless that stands there already.
    fn begin(&self, place: &Place) -> Result<(), Failure> {
        let Place {
            ledger,
            partitions,
            ranges,
            ..
        } = place;
        if ledger
            .begin(partitions, ranges, self.job.fingerprint)
            .map_err(failure)?
        {
            return Ok(());
        }
        self.check_same(&ledger.read(partitions).map_err(failure)?)
    }

    /// Refuses a name that stands for something else.
    fn check_same(&self, begun: &[Entry]) -> Result<(), Failure> {
        if begun
            .iter()
            .all(|entry| entry.fingerprint == self.job.fingerprint)
        {
            return Ok(());
        }
        let (kind, name) = (self.job.kind, &self.job.replay.name);
        Err(Failure::Argument(format!(
            "{kind} {name} was begun with other arguments\n  hint: repeat them to go on with it, or take another name"
        )))
    }

    /// Finds what is to be read, and says what of it is lost.
    fn find(&self, lookup: &Lookup) -> Result<Vec<Range>, Failure> {
        let (from, to) = (limit("--from", self.job.from)?, limit("--to", self.job.to)?);
        let (ranges, lost) = lookup
            .ranges(&self.config.source.topics, &from, &to)
            .map_err(failure)?;
        lost.iter().for_each(say_lost);
        Ok(ranges)
    }

    fn tell(&self, begun: &[Entry], ranges: &[Range]) {
        let (name, topics) = (&self.job.replay.name, self.config.source.topics.join(", "));
        let total: i64 = ranges.iter().map(Range::len).sum();
        let left: i64 = begun.iter().map(Entry::left).sum();
        let (n_filled, n_partitions) = (
            ranges.iter().filter(|range| !range.is_empty()).count(),
            ranges.len(),
        );
        say(format_args!(
            "{} {name}: {total} offsets in {n_filled} of {n_partitions} partitions of {topics}",
            self.job.kind
        ));
        match (begun, left) {
            ([], _) if total == 0 => say("there is no record in that range"),
            ([], _) => {}
            (_, 0) => say("it is done already; nothing is left to send"),
            (_, left) => say(format_args!("it was begun before; {left} offsets are left")),
        }
    }

    /// Returns the groups that have newer events, where that is asked for or will be told.
    fn superseded(&self, lookup: &Lookup, ranges: &[Range]) -> Result<Groups, Failure> {
        let mut groups = Groups::default();
        // A dead letter says nothing of the source behind it.
        if !self.is_redrive() && (self.job.skips_superseded || self.counts_first()) {
            let router = self.router(Groups::default())?;
            for range in lookup
                .behind(ranges)
                .map_err(failure)?
                .iter()
                .filter(|range| !range.is_empty())
            {
                lookup
                    .read_range(range, |message| {
                        count::add_group(&router, &message, &mut groups)
                    })
                    .map_err(failure)?;
            }
        }
        Ok(groups)
    }

    fn is_redrive(&self) -> bool {
        self.job.replay.letters.is_some()
    }

    fn counts_first(&self) -> bool {
        self.job.care.dry_run || !self.job.care.yes
    }

    /// Counts what would leave where nobody has said yes to it, and asks.
    fn is_agreed(&self, lookup: &Lookup, left: &[Range], newer: &Groups) -> Result<bool, Failure> {
        if !self.counts_first() {
            return Ok(true);
        }
        let superseded = if self.job.skips_superseded {
            newer.clone()
        } else {
            Groups::default()
        };
        let shown = Router::new(self.routing(superseded.clone()).redacted())?;
        let router = self.router(superseded)?;
        // What is too large for its topic becomes a dead letter, here as there.
        let topics = Topics::check(self.config, router.topics()).map_err(failure)?;
        let mut counts = Counts::new(&router, &shown, &topics, newer);
        watch::count(lookup, left, self.is_redrive(), &mut counts).map_err(failure)?;
        self.ask(&counts)
    }

    fn check_can_ask(&self) -> Result<(), Failure> {
        let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
        if can_ask || self.job.care.dry_run || self.job.care.yes {
            return Ok(());
        }
        Err(Failure::Argument(
            "there is no terminal to ask at\n  hint: --dry-run counts what would leave, --yes sends it".to_owned(),
        ))
    }

    /// Shows what would leave, and asks whether to send it.
    fn ask(&self, counts: &Counts<'_>) -> Result<bool, Failure> {
        counts.write(&mut Disarmed(anstream::stdout().lock()))?;
        if self.job.care.dry_run {
            return Ok(false);
        }
        write!(anstream::stderr(), "\nSend it? [y/N] ")?;
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        let is_agreed = matches!(answer.trim(), "y" | "Y" | "yes");
        if !is_agreed {
            say("nothing is sent");
        }
        Ok(is_agreed)
    }

    fn router(&self, superseded: Groups) -> Result<Router, Failure> {
        Ok(Router::new(self.routing(superseded))?)
    }

    fn routing(&self, superseded: Groups) -> Routing {
        let mut replay = self.job.replay.clone();
        replay.selection.superseded = superseded;
        Routing {
            replay: Some(replay),
            ..self.job.routing.clone()
        }
    }

    fn send(&self, place: &Place, superseded: Groups) -> Result<(), Failure> {
        let router = self.router(if self.job.skips_superseded {
            superseded
        } else {
            Groups::default()
        })?;
        let topics = Topics::check(self.config, router.topics()).map_err(failure)?;
        let meter = Meter::new(self.job.care.rate);
        let reading = if self.is_redrive() {
            Reading::Redrive(meter)
        } else {
            Reading::Replay(meter)
        };
        let service =
            Service::start(Arc::clone(self.config), router, topics, reading).map_err(failure)?;
        service.stop_on_signals().map_err(failure)?;
        // Where the configuration is broken by then, it ends and says so; the same command goes on with what is left.
        service.start_over_when_stuck(|| Ok(()));
        let seen = watch::follow(
            &service,
            || place.ledger.read(&place.partitions),
            |entries| place.is_drained(entries),
        );
        service.stop();
        let ended = service.wait();
        if ended.is_ok() && seen.is_ok() {
            place.finish_drained().map_err(failure)?;
        }
        let left: i64 = place
            .ledger
            .read(&place.partitions)
            .map_err(failure)?
            .iter()
            .map(Entry::left)
            .sum();
        let (kind, name) = (self.job.kind, &self.job.replay.name);
        if left > 0 {
            let why = ended
                .err()
                .or(seen.err())
                .map_or_else(String::new, |fault| format!(": {fault}"));
            say(format_args!(
                "{kind} {name} stopped{why}; {left} offsets are left, and the same command goes on with them"
            ));
            return Err(Failure::Said(1));
        }
        say(format_args!("{kind} {name} is done"));
        Ok(())
    }
}

fn say_lost(lost: &Lost) {
    let Lost {
        topic,
        partition,
        oldest,
        offsets,
    } = lost;
    match offsets {
        Some(count) => say(format_args!(
            "warning: {topic}/{partition}: {count} offsets of the range are gone to retention; it begins at {oldest}"
        )),
        None => say(format_args!(
            "warning: {topic}/{partition}: older records than {oldest} are gone to retention, perhaps some of the range"
        )),
    }
}

fn failure(fault: Fault) -> Failure {
    run::failure(fault)
}
