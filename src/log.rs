//! Lines for standard error. A thread of its own writes them, so that nothing waits for a reader that is slow or gone; what cannot be
//! written is counted.
//!
//! tracing-appender does nearly this. It does not count what cannot be written, and at its end it prints to standard output, which
//! may be the same full pipe.

use std::backtrace::Backtrace;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// What waits while nobody reads. A burst of librdkafka's debug lines fits; a small container does not feel it.
const MAX_BYTES: usize = 1 << 20;

/// What the end of the process waits for lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static LINES: OnceLock<Lines> = OnceLock::new();

/// Has lines be written by a thread from now on, and panics be told among them.
///
/// # Errors
/// Where the system gives no thread.
pub fn start() -> io::Result<()> {
    let lines = LINES.get_or_init(Lines::default);
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(|| lines.write_to(&mut anstream::stderr()))?;
    panic::set_hook(Box::new(tell_panic));
    Ok(())
}

/// Tells where a panic was. Its message stays away: that of a text that is cut in the wrong place quotes the text.
fn tell_panic(panic: &panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    tracing::error!(place, %backtrace, "panicked");
    flush();
}

/// Writes a line to standard error: by the thread, once it is started.
pub fn say(line: &str) {
    match LINES.get() {
        Some(lines) => lines.push(format!("{line}\n").into_bytes()),
        // Where standard error is closed there is nobody to tell.
        None => writeln!(anstream::stderr(), "{line}").unwrap_or_default(),
    }
}

/// Waits until all lines are written, a second at most.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush(FLUSH_TIMEOUT);
    }
}

/// Returns how many lines were lost, by reason.
#[must_use]
pub fn lost() -> [(&'static str, u64); 2] {
    LINES
        .get()
        .map_or_else(|| Lines::default().lost(), Lines::lost)
}

/// Takes one line at each write, as a log formatter gives them.
#[derive(Debug, Default)]
pub struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(lines) = LINES.get() {
            lines.push(line.to_vec());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Lines for which there was no room.
    n_crowded_out: AtomicU64,
    /// Lines that could not be written.
    n_failed: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    n_bytes: usize,
    is_writing: bool,
}

impl Lines {
    fn push(&self, line: Vec<u8>) {
        let mut waiting = self.waiting();
        if waiting.n_bytes + line.len() > MAX_BYTES {
            self.n_crowded_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.n_bytes += line.len();
        waiting.lines.push_back(line);
        self.changed.notify_all();
    }

    fn write_to(&self, out: &mut impl Write) {
        loop {
            let line = self.next();
            if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                self.n_failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits for the next line; the one before it is written by now.
    fn next(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        waiting.is_writing = false;
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.n_bytes -= line.len();
                waiting.is_writing = true;
                return line;
            }
            self.changed.notify_all();
            waiting = self
                .changed
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn flush(&self, timeout: Duration) {
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        // Whether it was in time makes no difference: nobody is left to tell.
        drop(
            self.changed
                .wait_timeout_while(self.waiting(), timeout, is_busy),
        );
    }

    fn lost(&self) -> [(&'static str, u64); 2] {
        [
            ("no_room", self.n_crowded_out.load(Ordering::Relaxed)),
            ("not_written", self.n_failed.load(Ordering::Relaxed)),
        ]
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    use super::*;

    /// Writes what it may: each write waits for a word, whether it succeeds.
    struct Reader {
        words: Receiver<bool>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let may = self.words.recv().unwrap_or_else(|_| {
                loop {
                    thread::park();
                }
            });
            if !may {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.read.send(line.to_vec()).unwrap();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Arc<Lines>, Sender<bool>, Receiver<Vec<u8>>) {
        let ((say, words), (read, heard)) = (channel(), channel());
        let lines = Arc::new(Lines::default());
        let written = Arc::clone(&lines);
        thread::spawn(move || written.write_to(&mut Reader { words, read }));
        (lines, say, heard)
    }

    #[test]
    fn lines_come_in_order_and_a_flush_waits_for_them() {
        let (lines, say, heard) = lines();
        for line in ["a", "b", "c"] {
            lines.push(line.into());
            say.send(true).unwrap();
        }
        lines.flush(Duration::from_secs(60));
        assert_eq!(heard.try_iter().collect::<Vec<_>>().concat(), b"abc");
        assert_eq!(lines.lost(), [("no_room", 0), ("not_written", 0)]);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_the_next_line_is_tried() {
        let (lines, say, heard) = lines();
        for (line, may) in [("a", false), ("b", true), ("c", false)] {
            lines.push(line.into());
            say.send(may).unwrap();
        }
        lines.flush(Duration::from_secs(60));
        assert_eq!(heard.try_iter().collect::<Vec<_>>().concat(), b"b");
        assert_eq!(lines.lost(), [("no_room", 0), ("not_written", 2)]);
    }

    #[test]
    fn nobody_waits_for_a_reader_that_does_not_read() {
        let (lines, say, heard) = lines();
        let n_pushed = 3 * MAX_BYTES / 1000;
        for _ in 0..n_pushed {
            lines.push(vec![b'x'; 1000]);
        }
        let [(_, n_lost), _] = lines.lost();
        assert!(lines.waiting().n_bytes <= MAX_BYTES);
        let began = Instant::now();
        lines.flush(Duration::from_millis(10));
        assert!(began.elapsed() < Duration::from_secs(30));
        // It reads again, and nothing more is lost.
        (0..n_pushed).for_each(|_| say.send(true).unwrap());
        lines.flush(Duration::from_secs(60));
        let n_lost = usize::try_from(n_lost).unwrap();
        assert_eq!(heard.try_iter().count(), n_pushed - n_lost);
        assert!((n_pushed / 2..n_pushed).contains(&n_lost), "{n_lost}");
    }
}
