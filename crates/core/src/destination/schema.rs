//! The format of definitions as a JSON Schema, for editors. Its words come from the tables that the reader goes by, and a test
//! holds its keys to those that the reader knows.
//!
//! Only what draft 7 has as well is used, since not every editor knows the newer drafts.

use serde_json::{Map, Value, json};

use crate::verdict::Reason;

use super::compile::{FILTERS, NAMES};
use super::definition::{Encoding, Layout, Membership, NullPolicy, OperationSpec};
use super::settings::SettingType;

/// Returns the JSON Schema (draft 2020-12) of a definition.
#[must_use]
pub fn schema() -> Value {
    let mut schema = mapping(
        &["name", "about", "membership", "nulls", "operations"],
        definition(),
    );
    let top = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "groupcast destination",
        "description": "What groupcast sends to one destination. The file's name is the destination's id.",
        "$defs": {
            "text": text(),
            "texts": { "anyOf": [reference("text"), { "type": "array", "items": reference("text") }] },
            "value": value(),
            "setting": setting(),
            "operation": operation(),
            "batch": batch(),
            "example": example(),
            "expected": expected(),
        },
    });
    extend(&mut schema, top);
    schema
}

fn definition() -> Value {
    json!({
        "name": named("text", "The name that events' `integrations` use.", &json!({ "minLength": 1, "examples": ["Mixpanel"] })),
        "aliases": named("texts", "Other names that `integrations` may use, the first in rank first.", &json!({ "examples": [["Acme CRM"]] })),
        "about": named("text", "One sentence: what a group call does there.", &json!({ "minLength": 1 })),
        "docs": named("texts", "The vendor's pages that it follows.", &json!({ "examples": [["https://developer.acme.example/accounts"]] })),
        "read": {
            "description": "The day on which these pages were last read.",
            "type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}$", "examples": ["2026-11-29"],
        },
        "notes": named("text", "What a sender must know: host, credentials, limits, and what could not be verified.", &json!({})),
        "enabled_by_default": {
            "description": "With false it is opt-in: only events whose `integrations` name it are sent.",
            "type": "boolean", "default": true,
        },
        "membership": {
            "description": "How many groups the vendor lets a user be in by these calls. one: the latest call wins. none: users are not linked.",
            "enum": words(Membership::WORDS),
        },
        "nulls": {
            "description": "What a null becomes. keep: null. empty: \"\". unset: left out, since another operation clears it through `${cleared}`, or the call replaces the whole. drop: left out and counted, since the vendor cannot clear.",
            "enum": words(NullPolicy::WORDS),
        },
        "settings": {
            "description": "What a configuration may set, by name; used as `${settings.NAME}`.",
            "type": "object", "additionalProperties": reference("setting"),
        },
        "properties": {
            "description": "A map written once. `${properties}` is its part with a value, `${cleared}` the list of its keys whose value is null.",
            "type": "object", "additionalProperties": reference("value"),
        },
        "operations": {
            "description": "The calls, in order.",
            "type": "array", "minItems": 1, "items": reference("operation"),
        },
        "examples": {
            "description": "Events and what comes of them; `groupcast check` and the tests run them.",
            "type": "array", "items": reference("example"),
        },
    })
}

fn text() -> Value {
    json!({ "description": "A text. Numbers and booleans are taken as they are written.", "type": ["string", "number", "boolean"] })
}

fn value() -> Value {
    let names = NAMES.join("`, `");
    let filters = FILTERS.join("`, `");
    json!({
        "description": format!(
            "JSON with expressions: `${{traits.name ?? groupId | truncate 80}}`. A string that is one `${{…}}` is the value itself, with \
             its type; in a longer one it is text. What is absent is left out. The key \"*\" spreads a map among its siblings.\n\n\
             Names: `{names}`; a trait is `traits.NAME`, however the event spells it.\n\nFilters: `{filters}`."
        ),
        "examples": ["${groupId}", "${traits.createdAt | unix_seconds}", { "*": "${traits.rest | flatten \"_\" | scalars}" }],
    })
}

fn setting() -> Value {
    let mut schema = mapping(
        &["type"],
        json!({
            "type": { "description": "A list is of texts, a map of texts to texts.", "enum": words(SettingType::WORDS) },
            "required": { "description": "Whether a configuration must give it; else it has a default.", "type": "boolean", "default": false },
            "default": { "description": "Its value where a configuration gives none." },
            "secret": { "description": "Whether it is never shown, and refused in a request.", "type": "boolean", "default": false },
            "about": named("text", "What it does, in a sentence.", &json!({})),
        }),
    );
    let default_of = |(word, setting_type): &(&str, SettingType)| {
        json!({
            "if": { "properties": { "type": { "const": word } } },
            "then": { "properties": { "default": setting_value(*setting_type) } },
        })
    };
    let is_required =
        json!({ "required": ["required"], "properties": { "required": { "const": true } } });
    extend(
        &mut schema,
        json!({
            "anyOf": [{ "required": ["default"] }, is_required],
            "allOf": SettingType::WORDS.iter().map(default_of).collect::<Vec<_>>(),
            "examples": [{ "type": "string", "default": "eu", "about": "Where the accounts are kept." }],
        }),
    );
    schema
}

