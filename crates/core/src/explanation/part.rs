//! What an explanation consists of; as JSON it is an interface.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Origin;

/// All that is to say of one record. Its JSON is what `explain --json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// `routed`, `ignored` or `dead_lettered`.
    pub verdict: &'static str,
    /// The code of the verdict's reason; empty for a routed record.
    pub reason: &'static str,
    /// The verdict as a sentence without a full stop.
    pub sentence: &'static str,
    /// What exactly is wrong, where that is more than the reason says.
    pub detail: String,
    /// The event; absent where the record is none.
    pub event: Option<EventPart>,
    /// What was noted of the event as a whole.
    pub notes: Vec<NotePart>,
    /// Each destination, in the configuration's order.
    pub destinations: Vec<DestinationPart>,
    /// Whether it was looked for what came from where; not in an event of very many values.
    pub is_traced: bool,
}

impl Explanation {
    /// Leaves out all destinations but those of these names.
    pub fn narrow(&mut self, names: &[String]) {
        self.destinations
            .retain(|part| names.contains(&part.destination));
        for found in self.event.iter_mut().flat_map(|event| &mut event.traits) {
            found
                .destinations
                .retain(|share| names.contains(&share.destination));
        }
    }
}

/// The event as it was understood.
#[derive(Debug, Clone, Serialize)]
pub struct EventPart {
    /// The group's id.
    pub group_id: String,
    /// The member's id: the user's, else the anonymous one.
    pub member: Option<String>,
    /// When it happened, in UTC.
    pub time: Option<String>,
    /// Its traits in order.
    pub traits: Vec<TraitPart>,
    /// Where an event without traits has an object that may have been meant for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traits_elsewhere: Option<&'static str>,
}

/// One trait.
#[derive(Debug, Clone, Serialize)]
pub struct TraitPart {
    /// The name it leaves under in whole maps.
    pub name: String,
    /// The key that won; empty for an address that was put together of several.
    pub key: String,
    /// The keys that mean the same and lost.
    pub lost: Vec<String>,
    /// Its kind of JSON value.
    pub kind: &'static str,
    /// The value that won, as it came; absent for an address that was put together.
    pub value: Option<Box<RawValue>>,
    /// Where it went in each destination that was sent to.
    pub destinations: Vec<TraitShare>,
}

/// Where one trait went in one destination.
#[derive(Debug, Clone, Serialize)]
pub struct TraitShare {
    /// The destination's name.
    pub destination: String,
    /// The places of bodies, requests and keys that hold it.
    pub places: Vec<TraitPlace>,
    /// What was noted of it there: why it was converted or left out.
    pub notes: Vec<NotePart>,
}

/// One place that a trait went to.
#[derive(Debug, Clone, Serialize)]
pub struct TraitPlace {
    /// The operation's id.
    pub operation: String,
    /// A JSON pointer into the body, or `request` or `key`.
    pub place: String,
    /// What stands there if it is not what came.
    pub became: Option<String>,
}

/// Something that was passed over, dropped or decided on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotePart {
    /// Its stable code.
    pub code: &'static str,
    /// The key that it happened to.
    pub subject: String,
    /// The code as a sentence without a full stop.
    pub sentence: &'static str,
    #[serde(skip)]
    pub(super) destination: Option<usize>,
}

/// What one destination made of the event.
#[derive(Debug, Clone, Serialize)]
pub struct DestinationPart {
    /// Its name.
    pub destination: String,
    /// `emitted`, `skipped` or `dead_lettered`.
    pub outcome: &'static str,
    /// The code of the outcome's reason; empty for an emitted one.
    pub reason: &'static str,
    /// The reason as a sentence without a full stop; empty for an emitted one.
    pub sentence: &'static str,
    /// What decided whether it may be sent to at all.
    pub decided_by: DecisionPart,
    /// The value that it requires and that is absent, where that is the reason.
    pub missing: Vec<String>,
    /// What leaves, in order.
    pub operations: Vec<OperationPart>,
    /// The operations that do not leave, up to the one that stopped the rest.
    pub refused: Vec<RefusedPart>,
    /// What was noted on the way.
    pub notes: Vec<NotePart>,
}

/// Which flag decided, and how it matched.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionPart {
    /// `instance_name`, `definition_name`, `alias`, `fold`, `all` or `default`.
    pub by: &'static str,
    /// The flag, as the event spelled it.
    pub flag: Option<String>,
    /// The name of the destination that it matched.
    pub matched: Option<String>,
    /// The whole as a sentence without a full stop.
    pub sentence: String,
}

/// One operation that does not leave.
#[derive(Debug, Clone, Serialize)]
pub struct RefusedPart {
    /// The operation's id.
    pub operation: String,
    /// The code of the reason.
    pub reason: &'static str,
    /// The reason as a sentence without a full stop.
    pub sentence: &'static str,
}

/// One record that leaves.
#[derive(Debug, Clone, Serialize)]
pub struct OperationPart {
    /// The operation's id.
    pub operation: String,
    /// The topic it goes to.
    pub topic: String,
    /// Method and path.
    pub request: String,
    /// The record's id.
    pub id: String,
    /// The record's key.
    pub key: String,
    /// The body.
    pub body: Box<RawValue>,
    /// What came from where: each place of body, request and key that would be another if the event were.
    pub origins: Vec<Origin>,
    /// The fields of the event without which this operation would not leave, besides those that it holds.
    pub due_to: Vec<String>,
}
