//! `groupcast replay`: a part of the source topics once more, for some destinations and some events.

mod count;
mod said;
mod watch;

use std::hash::Hasher;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use clap::Args;
use fnv::FnvHasher;

use self::count::Counts;
use self::said::{Moment, limit};
use super::report::{Failure, say};
use super::{ConfigArguments, check_names, run};
use crate::config::Config;
use crate::kafka::fault::Fault;
use crate::kafka::ledger::{Entry, Ledger};
use crate::kafka::lookup::Lookup;
use crate::kafka::range::{Lost, Range};
use crate::kafka::source::bound::{Rate, Reading};
use crate::kafka::topics::Topics;
use crate::router::{Router, Routing};
use crate::selection::{Groups, Replay, Selection, Wanted};
use crate::service::{Service, set_limits};

/// Sends a part of the source topics once more, to all destinations or some of them
///
/// The configuration and the definitions are those of today. What leaves has the same id as the first time and the attribute
/// `replay` with the replay's name, so that a sender can tell the two apart. The group that runs is not touched: a replay has
/// a group of its own, GROUP.replay.NAME, which is also where Kafka keeps how far it has come. Start it again with the same
/// name and it goes on; start it in several places and they share the partitions; when it is done, it says so.
///
/// A backfill can put last week's values over today's: --dry-run counts the groups that have newer events, and
/// --skip-superseded leaves them out.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Where it begins: a time (2026-11-01T00:00:00Z), how long ago (2h, 3d), topic/partition/offset, or beginning
    ///
    /// A time is taken as Kafka takes it: the first record at or after it. With offsets, only the partitions named are read;
    /// repeat it for several.
    #[arg(long, value_name = "LIMIT", required = true, value_parser = Moment::parse)]
    from: Vec<Moment>,
    /// Where it ends, without what is there: as --from, or now, which is when it first starts
    #[arg(long, value_name = "LIMIT", default_value = "now", value_parser = Moment::parse)]
    to: Vec<Moment>,
    /// The replay's name: letters, digits, `.`, `_` and `-`
    #[arg(long, value_name = "NAME", value_parser = said::name)]
    name: String,
    /// Only these source topics
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// Only these destinations
    #[arg(long, value_name = "NAME")]
    destination: Vec<String>,
    /// Only events of these groups
    #[arg(long, value_name = "ID")]
    group_id: Vec<String>,
    /// Only events of these users
    #[arg(long, value_name = "ID")]
    user_id: Vec<String>,
    /// Only events with this value: traits.plan=enterprise, traits.address.city=Austin, context.library.name=js
    #[arg(long = "where", value_name = "PLACE=VALUE", value_parser = Wanted::parse)]
    wanted: Vec<Wanted>,
    /// Leave out events of groups that have a newer event behind the range
    #[arg(long)]
    skip_superseded: bool,
    /// Also what adds rather than sets, such as a charge: sent twice, it counts twice
    #[arg(long)]
    repeat_additions: bool,
    /// At most so many events a second, or bytes: 500, 2MB
    #[arg(long, value_name = "RATE", value_parser = said::rate)]
    rate: Option<Rate>,
    /// Count what would leave, show some of it, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask; without a terminal to ask at it does not start otherwise
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut config = arguments.config.load()?;
    check_names("destination", &arguments.destination, config.destinations.iter().map(|instance| instance.name.as_str()))?;
    check_names("source topic", &arguments.topic, config.source.topics.iter().map(String::as_str))?;
    if !arguments.topic.is_empty() {
        config.source.topics.retain(|topic| arguments.topic.contains(topic));
    }
    config.source.group_id = format!("{}.replay.{}", config.source.group_id, arguments.name);
    // The page's address is the running service's.
    config.http = None;
    run::start_log(&said::quieter(&config.log))?;
    Plan { arguments, config: &Arc::new(config) }.carry_out()
}

/// A replay, asked for.
struct Plan<'a> {
    arguments: &'a Arguments,
    config: &'a Arc<Config>,
}

