//! When the next request may leave: the vendor's limits, the waits that it asked for, and what we hold back ourselves
//! while it fails.

use std::collections::HashMap;
use std::time::Duration;

use crate::destination::send::{Counted, Limit, Scope};

use super::moment::Moment;

/// What a request counts for.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// Its operation's number.
    pub operation: usize,
    /// The key of each of its items.
    pub keys: &'a [&'a [u8]],
}

impl Load<'_> {
    /// Any request at all: what holds it back holds back all.
    pub const ANY: Load<'static> = Load {
        operation: usize::MAX,
        keys: &[],
    };
}

/// The pace of one destination.
#[derive(Debug)]
pub struct Pace {
    limits: Vec<RateLimit>,
    /// How often a request may be refused while items are told apart, whatever the vendor says.
    isolation: RateLimit,
    pauses: Scoped,
    /// How often in a row the vendor asked to wait.
    n_waits: u32,
    gate: Gate,
    in_flight: InFlight,
}

/// While an unknown item is looked for, so many requests may be refused. A vendor may ban whoever sends many bad ones
/// (Ortto: 15 in 15 s).
const ISOLATION: Limit = Limit {
    counted: Counted::Refused,
    most: 5,
    per: Duration::from_secs(10),
    of: Scope::Destination,
};

impl Pace {
    /// Returns the pace that keeps the limits, with at most so many requests in flight.
    #[must_use]
    pub fn new(limits: &[Limit], in_flight: usize) -> Pace {
        Pace {
            limits: limits.iter().map(RateLimit::new).collect(),
            isolation: RateLimit::new(&ISOLATION),
            pauses: Scoped::default(),
            n_waits: 0,
            gate: Gate::default(),
            in_flight: InFlight::new(in_flight),
        }
    }

    /// Returns how many requests may be in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.allowed
    }

    /// Returns the most items that one request may have.
    #[must_use]
    pub fn max_items(&self) -> u64 {
        let bursts = self.limits.iter().filter_map(RateLimit::max_items);
        bursts.min().unwrap_or(u64::MAX)
    }

    /// Returns from when on any request may leave; `None` while the one that is in flight must be answered first.
    #[must_use]
    pub fn opens_at(&self, n_in_flight: usize) -> Option<Moment> {
        match self.gate.next_try {
            None => Some(Moment::default()),
            Some(at) => (n_in_flight == 0).then_some(at),
        }
    }

    /// Returns whether requests are held back until one of them gets through.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.gate.next_try.is_some()
    }

    /// Returns from when on a request may leave, as far as limits and waits go.
    #[must_use]
    pub fn ready_at(&self, load: &Load<'_>, is_isolating: bool) -> Moment {
        let pauses = self.pauses.latest(load);
        let limits = self.limits.iter().map(|limit| limit.ready_at(load));
        let isolation = is_isolating.then(|| self.isolation.ready_at(load));
        limits.chain(isolation).fold(pauses, Moment::max)
    }

    /// Takes note that a request leaves.
    pub fn sent(&mut self, load: &Load<'_>, now: Moment) {
        for limit in &mut self.limits {
            limit.sent(load, now);
        }
    }

    /// Takes note that the vendor answered, and neither failed nor refused the login.
    pub fn reached(&mut self, now: Moment) {
        self.gate = Gate::default();
        self.n_waits = 0;
        self.in_flight.grow(now);
    }

    /// Takes note that the vendor refused a request.
    pub fn refused(&mut self, load: &Load<'_>, now: Moment) {
        self.isolation.refused(load, now);
        for limit in &mut self.limits {
            limit.refused(load, now);
        }
    }

    /// Takes note that the vendor wants no more until `wait` has passed, or does not say how long. Never sooner than it
    /// says, however long that is.
    pub fn told_to_wait(
        &mut self,
        of: Scope,
        load: &Load<'_>,
        wait: Option<Duration>,
        now: Moment,
        random: u32,
    ) {
        // It answers: whatever else is wrong, it is there.
        self.gate = Gate::default();
        self.n_waits = self.n_waits.saturating_add(1);
        self.in_flight.shrink(now);
        let own = half_jitter(doubled(Duration::from_secs(1), self.n_waits), random);
        let until = now.after(own.max(wait.unwrap_or_default()));
        self.pauses.forget_before(now);
        self.pauses.put(of, load, until);
    }

    /// Takes note that a request failed, or that nobody knows what became of it.
    pub fn failed(&mut self, is_overload: bool, now: Moment, random: u32) {
        self.gate.failed(now, random);
        if is_overload {
            self.in_flight.shrink(now);
        }
    }

    /// Takes note that the vendor refused the login.
    pub fn login_refused(&mut self, now: Moment) {
        self.gate.next_try = Some(now.after(Gate::LOGIN));
    }

    /// Takes note that there are other credentials.
    pub fn login_changed(&mut self) {
        self.gate = Gate::default();
    }
}

