//! `groupcast demo`: the whole job with nothing installed. A cluster inside the process, sample events, the real worker;
//! then every record that left, read back from its topic, and why the rest did not leave.

mod text;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::report::{Failure, say};
use super::run::start_log;
use crate::config::Config;
use crate::envelope::Emissions;
use crate::http::playground;
use crate::kafka::embedded::EmbeddedCluster;
use crate::kafka::source::bound::Reading;
use crate::kafka::topics::Topics;
use crate::playground::{Playground, Sample};
use crate::record::{Position, Record};
use crate::router::{DefaultLimits, Router, Scratch};
use crate::service::Service;
use crate::verdict::{Observer, Outcome, Verdict};

const CONFIG: &str = include_str!("demo/config.yaml");
const SOURCE: &str = "group-events";

/// The sample events, one a line.
const EVENTS: &str = include_str!("demo/events.jsonl");

/// What each event shows.
const TITLES: &[&str] = &[
    "the example of Segment's spec page: its integrations exclude two destinations",
    "the same traits in other spellings, a flat address, a number as a string",
    "null clears a property, in each API's own way",
    "Salesforce is opt-in, and this event includes it",
    "revenue: a charge on the member's Mixpanel profile",
    "a member known by anonymousId only, and a number as groupId",
    "All: false, and two destinations by name, one of them misspelt",
    "what nothing converts keeps its bytes",
    "a track call on the same topic",
    "an event that was cut off",
    "an event without groupId",
    "traits that are no object",
];

/// Returns the sample events with what each shows.
pub(super) fn samples() -> Vec<Sample> {
    TITLES
        .iter()
        .zip(EVENTS.lines())
        .map(|(title, event)| Sample {
            title,
            event: event.to_owned(),
        })
        .collect()
}

/// How long the demo may take before it says that it failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// Shows the whole job on a broker inside the process: sample events in, what leaves for whom, and why the rest does not
///
/// Needs nothing installed and touches nothing. The worker is the real one.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keep running after the sample events, with the playground, /metrics, /healthz and /readyz over HTTP, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Where --serve listens
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9464",
        requires = "serve"
    )]
    listen: SocketAddr,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cluster = EmbeddedCluster::start(1).context("the embedded cluster cannot start")?;
    let config = Arc::new(config(&cluster.brokers())?);
    start_log(&config.log)?;
    let router = Router::new(config.routing())?;
    cluster
        .create_topic(SOURCE, 1)
        .context("creating a topic")?;
    for topic in router.topics() {
        cluster.create_topic(topic, 1).context("creating a topic")?;
    }
    let events: Vec<Told<'_>> = (0..)
        .zip(EVENTS.lines())
        .zip(TITLES)
        .map(|((offset, event), title)| tell(&router, offset, event, title))
        .collect();
    let names: Vec<String> = router.destination_names().map(str::to_owned).collect();
    let topic_names = router.topics().to_vec();
    produce(&config.kafka.brokers)?;

    let mut service = Service::start(
        Arc::clone(&config),
        router,
        Topics::assume(&topic_names),
        Reading::Live,
    )?;
    let left = read_back(
        &config.kafka.brokers,
        &topic_names,
        events.iter().map(|told| told.n_records).sum(),
    )?;
    text::write(
        &events,
        &names,
        &left,
        io::stdout().is_terminal(),
        &mut io::stdout().lock(),
    )?;
    if arguments.serve {
        let playground = Playground::of_routing(config.routing(), samples());
        service.serve(arguments.listen, playground::routes(playground))?;
        keep_up(&service, &config.kafka.brokers)?;
    } else {
        service.stop();
    }
    service.wait().map(drop).map_err(Failure::from)
}

fn config(brokers: &str) -> Result<Config, Failure> {
    let overrides = [("kafka.brokers".to_owned(), brokers.to_owned())];
    // The one warning, that Salesforce is opt-in, is among the things the demo shows.
    let (config, _warnings) = Config::from_text("demo/config.yaml", CONFIG, &[], &overrides)?;
    Ok(config)
}

fn keep_up(service: &Service, brokers: &str) -> Result<(), Failure> {
    service.stop_on_signals();
    if let Some(address) = service.http() {
        say(format_args!(
            "\nStill running. The playground: http://{address}/ and beside it /metrics /healthz /readyz"
        ));
    }
    say(format_args!(
        "More events: produce to the topic {SOURCE} of the broker {brokers}. Ctrl-C ends it."
    ));
    Ok(())
}

