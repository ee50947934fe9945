//! What explain says of single events, one row a case: what came from where, what an operation is due to, which flag decided.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use groupcast_core::event::Pointer;
use groupcast_core::explanation::{Explanation, Origin, explain};
use groupcast_core::record::Record;

use crate::routing::{SOURCE, Setup, one, record};

mod routing;

/// Returns the origins of the first operation, `place <- from`, with what became of what came.
fn origins(setup: Setup, event: &str) -> Vec<String> {
    let explanation = explain(&setup.router(), &record(Some(event.as_bytes())));
    let operation = &explanation.destinations[0]
        .operations
        .first()
        .expect("an operation leaves");
    let origins = operation
        .origins
        .iter()
        .filter(|origin| origin.place.starts_with('/'));
    origins.map(shown).collect()
}

fn shown(origin: &Origin) -> String {
    let converted = origin
        .conversion
        .as_ref()
        .map(|conversion| format!(" ({} > {})", conversion.came, conversion.became));
    format!(
        "{} <- {}{}",
        origin.place,
        origin.from.join(" "),
        converted.unwrap_or_default()
    )
}

fn event(traits: &str) -> String {
    format!(r#"{{"type":"group","groupId":"g1","traits":{{{traits}}}}}"#)
}

#[test]
fn each_place_is_of_the_value_that_it_was_made_of() {
    for (body, traits, expected) in [
        // As it came, whatever it is called on the way.
        (
            "{ n: \"${traits.name}\" }",
            r#""Name":"A""#,
            "/n <- traits.name",
        ),
        (
            "{ \"*\": \"${traits | case snake | prefix x_}\" }",
            r#""Total Billed":1.0"#,
            "/x_total_billed <- traits.Total Billed",
        ),
        (
            "{ \"*\": \"${traits | flatten .}\" }",
            r#""a":{"b":[1],"c":true}"#,
            "/a.b/0 <- traits.a.b.0;/a.c <- traits.a.c",
        ),
        // Converted.
        (
            "{ e: \"${traits.employees}\" }",
            r#""employees":"50""#,
            r#"/e <- traits.employees ("50" > 50)"#,
        ),
        (
            "{ d: \"${traits.website | domain}\" }",
            r#""website":"http://www.a.example/x""#,
            r#"/d <- traits.website ("http://www.a.example/x" > "a.example")"#,
        ),
        (
            "{ t: \"${traits.createdAt | unix_seconds}\" }",
            r#""created":"2015-02-23""#,
            r#"/t <- traits.createdAt ("2015-02-23" > 1424649600)"#,
        ),
        (
            "{ p: \"${traits.plan | truncate 1}\" }",
            r#""plan":"pro""#,
            r#"/p <- traits.plan ("pro" > "p")"#,
        ),
        // Of several values, and of the one that is there.
        (
            "{ s: \"${traits.a} ${traits.b}\" }",
            r#""a":"x","b":1"#,
            "/s <- traits.a traits.b",
        ),
        (
            "{ s: \"${traits.a ?? traits.b}\" }",
            r#""a":null,"b":1"#,
            "/s <- traits.b",
        ),
        // Nulls, by value and by name.
        (
            "{ \"*\": \"${traits}\" }",
            r#""plan":null"#,
            "/plan <- traits.plan",
        ),
        // Address parts, wherever they came from.
        (
            "{ z: \"${traits.address.postalCode}\" }",
            r#""zip":"94107""#,
            "/z <- traits.address.postalCode",
        ),
        // What lost goes nowhere, and what is the same for every event came from nowhere.
        (
            "{ n: \"${traits.name}\", c: 1 }",
            r#""NAME":"lost","name":"A""#,
            "/n <- traits.name",
        ),
        // A key that is made of a value.
        (
            "{ \"k-${traits.name}\": 1 }",
            r#""name":"A""#,
            "/k-A <- traits.name (\"A\" > 1)",
        ),
    ] {
        assert_eq!(
            origins(one(body), &event(traits)).join(";"),
            expected,
            "{body} {traits}"
        );
    }
}

#[test]
fn an_operation_is_due_to_what_it_does_not_hold() {
    let definition = "operations:\n  - { id: a, when: \"${traits.plan}\", request: POST /, body: { id: \"${groupId}\" } }\n  \
                      - { id: b, request: POST /, body: { id: \"${groupId}\" } }\n";
    let router = Setup::new().with("d", definition).router();
    let event = event(r#""Plan":"pro","name":"A""#);
    let explanation = explain(&router, &record(Some(event.as_bytes())));
    let due: Vec<_> = explanation.destinations[0]
        .operations
        .iter()
        .map(|operation| operation.due_to.join(" "))
        .collect();
    assert_eq!(due, ["traits.plan", ""]);
}

#[test]
fn the_records_timestamp_is_an_origin_where_the_event_has_no_time() {
    let router = one("{ t: \"${timestamp | unix_ms}\" }").router();
    let event = event("");
    let explanation = explain(
        &router,
        &Record {
            timestamp: Some(1_424_649_600_000),
            ..record(Some(event.as_bytes()))
        },
    );
    let origin = &explanation.destinations[0].operations[0].origins[0];
    assert_eq!(
        (origin.place.as_str(), origin.from.join(" ").as_str()),
        ("/t", "the record's timestamp")
    );
}

#[test]
fn a_skip_names_what_is_absent_and_each_operation_why_it_is_not_due() {
    for (definition, expected) in [
        (
            "operations: [{ id: a, require: \"${traits.name}\", request: POST /, body: { n: 1 } }]\n",
            "missing_required [name]",
        ),
        (
            "operations: [{ id: a, request: \"POST /${traits.plan}\", body: { n: 1 } }]\n",
            "missing_required [plan]",
        ),
        (
            "operations: [{ id: a, when: \"${member}\", request: POST /, body: { n: 1 } }]\n",
            "no_member [] a no_member",
        ),
        (
            "operations:\n  - { id: a, when: \"${traits.plan}\", request: POST /, body: { n: 1 } }\n  \
             - { id: b, request: POST /, body: { n: 1 } }\n",
            " [] a nothing_to_send",
        ),
    ] {
        let router = Setup::new().with("d", definition).router();
        let event = event("");
        let explanation = explain(&router, &record(Some(event.as_bytes())));
        let part = &explanation.destinations[0];
        let mut said = format!("{} [{}]", part.reason, part.missing.join(" "));
        for refused in part
            .refused
            .iter()
            .filter(|refused| refused.reason != "missing_required")
        {
            said.push_str(&format!(" {} {}", refused.operation, refused.reason));
        }
        assert_eq!(said, expected, "{definition}");
    }
}

fn decided(explanation: &Explanation) -> String {
    let part = &explanation.destinations[0];
    format!("{}: {}", part.outcome, part.decided_by.sentence)
}

#[test]
fn the_flag_that_decided_is_named_with_what_it_matched() {
    let definition = "name: Mix Panel\naliases: [MP]\noperations: [{ id: a, request: POST /, body: \"${event}\" }]\n";
    for (flags, expected) in [
        (r"{}", "emitted: no flag: the default, which is to send"),
        (
            r#"{"Mix Panel":false}"#,
            r#"skipped: flag "Mix Panel": false, its definition's name"#,
        ),
        (
            r#"{"MP":{"a":1},"All":false}"#,
            r#"emitted: flag "MP": options, an alias of its definition"#,
        ),
        (
            r#"{"mix-panel":true}"#,
            r#"emitted: flag "mix-panel": true, its name "Mix Panel" in another spelling"#,
        ),
        (
            r#"{"eu":false}"#,
            r#"skipped: flag "eu": false, this destination's own name"#,
        ),
        (
            r#"{"all":false}"#,
            r#"skipped: flag "all": false, as no flag names it"#,
        ),
    ] {
        let router = Setup::new().with("d", definition).named("eu").router();
        let event = format!(r#"{{"type":"group","groupId":"g1","integrations":{flags}}}"#);
        assert_eq!(
            decided(&explain(&router, &record(Some(event.as_bytes())))),
            expected,
            "{flags}"
        );
    }
}

#[test]
fn an_event_of_very_many_values_is_explained_without_origins() {
    let router = one("{ \"*\": \"${traits}\" }").router();
    let traits: Vec<String> = (0..9_000)
        .map(|index| format!(r#""trait {index}":{index}"#))
        .collect();
    let event = event(&traits.join(","));
    let explanation = explain(&router, &record(Some(event.as_bytes())));
    assert_eq!(
        (
            explanation.is_traced,
            explanation.destinations[0].operations.len()
        ),
        (false, 1)
    );
    let long = format!(
        r#"{{"type":"group","groupId":"g1","traits":{{"name":"{}"}}}}"#,
        "x".repeat(900_000)
    );
    assert!(explain(&router, &record(Some(long.as_bytes()))).is_traced);
}

#[test]
fn e7_traits_that_stand_elsewhere_are_pointed_out() {
    for (members, expected) in [
        (r#""properties":{"plan":"gold"}"#, Some("properties")),
        (
            r#""context":{"traits":{"plan":"gold"}}"#,
            Some("context.traits"),
        ),
        (
            r#""traits":{},"properties":{"plan":"gold"}"#,
            Some("properties"),
        ),
        (r#""traits":{"a":1},"properties":{"plan":"gold"}"#, None),
        (r#""properties":{},"context":{"traits":[]}"#, None),
        (r#""properties":"gold","context":null"#, None),
    ] {
        let event = format!(r#"{{"type":"group","groupId":"g1",{members}}}"#);
        let explanation = explain(&one("${traits}").router(), &record(Some(event.as_bytes())));
        let found = explanation.event.expect("an event").traits_elsewhere;
        assert_eq!(found, expected, "{members}");
    }
}

#[test]
fn e14_what_came_from_where_is_found_in_an_envelope_too() {
    let setup = one("{ n: \"${traits.name}\" }").changed(|routing| {
        let place = Pointer::parse("/data").expect("a pointer");
        routing.event_at.insert(SOURCE.to_owned(), place);
    });
    let text = serde_json::Value::from(event(r#""Name":"A""#));
    let envelope = format!(r#"{{"id":1,"data":{text}}}"#);
    assert_eq!(origins(setup, &envelope), ["/n <- traits.name"]);
}
