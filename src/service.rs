//! The service: the workers of one process, their watchdog, the HTTP page, signals.

mod ending;
mod reload;
mod rotation;
mod upkeep;
mod watchdog;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use self::ending::Ending;
use self::watchdog::Stopping;
use crate::config::Config;
use crate::http::{self, Obstacle, Watched};
use crate::kafka::delivery::Delivery;
use crate::kafka::fault::Fault;
use crate::kafka::source::Source;
use crate::kafka::source::bound::Reading;
use crate::kafka::topics::{TopicWatch, Topics};
use crate::metrics::tally::UnknownFlags;
use crate::metrics::{self, Metrics};
use crate::process::{self, Process, signals};
use crate::router::Router;
use crate::status::Status;
use crate::worker::routes::{Current, Routes};
use crate::worker::stop::Stop;
use crate::worker::{Setup, recovery};

const TOPICS_INTERVAL: Duration = Duration::from_secs(10);

/// How soon brokers that do not answer are asked again, while workers wait for that.
const UNKNOWN_TOPICS_INTERVAL: Duration = Duration::from_millis(200);

/// Workers that run. Dropping it without [`Service::wait`] leaves them running.
pub struct Service {
    workers: Vec<JoinHandle<Result<(), Fault>>>,
    watched: Watched,
    routes: Arc<Current>,
    http: Option<SocketAddr>,
    /// Whether the stop that was asked for makes way for new credentials.
    ending: Arc<Ending>,
    shutdown_timeout: Duration,
    /// Serves HTTP, signals and timers; nothing on a record's path.
    runtime: Runtime,
}

impl Service {
    /// Starts the workers. `topics` are the router's, as [`Topics::check`] found them; for those that are not known yet the
    /// workers wait.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where the address to listen on is taken, or the system gives no threads.
    pub fn start(
        config: Arc<Config>,
        router: Router,
        topics: Topics,
        reading: Reading,
    ) -> Result<Service, Fault> {
        let routes = Arc::new(Current::new(Routes {
            router: Arc::new(router),
            topics: Arc::new(topics),
        }));
        let metrics = Metrics::new().map_err(fatal)?;
        metrics.record(|| {
            metrics::build(
                env!("CARGO_PKG_VERSION"),
                rdkafka::util::get_rdkafka_version().1,
            );
            metrics::never_reloaded();
            metrics::started_over(Process::this().restarts);
        });
        let statuses: Arc<[Arc<Status>]> = (0..config.source.workers)
            .map(|worker| Arc::new(Status::new(worker)))
            .collect();
        let watched = Watched {
            statuses,
            metrics,
            stop: Arc::default(),
            topic_problems: Arc::default(),
            new_credentials: Obstacle::default(),
            start_over: Obstacle::default(),
        };
        let runtime = runtime()?;
        let http = config
            .http
            .map(|address| listen(&runtime, address, http::routes(watched.clone())))
            .transpose()?;
        runtime.spawn(upkeep::run(watched.metrics.clone()));
        runtime.spawn(upkeep::read_statistics(Arc::clone(&watched.statuses)));
        let topic_watch = TopicWatch::open(Arc::clone(&config))?;
        runtime.spawn(watch_topics(
            Arc::new(topic_watch),
            watched.clone(),
            Arc::clone(&routes),
        ));
        let workers = start_workers(&config, &routes, &watched, &reading)?;
        let shutdown_timeout = config.delivery.shutdown_timeout;
        Ok(Service {
            workers,
            watched,
            routes,
            http,
            shutdown_timeout,
            ending: Arc::default(),
            runtime,
        })
    }

    /// Returns the address of the HTTP page, with its port if the system chose one.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Serves metrics and health at `address`, and `pages` beside them.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where the address is taken.
    pub fn serve(&mut self, address: SocketAddr, pages: axum::Router) -> Result<(), Fault> {
        let routes = http::routes(self.watched.clone()).merge(pages);
        self.http = Some(listen(&self.runtime, address, routes)?);
        Ok(())
    }

    /// Returns what is watched: workers and metrics.
    #[must_use]
    pub fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Asks the workers to drain, commit and end.
    pub fn stop(&self) {
        self.watched.stop.request();
    }

    /// Has the process start over when a client call does not return: it cannot be cancelled, and a new start is exact.
    /// While `can_start` says why a start would fail, the process stays as it is.
    pub fn start_over_when_stuck<F>(&self, can_start: F)
    where
        F: Fn() -> Result<(), String> + Clone + Send + 'static,
    {
        let stopping = Stopping {
            limit: self.shutdown_timeout,
            ending: Arc::clone(&self.ending),
        };
        self.runtime
            .spawn(watchdog::watch(self.watched.clone(), stopping, can_start));
    }

    /// Stops at the first signal that asks for it, and ends the process at the second.
    pub fn stop_on_signals(&self) {
        signals::serve();
        self.runtime
            .spawn(heed(self.watched.clone(), Arc::clone(&self.ending)));
    }

    /// Has the workers drain, commit and end once a file of `credentials` has changed and `try_out` got in with what the
    /// files hold now; [`Service::wait`] then says so. What does not get in is tried again.
    pub fn follow_credentials<F>(&self, credentials: Vec<PathBuf>, try_out: F)
    where
        F: Fn() -> Result<(), String> + Clone + Send + 'static,
    {
        let (stop, ending) = (Arc::clone(&self.watched.stop), Arc::clone(&self.ending));
        let (obstacle, in_use) = (
            self.watched.new_credentials.clone(),
            rotation::print_of(&credentials),
        );
        self.runtime.spawn(async move {
            rotation::changed(&credentials, in_use, rotation::INTERVAL, try_out, &obstacle).await;
            if ending.rotate() {
                tracing::info!(
                    "credentials have changed; draining, committing and starting over with the new ones"
                );
                stop.request();
            }
        });
    }

