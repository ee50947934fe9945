//! What operators are given fits the program: every metric that an alert or the board asks for is served, every alert has its section in
//! the runbook, `promtool` tries the alerts, and each file is read by a program that knows its kind. `.ci/tools` installs those programs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/tools.rs"]
mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::tools::tool;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns the families that docs/metrics.md names, which another test holds to what is served.
fn families() -> BTreeSet<String> {
    let page = read("docs/metrics.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

/// Returns the names of our metrics in an expression.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let words =
        expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter(|word| word.starts_with("groupcast_") || word.starts_with("process_"))
}

fn check_names(file: &str, expressions: &[String]) {
    let families = families();
    assert!(families.len() > 30, "{families:?}");
    for expression in expressions {
        for name in names(expression) {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix));
            let is_served =
                families.contains(name) || family.is_some_and(|family| families.contains(family));
            assert!(
                is_served,
                "{file}: nobody serves {name}, which is in {expression}"
            );
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
        assert!(
            text.contains(&format!(
                "runbook_url: docs/runbook.md#{}\n",
                name.to_lowercase()
            )),
            "{name} names its section"
        );
        assert!(
            runbook.contains(&format!("\n## {name}\n")),
            "docs/runbook.md has no section {name}"
        );
    }
    let expressions: Vec<String> = alerts.iter().map(|(_, text)| text.clone()).collect();
    check_names("alerts.yml", &expressions);
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    for section in sections {
        assert!(
            alerts.iter().any(|(name, _)| name == section),
            "docs/runbook.md: no alert is called {section}"
        );
    }
    let tests = read("deploy/prometheus/alerts_test.yml");
    for (name, _) in &alerts {
        assert!(
            tests.matches(name.as_str()).count() >= 2,
            "{name} is not tried in alerts_test.yml, both ways"
        );
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
        assert!(
            expression.contains("{job=~\"$job\""),
            "the board's own choice of jobs counts: {expression}"
        );
    }
    let mut ids: Vec<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "each panel has its own id");
}

#[test]
fn compose_mounts_what_is_there() {
    let compose = read("docker-compose.yml");
    let mounts = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ./")?.split(':').next());
    let mounts: Vec<&str> = mounts.collect();
    assert!(mounts.len() >= 4, "{mounts:?}");
    for mount in mounts {
        assert!(
            root().join(mount).exists(),
            "docker-compose.yml mounts {mount}, which is not there"
        );
    }
}

#[test]
fn the_alerts_fire_and_stay_silent_as_they_should() {
    let Some(promtool) = tool("promtool", "the_alerts_fire_and_stay_silent_as_they_should") else {
        return;
    };
    check(
        Command::new(&promtool)
            .args(["test", "rules", "alerts_test.yml"])
            .current_dir(root().join("deploy/prometheus")),
    );
    check(Command::new(&promtool).args(["check", "config", "deploy/prometheus/prometheus.yml"]));
}

#[test]
fn hadolint_finds_nothing_in_the_dockerfile() {
    let Some(hadolint) = tool("hadolint", "hadolint_finds_nothing_in_the_dockerfile") else {
        return;
    };
    check(Command::new(hadolint).arg("deploy/Dockerfile"));
}

/// The image holds no other program than ours to ask how it is.
#[test]
fn the_image_is_small_and_runs_as_nobody() {
    let dockerfile = read("deploy/Dockerfile");
    let (_, image) = dockerfile.rsplit_once("\nFROM ").unwrap();
    assert!(
        image.starts_with("gcr.io/distroless/")
            && image.lines().next().unwrap().contains(":nonroot"),
        "{image}"
    );
    assert!(
        image.contains("\nHEALTHCHECK ")
            && image.contains("CMD [\"/usr/local/bin/groupcast\", \"health\"]"),
        "{image}"
    );
}

/// Without a container engine nobody builds the image here; Cargo at least finds all that it wants in what is copied.
#[test]
fn the_image_is_built_of_all_that_cargo_wants() {
    let folder = tempfile::tempdir().unwrap();
    let dockerfile = read("deploy/Dockerfile");
    let copies = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "));
    let mut n_copied = 0;
    for file in copies
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| line.split_whitespace().rev().skip(1))
    {
        let mut copy = Command::new("cp");
        let status = copy
            .args(["-r", "--parents", file])
            .arg(folder.path())
            .current_dir(root())
            .status()
            .unwrap();
        assert!(
            status.success(),
            "deploy/Dockerfile copies {file}, which is not there"
        );
        n_copied += 1;
    }
    assert!(n_copied >= 6, "{dockerfile}");
    check(
        Command::new(env!("CARGO"))
            .args(["fetch", "--locked", "--offline", "--target", "host-tuple"])
            .current_dir(folder.path()),
    );
}

#[test]
fn compose_reads_its_file_and_nobody_waits_in_vain() {
    let Some(compose) = tool(
        "compose-spec",
        "compose_reads_its_file_and_nobody_waits_in_vain",
    ) else {
        return;
    };
    let project: Value = serde_json::from_str(&check(Command::new(compose).args([
        "-format",
        "json",
        "docker-compose.yml",
    ])))
    .unwrap();
    let services = project["services"].as_object().unwrap();
    assert!(services.len() >= 6, "{services:?}");
    // Compose's parser lets these pass.
    for (name, service) in services {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let waited_for = services
                .get(other)
                .unwrap_or_else(|| panic!("{name} depends on {other}, which is not there"));
            let wants_health = how["condition"] == "service_healthy";
            assert!(
                !wants_health || waited_for["healthcheck"].is_object(),
                "{name} waits until {other} is healthy, which nobody asks"
            );
        }
    }
}

