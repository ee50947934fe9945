//! What processes cost, as Linux counts it.

use std::fs;
use std::time::Instant;

/// The kernel tells times in hundredths of a second on every architecture that we run on (`USER_HZ`, proc(5)).
const TICKS_A_SECOND: f64 = 100.0;

/// One look at everything that counts.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) at: Instant,
    /// Events that the contestant has committed.
    pub(crate) committed: u64,
    client: u64,
    broker: u64,
    driver: u64,
    machine: u64,
}

impl Sample {
    pub(crate) fn take(committed: u64, clients: &[u32], broker: u32) -> Sample {
        Sample {
            at: Instant::now(),
            committed,
            client: clients.iter().map(|client| process_ticks(*client)).sum(),
            broker: process_ticks(broker),
            driver: process_ticks(std::process::id()),
            machine: machine_ticks(),
        }
    }
}

/// What lies between two looks.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) seconds: f64,
    pub(crate) events: f64,
    pub(crate) client_seconds: f64,
    pub(crate) broker_seconds: f64,
    /// Cores that anything but contestant, broker and this program has used.
    pub(crate) other_cores: f64,
}

impl Span {
    pub(crate) fn between(first: &Sample, last: &Sample) -> Span {
        let seconds = (last.at - first.at).as_secs_f64();
        let [client, broker, driver, machine] = [
            last.client - first.client,
            last.broker - first.broker,
            last.driver - first.driver,
            last.machine - first.machine,
        ];
        let others = machine.saturating_sub(client + broker + driver);
        Span {
            seconds,
            events: float(last.committed - first.committed),
            client_seconds: float(client) / TICKS_A_SECOND,
            broker_seconds: float(broker) / TICKS_A_SECOND,
            other_cores: float(others) / TICKS_A_SECOND / seconds,
        }
    }
}

/// Returns the most memory that a process has had, in MiB.
pub(crate) fn peak_memory(process: u32) -> u64 {
    let status = read(&format!("/proc/{process}/status"));
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a process has memory");
    line.trim()
        .trim_end_matches("kB")
        .trim()
        .parse::<u64>()
        .expect("it is a number")
        / 1024
}

/// Returns a count as what can be divided.
pub(crate) fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("counts are smaller here"))
}

/// User and system time, of all threads. The name before the closing bracket may hold spaces.
fn process_ticks(process: u32) -> u64 {
    let stat = read(&format!("/proc/{process}/stat"));
    let fields = stat
        .rsplit_once(')')
        .expect("a process has a name")
        .1
        .split_whitespace();
    fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().expect("it is a number"))
        .sum()
}

/// All that the machine has done, what the hypervisor has taken too; user, nice, system, irq, softirq, steal.
fn machine_ticks() -> u64 {
    let stat = read("/proc/stat");
    let fields: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .flat_map(str::parse)
        .collect();
    [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|field| fields.get(*field))
        .sum()
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}
