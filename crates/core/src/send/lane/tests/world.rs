//! Two processes of one sender, Kafka and the vendor, as one value that judges whatever happens:
//!
//! - nothing is lost: in the end each record is with the vendor, or stands where refused records stand;
//! - nothing is skipped: what a commit says is done is with the vendor, or stands there;
//! - no record is refused that the vendor would take, or given up while no other gets through;
//! - the vendor gets a key's records in their order, and never two requests of one key at once;
//! - what the vendor took is not sent again, but for what was in flight or not committed at a crash;
//! - no request leaves before a time that the vendor asked for;
//! - the window is bounded, and a commit's metadata fits;
//! - once all is well, everything is finished within a number of rounds.
//!
//! What it does not model: an answer that comes late, after the request was given up. Nobody can keep the order then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::destination::{Definition, Settings};
use crate::send::answer::Answer;
use crate::send::done::{Commit, DoneMap, Read};
use crate::send::lane::{Bounds, Lane, Next, Refusal, Reply, Request, RequestId};
use crate::send::moment::Moment;
use crate::send::request::Item;

pub(super) const PROCESSES: usize = 2;
pub(super) const IN_FLIGHT: usize = 3;
const ATTEMPTS: u32 = 3;

/// How many rounds it takes at most until everything is finished, once all is well.
const ROUNDS: usize = 2000;

#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Whether a request may hold a key twice.
    pub(super) repeats: bool,
    /// Whether the vendor says which items of a request it refuses.
    pub(super) names_items: bool,
    pub(super) span: u16,
    /// The key and the kind of each record, by partition.
    pub(super) records: Vec<Vec<(u8, Kind)>>,
    pub(super) steps: Vec<Step>,
}

/// What the vendor does with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Good,
    Refused,
    Failing,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The owner of the partition reads a record.
    Read(usize),
    /// The process does what its lane says.
    Ask(usize),
    /// A request is answered, so to speak.
    Land(usize, Outcome),
    Pass(u64),
    /// A refused record is acknowledged.
    Park(usize),
    Commit(usize),
    /// The partition goes to the other process, after a commit or without.
    Move(usize, bool, bool),
    /// The process gets the partition anew, while its requests are in flight.
    Assign(usize),
    /// The process dies; what is in flight arrives, or not.
    Crash(usize, bool),
    /// The metadata of a commit is changed.
    Damage(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// By the records' kinds.
    Natural,
    Fails,
    /// It fails, and has taken what it could.
    FailsLate,
    /// One of the items fails for now; the answer says which.
    FailsForOne(usize),
    Throttles(u64),
    RefusesLogin,
    TooLarge,
    Unsent,
    Unsure(bool),
}

impl Step {
    /// Returns the step that these bytes mean; small ones are the usual course of things.
    pub(super) fn of((step, which, how): (u8, u8, u8)) -> Step {
        let (a, b) = (usize::from(which), usize::from(how));
        match step % 24 {
            0..=4 => Step::Read(a % 2),
            5..=8 => Step::Ask(a % PROCESSES),
            9..=13 => Step::Land(a, Outcome::of(how)),
            14 | 15 => Step::Pass([1, 60, 500, 3_000, 61_000, 1_000_000][b % 6]),
            16 => Step::Park(a),
            17 | 18 => Step::Commit(a % 2),
            19 => Step::Move(a % 2, b % 2 == 0, b % 4 < 2),
            20 => Step::Assign(a % 2),
            21 => Step::Crash(a % PROCESSES, b % 2 == 0),
            22 => Step::Damage(a % 2, b),
            _ => Step::Land(a, Outcome::Natural),
        }
    }
}

impl Outcome {
    fn of(how: u8) -> Outcome {
        match how % 16 {
            0..=4 => Outcome::Natural,
            5 => Outcome::Fails,
            6 => Outcome::FailsLate,
            7 | 8 => Outcome::FailsForOne(usize::from(how / 16)),
            9 | 10 => Outcome::Throttles([1, 1_500, 20_000, 100_000][usize::from(how / 16) % 4]),
            11 => Outcome::RefusesLogin,
            12 => Outcome::TooLarge,
            13 => Outcome::Unsent,
            14 => Outcome::Unsure(true),
            _ => Outcome::Unsure(false),
        }
    }
}

