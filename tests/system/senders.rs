//! The recipe of docs/senders.md, run: groupcast fills its topics on real Kafka, Apache Camel with the very files of `deploy/senders`
//! delivers them to a stand-in for the vendors, and what arrived is held against the topics, byte for byte.

#![expect(clippy::expect_used, reason = "a test may panic and tell")]

#[expect(dead_code, reason = "other tests need more of it")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use rdkafka::message::{Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use serde_json::value::RawValue;
use support::kafka::{self, StateFolder};
use support::process::Tethered;
use support::topics::{self, Committed, Ends};
use support::worker::{Setup, Worker};
use support::{unique, until};

/// The destinations that `deploy/senders/application.properties` has.
const DESTINATIONS: [&str; 3] = ["mixpanel", "hubspot", "salesforce"];
const N_EVENTS: usize = 1_500;
/// The first answers that each destination gives. Two alike, as the HTTP client itself tries 503 and 429 once more, unseen by the route.
const FAILURES: [u16; 5] = [503, 503, 429, 429, 500];
/// What the stand-in refuses for good, as vendors do with a value that they do not take.
const REFUSED: &str = "a name that is refused";
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn the_recipe_delivers_every_body_in_order_and_once() {
    let Some(brokers) = kafka::brokers() else {
        return;
    };
    let jars = match jars() {
        Ok(jars) => jars,
        Err(reason) => return kafka::skip(&reason),
    };
    let began = Instant::now();
    let setup = fill(brokers);
    let records = DESTINATIONS.map(|name| read(brokers, &topic(&setup, name)));
    let vendors = Vendors::start();

    // Killed while each destination keeps a request waiting: what it had delivered it must remember, and the rest it must not lose.
    vendors.hold_after(6);
    let mut killed = Sender::start(brokers, &setup, &jars, vendors.address);
    until(
        LIMIT,
        &format!(
            "every destination holds a request; {}",
            killed.log.display()
        ),
        || vendors.all_hold().then_some(()),
    );
    killed.process.kill();
    vendors.release();
    // What groupcast sent last it sends again after a crash, with the ids it had; a replay's records are meant to be sent again.
    for (name, records) in DESTINATIONS.iter().zip(&records) {
        repeat(
            brokers,
            &topic(&setup, name),
            &records[records.len() / 3..],
            None,
        );
        repeat(
            brokers,
            &topic(&setup, name),
            &records[..1],
            Some("a-replay"),
        );
    }
    let sender = Sender::start(brokers, &setup, &jars, vendors.address);
    for name in DESTINATIONS {
        let topic = topic(&setup, name);
        let committed = Committed::of(brokers, &format!("sender.{topic}"), &topic);
        let n_records = Ends::of_logs(brokers, std::slice::from_ref(&topic)).sum();
        let what = format!("all of {topic} is delivered; {}", sender.log.display());
        until(LIMIT, &what, || {
            (committed.sum()? == n_records).then_some(())
        });
    }

    for (name, records) in DESTINATIONS.iter().zip(records) {
        let calls = vendors.accepted(name);
        let is_refused = |record: &Record| *name == "salesforce" && record.body.contains(REFUSED);
        let replayed = records[0].clone();
        let (refused, mut sent): (Vec<_>, Vec<_>) = records.into_iter().partition(is_refused);
        sent.push(replayed);
        check(name, &calls, &sent);
        let topic = format!("{}.refused", topic(&setup, name));
        assert_eq!(read(brokers, &topic), refused, "{topic}");
        topics::read(brokers, &topic, |message| {
            assert_eq!(header(message, "refused_status"), "400")
        });
        println!(
            "{name}: {} bodies in {} requests, {} refused",
            sent.len(),
            calls.len(),
            refused.len()
        );
    }
    println!("{:.0} s", began.elapsed().as_secs_f64());
}

