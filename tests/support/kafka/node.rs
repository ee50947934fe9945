//! One Kafka node, a broker and a controller: a process that can be killed, stopped, frozen and started again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::super::process::Tethered;
use super::super::try_until;

/// Any valid id will do, as nobody else joins this cluster.
const CLUSTER_ID: &str = "Z3JvdXBjYXN0LXRlc3RzIQ";
/// A start takes 2 s on a quiet machine; others may be building on this one.
const START_LIMIT: Duration = Duration::from_secs(120);
/// A clean stop hands leaderships over first.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Small and quick to start: one collector thread, the quick compiler only.
const SMALL: [&str; 4] = [
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
];

/// Where a node listens.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) client: u16,
    pub(crate) controller: u16,
}

/// One node: its folder holds its settings, data and log.
pub(crate) struct Node {
    folder: PathBuf,
    jars: String,
    /// What `java` is told of memory, collector and compiler.
    options: Vec<String>,
    ports: Ports,
    process: Option<Tethered>,
    n_starts: usize,
}

impl Node {
    /// Prepares the node of this index; what `extra` sets goes over what all tests want.
    pub(crate) fn format(
        state: &Path,
        jars: &Path,
        index: usize,
        ports: &[Ports],
        extra: &str,
    ) -> Result<Node, String> {
        Node::format_with_users(state, jars, index, ports, extra, &[])
    }

    /// The same with SCRAM users, each as Kafka's `--add-scram` takes it.
    pub(crate) fn format_with_users(
        state: &Path,
        jars: &Path,
        index: usize,
        ports: &[Ports],
        extra: &str,
        users: &[&str],
    ) -> Result<Node, String> {
        let folder = state.join(format!("node{}", index + 1));
        fs::create_dir_all(&folder).expect("the target folder can be written");
        // Of a property that is written twice the second counts.
        fs::write(
            folder.join("server.properties"),
            properties(&folder, index, ports) + extra,
        )
        .expect("the target folder can be written");
        let (jars, options) = (
            format!("{}/*", jars.display()),
            SMALL.map(str::to_owned).to_vec(),
        );
        let node = Node {
            folder,
            jars,
            options,
            ports: ports[index],
            process: None,
            n_starts: 0,
        };
        let users = users.iter().flat_map(|user| ["--add-scram", user]);
        let words: Vec<&str> = ["format"]
            .into_iter()
            .chain(users)
            .chain(["-t", CLUSTER_ID, "-c"])
            .collect();
        let arguments = node.java("kafka.tools.StorageTool", &words);
        let done = Command::new("java")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("java: {error}"))?;
        let said = [done.stdout, done.stderr].concat();
        if done.status.success() {
            Ok(node)
        } else {
            Err(format!(
                "Kafka's format failed: {}",
                String::from_utf8_lossy(&said)
            ))
        }
    }

    /// Has it start with other options of `java` than the small ones.
    pub(crate) fn with_options(self, options: &[&str]) -> Node {
        Node {
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            ..self
        }
    }

    /// Returns its process's id while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Tethered::id)
    }

    /// Returns where clients that are not under test find it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.client)
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        self.launch();
        self.started()
    }

    pub(crate) fn launch(&mut self) {
        self.n_starts += 1;
        let log = File::create(self.log()).expect("the target folder can be written");
        let mut command = Command::new("sh");
        command
            .stdout(log.try_clone().expect("a file handle can be copied"))
            .stderr(log);
        self.process = Some(Tethered::start(
            command,
            "java",
            &self.java("kafka.Kafka", &[]),
        ));
    }

    pub(crate) fn started(&mut self) -> Result<(), String> {
        let log = self.log();
        let read = || fs::read_to_string(&log).unwrap_or_default();
        let is_up = try_until(START_LIMIT, || {
            let ended = self.process.as_mut().and_then(Tethered::has_ended);
            if read().contains("Kafka Server started") {
                Some(true)
            } else {
                ended.map(|_| false)
            }
        });
        match is_up {
            Some(true) => Ok(()),
            Some(false) | None => Err(format!(
                "Kafka did not start, its log ends with:\n{}",
                tail(&read())
            )),
        }
    }

    /// Returns whether it was started and not ended since; a frozen one runs, too.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// Stops it cleanly: it hands its leaderships over first.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal("TERM");
        process.wait(STOP_LIMIT, "Kafka stops after SIGTERM");
    }

    pub(crate) fn freeze(&self) {
        self.process.as_ref().expect("it runs").signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.process.as_ref().expect("it runs").signal("CONT");
    }

    fn java(&self, class: &str, arguments: &[&str]) -> Vec<String> {
        let rest = [
            "-Xshare:auto",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-cp",
            &self.jars,
            class,
        ];
        let settings = self.folder.join("server.properties").display().to_string();
        let words = rest.iter().chain(arguments).map(|word| (*word).to_owned());
        self.options
            .iter()
            .cloned()
            .chain(words)
            .chain([settings])
            .collect()
    }

    /// Each start has a log of its own.
    fn log(&self) -> PathBuf {
        self.folder.join(format!("log{}", self.n_starts))
    }
}

pub(super) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Settings of a test cluster: few threads, few internal partitions, groups that form and fall apart at once.
fn properties(folder: &Path, index: usize, ports: &[Ports]) -> String {
    let Ports { client, controller } = ports[index];
    let voters: Vec<String> = (1..)
        .zip(ports)
        .map(|(id, ports)| format!("{id}@127.0.0.1:{}", ports.controller))
        .collect();
    let (replicas, in_sync) = if ports.len() >= 3 { (3, 2) } else { (1, 1) };
    format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{client}\n\
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
