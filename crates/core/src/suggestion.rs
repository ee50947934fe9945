//! What a sample of events tells about a configuration: keys that look like reserved traits, spellings, types that change,
//! collisions, flags that name nobody, as findings with configuration to paste.

mod custom;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use bumpalo::Bump;
use serde::Serialize;

use self::custom::Customs;
use crate::destination::Instance;
use crate::diagnostic::nearest;
use crate::envelope::Emissions;
use crate::json;
use crate::record::Record;
use crate::router::{DefaultLimits, Router, Scratch};
use crate::verdict::{Note, NoteCode, Observer, Reason, Verdict};

/// Looks at events one after the other.
pub struct Sample<'r> {
    router: &'r Router,
    destinations: &'r [Instance],
    n_records: usize,
    verdicts: BTreeMap<(&'static str, &'static str), usize>,
    customs: Customs,
    notes: Notes,
    /// By reason and what they look like, the records that are no group events.
    unreadable: BTreeMap<(Reason, String), usize>,
    /// Where events without traits have an object that may have been meant for them.
    misplaced: BTreeMap<&'static str, usize>,
    scratch: Scratch,
    emissions: Emissions,
}

/// What a sample came to. Its JSON is what `suggest --json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many records were looked at.
    pub records: usize,
    /// How they ended.
    pub verdicts: Vec<VerdictCount>,
    /// What was found, by kind, the most frequent first.
    pub findings: Vec<Finding>,
    /// What may be added to the configuration, as YAML; empty where there is nothing to add.
    pub configuration: String,
}

/// How many records ended in one way.
#[derive(Debug, Serialize)]
pub struct VerdictCount {
    /// `routed`, `ignored` or `dead_lettered`.
    pub verdict: &'static str,
    /// The reason's code; empty for routed records.
    pub reason: &'static str,
    /// How many.
    pub records: usize,
}

/// One thing that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind: a stable word.
    pub kind: &'static str,
    /// The key or flag that it is about.
    pub subject: String,
    /// In how many events, at least once in each.
    pub events: usize,
    /// What was seen, as a sentence without a full stop.
    pub sentence: String,
}

/// What was noted, by code, destination and subject, and how often.
#[derive(Default)]
struct Notes {
    counts: BTreeMap<(&'static str, Option<usize>, String), usize>,
    /// Of the event at hand: each counts once an event.
    seen: Vec<(&'static str, Option<usize>, String)>,
}

impl Observer for Notes {
    fn note(&mut self, destination: Option<usize>, note: Note<'_>) {
        let note = (note.code.code(), destination, note.subject.to_owned());
        if !self.seen.contains(&note) {
            *self.counts.entry(note.clone()).or_default() += 1;
            self.seen.push(note);
        }
    }
}

impl Notes {
    fn of(&self, code: NoteCode) -> impl Iterator<Item = (Option<usize>, &str, usize)> {
        let counts = self
            .counts
            .iter()
            .filter(move |((found, ..), _)| *found == code.code());
        counts.map(|((_, destination, subject), count)| (*destination, subject.as_str(), *count))
    }
}

impl<'r> Sample<'r> {
    /// Starts with no events. `destinations` are those that `router` was made from.
    #[must_use]
    pub fn new(router: &'r Router, destinations: &'r [Instance]) -> Sample<'r> {
        Sample {
            router,
            destinations,
            n_records: 0,
            verdicts: BTreeMap::new(),
            customs: Customs::default(),
            notes: Notes::default(),
            unreadable: BTreeMap::new(),
            misplaced: BTreeMap::new(),
            scratch: Scratch::default(),
            emissions: Emissions::default(),
        }
    }

    /// Looks at one record.
    pub fn add(&mut self, record: &Record<'_>) {
        self.n_records += 1;
        self.emissions.clear();
        self.notes.seen.clear();
        let verdict = self.router.route(
            record,
            &DefaultLimits,
            &mut self.scratch,
            &mut self.emissions,
            &mut self.notes,
        );
        *self.verdicts.entry(verdict.labels()).or_default() += 1;
        let arena = Bump::new();
        match (verdict, self.router.read(record, &arena, &mut ())) {
            (Verdict::Routed, Ok(event)) => {
                self.customs.add(&event.traits);
                if let Some(place) = event.traits_elsewhere(&arena) {
                    *self.misplaced.entry(place).or_default() += 1;
                }
            }
            (Verdict::DeadLettered(reason), read) => {
                let looks = read.err().map(|rejection| rejection.looks.into_owned());
                let kind = (reason, looks.unwrap_or_default());
                *self.unreadable.entry(kind).or_default() += 1;
            }
            (Verdict::Routed | Verdict::Ignored(_), _) => {}
        }
    }

    /// Says what was found.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut findings = self.unreadable();
        findings.extend(self.misplaced());
        findings.extend(self.customs.findings());
        findings.extend(self.suspicious_ids());
        findings.extend(self.collisions());
        findings.extend(self.mismatches());
        findings.extend(self.flags());
        findings.extend(
            self.unlisted()
                .into_iter()
                .map(|(destination, traits, events)| Finding {
                    kind: "unlisted_traits",
                    subject: destination.name.clone(),
                    events,
                    sentence: format!(
                        "it takes listed traits only, and these are not listed: {}",
                        traits.join(", ")
                    ),
                }),
        );
        let counts = self.verdicts.iter();
        let verdicts = counts.map(|(&(verdict, reason), &records)| VerdictCount {
            verdict,
            reason,
            records,
        });
        Report {
            records: self.n_records,
            verdicts: verdicts.collect(),
            findings,
            configuration: self.configuration(),
        }
    }