/// Holds what a destination accepted against what was sent: each key's requests and bodies in their order and once, in the layout and
/// within the limits that the definition says.
fn check(name: &str, calls: &[Call], sent: &[Record]) {
    let keys: BTreeMap<_, _> = sent
        .iter()
        .map(|record| ((&*record.request, &*record.body), &*record.key))
        .collect();
    let definition = definition(name);
    let (mut arrived, mut largest) = (BTreeMap::<&str, Vec<_>>::new(), 0);
    for call in calls {
        let items = call.items(&definition);
        let of = |item: &&'_ str| {
            *keys
                .get(&(&*call.request, *item))
                .unwrap_or_else(|| panic!("{name}: nobody sent {item}"))
        };
        let in_call: Vec<&str> = items.iter().map(|item| of(&&**item)).collect();
        if name == "hubspot" {
            assert_eq!(
                in_call.iter().collect::<BTreeSet<_>>().len(),
                items.len(),
                "a key is twice in one request"
            );
        }
        largest = largest.max(items.len());
        for (key, item) in in_call.into_iter().zip(items) {
            arrived
                .entry(key)
                .or_default()
                .push((call.request.clone(), item));
        }
    }
    let mut expected = BTreeMap::<&str, Vec<_>>::new();
    for record in sent {
        expected
            .entry(&record.key)
            .or_default()
            .push((record.request.clone(), record.body.clone()));
    }
    for (key, expected) in &expected {
        assert_eq!(arrived.get(key), Some(expected), "{name}: {key}");
    }
    let batch = &definition["operations"][0]["batch"];
    assert_eq!(
        batch["records"], largest,
        "{name}: there was enough for a full request"
    );
}

/// Has groupcast fill the destinations' topics.
fn fill(brokers: &str) -> Setup {
    let source = unique("events");
    let setup = Setup::new(brokers, &source, &unique("sent"), "binary");
    let outputs = support::generator::DESTINATIONS
        .iter()
        .map(|name| topic(&setup, name));
    let refused = DESTINATIONS
        .iter()
        .map(|name| format!("{}.refused", topic(&setup, name)));
    let others = [source.clone(), topic(&setup, "dead"), topic(&setup, "sent")];
    let all: Vec<_> = outputs
        .chain(refused)
        .chain(others)
        .map(|topic| (topic, &[][..]))
        .collect();
    topics::create_all(brokers, 3, &all);
    let producer: BaseProducer = topics::client(brokers)
        .create()
        .expect("the settings are valid");
    for index in 0..N_EVENTS {
        let (group, event) = event(index);
        assert!(
            producer
                .send(BaseRecord::to(&source).key(&group).payload(&event))
                .is_ok(),
            "the queue has room"
        );
    }
    producer.flush(LIMIT).expect("the brokers take the records");
    let mut worker = Worker::start(&setup).ready();
    let committed = Committed::of(brokers, &setup.group, &source);
    until(LIMIT, "groupcast has read everything", || {
        worker.assert_runs();
        (committed.sum()? == N_EVENTS as u64).then_some(())
    });
    worker.stop();
    setup
}

/// Numbers as no parser would write them, text beyond ASCII, ids that a path must encode. First many groups of one event each, which fill
/// requests; then few groups of many, every third with members, whose items of one kind stand between items of another.
fn event(index: usize) -> (String, String) {
    let number = index % 50;
    let group = match number {
        _ if index < N_EVENTS * 3 / 5 => format!("n{index}"),
        0 => "a/b c?d=e&f".to_owned(),
        1 => "Ωmega €".to_owned(),
        2 => "100% \"q\"".to_owned(),
        _ => format!("g{number}"),
    };
    let member = if group.starts_with('n') || !number.is_multiple_of(3) {
        String::new()
    } else {
        format!(r#","userId":"u{}""#, index % 7)
    };
    let name = if index == 77 {
        REFUSED.to_owned()
    } else {
        format!("Initech {index} Ü€𝄞")
    };
    let plan = if index.is_multiple_of(5) {
        "null"
    } else {
        "\"p\""
    };
    let traits = format!(
        r#"{{"name":"{name}","revenue":1.{index}00e3,"seats":12345678901234567890.{index}0,"plan":{plan}}}"#
    );
    let flags = r#"{"All":true,"Salesforce":true}"#;
    let id = Value::from(group.as_str());
    (
        group,
        format!(
            r#"{{"type":"group","groupId":{id}{member},"integrations":{flags},"traits":{traits}}}"#
        ),
    )
}

fn topic(setup: &Setup, name: &str) -> String {
    format!("{}.{name}", setup.prefix)
}

/// A record of a destination's topic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    key: String,
    id: String,
    kind: String,
    request: String,
    body: String,
}

