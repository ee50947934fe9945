//! Finds what came from where by changing the event's values one at a time and routing each changed event: a place that
//! changes came from that value. So there is no second account of what definitions mean, and a run pays nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use bumpalo::Bump;

use super::origin::{Conversion, Leaves, Origin, collect_leaves};
use crate::date::Instant;
use crate::envelope::{Emission, Emissions};
use crate::event::Event;
use crate::json::{self, Kind, Raw};
use crate::record::Record;
use crate::router::{Router, Scratch};
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

/// One value of the event that can be changed.
#[derive(Debug)]
struct Input {
    /// What it is called.
    name: String,
    /// The bytes of the event that are exchanged.
    range: Range<usize>,
    with: String,
    /// What came.
    text: String,
}

impl Trace {
    /// Traces all of `emissions`; absent where that would take too long.
    pub(super) fn of(router: &Router, record: &Record<'_>, event: &Event<'_>, emissions: &Emissions) -> Option<Trace> {
        let inputs = Inputs::of(event);
        let n_bytes = event.raw.text().len() + emissions.bytes();
        if inputs.len().saturating_mul(n_bytes) > MAX_BYTES {
            return None;
        }
        let arena = Bump::new();
        let before: Vec<Places<'_>> = emissions.iter().map(|emission| Places::of(&emission, &arena)).collect();
        let mut trace = Trace { emissions: before.iter().map(|_| Default::default()).collect() };
        let (mut scratch, mut changed) = (Scratch::default(), Emissions::default());
        for input in &inputs {
            let text = input.applied(event.raw.text());
            changed.clear();
            let record = Record { value: Some(text.as_bytes()), ..*record };
            if router.route(&record, &mut scratch, &mut changed, &mut ()) == Verdict::Routed {
                trace.compare(input, &before, &changed);
            }
        }
        if let Some(timestamp) = record.timestamp {
            changed.clear();
            let input = Input {
                name: "the record's timestamp".to_owned(),
                range: 0..0,
                with: String::new(),
                text: timestamp.to_string(),
            };
            let record = Record { timestamp: Some(timestamp.saturating_sub(DAY_MS)), ..*record };
            router.route(&record, &mut scratch, &mut changed, &mut ());
            trace.compare(&input, &before, &changed);
        }
        Some(trace)
    }

    /// Notes every place that is another now.
    fn compare(&mut self, input: &Input, before: &[Places<'_>], changed: &Emissions) {
        let arena = Bump::new();
        let after: Vec<Places<'_>> = changed.iter().map(|emission| Places::of(&emission, &arena)).collect();
        for (places, (made, due_to)) in before.iter().zip(&mut self.emissions) {
            let Some(after) = after.iter().find(|after| after.identity == places.identity) else {
                due_to.push(input.name.clone());
                continue;
            };
            for (place, text) in places.leaves.iter().filter(|(place, text)| after.leaves.get(*place) != Some(*text)) {
                let made = made.entry(place.clone()).or_insert_with(|| Made {
                    from: Vec::new(),
                    text: (*text).to_owned(),
                    came: input.text.clone(),
                });
                made.from.push(input.name.clone());
            }
        }
    }

    /// Returns the origins of the emission of that index, and what it is due to.
    pub(super) fn get(&self, emission: usize) -> (Vec<Origin>, Vec<String>) {
        let Some((made, due_to)) = self.emissions.get(emission) else { return Default::default() };
        let origins: Vec<Origin> = made.iter().map(|(place, made)| made.origin(place)).collect();
        let is_shown = |name: &String| origins.iter().any(|origin| origin.from.contains(name));
        let due_to = due_to.iter().filter(|name| !is_shown(name)).cloned().collect();
        (origins, due_to)
    }
}

impl Made {
    fn origin(&self, place: &str) -> Origin {
        // A null's place may hold its name: in a list of what is cleared.
        let is_value = self.came != "null" || self.text == "\"\"";
        let is_converted = self.from.len() == 1 && !matches!(place, "request" | "key") && self.text != self.came && is_value;
        let conversion = is_converted.then(|| Conversion { came: self.came.clone(), became: self.text.clone() });
        Origin { place: place.to_owned(), from: self.from.clone(), conversion }
    }
}

/// An emission as the places that may differ.
struct Places<'a> {
    identity: (Option<usize>, Option<usize>),
    leaves: Leaves<'a>,
}

impl<'a> Places<'a> {
    fn of(emission: &Emission<'a>, arena: &'a Bump) -> Places<'a> {
        let mut leaves = Leaves::new();
        if let Some(operation) = emission.operation {
            let body = std::str::from_utf8(operation.body).unwrap_or_default();
            if let Ok(body) = Raw::parse(body) {
                collect_leaves(body, "", arena, &mut leaves);
            }
            leaves.insert("request".to_owned(), operation.request);
            leaves.insert("key".to_owned(), std::str::from_utf8(emission.key.unwrap_or_default()).unwrap_or_default());
        }
        Places { identity: (emission.destination, emission.operation.map(|operation| operation.index)), leaves }
    }
}

