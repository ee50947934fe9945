//! What an answer means for each item of its request.
//!
//! The definition's rules come first, then the status. A refusal can stand in a success, and a success says which items
//! it is about only where the vendor does; a list that names an item which was not sent is not believed for any.

use std::time::Duration;

use serde_json::Value;

use crate::destination::send::{AnswerRule, BodyCondition, Items, Meaning, NamedBy, Rules, Scope};

use super::wait;

/// What a vendor answered.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The headers, in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, as far as it was read.
    pub body: &'a [u8],
    /// When it came, by our clock's time of day; for dates without the vendor's.
    pub received_unix_ms: i64,
}

impl<'a> Answer<'a> {
    /// Returns the first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// For each item of the request.
    pub items: Vec<ItemReading>,
    /// Whether the answer tells the items apart. If not, what it says of one it says of all.
    pub is_by_item: bool,
    /// How long it says to wait, and where that is more than a retry.
    pub wait: Option<Duration>,
    /// What the wait is for.
    pub of: Scope,
    /// How long an item that is for later is tried, and what becomes of it then.
    pub later: Later,
}

/// What an answer means for one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemReading {
    /// What it means.
    pub means: Meaning,
    /// The vendor's words for it. They may repeat values of the item.
    pub detail: Option<String>,
}

/// How long an item that is for later is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later {
    /// As long as this.
    pub patience: Duration,
    /// What becomes of it then: taken or refused.
    pub then: Meaning,
}

impl Default for Later {
    fn default() -> Later {
        Later {
            patience: AnswerRule::PATIENCE,
            then: Meaning::Refused,
        }
    }
}

/// Reads the answer to a request of `n_items` items of an operation.
#[must_use]
pub fn read(rules: &Rules, operation: &str, n_items: usize, answer: &Answer<'_>) -> Reading {
    let body: Value = serde_json::from_slice(answer.body).unwrap_or_default();
    let mut applicable = rules
        .answers
        .iter()
        .filter(|rule| applies(rule, operation, answer.status, &body));
    let mut reading = match applicable.next() {
        Some(rule) => by_rule(rule, n_items, &body),
        None => whole(by_status(answer.status), None, n_items),
    };
    // A failure that says how long it lasts is a request to wait: 503 with Retry-After, above all. What else tells times
    // may do so in every answer, and means it for the next throttle.
    let retry_after = wait::retry_after(answer);
    for item in &mut reading.items {
        if item.means == Meaning::Retry && retry_after.is_some() && !reading.is_by_item {
            item.means = Meaning::Throttled;
        }
    }
    let mut items = reading.items.iter();
    if items.any(|item| item.means == Meaning::Throttled) {
        reading.wait = wait::told(&rules.waits, answer, &body);
    }
    reading
}

/// Returns what a status means where the definition does not say.
#[must_use]
pub fn by_status(status: u16) -> Meaning {
    match status {
        200..=299 => Meaning::Taken,
        401 | 403 | 407 => Meaning::Credentials,
        413 => Meaning::TooLarge,
        429 => Meaning::Throttled,
        // 501 and 505 do not pass. All other failures of a server may, as may a timeout, a lock and a replay too early.
        408 | 423 | 425 | 500 | 502..=504 | 506..=599 => Meaning::Retry,
        // A redirect is not a delivery, and is not followed.
        _ => Meaning::Refused,
    }
}

fn applies(rule: &AnswerRule, operation: &str, status: u16, body: &Value) -> bool {
    let has_list = |items: &Items| body.pointer(&items.list).is_some_and(Value::is_array);
    (rule.statuses.is_empty() || rule.statuses.contains(&status))
        && (rule.operations.is_empty() || rule.operations.iter().any(|id| id == operation))
        && rule
            .conditions
            .iter()
            .all(|condition| holds(condition, body))
        && rule.items.as_ref().is_none_or(has_list)
}

fn by_rule(rule: &AnswerRule, n_items: usize, body: &Value) -> Reading {
    let detail = rule.detail.as_ref().and_then(|at| words(body, at));
    let mut reading = match &rule.items {
        None => whole(rule.means, detail, n_items),
        Some(items) => match named(items, n_items, body) {
            Some(named) => by_item(rule, named),
            // It names what was not sent: nobody knows whom it means.
            None => whole(rule.means, detail, n_items),
        },
    };
    reading.of = rule.of;
    reading.later = Later {
        patience: rule.patience,
        then: rule.then,
    };
    reading
}

fn whole(means: Meaning, detail: Option<String>, n_items: usize) -> Reading {
    Reading {
        items: vec![ItemReading { means, detail }; n_items],
        is_by_item: false,
        wait: None,
        of: Scope::default(),
        later: Later::default(),
    }
}

