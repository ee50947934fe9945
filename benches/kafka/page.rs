//! The results on their page, between its two markers, with when, where and how they were taken.

use std::env;
use std::fmt::Display;
use std::fs;
use std::process::Command;

use crate::support::kafka;

/// Writes the results of a recipe of the justfile into a page.
pub(crate) fn write(page: &str, recipe: &str, results: &dyn Display) {
    let [begin, end] = ["begin", "end"].map(|end| format!("<!-- {recipe}: {end} -->"));
    let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (before, rest) = text
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{page} has no {begin}"));
    let (_, after) = rest
        .split_once(&end)
        .unwrap_or_else(|| panic!("{page} has no {end}"));
    let text = format!(
        "{before}{begin}\n{}\n\n{results}{end}{after}",
        circumstances(recipe)
    );
    fs::write(page, text).unwrap_or_else(|error| panic!("{page}: {error}"));
}

fn circumstances(recipe: &str) -> String {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    format!(
        "`{}` on {}, {}, {} cores ({}), {}; Apache Kafka {}, librdkafka {librdkafka}, {}, commit {}.",
        command(recipe),
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
fn command(recipe: &str) -> String {
    let names = [
        "EVENTS",
        "WARM_UP",
        "CLEAN",
        "ROUNDS",
        "CONTESTANTS",
        "LATENCY",
        "STARTS",
        "FOLDER",
    ];
    let set = names.map(|name| format!("GROUPCAST_{name}"));
    let set = set
        .iter()
        .filter_map(|name| Some(format!("{name}={} ", env::var(name).ok()?)));
    format!("{}just {recipe}", set.collect::<String>())
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .trim_start()
            .strip_prefix(':')
            .map(str::to_owned)
    });
    line.unwrap_or_default().trim().to_owned()
}
