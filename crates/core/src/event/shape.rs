//! What a record looks like that is not a group event, told to people in the detail of its dead letter.

use bumpalo::Bump;

use crate::json::{self, Kind, Member, Raw};
use crate::traits::Fold;

/// Returns whether a type is a group call's, in any case (semantics E2).
pub(super) fn is_group(event_type: &str) -> bool {
    event_type.eq_ignore_ascii_case("group")
}

pub(super) const BATCH: &str = "a batch body: its events must be produced one a record";
pub(super) const ARRAY: &str = "an array: its events must be produced one a record";
pub(super) const AVRO_OBJECT: &str = "an Avro single object: have it produced as JSON";
pub(super) const GZIP: &str =
    "gzip: let Kafka's producer compress (compression.type), whose readers decompress";
pub(super) const JSON_TEXT: &str =
    "the event is JSON inside a string: source.event_at: \"\" reads it";
const SEVERAL: &str = "several JSON documents: each must be produced as a record of its own";
const NO_NUMBER: &str =
    "NaN or Infinity, which JSON does not have: have it written as null or left out";

/// Says what a value is that begins with a zero byte; `rest` is what follows that.
pub(super) fn frame(rest: &[u8]) -> &'static str {
    let payload = rest.get(4..).unwrap_or_default().trim_ascii_start();
    if payload.starts_with(b"{") {
        "a schema registry frame around JSON: source.format: json_schema reads it"
    } else {
        "a schema registry frame around Avro or Protobuf: have it produced as JSON"
    }
}

/// Says what is known of text that is not JSON, from the place on at which it stops to be.
pub(super) fn syntax(text: &str, line: usize, column: usize) -> Option<&'static str> {
    if json::holds_several(text) {
        return Some(SEVERAL);
    }
    let line = text.lines().nth(line.checked_sub(1)?)?.as_bytes();
    // The place may be before the word, in it or behind it: a sign and a first letter can be good.
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let (before, after) = line.split_at_checked(column.saturating_sub(1))?;
    let start = before.len()
        - before
            .iter()
            .rev()
            .take_while(|byte| is_letter(byte))
            .count();
    let end = before.len() + after.iter().take_while(|byte| is_letter(byte)).count();
    let word = line.get(start..end)?;
    let is_word = |name: &&str| word.eq_ignore_ascii_case(name.as_bytes());
    let names = ["NaN", "Infinity", "Inf"];
    names.iter().find(|name| is_word(name)).map(|_| NO_NUMBER)
}

/// Says which key was probably meant for a field that is not there: `group_id` for `groupId`.
pub(super) fn meant_for(name: &str, members: &[Member<'_>]) -> Option<String> {
    let fold = Fold::of(name);
    let is_meant = |key: &str| {
        let is_shown = key.len() <= 2 * name.len() && !key.contains(char::is_control);
        is_shown && fold.is_of(key)
    };
    let key = members.iter().find(|member| is_meant(member.key))?.key;
    Some(format!("there is {key}: the key must be {name}"))
}

/// Where envelopes hold an event, in any case: SNS writes `Message`.
const PLACES: [&str; 6] = ["data", "message", "event", "payload", "body", "httpPayload"];

/// Says where a record that is not a group call holds one, if it does, and what reads it (E2). A track call's `event` is a
/// string that does not begin with `{`, so that nothing of it is read again.
pub(super) fn envelope<'a>(members: &[Member<'a>], arena: &'a Bump) -> Option<String> {
    let is_place = |key: &str| PLACES.iter().any(|place| key.eq_ignore_ascii_case(place));
    let mut places = members.iter().filter(|member| is_place(member.key));
    if let Some(place) = places.find(|member| holds_group_call(member.value, arena)) {
        let key = place.key;
        return Some(format!(
            "an envelope with a group event at /{key}: source.event_at: /{key} reads it"
        ));
    }
    let text = |name: &str| {
        let member = members.iter().find(|member| member.key == name)?;
        member.value.string(arena).ok().flatten()
    };
    (text("specversion").is_some() && text("source") == Some("groupcast")).then(|| {
        "a record that groupcast wrote for a destination: read the topic that its id names"
            .to_owned()
    })
}

fn holds_group_call<'a>(value: Raw<'a>, arena: &'a Bump) -> bool {
    match value.kind() {
        Kind::String => {
            json_inside(value, arena).is_some_and(|inside| is_group_call(inside, arena))
        }
        Kind::Null | Kind::Boolean | Kind::Number | Kind::Array | Kind::Object => {
            is_group_call(value, arena)
        }
    }
}

/// Returns whether it is an object whose type is a group call's.
pub(super) fn is_group_call<'a>(value: Raw<'a>, arena: &'a Bump) -> bool {
    let mut members = value.members(arena).unwrap_or_default().iter();
    let event_type = members.find(|member| member.key == "type");
    let name = event_type.and_then(|found| found.value.string(arena).ok().flatten());
    name.is_some_and(is_group)
}

/// Returns the object that a string holds as JSON.
pub(super) fn json_inside<'a>(string: Raw<'a>, arena: &'a Bump) -> Option<Raw<'a>> {
    let text = string.string(arena).ok().flatten()?;
    if !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    Raw::parse(text).ok()
}
