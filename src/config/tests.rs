use std::time::Duration;

use super::*;
use crate::event::SuspiciousIds;
use crate::router::Router;

const MINIMAL: &str =
    "kafka: {brokers: b:9092}\nsource: {topics: [in]}\ndestinations: [{use: webhook}]\n";

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load(
    text: &str,
    environment: &[(&str, &str)],
    overrides: &[(&str, &str)],
) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    Config::from_text("g.yaml", text, &pairs(environment), &pairs(overrides))
}

fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}

/// Loads what must be faultless.
fn good(text: &str, environment: &[(&str, &str)]) -> Config {
    let (config, warnings) =
        load(text, environment, &[]).unwrap_or_else(|found| panic!("{text}\n{:#?}", lines(&found)));
    assert_eq!(lines(&warnings), Vec::<String>::new(), "{text}");
    config
}

/// Returns what is said about `text`, warnings too.
fn told(text: &str, environment: &[(&str, &str)]) -> String {
    match load(text, environment, &[]) {
        Ok((_, warnings)) => lines(&warnings).join("\n"),
        Err(found) => lines(&found).join("\n"),
    }
}

/// Returns the minimal file with the section `more` instead of its own, or before them.
fn with(more: &str) -> String {
    let section = more.split(':').next().unwrap_or_default();
    let rest: Vec<&str> = MINIMAL
        .lines()
        .filter(|line| !line.starts_with(section))
        .collect();
    format!("{more}\n{}\n", rest.join("\n"))
}

#[test]
fn defaults() {
    let config = good(MINIMAL, &[]);
    assert_eq!(config.kafka.brokers, "b:9092");
    assert_eq!(
        config.kafka.consumer().count() + config.kafka.producer().count(),
        0
    );
    assert_eq!(
        (
            config.source.topics.as_slice(),
            config.source.group_id.as_str()
        ),
        (["in".to_owned()].as_slice(), "groupcast")
    );
    assert_eq!(
        (
            config.source.start,
            config.source.on_gap,
            config.source.workers
        ),
        (Start::Earliest, OnGap::Stop, 1)
    );
    assert_eq!(
        (config.source.on_undecodable, config.source.max_batch_bytes),
        (OnUndecodable::Hold, 33_554_432)
    );
    assert_eq!(
        (config.delivery.guarantee, config.delivery.profile),
        (Guarantee::AtLeastOnce, Profile::Standard)
    );
    let epoch = EpochBounds {
        interval: Duration::from_millis(100),
        records: 100_000,
        bytes: 134_217_728,
    };
    assert_eq!(
        (config.delivery.epoch, config.delivery.shutdown_timeout),
        (epoch, Duration::from_secs(30))
    );
    assert_eq!(
        (config.format, config.flags, config.limits),
        (Format::Structured, FlagMatch::Fold, Limits::default())
    );
    assert_eq!(
        (
            config.dead_letters.topic.as_deref(),
            config.dead_letters.events
        ),
        (None, true)
    );
    assert_eq!(config.http, "127.0.0.1:9464".parse().ok());
    assert_eq!(
        config.log,
        Log {
            format: LogFormat::Text,
            level: "info".to_owned()
        }
    );
    let destination = &config.destinations[0];
    assert_eq!(
        (
            destination.name.as_str(),
            destination.is_named,
            destination.topic.as_deref()
        ),
        ("webhook", false, None)
    );
    assert_eq!(
        (
            destination.definition.id.as_str(),
            destination.enabled_by_default
        ),
        ("webhook", None)
    );
    let routing = config.routing();
    assert_eq!(
        (
            routing.source_topics.len(),
            routing.destinations.len(),
            routing.replay.is_none()
        ),
        (1, 1, true)
    );
    // F4 needs the names of all definitions, configured or not.
    assert!(
        routing.known_names.iter().any(|name| name == "Mixpanel"),
        "{:?}",
        routing.known_names
    );
    let aliases: usize = config
        .catalogue
        .iter()
        .map(|definition| definition.aliases.len() + 1)
        .sum();
    assert_eq!(routing.known_names.len(), aliases);
}

#[test]
fn a_small_profile_has_small_epochs_unless_they_are_set() {
    let epoch_bytes = |delivery: &str| {
        let config = good(&format!("{MINIMAL}\ndelivery: {delivery}\n"), &[]);
        assert_eq!(config.delivery.profile, Profile::Small);
        config.delivery.epoch.bytes
    };
    assert_eq!(epoch_bytes("{profile: small}"), 16 << 20);
    assert_eq!(
        epoch_bytes("{profile: small, epoch: {bytes: 5000000}}"),
        5_000_000
    );
}