fn by_item(rule: &AnswerRule, named: Vec<Option<Named>>) -> Reading {
    let item = |named: Option<Named>| match named {
        Some(named) => ItemReading {
            means: rule.means,
            detail: named.detail,
        },
        None => ItemReading {
            means: rule.others,
            detail: None,
        },
    };
    Reading {
        is_by_item: true,
        items: named.into_iter().map(item).collect(),
        ..whole(rule.means, None, 0)
    }
}

#[derive(Clone)]
struct Named {
    detail: Option<String>,
}

/// Returns for each item whether the list names it. `None` if it names one that was not sent.
fn named(items: &Items, n_items: usize, body: &Value) -> Option<Vec<Option<Named>>> {
    let mut named = vec![None; n_items];
    for (order, entry) in body.pointer(&items.list)?.as_array()?.iter().enumerate() {
        if !items
            .conditions
            .iter()
            .all(|condition| holds(condition, entry))
        {
            continue;
        }
        let index = match &items.named_by {
            NamedBy::Order => order,
            NamedBy::Index(at) | NamedBy::Mark(at) => index_of(entry.pointer(at)?)?,
        };
        let detail = items.detail.as_ref().and_then(|at| words(entry, at));
        *named.get_mut(index)? = Some(Named { detail });
    }
    Some(named)
}

