//! One group call, read once from a record's bytes, or the reason that it is none (semantics E).

mod place;
mod reading;
mod shape;
mod suspicious;

use std::borrow::Cow;

use bumpalo::Bump;

pub use self::place::Pointer;
pub use self::reading::{Reading, SourceFormat};
pub use self::suspicious::SuspiciousIds;
use crate::date::Instant;
use crate::json::{Kind, LoneSurrogate, Member, Object, Raw};
use crate::record::Record;
use crate::traits::{Traits, Vocabulary};
use crate::verdict::{Note, NoteCode, Observer, Reason, Verdict};

/// The most a record may be (semantics E9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of key and value together.
    pub record_bytes: usize,
    /// Containers inside one another.
    pub nesting: usize,
    /// Traits of one event.
    pub traits: usize,
    /// What becomes of an id that stands for none (semantics E16).
    pub suspicious_ids: SuspiciousIds,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            record_bytes: 1024 * 1024,
            nesting: 64,
            traits: 10_000,
            suspicious_ids: SuspiciousIds::Count,
        }
    }
}

/// A group id is never longer than this, in characters (semantics E3).
const MAX_GROUP_ID_CHARACTERS: usize = 500;

/// A group call, borrowed from the record.
#[derive(Debug)]
pub struct Event<'a> {
    /// The record's value, byte for byte.
    pub raw: Raw<'a>,
    /// All members of the event in order, unknown ones too.
    pub members: &'a [Member<'a>],
    /// The group's id (E3).
    pub group_id: Id<'a>,
    /// The user's id (E4).
    pub user_id: Option<Id<'a>>,
    /// The id of an anonymous user (E4).
    pub anonymous_id: Option<Id<'a>>,
    /// The event's time (E6).
    pub time: Option<Time<'a>>,
    /// The group's traits (E5, T).
    pub traits: Traits<'a>,
}

/// An id: its text, and how the event wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Id<'a> {
    /// The id as text; a number's source digits.
    pub text: &'a str,
    /// The value as it came.
    pub raw: Raw<'a>,
}

/// When the event happened, and what said so.
#[derive(Debug, Clone, Copy)]
pub struct Time<'a> {
    /// The instant.
    pub instant: Instant,
    /// The value as it came; absent where the Kafka record's timestamp stands in.
    pub raw: Option<Raw<'a>>,
}

/// Why a record is no group event: the verdict, and for a dead letter what a person needs beyond its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The verdict; never routed.
    pub verdict: Verdict,
    /// Where and what, without trait values.
    pub detail: String,
    /// What the value looks like and what to do about it, the same for all that look so; empty where nobody can tell.
    pub looks: Cow<'static, str>,
}

