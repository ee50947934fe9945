//! The processes of one group, started again where they end as they may, and what they were seen to do.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::support::try_until;
use crate::support::worker::{Setup, Worker};

/// The exit code of a process in which a client call hung: whoever runs it starts it again.
const STUCK: i32 = 70;

/// How long a process may take to end once it was asked, its own limit for the last epoch included.
const STOP_LIMIT: Duration = Duration::from_secs(90);

/// The processes of one group.
pub(crate) struct Fleet {
    setup: Mutex<Setup>,
    /// Whether each process is a static member of its own.
    is_static: bool,
    crew: Mutex<Crew>,
}

/// Who runs, and what became of the others.
#[derive(Default)]
struct Crew {
    workers: Vec<Worker>,
    logs: Vec<PathBuf>,
    seen: Seen,
}

/// What was seen of a fleet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) kills: u64,
    /// How often a process started over, or ended itself to be started again, since a client call hung.
    pub(crate) restarts: u64,
    /// Epochs undone, and commits that the group did not take at once.
    pub(crate) rewinds: u64,
    pub(crate) deferrals: u64,
    /// The most memory that a process has had, in MiB.
    pub(crate) memory: u64,
    /// What its processes have counted of events, where none has ended before.
    pub(crate) counters: Option<BTreeMap<String, u64>>,
    /// Ends that nobody asked for.
    pub(crate) faults: Vec<String>,
}

impl Fleet {
    pub(crate) fn new(setup: Setup, is_static: bool) -> Fleet {
        Fleet {
            setup: Mutex::new(setup),
            is_static,
            crew: Mutex::default(),
        }
    }

    /// Returns how its next process is configured.
    pub(crate) fn setup(&self) -> Setup {
        self.setup.lock().expect("nobody panics with it").clone()
    }

