//! The quick starts of `examples`: `check` takes each configuration, and `test` passes each file of cases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folders() -> Vec<PathBuf> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(examples).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_dir()).collect()
}

/// Runs a command in a copy of the folder, where every secret's file and variable has some contents.
fn run(folder: &Path, arguments: &[&str]) {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    for secret in ["password", "connection-string"] {
        fs::write(copy.path().join(secret), "not-a-secret").unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
    command.args(arguments).args(["--config", "groupcast.yaml"]);
    for variable in [
        "MIXPANEL_TOKEN",
        "CONFLUENT_API_KEY",
        "CONFLUENT_API_SECRET",
    ] {
        command.env(variable, "not-a-secret");
    }
    let output = command.current_dir(copy.path()).output().unwrap();
    assert!(
        output.status.success(),
        "{} {arguments:?}: {}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_quick_start_is_taken_and_listed() {
    let folders = folders();
    assert!(folders.len() >= 5, "{folders:?}");
    let page = fs::read_to_string("examples/README.md").unwrap();
    for folder in folders {
        run(&folder, &["check"]);
        if folder.join("cases.yaml").exists() {
            run(&folder, &["test", "cases.yaml"]);
        }
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(page.contains(&format!("| [{name}]({name}) |")), "{name}");
    }
}
