//! Who competes, and how each is started.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use groupcast::config::Config;

use crate::job::Job;
use crate::limit;
use crate::stage::{Source, Stage};
use crate::support::kafka::free_port;
use crate::support::process::Tethered;
use crate::support::unique;

/// Above `delivery.shutdown_timeout_ms`.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// One who does the work, or what bounds it.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) guarantee: &'static str,
}

/// What runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Groupcast,
    Limit,
    Streams,
}

const fn contestant(name: &'static str, kind: Kind, guarantee: &'static str) -> Contestant {
    Contestant {
        name,
        kind,
        guarantee,
    }
}

/// In the order of the table.
pub(crate) static CONTESTANTS: [Contestant; 5] = [
    contestant("limit", Kind::Limit, "at_least_once"),
    contestant("groupcast", Kind::Groupcast, "at_least_once"),
    contestant("streams", Kind::Streams, "at_least_once"),
    contestant("groupcast-eos", Kind::Groupcast, "exactly_once"),
    contestant("streams-eos", Kind::Streams, "exactly_once"),
];

/// A contestant at work on one source.
pub(crate) struct Running {
    /// The program of each process and its arguments.
    commands: Vec<(String, Vec<String>)>,
    processes: Vec<Tethered>,
    log: PathBuf,
    pub(crate) group: String,
    /// How many members the group has; 0 where there is none or its members are its own business.
    pub(crate) n_members: usize,
    /// Its topics, in the order of the job's destinations; dead letters last.
    pub(crate) topics: Vec<String>,
    /// Where the pages of its processes are.
    pub(crate) ports: Vec<u16>,
}

impl Contestant {
    /// Returns whether its records say of which event they are.
    pub(crate) fn keeps_ids(&self) -> bool {
        self.kind != Kind::Limit
    }

    /// Starts it on a source, with topics and a group of its own.
    pub(crate) fn start(&self, stage: &Stage, source: &Source) -> Running {
        let mut running = self.prepare(stage, source);
        running.launch();
        running
    }

    /// Makes the topics and the configuration.
    pub(crate) fn prepare(&self, stage: &Stage, source: &Source) -> Running {
        let (job, prefix) = (source.job, unique(self.name));
        let mut topics: Vec<String> = job
            .destinations()
            .iter()
            .map(|(id, _)| format!("{prefix}.{id}"))
            .collect();
        topics.push(format!("{prefix}.dead"));
        stage.create(&topics, job);
        let folder = stage.folder().join(&prefix);
        fs::create_dir_all(&folder).expect("the folder can be written");
        let ports: Vec<u16> = (0..job.n_processes).map(|_| free_port()).collect();
        let command = |port: &u16| {
            let config = folder.join(format!("groupcast-{port}.yaml"));
            fs::write(
                &config,
                self.yaml(
                    stage.contestants_brokers(),
                    &source.topic,
                    job,
                    &prefix,
                    *port,
                ),
            )
            .expect("the folder can be written");
            match self.kind {
                Kind::Groupcast => (
                    env!("CARGO_BIN_EXE_groupcast").to_owned(),
                    words(&["run", "--config", &path(&config)]),
                ),
                Kind::Limit => (this_program(), words(&[limit::COMMAND, &path(&config)])),
                Kind::Streams => (
                    "java".to_owned(),
                    self.java(stage, &source.topic, &prefix, &folder),
                ),
            }
        };
        Running {
            commands: ports.iter().map(command).collect(),
            processes: Vec::new(),
            log: folder.join("log"),
            group: prefix,
            n_members: if self.kind == Kind::Groupcast {
                job.n_processes * job.n_workers
            } else {
                0
            },
            topics,
            ports,
        }
    }

