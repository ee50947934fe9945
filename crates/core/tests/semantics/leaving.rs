//! K: what leaves, byte for byte: topics, keys, headers, envelopes, dead letters.

use groupcast_core::destination::Catalogue;
use groupcast_core::destination::Membership;
use groupcast_core::envelope::{Emission, Format, Partition, TopicId};
use groupcast_core::record::{Position, Record, Traceparent};
use groupcast_core::router::{DefaultLimits, Router, TopicLimits};
use groupcast_core::selection::Replay;

use crate::routing::{
    SOURCE, Seen, Setup, in_words, one, operation, record, route, route_within, text, told,
    topic_id,
};

const EVENT: &[u8] =
    br#"{"type":"group","groupId":"g 1","userId":"u1","traits":{"name":"Initech"}}"#;

/// Two operations of two kinds, as `definition.operation` and so on show them.
const TWO: &str = r#"operations:
  - { id: group.set, request: "PUT /groups/${groupId}?by=${member}", body: { id: "${groupId}" } }
  - { id: member.add, key: member, request: POST /members, body: { id: "${member}" } }
"#;

/// Writes a record as `topic key partition headers value`, absent parts as `-`.
fn shown(router: &Router, emission: &Emission<'_>) -> String {
    let bytes = |bytes: Option<&[u8]>| {
        bytes.map_or("-".to_owned(), |bytes| {
            String::from_utf8_lossy(bytes).into_owned()
        })
    };
    let headers: Vec<String> = emission
        .headers()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    let headers = if headers.is_empty() {
        "-".to_owned()
    } else {
        headers.join(";")
    };
    let partition = match emission.partition {
        Partition::ByKey => "murmur2".to_owned(),
        Partition::AsSource(partition) => format!("as {partition}"),
    };
    let topic = &router.topics()[emission.topic.0];
    [
        topic.clone(),
        bytes(emission.key),
        partition,
        headers,
        bytes(emission.value),
    ]
    .join(" ¦ ")
}

#[track_caller]
fn check(router: &Router, record: &Record<'_>, expected: &[&str]) {
    check_seen(router, &route(router, record), expected);
}

#[track_caller]
fn check_seen(router: &Router, seen: &Seen, expected: &[&str]) {
    let records: Vec<String> = seen
        .emissions
        .iter()
        .map(|emission| shown(router, &emission))
        .collect();
    assert_eq!(records, expected);
}

fn source_record() -> Record<'static> {
    Record {
        timestamp: Some(1_577_836_800_001),
        key: Some(b"source key"),
        ..record(Some(EVENT))
    }
}

#[test]
fn k1_a_topic_per_instance_and_never_from_the_event() {
    let mut setup = Setup::new()
        .with("d", &operation("1"))
        .with("d", &operation("2"))
        .named("eu")
        .with("d", &operation("3"));
    setup.change_last(|instance| instance.topic = Some("out".to_owned()));
    let mut setup = setup
        .with("e", &operation("4"))
        .changed(|routing| routing.source_topics.push("more".to_owned()));
    setup.change_last(|instance| {
        instance.topic = Some("x-{instance}-of-{source_topic}-{source_topic}".to_owned())
    });
    let router = setup.router();
    let topics_of = |topic: &'static str| {
        let event =
            br#"{"type":"group","groupId":"evil.topic","traits":{"topic":"evil"},"topic":"evil"}"#;
        let record = Record {
            position: Position::first(topic),
            ..record(Some(event))
        };
        let seen = route(&router, &record);
        seen.emissions
            .iter()
            .map(|emission| router.topics()[emission.topic.0].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        topics_of(SOURCE),
        ["events.d", "events.eu", "out", "x-e-of-events-events"]
    );
    assert_eq!(
        topics_of("more"),
        ["more.d", "more.eu", "out", "x-e-of-more-more"]
    );
    let all = [
        "events.d",
        "events.eu",
        "out",
        "x-e-of-events-events",
        "events.dead",
        "more.d",
        "more.eu",
        "x-e-of-more-more",
        "more.dead",
    ];
    assert_eq!(router.topics(), all);
    assert_eq!(
        router.destination_names().collect::<Vec<_>>(),
        ["d", "eu", "d", "e"]
    );
}

