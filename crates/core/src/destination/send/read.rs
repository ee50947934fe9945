//! Reads the `send:` of a definition: its shape. Names in its texts are for `compile.rs` to look up.

mod answers;

use std::time::Duration;

use crate::diagnostic::{Diagnostics, Place};
use crate::yaml::{Entry, Fields, Node, Value};

use super::super::definition::{read_list, read_text};
use super::super::settings::SettingSpec;
use super::{
    AnswerRule, AuthSpec, Counted, Limit, NamedBy, Parameter, Rules, Scope, SendSpec, UrlSpec,
    Wait, WaitForm, WaitPlace,
};

pub(super) use self::answers::THEN;
use self::answers::{read_example, read_rule};

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
