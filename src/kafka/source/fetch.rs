//! Whether a partition is fetched, and why not.
//!
//! Neither a fetch state nor an end that librdkafka remembers tells that: both look well on a partition that it has forgotten
//! (its issues 5586 and 5591). What tells is that records arrive, or that the leader, asked, says that there are none. Where a
//! partition is active, `rd_kafka_toppar_fetch_decide` sets the offset that is fetched next with each turn, paused or not.

use std::fmt;
use std::time::{Duration, Instant};

use crate::status::report::{Broker, Partition, Report};

/// How long nothing arrives before the leader is asked for the partition's end, and asked again. Seldom: a question that a leader
/// has no time to answer costs the connection to it.
const ASK_AFTER: Duration = Duration::from_secs(10);

/// A leader that does not answer keeps the worker waiting, and is asked less and less often.
const MAX_ASK_DOUBLINGS: u32 = 2;

/// A partition whose records do not arrive for this long is stuck; a new consumer is the cure.
const STUCK_AFTER: Duration = Duration::from_secs(20);

/// What new consumers do not cure is tried less and less often: each of them disturbs the group.
const MAX_RENEWAL_DOUBLINGS: u32 = 5;

/// How a partition's records arrive.
#[derive(Debug, Clone)]
pub(super) struct Fetching {
    /// Up to where it was fetched, as far as that is known.
    fetched_to: Option<i64>,
    /// When something last arrived, or nothing was there that could.
    arrived_at: Instant,
    /// Since when an answer says that there is more.
    behind_at: Option<Instant>,
    /// What its leader has shown since then.
    obstacle: Option<Obstacle>,
    asked_at: Instant,
    n_unanswered: u32,
    pub(super) leader: Leader,
    /// When its leader was last away.
    away_at: Option<Instant>,
}

/// Who could be asked for a partition's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leader {
    /// Statistics have not told it yet.
    Unknown,
    /// Nobody.
    Nobody,
    /// A broker that the client is not connected to.
    Away(i32),
    /// A broker that the client is connected to, and that says nothing, not even that there are no records.
    Silent,
    /// A broker that the client is connected to.
    Connected(i32),
}

/// What a leader says when it is asked for a partition's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    End(i64),
    None,
}

/// Why nothing arrives. Only for the last does a new consumer help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    NoLeader,
    LeaderAway(i32),
    NoAnswer,
    NotFetched,
}

impl Leader {
    /// Returns the leader as the client's statistics have it. One from which nothing came for `patience` is silent.
    pub(super) fn of(report: &Report, partition: &Partition, patience: Option<Duration>) -> Leader {
        if partition.leader < 0 {
            return Leader::Nobody;
        }
        // Records may come from a follower (KIP-392), and then there may be no connection to the leader.
        let is_it = |broker: &&Broker| broker.nodeid == partition.broker && broker.state == "UP";
        let Some(broker) = report.brokers.values().find(is_it) else {
            return Leader::Away(partition.leader);
        };
        let silence = Duration::from_micros(broker.rxidle.max(0).unsigned_abs());
        if patience.is_some_and(|patience| silence > patience) {
            Leader::Silent
        } else {
            Leader::Connected(partition.leader)
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::NoLeader => formatter.write_str("no broker leads it"),
            Obstacle::LeaderAway(broker) => {
                write!(formatter, "its leader, broker {broker}, is not connected")
            }
            Obstacle::NoAnswer => formatter.write_str("its leader does not answer"),
            Obstacle::NotFetched => {
                formatter.write_str("its leader has records and the client does not fetch them")
            }
        }
    }
}

impl Fetching {
    pub(super) fn new(now: Instant) -> Fetching {
        Fetching {
            fetched_to: None,
            arrived_at: now,
            behind_at: None,
            obstacle: None,
            asked_at: now,
            n_unanswered: 0,
            leader: Leader::Unknown,
            away_at: None,
        }
    }

    /// Takes note that something has arrived, or that nothing has to.
    pub(super) fn rest(&mut self, now: Instant) {
        (
            self.arrived_at,
            self.behind_at,
            self.obstacle,
            self.n_unanswered,
        ) = (now, None, None, 0);
    }

    /// Returns whether it is time to ask the leader, if there is one to be asked, and takes note that it is asked.
    pub(super) fn is_to_ask(&mut self, now: Instant) -> bool {
        let pause = ASK_AFTER * 2_u32.pow(self.n_unanswered.min(MAX_ASK_DOUBLINGS));
        let is_due = now.saturating_duration_since(self.arrived_at.max(self.asked_at)) >= pause;
        let is_to_ask = is_due && self.is_answerable();
        if is_to_ask {
            self.asked_at = now;
        }
        is_to_ask
    }

    /// Returns whether somebody may be there to answer.
    pub(super) fn is_answerable(&self) -> bool {
        matches!(self.leader, Leader::Unknown | Leader::Connected(_))
    }