#[test]
fn k2_one_record_an_operation_in_order() {
    let router = Setup::new()
        .with("a", TWO)
        .with("b", &operation("[1, \"${groupId}\"]"))
        .router();
    let seen = route(&router, &source_record());
    let told: Vec<String> = seen
        .emissions
        .iter()
        .map(|emission| {
            let (destination, operation) =
                (emission.destination.unwrap(), emission.operation().unwrap());
            let id = router.operation_id(destination, operation.index);
            format!(
                "{destination} {id} {} {} {}",
                operation.id,
                operation.request,
                text(operation.body)
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"0 group.set events/3/7/1577836800001/a/group.set PUT /groups/g%201?by=u1 {"id":"g 1"}"#,
            r#"0 member.add events/3/7/1577836800001/a/member.add POST /members {"id":"u1"}"#,
            r#"1 op events/3/7/1577836800001/b/op POST / [1,"g 1"]"#,
        ]
    );
    assert_eq!(router.operation_id(9, 0), "");
    assert_eq!(router.operation_id(0, 9), "");
}

#[test]
fn k2_records_are_found_one_by_one_as_they_stand() {
    for (format, has_headers) in [
        (Format::Structured, false),
        (Format::Binary, true),
        (Format::Body, false),
    ] {
        let router = Setup::new()
            .with("a", TWO)
            .changed(|routing| routing.format = format)
            .router();
        let mut emissions = route(&router, &source_record()).emissions;
        let id = |emission: Emission<'_>| emission.operation().expect("an operation").id.to_owned();
        let ids: Vec<String> = emissions.iter().map(id).collect();
        assert_eq!(
            (emissions.len(), emissions.is_empty(), ids.len()),
            (2, false, 2)
        );
        for (index, expected) in ids.iter().enumerate() {
            assert_eq!(emissions.get(index).map(id).as_ref(), Some(expected));
            assert_eq!(emissions.has_headers(index), has_headers);
        }
        assert!(emissions.get(2).is_none() && !emissions.has_headers(2));
        assert!(emissions.topics().eq([topic_id(&router, "events.a"); 2]));
        let written: usize = emissions
            .iter()
            .map(|emission| emission.value.map_or(0, <[u8]>::len))
            .sum();
        assert!(
            emissions.bytes() >= written,
            "{} {written}",
            emissions.bytes()
        );
        emissions.clear();
        assert_eq!(
            (emissions.len(), emissions.is_empty(), emissions.bytes()),
            (0, true, 0)
        );
    }
}

#[test]
fn k3_the_key_is_the_group_unless_the_operation_says_member() {
    let router = Setup::new()
        .with("d", TWO)
        .changed(|routing| routing.format = Format::Body)
        .router();
    check(
        &router,
        &source_record(),
        &[
            r#"events.d ¦ g 1 ¦ murmur2 ¦ - ¦ {"id":"g 1"}"#,
            r#"events.d ¦ u1 ¦ murmur2 ¦ - ¦ {"id":"u1"}"#,
        ],
    );
    let event = br#"{"type":"group","groupId":1.0,"userId":"","anonymousId":"a\u00e9"}"#;
    check(
        &router,
        &record(Some(event)),
        &[
            r#"events.d ¦ 1.0 ¦ murmur2 ¦ - ¦ {"id":"1.0"}"#,
            r#"events.d ¦ aé ¦ murmur2 ¦ - ¦ {"id":"a\u00e9"}"#,
        ],
    );
    // Whoever has no member is keyed by group.
    let text = "operations:\n  - { id: op, key: member, request: POST /, body: 1 }\n";
    let router = Setup::new()
        .with("d", text)
        .changed(|routing| routing.format = Format::Body)
        .router();
    check(
        &router,
        &record(Some(br#"{"type":"group","groupId":"g"}"#)),
        &["events.d ¦ g ¦ murmur2 ¦ - ¦ 1"],
    );
}

#[test]
fn k4_structured_is_a_cloud_event_without_headers() {
    let router = Setup::new().with("a", TWO).named("b").router();
    check(
        &router,
        &source_record(),
        &[
            r#"events.b ¦ g 1 ¦ murmur2 ¦ - ¦ {"specversion":"1.0","id":"events/3/7/1577836800001/b/group.set","source":"groupcast","type":"a.group.set","request":"PUT /groups/g%201?by=u1","data":{"id":"g 1"}}"#,
            r#"events.b ¦ u1 ¦ murmur2 ¦ - ¦ {"specversion":"1.0","id":"events/3/7/1577836800001/b/member.add","source":"groupcast","type":"a.member.add","request":"POST /members","data":{"id":"u1"}}"#,
        ],
    );
}

#[test]
fn k4_binary_has_the_attributes_in_headers() {
    let router = one("{ id: \"${groupId}\" }")
        .changed(|routing| routing.format = Format::Binary)
        .router();
    check(
        &router,
        &source_record(),
        &[
            r#"events.d ¦ g 1 ¦ murmur2 ¦ ce_specversion=1.0;ce_id=events/3/7/1577836800001/d/op;ce_source=groupcast;ce_type=d.op;ce_request=POST /;content-type=application/json ¦ {"id":"g 1"}"#,
        ],
    );
}

#[test]
fn k4_body_is_the_body_alone() {
    let router = one("{ id: \"${groupId}\" }")
        .changed(|routing| routing.format = Format::Body)
        .router();
    let record = Record {
        traceparent: trace(),
        ..source_record()
    };
    check(
        &router,
        &record,
        &[r#"events.d ¦ g 1 ¦ murmur2 ¦ - ¦ {"id":"g 1"}"#],
    );
}

/// Returns a valid trace context.
fn trace() -> Option<Traceparent> {
    Traceparent::first([b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".as_slice()])
}

#[test]
fn k4_traceparent_and_replay_are_attributes() {
    let setup = || {
        one("1").changed(|routing| {
            routing.replay = Some(Replay {
                name: "re \"1\"".to_owned(),
                ..Replay::default()
            })
        })
    };
    let record = Record {
        traceparent: trace(),
        ..source_record()
    };
    check(
        &setup().router(),
        &record,
        &[
            r#"events.d ¦ g 1 ¦ murmur2 ¦ - ¦ {"specversion":"1.0","id":"events/3/7/1577836800001/d/op","source":"groupcast","type":"d.op","request":"POST /","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","replay":"re \"1\"","data":1}"#,
        ],
    );
    check(
        &setup()
            .changed(|routing| routing.format = Format::Binary)
            .router(),
        &record,
        &[
            r#"events.d ¦ g 1 ¦ murmur2 ¦ ce_specversion=1.0;ce_id=events/3/7/1577836800001/d/op;ce_source=groupcast;ce_type=d.op;ce_request=POST /;ce_traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01;ce_replay=re "1";content-type=application/json ¦ 1"#,
        ],
    );
}

#[test]
fn k4_the_id_is_made_of_the_position_and_nothing_else() {
    let id_of = |router: &Router, record: &Record<'_>| {
        let seen = route(router, record);
        seen.emissions
            .iter()
            .next()
            .unwrap()
            .operation()
            .unwrap()
            .id
            .to_owned()
    };
    let router = one("1").router();
    let original = id_of(&router, &source_record());
    assert_eq!(original, "events/3/7/1577836800001/d/op");
    assert_eq!(
        id_of(
            &one("2")
                .changed(|routing| routing.replay = Some(Replay {
                    name: "r".to_owned(),
                    ..Replay::default()
                }))
                .router(),
            &source_record()
        ),
        original
    );
    let other_value = br#"{"type":"group","groupId":"other"}"#;
    assert_eq!(
        id_of(
            &router,
            &Record {
                value: Some(other_value),
                key: None,
                traceparent: trace(),
                ..source_record()
            }
        ),
        original
    );
    assert_eq!(
        id_of(
            &router,
            &Record {
                timestamp: None,
                ..source_record()
            }
        ),
        "events/3/7/-1/d/op"
    );
    let position = |partition, offset| Record {
        position: Position {
            topic: SOURCE,
            partition,
            offset,
        },
        ..source_record()
    };
    assert_eq!(
        id_of(&router, &position(0, 8)),
        "events/0/8/1577836800001/d/op"
    );
}

#[test]
fn k4_values_in_a_request_are_one_segment_each() {
    let text = "settings: { key: { type: string, default: \"a b/\\\"c\" } }
operations:
  - { id: op, request: \"PUT /x/${settings.key}/${groupId}?n=${traits.name}\", body: 1 }
";
    let router = Setup::new()
        .with("d", text)
        .changed(|routing| routing.format = Format::Body)
        .router();
    let request_of = |event: &str| {
        let seen = route(&router, &record(Some(event.as_bytes())));
        seen.emissions
            .iter()
            .next()
            .unwrap()
            .operation()
            .unwrap()
            .request
            .to_owned()
    };
    let event = r#"{"type":"group","groupId":"a/b?c&d=é \"%.~-_","traits":{"name":7}}"#;
    assert_eq!(
        request_of(event),
        "PUT /x/a%20b%2F%22c/a%2Fb%3Fc%26d%3D%C3%A9%20%22%25.~-_?n=7"
    );
    assert_eq!(
        told(&router, &record(Some(br#"{"type":"group","groupId":"g"}"#))),
        "skipped missing_required"
    );
}

#[test]
fn k5_an_events_records_keep_the_order_of_input() {
    let router = Setup::new()
        .with("d", TWO)
        .changed(|routing| routing.format = Format::Body)
        .router();
    let mut emissions = groupcast_core::envelope::Emissions::default();
    let mut scratch = groupcast_core::router::Scratch::default();
    for group in ["1", "2", "1"] {
        let event = format!(r#"{{"type":"group","groupId":"{group}","userId":"u{group}"}}"#);
        router.route(
            &record(Some(event.as_bytes())),
            &DefaultLimits,
            &mut scratch,
            &mut emissions,
            &mut (),
        );
    }
    let bodies: Vec<&str> = emissions
        .iter()
        .map(|emission| text(emission.value.unwrap()))
        .collect();
    assert_eq!(
        bodies,
        ["1", "u1", "2", "u2", "1", "u1"].map(|id| format!(r#"{{"id":"{id}"}}"#))
    );
}

#[test]
fn k6_a_destination_of_one_group_a_member_is_keyed_by_member() {
    let text = format!("membership: one\n{TWO}");
    let router = Setup::new().with("d", &text).router();
    let seen = route(&router, &source_record());
    assert_eq!(
        seen.emissions
            .iter()
            .map(|emission| text_of(emission.key))
            .collect::<Vec<_>>(),
        ["g 1", "u1"]
    );
    for definition in Catalogue::built_in()
        .iter()
        .filter(|definition| definition.membership == Membership::One)
    {
        assert!(
            definition
                .operations
                .iter()
                .any(|operation| operation.is_keyed_by_member),
            "{}",
            definition.id
        );
    }
}

fn text_of(bytes: Option<&[u8]>) -> &str {
    text(bytes.expect("bytes"))
}

#[test]
fn k7_a_dead_letter_has_the_source_untouched_and_says_why() {
    let router = one("1").router();
    let value = b"\xff\x01not json";
    let bad = Record {
        value: Some(value),
        key: Some(b"\xfe"),
        ..source_record()
    };
    let seen = route(&router, &bad);
    let letter = seen.emissions.iter().next().unwrap();
    assert_eq!((letter.key, letter.value), (bad.key, bad.value));
    assert_eq!(
        (
            letter.destination,
            letter.operation().is_none(),
            letter.partition
        ),
        (None, true, Partition::AsSource(3))
    );
    assert_eq!(router.topics()[letter.topic.0], "events.dead");
    let headers: Vec<String> = letter
        .headers()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    assert_eq!(
        headers,
        [
            "reason=invalid_utf8",
            "detail=first invalid byte at 0",
            "source_topic=events",
            "source_partition=3",
            "source_offset=7",
            "source_timestamp=1577836800001",
        ]
    );
    check(
        &router,
        &Record {
            traceparent: trace(),
            ..record(Some(b"1"))
        },
        &[
            "events.dead ¦ - ¦ as 3 ¦ reason=not_an_object;detail=a number;source_topic=events;source_partition=3;source_offset=7;traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ¦ 1",
        ],
    );
    check(
        &router,
        &record(Some(b"1")),
        &[
            "events.dead ¦ - ¦ as 3 ¦ reason=not_an_object;detail=a number;source_topic=events;source_partition=3;source_offset=7 ¦ 1",
        ],
    );
}

#[test]
fn k7_their_topic_is_configuration() {
    let setup = || one("1").changed(|routing| routing.source_topics.push("more".to_owned()));
    let topics = |topic: &str| {
        let router = setup()
            .changed(|routing| routing.dead_letters.topic = Some(topic.to_owned()))
            .router();
        ["events", "more"].map(|topic| {
            let record = Record {
                position: Position::first(topic),
                ..record(Some(b"1"))
            };
            let seen = route(&router, &record);
            router.topics()[seen.emissions.iter().next().unwrap().topic.0].clone()
        })
    };
    assert_eq!(topics("dead"), ["dead", "dead"]);
    assert_eq!(topics("{source_topic}-dlq"), ["events-dlq", "more-dlq"]);
}

#[test]
fn k7_events_can_be_left_to_another_groupcast() {
    let setup = || {
        Setup::new()
            .with("d", &operation("{ ip: \"${context.ip}\" }"))
            .changed(|routing| routing.dead_letters.events = false)
    };
    let seen = route(&setup().router(), &record(Some(b"1")));
    assert_eq!(
        seen.verdict.unwrap().labels(),
        ("dead_lettered", "not_an_object")
    );
    assert!(seen.emissions.is_empty());
    // A destination's own are written all the same.
    let event = br#"{"type":"group","groupId":"g","context":{"\ud800":1}}"#;
    assert_eq!(
        route(&setup().router(), &record(Some(event)))
            .emissions
            .len(),
        1
    );
}

/// A router whose topics `events.d` and `events.dead` take that many bytes.
struct Limited {
    router: Router,
    operations: usize,
    dead: usize,
}

fn limited(setup: Setup, operations: usize, dead: usize) -> Limited {
    Limited {
        router: setup.router(),
        operations,
        dead,
    }
}

impl TopicLimits for Limited {
    fn max_bytes(&self, topic: TopicId) -> usize {
        match self.router.topics()[topic.0].as_str() {
            "events.d" => self.operations,
            "events.dead" => self.dead,
            _ => DefaultLimits.max_bytes(topic),
        }
    }
}

impl Limited {
    fn route(&self, record: &Record<'_>) -> Seen {
        route_within(&self.router, self, record)
    }

    fn told(&self, record: &Record<'_>) -> String {
        in_words(self.route(record))
    }

    #[track_caller]
    fn check(&self, record: &Record<'_>, expected: &[&str]) {
        check_seen(&self.router, &self.route(record), expected);
    }
}

#[test]
fn k7_an_unfit_operation_withholds_all_of_its_destination() {
    let text = "operations:\n  - { id: small, request: POST /, body: 1 }\n  - { id: large, request: POST /, body: \"${traits}\" }\n  - { id: last, request: POST /, body: 3 }\n";
    let setup = Setup::new()
        .with("d", text)
        .with("other", &operation("2"))
        .changed(|routing| routing.format = Format::Body);
    let router = limited(setup, 150, 10_000);
    let event = format!(
        r#"{{"type":"group","groupId":"g","traits":{{"x":"{}"}}}}"#,
        "x".repeat(100)
    );
    let headers = "reason=too_large;detail=operation large;source_topic=events;source_partition=3;source_offset=7;destination=d";
    router.check(
        &record(Some(event.as_bytes())),
        &[
            &format!("events.dead ¦ - ¦ as 3 ¦ {headers} ¦ {event}"),
            "events.other ¦ g ¦ murmur2 ¦ - ¦ 2",
        ],
    );
    assert_eq!(
        router.told(&record(Some(event.as_bytes()))),
        "dead_lettered too_large 2"
    );
}

#[test]
fn k7_an_item_may_be_as_large_as_its_vendor_takes() {
    for batch in [
        "{ item_bytes: 9 }",
        "{ bytes: 9 }",
        "{ bytes: 99, item_bytes: 9 }",
    ] {
        let text = format!(
            "operations:\n  - {{ id: op, request: POST /, batch: {batch}, body: {{ a: \"${{groupId}}\" }} }}\n"
        );
        let router = Setup::new().with("d", &text).router();
        let told_of = |id: &str| {
            let event = format!(r#"{{"type":"group","groupId":"{id}"}}"#);
            told(&router, &record(Some(event.as_bytes())))
        };
        assert_eq!(told_of("g"), r#"{"a":"g"}"#);
        assert_eq!(told_of("gg"), "dead_lettered too_large");
    }
}

#[test]
fn k7_an_operation_may_be_as_large_as_its_topic_takes() {
    for format in [Format::Structured, Format::Binary, Format::Body] {
        let setup = || one("{ id: \"${groupId}\" }").changed(|routing| routing.format = format);
        let seen = route(&setup().router(), &source_record());
        let emission = seen.emissions.iter().next().unwrap();
        let size = emission.size();
        let contents = emission.key.unwrap().len() + emission.value.unwrap().len();
        let headers: usize = emission
            .headers()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        // A batch of one adds 61 bytes, a record at most 21, a header two lengths.
        assert!(size >= contents + headers + 61 + 21, "{size}");
        assert!(
            size <= contents + headers + 100 + 10 * emission.headers().len(),
            "{size}"
        );
        assert_eq!(
            limited(setup(), size, 10_000).told(&source_record()),
            r#"{"id":"g 1"}"#
        );
        assert_eq!(
            limited(setup(), size - 1, 10_000).told(&source_record()),
            "dead_lettered too_large"
        );
    }
}

#[test]
fn k7_a_dead_letter_wants_its_sources_partition_as_far_as_its_topic_has_it() {
    let of = |partition: Partition, partitions| partition.of(partitions);
    assert_eq!(
        [6, 8, 9].map(|partitions| of(Partition::AsSource(7), partitions)),
        [Some(1), Some(7), Some(7)]
    );
    assert_eq!(of(Partition::AsSource(7), 0), None);
    assert_eq!(of(Partition::ByKey, 6), None);
}

#[test]
fn k7_what_does_not_fit_a_dead_letter_is_left_out_and_says_so() {
    let headers = "reason=not_an_object;detail=a string;source_topic=events;source_partition=3;source_offset=7";
    let value = format!("\"{}\"", "v".repeat(198));
    let key = [b'k'; 100];
    let bad = Record {
        key: Some(&key),
        ..record(Some(value.as_bytes()))
    };
    let keys = text(&key);
    let whole = format!("events.dead ¦ {keys} ¦ as 3 ¦ {headers} ¦ {value}");
    limited(one("1"), 1, 1_000).check(&bad, &[&whole]);
    let without_value = format!("events.dead ¦ {keys} ¦ as 3 ¦ {headers};value_omitted=200 ¦ -");
    limited(one("1"), 1, 500).check(&bad, &[&without_value]);
    let without_both =
        format!("events.dead ¦ - ¦ as 3 ¦ {headers};key_omitted=100;value_omitted=200 ¦ -");
    limited(one("1"), 1, 350).check(&bad, &[&without_both]);
    limited(one("1"), 1, 0).check(&bad, &[&without_both]);
    let small = Record {
        value: Some(b"1"),
        ..bad
    };
    let without_key = format!(
        "events.dead ¦ - ¦ as 3 ¦ {};key_omitted=100 ¦ 1",
        headers.replace("a string", "a number")
    );
    limited(one("1"), 1, 350).check(&small, &[&without_key]);
    // Whatever the limit, what is written fits it, as long as the headers do; and it is whole where that fits beside them.
    let mut least = None;
    for limit in 400..1_000 {
        let seen = limited(one("1"), 1, limit).route(&bad);
        let letter = seen.emissions.iter().next().unwrap();
        assert!(letter.size() <= limit, "{} {limit}", letter.size());
        if letter.value.is_some() {
            least = least.or(Some((limit, letter.size() + ROOM_TO_SAY_SO)));
        }
        assert_eq!(letter.value.is_some(), least.is_some(), "{limit}");
    }
    assert!(
        least.is_some_and(|(limit, expected)| limit == expected),
        "{least:?}"
    );
}

/// What is kept for the two headers that say what was left out.
const ROOM_TO_SAY_SO: usize = 64;

#[test]
fn k4_a_value_stays_in_its_segment_of_the_path() {
    let check = |request: &str, traits: &str, expected: &str| {
        let definition =
            format!("operations:\n  - {{ id: op, request: \"{request}\", body: 1 }}\n");
        let event = format!(r#"{{"type":"group","groupId":"..","traits":{traits}}}"#);
        let router = Setup::new().with("d", &definition).router();
        let seen = route(&router, &record(Some(event.as_bytes())));
        let emission = seen.emissions.iter().next().expect("an emission");
        let header = |name: &str| {
            let header = emission.headers().find(|(header, _)| *header == name);
            text(header.expect("a header").1).to_owned()
        };
        let found = match emission.operation() {
            Some(operation) => operation.request.to_owned(),
            None => format!("{} ({})", header("reason"), header("detail")),
        };
        assert_eq!(found, expected, "{request} {traits}");
    };
    const UNSAFE: &str = "unsafe_path (operation op)";
    check("PATCH /a/${groupId}", "{}", UNSAFE);
    for value in [
        "..",
        ".",
        "",
        "%2e%2e",
        "%2E.",
        ".%2e",
        "%2e",
        "%252e%252E",
        "%25252e.",
    ] {
        let traits = format!(r#"{{"x":"{value}"}}"#);
        for request in [
            "PUT /a/${traits.x}",
            "PUT /${traits.x}/b",
            "PUT /a/${traits.x}?y=1",
        ] {
            check(request, &traits, UNSAFE);
        }
    }
    // Several make a segment together.
    check("PUT /a/.${traits.x}", r#"{"x":"."}"#, UNSAFE);
    check(
        "PUT /a/${traits.x}${traits.y}",
        r#"{"x":".","y":""}"#,
        UNSAFE,
    );
    for (request, traits, expected) in [
        ("PUT /a/${traits.x}", r#"{"x":"..."}"#, "PUT /a/..."),
        ("PUT /a/${traits.x}", r#"{"x":"../b"}"#, "PUT /a/..%2Fb"),
        ("PUT /a/${traits.x}", r#"{"x":"%"}"#, "PUT /a/%25"),
        ("PUT /a/${traits.x}", r#"{"x":"%2"}"#, "PUT /a/%252"),
        ("PUT /a/${traits.x}", r#"{"x":".é"}"#, "PUT /a/.%C3%A9"),
        ("PUT /a/id.${traits.x}", r#"{"x":""}"#, "PUT /a/id."),
        ("PUT /a/${traits.x}.json", r#"{"x":""}"#, "PUT /a/.json"),
        // A query has no segments, and what the definition itself writes is its own business.
        ("PUT /a?b=${traits.x}", r#"{"x":".."}"#, "PUT /a?b=.."),
        ("PUT /a?b=/${traits.x}", r#"{"x":""}"#, "PUT /a?b=/"),
        ("PUT /a//../${traits.x}", r#"{"x":"x"}"#, "PUT /a//../x"),
    ] {
        check(request, traits, expected);
    }
}
