//! Hostile surroundings: a standard error that is full, gone or not read, and a configuration that somebody else wrote.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/tools.rs"]
mod tools;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use groupcast::kafka::embedded::EmbeddedCluster;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use self::tools::tool;

const DEADLINE: Duration = Duration::from_secs(120);

const EVENT: &str = r#"{"type":"group","groupId":"g","userId":"u","traits":{"name":"Initech"}}"#;

/// What /dev/full is: each write fails as on a full disk.
#[test]
fn a_service_whose_standard_error_is_full_works_and_counts_and_stops() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut service = Running::start(1, "info", full.into());
    service.works_with_lost_lines("not_written");
    assert_eq!(service.stop().code(), Some(0));
}

#[test]
fn a_service_whose_standard_error_nobody_holds_works_and_counts_and_stops() {
    let mut service = Running::start(2, "info", Stdio::piped());
    drop(service.process.stderr.take());
    service.works_with_lost_lines("not_written");
    assert_eq!(service.stop().code(), Some(0));
}

#[test]
fn a_service_whose_standard_error_nobody_reads_works_and_counts_and_stops() {
    let mut service = Running::start(3, "info", Stdio::piped());
    let unread = service.process.stderr.take();
    service.works();
    // Each look at it is one line of more than the pipe holds, and two are more than may wait.
    let faults: String = (0..8000)
        .map(|index| format!("not_a_key_{index}: 1\n"))
        .collect();
    fs::write(service.surroundings.config(), faults).unwrap();
    for _ in 0..4 {
        let refused = "groupcast_config_reloads_total{result=\"refused\"} ";
        let before = value(&service.get("/metrics"), refused);
        send("HUP", service.process.id());
        until("the configuration is refused", || {
            (value(&service.get("/metrics"), refused) > before).then_some(())
        });
    }
    service.works_with_lost_lines("no_room");
    assert_eq!(service.stop().code(), Some(0));
    drop(unread);
}

#[test]
fn a_service_whose_standard_error_is_closed_works_and_stops() {
    let mut service = Running::start_through(4, "info", Stdio::null(), "exec \"$@\" 2>&-");
    service.works();
    assert_eq!(service.stop().code(), Some(0));
}

/// A stop that fails says so by its exit code, whoever reads the lines.
#[test]
fn a_service_that_cannot_start_ends_whoever_reads() {
    let surroundings = Surroundings::new(5, "info");
    fs::write(surroundings.config(), "kafka: {brokers: 'localhost:1', properties: {plugin.library.paths: /x}}\nsource: {topics: [a]}\ndestinations: [{use: webhook}]\n").unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut process = surroundings
        .command("exec \"$@\"")
        .stderr(full)
        .spawn()
        .unwrap();
    assert_eq!(
        until("it ends", || process.try_wait().unwrap()).code(),
        Some(2)
    );
}

