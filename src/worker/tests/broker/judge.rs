//! What must hold, and when it is looked at.

use super::super::schedule::{PARTITIONS, TOPICS};
use super::outputs::{Landed, State};
use super::{Broker, Ending, Origin, Partition, index_at};

impl Broker {
    /// Ends the case unless this holds.
    pub(super) fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violation.get_or_insert_with(what);
        }
    }

    /// I3: nothing is read twice unless something went wrong.
    pub(super) fn judge_read(&mut self, origin: Origin) {
        let reads = &mut self.partitions[origin.partition].reads[origin.index];
        *reads += 1;
        let is_explained = *reads == 1 || self.excuses > 0;
        self.must(is_explained, || {
            format!("I3: {origin:?} is read again, and nothing went wrong")
        });
    }

    /// I6: nothing is sent for a partition that was given back.
    pub(super) fn judge_sent(&mut self, worker: usize, origin: Origin) {
        let is_held = self.members[worker]
            .partitions()
            .contains(&origin.partition);
        self.must(is_held, || {
            format!("I6: {origin:?} is sent after its partition was given back")
        });
        let refused = self.members[worker].refused_by;
        self.must(refused.is_none(), || {
            format!(
                "an outage of {} fills the log with aborted epochs",
                TOPICS[refused.unwrap_or(0)]
            )
        });
    }

    /// I6: a partition is given back with nothing on the way that could follow what its next owner sends.
    pub(super) fn judge_given_back(&mut self, worker: usize, partitions: &[usize]) {
        let Some(producer) = &self.producers[worker] else {
            return;
        };
        let is_of = |origin: Origin| partitions.contains(&origin.partition);
        let n_in_flight = producer
            .in_flight
            .iter()
            .filter(|sent| is_of(sent.origin))
            .count();
        let is_open = |landed: &&Landed| {
            producer.transaction.is_some() && landed.transaction == producer.transaction
        };
        let n_open = self
            .topics
            .iter()
            .flatten()
            .filter(is_open)
            .filter(|landed| is_of(landed.origin))
            .count();
        self.must(n_in_flight + n_open == 0, || {
            format!("I6: given back with {n_in_flight} records in flight and {n_open} in an open transaction")
        });
    }

    /// I8: the group is answered before the next wait for records, whatever else goes on.
    pub(super) fn judge_patience(&mut self, worker: usize) {
        let member = &mut self.members[worker];
        member.n_unanswered += usize::from(member.wanted.is_some());
        let is_answered = member.n_unanswered <= 1;
        self.must(is_answered, || "I8: the group is kept waiting".to_owned());
    }

    /// A producer is not used after what leaves its state in doubt.
    pub(super) fn judge_use(&mut self, worker: usize, what: &str) {
        let broken = self.producer(worker).broken;
        self.must(broken.is_none(), || {
            format!("{what} by a producer that {}", broken.unwrap_or_default())
        });
    }

    /// Moves committed offsets. I2, I5, I6: only over what is visible, of partitions that are held, and never back.
    pub(super) fn move_offsets(&mut self, worker: usize, offsets: &[(usize, i64)]) {
        for &(number, offset) in offsets {
            let (before, after) = (self.partitions[number].next(), index_at(offset));
            let position = self.members[worker]
                .held
                .iter()
                .find(|(held, _)| *held == number)
                .map(|(_, next)| *next);
            self.must(position.is_some(), || {
                format!("I6: {number} at {offset} is committed after it was given back")
            });
            self.must(position.is_none_or(|next| after <= next), || {
                format!("I5: {number} is committed ahead of reading")
            });
            self.must(before <= after, || {
                format!("I5: {number} goes back to {offset}")
            });
            (before..after).for_each(|index| {
                self.judge_done(Origin {
                    partition: number,
                    index,
                })
            });
            (
                self.partitions[number].committed,
                self.partitions[number].left_at,
            ) = (Some(offset), None);
        }
    }

    /// I9: what was read and not committed when an epoch ended has an age that no later one begins anew.
    pub(super) fn judge_age(&mut self, worker: usize) {
        let is_its = |partition: &&Partition| partition.holder == Some(worker);
        let left_at = self
            .partitions
            .iter()
            .filter(is_its)
            .filter_map(|partition| partition.left_at)
            .min();
        let told = self.statuses[worker].progress().uncommitted_since();
        let is_old = left_at.is_none_or(|left_at| told.is_some_and(|told| told <= left_at));
        self.must(is_old, || {
            "I9: the oldest uncommitted record has become younger".to_owned()
        });
    }

    /// Takes note of what an epoch leaves uncommitted.
    pub(super) fn leave_uncommitted(&mut self, worker: usize) {
        let now = self.now();
        for (number, next) in self.members[worker].held.clone() {
            let partition = &mut self.partitions[number];
            if partition.holder == Some(worker) && next > partition.next() {
                partition.left_at.get_or_insert(now);
            }
        }
        self.judge_age(worker);
    }

    /// I2: what is committed has all its outputs.
    fn judge_done(&mut self, origin: Origin) {
        for topic in self.outputs(origin) {
            let is_visible = self.visible(*topic, origin) > 0;
            self.must(is_visible, || {
                format!("I2: {origin:?} is committed without {}", TOPICS[*topic])
            });
        }
    }

    /// I3, I10: all that a record leads to is in one transaction, and in no other one that is committed.
    pub(super) fn judge_fan_out(&mut self, transaction: usize) {
        let is_in = |landed: &&Landed| landed.transaction == Some(transaction);
        let mut origins: Vec<Origin> = self
            .topics
            .iter()
            .flatten()
            .filter(is_in)
            .map(|landed| landed.origin)
            .collect();
        origins.sort_unstable();
        origins.dedup();
        for origin in origins {
            for topic in self.outputs(origin) {
                let n_visible = self.visible(*topic, origin);
                self.must(n_visible == 1, || {
                    format!("I3, I10: {n_visible} of {origin:?} in {}", TOPICS[*topic])
                });
            }
        }
    }

    fn outputs(&self, origin: Origin) -> &'static [usize] {
        self.partitions[origin.partition].records[origin.index].outputs()
    }

    /// Returns how many of a record's outputs readers of committed records see in a topic.
    fn visible(&self, topic: usize, origin: Origin) -> usize {
        self.topics[topic]
            .iter()
            .filter(|landed| landed.origin == origin && self.is_visible(landed))
            .count()
    }

    fn is_visible(&self, landed: &Landed) -> bool {
        landed
            .transaction
            .is_none_or(|transaction| self.transactions[transaction].state == State::Committed)
    }

    /// A worker ends well only if it was asked to and has committed what it read, and badly only if something went wrong.
    pub(super) fn judge_ending(&mut self, worker: usize, ending: &Ending) {
        match ending {
            Ending::Killed => {}
            Ending::Panicked => self.must(false, || "a worker panics".to_owned()),
            Ending::Returned(Ok(())) => {
                let (is_asked, has_left) = (
                    self.stops[worker].is_requested(),
                    self.members[worker].has_left_uncommitted,
                );
                self.must(is_asked, || "a worker has ended by itself".to_owned());
                self.must(!has_left, || {
                    "a worker has left records uncommitted and does not say so".to_owned()
                });
            }
            Ending::Returned(Err(fault)) => {
                let is_explained = self.excuses > 0 && !self.is_ending;
                self.must(is_explained, || {
                    format!("a worker has failed, and nothing went wrong: {fault}")
                });
            }
        }
    }

    /// Judges what is in the topics at the end.
    pub(in super::super) fn judge_outputs(&mut self) {
        for topic in 0..TOPICS.len() {
            (0..PARTITIONS).for_each(|partition| self.judge_output(topic, partition));
        }
    }

    /// I2, I4: a topic has what each partition leads to, in order; I3: and no more of it than was read.
    fn judge_output(&mut self, topic: usize, number: usize) {
        let partition = &self.partitions[number];
        let is_wanted =
            |origin: Origin| origin.partition == number && origin.index >= partition.start;
        let visible = self.topics[topic]
            .iter()
            .filter(|landed| is_wanted(landed.origin) && self.is_visible(landed));
        let found: Vec<usize> = visible.map(|landed| landed.origin.index).collect();
        let is_routed = |index: &usize| partition.records[*index].outputs().contains(&topic);
        let expected: Vec<usize> = (partition.start..partition.records.len())
            .filter(is_routed)
            .collect();
        let count = |index: usize| found.iter().filter(|other| **other == index).count();
        let allowed = |index: usize| {
            if self.is_exactly_once {
                1
            } else {
                partition.reads[index]
            }
        };
        let is_explained = expected
            .iter()
            .all(|index| count(*index) <= allowed(*index));
        let name = TOPICS[topic];
        let told =
            format!("{name} has {found:?} of partition {number}, which leads to {expected:?}");
        self.must(first_of_each(&found) == expected, || {
            format!("I2, I4: {told}")
        });
        self.must(is_explained, || format!("I3: {told}"));
    }
}

fn first_of_each(indices: &[usize]) -> Vec<usize> {
    let mut first = Vec::new();
    for index in indices {
        if !first.contains(index) {
            first.push(*index);
        }
    }
    first
}