    fn unreadable(&self) -> Vec<Finding> {
        by_count(self.unreadable.iter().map(|((reason, looks), events)| {
            let sentence = if looks.is_empty() {
                reason.sentence()
            } else {
                looks
            };
            Finding {
                kind: "unreadable",
                subject: reason.code().to_owned(),
                events: *events,
                sentence: sentence.to_owned(),
            }
        }))
    }

    fn misplaced(&self) -> Vec<Finding> {
        by_count(self.misplaced.iter().map(|(place, events)| Finding {
            kind: "misplaced_traits",
            subject: (*place).to_owned(),
            events: *events,
            sentence: format!(
                "these events have no traits, and members in {place}: the group's traits must be sent as traits"
            ),
        }))
    }

    fn suspicious_ids(&self) -> Vec<Finding> {
        let told = self
            .notes
            .of(NoteCode::SuspiciousId)
            .map(|(_, name, events)| Finding {
                kind: "suspicious_id",
                subject: name.to_owned(),
                events,
                sentence: "it is blank, or a word such as undefined, which puts many into one; limits.suspicious_ids: reject refuses it".to_owned(),
            });
        by_count(told)
    }

    fn collisions(&self) -> Vec<Finding> {
        let told = self
            .notes
            .of(NoteCode::TraitCollision)
            .map(|(_, name, events)| Finding {
                kind: "collision",
                subject: name.to_owned(),
                events,
                sentence: format!(
                    "several keys of one event mean {name}, and only one of them can win"
                ),
            });
        by_count(told)
    }

    fn mismatches(&self) -> Vec<Finding> {
        let mut fields: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
        let mut undeclared = Vec::new();
        for (destination, subject, events) in self.notes.of(NoteCode::TraitTypeMismatch) {
            let Some(destination) = destination else {
                undeclared.push(Finding {
                    kind: "type_mismatch",
                    subject: subject.to_owned(),
                    events,
                    sentence: "its value is not of the type that traits.types declares, and stays as it came"
                        .to_owned(),
                });
                continue;
            };
            let (count, names) = fields.entry(subject).or_default();
            *count = events.max(*count);
            names.push(self.router.destination_name(destination));
        }
        by_count(
            fields
                .into_iter()
                .map(|(subject, (events, names))| Finding {
                    kind: "type_mismatch",
                    subject: subject.to_owned(),
                    events,
                    sentence: format!(
                        "its value does not fit its field, and is left out for {}",
                        names.join(", ")
                    ),
                })
                .chain(undeclared),
        )
    }

    fn flags(&self) -> Vec<Finding> {
        let unknown = self
            .notes
            .of(NoteCode::FlagUnknown)
            .map(|(_, flag, events)| {
                let near = nearest(flag, self.destinations.iter().flat_map(names));
                let hint = near.map_or_else(String::new, |near| format!("; did you mean: {near}"));
                Finding {
                    kind: "unknown_flag",
                    subject: flag.to_owned(),
                    events,
                    sentence: format!("a flag of this name means no destination{hint}"),
                }
            });
        let invalid = self.notes.of(NoteCode::FlagInvalid).map(|(_, flag, events)| Finding {
            kind: "invalid_flag",
            subject: flag.to_owned(),
            events,
            sentence: "a flag is true, false or an object; this one is none of them and counts as absent".to_owned(),
        });
        by_count(unknown.chain(invalid))
    }

    /// Returns for each destination the traits that its settings do not list, and in how many events the most frequent is.
    fn unlisted(&self) -> Vec<(&Instance, Vec<&str>, usize)> {
        let mut all: BTreeMap<usize, (Vec<&str>, usize)> = BTreeMap::new();
        for (destination, name, events) in self.notes.of(NoteCode::UnlistedTrait) {
            let Some(destination) = destination else {
                continue;
            };
            let (names, most) = all.entry(destination).or_default();
            names.push(name);
            *most = events.max(*most);
        }
        let known = all.into_iter().filter_map(|(destination, (names, most))| {
            self.destinations
                .get(destination)
                .map(|destination| (destination, names, most))
        });
        known.collect()
    }

    fn configuration(&self) -> String {
        let mut yaml = self.customs.configuration();
        let listing = self.unlisted().into_iter().filter(|(destination, ..)| {
            destination
                .definition
                .settings
                .iter()
                .any(|setting| setting.name == "custom_traits")
        });
        let mut heading = "destinations:   # beside what each has already\n";
        for (destination, names, _) in listing {
            let spellings: BTreeSet<&str> = names
                .into_iter()
                .filter_map(|name| self.customs.spelling_of(name))
                .collect();
            if spellings.is_empty() {
                continue;
            }
            let names: Vec<String> = spellings.into_iter().map(json::quoted).collect();
            yaml.push_str(std::mem::take(&mut heading));
            // Writing to a string cannot fail.
            writeln!(yaml, "  - use: {}", destination.definition.id).unwrap_or_default();
            if destination.is_named {
                writeln!(yaml, "    name: {}", json::quoted(&destination.name)).unwrap_or_default();
            }
            writeln!(
                yaml,
                "    settings: {{ custom_traits: [{}] }}",
                names.join(", ")
            )
            .unwrap_or_default();
        }
        yaml
    }
}

fn names(destination: &Instance) -> impl Iterator<Item = &str> {
    let names = destination.flag_names();
    names
        .instance
        .into_iter()
        .chain([names.definition])
        .chain(names.aliases.iter().map(String::as_str))
}

fn by_count(findings: impl Iterator<Item = Finding>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = findings.collect();
    findings.sort_by(|a, b| {
        b.events
            .cmp(&a.events)
            .then_with(|| a.subject.cmp(&b.subject))
    });
    findings
}
