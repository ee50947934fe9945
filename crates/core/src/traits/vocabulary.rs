//! The names that traits go by: reserved, listed in the configuration, or mentioned by a definition (T1, T2, T5).

use std::borrow::Cow;
use std::hash::BuildHasher;

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;
use hashbrown::{DefaultHashBuilder, HashMap};
use heck::{ToKebabCase, ToLowerCamelCase, ToSnakeCase, ToTitleCase, ToUpperCamelCase};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{DeclaredType, Rank};

/// A key without what its writers differ in: NFC, lower case, then without white space, `_`, `-` and a leading `$` (T1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fold(Box<str>);

impl Fold {
    /// Folds `key`.
    #[must_use]
    pub fn of(key: &str) -> Fold {
        Fold(fold_in(key, &Bump::new()).into())
    }

    /// Returns whether `key` has this fold, without making it for the usual ASCII key.
    #[must_use]
    pub fn is_of(&self, key: &str) -> bool {
        // Most keys differ in their first character, which is itself where no mark can follow it.
        if let [first, second, ..] = key.as_bytes()
            && first.is_ascii_alphanumeric()
            && second.is_ascii()
            && self.0.as_bytes().first() != Some(&folded_byte(*first))
        {
            return false;
        }
        if !key.is_ascii() {
            let mut folded = unicode_fold(key).peekable();
            folded.next_if_eq(&'$');
            return if folded.peek().is_none() {
                *self == Fold::of(key)
            } else {
                folded.eq(self.0.chars())
            };
        }
        let mut rest = self.0.bytes();
        let folded = key
            .bytes()
            .filter(|byte| !is_ascii_space(*byte) && !matches!(byte, b'_' | b'-'));
        let mut folded = folded.map(|byte| byte.to_ascii_lowercase()).peekable();
        folded.next_if_eq(&b'$');
        if folded.peek().is_none() {
            return *self == Fold::of(key);
        }
        folded.all(|byte| rest.next() == Some(byte)) && rest.next().is_none()
    }

    /// Returns the folded text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns what [`char::is_whitespace`] says of an ASCII character.
fn is_ascii_space(byte: u8) -> bool {
    char::from(byte).is_whitespace()
}

/// Returns the fold of `key`, which is `key` itself where its writer used none of what folds.
///
/// A key whose fold would be empty (`___`) folds to itself behind a `_`, which no other fold holds, so that it is its own
/// trait.
pub(super) fn fold_in<'a>(key: &'a str, arena: &'a Bump) -> &'a str {
    if !key.is_empty()
        && key
            .bytes()
            .all(|byte| folded_byte(byte) == byte && byte != b'$')
    {
        return key;
    }
    let folded = if key.is_ascii() {
        ascii_fold(key, arena)
    } else if is_nfc_quick(key.chars()) == IsNormalized::Yes {
        ArenaString::from_iter_in(folded_characters(key.chars()), arena).into_bump_str()
    } else {
        ArenaString::from_iter_in(unicode_fold(key), arena).into_bump_str()
    };
    match folded.strip_prefix('$').unwrap_or(folded) {
        "" => {
            let mut whole = ArenaString::with_capacity_in(key.len() + 1, arena);
            whole.push('_');
            whole.push_str(key);
            whole.into_bump_str()
        }
        folded => folded,
    }
}

fn ascii_fold<'a>(key: &str, arena: &'a Bump) -> &'a str {
    let mut folded = ArenaString::with_capacity_in(key.len(), arena);
    let mut begin = 0;
    for (index, _) in key
        .bytes()
        .enumerate()
        .filter(|(_, byte)| folded_byte(*byte) == DROPPED)
    {
        folded.push_str(key.get(begin..index).unwrap_or_default());
        begin = index + 1;
    }
    folded.push_str(key.get(begin..).unwrap_or_default());
    folded.make_ascii_lowercase();
    folded.into_bump_str()
}

/// What [`folded_byte`] says of a byte that folds to nothing, and of none that is ASCII.
const DROPPED: u8 = 0xFF;