#[test]
fn every_value_is_read() {
    let text = "
kafka: {brokers: 'a:1, b:2', properties: {client.id: x}, consumer_properties: {fetch.wait.max.ms: 10}, producer_properties: {client.id: y}}
source: {topics: [in, more], group_id: g, start: '2026-01-31T08:00:00+01:00', on_gap: continue, on_undecodable: skip, max_batch_bytes: 2000000, workers: 3}
delivery: {guarantee: at_least_once, epoch: {interval_ms: 5, records: 6, bytes: 7}, shutdown_timeout_ms: 800}
destinations:
  - {use: mixpanel, name: mixpanel-eu, topic: eu, enabled_by_default: false, settings: {token: t}}
  - {use: mixpanel, settings: {token: u}}
  - {use: salesforce, enabled_by_default: true}
records: {format: binary}
dead_letters: {topic: dead, events: false}
traits: {known: [total billed], aliases: {headcount: employees}}
flags: {match: exact}
limits: {record_bytes: 8, nesting: 9, traits: 10}
http: {listen: off}
log: {format: json, level: 'groupcast=debug,warn'}
";
    let config = good(text, &[]);
    assert_eq!(config.kafka.brokers, "a:1,b:2");
    assert_eq!(
        config.kafka.consumer().collect::<Vec<_>>(),
        [("client.id", "x"), ("fetch.wait.max.ms", "10")]
    );
    assert_eq!(
        config.kafka.producer().collect::<Vec<_>>(),
        [("client.id", "x"), ("client.id", "y")]
    );
    assert_eq!(
        (
            config.source.topics.join("+").as_str(),
            config.source.group_id.as_str()
        ),
        ("in+more", "g")
    );
    assert_eq!(
        (config.source.start, config.source.on_gap),
        (Start::Time(1_769_842_800_000), OnGap::Continue)
    );
    assert_eq!(
        (config.source.on_undecodable, config.source.max_batch_bytes),
        (OnUndecodable::Skip, 2_000_000)
    );
    assert_eq!(config.source.workers, 3);
    let epoch = EpochBounds {
        interval: Duration::from_millis(5),
        records: 6,
        bytes: 7,
    };
    assert_eq!(
        (config.delivery.epoch, config.delivery.shutdown_timeout),
        (epoch, Duration::from_millis(800))
    );
    let instances: Vec<_> = config
        .destinations
        .iter()
        .map(|instance| (instance.name.as_str(), instance.is_named))
        .collect();
    assert_eq!(
        instances,
        [
            ("mixpanel-eu", true),
            ("mixpanel", false),
            ("salesforce", false)
        ]
    );
    assert_eq!(config.destinations[0].topic.as_deref(), Some("eu"));
    assert_eq!(config.destinations[0].enabled_by_default, Some(false));
    assert_eq!(
        (config.format, config.flags),
        (Format::Binary, FlagMatch::Exact)
    );
    assert_eq!(
        (
            config.dead_letters.topic.as_deref(),
            config.dead_letters.events
        ),
        (Some("dead"), false)
    );
    assert_eq!(
        config.limits,
        Limits {
            record_bytes: 8,
            nesting: 9,
            traits: 10,
            suspicious_ids: SuspiciousIds::Count,
        }
    );
    assert_eq!(config.http, None);
    assert_eq!(
        config.log,
        Log {
            format: LogFormat::Json,
            level: "groupcast=debug,warn".to_owned()
        }
    );
    let shown = format!("{:?}", config.traits);
    assert!(
        shown.contains("total billed") && shown.contains("headcount"),
        "{shown}"
    );
}

#[test]
fn the_environment_goes_over_the_file_and_flags_over_both() {
    let environment = [
        ("GROUPCAST__KAFKA__BROKERS", "env:1,env:2"),
        ("GROUPCAST__SOURCE__TOPICS", "a, b"),
        ("GROUPCAST__SOURCE__WORKERS", "2"),
        ("GROUPCAST__DEAD_LETTERS__EVENTS", "false"),
        ("GROUPCAST__HTTP__LISTEN", "off"),
        ("GROUPCAST__KAFKA__PROPERTIES__CLIENT__ID", "e"),
        ("GROUPCAST__LOG__LEVEL", ""),
    ];
    let text = MINIMAL.replace("b:9092", "file:1");
    let (config, _) = load(
        &text,
        &environment,
        &[("source.workers", "4"), ("kafka.properties.linger.ms", "7")],
    )
    .unwrap();
    assert_eq!(config.kafka.brokers, "env:1,env:2");
    assert_eq!(config.source.topics, ["a", "b"]);
    assert_eq!(config.source.workers, 4);
    assert!(!config.dead_letters.events);
    assert_eq!(config.http, None);
    assert_eq!(config.log.level, "info");
    assert_eq!(
        config.kafka.producer().collect::<Vec<_>>(),
        [("client.id", "e"), ("linger.ms", "7")]
    );
}