fn read(brokers: &str, topic: &str) -> Vec<Record> {
    let mut records = Vec::new();
    topics::read(brokers, topic, |message| {
        records.push(Record {
            key: text(message.key()),
            id: header(message, "ce_id"),
            kind: header(message, "ce_type"),
            request: header(message, "ce_request"),
            body: text(message.payload()),
        });
    });
    records
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8(bytes.expect("it is there").to_vec()).expect("it is text")
}

fn header(message: &impl Message, name: &str) -> String {
    let headers = message.headers().expect("the record has headers");
    text(
        headers
            .iter()
            .find(|header| header.key == name)
            .and_then(|header| header.value),
    )
}

/// Writes records once more, as parts of a replay if it has a name.
fn repeat(brokers: &str, topic: &str, records: &[Record], replay: Option<&str>) {
    let mut settings = topics::client(brokers);
    let producer: BaseProducer = settings
        .set("partitioner", "murmur2_random")
        .create()
        .expect("the settings are valid");
    for record in records {
        let pairs = [
            ("ce_id", &*record.id),
            ("ce_type", &record.kind),
            ("ce_request", &record.request),
        ];
        let pairs = pairs
            .into_iter()
            .chain(replay.map(|name| ("ce_replay", name)));
        let add = |headers: OwnedHeaders, (key, value)| {
            headers.insert(rdkafka::message::Header {
                key,
                value: Some(value),
            })
        };
        let headers = pairs.fold(OwnedHeaders::new(), add);
        assert!(
            producer
                .send(
                    BaseRecord::to(topic)
                        .key(&record.key)
                        .payload(&record.body)
                        .headers(headers)
                )
                .is_ok(),
            "the queue has room"
        );
    }
    producer.flush(LIMIT).expect("the brokers take the records");
}

/// What `groupcast destinations` says of one.
fn definition(name: &str) -> Value {
    let output = Command::new(support::PROGRAM)
        .args(["destinations", name, "--json"])
        .output();
    serde_json::from_slice(&output.expect("the program is built").stdout).expect("it prints JSON")
}

/// Camel with the files of `deploy/senders` as they are; environment variables say the addresses.
struct Sender {
    process: Tethered,
    log: PathBuf,
    _folder: StateFolder,
}

impl Sender {
    fn start(brokers: &str, setup: &Setup, jars: &Path, vendors: SocketAddr) -> Sender {
        let folder = StateFolder::new();
        let log = folder.path.join("log");
        let file = File::create(&log).expect("the target folder can be written");
        let mut command = Command::new("sh");
        command
            .stdout(file.try_clone().expect("a file handle can be copied"))
            .stderr(file);
        command
            .env("KAFKA_BROKERS", brokers)
            .env("TOPICS", &setup.prefix)
            .env("DEFINITIONS", &folder.path);
        for name in DESTINATIONS {
            fs::write(
                folder.path.join(format!("{name}.json")),
                definition(name).to_string(),
            )
            .expect("the folder can be written");
            command.env(
                format!("{}_URL", name.to_uppercase()),
                format!("http://{vendors}/{name}"),
            );
            command.env(
                format!("{}_CREDENTIAL", name.to_uppercase()),
                format!("Bearer {name}"),
            );
        }
        let classes = format!("{RECIPE}:{}/*", jars.display());
        let arguments = [
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            &classes,
            "org.apache.camel.main.Main",
        ];
        let process = Tethered::start(command, "java", &arguments.map(str::to_owned));
        Sender {
            process,
            log,
            _folder: folder,
        }
    }
}

const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/senders");

/// Camel's jars, fetched with `mvn` where they are missing, by the recipe's own list.
fn jars() -> Result<PathBuf, String> {
    let list = format!("{RECIPE}/pom.xml");
    let mut hasher = DefaultHasher::new();
    fs::read(&list)
        .map_err(|error| format!("{list}: {error}"))?
        .hash(&mut hasher);
    kafka::fetch_once("senders", &format!("{:x}", hasher.finish()), &list, &[])
}

/// One request that a destination accepted.
#[derive(Clone)]
struct Call {
    /// Method and path, below the destination's base.
    request: String,
    body: String,
}

