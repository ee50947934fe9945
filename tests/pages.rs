//! Pages and tables that are made of what the code knows: each destination's page, the README's table of destinations, the codes of
//! docs/semantics.md, the filters of docs/definitions.md. A stale one fails.
//!
//! `UPDATE_GOLDEN=1 cargo test --test pages` writes them again.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use groupcast::destination::{Catalogue, Example, Expected};
use groupcast::verdict::{NoteCode, Reason};
use serde_json::Value;

#[path = "../crates/core/tests/routing/mod.rs"]
mod routing;

const FOLDER: &str = "docs/destinations";

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
    let found: BTreeSet<String> = fs::read_dir(FOLDER)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        found, wanted,
        "a page without a definition is to be deleted"
    );
}

#[test]
fn the_readme_lists_all_destinations() {
    compare_tables("README.md", &[("destinations", table())]);
}

#[test]
fn the_rules_list_all_codes() {
    let page = fs::read_to_string(RULES).unwrap();
    compare_tables(
        RULES,
        &[("reasons", reasons(&page)), ("notes", notes(&page))],
    );
}

#[test]
fn the_language_shows_every_filter() {
    let page = fs::read_to_string(LANGUAGE).unwrap();
    let shown: BTreeSet<&str> = VALUES
        .iter()
        .chain(&MAPS)
        .map(|(filter, _)| word(filter))
        .collect();
    let known = filters();
    assert_eq!(
        shown,
        known.iter().map(String::as_str).collect(),
        "tests/pages.rs has an example of each filter"
    );
    // What the page says of each filter stands outside the tables that are made here.
    let written: String = page.split("<!-- filters of").step_by(2).collect();
    let is_said = |name: &&String| {
        written.contains(&format!("`{name}`")) || written.contains(&format!("`{name} "))
    };
    let lacking: Vec<&String> = known.iter().filter(|name| !is_said(name)).collect();
    assert!(
        lacking.is_empty(),
        "{LANGUAGE} does not say what these filters do: {lacking:?}"
    );
    compare_tables(
        LANGUAGE,
        &[
            ("filters of a value", examples("x", &VALUES)),
            ("filters of a map", examples("", &MAPS)),
        ],
    );
}

/// Compares a file with what it must be, or writes it where one asks for that.
fn compare(file: &str, wanted: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(file, wanted).unwrap();
    }
    let found = fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == wanted,
        "{file} is stale: UPDATE_GOLDEN=1 cargo test --test pages, and read the difference"
    );
}

/// Compares the tables of a page, each between its two markers, with what they must be.
fn compare_tables(file: &str, tables: &[(&str, String)]) {
    let mut page = fs::read_to_string(file).unwrap();
    for (name, table) in tables {
        let [begin, end] = ["begin", "end"].map(|word| format!("<!-- {name}: {word} -->"));
        let (before, rest) = page
            .split_once(&format!("{begin}\n"))
            .unwrap_or_else(|| panic!("{file} has no {begin}"));
        let (_, after) = rest
            .split_once(&end)
            .unwrap_or_else(|| panic!("{file} has no {end}"));
        page = format!("{before}{begin}\n{table}{end}{after}");
    }
    compare(file, &page);
}

const RULES: &str = "docs/semantics.md";

fn reasons(page: &str) -> String {
    let ends = |reason: &Reason| {
        let lists = [
            (Reason::DEAD_LETTERS, "dead letter"),
            (Reason::SKIPS, "a destination skipped"),
            (Reason::WITHHELD, "a destination skipped"),
            (Reason::UNFIT, "a destination's dead letter"),
        ];
        let ends: Vec<&str> = lists
            .iter()
            .filter(|(list, _)| list.contains(reason))
            .map(|(_, end)| *end)
            .collect();
        if ends.is_empty() {
            "ignored".to_owned()
        } else {
            ends.join(", ")
        }
    };
    let mut table = "| code | means | how it ends | rules |\n|---|---|---|---|\n".to_owned();
    for reason in Reason::ALL {
        let code = reason.code();
        writeln!(
            table,
            "| `{code}` | {} | {} | {} |",
            reason.sentence(),
            ends(reason),
            rules_on(code, page)
        )
        .unwrap();
    }
    table
}

fn notes(page: &str) -> String {
    let mut table = "| code | means | rules |\n|---|---|---|\n".to_owned();
    for note in NoteCode::ALL {
        writeln!(
            table,
            "| `{}` | {} | {} |",
            note.code(),
            note.sentence(),
            rules_on(note.code(), page)
        )
        .unwrap();
    }
    table
}

