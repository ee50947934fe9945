//! Real Apache Kafka for tests: the cluster that `GROUPCAST_BROKERS` names, or a throw-away node, started with plain
//! `java` from Maven's jars. Without a JVM or the jars the tests say SKIPPED, or fail where `GROUPCAST_REQUIRE_KAFKA` is 1.

pub(crate) mod node;

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use self::node::{Node, Ports, tail};

/// The release that the tests start unless `GROUPCAST_KAFKA_VERSION` says otherwise.
const VERSION: &str = "4.1.1";

/// Returns the brokers that the tests share, or says why there are none.
///
/// # Panics
/// Where there are none and `GROUPCAST_REQUIRE_KAFKA` is 1.
pub(crate) fn brokers() -> Option<&'static str> {
    static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
    match SHARED.get_or_init(Kafka::shared) {
        Ok(kafka) => Some(&kafka.brokers),
        Err(reason) => {
            skip(reason);
            None
        }
    }
}

/// Returns a node of the test's own, that it may freeze, or says why there is none.
///
/// # Panics
/// Where there is none and `GROUPCAST_REQUIRE_KAFKA` is 1.
pub(crate) fn own() -> Option<Kafka> {
    Kafka::start().map_err(|reason| skip(&reason)).ok()
}

/// Says that a test is skipped.
///
/// # Panics
/// Where `GROUPCAST_REQUIRE_KAFKA` is 1.
pub(crate) fn skip(reason: &str) {
    assert!(
        env::var("GROUPCAST_REQUIRE_KAFKA").as_deref() != Ok("1"),
        "no Kafka to test with: {reason}"
    );
    // The test harness swallows what the print macros of a passing test write.
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    writeln!(std::io::stderr(), "\nSKIPPED: {test}: {reason}")
        .expect("standard error can be written");
}

/// A cluster, ended with whoever holds it.
pub(crate) struct Kafka {
    pub(crate) brokers: String,
    nodes: Vec<Node>,
    _folder: Option<StateFolder>,
}

impl Kafka {
    /// Stops its process in its tracks.
    pub(crate) fn freeze(&self) {
        self.nodes.iter().for_each(Node::freeze);
    }

    /// Undoes [`Kafka::freeze`].
    pub(crate) fn thaw(&self) {
        self.nodes.iter().for_each(Node::thaw);
    }

    /// Stops its processes cleanly, leaves them stopped for a while, and starts them again.
    pub(crate) fn restart(&mut self, pause: Duration) {
        self.nodes.iter_mut().for_each(Node::stop);
        std::thread::sleep(pause);
        for node in &mut self.nodes {
            node.start().unwrap_or_else(|reason| panic!("{reason}"));
        }
    }

    fn shared() -> Result<Kafka, String> {
        match env::var("GROUPCAST_BROKERS") {
            Ok(brokers) => Ok(Kafka {
                brokers,
                nodes: Vec::new(),
                _folder: None,
            }),
            Err(_) => Kafka::start(),
        }
    }

    fn start() -> Result<Kafka, String> {
        let folder = StateFolder::new();
        let ports = [Ports {
            client: free_port(),
            controller: free_port(),
        }];
        let mut node = Node::format(&folder.path, &jars()?, 0, &ports, "")?;
        node.start()?;
        Ok(Kafka {
            brokers: node.address(),
            nodes: vec![node],
            _folder: Some(folder),
        })
    }
}

/// Returns the release of Kafka that the tests start.
pub(crate) fn version() -> String {
    env::var("GROUPCAST_KAFKA_VERSION").unwrap_or_else(|_| VERSION.to_owned())
}

/// The broker's jars of the wanted release, fetched with `mvn` where they are missing.
pub(crate) fn jars() -> Result<PathBuf, String> {
    jars_of("kafka_2.13", &version())
}

/// The jars of the command line tools, of the same release.
pub(crate) fn tools() -> Result<PathBuf, String> {
    jars_of("kafka-tools", &format!("{}-tools", version()))
}

/// The project's folder, which is that of Cargo.lock; the tests of `tests/system` are a package of their own in it.
fn project() -> &'static Path {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders
        .find(|folder| folder.join("Cargo.lock").exists())
        .expect("tests are run in the project")
}

