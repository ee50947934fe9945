//! Secrets and trait values are planted everywhere, every command runs at the most talkative level, and nothing that any of them says
//! holds one: no log, metric, page, error, warning or report. Those that print the event on purpose do so on standard output only.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use groupcast::config::Config;
use groupcast::kafka::embedded::EmbeddedCluster;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Part of every secret, and of every value, key and id of an event that is planted; of nothing else.
const SECRET: &str = "s3cr3t";
const VALUE: &str = "v4lu3";

const DEADLINE: Duration = Duration::from_secs(60);

/// Events with a value in every place, good ones and each kind of bad one.
const EVENTS: &[&str] = &[
    r#"{"type":"group","groupId":"v4lu3-g","userId":"v4lu3-u","anonymousId":"v4lu3-a","messageId":"v4lu3-m","timestamp":"v4lu3-t","context":{"ip":"v4lu3-ip","traits":{"x":"v4lu3-x"}},"integrations":{"mixpanel":{"o":"v4lu3-o"},"nobody":true},"traits":{"name":"v4lu3-n","Name":"v4lu3-second","employees":"v4lu3-e","createdAt":"v4lu3-c","address":"v4lu3-address","email":null,"tags":["v4lu3-tag"],"custom":{"deep":"v4lu3-deep"}}}"#,
    r#"{"type":"group","groupId":7,"userId":{"v4lu3":"v4lu3"},"traits":{"name":"v4lu3","plan":["v4lu3"],"website":{"v4lu3":1}}}"#,
    r#"{"type":"group","groupId":["v4lu3"],"traits":{}}"#,
    r#"{"type":"group","groupId":"g","traits":"v4lu3"}"#,
    r#"{"type":"group","traits":{"name":"v4lu3"}}"#,
    r#"{"type":"group","groupId":"v4lu3\ud800","traits":{"name":"v4lu3"}}"#,
    r#"{"type":{"v4lu3":"v4lu3"}}"#,
    r#"{"type":"group","groupId":"g","traits":{"name":"v4lu3",}}"#,
    r#"{"type":"group","groupId":"g","traits":{"name":"v4lu3""#,
    r#"["v4lu3"]"#,
    r#"{"batch":[{"groupId":"v4lu3"}]}"#,
    "v4lu3",
    r#""v4lu3""#,
];

/// A command that ends, and what its standard output may hold: the event that was asked for, and bodies.
type Look = (&'static [&'static str], &'static [&'static str]);

/// Looked at once a service has run, and left dead letters.
const AFTERWARDS: &[Look] = &[
    (&["dead-letters", "list"], &[]),
    (&["dead-letters", "list", "--json"], &[]),
    (&["dead-letters", "counts"], &[]),
    (&["dead-letters", "counts", "--json"], &[]),
    (&["dead-letters", "show", "events.dead/0/0"], &[VALUE]),
    (
        &["dead-letters", "show", "--json", "events.dead/0/1"],
        &[VALUE],
    ),
    (&["audit", "--from", "beginning"], &[]),
    (&["audit", "--from", "beginning", "--json"], &[]),
    // A dry run shows what would leave first.
    (
        &["dead-letters", "redrive", "--dry-run", "--name", "counted"],
        &[VALUE],
    ),
    (
        &["dead-letters", "redrive", "--yes", "--name", "again"],
        &[],
    ),
    (
        &[
            "replay",
            "--from",
            "beginning",
            "--dry-run",
            "--name",
            "counted",
        ],
        &[VALUE],
    ),
    (
        &[
            "replay",
            "--from",
            "beginning",
            "--yes",
            "--name",
            "once-more",
        ],
        &[],
    ),
];

