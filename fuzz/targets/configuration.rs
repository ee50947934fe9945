//! Any text as a configuration: read, or every fault told, none with what a secret holds.
#![no_main]

use groupcast::config::Config;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "q7z-planted";

/// Parts of the names of properties that load or run something.
const RUNS: [&str; 4] = ["plugin", "engine", "kerberos", "ut_"];

fuzz_target!(|text: &str| {
    // No file of this machine is to be read, and nobody else may write the secret.
    if ["file", "definitions", SECRET]
        .iter()
        .any(|word| text.contains(word))
    {
        return;
    }
    let environment = [("S".to_owned(), SECRET.to_owned())];
    let told = match Config::from_text("fuzz.yaml", text, &environment, &[]) {
        Ok((config, warnings)) => {
            assert!(!format!("{config:?}").contains(SECRET));
            let mut properties = config.kafka.consumer().chain(config.kafka.producer());
            assert!(
                !properties.any(|(name, _)| RUNS.iter().any(|part| name.contains(part))),
                "a property that runs something passes"
            );
            warnings
        }
        Err(diagnostics) => diagnostics,
    };
    for diagnostic in &told {
        assert!(!diagnostic.to_string().contains(SECRET), "{diagnostic}");
    }
});
