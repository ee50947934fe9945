//! Which traits a destination gets: some are left out, some leave as a keyed hash.
//!
//! It works on the event as it came, before a plan reads it, so that no way out can miss it: what is left out is not there,
//! in whole maps, in the forwarded event and in its raw bytes, whatever a key was spelled like.

mod rewrite;

use std::fmt;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use super::vocabulary::{Mention, Part, Target, TraitId, Vocabulary};

/// The rules of one destination, as the configuration writes them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TraitRules {
    /// The only traits that leave, besides those that are hashed; absent where all do.
    pub allow: Option<Vec<String>>,
    /// The traits that do not leave.
    pub deny: Vec<String>,
    /// The traits whose values leave as hashes.
    pub hash: Vec<String>,
    /// The key of the hashes.
    pub salt: String,
}

impl fmt::Debug for TraitRules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraitRules {
            allow, deny, hash, ..
        } = self;
        formatter
            .debug_struct("TraitRules")
            .field("allow", allow)
            .field("deny", deny)
            .field("hash", hash)
            .finish_non_exhaustive()
    }
}

/// The same as they are applied.
#[derive(Clone)]
pub struct Privacy {
    allowed: Option<Names>,
    denied: Names,
    hashed: Names,
    hasher: Hmac<Sha256>,
}

impl fmt::Debug for Privacy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Privacy {
            allowed,
            denied,
            hashed,
            ..
        } = self;
        formatter
            .debug_struct("Privacy")
            .field("allowed", allowed)
            .field("denied", denied)
            .field("hashed", hashed)
            .finish_non_exhaustive()
    }
}

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Pass,
    Hash,
    Deny,
}

/// Traits and parts of the address, by what they mean.
#[derive(Debug, Clone, Default)]
struct Names {
    traits: Vec<TraitId>,
    parts: Vec<Part>,
}

impl Names {
    fn of(names: &[String], vocabulary: &mut Vocabulary) -> Names {
        let mut found = Names::default();
        for name in names {
            match vocabulary.intern(name) {
                Mention::Trait(id) => found.traits.push(id),
                Mention::Part(part) => found.parts.push(part),
            }
        }
        found
    }

    fn has(&self, id: TraitId) -> bool {
        self.traits.contains(&id)
    }

    /// Returns whether the part is named, or the address that it is of.
    fn has_part(&self, part: Part) -> bool {
        self.parts.contains(&part) || self.has(TraitId::ADDRESS)
    }
}

impl Privacy {
    /// Makes the rules ready; absent where there are none. The traits they name become known to `vocabulary`.
    #[must_use]
    pub fn new(rules: &TraitRules, vocabulary: &mut Vocabulary) -> Option<Privacy> {
        if *rules == TraitRules::default() {
            return None;
        }
        Some(Privacy {
            allowed: rules
                .allow
                .as_ref()
                .map(|names| Names::of(names, vocabulary)),
            denied: Names::of(&rules.deny, vocabulary),
            hashed: Names::of(&rules.hash, vocabulary),
            // HMAC takes keys of any length.
            hasher: Hmac::new_from_slice(rules.salt.as_bytes()).ok()?,
        })
    }

    fn treatment(&self, target: Option<Target>) -> Treatment {
        match target {
            Some(Target::Trait(id)) => self.of_trait(id),
            Some(Target::Part(part) | Target::FlatPart(part)) => self.of_part(part),
            None if self.allowed.is_some() => Treatment::Deny,
            None => Treatment::Pass,
        }
    }

    fn of_trait(&self, id: TraitId) -> Treatment {
        let has_part = |names: &Names| id == TraitId::ADDRESS && !names.parts.is_empty();
        if self.denied.has(id) {
            Treatment::Deny
        } else if self.hashed.has(id) {
            Treatment::Hash
        } else if self
            .allowed
            .as_ref()
            .is_none_or(|allowed| allowed.has(id) || has_part(allowed) || has_part(&self.hashed))
        {
            Treatment::Pass
        } else {
            Treatment::Deny
        }
    }

    fn of_part(&self, part: Part) -> Treatment {
        if self.denied.has_part(part) {
            Treatment::Deny
        } else if self.hashed.has_part(part) {
            Treatment::Hash
        } else if self
            .allowed
            .as_ref()
            .is_none_or(|allowed| allowed.has_part(part))
        {
            Treatment::Pass
        } else {
            Treatment::Deny
        }
    }

