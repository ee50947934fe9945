//! Real Apache Kafka for tests: the cluster that `GROUPCAST_BROKERS` names, or a throw-away one, started with plain
//! `java` from Maven's jars. Without a JVM or the jars the tests say SKIPPED, or fail where `GROUPCAST_REQUIRE_KAFKA` is 1.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::process::Tethered;
use super::try_until;

/// The release that the tests start unless `GROUPCAST_KAFKA_VERSION` says otherwise.
const VERSION: &str = "4.1.1";
/// Any valid id will do, as nobody else joins this cluster.
const CLUSTER_ID: &str = "Z3JvdXBjYXN0LXRlc3RzIQ";
/// A start takes 2 s on a quiet machine; others may be building on this one.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Returns the brokers that the tests share, or says why there are none.
///
/// # Panics
/// Where there are none and `GROUPCAST_REQUIRE_KAFKA` is 1.
pub(crate) fn brokers() -> Option<&'static str> {
    static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
    match SHARED.get_or_init(Kafka::shared) {
        Ok(kafka) => Some(&kafka.brokers),
        Err(reason) => {
            assert!(env::var("GROUPCAST_REQUIRE_KAFKA").as_deref() != Ok("1"), "no Kafka to test with: {reason}");
            // The test harness swallows what the print macros of a passing test write.
            let test = std::thread::current().name().unwrap_or("test").to_owned();
            writeln!(std::io::stderr(), "\nSKIPPED: {test}: {reason}").expect("standard error can be written");
            None
        }
    }
}

/// A cluster, ended with whoever holds it.
pub(crate) struct Kafka {
    pub(crate) brokers: String,
    _nodes: Vec<Node>,
    _folder: Option<StateFolder>,
}

impl Kafka {
    fn shared() -> Result<Kafka, String> {
        match env::var("GROUPCAST_BROKERS") {
            Ok(brokers) => Ok(Kafka { brokers, _nodes: Vec::new(), _folder: None }),
            Err(_) => Kafka::start(1),
        }
    }

    /// Starts a cluster of `size` nodes, each a broker and a controller, on free ports.
    pub(crate) fn start(size: usize) -> Result<Kafka, String> {
        let jars = jars()?;
        let folder = StateFolder::new();
        let ports: Vec<[u16; 2]> = (0..size).map(|_| [free_port(), free_port()]).collect();
        let nodes: Vec<Node> =
            (0..size).map(|index| Node::format(&folder.path, &jars, index, &ports)).collect::<Result<_, _>>()?;
        let nodes = nodes.into_iter().map(Node::launch).collect::<Vec<_>>();
        let nodes = nodes.into_iter().map(Node::started).collect::<Result<Vec<_>, _>>()?;
        let brokers: Vec<String> = ports.iter().map(|[port, _]| format!("127.0.0.1:{port}")).collect();
        Ok(Kafka { brokers: brokers.join(","), _nodes: nodes, _folder: Some(folder) })
    }
}

/// One node: its folder holds its settings, data and log.
struct Node {
    folder: PathBuf,
    jars: String,
    process: Option<Tethered>,
}

impl Node {
    fn format(state: &Path, jars: &Path, index: usize, ports: &[[u16; 2]]) -> Result<Node, String> {
        let folder = state.join(format!("node{}", index + 1));
        fs::create_dir_all(&folder).expect("the target folder can be written");
        fs::write(folder.join("server.properties"), properties(&folder, index, ports))
            .expect("the target folder can be written");
        let node = Node { folder, jars: format!("{}/*", jars.display()), process: None };
        let arguments = node.java("kafka.tools.StorageTool", &["format", "-t", CLUSTER_ID, "-c"]);
        let done =
            Command::new("java").args(arguments).stdin(Stdio::null()).output().map_err(|error| format!("java: {error}"))?;
        let said = [done.stdout, done.stderr].concat();
        if done.status.success() { Ok(node) } else { Err(format!("Kafka's format failed: {}", String::from_utf8_lossy(&said))) }
    }

    /// Small and quick to start: one collector thread, the quick compiler only.
    fn java(&self, class: &str, arguments: &[&str]) -> Vec<String> {
        let options =
            ["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", &self.jars, class];
        let settings = self.folder.join("server.properties").display().to_string();
        options.iter().chain(arguments).map(|word| (*word).to_owned()).chain([settings]).collect()
    }

