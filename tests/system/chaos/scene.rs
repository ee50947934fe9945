//! A run: one source, under load, read by two fleets at once, one for each guarantee, while a fault comes and goes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::faults::Fault;
use crate::fleet::{Fleet, Seen};
use crate::support::audit::Audit;
use crate::support::checker::watch::Watch;
use crate::support::checker::{Excuses, Format, Report, Run};
use crate::support::cluster::Cluster;
use crate::support::generator::{DESTINATIONS, Dice, MAX_WEBHOOK_BYTES};
use crate::support::source::Source;
use crate::support::topics::{self, Committed, Ends};
use crate::support::worker::Setup;
use crate::support::{try_until, unique};

pub(crate) const GUARANTEES: [&str; 2] = ["at_least_once", "exactly_once"];
pub(crate) const N_SOURCE_PARTITIONS: usize = 6;
pub(crate) const N_OUTPUT_PARTITIONS: usize = 4;
/// Past the end of a fault, lag is 0 within this time (I8).
pub(crate) const RECOVERY_LIMIT: Duration = Duration::from_secs(180);
/// An epoch ends after so many records; a batch may go over it by as many.
const EPOCH_RECORDS: u64 = 500;
const BATCH_RECORDS: u64 = 500;
/// The program's own budget and overhead (I9), in MiB: an epoch, what librdkafka holds of either side, the program itself.
const MEMORY_LIMIT: u64 = 256;
/// So many events at a time, and so far ahead of the slower fleet, at most.
const LOAD_STEP: u64 = 100;
const LOAD_AHEAD: u64 = 5_000;
const LOAD_PAUSE: Duration = Duration::from_millis(150);

/// Two fleets and their source on a cluster.
pub(crate) struct Scene<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) source: &'a Mutex<Source>,
    pub(crate) lanes: &'a [Lane; 2],
    pub(crate) dice: Dice,
    pub(crate) excuses: Excuses,
    /// How often a fault of many rounds comes.
    pub(crate) rounds: u64,
    /// How often it came; once unless it says more.
    pub(crate) n_strikes: u64,
    is_loaded: &'a AtomicBool,
    healed_at: Option<Instant>,
}

/// One guarantee's fleet.
pub(crate) struct Lane {
    pub(crate) guarantee: &'static str,
    pub(crate) fleet: Fleet,
    /// How many events its group has committed, as last seen.
    committed: AtomicU64,
    /// Repetitions that the fault itself brings.
    pub(crate) excused_repetitions: AtomicU64,
}

/// What a run came to under one guarantee.
pub(crate) struct Outcome {
    pub(crate) guarantee: &'static str,
    pub(crate) report: Report,
    pub(crate) seen: Seen,
    pub(crate) n_strikes: u64,
    pub(crate) n_looks: u64,
    pub(crate) recovery: Duration,
}

/// Has a fault hit a cluster once, and returns what came of it under each guarantee.
pub(crate) fn run(
    cluster: &mut Cluster,
    fault: &Fault,
    assignor: &str,
    rounds: u64,
    seed: u64,
) -> Result<[Outcome; 2], String> {
    cluster.wait_until_whole();
    let source = Mutex::new(Source::create(
        &cluster.brokers,
        &unique("events"),
        N_SOURCE_PARTITIONS,
    ));
    let lanes =
        GUARANTEES.map(|guarantee| Lane::create(cluster, &source, guarantee, fault, assignor));
    let (is_loaded, is_over) = (AtomicBool::new(true), AtomicBool::new(false));
    let brokers = cluster.brokers.clone();
    let done = catch_unwind(AssertUnwindSafe(|| {
        thread::scope(|scope| {
            let _over = SetOnDrop(&is_over);
            scope.spawn(|| load(&source, &lanes, &is_loaded, &is_over));
            for lane in &lanes {
                scope.spawn(|| lane.look_after(&is_over));
                scope.spawn(|| lane.follow(&brokers, &source, &is_over));
            }
            let watches = lanes.each_ref().map(|lane| {
                scope.spawn(|| {
                    let Setup { group, prefix, .. } = lane.fleet.setup();
                    let is_atomic = lane.guarantee == "exactly_once";
                    let is_over = || is_over.load(Ordering::Relaxed);
                    let outputs = (&*group, &*prefix, fault.unwatched);
                    if fault.is_watched {
                        Watch::new(&brokers, &source, outputs, is_atomic, is_over).run()
                    } else {
                        Ok(0)
                    }
                })
            });
            let (excuses, n_strikes, recoveries) =
                play(cluster, &source, &lanes, fault, (rounds, seed), &is_loaded);
            is_over.store(true, Ordering::Relaxed);
            (
                excuses,
                n_strikes,
                recoveries,
                watches.map(|watch| watch.join().expect("a watch tells what it sees")),
            )
        })
    }));
    let (excuses, n_strikes, recoveries, watches) =
        done.map_err(|panic| format!("{}\n{}", message(&*panic), logs(&lanes)))?;
    let mut outcomes = Vec::new();
    for ((lane, recovery), watch) in lanes.iter().zip(recoveries).zip(watches) {
        let judged = watch.and_then(|n_looks| {
            let outcome = lane.judge(cluster, &source, &excuses, (n_strikes, n_looks), recovery)?;
            outcome
                .fault(fault, lane.excused_repetitions.load(Ordering::Relaxed))
                .map_or(Ok(outcome), Err)
        });
        outcomes.push(
            judged.map_err(|fault| format!("{}: {fault}\n{}", lane.guarantee, logs(&lanes)))?,
        );
    }
    outcomes
        .try_into()
        .map_err(|_| "two lanes have two outcomes".to_owned())
}

