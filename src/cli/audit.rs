//! `groupcast audit`: whether the outputs hold what a part of the source makes, id by id. It writes nothing and joins no group.

mod collect;
mod entry;
mod findings;
mod judge;
mod page;
mod slots;
mod sorter;

use std::collections::HashMap;
use std::hash::RandomState;
use std::io;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use rdkafka::message::{Message, OwnedMessage};

use self::collect::{Collector, Dues, Output};
use self::findings::{Counts, OfTopic};
use self::judge::{Judged, judge};
use self::slots::Slots;
use self::sorter::Sorter;
use super::ConfigArguments;
use super::backfill::{Moment, Progress, limit, quieter, say_lost};
use super::report::{Failure, say};
use super::run;
use crate::config::{Config, Profile};
use crate::envelope::Format;
use crate::kafka::fault::Fault;
use crate::kafka::lookup::Lookup;
use crate::kafka::range::{Limit, Lost, Range};
use crate::kafka::topics::Topics;
use crate::router::Router;

/// Holds the destinations' topics and the dead letters against what a part of the source makes, and says what is missing
///
/// Each event of the range is routed again, by the configuration given, and each record that is due is looked for by its id. It
/// says of each topic how many records are due, found, missing, repeated, out of order, different and not due. It writes nothing
/// to Kafka and joins no group. What the group has not committed yet is left out.
///
/// Exit code 1 where something is missing. The last line is fit for a ticket. Files for what does not fit into memory are made in
/// the folder for temporary files, 53 bytes for each record that is due and each that is found.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Where the range of the source begins: a time (2026-11-01T00:00:00Z), how long ago (26h, 3d), topic/partition/offset, or
    /// beginning
    ///
    /// A time is taken as Kafka takes it: the first record at or after it. With offsets, only the partitions named are read;
    /// repeat it for several.
    #[arg(long, value_name = "LIMIT", required = true, value_parser = Moment::parse)]
    from: Vec<Moment>,
    /// Where it ends, without what is there: as --from, or now
    #[arg(long, value_name = "LIMIT", default_value = "now", value_parser = Moment::parse)]
    to: Vec<Moment>,
    /// Also what the group has not committed: what is still on its way counts as missing
    #[arg(long)]
    uncommitted: bool,
    /// How many ids to name of each topic and each finding, at most
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    limit: usize,
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
    /// Write the counts to a file as well, in Prometheus' text format
    #[arg(long, value_name = "PATH")]
    metrics_file: Option<PathBuf>,
}

/// What was found, and of what.
struct Audit {
    /// The range as it was asked for, for people.
    range: String,
    /// What was read of the source.
    sources: Vec<Range>,
    /// How many offsets were left out as the group has not committed them.
    n_uncommitted: i64,
    n_records: u64,
    n_events: u64,
    /// The topics that hold something or should, in the configuration's order.
    topics: Vec<OfTopic>,
    total: Counts,
}

/// A record is produced after its source record. By how much the clocks of all who produce may be apart.
const CLOCK_SLACK_MS: i64 = 3_600_000;

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut config = arguments.config.load()?;
    if config.format == Format::Body {
        return Err(Failure::Argument(
            "records.format is body: such records carry no id, by which they could be told"
                .to_owned(),
        ));
    }
    // A quota of its own can be given to it: quotas go by this name.
    config.kafka.client_id = Some("groupcast-audit");
    // Fetches of 2 MiB instead of 16: it waits for no latency, and its memory is one bound more.
    config.delivery.profile = Profile::Small;
    let (from, to) = (
        limit("--from", &arguments.from)?,
        limit("--to", &arguments.to)?,
    );
    run::start_log(&quieter(&config.log))?;
    let range = format!("{}..{}", words(&from), words(&to));
    let router = Router::new(config.routing())?;
    let lookup = Lookup::open(&config)?;
    let stage = Stage::find(&config, &router, &lookup, (&from, &to), arguments)?;
    let Judged {
        topics,
        n_records,
        n_events,
        n_bytes,
    } = stage.judge()?;
    tracing::debug!(n_bytes, "written to temporary files");
    let mut total = Counts::default();
    topics.iter().for_each(|topic| total.add(&topic.counts));
    let audit = Audit {
        range,
        sources: stage.sources,
        n_uncommitted: stage.n_uncommitted,
        n_records,
        n_events,
        topics,
        total,
    };
    if let Some(path) = &arguments.metrics_file {
        page::write_metrics(&audit, path)?;
    }
    page::write(&audit, arguments.json)?;
    match audit.total.missing {
        0 => Ok(()),
        _ => Err(Failure::Said(1)),
    }
}

