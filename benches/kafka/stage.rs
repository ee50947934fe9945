//! What all contestants share: one node of Kafka, the peer's classes, and sources full of events.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::events::{Event, place};
use crate::job::Job;
use crate::support::kafka::node::{Node, Ports};
use crate::support::kafka::{StateFolder, free_port, jars, version};
use crate::support::proxy::{Link, Proxy, Rules};
use crate::support::{topics, unique, until};

/// A broker that is not the bottleneck sooner than it must: a heap and a collector as in production.
const BROKER_OPTIONS: [&str; 3] = ["-Xms2g", "-Xmx2g", "-XX:+UseG1GC"];

/// What is deleted after a run makes room for the next at once.
const BROKER_SETTINGS: &str =
    "num.network.threads=3\nnum.io.threads=8\nlog.segment.delete.delay.ms=1000\n";

/// Time for the brokers to take what is still queued.
const LIMIT: Duration = Duration::from_secs(120);

/// One node and its folder, which goes with this value.
pub(crate) struct Stage {
    node: Node,
    brokers: String,
    /// Stands before the broker, for contestants alone.
    proxy: Option<(Proxy, String)>,
    peers: Option<PathBuf>,
    folder: StateFolder,
}

/// A topic of events.
pub(crate) struct Source {
    pub(crate) topic: String,
    /// What is to be done with them.
    pub(crate) job: Job,
    pub(crate) n_events: u64,
}

impl Source {
    /// Returns the same topic for another job.
    pub(crate) fn with(&self, job: Job) -> Source {
        Source {
            topic: self.topic.clone(),
            job,
            n_events: self.n_events,
        }
    }
}

impl Stage {
    /// Starts Kafka, with settings beside those that all runs want.
    pub(crate) fn start(settings: &str) -> Result<Stage, String> {
        Stage::on(
            Ports {
                client: free_port(),
                controller: free_port(),
            },
            settings,
            None,
        )
    }

    /// Starts Kafka, with a proxy between it and the contestants.
    pub(crate) fn start_far() -> Result<Stage, String> {
        let (client, controller, far) = (free_port(), free_port(), free_port());
        let proxy = Proxy::start(far);
        let address = format!("127.0.0.1:{}", proxy.port);
        let listeners = format!(
            "listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller},FAR://127.0.0.1:{far}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{client},FAR://{address}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,FAR:PLAINTEXT\n"
        );
        Stage::on(
            Ports { client, controller },
            &listeners,
            Some((proxy, address)),
        )
    }

    fn on(ports: Ports, settings: &str, proxy: Option<(Proxy, String)>) -> Result<Stage, String> {
        let folder = StateFolder::under(&data_folder());
        let mut node = Node::format(
            &folder.path,
            &jars()?,
            0,
            &[ports],
            &(BROKER_SETTINGS.to_owned() + settings),
        )?
        .with_options(&BROKER_OPTIONS);
        node.start()?;
        Ok(Stage {
            brokers: node.address(),
            node,
            proxy,
            peers: None,
            folder,
        })
    }

    /// Has everything between Kafka and the contestants arrive so much later, each way.
    pub(crate) fn hold_back(&self, latency: Duration) {
        if let Some((proxy, _)) = &self.proxy {
            proxy.follow(Rules {
                link: Link::Far { latency },
                ..Rules::default()
            });
        }
    }

    /// Builds the peer.
    pub(crate) fn with_peers(mut self) -> Result<Stage, String> {
        self.peers = Some(build_peers()?);
        Ok(self)
    }

    pub(crate) fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Returns where contestants find Kafka.
    pub(crate) fn contestants_brokers(&self) -> &str {
        self.proxy
            .as_ref()
            .map_or(&self.brokers, |(_, address)| address)
    }

