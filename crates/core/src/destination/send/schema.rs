//! The format of `send:` as a JSON Schema, for editors.

use serde_json::{Value, json};

use super::super::schema::{mapping, named, reference, words};
use super::read::THEN;
use super::{Counted, Meaning, Scope, WaitForm};

/// Returns the schema of `send:`.
pub(in super::super) fn schema() -> Value {
    mapping(
        &["url", "auth"],
        json!({
            "settings": {
                "description": "What a configuration may set for sending alone; used as `${settings.NAME}`.",
                "type": "object", "additionalProperties": reference("setting"),
            },
            "notes": named("text", "What could not be verified, and what else one must know.", &json!({})),
            "url": {
                "description": "Scheme, host and what stands before each request's path; one, or one for each region, the default first.",
                "anyOf": [reference("text"), { "type": "object", "minProperties": 1, "additionalProperties": reference("text") }],
                "examples": ["https://api.acme.example", { "us": "https://api.acme.example", "eu": "https://api-eu.acme.example" }],
            },
            "auth": { "description": "The login.", "anyOf": [{ "const": "none" }, auth()] },
            "headers": parameters("Headers that each request has."),
            "query": parameters("Query parameters that each request has."),
            "mark": named("text", "The field in which each item is told its place in the request, so that the answer can name it.", &json!({})),
            "repeats": {
                "description": "With true, a request may hold several items of one key: the vendor applies them in their order.",
                "type": "boolean", "default": false,
            },
            "in_flight": count("The most requests in flight."),
            "limits": list("How much the vendor takes; the lowest plan's.", &limit()),
            "wait": list("How an answer says how long to wait, beside Retry-After.", &wait()),
            "answers": list("What answers mean, the first that fits; others go by their status.", &rule()),
            "examples": list("Answers, and what each means; `groupcast check` and the tests run them.", &example()),
        }),
    )
}

fn auth() -> Value {
    let mut schema = mapping(
        &[],
        json!({
            "header": parameters("Headers with `${credential}` in them."),
            "basic": describe("User and password, as HTTP has them.", mapping(
                &["user", "password"],
                json!({ "user": named("text", "The user.", &json!({})), "password": named("text", "The password.", &json!({})) }),
            )),
            "bearer": named("text", "A token, as HTTP has it.", &json!({ "examples": ["${credential}"] })),
            "query": parameters("Query parameters with `${credential}` in them."),
            "field": parameters("Fields of the body, beside the items."),
            "oauth2": describe("A token that is asked for with the credentials client_id and client_secret.", mapping(
                &["token"],
                json!({
                    "token": named("text", "The URL, or the path behind `url`, where the token is asked for.", &json!({})),
                    "scope": named("text", "What the token is for, if that must be said.", &json!({})),
                    "base": named("text", "The field of the token's answer that holds the URL to send to.", &json!({})),
                }),
            )),
        }),
    );
    if let Value::Object(schema) = &mut schema {
        schema.insert("minProperties".to_owned(), json!(1));
        schema.insert("maxProperties".to_owned(), json!(1));
    }
    schema
}

fn limit() -> Value {
    let mut schema = mapping(
        &["per"],
        json!({
            "requests": count("At most so many requests."),
            "items": count("At most so many items."),
            "refused": count("At most so many refused requests."),
            "per": time("In this time, wherever it begins."),
            "of": scope("For what each count is kept."),
        }),
    );
    one_of(&words(Counted::WORDS), &mut schema);
    schema
}

fn wait() -> Value {
    let mut schema = mapping(
        &["as"],
        json!({
            "header": named("text", "The header that says it.", &json!({})),
            "body": pointer("Where the body says it."),
            "as": {
                "description": "seconds, milliseconds: from now. unix, unix_ms: a time in seconds or milliseconds since 1970. date: as HTTP or ISO 8601 write it.",
                "enum": words(WaitForm::WORDS),
            },
        }),
    );
    one_of(&["header", "body"], &mut schema);
    schema
}

