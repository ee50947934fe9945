//! One trait per fold: which keys mean the same, which of them wins, and where address parts belong (semantics T).

mod address;
mod declared;
mod privacy;
mod vocabulary;

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use hashbrown::HashTable;

pub use self::address::{Address, AddressItem};
pub use self::declared::DeclaredType;
pub use self::privacy::{Privacy, TraitRules};
use self::vocabulary::Target;
pub use self::vocabulary::{Fold, Mention, PARTS, Part, TraitId, TraitType, Vocabulary};
use crate::json::{LoneSurrogate, Member, Raw};

/// The traits of one event, each once, in the order that their first keys came.
#[derive(Debug)]
pub struct Traits<'a> {
    entries: ArenaVec<'a, Trait<'a>>,
    /// For each [`TraitId`] of the vocabulary its index in `entries`, or [`ABSENT`].
    slots: &'a mut [u32],
    address: Address<'a>,
    collisions: ArenaVec<'a, Collision<'a>>,
    /// The custom traits as indices of `entries`, by the hash of their folds.
    custom: Custom<'a>,
    vocabulary: &'a Vocabulary,
    arena: &'a Bump,
}

/// One trait: the winner among the keys that mean it.
#[derive(Debug, Clone, Copy)]
pub struct Trait<'a> {
    /// The name it leaves under in whole maps.
    pub name: &'a str,
    /// Its value as it came; for an address see [`Traits::address`].
    pub value: Raw<'a>,
    /// Name and value as [`Member::source`] has them; empty where the name is not the key that came.
    pub source: &'a str,
    /// Its id, if the vocabulary knows it.
    pub id: Option<TraitId>,
    /// The address part that this is, where a string stands in the address's place (T4).
    pub part: Option<Part>,
    key: &'a str,
    fold: &'a str,
    position: usize,
    rank: Rank,
}

impl<'a> Trait<'a> {
    /// Returns the key that won, as the event spelled it; empty where the trait was put together of several.
    #[must_use]
    pub fn key(&self) -> &'a str {
        self.key
    }
}

/// A key that means the same trait as another, and lost to it (T3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collision<'a> {
    /// The trait's name.
    pub name: &'a str,
    /// The key that won.
    pub kept: &'a str,
    /// The key that lost.
    pub lost: &'a str,
}

/// How well a key names its trait; the lowest wins (T3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Canonical,
    Spelling,
    Alias,
}

const ABSENT: u32 = u32::MAX;

type Custom<'a> = HashTable<(u64, u32), &'a Bump>;

impl<'a> Traits<'a> {
    /// Returns no traits at all.
    #[must_use]
    pub fn none(vocabulary: &'a Vocabulary, arena: &'a Bump) -> Self {
        Traits::with_capacity(0, vocabulary, arena)
    }

    fn with_capacity(n_traits: usize, vocabulary: &'a Vocabulary, arena: &'a Bump) -> Self {
        Traits {
            entries: ArenaVec::with_capacity_in(n_traits, arena),
            slots: arena.alloc_slice_fill_copy(vocabulary.len(), ABSENT),
            address: Address::none(arena),
            collisions: ArenaVec::new_in(arena),
            custom: HashTable::new_in(arena),
            vocabulary,
            arena,
        }
    }

    /// Makes `members`, the event's traits as they came, canonical.
    ///
    /// # Errors
    /// [`LoneSurrogate`] if a key of `address` has one.
    pub fn resolve(
        members: &[Member<'a>],
        vocabulary: &'a Vocabulary,
        arena: &'a Bump,
    ) -> Result<Self, LoneSurrogate> {
        // An address put together of flat parts is one more.
        let mut traits = Traits::with_capacity(members.len() + 1, vocabulary, arena);
        // A key that may be an address part waits until the address itself is known.
        let mut parts: ArenaVec<'a, (Part, Place, Found<'a>)> = ArenaVec::new_in(arena);
        for (position, member) in members.iter().enumerate() {
            let key = member.key;
            let (fold, target) = vocabulary.look_up(key, arena);
            let found = |rank: Rank| Found {
                member: *member,
                fold,
                position,
                rank,
            };
            match target {
                Some((Target::Trait(id), rank)) => {
                    let name = vocabulary.canonical(id);
                    traits.add_known(
                        id,
                        name,
                        found(if name == Some(key) {
                            Rank::Canonical
                        } else {
                            rank
                        }),
                    );
                }
                Some((Target::Part(part), rank)) => {
                    let rank = if part.name() == key {
                        Rank::Canonical
                    } else {
                        rank
                    };
                    parts.push((part, Place::TopLevel, found(rank)));
                }
                Some((Target::FlatPart(part), rank)) => {
                    let is_canonical = key.strip_prefix("address.") == Some(part.name());
                    parts.push((
                        part,
                        Place::Flat,
                        found(if is_canonical { Rank::Canonical } else { rank }),
                    ));
                }
                None => traits.add_custom(found(Rank::Spelling)),
            }
        }
        traits.resolve_address(parts)?;
        Ok(traits)
    }

