//! What all runs came to: a row for each fault and guarantee.

use std::fmt;
use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::faults::Fault;
use crate::scene::Outcome;
use crate::support::kafka;

const BEGIN: &str = "<!-- chaos: begin -->";
const END: &str = "<!-- chaos: end -->";

/// The rows, in the order in which their faults first came.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    pub(crate) failures: Vec<String>,
}

struct Row {
    id: &'static str,
    name: &'static str,
    guarantee: &'static str,
    runs: u64,
    failed: u64,
    events: u64,
    lost: u64,
    repeated: u64,
    looks: u64,
    times: u64,
    rewinds: u64,
    restarts: u64,
    memory: u64,
    recoveries: Vec<Duration>,
}

impl Table {
    /// Adds a run.
    pub(crate) fn add(&mut self, fault: &Fault, result: Result<[Outcome; 2], String>) {
        match result {
            Ok(outcomes) => outcomes
                .iter()
                .for_each(|outcome| self.row(fault, outcome.guarantee).add(outcome)),
            Err(failure) => {
                eprintln!("FAILED {} {}: {failure}", fault.id, fault.name);
                self.failures
                    .push(format!("{} {}: {failure}", fault.id, fault.name));
                for guarantee in crate::scene::GUARANTEES {
                    self.row(fault, guarantee).failed += 1;
                }
            }
        }
    }

    fn row(&mut self, fault: &Fault, guarantee: &'static str) -> &mut Row {
        let found = self
            .rows
            .iter()
            .position(|row| row.id == fault.id && row.guarantee == guarantee);
        let index = found.unwrap_or_else(|| {
            self.rows.push(Row::new(fault, guarantee));
            self.rows.len() - 1
        });
        &mut self.rows[index]
    }

    /// Writes the table into a page, between its two markers.
    pub(crate) fn write(&self, page: &str) {
        let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{page}: {error}"));
        let (before, rest) = text
            .split_once(BEGIN)
            .unwrap_or_else(|| panic!("{page} has no {BEGIN}"));
        let (_, after) = rest
            .split_once(END)
            .unwrap_or_else(|| panic!("{page} has no {END}"));
        let text = format!("{before}{BEGIN}\n{}\n\n{self}{END}{after}", circumstances());
        fs::write(page, text).unwrap_or_else(|error| panic!("{page}: {error}"));
    }
}

impl Row {
    fn new(fault: &Fault, guarantee: &'static str) -> Row {
        Row {
            id: fault.id,
            name: fault.name,
            guarantee,
            runs: 0,
            failed: 0,
            events: 0,
            lost: 0,
            repeated: 0,
            looks: 0,
            times: 0,
            rewinds: 0,
            restarts: 0,
            memory: 0,
            recoveries: Vec::new(),
        }
    }

    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.events += outcome.report.n_events();
        self.lost += outcome.report.lost;
        self.repeated += outcome.report.repetitions;
        self.looks += outcome.n_looks;
        self.times += outcome.n_strikes;
        self.rewinds += outcome.seen.rewinds;
        self.restarts += outcome.seen.restarts;
        self.memory = self.memory.max(outcome.seen.memory);
        self.recoveries.push(outcome.recovery);
        self.recoveries.sort_unstable();
    }
}

const HEAD: [&str; 14] = [
    "fault",
    "guarantee",
    "runs",
    "failed",
    "times",
    "events",
    "lost",
    "repeated",
    "recovery, median",
    "at most",
    "rewinds",
    "restarts",
    "looks",
    "MiB",
];

impl Row {
    fn cells(&self) -> [String; 14] {
        let seconds = |duration: Option<&Duration>| {
            duration.map_or("-".to_owned(), |time| {
                format!("{:.1} s", time.as_secs_f64())
            })
        };
        let counts = [
            self.runs,
            self.failed,
            self.times,
            self.events,
            self.lost,
            self.repeated,
        ]
        .map(|count| count.to_string());
        let [runs, failed, times, events, lost, repeated] = counts;
        let [rewinds, restarts, looks, memory] =
            [self.rewinds, self.restarts, self.looks, self.memory].map(|count| count.to_string());
        let median = seconds(self.recoveries.get(self.recoveries.len() / 2));
        let name = format!("`{}` {}", self.id, self.name);
        let (guarantee, most) = (
            self.guarantee.replace('_', " "),
            seconds(self.recoveries.last()),
        );
        [
            name, guarantee, runs, failed, times, events, lost, repeated, median, most, rewinds,
            restarts, looks, memory,
        ]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| {} |", HEAD.join(" | "))?;
        writeln!(formatter, "|---|---|{}", "--:|".repeat(HEAD.len() - 2))?;
        self.rows
            .iter()
            .try_for_each(|row| writeln!(formatter, "| {} |", row.cells().join(" | ")))
    }
}

/// Returns when, where and with what the figures were taken.
fn circumstances() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix("kB")
                .map(str::to_owned)
        })?;
        Some(line.trim().parse::<u64>().ok()? / 1_048_576)
    });
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    format!(
        "`just chaos` on {}, {}, {} cores, {} GiB; Apache Kafka {}, librdkafka {librdkafka}, {} build, commit {}.",
        said("date", &["-u", "+%Y-%m-%d"]),
        said("uname", &["-sr"]),
        said("nproc", &[]),
        memory.map_or("?".to_owned(), |gibibytes| gibibytes.to_string()),
        kafka::version(),
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
        said("git", &["rev-parse", "--short", "HEAD"]),
    )
}