    /// Returns what becomes of a member of the address that is no part.
    fn of_other_member(&self) -> Treatment {
        self.of_trait(TraitId::ADDRESS).or_deny_if(
            self.allowed
                .as_ref()
                .is_some_and(|allowed| !allowed.has(TraitId::ADDRESS)),
        )
    }

    /// Returns whether some part of the address is treated in its own way, so that one in a single line cannot leave.
    fn splits_address(&self) -> bool {
        let names_parts = |names: &Names| !names.parts.is_empty();
        names_parts(&self.denied)
            || names_parts(&self.hashed)
            || self
                .allowed
                .as_ref()
                .is_some_and(|names| names_parts(names) && !names.has(TraitId::ADDRESS))
    }
}

impl Treatment {
    /// Denies what would pass, where that is so.
    fn or_deny_if(self, is_so: bool) -> Treatment {
        if is_so && self == Treatment::Pass {
            Treatment::Deny
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use hmac::Mac;

    use super::*;
    use crate::event::{Event, Reading};
    use crate::record::{Position, Record};
    use crate::verdict::Note;

    const SALT: &str = "pepper-pepper-pepper";
    /// `printf %s ada@example.org | openssl dgst -sha256 -hmac pepper-pepper-pepper`
    const ADA: &str = "c92e75c15475d9532121474ce3b1065a3b94dc51faf91f765b0b90aa86d4e948";

    /// Returns the traits that are left of `traits`, and the notes.
    #[track_caller]
    fn check(rules: &str, traits: &str, expected: &str) {
        let words = |key: &str| -> Option<Vec<String>> {
            let (_, rest) = rules.split_once(&format!("{key}:"))?;
            Some(
                rest.split(';')
                    .next()?
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect(),
            )
        };
        let rules = TraitRules {
            allow: words("allow"),
            deny: words("deny").unwrap_or_default(),
            hash: words("hash").unwrap_or_default(),
            salt: SALT.to_owned(),
        };
        let mut vocabulary = Vocabulary::new(
            &["taxNumber".to_owned()],
            &[("headcount".to_owned(), "employees".to_owned())],
        )
        .unwrap();
        let privacy = Privacy::new(&rules, &mut vocabulary).unwrap();
        let arena = Bump::new();
        let value = format!(r#"{{"type":"group","groupId":"g","x":1.0,"traits":{traits}}}"#);
        let position = Position::first("t");
        let record = Record::new(position, Some(value.as_bytes()));
        let event =
            Event::parse(&record, &Reading::default(), &vocabulary, &arena, &mut ()).unwrap();
        let mut notes = Vec::new();
        let noted = |note: Note<'_>| {
            notes.push(format!(
                "{}:{}",
                note.code.code().trim_start_matches("trait_"),
                note.subject
            ))
        };
        let rewritten = privacy.rewrite(event.members, &vocabulary, &arena, noted);
        let rewritten = std::str::from_utf8(rewritten).unwrap();
        let left = rewritten
            .strip_prefix(r#"{"type":"group","groupId":"g","x":1.0,"traits":"#)
            .unwrap()
            .strip_suffix('}')
            .unwrap();
        assert_eq!(
            [left]
                .into_iter()
                .chain(notes.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(" "),
            expected
        );
    }

    #[test]
    fn p5_what_is_denied_is_not_there_however_it_is_spelled() {
        check(
            "deny: email",
            r#"{"name":"A","Email":"a","e-mail":"b","email":null}"#,
            r#"{"name":"A"} denied:email denied:email denied:email"#,
        );
        check(
            "deny: employees",
            r#"{"headcount":5,"plan":"x"}"#,
            r#"{"plan":"x"} denied:employees"#,
        );
        check(
            "deny: tax_number",
            r#"{"Tax Number":5}"#,
            r#"{} denied:taxNumber"#,
        );
        check(
            "deny: \"odd",
            r#"{"\"odd":1,"a":1.50}"#,
            r#"{"a":1.50} denied:"odd"#,
        );
        check("deny: email", "null", "null");
    }

    #[test]
    fn p3_only_what_is_allowed_leaves() {
        check(
            "allow: name plan",
            r#"{"name":"A","Plan":{"a":[1]},"other":1,"email":"e"}"#,
            r#"{"name":"A","Plan":{"a":[1]}} denied:other denied:email"#,
        );
        check("allow:", r#"{"name":"A"}"#, r#"{} denied:name"#);
        check(
            "allow: name",
            r#"{"address":{"city":"C"},"name":"A"}"#,
            r#"{"name":"A"} denied:address"#,
        );
        check(
            "allow: name; deny: name",
            r#"{"name":"A"}"#,
            r#"{} denied:name"#,
        );
    }

    #[test]
    fn p5_an_address_and_its_parts_are_found_wherever_they_stand() {
        let spread = r#"{"address":{"city":"C","zip":"1","more":2},"City":"D","address.postal_code":"3","name":"A"}"#;
        check(
            "deny: address",
            spread,
            r#"{"name":"A"} denied:address denied:city denied:postalCode"#,
        );
        check(
            "deny: city",
            spread,
            r#"{"address":{"zip":"1","more":2},"address.postal_code":"3","name":"A"} denied:city denied:city"#,
        );
        check(
            "deny: address.postalCode",
            spread,
            r#"{"address":{"city":"C","more":2},"City":"D","name":"A"} denied:postalCode denied:postalCode"#,
        );
        check(
            "allow: address.city",
            spread,
            r#"{"address":{"city":"C"},"City":"D"} denied:postalCode denied:name denied:postalCode denied:more"#,
        );
        check(
            "allow: address",
            spread,
            r#"{"address":{"city":"C","zip":"1","more":2},"City":"D","address.postal_code":"3"} denied:name"#,
        );
        // In one line nobody knows what is the city.
        check(
            "deny: city",
            r#"{"address":"1 Way, C"}"#,
            r#"{} denied:address"#,
        );
        check(
            "hash: city",
            r#"{"address":"1 Way, C"}"#,
            r#"{} denied:address"#,
        );
        check(
            "allow: city",
            r#"{"address":"1 Way, C"}"#,
            r#"{} denied:address"#,
        );
        check(
            "allow: address city",
            r#"{"address":"1 Way, C"}"#,
            r#"{"address":"1 Way, C"}"#,
        );
        check("allow: city", r#"{"address":null}"#, r#"{"address":null}"#);
        check(
            "deny: email",
            r#"{"address":"1 Way, C"}"#,
            r#"{"address":"1 Way, C"}"#,
        );
    }

    #[test]
    fn p4_what_is_hashed_leaves_as_the_keyed_hash_of_its_text() {
        let hashed = |text: &str| {
            let mut hasher = Hmac::<Sha256>::new_from_slice(SALT.as_bytes()).unwrap();
            hasher.update(text.as_bytes());
            hasher
                .finalize()
                .into_bytes()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        assert_eq!(hashed("ada@example.org"), ADA);
        check(
            "hash: email",
            r#"{"Email":"ada@\u0065xample.org","email":null}"#,
            &format!(r#"{{"Email":"{ADA}","email":null}} hashed:email hashed:email"#),
        );
        let (one, yes) = (hashed("1.0"), hashed("true"));
        check(
            "hash: a",
            r#"{"a":{"b":[1.0,null,{"c":true}]}}"#,
            &format!(r#"{{"a":{{"b":["{one}",null,{{"c":"{yes}"}}]}}}} hashed:a"#),
        );
        check(
            "allow: name; hash: email",
            r#"{"name":"A","email":"ada@example.org","x":1}"#,
            &format!(r#"{{"name":"A","email":"{ADA}"}} hashed:email denied:x"#),
        );
        let city = hashed("C");
        check(
            "hash: city",
            r#"{"address":{"city":"C","zip":"1"}}"#,
            &format!(r#"{{"address":{{"city":"{city}","zip":"1"}}}} hashed:city"#),
        );
        check(
            "hash: address; deny: zip",
            r#"{"address":{"city":"C","zip":"1"}}"#,
            &format!(
                r#"{{"address":{{"city":"{city}"}}}} hashed:address hashed:city denied:postalCode"#
            ),
        );
    }

    #[test]
    fn no_rules_are_none() {
        assert!(Privacy::new(&TraitRules::default(), &mut Vocabulary::default()).is_none());
    }

    #[test]
    fn a_salt_is_never_printed() {
        let rules = TraitRules {
            hash: vec!["email".to_owned()],
            salt: SALT.to_owned(),
            ..TraitRules::default()
        };
        let privacy = Privacy::new(&rules, &mut Vocabulary::default());
        let shown = format!("{rules:?} {privacy:?}");
        assert!(!shown.contains("pepper"), "{shown}");
        assert!(
            shown.contains(r#"hash: ["email"]"#) && shown.contains("hashed: Names"),
            "{shown}"
        );
    }
}
