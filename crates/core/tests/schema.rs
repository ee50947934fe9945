//! docs/destination.schema.json is what the reader of definitions takes: the same keys, the same words, the same refusals.
//!
//! `UPDATE_GOLDEN=1 cargo test --test schema` writes it anew.
#![expect(clippy::disallowed_methods, reason = "a test may read files")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;

use groupcast_core::destination::{self, Definition};
use groupcast_core::diagnostic::Diagnostics;
use groupcast_core::yaml;
use jsonschema::Validator;
use serde_json::Value;

const FILE: &str = "../../docs/destination.schema.json";

/// A definition that has every mapping there is.
const WHOLE: &str = r#"name: Acme
aliases: [Acme CRM]
about: A test.
docs: [https://developer.acme.example/]
read: 2026-11-29
notes: None.
enabled_by_default: false
membership: many
nulls: keep
settings: { region: { type: string, required: true } }
properties: { name: "${traits.name}" }
operations:
  - { id: a, request: POST /, when: "${userId}", batch: { as: { array_in: items }, encoding: { form: data } }, body: { a: 1 } }
examples:
  - { about: x, settings: { region: eu }, event: { type: group, groupId: g }, emits: [{ operation: a, body: { a: 1 } }] }
"#;

#[test]
fn the_file_is_what_the_program_prints() {
    let schema = format!("{:#}\n", destination::schema());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(FILE, &schema).unwrap();
    }
    let found = fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        found == schema,
        "{FILE} is stale: UPDATE_GOLDEN=1 cargo test --test schema, and read the difference"
    );
}

#[test]
fn the_schema_is_one_of_its_draft() {
    let schema = destination::schema();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert!(jsonschema::meta::validate(&schema).is_ok());
    assert_described(&schema, "");
}

/// What has no description shows nothing in an editor.
fn assert_described(schema: &Value, path: &str) {
    let Value::Object(fields) = schema else {
        return;
    };
    if schema["additionalProperties"] == false {
        for (key, property) in schema["properties"].as_object().unwrap() {
            assert!(
                property["description"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.')),
                "{path}/{key} has no description"
            );
        }
    }
    fields
        .iter()
        .for_each(|(key, field)| assert_described(field, &format!("{path}/{key}")));
}

#[test]
fn every_definition_of_the_folder_is_valid() {
    let validator = validator();
    let mut n_files = 0;
    for file in fs::read_dir("destinations").unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let definition = instance(&fs::read_to_string(&path).unwrap());
        let faults = faults(&validator, &definition);
        assert!(
            faults.is_empty(),
            "{}\n{}",
            path.display(),
            faults.join("\n")
        );
        n_files += 1;
    }
    assert!(n_files >= 40, "{n_files} files");
    assert_eq!(faults(&validator, &instance(WHOLE)), [""; 0]);
}