/// A mark is the item's place as text, so that both are read alike.
fn index_of(value: &Value) -> Option<usize> {
    match value {
        Value::Number(number) => usize::try_from(number.as_u64()?).ok(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn words(body: &Value, pointer: &str) -> Option<String> {
    let found = body.pointer(pointer)?;
    match found {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(found.to_string())
        }
    }
}

fn holds(condition: &BodyCondition, body: &Value) -> bool {
    let Some(found) = body.pointer(&condition.pointer) else {
        return false;
    };
    match (&condition.value, found) {
        (Value::String(pattern), Value::String(text)) => is_like(pattern, text),
        (wanted, found) => wanted == found,
    }
}

/// Returns whether the text is like the pattern, in which `*` stands for anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, pattern)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = pattern.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Reads an answer to three items by the rules of a definition.
    fn read_by(rules: &str, status: u16, headers: &[(&str, &str)], body: Value) -> Reading {
        let text = format!(
            "name: A\nabout: A.\nmembership: none\nnulls: drop\noperations:\n  - {{ id: a, request: POST /, body: {{ a: 1 }} }}\n  \
             - {{ id: b, request: POST /b, body: {{ a: 1 }} }}\nsend:\n  url: https://a.example\n  auth: none\n{rules}"
        );
        let definition = crate::destination::Definition::parse("x", "x.yaml", &text)
            .unwrap_or_else(|faults| {
                panic!("{faults:?}\n{text}");
            });
        let body = body.to_string();
        let answer = Answer {
            status,
            headers,
            body: body.as_bytes(),
            received_unix_ms: 0,
        };
        read(&definition.send.as_ref().unwrap().rules, "a", 3, &answer)
    }

    fn means(reading: &Reading) -> Vec<&'static str> {
        reading.items.iter().map(|item| item.means.word()).collect()
    }

    #[test]
    fn a_status_has_a_meaning_of_its_own() {
        let rows = [
            (Meaning::Taken, vec![200, 201, 202, 204, 207]),
            (Meaning::Credentials, vec![401, 403, 407]),
            (Meaning::TooLarge, vec![413]),
            (Meaning::Throttled, vec![429]),
            (
                Meaning::Retry,
                vec![408, 423, 425, 500, 502, 503, 504, 507, 520, 599],
            ),
            (
                Meaning::Refused,
                vec![
                    100, 300, 301, 302, 304, 307, 400, 404, 405, 409, 410, 422, 451, 501, 505,
                ],
            ),
        ];
        for (meaning, statuses) in rows {
            for status in statuses {
                assert_eq!(by_status(status), meaning, "{status}");
            }
        }
    }

    const BY_INDEX: &str = "  answers:\n    - { status: 207, items: { in: /errors, index: /index, detail: /message }, means: refused }\n";

    #[test]
    fn a_list_names_items_by_index() {
        let body = json!({"errors": [{"index": 1, "message": "Bad date"}]});
        let reading = read_by(BY_INDEX, 207, &[], body);
        assert_eq!(means(&reading), ["taken", "refused", "taken"]);
        assert!(reading.is_by_item);
        assert_eq!(reading.items[1].detail.as_deref(), Some("Bad date"));
    }

    #[test]
    fn an_empty_list_names_nobody() {
        let reading = read_by(BY_INDEX, 207, &[], json!({"errors": []}));
        assert_eq!(means(&reading), ["taken"; 3]);
    }

    /// Else an item is taken for sent that the vendor refused.
    #[test]
    fn a_list_that_names_what_was_not_sent_is_not_believed() {
        for entry in [
            json!({"index": 3}),
            json!({"index": -1}),
            json!({}),
            json!(1),
        ] {
            let body = json!({"errors": [{"index": 0}, entry]});
            let reading = read_by(BY_INDEX, 207, &[], body);
            assert_eq!(means(&reading), ["refused"; 3]);
            assert!(!reading.is_by_item);
        }
    }

    #[test]
    fn a_list_names_items_by_mark() {
        let rules = "  mark: trace\n  answers:\n    - { status: 207, items: { in: /errors, mark: /context/trace/0 }, means: refused }\n";
        let body = json!({"errors": [{"context": {"trace": ["2"]}}]});
        let reading = read_by(rules, 207, &[], body);
        assert_eq!(means(&reading), ["taken", "taken", "refused"]);
    }

    #[test]
    fn a_list_names_items_by_their_order() {
        let rules = "  answers:\n    - { status: 200, items: { in: /results, where: { /success: false } }, means: refused }\n";
        let body = json!({"results": [{"success": true}, {"success": false}, {"success": true}]});
        assert_eq!(
            means(&read_by(rules, 200, &[], body)),
            ["taken", "refused", "taken"]
        );
    }

    #[test]
    fn a_body_can_refuse_in_a_success() {
        let rules = "  answers:\n    - { status: 200, where: { /status: 0 }, means: refused, detail: /error }\n";
        let refused = read_by(rules, 200, &[], json!({"status": 0, "error": "bad token"}));
        assert_eq!(means(&refused), ["refused"; 3]);
        assert_eq!(refused.items[0].detail.as_deref(), Some("bad token"));
        assert_eq!(
            means(&read_by(rules, 200, &[], json!({"status": 1}))),
            ["taken"; 3]
        );
        assert_eq!(means(&read_by(rules, 200, &[], json!("1"))), ["taken"; 3]);
    }

    #[test]
    fn an_empty_result_can_mean_that_nothing_was_done() {
        let rules = "  answers:\n    - { status: 200, where: { /results: [], /errors: [] }, means: refused }\n";
        let nothing = json!({"results": [], "errors": []});
        assert_eq!(means(&read_by(rules, 200, &[], nothing)), ["refused"; 3]);
        let something = json!({"results": [{}], "errors": []});
        assert_eq!(means(&read_by(rules, 200, &[], something)), ["taken"; 3]);
    }

    #[test]
    fn a_rule_can_be_for_one_operation() {
        let rules = "  answers:\n    - { status: 400, operations: [b], means: taken }\n    - { status: 400, operations: [a], means: later, patience: 1m, then: taken }\n";
        let reading = read_by(rules, 400, &[], json!({}));
        assert_eq!(means(&reading), ["later"; 3]);
        let later = Later {
            patience: Duration::from_mins(1),
            then: Meaning::Taken,
        };
        assert_eq!(reading.later, later);
    }

    #[test]
    fn a_failure_that_says_how_long_it_lasts_is_a_wait() {
        let reading = read_by("", 503, &[("Retry-After", "7")], json!({}));
        assert_eq!(means(&reading), ["throttled"; 3]);
        assert_eq!(reading.wait, Some(Duration::from_secs(7)));
        assert_eq!(means(&read_by("", 503, &[], json!({}))), ["retry"; 3]);
    }

    /// Some vendors say in every answer when their window ends.
    #[test]
    fn what_only_a_throttle_means_is_no_wait_of_a_failure() {
        let rules = "  wait: [{ header: X-Reset, as: seconds }]\n";
        let headers = [("X-Reset", "9")];
        for (status, meaning, wait) in [
            (500, "retry", None),
            (200, "taken", None),
            (429, "throttled", Some(9)),
        ] {
            let reading = read_by(rules, status, &headers, json!({}));
            assert_eq!(means(&reading), [meaning; 3]);
            assert_eq!(reading.wait, wait.map(Duration::from_secs), "{status}");
        }
    }

    #[test]
    fn a_throttle_can_be_of_one_key() {
        let rules = "  answers:\n    - { status: 429, means: throttled, of: key }\n";
        assert_eq!(read_by(rules, 429, &[], json!({})).of, Scope::Key);
        assert_eq!(read_by("", 429, &[], json!({})).of, Scope::Destination);
    }

    #[test]
    fn a_pattern_has_stars() {
        let rows = [
            ("a", "a", true),
            ("a", "ab", false),
            ("*duplicate*", "is a duplicate.", true),
            ("*duplicate*", "duplicate", true),
            ("*duplicate*", "single", false),
            ("UNABLE_*", "UNABLE_TO_LOCK_ROW", true),
            ("UNABLE_*", "NOT_UNABLE_TO", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