/// Returns what a byte of an ASCII key folds to.
fn folded_byte(byte: u8) -> u8 {
    const FOLDED: [u8; 256] = {
        let mut folded = [DROPPED; 256];
        let mut byte = 0_u8;
        while byte.is_ascii() {
            if !matches!(byte, b'_' | b'-') && !(byte as char).is_whitespace() {
                folded[byte as usize] = byte.to_ascii_lowercase();
            }
            byte += 1;
        }
        folded
    };
    FOLDED.get(usize::from(byte)).copied().unwrap_or(DROPPED)
}

fn unicode_fold(key: &str) -> impl Iterator<Item = char> {
    folded_characters(key.nfc())
}

fn folded_characters(characters: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let is_kept = |character: &char| !character.is_whitespace() && !matches!(character, '_' | '-');
    characters.flat_map(char::to_lowercase).filter(is_kept)
}

/// A trait that the vocabulary knows, as an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraitId(u32);

impl TraitId {
    /// The reserved trait `address`.
    pub const ADDRESS: TraitId = TraitId(0);
    /// The reserved trait `createdAt`.
    pub const CREATED_AT: TraitId = TraitId(1);

    /// Returns a small number of its own for each trait of a vocabulary.
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a mapped trait is converted to (T8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraitType {
    /// An object.
    Address,
    /// A date in one of the forms of D2.
    Date,
    /// An integral number, or a string of one.
    Integer,
    /// A number, or a string of one.
    Number,
    /// A string, or a number's digits.
    Text,
    /// A custom trait: whatever came.
    Any,
}

/// The reserved traits and `revenue`, with their types (T2, T8); the first two as [`TraitId`] has them.
const RESERVED: [(&str, TraitType); 13] = [
    ("address", TraitType::Address),
    ("createdAt", TraitType::Date),
    ("avatar", TraitType::Text),
    ("description", TraitType::Text),
    ("email", TraitType::Text),
    ("employees", TraitType::Integer),
    ("id", TraitType::Text),
    ("industry", TraitType::Text),
    ("name", TraitType::Text),
    ("phone", TraitType::Text),
    ("website", TraitType::Text),
    ("plan", TraitType::Text),
    ("revenue", TraitType::Number),
];

/// Built-in aliases (T2).
const ALIASES: [(&str, &str); 4] = [
    ("created", "createdAt"),
    ("zip", "postalCode"),
    ("zipCode", "postalCode"),
    ("postcode", "postalCode"),
];

/// A part of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// `city`
    City,
    /// `country`
    Country,
    /// `postalCode`
    PostalCode,
    /// `state`
    State,
    /// `street`
    Street,
}

/// All parts, each at the index of its discriminant.
pub const PARTS: [Part; 5] = [
    Part::City,
    Part::Country,
    Part::PostalCode,
    Part::State,
    Part::Street,
];

impl Part {
    /// Returns the part's canonical name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::City => "city",
            Part::Country => "country",
            Part::PostalCode => "postalCode",
            Part::State => "state",
            Part::Street => "street",
        }
    }

    /// Returns the part of that canonical name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Part> {
        PARTS
            .into_iter()
            .find(|part| Fold::of(part.name()) == Fold::of(name))
    }
}

/// What a folded key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Trait(TraitId),
    /// A part's own name: at the top level and inside `address`.
    Part(Part),
    /// `address.city` and the like, as one key.
    FlatPart(Part),
}

/// Every name that has a meaning, by fold.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    by_fold: HashMap<Fold, (Target, Rank), DefaultHashBuilder>,
    /// The usual spellings of those names, with their folds: found without folding, as nearly all keys of the vocabulary are.
    by_spelling: HashMap<Box<str>, (Fold, Target, Rank), DefaultHashBuilder>,
    names: Vec<Name>,
    /// The custom traits that the configuration declares the type of (T9).
    declared: Vec<(TraitId, DeclaredType)>,
}

#[derive(Debug, Clone)]
struct Name {
    /// The spelling it leaves in; absent for a custom trait that only a definition mentions, which keeps its own (T5).
    canonical: Option<Cow<'static, str>>,
    trait_type: TraitType,
}

