//! What a running service cannot take over from another configuration.

use super::Config;

impl Config {
    /// Returns the sections in which `next` differs and that a running service cannot take over.
    #[must_use]
    pub fn differences_that_need_a_restart(&self, next: &Config) -> Vec<&'static str> {
        let is_same_kafka = self.kafka.brokers == next.kafka.brokers
            && self.kafka.consumer().eq(next.kafka.consumer())
            && self.kafka.producer().eq(next.kafka.producer());
        let sections = [
            ("kafka", is_same_kafka),
            ("source", self.source == next.source),
            ("delivery", self.delivery == next.delivery),
            ("http", self.http == next.http),
            ("log", self.log == next.log),
        ];
        sections
            .into_iter()
            .filter(|(_, is_same)| !is_same)
            .map(|(name, _)| name)
            .collect()
    }
}
