//! Dead letters sent again: a replay of their topic, each opened on the way.

use super::{Choice, topics};
use crate::cli::backfill::{self, Care, Job};
use crate::cli::report::Failure;
use crate::cli::{ConfigArguments, check_names};
use crate::selection::{Letters, Replay, Selection};

/// Sends dead letters again, by today's configuration and definitions
///
/// A destination's share goes to that destination alone, a whole record to all of them. What leaves has the id that it would have had
/// the first time and the attribute `replay` with the redrive's name. What fails again becomes a dead letter again, which counts its
/// attempts. The progress is kept in Kafka as the offsets of the group GROUP.redrive.NAME: killed and started again with the same name,
/// it goes on; the range ends where the topic ended at the first start.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArguments,
    #[command(flatten)]
    choice: Choice,
    /// The redrive's name: letters, digits, `.`, `_` and `-`
    #[arg(long, value_name = "NAME", value_parser = backfill::name)]
    name: String,
    /// Send a destination's share to all destinations, not to that one alone
    #[arg(long)]
    all_destinations: bool,
    /// Leave out what was redriven so often before
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    max_attempts: u32,
    #[command(flatten)]
    care: Care,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments {
        choice,
        name,
        all_destinations,
        max_attempts,
        care,
        ..
    } = arguments;
    choice.check()?;
    let mut config = arguments.config.load()?;
    check_names(
        "destination",
        &choice.destination,
        config
            .destinations
            .iter()
            .map(|instance| instance.name.as_str()),
    )?;
    let routing = config.routing();
    config.source.topics = topics(&config);
    let known_topics = config.source.topics.clone();
    let letters = Letters {
        reasons: choice.reason.clone(),
        destinations: choice.destination.clone(),
        is_for_all: *all_destinations,
        max_attempts: *max_attempts,
    };
    let Choice {
        reason,
        destination,
        since,
        until,
    } = choice;
    let asked = [reason, destination].map(|names| backfill::sorted(names));
    let asked = format!(
        "{since:?} {until:?} {asked:?} {all_destinations} {max_attempts} {}",
        care.repeat_additions
    );
    let selection = Selection::default();
    let job = Job {
        kind: "redrive",
        from: std::slice::from_ref(since),
        to: std::slice::from_ref(until),
        skips_superseded: false,
        known_topics,
        is_latest: false,
        care,
        fingerprint: backfill::fingerprint(&asked),
        replay: Replay {
            name: name.clone(),
            selection,
            repeats_additions: care.repeat_additions,
            letters: Some(letters),
        },
        routing,
    };
    job.run(config)
}
