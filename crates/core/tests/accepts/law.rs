//! What no schema can say: one trait's fault is nobody else's, and only a null clears.

use groupcast_core::destination::NullPolicy;
use serde_json::{Map, Value, json};

use crate::accepted::Accepted;
use crate::hostile::{self, Hostile};
use crate::route::{Instances, Left};

/// What is broken: the law, the event, and how it came out.
type Broken = (String, String, String);

/// Tries every law, and returns what is broken.
pub(crate) fn broken(
    instance: &Instances,
    accepted: &Accepted,
    hostile: &Hostile,
    n_laws: &mut usize,
) -> Vec<Broken> {
    let mut broken = Vec::new();
    for name in hostile.good.keys() {
        *n_laws += 1;
        an_unfit_value_stops_its_own_operation_only(instance, hostile, name, &mut broken);
    }
    for name in hostile.good.keys() {
        *n_laws += 1;
        only_a_null_clears(instance, hostile, name, &mut broken);
    }
    *n_laws += 1;
    a_null_address_clears_what_an_address_sets(instance, accepted, &mut broken);
    broken
}

/// An operation that leaves without a trait, or does not depend on it, leaves whatever the trait holds.
fn an_unfit_value_stops_its_own_operation_only(
    instance: &Instances,
    hostile: &Hostile,
    name: &str,
    broken: &mut Vec<Broken>,
) {
    let with = |value: Option<Value>| {
        let mut traits = hostile.good.clone();
        traits.remove(name);
        traits.extend(value.map(|value| (name.to_owned(), value)));
        hostile::event(json!(traits)).to_string()
    };
    let good = instance.route(&with(hostile.good.get(name).cloned()));
    let other = instance.route(&with(Some(another(&hostile.good[name]))));
    let without = instance.route(&with(None));
    let unfit = [
        json!(null),
        json!(""),
        json!(" "),
        json!([]),
        json!({ "a": 1 }),
        json!("x"),
    ];
    for value in unfit.into_iter().map(Some).chain([None]) {
        let event = with(value);
        let left = instance.route(&event);
        let due = good
            .iter()
            .filter(|left| other.contains(left))
            .chain(&without);
        for lost in due.filter(|due| left.iter().all(|left| left.operation != due.operation)) {
            broken.push((
                format!(
                    "{} law: traits.{name} stops its own operation only",
                    lost.operation
                ),
                event.clone(),
                format!("{left:?}"),
            ));
        }
    }
}

/// Returns another good value of the same type.
fn another(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("http") => json!("https://hooli.example.com/x"),
        Value::String(text) if text.starts_with("20") => json!("2016-03-24"),
        Value::String(text) => json!(format!("{text}9")),
        Value::Number(_) => json!(77),
        Value::Bool(value) => json!(!value),
        Value::Array(_) => json!(["c"]),
        Value::Object(_) => json!({ "city": "Boston", "users": 6 }),
        Value::Null => Value::Null,
    }
}

/// N1: without a null nothing is cleared; with one, nothing but that.
fn only_a_null_clears(
    instance: &Instances,
    hostile: &Hostile,
    name: &str,
    broken: &mut Vec<Broken>,
) {
    let route = |traits: Value| {
        let event = hostile::event(traits).to_string();
        (instance.route(&event), event)
    };
    let (alone, event) = route(json!({ name: hostile.good[name] }));
    for left in alone.iter().filter(|left| clears(&left.body)) {
        broken.push((
            format!("{} law: only a null clears", left.operation),
            event.clone(),
            left.body.to_string(),
        ));
    }
    let mut others = hostile.good.clone();
    others.remove(name);
    let (without, _) = route(json!(others));
    others.insert(name.to_owned(), Value::Null);
    let (with, event) = route(json!(others));
    for left in &without {
        let same = with.iter().find(|other| other.operation == left.operation);
        let Some(same) = same else { continue };
        let lost = missing(&left.body, &same.body, "");
        if let Some(place) = lost {
            broken.push((
                format!("{} law: a null clears its own trait only", left.operation),
                event.clone(),
                format!("{place} of {}", left.body),
            ));
        }
    }
}

