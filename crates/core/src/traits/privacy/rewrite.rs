//! Writes an event anew, as a destination's rules let it be seen.

use bumpalo::Bump;
use hmac::Mac;

use super::super::vocabulary::{Target, TraitId, Vocabulary};
use super::{Privacy, Treatment};
use crate::json::{self, Kind, Member, Raw};
use crate::verdict::{Note, NoteCode};

impl Privacy {
    /// Returns the event of these members as the destination may see it. Says of each trait that is not as it came.
    pub fn rewrite<'a>(
        &self,
        members: &[Member<'_>],
        vocabulary: &Vocabulary,
        arena: &'a Bump,
        note: impl FnMut(Note<'_>),
    ) -> &'a [u8] {
        let mut writer = Writer {
            privacy: self,
            vocabulary,
            arena,
            note,
            out: Vec::new(),
        };
        writer.object(members, |writer, member| match member.key {
            "traits" => writer.traits(member.value),
            _ => writer.out.extend_from_slice(member.value.text().as_bytes()),
        });
        arena.alloc_slice_copy(&writer.out)
    }
}

/// Writes one event anew.
struct Writer<'w, F> {
    privacy: &'w Privacy,
    vocabulary: &'w Vocabulary,
    arena: &'w Bump,
    note: F,
    out: Vec<u8>,
}

impl<F: FnMut(Note<'_>)> Writer<'_, F> {
    fn traits(&mut self, traits: Raw<'_>) {
        // What is no object was refused when the event was read; null is no traits.
        if traits.kind() != Kind::Object {
            return self.out.extend_from_slice(traits.text().as_bytes());
        }
        let members = traits.members(self.arena).unwrap_or_default();
        self.treated(members, |writer, key| {
            let target = writer
                .vocabulary
                .look_up(key, writer.arena)
                .1
                .map(|(target, _)| target);
            let treatment = writer.privacy.treatment(target);
            (treatment, target == Some(Target::Trait(TraitId::ADDRESS)))
        });
    }

    /// Writes an address whose parts may be treated each in its own way.
    fn address(&mut self, address: Raw<'_>) {
        let members = address.members(self.arena).unwrap_or_default();
        self.treated(members, |writer, key| {
            let treatment = match writer.vocabulary.look_up(key, writer.arena).1 {
                Some((Target::Part(part), _)) => writer.privacy.of_part(part),
                Some((Target::Trait(_) | Target::FlatPart(_), _)) | None => {
                    writer.privacy.of_other_member()
                }
            };
            (treatment, false)
        });
    }

    /// Writes the members that are not denied; `of` says what becomes of a key's value, and whether it is the address.
    fn treated(&mut self, members: &[Member<'_>], of: impl Fn(&Self, &str) -> (Treatment, bool)) {
        let (vocabulary, arena) = (self.vocabulary, self.arena);
        let mut kept = Vec::with_capacity(members.len());
        for member in members {
            let (mut treatment, is_address) = of(self, member.key);
            let is_line = is_address
                && !matches!(member.value.kind(), Kind::Object | Kind::Null)
                && !member.value.is_empty_array();
            treatment = treatment.or_deny_if(is_line && self.privacy.splits_address());
            match treatment {
                Treatment::Pass => kept.push((*member, treatment, is_address && !is_line)),
                Treatment::Hash => {
                    (self.note)(Note {
                        code: NoteCode::TraitHashed,
                        subject: name(member.key, vocabulary, arena),
                    });
                    kept.push((*member, treatment, is_address && !is_line));
                }
                Treatment::Deny => (self.note)(Note {
                    code: NoteCode::TraitDenied,
                    subject: name(member.key, vocabulary, arena),
                }),
            }
        }
        self.object(&kept, |writer, (member, treatment, is_address)| {
            match (treatment, is_address) {
                (_, true) if member.value.kind() == Kind::Object => writer.address(member.value),
                (Treatment::Hash, _) => writer.hashed(member.value),
                (Treatment::Pass | Treatment::Deny, _) => {
                    writer.out.extend_from_slice(member.value.text().as_bytes())
                }
            }
        });
    }

    /// Writes each scalar of a value as the hash of its text; null stays null, since it says that there is nothing.
    fn hashed(&mut self, value: Raw<'_>) {
        match value.kind() {
            Kind::Null => self.out.extend_from_slice(b"null"),
            Kind::Object => match value.members(self.arena) {
                Ok(members) => self.object(members, |writer, member| writer.hashed(member.value)),
                Err(_) => self.hash(value.text()),
            },
            Kind::Array => {
                self.out.push(b'[');
                for (index, element) in value.elements().into_iter().enumerate() {
                    self.comma(index);
                    self.hashed(element);
                }
                self.out.push(b']');
            }
            // A string that is no text, with a lone surrogate, has its source bytes.
            Kind::String => self.hash(
                value
                    .string(self.arena)
                    .ok()
                    .flatten()
                    .unwrap_or(value.text()),
            ),
            Kind::Boolean | Kind::Number => self.hash(value.text()),
        }
    }

    fn hash(&mut self, text: &str) {
        let mut hasher = self.privacy.hasher.clone();
        hasher.update(text.as_bytes());
        self.out.push(b'"');
        for byte in hasher.finalize().into_bytes() {
            let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
            self.out.extend(
                [byte >> 4, byte & 0xF].map(|nibble| u8::try_from(digit(nibble)).unwrap_or(b'0')),
            );
        }
        self.out.push(b'"');
    }

    fn object<M: HasKey>(&mut self, members: &[M], mut write: impl FnMut(&mut Self, &M)) {
        self.out.push(b'{');
        for (index, member) in members.iter().enumerate() {
            self.comma(index);
            json::write_quoted(member.key(), &mut self.out);
            self.out.push(b':');
            write(self, member);
        }
        self.out.push(b'}');
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.push(b',');
        }
    }
}

/// Returns the name that notes call a key's trait by.
fn name<'k>(key: &'k str, vocabulary: &'k Vocabulary, arena: &Bump) -> &'k str {
    match vocabulary.look_up(key, arena).1 {
        Some((Target::Trait(id), _)) => vocabulary.canonical(id).unwrap_or(key),
        Some((Target::Part(part) | Target::FlatPart(part), _)) => part.name(),
        None => key,
    }
}

/// What stands in an object under a key.
trait HasKey {
    fn key(&self) -> &str;
}

impl HasKey for Member<'_> {
    fn key(&self) -> &str {
        self.key
    }
}

impl HasKey for (Member<'_>, Treatment, bool) {
    fn key(&self) -> &str {
        self.0.key
    }
}