    fn launch(mut self) -> Node {
        let log = File::create(self.log()).expect("the target folder can be written");
        let mut command = Command::new("sh");
        command.stdout(log.try_clone().expect("a file handle can be copied")).stderr(log);
        self.process = Some(Tethered::start(command, "java", &self.java("kafka.Kafka", &[])));
        self
    }

    fn started(mut self) -> Result<Node, String> {
        let log = self.log();
        let read = || fs::read_to_string(&log).unwrap_or_default();
        let is_up = try_until(START_LIMIT, || {
            let ended = self.process.as_mut().and_then(Tethered::has_ended);
            if read().contains("Kafka Server started") { Some(true) } else { ended.map(|_| false) }
        });
        match is_up {
            Some(true) => Ok(self),
            Some(false) | None => Err(format!("Kafka did not start, its log ends with:\n{}", tail(&read()))),
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Settings of a test cluster: few threads, few internal partitions, groups that form and fall apart at once.
fn properties(folder: &Path, index: usize, ports: &[[u16; 2]]) -> String {
    let [port, controller] = ports[index];
    let voters: Vec<String> = (1..).zip(ports).map(|(id, [_, controller])| format!("{id}@127.0.0.1:{controller}")).collect();
    let (replicas, in_sync) = if ports.len() >= 3 { (3, 2) } else { (1, 1) };
    format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         log.cleaner.dedupe.buffer.size=4194304\n\
         default.replication.factor={replicas}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor={replicas}\n\
         transaction.state.log.num.partitions=4\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr={in_sync}\n\
         share.coordinator.state.topic.num.partitions=1\n\
         share.coordinator.state.topic.replication.factor={replicas}\n\
         share.coordinator.state.topic.min.isr={in_sync}\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n",
        id = index + 1,
        voters = voters.join(","),
        data = folder.join("data").display(),
    )
}

/// The jars of the wanted release, fetched with `mvn` where they are missing.
fn jars() -> Result<PathBuf, String> {
    Command::new("java").arg("-version").output().map_err(|error| format!("no java on the PATH: {error}"))?;
    let version = env::var("GROUPCAST_KAFKA_VERSION").unwrap_or_else(|_| VERSION.to_owned());
    let cache = env::var_os("GROUPCAST_KAFKA_LIBS").map(PathBuf::from);
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache/groupcast/kafka"))).ok_or("no home folder")?;
    let jars = cache.join(&version);
    if jars.is_dir() {
        return Ok(jars);
    }
    let partial = cache.join(format!("{version}.partial-{}", std::process::id()));
    fetch(&version, &partial)?;
    // Moved whole, so that a broken download never looks complete; another run may have been quicker.
    match fs::rename(&partial, &jars) {
        Err(error) if !jars.is_dir() => Err(format!("{}: {error}", jars.display())),
        Ok(()) | Err(_) => Ok(jars),
    }
}

fn fetch(version: &str, folder: &Path) -> Result<(), String> {
    let fetched = Command::new("mvn")
        .args(["-q", "-B", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/pom.xml")])
        .arg(format!("-Dkafka.version={version}"))
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .output()
        .map_err(|error| format!("no Kafka jars beside {} and no mvn to fetch them: {error}", folder.display()))?;
    let said = String::from_utf8_lossy(&fetched.stdout);
    if fetched.status.success() { Ok(()) } else { Err(format!("mvn cannot fetch Kafka {version}: {}", tail(&said))) }
}

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a listener has an address").port()
}

/// A folder under the target folder, locked while this process lives.
pub(crate) struct StateFolder {
    pub(crate) path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Makes a new folder and removes those whose processes are gone. A folder stays after its run, for its logs.
    pub(crate) fn new() -> StateFolder {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka");
        for old in fs::read_dir(&parent).into_iter().flatten().flatten() {
            if File::open(old.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_ok()) {
                fs::remove_dir_all(old.path()).expect("an old state folder can be removed");
            }
        }
        let path = parent.join(super::unique("state"));
        fs::create_dir_all(&path).expect("the target folder can be written");
        // Locked before it has its name, so that nobody who sweeps finds it unlocked.
        let lock = File::create(path.join("lock.new")).expect("the target folder can be written");
        lock.lock().expect("a new file can be locked");
        fs::rename(path.join("lock.new"), path.join("lock")).expect("the target folder can be written");
        StateFolder { path, _lock: lock }
    }
}
