//! The group: who has which partition, who is told what and when, and what each reads and commits.

use std::time::Duration;

use rdkafka::topic_partition_list::TopicPartitionList;

use super::super::schedule::{Answer, Failure, Kind, PARTITIONS};
use super::outputs::State;
use super::{Broker, Origin, SOURCE, rewind};
use crate::kafka::ends::Rebalance;
use crate::kafka::fault::{Cause, Fault};
use crate::watermark::{Watermark, Watermarks};

/// A member of the group, or a place for one.
#[derive(Default)]
pub(super) struct Member {
    is_open: bool,
    /// The partitions that its consumer has, with the index of the next record.
    pub(super) held: Vec<(usize, usize)>,
    /// Where in `held` it looks first.
    first: usize,
    is_paused: bool,
    /// Whether it fetches nothing more, whatever is done.
    is_stuck: bool,
    pub(super) wanted: Option<Rebalance>,
    /// How often it has found nothing to read and not answered.
    pub(super) n_unanswered: usize,
    /// Whether there is something to tell even if it brings no partition.
    has_news: bool,
    must_revoke: bool,
    /// Polls until it learns that it was expelled.
    pub(super) expelled: Option<usize>,
    pub(super) is_lost: bool,
    /// The topic that has refused a transaction, until it has taken a single record.
    pub(super) refused_by: Option<usize>,
    /// Whether it left with records that were read and not committed.
    pub(super) has_left_uncommitted: bool,
}

impl Member {
    pub(super) fn partitions(&self) -> Vec<usize> {
        self.held.iter().map(|(partition, _)| *partition).collect()
    }
}

/// A position lies outside its partition.
pub(in super::super) struct Gap;

