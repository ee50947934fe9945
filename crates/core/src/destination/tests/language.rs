//! Names, alternatives, text, maps, conditions: everything around the filters.

use super::{check, check_body, of_body, told};

#[test]
fn every_name_has_its_value() {
    let text = "settings: { s: { type: string, default: S } }
properties: { p: \"${traits.name}\", q: \"${traits.plan}\" }
"
    .to_owned()
        + &of_body(
            r#"
      groupId: ${groupId}
      userId: ${userId}
      anonymousId: ${anonymousId}
      member: ${member}
      messageId: ${messageId}
      timestamp: ${timestamp}
      name: ${traits.name}
      city: ${traits.address.city}
      dotted: ${traits["a.b"]}
      spaced: ${traits["Total Billed"]}
      traits: ${traits}
      rest: ${traits.rest}
      properties: ${properties}
      cleared: ${cleared}
      ip: ${context["app x"].ip}
      option: ${options.o.p}
      options: ${options}
      setting: ${settings.s}"#,
        );
    let members = r#""userId":"u","anonymousId":"a","messageId":"m\u0031","timestamp":"2020-01-01","context":{"app x":{"ip":[1 ]}},"integrations":{"Test":{"o":{"p":1}}},"traits":{"name":"n","plan":null,"City":"c","a.b":1,"total_billed":2,"x":3}"#;
    let expected = r#"{"groupId":"g","userId":"u","anonymousId":"a","member":"u","messageId":"m\u0031","timestamp":"2020-01-01","name":"n","city":"c","dotted":1,"spaced":2,"traits":{"name":"n","plan":null,"address":{"city":"c"},"a.b":1,"total_billed":2,"x":3},"rest":{"plan":null,"x":3},"properties":{"p":"n","q":null},"cleared":["q"],"ip":[1 ],"option":1,"options":{"o":{"p":1}},"setting":"S"}"#;
    check(&text, members, expected);
    // Absent ones leave their fields out; maps that an expression yields are kept even if empty.
    check(
        &text,
        "",
        r#"{"groupId":"g","traits":{},"rest":{},"properties":{},"cleared":[],"setting":"S"}"#,
    );
}

#[test]
fn the_whole_event_and_its_bytes() {
    let members = r#""x": {"b" :1},"traits" : {"Created":null,"zip":"z"}"#;
    check(
        &of_body("${event}"),
        members,
        r#"{"type":"group","groupId":"g","x":{"b" :1},"traits":{"createdAt":null,"address":{"postalCode":"z"}}}"#,
    );
    check(
        &of_body("${raw}"),
        members,
        &format!(r#"{{"type":"group","groupId":"g",{members}}}"#),
    );
    check(
        &of_body("${event}"),
        r#""traits":null"#,
        r#"{"type":"group","groupId":"g","traits":{}}"#,
    );
    // What its nulls mean is the receiver's to say, unless the definition says so here.
    let text = "nulls: drop\n".to_owned() + &of_body("${event | except type}");
    check(&text, r#""x":null"#, r#"{"groupId":"g","x":null}"#);
    let text = "nulls: keep\n".to_owned() + &of_body("${event | except type | nulls unset}");
    check(&text, r#""x":null"#, r#"{"groupId":"g"}"#);
}

#[test]
fn alternatives_are_tried_in_order() {
    let check_first = |alternatives: &str, traits: &str, expected: &str| {
        check_body(
            &format!("\n      v: ${{{alternatives}}}"),
            traits,
            &expected.replace("V", r#""v""#),
        );
    };
    check_first(
        "traits.a ?? traits.b ?? \"c\"",
        r#"{"a":1,"b":2}"#,
        "{V:1} ~trait_collision:b",
    );
    check_first(
        "traits.a ?? traits.b ?? \"c\"",
        r#"{"a":null,"b":2}"#,
        "{V:2}",
    );
    check_first(
        "traits.a ?? traits.b ?? \"c\"",
        r#"{"b":null}"#,
        r#"{V:"c"}"#,
    );
    check_first("traits.a ?? traits.b", r#"{"a":null}"#, "{V:null}");
    check_first("traits.a ?? traits.b", r#"{"a":" ","b":2}"#, "{V:2}");
    // What the first filter cannot take is none either.
    check_first(
        "traits.a ?? traits.b | integer",
        r#"{"a":"x","b":2}"#,
        "{V:2} ~trait_type_mismatch:a",
    );
    check_first(
        "traits.a ?? \"c\" | string",
        r#"{"a":[]}"#,
        r#"{V:"c"} ~trait_type_mismatch:a"#,
    );
    check_first("traits.a ?? traits.b", r#"{"a":"","b":false}"#, "{V:false}");
    check_first("traits.a ?? traits.b", r#"{"a":"","b":null}"#, r#"{V:""}"#);
    check_first(
        "traits.a ?? traits.b",
        r#"{"a":null,"b":" "}"#,
        r#"{V:" "}"#,
    );
    check_first("traits.a ?? traits.b", r#"{"b":null}"#, "{V:null}");
    check_first("traits.a ?? traits.b", "{}", "{}");
    check_first("traits.a ?? false", "{}", "{V:false}");
    check_first("traits.a ?? -1.50", "{}", "{V:-1.50}");
    check_first("traits.a ?? \"\"", "{}", r#"{V:""}"#);
    check_first("traits.a ?? \"q\\\"\\u00e9\"", "{}", r#"{V:"q\"é"}"#);
    // One that does not fit its type is passed over.
    check_first(
        "traits.employees ?? traits.b",
        r#"{"employees":"many","b":2}"#,
        "{V:2} ~trait_type_mismatch:employees",
    );
    // Filters hold for whichever it was.
    check_first("traits.a ?? traits.b | upper", r#"{"b":"x"}"#, r#"{V:"X"}"#);
    // One that a filter does not take is passed over, too.
    check_first(
        "traits.a ?? traits.b ?? \"c\" | at_most 3",
        r#"{"a":{"x":1},"b":"long"}"#,
        r#"{V:"c"} ~trait_type_mismatch:a ~trait_type_mismatch:a"#,
    );
    check_first(
        "traits.a ?? traits.b | integer",
        r#"{"a":"x","b":null}"#,
        "{V:null} ~trait_type_mismatch:a",
    );
}

#[test]
fn text_is_put_together_of_its_parts() {
    let check_text = |text: &str, traits: &str, expected: &str| {
        check_body(&format!("\n      v: '{text}'"), traits, expected)
    };
    check_text(
        "a ${groupId}-${traits.n}!",
        r#"{"n":1.0}"#,
        r#"{"v":"a g-1.0!"}"#,
    );
    check_text(
        "${traits.a}${traits.b}",
        r#"{"a":"\u00e9\"","b":true}"#,
        r#"{"v":"é\"true"}"#,
    );
    check_text("a ${traits.n}", "{}", "{}");
    check_text("a ${traits.n}", r#"{"n":null}"#, "{}");
    check_text("a ${traits.n}", r#"{"n":[]}"#, "{} ~trait_type_mismatch:n");
    check_text(
        "a ${traits.n}",
        r#"{"n":"\ud800"}"#,
        "{} ~trait_type_mismatch:n",
    );
    check_text(
        "a ${traits.createdAt} ${traits.createdAt | date}",
        r#"{"created":1424649600}"#,
        r#"{"v":"a 1424649600 2015-02-23"}"#,
    );
    check_text("$${groupId} $5 $", "{}", r#"{"v":"${groupId} $5 $"}"#);
    check_text(
        "${traits.n} ${traits | json}",
        r#"{"n":1}"#,
        r#"{"v":"1 {\"n\":1}"}"#,
    );
}

#[test]
fn a_time_without_source_text_is_iso_8601() {
    let router_timestamp = of_body("{ t: \"${timestamp}\" }");
    check(
        &router_timestamp,
        r#""timestamp":1424649600.5"#,
        r#"{"t":1424649600.5}"#,
    );
}

#[test]
fn keys_may_be_computed() {
    let text = "settings: { k: { type: string, default: key } }\n".to_owned()
        + &of_body(
            r#"{ "${settings.k}": 1, "a.${settings.k}.b": 2, "${traits.name}": 3, "x ${traits.plan}": 4 }"#,
        );
    check(
        &text,
        r#""traits":{"name":"n\"","plan":5}"#,
        r#"{"key":1,"a.key.b":2,"n\"":3,"x 5":4}"#,
    );
    // A field whose key is absent is left out.
    check(
        &text,
        r#""traits":{"plan":null}"#,
        r#"{"key":1,"a.key.b":2}"#,
    );
}

#[test]
fn constants_leave_as_yaml_has_them() {
    check_body(
        "{ s: text, q: \"1\", n: 1.50, b: true, z: null, d: 2015-02-23, no: no, e: {}, l: [], deep: { a: [1, x] } }",
        "{}",
        r#"{"s":"text","q":"1","n":1.50,"b":true,"z":null,"d":"2015-02-23","no":"no","e":{},"l":[],"deep":{"a":[1,"x"]}}"#,
    );
    for (body, expected) in [
        ("x", r#""x""#),
        ("1", "1"),
        ("[1]", "[1]"),
        ("{}", "{}"),
        ("[]", "[]"),
    ] {
        check_body(body, "{}", expected);
    }
}

#[test]
fn what_comes_out_empty_is_left_out_and_what_is_written_empty_stays() {
    let body = r#"{ g: "${groupId}", o: { a: "${traits.a}", p: { b: "${traits.b}" } }, l: ["${traits.a}", { b: "${traits.b}" }, []], e: {} }"#;
    check_body(body, "{}", r#"{"g":"g","l":[[]],"e":{}}"#);
    check_body(
        body,
        r#"{"a":1}"#,
        r#"{"g":"g","o":{"a":1},"l":[1,[]],"e":{}}"#,
    );
    check_body(
        body,
        r#"{"b":2}"#,
        r#"{"g":"g","o":{"p":{"b":2}},"l":[{"b":2},[]],"e":{}}"#,
    );
    let list = r#"{ g: "${groupId}", l: ["${traits.a}", "${traits.b}", "${traits.c}"] }"#;
    check_body(list, r#"{"b":2}"#, r#"{"g":"g","l":[2]}"#);
    check_body(list, r#"{"a":1,"c":3}"#, r#"{"g":"g","l":[1,3]}"#);
    check_body(list, "{}", r#"{"g":"g"}"#);
}

#[test]
fn a_whole_body_that_comes_out_empty() {
    // An object is still a body; a value that is absent is none.
    check_body(r#"{ a: "${traits.a}" }"#, "{}", "{}");
    check_body("${traits}", "{}", "{}");
    check_body("${traits.a}", "{}", "skipped nothing_to_send");
    check_body("\"x ${traits.a}\"", "{}", "skipped nothing_to_send");
    check_body("[\"${traits.a}\"]", "{}", "skipped nothing_to_send");
    check_body("${traits.a}", r#"{"a":0}"#, "0");
    check_body("${traits.a}", r#"{"a":null}"#, "null");
}

#[test]
fn a_spread_stands_where_it_is_written() {
    check_body(
        r#"{ a: 1, "*": "${traits}", b: 2 }"#,
        r#"{"x":0,"y":null}"#,
        r#"{"a":1,"x":0,"y":null,"b":2}"#,
    );
    check_body(r#"{ "*": "${traits}" }"#, r#"{"x":0}"#, r#"{"x":0}"#);
    check_body(
        r#"{ g: "${groupId}", in: { "*": "${traits}" } }"#,
        "{}",
        r#"{"g":"g"}"#,
    );
    // A key written beside it is never written by it, whether or not that has a value.
    check_body(
        r#"{ a: "${traits.b}", "*": "${traits.rest}" }"#,
        r#"{"a":1,"b":2,"c":3}"#,
        r#"{"a":2,"c":3} ~key_collision:a"#,
    );
    check_body(
        r#"{ a: "${traits.b}", "*": "${traits.rest}" }"#,
        r#"{"a":1,"c":3}"#,
        r#"{"c":3} ~key_collision:a"#,
    );
    // What is no map spreads nothing.
    check_body(
        r#"{ g: 1, "*": "${traits.x}" }"#,
        r#"{"x":{"a":1}}"#,
        r#"{"g":1,"a":1}"#,
    );
    check_body(
        r#"{ g: 1, "*": "${traits.x}" }"#,
        r#"{"x":null}"#,
        r#"{"g":1}"#,
    );
    check_body(
        r#"{ g: 1, "*": "${traits.x}" }"#,
        r#"{"x":"text"}"#,
        r#"{"g":1} ~trait_type_mismatch:x"#,
    );
}

#[test]
fn rest_is_what_the_same_scope_names_nowhere_else() {
    // Named in the body, in a key, in the request, in an alternative, under a filter; not what is only tested.
    let text = "operations:
  - id: op
    when: ${traits.tested}
    request: PUT /${traits.requested}
    body:
      a: ${traits.a ?? traits.b | upper}
      \"k-${traits.key}\": 1
      deep: [{ c: \"${traits.c}\" }]
      d: ${traits.d | if traits.condition}
      rest: ${traits.rest}
";
    let names = [
        "tested",
        "requested",
        "a",
        "b",
        "key",
        "c",
        "d",
        "condition",
        "other",
    ];
    let traits: Vec<String> = names
        .iter()
        .map(|name| format!(r#""{name}":"{name}""#))
        .collect();
    check(
        text,
        &format!(r#""traits":{{{}}}"#, traits.join(",")),
        r#"PUT /requested {"a":"A","k-key":1,"deep":[{"c":"c"}],"d":"d","rest":{"tested":"tested","condition":"condition","other":"other"}} ~trait_collision:b"#,
    );
}

#[test]
fn properties_and_each_operation_are_scopes_of_their_own() {
    let text = "properties: { n: \"${traits.name}\", \"*\": \"${traits.rest}\" }
operations:
  - { id: one, request: POST /, body: { p: \"${properties}\", rest: \"${traits.rest}\", plan: \"${traits.plan}\" } }
  - { id: two, request: POST /, body: \"${traits.rest}\" }
";
    check(
        text,
        r#""traits":{"name":"n","plan":"p"}"#,
        r#"{"p":{"n":"n","plan":"p"},"rest":{"name":"n"},"plan":"p"} {"name":"n","plan":"p"}"#,
    );
}

#[test]
fn rest_leaves_out_the_parts_of_an_address_that_are_named() {
    let all = r#"{ a: "${traits.city}", b: "${traits.address.country}", c: "${traits.zip}", d: "${traits.address.state}", e: "${traits.street}", rest: "${traits.rest}" }"#;
    check_body(
        all,
        r#"{"address":{"city":"x","zip":"y"}}"#,
        r#"{"a":"x","c":"y","rest":{}}"#,
    );
    check_body(
        all,
        r#"{"address":{"city":"x","suite":"y"}}"#,
        r#"{"a":"x","rest":{"address":{"suite":"y"}}}"#,
    );
    // A null address says no more than its parts do.
    let nulls = r#"{"a":null,"b":null,"c":null,"d":null,"e":null,"rest":{}}"#;
    check_body(all, r#"{"address":null}"#, nulls);
    let one = r#"{ a: "${traits.city}", rest: "${traits.rest}" }"#;
    check_body(
        one,
        r#"{"address":null}"#,
        r#"{"a":null,"rest":{"address":null}}"#,
    );
    check_body(
        &one.replace("rest}", "rest | flatten _}"),
        r#"{"address":null}"#,
        r#"{"a":null,"rest":{"address_country":null,"address_postalCode":null,"address_state":null,"address_street":null}}"#,
    );
    check_body(
        one,
        r#"{"address":null,"city":"x"}"#,
        r#"{"a":"x","rest":{"address":{"country":null,"postalCode":null,"state":null,"street":null}}}"#,
    );
}

#[test]
fn when_unless_and_require() {
    let outcome = |condition: &str, traits: &str| {
        let text =
            format!("operations:\n  - {{ id: op, {condition}, request: POST /, body: 1 }}\n");
        told(&text, "{}", &format!(r#""traits":{traits}"#))
    };
    for (value, is_present) in [
        ("null", false),
        ("false", false),
        (r#""""#, false),
        ("[]", false),
        ("{}", false),
        ("[\n]", false),
        ("0", true),
        ("true", true),
        (r#"" ""#, false),
        (r#""\n\t\u2003""#, false),
        (r#"" x""#, true),
        ("[null]", true),
        (r#"{"a":null}"#, true),
    ] {
        let traits = format!(r#"{{"a":{value}}}"#);
        let (present, lacking) = if is_present {
            ("1", "skipped")
        } else {
            ("skipped", "1")
        };
        assert!(
            outcome("when: \"${traits.a}\"", &traits).starts_with(present),
            "when {value}"
        );
        assert!(
            outcome("require: \"${traits.a}\"", &traits).starts_with(present),
            "require {value}"
        );
        assert!(
            outcome("unless: \"${traits.a}\"", &traits).starts_with(lacking),
            "unless {value}"
        );
    }
    // A list asks for each of its values; `unless` is the opposite of the same test.
    let both = r#"["${traits.a}", "${traits.b}"]"#;
    assert_eq!(
        outcome(&format!("when: {both}"), r#"{"a":1}"#),
        "skipped nothing_to_send"
    );
    assert_eq!(
        outcome(&format!("when: {both}"), r#"{"b":1}"#),
        "skipped nothing_to_send"
    );
    assert_eq!(outcome(&format!("when: {both}"), r#"{"a":1,"b":1}"#), "1");
    assert_eq!(outcome(&format!("unless: {both}"), r#"{"a":1}"#), "1");
    assert_eq!(
        outcome(&format!("unless: {both}"), r#"{"a":1,"b":1}"#),
        "skipped nothing_to_send"
    );
    assert_eq!(
        outcome(&format!("require: {both}"), r#"{"a":1}"#),
        "skipped missing_required"
    );
    assert_eq!(
        outcome(&format!("require: {both}"), r#"{"a":1,"b":1}"#),
        "1"
    );
    // Text, filters, alternatives and constants are values too.
    assert_eq!(
        outcome("when: \"x ${traits.a}\"", "{}"),
        "skipped nothing_to_send"
    );
    assert_eq!(outcome("when: \"x ${traits.a}\"", r#"{"a":1}"#), "1");
    assert_eq!(
        outcome("when: \"${traits.a}${traits.b}\"", r#"{"a":"","b":""}"#),
        "skipped nothing_to_send"
    );
    assert_eq!(
        outcome("when: \"${traits.a ?? traits.b}\"", r#"{"b":1}"#),
        "1"
    );
    assert_eq!(
        outcome("when: \"${traits.a | if traits.b}\"", r#"{"a":1}"#),
        "skipped nothing_to_send"
    );
    assert_eq!(outcome("when: x", "{}"), "1");
}

#[test]
fn the_lack_of_a_member_is_told_apart() {
    let reason = |when: &str| {
        told(
            &format!("operations:\n  - {{ id: op, when: {when}, request: POST /, body: 1 }}\n"),
            "{}",
            "",
        )
    };
    for name in ["userId", "anonymousId", "member", "userId ?? anonymousId"] {
        assert_eq!(
            reason(&format!("\"${{{name}}}\"")),
            "skipped no_member",
            "{name}"
        );
    }
    assert_eq!(reason("\"${traits.x}\""), "skipped nothing_to_send");
    assert_eq!(
        reason("\"${member ?? traits.x}\""),
        "skipped nothing_to_send"
    );
    assert_eq!(
        reason("[\"${groupId}\", \"${member}\"]"),
        "skipped no_member"
    );
    assert_eq!(
        reason("[\"${traits.x}\", \"${member}\"]"),
        "skipped nothing_to_send"
    );
}

#[test]
fn the_first_reason_of_several_operations_is_told() {
    let text = "operations:
  - { id: a, when: \"${traits.x}\", request: POST /, body: 1 }
  - { id: b, when: \"${member}\", request: POST /, body: 2 }
  - { id: c, unless: \"${groupId}\", request: POST /, body: 3 }
";
    check(text, "", "skipped nothing_to_send");
    check(&text.replace("traits.x", "userId"), "", "skipped no_member");
    check(text, r#""userId":"u""#, "2");
    // A value that is required but absent skips what stands before it too.
    check(
        &text.replace("unless: \"${groupId}\"", "require: \"${traits.y}\""),
        r#""userId":"u""#,
        "skipped missing_required",
    );
}

#[test]
fn presence_of_properties_goes_by_what_is_written() {
    let text = |policy: &str| {
        format!(
            "nulls: {policy}\nproperties: {{ \"*\": \"${{traits}}\" }}\noperations:\n  - {{ id: op, when: \"${{properties}}\", request: POST /, body: \"${{properties}}\" }}\n"
        )
    };
    for (policy, expected) in [
        ("keep", r#"{"a":null}"#),
        ("empty", r#"{"a":""}"#),
        ("unset", "skipped nothing_to_send"),
        ("drop", "skipped nothing_to_send"),
    ] {
        check(&text(policy), r#""traits":{"a":null}"#, expected);
        check(&text(policy), "", "skipped nothing_to_send");
        check(&text(policy), r#""traits":{"a":{}}"#, r#"{"a":{}}"#);
    }
}

#[test]
fn what_does_not_fit_is_noted_once_however_often_it_is_tested() {
    let text = "properties: { n: \"${traits.employees}\" }
operations:
  - { id: a, when: [\"${properties}\", \"${traits.employees}\"], request: POST /, body: \"${properties}\" }
  - { id: b, require: \"${groupId}\", when: \"${groupId}\", request: POST /, body: \"${properties}\" }
";
    check(
        text,
        r#""traits":{"employees":"many"}"#,
        "{} ~trait_type_mismatch:employees",
    );
}

#[test]
fn request_values_are_encoded_and_needed() {
    let text = "settings: { v: { type: string, default: v1/x } }
operations:
  - { id: op, request: \"PATCH /a%20b/${settings.v}/${groupId}?f=${traits.name | upper}&g=*\", body: 1 }
";
    check(
        text,
        r#""traits":{"name":"é &"}"#,
        "PATCH /a%20b/v1%2Fx/g?f=%C3%89%20%26&g=* 1",
    );
    check(
        text,
        r#""traits":{"name":null}"#,
        "skipped missing_required",
    );
    check(text, "", "skipped missing_required");
    check(
        text,
        r#""traits":{"name":{}}"#,
        "~trait_type_mismatch:name skipped missing_required",
    );
    let container = "operations:\n  - { id: op, request: \"PUT /${traits.x}\", body: 1 }\n";
    check(
        container,
        r#""traits":{"x":[1]}"#,
        "~trait_type_mismatch:x skipped missing_required",
    );
}
