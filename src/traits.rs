//! One trait per fold: which keys mean the same, which of them wins, and where address parts belong (semantics T).

mod address;
mod vocabulary;

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

pub use self::address::{Address, AddressItem};
pub use self::vocabulary::{Fold, Mention, PARTS, Part, TraitId, TraitType, Vocabulary};
use self::vocabulary::{Target, fold_onto};
use crate::json::{LoneSurrogate, Member, Raw};

/// The traits of one event, each once, in the order that their first keys came.
#[derive(Debug)]
pub struct Traits<'a> {
    entries: Vec<Trait<'a>>,
    /// For each [`TraitId`] of the vocabulary its index in `entries`, or [`ABSENT`].
    slots: Vec<u32>,
    address: Address<'a>,
    collisions: Vec<Collision<'a>>,
}

/// One trait: the winner among the keys that mean it.
#[derive(Debug, Clone)]
pub struct Trait<'a> {
    /// The name it leaves under in whole maps.
    pub name: Cow<'a, str>,
    /// Its value as it came; for an address see [`Traits::address`].
    pub value: Raw<'a>,
    /// Its id, if the vocabulary knows it.
    pub id: Option<TraitId>,
    /// The address part that this is, where a string stands in the address's place (T4).
    pub part: Option<Part>,
    key: Cow<'a, str>,
    position: usize,
    rank: Rank,
}

impl Trait<'_> {
    /// Returns the key that won, as the event spelled it; empty where the trait was put together of several.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// A key that means the same trait as another, and lost to it (T3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision<'a> {
    /// The trait's name.
    pub name: Cow<'a, str>,
    /// The key that won.
    pub kept: Cow<'a, str>,
    /// The key that lost.
    pub lost: Cow<'a, str>,
}

/// How well a key names its trait; the lowest wins (T3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Canonical,
    Spelling,
    Alias,
}

const ABSENT: u32 = u32::MAX;

/// Memory that one event's traits need and leave to the next.
#[derive(Debug, Default)]
pub struct TraitScratch {
    folds: String,
    by_fold: HashTable<(u32, std::ops::Range<usize>)>,
    hasher: RandomState,
}

impl<'a> Traits<'a> {
    /// Returns no traits at all.
    #[must_use]
    pub fn none(vocabulary: &'a Vocabulary) -> Self {
        Traits {
            entries: Vec::new(),
            slots: vec![ABSENT; vocabulary.len()],
            address: Address::default(),
            collisions: Vec::new(),
        }
    }

