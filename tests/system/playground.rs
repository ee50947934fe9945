//! The playground: its page in a real browser, and what it answers to those who are none.
//!
//! The browser is Debian's Chromium, driven by `tests/system/browser/playground.mjs` with playwright-core from npm. Where Chromium,
//! node or npm is missing, that test says SKIPPED, or fails where `GROUPCAST_REQUIRE_BROWSER` is 1.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const BROWSER_TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/browser");

/// A running `groupcast playground`, killed with whoever holds it.
struct Playground {
    process: Child,
    /// Host and port.
    address: String,
}

impl Playground {
    fn start(arguments: &[&str]) -> Playground {
        let mut process = Command::new(env!("CARGO_BIN_EXE_groupcast-under-test"))
            .args(["playground", "--listen", "127.0.0.1:0"])
            .env("PLAYGROUND_TOKEN", "planted-secret")
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped"))
            .lines()
            .map_while(Result::ok);
        let address = lines.find_map(|line| {
            let (_, rest) = line.split_once("http://")?;
            rest.split_once('/').map(|(address, _)| address.to_owned())
        });
        Playground {
            process,
            address: address.expect("it says where it listens"),
        }
    }

    /// Sends one request, and returns the whole answer.
    fn ask(&self, request: &str, host: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let length = body.len();
        let sent = write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        // Whoever says too much is not heard to the end.
        drop(sent);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        self.process.kill().expect("it is ours");
        self.process.wait().expect("it is ours");
    }
}

fn explain(event: &str, destinations: &str) -> String {
    format!(
        r#"{{"event":{},"destinations":{destinations}}}"#,
        serde_json::Value::from(event)
    )
}

#[test]
fn the_page_is_all_its_own_and_may_do_no_more_than_it_needs() {
    let playground = Playground::start(&[]);
    for (path, media_type) in [
        ("/", "text/html"),
        ("/playground/page.css", "text/css"),
        ("/playground/page.js", "text/javascript"),
        ("/playground/json.js", "text/javascript"),
        ("/playground/icon.svg", "image/svg+xml"),
        ("/playground/offer", "application/json"),
    ] {
        let answer = playground.ask(&format!("GET {path}"), "localhost", "");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.contains(media_type) && !body.is_empty(),
            "{path}: {head}"
        );
        assert!(
            head.contains("content-security-policy: default-src 'none'; script-src 'self';"),
            "{path}: {head}"
        );
        assert!(
            head.contains("x-content-type-options: nosniff"),
            "{path}: {head}"
        );
    }
    let page = playground.ask("GET /", "localhost", "");
    assert!(
        !page.contains("style=") && !page.contains("onclick") && !page.contains("https://"),
        "{page}"
    );
}

#[test]
fn questions_are_answered_or_refused_in_words() {
    let playground = Playground::start(&[]);
    let question = explain(
        r#"{"type":"group","groupId":"g1","traits":{"Name":"A"}}"#,
        r#"[{"name":"mixpanel"}]"#,
    );
    let answer = playground.ask("POST /playground/explain", "localhost", &question);
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#""$name":"A""#),
        "{answer}"
    );
    for (request, host, body, code, words) in [
        (
            "POST /playground/explain",
            "localhost",
            "{}",
            400,
            "not a question: missing field `event`",
        ),
        (
            "POST /playground/explain",
            "localhost",
            &explain("{}", r#"[{"name":"../etc/passwd"}]"#),
            400,
            "no such destination",
        ),
        (
            "POST /playground/explain",
            "localhost",
            &explain("{}", r#"[{"name":"webhook","file":"x"}]"#),
            400,
            "unknown field `file`",
        ),
        (
            "POST /playground/explain",
            "localhost",
            &" ".repeat(5 << 20),
            413,
            "",
        ),
        ("GET /playground/explain", "localhost", "", 405, ""),
        // A page elsewhere whose name was made to point here.
        (
            "GET /playground/offer",
            "rebound.example.com",
            "",
            421,
            "groupcast answers here to localhost",
        ),
        ("GET /metrics", "localhost", "", 404, ""),
    ] {
        let answer = playground.ask(request, host, body);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {code} ")) && answer.contains(words),
            "{request}: {answer}"
        );
    }
}

#[test]
fn a_configuration_counts_and_its_secrets_are_not_there() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("playground");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    let config = folder.join("groupcast.yaml");
    let text = "kafka: { brokers: localhost:9092 }\nsource: { topics: [in] }\ndestinations:\n  \
        - { use: mixpanel, name: ours, settings: { token: { env: PLAYGROUND_TOKEN } } }\n";
    std::fs::write(&config, text).expect("the target folder can be written");
    let playground = Playground::start(&["--config", config.to_str().expect("it is text")]);
    let offer = playground.ask("GET /playground/offer", "localhost", "");
    assert!(
        offer.contains(r#""name":"ours""#) && offer.contains(r#""flag":"ours""#),
        "{offer}"
    );
    let question = explain(
        r#"{"type":"group","groupId":"g1","traits":{"name":"A"}}"#,
        r#"[{"name":"ours"}]"#,
    );
    let answer = playground.ask("POST /playground/explain", "localhost", &question);
    assert!(
        answer.contains("in.ours") && answer.contains("(secret)"),
        "{answer}"
    );
    assert!(
        !offer.contains("planted-secret") && !answer.contains("planted-secret"),
        "a secret is shown"
    );
}

#[test]
fn a_person_can_use_it_in_a_browser() {
    let Some(browser) = browser() else { return };
    let playground = Playground::start(&[]);
    let pictures = env::var("GROUPCAST_PICTURES").unwrap_or_default();
    let done = Command::new("node")
        .arg(format!("{BROWSER_TESTS}/playground.mjs"))
        .args([
            format!("http://{}/", playground.address),
            browser.display().to_string(),
            pictures,
        ])
        .output()
        .expect("node was found");
    let said =
        String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert_eq!(said.matches("ok: ").count(), 9, "{said}");
}

/// Returns the browser, with what drives it in place.
fn browser() -> Option<PathBuf> {
    let found = find_browser();
    if let Err(reason) = &found {
        assert!(
            env::var("GROUPCAST_REQUIRE_BROWSER").as_deref() != Ok("1"),
            "no browser to test with: {reason}"
        );
        writeln!(
            std::io::stderr(),
            "\nSKIPPED: a_person_can_use_it_in_a_browser: {reason}"
        )
        .expect("standard error can be written");
    }
    found.ok()
}

fn find_browser() -> Result<PathBuf, String> {
    let named = env::var_os("GROUPCAST_CHROMIUM").map(PathBuf::from);
    let places = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ]
    .map(PathBuf::from);
    let browser = named.into_iter().chain(places).find(|place| place.exists());
    let browser = browser
        .ok_or("no Chromium: apt-get install chromium, or name one in GROUPCAST_CHROMIUM")?;
    Command::new("node")
        .arg("--version")
        .output()
        .map_err(|error| format!("no node on the PATH: {error}"))?;
    if !Path::new(BROWSER_TESTS)
        .join("node_modules/playwright-core")
        .exists()
    {
        let fetched = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(BROWSER_TESTS)
            .output();
        let fetched = fetched.map_err(|error| format!("no npm on the PATH: {error}"))?;
        if !fetched.status.success() {
            return Err(format!(
                "npm ci: {}",
                String::from_utf8_lossy(&fetched.stderr)
            ));
        }
    }
    Ok(browser)
}
