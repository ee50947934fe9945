//! The results on their page, between its two markers, with when, where and how they were taken.

use std::env;
use std::fs;
use std::process::Command;

use crate::results::Results;
use crate::support::kafka;

const BEGIN: &str = "<!-- bench-kafka: begin -->";
const END: &str = "<!-- bench-kafka: end -->";

/// Writes the results into a page.
pub(crate) fn write(page: &str, results: &Results) {
    let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{page} has no {BEGIN}"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page} has no {END}"));
    let text = format!("{before}{BEGIN}\n{}\n\n{results}{END}{after}", circumstances());
    fs::write(page, text).unwrap_or_else(|error| panic!("{page}: {error}"));
}

fn circumstances() -> String {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    format!(
        "`{}` on {}, {}, {} cores ({}), {}; Apache Kafka and Kafka Streams {}, librdkafka {librdkafka}, {}, commit {}.",
        command(),
        said("date", &["-u", "+%Y-%m-%d"]),
        said("uname", &["-sr"]),
        said("nproc", &[]),
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal"),
        kafka::version(),
        said("sh", &["-c", "java -version 2>&1 | head -n 1"]),
        said("git", &["describe", "--always", "--dirty"]),
    )
}

/// What was typed, so far as it changes the results.
fn command() -> String {
    let names = ["EVENTS", "WARM_UP", "CLEAN", "ROUNDS", "CONTESTANTS", "LATENCY", "FOLDER"];
    let set = names.map(|name| format!("GROUPCAST_{name}"));
    let set = set.iter().filter_map(|name| Some(format!("{name}={} ", env::var(name).ok()?)));
    format!("{}just bench-kafka", set.collect::<String>())
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':').map(str::to_owned));
    line.unwrap_or_default().trim().to_owned()
}