    /// Makes `members`, the event's traits as they came, canonical.
    ///
    /// # Errors
    /// [`LoneSurrogate`] if a key of `address` has one.
    pub fn resolve(
        members: Vec<Member<'a>>,
        vocabulary: &'a Vocabulary,
        scratch: &mut TraitScratch,
    ) -> Result<Self, LoneSurrogate> {
        let mut traits = Traits::none(vocabulary);
        traits.entries.reserve(members.len());
        scratch.folds.clear();
        scratch.by_fold.clear();
        // A key that may be an address part waits until the address itself is known.
        let mut parts: Vec<(Part, Place, Found<'a>)> = Vec::new();
        for (position, Member { key, value }) in members.into_iter().enumerate() {
            let start = scratch.folds.len();
            fold_onto(&key, &mut scratch.folds);
            let fold = scratch.folds.get(start..).unwrap_or_default();
            match vocabulary.target(fold) {
                Some((Target::Trait(id), rank)) => {
                    let name = vocabulary.canonical(id);
                    let rank = if name.is_some_and(|name| name == key) { Rank::Canonical } else { rank };
                    traits.add_known(id, name, Found { key, value, position, rank });
                }
                Some((Target::Part(part), rank)) => {
                    let rank = if part.name() == key { Rank::Canonical } else { rank };
                    parts.push((part, Place::TopLevel, Found { key, value, position, rank }));
                }
                Some((Target::FlatPart(part), rank)) => {
                    let is_canonical = key.strip_prefix("address.") == Some(part.name());
                    let rank = if is_canonical { Rank::Canonical } else { rank };
                    parts.push((part, Place::Flat, Found { key, value, position, rank }));
                }
                None => {
                    let found = Found { key, value, position, rank: Rank::Spelling };
                    traits.add_custom(start..scratch.folds.len(), found, scratch);
                    continue;
                }
            }
            scratch.folds.truncate(start);
        }
        traits.resolve_address(parts, vocabulary, scratch)?;
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

    fn add_custom(&mut self, fold: std::ops::Range<usize>, found: Found<'a>, scratch: &mut TraitScratch) {
        let TraitScratch { folds, by_fold, hasher } = scratch;
        let text = |range: &std::ops::Range<usize>| folds.get(range.clone()).unwrap_or_default();
        let hash = hasher.hash_one(text(&fold));
        if let Some((index, _)) = by_fold.find(hash, |(_, other)| text(other) == text(&fold)) {
            if let Some(entry) = self.entries.get_mut(*index as usize) {
                compete(entry, found, false, &mut self.collisions);
            }
            folds.truncate(fold.start);
            return;
        }
        let index = u32::try_from(self.entries.len()).unwrap_or(ABSENT);
        by_fold.insert_unique(hash, (index, fold), |(_, other)| hasher.hash_one(text(other)));
        self.entries.push(found.into_trait(None, None));
    }

    /// Puts the address together from its three places (T4).
    fn resolve_address(
        &mut self,
        mut parts: Vec<(Part, Place, Found<'a>)>,
        vocabulary: &'a Vocabulary,
        scratch: &mut TraitScratch,
    ) -> Result<(), LoneSurrogate> {
        let entry = self.get(TraitId::ADDRESS).map(|address| (address.value, address.position));
        if entry.is_none() && parts.is_empty() {
            return Ok(());
        }
        self.address = Address::parse(entry.map(|(value, _)| value), vocabulary, &mut self.collisions)?;
        // `state` alone is too common a word to be an address.
        let has_another = self.address.states_another_than(Part::State) || parts.iter().any(|(part, ..)| *part != Part::State);
        if !has_another {
            parts.retain(|(part, place, found)| {
                let is_custom = *part == Part::State && *place == Place::TopLevel;
                if is_custom {
                    let start = scratch.folds.len();
                    fold_onto(&found.key, &mut scratch.folds);
                    let found = Found { rank: Rank::Spelling, ..found.clone() };
                    self.add_custom(start..scratch.folds.len(), found, scratch);
                }
                !is_custom
            });
        }
        let first = parts.iter().map(|(_, _, found)| found.position).min();
        parts.sort_by_key(|(_, place, found)| (*place, found.rank, found.position));
        for (part, _, found) in parts {
            if self.address.is_text() {
                self.add_part_beside_text(part, &found);
            }
            self.address.add_part(part, found.key, found.value, found.position, &mut self.collisions);
        }
        self.address.finish();
        if let (None, Some(position), false) = (entry, first, self.address.is_text()) {
            let found = Found { key: Cow::Borrowed(""), value: Raw::NULL, position, rank: Rank::Canonical };
            self.add_known(TraitId::ADDRESS, vocabulary.canonical(TraitId::ADDRESS), found);
        }
        self.sort_by_position();
        Ok(())
    }

    /// Keeps a part that has no address object to stand in as a trait of its own, so that nothing is lost.
    fn add_part_beside_text(&mut self, part: Part, found: &Found<'a>) {
        if self.entries.iter().all(|entry| entry.part != Some(part)) {
            let mut entry = found.clone().into_trait(Some(part.name()), None);
            entry.part = Some(part);
            self.entries.push(entry);
        }
    }

    fn sort_by_position(&mut self) {
        self.entries.sort_by_key(|entry| entry.position);
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(slot) = entry.id.and_then(|id| self.slots.get_mut(id.index())) {
                *slot = u32::try_from(index).unwrap_or(ABSENT);
            }
        }
    }

    /// Returns the trait of that id if the event carries it.
    #[must_use]
    pub fn get(&self, id: TraitId) -> Option<&Trait<'a>> {
        self.slots.get(id.index()).and_then(|index| self.entries.get(*index as usize))
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
#[derive(Debug, Clone)]
struct Found<'a> {
    key: Cow<'a, str>,
    value: Raw<'a>,
    position: usize,
    rank: Rank,
}

impl<'a> Found<'a> {
    fn into_trait(self, canonical: Option<&'a str>, id: Option<TraitId>) -> Trait<'a> {
        let name = canonical.map_or_else(|| self.key.clone(), Cow::Borrowed);
        Trait { name, value: self.value, id, part: None, key: self.key, position: self.position, rank: self.rank }
    }
}

/// Lets `found` take the place of `entry` if it is better: non-null first, then rank, then input order (T3).
fn compete<'a>(entry: &mut Trait<'a>, found: Found<'a>, has_canonical_name: bool, collisions: &mut Vec<Collision<'a>>) {
    let is_better = (found.value.is_null(), found.rank) < (entry.value.is_null(), entry.rank);
    let mut lost = found.key.clone();
    if is_better {
        lost = std::mem::replace(&mut entry.key, found.key);
        entry.value = found.value;
        entry.rank = found.rank;
        if !has_canonical_name {
            entry.name = entry.key.clone();
        }
    }
    collisions.push(Collision { name: entry.name.clone(), kept: entry.key.clone(), lost });
}

#[cfg(test)]
mod tests;