/// Returns how long to wait before an attempt that follows so many failed ones: any time up to twice as long as before,
/// so that those who failed together do not come back together.
#[must_use]
pub fn backoff(n_failed: u32, random: u32) -> Duration {
    share(doubled(Duration::from_millis(500), n_failed), random)
}

const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Returns `first`, doubled with each failure after the first.
fn doubled(first: Duration, n_failed: u32) -> Duration {
    let factor = 1_u32
        .checked_shl(n_failed.saturating_sub(1))
        .unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(MAX_BACKOFF)
}

/// Returns any part of the time.
fn share(time: Duration, random: u32) -> Duration {
    let nanos = (time.as_nanos() * u128::from(random)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Returns between half of the time and all of it.
fn half_jitter(time: Duration, random: u32) -> Duration {
    time / 2 + share(time / 2, random)
}

/// Holds all requests back while none gets through: then one leaves at a time, at growing distances.
#[derive(Debug, Default)]
struct Gate {
    n_failed: u32,
    failing_since: Option<Moment>,
    /// When the next one may leave, while they are held back.
    next_try: Option<Moment>,
    n_tries: u32,
}

impl Gate {
    /// So many failures in a row, or so long with nothing else, and requests are held back.
    const MOST: u32 = 20;
    const LONGEST: Duration = Duration::from_secs(10);
    /// A few quick failures are no outage.
    const LEAST: u32 = 3;
    /// How long after a refused login the next one is tried.
    const LOGIN: Duration = Duration::from_secs(60);

    fn failed(&mut self, now: Moment, random: u32) {
        if let Some(next_try) = self.next_try {
            // What left before is no try.
            if now >= next_try {
                self.n_tries = self.n_tries.saturating_add(1);
                self.hold(now, random);
            }
            return;
        }
        self.n_failed += 1;
        let since = *self.failing_since.get_or_insert(now);
        let is_long = self.n_failed >= Self::LEAST && since.after(Self::LONGEST) <= now;
        if is_long || self.n_failed >= Self::MOST {
            self.n_tries = 1;
            self.hold(now, random);
        }
    }

    fn hold(&mut self, now: Moment, random: u32) {
        let wait = half_jitter(doubled(Duration::from_secs(1), self.n_tries), random);
        self.next_try = Some(now.after(wait));
    }
}

/// How many requests may be in flight: half as many after each sign of overload, one more with each good second.
#[derive(Debug)]
struct InFlight {
    most: usize,
    allowed: usize,
    changed: Moment,
}

impl InFlight {
    const STEP: Duration = Duration::from_secs(1);

    fn new(most: usize) -> InFlight {
        InFlight {
            most: most.max(1),
            allowed: most.max(1),
            changed: Moment::default(),
        }
    }

    fn shrink(&mut self, now: Moment) {
        // What is in flight together fails together, and is one sign.
        if self.allowed == self.most || self.changed.after(Self::STEP) <= now {
            self.allowed = (self.allowed / 2).max(1);
            self.changed = now;
        }
    }

    fn grow(&mut self, now: Moment) {
        if self.allowed < self.most && self.changed.after(Self::STEP) <= now {
            self.allowed += 1;
            self.changed = now;
        }
    }
}

/// A limit as it is kept: a bucket of `burst` tokens, of which one comes back at each `interval`. The two are such that
/// no stretch of the limit's time has more than the limit, wherever it begins, since vendors count from any moment.
///
/// It is kept as the time at which the bucket will be full again (the generic cell rate algorithm): one number for each
/// scope, and no clock that ticks.
#[derive(Debug)]
struct RateLimit {
    counted: Counted,
    of: Scope,
    burst: u64,
    interval: Duration,
    full_at: Scoped,
}

impl RateLimit {
    fn new(limit: &Limit) -> RateLimit {
        let most = limit.most.max(1);
        let burst = match limit.counted {
            // A twentieth at once costs a twentieth of the rate at most.
            Counted::Requests => most.div_ceil(20),
            // A request's items come at once.
            Counted::Items => most.div_ceil(4),
            // A request may be refused while others of the kind are in flight.
            Counted::Refused => most.div_ceil(2),
        };
        // Within `per` there are the burst and what comes back: burst + most − burst + 1, of which the last is too late.
        let n_intervals = u128::from(most - burst + 1);
        let nanos = limit.per.as_nanos().div_ceil(n_intervals);
        RateLimit {
            counted: limit.counted,
            of: limit.of,
            burst,
            interval: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)),
            full_at: Scoped::default(),
        }
    }

    fn max_items(&self) -> Option<u64> {
        (self.counted == Counted::Items && self.of != Scope::Key).then_some(self.burst)
    }

    fn ready_at(&self, load: &Load<'_>) -> Moment {
        let spare = self.burst.saturating_sub(self.weight(load));
        let full_at = self.full_at.of(self.of, load);
        full_at.before(self.times(spare))
    }

    fn sent(&mut self, load: &Load<'_>, now: Moment) {
        if self.counted != Counted::Refused {
            self.take(load, now);
        }
    }

    fn refused(&mut self, load: &Load<'_>, now: Moment) {
        if self.counted == Counted::Refused {
            self.take(load, now);
        }
    }

    fn take(&mut self, load: &Load<'_>, now: Moment) {
        let taken = self.times(self.weight(load));
        self.full_at.forget_before(now);
        self.full_at
            .update(self.of, load, |full_at| full_at.max(now).after(taken));
    }

    fn weight(&self, load: &Load<'_>) -> u64 {
        match (self.counted, self.of) {
            (Counted::Items, Scope::Destination | Scope::Operation) => {
                u64::try_from(load.keys.len()).unwrap_or(u64::MAX)
            }
            (Counted::Items, Scope::Key) | (Counted::Requests | Counted::Refused, _) => 1,
        }
    }

    fn times(&self, n: u64) -> Duration {
        self.interval
            .saturating_mul(u32::try_from(n).unwrap_or(u32::MAX))
    }
}

