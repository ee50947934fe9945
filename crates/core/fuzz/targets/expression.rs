//! Any text as an expression, where a value, a map, a condition and a request stand.
#![no_main]

use groupcast_core::destination::Definition;
use libfuzzer_sys::fuzz_target;

#[path = "../definitions.rs"]
mod definitions;
#[path = "../routers.rs"]
mod routers;

fuzz_target!(|expression: &str| {
    // JSON's strings are YAML's.
    let written = serde_json::to_string(&format!("${{{expression}}}")).expect("any text is JSON");
    for operation in [
        format!(
            "{{ id: op, request: POST /, body: {{ v: {written}, w: {{ \"*\": \"${{traits.rest}}\" }} }} }}"
        ),
        format!("{{ id: op, request: POST /, body: {{ v: 1, \"*\": {written} }} }}"),
        format!("{{ id: op, request: POST /, when: {written}, body: {{ {written}: 1 }} }}"),
        format!("{{ id: op, request: {written}, body: [{written}, \"a\"] }}"),
    ] {
        let text = format!(
            "name: Fuzz\nabout: A test.\nmembership: many\nnulls: keep\nsettings: {{ s: {{ type: string, default: d }} }}\n\
             properties: {{ \"*\": \"${{traits}}\" }}\noperations:\n  - {operation}\n"
        );
        if let Ok(definition) = Definition::parse("fuzz", "fuzz.yaml", &text) {
            definitions::exercise(definition);
        }
    }
});
