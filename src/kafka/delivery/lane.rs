//! Handing records over: one call for all of a batch that go to one topic.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord};

use super::{Delivery, DeliveryContext, headers, name, owned, to_opaque};
use crate::envelope::{Emission, Emissions};
use crate::kafka::ends::Outlet;
use crate::kafka::fault::{Call, Fault, Reaction, reaction};
use crate::kafka::native::{Outgoing, ProducerTopic};
use crate::kafka::topics::Topics;

/// What goes to one topic.
pub(super) struct Lane {
    topic: ProducerTopic<BaseProducer<DeliveryContext>>,
    /// The indices of the emissions that are not handed over yet, in order.
    waiting: Vec<usize>,
}

impl Lane {
    /// Returns a lane for each topic, in the router's order.
    pub(super) fn open_all(producer: &Arc<BaseProducer<DeliveryContext>>, topics: &Topics) -> Result<Vec<Lane>, Fault> {
        let open = |name: &String| match ProducerTopic::new(producer, name) {
            Some(topic) => Ok(Lane { topic, waiting: Vec::new() }),
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
        let Some(lane) = self.lanes.get_mut(topic).filter(|lane| !lane.waiting.is_empty()) else { return Ok(true) };
        let mut waiting = std::mem::take(&mut lane.waiting);
        let n_taken = self.hand_over(topic, &waiting, emissions)?;
        waiting.drain(..n_taken);
        let is_all = waiting.is_empty();
        if let Some(lane) = self.lanes.get_mut(topic) {
            lane.waiting = waiting;
        }
        Ok(is_all)
    }

    /// Hands records of one topic over, and returns how many went before there was no more room.
    fn hand_over(&mut self, topic: usize, waiting: &[usize], emissions: &Emissions) -> Result<usize, Fault> {
        let records = waiting.iter().filter_map(|index| emissions.get(*index));
        if let Some(refusal) = self.refusals.iter_mut().find(|refusal| refusal.topic == topic) {
            // Order: they may not overtake those that wait.
            refusal.waiting.extend(records.map(|emission| owned(&emission, name(&self.topics, topic), 0)));
            return Ok(waiting.len());
        }
        self.begin_transaction()?;
        let Some(partitions) = self.n_partitions(topic) else {
            for emission in records {
                let sequence = self.next_sequence();
                self.is_taken(topic, &emission, sequence, Err(RDKafkaErrorCode::UnknownTopicOrPartition))?;
            }
            return Ok(waiting.len());
        };
        // Headers cannot leave in a batch; only the formats that have them pay for a call a record.
        if waiting.iter().any(|index| emissions.has_headers(*index)) {
            return self.hand_over_singly(topic, partitions, records);
        }
        let first = self.sequence;
        self.produce_batch(topic, partitions, records.clone());
        self.sequence = first.wrapping_add(u32::try_from(waiting.len()).unwrap_or_default());
        if self.batch.results().all(|result| result.is_ok()) {
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

    fn produce_batch<'e>(&mut self, topic: usize, partitions: i32, records: impl Iterator<Item = Emission<'e>>) {
        let Some(lane) = self.lanes.get(topic) else { return };
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
            let result = sent.map_err(|(error, _)| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown));
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

    /// Returns whether there was room for the record; puts it aside where its topic refuses it.
    fn is_taken(
        &mut self,
        topic: usize,
        emission: &Emission<'_>,
        sequence: u32,
        result: Result<(), RDKafkaErrorCode>,
    ) -> Result<bool, Fault> {
        match result {
            Ok(()) => Ok(true),
            Err(RDKafkaErrorCode::QueueFull) => Ok(false),
            Err(code) if reaction(Call::Send, code) == Reaction::Hold => {
                let refused = owned(emission, name(&self.topics, topic), sequence);
                self.refuse(topic, code, refused)?;
                Ok(true)
            }
            Err(code) => {
                // A transaction that has failed takes no more records; what came back of it says why.
                self.serve(Duration::ZERO)?;
                Err(Fault::of(Call::Send, &KafkaError::MessageProduction(code)))
            }
        }
    }
}
