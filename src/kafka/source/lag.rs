//! How far each partition is behind, as [`progress`](crate::status::progress) defines it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::fetch::{Answer, Leader, Obstacle};
use super::gap::edge;
use super::position::next_offset;
use super::{Assigned, Source};
use crate::kafka::fault::{Cause, Fault};
use crate::kafka::native;
use crate::status::progress::partition::{Sight, Supply};
use crate::status::report::{Partition, Report};

/// Librdkafka's report may have been on its way when a position was set, or a partition resumed.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Asked once a second while reading is paused, between other things.
const ENDS_PATIENCE: Duration = Duration::from_millis(500);

impl Source {
    /// Does what [`Intake::check_progress`](crate::kafka::ends::Intake::check_progress) says.
    pub(super) fn publish_progress(&mut self) -> Result<(), Fault> {
        let positions = self.positions()?;
        let (report, view, now) = (
            self.status.consumer.latest(),
            self.status.view(),
            Instant::now(),
        );
        self.ask_leaders(now);
        let is_flowing = view.committed_at > std::mem::replace(&mut self.looked_at, now);
        let is_full = report
            .as_ref()
            .is_some_and(|(_, report)| self.capacity.is_nearly_full(report));
        let mut stuck = None;
        for assigned in &mut self.partitions {
            let report = report
                .as_ref()
                .filter(|(at, _)| *at > assigned.since + SETTLED_AFTER)
                .map(|(_, report)| &**report);
            let figures =
                report.and_then(|report| report.partition(&assigned.topic, assigned.partition));
            let answer = assigned.answer.take();
            let end = if let Some(Answer::End(end)) = answer {
                Some(end)
            } else {
                None
            };
            let position = next_offset(&positions, assigned);
            // Of a partition that is not fetched, the client remembers what was so before.
            let active =
                figures.filter(|figures| figures.fetch_state == "active" && !self.is_paused);
            let fetched_to = position.max(
                active
                    .map(|figures| figures.next_offset)
                    .filter(|next| *next >= 0),
            );
            // Where nothing is fetched, nothing has to come.
            let patience = Some(self.silence).filter(|_| !self.is_paused && !is_full);
            let leader = report
                .zip(figures)
                .map_or(Leader::Unknown, |(report, figures)| {
                    Leader::of(report, figures, patience)
                });
            let mut obstacle = assigned.fetching.see(fetched_to, leader, answer, now);
            if assigned.is_done
                || assigned.block.is_some()
                || ((self.is_paused || is_full) && assigned.fetching.is_answerable())
            {
                assigned.fetching.rest(now);
                obstacle = None;
            }
            // A replay ends where its note says.
            let limit = |end: i64| assigned.note.map_or(end, |note| note.to);
            let high =
                native::high_watermark(self.consumer.client(), &assigned.topic, assigned.partition);
            let stable = figures
                .map(|figures| figures.ls_offset)
                .filter(|stable| *stable >= 0);
            let sight = Sight {
                end: high.max(end).map(limit),
                readable: stable.max(end).map(limit),
                // A position passes transaction marks, which take offsets and are never handed out.
                position: position.max(active.and_then(Partition::handed_out)),
                is_in_line: is_flowing && (is_full || fetched_to > position),
                supply: match (obstacle, leader) {
                    (Some(obstacle), _) => Supply::Hindered(obstacle.to_string()),
                    (None, Leader::Unknown) => Supply::Unknown,
                    (None, _) => Supply::Flows,
                },
            };
            if leader != Leader::Unknown {
                assigned.tell_of(obstacle, self.status.worker);
            }
            let mut progress = self.status.progress();
            progress.see(&assigned.topic, assigned.partition, sight, now);
            let n_renewals = progress
                .get(&assigned.topic, assigned.partition)
                .map_or(0, |known| known.n_renewals);
            let is_named = view
                .blocked
                .iter()
                .any(|named| assigned.is(&named.topic, named.partition));
            if assigned.fetching.is_stuck(n_renewals, now) && !is_named {
                progress.renew(&assigned.topic, assigned.partition);
                stuck = Some(format!(
                    "{}/{} is assigned and not fetched from",
                    assigned.topic, assigned.partition
                ));
            }
        }
        match stuck {
            Some(detail) => Err(Fault::Rewind {
                cause: Cause::PartitionStuck,
                detail,
            }),
            None => Ok(()),
        }
    }

    /// Asks the leaders where partitions end, which they tell with every fetch, but not where reading is paused or the client
    /// does not fetch. Each is asked alone: one that does not answer would take the others' answers with it.
    fn ask_leaders(&mut self, now: Instant) {
        let mut asked: BTreeMap<i32, TopicPartitionList> = BTreeMap::new();
        for assigned in &mut self.partitions {
            let fetching = &mut assigned.fetching;
            let is_to_ask = if self.is_paused {
                fetching.is_answerable()
            } else {
                fetching.is_to_ask(now)
            };
            let leader = if let Leader::Connected(leader) = fetching.leader {
                leader
            } else {
                -1
            };
            if is_to_ask {
                let list = asked.entry(leader).or_default();
                list.add_partition(&assigned.topic, assigned.partition);
            }
        }
        for mut wanted in asked.into_values() {
            let ends = wanted.set_all_offsets(Offset::End).and_then(|()| {
                self.status.call("ends", || {
                    self.consumer
                        .offsets_for_times(wanted.clone(), ENDS_PATIENCE)
                })
            });
            if let Err(error) = &ends {
                tracing::debug!(error = %error, "the partitions' ends are not known");
            }
            for assigned in &mut self.partitions {
                if wanted
                    .find_partition(&assigned.topic, assigned.partition)
                    .is_some()
                {
                    let end = ends.as_ref().ok().and_then(|ends| edge(ends, assigned));
                    assigned.answer = Some(end.map_or(Answer::None, Answer::End));
                }
            }
        }
    }
}

/// What the consumer's queue holds at most.
#[derive(Debug)]
pub(super) struct Capacity {
    pub(super) bytes: u64,
    pub(super) records: i64,
}

impl Capacity {
    /// Returns whether the client may fetch nothing because nobody has read what is there.
    fn is_nearly_full(&self, report: &Report) -> bool {
        report.fetched_bytes() >= self.bytes / 2 || report.fetched_records() >= self.records / 2
    }
}

impl Assigned {
    /// Logs what keeps the partition from being fetched, once. That the client does not fetch it is not told here: a record that
    /// has just come looks like this, too, and else there will be a new consumer.
    fn tell_of(&mut self, obstacle: Option<Obstacle>, worker: usize) {
        let obstacle = obstacle.filter(|obstacle| *obstacle != Obstacle::NotFetched);
        if std::mem::replace(&mut self.obstacle, obstacle) == obstacle {
            return;
        }
        let (topic, partition) = (&self.topic, self.partition);
        match obstacle {
            None => tracing::info!(worker, topic, partition, "the partition is fetched again"),
            Some(obstacle) => {
                tracing::warn!(worker, topic, partition, reason = %obstacle, "a partition cannot be fetched; the others go on");
            }
        }
    }
}

/// Returns an offset as a number, if it is one.
pub(super) fn number(offset: Offset) -> Option<i64> {
    if let Offset::Offset(offset) = offset {
        Some(offset)
    } else {
        None
    }
}
