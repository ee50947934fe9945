//! The program under test, as a process: its configuration, its page, its end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use super::generator::{DESTINATIONS, MAX_RECORD_BYTES, MAX_TRAITS};
use super::kafka::{StateFolder, free_port};
use super::process::Tethered;
use super::{PROGRAM, unique, until};

/// How a worker is configured.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) brokers: String,
    pub(crate) source: String,
    /// What the output topics begin with.
    pub(crate) prefix: String,
    pub(crate) group: String,
    pub(crate) format: &'static str,
    pub(crate) workers: usize,
    /// After so many records an epoch ends.
    pub(crate) epoch_records: u64,
    pub(crate) session_timeout_ms: u64,
    pub(crate) guarantee: &'static str,
    /// librdkafka's properties for all clients, and for consumers alone.
    pub(crate) properties: Vec<(&'static str, String)>,
    pub(crate) consumer_properties: Vec<(&'static str, String)>,
    /// Where to begin where the group has no offset.
    pub(crate) start: &'static str,
    /// What to do where records are gone that were not read: `stop` or `continue`.
    pub(crate) on_gap: &'static str,
}

impl Setup {
    /// Returns what most tests want: one worker, a group of its own, epochs as they are by default.
    pub(crate) fn new(brokers: &str, source: &str, prefix: &str, format: &'static str) -> Setup {
        Setup {
            brokers: brokers.to_owned(),
            source: source.to_owned(),
            prefix: prefix.to_owned(),
            group: unique("group"),
            format,
            workers: 1,
            epoch_records: 100_000,
            session_timeout_ms: 45_000,
            guarantee: "at_least_once",
            properties: Vec::new(),
            consumer_properties: Vec::new(),
            start: "earliest",
            on_gap: "stop",
        }
    }

    /// Writes the configuration into a folder of its own and returns the file.
    pub(crate) fn write(&self, port: u16) -> PathBuf {
        static STATE: OnceLock<StateFolder> = OnceLock::new();
        let folder = STATE
            .get_or_init(StateFolder::new)
            .path
            .join(unique("worker"));
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let config = folder.join("groupcast.yaml");
        fs::write(&config, self.yaml(port)).expect("the target folder can be written");
        config
    }

    fn yaml(&self, port: u16) -> String {
        let Setup {
            brokers,
            source,
            prefix,
            group,
            format,
            workers,
            epoch_records,
            guarantee,
            start,
            on_gap,
            ..
        } = self;
        let consumer = self.consumer_properties.iter().cloned().chain([
            ("session.timeout.ms", self.session_timeout_ms.to_string()),
            ("heartbeat.interval.ms", "500".to_owned()),
        ]);
        let (properties, consumer) = (mapping(self.properties.iter().cloned()), mapping(consumer));
        let mut yaml = format!(
            "kafka:\n  brokers: {brokers}\n\
             \x20 properties: {properties}\n\
             \x20 consumer_properties: {consumer}\n\
             \x20 producer_properties: {{ transaction.timeout.ms: \"6000\" }}\n\
             source: {{ topics: [{source}], group_id: {group}, workers: {workers}, start: {start}, on_gap: {on_gap} }}\n\
             delivery: {{ guarantee: {guarantee}, epoch: {{ interval_ms: 100, records: {epoch_records} }} }}\n\
             records: {{ format: {format} }}\n\
             dead_letters: {{ topic: {prefix}.dead }}\n\
             limits: {{ record_bytes: {MAX_RECORD_BYTES}, traits: {MAX_TRAITS} }}\n\
             http: {{ listen: 127.0.0.1:{port} }}\n\
             log: {{ format: json }}\n\
             destinations:\n",
        );
        for destination in DESTINATIONS {
            let settings = if destination == "mixpanel" {
                ", settings: { token: T }"
            } else {
                ""
            };
            writeln!(
                yaml,
                "  - {{ use: {destination}, topic: {prefix}.{destination}{settings} }}"
            )
            .expect("a string takes all");
        }
        yaml
    }
}

fn mapping(entries: impl Iterator<Item = (&'static str, String)>) -> String {
    let written = |(name, value): (&str, String)| {
        // A reference to a secret stands as it is.
        if value.starts_with("{ file:") {
            format!("{name}: {value}")
        } else {
            format!("{name}: \"{value}\"")
        }
    };
    let entries: Vec<String> = entries.map(written).collect();
    format!("{{ {} }}", entries.join(", "))
}

/// A running `groupcast run`.
pub(crate) struct Worker {
    process: Tethered,
    log: PathBuf,
    port: u16,
}

/// A start takes a second; others may be building on this machine.
const LIMIT: Duration = Duration::from_secs(60);

impl Worker {
    pub(crate) fn start(setup: &Setup) -> Worker {
        Worker::run("run", setup)
    }

    /// Starts another command with the configuration of a worker.
    pub(crate) fn run(command_line: &str, setup: &Setup) -> Worker {
        let port = free_port();
        Worker::start_with(
            setup.write(port),
            port,
            &command_line.split(' ').collect::<Vec<_>>(),
        )
    }

    /// Starts the program with other arguments than `run`'s.
    pub(crate) fn start_with(config: PathBuf, port: u16, arguments: &[&str]) -> Worker {
        Worker::start_within(&[], config, port, arguments)
    }

    /// The same with variables of the environment.
    pub(crate) fn start_within(
        environment: &[(&str, &str)],
        config: PathBuf,
        port: u16,
        arguments: &[&str],
    ) -> Worker {
        let log = config.with_file_name(unique("log"));
        let file = File::create(&log).expect("the target folder can be written");
        let mut command = Command::new("sh");
        command.envs(environment.iter().copied());
        command
            .stdout(file.try_clone().expect("a file handle can be copied"))
            .stderr(file);
        let config = ["--config".to_owned(), config.display().to_string()];
        let arguments: Vec<String> = arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .chain(config)
            .collect();
        Worker {
            process: Tethered::start(command, PROGRAM, &arguments),
            log,
            port,
        }
    }

    /// Returns the status code and the body of a page; `None` while nobody listens.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// Waits until the worker says that it is ready.
    pub(crate) fn ready(mut self) -> Worker {
        until(LIMIT, "the worker is ready", || {
            self.assert_runs();
            self.get("/readyz").filter(|(status, _)| *status == 200)
        });
        self
    }

    /// Returns the metrics of one name: the value by its labels as they are written.
    pub(crate) fn metric(&self, name: &str) -> BTreeMap<String, u64> {
        let (status, page) = self.get("/metrics").expect("the worker serves its metrics");
        assert_eq!(status, 200, "{page}");
        series(&page, name).collect()
    }

    /// Returns what the worker has counted of events: series and value, without zeros.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let names = [
            "groupcast_verdicts_total",
            "groupcast_outcomes_total",
            "groupcast_operations_emitted_total",
        ];
        let of = |name| {
            self.metric(name)
                .into_iter()
                .map(move |(labels, value)| (format!("{name}{{{labels}}}"), value))
        };
        names
            .into_iter()
            .flat_map(of)
            .filter(|(_, value)| *value > 0)
            .collect()
    }

    /// # Panics
    /// Where the process has ended, with what it said.
    pub(crate) fn assert_runs(&mut self) {
        let ended = self.process.has_ended();
        assert!(
            ended.is_none(),
            "the worker has ended, {ended:?}:\n{}",
            self.log()
        );
    }

    /// Returns where its page is.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns its process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns how the process has ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.process.has_ended()
    }

    /// Returns where the log is, which outlives the worker.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.log.clone()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log is there")
    }

    /// Returns how many partitions the group has given to the process, so far as it knows.
    pub(crate) fn partitions(&self) -> u64 {
        let page = self
            .get("/metrics")
            .map(|(_, page)| page)
            .unwrap_or_default();
        series(&page, "groupcast_assigned_partitions")
            .map(|(_, value)| value)
            .sum()
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Returns the most memory that the process has had, in MiB, where the system tells.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
    }

    /// Asks the process to stop and waits for its end, which must be a good one.
    pub(crate) fn stop(mut self) {
        self.process.signal("TERM");
        let status = self.process.wait(LIMIT, "the worker ends after SIGTERM");
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// Waits for the process to end by itself.
    pub(crate) fn end(&mut self, limit: Duration) -> ExitStatus {
        self.process.wait(limit, "the worker ends by itself")
    }
}

/// Returns the series of a metric: labels and value.
fn series(page: &str, name: &str) -> impl Iterator<Item = (String, u64)> {
    let lines = page.lines().filter_map(move |line| {
        line.strip_prefix(name)?
            .strip_prefix('{')?
            .rsplit_once("} ")
    });
    lines.map(|(labels, value)| {
        (
            labels.to_owned(),
            value.parse().expect("what is counted is a whole number"),
        )
    })
}
