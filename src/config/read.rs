//! Reads the merged tree, section by section. Each reader reports what is wrong and goes on with the default.

use std::net::SocketAddr;
use std::path::Path;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::destinations::{self, Placed};
use crate::config::fields::{filled, milliseconds, section, strings, text, whole};
use crate::config::place::event_at;
use crate::config::properties::Properties;
use crate::config::traits;
use crate::config::{
    Config, Delivery, EpochBounds, Guarantee, Kafka, Log, LogFormat, MAX_BATCH_BYTES, OnGap,
    OnUndecodable, Profile, Source, Start,
};
use crate::consent;
use crate::diagnostic::{Diagnostics, Place, nearest};
use crate::envelope::Format;
use crate::event::{Limits, SourceFormat, SuspiciousIds};
use crate::flags::FlagMatch;
use crate::router::DeadLetterRules;
use crate::yaml::{self, Fields, Node, Value};

/// Reads the whole tree. The result is only good if `diagnostics` has no errors.
pub(super) fn config(tree: &Node, folder: &Path, diagnostics: &mut Diagnostics) -> Config {
    let mut fields = Fields::new(tree, "", diagnostics);
    let kafka = kafka(&mut fields, diagnostics);
    let source = source(&mut fields, diagnostics);
    let delivery = delivery(&mut fields, diagnostics);
    let catalogue = destinations::catalogue(
        text(&mut fields, "definitions", diagnostics),
        folder,
        diagnostics,
    );
    let placed: Vec<Placed> = match fields.node("destinations") {
        Some(node) => destinations::instances(node, &catalogue, diagnostics),
        None => {
            fields.missing("destinations", diagnostics);
            Vec::new()
        }
    };
    let format = format(&mut fields, diagnostics);
    let (dead_letters, dead_letter_place) = dead_letters(&mut fields, diagnostics);
    destinations::check_topics(
        &source.topics,
        &placed,
        (&dead_letters, dead_letter_place),
        diagnostics,
    );
    let traits = traits::vocabulary(&mut fields, diagnostics);
    let flags = flags(&mut fields, diagnostics);
    destinations::check_flags(&placed, &catalogue, flags, diagnostics);
    let missing_consent = missing_consent(&mut fields, diagnostics);
    let limits = limits(&mut fields, diagnostics);
    let http = http(&mut fields, diagnostics);
    let log = log(&mut fields, diagnostics);
    fields.finish(diagnostics);
    Config {
        kafka,
        source,
        delivery,
        catalogue,
        destinations: destinations::into_instances(placed),
        format,
        dead_letters,
        traits,
        flags,
        missing_consent,
        limits,
        http,
        log,
        credentials: Vec::new(),
        secrets: Vec::new(),
    }
}

