//! `/metrics`, `/startupz`, `/healthz` and `/readyz`, and apart from them the playground. Reads what the workers say of themselves, and changes nothing.
//!
//! Healthy means that every worker comes round its loop: if not, a restart helps. Ready means that records flow: every
//! worker has its partitions, none of which is blocked ([`progress`](crate::status::progress)), the topics can be used and none
//! refuses. A restart does not help there. A process that should start over, for new credentials or a stuck worker, and cannot yet
//! is not ready either. Started means that each worker has had its partitions once.

mod figures;
mod host;
pub mod playground;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::log;
use crate::metrics::page::{Page, approximately};
use crate::metrics::{Metrics, family};
use crate::status::{Blocked, Status, View};
use crate::worker::stop::Stop;

/// What the process is about to do and cannot yet, and why.
#[derive(Debug, Clone, Default)]
pub struct Obstacle(Arc<Mutex<Option<String>>>);

impl Obstacle {
    /// Says why, or that nothing is in the way any more.
    pub fn set(&self, reason: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Returns what is in the way.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

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
    /// Why new credentials are not used.
    pub new_credentials: Obstacle,
    /// Why a process with a worker that is stuck does not start over.
    pub start_over: Obstacle,
}

/// What one who asks may take. What a request costs beyond that is one connection's memory and nobody's time but its own.
#[derive(Clone, Copy)]
struct Limits {
    /// Connections at once; a further one takes the place of the one that has been idle for longest.
    connections: usize,
    /// For the request's head to come.
    head: Duration,
    /// From the connection's begin to the answer's last byte.
    whole: Duration,
}

const LIMITS: Limits = Limits {
    connections: 256,
    head: Duration::from_secs(2),
    whole: Duration::from_secs(10),
};

/// Bytes of a request's head, and lines in it: nothing here needs more.
const MAX_HEAD_BYTES: usize = 16_384;
const MAX_HEADERS: usize = 64;

/// Returns the pages about a service.
pub fn routes(watched: Watched) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/startupz", get(start))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .with_state(watched)
}

/// Serves until the runtime ends. Where only this machine reaches the listener, only its browsers can be made to ask by a foreign name;
/// elsewhere a scrape may come by any name.
pub async fn serve(listener: TcpListener, routes: Router) {
    let is_loopback = listener
        .local_addr()
        .is_ok_and(|address| address.ip().is_loopback());
    let routes = if is_loopback {
        routes.layer(from_fn(host::check))
    } else {
        routes
    };
    accept(listener, routes, LIMITS).await;
}

async fn accept(listener: TcpListener, routes: Router, limits: Limits) {
    let service = TowerToHyperService::new(routes);
    let mut open = Open::new(limits.connections);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let has_asked = Arc::<AtomicBool>::default();
                let answering = answer_one(stream, service.clone(), Arc::clone(&has_asked), limits);
                open.make_room();
                open.connections.push_back(Connection {
                    task: tokio::spawn(answering).abort_handle(),
                    has_asked,
                });
            }
            // As a rule the process has no file descriptors left; some come back.
            Err(error) => {
                tracing::debug!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The connections that are open, the oldest first.
///
/// A new one is never refused, since it may be the question that decides whether this process is restarted. It takes the place of
/// one that has been there for longest and has not asked.
struct Open {
    connections: VecDeque<Connection>,
    most: usize,
}

struct Connection {
    task: AbortHandle,
    has_asked: Arc<AtomicBool>,
}

impl Open {
    fn new(most: usize) -> Open {
        Open {
            connections: VecDeque::new(),
            most,
        }
    }

    fn make_room(&mut self) {
        self.connections
            .retain(|connection| !connection.task.is_finished());
        if self.connections.len() < self.most {
            return;
        }
        let is_idle = |connection: &Connection| !connection.has_asked.load(Ordering::Relaxed);
        let index = self.connections.iter().position(is_idle).unwrap_or(0);
        if let Some(closed) = self.connections.remove(index) {
            closed.task.abort();
            tracing::debug!("a connection made room for a new one");
        }
    }
}

/// Answers one request, and closes the connection: whoever asks every few seconds needs no lasting one.
async fn answer_one(
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    has_asked: Arc<AtomicBool>,
    limits: Limits,
) {
    let service = service_fn(move |request| {
        has_asked.store(true, Ordering::Relaxed);
        service.call(request)
    });
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .keep_alive(false);
    server.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
    let answered = tokio::time::timeout(
        limits.whole,
        server.serve_connection(TokioIo::new(stream), service),
    )
    .await;
    if !matches!(answered, Ok(Ok(()))) {
        tracing::debug!("a request was not finished");
    }
}

async fn metrics(State(watched): State<Watched>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        watched.page(),
    )
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
        page.say(
            family::READY,
            &[],
            f64::from(u8::from(self.why_not_ready(Instant::now()).is_empty())),
        );
        page.say(
            family::HEALTHY,
            &[],
            f64::from(u8::from(reasons(&self.statuses, why_unhealthy).is_empty())),
        );
        for (reason, n_lost) in log::lost() {
            page.say(family::LOG_LINES_LOST, &[reason], approximately(n_lost));
        }
        page.say_process();
        self.metrics.render() + &page.into_text()
    }

    /// Returns all that `/readyz` says against the service at `now`.
    #[must_use]
    pub fn why_not_ready(&self, now: Instant) -> Vec<String> {
        let mut found = reasons_at(&self.statuses, why_not_ready, now);
        found.extend(
            self.topic_problems
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .cloned(),
        );
        found.extend(self.new_credentials.get());
        found.extend(self.start_over.get());
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
    answer(watched.why_not_ready(Instant::now()))
}

