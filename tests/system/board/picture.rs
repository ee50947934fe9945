//! A picture of the board, drawn by a browser without Grafana, where `GROUPCAST_PICTURES` names a folder for it.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::prometheus::Pace;

const BROWSER_TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/browser");

/// Draws what a Prometheus has seen.
pub(crate) fn take(port: u16, pace: &Pace) {
    let Ok(folder) = env::var("GROUPCAST_PICTURES") else {
        return;
    };
    if !Path::new(BROWSER_TESTS).join("node_modules/uplot").exists() {
        let fetched = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(BROWSER_TESTS)
            .status();
        assert!(
            fetched.is_ok_and(|status| status.success()),
            "pictures need what npm fetches"
        );
    }
    let browser = env::var("GROUPCAST_CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    let done = Command::new("node")
        .arg(format!("{BROWSER_TESTS}/board.mjs"))
        .args([
            format!("http://127.0.0.1:{port}"),
            browser,
            folder,
            pace.scrape_seconds.to_string(),
        ])
        .output()
        .expect("pictures need node");
    let said =
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
}