    pub(crate) fn broker_id(&self) -> u32 {
        self.node.id().expect("Kafka runs")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Returns where the peer's classes are.
    pub(crate) fn peers(&self) -> &Path {
        self.peers.as_deref().expect("they are built")
    }

    /// Creates topics with as many partitions as the job has.
    pub(crate) fn create(&self, names: &[String], job: Job) {
        let wanted: Vec<(String, topics::Settings<'_>)> =
            names.iter().map(|name| (name.clone(), &[][..])).collect();
        topics::create_all(
            &self.brokers,
            usize::try_from(job.n_partitions).expect("partitions are few"),
            &wanted,
        );
    }

    /// Deletes topics, and waits until their place is free: data and its successor would be in memory at once.
    pub(crate) fn delete(&self, names: &[String]) {
        topics::delete(
            &self.brokers,
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        until(LIMIT, "the data of deleted topics is gone", || {
            (!self.holds_deleted()).then_some(())
        });
    }

    /// Kafka renames a partition's folder first.
    fn holds_deleted(&self) -> bool {
        let data = fs::read_dir(self.folder.path.join("node1/data")).expect("Kafka has a folder");
        data.flatten()
            .any(|entry| entry.file_name().to_string_lossy().ends_with("-delete"))
    }

    /// Creates a source without events.
    pub(crate) fn create_source(&self, job: Job) -> Source {
        let topic = unique("source");
        self.create(std::slice::from_ref(&topic), job);
        Source {
            topic,
            job,
            n_events: 0,
        }
    }

    /// Creates a source of the corpus' events, again and again up to so many.
    pub(crate) fn fill(&self, n_events: u64, job: Job) -> Source {
        let (mut source, events) = (self.create_source(job), Event::all(job));
        let filler = Filler::new(&self.brokers, "20");
        for event in events
            .iter()
            .cycle()
            .take(usize::try_from(n_events).expect("events are counted"))
        {
            filler.send(&mut source, event);
        }
        filler.finish();
        source
    }

    /// Deletes a source.
    pub(crate) fn remove(&self, source: &Source) {
        self.delete(std::slice::from_ref(&source.topic));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.node.kill();
        // In memory it would stay until the next run. Nothing else can be done about a failure here.
        fs::remove_dir_all(&self.folder.path).unwrap_or_default();
    }
}

/// Writes events to sources, each to the place that its index gives it.
pub(crate) struct Filler(BaseProducer);

impl Filler {
    pub(crate) fn new(brokers: &str, linger_ms: &str) -> Filler {
        let mut settings = topics::client(brokers);
        settings
            .set("enable.idempotence", "true")
            .set("linger.ms", linger_ms)
            .set("message.timeout.ms", "0");
        Filler(settings.create().expect("the settings are valid"))
    }

    /// Writes the event that comes next in a source.
    pub(crate) fn send(&self, source: &mut Source, event: &Event) {
        let (partition, _) = place(source.n_events, source.job.n_partitions);
        let mut record = BaseRecord::to(&source.topic)
            .partition(partition)
            .key(&event.key)
            .payload(&event.value);
        while let Err((error, back)) = self.0.send(record) {
            assert_eq!(
                error,
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
            );
            self.0.poll(Duration::from_millis(20));
            record = back;
        }
        source.n_events += 1;
        self.0.poll(Duration::ZERO);
    }

    /// Waits until all of it is there.
    pub(crate) fn finish(&self) {
        self.0.flush(LIMIT).expect("Kafka takes all events");
    }
}

/// In memory, where the system has such a folder: a disk's write-back varies more than what is measured.
fn data_folder() -> PathBuf {
    let memory = || Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir());
    let parent = env::var_os("GROUPCAST_FOLDER")
        .map(PathBuf::from)
        .or_else(memory);
    parent
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")))
        .join("groupcast-bench")
}

fn build_peers() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let built = Command::new("mvn")
        .args([
            "-q",
            "-B",
            "-f",
            concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/pom.xml"),
            "package",
        ])
        .args([
            format!("-Dkafka.version={}", version()),
            format!("-Dfolder={}", folder.display()),
        ])
        .output()
        .map_err(|error| format!("mvn: {error}"))?;
    let said = String::from_utf8_lossy(&built.stdout);
    if built.status.success() {
        Ok(folder)
    } else {
        Err(format!("mvn cannot build benches/peers:\n{said}"))
    }
}
