//! Handing records over: one call for all of a batch that go to one topic.

use std::sync::Arc;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord};

use super::opening::Opening;
use super::{Delivery, DeliveryContext, headers, name, owned, to_opaque};
use crate::envelope::{Emission, Emissions};
use crate::kafka::fault::{Call, Fault, Reaction, reaction};
use crate::kafka::native::{self, Outgoing, ProducerTopic};
use crate::kafka::topics::Topics;

/// What goes to one topic.
pub(super) struct Lane {
    topic: ProducerTopic<BaseProducer<DeliveryContext>>,
    /// The indices of the emissions that are not handed over yet, in order.
    waiting: Vec<usize>,
}

impl Lane {
    /// Returns a lane for each topic, in the router's order.
    pub(super) fn open_all(
        producer: &Arc<BaseProducer<DeliveryContext>>,
        topics: &Topics,
    ) -> Result<Vec<Lane>, Fault> {
        let open = |name: &String| match ProducerTopic::new(producer, name) {
            Some(topic) => Ok(Lane {
                topic,
                waiting: Vec::new(),
            }),
            None => Err(Fault::Fatal(format!("not a topic's name: {name}"))),
        };
        topics.names.iter().map(open).collect()
    }

    /// Returns how many records wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl Delivery {
    /// Hands over what is not handed over yet, in order within each topic, and returns whether there was room for all of it.
    pub(super) fn send_lanes(&mut self, emissions: &Emissions) -> Result<bool, Fault> {
        for (index, topic) in emissions.topics().enumerate().skip(self.n_distributed) {
            if let Some(lane) = self.lanes.get_mut(topic.0) {
                lane.waiting.push(index);
            }
        }
        self.n_distributed = emissions.len();
        if self.n_confirmed == self.n_handed_over {
            self.openings.all_confirmed();
        }
        let mut is_all = true;
        for topic in 0..self.lanes.len() {
            is_all &= self.send_lane(topic, emissions)?;
        }
        if is_all {
            self.n_distributed = 0;
        }
        Ok(is_all)
    }

    fn send_lane(&mut self, topic: usize, emissions: &Emissions) -> Result<bool, Fault> {
        let Some(lane) = self
            .lanes
            .get_mut(topic)
            .filter(|lane| !lane.waiting.is_empty())
        else {
            return Ok(true);
        };
        let waiting = std::mem::take(&mut lane.waiting);
        let mut rest = if self.openings.is_open(topic) {
            let n_taken = self.hand_over(topic, &waiting, emissions)?;
            waiting.into_iter().skip(n_taken).collect()
        } else {
            self.open_partitions(topic, &waiting, emissions)?
        };
        let is_all = rest.is_empty();
        if let Some(lane) = self.lanes.get_mut(topic) {
            lane.waiting.append(&mut rest);
        }
        Ok(is_all)
    }

