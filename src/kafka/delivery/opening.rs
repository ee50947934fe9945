//! Which partitions have confirmed a record of this producer.
//!
//! A broker checks a producer's sequence numbers only in partitions that already hold a record of it. In any other it takes what
//! comes first (KIP-360), so that it could refuse one request and take the one behind it. So the first record of each partition goes
//! alone, and nothing follows it until it is confirmed. From then on the broker itself refuses what stands behind a refused request.

/// The partitions of every topic, as far as records were handed over for them.
#[derive(Default)]
pub(super) struct Openings {
    topics: Vec<Vec<Opening>>,
    /// The partitions whose first record is on its way, by topic and partition.
    asked: Vec<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Opening {
    /// Nothing was handed over for it.
    #[default]
    Untouched,
    /// Its first record is on its way.
    Asked,
    /// Its first record is confirmed.
    Open,
}

impl Openings {
    pub(super) fn new(n_topics: usize) -> Openings {
        Openings {
            topics: vec![Vec::new(); n_topics],
            asked: Vec::new(),
        }
    }

    /// Returns whether every partition of the topic is open, as far as they are known.
    pub(super) fn is_open(&self, topic: usize) -> bool {
        let partitions = self.topics.get(topic).map_or(&[][..], Vec::as_slice);
        !partitions.is_empty() && partitions.iter().all(|opening| *opening == Opening::Open)
    }

    /// Takes note of how many partitions a topic has.
    pub(super) fn expect(&mut self, topic: usize, n_partitions: usize) {
        if let Some(partitions) = self
            .topics
            .get_mut(topic)
            .filter(|partitions| partitions.len() < n_partitions)
        {
            partitions.resize(n_partitions, Opening::default());
        }
    }

    pub(super) fn get(&self, topic: usize, partition: usize) -> Opening {
        self.topics
            .get(topic)
            .and_then(|partitions| partitions.get(partition))
            .copied()
            .unwrap_or_default()
    }

    /// Takes note that a partition's first record was handed over.
    pub(super) fn ask(&mut self, topic: usize, partition: usize) {
        if let Some(opening) = self
            .topics
            .get_mut(topic)
            .and_then(|partitions| partitions.get_mut(partition))
        {
            *opening = Opening::Asked;
            self.asked.push((topic, partition));
        }
    }

    /// Takes note that everything that was handed over is confirmed.
    pub(super) fn all_confirmed(&mut self) {
        for (topic, partition) in self.asked.drain(..) {
            if let Some(opening) = self
                .topics
                .get_mut(topic)
                .and_then(|partitions| partitions.get_mut(partition))
            {
                *opening = Opening::Open;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_open_once_each_partition_has_confirmed() {
        let mut openings = Openings::new(2);
        assert!(!openings.is_open(0), "nothing is known of it");
        openings.expect(0, 2);
        openings.ask(0, 0);
        openings.all_confirmed();
        assert_eq!(
            (openings.get(0, 0), openings.get(0, 1)),
            (Opening::Open, Opening::Untouched)
        );
        assert!(!openings.is_open(0));
        openings.ask(0, 1);
        assert_eq!(openings.get(0, 1), Opening::Asked);
        openings.all_confirmed();
        assert!(openings.is_open(0) && !openings.is_open(1));
    }

    #[test]
    fn a_partition_that_was_added_is_untouched() {
        let mut openings = Openings::new(1);
        openings.expect(0, 1);
        openings.ask(0, 0);
        openings.all_confirmed();
        openings.expect(0, 2);
        assert!(!openings.is_open(0));
    }
}
