//! What a person sees: the real program's output, compared whole with `tests/cli/*.golden`.
//!
//! A golden's first line is the command; `UPDATE_GOLDEN=1 cargo test --test cli` writes the rest anew, to be read as code is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn every_golden_holds() {
    let goldens = goldens();
    assert!(goldens.len() >= 10, "{goldens:?}");
    let differing: Vec<String> = goldens.iter().filter_map(|golden| check(golden)).collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

fn goldens() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut goldens: Vec<PathBuf> = files
        .filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "golden")
        })
        .collect();
    goldens.sort();
    goldens
}

/// Returns what differs, if anything does.
fn check(golden: &Path) -> Option<String> {
    let expected = fs::read_to_string(golden).unwrap();
    let command = expected.lines().next().unwrap_or_default().to_owned();
    let actual = run(&command);
    if actual == expected {
        return None;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(golden, actual).unwrap();
        return None;
    }
    Some(format!(
        "{} expected:\n{expected}\ncame:\n{actual}",
        golden.display()
    ))
}

/// Runs `$ [NAME=VALUE ...] groupcast ARGUMENTS [< FILE]` from the project's folder and writes down all that it said.
fn run(command: &str) -> String {
    let parts = command
        .strip_prefix("$ ")
        .and_then(|command| command.split_once("groupcast"));
    let (variables, line) = parts.unwrap_or_else(|| panic!("not a command: {command}"));
    let (arguments, input) = line
        .split_once('<')
        .map_or((line, None), |(arguments, input)| {
            (arguments, Some(input.trim()))
        });
    let stdin = input.map_or_else(Stdio::null, |input| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(input);
        Stdio::from(
            fs::File::open(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())),
        )
    });
    let output = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .args(arguments.split_whitespace())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("GOLDEN_TOKEN", "a-secret-token")
        .env("COLUMNS", "100")
        .env_remove("GROUPCAST_CONFIG")
        .envs(
            variables
                .split_whitespace()
                .filter_map(|variable| variable.split_once('=')),
        )
        .stdin(stdin)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output
        .status
        .code()
        .map_or_else(|| "signal".to_owned(), |code| code.to_string());
    format!(
        "{command}\nexit {code}\n--- stdout\n{}--- stderr\n{}",
        text(&output.stdout),
        text(&output.stderr)
    )
}

#[test]
fn completions_and_man_pages_know_every_command() {
    let groupcast = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_groupcast"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let help = groupcast(&["--help"]);
    let listed = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    let commands: Vec<&str> = listed
        .lines()
        .filter_map(|line| {
            line.strip_prefix("  ")
                .filter(|line| !line.starts_with(' '))
        })
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(
        commands.contains(&"explain") && commands.contains(&"man"),
        "{commands:?}"
    );
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = groupcast(&["completions", shell]);
        for command in &commands {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
    assert!(groupcast(&["man"]).contains(".TH groupcast 1"));
    let folder = tempfile::tempdir().unwrap();
    groupcast(&["man", "--folder", folder.path().to_str().unwrap()]);
    for command in commands.iter().filter(|command| **command != "help") {
        let page =
            fs::read_to_string(folder.path().join(format!("groupcast-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
}

/// An event may say anything; on a terminal, where colours are shown, its control characters do nothing.
#[test]
fn no_part_of_an_event_is_obeyed_by_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("event.json");
    let hostile = r#"\u001b]0;title\u0007\u009b2J\r"#;
    fs::write(
        &file,
        format!(
            r#"{{"type":"group","groupId":"{hostile}","userId":"{hostile}","traits":{{"{hostile}":"{hostile}","name":"{hostile}","Name":1}},"integrations":{{"{hostile}":true}}}}"#
        ),
    )
    .unwrap();
    for command in ["explain", "suggest"] {
        let mut process = Command::new(env!("CARGO_BIN_EXE_groupcast"));
        process
            .args([
                command,
                "--color",
                "always",
                "--config",
                "tests/cli/config.yaml",
            ])
            .arg(&file);
        let output = process
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("GOLDEN_TOKEN", "a-token")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            said.contains("\x1b[1m") && said.contains("]0;title"),
            "{command} shows no colour, or nothing of the event: {said}"
        );
        let obeyed = said
            .replace("\x1b[", "")
            .chars()
            .find(|character| character.is_control() && *character != '\n');
        assert_eq!(obeyed, None, "{command}: {said:?}");
    }
}

/// The list comes from the command line itself.
#[test]
fn the_rights_of_every_command_are_documented() {
    fn check(command: &clap::Command, path: &str, rows: &[&str]) {
        for inner in command.get_subcommands() {
            let path = format!("{path} {}", inner.get_name()).trim().to_owned();
            if inner.has_subcommands() {
                check(inner, &path, rows);
            } else {
                let starts = [format!("`{path}`"), format!("`{path} --")];
                let is_there = rows
                    .iter()
                    .any(|row| starts.iter().any(|start| row.contains(start)));
                assert!(
                    is_there,
                    "docs/security.md does not say which rights this command needs: {path}"
                );
            }
        }
    }
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).unwrap();
    let (_, section) = page.split_once("\n## Rights\n").unwrap();
    let rows: Vec<&str> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .collect();
    check(&groupcast::cli::command(), "", &rows);
}

#[test]
fn the_schema_that_is_printed_is_the_page() {
    let output = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .args(["destinations", "--schema"])
        .output()
        .unwrap();
    let page = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/destination.schema.json"),
    )
    .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), page);
}

#[test]
fn what_was_read_lately_is_not_listed_as_stale() {
    let output = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .args(["destinations", "--stale", "36500d"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .args(["destinations", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
