//! What operators are given fits the program: every metric that an alert or the board asks for is served, every alert has its section in
//! the runbook, and `promtool` tries the alerts where it is installed (`GROUPCAST_PROMTOOL` says where else).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns the families that docs/metrics.md names, which another test holds to what is served.
fn families() -> BTreeSet<String> {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

/// Returns the names of our metrics in an expression.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter(|word| word.starts_with("groupcast_") || word.starts_with("process_"))
}

fn check_names(file: &str, expressions: &[String]) {
    let families = families();
    assert!(families.len() > 30, "{families:?}");
    for expression in expressions {
        for name in names(expression) {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let is_served = families.contains(name) || family.is_some_and(|family| families.contains(family));
            assert!(is_served, "{file}: nobody serves {name}, which is in {expression}");
        }
    }
}

fn alerts() -> Vec<(String, String)> {
    let text = read("deploy/prometheus/alerts.yml");
    let mut alerts = Vec::new();
    for part in text.split("- alert: ").skip(1) {
        let name = part.lines().next().unwrap().trim().to_owned();
        alerts.push((name, part.to_owned()));
    }
    alerts
}

#[test]
fn every_alert_asks_for_what_is_served_and_has_a_section_in_the_runbook() {
    let alerts = alerts();
    assert!(alerts.len() > 8);
    let runbook = read("docs/runbook.md");
    for (name, text) in &alerts {
        assert!(text.contains(&format!("runbook: docs/runbook.md#{}", name.to_lowercase())), "{name} names its section");
        assert!(runbook.contains(&format!("\n## {name}\n")), "docs/runbook.md has no section {name}");
    }
    let expressions: Vec<String> = alerts.iter().map(|(_, text)| text.clone()).collect();
    check_names("alerts.yml", &expressions);
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    for section in sections {
        assert!(alerts.iter().any(|(name, _)| name == section), "docs/runbook.md: no alert is called {section}");
    }
    let tests = read("deploy/prometheus/alerts_test.yml");
    for (name, _) in &alerts {
        assert!(tests.matches(name.as_str()).count() >= 2, "{name} is not tried in alerts_test.yml, both ways");
    }
}

#[test]
fn the_board_asks_for_what_is_served() {
    let board: Value = serde_json::from_str(&read("deploy/grafana/groupcast.json")).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let expressions: Vec<String> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default())
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(expressions.len() > 20, "{expressions:?}");
    check_names("groupcast.json", &expressions);
    for expression in &expressions {
        assert!(expression.contains("{job=~\"$job\""), "the board's own choice of jobs counts: {expression}");
    }
    let mut ids: Vec<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "each panel has its own id");
}

#[test]
fn compose_mounts_what_is_there() {
    let compose = read("docker-compose.yml");
    let mounts = compose.lines().filter_map(|line| line.trim().strip_prefix("- ./")?.split(':').next());
    let mounts: Vec<&str> = mounts.collect();
    assert!(mounts.len() >= 4, "{mounts:?}");
    for mount in mounts {
        assert!(root().join(mount).exists(), "docker-compose.yml mounts {mount}, which is not there");
    }
}

#[test]
fn the_alerts_fire_and_stay_silent_as_they_should() {
    let Some(promtool) = promtool() else {
        let text = "\nSKIPPED: the_alerts_fire_and_stay_silent_as_they_should: promtool is not installed (Debian: prometheus)";
        writeln!(std::io::stderr(), "{text}").unwrap();
        return;
    };
    let output = Command::new(promtool)
        .args(["test", "rules", "alerts_test.yml"])
        .current_dir(root().join("deploy/prometheus"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn promtool() -> Option<PathBuf> {
    let named = env::var_os("GROUPCAST_PROMTOOL").map(PathBuf::from);
    let installed = || {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).map(|folder| folder.join("promtool")).find(|file| file.exists())
    };
    named.or_else(installed)
}