impl Input {
    fn applied(&self, event: &str) -> String {
        let mut changed = event.to_owned();
        changed.replace_range(self.range.clone(), &self.with);
        changed
    }
}

/// Collects the values of an event.
struct Inputs<'e> {
    event: &'e Event<'e>,
    arena: Bump,
}

impl Inputs<'_> {
    fn of(event: &Event<'_>) -> Vec<Input> {
        let inputs = Inputs { event, arena: Bump::new() };
        let mut found = Vec::new();
        for member in event.members {
            match member.key {
                "type" => {}
                "traits" => inputs.traits(member.value, &mut found),
                // A flag's value decides; only what an object holds goes anywhere.
                "integrations" => inputs.options(member.value, &mut found),
                name => inputs.add(name, member.value, &mut found),
            }
        }
        found
    }

    fn traits(&self, traits: Raw<'_>, found: &mut Vec<Input>) {
        for member in traits.members(&self.arena).unwrap_or_default() {
            self.add(&format!("traits.{}", self.canonical(member.key)), member.value, found);
        }
    }

    fn options(&self, integrations: Raw<'_>, found: &mut Vec<Input>) {
        for flag in
            integrations.members(&self.arena).unwrap_or_default().iter().filter(|flag| flag.value.kind() == Kind::Object)
        {
            self.add(&format!("integrations.{}", flag.key), flag.value, found);
        }
    }

    /// Returns the name that a key of the traits goes by; the key itself where it lost to another.
    fn canonical(&self, key: &str) -> String {
        let traits = &self.event.traits;
        if let Some(entry) = traits.entries().iter().find(|entry| entry.key() == key) {
            return entry.name.to_owned();
        }
        let part = traits.address().items().iter().find(|item| item.key() == key);
        part.map_or_else(|| key.to_owned(), |part| format!("address.{}", part.name))
    }

    /// Adds the scalars of `value`.
    fn add(&self, name: &str, value: Raw<'_>, found: &mut Vec<Input>) {
        let n_before = found.len();
        for member in value.members(&self.arena).unwrap_or_default() {
            self.add(&format!("{name}.{}", member.key), member.value, found);
        }
        for (index, element) in value.elements().into_iter().enumerate() {
            self.add(&format!("{name}.{index}"), element, found);
        }
        if found.len() == n_before {
            found.extend(self.input(name, value));
        }
    }

    fn input(&self, name: &str, value: Raw<'_>) -> Option<Input> {
        let event = self.event.raw.text();
        // Every value is a slice of the event.
        let start = value.text().as_ptr().addr().checked_sub(event.as_ptr().addr())?;
        let range = start..start + value.text().len();
        let (range, with) = match value.kind() {
            // Another null's name is what can differ.
            Kind::Null => key_end(event.get(..start)?).map_or((range, "\"x\"".to_owned()), |end| (end..end, "Xq".to_owned())),
            Kind::Boolean => (range, "\"x\"".to_owned()),
            Kind::Array => (range, "[\"x\"]".to_owned()),
            Kind::Object => (range, "{\"x\":1}".to_owned()),
            Kind::Number => (range, changed_digit(value.text())),
            Kind::String => (range, json::quoted(&changed_text(value.string(&self.arena).ok().flatten().unwrap_or_default()))),
        };
        Some(Input { name: name.to_owned(), range, with, text: value.text().to_owned() })
    }
}

/// Returns where the key ends whose value begins behind `before`; absent for an element of an array.
fn key_end(before: &str) -> Option<usize> {
    let before = before.trim_ascii_end().strip_suffix(':')?.trim_ascii_end().strip_suffix('"')?;
    Some(before.len())
}

/// Returns another text that fits wherever this one does: not empty, a date for a date, a number for a number.
fn changed_text(text: &str) -> String {
    if Instant::from_text(text).is_some() || json::is_number(text) {
        return changed_digit(text);
    }
    // Any filter that keeps some of the text keeps a difference, since every letter is another.
    let changed: String = text.chars().map(changed_letter).collect();
    if changed == text { format!("x{text}") } else { changed }
}

fn changed_letter(character: char) -> char {
    match character {
        'a'..='y' | 'A'..='Y' => char::from_u32(u32::from(character) + 1).unwrap_or(character),
        'z' => 'a',
        'Z' => 'A',
        other => other,
    }
}

/// Exchanges the first digit.
fn changed_digit(text: &str) -> String {
    let digit = text.find(|character: char| character.is_ascii_digit());
    let Some((head, tail)) = digit.and_then(|at| text.split_at_checked(at)) else { return format!("x{text}") };
    let (first, rest) = tail.split_at(1);
    let other = if first == "9" {
        "8".to_owned()
    } else {
        first.parse::<u8>().map_or(first.to_owned(), |digit| (digit + 1).to_string())
    };
    format!("{head}{other}{rest}")
}