impl Vocabulary {
    /// Returns the reserved names together with `known`, the canonical spellings of custom traits, and `aliases`, pairs of
    /// an alias and the trait that it means.
    ///
    /// # Errors
    /// A message for each name that means something else already.
    pub fn new(known: &[String], aliases: &[(String, String)]) -> Result<Vocabulary, Vec<String>> {
        let mut vocabulary = Vocabulary {
            by_fold: HashMap::default(),
            by_spelling: HashMap::default(),
            names: Vec::new(),
            declared: Vec::new(),
        };
        for (name, trait_type) in RESERVED {
            let id = vocabulary.add(Some(Cow::Borrowed(name)), trait_type);
            vocabulary.learn(name, Target::Trait(id), Rank::Spelling);
        }
        for part in PARTS {
            vocabulary.learn(part.name(), Target::Part(part), Rank::Spelling);
            vocabulary.learn(&flat(part.name()), Target::FlatPart(part), Rank::Spelling);
        }
        let mut faults = Vec::new();
        for (alias, name) in ALIASES {
            faults.extend(vocabulary.add_alias(alias, name));
        }
        for name in known {
            faults.extend(vocabulary.add_known(name));
        }
        for (alias, name) in aliases {
            faults.extend(vocabulary.add_alias(alias, name));
        }
        if faults.is_empty() {
            Ok(vocabulary)
        } else {
            Err(faults)
        }
    }

    fn add(&mut self, canonical: Option<Cow<'static, str>>, trait_type: TraitType) -> TraitId {
        let index = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(Name {
            canonical,
            trait_type,
        });
        TraitId(index)
    }

    fn add_known(&mut self, name: &str) -> Option<String> {
        let fold = Fold::of(name);
        if let Some(fault) = self.taken(&fold, name) {
            return Some(fault);
        }
        let id = self.add(Some(Cow::Owned(name.to_owned())), TraitType::Any);
        self.learn(name, Target::Trait(id), Rank::Spelling);
        None
    }

    /// Takes a name in, under its fold and in each spelling that keys usually have.
    fn learn(&mut self, name: &str, target: Target, rank: Rank) {
        let fold = Fold::of(name);
        let cased = [
            name.to_snake_case(),
            name.to_lower_camel_case(),
            name.to_upper_camel_case(),
            name.to_title_case(),
            name.to_kebab_case(),
        ];
        for spelling in cased.into_iter().chain([
            name.to_owned(),
            name.to_uppercase(),
            fold.as_str().to_owned(),
        ]) {
            // A change of case can lose what is neither letter nor digit: then it is another name.
            if Fold::of(&spelling) == fold {
                self.by_spelling
                    .insert(spelling.into(), (fold.clone(), target, rank));
            }
        }
        self.by_fold.insert(fold, (target, rank));
    }

    fn add_alias(&mut self, alias: &str, name: &str) -> Option<String> {
        let fold = Fold::of(alias);
        if let Some(fault) = self.taken(&fold, alias) {
            return Some(fault);
        }
        let target = match self.by_fold.get(&Fold::of(name)) {
            Some((_, Rank::Alias)) => return Some(format!("an alias of an alias: {alias}")),
            Some((target, _)) => *target,
            None => {
                let id = self.add(Some(Cow::Owned(name.to_owned())), TraitType::Any);
                self.learn(name, Target::Trait(id), Rank::Spelling);
                Target::Trait(id)
            }
        };
        if let Target::Part(part) = target {
            self.learn(&flat(alias), Target::FlatPart(part), Rank::Alias);
        }
        self.learn(alias, target, Rank::Alias);
        None
    }

    fn taken(&self, fold: &Fold, written: &str) -> Option<String> {
        let (target, _) = self.by_fold.get(fold)?;
        let means = match target {
            Target::Trait(id) => self.canonical(*id).unwrap_or(written).to_owned(),
            Target::Part(part) | Target::FlatPart(part) => format!("address.{}", part.name()),
        };
        Some(format!("means {means} already: {written}"))
    }

    /// Declares the type of a custom trait (T9), which keeps the spelling that it has or comes with.
    ///
    /// # Errors
    /// A message if the trait has a type already.
    pub fn declare(&mut self, name: &str, declared: DeclaredType) -> Result<(), String> {
        match self.intern(name) {
            Mention::Trait(id)
                if self.trait_type(id) == TraitType::Any && self.declared_type(id).is_none() =>
            {
                self.declared.push((id, declared));
                Ok(())
            }
            Mention::Trait(_) | Mention::Part(_) => Err(format!("has a type already: {name}")),
        }
    }