impl<'a> Event<'a> {
    /// Reads the record's value; the first rule of E13 that applies decides. What must be put together is kept in `arena`.
    ///
    /// # Errors
    /// The [`Rejection`] of a record that is no group event.
    pub fn parse(
        record: &Record<'a>,
        reading: &Reading,
        vocabulary: &'a Vocabulary,
        arena: &'a Bump,
        observer: &mut impl Observer,
    ) -> Result<Event<'a>, Rejection> {
        let object = reading.object(record, arena)?;
        Event::of(object, record, &reading.limits, vocabulary, arena, observer)
            .map_err(|rejection| rejection.at(reading.event_at.as_ref()))
    }

    fn of(
        object: Object<'a>,
        record: &Record<'a>,
        limits: &Limits,
        vocabulary: &'a Vocabulary,
        arena: &'a Bump,
        observer: &mut impl Observer,
    ) -> Result<Event<'a>, Rejection> {
        let Object {
            raw,
            members,
            inner,
        } = object;
        let member = |name: &str| {
            members
                .iter()
                .find(|member| member.key == name)
                .map(|member| member.value)
        };
        check_type(members, member("type"), arena)?;
        let rejects = limits.suspicious_ids == SuspiciousIds::Reject;
        let group_id = match member("groupId") {
            Some(raw) => parse_group_id(raw, arena)?,
            None => return Err(absent(Reason::MissingGroupId, "groupId", members)),
        };
        if suspicious::is_noted("groupId", &group_id, observer) && rejects {
            let detail = "blank, or a word such as undefined";
            return Err(dead(Reason::SuspiciousGroupId, detail));
        }
        let mut member_id = |name: &str| {
            let id = parse_member_id(name, member(name), arena, observer)?;
            Ok(id.filter(|id| !(suspicious::is_noted(name, id, observer) && rejects)))
        };
        let user_id = member_id("userId")?;
        let anonymous_id = member_id("anonymousId")?;
        let mut traits = parse_traits(member("traits"), inner, limits, vocabulary, arena)?;
        traits.convert_declared(|name| {
            observer.note(
                None,
                Note {
                    code: NoteCode::TraitTypeMismatch,
                    subject: name,
                },
            );
        });
        for collision in traits.collisions() {
            observer.note(
                None,
                Note {
                    code: NoteCode::TraitCollision,
                    subject: collision.name,
                },
            );
        }
        let time = find_time(member, record.timestamp, observer);
        Ok(Event {
            raw,
            group_id,
            user_id,
            anonymous_id,
            time,
            traits,
            members,
        })
    }

    /// Returns the event's member: the user's id, else the anonymous one (E4).
    #[must_use]
    pub fn member(&self) -> Option<&Id<'a>> {
        self.user_id.as_ref().or(self.anonymous_id.as_ref())
    }

    /// Returns where an event without traits has an object that may have been meant for them: `properties` or `context.traits`.
    #[must_use]
    pub fn traits_elsewhere(&self, arena: &'a Bump) -> Option<&'static str> {
        let has_members = |value: Option<Raw<'a>>| {
            let members = value.map_or(Ok(Default::default()), |value| value.members(arena));
            members.is_ok_and(|members| !members.is_empty())
        };
        let of_context = || {
            let members = self.field("context")?.members(arena).ok()?;
            let member = members.iter().find(|member| member.key == "traits");
            member.map(|member| member.value)
        };
        if !self.traits.is_empty() {
            None
        } else if has_members(self.field("properties")) {
            Some("properties")
        } else {
            has_members(of_context()).then_some("context.traits")
        }
    }

    /// Returns the value of one of the event's own fields.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Raw<'a>> {
        self.members
            .iter()
            .find(|member| member.key == name)
            .map(|member| member.value)
    }
}

impl Rejection {
    /// Says what the value looks like, behind what is known already.
    fn looking(mut self, looks: impl Into<Cow<'static, str>>) -> Rejection {
        self.looks = looks.into();
        let colon = if self.detail.is_empty() { "" } else { ": " };
        self.detail = format!("{}{colon}{}", self.detail, self.looks);
        self
    }

    /// Says where the event stood, if that is not the whole value.
    fn at(mut self, place: Option<&Pointer>) -> Rejection {
        if let (Some(place), Verdict::DeadLettered(_)) = (place, self.verdict) {
            let comma = if self.detail.is_empty() { "" } else { ", " };
            self.detail = format!("{}{comma}in the event at {place}", self.detail);
        }
        self
    }
}

fn check_type<'a>(
    members: &[Member<'a>],
    event_type: Option<Raw<'a>>,
    arena: &'a Bump,
) -> Result<(), Rejection> {
    let name = event_type.map_or(Ok(None), |event_type| event_type.string(arena));
    if matches!(name, Ok(Some(name)) if shape::is_group(name)) {
        return Ok(());
    }
    let batch = members.iter().find(|member| member.key == "batch");
    if event_type.is_none() && batch.is_some_and(|batch| batch.value.kind() == Kind::Array) {
        return Err(dead(Reason::UnsupportedEnvelope, "").looking(shape::BATCH));
    }
    if let Some(looks) = shape::envelope(members, arena) {
        return Err(dead(Reason::UnsupportedEnvelope, "").looking(looks));
    }
    Err(match (event_type, name) {
        (None, _) => absent(Reason::MissingType, "type", members),
        // A lone surrogate makes it no text, but certainly another type.
        (Some(_), Ok(Some(_)) | Err(LoneSurrogate)) => ignored(Reason::NotGroup),
        (Some(other), Ok(None)) => dead(Reason::MissingType, other.kind().name()),
    })
}

