//! One lane and a vendor of fixed latency, in simulated time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::destination::{Definition, Settings};
use crate::send::answer::Answer;
use crate::send::done::{Commit, Read};
use crate::send::lane::{Bounds, Lane, Next, Refusal, Refused, Reply, Request};
use crate::send::moment::Moment;
use crate::send::request::Item;

const LATENCY: Duration = Duration::from_millis(50);

/// A lane, and what came of its records.
struct Sim {
    lane: Lane,
    now: Moment,
    flights: Vec<(Moment, Request)>,
    requests: Vec<(Moment, Vec<i64>)>,
    taken: Vec<i64>,
    refused: Vec<Refused>,
}

/// The status with which the vendor answers a request of these offsets.
type Vendor<'v> = &'v mut dyn FnMut(&[i64], Moment) -> u16;

impl Sim {
    /// Returns a lane that has the first partition from its beginning, for requests of at most so many items.
    fn new(records: u64, send: &str) -> Sim {
        Sim::within(Bounds::default(), records, send)
    }

    fn within(bounds: Bounds, records: u64, send: &str) -> Sim {
        let text = format!(
            "name: A\nabout: A.\nmembership: none\nnulls: drop\noperations:\n  - {{ id: a, request: POST /a, \
             batch: {{ records: {records}, as: array }}, body: {{ a: 1 }} }}\nsend:\n  url: https://a.example\n  auth: none\n{send}"
        );
        let definition = Arc::new(Definition::parse("x", "x.yaml", &text).unwrap());
        let sending = definition.sending(&Settings::default(), &Settings::default(), None);
        let mut lane = Lane::new(definition, sending.unwrap().unwrap(), bounds);
        let metadata = String::new();
        lane.assign(
            0,
            &Commit {
                offset: 0,
                metadata,
            },
        )
        .unwrap();
        Sim {
            lane,
            now: Moment::default(),
            flights: Vec::new(),
            requests: Vec::new(),
            taken: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn offer(&mut self, offset: i64, key: &str) -> Read {
        let item = Item {
            key: key.as_bytes().into(),
            id: "".into(),
            operation: 0,
            request: "POST /a".into(),
            body: format!("{{\"o\":{offset}}}").into(),
        };
        self.lane.offer(0, offset, item, self.now)
    }

    /// Goes on until `until`, or until there is nothing left to do.
    fn run(&mut self, until: Moment, vendor: Vendor<'_>) {
        while self.now < until {
            self.land(vendor);
            let next = self.lane.next(self.now);
            let wake = match next {
                Next::Send(request) => {
                    let offsets = request.records.iter().map(|(_, offset)| *offset);
                    self.requests.push((self.now, offsets.collect()));
                    self.flights.push((self.now.after(LATENCY), request));
                    continue;
                }
                Next::Wait(wake) => wake,
            };
            let lands = self.flights.iter().map(|(at, _)| *at);
            match lands.chain(wake).min() {
                Some(at) => self.now = at.min(until),
                None => return,
            }
        }
    }

    fn land(&mut self, vendor: Vendor<'_>) {
        while let Some(index) = self.flights.iter().position(|(at, _)| *at <= self.now) {
            let (_, request) = self.flights.remove(index);
            let offsets: Vec<i64> = request.records.iter().map(|(_, offset)| *offset).collect();
            let answer = Answer {
                status: vendor(&offsets, self.now),
                headers: &[],
                body: b"",
                received_unix_ms: 0,
            };
            let random = u32::MAX / 3;
            let answered = self
                .lane
                .answered(request.id, Reply::Answer(&answer), self.now, random);
            if answer.status == 200 {
                self.taken.extend(offsets);
            }
            for refused in answered.refused {
                self.lane.parked(0, refused.offset);
                self.refused.push(refused);
            }
        }
    }
}

const fn at(seconds: u64) -> Moment {
    Moment::new(Duration::from_secs(seconds))
}

#[test]
fn a_key_waits_for_its_former_record_and_the_others_do_not() {
    let mut sim = Sim::new(1, "  in_flight: 16\n");
    for (offset, key) in [(0, "a"), (1, "a"), (2, "b"), (3, "a"), (4, "c")] {
        assert_eq!(sim.offer(offset, key), Read::New);
    }
    sim.run(at(10), &mut |_, _| 200);
    let sent: Vec<(u128, i64)> = sim
        .requests
        .iter()
        .map(|(when, offsets)| (Moment::default().until(*when).as_millis(), offsets[0]))
        .collect();
    assert_eq!(sent, [(0, 0), (0, 2), (0, 4), (50, 1), (100, 3)]);
}

#[test]
fn items_gather_while_a_request_is_in_flight() {
    let mut sim = Sim::new(10, "");
    sim.offer(0, "a");
    sim.run(at(0).after(Duration::from_millis(1)), &mut |_, _| 200);
    for offset in 1..15 {
        sim.offer(offset, &format!("k{offset}"));
    }
    sim.run(at(10), &mut |_, _| 200);
    let sizes: Vec<usize> = sim
        .requests
        .iter()
        .map(|(_, offsets)| offsets.len())
        .collect();
    assert_eq!(sizes, [1, 10, 4]);
    let last = sim.requests[2].0;
    assert!(last > Moment::default(), "the last one waited for more");
}

/// The one bad item is found with two requests for each halving at most, and no more than five refused ones in 10 s.
#[test]
fn one_bad_item_of_many_is_refused_alone() {
    for n in [2_i64, 3, 64, 100] {
        let mut sim = Sim::new(100, "");
        (0..n).for_each(|offset| assert_eq!(sim.offer(offset, &format!("k{offset}")), Read::New));
        let bad = n / 3;
        let mut refused = Vec::new();
        sim.run(at(600), &mut |offsets, now| {
            if offsets.contains(&bad) {
                refused.push(now);
                return 400;
            }
            200
        });
        let offsets: Vec<i64> = sim.refused.iter().map(|refused| refused.offset).collect();
        assert_eq!(offsets, [bad]);
        assert_eq!(sim.taken.len(), usize::try_from(n - 1).unwrap());
        let halvings = usize::try_from(n.ilog2()).unwrap() + 1;
        assert!(
            sim.requests.len() <= 1 + 2 * halvings,
            "{n}: {}",
            sim.requests.len()
        );
        for window in refused.windows(6) {
            assert!(window[0].until(window[5]) >= Duration::from_secs(10), "{n}");
        }
    }
}

#[test]
fn what_the_vendor_says_is_too_large_is_halved_and_stays_so() {
    let mut sim = Sim::new(100, "");
    (0..64).for_each(|offset| assert_eq!(sim.offer(offset, &format!("k{offset}")), Read::New));
    let mut vendor = |offsets: &[i64], _: Moment| if offsets.len() > 20 { 413 } else { 200 };
    sim.run(at(60), &mut vendor);
    assert_eq!((sim.taken.len(), sim.refused.len()), (64, 0));
    let n_before = sim.requests.len();
    (64..128).for_each(|offset| assert_eq!(sim.offer(offset, &format!("k{offset}")), Read::New));
    sim.run(at(120), &mut vendor);
    assert_eq!(sim.taken.len(), 128);
    let later = &sim.requests[n_before..];
    assert!(later.iter().all(|(_, offsets)| offsets.len() <= 20));
}

/// Parallel Consumer delivers 504 of the 8,000 (its issue 582).
#[test]
fn keys_that_always_fail_do_not_hold_the_others_up() {
    let mut sim = Sim::new(1, "");
    let is_failing = |offset: i64| offset % 5 == 0;
    for offset in 0..10_000 {
        assert_eq!(sim.offer(offset, &format!("k{offset}")), Read::New);
    }
    let mut n_taken = 0;
    let mut finished = None;
    sim.run(at(3_600), &mut |offsets, now| {
        if is_failing(offsets[0]) {
            return 500;
        }
        n_taken += 1;
        if n_taken == 8_000 {
            finished = Some(now);
        }
        200
    });
    assert_eq!(n_taken, 8_000);
    let finished = finished.unwrap();
    let before = sim
        .requests
        .iter()
        .filter(|(when, _)| *when <= finished)
        .count();
    // Each of the failing ones is tried once with the others; of the rest one in twenty is tried again.
    assert!(before <= 10_000 * 100 / 94, "{before}");
}

#[test]
fn nothing_is_given_up_while_the_vendor_is_down() {
    let mut sim = Sim::new(100, "");
    let day = at(24 * 60 * 60);
    for offset in 0..12_000 {
        assert_eq!(sim.offer(offset, &format!("k{}", offset % 700)), Read::New);
    }
    // Something gets through just before, and what is in flight then, too.
    let begins = Moment::new(Duration::from_millis(120));
    sim.run(day, &mut |_, now| if now < begins { 200 } else { 503 });
    assert_eq!(sim.refused, []);
    let n_tries = sim.requests.len();
    assert!(
        n_tries < 24 * 60 * 3,
        "{n_tries} requests in a day of failures"
    );
    sim.run(day.after(Duration::from_secs(3_600)), &mut |_, _| 200);
    assert_eq!(sim.refused, []);
    let taken: BTreeSet<i64> = sim.taken.iter().copied().collect();
    assert_eq!(taken.len(), 12_000);
    for key in 0..700 {
        let of_key: Vec<i64> = sim
            .taken
            .iter()
            .copied()
            .filter(|at| at % 700 == key)
            .collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }
}

/// With few keys all of them fail, and none is left to tell.
#[test]
fn nothing_is_given_up_in_an_outage_with_few_keys() {
    let mut sim = Sim::new(1, "");
    for offset in 0..1_000 {
        assert_eq!(sim.offer(offset, &format!("k{}", offset % 3)), Read::New);
    }
    let begins = at(5);
    sim.run(at(24 * 60 * 60), &mut |_, now| {
        if now < begins { 200 } else { 500 }
    });
    assert_eq!(sim.refused, []);
}

#[test]
fn a_record_that_fails_alone_is_given_up() {
    let mut sim = Sim::new(1, "");
    sim.offer(0, "bad");
    sim.offer(1, "bad");
    let mut vendor = |offsets: &[i64], _: Moment| if offsets[0] == 0 { 500 } else { 200 };
    for offset in 2..3_000 {
        sim.offer(offset, &format!("k{offset}"));
        sim.run(sim.now.after(Duration::from_secs(1)), &mut vendor);
    }
    let [refused] = &*sim.refused else {
        panic!("{:?}", sim.refused);
    };
    assert_eq!((refused.offset, refused.refusal), (0, Refusal::GaveUp));
    assert!(refused.n_sent > 12, "{}", refused.n_sent);
    assert!(sim.taken.contains(&1), "its key goes on");
    assert_eq!(sim.lane.n_unfinished(), 0);
}

/// Nobody else shows that it is not the vendor.
#[test]
fn a_record_without_others_is_not_given_up() {
    let mut sim = Sim::new(1, "");
    sim.offer(0, "a");
    sim.run(at(100_000), &mut |_, _| 500);
    assert_eq!(sim.refused, []);
    sim.run(at(200_000), &mut |_, _| 200);
    assert_eq!(sim.taken, [0]);
}

/// Keys that fail one record after the other fill the window, while all behind them is finished.
#[test]
fn a_window_that_fails_fill_goes_on() {
    let bounds = Bounds {
        span: 400,
        ..Bounds::default()
    };
    let mut sim = Sim::within(bounds, 1, "");
    let (mut next, mut is_full) = (0, false);
    let mut vendor = |offsets: &[i64], _: Moment| if offsets[0] < 5 { 500 } else { 200 };
    while next < 2_000 && sim.now < at(100_000) {
        let key = if next < 5 {
            "bad".to_owned()
        } else {
            format!("k{next}")
        };
        if sim.offer(next, &key) == Read::New {
            next += 1;
            continue;
        }
        is_full = true;
        sim.run(sim.now.after(Duration::from_secs(1)), &mut vendor);
    }
    assert!(is_full, "the window was never full");
    assert_eq!(next, 2_000, "read no further");
    let refused: Vec<i64> = sim.refused.iter().map(|refused| refused.offset).collect();
    assert_eq!(refused, [0, 1, 2, 3, 4]);
}

#[test]
fn a_refused_login_refuses_no_record_and_is_tried_once_a_minute() {
    let mut sim = Sim::new(1, "  in_flight: 1\n");
    (0..10).for_each(|offset| assert_eq!(sim.offer(offset, &format!("k{offset}")), Read::New));
    sim.run(at(3_600), &mut |_, _| 401);
    assert_eq!(sim.refused, []);
    assert!(
        (59..=61).contains(&sim.requests.len()),
        "{}",
        sim.requests.len()
    );
    sim.lane.login_changed();
    sim.run(at(3_610), &mut |_, _| 200);
    assert_eq!(sim.taken.len(), 10);
}

#[test]
fn what_is_for_later_waits_without_holding_others_and_not_for_ever() {
    for (then, n_taken, n_refused) in [("taken", 2, 0), ("refused", 2, 1)] {
        let rule =
            format!("  answers: [{{ status: 404, means: later, patience: 2m, then: {then} }}]\n");
        let mut sim = Sim::new(1, &rule);
        for (offset, key) in [(0, "a"), (1, "a"), (2, "b")] {
            assert_eq!(sim.offer(offset, key), Read::New);
        }
        sim.run(at(3_600), &mut |offsets, _| {
            if offsets[0] == 0 { 404 } else { 200 }
        });
        assert_eq!(
            (sim.taken.len(), sim.refused.len()),
            (n_taken, n_refused),
            "{then}"
        );
        assert_eq!(sim.taken, [2, 1]);
        assert_eq!(sim.lane.n_unfinished(), 0);
        let waits: Vec<u64> = sim
            .requests
            .iter()
            .filter(|(_, offsets)| offsets[0] == 0)
            .map(|(when, _)| Moment::default().until(*when).as_secs())
            .collect();
        assert_eq!(waits, [0, 1, 6, 31, 156]);
    }
}

#[test]
fn a_limit_is_used_to_the_full() {
    let mut sim = Sim::new(1, "  limits: [{ requests: 100, per: 1s }]\n");
    let mut next = 0;
    while sim.now < at(60) {
        while sim.lane.n_unfinished() < 200 {
            sim.offer(next, &format!("k{next}"));
            next += 1;
        }
        sim.run(sim.now.after(Duration::from_millis(100)), &mut |_, _| 200);
    }
    assert!(sim.taken.len() >= 60 * 95, "{}", sim.taken.len());
    let times: Vec<Moment> = sim.requests.iter().map(|(when, _)| *when).collect();
    assert!(
        times
            .windows(101)
            .all(|window| window[0].until(window[100]) >= Duration::from_secs(1))
    );
}

#[test]
fn memory_is_bounded_by_bytes_too() {
    let mut sim = Sim::new(1, "");
    sim.lane.bounds.bytes = 1_000;
    let mut offset = 0;
    while sim.offer(offset, &format!("k{offset}")) == Read::New {
        offset += 1;
    }
    assert!(offset < 100, "{offset}");
    assert!(!sim.lane.has_room(0));
    sim.run(at(10), &mut |_, _| 200);
    assert!(sim.lane.has_room(0));
}

/// What one key's records would do out of order: the first fails for now, and what follows it was applied too early.
#[test]
fn a_key_that_stands_in_a_request_twice_is_sent_again_from_the_one_that_failed() {
    let rules = "  repeats: true\n  answers: [{ status: 207, items: { in: /again, index: /index }, means: retry }]\n";
    let mut sim = Sim::new(10, rules);
    for (offset, key) in [(0, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "c")] {
        assert_eq!(sim.offer(offset, key), Read::New);
    }
    let Next::Send(request) = sim.lane.next(sim.now) else {
        panic!("nothing leaves");
    };
    let offsets: Vec<i64> = request.records.iter().map(|(_, offset)| *offset).collect();
    assert_eq!(offsets, [0, 2, 3, 1, 4]);
    let answer = Answer {
        status: 207,
        headers: &[],
        body: br#"{"again":[{"index":1}]}"#,
        received_unix_ms: 0,
    };
    let answered = sim
        .lane
        .answered(request.id, Reply::Answer(&answer), sim.now, 0);
    assert_eq!(answered.n_taken, 3);
    sim.run(at(10), &mut |_, _| 200);
    assert_eq!(sim.taken, [2, 3]);
}

#[test]
fn halves_of_a_request_hold_a_key_one_after_the_other() {
    for status in [400, 413, 500] {
        let mut sim = Sim::new(10, "  repeats: true\n");
        (0..4).for_each(|offset| assert_eq!(sim.offer(offset, "a"), Read::New));
        let mut n_failed = 0;
        sim.run(at(600), &mut |offsets, _| {
            n_failed += 1;
            if offsets.len() > 1 && n_failed < 5 {
                status
            } else {
                200
            }
        });
        assert_eq!((sim.taken.len(), sim.refused.len()), (4, 0), "{status}");
        assert!(sim.taken.is_sorted(), "{status}: {:?}", sim.taken);
    }
}

/// The acknowledgement of a refused record can come after the partition was given back and assigned again.
#[test]
fn a_late_acknowledgement_finishes_no_record_that_is_on_its_way_again() {
    let mut sim = Sim::new(1, "");
    sim.offer(0, "a");
    let commit = sim.lane.commit(0).unwrap();
    sim.lane.assign(0, &commit).unwrap();
    sim.offer(0, "a");
    let Next::Send(request) = sim.lane.next(sim.now) else {
        panic!("nothing leaves");
    };
    sim.lane.parked(0, 0);
    assert_eq!(sim.lane.commit(0).map(|commit| commit.offset), Some(0));
    let answered = sim.lane.answered(request.id, Reply::Unsure, sim.now, 0);
    assert_eq!(answered.n_taken, 0);
    sim.run(at(60), &mut |_, _| 200);
    assert_eq!(sim.taken, [0]);
}
