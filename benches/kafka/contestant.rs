//! Who competes, and how each is started.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use groupcast::config::Config;

use crate::limit;
use crate::stage::Stage;
use crate::support::kafka::free_port;
use crate::support::process::Tethered;
use crate::support::unique;

/// The destinations by their definitions, with what is set; benches/support has the same for the stages of the path.
pub(crate) const DESTINATIONS: [(&str, &str); 5] = [
    ("mixpanel", "{ token: T }"),
    ("hubspot", "{ custom_traits: all }"),
    ("customerio", "{}"),
    ("intercom", "{ custom_traits: all }"),
    ("webhook", "{}"),
];

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
    Contestant { name, kind, guarantee }
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
    process: Tethered,
    log: PathBuf,
    pub(crate) group: String,
    /// Its topics, in the order of [`DESTINATIONS`]; dead letters last.
    pub(crate) topics: Vec<String>,
}

impl Contestant {
    /// Returns whether its records say of which event they are.
    pub(crate) fn keeps_ids(&self) -> bool {
        self.kind != Kind::Limit
    }

    /// Starts it on a source, with topics and a group of its own.
    pub(crate) fn start(&self, stage: &Stage, source: &str) -> Running {
        let prefix = unique(self.name);
        let mut topics: Vec<String> = DESTINATIONS.iter().map(|(id, _)| format!("{prefix}.{id}")).collect();
        topics.push(format!("{prefix}.dead"));
        stage.create(&topics);
        let folder = stage.folder().join(&prefix);
        fs::create_dir_all(&folder).expect("the folder can be written");
        let config = folder.join("groupcast.yaml");
        fs::write(&config, self.yaml(stage.brokers(), source, &prefix)).expect("the folder can be written");

        let log = folder.join("log");
        let file = File::create(&log).expect("the folder can be written");
        let mut command = Command::new("sh");
        command.stdout(file.try_clone().expect("a file handle can be copied")).stderr(file);
        let (program, arguments) = match self.kind {
            Kind::Groupcast => (env!("CARGO_BIN_EXE_groupcast").to_owned(), words(&["run", "--config", &path(&config)])),
            Kind::Limit => (this_program(), words(&[limit::COMMAND, &path(&config)])),
            Kind::Streams => ("java".to_owned(), self.java(stage, source, &prefix, &folder)),
        };
        Running { process: Tethered::start(command, &program, &arguments), log, group: prefix, topics }
    }

    /// Everything that is not named has its default; a page on a port of its own, since several processes run at once.
    fn yaml(&self, brokers: &str, source: &str, prefix: &str) -> String {
        let (port, guarantee) = (free_port(), self.guarantee);
        let mut yaml = format!(
            "kafka: {{ brokers: \"{brokers}\" }}\n\
             source: {{ topics: [{source}], group_id: {prefix} }}\n\
             delivery: {{ guarantee: {guarantee} }}\n\
             dead_letters: {{ topic: {prefix}.dead }}\n\
             http: {{ listen: 127.0.0.1:{port} }}\n\
             destinations:\n"
        );
        for (id, settings) in DESTINATIONS {
            writeln!(yaml, "  - {{ use: {id}, topic: {prefix}.{id}, settings: {settings} }}").expect("a string takes all");
        }
        yaml
    }

    /// A heap that it never fills, and the collector for throughput.
    fn java(&self, stage: &Stage, source: &str, prefix: &str, folder: &Path) -> Vec<String> {
        let guarantee = if self.guarantee == "exactly_once" { "exactly_once_v2" } else { self.guarantee };
        let peer = path(stage.peers());
        let classes = format!("{peer}/classes:{peer}/jars/*");
        let options = ["-Xmx1g", "-XX:+UseParallelGC", "-cp", &classes, "peers.Peer"];
        let arguments = [stage.brokers(), source, prefix, prefix, guarantee, &path(folder)];
        words(&[&options[..], &arguments[..]].concat())
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// # Panics
    /// Where the process has ended, with what it said.
    pub(crate) fn assert_runs(&mut self) {
        let ended = self.process.has_ended();
        assert!(ended.is_none(), "{} has ended, {ended:?}:\n{}", self.group, self.said());
    }

    /// Returns its log.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends the process; its topics stay.
    pub(crate) fn stop(&mut self) {
        self.process.kill();
    }
}

/// Returns what groupcast is configured with for a source, to learn what it makes of events.
pub(crate) fn config(source: &str) -> Config {
    let yaml = CONTESTANTS[1].yaml("localhost:9092", source, "outputs");
    let loaded = Config::from_text("groupcast.yaml", &yaml, &[], &[]);
    loaded.unwrap_or_else(|diagnostics| panic!("{yaml}\n{diagnostics:?}")).0
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