/// A record's place: partition and offset.
type Place = (usize, i64);

struct Record {
    key: String,
    kind: Kind,
    operation: usize,
}

struct Process {
    lane: Lane,
    flights: Vec<Request>,
    /// Under which assignment each of them left.
    left_under: HashMap<RequestId, Vec<usize>>,
    /// Refused records that are not acknowledged yet.
    parking: Vec<Place>,
    /// No request before this: the vendor asked for it.
    wait_until: Moment,
    login_until: Moment,
    /// How many records it was told are taken.
    taken: usize,
    /// That number when a record was first sent.
    taken_at_first: HashMap<Place, usize>,
}

struct Partition {
    records: BTreeMap<i64, Record>,
    n_original: usize,
    owner: usize,
    committed: Commit,
    /// Before this, a commit was found to be right.
    judged: i64,
    /// Counts who owned it.
    assignment: usize,
    /// The offset to read next.
    next: i64,
    /// What its owner was told is taken, or acknowledged, since it was assigned.
    told: BTreeSet<i64>,
    /// What a commit has that the next owner can read.
    durable: BTreeSet<i64>,
}

struct World {
    case: Case,
    now: Moment,
    partitions: Vec<Partition>,
    processes: Vec<Process>,
    /// What the vendor applied, in its order, and under which assignment.
    applied: HashMap<(usize, String), Vec<(usize, i64)>>,
    /// With the vendor, or where refused records stand.
    done: BTreeSet<Place>,
    n_random: u32,
    trace: String,
}

type Judgement = Result<(), String>;

/// Runs a case to its end. Returns what was violated, and everything that led to it.
pub(super) fn run(case: &Case) -> Judgement {
    let mut world = World::new(case);
    let judged = world.play();
    judged.map_err(|violation| format!("{violation}\n{}", world.trace))
}

fn definition(case: &Case) -> Arc<Definition> {
    static BOTH: LazyLock<[Arc<Definition>; 2]> = LazyLock::new(|| {
        [false, true].map(|repeats| {
            let text = format!(
                r#"name: A
about: A.
membership: none
nulls: drop
operations:
  - {{ id: a, request: POST /a, batch: {{ records: 4, as: array }}, body: {{ a: 1 }} }}
  - {{ id: b, request: POST /b, body: {{ a: 1 }} }}
send:
  url: https://a.example
  auth: none
  repeats: {repeats}
  in_flight: {IN_FLIGHT}
  answers:
    - {{ status: 207, items: {{ in: /errors, index: /index }}, means: refused }}
    - {{ status: 207, items: {{ in: /again, index: /index }}, means: retry }}
"#
            );
            Arc::new(Definition::parse("x", "x.yaml", &text).unwrap())
        })
    });
    Arc::clone(&BOTH[usize::from(case.repeats)])
}

fn process(case: &Case) -> Process {
    let definition = definition(case);
    let sending = definition.sending(&Settings::default(), &Settings::default(), None);
    let bounds = Bounds {
        span: case.span,
        attempts: ATTEMPTS,
        after: Duration::from_secs(60),
        ..Bounds::default()
    };
    Process {
        lane: Lane::new(definition, sending.unwrap().unwrap(), bounds),
        flights: Vec::new(),
        left_under: HashMap::new(),
        parking: Vec::new(),
        wait_until: Moment::default(),
        login_until: Moment::default(),
        taken: 0,
        taken_at_first: HashMap::new(),
    }
}

