//! A destination as its file says it. What is checked here is the file's shape; names and types are
//! [`super::compile`]'s.

use crate::date::Instant;
use crate::diagnostic::{Diagnostic, Diagnostics, Place, has_errors};
use crate::verdict::Reason;
use crate::yaml::{self, Entry, Fields, Node, Value};

use super::compile;
use super::expression::Text;
use super::send::{self, SendSpec, Sending};
use super::settings::{SettingSpec, Settings};

/// One destination as written: names, settings, operations and examples.
#[derive(Debug)]
pub struct Definition {
    /// The file's stem: what configuration calls it.
    pub id: String,
    /// The file, for diagnostics.
    pub file: String,
    /// The name that integration flags use.
    pub name: String,
    /// Other names that flags use.
    pub aliases: Vec<String>,
    /// What it does, in a sentence.
    pub about: String,
    /// The vendor's pages that it follows.
    pub docs: Vec<String>,
    /// The day on which the vendor's pages were last read, as `YYYY-MM-DD`.
    pub read: Option<String>,
    /// What a user or sender must know.
    pub notes: String,
    /// Whether events reach it unless a flag says otherwise (semantics F2).
    pub enabled_by_default: bool,
    /// How many groups a user may be in (semantics K6).
    pub membership: Membership,
    /// How it clears a property (semantics N2).
    pub nulls: NullPolicy,
    /// The settings that an instance may or must give.
    pub settings: Vec<SettingSpec>,
    /// The operations, in order.
    pub operations: Vec<OperationSpec>,
    /// What it makes of sample events.
    pub examples: Vec<Example>,
    /// How its requests are sent, if the file says so.
    pub send: Option<SendSpec>,
    pub(super) properties: Option<Vec<BodyField>>,
}

/// How many groups of one kind a user may be in at the destination (semantics K6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Any number.
    Many,
    /// One: the latest call wins.
    One,
    /// Members are not linked.
    None,
}

impl Membership {
    /// The memberships by the word that definitions use.
    pub const WORDS: &'static [(&'static str, Membership)] = &[
        ("many", Membership::Many),
        ("one", Membership::One),
        ("none", Membership::None),
    ];
}

/// How a destination clears a property (semantics N2, N3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullPolicy {
    /// By null in its place.
    Keep,
    /// By an empty string.
    Empty,
    /// By an operation of its own, through `${cleared}`.
    Unset,
    /// Not at all: the null is left out and counted.
    Drop,
}

impl NullPolicy {
    /// The policies by the word that definitions use.
    pub const WORDS: &'static [(&'static str, NullPolicy)] = &[
        ("keep", NullPolicy::Keep),
        ("empty", NullPolicy::Empty),
        ("unset", NullPolicy::Unset),
        ("drop", NullPolicy::Drop),
    ];
}

/// One operation as written.
#[derive(Debug)]
pub struct OperationSpec {
    /// Its id, unique in the definition.
    pub id: String,
    /// How a sender makes a request of items.
    pub batch: Batch,
    /// Whether sending it twice does what sending it once does.
    pub is_idempotent: bool,
    /// Whether its records are keyed by member instead of by group (semantics K3).
    pub is_keyed_by_member: bool,
    request_text: String,
    pub(super) request: Text,
    pub(super) request_place: Place,
    pub(super) when: Vec<(Text, Place)>,
    pub(super) unless: Vec<(Text, Place)>,
    pub(super) require: Vec<(Text, Place)>,
    pub(super) body: Body,
}

impl OperationSpec {
    /// Whether records are keyed by member, by the word that definitions use.
    pub const KEYS: &'static [(&'static str, bool)] = &[("group", false), ("member", true)];

    /// Returns method and path as written, placeholders and all.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.request_text
    }
}

/// How a sender makes one request of one or more items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The most items in a request.
    pub records: Option<u64>,
    /// The most bytes in a request.
    pub bytes: Option<u64>,
    /// The most bytes of an item.
    pub item_bytes: Option<u64>,
    /// How items stand in the request.
    pub layout: Layout,
    /// How the request is encoded.
    pub encoding: Encoding,
}