/// Looked at by themselves; each has the events on its standard input.
const ALONE: &[Look] = &[
    (&["check"], &[]),
    (&["check", "--broker"], &[]),
    (&["suggest", "events.jsonl"], &[]),
    (&["suggest", "--json", "events.jsonl"], &[]),
    (&["suggest", "--sample", "100"], &[]),
    (&["explain", "event.json"], &[VALUE]),
    (&["explain", "--json", "event.json"], &[VALUE]),
    (&["explain", "--record", "events/0/0"], &[VALUE]),
    (&["explain", "--record", "events/0/7"], &[VALUE]),
    (&["explain", "--record", "events/0/700"], &[]),
    (&["explain", "events.jsonl"], &[VALUE]),
    (&["explain"], &[VALUE]),
    (&["explain", "--group-id", "nobody"], &[]),
    (&["explain", "--message-id", "nobody"], &[]),
    // With the token where an API wants it in the body.
    (&["transform"], &[VALUE, SECRET]),
    (&["test", "cases.yaml"], &[]),
    (&["topics", "--missing"], &[]),
    (&["topics", "--format", "strimzi"], &[]),
    (&["demo"], &[]),
    (&["health", "--url", "http://127.0.0.1:1/readyz"], &[]),
    (&["destinations"], &[]),
    (&["destinations", "mixpanel"], &[]),
    (&["destinations", "--json"], &[]),
    (&["completions", "bash"], &[]),
    (&["man"], &[]),
];

/// Looked at while they run, each in a test of its own.
const RUN: &str = "run";
const PLAYGROUND: &str = "playground";

/// The demo's events are its own; this is a value of its first, which only its standard output may hold.
const DEMO_VALUE: &str = "Initech";

struct Planted {
    folder: tempfile::TempDir,
    cluster: EmbeddedCluster,
}

impl Planted {
    fn new() -> Planted {
        let cluster = EmbeddedCluster::start(1).unwrap();
        for topic in [
            "events",
            "events.mixpanel",
            "events.hubspot",
            "events.webhook",
            "events.dead",
        ] {
            cluster.create_topic(topic, 1).unwrap();
        }
        let planted = Planted {
            folder: tempfile::tempdir().unwrap(),
            cluster,
        };
        planted.write("password", "s3cr3t-file\n");
        planted.write("good.yaml", &planted.text());
        planted.write("events.jsonl", &EVENTS.join("\n"));
        planted.write("event.json", EVENTS[0]);
        planted.write(
            "cases.yaml",
            &format!("cases: [{{ about: x, event: {{ type: page, name: {VALUE} }}, ignored: not_group }}]"),
        );
        planted
    }

    /// A configuration with a secret of every origin, in every kind of place.
    fn text(&self) -> String {
        format!(
            r#"kafka:
  brokers: {brokers}
  properties:
    debug: all
    sasl.username: {{ env: PLANTED }}
    sasl.password: {{ file: password }}
    ssl.key.password: s3cr3t-in-clear
    sasl.oauthbearer.client.secret: "s3cr3t-quoted"
  consumer_properties: {{ fetch.wait.max.ms: 10 }}
source: {{ topics: [events] }}
destinations:
  - use: mixpanel
    settings: {{ token: {{ env: PLANTED }} }}
    traits: {{ deny: [email], hash: [name, tags], salt: {{ env: PLANTED }} }}
  - use: hubspot
  - use: webhook
http: {{ listen: 127.0.0.1:0 }}
log: {{ format: json, level: trace }}
"#,
            brokers = self.cluster.brokers()
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str], configuration: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_groupcast"));
        command.args(arguments).current_dir(self.folder.path());
        if takes_configuration(arguments) {
            command.arg("--config").arg(self.path(configuration));
            command.args(["--set", "kafka.properties.ssl.key.password=s3cr3t-flag"]);
        }
        // What comes from the environment and the command line is a secret, too, where its name says so.
        command.env("PLANTED", "s3cr3t-in-a-variable").env(
            "GROUPCAST__KAFKA__PROPERTIES__SSL__KEYSTORE__PASSWORD",
            "s3cr3t-over",
        );
        command
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end; returns standard output and standard error.
    fn run(&self, arguments: &[&str], configuration: &str) -> (String, String) {
        let output = self.command(arguments, configuration).output().unwrap();
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    /// Looks at them side by side: most of them wait for the broker.
    fn look_at_all(&self, looks: &[Look]) {
        thread::scope(|scope| {
            for look in looks {
                scope.spawn(|| self.look(*look));
            }
        });
    }

    /// Runs a command to its end with the events on its standard input, and looks at all that it says.
    fn look(&self, (arguments, allowed): Look) {
        let input = fs::File::open(self.path("events.jsonl")).unwrap();
        let output = self
            .command(arguments, "good.yaml")
            .stdin(input)
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        assert!(
            !stdout.is_empty() || !stderr.is_empty(),
            "{arguments:?} says nothing at all"
        );
        assert_clean(
            &format!("{arguments:?} on standard error"),
            &stderr,
            &[SECRET, VALUE, DEMO_VALUE],
        );
        let forbidden: Vec<&str> = [SECRET, VALUE]
            .into_iter()
            .filter(|mark| !allowed.contains(mark))
            .collect();
        assert_clean(&format!("{arguments:?}"), &stdout, &forbidden);
        let is_work = output.status.code() != Some(2);
        assert!(
            is_work,
            "{arguments:?} was not understood, so that nothing was looked at: {stderr}"
        );
    }

    fn produce_events(&self) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.brokers())
            .create()
            .unwrap();
        for event in EVENTS {
            producer
                .send(BaseRecord::to("events").payload(*event).key("v4lu3-key"))
                .unwrap();
        }
        producer.flush(DEADLINE).unwrap();
    }
}