/// A moment for the destination, for each operation and for each key.
#[derive(Debug, Default)]
struct Scoped {
    destination: Moment,
    operations: HashMap<usize, Moment>,
    keys: HashMap<Box<[u8]>, Moment>,
}

impl Scoped {
    /// Above so many keys those are forgotten whose moment is past.
    const MANY_KEYS: usize = 1024;

    fn latest(&self, load: &Load<'_>) -> Moment {
        let scopes = [Scope::Destination, Scope::Operation, Scope::Key];
        let moments = scopes.into_iter().map(|of| self.of(of, load));
        moments.fold(Moment::default(), Moment::max)
    }

    fn of(&self, of: Scope, load: &Load<'_>) -> Moment {
        match of {
            Scope::Destination => self.destination,
            Scope::Operation => self
                .operations
                .get(&load.operation)
                .copied()
                .unwrap_or_default(),
            Scope::Key => {
                let known = load.keys.iter().filter_map(|key| self.keys.get(*key));
                known.copied().max().unwrap_or_default()
            }
        }
    }

    fn put(&mut self, of: Scope, load: &Load<'_>, moment: Moment) {
        self.update(of, load, |known| known.max(moment));
    }

    fn update(&mut self, of: Scope, load: &Load<'_>, new: impl Fn(Moment) -> Moment) {
        match of {
            Scope::Destination => self.destination = new(self.destination),
            Scope::Operation => {
                let known = self.operations.entry(load.operation).or_default();
                *known = new(*known);
            }
            Scope::Key => {
                for key in load.keys {
                    let known = self.keys.entry(Box::from(*key)).or_default();
                    *known = new(*known);
                }
            }
        }
    }