    fn add_known(&mut self, id: TraitId, name: Option<&'a str>, found: Found<'a>) {
        let index = self.slots.get(id.index()).copied().unwrap_or(ABSENT);
        if let Some(entry) = self.entries.get_mut(index as usize) {
            compete(entry, found, name.is_some(), &mut self.collisions);
            return;
        }
        let index = u32::try_from(self.entries.len()).unwrap_or(ABSENT);
        if let Some(slot) = self.slots.get_mut(id.index()) {
            *slot = index;
        }
        self.entries.push(found.into_trait(name, Some(id)));
    }

    fn add_custom(&mut self, found: Found<'a>) {
        let hash = self.vocabulary.hash(found.fold);
        let entries = &mut self.entries;
        let is_same = |(_, index): &(u64, u32)| {
            entries
                .get(*index as usize)
                .is_some_and(|entry| entry.fold == found.fold)
        };
        if let Some((_, index)) = self.custom.find(hash, is_same) {
            if let Some(entry) = entries.get_mut(*index as usize) {
                compete(entry, found, false, &mut self.collisions);
            }
            return;
        }
        let index = u32::try_from(entries.len()).unwrap_or(ABSENT);
        self.custom
            .insert_unique(hash, (hash, index), |(hash, _)| *hash);
        entries.push(found.into_trait(None, None));
    }

