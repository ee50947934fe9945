//! The output topics: producers, what they have in flight, and their transactions.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::schedule::{Answer, Failure};
use super::group::offsets;
use super::{Broker, Origin, rewind};
use crate::kafka::fault::{Cause, Fault};
use crate::watermark::Watermarks;

const FULL_FOR: Duration = Duration::from_secs(4);

/// A record on its way.
#[derive(Clone, Copy)]
pub(in super::super) struct Sent {
    topic: usize,
    pub(super) origin: Origin,
}

/// A record in an output topic.
pub(super) struct Landed {
    pub(super) origin: Origin,
    pub(super) transaction: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Committed,
    Aborted,
}

pub(super) struct Transaction {
    id: String,
    pub(super) state: State,
    /// The offsets of a commit whose fate is not known.
    pub(super) pending: Vec<(usize, i64)>,
}

pub(super) struct Producer {
    id: String,
    pub(super) in_flight: VecDeque<Sent>,
    pub(super) transaction: Option<usize>,
    /// Why it must not be used any more.
    pub(super) broken: Option<&'static str>,
    /// The first record that was refused, and by which topic.
    refused: Option<Sent>,
}

impl Broker {
    /// Opens a producer, which ends what an earlier one of its transactional id has left open.
    pub(in super::super) fn open_delivery(&mut self, worker: usize) -> Result<(), Fault> {
        self.lose_producer(worker, 0);
        self.judge_age(worker);
        if self.fails(worker, Failure::Open) {
            return rewind(Cause::Producer);
        }
        let incarnation = if self.is_static {
            0
        } else {
            self.incarnations[worker]
        };
        let id = format!("{worker}-{incarnation}");
        for transaction in self
            .transactions
            .iter_mut()
            .filter(|other| other.id == id && other.state == State::Open)
        {
            transaction.state = State::Aborted;
        }
        let producer = Producer {
            id,
            in_flight: VecDeque::new(),
            transaction: None,
            broken: None,
            refused: None,
        };
        self.producers[worker] = Some(producer);
        Ok(())
    }

    pub(super) fn producer(&mut self, worker: usize) -> &mut Producer {
        self.producers[worker].as_mut().unwrap()
    }

    /// Ends the worker's producer; of what it has in flight, `landed` records arrive all the same.
    pub(super) fn lose_producer(&mut self, worker: usize, landed: usize) {
        if self.producers[worker].is_some() {
            self.land(worker, landed);
            self.producers[worker] = None;
        }
    }

    fn begin_transaction(&mut self, worker: usize) {
        if self.is_exactly_once && self.producer(worker).transaction.is_none() {
            let id = self.producer(worker).id.clone();
            self.transactions.push(Transaction {
                id,
                state: State::Open,
                pending: Vec::new(),
            });
            self.producer(worker).transaction = Some(self.transactions.len() - 1);
        }
    }

    /// Takes records as long as there is room; returns how many.
    pub(in super::super) fn send(
        &mut self,
        worker: usize,
        records: impl Iterator<Item = (usize, Origin)>,
    ) -> Result<usize, Fault> {
        self.judge_use(worker, "records are sent");
        let room = self.room();
        let mut n_taken = 0;
        for (topic, origin) in records.take(room) {
            if self.fails(worker, Failure::Send) {
                self.producer(worker).broken = Some("has failed");
                return rewind(Cause::Producer);
            }
            self.judge_sent(worker, origin);
            self.begin_transaction(worker);
            self.producer(worker)
                .in_flight
                .push_back(Sent { topic, origin });
            n_taken += 1;
        }
        Ok(n_taken)
    }

    /// Returns how many records the queue takes. Where it takes none that goes on for longer than a worker waits.
    fn room(&mut self) -> usize {
        let Some(Failure::Full(room)) = self.due(|failure| matches!(failure, Failure::Full(_)))
        else {
            return usize::MAX;
        };
        self.sleep(if room == 0 { FULL_FOR } else { Duration::ZERO });
        room
    }

    /// Has at most `limit` records arrive, in order by topic, but none in a topic that refuses.
    fn land(&mut self, worker: usize, limit: usize) {
        let (is_refusing, transaction) = (self.is_refusing, self.producer(worker).transaction);
        let mut n_landed = 0;
        for sent in std::mem::take(&mut self.producer(worker).in_flight) {
            if is_refusing[sent.topic] || n_landed >= limit {
                self.producer(worker).in_flight.push_back(sent);
            } else {
                self.topics[sent.topic].push(Landed {
                    origin: sent.origin,
                    transaction,
                });
                n_landed += 1;
            }
        }
    }