impl World {
    fn new(case: &Case) -> World {
        let partition = |(number, records): (usize, &Vec<(u8, Kind)>)| {
            // Offsets have gaps, as compaction leaves them.
            let place = |index: usize| i64::try_from(index + index / 3 * 2).unwrap();
            // A window of a few offsets has no room for what tells that a record fails alone.
            let is_narrow = case.span < 100;
            let record = |(index, (key, kind)): (usize, &(u8, Kind))| {
                let record = Record {
                    key: format!("k{key}"),
                    kind: if is_narrow && *kind == Kind::Failing {
                        Kind::Good
                    } else {
                        *kind
                    },
                    // A key has records of one operation each, now and then of the other.
                    operation: usize::from((usize::from(*key) + index / 5).is_multiple_of(3)),
                };
                (place(index), record)
            };
            Partition {
                records: records.iter().enumerate().map(record).collect(),
                n_original: records.len(),
                owner: number % PROCESSES,
                committed: Commit {
                    offset: 0,
                    metadata: String::new(),
                },
                judged: 0,
                assignment: 0,
                next: 0,
                told: BTreeSet::new(),
                durable: BTreeSet::new(),
            }
        };
        World {
            case: case.clone(),
            now: Moment::default(),
            partitions: case.records.iter().enumerate().map(partition).collect(),
            processes: (0..PROCESSES).map(|_| process(case)).collect(),
            applied: HashMap::new(),
            done: BTreeSet::new(),
            n_random: 7,
            trace: String::new(),
        }
    }

