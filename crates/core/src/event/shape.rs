//! What a record looks like that is not a group event, told to people in the detail of its dead letter.

use bumpalo::Bump;

use crate::json::{Kind, Member, Raw};

/// Returns whether a type is a group call's, in any case (semantics E2).
pub(super) fn is_group(event_type: &str) -> bool {
    event_type.eq_ignore_ascii_case("group")
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
        _ => is_group_call(value, arena),
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
fn json_inside<'a>(string: Raw<'a>, arena: &'a Bump) -> Option<Raw<'a>> {
    let text = string.string(arena).ok().flatten()?;
    if !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    Raw::parse(text).ok()
}