impl Batch {
    /// Returns the most bytes that one item may have: no more than a whole request.
    pub(super) fn max_item(&self) -> Option<u64> {
        [self.item_bytes, self.bytes].into_iter().flatten().min()
    }

    /// Returns what a sender must know, as `destinations --json` prints it.
    #[must_use]
    pub fn as_json(&self) -> serde_json::Value {
        use serde_json::json;
        json!({
            "records": self.records,
            "bytes": self.bytes,
            "item_bytes": self.item_bytes,
            "as": match &self.layout {
                Layout::Single => json!("single"),
                Layout::Array => json!("array"),
                Layout::ArrayIn(field) => json!({ "array_in": field }),
            },
            "encoding": match &self.encoding {
                Encoding::Json => json!("json"),
                Encoding::FormFields => json!("form"),
                Encoding::Form(field) => json!({ "form": field }),
            },
        })
    }
}

/// How items stand in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One item is the request.
    Single,
    /// An array of items.
    Array,
    /// An object whose field of this name holds the array.
    ArrayIn(String),
}

/// How a request is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    Json,
    /// A form whose field of this name holds the JSON.
    Form(String),
    /// A form whose fields are the item's own, each value as text.
    FormFields,
}

/// A body as written.
#[derive(Debug)]
pub(super) enum Body {
    /// A value without expressions, as JSON.
    Constant(String),
    Text(Text, Place),
    Object(Vec<BodyField>),
    Array(Vec<Body>),
}

#[derive(Debug)]
pub(super) struct BodyField {
    pub(super) key: Text,
    pub(super) key_place: Place,
    pub(super) value: Body,
}

impl BodyField {
    /// The key under which a map is spread among its sibling fields.
    pub(super) fn is_spread(&self) -> bool {
        self.key.literal() == Some("*")
    }
}

/// What a definition makes of a sample event.
#[derive(Debug)]
pub struct Example {
    /// What it shows.
    pub about: String,
    /// Where it stands.
    pub place: Place,
    /// The instance's settings.
    pub settings: Option<Node>,
    /// The event's bytes.
    pub event: String,
    /// What must come of it.
    pub expected: Expected,
}

/// What an example expects.
#[derive(Debug)]
pub enum Expected {
    /// Exactly these operations, in order.
    Emits(Vec<ExpectedOperation>),
    /// No operation, for the reason of this code.
    Skips(String),
}

/// One operation that an example expects.
#[derive(Debug)]
pub struct ExpectedOperation {
    /// Where it stands.
    pub place: Place,
    /// The operation's id.
    pub operation: String,
    /// The body as compact JSON.
    pub body: String,
    /// The request, if the example says it.
    pub request: Option<String>,
    /// The record's key, if the example says it.
    pub key: Option<String>,
}