    fn forget_before(&mut self, now: Moment) {
        if self.keys.len() > Self::MANY_KEYS {
            self.keys.retain(|_, moment| *moment > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at_ms(milliseconds: u64) -> Moment {
        Moment::new(Duration::from_millis(milliseconds))
    }

    fn limit(counted: Counted, most: u64, per_ms: u64, of: Scope) -> Limit {
        Limit {
            counted,
            most,
            per: Duration::from_millis(per_ms),
            of,
        }
    }

    const ONE: Load<'static> = Load {
        operation: 0,
        keys: &[b"k"],
    };

    /// Sends whenever it may, for a while; returns when.
    fn greedy(pace: &mut Pace, load: &Load<'_>, until_ms: u64) -> Vec<Moment> {
        let mut sent = Vec::new();
        let mut now = Moment::default();
        while now < at_ms(until_ms) {
            let ready = pace.ready_at(load, false);
            if ready <= now {
                pace.sent(load, now);
                sent.push(now);
            } else {
                now = ready;
            }
        }
        sent
    }

    #[test]
    fn a_limit_is_used_to_the_full_and_not_beyond() {
        for most in [1, 2, 5, 19, 20, 21, 100, 190, 3000] {
            let mut pace = Pace::new(
                &[limit(Counted::Requests, most, 10_000, Scope::Destination)],
                4,
            );
            let sent = greedy(&mut pace, &ONE, 100_000);
            let used = u64::try_from(sent.len()).unwrap();
            assert!(used * 100 >= most * 10 * 95, "{most}: {used}");
            assert_window(&sent, most, 10_000);
        }
    }

    fn assert_window(sent: &[Moment], most: u64, per_ms: u64) {
        let per = Duration::from_millis(per_ms);
        for window in sent.windows(usize::try_from(most).unwrap() + 1) {
            let (first, last) = (window[0], window[window.len() - 1]);
            assert!(first.until(last) >= per, "{most}: {first:?} {last:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// After any silence, too.
        #[test]
        fn no_stretch_has_more_than_the_limit(
            most in 1..200_u64,
            silences in proptest::collection::vec(0..3_000_u64, 1..400),
        ) {
            let mut pace = Pace::new(&[limit(Counted::Requests, most, 10_000, Scope::Destination)], 4);
            let mut now = Moment::default();
            let mut sent = Vec::new();
            for silence in silences {
                // Mostly at once, sometimes after a silence.
                now = now.after(Duration::from_millis(silence.saturating_sub(2_500) * 20));
                now = now.max(pace.ready_at(&ONE, false));
                pace.sent(&ONE, now);
                sent.push(now);
            }
            assert_window(&sent, most, 10_000);
        }
    }

    #[test]
    fn items_count_one_by_one() {
        let mut pace = Pace::new(&[limit(Counted::Items, 100, 1_000, Scope::Destination)], 4);
        assert_eq!(pace.max_items(), 25);
        let keys = [b"k".as_slice(); 25];
        let load = Load {
            operation: 0,
            keys: &keys,
        };
        let sent = greedy(&mut pace, &load, 10_000);
        assert_window(&sent, 4, 1_000);
        assert!(sent.len() >= 30, "{}", sent.len());
    }

    #[test]
    fn a_limit_of_a_key_or_an_operation_holds_no_other() {
        let other_key = Load {
            operation: 0,
            keys: &[b"other"],
        };
        let other_operation = Load {
            operation: 1,
            ..ONE
        };
        let rows = [
            (Scope::Key, other_key, true),
            (Scope::Key, other_operation, false),
            (Scope::Operation, other_operation, true),
            (Scope::Operation, other_key, false),
            (Scope::Destination, other_key, false),
        ];
        for (of, other, is_free) in rows {
            let mut pace = Pace::new(&[limit(Counted::Requests, 1, 1_000, of)], 4);
            pace.sent(&ONE, at_ms(5));
            assert_eq!(pace.ready_at(&ONE, false), at_ms(1_005), "{of:?}");
            assert_eq!(pace.ready_at(&other, false) <= at_ms(5), is_free, "{of:?}");
        }
    }

    #[test]
    fn a_wait_is_kept_to_the_millisecond_and_never_cut() {
        for wait_ms in [1_000, 1_001, 59_999, 86_400_000] {
            let mut pace = Pace::new(&[], 4);
            let wait = Duration::from_millis(wait_ms);
            pace.told_to_wait(Scope::Destination, &ONE, Some(wait), at_ms(7), u32::MAX);
            assert_eq!(pace.ready_at(&ONE, false), at_ms(7 + wait_ms));
        }
    }

    #[test]
    fn a_later_shorter_wait_ends_no_longer_one() {
        let mut pace = Pace::new(&[], 4);
        let told = |pace: &mut Pace, seconds| {
            let wait = Some(Duration::from_secs(seconds));
            pace.told_to_wait(Scope::Destination, &ONE, wait, at_ms(0), 0);
        };
        told(&mut pace, 100);
        told(&mut pace, 10);
        assert_eq!(pace.ready_at(&ONE, false), at_ms(100_000));
    }

    #[test]
    fn a_wait_of_unknown_length_doubles_and_starts_over_with_a_success() {
        let mut pace = Pace::new(&[], 4);
        let mut waits = Vec::new();
        let mut now = at_ms(0);
        for _ in 0..8 {
            pace.told_to_wait(Scope::Destination, &ONE, None, now, 0);
            let ready = pace.ready_at(&ONE, false);
            waits.push(now.until(ready).as_millis());
            now = ready;
        }
        assert_eq!(
            waits,
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
        );
        pace.reached(now);
        pace.told_to_wait(Scope::Destination, &ONE, None, now, 0);
        assert_eq!(now.until(pace.ready_at(&ONE, false)).as_millis(), 500);
    }

    #[test]
    fn a_backoff_is_any_time_up_to_twice_the_last_one() {
        assert_eq!(backoff(1, 0), Duration::ZERO);
        let longest: Vec<u128> = (1..10).map(|n| backoff(n, u32::MAX).as_millis()).collect();
        assert_eq!(
            longest,
            [
                499, 999, 1_999, 3_999, 7_999, 15_999, 31_999, 59_999, 59_999
            ]
        );
        assert_eq!(backoff(2, 1 << 31), Duration::from_millis(500));
        assert!(backoff(u32::MAX, u32::MAX) < MAX_BACKOFF);
    }

    #[test]
    fn requests_are_held_back_after_failures_and_tried_one_by_one() {
        let mut pace = Pace::new(&[], 16);
        for _ in 0..19 {
            pace.failed(false, at_ms(5), 0);
        }
        assert!(!pace.is_held());
        pace.failed(false, at_ms(5), 0);
        assert!(pace.is_held());
        assert_eq!(pace.opens_at(3), None);
        assert_eq!(pace.opens_at(0), Some(at_ms(505)));
        // What left before the hold says nothing new.
        pace.failed(false, at_ms(6), 0);
        assert_eq!(pace.opens_at(0), Some(at_ms(505)));
        pace.failed(false, at_ms(505), 0);
        assert_eq!(pace.opens_at(0), Some(at_ms(1_505)));
        pace.reached(at_ms(1_600));
        assert!(!pace.is_held());
    }

    #[test]
    fn few_failures_that_last_hold_back_too() {
        let mut pace = Pace::new(&[], 16);
        pace.failed(false, at_ms(0), 0);
        pace.failed(false, at_ms(9_000), 0);
        assert!(!pace.is_held());
        pace.failed(false, at_ms(10_000), 0);
        assert!(pace.is_held());
    }

    #[test]
    fn a_refused_login_is_tried_once_a_minute() {
        let mut pace = Pace::new(&[], 16);
        pace.login_refused(at_ms(1));
        assert_eq!(pace.opens_at(1), None);
        assert_eq!(pace.opens_at(0), Some(at_ms(60_001)));
        pace.login_changed();
        assert_eq!(pace.opens_at(0), Some(at_ms(0)));
    }

    #[test]
    fn overload_halves_what_is_in_flight_once_a_second() {
        let mut pace = Pace::new(&[], 16);
        pace.failed(true, at_ms(100), 0);
        pace.failed(true, at_ms(101), 0);
        assert_eq!(pace.in_flight(), 8);
        pace.failed(true, at_ms(1_100), 0);
        assert_eq!(pace.in_flight(), 4);
        for second in 2..40 {
            pace.reached(at_ms(second * 1_100));
        }
        assert_eq!(pace.in_flight(), 16);
        for second in 50..60 {
            pace.failed(true, at_ms(second * 1_100), 0);
        }
        assert_eq!(pace.in_flight(), 1);
    }

    #[test]
    fn items_are_told_apart_slowly_enough_for_a_vendor_that_bans() {
        let mut pace = Pace::new(&[], 4);
        let mut now = at_ms(0);
        let mut refused = Vec::new();
        while now < at_ms(60_000) {
            let ready = pace.ready_at(&ONE, true);
            now = now.max(ready);
            pace.refused(&ONE, now);
            refused.push(now);
        }
        assert_window(&refused, 5, 10_000);
        assert!(pace.ready_at(&ONE, false) <= now, "others go on");
    }
}
