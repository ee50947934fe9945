//! What is shown while it takes its time: a bar at a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::count::Counts;
use crate::cli::report::say;
use crate::kafka;
use crate::kafka::fault::Fault;
use crate::kafka::ledger::Entry;
use crate::kafka::lookup::Lookup;
use crate::kafka::range::Range;
use crate::service::Service;

/// How often it is looked how far the group has come.
const INTERVAL: Duration = Duration::from_millis(250);

/// After so long without progress it is looked whether there is anything left to read.
const STALL: Duration = Duration::from_secs(5);

/// How often a line is printed where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Counts all records of the ranges.
pub(super) fn count(
    lookup: &Lookup,
    ranges: &[Range],
    is_redrive: bool,
    counts: &mut Counts<'_>,
) -> Result<(), Fault> {
    let mut progress = Progress::new("counting", ranges.iter().map(Range::len).sum(), 0);
    let mut before = 0;
    for range in ranges {
        lookup.read_range(range, |message| {
            let record = if is_redrive {
                kafka::dead_letter(&message)
            } else {
                kafka::record(&message)
            };
            counts.add(&record);
            progress.set(before + record.position.offset - range.from + 1);
        })?;
        before += range.len();
        progress.set(before);
    }
    progress.end();
    Ok(())
}

/// Shows how far the group has come until it has done everything, nothing is left to read, or it was asked to stop.
pub(super) fn follow(
    service: &Service,
    read: impl Fn() -> Result<Vec<Entry>, Fault>,
    is_drained: impl Fn(&[Entry]) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let mut progress: Option<Progress> = None;
    let mut result = Ok(());
    let mut moved = (i64::MAX, Instant::now());
    while !service.watched().stop.is_requested() {
        match read() {
            Ok(entries) => {
                let (total, left): (i64, i64) =
                    entries.iter().fold((0, 0), |(total, left), entry| {
                        (total + entry.range.len(), left + entry.left())
                    });
                progress
                    .get_or_insert_with(|| Progress::new("sending", total, total - left))
                    .set(total - left);
                if left == 0 {
                    break;
                }
                if left < moved.0 {
                    moved = (left, Instant::now());
                } else if moved.1.elapsed() > STALL {
                    if is_drained(&entries).unwrap_or(false) {
                        break;
                    }
                    moved.1 = Instant::now();
                }
                result = Ok(());
            }
            // The workers outlast an absent coordinator, and so does this.
            Err(fault) => result = Err(fault),
        }
        std::thread::sleep(INTERVAL);
    }
    progress.into_iter().for_each(Progress::end);
    result
}

/// How much of something is done.
pub(crate) struct Progress {
    what: &'static str,
    bar: ProgressBar,
    is_terminal: bool,
    began: Instant,
    /// How much was done before.
    first: i64,
    line_at: Instant,
}

impl Progress {
    pub(crate) fn new(what: &'static str, total: i64, first: i64) -> Progress {
        let is_terminal = io::stderr().is_terminal();
        let target = if is_terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(u64::try_from(total).ok(), target);
        let template = "{msg} {wide_bar} {percent:>3} %  {human_pos} of {human_len} offsets  {per_sec}  {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(what);
        bar.set_position(u64::try_from(first).unwrap_or_default());
        bar.reset_eta();
        let now = Instant::now();
        Progress {
            what,
            bar,
            is_terminal,
            began: now,
            first,
            line_at: now + LINE_INTERVAL,
        }
    }

    pub(crate) fn set(&mut self, done: i64) {
        self.bar
            .set_position(u64::try_from(done).unwrap_or_default());
        if !self.is_terminal && Instant::now() >= self.line_at {
            self.line_at = Instant::now() + LINE_INTERVAL;
            self.say_line(done);
        }
    }

    fn say_line(&self, done: i64) {
        let total = self.bar.length().unwrap_or_default();
        let seconds = self.began.elapsed().as_secs().max(1);
        let rate = u64::try_from(done - self.first).unwrap_or_default() / seconds;
        let left = total.saturating_sub(self.bar.position()).checked_div(rate);
        let left = left.map_or_else(
            || "unknown".to_owned(),
            |seconds| indicatif::HumanDuration(Duration::from_secs(seconds)).to_string(),
        );
        say(format_args!(
            "{}: {done} of {total} offsets, {rate} a second, time left: {left}",
            self.what
        ));
    }

    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
        if !self.is_terminal {
            self.say_line(i64::try_from(self.bar.position()).unwrap_or_default());
        }
    }
}
