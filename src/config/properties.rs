//! librdkafka's own properties: all that `rules.rs` passes, none that would break the guarantee or run something.

mod rules;

use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use self::rules::{PASSED, RULES};
use crate::diagnostic::{Diagnostics, nearest};
use crate::yaml::{Entry, Node, Value};

/// librdkafka properties in the order they were written. Their secrets are never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<Property>,
}

#[derive(Clone, PartialEq, Eq)]
struct Property {
    name: String,
    value: String,
    is_secret: bool,
}

impl Properties {
    /// Returns each name and value, secrets in clear: for the client only.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|property| (property.name.as_str(), property.value.as_str()))
    }

    /// Returns the value of `name`, in clear: for the client only.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    /// Reads a mapping of properties, which messages call `context`.
    pub(super) fn read(
        node: Option<&Node>,
        context: &str,
        diagnostics: &mut Diagnostics,
    ) -> Properties {
        let entries = match node.map(|node| (node, &node.value)) {
            None => &[],
            Some((_, Value::Map(entries))) => entries.as_slice(),
            Some((node, Value::Scalar(_) | Value::List(_))) => {
                diagnostics.error(
                    node.place,
                    format!("{context} must be a mapping, not {}", node.describe()),
                );
                &[]
            }
        };
        Properties {
            entries: entries
                .iter()
                .filter_map(|entry| Property::read(entry, context, diagnostics))
                .collect(),
        }
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_map()
            .entries(
                self.entries
                    .iter()
                    .map(|property| (&property.name, property.shown())),
            )
            .finish()
    }
}

impl Property {
    fn read(entry: &Entry, context: &str, diagnostics: &mut Diagnostics) -> Option<Property> {
        let name = format!("{context}.{}", entry.key);
        let Some(scalar) = entry.value.as_scalar().filter(|_| !entry.value.is_null()) else {
            let message = format!("{name} must be a string, not {}", entry.value.describe());
            diagnostics
                .error(entry.value.place, message)
                .hint("a property is written as librdkafka names it: fetch.min.bytes: 1");
            return None;
        };
        let is_secret = scalar.is_secret || SECRETS.iter().any(|part| entry.key.contains(part));
        let property = Property {
            name: entry.key.clone(),
            value: scalar.text.clone(),
            is_secret,
        };
        let refused = RULES
            .iter()
            .find(|rule| rule.refuses(&property.name, &property.value));
        match refused {
            Some(rule) => rule.report(&name, entry.key_place, diagnostics),
            None if is_judged(&property.name) => property.check(&name, entry, diagnostics),
            None => report_unknown(&name, entry, diagnostics),
        }
        Some(property)
    }

    fn shown(&self) -> &str {
        if self.is_secret {
            "(secret)"
        } else {
            &self.value
        }
    }

    /// Asks librdkafka itself, so that a slip of the pen has a line and not only a client that will not start.
    fn check(&self, name: &str, entry: &Entry, diagnostics: &mut Diagnostics) {
        let Err(error) = ClientConfig::new()
            .set(&self.name, &self.value)
            .create_native_config()
        else {
            return;
        };
        let message = format!("{name} is not as librdkafka wants it: {}", self.shown());
        let added = diagnostics.error(entry.value.place, message);
        if let (KafkaError::ClientConfig(_, text, ..), false) = (error, self.is_secret) {
            added.hint(text);
        }
    }
}

/// Returns the names of all properties that reach librdkafka, some with certain values only.
pub(crate) fn judged() -> impl Iterator<Item = &'static str> {
    let refused = RULES.iter().flat_map(|rule| rule.names);
    let passed = PASSED.iter().flat_map(|(_why, names)| *names);
    refused.chain(passed).copied()
}

fn is_judged(name: &str) -> bool {
    judged().any(|judged| judged == name)
}

fn report_unknown(name: &str, entry: &Entry, diagnostics: &mut Diagnostics) {
    let hint = match nearest(&entry.key, judged()) {
        Some(near) => format!("did you mean: {near}"),
        None => "librdkafka's CONFIGURATION.md lists what there is".to_owned(),
    };
    diagnostics
        .error(
            entry.key_place,
            format!("librdkafka has no such property: {name}"),
        )
        .hint(hint);
}

