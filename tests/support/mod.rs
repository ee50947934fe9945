//! What the tests on real Kafka share.

pub(crate) mod audit;
pub(crate) mod checker;
pub(crate) mod cluster;
pub(crate) mod generator;
pub(crate) mod kafka;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod requests;
pub(crate) mod source;
pub(crate) mod topics;
pub(crate) mod worker;

// Links it: build.rs has the linker look for a function of it in all that links librdkafka.
use groupcast as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// The program under test: Cargo builds it with the tests of its own package, and a second one with those of `tests/system`.
pub(crate) const PROGRAM: &str = match (
    option_env!("CARGO_BIN_EXE_groupcast"),
    option_env!("CARGO_BIN_EXE_groupcast-under-test"),
) {
    (Some(program), _) | (None, Some(program)) => program,
    (None, None) => panic!("Cargo has built no program for these tests"),
};

/// Returns a name that no other test, process or run has.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("it is past 1970")
        .as_millis();
    format!(
        "{name}-{now}-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// Asks again and again until there is an answer; `None` past the limit.
pub(crate) fn try_until<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        match ask() {
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            answer => return answer,
        }
    }
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// Past the limit, with what was waited for.
pub(crate) fn until<T>(limit: Duration, what: &str, ask: impl FnMut() -> Option<T>) -> T {
    try_until(limit, ask).unwrap_or_else(|| panic!("waited {limit:?} in vain: {what}"))
}
