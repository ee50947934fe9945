//! The pages on destinations, and the README's table of them, are made of the definitions; a stale one fails.
//!
//! `UPDATE_GOLDEN=1 cargo test --test pages` makes them anew.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use groupcast::destination::{Catalogue, Example, Expected};
use serde_json::Value;

const FOLDER: &str = "docs/destinations";
const BEGIN: &str = "<!-- destinations: begin -->\n";
const END: &str = "<!-- destinations: end -->";

#[test]
fn every_destination_has_its_page() {
    let catalogue = Catalogue::built_in();
    let mut wanted = BTreeSet::new();
    for destination in destinations() {
        let id = text(&destination["id"]);
        let first = &catalogue.get(id).unwrap().examples[0];
        compare(&format!("{FOLDER}/{id}.md"), &page(&destination, first));
        wanted.insert(format!("{id}.md"));
    }
    let found: BTreeSet<String> =
        fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, wanted, "a page without a definition is to be deleted");
}

#[test]
fn the_readme_lists_all_destinations() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    compare("README.md", &format!("{before}{BEGIN}{}{END}{after}", table()));
}

/// Compares a file with what it must be, or writes it where one asks for that.
fn compare(file: &str, wanted: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(file, wanted).unwrap();
    }
    let found = fs::read_to_string(file).unwrap_or_default();
    assert!(found == wanted, "{file} is stale: UPDATE_GOLDEN=1 cargo test --test pages, and read the difference");
}

/// Returns what `groupcast destinations --json` says, as any program would read it.
fn destinations() -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_groupcast")).args(["destinations", "--json"]).output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn table() -> String {
    let mut table = "| destination | what a group call does there | a user may be in | nulls |\n|---|---|---|---|\n".to_owned();
    for destination in destinations() {
        let (id, name, about) = (text(&destination["id"]), text(&destination["name"]), text(&destination["about"]));
        let membership = match text(&destination["membership"]) {
            "many" => "several groups",
            "one" => "one group",
            _ => "not linked",
        };
        let opt_in = if destination["enabled_by_default"] == false { " (opt-in)" } else { "" };
        let nulls = nulls(text(&destination["nulls"]));
        writeln!(table, "| [{name}]({FOLDER}/{id}.md){opt_in} | {} | {membership} | {nulls} |", about.trim_end_matches('.'))
            .unwrap();
    }
    table
}

fn nulls(policy: &str) -> &'static str {
    match policy {
        "keep" => "sent as null",
        "empty" => "sent as an empty text",
        "unset" => "cleared by what the calls leave out or name",
        _ => "left out and counted",
    }
}

fn page(destination: &Value, example: &Example) -> String {
    let id = text(&destination["id"]);
    let mut page = format!("# {}\n\n{}\n\n", text(&destination["name"]), text(&destination["about"]));
    writeln!(page, "```yaml\ndestinations:\n  - use: {id}{}\n```\n", required(destination)).unwrap();
    page += &facts(destination);
    page += "\n## Calls\n\n| call | request | the record's key | one request takes |\n|---|---|---|---|\n";
    for operation in list(&destination["operations"]) {
        page += &call(operation);
    }
    page += &settings(destination);
    writeln!(page, "\n## Notes\n\n{}", text(&destination["notes"]).trim()).unwrap();
    page += &shown(example);
    page += "\n## The vendor's pages\n\n";
    for source in list(&destination["docs"]) {
        writeln!(page, "- <{}>", text(source)).unwrap();
    }
    writeln!(page, "\nMade of [{id}.yaml](../../crates/core/destinations/{id}.yaml), which decides.").unwrap();
    page
}

/// Returns the settings that a configuration must have, as it writes them.
fn required(destination: &Value) -> String {
    let settings = list(&destination["settings"]).iter().filter(|setting| setting["required"] == true);
    let lines: Vec<String> = settings.map(|setting| format!("\n      {}: …", text(&setting["name"]))).collect();
    if lines.is_empty() { String::new() } else { format!("\n    settings:{}", lines.concat()) }
}

