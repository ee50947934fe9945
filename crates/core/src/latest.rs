//! The latest state of each group: what all of its events come to (semantics N: absent keeps, null clears), folded in any order.
//!
//! Each trait goes with the order of the event that said it last, so that states merge like sets do: pieces that were put on
//! disk and pieces in memory come to the same whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Event, Id};
use crate::json::{Raw, write_quoted};
use crate::record::Position;
use crate::traits::{Fold, TraitId};

/// Which of two events of a group is the later one: by the highest record timestamp of its partition so far, then by place.
/// Within a partition this is the order of offsets, whatever the producers' clocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// The highest timestamp so far in the partition, in Unix milliseconds.
    pub timestamp: i64,
    /// The topic, as an index of the caller's.
    pub topic: usize,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// What a group's events come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// By fold, each once.
    traits: Vec<Said>,
    /// By kind and id, each once; a group can have very many.
    members: BTreeMap<String, Member>,
    /// The newest event.
    order: Order,
    /// Its record's own timestamp.
    timestamp: Option<i64>,
    /// Its members besides the ids and the traits, as JSON: `"messageId":"m","context":{}`.
    rest: String,
    /// The group's id as it came, JSON.
    group_id: String,
}

/// A trait, or a part of the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    fold: String,
    name: String,
    /// JSON as it came.
    value: String,
    is_in_address: bool,
    order: Order,
}

/// Somebody who belongs to the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    /// The event's member that names them, JSON as it came: `"userId":"u1"`.
    id: String,
    order: Order,
    timestamp: Option<i64>,
}

impl Said {
    fn size(&self) -> usize {
        self.fold.len() + self.name.len() + self.value.len() + 120
    }
}

impl Member {
    fn size(&self) -> usize {
        self.id.len() + 120
    }
}

/// One event of a state, to be routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The event, JSON.
    pub event: String,
    /// Whose position and timestamp it takes.
    pub order: Order,
    /// The record's timestamp, if it has one.
    pub timestamp: Option<i64>,
}

/// What the ids and the traits are called in an event.
const APART: [&str; 5] = ["type", "groupId", "userId", "anonymousId", "traits"];

impl State {
    /// Returns what one event says.
    #[must_use]
    pub fn of(event: &Event<'_>, order: Order, timestamp: Option<i64>) -> State {
        // A number is the same id as a string of its digits (semantics E4).
        let member = |name: &str, id: &Id<'_>| {
            let json = format!(r#""{name}":{}"#, id.raw.text());
            (
                format!("{name} {}", id.text),
                Member {
                    id: json,
                    order,
                    timestamp,
                },
            )
        };
        let user = event.user_id.as_ref().map(|id| member("userId", id));
        let anonymous = event
            .anonymous_id
            .as_ref()
            .map(|id| member("anonymousId", id));
        let mut rest = Vec::new();
        for other in event
            .members
            .iter()
            .filter(|member| !APART.contains(&member.key))
        {
            rest.push(b',');
            write_quoted(other.key, &mut rest);
            rest.push(b':');
            rest.extend_from_slice(other.value.text().as_bytes());
        }
        State {
            traits: said(event, order),
            members: user.or(anonymous).into_iter().collect(),
            order,
            timestamp,
            rest: String::from_utf8_lossy(&rest).into_owned(),
            group_id: event.group_id.raw.text().to_owned(),
        }
    }

    /// Adds what `other` says of the same group; whichever came first, the result is the same. Returns about how many bytes
    /// more it takes.
    pub fn merge(&mut self, other: State) -> usize {
        let mut grown = 0;
        for said in other.traits {
            match self
                .traits
                .iter_mut()
                .find(|known| known.fold == said.fold && known.is_in_address == said.is_in_address)
            {
                Some(known) if known.order < said.order => {
                    grown += said.value.len().saturating_sub(known.value.len());
                    *known = said;
                }
                Some(_) => {}
                None => {
                    grown += said.size();
                    self.traits.push(said);
                }
            }
        }
        for (id, member) in other.members {
            match self.members.get_mut(&id) {
                Some(known) if known.order < member.order => *known = member,
                Some(_) => {}
                None => {
                    grown += id.len() + member.size();
                    self.members.insert(id, member);
                }
            }
        }
        if self.order < other.order {
            (self.order, self.timestamp) = (other.order, other.timestamp);
            grown += other.rest.len().saturating_sub(self.rest.len());
            (self.rest, self.group_id) = (other.rest, other.group_id);
        }
        grown
    }