/// Lets the fault come and go, and waits until both fleets have done all there is to do; returns how long that took.
fn play(
    cluster: &mut Cluster,
    source: &Mutex<Source>,
    lanes: &[Lane; 2],
    fault: &Fault,
    (rounds, seed): (u64, u64),
    is_loaded: &AtomicBool,
) -> (Excuses, u64, [Duration; 2]) {
    let mut scene = Scene {
        cluster,
        source,
        lanes,
        dice: Dice(seed),
        excuses: Excuses::default(),
        rounds,
        n_strikes: 0,
        is_loaded,
        healed_at: None,
    };
    let mut clock = Clock(Instant::now());
    scene.progress(300);
    clock.tell("begun");
    (fault.strike)(&mut scene);
    clock.tell("struck");
    let recoveries = scene.recover();
    clock.tell("recovered");
    scene.drain();
    for lane in lanes {
        lane.fleet
            .count(source.lock().expect("nobody panics with it").n_events());
        lane.fleet.stop_all();
    }
    clock.tell("drained");
    (scene.excuses, scene.n_strikes.max(1), recoveries)
}

impl Scene<'_> {
    /// Lets both fleets commit so many more events; a fault that keeps them from it must not last meanwhile.
    pub(crate) fn progress(&self, n_events: u64) {
        let wanted = self
            .lanes
            .each_ref()
            .map(|lane| lane.committed.load(Ordering::Relaxed) + n_events);
        self.wait_for("both fleets go on", |lanes| {
            lanes
                .iter()
                .zip(wanted)
                .all(|(lane, wanted)| lane.committed.load(Ordering::Relaxed) >= wanted)
        });
    }

    /// # Panics
    /// Where it does not come to pass within the limit of a recovery, with how far the fleets have come.
    fn wait_for(&self, what: &str, mut is_so: impl FnMut(&[Lane; 2]) -> bool) {
        let done = try_until(RECOVERY_LIMIT, || is_so(self.lanes).then_some(()));
        let Some(()) = done else {
            let stands: Vec<String> = self
                .lanes
                .iter()
                .map(|lane| lane.stand(&self.cluster.brokers, self.source))
                .collect();
            panic!(
                "waited {RECOVERY_LIMIT:?} in vain: {what}\n{}",
                stands.join("\n")
            );
        };
    }

    /// Lets a fault last.
    pub(crate) fn last(&self, duration: Duration) {
        thread::sleep(duration);
    }

    /// Waits for what the fault itself must bring about.
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        self.wait_for(what, |_| is_so());
    }

    /// Takes note that the fault came once more.
    pub(crate) fn strike(&mut self) {
        self.n_strikes += 1;
    }

    /// Returns the nodes that coordinate the two groups.
    pub(crate) fn coordinators(&self) -> Vec<usize> {
        let mut nodes: Vec<usize> = self
            .lanes
            .iter()
            .map(|lane| self.cluster.coordinator(&lane.fleet.setup().group))
            .collect();
        nodes.dedup();
        nodes
    }

    /// Lets some moment pass, another one each time.
    pub(crate) fn any_moment(&mut self, longest: Duration) {
        let milliseconds = u64::try_from(longest.as_millis()).expect("moments are short");
        thread::sleep(Duration::from_millis(self.dice.below(milliseconds)));
    }

    /// The fault is over; the clock of the recovery starts.
    pub(crate) fn heal(&mut self) {
        self.cluster.heal();
        self.healed_at = Some(Instant::now());
    }

    /// Waits until both fleets have done what was there when the fault ended, and returns how long each took since.
    fn recover(&mut self) -> [Duration; 2] {
        if self.healed_at.is_none() {
            self.heal();
        }
        let healed_at = self.healed_at.expect("it is healed");
        let end = self.len();
        let mut recoveries = [None; 2];
        self.wait_for("the fleets recover", |lanes| {
            for (lane, recovery) in lanes.iter().zip(&mut recoveries) {
                if recovery.is_none() && lane.committed.load(Ordering::Relaxed) >= end {
                    *recovery = Some(healed_at.elapsed());
                }
            }
            recoveries.iter().all(Option::is_some)
        });
        recoveries.map(|recovery| recovery.expect("it was waited for"))
    }

    /// Stops the load and waits until nothing is left to do.
    pub(crate) fn drain(&self) {
        self.is_loaded.store(false, Ordering::Relaxed);
        let end = || self.source.lock().expect("nobody panics with it").len();
        self.wait_for("lag is 0", |lanes| {
            lanes
                .iter()
                .all(|lane| lane.committed.load(Ordering::Relaxed) == end())
        });
    }

    /// Has the load go on that [`Scene::drain`] has stopped.
    pub(crate) fn load_again(&self) {
        self.is_loaded.store(true, Ordering::Relaxed);
    }

    /// Returns the source's end: once the events under way are there.
    pub(crate) fn len(&self) -> u64 {
        self.source.lock().expect("nobody panics with it").len()
    }

    /// Returns the names of a topic of both fleets.
    pub(crate) fn outputs(&self, name: &str) -> [String; 2] {
        self.lanes
            .each_ref()
            .map(|lane| format!("{}.{name}", lane.fleet.setup().prefix))
    }
}