/// What a name contains whose value is a secret, wherever it was written.
const SECRETS: &[&str] = &[
    "password",
    "passphrase",
    "secret",
    "key.pem",
    "oauthbearer.config",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(text: &str) -> (Properties, String) {
        let mut diagnostics = Diagnostics::new("g.yaml");
        let node = yaml::parse(text, &mut diagnostics).unwrap();
        let properties = Properties::read(Some(&node), "kafka.properties", &mut diagnostics);
        let found: Vec<String> = diagnostics
            .into_sorted()
            .iter()
            .map(ToString::to_string)
            .collect();
        (properties, found.join("\n"))
    }

    #[test]
    fn passes_on_what_does_no_harm() {
        let text = "fetch.min.bytes: 1\nacks: all\nenable.auto.commit: 'False'\nmax.in.flight: 5\nisolation.level: read_committed\n\
                    partitioner: murmur2_random\ngroup.protocol: classic\npartition.assignment.strategy: cooperative-sticky\n\
                    group.instance.id: a\nmax.poll.interval.ms: 60000\nenable.idempotence: true\nlinger.ms: 0.5\nclient.id: x";
        let (properties, found) = read(text);
        assert_eq!(found, "");
        assert_eq!(properties.iter().count(), 13);
        assert_eq!(properties.get("linger.ms"), Some("0.5"));
        assert_eq!(properties.get("linger"), None);
    }

    #[test]
    fn refuses_by_name_what_would_break_the_guarantee_or_run_something() {
        let rows = [
            (
                "bootstrap.servers: x",
                "there is a key for it: kafka.properties.bootstrap.servers\n  hint: set kafka.brokers",
            ),
            ("metadata.broker.list: x", "set kafka.brokers"),
            ("group.id: x", "set source.group_id"),
            (
                "auto.offset.reset: earliest",
                "set source.start and source.on_gap",
            ),
            (
                "enable.auto.commit: true",
                "hint: leave it out, or write: false",
            ),
            ("auto.commit.enable: true", "write: false"),
            ("enable.auto.offset.store: true", "write: false"),
            ("offset.store.method: file", "write: broker"),
            ("isolation.level: read_uncommitted", "write: read_committed"),
            ("group.protocol: consumer", "KIP-848"),
            ("enable.partition.eof: true", "write: false"),
            ("allow.auto.create.topics: true", "misspelt"),
            ("transactional.id: x", "set delivery.guarantee"),
            ("enable.idempotence: false", "write: true"),
            ("acks: 1", "write: all or -1"),
            ("request.required.acks: 0", "write: all or -1"),
            ("max.in.flight: 6", "write: 1 or 2 or 3 or 4 or 5"),
            (
                "max.in.flight.requests.per.connection: 0",
                "one to five requests",
            ),
            ("retries: 3", "given up"),
            ("message.send.max.retries: 0", "given up"),
            ("message.timeout.ms: 300000", "given up"),
            ("delivery.timeout.ms: 1000", "given up"),
            ("enable.gapless.guarantee: true", "its own setting"),
            ("delivery.report.only.error: true", "its own setting"),
            ("queuing.strategy: lifo", "in order"),
            ("partitioner: random", "write: murmur2_random"),
            ("batch.size: 10", "limits of the output topics"),
            ("message.max.bytes: 10", "limits of the output topics"),
            ("test.mock.num.brokers: 3", "groupcast demo"),
            ("test.mock.broker.rtt: 3", "groupcast demo"),
            ("plugin.library.paths: /tmp/evil.so", "it loads a library"),
            ("ssl.engine.location: /tmp/evil.so", "it loads a library"),
            ("ssl.engine.id: evil", "it loads a library"),
            ("ssl.providers: /tmp/evil", "it loads a library"),
            ("sasl.kerberos.kinit.cmd: touch /tmp/x", "runs a command"),
            ("sasl.kerberos.keytab: /tmp/x", "runs a command"),
            ("sasl.kerberos.principal: $(touch /tmp/x)", "runs a command"),
            ("sasl.kerberos.service.name: x", "runs a command"),
            ("sasl.kerberos.min.time.before.relogin: 1", "runs a command"),
            ("offset.store.path: /tmp/x", "it writes a file"),
            ("offset.store.sync.interval.ms: 1", "it writes a file"),
            ("ut_handle_ProduceResponse: x", "run as code"),
            ("internal.termination.signal: 9", "sends signals"),
            ("enabled_events: 1", "events itself"),
            ("enable_sasl_queue: true", "events itself"),
            ("log.queue: true", "events itself"),
        ];
        for (text, expected) in rows {
            let (_, found) = read(text);
            assert!(
                found.starts_with("g.yaml:1:1: error: refused, "),
                "{text}: {found}"
            );
            assert!(found.contains(expected), "{text}: {found}");
        }
        let by_program = RULES
            .iter()
            .find(|rule| rule.reason.contains("by a program"));
        for name in by_program.unwrap().names {
            let (_, found) = read(&format!("{name}: x"));
            assert!(found.contains("set by a program"), "{name}: {found}");
        }
        let named: usize = RULES.iter().map(|rule| rule.names.len()).sum();
        let n_rows = rows.len() + by_program.unwrap().names.len();
        assert_eq!(named, n_rows, "a row for each name");
    }

    #[test]
    fn reports_slips_of_the_pen_with_their_place() {
        let rows = [
            (
                "fetch.min.byte: 1",
                "g.yaml:1:1: error: librdkafka has no such property: kafka.properties.fetch.min.byte\n  hint: did you mean: fetch.min.bytes",
            ),
            (
                "fetch.min.bytes: many",
                "g.yaml:1:18: error: kafka.properties.fetch.min.bytes is not as librdkafka wants it: many\n  hint: Invalid value for configuration property \"fetch.min.bytes\"",
            ),
            (
                "sasl: {mechanism: PLAIN}",
                "g.yaml:1:7: error: kafka.properties.sasl must be a string, not a mapping\n  hint: a property is written as librdkafka names it: fetch.min.bytes: 1",
            ),
            (
                "client.id:",
                "g.yaml:1:10: error: kafka.properties.client.id must be a string, not null\n  hint: a property is written as librdkafka names it: fetch.min.bytes: 1",
            ),
            (
                "[a]",
                "g.yaml:1:1: error: kafka.properties must be a mapping, not a list",
            ),
            (
                "client.id: \"a\\0b\"",
                "g.yaml:1:12: error: kafka.properties.client.id is not as librdkafka wants it: a\0b",
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text).1, expected, "{text}");
        }
    }

    #[test]
    fn never_prints_a_secret() {
        let text = "sasl.username: me\nsasl.password: hunter2\nssl.key.password: hunter2\nssl.key.pem: hunter2\n\
                    sasl.oauthbearer.client.secret: hunter2\nsasl.oauthbearer.config: hunter2";
        let (properties, _) = read(text);
        let shown = format!("{properties:?} {properties:#?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains(r#""sasl.username": "me""#), "{shown}");
        assert_eq!(properties.get("sasl.password"), Some("hunter2"));
        let (_, found) = read("sasl.password: \"hunter2\\0\"");
        assert_eq!(
            found,
            "g.yaml:1:16: error: kafka.properties.sasl.password is not as librdkafka wants it: (secret)"
        );
    }
}