/// The jars of an artifact of Kafka's, in a folder of this name.
fn jars_of(artifact: &str, name: &str) -> Result<PathBuf, String> {
    let list = project().join("tests/kafka/pom.xml");
    let list = list
        .to_str()
        .ok_or("the project's folder has no UTF-8 name")?;
    let options = [
        format!("-Dkafka.version={}", version()),
        format!("-Dkafka.artifact={artifact}"),
    ];
    fetch_once("kafka", name, list, &options.each_ref().map(String::as_str))
}

/// The jars that a POM lists, in a folder of their own version among those of their kind, fetched with `mvn` where they are missing.
pub(crate) fn fetch_once(
    kind: &str,
    version: &str,
    list: &str,
    options: &[&str],
) -> Result<PathBuf, String> {
    Command::new("java")
        .arg("-version")
        .output()
        .map_err(|error| format!("no java on the PATH: {error}"))?;
    let cache = env::var_os(format!("GROUPCAST_{}_LIBS", kind.to_uppercase())).map(PathBuf::from);
    let cache = cache
        .or_else(|| env::home_dir().map(|home| home.join(".cache/groupcast").join(kind)))
        .ok_or("no home folder")?;
    let jars = cache.join(version);
    if jars.is_dir() {
        return Ok(jars);
    }
    let partial = cache.join(format!("{version}.partial-{}", std::process::id()));
    fetch(kind, list, options, &partial)?;
    // Moved whole, so that a broken download never looks complete; another run may have been quicker.
    match fs::rename(&partial, &jars) {
        Err(error) if !jars.is_dir() => Err(format!("{}: {error}", jars.display())),
        Ok(()) | Err(_) => Ok(jars),
    }
}

fn fetch(kind: &str, list: &str, options: &[&str], folder: &Path) -> Result<(), String> {
    let fetched = Command::new("mvn")
        .args(["-q", "-B", "-f", list])
        .args(options)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .output()
        .map_err(|error| {
            format!(
                "no jars ({kind}) beside {} and no mvn to fetch them: {error}",
                folder.display()
            )
        })?;
    let said = String::from_utf8_lossy(&fetched.stdout);
    if fetched.status.success() {
        Ok(())
    } else {
        Err(format!(
            "mvn cannot fetch the jars of {list}: {}",
            tail(&said)
        ))
    }
}

/// Returns a port that nobody listens on, another one each time.
///
/// It lies below those that systems choose for outgoing connections, one of which may take such a port before its node binds it.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static N_TRIED: AtomicU32 = AtomicU32::new(0);
    // Other test programs that run beside this one begin elsewhere.
    let first = std::process::id().wrapping_mul(97);
    let candidate = || FIRST + first.wrapping_add(N_TRIED.fetch_add(1, Ordering::Relaxed)) % COUNT;
    let mut candidates =
        std::iter::repeat_with(candidate).map(|port| u16::try_from(port).expect("it is a port"));
    candidates
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("they never end")
}

/// A folder under the target folder, locked while this process lives.
pub(crate) struct StateFolder {
    pub(crate) path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Makes a new folder and removes those whose processes are gone. A folder stays after its run, for its logs.
    pub(crate) fn new() -> StateFolder {
        StateFolder::under(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka"))
    }

    /// The same under another folder.
    pub(crate) fn under(parent: &Path) -> StateFolder {
        for old in fs::read_dir(parent).into_iter().flatten().flatten() {
            if File::open(old.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_ok()) {
                fs::remove_dir_all(old.path()).expect("an old state folder can be removed");
            }
        }
        let path = parent.join(super::unique("state"));
        fs::create_dir_all(&path).expect("the target folder can be written");
        // Locked before it has its name, so that nobody who sweeps finds it unlocked.
        let lock = File::create(path.join("lock.new")).expect("the target folder can be written");
        lock.lock().expect("a new file can be locked");
        fs::rename(path.join("lock.new"), path.join("lock"))
            .expect("the target folder can be written");
        StateFolder { path, _lock: lock }
    }
}