fn rule() -> Value {
    mapping(
        &["means"],
        json!({
            "status": named("texts", "The status is one of these; any if none is given.", &json!({ "examples": [[200, 201]] })),
            "operations": named("texts", "The operation is one of these; any if none is given.", &json!({})),
            "where": conditions("What stands in the body."),
            "items": describe("The list in the body that says which items are meant.", items()),
            "means": meaning("What it means."),
            "others": meaning("What it means for the items that the list does not name: taken, if it does not say."),
            "detail": pointer("Where the body says why."),
            "of": scope("What the vendor throttles."),
            "patience": time("How long an item that is for `later` is tried: 10m, if it does not say."),
            "then": { "description": "What becomes of it then.", "enum": words(THEN), "default": "refused" },
        }),
    )
}

fn items() -> Value {
    let mut schema = mapping(
        &["in"],
        json!({
            "in": pointer("The list."),
            "index": pointer("Where an entry has its item's place in the request, from 0."),
            "mark": pointer("Where an entry has its item's mark. Without both, entry and item have the same place."),
            "where": conditions("What stands in an entry whose item is meant."),
            "detail": pointer("Where an entry says why."),
        }),
    );
    if let Value::Object(schema) = &mut schema {
        schema.insert("not".to_owned(), json!({ "required": ["index", "mark"] }));
    }
    schema
}

fn example() -> Value {
    let answer = mapping(
        &["status"],
        json!({
            "status": named("text", "The status.", &json!({ "examples": [429] })),
            "headers": parameters("The headers."),
            "body": { "description": "The body, as JSON or as a string that is taken byte for byte." },
        }),
    );
    let meanings = words(Meaning::WORDS);
    mapping(
        &["about", "answer", "means"],
        json!({
            "about": named("text", "What it shows.", &json!({ "minLength": 1 })),
            "operation": named("text", "The operation that is answered; the first, if it does not say.", &json!({})),
            "answer": describe("The answer.", answer),
            "means": {
                "description": "What it means for each item of the request; one word for a request of one item.",
                "anyOf": [{ "enum": meanings }, { "type": "array", "items": { "enum": meanings } }],
            },
            "wait": time("How long it says to wait."),
            "detail": named("text", "Why it says that it refuses.", &json!({})),
        }),
    )
}

fn one_of(keys: &[&str], schema: &mut Value) {
    let required: Vec<Value> = keys
        .iter()
        .map(|key| json!({ "required": [key] }))
        .collect();
    if let Value::Object(schema) = schema {
        schema.insert("oneOf".to_owned(), json!(required));
    }
}

fn describe(description: &str, mut schema: Value) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(description));
    }
    schema
}

fn list(description: &str, items: &Value) -> Value {
    json!({ "description": description, "type": "array", "items": items })
}

fn parameters(description: &str) -> Value {
    json!({ "description": description, "type": "object", "additionalProperties": reference("text") })
}

fn conditions(description: &str) -> Value {
    json!({
        "description": format!("{description} JSON pointers, and the value that stands there; in a text, * stands for anything."),
        "type": "object", "propertyNames": { "pattern": POINTER }, "examples": [{ "/status": 0 }],
    })
}

fn pointer(description: &str) -> Value {
    named(
        "text",
        description,
        &json!({ "pattern": POINTER, "examples": ["/errors"] }),
    )
}

const POINTER: &str = "^(/.*)?$";

fn time(description: &str) -> Value {
    named(
        "text",
        description,
        &json!({ "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["10s"] }),
    )
}

fn count(description: &str) -> Value {
    json!({ "description": description, "type": "integer", "minimum": 1 })
}

fn scope(description: &str) -> Value {
    json!({ "description": description, "enum": words(Scope::WORDS), "default": "destination" })
}

fn meaning(description: &str) -> Value {
    json!({
        "description": format!("{description} credentials: the login does not hold. later: something that it needs is not there yet."),
        "enum": words(Meaning::WORDS),
    })
}
