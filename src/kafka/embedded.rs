//! A Kafka cluster inside the process, for the demo and the tests: librdkafka's own mock, which speaks the real protocol.
//!
//! It keeps five MiB a partition and knows neither transactions nor topic configuration, so it is for small things only.

use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaType;

use crate::kafka::native;

/// A running cluster; it ends with this value.
pub struct EmbeddedCluster {
    client: Client<DefaultClientContext>,
}

impl EmbeddedCluster {
    /// Starts a cluster of `brokers` on free local ports.
    ///
    /// # Errors
    /// Where librdkafka cannot start it.
    pub fn start(brokers: u16) -> Result<EmbeddedCluster, KafkaError> {
        let mut settings = ClientConfig::new();
        settings.set("test.mock.num.brokers", brokers.to_string());
        let native_settings = settings.create_native_config()?;
        let client = Client::new(
            &settings,
            native_settings,
            RDKafkaType::RD_KAFKA_PRODUCER,
            DefaultClientContext,
        )?;
        native::skip_rebalance_delay(&client);
        Ok(EmbeddedCluster { client })
    }

    /// Returns the addresses to connect to.
    #[must_use]
    pub fn brokers(&self) -> String {
        self.client
            .mock_cluster()
            .map(|cluster| cluster.bootstrap_servers())
            .unwrap_or_default()
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// Where it exists or the numbers make no sense.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), KafkaError> {
        self.client
            .mock_cluster()
            .map_or(Ok(()), |cluster| cluster.create_topic(name, partitions, 1))
    }

    /// Returns the mock itself, to inject errors.
    #[must_use]
    pub fn mock(&self) -> Option<MockCluster<'_, DefaultClientContext>> {
        self.client.mock_cluster()
    }
}
