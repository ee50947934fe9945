//! The configuration anew while the service runs: destinations, flags, traits, limits, formats, dead letters and the secrets in
//! them. What cannot be applied is refused as a whole, and the old one stays in force.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::{Service, fatal};
use crate::config::Config;
use crate::kafka::fault::Fault;
use crate::kafka::topics::Topics;
use crate::metrics;
use crate::router::Router;
use crate::worker::routes::{Current, Routes};

impl Service {
    /// Loads the configuration anew at each SIGHUP. `config` is what runs, `load` reads the next one or says why not.
    ///
    /// # Errors
    /// [`Fault::Fatal`] where the signal cannot be had.
    pub fn reload_on_hangup(
        &self,
        config: Arc<Config>,
        load: impl Fn() -> Result<Config, String> + Send + Sync + 'static,
    ) -> Result<(), Fault> {
        let _guard = self.runtime.enter();
        let mut hangups = signal(SignalKind::hangup()).map_err(fatal)?;
        let (routes, metrics, load) = (
            Arc::clone(&self.routes),
            self.watched.metrics.clone(),
            Arc::new(load),
        );
        self.runtime.spawn(async move {
            while hangups.recv().await.is_some() {
                let (config, routes, load, metrics) = (
                    Arc::clone(&config),
                    Arc::clone(&routes),
                    Arc::clone(&load),
                    metrics.clone(),
                );
                let reload = move || {
                    metrics.record(|| tell(load().and_then(|next| apply(&config, &next, &routes))))
                };
                if tokio::task::spawn_blocking(reload).await.is_err() {
                    tracing::error!(
                        "reading the configuration anew has panicked; the old one stays in force"
                    );
                }
            }
        });
        Ok(())
    }
}

fn tell(result: Result<(), String>) {
    metrics::reloaded(result.is_ok());
    match result {
        Ok(()) => tracing::info!(
            "the configuration is reloaded; each worker takes it over with its next epoch"
        ),
        Err(error) => tracing::error!(
            error,
            "the configuration is refused; the old one stays in force"
        ),
    }
}

/// Has `next` take the place of `config`, or says why it cannot.
fn apply(config: &Config, next: &Config, routes: &Current) -> Result<(), String> {
    let fixed = config.differences_that_need_a_restart(next);
    if !fixed.is_empty() {
        return Err(format!("changes only with a restart: {}", fixed.join(", ")));
    }
    let said = |faults: Vec<_>| {
        faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
            .join("\n")
    };
    let router = Router::new(next.routing())
        .map_err(|faults: Vec<crate::diagnostic::Diagnostic>| said(faults))?;
    let topics = Topics::check(next, router.topics()).map_err(|fault| fault.to_string())?;
    routes.replace(Routes {
        router: Arc::new(router),
        topics: Arc::new(topics),
    });
    Ok(())
}