/// Returns the ids of the rules that name a code.
fn rules_on(code: &str, page: &str) -> String {
    let (rules, _) = page.split_once("\n## Codes\n").unwrap();
    let rules = rules
        .split("\n### ")
        .skip(1)
        .filter(|rule| rule.contains(&format!("`{code}`")));
    rules.map(word).collect::<Vec<_>>().join(" ")
}

const LANGUAGE: &str = "docs/definitions.md";

/// A filter as written, and the value that the trait `x` has.
const VALUES: [(&str, &str); 25] = [
    ("iso8601", "1424649600"),
    ("date", r#""2015-02-23T10:11:12Z""#),
    ("unix_seconds", r#""2015-02-23""#),
    ("unix_ms", r#""2015-02-23""#),
    ("unix_us", r#""2015-02-23""#),
    ("unix_decimal", r#""2015-02-23T00:00:00.5Z""#),
    ("string", "42"),
    ("integer", r#""50.0""#),
    ("number", r#""29.50""#),
    ("boolean", r#""true""#),
    ("lower", r#""ACME""#),
    ("upper", r#""Acme""#),
    ("trim", r#"" Acme ""#),
    ("truncate 4", r#""Initech""#),
    ("at_most 4", r#""Initech""#),
    ("between 0 100", "250"),
    ("filled", r#"" ""#),
    ("like A-Z A-Z0-9 8", r#""g 1""#),
    ("domain", r#""https://www.initech.example/about""#),
    ("json", r#"{"a":1}"#),
    ("list", r#""a""#),
    (r#"join ", ""#, r#"["a","b"]"#),
    (r#"if traits.x "gold" "silver""#, r#""gold""#),
    (r#"if traits.x "gold" "silver""#, r#""free""#),
    ("nulls empty", "null"),
];

/// A filter as written, and the traits.
const MAPS: [(&str, &str); 21] = [
    ("only name plan", r#"{"Name":"Initech","x":1}"#),
    ("except name plan", r#"{"Name":"Initech","x":1}"#),
    ("rename plan=tier", r#"{"Plan":"gold"}"#),
    ("prefix group_", r#"{"plan":"gold"}"#),
    ("suffix __c", r#"{"plan":"gold"}"#),
    ("case snake", r#"{"Total Billed":830,"createdAt":0}"#),
    (
        "flatten _",
        r#"{"address":{"city":"Austin"},"plan":"gold"}"#,
    ),
    ("scalars", r#"{"plan":"gold","tags":["a"]}"#),
    ("lists_of texts", r#"{"tags":["a"],"ids":[1]}"#),
    (
        "dates unix_seconds",
        r#"{"created_at":"2015-02-23","since":"2015-02-23"}"#,
    ),
    ("texts 3", r#"{"plan":"gold","seats":12345}"#),
    (
        "convert int:=number str:=string",
        r#"{"int:seats":"12","str:plan":7}"#,
    ),
    ("strings", r#"{"active":true,"seats":12}"#),
    ("integers 0 100", r#"{"employees":250,"seats":12}"#),
    ("lists ;", r#"{"tags":["a","b"]}"#),
    (
        "unwrap details",
        r#"{"details":{"plan":"gold"},"seats":12}"#,
    ),
    ("except_prefix ga_", r#"{"ga_id":1,"plan":"gold"}"#),
    ("numbers 0 100", r#"{"employees":250,"seats":12}"#),
    ("names a-z a-z0-9_ 20", r#"{"plan":"gold","1st":"a"}"#),
    ("first 1", r#"{"plan":"gold","seats":12}"#),
    ("nulls empty", r#"{"plan":null}"#),
];

/// Returns a table of what filters really make of a trait, or of all traits.
fn examples(name: &str, filters: &[(&str, &str)]) -> String {
    let mut table = "| filter | of | gives |\n|---|---|---|\n".to_owned();
    for (filter, value) in filters {
        let (source, traits) = match name {
            "" => ("traits".to_owned(), (*value).to_owned()),
            _ => (format!("traits.{name}"), format!(r#"{{"{name}":{value}}}"#)),
        };
        let router = routing::one(&format!("\n      v: ${{{source} | {filter}}}")).router();
        let event = format!(r#"{{"type":"group","groupId":"g","traits":{traits}}}"#);
        let told = routing::told(&router, &routing::record(Some(event.as_bytes())));
        let (body, note) = told.split_once(" ~").unwrap_or((told.as_str(), ""));
        let left = body
            .strip_prefix(r#"{"v":"#)
            .and_then(|rest| rest.strip_suffix('}'));
        let left = left.map_or("nothing".to_owned(), |left| format!("`{left}`"));
        let note = note.split_once(':').map_or(String::new(), |(code, key)| {
            format!("; `{code}` for `{key}`")
        });
        writeln!(table, "| `{filter}` | `{value}` | {left}{note} |").unwrap();
    }
    table
}

/// Returns the names of all filters, as the compiler lists them.
fn filters() -> BTreeSet<String> {
    let text = fs::read_to_string("crates/core/src/destination/compile.rs").unwrap();
    let (_, list) = text
        .split_once("const FILTERS: [&str; ")
        .expect("the list of filters");
    let (list, _) = list.split_once("];").unwrap();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// Returns what `groupcast destinations --json` says, as any program would read it.
fn destinations() -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .args(["destinations", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn table() -> String {
    let mut table = "| destination | what a group call does there | a user may be in | nulls |\n|---|---|---|---|\n".to_owned();
    for destination in destinations() {
        let (id, name, about) = (
            text(&destination["id"]),
            text(&destination["name"]),
            text(&destination["about"]),
        );
        let membership = match text(&destination["membership"]) {
            "many" => "several groups",
            "one" => "one group",
            _ => "not linked",
        };
        let opt_in = if destination["enabled_by_default"] == false {
            " (opt-in)"
        } else {
            ""
        };
        let nulls = nulls(text(&destination["nulls"]));
        writeln!(
            table,
            "| [{name}]({FOLDER}/{id}.md){opt_in} | {} | {membership} | {nulls} |",
            about.trim_end_matches('.')
        )
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
    let mut page = format!(
        "# {}\n\n{}\n\n",
        text(&destination["name"]),
        text(&destination["about"])
    );
    writeln!(
        page,
        "```yaml\ndestinations:\n  - use: {id}{}\n```\n",
        required(destination)
    )
    .unwrap();
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
    writeln!(
        page,
        "\nMade of [{id}.yaml](../../crates/core/destinations/{id}.yaml), which decides."
    )
    .unwrap();
    page
}

/// Returns the settings that a configuration must have, as it writes them.
fn required(destination: &Value) -> String {
    let settings = list(&destination["settings"])
        .iter()
        .filter(|setting| setting["required"] == true);
    let lines: Vec<String> = settings
        .map(|setting| format!("\n      {}: …", text(&setting["name"])))
        .collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!("\n    settings:{}", lines.concat())
    }
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
        "one" => {
            "is in one group: the latest call wins, which is exact only where the source is partitioned by member"
        }
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
    let repeat = if idempotent {
        ""
    } else {
        "; sent twice it counts twice"
    };
    format!(
        "| `{}` | `{}` | {key}{repeat} | {} |\n",
        text(&operation["id"]),
        cell(text(&operation["request"])),
        batch(&operation["batch"])
    )
}

fn batch(batch: &Value) -> String {
    let limit = |name: &str| batch[name].as_u64();
    let records = limit("records").map_or_else(
        || "items".to_owned(),
        |records| format!("up to {records} items"),
    );
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
    let mut table =
        "\n## Settings\n\n| setting | type | default | |\n|---|---|---|---|\n".to_owned();
    for setting in settings {
        let default = &setting["default"];
        let default = if default.is_null() {
            "**required**".to_owned()
        } else {
            format!("`{}`", cell(&default.to_string()))
        };
        let secret = if setting["secret"] == true {
            ", secret"
        } else {
            ""
        };
        let (name, kind, about) = (
            text(&setting["name"]),
            text(&setting["type"]),
            cell(text(&setting["about"])),
        );
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
    let Expected::Emits(operations) = &example.expected else {
        return shown;
    };
    for operation in operations {
        writeln!(
            shown,
            "\n`{}` gets\n\n```json\n{}\n```",
            operation.operation,
            pretty(&operation.body)
        )
        .unwrap();
    }
    shown
}

fn pretty(json: &str) -> String {
    serde_json::from_str::<Value>(json)
        .map_or_else(|_| json.to_owned(), |value| format!("{value:#}"))
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