#[test]
fn a_pipe_that_reads_a_transform_may_end_first() {
    let folder = Folder::new();
    let mut process = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .args(["transform", "--config"])
        .arg(folder.path("groupcast.yaml"))
        .current_dir(folder.0.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    let mut input = process.stdin.take().unwrap();
    let ended = until("it ends", || {
        // It goes on to write until it learns that nobody reads, and then no longer reads either.
        drop(writeln!(input, "{EVENT}"));
        process.try_wait().unwrap()
    });
    let mut said = String::new();
    process.stderr.unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((ended.code(), said.as_str()), (Some(0), ""));
}

/// A running service on an embedded cluster.
struct Running {
    process: Child,
    surroundings: Surroundings,
}

struct Surroundings {
    folder: tempfile::TempDir,
    cluster: EmbeddedCluster,
    /// An address of this test's own, since the log that would tell a free one cannot be read.
    address: String,
}

impl Surroundings {
    fn new(number: u8, level: &str) -> Surroundings {
        let cluster = EmbeddedCluster::start(1).unwrap();
        for topic in ["events", "events.webhook", "events.dead"] {
            cluster.create_topic(topic, 1).unwrap();
        }
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = format!("127.{high}.{low}.{number}:9464");
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "kafka: {{brokers: '{}'}}\nsource: {{topics: [events]}}\ndestinations: [{{use: webhook}}]\n\
             http: {{listen: '{address}'}}\nlog: {{level: {level}}}\n",
            cluster.brokers()
        );
        let surroundings = Surroundings {
            folder,
            cluster,
            address,
        };
        fs::write(surroundings.config(), text).unwrap();
        surroundings
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("groupcast.yaml")
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_groupcast")])
            .args(["run", "--config"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

impl Running {
    fn start(number: u8, level: &str, stderr: Stdio) -> Running {
        Running::start_through(number, level, stderr, "exec \"$@\"")
    }

    fn start_through(number: u8, level: &str, stderr: Stdio, script: &str) -> Running {
        let surroundings = Surroundings::new(number, level);
        let process = surroundings.command(script).stderr(stderr).spawn().unwrap();
        Running {
            process,
            surroundings,
        }
    }

    /// Waits until events pass, the process is healthy, and lines were lost for `reason`.
    fn works_with_lost_lines(&mut self, reason: &str) {
        self.works();
        let lost = format!("groupcast_log_lines_lost_total{{reason=\"{reason}\"}} ");
        until("lines are lost and counted", || {
            let count = value(&self.get("/metrics"), &lost)?;
            (count > 0.0).then_some(())
        });
        self.works();
    }

    /// Sends an event and waits until it is through.
    fn works(&mut self) {
        let consumed = "groupcast_records_consumed_total{topic=\"events\"} ";
        let before = value(&self.get("/metrics"), consumed).unwrap_or_default();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.surroundings.cluster.brokers())
            .create()
            .unwrap();
        producer
            .send(BaseRecord::<str, str>::to("events").payload(EVENT))
            .unwrap();
        producer.flush(DEADLINE).unwrap();
        until("the event is through", || {
            assert_eq!(self.process.try_wait().unwrap(), None, "it runs");
            let count = value(&self.get("/metrics"), consumed)?;
            (count > before).then_some(())
        });
        assert!(self.get("/healthz").starts_with("HTTP/1.1 200 "));
    }

    fn get(&self, path: &str) -> String {
        get(&self.surroundings.address, path)
    }

    fn stop(&mut self) -> ExitStatus {
        send("TERM", self.process.id());
        until("it ends", || self.process.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn get(address: &str, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        drop(stream.write_all(request.as_bytes()));
        drop(stream.read_to_string(&mut answer));
    }
    answer
}

fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(series))?;
    line.parse().ok()
}

fn send(signal: &str, process: u32) {
    let mut kill = Command::new("kill");
    let sent = kill.args([format!("-{signal}"), process.to_string()]);
    assert!(sent.status().unwrap().success());
}

#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            began.elapsed() < DEADLINE,
            "not within {DEADLINE:?}: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// A folder with a configuration that names a file wherever it can, and events.
struct Folder(tempfile::TempDir);

/// What the configuration of [`Folder`] names and what commands that ask no broker may read of it.
const READ: [&str; 3] = ["groupcast.yaml", "token", "definitions/own.yaml"];

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        fs::create_dir(folder.path("definitions")).unwrap();
        let webhook = fs::read_to_string("crates/core/destinations/webhook.yaml").unwrap();
        folder.write("definitions/own.yaml", &webhook.replace("webhook", "own"));
        folder.write("definitions/notes.txt", "not a definition");
        folder.write("token", "t0ken\n");
        folder.write("events.jsonl", &format!("{EVENT}\n"));
        let text = "\
kafka:
  brokers: localhost:1
  properties:
    ssl.ca.location: ca
    ssl.certificate.location: certificate
    ssl.key.location: key
    ssl.keystore.location: keystore
    ssl.crl.location: crl
    https.ca.location: https-ca
    sasl.oauthbearer.assertion.file: assertion
    sasl.oauthbearer.assertion.private.key.file: assertion-key
    sasl.oauthbearer.assertion.jwt.template.file: assertion-template
    sasl.oauthbearer.token.endpoint.url: http://127.0.0.1:1/token
    sasl.oauthbearer.method: oidc
    sasl.mechanism: OAUTHBEARER
source: {topics: [events]}
definitions: definitions
destinations:
  - use: own
  - use: mixpanel
    settings: {token: {file: token}}
";
        folder.write("groupcast.yaml", text);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Returns a command that is watched in all that it opens, runs and connects to.
    fn watched(&self, strace: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(strace);
        command
            .args(["-f", "-qq", "-y", "-s", "4096", "-o"])
            .arg(self.path("calls"))
            .args([
                "-e",
                "trace=open,openat,openat2,creat,execve,execveat,connect,bind",
            ])
            .arg(env!("CARGO_BIN_EXE_groupcast"))
            .args(arguments)
            .args(["--config", "groupcast.yaml"])
            .current_dir(self.0.path())
            // Cargo's, in which the loader would look for libraries first.
            .env_remove("LD_LIBRARY_PATH")
            .stdin(File::open(self.path("events.jsonl")).unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Returns what was called, but for what every program of the system opens.
    fn calls(&self) -> BTreeSet<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap();
        let calls = calls.lines().filter_map(|line| line.split_once(' '));
        calls
            .filter_map(|(_, call)| self.told(call.trim()))
            .collect()
    }

    /// Returns a call in short: `read NAME` with the name in this folder, or the call itself.
    fn told(&self, call: &str) -> Option<String> {
        let opens = ["open(", "openat(", "openat2(", "creat("];
        if !opens.iter().any(|open| call.starts_with(open)) {
            // One's own start, and other lines of strace's, such as that of an exit.
            let is_own = call.starts_with("execve(\"") && call.contains("/groupcast\"");
            let is_call = call.starts_with("exec")
                || call.starts_with("connect(")
                || call.starts_with("bind(");
            return (is_call && !is_own).then(|| call.to_owned());
        }
        let path = call.split('"').nth(1).unwrap_or_default();
        let system = [
            "/proc/",
            "/sys/",
            "/etc/ld.so.",
            "/lib/",
            "/lib64/",
            "/usr/lib/",
            "/dev/null",
        ];
        if system.iter().any(|prefix| path.starts_with(prefix)) {
            return None;
        }
        let folder = self.0.path().to_str().unwrap();
        let name = path
            .strip_prefix(folder)
            .unwrap_or(path)
            .trim_start_matches('/');
        let reads = call.contains("O_RDONLY") && !call.contains("O_CREAT");
        match (reads, call.contains("O_DIRECTORY")) {
            (true, false) => Some(format!("read {name}")),
            (true, true) => None,
            (false, _) => Some(call.to_owned()),
        }
    }
}

#[test]
fn commands_that_ask_no_broker_open_what_they_are_given_and_nothing_else() {
    let test = "commands_that_ask_no_broker_open_what_they_are_given_and_nothing_else";
    let Some(strace) = tool("strace", test) else {
        return;
    };
    let folder = Folder::new();
    let commands: [(&[&str], &[&str]); 4] = [
        (&["topics", "--partitions", "6"], &[]),
        (&["transform"], &[]),
        (&["explain", "events.jsonl"], &["events.jsonl"]),
        (&["suggest", "events.jsonl"], &["events.jsonl"]),
    ];
    for (arguments, events) in commands {
        let output = folder.watched(&strace, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        let read = READ.iter().chain(events).map(|name| format!("read {name}"));
        assert_eq!(folder.calls(), read.collect(), "{arguments:?}");
    }
}

#[test]
fn the_playground_opens_its_configuration_and_one_address() {
    let test = "the_playground_opens_its_configuration_and_one_address";
    let Some(strace) = tool("strace", test) else {
        return;
    };
    let folder = Folder::new();
    let mut command = folder.watched(&strace, &["playground", "--listen", "127.0.0.1:0"]);
    let mut process = command.spawn().unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(process.stderr.take().unwrap());
    while !said.contains("http://") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    // Once it answers it also heeds Ctrl-C.
    let (_, address) = said.trim().split_once("http://").unwrap();
    let address = address.split('/').next().unwrap();
    assert!(get(address, "/").contains("<html"));
    let calls = fs::read_to_string(folder.path("calls")).unwrap();
    let traced = calls.split(' ').next().unwrap().parse().unwrap();
    send("INT", traced);
    assert!(until("it ends", || process.try_wait().unwrap()).success());
    let (listening, read): (Vec<String>, Vec<String>) = folder
        .calls()
        .into_iter()
        .partition(|call| call.starts_with("bind("));
    assert!(
        matches!(listening.as_slice(), [call] if call.contains("127.0.0.1")),
        "{listening:?}"
    );
    let mut expected = READ.map(|name| format!("read {name}"));
    expected.sort();
    assert_eq!(read, expected);
}

#[test]
fn a_library_that_a_configuration_names_is_not_opened() {
    let test = "a_library_that_a_configuration_names_is_not_opened";
    let Some(strace) = tool("strace", test) else {
        return;
    };
    let folder = Folder::new();
    let text = fs::read_to_string(folder.path("groupcast.yaml")).unwrap();
    let library = "  properties:\n    plugin.library.paths: ./evil.so\n    ssl.engine.location: ./evil.so\n    ssl.providers: ./evil";
    folder.write(
        "groupcast.yaml",
        &text.replacen("  properties:", library, 1),
    );
    for arguments in [&["check"][..], &["transform"], &["explain", "events.jsonl"]] {
        let output = folder.watched(&strace, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let calls = folder.calls();
        assert!(
            !calls.iter().any(|call| call.contains("evil")),
            "{arguments:?}: {calls:?}"
        );
    }
}