impl Definition {
    /// Reads and checks a definition; `id` is the file's stem.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn parse(id: &str, file: &str, text: &str) -> Result<Definition, Vec<Diagnostic>> {
        let mut diagnostics = Diagnostics::new(file);
        let definition = yaml::parse(text, &mut diagnostics)
            .and_then(|node| read(id, file, &node, &mut diagnostics));
        // Expressions are checked even where the shape has faults, so that all are reported at once.
        if let Some(definition) = &definition {
            compile::check(definition, &mut diagnostics);
            send::check(definition, &mut diagnostics);
        }
        let diagnostics = diagnostics.into_sorted();
        match definition {
            Some(definition) if !has_errors(&diagnostics) => Ok(definition),
            Some(_) | None => Err(diagnostics),
        }
    }

    /// Reads an instance's settings by the types declared here. `place` stands in where there is no node.
    pub fn read_settings(
        &self,
        node: Option<&Node>,
        place: Place,
        diagnostics: &mut Diagnostics,
    ) -> Settings {
        Settings::read(&self.settings, node, place, diagnostics)
    }

    /// Reads an instance's settings for sending, as [`Definition::read_settings`] does the others.
    pub fn read_send_settings(
        &self,
        node: Option<&Node>,
        place: Place,
        diagnostics: &mut Diagnostics,
    ) -> Settings {
        let specs = self.send.as_ref().map(|send| &*send.settings);
        Settings::read(specs.unwrap_or_default(), node, place, diagnostics)
    }

    /// Returns how an instance's requests are sent, in a region if the definition has them; `None` if the definition
    /// does not say.
    ///
    /// # Errors
    /// A region that the definition does not know.
    pub fn sending(
        &self,
        settings: &Settings,
        send_settings: &Settings,
        region: Option<&str>,
    ) -> Result<Option<Sending>, Vec<Diagnostic>> {
        let Some(spec) = &self.send else {
            return Ok(None);
        };
        let mut diagnostics = Diagnostics::new(&self.file);
        let sending = send::compile(spec, settings, send_settings, region, &mut diagnostics);
        match sending {
            Some(sending) => Ok(Some(sending)),
            None => Err(diagnostics.into_sorted()),
        }
    }
}

fn read(id: &str, file: &str, node: &Node, diagnostics: &mut Diagnostics) -> Option<Definition> {
    let mut fields = Fields::new(node, "", diagnostics);
    let name = required(&mut fields, "name", diagnostics);
    let about = required(&mut fields, "about", diagnostics);
    if !fields.has("membership") {
        diagnostics.error(None, "membership must say many, one or none");
    }
    if !fields.has("nulls") {
        diagnostics.error(None, "nulls must say keep, empty, unset or drop");
    }
    let membership = fields.choice("membership", Membership::WORDS, diagnostics);
    let nulls = fields.choice("nulls", NullPolicy::WORDS, diagnostics);
    let definition = Definition {
        id: id.to_owned(),
        file: file.to_owned(),
        name: name.unwrap_or_default(),
        aliases: fields.strings("aliases", diagnostics).unwrap_or_default(),
        about: about.unwrap_or_default(),
        docs: fields.strings("docs", diagnostics).unwrap_or_default(),
        read: read_day(&mut fields, diagnostics),
        notes: fields.string("notes", diagnostics).unwrap_or_default(),
        enabled_by_default: fields
            .boolean("enabled_by_default", diagnostics)
            .unwrap_or(true),
        membership: membership.unwrap_or(Membership::None),
        nulls: nulls.unwrap_or(NullPolicy::Drop),
        settings: fields
            .node("settings")
            .map(|node| SettingSpec::read_all(node, diagnostics))
            .unwrap_or_default(),
        properties: fields
            .node("properties")
            .and_then(|node| read_properties(node, diagnostics)),
        operations: read_operations(&mut fields, diagnostics),
        examples: read_list(&mut fields, "examples", diagnostics, read_example),
        send: fields
            .node("send")
            .and_then(|node| send::read(node, diagnostics)),
    };
    fields.finish(diagnostics);
    Some(definition)
}

fn read_day(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let node = fields.node("read")?;
    let day = node.as_scalar().map_or("", |scalar| scalar.text.as_str());
    let is_day = day.len() == "2026-11-29".len() && Instant::from_text(day).is_some();
    if !is_day {
        let message = format!("read must be a day, as in 2026-11-29: {day}");
        diagnostics.error(node.place, message);
    }
    Some(day.to_owned())
}

pub(crate) fn required(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let is_there = fields.has(key);
    let value = fields.string(key, diagnostics);
    if !is_there || value.as_deref() == Some("") {
        fields.missing(key, diagnostics);
    }
    value
}

pub(crate) fn read_list<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
    read_one: impl Fn(&Node, &str, &mut Diagnostics) -> Option<T>,
) -> Vec<T> {
    let name = fields.name_of(key);
    let Some(node) = fields.node(key) else {
        return Vec::new();
    };
    let Value::List(nodes) = &node.value else {
        diagnostics.error(
            node.place,
            format!("{name} must be a list, not {}", node.describe()),
        );
        return Vec::new();
    };
    nodes
        .iter()
        .enumerate()
        .filter_map(|(index, node)| read_one(node, &format!("{name}[{index}]"), diagnostics))
        .collect()
}

