//! Reads the source and all outputs of a run, and finds each event's verdict once more (semantics E11, I1 to I7).
//!
//! Shares no code with the program: what is expected comes from how the generator made each event, and what is found
//! from the records alone.

mod output;
mod report;
pub(crate) mod watch;

use std::collections::HashMap;

use rdkafka::message::{BorrowedMessage, Message};

use self::output::{Output, headers, murmur2_partition};
pub(crate) use self::report::{Report, Tally};
use super::generator::{DESTINATIONS, Expected, OPERATIONS, Outcome, Recipe};
use super::source::Source;
use super::topics;

/// How records are made (semantics K4); a bare body tells nothing of its source, and is checked by comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Structured,
    Binary,
}

/// What was run: a group that read a source and wrote to topics that begin with the prefix.
pub(crate) struct Run<'a> {
    pub(crate) brokers: &'a str,
    pub(crate) source: &'a Source,
    pub(crate) prefix: &'a str,
    pub(crate) group: &'a str,
    pub(crate) format: Format,
    pub(crate) excuses: Excuses,
}

/// What the run did to the topics themselves, so that nobody else is to blame for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Excuses {
    /// The topic of this name after the prefix was deleted when the source's partitions ended here.
    pub(crate) deleted: Option<(&'static str, Vec<usize>)>,
    /// What retention removed of each source partition before it was read, and with it all that stood before.
    pub(crate) removed: Vec<std::ops::Range<usize>>,
    /// How many partitions the outputs had before they were given more.
    pub(crate) n_partitions_before: Option<usize>,
}

impl Excuses {
    /// Returns which of the records that an event makes need not be there.
    fn of(&self, at: At) -> [bool; N_SLOTS] {
        let is_removed = self
            .removed
            .get(at.partition)
            .is_some_and(|removed| removed.contains(&at.offset));
        let deleted = self
            .deleted
            .as_ref()
            .filter(|(_, ends)| at.offset < ends[at.partition])
            .map(|(name, _)| *name);
        std::array::from_fn(|slot| is_removed || deleted == Some(topic_of(slot)))
    }

    /// Returns the offset before which the source itself is gone.
    fn end_of_removed(&self, partition: usize) -> usize {
        self.removed.get(partition).map_or(0, |removed| removed.end)
    }
}

/// Returns the topic that a record goes to, without its prefix.
fn topic_of(slot: usize) -> &'static str {
    OPERATIONS
        .get(slot)
        .map_or("dead", |(destination, _)| DESTINATIONS[*destination])
}

/// After the operations: the dead letter of a whole record, then one for each destination's share.
const WHOLE: usize = OPERATIONS.len();
const N_SLOTS: usize = WHOLE + 1 + DESTINATIONS.len();

/// How often each record that an event can make was found.
type Found = [u8; N_SLOTS];

struct Checker<'a> {
    run: &'a Run<'a>,
    found: Vec<Vec<Found>>,
    timestamps: Vec<Vec<i64>>,
    n_read: Vec<usize>,
    faults: Vec<String>,
    n_faults: u64,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct At {
    partition: usize,
    offset: usize,
}

impl Run<'_> {
    /// Returns the counts, repetitions among them; or the faults: a record lost, changed, out of order or where none should
    /// be, or an offset that is not committed, or too early.
    pub(crate) fn check(&self) -> Result<Report, String> {
        match self.judge() {
            (report, 0, _) => Ok(report),
            (_, n_faults, faults) => Err(format!(
                "{n_faults} faults, among them:\n{}",
                faults.join("\n")
            )),
        }
    }

    /// Returns the counts all the same, and how many faults there are with the first of them.
    pub(crate) fn judge(&self) -> (Report, u64, Vec<String>) {
        let events = &self.source.events;
        let mut checker = Checker {
            run: self,
            found: events
                .iter()
                .map(|events| vec![[0; N_SLOTS]; events.len()])
                .collect(),
            timestamps: events.iter().map(|events| vec![-1; events.len()]).collect(),
            n_read: vec![0; events.len()],
            faults: Vec::new(),
            n_faults: 0,
        };
        checker.read_source();
        for (destination, name) in DESTINATIONS.iter().enumerate() {
            checker.read_destination(destination, name);
        }
        checker.read_dead_letters();
        checker.check_committed();
        let report = checker.compare();
        (report, checker.n_faults, checker.faults)
    }
}

