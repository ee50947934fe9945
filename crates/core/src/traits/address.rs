//! The address: its parts from three places, put together under canonical names (T4).

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

use super::vocabulary::{PARTS, Part, Target, Vocabulary};
use super::{Collision, Rank, source_under};
use crate::json::{Kind, LoneSurrogate, Member, Raw};

/// An event's address.
#[derive(Debug)]
pub struct Address<'a> {
    shape: Shape<'a>,
    items: ArenaVec<'a, AddressItem<'a>>,
}

/// One member of the address as it leaves.
#[derive(Debug, Clone, Copy)]
pub struct AddressItem<'a> {
    /// Its name: canonical for a part, else as it came.
    pub name: &'a str,
    /// Its value as it came.
    pub value: Raw<'a>,
    /// Name and value as [`Member::source`] has them; empty where the name is not the key that came.
    pub source: &'a str,
    /// The part that it is.
    pub part: Option<Part>,
    key: &'a str,
    rank: Rank,
    /// Input order of a part that came from outside the address object.
    position: Option<usize>,
}

/// What the trait `address` itself is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape<'a> {
    Absent,
    Null,
    Object,
    /// A string, or something else that has no parts.
    Text(Raw<'a>),
}

impl<'a> AddressItem<'a> {
    /// Returns the key that won, as the event spelled it.
    #[must_use]
    pub fn key(&self) -> &'a str {
        self.key
    }
}

impl<'a> Address<'a> {
    pub(super) fn none(arena: &'a Bump) -> Self {
        Address {
            shape: Shape::Absent,
            items: ArenaVec::new_in(arena),
        }
    }

    pub(super) fn parse(
        value: Option<Raw<'a>>,
        vocabulary: &'a Vocabulary,
        collisions: &mut ArenaVec<'a, Collision<'a>>,
        arena: &'a Bump,
    ) -> Result<Self, LoneSurrogate> {
        let shape = match value.map(|value| (value, value.kind())) {
            None => Shape::Absent,
            Some((_, Kind::Null)) => Shape::Null,
            Some((_, Kind::Object)) => Shape::Object,
            Some((value, Kind::Array)) if value.is_empty_array() => Shape::Object,
            Some((value, Kind::Boolean | Kind::Number | Kind::String | Kind::Array)) => {
                Shape::Text(value)
            }
        };
        let members = value.map_or(Ok(Default::default()), |value| value.members(arena))?;
        let mut address = Address {
            shape,
            items: ArenaVec::with_capacity_in(members.len() + PARTS.len(), arena),
        };
        for member in members {
            match vocabulary.look_up(member.key, arena).1 {
                Some((Target::Part(part), rank)) => {
                    let rank = if part.name() == member.key {
                        Rank::Canonical
                    } else {
                        rank
                    };
                    address.add(part, member, rank, None, collisions);
                }
                Some((Target::Trait(_) | Target::FlatPart(_), _)) | None => {
                    let Member { key, value, source } = *member;
                    let rank = Rank::Spelling;
                    address.items.push(AddressItem {
                        name: key,
                        value,
                        source,
                        part: None,
                        key,
                        rank,
                        position: None,
                    });
                }
            }
        }
        Ok(address)
    }

    fn add(
        &mut self,
        part: Part,
        member: &Member<'a>,
        rank: Rank,
        position: Option<usize>,
        collisions: &mut ArenaVec<'a, Collision<'a>>,
    ) {
        let (name, Member { key, value, source }) = (part.name(), *member);
        let source = source_under(name, key, source);
        let Some(item) = self.items.iter_mut().find(|item| item.part == Some(part)) else {
            self.items.push(AddressItem {
                name,
                value,
                source,
                part: Some(part),
                key,
                rank,
                position,
            });
            return;
        };
        let mut lost = key;
        if (value.is_null(), rank) < (item.value.is_null(), item.rank) {
            lost = std::mem::replace(&mut item.key, key);
            item.value = value;
            item.source = source;
            item.rank = rank;
        }
        collisions.push(Collision {
            name,
            kept: item.key,
            lost,
        });
    }

    /// Adds a part from outside the address; parts come in the order of their places, so the first non-null one stays.
    pub(super) fn add_part(
        &mut self,
        part: Part,
        member: &Member<'a>,
        position: usize,
        collisions: &mut ArenaVec<'a, Collision<'a>>,
    ) {
        self.add(part, member, Rank::Alias, Some(position), collisions);
    }

    /// Brings parts from outside into input order, behind those of the object; a null address clears what nothing gave.
    pub(super) fn finish(&mut self) {
        self.items.sort_by_key(|item| item.position);
        if self.shape != Shape::Null || self.items.is_empty() {
            return;
        }
        for part in PARTS {
            if self.items.iter().all(|item| item.part != Some(part)) {
                let name = part.name();
                self.items.push(AddressItem {
                    name,
                    value: Raw::NULL,
                    source: "",
                    part: Some(part),
                    key: name,
                    rank: Rank::Alias,
                    position: None,
                });
            }
        }
    }

    pub(super) fn states_another_than(&self, part: Part) -> bool {
        self.items
            .iter()
            .any(|item| item.part.is_some_and(|other| other != part))
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.shape, Shape::Text(_))
    }

    /// Returns a part's value; null where the event clears it.
    #[must_use]
    pub fn part(&self, part: Part) -> Option<Raw<'a>> {
        let stated = self
            .items
            .iter()
            .find(|item| item.part == Some(part))
            .map(|item| item.value);
        stated.or_else(|| (self.shape == Shape::Null).then_some(Raw::NULL))
    }

    /// Returns what fills a field for the part: the part, and for the street an address in one line, where no street stands
    /// beside it.
    #[must_use]
    pub fn field(&self, part: Part) -> Option<Raw<'a>> {
        let stated = self.part(part);
        match self.shape {
            Shape::Text(line) if part == Part::Street && stated.is_none_or(Raw::is_null) => {
                Some(line)
                    .filter(|line| line.kind() == Kind::String)
                    .or(stated)
            }
            Shape::Absent | Shape::Null | Shape::Object | Shape::Text(_) => stated,
        }
    }

    /// Returns what stands in the address's place and is no object, if anything does: null or a text.
    #[must_use]
    pub fn whole(&self) -> Option<Raw<'a>> {
        match self.shape {
            Shape::Text(value) => Some(value),
            Shape::Null if self.items.is_empty() => Some(Raw::NULL),
            Shape::Absent | Shape::Null | Shape::Object => None,
        }
    }

    /// Returns the members in order, parts under their canonical names.
    #[must_use]
    pub fn items(&self) -> &[AddressItem<'a>] {
        if self.is_text() { &[] } else { &self.items }
    }
}
