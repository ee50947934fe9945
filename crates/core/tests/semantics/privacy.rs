//! P: what a destination is kept from. Each form of address and name has its row in `src/traits/privacy.rs`, and `tests/privacy.rs` looks
//! for a way past the rules in every built-in definition; these are about what leaves.

use groupcast_core::router::Router;
use groupcast_core::traits::TraitRules;

use crate::routing::{Setup, one, operation, record, told};

const SALT: &str = "pepper-pepper-pepper";
/// `printf %s ada@example.org | openssl dgst -sha256 -hmac pepper-pepper-pepper`
const ADA: &str = "c92e75c15475d9532121474ce3b1065a3b94dc51faf91f765b0b90aa86d4e948";

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn deny(denied: &[&str]) -> TraitRules {
    TraitRules {
        deny: names(denied),
        ..TraitRules::default()
    }
}

fn allow(allowed: &[&str]) -> TraitRules {
    TraitRules {
        allow: Some(names(allowed)),
        ..TraitRules::default()
    }
}

fn hash(hashed: &[&str]) -> TraitRules {
    TraitRules {
        hash: names(hashed),
        salt: SALT.to_owned(),
        ..TraitRules::default()
    }
}

/// Returns a router of one destination that has these rules.
fn router(body: &str, rules: TraitRules) -> Router {
    let mut setup = one(body);
    setup.change_last(|instance| instance.traits = rules);
    setup.router()
}

