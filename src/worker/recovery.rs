//! What follows a fault: the epoch is undone, and the way on is the way in.

use std::sync::Arc;
use std::time::Duration;

use super::routes::Routes;
use super::{Setup, Worker, clock};
use crate::kafka::ends::{Intake, Outlet};
use crate::kafka::fault::{Cause, Fault};
use crate::metrics::{self, EpochResult};
use crate::status::Rewound;
use crate::watermark::Watermarks;

/// Runs one worker until it is asked to stop, with new consumers where one fails.
///
/// # Errors
/// [`Fault::Fatal`]; what is not fatal is mended here.
pub fn run<S: Intake, D: Outlet<Offsets = S::Offsets>>(
    setup: &Setup,
    open_source: impl Fn() -> Result<S, Fault>,
    open_delivery: impl Fn(&Routes) -> Result<D, Fault>,
) -> Result<(), Fault> {
    let mut pause = Pause::default();
    // Counters are series from the start, so that their first count is seen to rise.
    Cause::ALL
        .iter()
        .for_each(|cause| metrics::rewind_cause(cause.label()));
    setup
        .config
        .source
        .topics
        .iter()
        .for_each(|topic| metrics::gap_skipped(topic, 0));
    setup
        .config
        .source
        .topics
        .iter()
        .for_each(|topic| metrics::undecodable_skipped(topic, 0));
    let limit = setup.config.delivery.epoch.bytes;
    setup.status.update(|view| view.in_flight_limit = limit);
    wait_for_topics(setup);
    while !setup.stop.is_requested() {
        setup.status.progress().join();
        let mut source = open_source()?;
        let result = run_producers(setup, &mut source, &open_delivery, &mut pause);
        source.close();
        match result {
            Err(Fault::Rewind { cause, detail }) => rewound(setup, &mut pause, cause, &detail)?,
            Err(Fault::Defer(detail) | Fault::Fatal(detail)) => return Err(Fault::Fatal(detail)),
            Ok(()) => return Ok(()),
        }
    }
    Ok(())
}

/// Waits until the brokers have answered about the topics, alive all the while.
fn wait_for_topics(setup: &Setup) {
    while !setup.routes.get().topics.are_known() && !setup.stop.is_requested() {
        setup.status.update(|_| ());
        setup.stop.sleep(Duration::from_millis(100));
    }
}

/// Runs with one consumer, with new producers where one fails.
fn run_producers<S: Intake, D: Outlet<Offsets = S::Offsets>>(
    setup: &Setup,
    source: &mut S,
    open_delivery: impl Fn(&Routes) -> Result<D, Fault>,
    pause: &mut Pause,
) -> Result<(), Fault> {
    let (mut refused, mut routes) = (None, setup.routes.get());
    loop {
        if !setup.routes.is(&routes) {
            // What was refused belongs to topics that may be others now.
            (refused, routes) = (None, setup.routes.get());
        }
        let run = |delivery| run_epochs(setup, &routes, source, delivery, pause, &mut refused);
        match open_delivery(&routes).and_then(run) {
            // With other routes.
            Ok(()) if !setup.stop.is_requested() => {}
            Err(Fault::Rewind { cause, detail }) if !cause.is_consumers() => {
                rewound(setup, pause, cause, &detail)?
            }
            result => return result,
        }
        if setup.stop.is_requested() {
            return Ok(());
        }
    }
}

/// An epoch that topics failed.
pub(super) struct Refused<P> {
    /// What they refused.
    pub(super) probe: P,
    /// What was read.
    pub(super) watermarks: Watermarks,
}