#[test]
fn e14_the_place_of_events_is_of_all_topics_or_of_each() {
    let at = |written: &str| {
        let text = MINIMAL.replace("topics:", &format!("event_at: {written}, topics:"));
        let (config, _) = load(&text, &[("GROUPCAST__SOURCE__TOPICS", "a.b,c")], &[]).unwrap();
        let places = config.routing().event_at;
        places
            .iter()
            .map(|(topic, place)| format!("{topic} {place}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(at("/data"), ["a.b /data", "c /data"]);
    assert_eq!(at("{ a.b: /x/y }"), ["a.b /x/y"]);
    assert_eq!(at("\"\""), ["a.b \"\"", "c \"\""]);
    assert_eq!(at(""), [""; 0]);
}

#[test]
fn faults_of_values() {
    let rows = [
        (
            "source: {topics: []}",
            "g.yaml:1:18: error: source.topics must not be empty",
        ),
        (
            "source: {topics: {a: b}}",
            "g.yaml:1:18: error: source.topics must be a list of strings, not a mapping",
        ),
        (
            "source: {topics: [a, a]}",
            "g.yaml:1:22: error: source.topics has it twice: a",
        ),
        (
            "source: {topics: [^a.*]}",
            "g.yaml:1:19: error: source.topics are literal names, not patterns: ^a.*\n  hint: write every topic out, so that its outputs are known at the start",
        ),
        (
            "source: {topics: a/b}",
            "g.yaml:1:18: error: not a legal topic name: a/b\n  hint: a topic name has 1 to 249 letters, digits, `.`, `_` and `-`",
        ),
        (
            "source: {topics: [in], event_at: data}",
            "g.yaml:1:34: error: source.event_at must be a JSON Pointer, not: data\n  hint: write /data, or /payload/event; \"\" for a value that is a string of JSON",
        ),
        (
            "source: {topics: [in], event_at: {im: /data}}",
            "g.yaml:1:35: error: source.event_at: not a source topic: im",
        ),
        (
            "source: {topics: [in], event_at: {in: [a]}}",
            "g.yaml:1:39: error: source.event_at.in must be a JSON Pointer, not: a list\n  hint: write /data, or /payload/event; \"\" for a value that is a string of JSON",
        ),
        (
            "source: {topics: [in], format: avro}",
            "g.yaml:1:32: error: source.format must be one of json, json_schema, not: avro",
        ),
        (
            "source: {topics: [in], group_id: ' '}",
            "g.yaml:1:34: error: must not be empty: source.group_id",
        ),
        (
            "source: {topics: [in], start: 2026-01-31}",
            "g.yaml:1:31: error: source.start must be earliest, latest or a time, not: 2026-01-31\n  hint: write a time with its offset: 2026-01-31T08:00:00Z",
        ),
        (
            "source: {topics: [in], on_gap: contine}",
            "g.yaml:1:32: error: source.on_gap must be one of stop, continue, not: contine\n  hint: did you mean: continue",
        ),
        (
            "source: {topics: [in], on_undecodable: stop}",
            "g.yaml:1:40: error: source.on_undecodable must be one of hold, skip, not: stop",
        ),
        (
            "source: {topics: [in], max_batch_bytes: 1000}",
            "g.yaml:1:41: error: source.max_batch_bytes must be a whole number from 1048576 to 333000000, not: 1000",
        ),
        (
            "source: {topics: [in], workers: 0}",
            "g.yaml:1:33: error: source.workers must be a whole number from 1 to 1024, not: 0",
        ),
        (
            "source: {topics: [in], workers: [1]}",
            "g.yaml:1:33: error: source.workers must be a whole number from 1 to 1024, not: a list",
        ),
        (
            "kafka: {brokers: 'a:1,,b:1'}",
            "g.yaml:1:18: error: kafka.brokers must be addresses, comma separated: host:port,host:port",
        ),
        ("kafka: {}", "g.yaml:1:8: error: missing key: kafka.brokers"),
        (
            "kafka: [a]",
            "g.yaml:1:8: error: kafka must be a mapping, not a list\ng.yaml:1:8: error: missing key: kafka.brokers",
        ),
        (
            "delivery: {guarantee: at_least_one}",
            "g.yaml:1:23: error: delivery.guarantee must be one of at_least_once, exactly_once, not: at_least_one\n  hint: did you mean: at_least_once",
        ),
        (
            "delivery: {epoch: {interval_ms: 1.5}}",
            "g.yaml:1:33: error: delivery.epoch.interval_ms must be a whole number from 1 to 10000, not: 1.5",
        ),
        (
            "delivery: {shutdown_timeout_ms: -1}",
            "g.yaml:1:33: error: delivery.shutdown_timeout_ms must be a whole number from 100 to 3600000, not: -1",
        ),
        (
            "delivery: {epoch: {record: 1}}",
            "g.yaml:1:20: error: unknown key: delivery.epoch.record\n  hint: did you mean: records",
        ),
        (
            "records: {format: cloudevents}",
            "g.yaml:1:19: error: records.format must be one of structured, binary, body, not: cloudevents",
        ),
        (
            "dead_letters: {events: 'yes'}",
            "g.yaml:1:24: error: dead_letters.events must be true or false, not a string",
        ),
        (
            "traits: {known: [x, name]}",
            "g.yaml:1:21: error: traits: means name already: name",
        ),
        (
            "traits: {known: [x, y, X]}",
            "g.yaml:1:24: error: traits: means x already: X",
        ),
        (
            "traits: {aliases: {Email: name}}",
            "g.yaml:1:20: error: traits: means email already: Email",
        ),
        (
            "traits: {aliases: [a]}",
            "g.yaml:1:19: error: traits.aliases must be a mapping, not a list\n  hint: write `alias: trait`",
        ),
        (
            "traits: {aliases: {a: }}",
            "g.yaml:1:21: error: traits.aliases.a must be a trait's name, not null",
        ),
        (
            "traits: {types: [a]}",
            "g.yaml:1:17: error: traits.types must be a mapping, not a list\n  hint: write `trait: date`",
        ),
        (
            "traits: {types: {a: dat}}",
            "g.yaml:1:21: error: traits.types.a must be one of date, number, text, not: dat\n  hint: did you mean: date",
        ),
        (
            "traits: {types: {a: date, A: text}}",
            "g.yaml:1:27: error: traits.types: has a type already: A",
        ),
        (
            "traits: {types: {Employees: text}}",
            "g.yaml:1:18: error: traits.types: has a type already: Employees",
        ),
        (
            "traits: {types: {city: text}}",
            "g.yaml:1:18: error: traits.types: has a type already: city",
        ),
        (
            "flags: {match: folded}",
            "g.yaml:1:16: error: flags.match must be one of fold, exact, not: folded\n  hint: did you mean: fold",
        ),
        (
            "limits: {traits: many}",
            "g.yaml:1:18: error: limits.traits must be a whole number from 1 to 1000000, not: many",
        ),
        (
            "consent: {missing: denied}",
            "g.yaml:1:20: error: consent.missing must be one of allow, deny, not: denied\n  hint: did you mean: deny",
        ),
        (
            "destinations: [{use: webhook, consent: [{a: b}]}]",
            "g.yaml:1:41: error: destinations[0].consent must be a list of strings, not a mapping",
        ),
        (
            "destinations: [{use: webhook, when: '${traits.plan | uper}'}]",
            "g.yaml:1:54: error: unknown filter: uper\n  hint: did you mean: upper",
        ),
        (
            "destinations: [{use: webhook, when: ['${cleared}', {a: b}]}]",
            "g.yaml:1:41: error: there are no properties here: cleared\n  hint: write properties: beside operations:, and use it in operations only\ng.yaml:1:52: error: expected a string, not a mapping",
        ),
        (
            "limits: {suspicious_ids: drop}",
            "g.yaml:1:26: error: limits.suspicious_ids must be one of count, reject, not: drop",
        ),
        (
            "http: {listen: localhost}",
            "g.yaml:1:16: error: http.listen must be an address and a port, or off, not: localhost\n  hint: write 127.0.0.1:9464, or 0.0.0.0:9464 to be seen from elsewhere",
        ),
        (
            "dead_letters: {topic: {source_topic}}",
            "g.yaml:1:23: error: dead_letters.topic must be a string, not a mapping",
        ),
        (
            "definitions: [a]",
            "g.yaml:1:14: error: definitions must be a string, not a list",
        ),
        (
            "log: {format: xml}",
            "g.yaml:1:15: error: log.format must be one of text, json, not: xml",
        ),
        (
            "log: {level: 'groupcast=loud'}",
            "g.yaml:1:14: error: log.level is not a level: groupcast=loud\n  hint: write off, error, warn, info, debug or trace, or levels by module: groupcast=debug,warn",
        ),
        (
            "log: {level: warning}",
            "g.yaml:1:14: error: log.level is not a level: warning\n  hint: did you mean: warn",
        ),
        (
            "logs: {}",
            "g.yaml:1:1: error: unknown key: logs\n  hint: did you mean: log",
        ),
        ("a: {", "g.yaml:2:1: error: not valid YAML"),
    ];
    for (more, expected) in rows {
        let text = with(more);
        let found = told(&text, &[]);
        assert!(
            found == expected || more == "a: {" && found.contains("not valid YAML"),
            "{more}\n{found}\n-- expected\n{expected}"
        );
    }
    assert_eq!(
        told("", &[]),
        "g.yaml:1:1: error: missing key: kafka.brokers\ng.yaml:1:1: error: missing key: source.topics\ng.yaml:1:1: error: missing key: destinations"
    );
    assert!(
        told("[a]", &[]).starts_with("g.yaml:1:1: error: the file must be a mapping, not a list")
    );
}

#[test]
fn every_fault_is_reported_at_once_and_names_its_origin() {
    let text = "kafka:\n  broker: a\nsource:\n  topics: [in]\n  workers: none\ndestinations:\n  - use: mixpanel\n  - use: hubspt\n";
    let environment = [
        ("GROUPCAST__LIMITS__NESTING", "deep"),
        ("GROUPCAST__KAFCA__BROKERS", "x"),
        ("GROUPCAST__SOURCE__TOPICS", "^a"),
    ];
    let found = load(text, &environment, &[("log.format", "xml")])
        .err()
        .unwrap();
    assert_eq!(
        lines(&found),
        [
            "g.yaml:2:3: error: missing key: kafka.brokers",
            "g.yaml:2:3: error: unknown key: kafka.broker\n  hint: did you mean: brokers",
            "g.yaml:5:12: error: source.workers must be a whole number from 1 to 1024, not: none",
            "g.yaml:7:5: error: missing setting: token\n  hint: token: Project token.",
            "g.yaml:8:10: error: no such definition: hubspt\n  hint: did you mean: hubspot",
            "environment GROUPCAST__KAFCA__BROKERS: error: unknown key: kafca\n  hint: did you mean: kafka",
            "environment GROUPCAST__LIMITS__NESTING: error: limits.nesting must be a whole number from 1 to 1000, not: deep",
            "environment GROUPCAST__SOURCE__TOPICS: error: source.topics are literal names, not patterns: ^a\n  hint: write every topic out, so that its outputs are known at the start",
            "command line log.format: error: log.format must be one of text, json, not: xml",
        ]
    );
}

#[test]
fn faults_of_destinations() {
    let rows = [
        (
            "destinations: {use: webhook}",
            "g.yaml:1:15: error: destinations must be a list, not a mapping\n  hint: begin each with `- use:` and a definition's id",
        ),
        (
            "destinations: []",
            "g.yaml:1:15: error: destinations must not be empty",
        ),
        (
            "destinations: [{name: a}]",
            "g.yaml:1:16: error: missing key: destinations[0].use",
        ),
        (
            "destinations: [webhook]",
            "g.yaml:1:16: error: destinations[0] must be a mapping, not a string\ng.yaml:1:16: error: missing key: destinations[0].use",
        ),
        (
            "destinations: [{use: web_hook}]",
            "g.yaml:1:22: error: no such definition: web_hook\n  hint: did you mean: webhook",
        ),
        (
            "destinations: [{use: webhook, names: x}]",
            "g.yaml:1:31: error: unknown key: destinations[0].names\n  hint: did you mean: name",
        ),
        (
            "destinations: [{use: webhook}, {use: hubspot}, {use: webhook}]",
            "g.yaml:1:54: error: two destinations have one name, the first on line 1: webhook\n  hint: tell them apart with `name:`",
        ),
        (
            "destinations: [{use: webhook, name: a b}]",
            "g.yaml:1:37: error: a destination's name is made of letters, digits, `.`, `_` and `-`, as its topic is: a b",
        ),
        // K1
        (
            "destinations: [{use: webhook, topic: in}]",
            "g.yaml:1:38: error: the output of webhook is also a source topic: in\n  hint: what leaves would be read again: choose another topic",
        ),
        (
            "destinations: [{use: webhook, topic: '{topic}.x'}]",
            "g.yaml:1:38: error: not a legal topic name: {topic}.x\n  hint: placeholders are {source_topic} and, for a destination, {instance}",
        ),
        (
            "destinations: [{use: webhook, topic: out}, {use: hubspot, topic: out}]",
            "g.yaml:1:66: warning: webhook and hubspot share one topic: out\n  hint: a topic of its own lets each be sent at its own pace",
        ),
        (
            "destinations: [{use: webhook, topic: in.dead}]",
            "g.yaml:1:1: error: dead letters and webhook share one topic: in.dead\n  hint: give dead letters a topic of their own: dead_letters.topic",
        ),
        (
            "dead_letters: {topic: in}",
            "g.yaml:1:23: error: the output of dead_letters is also a source topic: in\n  hint: what leaves would be read again: choose another topic",
        ),
        (
            "dead_letters: {topic: in.webhook}",
            "g.yaml:1:23: error: dead letters and webhook share one topic: in.webhook\n  hint: give dead letters a topic of their own: dead_letters.topic",
        ),
        (
            "dead_letters: {topic: 'dead.{instance}'}",
            "g.yaml:1:23: error: not a legal topic name: dead.{instance}\n  hint: placeholders are {source_topic} and, for a destination, {instance}",
        ),
        // F2
        (
            "destinations: [{use: salesforce}]",
            "g.yaml:1:22: warning: only events whose `integrations` name it reach this opt-in destination: Salesforce\n  hint: write `enabled_by_default: true` beside it to include every event",
        ),
        (
            "destinations: [{use: salesforce, enabled_by_default: false}]",
            "",
        ),
        (
            "destinations: [{use: salesforce, enabled_by_default: true}]",
            "",
        ),
        (
            "source: {topics: [in, in.webhook]}",
            "g.yaml:3:22: error: the output of webhook is also a source topic: in.webhook\n  hint: what leaves would be read again: choose another topic",
        ),
    ];
    for (more, expected) in rows {
        let text = with(more);
        assert_eq!(told(&text, &[]), expected, "{text}");
    }
}

#[test]
fn rules_of_traits_are_read_and_their_faults_told() {
    let one = |traits: &str| {
        with(&format!(
            "destinations: [{{use: webhook, traits: {traits}}}]"
        ))
    };
    let salted = [("SALT", "sixteen characters"), ("SHORT", "too short")];
    let config = good(
        &one("{allow: [name], deny: email, hash: [phone, address.city], salt: {env: SALT}}"),
        &salted,
    );
    let rules = &config.destinations[0].traits;
    assert_eq!(rules.allow.as_deref(), Some(["name".to_owned()].as_slice()));
    assert_eq!(
        (rules.deny.as_slice(), rules.hash.len()),
        (["email".to_owned()].as_slice(), 2)
    );
    assert_eq!(rules.salt, "sixteen characters");
    assert!(!format!("{:?}", config.destinations).contains("sixteen"));
    let rows = [
        (
            "{hash: email}",
            "missing: destinations[0].traits.salt\n  hint: a hash without one is undone",
        ),
        (
            "{hash: email, salt: in the clear of this file}",
            "destinations[0].traits.salt must be a secret\n  hint: write { file: PATH }",
        ),
        (
            "{hash: email, salt: {env: SHORT}}",
            "destinations[0].traits.salt must have 16 characters at least",
        ),
        (
            "{deny: email, hash: E-Mail, salt: {env: SALT}}",
            "destinations[0].traits.hash: two rules for one trait: E-Mail",
        ),
        ("{deny: [email, email]}", "two rules for one trait: email"),
        (
            "{denied: email}",
            "unknown key: destinations[0].traits.denied",
        ),
        ("email", "destinations[0].traits must be a mapping"),
        (
            "{deny: {a: b}}",
            "destinations[0].traits.deny must be a list of strings",
        ),
    ];
    for (traits, expected) in rows {
        let told = told(&one(traits), &salted);
        assert!(told.contains(expected), "{traits}: {told}");
        assert!(
            !told.contains("sixteen characters") && !told.contains("too short"),
            "{told}"
        );
    }
}

#[test]
fn topic_names_have_kafkas_limits() {
    let long = "a".repeat(249);
    for topic in [long.as_str(), "a", "A.b_c-9", "..."] {
        assert!(destinations::is_legal_topic(topic), "{topic}");
    }
    for topic in [format!("{long}a").as_str(), "", ".", "..", "a b", "ä"] {
        assert!(!destinations::is_legal_topic(topic), "{topic}");
    }
    let found = told(&with(&format!("source: {{topics: [{long}]}}")), &[]);
    assert!(
        found.contains("not a legal topic name: aaa") && found.contains("a.webhook"),
        "{found}"
    );
}

#[test]
fn a_secret_is_read_and_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml").display().to_string();
    fs::write(folder.path().join("password"), "hunter2\"file\n").unwrap();
    let text = "kafka: {brokers: {env: BROKERS}, properties: {sasl.password: {file: password}, client.id: {env: ID}}}\n\
                source: {topics: [in]}\ndestinations: [{use: mixpanel, settings: {token: {env: TOKEN}}}]";
    let environment = pairs(&[
        ("BROKERS", "hunter2-a:1"),
        ("ID", "hunter2-id"),
        ("TOKEN", "hunter2-token"),
    ]);
    let (config, _) = Config::from_text(&file, text, &environment, &[])
        .map_err(|found| lines(&found))
        .unwrap();
    assert_eq!(config.kafka.brokers, "hunter2-a:1");
    assert_eq!(
        config.kafka.properties.get("sasl.password"),
        Some("hunter2\"file")
    );
    assert_eq!(config.kafka.properties.get("client.id"), Some("hunter2-id"));
    for shown in [
        format!("{config:?}"),
        format!("{config:#?}"),
        format!("{:?}", config.kafka.properties),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("(secret)"), "{shown}");
    }

    // As an editor leaves a file: with an end of line, of which one is not part of the secret.
    for (written, secret) in [
        ("p", "p"),
        ("p\n", "p"),
        ("p\r\n", "p"),
        ("p\n\n", "p\n"),
        (" p", " p"),
    ] {
        fs::write(folder.path().join("password"), written).unwrap();
        let (config, _) = Config::from_text(&file, text, &environment, &[])
            .map_err(|found| lines(&found))
            .unwrap();
        assert_eq!(
            config.kafka.properties.get("sasl.password"),
            Some(secret),
            "{written:?}"
        );
    }

    // A fault in a secret says where, not what.
    let text = MINIMAL
        .replace("[in]", "[{env: TOPIC}], on_gap: {env: GAP}")
        .replace(
            "b:9092",
            "b:9092, properties: {acks: {env: ACKS}, fetch.min.bytes: {env: GAP}}",
        );
    let found = told(
        &text,
        &[
            ("TOPIC", "hunter 2"),
            ("GAP", "hunter-3"),
            ("ACKS", "hunter_4"),
        ],
    );
    assert_eq!(found.matches(": error: ").count(), 4, "{found}");
    assert!(!found.contains("hunter"), "{found}");
}

#[test]
fn a_secret_that_leads_nowhere_is_named_and_nothing_else_is_said_of_it() {
    let rows = [
        (
            "source: {topics: [{env: NONE}]}",
            "g.yaml:1:25: error: no such environment variable: NONE",
        ),
        (
            "source: {topics: [{env: EMPTY}]}",
            "g.yaml:1:25: error: the environment variable is empty: EMPTY",
        ),
        (
            "kafka: {brokers: {env: }}",
            "g.yaml:1:22: error: the secret's env must be a string, not null",
        ),
        (
            "kafka: {brokers: {env: A, file: b}}",
            "g.yaml:1:18: error: a secret is either a file or a variable, not both",
        ),
        (
            "kafka: {brokers: {env: A, x: b}}",
            "g.yaml:1:18: error: kafka.brokers must be addresses, comma separated: host:port,host:port",
        ),
        (
            "kafka: {brokers: {file: none/there}}",
            "g.yaml:1:25: error: cannot read the secret's file (No such file or directory (os error 2)): none/there",
        ),
        // Where a mapping belongs, its keys may have any name.
        ("traits: {aliases: {env: plan}}", ""),
        (
            "kafka: {brokers: b, properties: {file: a}}",
            "g.yaml:1:34: error: librdkafka has no such property: kafka.properties.file\n  hint: librdkafka's CONFIGURATION.md lists what there is",
        ),
    ];
    for (more, expected) in rows {
        assert_eq!(told(&with(more), &[("EMPTY", "")]), expected, "{more}");
    }
}

#[test]
fn f4_names_that_differ_only_in_spelling_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let definition = "about: A test.\nmembership: many\nnulls: keep\noperations: [{ id: a, request: POST /, body: { a: 1 } }]\n";
    for (file, names) in [
        ("acme", "name: Acme CRM"),
        ("other", "name: Other\naliases: [ACME-CRM]"),
        ("third", "name: Acme CRM"),
    ] {
        std::fs::write(
            folder.path().join(format!("{file}.yaml")),
            format!("{names}\n{definition}"),
        )
        .unwrap();
    }
    let spelled = |destinations: &str, flags: &str| {
        let text = with(&format!("destinations: {destinations}"));
        let folder = folder.path().display();
        told(
            &format!("{text}definitions: {folder}\nflags: {flags}\n"),
            &[],
        )
    };
    let rows = [
        // Two definitions' names, and two of one definition's instances, which F6 means together.
        (
            "[{use: acme}, {use: other}]",
            "g.yaml:1:35: warning: a flag may mean both acme and other: Acme CRM, ACME-CRM\n  hint: the flag `Acme CRM` decides for acme, `ACME-CRM` for other, any other spelling for both",
        ),
        ("[{use: acme}, {use: acme, name: second}]", ""),
        // An instance's name is by fold the others' still.
        (
            "[{use: acme}, {use: other, name: acme.crm}]",
            "g.yaml:1:48: warning: a flag may mean both acme and acme.crm: Acme CRM, acme.crm\n  hint: the flag `Acme CRM` decides for acme, `acme.crm` for both, any other spelling for both",
        ),
        (
            "[{use: webhook, name: eu-1}, {use: webhook, name: eu.1}]",
            "g.yaml:1:65: warning: a flag may mean both eu-1 and eu.1: eu-1, eu.1\n  hint: the flag `eu-1` decides for both, `eu.1` for both, any other spelling for both",
        ),
        // An instance named as its own definition is.
        ("[{use: acme, name: acme-crm}]", ""),
    ];
    for (destinations, expected) in rows {
        assert_eq!(
            spelled(destinations, "{match: fold}"),
            expected,
            "{destinations}"
        );
        assert_eq!(
            spelled(destinations, "{match: exact}"),
            "",
            "{destinations}"
        );
    }
    // What is one name to the letter no setting tells apart.
    let expected = "g.yaml:1:35: warning: a flag may mean both acme and third: Acme CRM, Acme CRM\n  hint: one of them needs another name, if each is to have flags of its own";
    assert_eq!(
        spelled("[{use: acme}, {use: third}]", "{match: fold}"),
        expected
    );
    assert_eq!(
        spelled("[{use: acme}, {use: third}]", "{match: exact}"),
        expected
    );
}

