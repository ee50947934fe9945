//! Which events a replay takes: by group, by user, by a trait or field, and whether a newer event of the group is in the way.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use bumpalo::Bump;

use crate::event::Event;
use crate::json::{Kind, Raw};
use crate::record::Record;
use crate::traits::{Fold, Part};
use crate::verdict::Reason;

/// A replay as the router sees it.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// Its name, which its records carry (semantics K4).
    pub name: String,
    /// The events that it takes.
    pub selection: Selection,
    /// Whether operations that add rather than set are sent again too.
    pub repeats_additions: bool,
    /// Which dead letters are redriven; absent where source records are read.
    pub letters: Option<Letters>,
}

/// The dead letters that a redrive takes.
#[derive(Debug, Clone, Default)]
pub struct Letters {
    /// Of one of these reasons, by code; of any where there are none.
    pub reasons: Vec<String>,
    /// Of one of these destinations; of any, or of a whole record, where there are none.
    pub destinations: Vec<String>,
    /// Whether a destination's share goes to all destinations, and not to that one alone.
    pub is_for_all: bool,
    /// How often one is redriven at most.
    pub max_attempts: u32,
}

impl Letters {
    /// Returns the source record that a dead letter holds.
    ///
    /// # Errors
    /// Why it is not redriven.
    pub fn open<'a>(&self, record: &Record<'a>) -> Result<Record<'a>, Reason> {
        let letter = record.letter.ok_or(Reason::NoDeadLetter)?;
        let is_taken = (self.reasons.is_empty()
            || self.reasons.iter().any(|reason| reason == letter.reason))
            && (self.destinations.is_empty()
                || self
                    .destinations
                    .iter()
                    .any(|name| Some(name.as_str()) == letter.destination));
        if !is_taken {
            return Err(Reason::NotSelected);
        }
        if letter.is_cut {
            return Err(Reason::LetterCut);
        }
        if letter.attempts >= self.max_attempts {
            return Err(Reason::AttemptsSpent);
        }
        Ok(Record {
            position: letter.source,
            timestamp: letter.timestamp,
            ..*record
        })
    }
}

/// The events that a replay takes; all of them by default.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Of one of these groups; of any group where there are none.
    pub group_ids: Vec<String>,
    /// Of one of these users; of any user, or none, where there are none.
    pub user_ids: Vec<String>,
    /// With each of these values.
    pub wanted: Vec<Wanted>,
    /// Of none of these groups, which have newer events than the replay's.
    pub superseded: Groups,
}

impl Selection {
    /// Returns why the event is not taken; `None` where it is. What must be put together on the way is kept in `arena`.
    #[must_use]
    pub fn leaves_out<'a>(&self, event: &Event<'a>, arena: &'a Bump) -> Option<Reason> {
        let is_taken = (self.group_ids.is_empty()
            || self.group_ids.iter().any(|id| id == event.group_id.text))
            && (self.user_ids.is_empty()
                || event
                    .user_id
                    .is_some_and(|user| self.user_ids.iter().any(|id| id == user.text)))
            && self.wanted.iter().all(|wanted| wanted.is_in(event, arena));
        if !is_taken {
            return Some(Reason::NotSelected);
        }
        self.superseded
            .holds(event.group_id.text)
            .then_some(Reason::Superseded)
    }
}

/// A value that an event must have at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    place: WantedPlace,
    value: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum WantedPlace {
    /// A trait, or a part of the address by its name alone, however the event spells it.
    Trait(Fold),
    Part(Part),
    /// Keys from the event's own members down.
    Field(Vec<String>),
}

/// The members that a group call may have, besides its traits.
const FIELDS: [&str; 14] = [
    "type",
    "groupId",
    "userId",
    "anonymousId",
    "messageId",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "receivedAt",
    "context",
    "integrations",
    "channel",
    "version",
    "projectId",
];