impl Lane {
    fn create(
        cluster: &Cluster,
        source: &Mutex<Source>,
        guarantee: &'static str,
        fault: &Fault,
        assignor: &str,
    ) -> Lane {
        let topic = source.lock().expect("nobody panics with it").topic.clone();
        let mut setup = Setup::new(&cluster.entrance(), &topic, &unique("out"), "structured");
        setup.guarantee = guarantee;
        setup.epoch_records = EPOCH_RECORDS;
        setup.session_timeout_ms = fault.session_timeout_ms;
        setup.properties = Cluster::credentials();
        setup.properties.extend(
            fault
                .clients
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        setup.consumer_properties = vec![("partition.assignment.strategy", assignor.to_owned())];
        setup.consumer_properties.extend(
            fault
                .consumer
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        create_outputs(&cluster.brokers, &setup.prefix);
        let lane = Lane {
            guarantee,
            fleet: Fleet::new(setup, fault.is_static),
            committed: AtomicU64::new(0),
            excused_repetitions: AtomicU64::new(0),
        };
        (0..fault.n_processes).for_each(|_| lane.fleet.start());
        lane
    }

    fn look_after(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            self.fleet.look_after();
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Returns how far it has come, as it was followed, as the group says now, and as the workers see it.
    fn stand(&self, brokers: &str, source: &Mutex<Source>) -> String {
        let (topic, ends) = {
            let source = source.lock().expect("nobody panics with it");
            (source.topic.clone(), source.ends())
        };
        let followed = self.committed.load(Ordering::Relaxed);
        let now = Committed::of(brokers, &self.fleet.setup().group, &topic).now();
        let pages = self.fleet.pages("/metrics");
        let lags: Vec<&str> = pages
            .iter()
            .flat_map(|page| page.lines())
            .filter(|line| line.contains("_lag_records{"))
            .collect();
        format!(
            "{}: followed to {followed}; committed {now:?} of {ends:?}; {lags:?}",
            self.guarantee
        )
    }

    /// Follows the group's offsets.
    fn follow(&self, brokers: &str, source: &Mutex<Source>, is_over: &AtomicBool) {
        let topic = source.lock().expect("nobody panics with it").topic.clone();
        let open = || Committed::of(brokers, &self.fleet.setup().group, &topic);
        let (mut committed, mut answered) = (open(), Instant::now());
        while !is_over.load(Ordering::Relaxed) {
            if let Some(sum) = committed.sum() {
                self.committed.store(sum, Ordering::Relaxed);
                answered = Instant::now();
            } else if answered.elapsed() > Duration::from_secs(20) {
                // The client here may forget to ask, as that of the workers (librdkafka issue 5586).
                eprintln!(
                    "{}: nobody tells what is committed; asked by another client",
                    self.guarantee
                );
                (committed, answered) = (open(), Instant::now());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Has the checker judge all there is, once no transaction of a killed process is open, and sees that no more was
    /// repeated than the guarantee allows.
    fn judge(
        &self,
        cluster: &Cluster,
        source: &Mutex<Source>,
        excuses: &Excuses,
        (n_strikes, n_looks): (u64, u64),
        recovery: Duration,
    ) -> Result<Outcome, String> {
        let setup = &self.fleet.setup();
        let Setup { prefix, group, .. } = setup;
        let outputs: Vec<String> = DESTINATIONS
            .iter()
            .chain(&["dead"])
            .map(|name| format!("{prefix}.{name}"))
            .collect();
        let (committed, logs) = (
            Ends::committed(&cluster.brokers, &outputs),
            Ends::of_logs(&cluster.brokers, &outputs),
        );
        try_until(RECOVERY_LIMIT, || {
            (committed.now()? == logs.now()?).then_some(())
        })
        .ok_or("a transaction stays open")?;
        let source = source.lock().expect("nobody panics with it");
        let report = Run {
            brokers: &cluster.brokers,
            source: &source,
            prefix,
            group,
            format: Format::Structured,
            excuses: excuses.clone(),
        }
        .check()?;
        // What users ask afterwards must tell them the same.
        let audit = Audit::of(setup, &["--from", "beginning"]);
        if let Some(fault) = audit.fault(&report, prefix, excuses) {
            return Err(fault);
        }
        Ok(Outcome {
            guarantee: self.guarantee,
            report,
            seen: self.fleet.seen(),
            n_strikes,
            n_looks,
            recovery,
        })
    }
}

impl Outcome {
    /// Returns what must not be: unasked ends, more repetitions than the guarantee allows (I3), too much memory (I9), wrong
    /// counts (I1) where nothing was undone.
    fn fault(&self, fault: &Fault, excused: u64) -> Option<String> {
        let Seen {
            kills,
            restarts,
            rewinds,
            deferrals,
            memory,
            counters,
            faults,
        } = &self.seen;
        let n_undone = if self.guarantee == "exactly_once" {
            0
        } else {
            kills + restarts + rewinds + deferrals
        };
        let allowed = excused + n_undone * (EPOCH_RECORDS + BATCH_RECORDS);
        if !faults.is_empty() {
            return Some(faults.join("\n"));
        }
        if self.report.repetitions > allowed {
            return Some(format!(
                "{} repetitions, {allowed} allowed: {:?}",
                self.report.repetitions, self.seen
            ));
        }
        if *memory > MEMORY_LIMIT {
            return Some(format!("a worker had {memory} MiB, {MEMORY_LIMIT} allowed"));
        }
        // A process that starts over in place begins to count anew.
        let counters = counters
            .as_ref()
            .filter(|_| rewinds + deferrals + self.seen.restarts == 0);
        if counters.is_some_and(|counters| *counters != self.report.counters()) {
            return Some(format!(
                "counted {counters:?}, due {:?}",
                self.report.counters()
            ));
        }
        let reasons: Vec<&str> = self.report.reasons().collect();
        if let Some(reason) = fault
            .dead_letters
            .iter()
            .find(|reason| !reasons.contains(*reason))
        {
            return Some(format!("no dead letter says {reason}"));
        }
        (self.n_looks == 0 && fault.is_watched).then(|| "nobody could look while it ran".to_owned())
    }
}

/// Creates the topics that a fleet writes to.
pub(crate) fn create_outputs(brokers: &str, prefix: &str) {
    let names = DESTINATIONS.iter().chain(&["dead"]);
    let topics: Vec<(String, topics::Settings<'_>)> = names
        .map(|name| (format!("{prefix}.{name}"), output_settings(name)))
        .collect();
    topics::create_all(brokers, N_OUTPUT_PARTITIONS, &topics);
}

/// Returns the settings of an output: one takes less than the largest events.
pub(crate) fn output_settings(name: &str) -> topics::Settings<'static> {
    static LIMIT: LazyLock<String> = LazyLock::new(|| MAX_WEBHOOK_BYTES.to_string());
    static SETTINGS: LazyLock<[(&str, &str); 1]> =
        LazyLock::new(|| [("max.message.bytes", LIMIT.as_str())]);
    if name == "webhook" {
        SETTINGS.as_slice()
    } else {
        &[]
    }
}

/// Writes events at a steady rate, not too far ahead of the slower fleet.
fn load(source: &Mutex<Source>, lanes: &[Lane; 2], is_loaded: &AtomicBool, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let slowest = lanes
            .iter()
            .map(|lane| lane.committed.load(Ordering::Relaxed))
            .min()
            .unwrap_or(0);
        if is_loaded.load(Ordering::Relaxed) {
            let mut source = source.lock().expect("nobody panics with it");
            if source.len() < slowest + LOAD_AHEAD {
                source.produce(LOAD_STEP);
            }
        }
        thread::sleep(LOAD_PAUSE);
    }
}

/// Tells where the time of a run goes.
struct Clock(Instant);

impl Clock {
    fn tell(&mut self, what: &str) {
        eprint!("{what} {:.1} s, ", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

/// Ends the threads also where a run panics, which then would wait for them for ever.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic".to_owned())
}

fn logs(lanes: &[Lane; 2]) -> String {
    let logs = lanes
        .iter()
        .flat_map(|lane| lane.fleet.logs())
        .map(|log| log.display().to_string());
    format!("logs:\n{}", logs.collect::<Vec<_>>().join("\n"))
}