fn read_operations(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<OperationSpec> {
    let operations = read_list(fields, "operations", diagnostics, read_operation);
    if operations.is_empty() {
        fields.missing("operations", diagnostics);
    }
    for (index, operation) in operations.iter().enumerate() {
        if operations
            .iter()
            .take(index)
            .any(|other| other.id == operation.id)
        {
            diagnostics.error(
                operation.request_place,
                format!("two operations have one id: {}", operation.id),
            );
        }
    }
    operations
}

fn read_operation(
    node: &Node,
    context: &str,
    diagnostics: &mut Diagnostics,
) -> Option<OperationSpec> {
    let mut fields = Fields::new(node, context, diagnostics);
    let id = required(&mut fields, "id", diagnostics).unwrap_or_default();
    if !id.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_')
    }) {
        // It becomes part of the CloudEvents id and type.
        diagnostics.error(
            node.place,
            format!("an operation's id takes lower case letters, digits, . and _ only: {id}"),
        );
    }
    let request = fields.node("request");
    let body = fields.node("body");
    for (key, node) in [("request", request), ("body", body)] {
        if node.is_none() {
            fields.missing(key, diagnostics);
        }
    }
    let operation = OperationSpec {
        id,
        request_text: request
            .and_then(Node::as_scalar)
            .map(|scalar| scalar.text.clone())
            .unwrap_or_default(),
        request_place: request.map_or(node.place, |node| node.place),
        request: request
            .and_then(|node| read_text(node, diagnostics))
            .unwrap_or(Text {
                segments: Vec::new(),
            }),
        batch: fields
            .node("batch")
            .map_or_else(Batch::single, |node| read_batch(node, context, diagnostics)),
        is_idempotent: fields.boolean("idempotent", diagnostics).unwrap_or(true),
        is_keyed_by_member: fields
            .choice("key", OperationSpec::KEYS, diagnostics)
            .unwrap_or(false),
        when: read_conditions(&mut fields, "when", diagnostics),
        unless: read_conditions(&mut fields, "unless", diagnostics),
        require: read_conditions(&mut fields, "require", diagnostics),
        body: body
            .and_then(|node| read_body(node, diagnostics))
            .unwrap_or(Body::Constant("{}".to_owned())),
    };
    fields.finish(diagnostics);
    Some(operation)
}

impl Layout {
    /// The layouts that are one word.
    pub const WORDS: &'static [(&'static str, Layout)] =
        &[("single", Layout::Single), ("array", Layout::Array)];
    /// The key of the field's name in [`Layout::ArrayIn`].
    pub const FIELD: &'static str = "array_in";
}

impl Encoding {
    /// The encodings that are one word.
    pub const WORDS: &'static [(&'static str, Encoding)] =
        &[("json", Encoding::Json), ("form", Encoding::FormFields)];
    /// The key of the field's name in [`Encoding::Form`].
    pub const FIELD: &'static str = "form";
}

impl Batch {
    fn single() -> Batch {
        Batch {
            records: Some(1),
            bytes: None,
            item_bytes: None,
            layout: Layout::Single,
            encoding: Encoding::Json,
        }
    }
}

fn read_batch(node: &Node, context: &str, diagnostics: &mut Diagnostics) -> Batch {
    let context = format!("{context}.batch");
    let mut fields = Fields::new(node, &context, diagnostics);
    let batch = Batch {
        records: fields.integer("records", diagnostics),
        bytes: fields.integer("bytes", diagnostics),
        item_bytes: fields.integer("item_bytes", diagnostics),
        layout: fields
            .node("as")
            .and_then(|node| read_layout(node, &context, diagnostics))
            .unwrap_or(Layout::Single),
        encoding: fields
            .node("encoding")
            .and_then(|node| read_encoding(node, &context, diagnostics))
            .unwrap_or(Encoding::Json),
    };
    fields.finish(diagnostics);
    if batch.encoding == Encoding::FormFields && batch.layout != Layout::Single {
        diagnostics.error(
            node.place,
            "batch.encoding form takes one item a request: batch.as must be single",
        );
    }
    batch
}