    /// Acknowledges at most `limit` records.
    pub(in super::super) fn serve(&mut self, worker: usize, limit: usize) -> Result<(), Fault> {
        self.judge_use(worker, "reports are served");
        if self.fails(worker, Failure::Serve) {
            self.producer(worker).broken = Some("has failed");
            return rewind(Cause::Producer);
        }
        if self.due(|failure| failure == Failure::Stall).is_some() {
            self.tell(worker, "    stalls");
            return Ok(());
        }
        self.land(worker, limit);
        let is_refusing = self.is_refusing;
        let in_flight = &mut self.producer(worker).in_flight;
        let refused = in_flight
            .iter()
            .copied()
            .find(|sent| is_refusing[sent.topic]);
        // It was answered, and what stands behind it is refused for the gap in its sequence numbers: none of it arrives late.
        in_flight.retain(|sent| refused.is_none_or(|refused| sent.topic != refused.topic));
        if refused.is_some() {
            self.excuses += 1;
            self.members[worker].refused_by = refused.map(|sent| sent.topic);
            let producer = self.producer(worker);
            (producer.refused, producer.broken) = (refused, Some("had a record refused"));
            return rewind(Cause::TopicRefused);
        }
        Ok(())
    }

    /// Returns whether all is acknowledged; where it is not, `patience` has passed.
    pub(in super::super) fn drain(
        &mut self,
        worker: usize,
        patience: Duration,
    ) -> Result<bool, Fault> {
        self.serve(worker, usize::MAX)?;
        let is_drained = self.unacknowledged(worker) == 0;
        if !is_drained {
            self.sleep(patience);
            self.excuses += usize::from(self.is_leaving(worker));
        }
        Ok(is_drained)
    }

    pub(in super::super) fn unacknowledged(&self, worker: usize) -> usize {
        self.producers[worker]
            .as_ref()
            .map_or(0, |producer| producer.in_flight.len())
    }

    /// Gives up what is in flight. What was on the wire arrives all the same: the older half, say.
    pub(in super::super) fn abandon(&mut self, worker: usize) {
        self.land(worker, self.unacknowledged(worker) / 2);
        self.abort(worker);
        let producer = self.producer(worker);
        producer.in_flight.clear();
        producer.broken.get_or_insert("was abandoned");
    }

    /// Returns whether it is certain that no transaction is open.
    fn abort(&mut self, worker: usize) -> bool {
        let Some(transaction) = self.producer(worker).transaction.take() else {
            return true;
        };
        if self.fails(worker, Failure::Abort) {
            return false;
        }
        self.transactions[transaction].state = State::Aborted;
        true
    }

    pub(in super::super) fn commit_transaction(
        &mut self,
        worker: usize,
        watermarks: &Watermarks,
    ) -> Result<(), Fault> {
        self.judge_use(worker, "a transaction is committed");
        let n_in_flight = self.unacknowledged(worker);
        self.must(n_in_flight == 0, || {
            format!("a transaction is committed with {n_in_flight} records in flight")
        });
        self.begin_transaction(worker);
        let answer = self.answer();
        let is_member = self.members[worker].expelled.is_none();
        if !is_member || matches!(answer, Some(Answer::Refused | Answer::Fenced)) {
            self.excuses += 1;
            self.producer(worker).broken = Some("has a transaction whose offsets were refused");
            return rewind(Cause::GroupMoved);
        }
        let transaction = self.producer(worker).transaction.take().unwrap();
        if answer == Some(Answer::LostBefore) {
            self.transactions[transaction].pending = offsets(watermarks);
        } else {
            self.transactions[transaction].state = State::Committed;
            self.judge_fan_out(transaction);
            self.move_offsets(worker, &offsets(watermarks));
        }
        if answer.is_some() {
            self.excuses += 1;
            self.producer(worker).broken = Some("does not know what became of its transaction");
            return rewind(Cause::Transaction);
        }
        Ok(())
    }

    pub(in super::super) fn take_refused(&mut self, worker: usize) -> Option<Sent> {
        self.producer(worker).refused.take()
    }

    /// Offers one record to its topic, exactly once in a transaction that is aborted; returns whether it takes it.
    pub(in super::super) fn probe(
        &mut self,
        worker: usize,
        Sent { topic, origin }: Sent,
    ) -> Result<bool, Fault> {
        self.judge_use(worker, "a record is offered");
        self.begin_transaction(worker);
        if !self.abort(worker) {
            self.producer(worker).broken = Some("could not abort");
            return rewind(Cause::Transaction);
        }
        let takes = !self.is_refusing[topic];
        if takes && !self.is_exactly_once {
            self.topics[topic].push(Landed {
                origin,
                transaction: None,
            });
        }
        self.members[worker].refused_by.take_if(|_| takes);
        Ok(takes)
    }

    pub(in super::super) fn close_delivery(&mut self, worker: usize) {
        self.leave_uncommitted(worker);
        self.abandon(worker);
        self.producers[worker] = None;
    }
}
