//! What is done with a definition that was accepted.

use std::sync::Arc;

use groupcast_core::destination::Definition;
use groupcast_core::envelope::Emissions;
use groupcast_core::examples;
use groupcast_core::record::{Position, Record};
use groupcast_core::router::{DefaultLimits, Scratch};
use serde_json::value::RawValue;

use super::routers;

const EVENTS: [&str; 4] = [
    r#"{"type":"group","groupId":"g1"}"#,
    r#"{"type":"group","groupId":7,"userId":"u","timestamp":"2026-01-31T08:00:00.5+02:00","integrations":{"Fuzz":{"list":[1]}},"context":{"ip":"1.2.3.4","traits":{"a":{"b":1}}},"traits":{"name":"Ünïcode \ud83d\ude00","plan":null,"employees":"50","createdAt":1577836800,"address":{"city":"X","zip":1},"a.b":{"c":[1,2.50,{"d":""}]},"tags":["x","y",null],"Total Billed":1e3,"total_billed":2,"email":"a@b.example","website":"https://x.example/y"}}"#,
    r#"{"type":"group","groupId":"","anonymousId":0,"traits":{"address":"one line","state":"s","city":null,"$x":"\ud800"}}"#,
    r#"{"type":"group","groupId":"g","traits":{"a":{"a":{"a":[[[{}]]]}},"":"","_":"","A":true,"longlonglonglonglonglonglonglong":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}"#,
];

/// Runs its examples, and routes events that hold something of everything.
pub fn exercise(definition: Definition) {
    let definition = Arc::new(definition);
    drop(examples::check(&definition));
    let Some(router) = routers::one(definition) else {
        return;
    };
    let (mut scratch, mut emissions) = (Scratch::default(), Emissions::default());
    for event in EVENTS {
        let position = Position::first(routers::TOPIC);
        let record = Record::new(position, Some(event.as_bytes()));
        emissions.clear();
        router.route(
            &record,
            &DefaultLimits,
            &mut scratch,
            &mut emissions,
            &mut (),
        );
        for emission in emissions.iter() {
            let Some(operation) = emission.operation() else {
                continue;
            };
            serde_json::from_slice::<&RawValue>(operation.body).expect("a body is JSON");
            assert!(
                operation
                    .request
                    .bytes()
                    .all(|byte| matches!(byte, b' '..=b'~')),
                "a request is one line"
            );
        }
    }
}
