//! One record of a destination's topic, read as a sender would: from the record alone.

use std::collections::HashMap;

use rdkafka::message::{BorrowedMessage, Headers, Message};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::generator::Recipe;
use super::{Format, equal};

/// A CloudEvent, in either of its modes.
pub(super) struct Output {
    pub(super) id: String,
    pub(super) event_type: String,
    pub(super) traceparent: Option<String>,
    pub(super) body: String,
    request: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Structured<'a> {
    specversion: String,
    id: String,
    source: String,
    r#type: String,
    request: String,
    traceparent: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Output {
    pub(super) fn read(format: Format, message: &BorrowedMessage<'_>) -> Result<Output, String> {
        let value = message.payload().ok_or("no value")?;
        let value = std::str::from_utf8(value).map_err(|error| error.to_string())?;
        let mut headers = headers(message)?;
        let (output, specversion, source) = match format {
            Format::Structured => {
                let event: Structured<'_> =
                    serde_json::from_str(value).map_err(|error| error.to_string())?;
                let Structured {
                    specversion,
                    id,
                    source,
                    r#type: event_type,
                    request,
                    traceparent,
                    data,
                } = event;
                (
                    Output {
                        id,
                        event_type,
                        traceparent,
                        request,
                        body: data.get().to_owned(),
                    },
                    specversion,
                    source,
                )
            }
            Format::Binary => {
                let mut header =
                    |name: &str| headers.remove(name).ok_or(format!("no header {name}"));
                let (specversion, source) = (header("ce_specversion")?, header("ce_source")?);
                equal(
                    "content-type",
                    &*header("content-type")?,
                    "application/json",
                )?;
                let (id, event_type, request) =
                    (header("ce_id")?, header("ce_type")?, header("ce_request")?);
                let traceparent = header("ce_traceparent").ok();
                (
                    Output {
                        id,
                        event_type,
                        traceparent,
                        request,
                        body: value.to_owned(),
                    },
                    specversion,
                    source,
                )
            }
        };
        equal("specversion", &*specversion, "1.0")?;
        equal("source", &*source, "groupcast")?;
        equal("headers", &headers, &HashMap::new())?;
        Ok(output)
    }

    /// Sees that the body is this event's: its group, name and member where the operation has a place for them.
    pub(super) fn check_body(&self, operation: usize, event: Recipe) -> Result<(), String> {
        let shape = &SHAPES[operation];
        // A lone surrogate leaves as it came (E8), and no parser takes it.
        let body: Value = serde_json::from_str(&self.body.replace(r"\ud800", "?"))
            .map_err(|error| error.to_string())?;
        let at = |pointer: &str| body.pointer(pointer).map(text);
        if shape.group.is_empty() {
            let id = self
                .request
                .strip_prefix(shape.request)
                .ok_or(format!("request {}", self.request))?;
            equal(
                "group id in the path",
                &*percent_encoding::percent_decode_str(id).decode_utf8_lossy(),
                &*event.group_id(),
            )?;
        } else {
            equal("request", &*self.request, shape.request)?;
            equal("group id", &at(shape.group), &Some(event.group_id()))?;
        }
        if !shape.name.is_empty() && event.name().is_some() {
            equal("name", &at(shape.name), &event.name())?;
        }
        if let Some((pointer, prefix)) = shape.member {
            equal(
                "member",
                &at(pointer),
                &event.member().map(|member| format!("{prefix}{member}")),
            )?;
        }
        let changed = event
            .verbatim()
            .iter()
            .find(|part| shape.is_whole_map && !self.body.contains(**part));
        changed.map_or(Ok(()), |part| {
            Err(format!("{part} is not in the body as it came"))
        })
    }
}

/// Where an operation has what the checker knows, as JSON pointers; without a place for the group it is in the path.
struct Shape {
    request: &'static str,
    group: &'static str,
    name: &'static str,
    member: Option<(&'static str, &'static str)>,
    /// Whether all custom traits go along.
    is_whole_map: bool,
}

const BASE: Shape = Shape {
    request: "",
    group: "",
    name: "",
    member: None,
    is_whole_map: false,
};
const ACCOUNT: &str = "PATCH /services/data/v68.0/sobjects/Account/Group_Id__c/";
const BATCH: &str = "POST /api/v2/batch";

/// By the generator's operations.
#[rustfmt::skip]
static SHAPES: [Shape; 10] = [
    Shape { request: "POST /groups", group: "/$group_id", name: "/$set/$name", is_whole_map: true, ..BASE },
    Shape { request: "POST /groups", group: "/$group_id", ..BASE },
    Shape { request: "POST /engage", group: "/$union/$group_id/0", member: Some(("/$distinct_id", "")), ..BASE },
    Shape { request: "POST /engage", group: "/$union/$group_id/0", member: Some(("/$distinct_id", "$device:")), ..BASE },
    Shape { request: ACCOUNT, name: "/Name", ..BASE },
    Shape { request: "POST /crm/v3/objects/companies/batch/upsert", group: "/id", name: "/properties/name", ..BASE },
    Shape { request: BATCH, group: "/identifiers/object_id", name: "/attributes/name", is_whole_map: true, ..BASE },
    Shape { request: BATCH, group: "/identifiers/object_id", member: Some(("/cio_relationships/0/identifiers/anonymous_id", "")), ..BASE },
    Shape { request: "POST /companies", group: "/company_id", name: "/name", ..BASE },
    Shape { request: "POST /", group: "/groupId", name: "/traits/name", is_whole_map: true, ..BASE },
];

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns a record's headers by name; a name that comes twice is a fault.
pub(super) fn headers(message: &BorrowedMessage<'_>) -> Result<HashMap<String, String>, String> {
    let mut found = HashMap::new();
    for header in message.headers().into_iter().flat_map(Headers::iter) {
        let value = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
        if found.insert(header.key.to_owned(), value).is_some() {
            return Err(format!("header {} twice", header.key));
        }
    }
    Ok(found)
}

/// Returns the partition that a Java client gives a key: murmur2, without its sign, modulo the partitions.
pub(super) fn murmur2_partition(key: &[u8], n_partitions: usize) -> usize {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        (word.wrapping_mul(MULTIPLIER) ^ (word.wrapping_mul(MULTIPLIER) >> 24))
            .wrapping_mul(MULTIPLIER)
    };
    let length = u32::try_from(key.len()).expect("keys are short");
    let (words, rest) = key.as_chunks::<4>();
    let mut hash = words.iter().fold(0x9747_b28c ^ length, |hash, word| {
        hash.wrapping_mul(MULTIPLIER) ^ mix(u32::from_le_bytes(*word))
    });
    if !rest.is_empty() {
        let tail = rest
            .iter()
            .rev()
            .fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(MULTIPLIER);
    hash ^= hash >> 15;
    usize::try_from(hash & 0x7fff_ffff).expect("31 bits fit") % n_partitions
}