/// What the router says of one event.
struct Told<'a> {
    title: &'a str,
    event: &'a str,
    verdict: Verdict,
    outcomes: Vec<(usize, Outcome)>,
    n_records: usize,
}

/// Collects the outcomes; the same router, asked the same question as by the worker.
#[derive(Default)]
struct Listener {
    outcomes: Vec<(usize, Outcome)>,
}

impl Observer for Listener {
    fn outcome(&mut self, destination: usize, outcome: Outcome) {
        self.outcomes.push((destination, outcome));
    }
}

fn tell<'a>(router: &Router, offset: i64, event: &'a str, title: &'a str) -> Told<'a> {
    let position = Position {
        topic: SOURCE,
        partition: 0,
        offset,
    };
    let record = Record::new(position, Some(event.as_bytes()));
    let (mut scratch, mut emissions, mut listener) = (
        Scratch::default(),
        Emissions::default(),
        Listener::default(),
    );
    let verdict = router.route(
        &record,
        &DefaultLimits,
        &mut scratch,
        &mut emissions,
        &mut listener,
    );
    Told {
        title,
        event,
        verdict,
        outcomes: listener.outcomes,
        n_records: emissions.len(),
    }
}

fn produce(brokers: &str) -> Result<(), Failure> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .context("opening a producer")?;
    for event in EVENTS.lines() {
        producer
            .send(BaseRecord::<(), str>::to(SOURCE).payload(event))
            .map_err(|(error, _)| error)
            .context("producing an event")?;
    }
    producer.flush(DEADLINE).context("producing the events")?;
    Ok(())
}

/// A record as it was read from its topic.
struct Left {
    /// The offset of the event that it was made of.
    event: i64,
    topic: usize,
    key: String,
    what: What,
}

enum What {
    Operation {
        destination: String,
        operation: String,
        request: String,
        body: String,
    },
    DeadLetter {
        reason: String,
        detail: String,
    },
}

/// Reads `count` records from the output topics, in the order of events, topics and offsets.
fn read_back(brokers: &str, topics: &[String], count: usize) -> Result<Vec<Left>, Failure> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "groupcast-demo-reader")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .create()
        .context("opening a consumer")?;
    let mut assignment = TopicPartitionList::new();
    for topic in topics {
        assignment
            .add_partition_offset(topic, 0, Offset::Beginning)
            .context("reading the topics")?;
    }
    consumer.assign(&assignment).context("reading the topics")?;
    let (mut left, until) = (Vec::new(), Instant::now() + DEADLINE);
    while left.len() < count {
        if Instant::now() > until {
            return Err(anyhow::anyhow!(
                "{} of {count} records came within {DEADLINE:?}",
                left.len()
            )
            .into());
        }
        if let Some(message) = consumer.poll(Duration::from_millis(50)) {
            let message = message.context("reading the topics")?;
            left.push(
                read(&message, topics)
                    .with_context(|| format!("reading {}/{}", message.topic(), message.offset()))?,
            );
        }
    }
    left.sort_by_key(|left| (left.event, left.topic));
    Ok(left)
}

#[derive(Deserialize)]
struct CloudEvent<'a> {
    id: String,
    request: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn read(message: &impl Message, topics: &[String]) -> anyhow::Result<Left> {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let topic = topics
        .iter()
        .position(|topic| topic == message.topic())
        .context("not one of ours")?;
    let key = text(message.key());
    if let Some(headers) = message.headers() {
        let header = |name| {
            text(
                headers
                    .iter()
                    .find(|header| header.key == name)
                    .and_then(|header| header.value),
            )
        };
        let what = What::DeadLetter {
            reason: header("reason"),
            detail: header("detail"),
        };
        return Ok(Left {
            event: header("source_offset").parse()?,
            topic,
            key,
            what,
        });
    }
    let event: CloudEvent<'_> = serde_json::from_slice(message.payload().unwrap_or_default())?;
    // topic/partition/offset/timestamp/instance/operation (semantics K4)
    let [_, _, offset, _, destination, operation] = event.id.split('/').collect::<Vec<_>>()[..]
    else {
        bail!("an id of another shape: {}", event.id)
    };
    let what = What::Operation {
        destination: destination.to_owned(),
        operation: operation.to_owned(),
        request: event.request,
        body: event.data.get().to_owned(),
    };
    Ok(Left {
        event: offset.parse()?,
        topic,
        key,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_title() {
        assert_eq!(EVENTS.lines().count(), TITLES.len());
    }
}
