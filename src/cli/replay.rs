//! `groupcast replay`: a part of the source topics once more, for some destinations and some events.

use clap::Args;

use super::backfill::{self, Care, Job, Moment};
use super::report::Failure;
use super::{ConfigArguments, check_names};
use crate::selection::{Groups, Replay, Selection, Wanted};

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
    #[arg(long, value_name = "NAME", value_parser = backfill::name)]
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
    /// Send the latest state of each group once instead of its history
    ///
    /// What a group's events in the range come to: absent keeps, null clears. Each member is linked once. One process does it, at
    /// least once; it is not resumable. States that do not fit into memory are put into a file in the folder for temporary files.
    #[arg(long)]
    latest_per_group: bool,
    #[command(flatten)]
    care: Care,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments {
        name,
        topic,
        destination,
        group_id,
        user_id,
        wanted,
        skip_superseded,
        care,
        ..
    } = arguments;
    let mut config = arguments.config.load()?;
    check_names(
        "destination",
        destination,
        config
            .destinations
            .iter()
            .map(|instance| instance.name.as_str()),
    )?;
    check_names(
        "source topic",
        topic,
        config.source.topics.iter().map(String::as_str),
    )?;
    let (mut routing, known_topics) = (config.routing(), config.source.topics.clone());
    if !destination.is_empty() {
        routing
            .destinations
            .retain(|instance| destination.contains(&instance.name));
    }
    if !topic.is_empty() {
        config.source.topics.retain(|known| topic.contains(known));
    }
    let selection = Selection {
        group_ids: group_id.clone(),
        user_ids: user_id.clone(),
        wanted: wanted.clone(),
        superseded: Groups::default(),
    };
    let replay = Replay {
        name: name.clone(),
        selection,
        repeats_additions: care.repeat_additions,
        letters: None,
    };
    let job = Job {
        kind: "replay",
        from: &arguments.from,
        to: &arguments.to,
        skips_superseded: *skip_superseded,
        known_topics,
        is_latest: arguments.latest_per_group,
        care,
        fingerprint: job_fingerprint(arguments),
        replay,
        routing,
    };
    job.run(config)
}

fn job_fingerprint(arguments: &Arguments) -> u64 {
    let Arguments {
        from,
        to,
        topic,
        destination,
        group_id,
        user_id,
        wanted,
        ..
    } = arguments;
    let Arguments {
        skip_superseded,
        latest_per_group,
        care,
        ..
    } = arguments;
    let asked = [topic, destination, group_id, user_id].map(|names| backfill::sorted(names));
    let how = format!(
        "{skip_superseded} {latest_per_group} {}",
        care.repeat_additions
    );
    backfill::fingerprint(&format!("{from:?} {to:?} {asked:?} {wanted:?} {how}"))
}