    /// Returns about how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let traits: usize = self.traits.iter().map(Said::size).sum();
        let members: usize = self
            .members
            .iter()
            .map(|(id, member)| id.len() + member.size())
            .sum();
        traits + members + self.rest.len() + self.group_id.len() + 200
    }

    /// Returns the events that say it all: one with the traits and the newest member, and one for each other member.
    #[must_use]
    pub fn events(mut self) -> Vec<Folded> {
        self.traits
            .sort_by(|a, b| (a.order, &a.fold).cmp(&(b.order, &b.fold)));
        let mut members: Vec<&Member> = self.members.values().collect();
        members.sort_by(|a, b| (b.order, &a.id).cmp(&(a.order, &b.id)));
        let traits = self.traits_json();
        let mut members = members.into_iter();
        let newest = members.next();
        let mut events = vec![Folded {
            event: self.event(newest, &traits),
            order: self.order,
            timestamp: self.timestamp,
        }];
        events.extend(members.map(|member| Folded {
            event: self.event(Some(member), "{}"),
            order: member.order,
            timestamp: member.timestamp,
        }));
        events
    }

    fn event(&self, member: Option<&Member>, traits: &str) -> String {
        let State { group_id, rest, .. } = self;
        let member = member.map_or_else(String::new, |Member { id, .. }| format!(",{id}"));
        format!(r#"{{"type":"group","groupId":{group_id}{member}{rest},"traits":{traits}}}"#)
    }

    fn traits_json(&self) -> String {
        let whole = self
            .traits
            .iter()
            .find(|said| said.fold == "address" && !said.is_in_address);
        // A part counts as long as nothing has taken the address's place since.
        let is_current =
            |part: &&Said| part.is_in_address && whole.is_none_or(|whole| whole.order < part.order);
        let parts: Vec<&Said> = self.traits.iter().filter(is_current).collect();
        let plain = self
            .traits
            .iter()
            .filter(|said| !said.is_in_address && (parts.is_empty() || said.fold != "address"));
        let mut json = object(plain);
        if !parts.is_empty() {
            json.pop();
            let comma = if json.len() > 1 { "," } else { "" };
            json = format!(r#"{json}{comma}"address":{}}}"#, object(parts.into_iter()));
        }
        json
    }
}

fn object<'a>(said: impl Iterator<Item = &'a Said>) -> String {
    let mut json = vec![b'{'];
    for said in said {
        if json.len() > 1 {
            json.push(b',');
        }
        write_quoted(&said.name, &mut json);
        json.push(b':');
        json.extend_from_slice(said.value.as_bytes());
    }
    json.push(b'}');
    String::from_utf8_lossy(&json).into_owned()
}

fn said(event: &Event<'_>, order: Order) -> Vec<Said> {
    let one = |name: &str, value: Raw<'_>, is_in_address: bool| Said {
        fold: Fold::of(name).as_str().to_owned(),
        name: name.to_owned(),
        value: value.text().to_owned(),
        is_in_address,
        order,
    };
    let address = event.traits.address();
    let mut said = Vec::new();
    for entry in event.traits.entries() {
        match (entry.id, address.whole()) {
            (Some(TraitId::ADDRESS), Some(whole)) => said.push(one("address", whole, false)),
            (Some(TraitId::ADDRESS), None) => {
                said.extend(
                    address
                        .items()
                        .iter()
                        .map(|item| one(item.name, item.value, true)),
                );
            }
            _ => said.push(one(entry.name, entry.value, false)),
        }
    }
    said
}

