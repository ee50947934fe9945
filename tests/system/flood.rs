//! Events made to cost more than their size explains: keys by the thousand, spellings that fold alike, texts of escapes, nesting to the
//! limit. Through all definitions at once, what is eight times as long takes about eight times as long, and no stack is used up.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;
use std::fs;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groupcast::config::Config;
use groupcast::destination::Catalogue;
use groupcast::envelope::Emissions;
use groupcast::explanation::explain;
use groupcast::record::{Position, Record};
use groupcast::router::{DefaultLimits, Router, Scratch};
use groupcast::verdict::Verdict;

/// How many times as much the longer event has of what it has many of. What is quadratic takes so many times as long for each byte.
const LONGER: usize = 8;

/// How many times as long a byte of the longer one may take: caches are not the same where others use the machine.
const SLOWER: f64 = 3.0;

/// Elements of the shorter event.
const N: usize = 250;

/// The deepest nesting that a configuration may allow.
const DEEPEST: usize = 1_000;

type Shape = (&'static str, fn(usize) -> String);

/// Each returns the event's members behind the ids, with so many of what it has many of.
const SHAPES: &[Shape] = &[
    ("keys", |n| {
        traits(&list(n, |index| format!(r#""key{index}":1"#)))
    }),
    ("keys that fold alike", |n| {
        traits(&list(n, |index| {
            format!(r#""{}":1"#, spelling("totalbilledthing", index))
        }))
    }),
    ("spellings of a reserved trait", |n| {
        traits(&list(n, |index| {
            format!(r#""{}":"x""#, spelling("description", index))
        }))
    }),
    ("one key again and again", |n| {
        traits(&list(n, |index| format!(r#""k":{index}"#)))
    }),
    ("parts of an address", |n| {
        traits(&format!(
            r#""address":{{{}}}"#,
            list(n, |index| format!(r#""part{index}":1"#))
        ))
    }),
    ("addresses", |n| {
        traits(&list(n, |index| {
            format!(r#""{}":{{"city":"c"}}"#, spelling("address", index))
        }))
    }),
    ("flat parts of an address", |n| {
        traits(&list(n, |index| format!(r#""address.part{index}":1"#)))
    }),
    ("elements of a list", |n| {
        traits(&format!(
            r#""tags":[{}]"#,
            list(n, |index| format!(r#"{{"t":{index}}}"#))
        ))
    }),
    ("keys in depth", |n| {
        let inner = list(n, |index| format!(r#""k{index}":1"#));
        traits(&format!(
            r#""x":{}{{{inner}}}{}"#,
            r#"{"a":"#.repeat(58),
            "}".repeat(58)
        ))
    }),
    ("deep traits", |n| {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(60), "}".repeat(60));
        traits(&list(n / 60, |index| format!(r#""x{index}":{deep}"#)))
    }),
    ("escapes", |n| {
        traits(&format!(r#""name":"{}""#, r"\u0041".repeat(n)))
    }),
    ("escaped surrogates", |n| {
        traits(&format!(r#""description":"{}""#, r"\ud83d\ude00".repeat(n)))
    }),
    ("escapes in a key", |n| {
        traits(&format!(r#""{}":1"#, r"\u0041".repeat(n)))
    }),
    ("words in a key", |n| {
        traits(&format!(r#""{}":1"#, "aB_".repeat(n)))
    }),
    ("marks on a letter of a key", |n| {
        traits(&format!(r#""a{}":1"#, "\u{301}\u{316}".repeat(n)))
    }),
    ("digits", |n| {
        traits(&format!(
            r#""revenue":{0},"createdAt":{0},"employees":"{0}""#,
            "1".repeat(n)
        ))
    }),
    ("labels of a host", |n| {
        traits(&format!(
            r#""website":"https://{0}com/","email":"a@{0}com""#,
            "a.".repeat(n)
        ))
    }),
    ("flags", |n| {
        format!(
            r#""integrations":{{{}}}"#,
            list(n, |index| format!(r#""Other {index}":false"#))
        )
    }),
    ("flags that fold alike", |n| {
        format!(
            r#""integrations":{{{}}}"#,
            list(n, |index| format!(
                r#""{}":true"#,
                spelling("mixpanel", index)
            ))
        )
    }),
    ("options", |n| {
        format!(
            r#""integrations":{{"mixpanel":{{{}}}}}"#,
            list(n, |index| format!(r#""o{index}":1"#))
        )
    }),
    ("traits again and again", |n| {
        list(n, |_| r#""traits":{"a":1}"#.to_owned())
    }),
    ("members of the event", |n| {
        list(n, |index| format!(r#""k{index}":1"#))
    }),
    ("members of the context", |n| {
        format!(
            r#""context":{{{}}}"#,
            list(n, |index| format!(r#""k{index}":1"#))
        )
    }),
    ("white space", |n| {
        format!(r#""traits":{}{{}}"#, " ".repeat(n))
    }),
];

#[test]
fn what_is_eight_times_as_long_takes_about_eight_times_as_long() {
    let _alone = alone();
    let router = router(every(), "");
    let mut faults = Vec::new();
    for (name, shape) in SHAPES {
        let texts = [N, N * LONGER].map(|n| event(&shape(n)));
        let per_byte = |text: &String| fastest(&router, text).as_secs_f64() / text.len() as f64;
        // Another look where something else may have had the caches.
        let is_linear = (0..10).any(|_| {
            let [short, long] = [per_byte(&texts[0]), per_byte(&texts[1])];
            long <= short * SLOWER
        });
        if !is_linear {
            let [short, long] = texts
                .each_ref()
                .map(|text| (text.len(), fastest(&router, text)));
            faults.push(format!("{name}: bytes and time {short:?}, then {long:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A test's stack has as many bytes as a worker's: 2 MiB.
#[test]
fn the_deepest_event_that_a_configuration_can_allow_uses_up_no_stack() {
    let _alone = alone();
    let limits = format!("limits: {{ nesting: {DEEPEST} }}\n");
    let (all, one) = (router(every(), &limits), router(vec!["heap"], &limits));
    // Two levels are the event's own.
    let depth = DEEPEST - 2;
    for (name, open, close) in [
        ("x", "[", "]"),
        ("x", r#"{"a":"#, "}"),
        ("address", r#"{"city":"#, "}"),
        ("tags", r#"[{"a":"#, "}]"),
    ] {
        let times = depth / open.matches(['[', '{']).count();
        let text = event(&traits(&format!(
            r#""{name}":{}1{}"#,
            open.repeat(times),
            close.repeat(times)
        )));
        assert_eq!(
            route(&all, &text, &mut Emissions::default()),
            Verdict::Routed
        );
        assert_eq!(explain(&one, &record(&text)).verdict, "routed");
    }
    let text = configuration(
        every(),
        &format!("limits: {{ nesting: {} }}\n", DEEPEST + 1),
    );
    assert!(
        Config::from_text("flood.yaml", &text, &[], &[]).is_err(),
        "a configuration may allow more than is tried here"
    );
}

/// Whatever ran beside a test would be measured, too.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the least processor time that it took to route an event, which must leave, of several.
fn fastest(router: &Router, text: &str) -> Duration {
    let mut emissions = Emissions::default();
    let times = (0..3).map(|_| {
        let began = processor_time();
        let verdict = route(router, text, &mut emissions);
        let time = processor_time() - began;
        assert_eq!(
            verdict,
            Verdict::Routed,
            "{}",
            text.chars().take(200).collect::<String>()
        );
        time
    });
    times.min().expect("several times")
}

/// Returns how long this thread has had a processor: what others do meanwhile is not in it.
fn processor_time() -> Duration {
    // The kernel counts up to when it last looked, which it does now.
    std::thread::yield_now();
    let statistics =
        fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells of its threads");
    let nanoseconds = statistics
        .split(' ')
        .next()
        .and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds come first"))
}

fn route(router: &Router, text: &str, emissions: &mut Emissions) -> Verdict {
    emissions.clear();
    router.route(
        &record(text),
        &DefaultLimits,
        &mut Scratch::default(),
        emissions,
        &mut (),
    )
}

fn record(text: &str) -> Record<'_> {
    let position = Position::first("flood");
    Record {
        position,
        timestamp: Some(0),
        key: None,
        value: Some(text.as_bytes()),
        traceparent: None,
        letter: None,
    }
}

fn event(members: &str) -> String {
    format!(r#"{{"type":"group","groupId":"g","userId":"u",{members}}}"#)
}

fn traits(members: &str) -> String {
    format!(r#""traits":{{{members}}}"#)
}

fn list(n: usize, element: impl Fn(usize) -> String) -> String {
    (0..n).map(element).collect::<Vec<_>>().join(",")
}

/// Returns the `index`th spelling of a name: which of its letters are capitals, and how many strokes it ends with.
fn spelling(name: &str, index: usize) -> String {
    let letters = name.chars().enumerate();
    let word: String = letters
        .map(|(at, c)| {
            if index >> at & 1 == 1 {
                c.to_ascii_uppercase()
            } else {
                c
            }
        })
        .collect();
    word + &"_".repeat(index >> name.len())
}

fn router(ids: Vec<&str>, more: &str) -> Router {
    let (config, _) = Config::from_text("flood.yaml", &configuration(ids, more), &[], &[]).unwrap();
    Router::new(config.routing()).unwrap()
}

fn every() -> Vec<&'static str> {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::built_in);
    CATALOGUE
        .iter()
        .map(|definition| definition.id.as_str())
        .collect()
}

/// Each destination has the settings of its first example, as JSON, which is YAML.
fn configuration(ids: Vec<&str>, more: &str) -> String {
    let mut text =
        format!("kafka: {{ brokers: none }}\nsource: {{ topics: [flood] }}\n{more}destinations:\n");
    let catalogue = Catalogue::built_in();
    for id in ids {
        let mut json = String::new();
        let settings = catalogue
            .get(id)
            .and_then(|definition| definition.examples.first()?.settings.as_ref());
        settings
            .into_iter()
            .for_each(|settings| settings.write_json(&mut json));
        let settings = if json.is_empty() { "{}" } else { &json };
        writeln!(
            text,
            "  - {{ use: {id}, enabled_by_default: true, settings: {settings} }}"
        )
        .unwrap();
    }
    text
}
