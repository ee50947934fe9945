//! Reads the `send:` of a definition: its shape. Names in its texts are for `compile.rs` to look up.

use std::time::Duration;

use serde_json::Value as Json;

use crate::diagnostic::{Diagnostics, Place};
use crate::yaml::{Entry, Fields, Node, Value};

use super::super::definition::{read_list, read_text, required};
use super::super::settings::SettingSpec;
use super::{
    AnswerExample, AnswerRule, AuthSpec, BodyCondition, Counted, Items, Limit, Meaning, NamedBy,
    Parameter, Rules, Scope, SendSpec, UrlSpec, Wait, WaitForm, WaitPlace,
};

/// Reads `send:`. What is wrong in it is reported; what cannot be left out yields nothing.
pub(in super::super) fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<SendSpec> {
    let mut fields = Fields::new(node, "send", diagnostics);
    let settings = fields.node("settings");
    let spec = SendSpec {
        settings: settings
            .map(|node| SettingSpec::read_all(node, diagnostics))
            .unwrap_or_default(),
        notes: fields.string("notes", diagnostics).unwrap_or_default(),
        url: read_url(&mut fields, diagnostics)?,
        auth: read_auth(&mut fields, diagnostics)?,
        headers: read_parameters(&mut fields, "headers", diagnostics),
        query: read_parameters(&mut fields, "query", diagnostics),
        rules: Rules {
            mark: fields.string("mark", diagnostics),
            repeats: fields.boolean("repeats", diagnostics).unwrap_or(false),
            in_flight: read_count(&mut fields, "in_flight", diagnostics),
            limits: read_list(&mut fields, "limits", diagnostics, read_limit),
            waits: read_list(&mut fields, "wait", diagnostics, read_wait),
            answers: read_list(&mut fields, "answers", diagnostics, read_rule),
        },
        examples: read_list(&mut fields, "examples", diagnostics, read_example),
    };
    fields.finish(diagnostics);
    for rule in &spec.rules.answers {
        check_mark(rule, &spec.rules, diagnostics);
    }
    Some(spec)
}

fn check_mark(rule: &AnswerRule, rules: &Rules, diagnostics: &mut Diagnostics) {
    let items = rule.items.as_ref();
    let is_marked = items.is_some_and(|items| matches!(items.named_by, NamedBy::Mark(_)));
    if is_marked && rules.mark.is_none() {
        diagnostics
            .error(
                rule.place,
                "the answer names items by a mark that they do not get",
            )
            .hint("say under send.mark which field of an item holds it");
    }
}

