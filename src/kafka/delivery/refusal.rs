//! A topic that refuses records, and those that wait until it takes them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Message, OwnedMessage};

use crate::envelope::Partition;
use crate::kafka::native;

/// The pause before a refused record is tried again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A topic that refuses records, and those it has refused.
pub(super) struct Refusal {
    pub(super) topic: usize,
    pub(super) code: RDKafkaErrorCode,
    /// What is to be sent again, in order.
    pub(super) waiting: VecDeque<Refused>,
    /// What has come back since the last try; it belongs before what waits. What the client refused at once is here before
    /// what a broker refused, which was handed over earlier.
    pub(super) returned: Vec<Refused>,
    pub(super) pause: Duration,
    pub(super) try_at: Instant,
    /// Whether the next try is of one record a partition, to see whether the topic takes it.
    pub(super) is_probe: bool,
}

/// A record that came back.
pub(super) struct Refused {
    pub(super) message: OwnedMessage,
    pub(super) partition: Partition,
    /// Its number among all that were handed over; it wraps.
    pub(super) sequence: u32,
}

impl Refused {
    /// Returns the partition that it goes to; absent where any will do, as there is no key.
    pub(super) fn partition_among(&self, partitions: i32) -> Option<i32> {
        let of_key = || self.message.key().map(|key| native::partition_of_key(key, partitions));
        self.partition.of(partitions).or_else(of_key)
    }
}

impl Refusal {
    pub(super) fn new(topic: usize, code: RDKafkaErrorCode, refused: Refused) -> Refusal {
        Refusal {
            topic,
            code,
            waiting: VecDeque::new(),
            returned: vec![refused],
            pause: FIRST_PAUSE,
            try_at: Instant::now(),
            is_probe: true,
        }
    }

    /// Moves the first record of each partition to the front and returns their number. The leaders learn at different moments
    /// that a topic takes records again; of a partition that has not, no later record may go before the first.
    pub(super) fn first_of_each_to_front(&mut self, partition: impl Fn(&Refused) -> Option<i32>) -> usize {
        let mut seen = Vec::new();
        let (mut firsts, mut rest) = (VecDeque::new(), VecDeque::new());
        for refused in self.waiting.drain(..) {
            let partition = partition(&refused);
            if seen.contains(&partition) {
                rest.push_back(refused);
            } else {
                seen.push(partition);
                firsts.push_back(refused);
            }
        }
        firsts.append(&mut rest);
        self.waiting = firsts;
        seen.len()
    }

    /// Puts what came back before what waits, to be tried after a pause.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.returned.is_empty() {
            return;
        }
        // Far fewer are under way than would make the numbers meet.
        let newest = self.returned.last().map_or(0, |refused| refused.sequence);
        self.returned.sort_by_key(|refused| refused.sequence.wrapping_sub(newest).wrapping_add(1 << 31));
        for refused in self.returned.drain(..).rev() {
            self.waiting.push_front(refused);
        }
        self.postpone(now);
        self.is_probe = true;
    }

    /// Puts the next try off.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.try_at = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns what would make the topic take records again; it is tried until then.
pub(super) fn hint(code: RDKafkaErrorCode) -> &'static str {
    if matches!(code, RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) {
        "create the topic"
    } else if code == RDKafkaErrorCode::UnknownPartition {
        // What the client says of a topic that is gone, too.
        "create the topic, with as many partitions as it had"
    } else if code == RDKafkaErrorCode::TopicAuthorizationFailed {
        "grant Write on the topic"
    } else if code == RDKafkaErrorCode::MessageSizeTooLarge {
        // Larger ones are dead letters before they are sent, so the limit was lowered since the start.
        "raise the topic's max.message.bytes to what it was, or restart to read the limits anew"
    } else if code == RDKafkaErrorCode::MessageTimedOut {
        "see why its partitions have no leader, or too few replicas in sync"
    } else if code == RDKafkaErrorCode::InvalidRecord {
        "see why the topic refuses the record itself: a compacted topic takes none without a key"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Timestamp;

    use super::*;

    fn refused(number: i64) -> Refused {
        let message = OwnedMessage::new(None, None, "a".to_owned(), Timestamp::NotAvailable, 0, number, None);
        Refused { message, partition: Partition::ByKey, sequence: u32::try_from(number).unwrap() }
    }

    fn numbers(refusal: &Refusal) -> Vec<i64> {
        refusal.waiting.iter().map(|refused| refused.message.offset()).collect()
    }

    #[test]
    fn the_first_of_each_partition_goes_alone() {
        let mut refusal = Refusal::new(0, RDKafkaErrorCode::UnknownTopic, refused(0));
        refusal.waiting = [1, 3, 2, 5, 4].map(refused).into();
        let parity = |refused: &Refused| Some(if refused.message.offset() % 2 == 0 { 0 } else { 1 });
        assert_eq!(refusal.first_of_each_to_front(parity), 2);
        assert_eq!(numbers(&refusal), [1, 2, 3, 5, 4], "the order within a partition is kept");
        refusal.waiting.clear();
        assert_eq!(refusal.first_of_each_to_front(parity), 0);
    }

    #[test]
    fn what_comes_back_waits_before_what_was_not_tried() {
        let now = Instant::now();
        let mut refusal = Refusal {
            topic: 0,
            code: RDKafkaErrorCode::TopicAuthorizationFailed,
            waiting: [3, 4].map(refused).into(),
            returned: [1, 2].map(refused).into(),
            pause: FIRST_PAUSE,
            try_at: now,
            is_probe: false,
        };
        refusal.settle(now);
        assert_eq!(numbers(&refusal), [1, 2, 3, 4]);
        assert!(refusal.is_probe && refusal.returned.is_empty());
        assert_eq!(refusal.try_at, now + FIRST_PAUSE);
        assert_eq!(refusal.pause, FIRST_PAUSE * 2);
        refusal.settle(now);
        assert_eq!(refusal.pause, FIRST_PAUSE * 2, "nothing came back, nothing is due later");
    }

    #[test]
    fn what_comes_back_waits_in_the_order_in_which_it_was_handed_over() {
        let check = |sequences: &[u32], expected: &[u32]| {
            let mut refusal = Refusal::new(0, RDKafkaErrorCode::UnknownTopic, refused(0));
            refusal.returned = sequences.iter().map(|sequence| Refused { sequence: *sequence, ..refused(0) }).collect();
            refusal.settle(Instant::now());
            let found: Vec<u32> = refusal.waiting.iter().map(|refused| refused.sequence).collect();
            assert_eq!(found, expected);
        };
        check(&[7, 8, 3, 4, 5], &[3, 4, 5, 7, 8]);
        check(&[1, 2, u32::MAX, 0], &[u32::MAX, 0, 1, 2]);
    }
}
