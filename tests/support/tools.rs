//! Programs of others that look at what is deployed: `.ci/tools` installs them, and where one is missing, a test says that it was skipped.

use std::env;
use std::io::Write;
use std::path::PathBuf;

/// Returns the program, from the path or from where `.ci/tools` puts it; where it is missing, says that `test` is skipped.
pub(crate) fn tool(name: &str, test: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let own = env::var_os("GROUPCAST_TOOLS").map(PathBuf::from);
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache/groupcast/tools"));
    let folders = env::split_paths(&path).chain(own.or_else(home).map(|folder| folder.join("bin")));
    let found = folders
        .map(|folder| folder.join(name))
        .find(|file| file.exists());
    if found.is_none() {
        // Not by eprintln!, which the test harness keeps to itself; in one piece, since other tests write meanwhile.
        let text =
            format!("\nSKIPPED: {test}: {name} is not installed; .ci/tools installs what it can\n");
        std::io::stderr()
            .write_all(text.as_bytes())
            .unwrap_or_default();
    }
    found
}