    /// Everything that is not named has its default; a page on a port of its own, since several processes run at once.
    fn yaml(&self, brokers: &str, source: &str, job: Job, prefix: &str, port: u16) -> String {
        let (guarantee, n_workers) = (self.guarantee, job.n_workers);
        let member = if job.is_static {
            format!("group.instance.id: member-{port}")
        } else {
            String::new()
        };
        let in_flight = job
            .max_in_flight
            .map_or_else(String::new, |count| format!("max.in.flight: {count}"));
        let mut yaml = format!(
            "kafka: {{ brokers: \"{brokers}\", consumer_properties: {{ {member} }}, producer_properties: {{ {in_flight} }} }}\n\
             source: {{ topics: [{source}], group_id: {prefix}, workers: {n_workers} }}\n\
             delivery: {{ guarantee: {guarantee} }}\n\
             dead_letters: {{ topic: {prefix}.dead }}\n\
             http: {{ listen: 127.0.0.1:{port} }}\n\
             destinations:\n"
        );
        for (id, settings) in job.destinations() {
            writeln!(
                yaml,
                "  - {{ use: {id}, topic: {prefix}.{id}, settings: {settings} }}"
            )
            .expect("a string takes all");
        }
        yaml
    }

    /// A heap that it never fills, and the collector for throughput.
    fn java(&self, stage: &Stage, source: &str, prefix: &str, folder: &Path) -> Vec<String> {
        let guarantee = if self.guarantee == "exactly_once" {
            "exactly_once_v2"
        } else {
            self.guarantee
        };
        let peer = path(stage.peers());
        let classes = format!("{peer}/classes:{peer}/jars/*");
        let options = [
            "-Xmx1g",
            "-XX:+UseParallelGC",
            "-cp",
            &classes,
            "peers.Peer",
        ];
        let arguments = [
            stage.contestants_brokers(),
            source,
            prefix,
            prefix,
            guarantee,
            &path(folder),
        ];
        words(&[&options[..], &arguments[..]].concat())
    }
}

impl Running {
    /// Starts its processes; also again, once they were stopped.
    pub(crate) fn launch(&mut self) {
        let log = File::options()
            .append(true)
            .create(true)
            .open(&self.log)
            .expect("the folder can be written");
        let start = |(program, arguments): &(String, Vec<String>)| {
            let copy = || log.try_clone().expect("a file handle can be copied");
            let mut command = Command::new("sh");
            command.stdout(copy()).stderr(copy());
            Tethered::start(command, program, arguments)
        };
        self.processes = self.commands.iter().map(start).collect();
    }

    pub(crate) fn ids(&self) -> Vec<u32> {
        self.processes.iter().map(Tethered::id).collect()
    }

    /// Returns the destinations' topics.
    pub(crate) fn outputs(&self) -> &[String] {
        self.topics.split_last().map_or(&[], |(_, outputs)| outputs)
    }

    /// # Panics
    /// Where a process has ended, with what it said.
    pub(crate) fn assert_runs(&mut self) {
        let ended = self.processes.iter_mut().find_map(Tethered::has_ended);
        assert!(
            ended.is_none(),
            "{} has ended, {ended:?}:\n{}",
            self.group,
            self.said()
        );
    }

    /// Returns its log.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends the processes in their tracks; the topics stay.
    pub(crate) fn stop(&mut self) {
        self.processes.iter_mut().for_each(Tethered::kill);
    }

    /// Has the processes commit and leave.
    pub(crate) fn stop_cleanly(&mut self) {
        self.processes
            .iter()
            .for_each(|process| process.signal("TERM"));
        for process in &mut self.processes {
            let status = process.wait(STOP_LIMIT, "groupcast stops after SIGTERM");
            assert!(status.success(), "{}: {status}", self.group);
        }
    }
}

/// Returns what groupcast is configured with for a source, to learn what it makes of events.
pub(crate) fn config(source: &str, job: Job) -> Config {
    let yaml = CONTESTANTS[1].yaml("localhost:9092", source, job, "outputs", free_port());
    let loaded = Config::from_text("groupcast.yaml", &yaml, &[], &[]);
    loaded
        .unwrap_or_else(|diagnostics| panic!("{yaml}\n{diagnostics:?}"))
        .0
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn this_program() -> String {
    path(&std::env::current_exe().expect("a program knows its file"))
}