impl Call {
    /// Takes the items out of the layout that the definition says, in their own bytes.
    fn items(&self, definition: &Value) -> Vec<String> {
        let operations = definition["operations"]
            .as_array()
            .expect("it has operations");
        // Paths are written with placeholders; where there is more than one operation they have none.
        let operation = operations
            .iter()
            .find(|operation| operation["request"] == *self.request)
            .unwrap_or(&operations[0]);
        let layout = &operation["batch"]["as"];
        if layout == "single" {
            return vec![self.body.clone()];
        }
        let array = layout["array_in"].as_str().map_or(&*self.body, |field| {
            let fields: BTreeMap<&str, &RawValue> =
                serde_json::from_str(&self.body).expect("it is an object");
            assert_eq!(fields.len(), 1, "{}", self.body);
            fields[field].get()
        });
        let items: Vec<&RawValue> = serde_json::from_str(array).expect("it is an array");
        let most = operation["batch"]["records"]
            .as_u64()
            .expect("these have a limit");
        assert!(
            items.len() as u64 <= most,
            "{} items, and {most} are allowed",
            items.len()
        );
        items
            .into_iter()
            .map(|item| item.get().to_owned())
            .collect()
    }
}

/// Stand-ins for the vendors' APIs, one server: the first part of a path names the destination.
struct Vendors {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// After so many accepted requests a destination answers nothing more.
    hold_after: Option<usize>,
    holding: BTreeSet<String>,
    n_failed: BTreeMap<String, usize>,
    accepted: BTreeMap<String, Vec<Call>>,
}

impl Vendors {
    fn start() -> Vendors {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener
            .set_nonblocking(true)
            .expect("a listener can be set");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let status = shared
                .lock()
                .expect("nobody panics with it")
                .judge(&method, &uri, &headers, &body);
            async move {
                match status {
                    Some(status) => (status, "an answer"),
                    None => std::future::pending().await,
                }
            }
        };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("the system gives a thread");
            runtime.block_on(async {
                let listener =
                    tokio::net::TcpListener::from_std(listener).expect("it does not block");
                axum::serve(listener, axum::Router::new().fallback(answer))
                    .await
                    .expect("the listener listens");
            });
        });
        Vendors { address, state }
    }

    fn hold_after(&self, n_accepted: usize) {
        self.state.lock().expect("nobody panics with it").hold_after = Some(n_accepted);
    }

    fn release(&self) {
        self.state.lock().expect("nobody panics with it").hold_after = None;
    }

    fn all_hold(&self) -> bool {
        self.state
            .lock()
            .expect("nobody panics with it")
            .holding
            .len()
            == DESTINATIONS.len()
    }

    fn accepted(&self, name: &str) -> Vec<Call> {
        let state = self.state.lock().expect("nobody panics with it");
        assert_eq!(
            state.n_failed[name],
            FAILURES.len(),
            "{name} has failed as often as it was to"
        );
        state.accepted[name].clone()
    }
}

impl State {
    /// Returns what to answer; `None` where the request is to wait for ever.
    fn judge(
        &mut self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<StatusCode> {
        let target = uri.path_and_query()?.as_str();
        let target = target.strip_prefix('/')?;
        let (name, path) = target.split_at(target.find('/')?);
        let expected = (name != "mixpanel").then(|| format!("Bearer {name}"));
        let said = headers
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().expect("it is text").to_owned());
        if said != expected
            || headers
                .get(header::CONTENT_TYPE)
                .is_none_or(|kind| kind != "application/json")
        {
            return Some(StatusCode::BAD_REQUEST);
        }
        let n_failed = self.n_failed.entry(name.to_owned()).or_default();
        if let Some(status) = FAILURES.get(*n_failed) {
            *n_failed += 1;
            return StatusCode::from_u16(*status).ok();
        }
        let body = String::from_utf8(body.to_vec()).expect("it is text");
        if name == "salesforce" && body.contains(REFUSED) {
            return Some(StatusCode::BAD_REQUEST);
        }
        let accepted = self.accepted.entry(name.to_owned()).or_default();
        if self.hold_after.is_some_and(|most| accepted.len() >= most) {
            self.holding.insert(name.to_owned());
            return None;
        }
        accepted.push(Call {
            request: format!("{method} {path}"),
            body,
        });
        Some(StatusCode::OK)
    }
}
