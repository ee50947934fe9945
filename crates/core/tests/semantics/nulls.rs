//! N: null and absent.

use crate::routing::{Setup, record, told};

/// Checks what the definition makes of the traits.
#[track_caller]
fn check(definition: &str, traits: &str, expected: &str) {
    let event = format!(r#"{{"type":"group","groupId":"g","traits":{traits}}}"#);
    let router = Setup::new().with("d", definition).router();
    assert_eq!(
        told(&router, &record(Some(event.as_bytes()))),
        expected,
        "{definition}\n{traits}"
    );
}

/// Returns a definition of that policy which sets properties of every kind and lists what is cleared.
fn properties(policy: &str) -> String {
    format!(
        "nulls: {policy}
properties:
  name: ${{traits.name}}
  text: ${{traits.plan}}!
  nest: {{ inner: \"${{traits.industry}}\" }}
  \"*\": ${{traits.rest | prefix c_}}
operations:
  - id: set
    request: POST /
    body: {{ set: \"${{properties}}\", unset: \"${{cleared}}\" }}
"
    )
}

const NULLS: &str =
    r#"{"name":null,"plan":null,"industry":null,"custom":null,"deep":{"x":null},"kept":1}"#;

#[test]
fn n1_absent_stays_absent() {
    for policy in ["keep", "empty", "unset", "drop"] {
        check(&properties(policy), "{}", r#"{"set":{},"unset":[]}"#);
        check(
            &properties(policy),
            r#"{"kept":1}"#,
            r#"{"set":{"c_kept":1},"unset":[]}"#,
        );
    }
}

#[test]
fn n2_keep_writes_null_in_place() {
    let expected = r#"{"set":{"name":null,"nest":{"inner":null},"c_custom":null,"c_deep":{"x":null},"c_kept":1},"unset":["name","c_custom"]}"#;
    check(&properties("keep"), NULLS, expected);
}

#[test]
fn n2_empty_writes_an_empty_string() {
    let expected = r#"{"set":{"name":"","nest":{"inner":""},"c_custom":"","c_deep":{"x":null},"c_kept":1},"unset":["name","c_custom"]}"#;
    check(&properties("empty"), NULLS, expected);
}

#[test]
fn n2_unset_leaves_it_to_the_list_and_counts_nothing() {
    check(
        &properties("unset"),
        NULLS,
        r#"{"set":{"c_deep":{"x":null},"c_kept":1},"unset":["name","c_custom"]}"#,
    );
}

#[test]
fn n3_drop_leaves_it_out_and_counts_it() {
    let notes = ["industry", "name", "c_custom"]
        .map(|subject| format!("~null_not_expressible:{subject}"))
        .join(" ");
    let expected = format!(
        r#"{{"set":{{"c_deep":{{"x":null}},"c_kept":1}},"unset":["name","c_custom"]}} {notes}"#
    );
    check(&properties("drop"), NULLS, &expected);
}

/// Returns a definition of policy `drop` with a field, a spread and a property of the policy `policy`.
fn overridden(policy: &str) -> String {
    format!(
        "nulls: drop
properties:
  name: ${{traits.name | nulls {policy}}}
  \"*\": ${{traits.rest | only custom | nulls {policy}}}
operations:
  - id: set
    request: POST /
    body:
      field: ${{traits.plan | nulls {policy}}}
      \"*\": ${{traits.rest | only other | nulls {policy}}}
      set: ${{properties}}
      unset: ${{cleared}}
"
    )
}

#[test]
fn n2_a_field_or_spread_can_have_its_own_policy() {
    let traits = r#"{"name":null,"plan":null,"custom":null,"other":null}"#;
    let written = |null: &str| {
        format!(
            r#"{{"field":{null},"other":{null},"set":{{"name":{null},"custom":{null}}},"unset":[]}}"#
        )
    };
    let unset = r#"{"set":{},"unset":["name","custom"]}"#;
    let noted = ["plan", "other", "name", "custom"]
        .map(|subject| format!("~null_not_expressible:{subject}"))
        .join(" ");
    let dropped = format!(r#"{{"set":{{}},"unset":[]}} {noted}"#);
    for definition in ["drop", "unset", "keep", "empty"] {
        let check = |policy: &str, expected: &str| {
            check(
                &overridden(policy).replace("nulls: drop", &format!("nulls: {definition}")),
                traits,
                expected,
            );
        };
        check("keep", &written("null"));
        check("empty", &written(r#""""#));
        check("unset", unset);
        check("drop", &dropped);
    }
}

#[test]
fn n2_the_built_in_definitions_clear_as_their_vendors_do() {
    let event = br#"{"type":"group","groupId":"g","traits":{"name":null,"phone":null}}"#;
    for (id, settings, expected) in [
        (
            "mixpanel",
            "token: T",
            r#"{"$token":"T","$group_key":"$group_id","$group_id":"g","$unset":["$name","$phone"]}"#,
        ),
        (
            "salesforce",
            "{}",
            r#"{"Phone":null} ~null_not_expressible:name"#,
        ),
        (
            "hubspot",
            "{}",
            r#"{"idProperty":"group_id","id":"g","properties":{"group_id":"g","name":"","phone":""}}"#,
        ),
        (
            "intercom",
            "{}",
            r#"{"company_id":"g"} ~null_not_expressible:name ~unlisted_trait:phone"#,
        ),
    ] {
        let mut setup = Setup::new().built_in(id, settings);
        setup.change_last(|instance| instance.enabled_by_default = Some(true));
        assert_eq!(
            told(&setup.router(), &record(Some(event))),
            expected,
            "{id}"
        );
    }
}

#[test]
fn n4_a_null_passes_every_filter() {
    for filter in [
        "iso8601",
        "unix_seconds",
        "unix_ms",
        "date",
        "string",
        "integer",
        "number",
        "boolean",
        "lower",
        "upper",
        "trim",
        "truncate 1",
        "at_most 1",
        "between 1 2",
        "filled",
        "like 1",
        "unix_us",
        "unix_decimal",
        "domain",
        "json",
        "join x",
        "list",
        "only a",
        "except a",
        "rename a=b",
        "prefix a",
        "suffix a",
        "case snake",
        "flatten a",
        "scalars",
        "lists_of texts",
        "convert a=number",
        "dates date",
        "texts 1",
        "strings",
        "lists x",
        "unwrap a",
        "except_prefix a",
        "numbers 1 2",
        "integers 1 2",
        "names 1",
        "first 1",
        "nulls keep",
    ] {
        let body = format!(
            "operations:\n  - {{ id: op, request: POST /, body: {{ v: \"${{traits.custom | {filter}}}\" }} }}\n"
        );
        check(&body, r#"{"custom":null}"#, r#"{"v":null}"#);
        check(&body, "{}", "{}");
    }
}

#[test]
fn n4_all_reserved_traits_may_be_null() {
    let names = [
        "address",
        "avatar",
        "createdAt",
        "description",
        "email",
        "employees",
        "id",
        "industry",
        "name",
        "phone",
        "website",
        "plan",
    ];
    let traits: Vec<String> = names
        .iter()
        .map(|name| format!(r#""{name}":null"#))
        .collect();
    let event = format!(
        r#"{{"type":"group","groupId":"g","integrations":{{"Salesforce":true}},"traits":{{{}}}}}"#,
        traits.join(",")
    );
    for id in [
        "mixpanel",
        "salesforce",
        "hubspot",
        "customerio",
        "intercom",
        "webhook",
    ] {
        let router = Setup::new()
            .built_in(id, if id == "mixpanel" { "token: T" } else { "{}" })
            .router();
        let told = told(&router, &record(Some(event.as_bytes())));
        assert!(
            told.starts_with('{') && !told.contains("mismatch"),
            "{id}: {told}"
        );
    }
}
