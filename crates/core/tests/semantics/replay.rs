//! R: what a replay and a redrive take, and what they leave out. Each way to select has its row in `src/selection.rs`, the latest state of
//! a group those in `src/latest.rs`; these are about what leaves.

use groupcast_core::record::{Letter, Position, Record, Traceparent};
use groupcast_core::router::Router;
use groupcast_core::selection::{Groups, Letters, Replay, Selection, Wanted};

use crate::routing::{Setup, operation, record, route, text, told};

const EVENT: &str =
    r#"{"type":"group","groupId":"g","userId":"u","traits":{"Monthly Spend":12.50}}"#;

/// Destinations `one` and `two`, whose bodies are their names, and a replay.
fn router(replay: Replay) -> Router {
    let setup = Setup::new()
        .with("one", &operation("One"))
        .with("two", &operation("Two"));
    setup
        .changed(|routing| routing.replay = Some(replay))
        .router()
}

fn select(selection: Selection) -> Replay {
    Replay {
        name: "r".to_owned(),
        selection,
        ..Replay::default()
    }
}

fn redrive(letters: Letters) -> Replay {
    Replay {
        name: "r".to_owned(),
        letters: Some(letters),
        ..Replay::default()
    }
}

const LETTER: Letter<'_> = Letter {
    reason: "too_large",
    detail: "",
    source: Position {
        topic: "events",
        partition: 3,
        offset: 7,
    },
    timestamp: Some(5),
    destination: Some("two"),
    attempts: 0,
    is_cut: false,
};

fn letter(letter: Option<Letter<'static>>, value: &'static str) -> Record<'static> {
    let position = Position {
        topic: "events.dead",
        partition: 0,
        offset: 1,
    };
    Record {
        position,
        letter,
        ..record(Some(value.as_bytes()))
    }
}

fn letters() -> Letters {
    Letters {
        max_attempts: 3,
        ..Letters::default()
    }
}

#[test]
fn r1_what_is_not_selected_is_ignored() {
    let wanted = |text: &str| Selection {
        wanted: vec![Wanted::parse(text).expect("a place")],
        ..Selection::default()
    };
    let groups = |id: &str| Selection {
        group_ids: vec![id.to_owned()],
        ..Selection::default()
    };
    let users = |id: &str| Selection {
        user_ids: vec![id.to_owned()],
        ..Selection::default()
    };
    for (selection, is_taken) in [
        (wanted("traits.monthly_spend=12.50"), true),
        (wanted("traits.monthly_spend=12.5"), false),
        (groups("g"), true),
        (groups("h"), false),
        (users("u"), true),
        (users("v"), false),
    ] {
        let expected = if is_taken {
            r#""One" "Two""#
        } else {
            "ignored not_selected"
        };
        assert_eq!(
            told(
                &router(select(selection.clone())),
                &record(Some(EVENT.as_bytes()))
            ),
            expected,
            "{selection:?}"
        );
    }
}