    /// Hands over what may go while some partitions of the topic are not open, and returns the rest, in order.
    fn open_partitions(
        &mut self,
        topic: usize,
        waiting: &[usize],
        emissions: &Emissions,
    ) -> Result<Vec<usize>, Fault> {
        let n_partitions = self.n_partitions(topic).ok();
        self.openings.expect(
            topic,
            n_partitions
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or_default(),
        );
        let (mut ready, mut rest, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        for index in waiting.iter().copied() {
            let partition = emissions
                .get(index)
                .and_then(|emission| partition_among(&emission, n_partitions?));
            // Without a key any partition will do, and nobody waits for its order.
            let opening = partition.map_or(Opening::Open, |partition| {
                self.openings.get(topic, partition)
            });
            let is_first = |partition| firsts.iter().all(|(_, first)| *first != partition);
            match (opening, partition) {
                (Opening::Untouched, Some(partition)) if is_first(partition) => {
                    firsts.push((index, partition));
                    ready.push(index);
                }
                (Opening::Untouched | Opening::Asked, Some(_)) => rest.push(index),
                (Opening::Open, _) | (_, None) => ready.push(index),
            }
        }
        let n_taken = self.hand_over(topic, &ready, emissions)?;
        let not_taken = ready.get(n_taken..).unwrap_or_default();
        for (_, partition) in firsts
            .iter()
            .filter(|(index, _)| !not_taken.contains(index))
        {
            self.openings.ask(topic, *partition);
        }
        rest.extend_from_slice(not_taken);
        rest.sort_unstable();
        Ok(rest)
    }

    /// Hands records of one topic over, and returns how many went before there was no more room.
    fn hand_over(
        &mut self,
        topic: usize,
        waiting: &[usize],
        emissions: &Emissions,
    ) -> Result<usize, Fault> {
        let mut records = waiting.iter().filter_map(|index| emissions.get(*index));
        self.begin_transaction()?;
        let partitions = match self.n_partitions(topic) {
            Ok(partitions) => partitions,
            Err(code) => {
                let Some(emission) = records.next() else {
                    return Ok(0);
                };
                let sequence = self.next_sequence();
                return Err(self.not_taken(topic, &emission, sequence, code));
            }
        };
        // Headers cannot leave in a batch; only the formats that have them pay for a call a record.
        if waiting.iter().any(|index| emissions.has_headers(*index)) {
            return self.hand_over_singly(topic, partitions, records);
        }
        let first = self.sequence;
        self.produce_batch(topic, partitions, records.clone());
        self.sequence = first.wrapping_add(u32::try_from(waiting.len()).unwrap_or_default());
        if self.batch.results().all(|result| result.is_ok()) {
            self.n_handed_over += u64::try_from(waiting.len()).unwrap_or_default();
            return Ok(waiting.len());
        }
        let results: Vec<_> = self.batch.results().collect();
        for (n_taken, (emission, result)) in records.zip(results).enumerate() {
            let sequence = first.wrapping_add(u32::try_from(n_taken).unwrap_or_default());
            if !self.is_taken(topic, &emission, sequence, result)? {
                return Ok(n_taken);
            }
        }
        Ok(waiting.len())
    }

    fn produce_batch<'e>(
        &mut self,
        topic: usize,
        partitions: i32,
        records: impl Iterator<Item = Emission<'e>>,
    ) {
        let Some(lane) = self.lanes.get(topic) else {
            return;
        };
        let sequences = (0..).map(|index| self.sequence.wrapping_add(index));
        let outgoing = records.zip(sequences).map(|(emission, sequence)| Outgoing {
            value: emission.value,
            key: emission.key,
            partition: emission.partition.of(partitions),
            opaque: to_opaque(emission.partition, sequence),
        });
        self.batch.produce(&lane.topic, outgoing);
    }

    fn hand_over_singly<'e>(
        &mut self,
        topic: usize,
        partitions: i32,
        records: impl Iterator<Item = Emission<'e>>,
    ) -> Result<usize, Fault> {
        let mut n_taken = 0;
        for emission in records {
            let sequence = self.next_sequence();
            let record = BaseRecord {
                topic: name(&self.topics, topic),
                partition: emission.partition.of(partitions),
                payload: emission.value,
                key: emission.key,
                timestamp: None,
                headers: headers(&emission),
                delivery_opaque: to_opaque(emission.partition, sequence),
            };
            let sent = self.producer.send(record);
            let result = sent.map_err(|(error, _)| {
                error
                    .rdkafka_error_code()
                    .unwrap_or(RDKafkaErrorCode::Unknown)
            });
            if !self.is_taken(topic, &emission, sequence, result)? {
                break;
            }
            n_taken += 1;
        }
        Ok(n_taken)
    }

    fn next_sequence(&mut self) -> u32 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }

    /// Returns whether there was room for the record.
    fn is_taken(
        &mut self,
        topic: usize,
        emission: &Emission<'_>,
        sequence: u32,
        result: Result<(), RDKafkaErrorCode>,
    ) -> Result<bool, Fault> {
        match result {
            Ok(()) => {
                self.n_handed_over += 1;
                Ok(true)
            }
            Err(RDKafkaErrorCode::QueueFull) => Ok(false),
            Err(code) => Err(self.not_taken(topic, emission, sequence, code)),
        }
    }

    /// Returns the fault that a record is which the client did not take.
    fn not_taken(
        &mut self,
        topic: usize,
        emission: &Emission<'_>,
        sequence: u32,
        code: RDKafkaErrorCode,
    ) -> Fault {
        let mut reports = self.reports();
        if reaction(Call::Send, code) == Reaction::Hold {
            let message = owned(emission, name(&self.topics, topic));
            reports
                .returned
                .push((message, to_opaque(emission.partition, sequence), code));
        }
        // A producer that has failed takes no more records; what came back of it says why.
        self.give_up(
            reports,
            Some(Fault::of(Call::Send, &KafkaError::MessageProduction(code))),
        )
    }
}

/// Returns the partition that a record goes to; absent where any will do.
fn partition_among(emission: &Emission<'_>, partitions: i32) -> Option<usize> {
    let of_key = || {
        emission
            .key
            .map(|key| native::partition_of_key(key, partitions))
    };
    emission
        .partition
        .of(partitions)
        .or_else(of_key)
        .and_then(|partition| usize::try_from(partition).ok())
}
