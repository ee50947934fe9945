//! Credentials that change under a running process: the files are looked at again and again, and what is new is tried out until
//! it works.
//!
//! librdkafka reads keys and certificates once for each client, and takes another password alone, not with a token's secret;
//! so that the whole process starts over, which is one way for all of them, and for the secrets of destinations.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::http::Obstacle;

/// How often the files are looked at.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// What is wrong with the credentials, or with who is asked about them, may last: the longest pause between two tries, in
/// intervals.
const LONGEST_PAUSE: u32 = 12;

/// Returns once the files hold something else than what is `in_use`, and `try_out` has found it good. Until then `obstacle`
/// says why not.
pub(super) async fn changed<F>(
    files: &[PathBuf],
    in_use: u64,
    interval: Duration,
    try_out: F,
    obstacle: &Obstacle,
) where
    F: Fn() -> Result<(), String> + Clone + Send + 'static,
{
    let (mut tried, mut pause, mut due_at) = (in_use, interval, Instant::now());
    loop {
        tokio::time::sleep(interval).await;
        let found = print_of(files);
        if found == in_use {
            tried = in_use;
            obstacle.set(None);
            continue;
        }
        if found != tried {
            (tried, pause) = (found, interval);
        } else if Instant::now() < due_at {
            continue;
        }
        // It asks a broker, and waits.
        let result = tokio::task::spawn_blocking(try_out.clone()).await;
        let Err(reason) = result.unwrap_or_else(|error| Err(error.to_string())) else {
            obstacle.set(None);
            return;
        };
        tracing::warn!(
            reason,
            "new credentials cannot be used yet; the old ones are in use"
        );
        obstacle.set(Some(format!(
            "new credentials cannot be used yet: {reason}; the old ones are in use"
        )));
        due_at = Instant::now() + pause;
        pause = (pause * 2).min(interval * LONGEST_PAUSE);
    }
}

/// Returns a number that differs where the files hold something else; one that cannot be read is as an empty one.
pub(super) fn print_of(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Writes a file that is never seen in part.
    fn replace(file: &Path, text: &str) {
        let new = file.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, file).unwrap();
    }

    fn until(mut is_so: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + LIMIT;
        while !is_so() {
            assert!(std::time::Instant::now() < deadline, "timed out");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_cannot_be_used_is_tried_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        replace(&file, "old");
        let tried: Arc<Mutex<Vec<String>>> = Arc::default();
        let answer = Arc::new(Mutex::new(Err("the broker is away".to_owned())));
        let try_out = {
            let (file, tried, answer) = (file.clone(), Arc::clone(&tried), Arc::clone(&answer));
            move || {
                tried
                    .lock()
                    .unwrap()
                    .push(fs::read_to_string(&file).unwrap());
                answer.lock().unwrap().clone()
            }
        };
        let (obstacle, files) = (Obstacle::default(), vec![file.clone()]);
        let (seen, in_use) = (obstacle.clone(), print_of(&files));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
        let interval = Duration::from_millis(2);
        let following = runtime
            .spawn(async move { changed(&files, in_use, interval, try_out, &obstacle).await });

        replace(&file, "first");
        until(|| tried.lock().unwrap().len() >= 4);
        assert!(tried.lock().unwrap().iter().all(|text| text == "first"));
        let says =
            "new credentials cannot be used yet: the broker is away; the old ones are in use";
        until(|| seen.get().as_deref() == Some(says));
        replace(&file, "old");
        until(|| seen.get().is_none());
        replace(&file, "second");
        until(|| seen.get().is_some());
        *answer.lock().unwrap() = Ok(());
        runtime
            .block_on(async { tokio::time::timeout(LIMIT, following).await })
            .unwrap()
            .unwrap();
        assert_eq!(
            (seen.get(), tried.lock().unwrap().last().map(String::as_str)),
            (None, Some("second"))
        );
    }
}