fn kafka(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Kafka {
    let mut fields = section(fields, "kafka", diagnostics);
    let brokers = match fields.node("brokers") {
        Some(node) => brokers(node, diagnostics),
        None => {
            fields.missing("brokers", diagnostics);
            String::new()
        }
    };
    let mut properties =
        |key| Properties::read(fields.node(key), &fields.name_of(key), diagnostics);
    let properties_of = (
        properties("properties"),
        properties("consumer_properties"),
        properties("producer_properties"),
    );
    fields.finish(diagnostics);
    let (properties, consumer_properties, producer_properties) = properties_of;
    Kafka {
        brokers,
        client_id: None,
        properties,
        consumer_properties,
        producer_properties,
    }
}

fn brokers(node: &Node, diagnostics: &mut Diagnostics) -> String {
    let written = yaml::strings(node).unwrap_or_default().join(",");
    let brokers: Vec<&str> = written.split(',').map(str::trim).collect();
    if brokers.contains(&"") {
        diagnostics.error(
            node.place,
            "kafka.brokers must be addresses, comma separated: host:port,host:port",
        );
    }
    brokers.join(",")
}

fn source(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Source {
    let mut fields = section(fields, "source", diagnostics);
    let topics = source_topics(&mut fields, diagnostics);
    let event_at = fields
        .node("event_at")
        .filter(|node| !node.is_null())
        .map(|node| event_at(node, &topics, diagnostics))
        .unwrap_or_default();
    let format = fields.choice("format", SourceFormat::WORDS, diagnostics);
    let (group_id, _) = filled(&mut fields, "group_id", "groupcast", diagnostics);
    let start = fields
        .node("start")
        .map_or(Start::Earliest, |node| start(node, diagnostics));
    let on_gap = fields.choice(
        "on_gap",
        &[("stop", OnGap::Stop), ("continue", OnGap::Continue)],
        diagnostics,
    );
    let words = &[("hold", OnUndecodable::Hold), ("skip", OnUndecodable::Skip)];
    let on_undecodable = fields
        .choice("on_undecodable", words, diagnostics)
        .unwrap_or(OnUndecodable::Hold);
    let max_batch_bytes = whole(
        &mut fields,
        "max_batch_bytes",
        MAX_BATCH_BYTES,
        1_048_576..=333_000_000,
        diagnostics,
    );
    let workers = whole(&mut fields, "workers", 1, 1..=1024, diagnostics);
    fields.finish(diagnostics);
    Source {
        topics,
        event_at,
        format: format.unwrap_or_default(),
        group_id,
        start,
        on_gap: on_gap.unwrap_or(OnGap::Stop),
        on_undecodable,
        max_batch_bytes,
        workers,
    }
}

fn source_topics(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let Some(node) = fields.node("topics") else {
        fields.missing("topics", diagnostics);
        return Vec::new();
    };
    if matches!(&node.value, Value::List(nodes) if nodes.is_empty()) {
        diagnostics.error(node.place, "source.topics must not be empty");
    }
    let mut topics: Vec<String> = Vec::new();
    for (topic, place) in strings(node, "source.topics", diagnostics) {
        if topics.contains(&topic) {
            diagnostics.error(place, format!("source.topics has it twice: {topic}"));
        } else if topic.starts_with('^') {
            let message = format!("source.topics are literal names, not patterns: {topic}");
            diagnostics
                .error(place, message)
                .hint("write every topic out, so that its outputs are known at the start");
        } else if !destinations::is_legal_topic(&topic) {
            destinations::report_illegal(&topic, place, diagnostics);
        }
        topics.push(topic);
    }
    topics
}

fn start(node: &Node, diagnostics: &mut Diagnostics) -> Start {
    let written = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
    match (written, written.parse::<jiff::Timestamp>()) {
        ("earliest", _) => Start::Earliest,
        ("latest", _) => Start::Latest,
        (_, Ok(time)) => Start::Time(time.as_millisecond()),
        (_, Err(_)) => {
            let message =
                format!("source.start must be earliest, latest or a time, not: {written}");
            diagnostics
                .error(node.place, message)
                .hint("write a time with its offset: 2026-01-31T08:00:00Z");
            Start::Earliest
        }
    }
}

fn delivery(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Delivery {
    let mut fields = section(fields, "delivery", diagnostics);
    let guarantee = guarantee(&mut fields, diagnostics);
    let profile = fields
        .choice("profile", Profile::WORDS, diagnostics)
        .unwrap_or(Profile::Standard);
    let epoch = epoch(&mut fields, profile, diagnostics);
    let shutdown_timeout = milliseconds(
        &mut fields,
        "shutdown_timeout_ms",
        30_000,
        100..=3_600_000,
        diagnostics,
    );
    fields.finish(diagnostics);
    Delivery {
        guarantee,
        profile,
        epoch,
        shutdown_timeout,
    }
}

fn guarantee(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Guarantee {
    fields
        .choice("guarantee", Guarantee::WORDS, diagnostics)
        .unwrap_or(Guarantee::AtLeastOnce)
}

fn epoch(fields: &mut Fields<'_>, profile: Profile, diagnostics: &mut Diagnostics) -> EpochBounds {
    let mut fields = section(fields, "epoch", diagnostics);
    let bounds = EpochBounds {
        interval: milliseconds(&mut fields, "interval_ms", 100, 1..=10_000, diagnostics),
        records: whole(&mut fields, "records", 100_000, 1..=10_000_000, diagnostics),
        bytes: whole(
            &mut fields,
            "bytes",
            profile.epoch_bytes(),
            1..=1_073_741_824,
            diagnostics,
        ),
    };
    fields.finish(diagnostics);
    bounds
}

fn format(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Format {
    let mut fields = section(fields, "records", diagnostics);
    let format = fields.choice("format", Format::WORDS, diagnostics);
    fields.finish(diagnostics);
    format.unwrap_or_default()
}

fn dead_letters(
    fields: &mut Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> (DeadLetterRules, Place) {
    let mut fields = section(fields, "dead_letters", diagnostics);
    let topic = text(&mut fields, "topic", diagnostics);
    let place = topic.as_ref().map_or(fields.place(), |(_, place)| *place);
    let events = fields.boolean("events", diagnostics).unwrap_or(true);
    fields.finish(diagnostics);
    (
        DeadLetterRules {
            topic: topic.map(|(topic, _)| topic),
            events,
        },
        place,
    )
}

fn flags(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> FlagMatch {
    let mut fields = section(fields, "flags", diagnostics);
    let flag_match = fields.choice("match", FlagMatch::WORDS, diagnostics);
    fields.finish(diagnostics);
    flag_match.unwrap_or_default()
}

fn missing_consent(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> consent::Missing {
    let mut fields = section(fields, "consent", diagnostics);
    let missing = fields.choice("missing", consent::Missing::WORDS, diagnostics);
    fields.finish(diagnostics);
    missing.unwrap_or_default()
}

fn limits(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Limits {
    let mut fields = section(fields, "limits", diagnostics);
    let default = Limits::default();
    let limits = Limits {
        record_bytes: whole(
            &mut fields,
            "record_bytes",
            default.record_bytes,
            1..=1_000_000_000,
            diagnostics,
        ),
        // Deeper ones would use up a worker's stack: what is nested is read by recursion.
        nesting: whole(
            &mut fields,
            "nesting",
            default.nesting,
            1..=1_000,
            diagnostics,
        ),
        traits: whole(
            &mut fields,
            "traits",
            default.traits,
            1..=1_000_000,
            diagnostics,
        ),
        suspicious_ids: fields
            .choice("suspicious_ids", SuspiciousIds::WORDS, diagnostics)
            .unwrap_or_default(),
    };
    fields.finish(diagnostics);
    limits
}

fn http(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<SocketAddr> {
    let mut fields = section(fields, "http", diagnostics);
    let listen = fields.node("listen");
    fields.finish(diagnostics);
    let Some(node) = listen else {
        return Some(SocketAddr::from(([127, 0, 0, 1], 9464)));
    };
    let written = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
    if written == "off" {
        return None;
    }
    let address = written.parse().ok();
    if address.is_none() {
        let message = format!("http.listen must be an address and a port, or off, not: {written}");
        diagnostics
            .error(node.place, message)
            .hint("write 127.0.0.1:9464, or 0.0.0.0:9464 to be seen from elsewhere");
    }
    address
}

fn log(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Log {
    let mut fields = section(fields, "log", diagnostics);
    let format = fields.choice(
        "format",
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
        diagnostics,
    );
    let (level, place) = filled(&mut fields, "level", "info", diagnostics);
    fields.finish(diagnostics);
    // The filter's own parser takes any other word for a module's name, and then says nothing of all else.
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_directive = |part: &str| match part.rsplit_once('=') {
        Some((module, word)) => !module.trim().is_empty() && is_level(word.trim()),
        None => is_level(part.trim()),
    };
    if !level.split(',').all(is_directive) || EnvFilter::try_new(&level).is_err() {
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let hint = "write off, error, warn, info, debug or trace, or levels by module: groupcast=debug,warn";
        let error = diagnostics.error(place, format!("log.level is not a level: {level}"));
        match nearest(&level, levels) {
            Some(near) => error.hint(format!("did you mean: {near}")),
            None => error.hint(hint),
        }
    }
    Log {
        format: format.unwrap_or(LogFormat::Text),
        level,
    }
}
