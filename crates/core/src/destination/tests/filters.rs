//! Each filter.

use super::{check, check_body, of_body, told};

/// Checks what a filter makes of a custom trait's value; an empty `expected` is a value that does not fit.
#[track_caller]
fn check_filter(filter: &str, value: &str, expected: &str) {
    let expected = if expected.is_empty() {
        "{} ~trait_type_mismatch:custom".to_owned()
    } else {
        format!(r#"{{"v":{expected}}}"#)
    };
    let text = of_body(&format!("\n      v: ${{traits.custom | {filter}}}"));
    check(
        &text,
        &format!(r#""traits":{{"custom":{value}}}"#),
        &expected,
    );
}

#[test]
fn dates() {
    for (filter, value, expected) in [
        ("iso8601", "1424649600", r#""2015-02-23T00:00:00Z""#),
        ("unix_seconds", r#""2015-02-23""#, "1424649600"),
        ("unix_ms", r#""2015-02-23""#, "1424649600000"),
        ("date", r#""2015-02-23T10:11""#, r#""2015-02-23""#),
        ("date", r#""soon""#, ""),
        ("date", "true", ""),
        ("date", "{}", ""),
        ("unix_ms | string", r#""2015-02-23""#, r#""1424649600000""#),
    ] {
        check_filter(filter, value, expected);
    }
}

#[test]
fn types() {
    for (filter, value, expected) in [
        ("string", r#""\u00e9""#, r#""\u00e9""#),
        ("string", "1.0", r#""1.0""#),
        ("string", "true", r#""true""#),
        ("string", "{}", ""),
        ("string", "[]", ""),
        ("number", "1.50", "1.50"),
        ("number", r#""1.50""#, "1.50"),
        ("number", r#""1,5""#, ""),
        ("number", r#""""#, ""),
        ("number", "true", ""),
        ("number", "[1]", ""),
        ("integer", r#""7""#, "7"),
        ("integer", "7.0", "7"),
        ("integer", "-70e-1", "-7"),
        ("integer", "7.5", ""),
        ("integer", "true", ""),
        ("boolean", "true", "true"),
        ("boolean", r#""false""#, "false"),
        ("boolean", r#""true""#, "true"),
        ("boolean", r#""yes""#, ""),
        ("boolean", "1", ""),
        ("boolean", "{}", ""),
    ] {
        check_filter(filter, value, expected);
    }
}

#[test]
fn texts() {
    for (filter, value, expected) in [
        ("lower", r#""ÀB\u00c9""#, r#""àbé""#),
        ("upper", r#""straße""#, r#""STRASSE""#),
        ("trim", r#"" \t a b\n""#, r#""a b""#),
        ("lower", "1E3", r#""1e3""#),
        ("upper", "[]", ""),
        ("trim", "{}", ""),
        ("lower", r#""\ud800""#, ""),
        ("truncate 2", r#""é😀x""#, r#""é😀""#),
        ("truncate 3", r#""\u00e9😀x""#, r#""\u00e9😀x""#),
        ("truncate 2", "123", r#""12""#),
        ("truncate 3", "123", r#""123""#),
        ("truncate 9", "{}", ""),
        ("truncate 3 bytes", r#""äöü""#, r#""ä""#),
        ("truncate 4 bytes", r#""ab\u00e9""#, r#""ab\u00e9""#),
        ("at_most 3", r#""äöü""#, r#""äöü""#),
        ("at_most 3", r#""äöüx""#, ""),
        ("at_most 3 bytes", r#""äöü""#, ""),
        ("at_most 3", "123", "123"),
        ("at_most 3", "1234", ""),
        ("at_most 3", "[]", ""),
        ("filled", r#"" x""#, r#"" x""#),
        ("filled", r#""""#, ""),
        ("filled", r#"" \t\n""#, ""),
        ("filled", r#""\u3000""#, ""),
        ("filled", "0", "0"),
        ("like A-Za-z A-Za-z0-9 4", r#""ab12""#, r#""ab12""#),
        ("like A-Za-z A-Za-z0-9 4", r#""ab123""#, ""),
        ("like A-Za-z A-Za-z0-9 4", r#""1a""#, ""),
        ("like 1-9 0-9", "12", "12"),
        ("like 1-9 0-9", "0", ""),
        ("like 9", r#"" a""#, ""),
        ("like 9", r#""a b""#, r#""a b""#),
        ("like 9", r#""a\n""#, ""),
        (
            "unix_us",
            r#""2015-02-23T00:00:00.1234567Z""#,
            "1424649600123456",
        ),
        (
            "unix_decimal",
            r#""2015-02-23T00:00:00.250Z""#,
            "1424649600.250",
        ),
        ("unix_decimal", r#""2015-02-23""#, "1424649600"),
        ("unix_decimal", "-0.75", "-0.75"),
        ("unix_decimal", "-1.25", "-1.25"),
        ("between 1 10", "10", "10"),
        ("between 1 10", "1.0", "1.0"),
        ("between 1 10", "0.99", ""),
        ("between 1 10", "1e1", "1e1"),
        ("between -2147483648 2147483647", "2147483648", ""),
        (
            "between -2147483648 2147483647",
            "-2147483648",
            "-2147483648",
        ),
        ("between 1 10", r#""5""#, ""),
        ("number | between 1 10", r#""5""#, "5"),
        (
            "domain",
            r#""https://www.A.example.com/x""#,
            r#""a.example.com""#,
        ),
        ("domain", r#""nowhere""#, ""),
        ("domain", "[]", ""),
        ("json", r#"{"a" : "\u00e9"}"#, r#""{\"a\" : \"\\u00e9\"}""#),
        ("json", r#""x""#, r#""\"x\"""#),
        ("json", "1.0", r#""1.0""#),
        (
            "join \", \"",
            r#"["a", 1.0, true, "\u00e9"]"#,
            r#""a, 1.0, true, é""#,
        ),
        ("join x", "[]", r#""""#),
        ("join x", r#"["a"]"#, r#""a""#),
        ("join x", r#"["a",null]"#, ""),
        ("join x", "[[]]", ""),
        ("join x", r#""a""#, ""),
        ("join x", r#"{"a":1}"#, ""),
    ] {
        check_filter(filter, value, expected);
    }
}

#[test]
fn a_list_setting_is_a_list_and_a_map_setting_a_map() {
    let text = "settings:
  list: { type: list, default: [a, \"b\\\"c\"] }
  map: { type: map, default: { b: 1, a: x } }
"
    .to_owned()
        + &of_body(
            r#"
      list: ${settings.list}
      joined: ${settings.list | join "+"}
      map: ${settings.map}
      upper: ${settings.map | case upper}
      "*": ${settings.map | prefix "m_"}"#,
        );
    check(
        &text,
        "",
        r#"{"list":["a","b\"c"],"joined":"a+b\"c","map":{"b":"1","a":"x"},"upper":{"B":"1","A":"x"},"m_b":"1","m_a":"x"}"#,
    );
}

#[test]
fn a_list_or_map_setting_has_no_text() {
    let text =
        "settings: { list: { type: list, default: [a] }, map: { type: map, default: { a: b } } }\n"
            .to_owned()
            + &of_body(
                r#"{ l: "${traits.x ?? settings.list | upper}", m: "${traits.y ?? settings.map | string}" }"#,
            );
    check(&text, r#""traits":{"x":"x","y":1}"#, r#"{"l":"X","m":"1"}"#);
    check(
        &text,
        "",
        "{} ~trait_type_mismatch:x ~trait_type_mismatch:y",
    );
}

#[test]
fn an_object_that_is_written_is_a_map() {
    let text = "properties: { deep: { n: \"${traits.name}\", p: \"${traits.plan}\" }, x: 1 }\n"
        .to_owned()
        + &of_body("${properties | flatten _}");
    check(
        &text,
        r#""traits":{"name":"\u00e9","plan":null}"#,
        r#"{"deep_n":"\u00e9","deep_p":null,"x":1}"#,
    );
}

#[test]
fn cleared_can_be_joined() {
    let text = format!(
        "properties: {{ \"*\": \"${{traits}}\" }}\n{}",
        of_body("{ c: \"${cleared | join ','}\" }").replace("','", "\\\",\\\"")
    );
    check(
        &text,
        r#""traits":{"a":null,"b":1,"C c":null}"#,
        r#"{"c":"a,C c"}"#,
    );
    check(&text, r#""traits":{"b":1}"#, r#"{"c":""}"#);
}

/// Checks what filters make of the traits as a map.
#[track_caller]
fn check_map(filters: &str, traits: &str, expected: &str) {
    check_body(&format!("${{traits | {filters}}}"), traits, expected);
}

#[test]
fn maps() {
    for (filters, traits, expected) in [
        (
            "only b \"A a\"",
            r#"{"a_a":1,"b":2,"c":3}"#,
            r#"{"a_a":1,"b":2}"#,
        ),
        ("except b \"A a\"", r#"{"a_a":1,"b":2,"c":3}"#, r#"{"c":3}"#),
        (
            "rename a=x \"b b\"=\"y y\"",
            r#"{"A":1,"b_b":2,"c":3}"#,
            r#"{"x":1,"y y":2,"c":3}"#,
        ),
        (
            "rename name=a createdAt=b",
            r#"{"Name":1,"created":2}"#,
            r#"{"a":1,"b":2}"#,
        ),
        (
            "prefix \"p \"",
            r#"{"a":1,"created":2}"#,
            r#"{"p a":1,"p createdAt":2}"#,
        ),
        ("suffix __c", r#"{"a":1}"#, r#"{"a__c":1}"#),
        (
            "case snake",
            r#"{"totalBilled":1,"Total Paid":2,"createdAt":3}"#,
            r#"{"total_billed":1,"total_paid":2,"created_at":3}"#,
        ),
        (
            "case camel",
            r#"{"total billed":1,"Total_Paid":2}"#,
            r#"{"totalBilled":1,"totalPaid":2}"#,
        ),
        (
            "case title",
            r#"{"total billed":1,"totalPaid":2}"#,
            r#"{"Total Billed":1,"Total Paid":2}"#,
        ),
        (
            "case upper",
            r#"{"total billed":1}"#,
            r#"{"TOTAL BILLED":1}"#,
        ),
        (
            "flatten .",
            r#"{"a":{"b":{"c":1,"d":[{"e":1}]},"f":{}},"g":2}"#,
            r#"{"a.b.c":1,"a.b.d":[{"e":1}],"g":2}"#,
        ),
        (
            "flatten _",
            r#"{"address":{"Zip":1},"city":2}"#,
            r#"{"address_postalCode":1,"address_city":2}"#,
        ),
        (
            "scalars",
            r#"{"a":1,"b":null,"c":"x","d":true}"#,
            r#"{"a":1,"b":null,"c":"x","d":true}"#,
        ),
        (
            "scalars",
            r#"{"a":{},"b":[],"c":1}"#,
            r#"{"c":1} ~trait_type_mismatch:a ~trait_type_mismatch:b"#,
        ),
        (
            "lists_of texts numbers",
            r#"{"a":["x",1],"b":[],"c":1,"d":[true],"e":["x",null],"f":{}}"#,
            r#"{"a":["x",1],"b":[],"c":1,"f":{}} ~trait_type_mismatch:d ~trait_type_mismatch:e"#,
        ),
        (
            "convert tags=list | lists_of texts",
            r#"{"tags":"x","b":"x"}"#,
            r#"{"tags":["x"],"b":"x"}"#,
        ),
        (
            "integers -10 10",
            r#"{"a":5.0,"b":-11,"c":1.50,"d":"1.5","e":true,"f":-10}"#,
            r#"{"a":5,"b":"-11","c":"1.50","d":"1.5","e":true,"f":-10}"#,
        ),
        (
            "convert n:=number s:=string d=date",
            r#"{"n:a":"1.50","n:b":"x","s:a":1.50,"s:b":null,"date":"2015-02-23T10:11:12Z","x":1}"#,
            r#"{"n:a":1.50,"s:a":"1.50","s:b":null,"date":"2015-02-23","x":1} ~trait_type_mismatch:n:b"#,
        ),
        (
            "flatten _ | scalars",
            r#"{"a":{"b":[1],"c":1}}"#,
            r#"{"a_c":1} ~trait_type_mismatch:a_b"#,
        ),
        (
            "dates date",
            r#"{"created":1424649600,"x":1424649600}"#,
            r#"{"createdAt":"2015-02-23","x":1424649600}"#,
        ),
        (
            "dates date",
            r#"{"created":"soon","x":1}"#,
            r#"{"x":1} ~trait_type_mismatch:createdAt"#,
        ),
        (
            "texts 2",
            r#"{"x":"é😀x","y":"ab","n":123,"o":{"p":"long"},"z":null}"#,
            r#"{"x":"é😀","y":"ab","n":123,"o":{"p":"long"},"z":null}"#,
        ),
        (
            r#"flatten "_" | texts 2"#,
            r#"{"o":{"p":"long"},"email":7777}"#,
            r#"{"o_p":"lo","email":7777}"#,
        ),
        ("dates date", r#"{"created":null}"#, r#"{"createdAt":null}"#),
        (
            "texts 3 bytes",
            r#"{"x":"äöü","n":12345}"#,
            r#"{"x":"ä","n":12345}"#,
        ),
        (
            "strings booleans",
            r#"{"n":1.50,"b":true,"s":"x"}"#,
            r#"{"n":1.50,"b":"true","s":"x"}"#,
        ),
        (
            "lists ;",
            r#"{"l":["a",1,true],"m":[["a"]],"s":"x","e":[]}"#,
            r#"{"l":"a;1;true","m":[["a"]],"s":"x","e":""}"#,
        ),
        (
            "unwrap \"o o\"",
            r#"{"a":1,"oO":{"b":2,"a":3},"o":{"c":4}}"#,
            r#"{"a":1,"b":2,"o":{"c":4}} ~key_collision:a"#,
        ),
        (
            "case snake | except_prefix ga_ google_",
            r#"{"Google x":1,"ga":2,"gaX":3}"#,
            r#"{"ga":2} ~key_refused:google_x ~key_refused:ga_x"#,
        ),
        (
            "case snake | rename \"a b\"=Ab | suffix __c",
            r#"{"aB":1,"cD":2}"#,
            r#"{"Ab":1,"c_d__c":2}"#,
        ),
        (
            "strings",
            r#"{"n":1.50,"b":true,"s":"x","z":null,"l":[1],"o":{"n":1}}"#,
            r#"{"n":"1.50","b":"true","s":"x","z":null,"l":[1],"o":{"n":1}}"#,
        ),
        (
            "numbers 0 99",
            r#"{"a":99,"b":100,"c":-0.5,"d":"100","e":null}"#,
            r#"{"a":99,"d":"100","e":null} ~trait_type_mismatch:b ~trait_type_mismatch:c"#,
        ),
        (
            "names a-z a-z0-9_ 5",
            r#"{"plan":1,"1st":2,"größe":3,"abcdef":4,"":5,"a_1":6}"#,
            r#"{"plan":1,"a_1":6} ~key_refused:1st ~key_refused:größe ~key_refused:abcdef ~key_refused:"#,
        ),
        (
            "names ^.$ ^.$",
            r#"{"a b":1,"a.b":2,"$x":3}"#,
            r#"{"a b":1} ~key_refused:a.b ~key_refused:$x"#,
        ),
        (
            "names 4 bytes",
            r#"{"äö":1,"äöü":2}"#,
            r#"{"äö":1} ~key_refused:äöü"#,
        ),
        (
            "flatten _ | first 2",
            r#"{"a":{"b":1,"c":2},"d":3}"#,
            r#"{"a_b":1,"a_c":2} ~key_refused:d"#,
        ),
        (
            "rename createdAt=born | dates date",
            r#"{"created":1424649600}"#,
            r#"{"born":"2015-02-23"}"#,
        ),
        (
            "nulls empty",
            r#"{"a":null,"b":{"c":null}}"#,
            r#"{"a":"","b":{"c":null}}"#,
        ),
        (
            "nulls drop",
            r#"{"a":null,"b":1}"#,
            r#"{"b":1} ~null_not_expressible:a"#,
        ),
        ("nulls unset", r#"{"a":null,"b":1}"#, r#"{"b":1}"#),
        ("nulls keep", r#"{"a":null}"#, r#"{"a":null}"#),
        (
            "except address | prefix x",
            r#"{"address":{"a":1},"b":2}"#,
            r#"{"xb":2}"#,
        ),
        (
            "json",
            r#"{"a":null,"City":1}"#,
            r#""{\"a\":null,\"address\":{\"city\":1}}""#,
        ),
    ] {
        check_map(filters, traits, expected);
    }
}

#[test]
fn map_filters_open_objects_and_nothing_else() {
    let traits = |value: &str| format!(r#"{{"custom":{value}}}"#);
    let body = "\n      v: ${traits.custom | prefix x}";
    check_body(
        body,
        &traits(r#"{"a":{"a":1},"b":2,"\u0061":3}"#),
        r#"{"v":{"xa":3,"xb":2}}"#,
    );
    for value in [r#""a""#, "1", "[]"] {
        check_body(body, &traits(value), "{} ~trait_type_mismatch:custom");
    }
    // The context and the options are maps as well.
    let text = of_body("{ c: \"${context.app | prefix x}\", o: \"${options | except b}\" }");
    let members = r#""context":{"app":{"a":1}},"integrations":{"Test":{"a":1,"b":2}}"#;
    check(&text, members, r#"{"c":{"xa":1},"o":{"a":1}}"#);
}

#[test]
fn only_of_a_setting_counts_what_it_leaves_out_and_may_say_all() {
    let text = "settings: { list: { type: list, default: [] } }\n".to_owned()
        + &of_body("${traits | only ${settings.list}}");
    let traits = r#""traits":{"Total Billed":1,"b":2}"#;
    assert_eq!(
        told(&text, "{}", traits),
        "{} ~unlisted_trait:Total Billed ~unlisted_trait:b"
    );
    assert_eq!(
        told(&text, "list: total_billed", traits),
        r#"{"Total Billed":1} ~unlisted_trait:b"#
    );
    assert_eq!(
        told(&text, "list: [all]", traits),
        r#"{"Total Billed":1,"b":2}"#
    );
    assert_eq!(
        told(&text, "list: [all, b]", traits),
        r#"{"b":2} ~unlisted_trait:Total Billed"#
    );
    // Written in the definition, it is a word like any other, and what it leaves out is meant.
    check_body("${traits | only all}", r#"{"all":1,"b":2}"#, r#"{"all":1}"#);
}

#[test]
fn arguments_come_from_settings_too() {
    let text = "settings:
  prefix: { type: string, default: p_ }
  number: { type: integer, default: 2 }
  names: { type: map, default: { total billed: TB } }
"
    .to_owned()
        + &of_body(
            r#"
      t: ${traits.name | truncate ${settings.number}}
      "*": ${traits.rest | rename ${settings.names} c=d | prefix ${settings.prefix}}"#,
        );
    check(
        &text,
        r#""traits":{"name":"abc","totalBilled":1,"c":2,"e":3}"#,
        r#"{"t":"ab","TB":1,"d":2,"p_e":3}"#,
    );
}

#[test]
fn if_passes_on_where_a_name_is_present_and_not_false() {
    let check_if = |condition: &str, traits: &str, passes: bool| {
        let body = format!("\n      g: ${{groupId}}\n      v: ${{traits.v | if {condition}}}");
        check_body(
            &body,
            traits,
            if passes {
                r#"{"g":"g","v":null}"#
            } else {
                r#"{"g":"g"}"#
            },
        );
    };
    for (value, passes) in [
        ("true", true),
        ("0", true),
        ("\"x\"", true),
        ("[0]", true),
        ("\"false\"", true),
        ("{\"a\":1}", true),
    ] {
        check_if("traits.c", &format!(r#"{{"v":null,"c":{value}}}"#), passes);
    }
    for value in ["false", "null", "\"\"", "[]", "{}", "[ ]"] {
        check_if("traits.c", &format!(r#"{{"v":null,"c":{value}}}"#), false);
    }
    check_if("traits.c", r#"{"v":null}"#, false);
    check_if("userId", r#"{"v":null}"#, false);
    check_if("groupId", r#"{"v":null}"#, true);
    // With literals it must equal one of them.
    check_if(r#"traits.c "a" "b""#, r#"{"v":null,"c":"b"}"#, true);
    check_if(r#"traits.c "a" "b""#, r#"{"v":null,"c":"c"}"#, false);
    check_if(r#"traits.c 1 true"#, r#"{"v":null,"c":1}"#, true);
    check_if(r#"traits.c 1 true"#, r#"{"v":null,"c":true}"#, true);
    check_if(r#"traits.c 1 true"#, r#"{"v":null,"c":1.0}"#, false);
    check_if(r#"traits.c false"#, r#"{"v":null,"c":false}"#, true);
    check_if(r#"traits.c "a""#, r#"{"v":null}"#, false);
    check_if(r#"groupId "g""#, r#"{"v":null}"#, true);
}

#[test]
fn if_of_a_setting_is_decided_before_any_event() {
    let text = |condition: &str| {
        format!(
            "settings:
  word: {{ type: string, default: a }}
  off: {{ type: boolean, default: false }}
  on: {{ type: boolean, default: true }}
  none: {{ type: list, default: [] }}
{}",
            of_body(&format!(
                "\n      g: ${{groupId}}\n      v: ${{traits.v | if {condition}}}"
            ))
        )
    };
    for (condition, passes) in [
        ("settings.word", true),
        ("settings.on", true),
        ("settings.off", false),
        ("settings.none", false),
        (r#"settings.word "b" "a""#, true),
        (r#"settings.word "b""#, false),
        ("settings.off false", true),
        ("${settings.on}", true),
    ] {
        let expected = if passes {
            r#"{"g":"g","v":1}"#
        } else {
            r#"{"g":"g"}"#
        };
        check(&text(condition), r#""traits":{"v":1}"#, expected);
    }
}