/// Checks what a group call of these traits comes to.
#[track_caller]
fn check(body: &str, rules: TraitRules, traits: &str, expected: &str) {
    let event = format!(r#"{{"type":"group","groupId":"g","traits":{traits}}}"#);
    assert_eq!(
        told(
            &router(body, rules.clone()),
            &record(Some(event.as_bytes()))
        ),
        expected,
        "{rules:?} {traits}"
    );
}

#[test]
fn p1_the_rules_come_before_the_definition() {
    let traits = r#"{"email":"e","name":"n"}"#;
    let denied = "~trait_denied:email";
    for (body, left) in [
        (
            r#"{ email: "${traits.email}", name: "${traits.name}" }"#,
            r#"{"name":"n"}"#,
        ),
        (r#"{ "*": "${traits.rest}" }"#, r#"{"name":"n"}"#),
        ("${traits}", r#"{"name":"n"}"#),
        (
            "${event}",
            r#"{"type":"group","groupId":"g","traits":{"name":"n"}}"#,
        ),
        (
            "${raw}",
            r#"{"type":"group","groupId":"g","traits":{"name":"n"}}"#,
        ),
    ] {
        check(body, deny(&["email"]), traits, &format!("{left} {denied}"));
    }
    let mut setup = Setup::new().with("private", &operation("${traits}"));
    setup.change_last(|instance| instance.traits = deny(&["email"]));
    let event = format!(r#"{{"type":"group","groupId":"g","traits":{traits}}}"#);
    let told = told(
        &setup.with("open", &operation("${traits}")).router(),
        &record(Some(event.as_bytes())),
    );
    assert_eq!(told, format!(r#"{{"name":"n"}} {traits} {denied}"#));
}

#[test]
fn p1_what_is_forwarded_is_written_anew_but_for_its_values() {
    let event = r#" { "type" : "group", "x": [ 1.0 ], "x":[ 1.50,2 ] , "groupId":"g","traits" :{ "email":1, "deep" : { "a" : 1 } } }"#;
    let left = r#"{"type":"group","x":[ 1.50,2 ],"groupId":"g","traits":{"deep":{ "a" : 1 }}} ~trait_denied:email"#;
    assert_eq!(
        told(
            &router("${raw}", deny(&["email"])),
            &record(Some(event.as_bytes()))
        ),
        left
    );
}

#[test]
fn p2_what_is_denied_is_as_if_the_event_did_not_carry_it() {
    let body = "{ email: \"${traits.email ?? 'none'}\", all: \"${traits}\" }".replace('\'', "\\\"");
    check(
        &body,
        deny(&["email"]),
        r#"{"email":null,"E-Mail":"e"}"#,
        r#"{"email":"none","all":{}} ~trait_collision:email ~trait_denied:email ~trait_denied:email"#,
    );
}

#[test]
fn p3_only_what_is_allowed_leaves_and_what_is_hashed() {
    let traits = r#"{"name":"n","email":"ada@example.org","x":1}"#;
    check(
        "${traits}",
        allow(&["name"]),
        traits,
        r#"{"name":"n"} ~trait_denied:email ~trait_denied:x"#,
    );
    check(
        "${traits}",
        allow(&[]),
        r#"{"name":"n"}"#,
        "{} ~trait_denied:name",
    );
    let both = TraitRules {
        allow: Some(names(&["name"])),
        ..hash(&["email"])
    };
    check(
        "${traits}",
        both,
        traits,
        &format!(r#"{{"name":"n","email":"{ADA}"}} ~trait_hashed:email ~trait_denied:x"#),
    );
}

#[test]
fn p4_a_hash_stands_in_for_each_scalar_and_null_stays() {
    let hashed = format!(r#"{{"email":"{ADA}"}} ~trait_hashed:email"#);
    check(
        "${traits}",
        hash(&["email"]),
        r#"{"email":"ada@\u0065xample.org"}"#,
        &hashed,
    );
    check(
        "${traits}",
        hash(&["email"]),
        r#"{"email":null}"#,
        r#"{"email":null} ~trait_hashed:email"#,
    );
    let deep = |ada: &str| format!(r#"{{"x":{{"a":["{ada}",null]}}}}"#);
    check(
        "${traits}",
        hash(&["x"]),
        &deep("ada@example.org"),
        &format!("{} ~trait_hashed:x", deep(ADA)),
    );
    // A hash is a string, which is no number.
    check(
        r#"{ n: "${traits.employees}", g: "${groupId}" }"#,
        hash(&["employees"]),
        r#"{"employees":5}"#,
        r#"{"g":"g"} ~trait_hashed:employees ~trait_type_mismatch:employees"#,
    );
}

#[test]
fn p4_the_record_limit_is_that_of_the_event_as_it_came() {
    let event = br#"{"type":"group","groupId":"g","traits":{"email":"ada@example.org"}}"#;
    let mut setup = one("${traits}").changed(|routing| routing.limits.record_bytes = event.len());
    setup.change_last(|instance| instance.traits = hash(&["email"]));
    assert_eq!(
        told(&setup.router(), &record(Some(event))),
        format!(r#"{{"email":"{ADA}"}} ~trait_hashed:email"#)
    );
}

#[test]
fn p5_a_name_means_every_spelling_alias_part_and_what_is_inside() {
    for (denied, traits, left) in [
        (
            "created_at",
            r#"{"Created":1,"x":2}"#,
            r#"{"x":2} ~trait_denied:createdAt"#,
        ),
        (
            "total billed",
            r#"{"totalBilled":{"deep":1},"x":2}"#,
            r#"{"x":2} ~trait_denied:totalBilled"#,
        ),
        (
            "address",
            r#"{"City":1,"address":{"x":2}}"#,
            "{} ~trait_denied:city ~trait_denied:address",
        ),
        (
            "zip",
            r#"{"address":{"Postcode":1,"city":2}}"#,
            r#"{"address":{"city":2}} ~trait_denied:postalCode"#,
        ),
        (
            "address.city",
            r#"{"city":1,"zip":2}"#,
            r#"{"address":{"postalCode":2}} ~trait_denied:city"#,
        ),
    ] {
        check("${traits}", deny(&[denied]), traits, left);
    }
}

#[test]
fn p6_an_address_in_one_line_is_left_out_where_a_rule_is_about_a_part() {
    let line = r#"{"address":"1 Way, C"}"#;
    for rules in [deny(&["city"]), hash(&["city"]), allow(&["city"])] {
        check("${traits}", rules.clone(), line, "{} ~trait_denied:address");
        check(
            "${traits}",
            rules,
            r#"{"address":null}"#,
            r#"{"address":null}"#,
        );
    }
    // An empty array is an address without parts (E5).
    check(
        "${traits}",
        deny(&["city"]),
        r#"{"address":[]}"#,
        r#"{"address":{}}"#,
    );
    check("${traits}", allow(&["address", "city"]), line, line);
    check("${traits}", deny(&["email"]), line, line);
}

#[test]
fn p7_deny_then_hash_then_allow() {
    let traits = r#"{"name":"ada@example.org"}"#;
    let all = TraitRules {
        allow: Some(names(&["name"])),
        deny: names(&["name"]),
        ..hash(&["name"])
    };
    check("${traits}", all, traits, "{} ~trait_denied:name");
    let both = TraitRules {
        allow: Some(names(&["name"])),
        ..hash(&["name"])
    };
    check(
        "${traits}",
        both,
        traits,
        &format!(r#"{{"name":"{ADA}"}} ~trait_hashed:name"#),
    );
    let parts = TraitRules {
        deny: names(&["zip"]),
        ..hash(&["address"])
    };
    check(
        "${traits}",
        parts,
        r#"{"address":{"city":"ada@example.org","zip":1}}"#,
        &format!(
            r#"{{"address":{{"city":"{ADA}"}}}} ~trait_hashed:address ~trait_hashed:city ~trait_denied:postalCode"#
        ),
    );
}

#[test]
fn p8_only_the_groups_traits_are_touched() {
    let event = r#"{"type":"group","groupId":"e","userId":"e","context":{"traits":{"email":"e"}},"integrations":{"d":{"email":"e"}},"traits":{}}"#;
    for rules in [deny(&["email", "userId", "groupId"]), allow(&[])] {
        assert_eq!(
            told(&router("${event}", rules), &record(Some(event.as_bytes()))),
            event
        );
    }
    let body = r#"{ e: "${context.ip}", "*": "${traits}" }"#;
    let event = r#"{"type":"group","groupId":"g","context":{"\ud800":1},"traits":{"email":"e"}}"#;
    let record = record(Some(event.as_bytes()));
    let seen = crate::routing::route(&router(body, deny(&["email"])), &record);
    assert_eq!(
        seen.emissions
            .iter()
            .map(|letter| letter.value)
            .collect::<Vec<_>>(),
        [record.value]
    );
}