    /// Configures its next processes otherwise.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup.lock().expect("nobody panics with it"));
    }

    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().expect("nobody panics with it")
    }

    /// Starts one more process.
    pub(crate) fn start(&self) {
        let worker = self.launch();
        self.add(worker);
    }

    /// Starts a process that nobody looks after.
    pub(crate) fn launch(&self) -> Worker {
        let mut setup = self.setup();
        let mut crew = self.crew();
        if self.is_static {
            // The first free number, so that a new process takes the place of the one that is gone.
            let instance = format!("{}-{}", setup.group, crew.workers.len());
            setup
                .consumer_properties
                .push(("group.instance.id", instance));
        }
        let worker = Worker::start(&setup);
        crew.logs.push(worker.log_file());
        worker
    }

    /// Looks after a process from now on.
    pub(crate) fn add(&self, worker: Worker) {
        self.crew().workers.push(worker);
    }

    /// Takes a process out, the last one: nobody looks after it any more.
    pub(crate) fn take(&self) -> Worker {
        self.crew().workers.pop().expect("a process runs")
    }

    pub(crate) fn len(&self) -> usize {
        self.crew().workers.len()
    }

    /// Kills a process with SIGKILL, and starts another.
    pub(crate) fn kill(&self, number: u64) {
        let mut crew = self.crew();
        let index = usize::try_from(number).expect("fleets are small") % crew.workers.len();
        crew.workers.remove(index).kill();
        crew.seen.kills += 1;
        drop(crew);
        self.start();
    }

    /// Counts an end, or a loss of partitions, like a kill: an epoch may be done again.
    pub(crate) fn count_kill(&self) {
        self.crew().seen.kills += 1;
    }

    /// Sends a signal to the first so many processes.
    pub(crate) fn signal(&self, n_processes: usize, name: &str) {
        self.crew()
            .workers
            .iter()
            .take(n_processes)
            .for_each(|worker| worker.signal(name));
    }

    /// Asks all to stop, and expects that all they had begun is committed.
    pub(crate) fn stop_all(&self) {
        while self.len() > 0 {
            self.stop_one();
        }
    }

    /// Asks the last one to stop, and expects that all it had begun is committed.
    pub(crate) fn stop_one(&self) {
        self.stop_with(1, &[0]);
    }

    /// Asks the last one to stop, so many times, and expects one of these exit codes in bounded time.
    pub(crate) fn stop_with(&self, n_times: usize, codes: &[i32]) {
        let mut worker = self.take();
        for _ in 0..n_times {
            worker.signal("TERM");
            std::thread::sleep(Duration::from_millis(300));
        }
        let status = worker.end(STOP_LIMIT);
        if !status.code().is_some_and(|code| codes.contains(&code)) {
            self.crew().seen.faults.push(format!(
                "asked to stop, a worker ended with {status}: {}",
                last_lines(&worker.log())
            ));
        }
        if status.code() != Some(0) {
            self.count_kill();
        }
    }

    /// Returns a page of the first process.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        self.crew().workers.first()?.get(path)
    }

    /// Waits until a process ends by itself, with exit code 1; returns what it said.
    pub(crate) fn failure(&self, mut worker: Worker) -> String {
        let status = worker.end(STOP_LIMIT);
        let log = worker.log();
        if status.code() != Some(1) {
            self.crew().seen.faults.push(format!(
                "a worker that must fail ended with {status}: {}",
                last_lines(&log)
            ));
        }
        log
    }

    /// Starts again what has ended as it may, takes note of what has not, and of the memory.
    pub(crate) fn look_after(&self) {
        let ended = {
            let mut crew = self.crew();
            let Crew { workers, seen, .. } = &mut *crew;
            for worker in workers.iter() {
                seen.memory = seen.memory.max(worker.peak_memory().unwrap_or(0));
            }
            workers
                .extract_if(.., |worker| worker.has_ended().is_some())
                .collect::<Vec<_>>()
        };
        for mut worker in ended {
            let status = worker.has_ended().expect("it has ended");
            if status.code() == Some(STUCK) {
                self.crew().seen.restarts += 1;
            } else {
                self.crew().seen.faults.push(format!(
                    "a worker ended with {status}: {}",
                    last_lines(&worker.log())
                ));
            }
            self.start();
        }
    }

    /// Returns what was seen; the logs tell the rest.
    pub(crate) fn seen(&self) -> Seen {
        let crew = self.crew();
        let logs: Vec<String> = crew
            .logs
            .iter()
            .map(|log| fs::read_to_string(log).expect("a log outlives its worker"))
            .collect();
        let count = |line: &str| {
            logs.iter()
                .map(|log| log.matches(line).count())
                .sum::<usize>()
        };
        let count = |line| u64::try_from(count(line)).expect("logs are short");
        Seen {
            restarts: crew.seen.restarts + count("the process starts over"),
            rewinds: count("the epoch is undone and done again"),
            deferrals: count("the group did not take the offsets"),
            ..crew.seen.clone()
        }
    }

    /// Returns whether a process has logged this.
    pub(crate) fn has_said(&self, line: &str) -> bool {
        self.logs()
            .iter()
            .any(|log| fs::read_to_string(log).is_ok_and(|text| text.contains(line)))
    }

    /// Takes note of what the processes have counted, once all is done; one that ended earlier has taken its counts along.
    pub(crate) fn count(&self, n_events: u64) {
        let mut crew = self.crew();
        if crew.logs.len() == crew.workers.len() {
            // A commit is seen a moment before it is counted.
            try_until(Duration::from_secs(5), || {
                (n_verdicts(&sum(&crew.workers)) == n_events).then_some(())
            });
            crew.seen.counters = Some(sum(&crew.workers));
        }
    }

    /// Returns a page of every process that answers.
    pub(crate) fn pages(&self, path: &str) -> Vec<String> {
        self.crew()
            .workers
            .iter()
            .filter_map(|worker| worker.get(path))
            .map(|(_, page)| page)
            .collect()
    }

    /// Returns where the first process listens.
    pub(crate) fn port(&self) -> u16 {
        self.crew().workers.first().expect("a process runs").port()
    }

    /// Sees that something is so.
    pub(crate) fn expect(&self, is_so: bool, what: impl FnOnce() -> String) {
        if !is_so {
            self.crew().seen.faults.push(what());
        }
    }

    /// Returns the logs' paths, for who wants to know why.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        self.crew().logs.clone()
    }
}

fn sum(workers: &[Worker]) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for (series, value) in workers.iter().flat_map(Worker::counters) {
        *sum.entry(series).or_default() += value;
    }
    sum
}

fn n_verdicts(counters: &BTreeMap<String, u64>) -> u64 {
    counters
        .iter()
        .filter(|(series, _)| series.starts_with("groupcast_verdicts_total"))
        .map(|(_, value)| value)
        .sum()
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
