//! D: dates. Every form and fault of D2 and D3 has its row in `src/date.rs`; these are about which values are dates at all.

use crate::routing::{one, record, told};

#[track_caller]
fn check(body: &str, members: &str, expected: &str) {
    let event = format!(r#"{{"type":"group","groupId":"2015-02-23",{members}}}"#);
    assert_eq!(
        told(&one(body).router(), &record(Some(event.as_bytes()))),
        expected,
        "{body}"
    );
}

#[test]
fn d1_nothing_that_only_looks_like_a_date_is_touched() {
    let body = r#"{ g: "${groupId}", u: "${userId}", renewal: "${traits.renewal}", "*": "${traits.rest | dates unix_seconds}" }"#;
    check(
        body,
        r#""userId":1424649600,"traits":{"renewal":"2015-02-23","trialEnds":"2015-02-23T10:00:00+02:00","n":1424649600}"#,
        r#"{"g":"2015-02-23","u":"1424649600","renewal":"2015-02-23","trialEnds":"2015-02-23T10:00:00+02:00","n":1424649600}"#,
    );
}

#[test]
fn d1_created_at_the_time_and_what_a_filter_names_are_dates() {
    let body = r#"{ at: "${traits.createdAt | iso8601}", t: "${timestamp | date}", renewal: "${traits.renewal | unix_seconds}" }"#;
    check(
        body,
        r#""timestamp":"2015-02-23T23:30:00-01:00","traits":{"created_at":1424649600,"renewal":"2015-02-24"}"#,
        r#"{"at":"2015-02-23T00:00:00Z","t":"2015-02-24","renewal":1424736000}"#,
    );
    let spread = r#"{ "*": "${traits.rest | dates unix_seconds | case snake}" }"#;
    check(
        spread,
        r#""traits":{"Created":"2015-02-23","x":{"createdAt":"2015-02-23"}}"#,
        r#"{"created_at":1424649600,"x":{"createdAt":"2015-02-23"}}"#,
    );
}

#[test]
fn d2_seconds_below_a_thousand_years_and_milliseconds_from_there() {
    let body = r#"{ at: "${traits.createdAt | unix_ms}" }"#;
    for (value, expected) in [
        ("31557599999", "31557599999000"),
        ("31557600000", "31557600000"),
        (r#""-31557600000""#, "-31557600000"),
        (r#""1424649600.5""#, "1424649600500"),
    ] {
        check(
            body,
            &format!(r#""traits":{{"createdAt":{value}}}"#),
            &format!(r#"{{"at":{expected}}}"#),
        );
    }
}

#[test]
fn d3_what_is_no_date_does_not_fit() {
    for value in [
        r#""2021-02-30""#,
        r#""2021-01-01T24:00""#,
        r#""2021-01-01T10:00:60""#,
        r#""yesterday""#,
        "true",
        "[]",
    ] {
        let traits = format!(r#""traits":{{"createdAt":{value},"renewal":{value}}}"#);
        let left_out = |note: &str| format!(r#"{{"g":"2015-02-23"}} ~trait_type_mismatch:{note}"#);
        check(
            r#"{ g: "${groupId}", at: "${traits.createdAt | iso8601}" }"#,
            &traits,
            &left_out("createdAt"),
        );
        check(
            r#"{ g: "${groupId}", at: "${traits.renewal | iso8601}" }"#,
            &traits,
            &left_out("renewal"),
        );
        check(
            r#"{ g: "${groupId}", "*": "${traits | except renewal | dates date}" }"#,
            &traits,
            &left_out("createdAt"),
        );
        // Unless something makes it a date, it leaves as it came.
        check(
            r#"{ r: "${traits.renewal}" }"#,
            &traits,
            &format!(r#"{{"r":{value}}}"#),
        );
    }
}

#[test]
fn d4_each_destination_gets_its_own_unit() {
    for (filter, expected) in [
        ("iso8601", r#""2015-02-23T08:11:12.9870Z""#),
        ("unix_seconds", "1424679072"),
        ("unix_ms", "1424679072987"),
        ("date", r#""2015-02-23""#),
    ] {
        let members = r#""traits":{"createdAt":"2015-02-23T10:11:12.9870+02:00"}"#;
        check(
            &format!("{{ at: \"${{traits.createdAt | {filter}}}\" }}"),
            members,
            &format!(r#"{{"at":{expected}}}"#),
        );
        check(
            &format!("{{ \"*\": \"${{traits | dates {filter}}}\" }}"),
            members,
            &format!(r#"{{"createdAt":{expected}}}"#),
        );
    }
    // Towards the past, before 1970 too.
    check(
        "{ at: \"${traits.createdAt | unix_seconds}\" }",
        r#""traits":{"createdAt":"1969-12-31T23:59:59.5Z"}"#,
        r#"{"at":-1}"#,
    );
}