impl Checker<'_> {
    fn fault(&mut self, text: impl FnOnce() -> String) {
        self.n_faults += 1;
        if self.faults.len() < 20 {
            self.faults.push(text());
        }
    }

    fn event(&self, at: At) -> Option<Recipe> {
        self.run.source.event(at.partition, at.offset)
    }

    /// Sees that the source holds what the generator made: everything else is judged by that.
    fn read_source(&mut self) {
        topics::read(self.run.brokers, &self.run.source.topic, |message| {
            let at = At {
                partition: index(message.partition()),
                offset: index(message.offset()),
            };
            let is_ours = self.event(at).is_some_and(|event| {
                event.value().as_deref() == message.payload()
                    && event.key().as_deref().map(str::as_bytes) == message.key()
            });
            if !is_ours {
                return self
                    .fault(|| format!("the source does not hold what was written to it: {at:?}"));
            }
            self.n_read[at.partition] += 1;
            self.timestamps[at.partition][at.offset] =
                message.timestamp().to_millis().unwrap_or(-1);
        });
        for partition in 0..self.n_read.len() {
            let offsets =
                self.run.excuses.end_of_removed(partition)..self.run.source.events[partition].len();
            let written = offsets
                .filter(|offset| self.run.source.event(partition, *offset).is_some())
                .count();
            let found = self.n_read[partition];
            if found != written {
                self.fault(|| {
                    format!(
                        "source partition {partition} holds {found} records, {written} were written"
                    )
                });
            }
        }
    }

    fn read_destination(&mut self, destination: usize, name: &str) {
        let topic = format!("{}.{name}", self.run.prefix);
        let n_partitions = topics::n_partitions(self.run.brokers, &topic);
        let mut order = self.order(name);
        topics::read(self.run.brokers, &topic, |message| {
            let place = format!("{topic}/{}/{}", message.partition(), message.offset());
            if let Err(fault) = self.take(destination, n_partitions, message, &mut order) {
                self.fault(|| format!("{place}: {fault}"));
            }
        });
        self.judge_order(&topic, &order);
    }

    /// Returns how the order of a topic is judged.
    fn order(&self, name: &str) -> Order {
        let is_recreated = self
            .run
            .excuses
            .deleted
            .as_ref()
            .is_some_and(|(deleted, _)| *deleted == name);
        Order {
            is_recreated,
            ..Order::default()
        }
    }

    fn judge_order(&mut self, topic: &str, order: &Order) {
        for fault in order.of_repetitions() {
            self.fault(|| format!("{topic}: {fault}"));
        }
    }

    /// Takes one record of a destination's topic.
    fn take(
        &mut self,
        destination: usize,
        n_partitions: usize,
        message: &BorrowedMessage<'_>,
        order: &mut Order,
    ) -> Result<(), String> {
        let output = Output::read(self.run.format, message)?;
        let (at, operation) = place(destination, &output.id)?;
        let name = OPERATIONS[operation].1;
        let event = self
            .event(at)
            .ok_or(format!("{at:?} is not in the source"))?;
        let said = output.id.rsplit('/').nth(2).unwrap_or_default();
        let timestamp = self
            .timestamp(at)
            .map_or(said.to_owned(), |timestamp| timestamp.to_string());
        let id = format!(
            "{}/{}/{}/{timestamp}/{}/{name}",
            self.run.source.topic, at.partition, at.offset, DESTINATIONS[destination]
        );
        equal("id", &output.id, &id)?;
        equal(
            "type",
            &output.event_type,
            &format!("{}.{name}", DESTINATIONS[destination]),
        )?;
        equal("traceparent", &output.traceparent, &event.traceparent())?;
        equal("key", &message.key(), &Some(event.group_id().as_bytes()))?;
        let partition = |n_partitions| murmur2_partition(event.group_id().as_bytes(), n_partitions);
        if self.run.excuses.n_partitions_before.map(partition) != Some(index(message.partition())) {
            equal(
                "partition",
                &index(message.partition()),
                &partition(n_partitions),
            )?;
        }
        output.check_body(operation, event)?;
        // Where topics were given partitions, a group moves to another one, and order holds from one partition to one.
        self.count(
            at,
            operation,
            order,
            format!(
                "{}/{}/{}",
                message.partition(),
                at.partition,
                event.group_id()
            ),
        )
    }

    /// Returns when a source record was written; `None` where retention has removed it since.
    fn timestamp(&self, at: At) -> Option<i64> {
        Some(self.timestamps[at.partition][at.offset]).filter(|timestamp| *timestamp >= 0)
    }

    /// Counts a record; the first of its kind must come after what came first before it (I4, K5).
    fn count(&mut self, at: At, slot: usize, order: &mut Order, key: String) -> Result<(), String> {
        let count = &mut self.found[at.partition][at.offset][slot];
        *count = count.saturating_add(1);
        order.see(&key, (at, slot));
        if *count == 1 && !order.is_recreated {
            order.advance(key, (at, slot))
        } else {
            Ok(())
        }
    }

    fn read_dead_letters(&mut self) {
        let topic = format!("{}.dead", self.run.prefix);
        let n_partitions = topics::n_partitions(self.run.brokers, &topic);
        let mut order = self.order("dead");
        topics::read(self.run.brokers, &topic, |message| {
            let place = format!("{topic}/{}/{}", message.partition(), message.offset());
            if let Err(fault) = self.take_dead_letter(n_partitions, message, &mut order) {
                self.fault(|| format!("{place}: {fault}"));
            }
        });
        self.judge_order(&topic, &order);
    }

    fn take_dead_letter(
        &mut self,
        n_partitions: usize,
        message: &BorrowedMessage<'_>,
        order: &mut Order,
    ) -> Result<(), String> {
        let mut headers = headers(message)?;
        let mut header = |name: &str| headers.remove(name).ok_or(format!("no header {name}"));
        let number = |text: String| {
            text.parse::<usize>()
                .map_err(|error| format!("{text}: {error}"))
        };
        let (reason, _detail) = (header("reason")?, header("detail")?);
        let at = At {
            partition: number(header("source_partition")?)?,
            offset: number(header("source_offset")?)?,
        };
        let event = self
            .event(at)
            .ok_or(format!("{at:?} is not in the source"))?;
        equal(
            "source_topic",
            &header("source_topic")?,
            &self.run.source.topic,
        )?;
        let said = header("source_timestamp")?;
        equal(
            "source_timestamp",
            &said,
            &self
                .timestamp(at)
                .map_or(said.clone(), |timestamp| timestamp.to_string()),
        )?;
        let traceparent = header("traceparent").ok();
        equal("traceparent", &traceparent, &event.traceparent())?;
        let destination = header("destination").ok();
        equal("headers", &headers, &HashMap::new())?;
        equal(
            "partition",
            &index(message.partition()),
            &(at.partition % n_partitions),
        )?;
        if message.key() != event.key().as_deref().map(str::as_bytes)
            || message.payload() != event.value().as_deref()
        {
            return Err(format!(
                "{at:?}: the dead letter's key or value is not the source's"
            ));
        }
        let (slot, expected) = match (&destination, event.expected()) {
            (None, Expected::DeadLettered(expected)) => (WHOLE, expected),
            (Some(name), Expected::Routed(outcomes)) => {
                dead_share(name, &outcomes).ok_or(format!("{name} has no dead letter"))?
            }
            (_, expected) => {
                return Err(format!(
                    "{at:?}: a dead letter of {destination:?}, where {expected:?} was due"
                ));
            }
        };
        equal("reason", &*reason, expected)?;
        self.count(at, slot, order, at.partition.to_string())
    }

    /// Sees that the group's offsets stand at the end of the source, and no further.
    fn check_committed(&mut self) {
        for (partition, next) in
            topics::committed(self.run.brokers, self.run.group, &self.run.source.topic)
        {
            let end = self.run.source.events[index(partition)].len();
            if index(next) != end {
                self.fault(|| {
                    format!("partition {partition} ends at {end}, and {next} is committed")
                });
            }
        }
    }

    /// Compares what was found of each event with what was due.
    fn compare(&mut self) -> Report {
        let mut report = Report::default();
        for partition in 0..self.found.len() {
            for offset in 0..self.found[partition].len() {
                let (at, found) = (At { partition, offset }, self.found[partition][offset]);
                let Some(event) = self.run.source.event(partition, offset) else {
                    if found != [0; N_SLOTS] {
                        self.fault(|| {
                            format!("{at:?}: nothing was committed there, found {found:?}")
                        });
                    }
                    continue;
                };
                let expected = event.expected();
                let due = due(&expected);
                let excused = self.run.excuses.of(at);
                if (0..N_SLOTS).any(|slot| {
                    (found[slot] > 0) != due[slot] && !(excused[slot] && found[slot] == 0)
                }) {
                    self.fault(|| format!("{at:?}: due {expected:?}, found {found:?}"));
                }
                report.lost += u64::from(
                    (0..N_SLOTS).any(|slot| due[slot] && found[slot] == 0 && !excused[slot]),
                );
                report.count(&expected, &found);
                if offset >= self.run.excuses.end_of_removed(partition) {
                    report.count_records(&due, &found);
                }
            }
        }
        report
    }
}

