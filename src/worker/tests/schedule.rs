//! What happens to the workers of one case, and when.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::config::Guarantee;

pub(super) const PARTITIONS: usize = 3;

/// The output topics: two destinations' and the dead letters'.
pub(super) const TOPICS: [&str; 3] = ["out.first", "out.second", "out.dead"];

/// The bounds of an epoch in records that are tried: one, few, and more than there are.
pub(super) const EPOCH_RECORDS: [usize; 3] = [1, 3, 1000];

/// One run of two workers of a group.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) guarantee: Guarantee,
    /// The epoch's bound in records; its bound in time is the default's.
    pub(super) epoch_records: usize,
    /// Whether each rebalance asks all partitions back.
    pub(super) is_eager: bool,
    /// Whether a worker keeps its transactional id over a restart.
    pub(super) is_static: bool,
    /// Whether a partition without a committed offset starts at its end.
    pub(super) starts_at_end: bool,
    /// The source's records, by partition.
    pub(super) records: Vec<Vec<Kind>>,
    pub(super) steps: Vec<Step>,
}

impl std::fmt::Debug for Case {
    /// Writes one line an event, so that a failing case can be read.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Case {
            guarantee,
            epoch_records,
            is_eager,
            is_static,
            starts_at_end,
            records,
            steps,
        } = self;
        writeln!(
            formatter,
            "Case {{ guarantee: {guarantee:?}, epoch_records: {epoch_records}, is_eager: {is_eager}, is_static: {is_static}, starts_at_end: {starts_at_end},"
        )?;
        writeln!(formatter, "    records: vec!{records:?}, steps: vec![")?;
        steps
            .iter()
            .try_for_each(|step| writeln!(formatter, "        {step:?},"))?;
        formatter.write_str("    ] }")
    }
}

/// A source record, by where it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Both,
    First,
    Dead,
    Ignored,
}

impl Kind {
    /// Returns the topics that the record's outputs go to, as indices.
    pub(super) fn outputs(self) -> &'static [usize] {
        match self {
            Kind::Both => &[0, 1],
            Kind::First => &[0],
            Kind::Dead => &[2],
            Kind::Ignored => &[],
        }
    }

    pub(super) fn value(self, key: &str) -> String {
        match self {
            Kind::Both => format!(r#"{{"type":"group","groupId":"{key}"}}"#),
            Kind::First => {
                format!(r#"{{"type":"group","groupId":"{key}","integrations":{{"second":false}}}}"#)
            }
            Kind::Dead => "{".to_owned(),
            Kind::Ignored => r#"{"type":"track"}"#.to_owned(),
        }
    }
}

/// An event, before the call of that number; that the others keep their numbers when one is left out helps shrinking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) at: usize,
    pub(super) event: Event,
}

/// What happens; "the worker" is the one that has just made a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The other worker goes on instead.
    Switch,
    /// A partition has one more record.
    Append(usize),
    /// A partition is to be the other worker's.
    Move(usize),
    /// The group gives the worker's partitions to the other one, and tells it so after some polls.
    Expel { told_after: usize },
    /// The worker is killed; so many of the records that it has in flight arrive all the same.
    Crash { landed: usize },
    /// The worker is asked to stop, and another one is started.
    Stop,
    /// A topic takes no records from now on.
    Refuse(usize),
    /// A topic takes records again.
    Take(usize),
    /// The next call that may fail so does.
    Fail(Failure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// A producer cannot be opened.
    Open,
    /// A position cannot be learnt or set.
    Position,
    /// A consumer fetches nothing more.
    Stuck,
    /// Polling finds a position outside its partition.
    Gap,
    /// The producer breaks while a record is handed to it.
    Send,
    /// The producer breaks while it is served.
    Serve,
    /// The producer takes only so many records.
    Full(usize),
    /// Nothing is acknowledged for once.
    Stall,
    /// A commit, of offsets or a transaction, is answered so.
    Commit(Answer),
    /// A transaction cannot be aborted.
    Abort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// No, and nothing has changed.
    Refused,
    /// It took effect, and the answer is lost.
    LostAfter,
    /// It took no effect, and what became of it is not known.
    LostBefore,
    /// Another process has this member's name.
    Fenced,
}

const ANSWERS: [Answer; 4] = [
    Answer::Refused,
    Answer::LostAfter,
    Answer::LostBefore,
    Answer::Fenced,
];

pub(super) fn case(guarantee: Guarantee) -> impl Strategy<Value = Case> {
    let records = vec(vec(kind(), 0..6), PARTITIONS);
    let of_group = (any::<bool>(), any::<bool>(), proptest::bool::weighted(0.2));
    (
        select(&EPOCH_RECORDS[..]),
        of_group,
        records,
        vec(step(), 0..20),
    )
        .prop_map(move |(epoch_records, of_group, records, steps)| {
            let (is_eager, is_static, starts_at_end) = of_group;
            Case {
                guarantee,
                epoch_records,
                is_eager,
                is_static,
                starts_at_end,
                records,
                steps,
            }
        })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![4 => Just(Kind::Both), 1 => Just(Kind::First), 1 => Just(Kind::Dead), 1 => Just(Kind::Ignored)]
}

fn step() -> impl Strategy<Value = Step> {
    (0_usize..120, event()).prop_map(|(at, event)| Step { at, event })
}

impl Event {
    /// Returns events of every kind.
    pub(super) fn each() -> impl Iterator<Item = Event> {
        let failures = [
            Failure::Open,
            Failure::Position,
            Failure::Stuck,
            Failure::Gap,
            Failure::Send,
            Failure::Serve,
        ];
        let more = [
            Failure::Full(0),
            Failure::Full(1),
            Failure::Stall,
            Failure::Abort,
        ]
        .into_iter();
        let commits = ANSWERS.into_iter().map(Failure::Commit);
        let events = [
            Event::Switch,
            Event::Append(0),
            Event::Move(0),
            Event::Expel { told_after: 0 },
            Event::Stop,
        ];
        let kills = [
            Event::Expel { told_after: 2 },
            Event::Crash { landed: 0 },
            Event::Crash { landed: 2 },
        ];
        let refusals = (0..TOPICS.len()).map(Event::Refuse);
        let failures = failures
            .into_iter()
            .chain(more)
            .chain(commits)
            .map(Event::Fail);
        events
            .into_iter()
            .chain(kills)
            .chain(refusals)
            .chain(failures)
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Switch),
        3 => (0..PARTITIONS).prop_map(Event::Append),
        4 => (0..PARTITIONS).prop_map(Event::Move),
        1 => (0_usize..4).prop_map(|told_after| Event::Expel { told_after }),
        1 => (0_usize..4).prop_map(|landed| Event::Crash { landed }),
        1 => Just(Event::Stop),
        1 => (0..TOPICS.len()).prop_map(Event::Refuse),
        1 => (0..TOPICS.len()).prop_map(Event::Take),
        8 => failure().prop_map(Event::Fail),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        1 => Just(Failure::Open),
        1 => Just(Failure::Position),
        1 => Just(Failure::Stuck),
        2 => Just(Failure::Gap),
        1 => Just(Failure::Send),
        1 => Just(Failure::Serve),
        2 => (0_usize..3).prop_map(Failure::Full),
        3 => Just(Failure::Stall),
        5 => select(&ANSWERS[..]).prop_map(Failure::Commit),
        1 => Just(Failure::Abort),
    ]
}