    /// Takes note of up to where the partition was fetched, and of what its leader has answered if it was asked. Returns what
    /// keeps records from arriving, if anything does.
    pub(super) fn see(
        &mut self,
        fetched_to: Option<i64>,
        leader: Leader,
        answer: Option<Answer>,
        now: Instant,
    ) -> Option<Obstacle> {
        if fetched_to != self.fetched_to {
            self.fetched_to = fetched_to;
            self.rest(now);
        }
        self.leader = leader;
        match answer {
            Some(Answer::End(end)) if fetched_to.is_some_and(|fetched_to| fetched_to >= end) => {
                self.rest(now)
            }
            Some(Answer::End(_)) => {
                self.behind_at.get_or_insert(now);
                (self.obstacle, self.n_unanswered) = (Some(Obstacle::NotFetched), 0);
            }
            Some(Answer::None) => {
                self.obstacle = Some(Obstacle::NoAnswer);
                self.n_unanswered += 1;
            }
            None => {}
        }
        let away = match leader {
            Leader::Nobody => Some(Obstacle::NoLeader),
            Leader::Away(broker) => Some(Obstacle::LeaderAway(broker)),
            Leader::Silent => Some(Obstacle::NoAnswer),
            Leader::Unknown | Leader::Connected(_) => return self.obstacle,
        };
        self.away_at = Some(now);
        away
    }

    /// Returns whether a new consumer is due, after `n_renewals` that did not help.
    pub(super) fn is_stuck(&self, n_renewals: u32, now: Instant) -> bool {
        let patience = STUCK_AFTER * 2_u32.pow(n_renewals.min(MAX_RENEWAL_DOUBLINGS));
        let since = self.behind_at.max(self.away_at);
        self.obstacle == Some(Obstacle::NotFetched)
            && since.is_some_and(|since| now.saturating_duration_since(since) > patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition, and what is seen of it second by second from the first on. Returns what keeps it at last, when a new consumer
    /// is due first, and how often the leader was asked.
    fn watch(
        n_seconds: u64,
        n_renewals: u32,
        see: impl Fn(u64) -> (i64, Leader, Answer),
    ) -> (Option<Obstacle>, Option<u64>, usize) {
        let began = Instant::now();
        let mut fetching = Fetching::new(began);
        let (mut obstacle, mut stuck_at, mut n_asked) = (None, None, 0);
        for second in 1..=n_seconds {
            let now = began + Duration::from_secs(second);
            let (fetched_to, leader, answer) = see(second);
            let answer = Some(answer).filter(|_| fetching.is_to_ask(now));
            n_asked += usize::from(answer.is_some());
            obstacle = fetching.see(Some(fetched_to), leader, answer, now);
            if fetching.is_stuck(n_renewals, now) {
                stuck_at.get_or_insert(second);
            }
        }
        (obstacle, stuck_at, n_asked)
    }

    const LED: Leader = Leader::Connected(1);

    #[test]
    fn what_arrives_or_is_at_its_end_is_never_stuck() {
        let arrives = |second| (i64::try_from(second).unwrap(), LED, Answer::End(1_000_000));
        assert_eq!(watch(600, 0, arrives), (None, None, 0));
        assert_eq!(
            watch(600, 0, |_| (10, LED, Answer::End(10))),
            (None, None, 59)
        );
    }

    #[test]
    fn records_that_the_leader_has_and_that_do_not_arrive_are_stuck() {
        let ahead = |_| (10, LED, Answer::End(11));
        assert_eq!(
            watch(40, 0, ahead),
            (Some(Obstacle::NotFetched), Some(32), 3)
        );
        assert_eq!(
            watch(100, 2, ahead),
            (Some(Obstacle::NotFetched), Some(92), 9)
        );
        assert_eq!(
            watch(1000, 60, ahead),
            (Some(Obstacle::NotFetched), Some(652), 99)
        );
    }

    #[test]
    fn without_a_leader_or_an_answer_no_new_consumer_helps() {
        assert_eq!(
            watch(600, 0, |_| (10, Leader::Nobody, Answer::End(11))),
            (Some(Obstacle::NoLeader), None, 0)
        );
        assert_eq!(
            watch(600, 0, |_| (10, Leader::Away(3), Answer::End(11))),
            (Some(Obstacle::LeaderAway(3)), None, 0)
        );
        assert_eq!(
            watch(600, 0, |_| (10, LED, Answer::None)),
            (Some(Obstacle::NoAnswer), None, 16)
        );
        assert_eq!(
            watch(600, 0, |_| (10, Leader::Silent, Answer::End(11))),
            (Some(Obstacle::NoAnswer), None, 0)
        );
    }

    #[test]
    fn a_leader_that_comes_back_is_given_time() {
        let comes_back = |second| {
            (
                10,
                if second < 300 { Leader::Nobody } else { LED },
                Answer::End(11),
            )
        };
        assert_eq!(
            watch(310, 0, comes_back),
            (Some(Obstacle::NotFetched), None, 1)
        );
        assert_eq!(
            watch(400, 0, comes_back),
            (Some(Obstacle::NotFetched), Some(322), 10)
        );
        let answers_again = |second| {
            (
                10,
                LED,
                if second < 300 {
                    Answer::None
                } else {
                    Answer::End(10)
                },
            )
        };
        assert_eq!(watch(320, 0, answers_again).0, None);
    }
}