impl Wanted {
    /// Reads `traits.NAME=VALUE`, `traits.address.city=VALUE` or `context.library.name=VALUE`.
    ///
    /// # Errors
    /// A message that says what was expected.
    pub fn parse(text: &str) -> Result<Wanted, String> {
        let (place, value) = text
            .split_once('=')
            .ok_or("expected PLACE=VALUE, such as traits.plan=enterprise")?;
        let place = match place.split_once('.') {
            Some(("traits", name)) => match name.strip_prefix("address.") {
                Some(part) => WantedPlace::Part(
                    Part::from_name(part)
                        .ok_or_else(|| format!("no part of an address: {part}"))?,
                ),
                None => WantedPlace::Trait(Fold::of(name)),
            },
            Some(_) => WantedPlace::Field(place.split('.').map(str::to_owned).collect()),
            None if FIELDS.contains(&place) => WantedPlace::Field(vec![place.to_owned()]),
            None => {
                return Err(format!(
                    "not a field of a group call: {place}; a trait is written traits.{place}"
                ));
            }
        };
        Ok(Wanted {
            place,
            value: value.to_owned(),
        })
    }

    fn is_in<'a>(&self, event: &Event<'a>, arena: &'a Bump) -> bool {
        let found = match &self.place {
            WantedPlace::Trait(fold) => event.traits.meant_by(fold),
            WantedPlace::Part(part) => event.traits.address().part(*part),
            WantedPlace::Field(keys) => field(event, keys, arena),
        };
        found.is_some_and(|found| match (found.kind(), found.string(arena)) {
            (Kind::String, Ok(text)) => text.is_some_and(|text| text == self.value),
            (Kind::String, Err(_)) => false,
            _ => found.text() == self.value,
        })
    }
}

fn field<'a>(event: &Event<'a>, keys: &[String], arena: &'a Bump) -> Option<Raw<'a>> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(event.field(first)?, |value, key| {
        let members = value.members(arena).ok()?;
        members
            .iter()
            .find(|member| member.key == *key)
            .map(|member| member.value)
    })
}

/// A set of groups by 128 bits of each one's id, so that millions fit into memory and none is taken for another.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    hashes: HashSet<u128>,
    seeds: [RandomState; 2],
}

impl Groups {
    /// Returns an empty set of which the ids hash as in this one.
    #[must_use]
    pub fn empty(&self) -> Groups {
        Groups {
            hashes: HashSet::new(),
            seeds: self.seeds.clone(),
        }
    }

    /// Adds a group; returns whether it is new.
    pub fn add(&mut self, group_id: &str) -> bool {
        self.hashes.insert(self.hash(group_id))
    }

