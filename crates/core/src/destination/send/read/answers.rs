//! Reads what answers mean, and the examples of it.

use serde_json::Value as Json;

use crate::diagnostic::Diagnostics;
use crate::yaml::{Entry, Fields, Node, Value};

use super::super::super::definition::required;
use super::super::{
    AnswerExample, AnswerRule, BodyCondition, Items, Meaning, NamedBy, Parameter, Scope,
};
use super::{pointer, read_duration, read_parameters, read_pointer};

pub(super) fn read_rule(
    node: &Node,
    context: &str,
    diagnostics: &mut Diagnostics,
) -> Option<AnswerRule> {
    let mut fields = Fields::new(node, context, diagnostics);
    if !fields.has("means") {
        fields.missing("means", diagnostics);
    }
    let items = fields.node("items");
    let rule = AnswerRule {
        place: node.place,
        statuses: read_statuses(&mut fields, diagnostics),
        operations: fields
            .strings("operations", diagnostics)
            .unwrap_or_default(),
        conditions: read_conditions(&mut fields, diagnostics),
        items: items.and_then(|node| read_items(node, &format!("{context}.items"), diagnostics)),
        means: fields
            .choice("means", Meaning::WORDS, diagnostics)
            .unwrap_or(Meaning::Retry),
        others: fields
            .choice("others", Meaning::WORDS, diagnostics)
            .unwrap_or(Meaning::Taken),
        detail: read_pointer(&mut fields, "detail", diagnostics),
        of: fields
            .choice("of", Scope::WORDS, diagnostics)
            .unwrap_or_default(),
        patience: read_duration(&mut fields, "patience", diagnostics)
            .unwrap_or(AnswerRule::PATIENCE),
        then: fields
            .choice("then", THEN, diagnostics)
            .unwrap_or(Meaning::Refused),
    };
    fields.finish(diagnostics);
    Some(rule)
}

/// What may become of an item that was for later for too long.
pub(in super::super) const THEN: &[(&str, Meaning)] =
    &[("taken", Meaning::Taken), ("refused", Meaning::Refused)];

fn read_statuses(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<u16> {
    let place = fields.place();
    let words = fields.strings("status", diagnostics).unwrap_or_default();
    let mut read_one = |word: String| {
        let status = word
            .parse()
            .ok()
            .filter(|status| (100..600).contains(status));
        if status.is_none() {
            diagnostics.error(place, format!("not a status: {word}"));
        }
        status
    };
    words.into_iter().filter_map(&mut read_one).collect()
}

fn read_items(node: &Node, context: &str, diagnostics: &mut Diagnostics) -> Option<Items> {
    let mut fields = Fields::new(node, context, diagnostics);
    if !fields.has("in") {
        fields.missing("in", diagnostics);
    }
    let list = read_pointer(&mut fields, "in", diagnostics);
    let index = read_pointer(&mut fields, "index", diagnostics).map(NamedBy::Index);
    let mark = read_pointer(&mut fields, "mark", diagnostics).map(NamedBy::Mark);
    let conditions = read_conditions(&mut fields, diagnostics);
    let detail = read_pointer(&mut fields, "detail", diagnostics);
    fields.finish(diagnostics);
    if index.is_some() && mark.is_some() {
        diagnostics.error(node.place, format!("{context} has both index and mark"));
    }
    Some(Items {
        list: list?,
        named_by: index.or(mark).unwrap_or(NamedBy::Order),
        conditions,
        detail,
    })
}

fn read_conditions(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<BodyCondition> {
    let name = fields.name_of("where");
    let Some(node) = fields.node("where") else {
        return Vec::new();
    };
    let Value::Map(entries) = &node.value else {
        diagnostics.error(
            node.place,
            format!("{name} must be a mapping, not {}", node.describe()),
        );
        return Vec::new();
    };
    let mut read_one = |entry: &Entry| {
        Some(BodyCondition {
            pointer: pointer(&entry.key, entry.key_place, diagnostics)?,
            value: json(&entry.value),
        })
    };
    entries.iter().filter_map(&mut read_one).collect()
}

fn json(node: &Node) -> Json {
    let mut text = String::new();
    node.write_json(&mut text);
    // What a node writes is JSON.
    serde_json::from_str(&text).unwrap_or_default()
}

pub(super) fn read_example(
    node: &Node,
    context: &str,
    diagnostics: &mut Diagnostics,
) -> Option<AnswerExample> {
    let mut fields = Fields::new(node, context, diagnostics);
    let about = required(&mut fields, "about", diagnostics);
    for key in ["answer", "means"] {
        if !fields.has(key) {
            fields.missing(key, diagnostics);
        }
    }
    let operation = fields.string("operation", diagnostics);
    let answer = fields.node("answer");
    let means = read_meanings(&mut fields, diagnostics);
    let wait = read_duration(&mut fields, "wait", diagnostics);
    let detail = fields.string("detail", diagnostics);
    fields.finish(diagnostics);
    let mut answer = Fields::new(answer?, &format!("{context}.answer"), diagnostics);
    if !answer.has("status") {
        answer.missing("status", diagnostics);
    }
    let statuses = read_statuses(&mut answer, diagnostics);
    let headers = read_headers(&mut answer, diagnostics);
    let body = answer.node("body").map(body_text).unwrap_or_default();
    answer.finish(diagnostics);
    Some(AnswerExample {
        about: about?,
        place: node.place,
        operation,
        status: *statuses.first()?,
        headers,
        body,
        means,
        wait,
        detail,
    })
}

/// A body written as a string is taken byte for byte; one written as YAML becomes JSON.
fn body_text(node: &Node) -> String {
    match node.as_scalar() {
        Some(scalar) => scalar.text.clone(),
        None => json(node).to_string(),
    }
}

fn read_headers(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<(String, String)> {
    let literal = |parameter: &Parameter| {
        let text = parameter.value.literal()?.to_owned();
        Some((parameter.name.clone(), text))
    };
    let headers = read_parameters(fields, "headers", diagnostics);
    headers.iter().filter_map(literal).collect()
}

fn read_meanings(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<Meaning> {
    let place = fields.place();
    let words = fields.strings("means", diagnostics).unwrap_or_default();
    let mut read_one = |word: String| {
        let found = Meaning::WORDS.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            diagnostics
                .error(place, format!("no meaning of an answer: {word}"))
                .suggest(&word, Meaning::WORDS.iter().map(|(known, _)| *known));
        }
        found.map(|(_, meaning)| *meaning)
    };
    words.into_iter().filter_map(&mut read_one).collect()
}
