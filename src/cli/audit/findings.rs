//! What an audit has found: counts of each topic, and some of the ids.

use serde::Serialize;

/// What can be said of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// It is due and is not there.
    Missing,
    /// It is there once more than it must be.
    Repeated,
    /// It stands before one of its key that comes before it in the source.
    OutOfOrder,
    /// It has the id of one that is due, and another key, value or header.
    Different,
    /// It is there and is not due.
    NotDue,
    /// It is due and is not there, where retention has removed what was.
    NotJudged,
}

impl Kind {
    /// Every kind, the worst first.
    pub(super) const ALL: [Kind; 6] = [
        Kind::Missing,
        Kind::Repeated,
        Kind::OutOfOrder,
        Kind::Different,
        Kind::NotDue,
        Kind::NotJudged,
    ];

    /// Returns the words for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Repeated => "repeated",
            Kind::OutOfOrder => "out of order",
            Kind::Different => "different",
            Kind::NotDue => "not due",
            Kind::NotJudged => "not judged",
        }
    }
}

/// How many records there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Ids that are due.
    pub(super) due: u64,
    /// Those of them that are there, once or more.
    pub(super) found: u64,
    pub(super) missing: u64,
    /// Records, without the first of each id.
    pub(super) repeated: u64,
    pub(super) out_of_order: u64,
    pub(super) different: u64,
    pub(super) not_due: u64,
    pub(super) not_judged: u64,
    /// Records of replays and redrives.
    pub(super) replayed: u64,
}

impl Counts {
    pub(super) fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Missing => self.missing,
            Kind::Repeated => self.repeated,
            Kind::OutOfOrder => self.out_of_order,
            Kind::Different => self.different,
            Kind::NotDue => self.not_due,
            Kind::NotJudged => self.not_judged,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Missing => &mut self.missing,
            Kind::Repeated => &mut self.repeated,
            Kind::OutOfOrder => &mut self.out_of_order,
            Kind::Different => &mut self.different,
            Kind::NotDue => &mut self.not_due,
            Kind::NotJudged => &mut self.not_judged,
        }
    }

    pub(super) fn add(&mut self, other: &Counts) {
        self.due += other.due;
        self.found += other.found;
        self.replayed += other.replayed;
        for kind in Kind::ALL {
            *self.of_mut(kind) += other.of(kind);
        }
    }
}

/// One record that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) finding: Kind,
    /// Its id; of a dead letter what it is of; absent where the record has no id of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Where it is, as topic/partition/offset; absent where it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    /// The id of the record that it stands before and must not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
}

/// What was found of one output topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct OfTopic {
    pub(super) topic: String,
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// The first few of each kind.
    pub(super) findings: Vec<Finding>,
    #[serde(skip)]
    limit: usize,
}

impl OfTopic {
    /// Returns one with nothing in it, which keeps so many findings of each kind.
    pub(super) fn new(topic: &str, limit: usize) -> OfTopic {
        OfTopic {
            topic: topic.to_owned(),
            counts: Counts::default(),
            findings: Vec::new(),
            limit,
        }
    }

    /// Counts a record, and keeps the first few; `finding` is told the topic.
    pub(super) fn note(&mut self, kind: Kind, finding: impl FnOnce(&str) -> Finding) {
        let count = self.counts.of_mut(kind);
        *count += 1;
        if *count <= u64::try_from(self.limit).unwrap_or(u64::MAX) {
            self.findings.push(finding(&self.topic));
        }
    }
}