fn setting_value(setting_type: SettingType) -> Value {
    match setting_type {
        SettingType::String => reference("text"),
        SettingType::Boolean => json!({ "type": "boolean" }),
        SettingType::Integer => json!({ "type": "integer" }),
        SettingType::List => reference("texts"),
        SettingType::Map => json!({ "type": "object", "additionalProperties": reference("text") }),
    }
}

fn operation() -> Value {
    mapping(
        &["id", "request", "body"],
        json!({
            "id": {
                "description": "Its name in records, metrics and logs; no other operation's.",
                "type": "string", "pattern": "^[a-z0-9._]+$", "examples": ["account.upsert", "member.add"],
            },
            "request": named(
                "text",
                "Method and path. Each `${…}` is percent-encoded; if one is absent the destination is skipped (missing_required).",
                &json!({ "examples": ["PUT /v1/accounts/${groupId}"] }),
            ),
            "batch": named("batch", "How a sender makes one request of records; without it one record is one request.", &json!({})),
            "when": named("texts", "A value, or several, that must be there; else the operation is not due. Null, false, [], {} and blank text are not there; 0 is.", &json!({ "examples": ["${userId}"] })),
            "unless": named("texts", "The opposite of `when`: what must not be there.", &json!({})),
            "require": named("texts", "As `when`, but the lack of one skips the whole destination (missing_required).", &json!({})),
            "key": {
                "description": "Whose id is the record's key: what one key has stays in order.",
                "enum": words(OperationSpec::KEYS), "default": "group",
            },
            "idempotent": { "description": "With false, sent twice it counts twice.", "type": "boolean", "default": true },
            "body": named("value", "What the request holds: JSON with expressions.", &json!({ "not": { "type": "null" } })),
        }),
    )
}

fn batch() -> Value {
    let count = |what: &str| json!({ "description": what, "type": "integer", "minimum": 0 });
    let mut schema = mapping(
        &[],
        json!({
            "records": count("At most so many items in a request."),
            "bytes": count("At most so many bytes in a request."),
            "item_bytes": count("At most so many bytes in an item; a larger one is a dead letter (too_large)."),
            "as": {
                "description": "How items stand in a request: single, array, or an array in the field that array_in names.",
                "anyOf": [{ "enum": words(Layout::WORDS) }, field(Layout::FIELD)],
                "default": "single", "examples": [{ "array_in": "members" }],
            },
            "encoding": {
                "description": "json; form: the item's own fields make the form; { form: FIELD }: the JSON stands in that field of a form.",
                "anyOf": [{ "enum": words(Encoding::WORDS) }, field(Encoding::FIELD)],
                "default": "json",
            },
        }),
    );
    // A form of the item's own fields has place for one item.
    extend(
        &mut schema,
        json!({
            "if": { "required": ["encoding"], "properties": { "encoding": { "const": "form" } } },
            "then": { "properties": { "as": { "const": "single" } } },
            "examples": [{ "records": 100, "as": "array" }],
        }),
    );
    schema
}

/// Returns the schema of `{ KEY: FIELD }`.
fn field(key: &str) -> Value {
    let mut properties = Map::new();
    properties.insert(
        key.to_owned(),
        named("text", "The field's name.", &json!({ "minLength": 1 })),
    );
    mapping(&[key], Value::Object(properties))
}

fn example() -> Value {
    let reasons: Vec<&str> = Reason::SKIPS.iter().map(|reason| reason.code()).collect();
    let mut schema = mapping(
        &["about", "event"],
        json!({
            "about": named("text", "What it shows.", &json!({ "minLength": 1 })),
            "settings": { "description": "The settings of the instance.", "type": "object" },
            "event": {
                "description": "The event, as a mapping or as a string of JSON that is taken byte for byte.",
                "type": ["object", "string"],
                "examples": [{ "type": "group", "groupId": "g1", "userId": "u1", "traits": { "name": "Initech" } }],
            },
            "emits": {
                "description": "The operations that must leave, in order, and no others.",
                "type": "array", "items": reference("expected"),
            },
            "skips": { "description": "Why nothing leaves.", "enum": reasons },
        }),
    );
    extend(
        &mut schema,
        json!({ "oneOf": [{ "required": ["emits"] }, { "required": ["skips"] }] }),
    );
    schema
}

fn expected() -> Value {
    mapping(
        &["operation", "body"],
        json!({
            "operation": named("text", "The operation's id.", &json!({ "minLength": 1 })),
            "body": { "description": "The body, compared as JSON, order included.", "not": { "type": "null" } },
            "request": named("text", "The request, placeholders filled in.", &json!({ "examples": ["PUT /v1/accounts/g1"] })),
            "key": named("text", "The record's key.", &json!({})),
        }),
    )
}

/// Returns the schema of a mapping that has these keys and no others.
fn mapping(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

/// Returns a reference with a description of its own and what else the key asks for.
fn named(definition: &str, description: &str, more: &Value) -> Value {
    // Beside siblings draft 7 ignores a $ref, inside allOf it does not.
    let mut schema = json!({ "description": description, "allOf": [reference(definition)] });
    extend(&mut schema, more.clone());
    schema
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

fn words<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(word, _)| *word).collect()
}

fn extend(schema: &mut Value, more: Value) {
    if let (Value::Object(schema), Value::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}
