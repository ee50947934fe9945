//! Credentials that change under a running process: the files are looked at again and again, and what is new is tried out.
//!
//! librdkafka reads keys and certificates once for each client, and takes another password alone, not with a token's secret;
//! so that the whole process starts over, which is one way for all of them, and for the secrets of destinations.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(5);

/// Returns once the files hold something else than now, and `try_out` has found it good.
pub(super) async fn changed<F>(files: &[PathBuf], try_out: F)
where
    F: Fn() -> Result<(), String> + Clone + Send + 'static,
{
    let mut known = print_of(files);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let found = print_of(files);
        if found == known {
            continue;
        }
        // It asks a broker, and waits.
        match tokio::task::spawn_blocking(try_out.clone()).await {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => tracing::warn!(reason, "new credentials cannot be used; the old ones are kept"),
            Err(error) => tracing::warn!(error = %error, "new credentials cannot be tried out; the old ones are kept"),
        }
        known = found;
    }
}

/// Returns a number that differs where the files hold something else; one that cannot be read is as an empty one.
fn print_of(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}