#[test]
fn definitions_of_a_folder_come_with_their_diagnostics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml").display().to_string();
    let text = with("definitions: more");
    let told = |text: &str| match Config::from_text(&file, text, &[], &[]) {
        Ok((config, warnings)) => (
            config.catalogue.get("own").is_some(),
            lines(&warnings).join("\n"),
        ),
        Err(found) => (false, lines(&found).join("\n")),
    };
    let more = folder.path().join("more");
    assert_eq!(
        told(&text),
        (
            false,
            format!(
                "{file}:1:14: error: cannot read the folder of definitions (No such file or directory (os error 2)): {}",
                more.display()
            )
        )
    );
    fs::create_dir(&more).unwrap();
    let warning = format!(
        "{file}:1:14: warning: no definitions (*.yaml) in the folder: {}",
        more.display()
    );
    assert_eq!(told(&text), (false, warning));
    let webhook = include_str!("../../crates/core/destinations/webhook.yaml");
    fs::write(more.join("own.yaml"), webhook).unwrap();
    fs::write(more.join(".hidden.yaml"), "bad").unwrap();
    fs::write(more.join("read.me"), "bad").unwrap();
    assert_eq!(told(&text), (true, String::new()));
    assert_eq!(
        told(&text.replace("use: webhook", "use: own")),
        (true, String::new())
    );
    fs::write(more.join("worse.yaml"), "bad").unwrap();
    let (_, found) = told(&text);
    assert!(
        found.starts_with(&format!("{}:", more.join("worse.yaml").display())),
        "{found}"
    );
}