fn clears(body: &Value) -> bool {
    match body {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| key.contains("unset") || *value == "remove" || clears(value)),
        Value::Array(elements) => elements.iter().any(clears),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns the place of something that `whole` has and `other` has not, or has differently.
fn missing(whole: &Value, other: &Value, place: &str) -> Option<String> {
    match (whole, other) {
        (Value::Object(members), Value::Object(others)) => {
            members.iter().find_map(|(key, value)| {
                let place = format!("{place}/{key}");
                match others.get(key) {
                    Some(other) => missing(value, other, &place),
                    None => Some(place),
                }
            })
        }
        (Value::Array(elements), Value::Array(others)) => {
            let lost = |element: &&Value| {
                !others
                    .iter()
                    .any(|other| missing(element, other, "").is_none())
            };
            elements
                .iter()
                .find(lost)
                .map(|element| format!("{place}: {element}"))
        }
        _ => (whole != other).then(|| place.to_owned()),
    }
}

/// T4: a null address clears every part, under whatever names the parts leave.
fn a_null_address_clears_what_an_address_sets(
    instance: &Instances,
    accepted: &Accepted,
    broken: &mut Vec<Broken>,
) {
    if instance.nulls == NullPolicy::Drop {
        return;
    }
    let address = json!({ "city": "Austin", "country": "US", "postalCode": "73301", "state": "TX", "street": "1 Example Street" });
    let least = instance.route(&hostile::event(json!({ "name": "Initech" })).to_string());
    let set = instance
        .route(&hostile::event(json!({ "name": "Initech", "address": address })).to_string());
    let event = hostile::event(json!({ "name": "Initech", "address": null })).to_string();
    let cleared = instance.route(&event);
    for left in set
        .iter()
        .filter(|left| !accepted.replaces(&left.operation))
    {
        let before = of(&least, &left.operation);
        let mut paths = Vec::new();
        leaves(&left.body, before.as_ref(), String::new(), &mut paths);
        for path in paths {
            let is_cleared = cleared.iter().any(|after| {
                let is_same = after.operation == left.operation;
                is_same && is_null_at(&after.body, &path) || names(&after.body, &path)
            });
            if !is_cleared {
                broken.push((
                    format!(
                        "{} law: a null address clears what an address sets",
                        left.operation
                    ),
                    event.clone(),
                    format!("{path} of {cleared:?}"),
                ));
                return;
            }
        }
    }
}

fn of(left: &[Left], operation: &str) -> Option<Value> {
    left.iter()
        .find(|left| left.operation == operation)
        .map(|left| left.body.clone())
}

/// Lists the pointers of the texts that `body` has and `before` has not.
fn leaves(body: &Value, before: Option<&Value>, path: String, paths: &mut Vec<String>) {
    let none = Map::new();
    match body {
        Value::Object(members) => {
            let before = before.and_then(Value::as_object).unwrap_or(&none);
            for (key, value) in members {
                let key_path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                leaves(value, before.get(key), key_path, paths);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                let before = before.and_then(|before| before.get(index));
                leaves(value, before, format!("{path}/{index}"), paths);
            }
        }
        Value::String(_) if before.is_none() => paths.push(path),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_null_at(body: &Value, path: &str) -> bool {
    let is_null = |path: &str| {
        matches!(body.pointer(path), Some(Value::Null))
            || body.pointer(path).is_some_and(|value| *value == "")
    };
    is_null(path)
        || path
            .rmatch_indices('/')
            .any(|(end, _)| is_null(&path[..end]))
}

/// Whether a list of texts, such as that of what to unset, has one of the path's parts.
fn names(body: &Value, path: &str) -> bool {
    match body {
        Value::Array(elements) => elements.iter().any(|element| {
            let is_part = |name: &str| path.split('/').any(|part| part == name);
            element.as_str().is_some_and(is_part) || names(element, path)
        }),
        Value::Object(members) => members.values().any(|value| names(value, path)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