#[test]
fn r2_a_group_with_newer_events_is_ignored() {
    let mut superseded = Groups::default();
    superseded.add("g");
    let router = router(select(Selection {
        superseded,
        ..Selection::default()
    }));
    assert_eq!(
        told(&router, &record(Some(EVENT.as_bytes()))),
        "ignored superseded"
    );
    assert_eq!(
        told(&router, &record(Some(br#"{"type":"group","groupId":"h"}"#))),
        r#""One" "Two""#
    );
}

#[test]
fn r3_what_adds_is_left_out_unless_asked_for() {
    let both = "operations:\n  - { id: set, request: POST /, body: 1 }\n  - { id: add, idempotent: false, request: POST /, body: 2 }\n";
    let add = "operations:\n  - { id: add, idempotent: false, request: POST /, body: 3 }\n";
    let left = |replay: Option<Replay>| {
        let setup = Setup::new()
            .with("both", both)
            .with("add", add)
            .changed(|routing| routing.replay = replay);
        told(&setup.router(), &record(Some(EVENT.as_bytes())))
    };
    assert_eq!(left(None), "1 2 3");
    assert_eq!(
        left(Some(select(Selection::default()))),
        "1 skipped nothing_to_send"
    );
    assert_eq!(left(Some(redrive(letters()))), "ignored no_dead_letter");
    assert_eq!(
        left(Some(Replay {
            repeats_additions: true,
            ..select(Selection::default())
        })),
        "1 2 3"
    );
}

#[test]
fn r4_a_replay_counts_what_cannot_be_read_and_does_not_write_it_again() {
    let router = Setup::new()
        .with("one", &operation(r#"{ ip: "${context.ip}" }"#))
        .changed(|routing| routing.replay = Some(select(Selection::default())))
        .router();
    let seen = route(&router, &record(Some(b"1")));
    assert_eq!(
        seen.verdict.expect("a verdict").labels(),
        ("dead_lettered", "not_an_object")
    );
    assert!(seen.emissions.is_empty());
    let event = br#"{"type":"group","groupId":"g","context":{"\ud800":1}}"#;
    assert_eq!(route(&router, &record(Some(event))).emissions.len(), 1);
}

/// Each letter is also one that a later code of R5 names.
#[test]
fn r5_the_first_that_applies_decides_which_letter_is_left() {
    let asked = |reasons: &[&str]| {
        let reasons = reasons.iter().map(ToString::to_string).collect();
        router(redrive(Letters {
            reasons,
            ..letters()
        }))
    };
    let cut = Letter {
        is_cut: true,
        attempts: 3,
        destination: Some("gone"),
        ..LETTER
    };
    let spent = Letter {
        is_cut: false,
        ..cut
    };
    let gone = Letter {
        attempts: 2,
        ..spent
    };
    for (router, found, expected) in [
        (asked(&["too_large"]), None, "ignored no_dead_letter"),
        (asked(&["invalid_json"]), Some(cut), "ignored not_selected"),
        (asked(&["too_large"]), Some(cut), "ignored letter_cut"),
        (asked(&[]), Some(spent), "ignored attempts_spent"),
        (asked(&[]), Some(gone), "ignored not_configured"),
    ] {
        assert_eq!(told(&router, &letter(found, EVENT)), expected, "{found:?}");
    }
}

/// Returns who gets what is in a letter, with the id of each record.
fn redriven(router: &Router, record: &Record<'_>) -> Vec<String> {
    let (mut emissions, mut scratch) = (
        groupcast_core::envelope::Emissions::default(),
        groupcast_core::router::Scratch::default(),
    );
    router.route(
        record,
        &groupcast_core::router::DefaultLimits,
        &mut scratch,
        &mut emissions,
        &mut (),
    );
    emissions
        .iter()
        .map(|emission| emission.operation().expect("an operation").id.to_owned())
        .collect()
}

#[test]
fn r6_a_share_goes_to_its_destination_and_a_whole_record_to_all() {
    let all = Letters {
        is_for_all: true,
        ..letters()
    };
    let (one, two) = ("events/3/7/5/one/op", "events/3/7/5/two/op");
    let whole = Letter {
        destination: None,
        ..LETTER
    };
    let gone = Letter {
        destination: Some("gone"),
        ..LETTER
    };
    assert_eq!(
        redriven(&router(redrive(letters())), &letter(Some(LETTER), EVENT)),
        [two]
    );
    assert_eq!(
        redriven(&router(redrive(letters())), &letter(Some(whole), EVENT)),
        [one, two]
    );
    assert_eq!(
        redriven(&router(redrive(all.clone())), &letter(Some(LETTER), EVENT)),
        [one, two]
    );
    assert_eq!(
        redriven(&router(redrive(all)), &letter(Some(gone), EVENT)),
        [one, two]
    );
}

#[test]
fn r7_a_letter_that_fails_again_says_how_often() {
    let router = router(redrive(letters()));
    let attempts = |before: u32| {
        let seen = route(
            &router,
            &letter(
                Some(Letter {
                    attempts: before,
                    destination: None,
                    ..LETTER
                }),
                "1",
            ),
        );
        let again = seen.emissions.iter().next().expect("a letter");
        let header = |wanted: &str| {
            again
                .headers()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| text(value).to_owned())
        };
        (header("attempts"), header("source_offset"))
    };
    let offset = || Some("7".to_owned());
    assert_eq!(attempts(0), (Some("1".to_owned()), offset()));
    assert_eq!(attempts(2), (Some("3".to_owned()), offset()));
}

/// What leaves has the trace, and so has the letter that it becomes again.
#[test]
fn k4_a_redrive_goes_on_with_the_trace() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let router = router(redrive(letters()));
    for value in [EVENT, "1"] {
        let whole = Letter {
            destination: None,
            ..LETTER
        };
        let record = Record {
            traceparent: Traceparent::first([TRACE.as_bytes()]),
            ..letter(Some(whole), value)
        };
        let seen = route(&router, &record);
        assert!(!seen.emissions.is_empty());
        for emission in seen.emissions.iter() {
            let header = emission.headers().find(|(name, _)| *name == "traceparent");
            let header = header.map(|(_, value)| value);
            let said = header.or(emission.value).unwrap_or_default();
            assert!(text(said).contains(TRACE), "{}", text(said));
        }
    }
}
