//! Items, as they stand on a destination's topic, and the body of a request that is made of some.
//!
//! An item's body is never parsed and written anew: that would turn `1.50` into `1.5`, and a long id into a rounded
//! one. What is added to it, a mark or a credential beside it, is put between its bytes.

use std::fmt::Write as _;

use bumpalo::Bump;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::destination::{Batch, Definition, Encoding, Layout};
use crate::json::{self, Kind, Raw};

/// One item: what a record of a destination's topic says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The record's key: items of one key stay in order.
    pub key: Box<[u8]>,
    /// The CloudEvents id, which is the same when the record comes again.
    pub id: Box<str>,
    /// The number of its operation in the definition.
    pub operation: usize,
    /// Method and path.
    pub request: Box<str>,
    /// The item as the vendor takes it.
    pub body: Box<str>,
}

/// Why a record is no item. It is not sent, and stands aside as a refused one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not UTF-8, or no JSON.
    NotJson,
    /// An attribute is missing: the topic was written without an envelope, or by somebody else.
    NoEnvelope,
    /// The definition has no such operation.
    UnknownOperation,
}

impl Unreadable {
    /// Returns the stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Unreadable::NotJson => "not_json",
            Unreadable::NoEnvelope => "no_envelope",
            Unreadable::UnknownOperation => "unknown_operation",
        }
    }
}

impl Item {
    /// Reads a record whose value is the envelope (semantics K4, `structured`).
    ///
    /// # Errors
    /// What makes it no item.
    pub fn structured(
        definition: &Definition,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<Item, Unreadable> {
        let arena = Bump::new();
        let text = std::str::from_utf8(value).map_err(|_| Unreadable::NotJson)?;
        let envelope = Raw::parse(text).map_err(|_| Unreadable::NotJson)?;
        let members = envelope.members(&arena).map_err(|_| Unreadable::NotJson)?;
        let attribute = |name: &str| members.iter().find(|member| member.key == name);
        let text = |name: &str| attribute(name)?.value.string(&arena).ok().flatten();
        let data = attribute("data").map(|member| member.value.text());
        read(definition, key, &text, data)
    }

    /// Reads a record whose value is the body and whose headers are the rest (semantics K4, `binary`).
    ///
    /// # Errors
    /// What makes it no item.
    pub fn binary(
        definition: &Definition,
        key: Option<&[u8]>,
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<Item, Unreadable> {
        let body = std::str::from_utf8(value).map_err(|_| Unreadable::NotJson)?;
        // It will stand among others.
        Raw::parse(body).map_err(|_| Unreadable::NotJson)?;
        let text = |name: &str| {
            let is_it = |header: &&(&str, &[u8])| header.0.strip_prefix("ce_") == Some(name);
            let (_, value) = headers.iter().find(is_it)?;
            std::str::from_utf8(value).ok()
        };
        read(definition, key, &text, Some(body))
    }

    /// Returns how many bytes it takes in memory, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        self.key.len() + self.id.len() + self.request.len() + self.body.len()
    }
}

fn read<'t>(
    definition: &Definition,
    key: Option<&[u8]>,
    attribute: &dyn Fn(&str) -> Option<&'t str>,
    body: Option<&str>,
) -> Result<Item, Unreadable> {
    let needed = |name: &str| attribute(name).ok_or(Unreadable::NoEnvelope);
    let (id, kind, request) = (needed("id")?, needed("type")?, needed("request")?);
    let body = body.ok_or(Unreadable::NoEnvelope)?;
    let operation = kind
        .strip_prefix(definition.id.as_str())
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|id| {
            definition
                .operations
                .iter()
                .position(|known| known.id == id)
        })
        .ok_or(Unreadable::UnknownOperation)?;
    Ok(Item {
        key: key.unwrap_or_default().into(),
        id: id.into(),
        operation,
        request: request.into(),
        body: body.into(),
    })
}

/// How the body of a request is written.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// How items stand in it.
    pub batch: &'a Batch,
    /// The field in which each item is told its place.
    pub mark: Option<&'a str>,
    /// Fields beside the items, credentials for the most part.
    pub fields: &'a [(String, String)],
}