    /// Puts the address together from its three places (T4).
    fn resolve_address(
        &mut self,
        mut parts: ArenaVec<'a, (Part, Place, Found<'a>)>,
    ) -> Result<(), LoneSurrogate> {
        let entry = self
            .get(TraitId::ADDRESS)
            .map(|address| (address.value, address.position));
        if entry.is_none() && parts.is_empty() {
            return Ok(());
        }
        self.address = Address::parse(
            entry.map(|(value, _)| value),
            self.vocabulary,
            &mut self.collisions,
            self.arena,
        )?;
        // `state` alone is too common a word to be an address.
        let has_another = self.address.states_another_than(Part::State)
            || parts.iter().any(|(part, ..)| *part != Part::State);
        if !has_another {
            parts.retain(|(part, place, found)| {
                let is_custom = *part == Part::State && *place == Place::TopLevel;
                if is_custom {
                    self.add_custom(Found {
                        rank: Rank::Spelling,
                        ..*found
                    });
                }
                !is_custom
            });
        }
        let first = parts.iter().map(|(_, _, found)| found.position).min();
        parts.sort_unstable_by_key(|(_, place, found)| (*place, found.rank, found.position));
        for (part, _, found) in &parts {
            if self.address.is_text() {
                self.add_part_beside_text(*part, found);
            }
            self.address
                .add_part(*part, &found.member, found.position, &mut self.collisions);
        }
        self.address.finish();
        if let (None, Some(position), false) = (entry, first, self.address.is_text()) {
            let member = Member {
                key: "",
                value: Raw::NULL,
                source: "",
            };
            let found = Found {
                member,
                fold: "",
                position,
                rank: Rank::Canonical,
            };
            self.add_known(
                TraitId::ADDRESS,
                self.vocabulary.canonical(TraitId::ADDRESS),
                found,
            );
        }
        self.sort_by_position();
        Ok(())
    }

    /// Keeps a part that has no address object to stand in as a trait of its own, so that nothing is lost.
    fn add_part_beside_text(&mut self, part: Part, found: &Found<'a>) {
        if self.entries.iter().all(|entry| entry.part != Some(part)) {
            let mut entry = found.into_trait(Some(part.name()), None);
            entry.part = Some(part);
            self.entries.push(entry);
        }
    }

    fn sort_by_position(&mut self) {
        // Each came at a position of its own.
        self.entries.sort_unstable_by_key(|entry| entry.position);
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(slot) = entry.id.and_then(|id| self.slots.get_mut(id.index())) {
                *slot = u32::try_from(index).unwrap_or(ABSENT);
            }
        }
    }

    /// Returns the trait of that id if the event carries it.
    #[must_use]
    pub fn get(&self, id: TraitId) -> Option<&Trait<'a>> {
        self.slots
            .get(id.index())
            .and_then(|index| self.entries.get(*index as usize))
    }

    /// Returns the value of the trait, or of the address's part, that a name of this fold means, aliases too.
    #[must_use]
    pub fn meant_by(&self, fold: &Fold) -> Option<Raw<'a>> {
        let fold = fold.as_str();
        let entry = |is_it: &dyn Fn(&&Trait<'a>) -> bool| {
            self.entries.iter().find(is_it).map(|entry| entry.value)
        };
        match self.vocabulary.target(fold) {
            Some((Target::Trait(id), _)) => self.get(id).map(|entry| entry.value),
            // Beside an address that is a text, and for a state alone, a part's name is a trait's.
            Some((Target::Part(part) | Target::FlatPart(part), _)) => {
                let stated = self.address.part(part);
                stated.or_else(|| entry(&|entry| entry.part == Some(part) || entry.fold == fold))
            }
            None => entry(&|entry| entry.fold == fold),
        }
    }

    /// Returns all traits in order, the address among them as one.
    #[must_use]
    pub fn entries(&self) -> &[Trait<'a>] {
        &self.entries
    }

    /// Returns the address with its parts in place.
    #[must_use]
    pub fn address(&self) -> &Address<'a> {
        &self.address
    }

    /// Returns the keys that lost to another key of the same trait.
    #[must_use]
    pub fn collisions(&self) -> &[Collision<'a>] {
        &self.collisions
    }

    /// Returns whether a trait is a reserved one, or a part of an address.
    #[must_use]
    pub fn is_reserved(&self, entry: &Trait<'_>) -> bool {
        entry.part.is_some()
            || entry
                .id
                .is_some_and(|id| self.vocabulary.trait_type(id) != TraitType::Any)
    }

    /// Returns whether there are no traits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Where an address part was found besides the address itself, in T4's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Flat,
    TopLevel,
}

/// A key that means some trait.
#[derive(Debug, Clone, Copy)]
struct Found<'a> {
    member: Member<'a>,
    fold: &'a str,
    position: usize,
    rank: Rank,
}

impl<'a> Found<'a> {
    fn into_trait(self, canonical: Option<&'a str>, id: Option<TraitId>) -> Trait<'a> {
        let Found {
            member: Member { key, value, source },
            fold,
            position,
            rank,
        } = self;
        let name = canonical.unwrap_or(key);
        Trait {
            name,
            value,
            source: source_under(name, key, source),
            id,
            part: None,
            key,
            fold,
            position,
            rank,
        }
    }
}

/// Returns a member's source where it leaves under the name that it came with.
fn source_under<'a>(name: &str, key: &str, source: &'a str) -> &'a str {
    if name == key { source } else { "" }
}

/// Lets `found` take the place of `entry` if it is better: non-null first, then rank, then input order (T3).
fn compete<'a>(
    entry: &mut Trait<'a>,
    found: Found<'a>,
    has_canonical_name: bool,
    collisions: &mut ArenaVec<'a, Collision<'a>>,
) {
    let Member { key, value, source } = found.member;
    let is_better = (value.is_null(), found.rank) < (entry.value.is_null(), entry.rank);
    let mut lost = key;
    if is_better {
        lost = std::mem::replace(&mut entry.key, key);
        entry.value = value;
        entry.rank = found.rank;
        if !has_canonical_name {
            entry.name = entry.key;
        }
        entry.source = source_under(entry.name, key, source);
    }
    collisions.push(Collision {
        name: entry.name,
        kept: entry.key,
        lost,
    });
}

#[cfg(test)]
mod tests;