    fn declared_type(&self, id: TraitId) -> Option<DeclaredType> {
        let found = self.declared.iter().find(|(declared, _)| *declared == id);
        found.map(|(_, declared)| *declared)
    }

    /// Returns the traits whose types the configuration declares.
    pub(super) fn declared(&self) -> &[(TraitId, DeclaredType)] {
        &self.declared
    }

    /// Returns the id of a trait that a definition mentions; a name not yet known becomes a custom trait that keeps the
    /// spelling it comes with.
    pub fn intern(&mut self, name: &str) -> Mention {
        let fold = Fold::of(name);
        match self.by_fold.get(&fold) {
            Some((Target::Trait(id), _)) => Mention::Trait(*id),
            Some((Target::Part(part) | Target::FlatPart(part), _)) => Mention::Part(*part),
            None => {
                let id = self.add(None, TraitType::Any);
                self.learn(name, Target::Trait(id), Rank::Spelling);
                Mention::Trait(id)
            }
        }
    }

    /// Returns the type that a mapped trait gets.
    #[must_use]
    pub fn trait_type(&self, id: TraitId) -> TraitType {
        self.names
            .get(id.index())
            .map_or(TraitType::Any, |name| name.trait_type)
    }

    /// Returns the names of the reserved traits, for hints.
    pub fn reserved() -> impl Iterator<Item = &'static str> {
        RESERVED.into_iter().map(|(name, _)| name)
    }

    pub(super) fn canonical(&self, id: TraitId) -> Option<&str> {
        self.names
            .get(id.index())
            .and_then(|name| name.canonical.as_deref())
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the fold of `key`, and what it means.
    pub(super) fn look_up<'a>(
        &'a self,
        key: &'a str,
        arena: &'a Bump,
    ) -> (&'a str, Option<(Target, Rank)>) {
        if let Some((fold, target, rank)) = self.by_spelling.get(key) {
            return (fold.as_str(), Some((*target, *rank)));
        }
        let fold = fold_in(key, arena);
        (fold, self.target(fold))
    }

    pub(super) fn target(&self, fold: &str) -> Option<(Target, Rank)> {
        self.by_fold.get(fold).copied()
    }

    /// Returns a hash of a fold, of a seed that no sender knows.
    pub(super) fn hash(&self, fold: &str) -> u64 {
        self.by_fold.hasher().hash_one(fold)
    }
}

impl Default for Vocabulary {
    fn default() -> Self {
        // The reserved names and built-in aliases do not clash; a test builds them.
        Vocabulary::new(&[], &[]).unwrap_or(Vocabulary {
            by_fold: HashMap::default(),
            by_spelling: HashMap::default(),
            names: Vec::new(),
            declared: Vec::new(),
        })
    }
}

impl std::borrow::Borrow<str> for Fold {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What a definition's `traits.NAME` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mention {
    /// A trait.
    Trait(TraitId),
    /// A part of the address.
    Part(Part),
}

fn flat(name: &str) -> String {
    format!("address.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t1_a_usual_spelling_is_found_as_its_fold_is() {
        let known = ["Total Billed", "größe", "a.b-c", "HTTPCode"].map(str::to_owned);
        let aliases = [("headcount", "employees"), ("PLZ", "postalCode")]
            .map(|(alias, name)| (alias.to_owned(), name.to_owned()));
        let vocabulary = Vocabulary::new(&known, &aliases).unwrap();
        let arena = Bump::new();
        for (spelling, (fold, target, rank)) in &vocabulary.by_spelling {
            assert_eq!(fold.as_str(), fold_in(spelling, &arena), "{spelling}");
            assert_eq!(
                vocabulary.target(fold.as_str()),
                Some((*target, *rank)),
                "{spelling}"
            );
        }
        for usual in [
            "created_at",
            "Created At",
            "CreatedAt",
            "createdat",
            "CREATEDAT",
            "address.postalCode",
            "total-billed",
            "Plz",
            "größe",
        ] {
            assert!(vocabulary.by_spelling.contains_key(usual), "{usual}");
        }
        for other in ["created", "createdAt ", "$name", "nothing"] {
            let (fold, target) = vocabulary.look_up(other, &arena);
            assert_eq!(
                (fold, target),
                (fold_in(other, &arena), vocabulary.target(fold)),
                "{other}"
            );
        }
    }
}