#[test]
fn load_reads_the_file_and_says_if_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("g.yaml");
    let found = Config::load(&file, &[]).err().unwrap();
    assert_eq!(
        lines(&found),
        [format!(
            "{}: error: cannot be read: No such file or directory (os error 2)",
            file.display()
        )]
    );
    fs::write(&file, MINIMAL).unwrap();
    let (config, _) = Config::load(&file, &pairs(&[("source.group_id", "other")])).unwrap();
    assert_eq!(config.source.group_id, "other");
}

/// Its writer may never come, and a reload would wait for it.
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.yaml");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let found = Config::load(&pipe, &[]).err().unwrap();
    assert_eq!(
        lines(&found),
        [format!(
            "{}: error: cannot be read: not a regular file",
            pipe.display()
        )]
    );
    let file = folder.path().join("g.yaml");
    let text = MINIMAL.replace(
        "kafka: {",
        "kafka: { properties: { sasl.password: { file: pipe.yaml } },",
    );
    fs::write(&file, format!("{text}\ndefinitions: .\n")).unwrap();
    let found = lines(&Config::load(&file, &[]).err().unwrap());
    assert!(
        found
            .iter()
            .any(|line| line.contains("cannot read the secret's file (not a regular file)")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|line| line.contains("cannot read the definition (not a regular file)")),
        "{found:?}"
    );
}