/// Returns the event and the operation that a record of a destination names by its id.
fn place(destination: usize, id: &str) -> Result<(At, usize), String> {
    let mut parts = id.rsplit('/');
    let wanted = (destination, parts.next().unwrap_or_default());
    let operation = OPERATIONS
        .iter()
        .position(|operation| *operation == wanted)
        .ok_or(format!("operation {wanted:?}"))?;
    let mut numbers = parts.skip(2).map(str::parse::<usize>);
    let (Some(Ok(offset)), Some(Ok(partition))) = (numbers.next(), numbers.next()) else {
        return Err(format!("id {id}"));
    };
    Ok((At { partition, offset }, operation))
}

/// Returns the bodies in a topic by key, in their order; without a format a value is the body.
pub(crate) fn bodies(
    brokers: &str,
    topic: &str,
    format: Option<Format>,
) -> HashMap<Option<Vec<u8>>, Vec<Vec<u8>>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    topics::read(brokers, topic, |message| {
        let body = match format {
            Some(format) => Output::read(format, message)
                .expect("the checker has read it")
                .body
                .into_bytes(),
            None => message.payload().unwrap_or_default().to_owned(),
        };
        found
            .entry(message.key().map(<[u8]>::to_vec))
            .or_default()
            .push(body);
    });
    found
}

