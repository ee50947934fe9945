//! One event, and what several plans need of it in the same form.

use std::cell::OnceCell;

use bumpalo::Bump;

use crate::date::Instant;
use crate::event::{Event, Time};
use crate::json::{Kind, Raw};
use crate::traits::{AddressItem, PARTS, Part};
use crate::verdict::Reason;

use super::plan::Named;
use super::value::{Item, Role, Value, collected};

/// One event, and what several plans need of it in the same form.
#[derive(Debug)]
pub struct Material<'a> {
    pub(super) event: &'a Event<'a>,
    /// All traits under canonical names, one for each of the event's entries.
    pub(super) traits: &'a [Item<'a>],
    /// `createdAt`, once somebody asked for it; `None` where it is no date.
    created_at: OnceCell<Option<Instant>>,
    pub(super) arena: &'a Bump,
}

impl<'a> Material<'a> {
    /// Takes an event. What must be put together on the way is kept in `arena`.
    #[must_use]
    pub fn new(event: &'a Event<'a>, arena: &'a Bump) -> Material<'a> {
        let items = event.traits.entries().iter().map(|entry| {
            let role = Role::of(entry.id, &event.traits);
            let value = if role == Role::Address {
                address(event, None, arena)
            } else {
                Value::from_raw(entry.value)
            };
            Item {
                key: entry.name,
                value,
                source: entry.source,
                role,
                is_renamed: false,
            }
        });
        Material {
            event,
            traits: collected(items, arena),
            created_at: OnceCell::new(),
            arena,
        }
    }

    /// Returns the trait `createdAt` as a date: read once for all destinations.
    pub(super) fn created_at(&self, raw: Raw<'a>) -> Option<&'a Time<'a>> {
        let instant = *self.created_at.get_or_init(|| Instant::from_json(raw));
        instant.map(|instant| {
            &*self.arena.alloc(Time {
                instant,
                raw: Some(raw),
            })
        })
    }

    /// Hands over the traits without those that are named elsewhere, and the address without its parts that are: a null one, too,
    /// where each part will leave under a name of its own.
    pub(super) fn rest(
        &self,
        named: &Named,
        mut take: impl FnMut(&Item<'a>) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        for (entry, item) in self.event.traits.entries().iter().zip(self.traits) {
            let is_named = match (entry.id, entry.part) {
                (Some(id), _) => named.has(id),
                (None, Some(part)) => named.parts.contains(&part),
                (None, None) => false,
            };
            if is_named {
                continue;
            }
            if item.role != Role::Address {
                take(item)?;
                continue;
            }
            let mut value = address(self.event, Some(named), self.arena);
            if named.is_flattened && matches!(value, Value::Null) {
                value = self.null_address(named);
            }
            if !matches!(value, Value::Absent) {
                take(&Item { value, ..*item })?;
            }
        }
        Ok(())
    }

    /// Returns as null what an address has, but for the parts that are named elsewhere.
    fn null_address(&self, named: &Named) -> Value<'a> {
        let parts = PARTS.iter().filter(|part| !named.parts.contains(part));
        let items = parts.map(|part| Item::new(part.name(), Value::Null));
        Value::Map(collected(items, self.arena))
    }

    /// Returns the whole event with trait keys canonical.
    pub(super) fn members(&self) -> &'a [Item<'a>] {
        let members = self.event.members.iter().map(|member| match member.key {
            "traits" => Item::new(member.key, Value::Map(self.traits)),
            _ => Item::of(member),
        });
        collected(members, self.arena)
    }
}

/// Returns the address as a map of those members that are not named elsewhere, absent if all are.
pub(super) fn address<'a>(
    event: &'a Event<'a>,
    named: Option<&Named>,
    arena: &'a Bump,
) -> Value<'a> {
    let address = event.traits.address();
    if let Some(whole) = address.whole() {
        // Null says no more than its parts do, so that nothing is left of it where each of them is named. A line that fills the
        // street's field stands there.
        let is_said = named.is_some_and(|named| {
            let fills_street =
                whole.kind() == Kind::String && address.field(Part::Street) == Some(whole);
            (fills_street && named.parts.contains(&Part::Street))
                || (whole.is_null() && PARTS.iter().all(|part| named.parts.contains(part)))
        });
        return if is_said {
            Value::Absent
        } else {
            Value::from_raw(whole)
        };
    }
    let is_named = |item: &AddressItem<'_>| {
        named.is_some_and(|named| item.part.is_some_and(|part| named.parts.contains(&part)))
    };
    let items = address.items().iter().filter(|item| !is_named(item));
    let items = items.map(|item| Item {
        source: item.source,
        ..Item::new(item.name, Value::from_raw(item.value))
    });
    let items = collected(items, arena);
    if items.is_empty() && !address.items().is_empty() {
        Value::Absent
    } else {
        Value::Map(items)
    }
}