impl Order {
    /// Returns the position, once its topic is named.
    #[must_use]
    pub fn position<'a>(&self, topic: &'a str) -> Position<'a> {
        Position {
            topic,
            partition: self.partition,
            offset: self.offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use proptest::prelude::*;

    use super::*;
    use crate::event::Reading;
    use crate::record::Record;
    use crate::traits::Vocabulary;

    fn state(event: &str, offset: i64) -> State {
        let (arena, vocabulary) = (Bump::new(), Vocabulary::default());
        let order = Order {
            timestamp: 0,
            topic: 0,
            partition: 0,
            offset,
        };
        let position = order.position("events");
        let record = Record::new(position, Some(event.as_bytes()));
        let event =
            Event::parse(&record, &Reading::default(), &vocabulary, &arena, &mut ()).unwrap();
        State::of(&event, order, Some(offset))
    }

    fn check(events: &[&str], expected: &[(&str, i64)]) {
        let mut states = events
            .iter()
            .zip(0..)
            .map(|(event, offset)| state(event, offset));
        let mut whole = states.next().unwrap();
        for state in states {
            whole.merge(state);
        }
        let found: Vec<_> = whole
            .events()
            .into_iter()
            .map(|folded| (folded.event, folded.order.offset))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(event, offset)| ((*event).to_owned(), *offset))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn r8_absent_keeps_null_clears_and_the_newest_event_lends_its_place() {
        check(
            &[
                r#"{"type":"group","groupId":"g","userId":"u1","traits":{"plan":"a","Seats":1,"created":"2020-01-01"}}"#,
                r#"{"type":"group","groupId":"g","userId":"u1","messageId":"m2","traits":{"Plan":null,"seats":2.50}}"#,
            ],
            &[(
                r#"{"type":"group","groupId":"g","userId":"u1","messageId":"m2","traits":{"createdAt":"2020-01-01","plan":null,"seats":2.50}}"#,
                1,
            )],
        );
    }

    #[test]
    fn r8_each_member_is_there_once_at_its_own_place() {
        check(
            &[
                r#"{"type":"group","groupId":7,"userId":"u1","traits":{"name":"a"}}"#,
                r#"{"type":"group","groupId":7,"anonymousId":"x"}"#,
                r#"{"type":"group","groupId":7,"userId":"u1"}"#,
                r#"{"type":"group","groupId":7}"#,
                r#"{"type":"group","groupId":7,"userId":9}"#,
                r#"{"type":"group","groupId":7,"userId":"9"}"#,
                r#"{"type":"group","groupId":7,"userId":"u1"}"#,
            ],
            &[
                (
                    r#"{"type":"group","groupId":7,"userId":"u1","traits":{"name":"a"}}"#,
                    6,
                ),
                (
                    r#"{"type":"group","groupId":7,"userId":"9","traits":{}}"#,
                    5,
                ),
                (
                    r#"{"type":"group","groupId":7,"anonymousId":"x","traits":{}}"#,
                    1,
                ),
            ],
        );
    }

    #[test]
    fn r8_an_address_is_its_parts_until_something_takes_its_place() {
        let group = |traits: &str| format!(r#"{{"type":"group","groupId":"g","traits":{traits}}}"#);
        let check = |traits: &[&str], expected: &str| {
            let events: Vec<String> = traits.iter().map(|traits| group(traits)).collect();
            let events: Vec<&str> = events.iter().map(String::as_str).collect();
            check(
                &events,
                &[(&group(expected), i64::try_from(traits.len()).unwrap() - 1)],
            );
        };
        check(
            &[
                r#"{"city":"Austin","zip":"1"}"#,
                r#"{"address":{"city":"Rome"}}"#,
            ],
            r#"{"address":{"postalCode":"1","city":"Rome"}}"#,
        );
        check(
            &[r#"{"address":{"city":"Austin"}}"#, r#"{"address":"Rome"}"#],
            r#"{"address":"Rome"}"#,
        );
        check(
            &[r#"{"address":{"city":"Austin"}}"#, r#"{"address":null}"#],
            r#"{"address":null}"#,
        );
        check(
            &[
                r#"{"address":"Rome","name":"a"}"#,
                r#"{"address":{"city":"Austin"}}"#,
            ],
            r#"{"name":"a","address":{"city":"Austin"}}"#,
        );
    }

    proptest! {
        #[test]
        fn merging_in_any_order_comes_to_the_same(picks in proptest::collection::vec((0..6_usize, 0..3_usize, 0..3_usize), 1..8), seed in any::<u64>()) {
            const NAMES: [&str; 6] = ["name", "Name", "city", "address", "plan", "PLAN"];
            let values = [r#""a""#, "null", "{\"city\":1}"];
            let states: Vec<State> = picks.iter().zip(0..).map(|((name, value, user), offset)| {
                state(&format!(r#"{{"type":"group","groupId":"g","userId":"u{user}","traits":{{"{}":{}}}}}"#, NAMES[*name], values[*value]), offset)
            }).collect();
            let fold = |states: Vec<State>| {
                let mut states = states.into_iter();
                let mut whole = states.next().unwrap();
                for state in states {
            whole.merge(state);
        }
                whole.events()
            };
            let mut shuffled = states.clone();
            let length = shuffled.len();
            (0..length).for_each(|index| shuffled.swap(index, usize::try_from(seed >> (index * 4) & 15).unwrap() % length));
            prop_assert_eq!(fold(states), fold(shuffled));
        }
    }
}
