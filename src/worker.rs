//! The loop: poll, route, send, and at the end of an epoch commit. One thread each; a worker shares nothing but the router.
//!
//! An epoch is what was sent since the last commit. It ends by time, number or size; then everything in flight is
//! acknowledged first and the offsets move second, so that an offset never goes ahead of what is durable.

mod clock;
mod epoch;
pub mod recovery;
pub mod routes;
pub mod stop;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::topic_partition_list::TopicPartitionList;

use self::epoch::{Epoch, interval_after};
use self::recovery::{Pause, Refused};
use self::routes::{Current, Routes};
use self::stop::Stop;
use crate::config::{Config, EpochBounds, Guarantee};
use crate::envelope::Emissions;
use crate::kafka::ends::{Intake, Outlet, Polled, Rebalance};
use crate::kafka::fault::{Cause, Fault};
use crate::metrics::latency::Latencies;
use crate::metrics::tally::{Tally, UnknownFlags};
use crate::metrics::{self, EpochResult};
use crate::router::Scratch;
use crate::status::Status;
use crate::watermark::{Watermark, Watermarks};

/// What is routed before it is handed to the producer: enough that what goes to one partition is worth a request, little enough to
/// stay in the cache.
const BATCH_RECORDS: usize = 1000;
const BATCH_BYTES: usize = 2 << 20;

/// How long the loop waits for acknowledgements before it pauses reading and looks after the group meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same while it is paused.
const HELD_PATIENCE: Duration = Duration::from_millis(50);

/// How long an idle worker waits for a record at a time.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// The pause before a refused record is offered again, at first and at most.
const FIRST_PROBE_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PROBE_PAUSE: Duration = Duration::from_secs(5);

const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What a worker is made from.
pub struct Setup {
    /// The configuration.
    pub config: Arc<Config>,
    /// What becomes of a record, for now.
    pub routes: Arc<Current>,
    /// What the worker says of itself.
    pub status: Arc<Status>,
    /// When to stop.
    pub stop: Arc<Stop>,
    /// The unknown flags that all workers have told of.
    pub unknown_flags: UnknownFlags,
    /// How long records take, of all workers.
    pub latencies: Arc<Latencies>,
}

struct Worker<'a, S, D> {
    setup: &'a Setup,
    routes: Arc<Routes>,
    source: &'a mut S,
    delivery: D,
    pause: &'a mut Pause,
    scratch: Scratch,
    emissions: Emissions,
    tally: Tally,
    epoch: Epoch,
    /// When an epoch ends; its interval follows what commits cost.
    bounds: EpochBounds,
    is_held: bool,
    /// What was read of an epoch that a topic failed, as far as the group has not given it to others since.
    undone: Watermarks,
    progress_at: Instant,
}