/// Runs with one consumer and one producer. `refused` is the epoch before, where topics failed it.
fn run_epochs<S: Intake, D: Outlet<Offsets = S::Offsets>>(
    setup: &Setup,
    routes: &Arc<Routes>,
    source: &mut S,
    delivery: D,
    pause: &mut Pause,
    refused: &mut Option<Refused<D::Probe>>,
) -> Result<(), Fault> {
    let mut worker = Worker::new(setup, Arc::clone(routes), source, delivery, pause);
    let result = worker.run(refused);
    // What was read is told of once a second, and perhaps the second was not over.
    setup
        .status
        .progress()
        .read(&worker.epoch.watermarks, clock::now());
    if let Some(probe) = worker.delivery.take_probe() {
        *refused = Some(Refused {
            probe,
            watermarks: std::mem::take(&mut worker.epoch.watermarks),
        });
    } else if let Some(refused) = refused {
        // The group may have given some of it to others meanwhile.
        refused.watermarks = std::mem::take(&mut worker.undone);
    }
    let is_too_large = |fault: &Fault| {
        matches!(
            fault,
            Fault::Rewind {
                cause: Cause::Producer | Cause::Transaction,
                ..
            }
        )
    };
    if result.as_ref().is_err_and(is_too_large) && worker.epoch.records > 0 {
        worker.pause.shrink(worker.epoch.records);
    }
    worker.delivery.close();
    result
}

/// Takes note that an epoch was undone, and pauses before it is done again.
///
/// # Errors
/// [`Fault::Fatal`] where we are asked to stop: then only the next start does it again, and the exit code must say so.
fn rewound(setup: &Setup, pause: &mut Pause, cause: Cause, detail: &str) -> Result<(), Fault> {
    metrics::epoch(EpochResult::Rewound);
    metrics::rewind(cause.label());
    tracing::warn!(
        worker = setup.status.worker,
        cause = cause.label(),
        detail,
        "the epoch is undone and done again"
    );
    setup.status.update(|view| {
        let since = view
            .rewound
            .as_ref()
            .map_or_else(clock::now, |rewound| rewound.since);
        view.rewound = Some(Rewound {
            since,
            cause: cause.label(),
            detail: detail.to_owned(),
        });
        (view.is_held, view.in_flight) = (false, 0);
    });
    setup.stop.sleep(pause.next());
    if setup.stop.is_requested() && setup.status.progress().uncommitted_since().is_some() {
        let what =
            "stopped with the last epoch undone; nothing is lost, the next start does it again";
        return Err(Fault::Fatal(format!("{what}: {detail}")));
    }
    Ok(())
}

/// Growing pauses between rewinds that follow each other, and epochs that shrink meanwhile: one that could not be acknowledged in
/// its time, as by a topic that a quota slows down, would fail again and again.
#[derive(Debug, Default)]
pub(super) struct Pause {
    n_rewinds: u32,
    /// How many records an epoch may have; absent where nothing has failed lately.
    epoch_records: Option<usize>,
}

impl Pause {
    fn next(&mut self) -> Duration {
        let pause = Duration::from_millis(100) * 2_u32.pow(self.n_rewinds.min(6));
        self.n_rewinds += 1;
        pause
    }

    /// Halves the next epoch after one of so many records failed.
    fn shrink(&mut self, n_records: usize) {
        self.epoch_records = Some((n_records / 2).max(1));
    }

    /// Returns how many records the next epoch may have, if fewer than usual.
    pub(super) fn epoch_records(&self) -> Option<usize> {
        self.epoch_records
    }

    /// Starts over, with an epoch of twice the size: one was committed.
    pub(super) fn committed(&mut self) {
        self.n_rewinds = 0;
        self.epoch_records = self
            .epoch_records
            .map(|n_records| n_records * 2)
            .filter(|n_records| *n_records < LARGE_EPOCH);
    }
}

/// An epoch of so many records is not held back any more.
const LARGE_EPOCH: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_start_again() {
        let mut pause = Pause::default();
        let pauses: Vec<u128> = (0..9).map(|_| pause.next().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 6400, 6400]);
        pause.committed();
        assert_eq!(pause.next().as_millis(), 100);
    }

    #[test]
    fn an_epoch_that_failed_is_followed_by_smaller_ones_until_they_commit() {
        let mut pause = Pause::default();
        assert_eq!(pause.epoch_records(), None);
        pause.shrink(1000);
        pause.shrink(500);
        assert_eq!(pause.epoch_records(), Some(250));
        pause.committed();
        assert_eq!(pause.epoch_records(), Some(500));
        (0..8).for_each(|_| pause.committed());
        assert_eq!(pause.epoch_records(), None);
        pause.shrink(1);
        assert_eq!(pause.epoch_records(), Some(1));
    }
}