async fn start(State(watched): State<Watched>) -> impl IntoResponse {
    answer(reasons(&watched.statuses, why_not_started))
}

fn answer(reasons: Vec<String>) -> impl IntoResponse {
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    };
    let body: Value = json!({ "status": status, "reasons": reasons });
    (
        code,
        [(header::CONTENT_TYPE, "application/json")],
        format!("{body}\n"),
    )
}

fn reasons(statuses: &[Arc<Status>], why: fn(&View, Instant) -> Vec<String>) -> Vec<String> {
    reasons_at(statuses, why, Instant::now())
}

fn reasons_at(
    statuses: &[Arc<Status>],
    why: fn(&View, Instant) -> Vec<String>,
    now: Instant,
) -> Vec<String> {
    let of_one = |status: &Arc<Status>| {
        let worker = status.worker;
        why(&status.view_at(now), now)
            .into_iter()
            .map(move |reason| format!("worker {worker}: {reason}"))
    };
    statuses.iter().flat_map(of_one).collect()
}

fn why_unhealthy(view: &View, now: Instant) -> Vec<String> {
    let Some(silence) = view.silence(now) else {
        return Vec::new();
    };
    let place = view.call.map_or_else(String::new, |(name, _)| {
        format!(", in the client call: {name}")
    });
    vec![format!(
        "no sign of life for {} s{place}",
        silence.as_secs()
    )]
}

fn why_not_started(view: &View, _now: Instant) -> Vec<String> {
    if view.was_member {
        Vec::new()
    } else {
        vec!["has not joined the group yet".to_owned()]
    }
}