/// The reader says which keys a mapping may have when it meets one that is like none of them.
#[test]
fn the_schema_has_the_readers_keys_and_no_others() {
    let rows = [
        ("name: Acme", "qqq: 1\nname: Acme", "/properties"),
        (
            "{ type: string",
            "{ qqq: 1, type: string",
            "/$defs/setting/properties",
        ),
        ("{ id: a", "{ qqq: 1, id: a", "/$defs/operation/properties"),
        ("{ as: {", "{ qqq: 1, as: {", "/$defs/batch/properties"),
        (
            "{ array_in",
            "{ qqq: 1, array_in",
            "/$defs/batch/properties/as/anyOf/1/properties",
        ),
        (
            "{ form",
            "{ qqq: 1, form",
            "/$defs/batch/properties/encoding/anyOf/1/properties",
        ),
        ("{ about", "{ qqq: 1, about", "/$defs/example/properties"),
        (
            "{ operation",
            "{ qqq: 1, operation",
            "/$defs/expected/properties",
        ),
    ];
    let schema = destination::schema();
    for (here, with, pointer) in rows {
        let known = keys_of_reader(&WHOLE.replacen(here, with, 1));
        let properties = schema
            .pointer(pointer)
            .and_then(Value::as_object)
            .unwrap_or_else(|| panic!("nothing at {pointer}"));
        assert_eq!(
            properties.keys().cloned().collect::<BTreeSet<_>>(),
            known,
            "{pointer}"
        );
    }
    // No mapping with keys of its own is left out above.
    let n_closed = destination::schema()
        .to_string()
        .matches(r#""additionalProperties":false"#)
        .count();
    assert_eq!(n_closed, rows.len());
}

fn keys_of_reader(text: &str) -> BTreeSet<String> {
    let faults = Definition::parse("x", "x.yaml", text).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let hint = faults[0].hint.as_deref().unwrap();
    hint.strip_prefix("the keys are ")
        .unwrap()
        .split(", ")
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_is_wrong_both_refuse() {
    let rows = [
        // Keys that are missing or empty.
        ("name: Acme\n", ""),
        ("name: Acme", "name: ''"),
        ("name: Acme", "name: [Acme]"),
        ("about: A test.\n", ""),
        ("about: A test.", "about: ''"),
        ("membership: many\n", ""),
        ("nulls: keep\n", ""),
        ("operations:", "operatons:"),
        ("id: a, ", ""),
        ("request: POST /, ", ""),
        (", body: { a: 1 } }\nexamples", " }\nexamples"),
        ("{ about: x, ", "{ "),
        ("event: { type: group, groupId: g }, ", ""),
        ("operation: a, ", ""),
        (", body: { a: 1 } }]", " }]"),
        ("type: string, ", ""),
        // Words that are none of the list.
        ("many", "few"),
        ("nulls: keep", "nulls: clear"),
        ("type: string", "type: text"),
        ("when: ", "key: user, when: "),
        ("as: { array_in: items }", "as: list"),
        ("as: { array_in: items }", "as: { array_in: '' }"),
        ("as: { array_in: items }", "as: { in: items }"),
        ("encoding: { form: data }", "encoding: xml"),
        ("encoding: { form: data }", "encoding: { forms: data }"),
        ("encoding: { form: data }", "encoding: form"),
        (
            "emits: [{ operation: a, body: { a: 1 } }]",
            "skips: too_lazy",
        ),
        // Types.
        ("aliases: [Acme CRM]", "aliases: { a: 1 }"),
        ("aliases: [Acme CRM]", "aliases: [[Acme]]"),
        ("notes: None.", "notes: [None]"),
        ("enabled_by_default: false", "enabled_by_default: 'no'"),
        ("settings: { region", "settings: [region] #"),
        ("settings: { region: {", "settings: { region: x } #"),
        ("properties: { name", "properties: [name] #"),
        ("id: a,", "id: A-1,"),
        ("when: ", "idempotent: maybe, when: "),
        ("when: \"${userId}\"", "when: { a: 1 }"),
        ("batch: {", "batch: { records: -1,"),
        ("batch: {", "batch: { bytes: many,"),
        ("batch: {", "batch: { records: 1.5,"),
        ("emits: [{ operation: a, body: { a: 1 } }]", "emits: a"),
        // What a setting must say.
        ("required: true", "required: false"),
        ("required: true", "secret: true"),
        ("string, required: true", "string, default: [a]"),
        ("string, required: true", "boolean, default: 'yes'"),
        ("string, required: true", "integer, default: 1.5"),
        ("string, required: true", "list, default: { a: 1 }"),
        ("string, required: true", "map, default: [a]"),
        ("string, required: true", "map, default: { a: [b] }"),
        // What an example must say.
        (", emits: [{ operation: a, body: { a: 1 } }]", ""),
        (", emits:", ", skips: opt_in, emits:"),
    ];
    let validator = validator();
    assert!(Definition::parse("x", "x.yaml", WHOLE).is_ok());
    for (here, wrong) in rows {
        assert!(WHOLE.contains(here), "{here}");
        let text = WHOLE.replacen(here, wrong, 1);
        assert!(
            Definition::parse("x", "x.yaml", &text).is_err(),
            "the reader takes: {wrong}\n{text}"
        );
        assert!(
            !faults(&validator, &instance(&text)).is_empty(),
            "the schema takes: {wrong}\n{text}"
        );
    }
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&destination::schema()).unwrap()
}

/// Returns the file as an editor sees it.
fn instance(text: &str) -> Value {
    let mut json = String::new();
    let mut diagnostics = Diagnostics::new("x.yaml");
    yaml::parse(text, &mut diagnostics)
        .unwrap_or_else(|| panic!("{:?}\n{text}", diagnostics.into_sorted()))
        .write_json(&mut json);
    serde_json::from_str(&json).unwrap()
}

fn faults(validator: &Validator, instance: &Value) -> Vec<String> {
    validator
        .iter_errors(instance)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect()
}
