//! Any text as a definition: read, or every fault told; what was accepted compiles, runs its examples and routes events.
#![no_main]

use groupcast_core::destination::Definition;
use libfuzzer_sys::fuzz_target;

#[path = "../definitions.rs"]
mod definitions;
#[path = "../routers.rs"]
mod routers;

fuzz_target!(|text: &str| {
    match Definition::parse("fuzz", "fuzz.yaml", text) {
        Ok(definition) => definitions::exercise(definition),
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty(), "what is refused has a reason");
            diagnostics
                .iter()
                .for_each(|diagnostic| drop(diagnostic.to_string()));
        }
    }
});
