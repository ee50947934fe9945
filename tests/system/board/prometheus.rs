//! Debian's Prometheus as `deploy/prometheus` configures it, but for addresses, intervals and, in a short run, numbers in the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::support::kafka::free_port;
use crate::support::process::Tethered;
use crate::support::until;

const START_LIMIT: Duration = Duration::from_secs(60);
const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/prometheus");

/// How fast time goes.
pub(crate) struct Pace {
    /// Whether the alerts wait as long as the rules say.
    pub(crate) is_full: bool,
    pub(crate) scrape_seconds: u32,
    /// What is written in place of numbers of the rules.
    rules: &'static [(&'static str, &'static str)],
}

impl Pace {
    /// Returns the one that `GROUPCAST_BOARD` asks for: in the full one only the ranges are shorter, which an alert takes to resolve.
    pub(crate) fn wanted() -> Pace {
        if env::var("GROUPCAST_BOARD").as_deref() == Ok("full") {
            let rules = &[
                ("[1h]", "[3m]"),
                ("offset 1h", "offset 3m"),
                ("[15m]", "[3m]"),
                ("offset 15m", "offset 3m"),
                ("[10m]", "[5m]"),
            ];
            Pace {
                is_full: true,
                scrape_seconds: 5,
                rules,
            }
        } else {
            let rules = &[
                ("for: 1m", "for: 3s"),
                ("for: 75s", "for: 3s"),
                ("for: 5m", "for: 3s"),
                ("> 300", "> 3"),
                (" > 5\n", " > 0\n"),
                ("[1h]", "[15s]"),
                ("offset 1h", "offset 15s"),
                ("[15m]", "[15s]"),
                ("offset 15m", "offset 15s"),
                ("[10m]", "[15s]"),
            ];
            Pace {
                is_full: false,
                scrape_seconds: 1,
                rules,
            }
        }
    }
}

/// One series of an answer: its labels, and its values with their times in Unix seconds.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) values: Vec<(f64, f64)>,
}

/// A running Prometheus, ended with whoever holds it.
pub(crate) struct Prometheus {
    process: Tethered,
    pub(crate) port: u16,
    began: f64,
    step: u32,
    log: PathBuf,
}

impl Prometheus {
    /// Returns the program: what `GROUPCAST_PROMETHEUS` names, or one on the PATH.
    pub(crate) fn find() -> Result<String, String> {
        let program = env::var("GROUPCAST_PROMETHEUS").unwrap_or_else(|_| "prometheus".to_owned());
        let found = Command::new(&program).arg("--version").output();
        found
            .map(|_| program.clone())
            .map_err(|error| format!("no {program} (Debian: prometheus): {error}"))
    }

    /// Starts it in a folder of its own; an audit's file is served at another port.
    pub(crate) fn start(
        program: &str,
        folder: &Path,
        targets: &[u16],
        audit: u16,
        pace: &Pace,
    ) -> Prometheus {
        let port = free_port();
        let targets: Vec<String> = targets
            .iter()
            .map(|port| format!("\"127.0.0.1:{port}\""))
            .collect();
        let targets = targets.join(", ");
        let job = format!(
            "{targets}]\n  - job_name: audit\n    static_configs:\n      - targets: [\"127.0.0.1:{audit}\""
        );
        let interval = format!("_interval: {}s", pace.scrape_seconds);
        let config = [("\"groupcast:9464\"", job), ("_interval: 5s", interval)];
        rewrite(
            "prometheus.yml",
            folder,
            config.iter().map(|(from, to)| (*from, to.as_str())),
        );
        rewrite("alerts.yml", folder, pace.rules.iter().copied());
        let log = folder.join("prometheus.log");
        let file = File::create(&log).expect("the target folder can be written");
        let mut command = Command::new("sh");
        command
            .stdout(file.try_clone().expect("a file handle can be copied"))
            .stderr(file);
        let arguments = [
            format!("--config.file={}", folder.join("prometheus.yml").display()),
            format!(
                "--storage.tsdb.path={}",
                folder.join("prometheus").display()
            ),
            format!("--web.listen-address=127.0.0.1:{port}"),
        ];
        let process = Tethered::start(command, program, &arguments);
        let mut prometheus = Prometheus {
            process,
            port,
            began: now(),
            step: pace.scrape_seconds,
            log,
        };
        until(START_LIMIT, "Prometheus serves", || {
            let ended = prometheus.process.has_ended();
            assert!(
                ended.is_none(),
                "Prometheus has ended, {ended:?}:\n{}",
                prometheus.said()
            );
            prometheus
                .get("/-/ready")
                .filter(|answer| answer.starts_with("HTTP/1.0 200 "))
                .map(drop)
        });
        prometheus
    }

    /// Returns what an expression comes to now.
    pub(crate) fn ask(&self, expression: &str) -> Vec<Series> {
        self.series(&format!("/api/v1/query?query={}", encoded(expression)))
    }

    /// Returns what an expression came to from the start on, once for each scrape.
    pub(crate) fn history(&self, expression: &str) -> Vec<Series> {
        let (began, now, step) = (self.began, now(), self.step);
        self.series(&format!(
            "/api/v1/query_range?query={}&start={began}&end={now}&step={step}",
            encoded(expression)
        ))
    }

    /// Returns the alerts that fire now, each with the instance that it names, if it does.
    pub(crate) fn firing(&self) -> BTreeSet<(String, String)> {
        let of =
            |series: &Series, label: &str| series.labels.get(label).cloned().unwrap_or_default();
        let alerts = self.ask("ALERTS{alertstate=\"firing\"}");
        alerts
            .iter()
            .map(|series| (of(series, "alertname"), of(series, "instance")))
            .collect()
    }

    /// Returns its log.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn series(&self, path: &str) -> Vec<Series> {
        let answer = self.get(path).expect("Prometheus listens");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let answer: Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"));
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        let found = answer["data"]["result"]
            .as_array()
            .expect("a list of series");
        let time_and_value = |pair: &Value| {
            let value = pair[1].as_str().and_then(|text| text.parse().ok());
            (pair[0].as_f64().expect("a time"), value.expect("a value"))
        };
        let one = |series: &Value| Series {
            labels: serde_json::from_value(series["metric"].clone()).expect("labels are texts"),
            values: match series["values"].as_array() {
                Some(values) => values.iter().map(time_and_value).collect(),
                None => vec![time_and_value(&series["value"])],
            },
        };
        found.iter().map(one).collect()
    }

    /// Asks in HTTP 1.0, so that the answer comes in one piece.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

/// Returns the seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("it is past 1970")
        .as_secs_f64()
}

/// Copies a file of `deploy/prometheus` with some texts in place of others, each of which must be there.
fn rewrite<'a>(name: &str, folder: &Path, changes: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut text = fs::read_to_string(Path::new(DEPLOY).join(name)).expect("the file is there");
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no {from:?} any more");
        text = text.replace(from, to);
    }
    fs::write(folder.join(name), text).expect("the target folder can be written");
}

fn encoded(expression: &str) -> String {
    let mut text = String::new();
    write!(
        text,
        "{}",
        utf8_percent_encode(expression, NON_ALPHANUMERIC)
    )
    .expect("a string takes all");
    text
}
