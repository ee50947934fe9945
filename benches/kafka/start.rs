//! How long a start takes: of a group that is there, on a source that has more than it can read meanwhile.
//!
//! From when the process is started to when its page says that it is ready, and to when a reader of committed records has the
//! first record of any destination's topic in hand. Between two starts the process is stopped by SIGTERM. Then the group
//! is empty, unless its member is static: that one has not left, and comes back to what it had.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::contestant::{CONTESTANTS, Contestant, Kind, Running};
use crate::job::{BASE, Job};
use crate::number;
use crate::stage::Stage;
use crate::support::topics;

/// More than one start reads before it is stopped.
const EVENTS_A_START: u64 = 40_000;
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const HEAD: &str = "| start | ready after s: middle | least | greatest | first record after s: middle | least | greatest |\n\
                               |---|--:|--:|--:|--:|--:|--:|";

/// Starts of one kind.
pub(crate) struct Starts {
    name: String,
    /// Seconds, in order.
    ready: Vec<f64>,
    first: Vec<f64>,
}

/// Measures starts of groupcast with both guarantees, as an ordinary member and as a static one.
pub(crate) fn measure(stage: &Stage, note: &str) -> Vec<Starts> {
    let contestants = CONTESTANTS
        .iter()
        .filter(|contestant| contestant.kind == Kind::Groupcast);
    let both =
        contestants.flat_map(|contestant| [false, true].map(|is_static| (contestant, is_static)));
    let measured =
        both.map(|(contestant, is_static)| Starts::measure(stage, contestant, is_static, note));
    measured.inspect(|starts| println!("{starts}")).collect()
}

impl Starts {
    fn measure(stage: &Stage, contestant: &Contestant, is_static: bool, note: &str) -> Starts {
        let n_starts: usize = number("GROUPCAST_STARTS", 7);
        let n_events = EVENTS_A_START * (u64::try_from(n_starts).expect("starts are few") + 1);
        let source = stage.fill(n_events, Job { is_static, ..BASE });
        let mut running = contestant.prepare(stage, &source);
        // The first founds the group, and is not counted.
        let times: Vec<(f64, f64)> = (0..=n_starts)
            .map(|_| start(stage, &mut running))
            .skip(1)
            .collect();
        stage.delete(&running.topics);
        stage.remove(&source);
        let (mut ready, mut first): (Vec<f64>, Vec<f64>) = times.into_iter().unzip();
        ready.sort_unstable_by(f64::total_cmp);
        first.sort_unstable_by(f64::total_cmp);
        let group = if is_static {
            "its static member comes back"
        } else {
            "its group is empty"
        };
        Starts {
            name: format!("{}, {group}{note}", contestant.name),
            ready,
            first,
        }
    }
}

impl fmt::Display for Starts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "| {} |", self.name)?;
        for seconds in [&self.ready, &self.first] {
            let (middle, last) = (seconds.len() / 2, seconds.len().saturating_sub(1));
            for index in [middle, 0, last] {
                write!(
                    formatter,
                    " {:.2} |",
                    seconds.get(index).copied().unwrap_or(f64::NAN)
                )?;
            }
        }
        Ok(())
    }
}

/// Starts once and stops again; returns after how many seconds it was ready, and when the first record came.
fn start(stage: &Stage, running: &mut Running) -> (f64, f64) {
    let reader = reader_at_ends(stage.brokers(), running.outputs());
    let port = running.ports[0];
    let began = Instant::now();
    running.launch();
    let times = thread::scope(|scope| {
        let ready = scope.spawn(|| seconds_until(began, "ready", || is_ready(port)));
        let first = seconds_until(began, "a record", || {
            matches!(reader.poll(Duration::from_millis(1)), Some(Ok(_)))
        });
        (ready.join().expect("it is ready some time"), first)
    });
    running.stop_cleanly();
    times
}

fn seconds_until(began: Instant, what: &str, mut is_there: impl FnMut() -> bool) -> f64 {
    while !is_there() {
        assert!(began.elapsed() < LIMIT, "waited {LIMIT:?} in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
    began.elapsed().as_secs_f64()
}

fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut answer = String::new();
    let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    asked
        .and_then(|()| stream.read_to_string(&mut answer))
        .is_ok()
        && answer.starts_with("HTTP/1.1 200 ")
}

/// Returns a reader of what is committed to these topics from now on, which has asked for it already: else its own beginning
/// would be measured, too.
fn reader_at_ends(brokers: &str, outputs: &[String]) -> BaseConsumer {
    let mut settings = topics::client(brokers);
    settings
        .set("group.id", "start")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed");
    settings
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "10");
    let reader: BaseConsumer = settings.create().expect("the settings are valid");
    let mut list = TopicPartitionList::new();
    for ((index, partition), end) in topics::Ends::committed(brokers, outputs)
        .now()
        .expect("the brokers tell the ends")
    {
        list.add_partition_offset(&outputs[index], partition, Offset::Offset(end))
            .expect("it is an offset");
    }
    reader.assign(&list).expect("the partitions exist");
    let mut n_waiting = list.count();
    while n_waiting > 0 {
        match reader.poll(LIMIT) {
            Some(Err(KafkaError::PartitionEOF(_))) => n_waiting -= 1,
            other => panic!("every partition is read to its end: {other:?}"),
        }
    }
    reader
}