#[track_caller]
fn assert_clean(what: &str, said: &str, forbidden: &[&str]) {
    for line in said.lines() {
        assert!(
            forbidden.iter().all(|mark| !line.contains(mark)),
            "{what} says: {line}"
        );
    }
}

#[test]
fn a_running_service_says_nothing_of_secrets_and_values() {
    let planted = Planted::new();
    planted.produce_events();
    let mut process = planted.command(&[RUN], "good.yaml").spawn().unwrap();
    let mut stderr = process.stderr.take().unwrap();
    let log = planted.path("log");
    let mut file = fs::File::create(&log).unwrap();
    let copying = thread::spawn(move || std::io::copy(&mut stderr, &mut file).unwrap());
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let address = until(
        || format!("it says where it listens: {}", said()),
        || {
            let said = said();
            let (_, rest) = said.split_once(r#""http":"127.0.0.1:"#)?;
            rest.split('"').next()?.parse::<u16>().ok()
        },
    );
    // A refused topic is talked about, too.
    let pages: String = until(
        || format!("all events have a verdict: {}", get(address, "/metrics")),
        || {
            let page = get(address, "/metrics");
            let verdicts = page
                .lines()
                .filter(|line| line.starts_with("groupcast_verdicts_total{"));
            let count: usize = verdicts
                .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
                .sum();
            (count == EVENTS.len()).then_some(page)
        },
    );
    assert_clean("/metrics", &pages, &[SECRET, VALUE]);
    for page in ["/startupz", "/healthz", "/readyz", "/nothing", "/v4lu3"] {
        assert_clean(page, &get(address, page), &[SECRET, VALUE]);
    }
    for page in ["healthz", "readyz"] {
        let (stdout, stderr) = planted.run(
            &[
                "health",
                "--url",
                &format!("http://127.0.0.1:{address}/{page}"),
            ],
            "good.yaml",
        );
        assert!(
            !stdout.is_empty() || !stderr.is_empty(),
            "health says nothing at all"
        );
        assert_clean("health", &(stdout + &stderr), &[SECRET, VALUE]);
    }
    assert!(
        Command::new("kill")
            .args(["-TERM", &process.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert!(process.wait().unwrap().success(), "{}", said());
    copying.join().unwrap();
    planted.look_at_all(AFTERWARDS);
    let mut stdout = String::new();
    process
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    assert_clean("standard output", &stdout, &[SECRET, VALUE]);
    let said = said();
    assert!(
        said.contains(r#""level":"TRACE""#) || said.contains(r#""level":"DEBUG""#),
        "nothing was looked at: {said}"
    );
    assert!(
        said.contains("dead_lettered") || pages.contains("dead_lettered"),
        "no dead letter was made"
    );
    assert_clean("the log", &said, &[SECRET, VALUE]);
}

#[test]
fn every_other_command_says_nothing_of_secrets_and_values() {
    let planted = Planted::new();
    planted.produce_events();
    planted.look_at_all(ALONE);
    let (made, _) = planted.run(&["explain", "event.json"], "good.yaml");
    assert!(
        made.contains(VALUE),
        "explain shows nothing of the event: {made}"
    );
}

#[test]
fn the_playground_shows_the_event_and_says_nothing_of_secrets() {
    let planted = Planted::new();
    let mut process = planted
        .command(&[PLAYGROUND, "--listen", "127.0.0.1:0"], "good.yaml")
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(process.stderr.take().unwrap());
    let mut said = String::new();
    let port: u16 = loop {
        let begin = said.len();
        assert!(
            stderr.read_line(&mut said).unwrap() > 0,
            "it says where it listens: {said}"
        );
        let line = said.get(begin..).unwrap();
        if let Some((_, rest)) = line.split_once("http://127.0.0.1:") {
            break rest.split('/').next().unwrap().parse().unwrap();
        }
    };
    let mut shown = get(port, "/playground/offer") + &get(port, "/v4lu3");
    for event in EVENTS {
        let question = serde_json::json!({ "event": event, "destinations": [{ "name": "mixpanel" }, { "name": "webhook" }] });
        shown += &ask(port, "POST /playground/explain", &question.to_string());
        // No questions at all.
        shown += &ask(port, "POST /playground/explain", event);
    }
    assert!(
        shown.contains("v4lu3-n") || shown.contains("v4lu3-second"),
        "nothing was explained: {shown}"
    );
    assert!(
        shown.contains("(secret)"),
        "no body has the token's place: {shown}"
    );
    assert_clean("the playground", &shown, &[SECRET]);
    assert!(
        Command::new("kill")
            .args(["-INT", &process.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert!(process.wait().unwrap().success());
    stderr.read_to_string(&mut said).unwrap();
    process
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_clean("the playground's log", &said, &[SECRET, VALUE]);
}

/// The list comes from the command line itself: a new command fails here until it is looked at.
#[test]
fn every_command_is_looked_at() {
    let looks = AFTERWARDS
        .iter()
        .chain(ALONE)
        .map(|(arguments, _)| *arguments);
    let looked_at: BTreeSet<Vec<&str>> = looks
        .chain([&[RUN][..], &[PLAYGROUND]])
        .map(|arguments| leaf(arguments).0)
        .collect();
    let mut all = Vec::new();
    collect_leaves(&groupcast::cli::command(), &[], &mut all);
    assert!(all.len() > 10, "{all:?}");
    for command in &all {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        assert!(
            looked_at.contains(&words),
            "nobody looks at what this command says: {}",
            command.join(" ")
        );
        let help: Vec<&str> = words.iter().copied().chain(["--help"]).collect();
        let mut process = Command::new(env!("CARGO_BIN_EXE_groupcast"));
        let output = process
            .args(&help)
            .env("PLANTED", SECRET)
            .env("GROUPCAST__KAFKA__PROPERTIES__SASL__PASSWORD", SECRET);
        let output = output.output().unwrap();
        assert!(output.status.success(), "{help:?}");
        assert_clean(
            &format!("{help:?}"),
            &String::from_utf8_lossy(&[output.stdout, output.stderr].concat()),
            &[SECRET],
        );
    }
    assert_eq!(
        looked_at.len(),
        all.len(),
        "a command that is looked at is none: {looked_at:?}, {all:?}"
    );
}

/// Returns the command that the arguments begin with, and how clap knows it.
fn leaf<'a>(arguments: &[&'a str]) -> (Vec<&'a str>, clap::Command) {
    let (mut words, mut command) = (Vec::new(), groupcast::cli::command());
    for word in arguments {
        let Some(inner) = command.find_subcommand(word).cloned() else {
            break;
        };
        words.push(*word);
        command = inner;
    }
    (words, command)
}

fn takes_configuration(arguments: &[&str]) -> bool {
    leaf(arguments)
        .1
        .get_arguments()
        .any(|argument| argument.get_long() == Some("config"))
}

fn collect_leaves(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
    for inner in command.get_subcommands() {
        let path = [path, &[inner.get_name().to_owned()]].concat();
        if inner.has_subcommands() {
            collect_leaves(inner, &path, found)
        } else {
            found.push(path)
        }
    }
}

/// Each fault that a configuration with secrets can have: one character less, one line less, one line twice, one value exchanged.
#[test]
fn no_fault_of_a_configuration_shows_a_secret() {
    let planted = Planted::new();
    let text = planted.text();
    let name = planted.path("broken.yaml").display().to_string();
    let environment = [("PLANTED".to_owned(), "s3cr3t-in-a-variable".to_owned())];
    let (mut n_faulty, mut broken) = (0, Vec::new());
    for changed in changes(&text) {
        let told = match Config::from_text(&name, &changed, &environment, &[]) {
            Ok((config, warnings)) => {
                let shown = format!("{config:?}");
                // What only looked like a secret before the change is none afterwards.
                if is_still_secret(&changed) {
                    assert_clean(&changed, &shown, &[SECRET]);
                }
                warnings
            }
            Err(faults) => {
                n_faulty += 1;
                if n_faulty % 40 == 0 {
                    broken.push(changed.clone());
                }
                faults
            }
        };
        if is_still_secret(&changed) {
            told.iter()
                .for_each(|fault| assert_clean(&changed, &fault.to_string(), &[SECRET]));
        }
    }
    assert!(n_faulty > 200, "only {n_faulty} faults were made");
    // As the program prints them, with their source lines.
    for text in broken.iter().filter(|text| is_still_secret(text)) {
        planted.write("broken.yaml", text);
        let look = |command: &str| {
            let output = planted.command(&[command], "broken.yaml").output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let place = format!("{command}\n{text}");
            assert_clean(&place, &String::from_utf8_lossy(&said), &[SECRET]);
            output.status.success()
        };
        // What a flag of the command line mends is good, and would run for ever.
        if !look("check") {
            assert!(!look("run"), "{text}");
        }
    }
}

fn changes(text: &str) -> Vec<String> {
    let characters = text
        .char_indices()
        .map(|(at, character)| [&text[..at], &text[at + character.len_utf8()..]].concat());
    let lines: Vec<&str> = text.lines().collect();
    let others = lines.iter().enumerate().flat_map(|(index, line)| {
        let with = |replaced: &[&str]| {
            [&lines[..index], replaced, &lines[index + 1..]]
                .concat()
                .join("\n")
        };
        let value = line
            .split_once(": ")
            .map(|(key, _)| format!("{key}: [1, 2]"))
            .unwrap_or_default();
        [
            with(&[]),
            with(&[line, line]),
            with(&[&value]),
            with(&[&format!("{line} }}")]),
        ]
    });
    characters.chain(others).collect()
}

/// A value in clear is a secret by its key's name; where the change has hit the name or moved it, it is any value.
fn is_still_secret(text: &str) -> bool {
    [
        "\n    ssl.key.password: ",
        "\n    sasl.oauthbearer.client.secret: ",
        "\n  properties:\n",
    ]
    .iter()
    .all(|part| text.contains(part))
        && text.contains(SECRET)
}

fn get(port: u16, path: &str) -> String {
    ask(port, &format!("GET {path}"), "")
}

fn ask(port: u16, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn until<T>(what: impl Fn() -> String, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "timed out: {}", what());
        thread::sleep(Duration::from_millis(50));
    }
}

/// The panics of the program, which its log would show: their texts are ours. Slicing a text panics with the text.
#[test]
fn no_panic_prints_a_value() {
    fn visit(folder: &Path, faults: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                visit(&path, faults);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                let is_test = path.ends_with("tests.rs")
                    || path
                        .parent()
                        .is_some_and(|folder| folder.ends_with("tests"));
                let code = if is_test {
                    ""
                } else {
                    text.split("#[cfg(test)]").next().unwrap_or_default()
                };
                // What the compiler asserts does not run.
                let is_panic = |line: &&str| {
                    !line.starts_with("const _")
                        && ["panic!(", "unreachable!(", "assert!(", "assert_eq!("]
                            .iter()
                            .any(|word| line.contains(word))
                        || slices(line)
                };
                faults.extend(
                    code.lines()
                        .filter(is_panic)
                        .map(|line| format!("{}: {line}", path.display())),
                );
            }
        }
    }
    assert!(
        slices("let key = &text[1..];")
            && slices("f(line)[..n]")
            && !slices("let [a, ..] = b()[..];")
    );
    let mut faults = Vec::new();
    for sources in ["src", "crates/core/src"] {
        visit(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(sources),
            &mut faults,
        );
    }
    assert!(
        faults.is_empty(),
        "what a panic prints must be looked at: {faults:?}"
    );
}

/// Tells whether a part is taken of something by brackets; the whole, `[..]`, is there always.
fn slices(line: &str) -> bool {
    line.match_indices('[').any(|(at, _)| {
        let (before, behind) = line.split_at(at);
        let range = behind.split(']').next().unwrap_or_default();
        before.ends_with(|last: char| last.is_alphanumeric() || "_)]".contains(last))
            && range.contains("..")
            && range != "[.."
    })
}