impl Shape<'_> {
    /// Writes the body of a request.
    #[must_use]
    pub fn write<'i>(&self, items: impl IntoIterator<Item = &'i str>) -> Vec<u8> {
        let mut out = String::new();
        match &self.batch.encoding {
            Encoding::Json => self.write_json(items, self.fields, &mut out),
            Encoding::Form(field) => {
                let mut json = String::new();
                self.write_json(items, &[], &mut json);
                for (name, value) in self.fields {
                    write_pair(name, value, &mut out);
                }
                write_pair(field, &json, &mut out);
            }
            Encoding::FormFields => {
                for (name, value) in self.fields {
                    write_pair(name, value, &mut out);
                }
                items
                    .into_iter()
                    .for_each(|item| write_own_fields(item, &mut out));
            }
        }
        out.into_bytes()
    }

    /// Returns the media type of the body.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match self.batch.encoding {
            Encoding::Json => "application/json",
            Encoding::Form(_) | Encoding::FormFields => "application/x-www-form-urlencoded",
        }
    }

    fn write_json<'i>(
        &self,
        items: impl IntoIterator<Item = &'i str>,
        fields: &[(String, String)],
        out: &mut String,
    ) {
        match &self.batch.layout {
            Layout::Single => {
                for item in items.into_iter().take(1) {
                    self.write_item(item, 0, fields, out);
                }
            }
            Layout::Array => {
                self.write_array(items, out);
            }
            Layout::ArrayIn(field) => {
                out.push('{');
                for (name, value) in fields {
                    write_member(name, value, out);
                    out.push(',');
                }
                out.push_str(&json::quoted(field));
                out.push(':');
                self.write_array(items, out);
                out.push('}');
            }
        }
    }

    fn write_array<'i>(&self, items: impl IntoIterator<Item = &'i str>, out: &mut String) {
        out.push('[');
        for (index, item) in items.into_iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            self.write_item(item, index, &[], out);
        }
        out.push(']');
    }

    /// Writes an item with its mark and fields before its own, which stay as they are.
    fn write_item(&self, item: &str, index: usize, fields: &[(String, String)], out: &mut String) {
        let index = index.to_string();
        let mark = self.mark.map(|mark| (mark, index.as_str()));
        let fields = fields.iter().map(|(name, value)| (&**name, &**value));
        let mut added = mark.into_iter().chain(fields).peekable();
        let own = item.strip_prefix('{').filter(|_| added.peek().is_some());
        let Some(own) = own else {
            out.push_str(item);
            return;
        };
        let mut separator = '{';
        for (name, value) in added {
            out.push(separator);
            write_member(name, value, out);
            separator = ',';
        }
        if !own.trim_start().starts_with('}') {
            out.push(',');
        }
        out.push_str(own);
    }
}

fn write_member(name: &str, value: &str, out: &mut String) {
    out.push_str(&json::quoted(name));
    out.push(':');
    out.push_str(&json::quoted(value));
}

/// What a form leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn write_pair(name: &str, value: &str, out: &mut String) {
    let separator = if out.is_empty() { "" } else { "&" };
    let name = utf8_percent_encode(name, UNRESERVED);
    let value = utf8_percent_encode(value, UNRESERVED);
    // Writing to a string cannot fail.
    write!(out, "{separator}{name}={value}").unwrap_or_default();
}

/// Writes the item's own fields as those of a form: a text as it is, null as nothing, all else as JSON.
fn write_own_fields(item: &str, out: &mut String) {
    let arena = Bump::new();
    let item = Raw::parse(item).unwrap_or(Raw::NULL);
    for member in item.members(&arena).unwrap_or_default() {
        let value = match member.value.kind() {
            Kind::Null => "",
            Kind::String => {
                let text = member.value.string(&arena).ok().flatten();
                text.unwrap_or_else(|| member.value.text())
            }
            Kind::Boolean | Kind::Number | Kind::Array | Kind::Object => member.value.text(),
        };
        write_pair(member.key, value, out);
    }
}

/// A request while it is filled: how many bytes it has, and whether another item fits.
#[derive(Debug)]
pub struct Filling<'a> {
    shape: Shape<'a>,
    max_items: u64,
    max_bytes: u64,
    n_items: u64,
    bytes: u64,
}

