//! `groupcast health`: asks a groupcast that runs how it is. A container has no other program that could.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::http::Uri;
use clap::Args;
use serde_json::Value;

use super::report::{Failure, say};

/// More than all reasons of all workers need.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Asks a running groupcast how it is: exit code 0 where all is well, 1 with the reasons where it is not, or does not answer
///
/// It is made for a container's health check: the image holds no other program. A Kubernetes probe asks the pages itself.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The page to ask, of http.listen: /healthz (would a restart help), /readyz (do records flow) or /startupz
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9464/healthz"
    )]
    url: Uri,
    /// How long to wait for a connection, and then for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let url = &arguments.url;
    if url.scheme_str() != Some("http") {
        return Err(Failure::Argument(format!(
            "the page's address must begin with http://: {url}"
        )));
    }
    let answer = ask(url, Duration::from_secs(arguments.timeout))
        .with_context(|| format!("no answer from {url}"))?;
    let reasons = answer.reasons().ok_or_else(|| {
        anyhow!(
            "no health page of groupcast, status {}: {url}",
            answer.status
        )
    })?;
    for reason in &reasons {
        say(reason);
    }
    if answer.status == 200 && reasons.is_empty() {
        Ok(writeln!(io::stdout(), "ok")?)
    } else {
        Err(Failure::Said(1))
    }
}

struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Option<Answer> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head
            .strip_prefix("HTTP/1.")?
            .split(' ')
            .nth(1)?
            .parse()
            .ok()?;
        Some(Answer {
            status,
            body: body.to_owned(),
        })
    }

    /// Returns what the page says is wrong, if it is a page that would.
    fn reasons(&self) -> Option<Vec<String>> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        body.get("reasons")?
            .as_array()?
            .iter()
            .map(|reason| Some(reason.as_str()?.to_owned()))
            .collect()
    }
}

/// Asks by HTTP/1.0, which has no chunks and no connection to be kept.
fn ask(url: &Uri, timeout: Duration) -> anyhow::Result<Answer> {
    let host = url.host().unwrap_or_default();
    let mut stream = connect(host, url.port_u16().unwrap_or(80), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(
        stream,
        "GET {} HTTP/1.0\r\nHost: {host}\r\n\r\n",
        url.path()
    )?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Answer::read(&answer).context("the answer is not HTTP")
}

/// Connects to the first of the host's addresses that takes it.
fn connect(host: &str, port: u16, timeout: Duration) -> anyhow::Result<TcpStream> {
    let mut last = anyhow!("the host has no address: {host}");
    for address in format!("{host}:{port}").to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}
