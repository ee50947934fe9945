//! What librdkafka refuses only when it makes a client, told before one is needed.

use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;

use super::{consumer_settings, producer_settings};
use crate::config::properties::Properties;
use crate::config::{Config, Kafka};
use crate::kafka::topics::Topics;

/// Has librdkafka make a consumer and a producer, and returns why it refuses, with the properties that it names: some faults it
/// finds only then. Neither has an address to connect to.
///
/// # Errors
/// The first refusal.
pub fn check_settings(config: &Config) -> Result<(), String> {
    let Kafka {
        properties,
        consumer_properties,
        producer_properties,
        ..
    } = &config.kafka;
    let refused = |reason: &str, own: &Properties, section: &str| {
        let all = properties
            .iter()
            .map(|found| ("kafka.properties", found))
            .chain(own.iter().map(|found| (section, found)));
        let is_named = |name: &str, value: &str| {
            reason.contains(name) || (value.len() > 3 && reason.contains(value))
        };
        let named = all
            .filter(|(_, (name, value))| is_named(name, value))
            .map(|(section, (name, _))| format!("{section}.{name}"));
        let named: Vec<String> = named.collect();
        let subject = if named.is_empty() {
            format!("kafka.properties and {section}")
        } else {
            named.join(", ")
        };
        config.redacted(format!("librdkafka makes no client of {subject}: {reason}"))
    };
    create::<BaseConsumer>(consumer_settings(config, 0))
        .map_err(|reason| refused(&reason, consumer_properties, "kafka.consumer_properties"))?;
    create::<BaseProducer>(producer_settings(config, 0, &Topics::assume(&[])))
        .map_err(|reason| refused(&reason, producer_properties, "kafka.producer_properties"))
}

fn create<C: FromClientConfig>(mut settings: ClientConfig) -> Result<(), String> {
    const TOKEN_SERVER: &str = "sasl.oauthbearer.token.endpoint.url";
    settings.remove("bootstrap.servers");
    // A client asks for a token as soon as it is there: nobody listens on this port.
    if settings.get(TOKEN_SERVER).is_some() {
        settings.set(TOKEN_SERVER, "http://127.0.0.1:0/");
    }
    match settings.create::<C>() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientCreation(reason)) => Err(reason),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kafka: &str) -> Config {
        let text = format!(
            "kafka: {{ brokers: b:9092, {kafka} }}\nsource: {{ topics: [in] }}\ndestinations: [{{ use: webhook }}]\n"
        );
        Config::from_text("g.yaml", &text, &[], &[])
            .unwrap_or_else(|faults| panic!("{faults:?}"))
            .0
    }

    #[test]
    fn what_librdkafka_refuses_when_it_makes_a_client_is_named() {
        let check = |kafka: &str, expected: Result<(), &str>| {
            let found = check_settings(&config(kafka));
            let is_expected = match (&found, expected) {
                (Ok(()), Ok(())) => true,
                (Err(found), Err(expected)) => found.starts_with(expected),
                (Ok(()), Err(_)) | (Err(_), Ok(())) => false,
            };
            assert!(is_expected, "{kafka}: {found:?}");
        };
        check("properties: { client.id: x }", Ok(()));
        check(
            "consumer_properties: { partition.assignment.strategy: range }",
            Ok(()),
        );
        check(
            "consumer_properties: { partition.assignment.strategy: rnage }",
            Err(
                "librdkafka makes no client of kafka.consumer_properties.partition.assignment.strategy: Unsupported",
            ),
        );
        check(
            "properties: { security.protocol: ssl, ssl.ca.location: /none.pem }",
            Err("librdkafka makes no client of kafka.properties.ssl.ca.location: "),
        );
        check(
            "producer_properties: { linger.ms: 900000, transaction.timeout.ms: 1000 }",
            Ok(()),
        );
        check(
            "properties: { security.protocol: sasl_ssl, sasl.mechanism: GSSAPI }",
            Err("librdkafka makes no client of kafka.properties.sasl.mechanism: "),
        );
        let token = "security.protocol: sasl_ssl, sasl.mechanism: OAUTHBEARER, sasl.oauthbearer.method: oidc, \
                     sasl.oauthbearer.client.id: a, sasl.oauthbearer.client.secret: b";
        check(
            &format!(
                "properties: {{ {token}, sasl.oauthbearer.token.endpoint.url: 'https://none.invalid/' }}"
            ),
            Ok(()),
        );
        check(
            &format!("properties: {{ {token} }}"),
            Err("librdkafka makes no client of "),
        );
    }

    #[test]
    fn added_partitions_are_looked_for_unless_that_is_configured() {
        const NAME: &str = "topic.metadata.refresh.interval.ms";
        let interval = |kafka| {
            consumer_settings(&config(kafka), 0)
                .get(NAME)
                .map(str::to_owned)
        };
        assert_eq!(
            interval("properties: { client.id: x }").as_deref(),
            Some("30000")
        );
        assert_eq!(
            interval(&format!("consumer_properties: {{ {NAME}: 7000 }}")).as_deref(),
            Some("7000")
        );
    }
}