impl<'a> Filling<'a> {
    /// Begins a request within the batch's limits, and these.
    #[must_use]
    pub fn new(shape: Shape<'a>, max_items: u64, max_bytes: u64) -> Filling<'a> {
        let batch = shape.batch;
        let layout_items = match batch.layout {
            Layout::Single => 1,
            Layout::Array | Layout::ArrayIn(_) => u64::MAX,
        };
        Filling {
            max_items: batch
                .records
                .unwrap_or(u64::MAX)
                .min(max_items)
                .min(layout_items),
            max_bytes: batch.bytes.unwrap_or(u64::MAX).min(max_bytes),
            n_items: 0,
            bytes: length(&shape.write([])),
            shape,
        }
    }

    /// Adds an item if it fits. The first always does: whether it is too large is then for the vendor to say.
    pub fn add(&mut self, item: &str) -> bool {
        let bytes = self.bytes.saturating_add(self.added(item));
        let fits = self.n_items < self.max_items && bytes <= self.max_bytes;
        if self.n_items == 0 || fits {
            self.n_items += 1;
            self.bytes = bytes;
            return true;
        }
        false
    }

    /// Returns whether no other item can be added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.n_items > 0 && (self.n_items >= self.max_items || self.bytes >= self.max_bytes)
    }

    /// Returns the bytes of the request.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns how many bytes the item would add, its comma and its mark included.
    fn added(&self, item: &str) -> u64 {
        let index = usize::try_from(self.n_items).unwrap_or(usize::MAX);
        let comma = if index == 0 { "" } else { "," };
        let is_single = matches!(self.shape.batch.layout, Layout::Single);
        let mut out = String::new();
        match &self.shape.batch.encoding {
            Encoding::Json => {
                let fields = if is_single { self.shape.fields } else { &[] };
                out.push_str(comma);
                self.shape.write_item(item, index, fields, &mut out);
                length(out.as_bytes())
            }
            Encoding::Form(_) => {
                out.push_str(comma);
                self.shape.write_item(item, index, &[], &mut out);
                let encoded = utf8_percent_encode(&out, UNRESERVED);
                encoded.map(|part| length(part.as_bytes())).sum()
            }
            Encoding::FormFields => {
                let whole = self.shape.write([item]);
                length(&whole).saturating_sub(self.bytes)
            }
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "k\"1";

    fn batch(layout: Layout, encoding: Encoding) -> Batch {
        Batch {
            item_bytes: None,
            records: None,
            bytes: None,
            layout,
            encoding,
        }
    }

    fn array_in(field: &str) -> Layout {
        Layout::ArrayIn(field.to_owned())
    }

    fn form(field: &str) -> Encoding {
        Encoding::Form(field.to_owned())
    }

    fn check(batch: &Batch, mark: Option<&str>, has_field: bool, items: &[&str], expected: &str) {
        let fields = [("api_key".to_owned(), SECRET.to_owned())];
        let shape = Shape {
            batch,
            mark,
            fields: if has_field { &fields } else { &[] },
        };
        let written = shape.write(items.iter().copied());
        assert_eq!(String::from_utf8(written.clone()).unwrap(), expected);
        let mut filling = Filling::new(shape, u64::MAX, u64::MAX);
        assert!(items.iter().all(|item| filling.add(item)));
        assert_eq!(filling.bytes(), length(&written), "{expected}");
    }

    #[test]
    fn k2_items_stand_in_a_request_byte_for_byte() {
        let (one, two) = (
            r#"{"a":1.50,"b":"\u00e9"}"#,
            r#"{ "a" : 12345678901234567890 }"#,
        );
        let rows: [(&Batch, &[&str], String); 3] = [
            (
                &batch(Layout::Single, Encoding::Json),
                &[one],
                one.to_owned(),
            ),
            (
                &batch(Layout::Array, Encoding::Json),
                &[one, two],
                format!("[{one},{two}]"),
            ),
            (
                &batch(array_in("in\"puts"), Encoding::Json),
                &[one, two],
                format!(r#"{{"in\"puts":[{one},{two}]}}"#),
            ),
        ];
        for (batch, items, expected) in rows {
            check(batch, None, false, items, &expected);
        }
    }

    #[test]
    fn marks_and_fields_stand_before_an_items_own() {
        let array = batch(array_in("inputs"), Encoding::Json);
        check(
            &array,
            Some("trace"),
            true,
            &[r#"{"a":1}"#, "{}", "{ }"],
            r#"{"api_key":"k\"1","inputs":[{"trace":"0","a":1},{"trace":"1"},{"trace":"2" }]}"#,
        );
        let single = batch(Layout::Single, Encoding::Json);
        check(
            &single,
            Some("trace"),
            true,
            &[r#"{"a":1}"#],
            r#"{"trace":"0","api_key":"k\"1","a":1}"#,
        );
        check(&single, None, true, &["{}"], r#"{"api_key":"k\"1"}"#);
        check(&single, Some("trace"), false, &["[1]"], "[1]");
    }

    #[test]
    fn a_form_has_the_json_in_a_field_or_the_items_own_fields() {
        let array = batch(Layout::Array, form("identification"));
        check(
            &array,
            None,
            true,
            &[r#"{"a":"é &"}"#, "{}"],
            "api_key=k%221&identification=%5B%7B%22a%22%3A%22%C3%A9%20%26%22%7D%2C%7B%7D%5D",
        );
        let own = batch(Layout::Single, Encoding::FormFields);
        check(
            &own,
            None,
            true,
            &[r#"{"a b":"x=\u00e9","n":1.50,"l":[1],"z":null}"#],
            "api_key=k%221&a%20b=x%3D%C3%A9&n=1.50&l=%5B1%5D&z=",
        );
    }

    #[test]
    fn a_request_holds_no_more_than_its_limits() {
        let mut batch = batch(Layout::Array, Encoding::Json);
        batch.records = Some(3);
        batch.bytes = Some(10);
        let shape = Shape {
            batch: &batch,
            mark: None,
            fields: &[],
        };
        let fill = |items: &[&str]| {
            let mut filling = Filling::new(shape, u64::MAX, u64::MAX);
            items.iter().take_while(|item| filling.add(item)).count()
        };
        assert_eq!(
            fill(&["{}", "{}", "{}"]),
            3,
            "[{{}},{{}},{{}}] has ten bytes"
        );
        assert_eq!(fill(&["{}", "{}", "{ }"]), 2);
        assert_eq!(fill(&["1", "1", "1", "1"]), 3);
        assert_eq!(
            fill(&["\"much too large\"", "1"]),
            1,
            "the first always fits"
        );
    }

    fn definition() -> std::sync::Arc<Definition> {
        let catalogue = crate::destination::Catalogue::built_in();
        std::sync::Arc::clone(catalogue.get("mixpanel").unwrap())
    }

    const RECORD: &str = r#"{"specversion":"1.0","id":"events/0/17/-1/mixpanel/group.set","source":"groupcast","type":"mixpanel.group.set","request":"POST /groups","data":{"a":1.50}}"#;

    #[test]
    fn k4_a_record_is_read_in_either_format() {
        let item = Item::structured(&definition(), Some(b"g1"), RECORD.as_bytes()).unwrap();
        let headers: [(&str, &[u8]); 3] = [
            ("ce_id", b"events/0/17/-1/mixpanel/group.set"),
            ("ce_type", b"mixpanel.group.set"),
            ("ce_request", b"POST /groups"),
        ];
        let binary = Item::binary(&definition(), Some(b"g1"), br#"{"a":1.50}"#, &headers).unwrap();
        assert_eq!(item, binary);
        assert_eq!((&*item.key, &*item.body), (&b"g1"[..], r#"{"a":1.50}"#));
        assert_eq!((&*item.request, item.operation), ("POST /groups", 0));
    }

    #[test]
    fn what_is_no_item_says_why() {
        let rows = [
            (
                RECORD.replace("mixpanel.group.set", "hubspot.x"),
                Unreadable::UnknownOperation,
            ),
            (
                RECORD.replace("mixpanel.group.set", "mixpanel.x"),
                Unreadable::UnknownOperation,
            ),
            (
                RECORD.replace("\"request\"", "\"r\""),
                Unreadable::NoEnvelope,
            ),
            (RECORD.replace("\"data\"", "\"d\""), Unreadable::NoEnvelope),
            (r#"{"a":1}"#.to_owned(), Unreadable::NoEnvelope),
            ("[1]".to_owned(), Unreadable::NoEnvelope),
            ("{".to_owned(), Unreadable::NotJson),
            (String::new(), Unreadable::NotJson),
        ];
        for (record, expected) in rows {
            let found = Item::structured(&definition(), None, record.as_bytes());
            assert_eq!(found, Err(expected), "{record}");
        }
        let binary = Item::binary(&definition(), None, b"{}", &[]);
        assert_eq!(binary, Err(Unreadable::NoEnvelope));
        let broken = Item::binary(&definition(), None, b"{\xff", &[]);
        assert_eq!(broken, Err(Unreadable::NotJson));
    }
}