fn facts(destination: &Value) -> String {
    let names: Vec<String> = std::iter::once(&destination["name"])
        .chain(list(&destination["aliases"]))
        .map(|name| format!("`{}`", text(name)))
        .collect();
    let default = if destination["enabled_by_default"] == true {
        "it gets every event whose flags do not exclude it"
    } else {
        "it gets only events whose flags name it (opt-in)"
    };
    let membership = match text(&destination["membership"]) {
        "many" => "may be in several groups",
        "one" => "is in one group: the latest call wins, which is exact only where the source is partitioned by member",
        _ => "is not linked: the vendor's API cannot do it by the caller's own ids",
    };
    format!(
        "- **Flags** that name it: {}; {default}.\n- **A user** {membership}.\n- **Nulls** are {}.\n",
        names.join(", "),
        nulls(text(&destination["nulls"]))
    )
}

fn call(operation: &Value) -> String {
    let (key, idempotent) = (text(&operation["key"]), operation["idempotent"] == true);
    let repeat = if idempotent { "" } else { "; sent twice it counts twice" };
    format!(
        "| `{}` | `{}` | {key}{repeat} | {} |\n",
        text(&operation["id"]),
        cell(text(&operation["request"])),
        batch(&operation["batch"])
    )
}

fn batch(batch: &Value) -> String {
    let limit = |name: &str| batch[name].as_u64();
    let records = limit("records").map_or_else(|| "items".to_owned(), |records| format!("up to {records} items"));
    let bytes = limit("bytes").map_or_else(String::new, |bytes| format!(", {bytes} bytes"));
    let form = match (batch["encoding"].as_str(), &batch["encoding"]["form"]) {
        (Some("form"), _) => ", as a form".to_owned(),
        (None, field) => format!(", in the form field `{}`", text(field)),
        (Some(_), _) => String::new(),
    };
    match (batch["as"].as_str(), &batch["as"]["array_in"]) {
        (Some("array"), _) => format!("{records} in a list{bytes}{form}"),
        (None, field) => format!("{records} in the list `{}`{bytes}{form}", text(field)),
        (Some(_), _) => format!("one item{bytes}{form}"),
    }
}

fn settings(destination: &Value) -> String {
    let settings = list(&destination["settings"]);
    if settings.is_empty() {
        return String::new();
    }
    let mut table = "\n## Settings\n\n| setting | type | default | |\n|---|---|---|---|\n".to_owned();
    for setting in settings {
        let default = &setting["default"];
        let default = if default.is_null() { "**required**".to_owned() } else { format!("`{}`", cell(&default.to_string())) };
        let secret = if setting["secret"] == true { ", secret" } else { "" };
        let (name, kind, about) = (text(&setting["name"]), text(&setting["type"]), cell(text(&setting["about"])));
        writeln!(table, "| `{name}` | {kind}{secret} | {default} | {about} |").unwrap();
    }
    table
}

/// Returns an example as it runs: `crates/core/tests/destinations.rs` holds what comes out against what it says.
fn shown(example: &Example) -> String {
    let mut shown = format!("\n## Example\n\nGiven {}:\n\n", example.about.trim());
    if let Some(settings) = &example.settings {
        let mut json = String::new();
        settings.write_json(&mut json);
        writeln!(shown, "```json\n{{ \"settings\": {json} }}\n```\n").unwrap();
    }
    writeln!(shown, "```json\n{}\n```", pretty(&example.event)).unwrap();
    let Expected::Emits(operations) = &example.expected else { return shown };
    for operation in operations {
        writeln!(shown, "\n`{}` gets\n\n```json\n{}\n```", operation.operation, pretty(&operation.body)).unwrap();
    }
    shown
}

fn pretty(json: &str) -> String {
    serde_json::from_str::<Value>(json).map_or_else(|_| json.to_owned(), |value| format!("{value:#}"))
}

/// Escapes what would end a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}