fn read_layout(node: &Node, context: &str, diagnostics: &mut Diagnostics) -> Option<Layout> {
    if let Value::Map(_) = node.value {
        return read_field(node, &format!("{context}.as"), Layout::FIELD, diagnostics)
            .map(Layout::ArrayIn);
    }
    let layout = word(node, Layout::WORDS);
    if layout.is_none() {
        diagnostics.error(
            node.place,
            "batch.as must be single, array or { array_in: FIELD }",
        );
    }
    layout
}

fn read_encoding(node: &Node, context: &str, diagnostics: &mut Diagnostics) -> Option<Encoding> {
    if let Value::Map(_) = node.value {
        return read_field(
            node,
            &format!("{context}.encoding"),
            Encoding::FIELD,
            diagnostics,
        )
        .map(Encoding::Form);
    }
    let encoding = word(node, Encoding::WORDS);
    if encoding.is_none() {
        diagnostics.error(
            node.place,
            "batch.encoding must be json, form or { form: FIELD }",
        );
    }
    encoding
}

/// Reads a mapping that has this one key, the name of a field.
fn read_field(
    node: &Node,
    context: &str,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let mut fields = Fields::new(node, context, diagnostics);
    let field = required(&mut fields, key, diagnostics);
    fields.finish(diagnostics);
    field
}

fn word<T: Clone>(node: &Node, words: &[(&'static str, T)]) -> Option<T> {
    let written = &node.as_scalar()?.text;
    words
        .iter()
        .find(|(word, _)| word == written)
        .map(|(_, value)| value.clone())
}

/// Values that must all be present for an event to reach a destination, as the configuration writes them (semantics F11).
#[derive(Debug, Clone, Default)]
pub struct Conditions(pub(super) Vec<(Text, Place)>);

impl Conditions {
    /// Reads `when`, and reports what an instance of `definition` with these settings could not ask of an event.
    pub fn read(
        fields: &mut Fields<'_>,
        definition: &Definition,
        settings: &Settings,
        diagnostics: &mut Diagnostics,
    ) -> Conditions {
        let conditions = Conditions(read_conditions(fields, "when", diagnostics));
        for (text, place) in &conditions.0 {
            if let Some(literal) = text.literal() {
                let message = format!("when asks nothing of an event: {literal}");
                diagnostics
                    .error(*place, message)
                    .hint("write an expression: ${traits.plan}");
            }
        }
        compile::check_conditions(definition, settings, &conditions, diagnostics);
        conditions
    }
}

fn read_conditions(
    fields: &mut Fields<'_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Vec<(Text, Place)> {
    let Some(node) = fields.node(key) else {
        return Vec::new();
    };
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(node),
    };
    nodes
        .iter()
        .filter_map(|node| Some((read_text(node, diagnostics)?, node.place)))
        .collect()
}

pub(super) fn read_text(node: &Node, diagnostics: &mut Diagnostics) -> Option<Text> {
    let Some(scalar) = node.as_scalar() else {
        diagnostics.error(
            node.place,
            format!("expected a string, not {}", node.describe()),
        );
        return None;
    };
    Text::parse(node, scalar, diagnostics)
}

fn read_properties(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<BodyField>> {
    match &node.value {
        Value::Map(entries) => Some(read_fields(entries, diagnostics)),
        Value::Scalar(_) | Value::List(_) => {
            diagnostics.error(
                node.place,
                format!("properties must be a mapping, not {}", node.describe()),
            );
            None
        }
    }
}

fn read_body(node: &Node, diagnostics: &mut Diagnostics) -> Option<Body> {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            Some(Body::Object(read_fields(entries, diagnostics)))
        }
        Value::List(nodes) if !nodes.is_empty() => Some(Body::Array(
            nodes
                .iter()
                .filter_map(|node| read_body(node, diagnostics))
                .collect(),
        )),
        Value::Scalar(scalar) if scalar.text.contains("${") => Some(Body::Text(
            Text::parse(node, scalar, diagnostics)?,
            node.place,
        )),
        // What is written empty is meant: only what came out empty is left out.
        Value::Map(_) | Value::List(_) | Value::Scalar(_) => {
            let mut json = String::new();
            node.write_json(&mut json);
            Some(Body::Constant(json))
        }
    }
}

