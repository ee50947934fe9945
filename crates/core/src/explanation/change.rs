//! Changes of one event, one value or key at a time, that leave it an event.

use std::ops::Range;

use bumpalo::Bump;

use crate::date::Instant;
use crate::event::Event;
use crate::json::{self, Kind, Raw};

/// One change.
#[derive(Debug)]
pub(super) struct Change {
    /// What the changed value is called: `traits.` and a canonical name, or as the event has it.
    pub(super) name: String,
    /// What came.
    pub(super) came: String,
    /// The bytes of the event that are exchanged.
    range: Range<usize>,
    with: String,
}

impl Change {
    fn new(name: &str, range: Range<usize>, with: &str, value: Raw<'_>) -> Change {
        Change {
            name: name.to_owned(),
            came: value.text().to_owned(),
            range,
            with: with.to_owned(),
        }
    }

    /// Returns the event with the change made.
    pub(super) fn applied(&self, event: &str) -> String {
        let mut changed = event.to_owned();
        changed.replace_range(self.range.clone(), &self.with);
        changed
    }

    /// Returns a change of each value in the event that can go anywhere: all but its type and what its flags say.
    pub(super) fn of_values(event: &Event<'_>) -> Vec<Change> {
        let changes = Changes {
            event,
            arena: Bump::new(),
        };
        let mut found = Vec::new();
        for member in event.members {
            match member.key {
                "type" => {}
                "traits" => changes.traits(member.value, &mut found),
                // A flag's value decides; only what an object holds goes anywhere.
                "integrations" => changes.options(member.value, &mut found),
                name => changes.add(name, member.value, &mut found),
            }
        }
        found
    }

    /// Returns a change of each key without which the event would still be one: it is as if it had not been given.
    pub(super) fn of_keys(event: &Event<'_>) -> Vec<Change> {
        let changes = Changes {
            event,
            arena: Bump::new(),
        };
        let mut found = Vec::new();
        for member in event.members {
            match member.key {
                "type" | "groupId" | "integrations" => {}
                "traits" => {
                    let traits = member.value.members(&changes.arena).unwrap_or_default();
                    let traits = traits.iter().map(|found| {
                        (
                            format!("traits.{}", changes.canonical(found.key)),
                            found.value,
                        )
                    });
                    found.extend(traits.filter_map(|(name, value)| changes.renamed(&name, value)));
                }
                name => found.extend(changes.renamed(name, member.value)),
            }
        }
        found
    }
}

/// Collects the values of an event.
struct Changes<'e> {
    event: &'e Event<'e>,
    arena: Bump,
}

impl Changes<'_> {
    fn traits(&self, traits: Raw<'_>, found: &mut Vec<Change>) {
        for member in traits.members(&self.arena).unwrap_or_default() {
            self.add(
                &format!("traits.{}", self.canonical(member.key)),
                member.value,
                found,
            );
        }
    }

    fn options(&self, integrations: Raw<'_>, found: &mut Vec<Change>) {
        for flag in integrations
            .members(&self.arena)
            .unwrap_or_default()
            .iter()
            .filter(|flag| flag.value.kind() == Kind::Object)
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
        let part = traits
            .address()
            .items()
            .iter()
            .find(|item| item.key() == key);
        part.map_or_else(|| key.to_owned(), |part| format!("address.{}", part.name))
    }

    /// Adds the scalars of `value`.
    fn add(&self, name: &str, value: Raw<'_>, found: &mut Vec<Change>) {
        let n_before = found.len();
        for member in value.members(&self.arena).unwrap_or_default() {
            self.add(&format!("{name}.{}", member.key), member.value, found);
        }
        for (index, element) in value.elements().into_iter().enumerate() {
            self.add(&format!("{name}.{index}"), element, found);
        }
        if found.len() == n_before {
            found.extend(self.changed(name, value));
        }
    }

    fn changed(&self, name: &str, value: Raw<'_>) -> Option<Change> {
        let range = self.range(value)?;
        let with = match value.kind() {
            // Another null's name is what can differ.
            Kind::Null => {
                return self
                    .renamed(name, value)
                    .or(Some(Change::new(name, range, "\"x\"", value)));
            }
            Kind::Boolean => "\"x\"".to_owned(),
            Kind::Array => "[\"x\"]".to_owned(),
            Kind::Object => "{\"x\":1}".to_owned(),
            Kind::Number => changed_digit(value.text()),
            Kind::String => json::quoted(&changed_text(
                value.string(&self.arena).ok().flatten().unwrap_or_default(),
            )),
        };
        Some(Change::new(name, range, &with, value))
    }

    /// Gives the key of `value` another name; absent for an element of an array.
    fn renamed(&self, name: &str, value: Raw<'_>) -> Option<Change> {
        let end = key_end(self.event.raw.text().get(..self.range(value)?.start)?)?;
        Some(Change::new(name, end..end, "Xq", value))
    }

    /// Returns where `value` stands, which is a slice of the event.
    fn range(&self, value: Raw<'_>) -> Option<Range<usize>> {
        let start = value
            .text()
            .as_ptr()
            .addr()
            .checked_sub(self.event.raw.text().as_ptr().addr())?;
        Some(start..start + value.text().len())
    }
}

/// Returns where the key ends whose value begins behind `before`; absent for an element of an array.
fn key_end(before: &str) -> Option<usize> {
    let before = before
        .trim_ascii_end()
        .strip_suffix(':')?
        .trim_ascii_end()
        .strip_suffix('"')?;
    Some(before.len())
}

/// Returns another text that fits wherever this one does: not empty, a date for a date, a number for a number.
fn changed_text(text: &str) -> String {
    if Instant::from_text(text).is_some() || json::is_number(text) {
        return changed_digit(text);
    }
    // Any filter that keeps some of the text keeps a difference, since every letter is another.
    let changed: String = text.chars().map(changed_letter).collect();
    if changed == text {
        format!("x{text}")
    } else {
        changed
    }
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
    let Some((head, tail)) = digit.and_then(|at| text.split_at_checked(at)) else {
        return format!("x{text}");
    };
    let (first, rest) = tail.split_at(1);
    let other = if first == "9" {
        "8".to_owned()
    } else {
        first
            .parse::<u8>()
            .map_or(first.to_owned(), |digit| (digit + 1).to_string())
    };
    format!("{head}{other}{rest}")
}