fn due(expected: &Expected) -> [bool; N_SLOTS] {
    let mut due = [false; N_SLOTS];
    match expected {
        Expected::Ignored(_) => {}
        Expected::DeadLettered(_) => due[WHOLE] = true,
        Expected::Routed(outcomes) => {
            for (destination, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Outcome::Emitted(operations) => operations
                        .iter()
                        .for_each(|operation| due[*operation] = true),
                    Outcome::Skipped(_) => {}
                    Outcome::DeadLettered(_) => due[WHOLE + 1 + destination] = true,
                }
            }
        }
    }
    due
}

fn dead_share(name: &str, outcomes: &[Outcome; 6]) -> Option<(usize, &'static str)> {
    let destination = DESTINATIONS
        .iter()
        .position(|destination| *destination == name)?;
    let Outcome::DeadLettered(reason) = outcomes[destination] else {
        return None;
    };
    Some((WHOLE + 1 + destination, reason))
}

/// What came last under each key, of what was not a repetition.
#[derive(Default)]
struct Order {
    last: HashMap<String, (At, usize)>,
    /// Whether the topic was recreated: the new one knows no sequence numbers, so that of what came twice the last one must be in
    /// order, and not the first.
    is_recreated: bool,
    /// All that came under each key, of a topic that was recreated.
    all: HashMap<String, Vec<(At, usize)>>,
}

impl Order {
    fn see(&mut self, key: &str, place: (At, usize)) {
        if self.is_recreated {
            self.all.entry(key.to_owned()).or_default().push(place);
        }
    }

    /// Returns the faults in the order of the last of each.
    fn of_repetitions(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (key, places) in &self.all {
            let mut next: Option<(At, usize)> = None;
            let mut seen = std::collections::HashSet::new();
            for place in places.iter().rev().filter(|place| seen.insert(**place)) {
                if next.is_some_and(|next| *place > next) {
                    faults.push(format!(
                        "out of order at last: {place:?} before {next:?}, of {key}"
                    ));
                }
                next = Some(*place);
            }
        }
        faults
    }

    fn advance(&mut self, key: String, place: (At, usize)) -> Result<(), String> {
        match self.last.insert(key, place) {
            Some(before) if before >= place => {
                Err(format!("out of order: {place:?} came after {before:?}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn equal<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what} is {found:?}, not {expected:?}"))
    }
}

fn index(number: impl TryInto<usize>) -> usize {
    number
        .try_into()
        .ok()
        .expect("partitions and offsets are not negative")
}