/// The sample shows every key, and each with its default.
#[test]
fn the_sample_is_sound_and_says_the_defaults() {
    let sample = include_str!("../../deploy/groupcast.yaml");
    let environment = [("MIXPANEL_TOKEN", "t")];
    let (config, warnings) = load(sample, &environment, &[])
        .map_err(|found| lines(&found))
        .unwrap();
    assert!(
        warnings
            .iter()
            .all(|warning| warning.message.contains("opt-in")),
        "{:#?}",
        lines(&warnings)
    );
    let minimal = MINIMAL
        .replace("b:9092", "localhost:9092")
        .replace("[in]", "[group-events]");
    let minimal = minimal.replace("use: webhook", "use: mixpanel, settings: {token: t}");
    let same = |config: &Config| {
        let Config {
            kafka,
            source,
            delivery,
            format,
            flags,
            limits,
            http,
            log,
            traits,
            ..
        } = config;
        let lengths = format!("{traits:?}").len();
        format!(
            "{kafka:?} {source:?} {delivery:?} {format:?} {flags:?} {limits:?} {http:?} {log:?} {lengths}"
        )
    };
    assert_eq!(same(&config), same(&good(&minimal, &[])));
    assert_eq!(
        config.dead_letters.topic.as_deref(),
        Some("{source_topic}.dead")
    );
    assert_eq!(
        config.destinations[0].topic.as_deref(),
        Some("{source_topic}.{instance}")
    );
    let router = Router::new(config.routing()).unwrap();
    let topics = [
        "mixpanel",
        "salesforce",
        "hubspot",
        "customerio",
        "intercom",
        "webhook",
        "dead",
    ];
    assert_eq!(
        router.topics(),
        topics.map(|name| format!("group-events.{name}"))
    );
    // What is shown in comments must be right too.
    let uncommented = |line: &str| match line.strip_prefix("    # ") {
        Some(example) => format!("    {example}\n"),
        None => format!("{}\n", line.replace(": {}", ":")),
    };
    let uncommented: String = sample.lines().map(uncommented).collect();
    let uncommented = uncommented.replace("{ file: /run/secrets/kafka-password }", "x");
    for shown in [
        "\n    sasl.password: x",
        "\n    group.instance.id:",
        "\n    compression.type:",
        "\n    headcount:",
    ] {
        assert!(uncommented.contains(shown), "{shown}");
    }
    let found = told(&uncommented, &environment);
    assert!(!found.contains(": error: "), "{found}");
}