impl Plan<'_> {
    fn carry_out(&self) -> Result<(), Failure> {
        let (lookup, ledger) = (Lookup::open(self.config).map_err(failure)?, Ledger::open(self.config).map_err(failure)?);
        let partitions = lookup.partitions(&self.config.source.topics).map_err(failure)?;
        let begun = ledger.read(&partitions).map_err(failure)?;
        self.check_same(&begun)?;
        let ranges =
            if begun.is_empty() { self.find(&lookup)? } else { begun.iter().map(|entry| entry.range.clone()).collect() };
        let left: Vec<Range> = match begun.as_slice() {
            [] => ranges.clone(),
            begun => begun.iter().map(|entry| Range { from: entry.next, ..entry.range.clone() }).collect(),
        };
        self.tell(&begun, &ranges);
        if left.iter().all(Range::is_empty) {
            return Ok(());
        }
        let superseded = self.superseded(&lookup, &ranges)?;
        if !self.is_agreed(&lookup, &left, &superseded)? {
            return Ok(());
        }
        if begun.is_empty() && !ledger.begin(&ranges, self.fingerprint()).map_err(failure)? {
            let others = ledger.read(&partitions).map_err(failure)?;
            self.check_same(&others)?;
        }
        self.send(&ledger, &partitions, superseded)
    }

    /// Refuses a name that stands for something else.
    fn check_same(&self, begun: &[Entry]) -> Result<(), Failure> {
        if begun.iter().all(|entry| entry.fingerprint == self.fingerprint()) {
            return Ok(());
        }
        let name = &self.arguments.name;
        Err(Failure::Argument(format!(
            "replay {name} was begun with other arguments\n  hint: repeat them to go on with it, or take another name"
        )))
    }

    /// Stands for all that decides what the replay sends.
    fn fingerprint(&self) -> u64 {
        let Arguments { from, to, destination, group_id, user_id, wanted, skip_superseded, repeat_additions, .. } =
            self.arguments;
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names
        };
        let asked = (sorted(&self.config.source.topics), sorted(destination), sorted(group_id), sorted(user_id));
        let mut hasher = FnvHasher::default();
        hasher.write(format!("{from:?} {to:?} {asked:?} {wanted:?} {skip_superseded} {repeat_additions}").as_bytes());
        hasher.finish()
    }

    /// Finds what is to be read, and says what of it is lost.
    fn find(&self, lookup: &Lookup) -> Result<Vec<Range>, Failure> {
        let (from, to) = (limit("--from", &self.arguments.from)?, limit("--to", &self.arguments.to)?);
        let (ranges, lost) = lookup.ranges(&self.config.source.topics, &from, &to).map_err(failure)?;
        lost.iter().for_each(say_lost);
        Ok(ranges)
    }

    fn tell(&self, begun: &[Entry], ranges: &[Range]) {
        let (name, topics) = (&self.arguments.name, self.config.source.topics.join(", "));
        let total: i64 = ranges.iter().map(Range::len).sum();
        let left: i64 = begun.iter().map(Entry::left).sum();
        let (n_filled, n_partitions) = (ranges.iter().filter(|range| !range.is_empty()).count(), ranges.len());
        say(format_args!("replay {name}: {total} offsets in {n_filled} of {n_partitions} partitions of {topics}"));
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
        if self.arguments.skip_superseded || self.counts_first() {
            let router = self.router(Groups::default())?;
            for range in lookup.behind(ranges).map_err(failure)?.iter().filter(|range| !range.is_empty()) {
                lookup.read_range(range, |message| count::add_group(&router, &message, &mut groups)).map_err(failure)?;
            }
        }
        Ok(groups)
    }

    fn counts_first(&self) -> bool {
        self.arguments.dry_run || !self.arguments.yes
    }

    /// Counts what would leave where nobody has said yes to it, and asks.
    fn is_agreed(&self, lookup: &Lookup, left: &[Range], newer: &Groups) -> Result<bool, Failure> {
        let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
        if !self.counts_first() {
            return Ok(true);
        }
        if !self.arguments.dry_run && !can_ask {
            return Err(Failure::Argument(
                "there is no terminal to ask at\n  hint: --dry-run counts what would leave, --yes sends it".to_owned(),
            ));
        }
        let router = self.router(if self.arguments.skip_superseded { newer.clone() } else { Groups::default() })?;
        // What is too large for its topic becomes a dead letter, here as there.
        set_limits(&router, &Topics::check(self.config, router.topics()).map_err(failure)?);
        let mut counts = Counts::new(&router, newer);
        watch::count(lookup, left, &mut counts).map_err(failure)?;
        counts.write(&mut anstream::stdout().lock())?;
        if self.arguments.dry_run {
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
        let Arguments { name, destination, group_id, user_id, wanted, repeat_additions, .. } = self.arguments;
        let mut routing: Routing = self.config.routing();
        if !destination.is_empty() {
            routing.destinations.retain(|instance| destination.contains(&instance.name));
        }
        let (group_ids, user_ids, wanted) = (group_id.clone(), user_id.clone(), wanted.clone());
        let selection = Selection { group_ids, user_ids, wanted, superseded };
        routing.replay = Some(Replay { name: name.clone(), selection, repeats_additions: *repeat_additions });
        Ok(Router::new(routing)?)
    }

    fn send(&self, ledger: &Ledger, partitions: &[Range], superseded: Groups) -> Result<(), Failure> {
        let router = self.router(if self.arguments.skip_superseded { superseded } else { Groups::default() })?;
        let topics = Topics::check(self.config, router.topics()).map_err(failure)?;
        let reading = Reading::Replay(self.arguments.rate);
        let service = Service::start(Arc::clone(self.config), router, topics, reading).map_err(failure)?;
        service.stop_on_signals().map_err(failure)?;
        service.start_over_when_stuck();
        let seen = watch::follow(&service, || ledger.read(partitions));
        service.stop();
        let ended = service.wait();
        let left: i64 = ledger.read(partitions).map_err(failure)?.iter().map(Entry::left).sum();
        let name = &self.arguments.name;
        if left > 0 {
            let why = ended.err().or(seen.err()).map_or_else(String::new, |fault| format!(": {fault}"));
            say(format_args!("replay {name} stopped{why}; {left} offsets are left, and the same command goes on with them"));
            return Err(Failure::Said(1));
        }
        say(format_args!("replay {name} is done"));
        Ok(())
    }
}

fn say_lost(lost: &Lost) {
    let Lost { topic, partition, oldest, offsets } = lost;
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