impl Broker {
    /// Has every member hear of a new assignment.
    pub(super) fn rebalance(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.is_open) {
            member.has_news = true;
            member.must_revoke =
                self.is_eager && !member.held.is_empty() && member.expelled.is_none();
        }
    }

    pub(super) fn expel(&mut self, worker: usize, told_after: usize) {
        let member = &mut self.members[worker];
        if !member.is_open || member.wanted.is_some() || member.expelled.is_some() {
            return;
        }
        self.excuses += 1;
        member.expelled = Some(told_after);
        for partition in self
            .partitions
            .iter_mut()
            .filter(|partition| partition.holder == Some(worker))
        {
            (partition.holder, partition.target, partition.left_at) = (None, 1 - worker, None);
        }
        self.rebalance();
    }

    pub(super) fn leave(&mut self, worker: usize) {
        self.members[worker] = Member::default();
        for partition in self
            .partitions
            .iter_mut()
            .filter(|partition| partition.holder == Some(worker))
        {
            (partition.holder, partition.left_at) = (None, None);
        }
    }

    pub(in super::super) fn open_source(&mut self, worker: usize) {
        self.leave(worker);
        self.members[worker].is_open = true;
        self.rebalance();
    }

    pub(in super::super) fn close_source(&mut self, worker: usize) {
        let held = self.members[worker].held.clone();
        self.judge_given_back(worker, &self.members[worker].partitions());
        let is_left = |(partition, next): &(usize, usize)| {
            let partition = &self.partitions[*partition];
            *next > partition.next() || (self.starts_at_end && partition.committed.is_none())
        };
        let has_left_uncommitted = held.iter().any(is_left);
        self.leave(worker);
        self.members[worker].has_left_uncommitted = has_left_uncommitted;
    }

    /// Has the member hear what the group wants of it, if it has answered what it heard before.
    fn tell_member(&mut self, worker: usize) {
        if self.members[worker].wanted.is_some() {
            return;
        }
        if let Some(told_after) = self.members[worker].expelled {
            let member = &mut self.members[worker];
            member.expelled = Some(told_after.saturating_sub(1));
            member.is_lost = told_after == 0;
            member.wanted = member
                .is_lost
                .then(|| Rebalance::Revoke(list(&member.partitions())));
            return;
        }
        let back = self.asked_back(worker);
        if !back.is_empty() {
            self.members[worker].wanted = Some(Rebalance::Revoke(list(&back)));
        } else if !self.members.iter().any(|member| member.must_revoke) {
            self.offer(worker);
        }
    }

    fn asked_back(&self, worker: usize) -> Vec<usize> {
        let member = &self.members[worker];
        let is_foreign = |partition: usize| self.partitions[partition].target != worker;
        member
            .partitions()
            .into_iter()
            .filter(|partition| member.must_revoke || is_foreign(*partition))
            .collect()
    }

    fn offer(&mut self, worker: usize) {
        let is_free = |number: &usize| {
            let partition = &self.partitions[*number];
            partition.target == worker && partition.holder.is_none()
        };
        let free: Vec<usize> = (0..PARTITIONS).filter(is_free).collect();
        let member = &mut self.members[worker];
        if std::mem::take(&mut member.has_news) || !free.is_empty() {
            member.wanted = Some(Rebalance::Assign(list(&free)));
            free.iter()
                .for_each(|partition| self.partitions[*partition].holder = Some(worker));
        }
    }

    pub(in super::super) fn wanted(&self, worker: usize) -> Option<Rebalance> {
        self.members[worker].wanted.clone()
    }

    pub(in super::super) fn is_lost(&self, worker: usize) -> bool {
        self.members[worker].is_lost
    }

    /// Returns whether the worker is giving partitions back, so that what it does not commit now is read again.
    pub(super) fn is_leaving(&self, worker: usize) -> bool {
        matches!(self.members[worker].wanted, Some(Rebalance::Revoke(_)))
            || self.stops[worker].is_requested()
    }

    pub(in super::super) fn assign(
        &mut self,
        worker: usize,
        partitions: &[usize],
    ) -> Result<Vec<Watermark>, Fault> {
        self.must(
            matches!(self.wanted(worker), Some(Rebalance::Assign(_))),
            || "nothing is to be assigned".to_owned(),
        );
        self.fetch_offsets(worker, partitions)?;
        for number in partitions {
            let partition = &mut self.partitions[*number];
            if self.starts_at_end && partition.committed.is_none() {
                partition.start = partition.available;
            }
            self.members[worker].held.push((*number, partition.next()));
        }
        (
            self.members[worker].wanted,
            self.members[worker].n_unanswered,
        ) = (None, 0);
        Ok(partitions
            .iter()
            .filter_map(|partition| self.fresh_start(*partition))
            .collect())
    }

    /// Returns where a partition starts whose start is not committed and would be another one later.
    fn fresh_start(&self, number: usize) -> Option<Watermark> {
        let partition = &self.partitions[number];
        let next_offset = Origin {
            partition: number,
            index: partition.start,
        }
        .offset();
        let is_fresh = self.starts_at_end && partition.committed.is_none();
        let partition = i32::try_from(number).unwrap();
        is_fresh.then(|| Watermark {
            topic: SOURCE.to_owned(),
            partition,
            next_offset,
        })
    }

    /// Waits for what may still decide on offsets of the partitions, as a fetch of stable offsets does (KIP-447).
    fn fetch_offsets(&mut self, worker: usize, partitions: &[usize]) -> Result<(), Fault> {
        let mut n_pending = 0;
        for transaction in self
            .transactions
            .iter_mut()
            .filter(|transaction| transaction.state == State::Open)
        {
            if transaction
                .pending
                .iter()
                .any(|(partition, _)| partitions.contains(partition))
            {
                transaction.state = State::Aborted;
                n_pending += 1;
            }
        }
        if n_pending > 0 || self.fails(worker, Failure::Position) {
            rewind(Cause::Consumer)
        } else {
            Ok(())
        }
    }

    pub(in super::super) fn unassign(
        &mut self,
        worker: usize,
        partitions: &[usize],
    ) -> Result<(), Fault> {
        self.must(
            matches!(self.wanted(worker), Some(Rebalance::Revoke(_))),
            || "nothing is asked back".to_owned(),
        );
        if self.fails(worker, Failure::Position) {
            return rewind(Cause::Consumer);
        }
        self.judge_given_back(worker, partitions);
        for number in partitions {
            let partition = &mut self.partitions[*number];
            // What was lost is another's by now.
            if partition
                .holder
                .take_if(|holder| *holder == worker)
                .is_some()
            {
                partition.left_at = None;
            }
        }
        let member = &mut self.members[worker];
        member
            .held
            .retain(|(partition, _)| !partitions.contains(partition));
        (member.wanted, member.n_unanswered, member.expelled) = (None, 0, None);
        (member.is_lost, member.must_revoke, member.has_news) = (false, false, true);
        Ok(())
    }

    pub(in super::super) fn go_back(&mut self, worker: usize) -> Result<Vec<Watermark>, Fault> {
        self.members[worker].n_unanswered = 0;
        let held = self.members[worker].partitions();
        if held.is_empty() {
            return Ok(Vec::new());
        }
        if self.members[worker].wanted.is_some() {
            return rewind(Cause::Consumer);
        }
        self.fetch_offsets(worker, &held)?;
        let (now, mut progress) = (self.now(), self.statuses[worker].progress());
        for (number, next) in &mut self.members[worker].held {
            let partition = &self.partitions[*number];
            *next = partition.next();
            if let Some(offset) = partition.committed {
                progress.confirm(SOURCE, i32::try_from(*number).unwrap(), offset, now);
            }
        }
        drop(progress);
        Ok(held
            .iter()
            .filter_map(|partition| self.fresh_start(*partition))
            .collect())
    }

    pub(in super::super) fn set_paused(
        &mut self,
        worker: usize,
        is_paused: bool,
    ) -> Result<(), Fault> {
        if self.fails(worker, Failure::Position) {
            return rewind(Cause::Consumer);
        }
        self.members[worker].is_paused = is_paused;
        Ok(())
    }

    pub(in super::super) fn check_progress(&mut self, worker: usize) -> Result<(), Fault> {
        if self.members[worker].is_stuck {
            rewind(Cause::PartitionStuck)
        } else {
            Ok(())
        }
    }

    /// Returns the worker's next record. Where it has none, it is the other one's turn.
    pub(in super::super) fn poll(
        &mut self,
        worker: usize,
        timeout: Duration,
    ) -> Option<Result<(Origin, Kind), Gap>> {
        if self.due(|failure| failure == Failure::Gap).is_some() {
            return Some(Err(Gap));
        }
        self.members[worker].is_stuck |= self.fails(worker, Failure::Stuck);
        self.tell_member(worker);
        let Some(origin) = self.next_record(worker) else {
            self.sleep(timeout);
            self.judge_patience(worker);
            self.turn = if self.has_ended[1 - worker] {
                worker
            } else {
                1 - worker
            };
            return None;
        };
        self.tell(worker, &format!("reads {}", origin.key()));
        self.judge_read(origin);
        Some(Ok((
            origin,
            self.partitions[origin.partition].records[origin.index],
        )))
    }

    /// Takes the next record of the partitions by turns.
    fn next_record(&mut self, worker: usize) -> Option<Origin> {
        let member = &mut self.members[worker];
        let is_readable =
            |(partition, next): &(usize, usize)| *next < self.partitions[*partition].available;
        let n_held = member.held.len();
        let mut turns = (0..n_held).map(|turn| (member.first + turn) % n_held);
        let found = turns.find(|index| {
            !member.is_paused && !member.is_stuck && is_readable(&member.held[*index])
        })?;
        member.first = found + 1;
        let (partition, next) = &mut member.held[found];
        *next += 1;
        Some(Origin {
            partition: *partition,
            index: *next - 1,
        })
    }

    /// Commits offsets, at least once.
    pub(in super::super) fn commit(
        &mut self,
        worker: usize,
        watermarks: &Watermarks,
    ) -> Result<(), Fault> {
        let answer = self.answer();
        let is_member = self.members[worker].expelled.is_none();
        if is_member && matches!(answer, None | Some(Answer::LostAfter)) {
            self.move_offsets(worker, &offsets(watermarks));
        }
        if answer == Some(Answer::Fenced) {
            self.excuses += 1;
            return Err(Fault::Fatal(
                "another process has this member's name".to_owned(),
            ));
        }
        if is_member && answer.is_none() {
            return Ok(());
        }
        self.excuses += usize::from(self.is_leaving(worker));
        Err(Fault::Defer("the group is moving".to_owned()))
    }

    pub(super) fn answer(&mut self) -> Option<Answer> {
        let failure = self.due(|failure| matches!(failure, Failure::Commit(_)))?;
        if let Failure::Commit(answer) = failure {
            Some(answer)
        } else {
            None
        }
    }
}

fn list(partitions: &[usize]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(SOURCE, i32::try_from(*partition).unwrap());
    }
    list
}

pub(super) fn offsets(watermarks: &Watermarks) -> Vec<(usize, i64)> {
    watermarks
        .iter()
        .map(|mark| (usize::try_from(mark.partition).unwrap(), mark.next_offset))
        .collect()
}