fn read_fields(entries: &[Entry], diagnostics: &mut Diagnostics) -> Vec<BodyField> {
    let mut read_one = |entry: &Entry| {
        let key = yaml::Scalar {
            text: entry.key.clone(),
            is_plain: !entry.key.contains("${"),
            is_secret: false,
        };
        let key_node = Node {
            place: entry.key_place,
            value: Value::Scalar(key.clone()),
        };
        let key = Text::parse(&key_node, &key, diagnostics)?;
        Some(BodyField {
            key,
            key_place: entry.key_place,
            value: read_body(&entry.value, diagnostics)?,
        })
    };
    entries.iter().filter_map(&mut read_one).collect()
}

fn read_example(node: &Node, context: &str, diagnostics: &mut Diagnostics) -> Option<Example> {
    let mut fields = Fields::new(node, context, diagnostics);
    let about = required(&mut fields, "about", diagnostics).unwrap_or_default();
    let settings = fields.node("settings").cloned();
    let event = fields.node("event").map(event_text);
    if event.is_none() {
        fields.missing("event", diagnostics);
    }
    let expected = read_outcome(&mut fields, context, Reason::SKIPS, diagnostics);
    fields.finish(diagnostics);
    Some(Example {
        about,
        place: node.place,
        settings,
        event: event?,
        expected: expected?,
    })
}

/// Reads `emits` or `skips`, for one of these reasons: what must become of an event at one destination.
pub(crate) fn read_outcome(
    fields: &mut Fields<'_>,
    context: &str,
    reasons: &[Reason],
    diagnostics: &mut Diagnostics,
) -> Option<Expected> {
    let (emits, skips) = (fields.has("emits"), fields.has("skips"));
    if emits == skips {
        diagnostics.error(
            fields.place(),
            "an example says either what it emits or why it skips",
        );
    }
    let read_one = |node: &Node, _: &str, diagnostics: &mut Diagnostics| {
        read_expected(node, context, diagnostics)
    };
    let operations = read_list(fields, "emits", diagnostics, read_one);
    let reason = fields.choice("skips", &Reason::choices(reasons), diagnostics);
    if emits {
        Some(Expected::Emits(operations))
    } else {
        reason.map(|reason| Expected::Skips(reason.code().to_owned()))
    }
}

/// An event written as a string is taken byte for byte; one written as YAML becomes compact JSON.
pub(crate) fn event_text(node: &Node) -> String {
    if let Some(scalar) = node.as_scalar() {
        return scalar.text.clone();
    }
    let mut json = String::new();
    node.write_json(&mut json);
    json
}

fn read_expected(
    node: &Node,
    context: &str,
    diagnostics: &mut Diagnostics,
) -> Option<ExpectedOperation> {
    let mut fields = Fields::new(node, &format!("{context}.emits"), diagnostics);
    let operation = required(&mut fields, "operation", diagnostics);
    let body = fields.node("body").map(event_text);
    if body.is_none() {
        fields.missing("body", diagnostics);
    }
    let request = fields.string("request", diagnostics);
    let key = fields.string("key", diagnostics);
    fields.finish(diagnostics);
    Some(ExpectedOperation {
        place: node.place,
        operation: operation?,
        body: body?,
        request,
        key,
    })
}
