//! Finds what came from where by changing the event's values one at a time and routing each changed event: a place that
//! changes came from that value. So there is no second account of what definitions mean, and a run pays nothing.

use std::collections::BTreeMap;

use bumpalo::Bump;

use super::change::Change;
use super::origin::{Conversion, Leaves, Origin, collect_leaves};
use crate::envelope::{Emission, Emissions};
use crate::event::Event;
use crate::json::Raw;
use crate::record::Record;
use crate::router::{DefaultLimits, Router, Scratch};
use crate::verdict::Verdict;

/// Past this many bytes, read and written by all changed events together, nothing is traced.
const MAX_BYTES: usize = 64 * 1024 * 1024;

const DAY_MS: i64 = 86_400_000;

/// For each emission, where its places came from and what it is due to.
#[derive(Debug, Default)]
pub(super) struct Trace {
    emissions: Vec<(BTreeMap<String, Made>, Vec<String>)>,
}

/// What one place was made of.
#[derive(Debug)]
struct Made {
    from: Vec<String>,
    /// What stands there, and what came.
    text: String,
    came: String,
}

impl Trace {
    /// Traces all of `emissions`; absent where that would take too long.
    pub(super) fn of(
        router: &Router,
        record: &Record<'_>,
        event: &Event<'_>,
        emissions: &Emissions,
    ) -> Option<Trace> {
        let (values, keys) = (Change::of_values(event), Change::of_keys(event));
        let n_bytes = event.raw.text().len() + emissions.bytes();
        if (values.len() + keys.len()).saturating_mul(n_bytes) > MAX_BYTES {
            return None;
        }
        // An event that stood in an envelope stands in a plain one, which is read the same.
        let place = router.reading(record).event_at.as_ref();
        let whole = |event: String| match place {
            Some(place) => place.around(&event),
            None => event,
        };
        let arena = Bump::new();
        let before: Vec<Places<'_>> = emissions
            .iter()
            .map(|emission| Places::of(&emission, &arena))
            .collect();
        let mut trace = Trace {
            emissions: before.iter().map(|_| Default::default()).collect(),
        };
        let (mut scratch, mut changed) = (Scratch::default(), Emissions::default());
        let mut route = |record: &Record<'_>, note: &mut dyn FnMut(&Emissions)| {
            changed.clear();
            if router.route(record, &DefaultLimits, &mut scratch, &mut changed, &mut ())
                == Verdict::Routed
            {
                note(&changed);
            }
        };
        for change in &values {
            let text = whole(change.applied(event.raw.text()));
            let record = Record {
                value: Some(text.as_bytes()),
                ..*record
            };
            route(&record, &mut |changed| {
                trace.note_differences(&change.name, &change.came, &before, changed)
            });
        }
        for change in &keys {
            let text = whole(change.applied(event.raw.text()));
            let record = Record {
                value: Some(text.as_bytes()),
                ..*record
            };
            route(&record, &mut |changed| {
                trace.note_absences(&change.name, &before, changed)
            });
        }
        if let Some(timestamp) = record.timestamp {
            let record = Record {
                timestamp: Some(timestamp.saturating_sub(DAY_MS)),
                ..*record
            };
            let came = timestamp.to_string();
            route(&record, &mut |changed| {
                trace.note_differences("the record's timestamp", &came, &before, changed)
            });
        }
        Some(trace)
    }

    /// Notes every place that is another now.
    fn note_differences(
        &mut self,
        name: &str,
        came: &str,
        before: &[Places<'_>],
        changed: &Emissions,
    ) {
        let arena = Bump::new();
        let after: Vec<Places<'_>> = changed
            .iter()
            .map(|emission| Places::of(&emission, &arena))
            .collect();
        for (places, (made, _)) in before.iter().zip(&mut self.emissions) {
            let Some(after) = after.iter().find(|after| after.identity == places.identity) else {
                continue;
            };
            for (place, text) in places
                .leaves
                .iter()
                .filter(|(place, text)| after.leaves.get(*place) != Some(*text))
            {
                let made = made.entry(place.clone()).or_insert_with(|| Made {
                    from: Vec::new(),
                    text: (*text).to_owned(),
                    came: came.to_owned(),
                });
                made.from.push(name.to_owned());
            }
        }
    }

    /// Notes every emission that does not leave now.
    fn note_absences(&mut self, name: &str, before: &[Places<'_>], changed: &Emissions) {
        for (places, (_, due_to)) in before.iter().zip(&mut self.emissions) {
            if changed
                .iter()
                .all(|emission| Identity::of(&emission) != places.identity)
            {
                due_to.push(name.to_owned());
            }
        }
    }

    /// Returns the origins of the emission of that index, and what it is due to.
    pub(super) fn get(&self, emission: usize) -> (Vec<Origin>, Vec<String>) {
        let Some((made, due_to)) = self.emissions.get(emission) else {
            return Default::default();
        };
        let origins: Vec<Origin> = made
            .iter()
            .map(|(place, made)| made.origin(place))
            .collect();
        let is_shown = |name: &str| origins.iter().any(|origin| origin.is_of(name));
        let due_to = due_to
            .iter()
            .filter(|name| !is_shown(name))
            .cloned()
            .collect();
        (origins, due_to)
    }
}

impl Made {
    fn origin(&self, place: &str) -> Origin {
        // A null's place may hold its name: in a list of what is cleared.
        let is_value = self.came != "null" || self.text == "\"\"";
        let is_converted = self.from.len() == 1
            && !matches!(place, "request" | "key")
            && self.text != self.came
            && is_value;
        let conversion = is_converted.then(|| Conversion {
            came: self.came.clone(),
            became: self.text.clone(),
        });
        Origin {
            place: place.to_owned(),
            from: self.from.clone(),
            conversion,
        }
    }
}

/// Which emission of an event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    destination: Option<usize>,
    operation: Option<usize>,
}

impl Identity {
    fn of(emission: &Emission<'_>) -> Identity {
        Identity {
            destination: emission.destination,
            operation: emission.operation().map(|operation| operation.index),
        }
    }
}

/// An emission as the places that may differ.
struct Places<'a> {
    identity: Identity,
    leaves: Leaves<'a>,
}

impl<'a> Places<'a> {
    fn of(emission: &Emission<'a>, arena: &'a Bump) -> Places<'a> {
        let mut leaves = Leaves::new();
        if let Some(operation) = emission.operation() {
            let body = std::str::from_utf8(operation.body).unwrap_or_default();
            if let Ok(body) = Raw::parse(body) {
                collect_leaves(body, "", arena, &mut leaves);
            }
            leaves.insert("request".to_owned(), operation.request);
            leaves.insert(
                "key".to_owned(),
                std::str::from_utf8(emission.key.unwrap_or_default()).unwrap_or_default(),
            );
        }
        Places {
            identity: Identity::of(emission),
            leaves,
        }
    }
}