    /// Waits until all workers have ended. One that fails stops the others.
    ///
    /// # Errors
    /// The first worker's fault.
    pub fn wait(self) -> Result<Ended, Fault> {
        let mut result = Ok(());
        for worker in self.workers {
            let ended = worker
                .join()
                .unwrap_or_else(|_| Err(Fault::Fatal("a worker panicked".to_owned())));
            if let Err(fault) = &ended {
                tracing::error!(error = %fault, "a worker has failed");
            }
            result = result.and(ended);
        }
        self.runtime.shutdown_timeout(Duration::from_millis(100));
        if self.ending.is_rotating() {
            // What a worker could not finish with the old credentials, or while a topic refuses, the new start does.
            return Ok(Ended::ToStartOver);
        }
        result.map(|()| Ended::Stopped)
    }
}

/// Why the workers have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Somebody asked for it.
    Stopped,
    /// The process is to start over with new credentials.
    ToStartOver,
}

fn fatal(error: impl std::fmt::Display) -> Fault {
    Fault::Fatal(error.to_string())
}

fn runtime() -> Result<Runtime, Fault> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("shell")
        .enable_all()
        .build()
        .map_err(fatal)
}

fn listen(
    runtime: &Runtime,
    address: SocketAddr,
    routes: axum::Router,
) -> Result<SocketAddr, Fault> {
    let in_use = |error| Fault::Fatal(format!("http.listen {address}: {error}"));
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .map_err(in_use)?;
    let address = listener.local_addr().map_err(in_use)?;
    runtime.spawn(http::serve(listener, routes));
    Ok(address)
}

fn start_workers(
    config: &Arc<Config>,
    routes: &Arc<Current>,
    watched: &Watched,
    reading: &Reading,
) -> Result<Vec<JoinHandle<Result<(), Fault>>>, Fault> {
    let unknown_flags = UnknownFlags::default();
    let start = |status: &Arc<Status>| {
        let setup = Setup {
            config: Arc::clone(config),
            routes: Arc::clone(routes),
            status: Arc::clone(status),
            stop: Arc::clone(&watched.stop),
            unknown_flags: unknown_flags.clone(),
            latencies: Arc::clone(&watched.metrics.latencies),
        };
        let metrics = watched.metrics.clone();
        let name = format!("worker-{}", status.worker);
        let reading = reading.clone();
        std::thread::Builder::new()
            .name(name)
            .spawn(move || run_worker(&setup, &metrics, &reading))
            .map_err(fatal)
    };
    watched.statuses.iter().map(start).collect()
}

fn run_worker(setup: &Setup, metrics: &Metrics, reading: &Reading) -> Result<(), Fault> {
    // However this one ends, the others need not go on without it.
    let _stop = StopOnDrop(&setup.stop);
    let open_source = || Source::open(&setup.config, Arc::clone(&setup.status), reading.clone());
    let open_delivery = |routes: &Routes| {
        Delivery::open(
            &setup.config,
            Arc::clone(&routes.topics),
            Arc::clone(&setup.status),
        )
    };
    metrics.record(|| recovery::run(setup, open_source, open_delivery))
}

struct StopOnDrop<'a>(&'a Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Looks at the topics again and again; what is wrong turns the readiness, and turns it back when it is mended.
async fn watch_topics(topics: Arc<TopicWatch>, watched: Watched, routes: Arc<Current>) {
    loop {
        let are_known = routes.get().topics.are_known();
        tokio::time::sleep(if are_known {
            TOPICS_INTERVAL
        } else {
            UNKNOWN_TOPICS_INTERVAL
        })
        .await;
        let (asked, current) = (Arc::clone(&topics), routes.get());
        let known = Arc::clone(&current);
        let Ok(found) = tokio::task::spawn_blocking(move || asked.problems(&known.topics)).await
        else {
            return;
        };
        let is_answer = found.is_ok();
        let problems: Vec<String> = match found {
            Ok(problems) => problems.iter().map(ToString::to_string).collect(),
            Err(no_answer) => vec![no_answer],
        };
        if is_answer {
            current.topics.set_known();
        }
        watched
            .metrics
            .record(|| metrics::topic_problems(problems.len()));
        let mut known = watched
            .topic_problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for news in problems.iter().filter(|problem| !known.contains(problem)) {
            tracing::warn!(problem = news, "a topic cannot be used");
        }
        if problems.is_empty() && !known.is_empty() {
            tracing::info!("all topics can be used again");
        }
        *known = problems;
    }
}

async fn heed(watched: Watched, ending: Arc<Ending>) {
    signals::stop_asked().await;
    ending.ask();
    tracing::info!("asked to stop; draining and committing");
    watched.stop.request();
    signals::stop_asked().await;
    for status in watched.statuses.iter() {
        let view = status.view();
        let is_uncommitted = status.progress().uncommitted_since().is_some();
        tracing::error!(worker = status.worker, is_uncommitted, refused = ?view.refused,
            "asked again; ending at once, the next start sends again what was not committed");
    }
    process::exit(1);
}