    /// Returns whether the group is in the set.
    #[must_use]
    pub fn holds(&self, group_id: &str) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&self.hash(group_id))
    }

    /// Returns how many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    fn hash(&self, group_id: &str) -> u128 {
        let [high, low] = &self.seeds;
        u128::from(high.hash_one(group_id)) << 64 | u128::from(low.hash_one(group_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Reading;
    use crate::record::{Letter, Position};
    use crate::traits::Vocabulary;

    const EVENT: &str = r#"{"type":"group","groupId":7,"userId":"u1","context":{"library":{"name":"js"}},
        "traits":{"Monthly Spend":12.50,"plan":"gr\u0065en","city":"Austin","zip":"7","active":true,"gone":null,"created":"2020-01-01"}}"#;

    fn check(selection: &Selection, expected: Option<Reason>) {
        let (arena, vocabulary) = (Bump::new(), Vocabulary::default());
        let position = Position::first("events");
        let record = Record::new(position, Some(EVENT.as_bytes()));
        let event =
            Event::parse(&record, &Reading::default(), &vocabulary, &arena, &mut ()).unwrap();
        assert_eq!(
            selection.leaves_out(&event, &arena),
            expected,
            "{selection:?}"
        );
    }

    #[test]
    fn takes_what_has_every_wanted_value() {
        for (wanted, is_taken) in [
            ("traits.plan=green", true),
            ("traits.Plan=blue", false),
            ("traits.monthly_spend=12.50", true),
            ("traits.monthly_spend=12.5", false),
            ("traits.active=true", true),
            ("traits.gone=null", true),
            ("traits.absent=null", false),
            ("traits.address.city=Austin", true),
            ("traits.city=Austin", true),
            ("traits.City=Rome", false),
            ("traits.zip=7", true),
            ("traits.postal_code=7", true),
            ("traits.state=7", false),
            ("traits.created=2020-01-01", true),
            ("traits.createdAt=2020-01-01", true),
            ("context.library.name=js", true),
            ("context.library.version=1", false),
            ("userId=u1", true),
            ("groupId=7", true),
        ] {
            let selection = Selection {
                wanted: vec![Wanted::parse(wanted).unwrap()],
                ..Selection::default()
            };
            check(&selection, (!is_taken).then_some(Reason::NotSelected));
        }
    }

    #[test]
    fn takes_any_of_the_groups_and_users() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let check = |groups: &[&str], users: &[&str], expected| {
            check(
                &Selection {
                    group_ids: ids(groups),
                    user_ids: ids(users),
                    ..Selection::default()
                },
                expected,
            );
        };
        check(&[], &[], None);
        check(&["6", "7"], &["u1"], None);
        check(&["6"], &[], Some(Reason::NotSelected));
        check(&["7"], &["u2"], Some(Reason::NotSelected));
    }

    #[test]
    fn leaves_out_superseded_groups() {
        let mut superseded = Groups::default();
        assert!(superseded.add("6"));
        check(
            &Selection {
                superseded: superseded.clone(),
                ..Selection::default()
            },
            None,
        );
        assert!(superseded.add("7"));
        assert!(!superseded.add("7"));
        check(
            &Selection {
                superseded,
                ..Selection::default()
            },
            Some(Reason::Superseded),
        );
    }

    #[test]
    fn opens_the_letters_that_are_meant() {
        let letter = Letter {
            reason: "too_large",
            detail: "",
            source: Position {
                topic: "events",
                partition: 3,
                offset: 7,
            },
            timestamp: Some(5),
            destination: Some("webhook"),
            attempts: 1,
            is_cut: false,
        };
        let check = |letters: &Letters, letter: Option<Letter<'_>>, expected: Option<Reason>| {
            let position = Position::first("events.dead");
            let record = Record {
                position,
                timestamp: None,
                key: None,
                value: Some(b"{}"),
                traceparent: None,
                letter,
            };
            let opened = letters.open(&record);
            assert_eq!(opened.err(), expected, "{letters:?} {letter:?}");
            if let Ok(source) = opened {
                assert_eq!(
                    (source.position.to_string().as_str(), source.timestamp),
                    ("events/3/7", Some(5))
                );
            }
        };
        let any = Letters {
            max_attempts: 2,
            ..Letters::default()
        };
        check(&any, Some(letter), None);
        check(&any, None, Some(Reason::NoDeadLetter));
        check(
            &any,
            Some(Letter {
                attempts: 2,
                ..letter
            }),
            Some(Reason::AttemptsSpent),
        );
        check(
            &any,
            Some(Letter {
                is_cut: true,
                ..letter
            }),
            Some(Reason::LetterCut),
        );
        let of = |reason: &str, destination: &str| Letters {
            reasons: vec![reason.to_owned()],
            destinations: vec![destination.to_owned()],
            ..any.clone()
        };
        check(&of("too_large", "webhook"), Some(letter), None);
        check(
            &of("invalid_json", "webhook"),
            Some(letter),
            Some(Reason::NotSelected),
        );
        check(
            &of("too_large", "hubspot"),
            Some(letter),
            Some(Reason::NotSelected),
        );
        check(
            &of("too_large", "webhook"),
            Some(Letter {
                destination: None,
                ..letter
            }),
            Some(Reason::NotSelected),
        );
    }

    #[test]
    fn says_what_is_no_place() {
        for (text, expected) in [
            (
                "plan",
                "expected PLACE=VALUE, such as traits.plan=enterprise",
            ),
            (
                "plan=x",
                "not a field of a group call: plan; a trait is written traits.plan",
            ),
            ("traits.address.planet=x", "no part of an address: planet"),
        ] {
            assert_eq!(Wanted::parse(text), Err(expected.to_owned()));
        }
    }
}