impl<'a, S: Intake, D: Outlet<Offsets = S::Offsets>> Worker<'a, S, D> {
    fn new(
        setup: &'a Setup,
        routes: Arc<Routes>,
        source: &'a mut S,
        delivery: D,
        pause: &'a mut Pause,
    ) -> Worker<'a, S, D> {
        let mut bounds = setup.config.delivery.epoch;
        bounds.records = pause
            .epoch_records()
            .unwrap_or(usize::MAX)
            .min(bounds.records);
        let names: Arc<[String]> = routes
            .router
            .destination_names()
            .map(str::to_owned)
            .collect();
        Worker {
            setup,
            routes,
            source,
            delivery,
            pause,
            scratch: Scratch::default(),
            emissions: Emissions::default(),
            tally: Tally::new(
                names,
                setup.unknown_flags.clone(),
                Arc::clone(&setup.latencies),
            ),
            epoch: Epoch::default(),
            bounds,
            is_held: false,
            undone: Watermarks::default(),
            progress_at: clock::now(),
        }
    }

    fn run(&mut self, refused: &mut Option<Refused<D::Probe>>) -> Result<(), Fault> {
        if let Some(Refused { watermarks, .. }) = refused {
            self.undone = watermarks.clone();
        }
        // What the group has wanted meanwhile comes first: there is nothing to commit, and to set positions would be an answer.
        self.answer_group()?;
        // The producer is open, and with it whatever an earlier one left is decided: only now do the offsets say where to go on.
        self.setup.status.progress().rewind();
        let starts = self.source.rewind()?;
        self.start_at(&starts);
        if let Some(Refused { probe, .. }) = refused.as_mut() {
            self.wait_until_taken(probe)?;
            *refused = None;
        }
        self.source.set_paused(false)?;
        while !self.setup.stop.is_requested() {
            if self.is_idle() && !self.setup.routes.is(&self.routes) {
                tracing::info!(
                    worker = self.setup.status.worker,
                    "goes on with the reloaded configuration"
                );
                return Ok(());
            }
            if self.is_idle() && self.delivery.is_outdated() {
                tracing::info!(
                    worker = self.setup.status.worker,
                    "topics take larger batches again; a new producer sends them"
                );
                return Ok(());
            }
            self.turn()?;
        }
        self.shut_down()
    }

    /// Returns whether everything that was read is committed.
    fn is_idle(&self) -> bool {
        self.epoch.began.is_none() && self.is_all_sent()
    }

    /// Once round: take a batch, answer the group, commit if it is time.
    fn turn(&mut self) -> Result<(), Fault> {
        self.take_batch()?;
        self.answer_group()?;
        if self.is_held || !self.is_all_sent() || self.epoch.is_due(&self.bounds) {
            self.end_epoch()?;
        }
        self.check_progress()
    }

    fn take_batch(&mut self) -> Result<(), Fault> {
        // While it is held, polling brings the group's events; reading is paused.
        if self.is_all_sent() || self.is_held {
            self.read_batch()?;
        }
        if !self.send_until(
            clock::now()
                + if self.is_held {
                    HELD_PATIENCE
                } else {
                    PATIENCE
                },
        )? {
            tracing::debug!(
                worker = self.setup.status.worker,
                "the producer's queue stays full"
            );
        }
        Ok(())
    }

    fn read_batch(&mut self) -> Result<(), Fault> {
        let mut timeout = self.wait();
        let mut polled = Polled::Nothing;
        for _ in 0..self
            .pause
            .epoch_records()
            .unwrap_or(BATCH_RECORDS)
            .min(BATCH_RECORDS)
        {
            polled = self.source.poll(timeout, |record| {
                let verdict = self.routes.router.route(
                    record,
                    self.routes.topics.as_ref(),
                    &mut self.scratch,
                    &mut self.emissions,
                    &mut self.tally,
                );
                self.tally
                    .verdict(record.position.topic, record.timestamp, verdict);
                self.epoch.watermarks.advance(record.position);
                self.epoch.records += 1;
            })?;
            if polled != Polled::Record || self.emissions.bytes() >= BATCH_BYTES {
                break;
            }
            timeout = Duration::ZERO;
        }
        if self.epoch.records > 0 {
            self.epoch.begin(&self.bounds);
        }
        if polled == Polled::Gap {
            // What is in hand may be gone from the source, so that it leaves first: a gap can end the process.
            if self.epoch.records > 0 {
                self.commit_now()?;
            }
            let starts = self.source.mend_gaps()?;
            self.start_at(&starts);
        }
        Ok(())
    }

    /// Returns how long to wait for the first record of a batch: not past the end of the epoch.
    fn wait(&self) -> Duration {
        let until_due = self
            .epoch
            .due_at
            .map(|due_at| due_at.saturating_duration_since(clock::now()));
        until_due.unwrap_or(IDLE_WAIT).min(IDLE_WAIT)
    }

    fn is_all_sent(&self) -> bool {
        self.emissions.is_empty()
    }

    /// Hands the batch to the producer, which may have to make room first. Returns whether it took all of it.
    fn send_until(&mut self, until: Instant) -> Result<bool, Fault> {
        loop {
            if self.delivery.send(&self.emissions)? {
                break;
            }
            if clock::now() >= until {
                return Ok(false);
            }
            self.delivery.serve(Duration::from_millis(2))?;
        }
        self.epoch.bytes += self.emissions.bytes();
        self.emissions.clear();
        self.delivery.serve(Duration::ZERO)?;
        Ok(true)
    }

    fn answer_group(&mut self) -> Result<(), Fault> {
        match self.source.rebalance() {
            None => Ok(()),
            Some(Rebalance::Assign(partitions)) => self.assign(partitions),
            Some(Rebalance::Revoke(partitions)) => self.revoke(&partitions),
        }
    }

    fn assign(&mut self, partitions: TopicPartitionList) -> Result<(), Fault> {
        let elements = partitions.elements();
        let given = elements
            .iter()
            .map(|element| (element.topic(), element.partition()));
        self.setup.status.progress().assign(given, clock::now());
        let starts = self.source.assign(partitions)?;
        self.start_at(&starts);
        // Before anything is read from there: a record that its topic refuses would keep the start from being committed, and
        // a restart would begin at another end.
        if starts.is_empty() || self.epoch.records > 0 {
            Ok(())
        } else {
            self.commit_now()
        }
    }

    /// Commits before the epoch is due. Whether reading is paused stays as it is: a topic may be waited for.
    fn commit_now(&mut self) -> Result<(), Fault> {
        match self.commit(PATIENCE) {
            Ok(true) => self.committed(),
            Ok(false) => {}
            Err(Fault::Defer(detail)) => self.deferred(&detail),
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Has fresh starts committed with this epoch.
    fn start_at(&mut self, starts: &[Watermark]) {
        for start in starts {
            self.epoch
                .watermarks
                .set(&start.topic, start.partition, start.next_offset);
            self.epoch.begin(&self.bounds);
        }
    }

    /// Gives partitions back: commits first; what cannot be made durable in time is undone.
    fn revoke(&mut self, partitions: &TopicPartitionList) -> Result<(), Fault> {
        let undone = if self.epoch.began.is_none() {
            None
        } else if self.source.is_lost() {
            Some((
                Cause::AssignmentLost,
                "the group gave our partitions to others".to_owned(),
            ))
        } else {
            self.commit_for_revoke()?
        };
        if undone.is_some() {
            // Nothing of ours may follow what the next owner sends.
            self.delivery.abandon();
        }
        self.source.unassign(partitions)?;
        for element in partitions.elements() {
            self.epoch
                .watermarks
                .forget(element.topic(), element.partition());
            self.undone.forget(element.topic(), element.partition());
            self.setup
                .status
                .progress()
                .unassign(element.topic(), element.partition());
        }
        match undone {
            Some((cause, detail)) => Err(Fault::Rewind { cause, detail }),
            None => Ok(()),
        }
    }

    /// Commits as long as the group may be kept waiting; returns why the epoch must be undone, if it must.
    fn commit_for_revoke(&mut self) -> Result<Option<(Cause, String)>, Fault> {
        let patience = self.source.revoke_patience();
        match self.commit(patience) {
            Ok(true) => {
                self.committed();
                Ok(None)
            }
            Ok(false) => {
                let n_records = self.delivery.unacknowledged();
                let detail = format!(
                    "{n_records} records were not acknowledged within {patience:?} of a revoke"
                );
                Ok(Some((Cause::RevokedTooSoon, detail)))
            }
            // All is durable; whoever has the partitions next sends some of it again.
            Err(Fault::Defer(detail)) => {
                self.deferred(&detail);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Ends the epoch, or holds it: then reading is paused until everything is acknowledged.
    fn end_epoch(&mut self) -> Result<(), Fault> {
        self.tell();
        match self.commit(if self.is_held {
            HELD_PATIENCE
        } else {
            PATIENCE
        }) {
            Ok(true) => {
                self.committed();
                self.set_held(false)
            }
            Ok(false) => self.set_held(true),
            Err(Fault::Defer(detail)) => {
                self.deferred(&detail);
                self.set_held(false)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Makes the epoch durable, then moves the offsets. Returns whether it was done within `patience`.
    ///
    /// This is where the guarantee lives.
    fn commit(&mut self, patience: Duration) -> Result<bool, Fault> {
        let began = clock::now();
        let until = began + patience;
        if !self.send_until(until)?
            || !self
                .delivery
                .drain(until.saturating_duration_since(clock::now()))?
        {
            return Ok(false);
        }
        if !self.epoch.watermarks.is_empty() {
            match self.setup.config.delivery.guarantee {
                Guarantee::AtLeastOnce => self.source.commit(&self.epoch.watermarks)?,
                Guarantee::ExactlyOnce => {
                    let offsets = self.source.to_commit(&self.epoch.watermarks)?;
                    self.delivery.commit_transaction(&offsets)?;
                }
            }
        }
        let took = clock::now() - began;
        metrics::commit_took(took);
        let delivery = &self.setup.config.delivery;
        self.bounds.interval = interval_after(&delivery.epoch, delivery.guarantee, took);
        Ok(true)
    }

    fn committed(&mut self) {
        self.setup
            .status
            .progress()
            .commit(&self.epoch.watermarks, clock::now());
        self.epoch = Epoch::default();
        self.tally.flush();
        self.pause.committed();
        self.bounds.records = self
            .pause
            .epoch_records()
            .unwrap_or(usize::MAX)
            .min(self.setup.config.delivery.epoch.records);
        self.setup.status.update(|view| {
            (view.committed_at, view.in_flight, view.rewound) = (clock::now(), 0, None);
        });
        metrics::epoch(EpochResult::Committed);
    }

    /// Offers what a topic refused to it, alone, until the topic takes it: an outage must neither fill the logs with aborted epochs
    /// nor repeat an epoch to the other topics. The group goes on seeing a live member.
    ///
    /// Ends as well when the configuration changes, and when we are asked to stop.
    fn wait_until_taken(&mut self, probe: &mut D::Probe) -> Result<(), Fault> {
        self.set_held(true)?;
        let mut pause = FIRST_PROBE_PAUSE;
        while self.setup.routes.is(&self.routes) && !self.delivery.probe(probe, PATIENCE)? {
            let until = clock::now() + pause;
            while clock::now() < until {
                self.poll_group()?;
                self.check_progress()?;
                if self.setup.stop.is_requested() {
                    return if self.undone.is_empty() {
                        Ok(())
                    } else {
                        Err(Fault::Fatal(self.refusals()))
                    };
                }
            }
            pause = (pause * 2).min(LONGEST_PROBE_PAUSE);
        }
        self.set_held(false)
    }

    /// Answers the group while reading is paused. A record that came all the same is read again.
    fn poll_group(&mut self) -> Result<(), Fault> {
        let mut is_read = false;
        self.source.poll(HELD_PATIENCE, |_| is_read = true)?;
        self.answer_group()?;
        if is_read {
            let detail = "a record came while reading is paused".to_owned();
            return Err(Fault::Rewind {
                cause: Cause::Consumer,
                detail,
            });
        }
        Ok(())
    }

    /// Says what is left where a topic still refuses records at the end.
    fn refusals(&self) -> String {
        let view = self.setup.status.view();
        let topics: Vec<String> = view
            .refused
            .iter()
            .map(|(topic, code)| format!("{topic}: {code}"))
            .collect();
        let worker = self.setup.status.worker;
        format!(
            "worker {worker} stopped while topics refuse records ({}); the offsets of the last epoch are not committed, so that the next start sends it again",
            topics.join("; ")
        )
    }

    fn deferred(&mut self, detail: &str) {
        if !std::mem::replace(&mut self.epoch.is_deferred, true) {
            tracing::warn!(
                worker = self.setup.status.worker,
                error = detail,
                "the group did not take the offsets; they go with a later commit"
            );
        }
        self.epoch.defer(&self.bounds);
        metrics::epoch(EpochResult::Deferred);
    }

    fn set_held(&mut self, is_held: bool) -> Result<(), Fault> {
        if self.is_held == is_held {
            return Ok(());
        }
        self.is_held = is_held;
        self.source.set_paused(is_held)?;
        self.setup.status.update(|view| view.is_held = is_held);
        let (worker, n_records) = (self.setup.status.worker, self.delivery.unacknowledged());
        if is_held {
            metrics::epoch(EpochResult::Held);
            tracing::warn!(
                worker,
                n_records,
                "reading is paused until what was sent is acknowledged"
            );
        } else {
            tracing::info!(worker, "reading goes on");
        }
        Ok(())
    }

    fn tell(&self) {
        let bytes = self.epoch.bytes + self.emissions.bytes();
        self.setup.status.update(|view| view.in_flight = bytes);
    }

    /// Once a second: publishes the progress, and finds partitions that are not fetched.
    fn check_progress(&mut self) -> Result<(), Fault> {
        self.tell();
        if clock::now() - self.progress_at < PROGRESS_INTERVAL {
            return Ok(());
        }
        self.progress_at = clock::now();
        self.setup
            .status
            .progress()
            .read(&self.epoch.watermarks, clock::now());
        self.check_brokers()?;
        self.source.check_progress()?;
        if self.setup.status.progress().is_all_done() {
            self.setup.status.update(|view| view.rewound = None);
        }
        Ok(())
    }

    /// Has a client made anew that no longer knows a broker: by itself it never comes back.
    fn check_brokers(&self) -> Result<(), Fault> {
        let status = &self.setup.status;
        for (reports, cause) in [
            (&status.consumer, Cause::Consumer),
            (&status.producer, Cause::Producer),
        ] {
            if reports
                .latest()
                .is_some_and(|(_, report)| !report.knows_a_broker())
            {
                let detail = format!("the {} has lost all brokers", cause.label());
                return Err(Fault::Rewind { cause, detail });
            }
        }
        Ok(())
    }

    /// Drains and commits within the configured limit; still a member of the group, so that offsets can be committed.
    fn shut_down(&mut self) -> Result<(), Fault> {
        let limit = self.setup.config.delivery.shutdown_timeout;
        let until = self.setup.stop.requested_at() + limit;
        self.source.set_paused(true)?;
        while self.epoch.began.is_some() {
            let patience = until
                .saturating_duration_since(clock::now())
                .min(Duration::from_secs(1));
            match self.commit(patience) {
                Ok(true) => self.committed(),
                Ok(false) => {}
                Err(Fault::Defer(detail)) => self.deferred(&detail),
                Err(fault) => return Err(fault),
            }
            if self.epoch.began.is_some() && clock::now() >= until {
                return Err(Fault::Fatal(self.leftovers(limit)));
            }
            self.read_batch()?;
            self.answer_group()?;
        }
        tracing::info!(
            worker = self.setup.status.worker,
            "all is acknowledged and committed"
        );
        Ok(())
    }

    fn leftovers(&self, limit: Duration) -> String {
        let n_records = self.delivery.unacknowledged();
        let worker = self.setup.status.worker;
        format!(
            "worker {worker} stopped after {limit:?} with {n_records} records not acknowledged; their offsets are not committed, so that the next start sends them again"
        )
    }
}

#[cfg(test)]
mod tests;