fn parse_group_id<'a>(raw: Raw<'a>, arena: &'a Bump) -> Result<Id<'a>, Rejection> {
    let text = match raw.kind() {
        Kind::Null => return Err(dead(Reason::MissingGroupId, "null")),
        Kind::Boolean | Kind::Array | Kind::Object => {
            return Err(dead(Reason::InvalidGroupId, raw.kind().name()));
        }
        Kind::Number => raw.text(),
        Kind::String => raw
            .string(arena)
            .map_err(|_| lone_surrogate("groupId"))?
            .unwrap_or_default(),
    };
    if text.is_empty() {
        return Err(dead(Reason::MissingGroupId, "an empty string"));
    }
    // A text has at most as many characters as bytes, and nearly all ids are short.
    if text.len() > MAX_GROUP_ID_CHARACTERS && text.chars().count() > MAX_GROUP_ID_CHARACTERS {
        return Err(dead(
            Reason::GroupIdTooLong,
            format!("{} characters", text.chars().count()),
        ));
    }
    Ok(Id { text, raw })
}

fn parse_member_id<'a>(
    name: &str,
    value: Option<Raw<'a>>,
    arena: &'a Bump,
    observer: &mut impl Observer,
) -> Result<Option<Id<'a>>, Rejection> {
    let Some(raw) = value else { return Ok(None) };
    let text = match raw.kind() {
        Kind::Null => return Ok(None),
        Kind::Boolean | Kind::Array | Kind::Object => {
            observer.note(
                None,
                Note {
                    code: NoteCode::InvalidMemberId,
                    subject: name,
                },
            );
            return Ok(None);
        }
        Kind::Number => raw.text(),
        Kind::String => raw
            .string(arena)
            .map_err(|_| lone_surrogate(name))?
            .unwrap_or_default(),
    };
    Ok(Some(Id { text, raw }).filter(|id| !id.text.is_empty()))
}

fn parse_traits<'a>(
    value: Option<Raw<'a>>,
    members: Result<&'a [Member<'a>], LoneSurrogate>,
    limits: &Limits,
    vocabulary: &'a Vocabulary,
    arena: &'a Bump,
) -> Result<Traits<'a>, Rejection> {
    let Some(raw) = value else {
        return Ok(Traits::none(vocabulary, arena));
    };
    match raw.kind() {
        Kind::Null => return Ok(Traits::none(vocabulary, arena)),
        Kind::Object => {}
        Kind::Array if raw.is_empty_array() => return Ok(Traits::none(vocabulary, arena)),
        kind @ (Kind::Boolean | Kind::Number | Kind::String | Kind::Array) => {
            return Err(dead(Reason::TraitsNotObject, kind.name()));
        }
    }
    let members = members.map_err(|_| lone_surrogate("a key of traits"))?;
    if members.len() > limits.traits {
        return Err(dead(
            Reason::TooManyTraits,
            format!("{} traits, the limit is {}", members.len(), limits.traits),
        ));
    }
    Traits::resolve(members, vocabulary, arena)
        .map_err(|_| lone_surrogate("a key of traits.address"))
}

/// Finds the event's time: the first field that holds a valid one, else the record's (E6).
fn find_time<'a>(
    member: impl Fn(&str) -> Option<Raw<'a>>,
    record_timestamp: Option<i64>,
    observer: &mut impl Observer,
) -> Option<Time<'a>> {
    for name in ["timestamp", "originalTimestamp", "sentAt", "receivedAt"] {
        let Some(raw) = member(name).filter(|raw| !raw.is_null()) else {
            continue;
        };
        match Instant::from_json(raw).filter(|instant| instant.is_after_epoch()) {
            Some(instant) => {
                return Some(Time {
                    instant,
                    raw: Some(raw),
                });
            }
            None => observer.note(
                None,
                Note {
                    code: NoteCode::InvalidTimestamp,
                    subject: name,
                },
            ),
        }
    }
    let instant = Instant::from_unix_ms(record_timestamp?)?;
    instant
        .is_after_epoch()
        .then_some(Time { instant, raw: None })
}

fn ignored(reason: Reason) -> Rejection {
    Rejection {
        verdict: Verdict::Ignored(reason),
        detail: String::new(),
        looks: Cow::default(),
    }
}

fn dead(reason: Reason, detail: impl Into<String>) -> Rejection {
    Rejection {
        verdict: Verdict::DeadLettered(reason),
        detail: detail.into(),
        looks: Cow::default(),
    }
}

/// Says that a field is not there, and which key its writer may have meant for it.
fn absent(reason: Reason, name: &str, members: &[Member<'_>]) -> Rejection {
    let rejection = dead(reason, "absent");
    match shape::meant_for(name, members) {
        Some(looks) => rejection.looking(looks),
        None => rejection,
    }
}

fn lone_surrogate(place: &str) -> Rejection {
    dead(Reason::InvalidString, place)
}
