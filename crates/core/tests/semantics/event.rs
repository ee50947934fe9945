//! E: the event.

use groupcast_core::event::{Pointer, SourceFormat, SuspiciousIds};
use groupcast_core::record::Record;
use groupcast_core::router::Router;

use crate::routing::{SOURCE, Setup, one, operation, record, route, told};

/// What the event was read as.
const READ: &str = r#"{ group: "${groupId}", user: "${userId}", anonymous: "${anonymousId}", member: "${member}", time: "${timestamp | iso8601}" }"#;

#[track_caller]
fn check_with(router: &Router, value: impl AsRef<[u8]>, expected: &str) {
    let value = value.as_ref();
    assert_eq!(
        told(router, &record(Some(value))),
        expected,
        "{}",
        String::from_utf8_lossy(value)
    );
}

#[track_caller]
fn check(value: impl AsRef<[u8]>, expected: &str) {
    check_with(&one(READ).router(), value, expected);
}

/// Checks what a group call of `g` with these further members comes to.
#[track_caller]
fn check_members(members: &str, expected: &str) {
    check(
        format!(r#"{{"type":"group","groupId":"g",{members}}}"#),
        expected,
    );
}

#[test]
fn e1_one_object_unknown_fields_kept() {
    check(r#"{"type":"group","groupId":"g"}"#, r#"{"group":"g"}"#);
    let event =
        r#"{"type":"group","channel":"server","groupId":"g","x y":{"a":[1 ,2]},"version":2}"#;
    check_with(&one("${event}").router(), event, event);
    check_with(&one("${raw}").router(), format!(" {event}\n"), event);
}

#[test]
fn e2_another_type_is_ignored_and_no_type_is_a_dead_letter() {
    for other in ["track", "identify", "groups", "group ", "", r"\ud800"] {
        check(
            format!(r#"{{"type":"{other}","groupId":"g"}}"#),
            "ignored not_group",
        );
    }
    for group in [r"gr\u006fup", "Group", "GROUP"] {
        check(
            format!(r#"{{"type":"{group}","groupId":"g"}}"#),
            r#"{"group":"g"}"#,
        );
    }
    check(r#"{"groupId":"g"}"#, "dead_lettered missing_type (absent)");
    for (value, kind) in [
        ("null", "null"),
        ("1", "a number"),
        ("true", "a boolean"),
        ("[]", "an array"),
        ("{}", "an object"),
    ] {
        check(
            format!(r#"{{"type":{value},"groupId":"g"}}"#),
            &format!("dead_lettered missing_type ({kind})"),
        );
    }
}

#[test]
fn e2_an_event_in_an_envelope_is_never_ignored() {
    let event = r#"{"traits":{},"type":"Group","groupId":"g"}"#;
    let text = r#"" {\"type\":\"group\",\"groupId\":\"g\"}""#;
    for key in [
        "data",
        "message",
        "event",
        "payload",
        "body",
        "httpPayload",
        "Message",
    ] {
        let expected = format!(
            "dead_lettered unsupported_envelope (an envelope with a group event at /{key}: source.event_at: /{key} reads it)"
        );
        for inner in [event, text] {
            check(format!(r#"{{"{key}":{inner}}}"#), &expected);
            check(
                format!(r#"{{"type":"Notification","{key}":{inner}}}"#),
                &expected,
            );
            check(format!(r#"{{"type":1,"{key}":{inner}}}"#), &expected);
        }
    }
    // What holds no group event is what it was, and a group event is one whatever it holds.
    for other in [
        r#""Signed Up""#,
        r#""{""#,
        r#""[]""#,
        r#"{"type":"track"}"#,
        r#"{"type":1}"#,
        r#"{"groupId":"g"}"#,
        r#"{"\ud800":1,"type":"group"}"#,
        "[1]",
        "null",
    ] {
        check(
            format!(r#"{{"type":"track","event":{other}}}"#),
            "ignored not_group",
        );
        check(
            format!(r#"{{"payload":{other}}}"#),
            "dead_lettered missing_type (absent)",
        );
    }
    check(
        format!(r#"{{"type":"group","groupId":"outer","data":{event}}}"#),
        r#"{"group":"outer"}"#,
    );
}

#[test]
fn e2_what_groupcast_wrote_is_never_ignored() {
    let router = Setup::new()
        .with("whole", &operation("\"${event}\""))
        .with("part", &operation("{ id: \"${groupId}\" }"))
        .router();
    let seen = route(&router, &record(Some(br#"{"type":"group","groupId":"g"}"#)));
    let written: Vec<&[u8]> = seen
        .emissions
        .iter()
        .map(|emission| emission.value.expect("a value"))
        .collect();
    for (value, expected) in written.iter().zip([
        "an envelope with a group event at /data: source.event_at: /data reads it",
        "a record that groupcast wrote for a destination: read the topic that its id names",
    ]) {
        check(
            value,
            &format!("dead_lettered unsupported_envelope ({expected})"),
        );
    }
    // CloudEvents of others are events of another type.
    check(
        r#"{"specversion":"1.0","source":"/shop","type":"order","data":{"id":1}}"#,
        "ignored not_group",
    );
}

#[test]
fn e3_the_group_id() {
    let check_id =
        |id: &str, expected: &str| check(format!(r#"{{"type":"group","groupId":{id}}}"#), expected);
    for (number, text) in [
        ("9007199254740993", "9007199254740993"),
        ("1.0", "1.0"),
        ("-1e3", "-1e3"),
        ("0", "0"),
    ] {
        check_id(number, &format!(r#"{{"group":"{text}"}}"#));
    }
    for text in [
        " g ",
        "2015-02-23",
        "1424649600",
        "a@example.com",
        "MiXeD",
        r"\u00e9",
    ] {
        check_id(&format!(r#""{text}""#), &format!(r#"{{"group":"{text}"}}"#));
    }
    check(
        r#"{"type":"group"}"#,
        "dead_lettered missing_group_id (absent)",
    );
    check_id("null", "dead_lettered missing_group_id (null)");
    check_id(r#""""#, "dead_lettered missing_group_id (an empty string)");
    check_id("true", "dead_lettered invalid_group_id (a boolean)");
    check_id("{}", "dead_lettered invalid_group_id (an object)");
    check_id(r#"["g"]"#, "dead_lettered invalid_group_id (an array)");
}

#[test]
fn e3_at_most_500_characters() {
    for character in ["a", "é", "😀"] {
        let longest = character.repeat(500);
        check(
            format!(r#"{{"type":"group","groupId":"{longest}"}}"#),
            &format!(r#"{{"group":"{longest}"}}"#),
        );
        let too_long = character.repeat(501);
        check(
            format!(r#"{{"type":"group","groupId":"{too_long}"}}"#),
            "dead_lettered group_id_too_long (501 characters)",
        );
    }
    check(
        format!(r#"{{"type":"group","groupId":{}}}"#, "1".repeat(501)),
        "dead_lettered group_id_too_long (501 characters)",
    );
}

#[test]
fn e4_the_member_is_the_user_else_the_anonymous_one() {
    check_members(
        r#""userId":"u","anonymousId":"a""#,
        r#"{"group":"g","user":"u","anonymous":"a","member":"u"}"#,
    );
    check_members(
        r#""userId":"","anonymousId":"a""#,
        r#"{"group":"g","anonymous":"a","member":"a"}"#,
    );
    check_members(r#""userId":null,"anonymousId":null"#, r#"{"group":"g"}"#);
    check_members(
        r#""userId":9007199254740993"#,
        r#"{"group":"g","user":"9007199254740993","member":"9007199254740993"}"#,
    );
}

#[test]
fn e4_a_wrong_type_is_absent_and_counted() {
    for value in ["true", "{}", "[]"] {
        check_members(
            &format!(r#""userId":{value},"anonymousId":"a""#),
            r#"{"group":"g","anonymous":"a","member":"a"} ~invalid_member_id:userId"#,
        );
        check_members(
            &format!(r#""anonymousId":{value}"#),
            r#"{"group":"g"} ~invalid_member_id:anonymousId"#,
        );
    }
}

#[test]
fn e4_without_a_member_only_what_links_one_is_not_due() {
    for name in ["member", "userId", "anonymousId", "userId ?? anonymousId"] {
        let link = format!(
            "operations:\n  - {{ id: link, when: \"${{{name}}}\", request: POST /, body: {{ m: \"${{member}}\" }} }}\n"
        );
        let router = Setup::new()
            .with("group", &operation("{ g: \"${groupId}\" }"))
            .with("link", &link)
            .router();
        check_with(
            &router,
            r#"{"type":"group","groupId":"g"}"#,
            r#"{"g":"g"} skipped no_member"#,
        );
    }
}

#[test]
fn e5_traits_are_an_object_or_nothing() {
    let router = one("{ g: \"${groupId}\", traits: \"${traits}\" }").router();
    check_with(
        &router,
        r#"{"type":"group","groupId":"g"}"#,
        r#"{"g":"g","traits":{}}"#,
    );
    check_with(
        &router,
        r#"{"type":"group","groupId":"g","traits":null}"#,
        r#"{"g":"g","traits":{}}"#,
    );
    check_with(
        &router,
        r#"{"type":"group","groupId":"g","traits":{}}"#,
        r#"{"g":"g","traits":{}}"#,
    );
    for (value, kind) in [
        (r#""x""#, "a string"),
        ("1", "a number"),
        ("false", "a boolean"),
        ("[{}]", "an array"),
        ("[[]]", "an array"),
    ] {
        let event = format!(r#"{{"type":"group","groupId":"g","traits":{value}}}"#);
        check_with(
            &router,
            event,
            &format!("dead_lettered traits_not_object ({kind})"),
        );
    }
}

#[test]
fn e5_an_empty_array_is_an_empty_object() {
    let body = r#"{ traits: "${traits}", city: "${traits.address.city}", address: "${traits.address}", app: "${context.app.name}" }"#;
    for (event, expected) in [
        (r#""traits":[]"#, r#"{"traits":{}}"#),
        (r#""traits":[ ]"#, r#"{"traits":{}}"#),
        (
            r#""traits":{"address":[]}"#,
            r#"{"traits":{"address":{}},"address":{}}"#,
        ),
        // The parts beside it belong into it.
        (
            r#""traits":{"address":[],"city":"C"}"#,
            r#"{"traits":{"address":{"city":"C"}},"city":"C","address":{"city":"C"}}"#,
        ),
        (r#""context":[]"#, r#"{"traits":{}}"#),
        (r#""context":{"app":[]}"#, r#"{"traits":{}}"#),
        // Only where an object is expected.
        (r#""traits":{"list":[]}"#, r#"{"traits":{"list":[]}}"#),
        (
            r#""traits":{"address":[1]}"#,
            r#"{"traits":{"address":[1]}} ~trait_type_mismatch:address"#,
        ),
    ] {
        let event = format!(r#"{{"type":"group","groupId":"g",{event}}}"#);
        check_with(&one(body).router(), event, expected);
    }
}

#[test]
fn e6_the_first_valid_time_in_order() {
    let times = ["timestamp", "originalTimestamp", "sentAt", "receivedAt"];
    for (index, name) in times.iter().enumerate() {
        // In reverse, so that the order in the event does not decide.
        let members: Vec<String> = times
            .iter()
            .enumerate()
            .skip(index)
            .rev()
            .map(|(hour, time)| format!(r#""{time}":"2020-01-01T0{hour}:00""#))
            .collect();
        check_members(
            &members.join(","),
            &format!(r#"{{"group":"g","time":"2020-01-01T0{index}:00:00Z"}}"#),
        );
        check_members(
            &format!(r#""{name}":1577836800"#),
            r#"{"group":"g","time":"2020-01-01T00:00:00Z"}"#,
        );
    }
}

#[test]
fn e6_an_unparsable_time_is_passed_over_and_counted() {
    check_members(
        r#""timestamp":"soon","originalTimestamp":true,"sentAt":null,"receivedAt":"2020-01-01""#,
        r#"{"group":"g","time":"2020-01-01T00:00:00Z"} ~invalid_timestamp:timestamp ~invalid_timestamp:originalTimestamp"#,
    );
    check_members(
        r#""sentAt":"2020-02-30","receivedAt":{}"#,
        r#"{"group":"g"} ~invalid_timestamp:sentAt ~invalid_timestamp:receivedAt"#,
    );
}

#[test]
fn e6_a_time_at_or_before_1970_is_passed_over_and_counted() {
    for time in [
        "0",
        "-1",
        "\"1970-01-01\"",
        "\"0\"",
        "\"0001-01-01T00:00:00Z\"",
        "\"1969-12-31T23:59:59.9Z\"",
    ] {
        check_members(
            &format!(r#""timestamp":{time},"receivedAt":"2020-01-01""#),
            r#"{"group":"g","time":"2020-01-01T00:00:00Z"} ~invalid_timestamp:timestamp"#,
        );
    }
    check_members(
        r#""timestamp":0.5,"receivedAt":"2020-01-01""#,
        r#"{"group":"g","time":"1970-01-01T00:00:00.5Z"}"#,
    );
}

#[test]
fn e6_the_records_timestamp_comes_last() {
    let router = one(READ).router();
    let at = |timestamp: Option<i64>, value: &str| {
        told(
            &router,
            &Record {
                timestamp,
                ..record(Some(value.as_bytes()))
            },
        )
    };
    let event = r#"{"type":"group","groupId":"g"}"#;
    assert_eq!(
        at(Some(1_577_836_800_001), event),
        r#"{"group":"g","time":"2020-01-01T00:00:00.001Z"}"#
    );
    assert_eq!(
        at(Some(1), event),
        r#"{"group":"g","time":"1970-01-01T00:00:00.001Z"}"#
    );
    assert_eq!(at(Some(0), event), r#"{"group":"g"}"#);
    assert_eq!(at(Some(i64::MAX), event), r#"{"group":"g"}"#);
    let event = r#"{"type":"group","groupId":"g","receivedAt":"2020-01-01"}"#;
    assert_eq!(
        at(Some(1), event),
        r#"{"group":"g","time":"2020-01-01T00:00:00Z"}"#
    );
}

#[test]
fn e7_a_users_traits_are_never_the_groups() {
    let router =
        one("{ g: \"${groupId}\", name: \"${traits.name}\", traits: \"${traits}\" }").router();
    let event =
        r#"{"type":"group","groupId":"g","context":{"groupId":"other","traits":{"name":"Sam"}}}"#;
    check_with(&router, event, r#"{"g":"g","traits":{}}"#);
    let event = r#"{"type":"group","context":{"groupId":"other"}}"#;
    check_with(&router, event, "dead_lettered missing_group_id (absent)");
}

#[test]
fn e8_what_no_rule_converts_leaves_byte_for_byte() {
    let traits = r#"{"big":12345678901234567890,"one":1.0,"exp":1E+3,"s":"\u00e9\/","list":[ 1 , {"a" :null,"a":2}],"lone":"\ud800"}"#;
    let event =
        format!(r#"{{"type":"group","groupId":"g","traits":{traits},"x":{{ "y" : 1.50 }}}}"#);
    check_with(&one("${traits}").router(), &event, traits);
    check_with(
        &one("{ \"*\": \"${traits.rest}\" }").router(),
        &event,
        traits,
    );
    check_with(&one("${event}").router(), &event, &event);
    let mapped = one(
        "{ s: \"${traits.s}\", one: \"${traits.one}\", list: \"${traits.list}\", lone: \"${traits.lone}\" }",
    );
    check_with(
        &mapped.router(),
        &event,
        r#"{"s":"\u00e9\/","one":1.0,"list":[ 1 , {"a" :null,"a":2}],"lone":"\ud800"}"#,
    );
}

#[test]
fn e9_the_record_and_its_key_have_a_limit() {
    let event = br#"{"type":"group","groupId":"g"}"#;
    let router = one(READ)
        .changed(|routing| routing.limits.record_bytes = event.len() + 2)
        .router();
    let keyed = |key: &'static [u8]| {
        told(
            &router,
            &Record {
                key: Some(key),
                ..record(Some(event))
            },
        )
    };
    assert_eq!(keyed(b"kk"), r#"{"group":"g"}"#);
    assert_eq!(
        keyed(b"kkk"),
        "dead_lettered record_too_large (33 bytes, the limit is 32)"
    );
}

#[test]
fn e9_by_default_a_mebibyte_64_levels_and_10_000_traits() {
    let router = one(READ).router();
    let padded = |size: usize| {
        let event = r#"{"type":"group","groupId":"g","x":""}"#;
        event.replace(
            r#""x":""#,
            &format!(r#""x":"{}"#, "x".repeat(size - event.len())),
        )
    };
    check_with(&router, padded(1_048_576), r#"{"group":"g"}"#);
    check_with(
        &router,
        padded(1_048_577),
        "dead_lettered record_too_large (1048577 bytes, the limit is 1048576)",
    );

    let nested = |depth: usize| {
        format!(
            r#"{{"type":"group","groupId":"g","x":{}{}}}"#,
            "[".repeat(depth - 1),
            "]".repeat(depth - 1)
        )
    };
    check_with(&router, nested(64), r#"{"group":"g"}"#);
    check_with(
        &router,
        nested(65),
        "dead_lettered nested_too_deep (the limit is 64)",
    );
    let deeper = one(READ)
        .changed(|routing| routing.limits.nesting = 5_000)
        .router();
    check_with(&deeper, nested(5_000), r#"{"group":"g"}"#);

    let traits = |count: usize| {
        let traits: Vec<String> = (0..count).map(|index| format!(r#""t{index}":0"#)).collect();
        format!(
            r#"{{"type":"group","groupId":"g","traits":{{{}}}}}"#,
            traits.join(",")
        )
    };
    check_with(&router, traits(10_000), r#"{"group":"g"}"#);
    check_with(
        &router,
        traits(10_001),
        "dead_lettered too_many_traits (10001 traits, the limit is 10000)",
    );
    let fewer = one(READ)
        .changed(|routing| routing.limits.traits = 2)
        .router();
    check_with(
        &fewer,
        traits(3),
        "dead_lettered too_many_traits (3 traits, the limit is 2)",
    );
    check_with(
        &fewer,
        r#"{"type":"group","groupId":"g","traits":{"a":0,"b":0,"\u0061":0}}"#,
        r#"{"group":"g"}"#,
    );
}

#[test]
fn e10_what_is_no_json_object_is_a_dead_letter() {
    check("", "dead_lettered empty_value ()");
    check(
        "{",
        "dead_lettered invalid_json (ends too early at line 1 column 1)",
    );
    check(
        " ",
        "dead_lettered invalid_json (ends too early at line 1 column 1)",
    );
    check(
        "{\n 'a':1}",
        "dead_lettered invalid_json (syntax error at line 2 column 2)",
    );
    check(
        r#"{"type":"group","groupId":"g"} x"#,
        "dead_lettered invalid_json (syntax error at line 1 column 32)",
    );
    check(
        r#"{"type":"group","groupId":"g"}{}"#,
        "dead_lettered invalid_json (syntax error at line 1 column 31: several JSON documents: each must be produced as a record of its own)",
    );
    check(
        r#"{"type":"group","groupId":"g","x":01}"#,
        "dead_lettered invalid_json (syntax error at line 1 column 36)",
    );
    check(
        b"{\"a\":\"\xff\"}",
        "dead_lettered invalid_utf8 (first invalid byte at 6)",
    );
    check("null", "dead_lettered not_an_object (null)");
    check("\"x{}\"", "dead_lettered not_an_object (a string)");
    check("1", "dead_lettered not_an_object (a number)");
    check("true", "dead_lettered not_an_object (a boolean)");
    assert_eq!(
        told(&one(READ).router(), &record(None)),
        "ignored tombstone"
    );
}

#[test]
fn e10_a_byte_order_mark_is_passed_over() {
    check(
        "\u{feff}{\"type\":\"group\",\"groupId\":\"g\"}",
        r#"{"group":"g"}"#,
    );
    let event = r#"{"type":"group","groupId":"g"}"#;
    check_with(&one("${raw}").router(), format!("\u{feff}{event}"), event);
    check(
        "\u{feff}",
        "dead_lettered invalid_json (ends too early at line 1 column 0)",
    );
}

#[test]
fn e10_a_dead_letter_says_what_the_value_looks_like() {
    const NUMBER: &str =
        "NaN or Infinity, which JSON does not have: have it written as null or left out";
    for (number, column) in [
        ("NaN", 5),
        ("nan", 6),
        ("Infinity", 5),
        ("-Infinity", 6),
        ("-inf", 6),
    ] {
        for rest in ["", r#","b":1"#] {
            check(
                format!(r#"{{"a":{number}{rest}}}"#),
                &format!(
                    "dead_lettered invalid_json (syntax error at line 1 column {}: {NUMBER})",
                    column + 1
                ),
            );
        }
    }
    check(
        "{\n\"a\": [1, NaN]}",
        &format!("dead_lettered invalid_json (syntax error at line 2 column 10: {NUMBER})"),
    );
    check(
        r#"{"a":NaNa}"#,
        "dead_lettered invalid_json (syntax error at line 1 column 6)",
    );
    check(
        r#""{\"type\":\"group\"}""#,
        r#"dead_lettered not_an_object (a string: the event is JSON inside a string: source.event_at: "" reads it)"#,
    );
    check(
        b"\x1f\x8b\x08\x00",
        "dead_lettered invalid_utf8 (first invalid byte at 1: gzip: let Kafka's producer compress (compression.type), whose readers decompress)",
    );
    for key in ["group_id", "GroupId", "groupID", "Group Id"] {
        check(
            format!(r#"{{"type":"group","{key}":"g"}}"#),
            &format!(
                "dead_lettered missing_group_id (absent: there is {key}: the key must be groupId)"
            ),
        );
    }
    check(
        r#"{"Type":"group"}"#,
        "dead_lettered missing_type (absent: there is Type: the key must be type)",
    );
    // What is no plain key is not repeated in a header.
    for key in [r"group\nid", "g______________roupid"] {
        check(
            format!(r#"{{"type":"group","{key}":"g"}}"#),
            "dead_lettered missing_group_id (absent)",
        );
    }
}

#[test]
fn e10_of_duplicate_keys_the_last_value_wins_at_the_first_position() {
    check(
        r#"{"type":"track","groupId":"h","type":"group","groupI\u0064":"g"}"#,
        r#"{"group":"g"}"#,
    );
    let router = one("${traits}").router();
    let event = |traits: &str| format!(r#"{{"type":"group","groupId":"g","traits":{traits}}}"#);
    check_with(
        &router,
        event(r#"{"a":1,"b":2,"\u0061":3}"#),
        r#"{"a":3,"b":2}"#,
    );
    check_with(
        &router,
        event(r#"{"address":{"city":1,"x":2,"city":3}}"#),
        r#"{"address":{"city":3,"x":2}}"#,
    );
    check_with(
        &router,
        event(r#"{"deeper":{"a":1,"a":2}}"#),
        r#"{"deeper":{"a":1,"a":2}}"#,
    );
    let context = one("{ ip: \"${context.app.ip}\" }").router();
    let event =
        r#"{"type":"group","groupId":"g","context":{"app":{"ip":1},"app":{"ip":2,"i\u0070":3}}}"#;
    check_with(&context, event, r#"{"ip":3}"#);
    let event = r#"{"type":"group","groupId":"g","integrations":{"d":false,"d":true}}"#;
    check_with(&router, event, "{}");
}

#[test]
fn e10_a_lone_surrogate_where_a_rule_reads_is_a_dead_letter() {
    let invalid = |place: &str| format!("dead_lettered invalid_string ({place})");
    check_members(r#""\ud800":1"#, &invalid("a key of the event"));
    check(
        r#"{"type":"group","groupId":"\udc00"}"#,
        &invalid("groupId"),
    );
    check_members(r#""userId":"\ud800x""#, &invalid("userId"));
    check_members(r#""anonymousId":"\ud800\ud800""#, &invalid("anonymousId"));
    check_members(r#""traits":{"\ud800":1}"#, &invalid("a key of traits"));
    check_members(
        r#""traits":{"address":{"\ud800":1}}"#,
        &invalid("a key of traits.address"),
    );
    check_members(
        r#""integrations":{"\ud800":true}"#,
        &invalid("a key of integrations"),
    );
    // Where no rule reads, it is the producer's own.
    check_members(
        r#""x":{"\ud800":"\ud800"},"messageId":"\ud800","context":{"\ud800":1}"#,
        r#"{"group":"g"}"#,
    );
    check_members(
        r#""userId":"\ud83d\ude00""#,
        r#"{"group":"g","user":"\ud83d\ude00","member":"\ud83d\ude00"}"#,
    );
}

#[test]
fn e10_a_lone_surrogate_that_one_destination_reads_is_its_own_dead_letter() {
    let router = Setup::new()
        .with("ip", &operation("{ ip: \"${context.ip}\" }"))
        .with(
            "flat",
            &operation("{ \"*\": \"${traits.rest | flatten _}\" }"),
        )
        .with("options", &operation("{ o: \"${options.o}\" }"))
        .with("plain", &operation("${traits}"))
        .router();
    let letter = "dead_lettered invalid_string";
    let event = r#"{"type":"group","groupId":"g","context":{"\ud800":1},"traits":{"a":{"\ud800":1}},"integrations":{"options":{"\ud800":1}}}"#;
    check_with(
        &router,
        event,
        &format!(r#"{letter} {letter} {letter} {{"a":{{"\ud800":1}}}}"#),
    );
}

#[test]
fn e11_each_destination_of_a_routed_event_has_one_outcome() {
    let when = "operations:\n  - { id: never, when: \"${traits.x}\", request: POST /, body: 1 }\n  - { id: later, when: \"${member}\", request: POST /, body: 2 }\n";
    let some = "operations:\n  - { id: never, when: \"${traits.x}\", request: POST /, body: 1 }\n  - { id: always, request: POST /, body: 2 }\n  - { id: too, request: POST /, body: 3 }\n";
    let required = "operations:\n  - { id: first, request: POST /, body: 1 }\n  - { id: asks, require: \"${traits.x}\", request: POST /, body: 2 }\n";
    let router = Setup::new()
        .with("when", when)
        .with("some", some)
        .with("required", required)
        .router();
    check_with(
        &router,
        r#"{"type":"group","groupId":"g"}"#,
        "skipped nothing_to_send 2 3 skipped missing_required",
    );
    check_with(
        &router,
        r#"{"type":"group","groupId":"g","traits":{"x":1}}"#,
        "1 1 2 3 1 2",
    );
    check_with(
        &router,
        r#"{"type":"group","groupId":"g","integrations":{"All":false}}"#,
        &["skipped all_false"; 3].join(" "),
    );
}

#[test]
fn e12_one_record_is_one_event() {
    check(
        br#"{"batch":[{"type":"group","groupId":"g"}],"sentAt":"2020-01-01"}"#,
        "dead_lettered unsupported_envelope (a batch body: its events must be produced one a record)",
    );
    check(
        r#"[{"type":"group","groupId":"g"}]"#,
        "dead_lettered unsupported_envelope (an array: its events must be produced one a record)",
    );
    check(
        b"\x00\x00\x00\x00\x01{}",
        "dead_lettered unsupported_envelope (starts with 0x00: a schema registry frame around JSON: source.format: json_schema reads it)",
    );
    for avro in [&b"\x00\x00\x00\x00\x01\x02g"[..], b"\x00", b"\x00{}"] {
        check(
            avro,
            "dead_lettered unsupported_envelope (starts with 0x00: a schema registry frame around Avro or Protobuf: have it produced as JSON)",
        );
    }
    check(
        b"\xc3\x01{}",
        "dead_lettered unsupported_envelope (starts with 0xC3 0x01: an Avro single object: have it produced as JSON)",
    );
    check(
        r#"{"type":"group","groupId":"g","batch":[]}"#,
        r#"{"group":"g"}"#,
    );
    check(r#"{"batch":{}}"#, "dead_lettered missing_type (absent)");
}

/// Each row is also at fault in a way that a later rule of E13 names.
#[test]
fn e13_the_first_that_applies_decides() {
    let limits = |routing: &mut groupcast_core::router::Routing| {
        routing.limits.record_bytes = 120;
        routing.limits.nesting = 3;
        routing.limits.traits = 1;
    };
    let router = one(READ).changed(limits).router();
    let big_key = [b'k'; 121];
    assert_eq!(
        told(
            &router,
            &Record {
                key: Some(&big_key),
                ..record(None)
            }
        ),
        "ignored tombstone"
    );
    let first = |value: &[u8], reason: &str| {
        let told = told(&router, &record(Some(value)));
        assert!(
            told.starts_with(reason),
            "{}: {told}",
            String::from_utf8_lossy(value)
        );
    };
    first(&[0; 121], "dead_lettered record_too_large");
    first(b"\x00\xff[", "dead_lettered unsupported_envelope");
    first(b"\xc3\x01\xff[", "dead_lettered unsupported_envelope");
    first(b"[[[[[\xff", "dead_lettered invalid_utf8");
    first(b"[[[[]]]", "dead_lettered invalid_json");
    first(b"[[[[]]]]", "dead_lettered nested_too_deep");
    first(
        br#"{"batch":[[[]]],"x":1}"#,
        "dead_lettered nested_too_deep",
    );
    first(
        br#"{"batch":[],"groupId":true}"#,
        "dead_lettered unsupported_envelope",
    );
    first(
        br#"{"type":"track","groupId":true,"traits":[]}"#,
        "ignored not_group",
    );
    first(
        br#"{"type":1,"groupId":true,"traits":[1]}"#,
        "dead_lettered missing_type",
    );
    first(
        br#"{"type":"group","traits":[]}"#,
        "dead_lettered missing_group_id",
    );
    first(
        br#"{"type":"group","groupId":true,"traits":[]}"#,
        "dead_lettered invalid_group_id",
    );
    first(
        br#"{"type":"group","groupId":"g","traits":[1,2]}"#,
        "dead_lettered traits_not_object",
    );
    first(
        br#"{"type":"group","groupId":"g","traits":{"a":1,"address":{"\ud800":1}}}"#,
        "dead_lettered too_many_traits",
    );
    first(
        br#"{"type":"group","groupId":"g","traits":{"a":1,"b":1},"integrations":{"\ud800":1}}"#,
        "dead_lettered too_many_traits",
    );
    first(
        br#"{"type":"group","groupId":"\ud800","traits":[]}"#,
        "dead_lettered invalid_string",
    );
}

#[test]
fn e14_the_event_stands_where_the_configuration_says() {
    let router = |place: &str, body: &str| {
        one(body)
            .changed(|routing| {
                let pointer = Pointer::parse(place).expect("a pointer");
                routing.event_at.insert(SOURCE.to_owned(), pointer);
            })
            .router()
    };
    let event = r#"{ "type":"group", "groupId":"g", "traits":{"a":1.0}, "x":"\u00e9" }"#;
    let text = serde_json::Value::from(event).to_string();
    for (place, value) in [
        ("/data", format!(r#"{{"type":"track","data":{event}}}"#)),
        ("/data", format!(r#"{{"data":{text}}}"#)),
        ("/a/1", format!(r#"{{"a":[0,{event}]}}"#)),
        ("", event.to_owned()),
        ("", text.clone()),
        ("/0", format!("[{event}]")),
    ] {
        // The bytes stay, and `raw` and `event` mean the event.
        check_with(&router(place, "${raw}"), &value, event);
        check_with(
            &router(place, "${event}"),
            &value,
            r#"{"type":"group","groupId":"g","traits":{"a":1.0},"x":"\u00e9"}"#,
        );
    }

    let router = router("/data", READ);
    for (value, expected) in [
        (
            r#"{"type":"group"}"#,
            "not_an_object (nothing at /data, but the record itself is a group event)",
        ),
        (r#"{"x":{}}"#, "not_an_object (nothing at /data)"),
        ("[]", "not_an_object (nothing at /data)"),
        ("1", "not_an_object (nothing at /data)"),
        (
            r#"{"data":null}"#,
            "not_an_object (null, in the event at /data)",
        ),
        (
            r#"{"data":[]}"#,
            "unsupported_envelope (an array: its events must be produced one a record, in the event at /data)",
        ),
        (
            r#"{"data":"group"}"#,
            "invalid_json (syntax error at line 1 column 1, in the event at /data)",
        ),
        (
            r#"{"data":{}}"#,
            "missing_type (absent, in the event at /data)",
        ),
        (
            r#"{"data":{"type":"group"}}"#,
            "missing_group_id (absent, in the event at /data)",
        ),
        (r#"{"data":"\ud800"}"#, "invalid_string (the text at /data)"),
        (
            r#"{"\ud800":1}"#,
            "invalid_string (a key on the way to /data)",
        ),
        (
            r#"{"data":{}"#,
            "invalid_json (ends too early at line 1 column 10)",
        ),
    ] {
        check_with(&router, value, &format!("dead_lettered {expected}"));
    }
    check_with(&router, r#"{"data":{"type":"track"}}"#, "ignored not_group");
    let deep = format!(
        r#"{{"data":{}"#,
        serde_json::Value::from("[".repeat(65) + &"]".repeat(65))
    );
    check_with(
        &router,
        deep + "}",
        "dead_lettered nested_too_deep (the limit is 64, in the event at /data)",
    );
}

#[test]
fn e14_each_topic_has_a_place_of_its_own_and_dead_letters_keep_the_record() {
    let router = one(READ)
        .changed(|routing| {
            routing.source_topics.push("plain".to_owned());
            let pointer = Pointer::parse("/data").expect("a pointer");
            routing.event_at.insert(SOURCE.to_owned(), pointer);
        })
        .router();
    let (event, envelope) = (
        r#"{"type":"group","groupId":"g"}"#,
        r#"{"data":{"type":"group","groupId":"g"}}"#,
    );
    let mut plain = record(Some(event.as_bytes()));
    plain.position.topic = "plain";
    assert_eq!(told(&router, &plain), r#"{"group":"g"}"#);
    let seen = route(&router, &record(Some(envelope.as_bytes())));
    let emission = seen.emissions.iter().next().expect("an emission");
    let id = emission.operation().expect("an operation").id;
    assert_eq!(id, "events/3/7/-1/d/op");
    let mut denying = one("${raw}").changed(|routing| {
        let pointer = Pointer::parse("/data").expect("a pointer");
        routing.event_at.insert(SOURCE.to_owned(), pointer);
    });
    denying.change_last(|instance| instance.traits.deny = vec!["email".to_owned()]);
    check_with(
        &denying.router(),
        r#"{"data":{"type":"group","groupId":"g","traits":{"a":1,"email":"e"}}}"#,
        r#"{"type":"group","groupId":"g","traits":{"a":1}} ~trait_denied:email"#,
    );
    let bad = r#"{ "data": {"type":"group"} }"#;
    let seen = route(&router, &record(Some(bad.as_bytes())));
    let letter = seen.emissions.iter().next().expect("a dead letter");
    assert_eq!(letter.value, Some(bad.as_bytes()));
}

#[test]
fn e16_ids_that_stand_for_none_are_counted_or_rejected() {
    let rejecting = one(READ)
        .changed(|routing| routing.limits.suspicious_ids = SuspiciousIds::Reject)
        .router();
    for word in [
        "undefined",
        "UNDEFINED",
        "null",
        "Null",
        "NaN",
        "nan",
        "[object Object]",
        " ",
        " undefined ",
        "\u{a0}",
    ] {
        check(
            format!(r#"{{"type":"group","groupId":"{word}"}}"#),
            &format!(r#"{{"group":"{word}"}} ~suspicious_id:groupId"#),
        );
        check_with(
            &rejecting,
            format!(r#"{{"type":"group","groupId":"{word}"}}"#),
            "dead_lettered suspicious_group_id (blank, or a word such as undefined) ~suspicious_id:groupId",
        );
        let event =
            format!(r#"{{"type":"group","groupId":"g","userId":"{word}","anonymousId":"a"}}"#);
        check(
            &event,
            &format!(
                r#"{{"group":"g","user":"{word}","anonymous":"a","member":"{word}"}} ~suspicious_id:userId"#
            ),
        );
        // Without a member, the event is sent all the same (E4).
        check_with(
            &rejecting,
            &event,
            r#"{"group":"g","anonymous":"a","member":"a"} ~suspicious_id:userId"#,
        );
    }
    for word in [
        "0",
        "none",
        "nullable",
        "object",
        "undefined-1",
        "[object]",
        "-",
    ] {
        let event = format!(r#"{{"type":"group","groupId":"{word}"}}"#);
        check_with(&rejecting, event, &format!(r#"{{"group":"{word}"}}"#));
    }
}

#[test]
fn e15_the_frame_of_a_schema_registry_is_passed_over() {
    let setup =
        |body: &str| one(body).changed(|routing| routing.source_format = SourceFormat::JsonSchema);
    let event = r#"{"type":"group","groupId":"g"}"#;
    let framed = [b"\x00\x00\x00\x00\x07", event.as_bytes()].concat();
    check_with(&setup(READ).router(), &framed, r#"{"group":"g"}"#);
    check_with(&setup("${raw}").router(), &framed, event);
    // A value without a frame is read as it is.
    check_with(&setup(READ).router(), event, r#"{"group":"g"}"#);
    // A dead letter keeps the frame.
    let bad = b"\x00\x00\x00\x00\x07{}";
    let seen = route(&setup(READ).router(), &record(Some(bad)));
    let letter = seen.emissions.iter().next().expect("a dead letter");
    assert_eq!(letter.value, Some(&bad[..]));
    check_with(
        &setup(READ).router(),
        b"\x00\x00\x00\x00\x07",
        "dead_lettered empty_value ()",
    );
    for avro in [&b"\x00\x00\x00\x00\x07\x02g"[..], b"\x00{}"] {
        let told = told(&setup(READ).router(), &record(Some(avro)));
        assert!(told.starts_with("dead_lettered"), "{told}");
    }
    // Only where the configuration says so.
    let told = told(&one(READ).router(), &record(Some(&framed)));
    assert!(
        told.starts_with("dead_lettered unsupported_envelope"),
        "{told}"
    );
    // An envelope can stand in the frame.
    let place = Pointer::parse("/data").expect("a pointer");
    let nested = setup(READ).changed(|routing| {
        routing.event_at.insert(SOURCE.to_owned(), place.clone());
    });
    let whole = [b"\x00\x00\x00\x00\x07", place.around(event).as_bytes()].concat();
    check_with(&nested.router(), &whole, r#"{"group":"g"}"#);
}