fn workflows() -> Vec<(String, String)> {
    let folder = fs::read_dir(root().join(".github/workflows")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path().to_str().unwrap().to_owned());
    files
        .map(|file| (file.clone(), fs::read_to_string(file).unwrap()))
        .collect()
}

/// A tag can be moved to other code, a commit cannot; the version beside it is for people and for Dependabot.
#[test]
fn every_action_is_pinned_by_its_commit_and_none_keeps_credentials() {
    let mut n_actions = 0;
    for (file, text) in workflows() {
        for part in text.split("uses: ").skip(1) {
            let line = part.lines().next().unwrap();
            let (action, version) = line.split_once(" # ").unwrap_or((line, ""));
            let (name, commit) = action.split_once('@').unwrap();
            let is_commit = commit.len() == 40
                && commit
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert!(is_commit && version.starts_with('v'), "{file}: {line}");
            let step = part.split("\n      - ").next().unwrap();
            assert!(
                name != "actions/checkout" || step.contains("persist-credentials: false"),
                "{file}: {step}"
            );
            n_actions += 1;
        }
    }
    assert!(n_actions > 15, "{n_actions}");
}

#[test]
fn every_job_says_what_it_may() {
    let mut n_jobs = 0;
    for (file, text) in workflows() {
        assert!(
            text.contains("\npermissions: {}\n"),
            "{file} gives rights to all jobs"
        );
        let (_, jobs) = text.split_once("\njobs:\n").unwrap();
        let is_name =
            |line: &&str| line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
        for job in jobs.lines().filter(is_name) {
            let (_, rest) = jobs.split_once(&format!("{job}\n")).unwrap();
            let body = rest
                .lines()
                .take_while(|line| line.is_empty() || line.starts_with("   "));
            assert!(
                body.clone().any(|line| line == "    permissions:"),
                "{file}: {job} does not say what it may"
            );
            n_jobs += 1;
        }
        assert!(
            !text.contains("write-all") && !text.contains("pull_request_target"),
            "{file}"
        );
    }
    assert!(n_jobs > 8, "{n_jobs}");
}

/// A registry that says a digest for each image is the only thing that is not real.
#[test]
fn images_are_pinned_where_a_registry_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("deploy")).unwrap();
    fs::create_dir_all(at("bin")).unwrap();
    for file in ["deploy/Dockerfile", "docker-compose.yml"] {
        fs::copy(root().join(file), at(file)).unwrap();
    }
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    fs::write(at("bin/crane"), format!("#!/bin/sh\necho {digest}\n")).unwrap();
    check(Command::new("chmod").arg("+x").arg(at("bin/crane")));
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let pin = |arguments: &[&str]| {
        let mut command = Command::new(root().join("deploy/pin-images"));
        command
            .args(arguments)
            .env("PIN_IMAGES_IN", folder.path())
            .env("PATH", &path);
        command
    };
    // Only what has no digest yet is asked for.
    let before = fs::read_to_string(at("docker-compose.yml")).unwrap();
    let pinned = before.replacen(
        "prom/prometheus:v3.5.0\n",
        &format!("prom/prometheus:v3.5.0@{digest}\n"),
        1,
    );
    fs::write(at("docker-compose.yml"), pinned).unwrap();
    assert!(!pin(&["--check"]).output().unwrap().status.success());
    let said = check(&mut pin(&[]));
    assert!(
        said.contains("rust:") && !said.contains("prometheus"),
        "{said}"
    );
    check(&mut pin(&["--check"]));
    assert_eq!(check(&mut pin(&[])), "");
    for (file, n_images) in [("deploy/Dockerfile", 2), ("docker-compose.yml", 5)] {
        let text = fs::read_to_string(at(file)).unwrap();
        assert_eq!(
            text.matches(&format!("@{digest}")).count(),
            n_images,
            "{text}"
        );
        assert_eq!(text.replace(&format!("@{digest}"), ""), read(file));
    }
}

#[test]
fn zizmor_finds_nothing_in_the_workflows() {
    let Some(zizmor) = tool("zizmor", "zizmor_finds_nothing_in_the_workflows") else {
        return;
    };
    check(Command::new(zizmor).args(["--offline", "--quiet", "--no-progress", ".github"]));
}

#[test]
fn actionlint_finds_nothing_in_the_workflows() {
    let Some(actionlint) = tool("actionlint", "actionlint_finds_nothing_in_the_workflows") else {
        return;
    };
    check(Command::new(actionlint).args(["-no-color", "-shellcheck=", "-pyflakes="]));
}

#[test]
fn systemd_finds_nothing_in_the_unit() {
    let Some(analyze) = tool("systemd-analyze", "systemd_finds_nothing_in_the_unit") else {
        return;
    };
    // It looks whether the program is there.
    let unit = read("deploy/systemd/groupcast.service")
        .replace("/usr/local/bin/groupcast", env!("CARGO_BIN_EXE_groupcast"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("groupcast.service");
    fs::write(&file, unit).unwrap();
    check(
        Command::new(analyze)
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(file),
    );
}

/// Runs a program in the project's folder, which must find nothing, and returns what it printed.
fn check(command: &mut Command) -> String {
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    let output = command.output().unwrap();
    let [said, complaint] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{command:?}: {said}{complaint}");
    said
}