fn why_not_ready(view: &View, now: Instant) -> Vec<String> {
    let mut reasons = why_unhealthy(view, now);
    if !view.is_member {
        reasons.push("the group has not given it partitions yet".to_owned());
    }
    reasons.extend(
        view.refused
            .iter()
            .map(|(topic, code)| format!("topic {topic} refuses records: {code}")),
    );
    reasons.extend(view.blocked.iter().map(|blocked| {
        let Blocked {
            topic,
            partition,
            offset,
            reason,
        } = blocked;
        format!("partition {topic}/{partition} is blocked at offset {offset}: {reason}")
    }));
    if let Some((duration, rewound)) = view.rewinds_for(now).filter(|_| view.blocked.is_empty()) {
        reasons.push(format!(
            "nothing was committed for {} s: {rewound}",
            duration.as_secs()
        ));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::status::Rewound;
    use crate::watermark::Watermarks;

    /// Asks a server whose only page says `here`, and returns all that it answers.
    async fn ask(address: std::net::SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = Vec::new();
        // A server that has heard enough hangs up while it is still spoken to.
        drop(stream.write_all(request).await);
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8(answer).unwrap()
    }

    const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    async fn serving(limits: Limits) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let long = "x".repeat(20_000_000);
        let routes = Router::new()
            .route("/", get(async || "here"))
            .route("/long", get(async move || long.clone()));
        tokio::spawn(accept(listener, routes, limits));
        address
    }

    #[tokio::test]
    async fn those_who_say_too_much_or_nothing_are_sent_away() {
        let short = Duration::from_millis(100);
        let address = serving(Limits {
            head: short,
            whole: short * 100,
            ..LIMITS
        })
        .await;
        assert!(ask(address, QUESTION).await.ends_with("here"));
        let head = [
            b"GET / HTTP/1.1\r\nX: ".as_slice(),
            "x".repeat(MAX_HEAD_BYTES).as_bytes(),
            b"\r\n\r\n",
        ]
        .concat();
        assert!(ask(address, &head).await.starts_with("HTTP/1.1 431 "));
        let many = format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "X: x\r\n".repeat(MAX_HEADERS + 1)
        );
        assert!(
            ask(address, many.as_bytes())
                .await
                .starts_with("HTTP/1.1 431 ")
        );
        assert_eq!(ask(address, b"GET / HTTP/1.1\r\n").await, "");
    }

    async fn code(address: std::net::SocketAddr, request: &str, headers: &str) -> String {
        let request = format!("{request} HTTP/1.1\r\n{headers}\r\n");
        let answer = ask(address, request.as_bytes()).await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    async fn served_at(ip: &str, routes: Router) -> std::net::SocketAddr {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, routes));
        (std::net::Ipv4Addr::LOCALHOST, address.port()).into()
    }

    #[tokio::test]
    async fn pages_answer_by_any_name_only_where_others_ask_and_the_playground_nowhere() {
        let catalogue = crate::destination::Catalogue::built_in();
        let playground = || {
            let playground = crate::playground::Playground::of_catalogue(&catalogue, Vec::new());
            playground::routes(playground)
        };
        let pages = || Router::new().route("/healthz", get(async || "ok"));
        let names = [
            "Host: localhost\r\n",
            "Host: 127.0.0.1:9464\r\n",
            "Host: 10.1.2.3\r\n",
            "",
            "Host: evil.example\r\n",
            "Host: groupcast.events.svc:9464\r\n",
            "Host: localhost\r\nHost: evil.example\r\n",
        ];
        let (all, some) = (
            ["200"; 7],
            ["200", "200", "200", "200", "421", "421", "421"],
        );
        for (ip, path, expected) in [
            ("0.0.0.0", "/healthz", all),
            ("127.0.0.1", "/healthz", some),
            ("0.0.0.0", "/playground/offer", some),
            ("127.0.0.1", "/playground/offer", some),
        ] {
            let address = served_at(ip, pages().merge(playground())).await;
            for (name, expected) in names.iter().zip(expected) {
                let code = code(address, &format!("GET {path}"), name).await;
                assert_eq!(code, expected, "{ip} {path} {name}");
            }
            let explain = "POST /playground/explain";
            for (site, expected) in [
                ("", "400"),
                ("Sec-Fetch-Site: same-origin\r\n", "400"),
                ("Sec-Fetch-Site: cross-site\r\n", "403"),
                ("Sec-Fetch-Site: same-site\r\n", "403"),
            ] {
                let headers = format!("Host: localhost\r\n{site}");
                assert_eq!(code(address, explain, &headers).await, expected, "{site}");
            }
        }
    }

    /// What every probe meets while somebody opens connections and says nothing, half a question, or reads no answer.
    #[tokio::test]
    async fn a_question_is_answered_however_many_connections_are_open() {
        let hour = Duration::from_secs(3600);
        let address = serving(Limits {
            connections: 30,
            head: hour,
            whole: hour,
        })
        .await;
        let requests: [&[u8]; 3] = [
            b"",
            b"GET / HTTP/1.1\r\n",
            b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n",
        ];
        let mut open = Vec::new();
        for _ in 0..40 {
            for request in requests {
                let mut stream = TcpStream::connect(address).await.unwrap();
                drop(stream.write_all(request).await);
                open.push(stream);
            }
            assert!(ask(address, QUESTION).await.ends_with("here"));
        }
        // The oldest was sent away, and nobody waited for its time to be over.
        let mut rest = Vec::new();
        drop(open.remove(0).read_to_end(&mut rest).await);
        assert_eq!(rest, b"");
    }

    fn check(
        change: impl FnOnce(&mut View),
        why: fn(&View, Instant) -> Vec<String>,
        expected: &[&str],
    ) {
        let status = Status::new(0);
        status.update(|view| view.is_member = true);
        let now = Instant::now() + Duration::from_secs(3600);
        status.update(|view| {
            view.beat = now;
            change(view);
        });
        assert_eq!(why(&status.view_at(now), now), expected);
    }

    #[test]
    fn a_member_without_partitions_is_ready() {
        check(|_| {}, why_not_ready, &[]);
    }

    #[test]
    fn a_worker_that_waits_for_the_group_is_healthy_and_not_ready() {
        check(|view| view.is_member = false, why_unhealthy, &[]);
        check(
            |view| view.is_member = false,
            why_not_ready,
            &["the group has not given it partitions yet"],
        );
    }

    #[test]
    fn a_start_is_over_with_the_first_partitions() {
        check(|_| {}, why_not_started, &["has not joined the group yet"]);
        check(|view| view.was_member = true, why_not_started, &[]);
        check(
            |view| (view.was_member, view.is_member) = (true, false),
            why_not_started,
            &[],
        );
    }

    #[test]
    fn a_refusing_topic_is_named() {
        let refuse = |view: &mut View| {
            view.refused = vec![("a.mixpanel".to_owned(), "not authorized".to_owned())]
        };
        check(refuse, why_unhealthy, &[]);
        check(
            refuse,
            why_not_ready,
            &["topic a.mixpanel refuses records: not authorized"],
        );
    }

    /// Returns a worker that has read partition 3 of `events` from 10 to 12, and 21 s later.
    fn with_uncommitted() -> (Status, Instant) {
        let (status, now) = (Status::new(0), Instant::now());
        status.update(|view| view.is_member = true);
        let mut read = Watermarks::default();
        read.set("events", 3, 12);
        status.progress().start_at("events", 3, 10, now);
        status.progress().read(&read, now);
        (status, now + Duration::from_secs(21))
    }

    fn check_blocked(change: impl FnOnce(&mut View, Instant), why: &str) {
        let (status, now) = with_uncommitted();
        status.update(|view| {
            view.beat = now;
            change(view, now);
        });
        status.update(|view| view.beat = now);
        assert_eq!(
            why_not_ready(&status.view_at(now - Duration::from_secs(1)), now),
            [""; 0],
            "within the limit"
        );
        let expected =
            format!("partition events/3 is blocked at offset 10: no progress for 21 s: {why}");
        assert_eq!(why_not_ready(&status.view_at(now), now), [expected]);
    }

    #[test]
    fn a_partition_that_does_not_move_is_named_with_its_offset_and_the_cause() {
        check_blocked(|_, _| {}, "its records are read and not committed");
        let rewound = |view: &mut View, now| {
            let detail = "no answer\n  hint: none".to_owned();
            view.rewound = Some(Rewound {
                since: now,
                cause: "transaction",
                detail,
            });
        };
        check_blocked(rewound, "the epoch was undone (transaction): no answer");
    }

    #[test]
    fn what_is_named_already_is_not_named_twice() {
        let (status, now) = with_uncommitted();
        let blocked = Blocked {
            topic: "events".to_owned(),
            partition: 3,
            offset: 10,
            reason: "it cannot be read".to_owned(),
        };
        status.update(|view| view.blocked = vec![blocked]);
        status.update(|view| view.beat = now);
        let expected = ["partition events/3 is blocked at offset 10: it cannot be read"];
        assert_eq!(why_not_ready(&status.view_at(now), now), expected);
    }

    #[test]
    fn rewinds_without_a_commit_are_not_ready_even_if_no_record_is_known_to_wait() {
        let rewound = |seconds| {
            move |view: &mut View| {
                let since = view.beat - Duration::from_secs(seconds);
                view.rewound = Some(Rewound {
                    since,
                    cause: "producer",
                    detail: "fenced".to_owned(),
                });
            }
        };
        check(rewound(20), why_not_ready, &[]);
        check(
            rewound(21),
            why_not_ready,
            &["nothing was committed for 21 s: the epoch was undone (producer): fenced"],
        );
    }

    #[test]
    fn a_worker_stuck_in_a_call_is_unhealthy_and_the_call_is_named() {
        let stuck = |view: &mut View| {
            view.beat -= Duration::from_secs(31);
            view.call = Some(("commit", view.beat));
        };
        check(
            stuck,
            why_unhealthy,
            &["no sign of life for 31 s, in the client call: commit"],
        );
        check(
            stuck,
            why_not_ready,
            &["no sign of life for 31 s, in the client call: commit"],
        );
    }
}