fn read_url(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<UrlSpec> {
    let Some(node) = fields.node("url") else {
        fields.missing("url", diagnostics);
        return None;
    };
    let Value::Map(entries) = &node.value else {
        return Some(UrlSpec::One(read_text(node, diagnostics)?, node.place));
    };
    if entries.is_empty() {
        fields.missing("url", diagnostics);
    }
    let mut read_one = |entry: &Entry| {
        let url = read_text(&entry.value, diagnostics)?;
        Some((entry.key.clone(), url, entry.value.place))
    };
    Some(UrlSpec::ByRegion(
        entries.iter().filter_map(&mut read_one).collect(),
    ))
}

/// The ways to log in, by the key that definitions use.
pub(in super::super) const AUTH: [&str; 6] =
    ["header", "basic", "bearer", "query", "field", "oauth2"];

fn read_auth(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<AuthSpec> {
    let Some(node) = fields.node("auth") else {
        fields.missing("auth", diagnostics);
        return None;
    };
    if node.as_scalar().is_some_and(|scalar| scalar.text == "none") {
        return Some(AuthSpec::None);
    }
    let mut auth = Fields::new(node, "send.auth", diagnostics);
    let header = read_parameters(&mut auth, "header", diagnostics);
    let basic = auth.node("basic");
    let bearer = read_parameter(&mut auth, "bearer", diagnostics);
    let query = read_parameters(&mut auth, "query", diagnostics);
    let field = read_parameters(&mut auth, "field", diagnostics);
    let oauth2 = auth.node("oauth2");
    auth.finish(diagnostics);
    let mut found = Vec::new();
    found.extend((!header.is_empty()).then_some(AuthSpec::Header(header)));
    found.extend(basic.and_then(|node| read_basic(node, diagnostics)));
    found.extend(bearer.map(AuthSpec::Bearer));
    found.extend((!query.is_empty()).then_some(AuthSpec::Query(query)));
    found.extend((!field.is_empty()).then_some(AuthSpec::Field(field)));
    found.extend(oauth2.and_then(|node| read_oauth2(node, diagnostics)));
    if found.len() != 1 {
        let ways = AUTH.join(", ");
        diagnostics.error(
            node.place,
            format!("send.auth must be none or have exactly one of {ways}"),
        );
    }
    found.pop()
}

fn read_basic(node: &Node, diagnostics: &mut Diagnostics) -> Option<AuthSpec> {
    let mut fields = Fields::new(node, "send.auth.basic", diagnostics);
    for key in ["user", "password"] {
        if !fields.has(key) {
            fields.missing(key, diagnostics);
        }
    }
    let user = read_parameter(&mut fields, "user", diagnostics);
    let password = read_parameter(&mut fields, "password", diagnostics);
    fields.finish(diagnostics);
    Some(AuthSpec::Basic(user?, password?))
}

fn read_oauth2(node: &Node, diagnostics: &mut Diagnostics) -> Option<AuthSpec> {
    let mut fields = Fields::new(node, "send.auth.oauth2", diagnostics);
    if !fields.has("token") {
        fields.missing("token", diagnostics);
    }
    let token = read_parameter(&mut fields, "token", diagnostics);
    let scope = read_parameter(&mut fields, "scope", diagnostics);
    let base = fields.string("base", diagnostics);
    fields.finish(diagnostics);
    Some(AuthSpec::OAuth2 {
        token: token?,
        scope,
        base,
    })
}

fn read_parameter(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<Parameter> {
    let entry = fields.entry(key)?;
    parameter(entry, diagnostics)
}

fn read_parameters(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Vec<Parameter> {
    let name = fields.name_of(key);
    match fields.node(key).map(|node| (&node.value, node)) {
        None => Vec::new(),
        Some((Value::Map(entries), _)) => entries
            .iter()
            .filter_map(|entry| parameter(entry, diagnostics))
            .collect(),
        Some((Value::Scalar(_) | Value::List(_), node)) => {
            diagnostics.error(
                node.place,
                format!("{name} must be a mapping, not {}", node.describe()),
            );
            Vec::new()
        }
    }
}

fn parameter(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Parameter> {
    Some(Parameter {
        name: entry.key.clone(),
        value: read_text(&entry.value, diagnostics)?,
        place: entry.value.place,
    })
}

fn read_count(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<u64> {
    let count = fields.integer(key, diagnostics)?;
    if count == 0 {
        let name = fields.name_of(key);
        diagnostics.error(fields.place(), format!("{name} must be 1 or more"));
    }
    Some(count.max(1))
}

fn read_limit(node: &Node, context: &str, diagnostics: &mut Diagnostics) -> Option<Limit> {
    let mut fields = Fields::new(node, context, diagnostics);
    let counts = Counted::WORDS
        .iter()
        .filter_map(|(word, counted)| Some((read_count(&mut fields, word, diagnostics)?, *counted)))
        .collect::<Vec<_>>();
    if !fields.has("per") {
        fields.missing("per", diagnostics);
    }
    let per = read_duration(&mut fields, "per", diagnostics);
    let of = fields.choice("of", Scope::WORDS, diagnostics);
    fields.finish(diagnostics);
    let [(most, counted)] = *counts.as_slice() else {
        diagnostics.error(
            node.place,
            format!("{context} must have one of requests, items, refused"),
        );
        return None;
    };
    Some(Limit {
        counted,
        most,
        per: per?,
        of: of.unwrap_or_default(),
    })
}

fn read_wait(node: &Node, context: &str, diagnostics: &mut Diagnostics) -> Option<Wait> {
    let mut fields = Fields::new(node, context, diagnostics);
    let header = fields.string("header", diagnostics).map(WaitPlace::Header);
    let body = read_pointer(&mut fields, "body", diagnostics).map(WaitPlace::Body);
    if !fields.has("as") {
        fields.missing("as", diagnostics);
    }
    let form = fields.choice("as", WaitForm::WORDS, diagnostics);
    fields.finish(diagnostics);
    if header.is_some() == body.is_some() {
        diagnostics.error(
            node.place,
            format!("{context} must have one of header, body"),
        );
    }
    Some(Wait {
        place: header.or(body)?,
        form: form?,
    })
}

fn read_rule(node: &Node, context: &str, diagnostics: &mut Diagnostics) -> Option<AnswerRule> {
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

fn read_pointer(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let place = fields.place();
    let text = fields.string(key, diagnostics)?;
    pointer(&text, place, diagnostics)
}

fn pointer(text: &str, place: Place, diagnostics: &mut Diagnostics) -> Option<String> {
    if !text.is_empty() && !text.starts_with('/') {
        diagnostics
            .error(place, format!("not a JSON pointer: {text}"))
            .hint("it begins with /, as in /errors/0/message; the whole is \"\"");
        return None;
    }
    Some(text.to_owned())
}

fn read_duration(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<Duration> {
    let name = fields.name_of(key);
    let text = fields.string(key, diagnostics)?;
    let found = duration(&text);
    if found.is_none() {
        diagnostics
            .error(fields.place(), format!("{name} is not a time: {text}"))
            .hint("write a whole number and ms, s, m, h or d, such as 10s");
    }
    found
}

/// Returns a time such as `10s`, above nothing and up to a year.
fn duration(text: &str) -> Option<Duration> {
    const YEAR: u64 = 366 * 24 * 60 * 60 * 1000;
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let milliseconds = number.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    let is_usable = (1..=YEAR).contains(&milliseconds);
    is_usable.then_some(Duration::from_millis(milliseconds))
}

fn read_example(
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