    fn play(&mut self) -> Judgement {
        for partition in 0..self.partitions.len() {
            self.assign(partition);
        }
        for step in self.case.steps.clone() {
            self.tell(&format!("--- {step:?}"));
            self.step(step)?;
        }
        self.heal()?;
        self.judge_end()
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.trace, "{:?} {what}", self.now).unwrap();
    }

    fn step(&mut self, step: Step) -> Judgement {
        match step {
            Step::Read(partition) => self.read(partition).map(|_| ()),
            Step::Ask(process) => self.ask(process).map(|_| ()),
            Step::Land(which, outcome) => {
                let process = which % PROCESSES;
                let n_flights = self.processes[process].flights.len();
                if n_flights == 0 {
                    return Ok(());
                }
                self.land(process, which / PROCESSES % n_flights, outcome)
            }
            Step::Pass(milliseconds) => {
                self.now = self.now.after(Duration::from_millis(milliseconds));
                Ok(())
            }
            Step::Park(process) => {
                self.park(process % PROCESSES);
                Ok(())
            }
            Step::Commit(partition) => self.commit(partition),
            Step::Move(partition, is_clean, arrives) => {
                self.hand_over(partition, is_clean, arrives)
            }
            Step::Assign(partition) => {
                self.assign(partition);
                Ok(())
            }
            Step::Crash(process, arrives) => self.crash(process, arrives),
            Step::Damage(partition, at) => {
                self.damage(partition, at);
                Ok(())
            }
        }
    }

    fn assign(&mut self, partition: usize) {
        let of = &mut self.partitions[partition];
        of.assignment += 1;
        of.next = of.committed.offset;
        of.told.clear();
        let lane = &mut self.processes[of.owner].lane;
        if lane
            .assign(i32::try_from(partition).unwrap(), &of.committed)
            .is_err()
        {
            let committed = of.committed.offset;
            of.durable.retain(|offset| *offset < committed);
            self.tell("the map is damaged");
        }
    }

    /// Returns whether there was a record to read.
    fn read(&mut self, partition: usize) -> Result<bool, String> {
        let number = i32::try_from(partition).unwrap();
        let of = &mut self.partitions[partition];
        let process = &mut self.processes[of.owner];
        let Some((offset, record)) = of.records.range(of.next..).next() else {
            return Ok(false);
        };
        let item = Item {
            key: record.key.as_bytes().into(),
            id: "".into(),
            operation: record.operation,
            request: ["POST /a", "POST /b"][record.operation].into(),
            body: format!(r#"{{"p":{partition},"o":{offset}}}"#).into(),
        };
        let offset = *offset;
        let read = process.lane.offer(number, offset, item, self.now);
        match read {
            Read::New | Read::Finished => of.next = offset + 1,
            Read::Full => return Ok(false),
            Read::Behind => return Err("a record in order is behind".to_owned()),
        }
        let (is_done, n_unfinished) = (self.is_done((partition, offset)), {
            let lane = &self.processes[self.partitions[partition].owner].lane;
            lane.n_unfinished()
        });
        must(read == Read::New || is_done, || {
            format!("{partition}/{offset} is skipped")
        })?;
        let bound = usize::from(self.case.span) * self.partitions.len();
        must(n_unfinished <= bound, || {
            format!("{n_unfinished} records are held")
        })?;
        Ok(true)
    }

    fn is_done(&self, place: Place) -> bool {
        self.done.contains(&place)
    }

    /// Returns until when there is nothing to do, if a time is all that is waited for.
    fn ask(&mut self, process: usize) -> Result<Option<Next>, String> {
        let next = self.processes[process].lane.next(self.now);
        let Next::Send(request) = &next else {
            return Ok(Some(next));
        };
        self.tell(&format!("{process} sends {:?}", request.records));
        self.judge_request(process, request)?;
        let places = places(request);
        let of = &mut self.processes[process];
        for place in places {
            of.taken_at_first.entry(place).or_insert(of.taken);
        }
        of.flights.push(request.clone());
        let assignments = self.partitions.iter().map(|partition| partition.assignment);
        of.left_under.insert(request.id, assignments.collect());
        Ok(Some(next))
    }

    fn judge_request(&self, process: usize, request: &Request) -> Judgement {
        let of = &self.processes[process];
        must(self.now >= of.wait_until, || {
            "sent before the time asked for".to_owned()
        })?;
        must(self.now >= of.login_until, || {
            "sent again with a refused login".to_owned()
        })?;
        must(of.flights.len() < IN_FLIGHT, || {
            "too many in flight".to_owned()
        })?;
        must(!request.records.is_empty(), || {
            "an empty request".to_owned()
        })?;
        let most = [4, 1][request.operation];
        must(request.records.len() <= most, || {
            "too many items".to_owned()
        })?;
        self.judge_body(process, request)?;
        let key_of = |place: &Place| {
            (
                place.0,
                self.partitions[place.0].records[&place.1].key.clone(),
            )
        };
        let in_flight: BTreeSet<_> = of
            .flights
            .iter()
            .flat_map(|flight| places(flight).iter().map(key_of).collect::<Vec<_>>())
            .collect();
        let mut own = BTreeSet::new();
        for place in places(request) {
            let key = key_of(&place);
            must(!in_flight.contains(&key), || {
                format!("two requests hold {key:?}")
            })?;
            must(own.insert(key.clone()) || self.case.repeats, || {
                format!("a request holds {key:?} twice")
            })?;
            let partition = &self.partitions[place.0];
            must(partition.owner == process, || {
                format!("{place:?} is another's")
            })?;
            let is_known =
                partition.told.contains(&place.1) || partition.durable.contains(&place.1);
            must(!is_known, || format!("{place:?} is sent again"))?;
        }
        Ok(())
    }

    fn judge_body(&self, process: usize, request: &Request) -> Judgement {
        let item =
            |(partition, offset): &(i32, i64)| format!(r#"{{"p":{partition},"o":{offset}}}"#);
        let items: Vec<String> = request.records.iter().map(item).collect();
        let expected = match request.operation {
            0 => format!("[{}]", items.join(",")),
            _ => items.join(","),
        };
        let body = self.processes[process].lane.body(request.id, &[]);
        must(body == Some(expected.into_bytes()), || {
            "another body".to_owned()
        })
    }

    /// Has the vendor take what it can of a request, and answers it.
    fn land(&mut self, process: usize, which: usize, outcome: Outcome) -> Judgement {
        let request = self.processes[process].flights.remove(which);
        self.tell(&format!("{process} {outcome:?} {:?}", request.records));
        let places = places(&request);
        let kinds: Vec<Kind> = places
            .iter()
            .map(|place| self.partitions[place.0].records[&place.1].kind)
            .collect();
        let bad: Vec<usize> = positions(&kinds, Kind::Refused);
        let is_natural = match outcome {
            Outcome::TooLarge => places.len() == 1,
            Outcome::FailsForOne(_) => !bad.is_empty() || kinds.contains(&Kind::Failing),
            Outcome::Natural
            | Outcome::Fails
            | Outcome::FailsLate
            | Outcome::Throttles(_)
            | Outcome::RefusesLogin
            | Outcome::Unsent
            | Outcome::Unsure(_) => false,
        };
        let outcome = if is_natural {
            Outcome::Natural
        } else {
            outcome
        };
        let all: Vec<usize> = positions(&kinds, Kind::Good);
        let names = |field: &str, indices: &[usize]| {
            let entries: Vec<String> = indices
                .iter()
                .map(|index| format!(r#"{{"index":{index}}}"#))
                .collect();
            format!(r#"{{"{field}":[{}]}}"#, entries.join(","))
        };
        // What the vendor applies, the status and the body; without a status there is no answer.
        let (applied, status, body) = match outcome {
            Outcome::Natural if kinds.contains(&Kind::Failing) => {
                (vec![], Some(500), String::new())
            }
            Outcome::Natural if bad.is_empty() => (all, Some(200), String::new()),
            Outcome::Natural if self.case.names_items => (all, Some(207), names("errors", &bad)),
            Outcome::Natural => (vec![], Some(400), String::new()),
            Outcome::Fails => (vec![], Some(500), String::new()),
            Outcome::FailsLate => (all, Some(502), String::new()),
            Outcome::FailsForOne(one) => {
                let one = one % places.len();
                let others = all.into_iter().filter(|index| *index != one).collect();
                (others, Some(207), names("again", &[one]))
            }
            Outcome::Throttles(_) => (vec![], Some(429), String::new()),
            Outcome::RefusesLogin => (vec![], Some(401), String::new()),
            Outcome::TooLarge => (vec![], Some(413), String::new()),
            Outcome::Unsent | Outcome::Unsure(false) => (vec![], None, String::new()),
            Outcome::Unsure(true) => (all, None, String::new()),
        };
        for index in &applied {
            let assignment = self.processes[process].left_under[&request.id][places[*index].0];
            self.apply(places[*index], assignment)?;
        }
        self.note_answer(process, &request, outcome, status, &applied);
        self.reply(process, request.id, outcome, status, &body)
    }

    fn apply(&mut self, place: Place, assignment: usize) -> Judgement {
        let partition = &self.partitions[place.0];
        let key = (place.0, partition.records[&place.1].key.clone());
        let applied = self.applied.entry(key).or_default();
        let last = applied.last().copied().unwrap_or((0, -1));
        let is_in_order = last.0 < assignment || last.0 == assignment && last.1 <= place.1;
        applied.push((assignment, place.1));
        self.done.insert(place);
        // Of a key that stands in a request twice the first can fail alone. Then both are sent again.
        must(is_in_order || self.case.repeats, || {
            format!("{place:?} comes after {last:?} of its key")
        })
    }

    /// Takes note of what the answer tells the process.
    fn note_answer(
        &mut self,
        process: usize,
        request: &Request,
        outcome: Outcome,
        status: Option<u16>,
        applied: &[usize],
    ) {
        let places = places(request);
        let is_success = status.is_some_and(|status| status < 300);
        let mut unsettled = BTreeSet::new();
        for (index, place) in places.iter().enumerate() {
            let partition = &mut self.partitions[place.0];
            let key = (place.0, partition.records[&place.1].key.clone());
            let is_failed =
                matches!(outcome, Outcome::FailsForOne(one) if one % places.len() == index);
            if is_failed {
                unsettled.insert(key.clone());
            }
            if is_success && applied.contains(&index) && !unsettled.contains(&key) {
                // A request of an assignment that is over tells nobody.
                if self.processes[process].lane.holds(request, *place) {
                    partition.told.insert(place.1);
                    self.processes[process].taken += 1;
                }
            }
        }
        let of = &mut self.processes[process];
        if let Outcome::Throttles(milliseconds) = outcome {
            let until = self.now.after(Duration::from_millis(milliseconds));
            of.wait_until = of.wait_until.max(until);
        }
        if outcome == Outcome::RefusesLogin {
            of.login_until = self.now.after(Duration::from_secs(60));
        } else if status.is_some_and(|status| status < 500) {
            of.login_until = Moment::default();
        }
    }

    fn reply(
        &mut self,
        process: usize,
        id: RequestId,
        outcome: Outcome,
        status: Option<u16>,
        body: &str,
    ) -> Judgement {
        self.n_random = self
            .n_random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let wait = if let Outcome::Throttles(milliseconds) = outcome {
            format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
        } else {
            String::new()
        };
        let headers = [("Retry-After", wait.as_str())];
        let answer = status.map(|status| Answer {
            status,
            headers: &headers,
            body: body.as_bytes(),
            received_unix_ms: 0,
        });
        let reply = match (&answer, outcome) {
            (Some(answer), _) => Reply::Answer(answer),
            (None, Outcome::Unsent) => Reply::Unsent,
            (None, _) => Reply::Unsure,
        };
        let of = &mut self.processes[process];
        let answered = of.lane.answered(id, reply, self.now, self.n_random);
        for refused in answered.refused {
            let place = (usize::try_from(refused.partition).unwrap(), refused.offset);
            let record = &self.partitions[place.0].records[&place.1];
            let of = &mut self.processes[process];
            let taken_since = of.taken > of.taken_at_first[&place];
            let is_right = match refused.refusal {
                Refusal::Refused => record.kind == Kind::Refused,
                Refusal::GaveUp => refused.n_sent > ATTEMPTS && taken_since,
                Refusal::TooLarge | Refusal::NotInTime => false,
            };
            of.parking.push(place);
            let refusal = refused.refusal;
            must(is_right, || format!("{place:?} is refused: {refusal:?}"))?;
        }
        Ok(())
    }

    fn park(&mut self, process: usize) {
        for place in std::mem::take(&mut self.processes[process].parking) {
            self.done.insert(place);
            let number = i32::try_from(place.0).unwrap();
            self.processes[process].lane.parked(number, place.1);
        }
    }

    fn commit(&mut self, partition: usize) -> Judgement {
        let number = i32::try_from(partition).unwrap();
        let owner = self.partitions[partition].owner;
        let commit = self.processes[owner].lane.commit(number).unwrap();
        self.tell(&format!("commits {partition} {commit:?}"));
        must(commit.metadata.len() <= 4096, || {
            "the map is too large".to_owned()
        })?;
        let mut map =
            DoneMap::restore(&commit, u16::MAX).map_err(|_| "a damaged map".to_owned())?;
        let of = &self.partitions[partition];
        let mut unfinished = BTreeSet::new();
        // What the last commit said was judged then.
        for (offset, record) in of.records.range(of.judged..) {
            let place = (partition, *offset);
            let is_said_done = *offset < commit.offset || map.read(*offset) == Read::Finished;
            must(!is_said_done || self.is_done(place), || {
                format!("{place:?} is committed and not done")
            })?;
            must(!is_said_done || !unfinished.contains(&record.key), || {
                format!("{place:?} is committed before an earlier record of its key")
            })?;
            // A refused one changes nothing, and may be written down late, or by another owner.
            if !is_said_done && record.kind != Kind::Refused {
                unfinished.insert(&record.key);
            }
        }
        let of = &mut self.partitions[partition];
        of.judged = of.judged.max(commit.offset);
        of.committed = commit;
        of.durable.extend(of.told.iter().copied());
        Ok(())
    }

    fn hand_over(&mut self, partition: usize, is_clean: bool, arrives: bool) -> Judgement {
        let number = i32::try_from(partition).unwrap();
        let owner = self.partitions[partition].owner;
        if !is_clean {
            self.processes[owner].lane.revoke(number);
        }
        // The connections are closed before the next owner begins.
        while let Some(which) = self.processes[owner]
            .flights
            .iter()
            .position(|flight| flight.records.iter().any(|(of, _)| *of == number))
        {
            self.land(owner, which, Outcome::Unsure(arrives))?;
        }
        if is_clean {
            self.commit(partition)?;
            self.processes[owner].lane.revoke(number);
        }
        self.partitions[partition].owner = 1 - owner;
        self.assign(partition);
        Ok(())
    }

    fn crash(&mut self, process: usize, arrives: bool) -> Judgement {
        while !self.processes[process].flights.is_empty() {
            let request = self.processes[process].flights.remove(0);
            for place in places(&request) {
                if arrives && self.partitions[place.0].records[&place.1].kind == Kind::Good {
                    let assignment = self.processes[process].left_under[&request.id][place.0];
                    self.apply(place, assignment)?;
                }
            }
        }
        self.processes[process] = self::process(&self.case);
        for partition in 0..self.partitions.len() {
            if self.partitions[partition].owner == process {
                self.assign(partition);
            }
        }
        Ok(())
    }

    fn damage(&mut self, partition: usize, at: usize) {
        let metadata = &mut self.partitions[partition].committed.metadata;
        if metadata.is_empty() {
            return;
        }
        let at = at % metadata.len();
        if at.is_multiple_of(2) {
            metadata.truncate(at.max(1));
        } else {
            let other = if &metadata[at..=at] == "A" { "B" } else { "A" };
            metadata.replace_range(at..=at, other);
        }
    }

    /// Has all go well from now on, with some other records coming in, until everything is finished.
    fn heal(&mut self) -> Judgement {
        self.tell("--- all is well");
        let mut append_at = self.now;
        for _ in 0..ROUNDS {
            for partition in 0..self.partitions.len() {
                while self.read(partition)? {}
            }
            let mut wake: Option<Moment> = None;
            for process in 0..PROCESSES {
                while !self.processes[process].flights.is_empty() {
                    self.land(process, 0, Outcome::Natural)?;
                }
                loop {
                    match self.ask(process)? {
                        Some(Next::Wait(Some(at))) => {
                            wake = Some(wake.map_or(at, |wake| wake.min(at)))
                        }
                        Some(Next::Wait(None)) | None => {}
                        Some(Next::Send(_)) => continue,
                    }
                    break;
                }
                self.park(process);
            }
            for partition in 0..self.partitions.len() {
                self.commit(partition)?;
            }
            if self.is_finished() {
                return Ok(());
            }
            let has_flights = self
                .processes
                .iter()
                .any(|process| !process.flights.is_empty());
            let later = self.now.after(Duration::from_secs(1));
            self.now = match wake {
                _ if has_flights => self.now.after(Duration::from_millis(50)),
                Some(wake) => wake
                    .max(self.now.after(Duration::from_millis(1)))
                    .min(later),
                None => later,
            };
            if self.now >= append_at {
                self.append();
                append_at = self.now.after(Duration::from_secs(3));
            }
        }
        Err("all is well, and yet not all gets finished".to_owned())
    }

    /// Others get through: only then is a record given up.
    fn append(&mut self) {
        for partition in &mut self.partitions {
            // A reader that is far behind needs no more.
            if partition.records.range(partition.next..).next().is_some() {
                continue;
            }
            for operation in 0..2 {
                let offset = partition.records.keys().last().map_or(0, |last| last + 1);
                let record = Record {
                    key: format!("n{offset}"),
                    kind: Kind::Good,
                    operation,
                };
                partition.records.insert(offset, record);
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.partitions
            .iter()
            .enumerate()
            .all(|(number, partition)| {
                let mut original = partition.records.keys().take(partition.n_original);
                original.all(|offset| {
                    self.is_done((number, *offset)) && *offset < partition.committed.offset
                })
            })
    }

    /// Whatever was sent twice, the last that the vendor has of a key is its latest record.
    fn judge_end(&self) -> Judgement {
        for ((partition, key), applied) in &self.applied {
            let last = applied.last().map(|(_, offset)| *offset);
            let latest = applied.iter().map(|(_, offset)| *offset).max();
            must(last == latest, || {
                format!("the vendor has {last:?} of {partition} {key}, not {latest:?}")
            })?;
        }
        Ok(())
    }
}

fn places(request: &Request) -> Vec<Place> {
    let place = |(partition, offset): &(i32, i64)| (usize::try_from(*partition).unwrap(), *offset);
    request.records.iter().map(place).collect()
}

fn positions(kinds: &[Kind], wanted: Kind) -> Vec<usize> {
    let kinds = kinds.iter().enumerate();
    kinds
        .filter(|(_, kind)| **kind == wanted)
        .map(|(index, _)| index)
        .collect()
}

fn must(holds: bool, violation: impl Fn() -> String) -> Judgement {
    if holds { Ok(()) } else { Err(violation()) }
}

impl Lane {
    /// Returns whether the request's record is still the lane's.
    fn holds(&self, request: &Request, place: Place) -> bool {
        let flight = &self.flights[&request.id];
        let is_it = |ticket| {
            let record = self.records.get(ticket);
            record.is_some_and(|record| {
                (record.partition, record.offset) == (i32::try_from(place.0).unwrap(), place.1)
            })
        };
        flight.tickets.iter().any(is_it)
    }
}
