//! `/metrics`, `/startupz`, `/healthz` and `/readyz`. Reads what the workers say of themselves, and changes nothing.
//!
//! Healthy means that every worker comes round its loop: if not, a restart helps. Ready means that records flow: every
//! worker has its partitions, the topics can be used and none refuses, and commits are recent. A restart does not help there. Started means that each has had its partitions once.

mod figures;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::metrics::page::Page;
use crate::metrics::{Metrics, family};
use crate::status::{Status, View};
use crate::worker::stop::Stop;

/// A worker that was not seen for this long is taken for dead. Longer than any call it makes may take.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// Offsets that wait for this long mean that something is wrong with the topics or the group: several times what the longest
/// epoch and its commit are given.
const STALE_AFTER: Duration = Duration::from_secs(20);

/// What the page shows.
#[derive(Clone)]
pub struct Watched {
    /// The workers.
    pub statuses: Arc<[Arc<Status>]>,
    /// Their metrics.
    pub metrics: Metrics,
    /// Whether they are asked to stop.
    pub stop: Arc<Stop>,
    /// What is wrong with the topics, as the last look at them found it.
    pub topic_problems: Arc<Mutex<Vec<String>>>,
}

/// Serves until the runtime ends.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(listener: TcpListener, watched: Watched) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/startupz", get(start))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .with_state(watched);
    axum::serve(listener, routes).await
}

async fn metrics(State(watched): State<Watched>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], watched.page())
}

impl Watched {
    /// Returns what `/metrics` shows: what was counted, and what is so at this moment.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = Page::default();
        for status in self.statuses.iter() {
            figures::say(&mut page, status);
        }
        self.metrics.latencies.say(&mut page);
        page.say(family::READY, &[], f64::from(u8::from(self.why_not_ready().is_empty())));
        page.say(family::HEALTHY, &[], f64::from(u8::from(reasons(&self.statuses, why_unhealthy).is_empty())));
        page.say_process();
        self.metrics.render() + &page.into_text()
    }

    fn why_not_ready(&self) -> Vec<String> {
        let mut found = reasons(&self.statuses, why_not_ready);
        found.extend(self.topic_problems.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        if self.stop.is_requested() {
            found.push("shutting down".to_owned());
        }
        found
    }
}

async fn health(State(watched): State<Watched>) -> impl IntoResponse {
    answer(reasons(&watched.statuses, why_unhealthy))
}

async fn readiness(State(watched): State<Watched>) -> impl IntoResponse {
    answer(watched.why_not_ready())
}

async fn start(State(watched): State<Watched>) -> impl IntoResponse {
    answer(reasons(&watched.statuses, why_not_started))
}

fn answer(reasons: Vec<String>) -> impl IntoResponse {
    let (code, status) = if reasons.is_empty() { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
    let body: Value = json!({ "status": status, "reasons": reasons });
    (code, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n"))
}

fn reasons(statuses: &[Arc<Status>], why: fn(&View, Instant) -> Vec<String>) -> Vec<String> {
    let now = Instant::now();
    let of_one = |status: &Arc<Status>| {
        let worker = status.worker;
        why(&status.view(), now).into_iter().map(move |reason| format!("worker {worker}: {reason}"))
    };
    statuses.iter().flat_map(of_one).collect()
}

fn why_unhealthy(view: &View, now: Instant) -> Vec<String> {
    let silence = now.saturating_duration_since(view.beat);
    if silence <= DEAD_AFTER {
        return Vec::new();
    }
    let place = view.call.map_or_else(String::new, |(name, _)| format!(", in the client call: {name}"));
    vec![format!("no sign of life for {} s{place}", silence.as_secs())]
}

fn why_not_started(view: &View, _now: Instant) -> Vec<String> {
    if view.was_member { Vec::new() } else { vec!["has not joined the group yet".to_owned()] }
}

fn why_not_ready(view: &View, now: Instant) -> Vec<String> {
    let mut reasons = why_unhealthy(view, now);
    if !view.is_member {
        reasons.push("the group has not given it partitions yet".to_owned());
    }
    reasons.extend(view.refused.iter().map(|(topic, code)| format!("topic {topic} refuses records: {code}")));
    if let Some(age) = view.uncommitted_since.map(|since| now.saturating_duration_since(since)).filter(|age| *age > STALE_AFTER)
    {
        reasons.push(format!("nothing was committed for {} s", age.as_secs()));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut View), why: fn(&View, Instant) -> Vec<String>, expected: &[&str]) {
        let status = Status::new(0);
        status.update(|view| view.is_member = true);
        let now = Instant::now() + Duration::from_secs(3600);
        status.update(|view| {
            view.beat = now;
            change(view);
        });
        assert_eq!(why(&status.view(), now), expected);
    }

    #[test]
    fn a_member_without_partitions_is_ready() {
        check(|_| {}, why_not_ready, &[]);
    }

    #[test]
    fn a_worker_that_waits_for_the_group_is_healthy_and_not_ready() {
        check(|view| view.is_member = false, why_unhealthy, &[]);
        check(|view| view.is_member = false, why_not_ready, &["the group has not given it partitions yet"]);
    }

    #[test]
    fn a_start_is_over_with_the_first_partitions() {
        check(|_| {}, why_not_started, &["has not joined the group yet"]);
        check(|view| view.was_member = true, why_not_started, &[]);
        check(|view| (view.was_member, view.is_member) = (true, false), why_not_started, &[]);
    }

    #[test]
    fn a_refusing_topic_is_named() {
        let refuse = |view: &mut View| view.refused = vec![("a.mixpanel".to_owned(), "not authorized".to_owned())];
        check(refuse, why_unhealthy, &[]);
        check(refuse, why_not_ready, &["topic a.mixpanel refuses records: not authorized"]);
    }

    #[test]
    fn stale_offsets_are_not_ready() {
        check(|view| view.uncommitted_since = Some(view.beat - Duration::from_secs(20)), why_not_ready, &[]);
        check(
            |view| view.uncommitted_since = Some(view.beat - Duration::from_secs(21)),
            why_not_ready,
            &["nothing was committed for 21 s"],
        );
    }

    #[test]
    fn a_worker_stuck_in_a_call_is_unhealthy_and_the_call_is_named() {
        let stuck = |view: &mut View| {
            view.beat -= Duration::from_secs(31);
            view.call = Some(("commit", view.beat));
        };
        check(stuck, why_unhealthy, &["no sign of life for 31 s, in the client call: commit"]);
        check(stuck, why_not_ready, &["no sign of life for 31 s, in the client call: commit"]);
    }
}