/// Returns a limit as the last line says it.
fn words(limit: &Limit) -> String {
    let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    match limit {
        Limit::Beginning => "beginning".to_owned(),
        Limit::Now => time(Timestamp::now()),
        Limit::Time(milliseconds) => Timestamp::from_millisecond(*milliseconds)
            .map_or_else(|_| milliseconds.to_string(), time),
        Limit::Offsets(offsets) => match offsets.as_slice() {
            [(topic, partition, offset)] => collect::at(topic, *partition, *offset),
            offsets => format!("{} offsets", offsets.len()),
        },
    }
}

/// What is read, found before anything is.
struct Stage<'a> {
    config: &'a Config,
    router: &'a Router,
    lookup: &'a Lookup,
    /// How many ids are kept of each finding.
    limit: usize,
    /// Every partition of the source; those that nobody asked for with nothing in them.
    sources: Vec<Range>,
    n_uncommitted: i64,
    /// What the outputs hold, by [`TopicId`](crate::envelope::TopicId).
    held: Vec<Vec<Range>>,
    /// By the source's index, where it ended after the outputs' ends were known.
    ends: Vec<i64>,
}

impl<'a> Stage<'a> {
    /// Finds what is to be read. Offsets are committed once all that stands before them is in the outputs, so that they are asked
    /// for before the outputs' ends, and the source's end after those: no record before them can come from behind it.
    fn find(
        config: &'a Config,
        router: &'a Router,
        lookup: &'a Lookup,
        (from, to): (&Limit, &Limit),
        arguments: &Arguments,
    ) -> Result<Stage<'a>, Failure> {
        let committed = lookup.committed(config)?;
        if !arguments.uncommitted && committed.iter().all(|(_, next)| next.is_none()) {
            let group = &config.source.group_id;
            return Err(Failure::from(Fault::Fatal(format!(
                "group {group} has committed no offset of {}\n  hint: is source.group_id the service's? --uncommitted audits all the same",
                config.source.topics.join(", ")
            ))));
        }
        let (ranges, lost) = lookup.ranges(&config.source.topics, from, to)?;
        lost.iter().for_each(|lost: &Lost| say_lost(lost));
        let (mut sources, mut n_uncommitted) = (Vec::new(), 0);
        for (partition, next) in committed {
            let is_it = |range: &&Range| {
                range.topic == partition.topic && range.partition == partition.partition
            };
            let mut range = ranges.iter().find(is_it).cloned().unwrap_or(partition);
            if !arguments.uncommitted {
                let to = range.to.min(next.unwrap_or_default()).max(range.from);
                n_uncommitted += range.to - to;
                range.to = to;
            }
            sources.push(range);
        }
        let settled = lookup.settled(config, router.topics())?;
        let held = router.topics().iter().map(|topic| {
            let of_topic = settled.iter().filter(|range| range.topic == *topic);
            of_topic.cloned().collect()
        });
        let now = lookup.held(&config.source.topics)?;
        let ends = sources.iter().map(|source| {
            let is_it =
                |range: &&Range| range.topic == source.topic && range.partition == source.partition;
            now.iter().find(is_it).map_or(source.to, |range| range.to)
        });
        Ok(Stage {
            config,
            router,
            lookup,
            limit: arguments.limit,
            ends: ends.collect(),
            sources,
            n_uncommitted,
            held: held.collect(),
        })
    }

    /// Reads both sides and compares them. The outputs are first read from where the first of the range can be; before anything is
    /// said to be missing, all of them is read.
    fn judge(&self) -> Result<Judged, Failure> {
        let (judged, is_all) = self.judge_from(Some(CLOCK_SLACK_MS))?;
        let is_there = |topic: &OfTopic| topic.counts.missing + topic.counts.not_judged == 0;
        if is_all || judged.topics.iter().all(is_there) {
            return Ok(judged);
        }
        say("not all is there; the outputs are read again, from their beginning");
        Ok(self.judge_from(None)?.0)
    }

    /// Does so with the outputs from so long before the first time in the range, or from their beginning; returns also whether
    /// that was all that they hold.
    fn judge_from(&self, slack: Option<i64>) -> Result<(Judged, bool), Failure> {
        let folder = std::env::temp_dir();
        let outputs = self.outputs();
        let slots = Slots::new(self.router, self.sources.clone());
        let (seed, limits) = (
            RandomState::new(),
            Topics::limits_of(self.config, self.router.topics())?,
        );
        let topics = outputs
            .iter()
            .map(|output| OfTopic::new(&output.name, self.limit));
        let mut collector = Collector {
            slots: &slots,
            outputs: &outputs,
            ends: &self.ends,
            format: self.config.format,
            seed: &seed,
            sorter: Sorter::new(folder.clone()),
            fronts: HashMap::new(),
            topics: topics.collect(),
            n_records: 0,
            n_events: 0,
            earliest: None,
        };
        let mut dues = Dues::new(self.router, &limits);
        let topics = self.config.source.topics.iter().map(|topic| {
            let of_topic = self.sources.iter().filter(|source| source.topic == *topic);
            of_topic.cloned().collect()
        });
        let sources: Vec<Vec<Range>> = topics.collect();
        self.read("reading the source", &sources, |_, message| {
            dues.add(message, &mut collector)
        })?;
        let since = slack
            .zip(collector.earliest)
            .map(|(slack, time)| time - slack);
        let wanted = match since {
            None => self.held.clone(),
            Some(since) => {
                let since = |held: &Vec<Range>| self.lookup.since(held, since);
                let wanted: Result<_, Fault> = self.held.iter().map(since).collect();
                wanted?
            }
        };
        self.read("reading the outputs", &wanted, |topic, message| {
            collector.add(topic, message)
        })?;
        let judged = judge(collector, &wanted, folder);
        let judged = judged.map_err(|error| self.unusable(&error))?;
        Ok((judged, wanted == self.held))
    }

    fn outputs(&self) -> Vec<Output> {
        let rules = &self.config.dead_letters;
        let letters: Vec<String> = self
            .config
            .source
            .topics
            .iter()
            .map(|source| rules.topic_for(source))
            .collect();
        let outputs = self.router.topics().iter().zip(&self.held);
        outputs
            .map(|(name, held)| Output {
                name: name.clone(),
                n_partitions: i32::try_from(held.len()).unwrap_or(i32::MAX),
                holds_letters: letters.contains(name),
            })
            .collect()
    }

    /// Lends all records of topics, whose partitions are given. One topic is read at a time, all partitions of it at once.
    fn read(
        &self,
        what: &'static str,
        topics: &[Vec<Range>],
        mut take: impl FnMut(usize, &OwnedMessage) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let total = topics.iter().flatten().map(Range::len).sum();
        let mut progress = Progress::new(what, total, 0);
        let (mut before, mut fault) = (0, None);
        for (index, ranges) in topics.iter().enumerate() {
            // Where each partition goes on.
            let mut next: HashMap<i32, i64> = ranges
                .iter()
                .map(|range| (range.partition, range.from))
                .collect();
            let mut done = before;
            let take = |message: OwnedMessage| {
                if let Some(next) = next.get_mut(&message.partition()) {
                    done += message.offset() + 1 - *next;
                    *next = message.offset() + 1;
                }
                progress.set(done);
                if let Err(error) = take(index, &message) {
                    fault.get_or_insert(error);
                }
            };
            self.lookup.read_topic(ranges, take)?;
            before += ranges.iter().map(Range::len).sum::<i64>();
            if let Some(error) = fault.take() {
                return Err(self.unusable(&error));
            }
        }
        progress.end();
        Ok(())
    }

    fn unusable(&self, error: &io::Error) -> Failure {
        let folder = std::env::temp_dir();
        Failure::from(Fault::Fatal(format!("{}: {error}", folder.display())))
    }
}
