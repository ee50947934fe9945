//! What the loop needs of its two ends. Kafka's are [`Source`](super::source::Source) and [`Delivery`](super::delivery::Delivery);
//! the loop's own tests have others, in memory.

use std::time::Duration;

use rdkafka::topic_partition_list::TopicPartitionList;

use super::fault::Fault;
use crate::envelope::Emissions;
use crate::record::Record;
use crate::watermark::{Watermark, Watermarks};

/// What asking for the next record brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// A record, which was lent.
    Record,
    /// None for now. A rebalance may have arrived: see [`Intake::rebalance`].
    Nothing,
    /// A position lies outside its partition: see [`Intake::mend_gaps`].
    Gap,
}

/// What the group wants. It waits until the worker has acted on it.
#[derive(Debug, Clone)]
pub enum Rebalance {
    /// These partitions are ours: see [`Intake::assign`].
    Assign(TopicPartitionList),
    /// These are asked back: see [`Intake::unassign`].
    Revoke(TopicPartitionList),
}

/// Where records come from: a member of the group, its partitions, and the offsets that it commits.
pub trait Intake {
    /// Offsets and the membership that they are valid under, for a transaction to commit.
    type Offsets;

    /// Asks for the next record, at most `timeout`, and lends it to `take`.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where the consumer cannot go on, such as a static member that another process has replaced.
    fn poll(&mut self, timeout: Duration, take: impl FnOnce(&Record<'_>)) -> Result<Polled, Fault>;

    /// Deals with positions outside their partition as `source.on_gap` says: retention was faster, or the topic is another.
    /// Returns where reading goes on, to be committed: else a restart would find and count the same gaps.
    ///
    /// # Errors
    /// [`Fault::Fatal`] with the lost ranges, where `source.on_gap` is `stop`.
    fn mend_gaps(&mut self) -> Result<Vec<Watermark>, Fault>;

    /// Returns what the group wants, until [`Intake::assign`] or [`Intake::unassign`] has answered it.
    fn rebalance(&self) -> Option<Rebalance>;

    /// Takes over `partitions`, each at the group's committed offset. Where there is none, a group that is new to the topic
    /// starts at `source.start`, and any other at the partition's beginning.
    ///
    /// Returns the starts that are worth committing at once: a start at the end or at a time would be another one later.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the offsets cannot be learnt in time.
    fn assign(&mut self, partitions: TopicPartitionList) -> Result<Vec<Watermark>, Fault>;

    /// Gives `partitions` back to the group.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the consumer refuses.
    fn unassign(&mut self, partitions: &TopicPartitionList) -> Result<(), Fault>;

    /// Returns whether the group has already given our partitions to others, so that nothing may be committed.
    fn is_lost(&self) -> bool;

    /// Returns how long a revoke may keep the group waiting.
    fn revoke_patience(&self) -> Duration;

    /// Commits the offsets of `watermarks`. All that was made of the records before them must be durable.
    ///
    /// # Errors
    /// [`Fault::Defer`] where the group is moving, [`Fault::Fatal`] where it has replaced us.
    fn commit(&mut self, watermarks: &Watermarks) -> Result<(), Fault>;

    /// Returns the offsets of `watermarks` and the membership that they are valid under, for a transaction to commit.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where there is no membership.
    fn to_commit(&self, watermarks: &Watermarks) -> Result<Self::Offsets, Fault>;

    /// Goes back to the committed offsets, after an epoch was undone.
    ///
    /// Returns what [`Intake::assign`] does, of the partitions for which nothing is committed yet.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the offsets cannot be learnt or set.
    fn rewind(&mut self) -> Result<Vec<Watermark>, Fault>;

    /// Stops or starts fetching, whatever the group assigns meanwhile. The group goes on seeing a live member.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the consumer refuses.
    fn set_paused(&mut self, is_paused: bool) -> Result<(), Fault>;

    /// Publishes how far each partition is behind.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where a partition is assigned and yet not fetched from.
    fn check_progress(&mut self) -> Result<(), Fault>;

    /// Returns where reading has passed transaction marks behind the last committed record, to be committed: else Kafka would
    /// go on calling them lag, and take them for lost records once they are deleted.
    ///
    /// Every record before these offsets was handed out by [`Intake::poll`]; one that is not committed must go first.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the positions cannot be learnt.
    fn passed(&self) -> Result<Vec<Watermark>, Fault>;

    /// Leaves the group. Nothing is committed here.
    fn close(self);
}

/// Where records go to: a producer, what it has in flight, and its transaction if the guarantee has one.
pub trait Outlet {
    /// What the [`Intake`] hands to a transaction.
    type Offsets;
    /// What failed an epoch: records that their topics refused, or may have.
    type Probe;

    /// Sends what is not yet sent of `emissions`, in order within each topic, and returns whether there was room for all of it.
    /// Until then they are passed again, perhaps with more at their end.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the producer cannot go on.
    fn send(&mut self, emissions: &Emissions) -> Result<bool, Fault>;

    /// Waits for `duration`, then serves delivery reports.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where a topic refused a record, or the producer cannot go on.
    fn serve(&mut self, duration: Duration) -> Result<(), Fault>;

    /// Waits until everything that was sent is acknowledged, at most `patience`. Returns whether it is.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where a topic refused a record, where fewer records were confirmed than were sent, or where the producer
    /// cannot go on.
    fn drain(&mut self, patience: Duration) -> Result<bool, Fault>;

    /// Returns whether another producer would send larger batches, as a topic takes them again.
    fn is_outdated(&self) -> bool {
        false
    }

    /// Returns how many records are not acknowledged, those that find no room too.
    fn unacknowledged(&self) -> usize;

    /// Forgets everything that is not acknowledged: the epoch is undone, and its records come again.
    fn abandon(&mut self);

    /// Commits `offsets` and everything that was sent, all or nothing. Everything must be acknowledged before.
    ///
    /// # Errors
    /// [`Fault::Rewind`]: it is not known whether it took effect.
    fn commit_transaction(&mut self, offsets: &Self::Offsets) -> Result<(), Fault>;

    /// Returns what failed the epoch, for the next producer to probe with.
    fn take_probe(&mut self) -> Option<Self::Probe>;

    /// Offers what `probe` holds to its topics, and says which topic refuses or takes records again. Returns whether all was taken.
    ///
    /// # Errors
    /// [`Fault::Rewind`] where the producer cannot go on.
    fn probe(&mut self, probe: &mut Self::Probe, patience: Duration) -> Result<bool, Fault>;

    /// Closes the producer. What is in flight is lost: drain or abandon first.
    fn close(self);
}
