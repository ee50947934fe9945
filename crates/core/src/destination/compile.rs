//! From a definition as written to a plan: names are looked up, types checked, settings filled in.
//!
//! Checking and compiling are one pass, so that a definition which was checked cannot fail to compile.

use crate::date::Unit;
use crate::diagnostic::{Diagnostics, Place};
use crate::json::{self, Kind};
use crate::traits::{Fold, Mention, Part, TraitId, TraitType, Vocabulary};

use super::case::Case;
use super::definition::{Body, BodyField, Conditions, Definition, NullPolicy, OperationSpec};
use super::entries::EntryFilter;
use super::expression::{
    Argument, ArgumentValue, Expression, FilterCall, Literal, Name, Operand, Segment, Text,
};
use super::filter::Filter;
use super::fit::{Length, Names};
use super::plan::{
    Constant, Named, Operation, Pipeline, Plan, Siblings, Source, Stage, Step, Template, Test,
    TextPart,
};
use super::request::percent_encoded;
use super::settings::{SettingSpec, SettingType, SettingValue, Settings};

/// Reports every unknown name, filter and type fault of a definition.
pub(super) fn check(definition: &Definition, diagnostics: &mut Diagnostics) {
    let settings = Settings::placeholders(&definition.settings);
    compile(
        definition,
        &settings,
        &Conditions::default(),
        &mut Vocabulary::default(),
        diagnostics,
    );
}

/// Reports every unknown name, filter and type fault of an instance's conditions.
pub(super) fn check_conditions(
    definition: &Definition,
    settings: &Settings,
    conditions: &Conditions,
    diagnostics: &mut Diagnostics,
) {
    let vocabulary = &mut Vocabulary::default();
    Compiler::new(definition, settings, vocabulary, diagnostics).tests(&conditions.0);
}

/// Makes the plan of an instance. Traits that the definition mentions become known to `vocabulary`.
pub(super) fn compile(
    definition: &Definition,
    settings: &Settings,
    conditions: &Conditions,
    vocabulary: &mut Vocabulary,
    diagnostics: &mut Diagnostics,
) -> Plan {
    let mut compiler = Compiler::new(definition, settings, vocabulary, diagnostics);
    let when = compiler.tests(&conditions.0);
    let properties = definition.properties.as_deref().unwrap_or_default();
    compiler.named = compiler.named_in_fields(properties);
    let properties = compiler.steps(properties);
    compiler.has_properties = definition.properties.is_some();
    let operations = definition
        .operations
        .iter()
        .map(|operation| compiler.operation(operation))
        .collect();
    Plan {
        nulls: definition.nulls,
        when,
        properties,
        operations,
    }
}

struct Compiler<'d> {
    definition: &'d Definition,
    settings: &'d Settings,
    vocabulary: &'d mut Vocabulary,
    diagnostics: &'d mut Diagnostics,
    /// What the present scope names, which `traits.rest` leaves out.
    named: Named,
    /// Whether `properties` and `cleared` may be used here.
    has_properties: bool,
}

/// What is known of a value before any event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Number,
    Boolean,
    Date,
    List,
    Map,
    Any,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Text => "a string",
            Type::Number => "a number",
            Type::Boolean => "a boolean",
            Type::Date => "a date",
            Type::List => "a list",
            Type::Map => "a map",
            Type::Any => "any value",
        }
    }
}

pub(super) const NAMES: [&str; 15] = [
    "groupId",
    "userId",
    "anonymousId",
    "member",
    "messageId",
    "timestamp",
    "traits",
    "traits.rest",
    "properties",
    "cleared",
    "context.…",
    "options.…",
    "settings.…",
    "event",
    "raw",
];

pub(super) const FILTERS: [&str; 44] = [
    "iso8601",
    "unix_seconds",
    "unix_ms",
    "unix_us",
    "unix_decimal",
    "date",
    "string",
    "integer",
    "number",
    "boolean",
    "lower",
    "upper",
    "trim",
    "truncate",
    "at_most",
    "between",
    "filled",
    "like",
    "domain",
    "json",
    "list",
    "join",
    "if",
    "only",
    "except",
    "rename",
    "prefix",
    "suffix",
    "case",
    "flatten",
    "scalars",
    "lists_of",
    "convert",
    "dates",
    "texts",
    "strings",
    "lists",
    "unwrap",
    "except_prefix",
    "numbers",
    "integers",
    "names",
    "first",
    "nulls",
];

impl<'d> Compiler<'d> {
    fn new(
        definition: &'d Definition,
        settings: &'d Settings,
        vocabulary: &'d mut Vocabulary,
        diagnostics: &'d mut Diagnostics,
    ) -> Compiler<'d> {
        Compiler {
            definition,
            settings,
            vocabulary,
            diagnostics,
            named: Named::default(),
            has_properties: false,
        }
    }

    fn operation(&mut self, spec: &OperationSpec) -> Operation {
        self.named = self.named_in_body(&spec.body);
        self.name_in_text(&spec.request);
        self.check_request(&spec.request, spec.request_place);
        Operation {
            id: spec.id.clone(),
            is_keyed_by_member: spec.is_keyed_by_member,
            is_idempotent: spec.is_idempotent,
            max_bytes: spec.batch.max_item(),
            when: self.tests(&spec.when),
            unless: self.tests(&spec.unless),
            require: self.tests(&spec.require),
            request: merged(self.parts(&spec.request, spec.request_place), |text| {
                percent_encoded(text).to_string()
            }),
            body: self.body(&spec.body),
        }
    }

    fn tests(&mut self, texts: &[(Text, Place)]) -> Vec<Test> {
        let is_member = |text: &Text| {
            let names = ["userId", "anonymousId", "member"];
            text.expression().is_some_and(|expression| {
                expression.alternatives.iter().all(|operand| match operand {
                    Operand::Name(name) => names.contains(&name.written().as_str()),
                    Operand::Literal(_) => false,
                })
            })
        };
        texts
            .iter()
            .map(|(text, place)| Test {
                is_member: is_member(text),
                value: self.template(text, *place),
            })
            .collect()
    }

    /// A request stands in an envelope, a header and a request line as it is; only values are encoded.
    fn check_request(&mut self, request: &Text, place: Place) {
        let is_unfit =
            |character: &char| !matches!(character, ' '..='~') || matches!(character, '"' | '\\');
        for segment in &request.segments {
            match segment {
                Segment::Literal(text) => {
                    if let Some(unfit) = text.chars().find(is_unfit) {
                        self.diagnostics
                            .error(place, format!("no character of a request: {unfit}"))
                            .hint("percent-encode it");
                    }
                }
                Segment::Expression(expression) => self.refuse_secrets(expression, place),
            }
        }
    }

    /// A secret in a request would stand in the sender's access logs.
    fn refuse_secrets(&mut self, expression: &Expression, place: Place) {
        for operand in &expression.alternatives {
            let Operand::Name(name) = operand else {
                continue;
            };
            let [root, setting] = name.segments.as_slice() else {
                continue;
            };
            let is_secret = |spec: &SettingSpec| spec.name == *setting && spec.is_secret;
            if root == "settings" && self.definition.settings.iter().any(is_secret) {
                self.diagnostics
                    .error(place, format!("a secret setting in request: {setting}"))
                    .hint("let the sender add it");
            }
        }
    }

    fn body(&mut self, body: &Body) -> Template {
        match body {
            Body::Constant(json) => Template::Constant(json.as_str().into()),
            Body::Text(text, place) => self.template(text, *place),
            Body::Object(fields) => Template::object(self.steps(fields)),
            Body::Array(elements) => {
                Template::Array(elements.iter().map(|element| self.body(element)).collect())
            }
        }
    }

    fn steps(&mut self, fields: &[BodyField]) -> Vec<Step> {
        let siblings: Vec<&BodyField> = fields.iter().filter(|field| !field.is_spread()).collect();
        let mut steps = Vec::with_capacity(fields.len());
        for field in fields {
            if !field.is_spread() {
                let key = self.text_parts(&field.key, field.key_place);
                steps.push(Step::field(key, self.body(&field.value)));
                continue;
            }
            let siblings = Siblings::new(
                siblings
                    .iter()
                    .map(|sibling| self.text_parts(&sibling.key, sibling.key_place)),
            );
            match &field.value {
                Body::Text(text, place) if text.expression().is_some() => {
                    if let Some((map, value_type)) = text
                        .expression()
                        .map(|expression| self.pipeline(expression, *place))
                    {
                        self.expect(value_type, &[Type::Map], "\"*\"", *place);
                        steps.push(Step::Spread { map, siblings });
                    }
                }
                Body::Constant(_) | Body::Text(..) | Body::Object(_) | Body::Array(_) => {
                    self.diagnostics
                        .error(field.key_place, "\"*\" takes one ${…} that yields a map");
                }
            }
        }
        steps
    }

    fn template(&mut self, text: &Text, place: Place) -> Template {
        match text.expression() {
            Some(expression) => Template::Value(self.pipeline(expression, place).0),
            None => Template::Text(self.text_parts(text, place)),
        }
    }

    fn text_parts(&mut self, text: &Text, place: Place) -> Vec<TextPart> {
        merged(self.parts(text, place), str::to_owned)
    }

    fn parts(&mut self, text: &Text, place: Place) -> Vec<TextPart> {
        let mut parts = Vec::new();
        for segment in &text.segments {
            match segment {
                Segment::Literal(text) => parts.push(TextPart::Literal(text.as_str().into())),
                Segment::Expression(expression) => {
                    let (pipeline, value_type) = self.pipeline(expression, place);
                    if matches!(value_type, Type::Map | Type::List) {
                        let message =
                            format!("{} has no place inside a longer string", value_type.name());
                        self.diagnostics
                            .error(place, message)
                            .hint("add the filter json or join");
                    }
                    parts.push(TextPart::Value(pipeline));
                }
            }
        }
        parts
    }

    fn pipeline(&mut self, expression: &Expression, place: Place) -> (Pipeline, Type) {
        let mut sources = Vec::new();
        let mut value_type = None;
        for operand in &expression.alternatives {
            let (source, source_type) = self.operand(operand);
            value_type = Some(match value_type {
                None => source_type,
                Some(known) if known == source_type => known,
                Some(_) => Type::Any,
            });
            sources.push(source);
        }
        let mut value_type = value_type.unwrap_or(Type::Any);
        let mut stages = Vec::new();
        // An event is forwarded as it is: what its nulls mean is the receiver's to say.
        let is_event = sources.iter().any(|source| matches!(source, Source::Event));
        let mut nulls = is_event.then_some(NullPolicy::Keep);
        for call in &expression.filters {
            if call.name == "if" {
                match self.condition(call) {
                    Some(Condition::Always) | None => {}
                    Some(Condition::Never) => sources = vec![Source::Constant(Constant::Absent)],
                    Some(Condition::Depends(stage)) => stages.push(stage),
                }
                continue;
            }
            let Some(filter) = self.filter(call) else {
                continue;
            };
            value_type = self.filtered_type(&filter, call, value_type);
            match (filter, stages.last_mut()) {
                (Called::Nulls(policy), _) => nulls = Some(policy),
                (Called::Value(filter), _) => stages.push(Stage::Filter(filter)),
                (Called::Entries(filter), Some(Stage::Entries(filters))) => filters.push(filter),
                (Called::Entries(filter), _) => stages.push(Stage::Entries(vec![filter])),
            }
        }
        let _ = place;
        let subject = expression
            .alternatives
            .first()
            .map(subject)
            .unwrap_or_default();
        (
            Pipeline::new(sources, stages, nulls, subject.into()),
            value_type,
        )
    }

    fn operand(&mut self, operand: &Operand) -> (Source, Type) {
        match operand {
            Operand::Literal(Literal::String(text)) => (
                Source::Constant(Constant::Text(text.as_str().into())),
                Type::Text,
            ),
            Operand::Literal(Literal::Number(text)) => (
                Source::Constant(Constant::Json(text.as_str().into())),
                Type::Number,
            ),
            Operand::Literal(Literal::Boolean(value)) => (
                Source::Constant(Constant::Json(value.to_string().into())),
                Type::Boolean,
            ),
            Operand::Name(name) => self.name(name),
        }
    }

    fn name(&mut self, name: &Name) -> (Source, Type) {
        let segments: Vec<&str> = name.segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["groupId"] => (Source::GroupId, Type::Text),
            ["userId"] => (Source::UserId, Type::Text),
            ["anonymousId"] => (Source::AnonymousId, Type::Text),
            ["member"] => (Source::Member, Type::Text),
            ["messageId"] => (Source::MessageId, Type::Text),
            ["timestamp"] => (Source::Timestamp, Type::Date),
            ["traits"] => (Source::Traits, Type::Map),
            ["traits", "rest"] => (Source::Rest(self.named.clone()), Type::Map),
            ["traits", "address", part] => match Part::from_name(part) {
                Some(part) => (Source::Part(part), Type::Text),
                None => {
                    let added = self
                        .diagnostics
                        .error(name.place, format!("unknown part of an address: {part}"));
                    added.hint("the parts are city, country, postalCode, state, street");
                    (Source::Constant(Constant::Absent), Type::Any)
                }
            },
            ["traits", trait_name] => self.mapped_trait(trait_name),
            ["properties"] if self.has_properties => (Source::Properties, Type::Map),
            ["cleared"] if self.has_properties => (Source::Cleared, Type::List),
            ["properties" | "cleared"] => {
                let hint = "write properties: beside operations:, and use it in operations only";
                self.diagnostics
                    .error(
                        name.place,
                        format!("there are no properties here: {}", name.written()),
                    )
                    .hint(hint);
                (Source::Constant(Constant::Absent), Type::Any)
            }
            ["context", path @ ..] if !path.is_empty() => (Source::Context(owned(path)), Type::Any),
            ["options", path @ ..] => (
                Source::Options(owned(path)),
                if path.is_empty() {
                    Type::Map
                } else {
                    Type::Any
                },
            ),
            ["settings", setting] => self.setting(setting, name.place),
            ["event"] => (Source::Event, Type::Map),
            ["raw"] => (Source::Raw, Type::Map),
            ["traits", first, ..] => {
                let added = self.diagnostics.error(
                    name.place,
                    format!("a trait's own fields have no name: {}", name.written()),
                );
                added.hint(format!(
                    "for a trait whose key holds a dot write traits[\"{first}.…\"]"
                ));
                (Source::Constant(Constant::Absent), Type::Any)
            }
            _ => {
                self.diagnostics
                    .error(name.place, format!("unknown name: {}", name.written()))
                    .suggest(name.root(), NAMES);
                (Source::Constant(Constant::Absent), Type::Any)
            }
        }
    }

    fn mapped_trait(&mut self, name: &str) -> (Source, Type) {
        match self.vocabulary.intern(name) {
            Mention::Part(part) => (Source::Part(part), Type::Text),
            Mention::Trait(TraitId::ADDRESS) => (Source::Address, Type::Map),
            Mention::Trait(id) => {
                let trait_type = self.vocabulary.trait_type(id);
                let value_type = match trait_type {
                    TraitType::Text => Type::Text,
                    TraitType::Date => Type::Date,
                    TraitType::Integer | TraitType::Number => Type::Number,
                    TraitType::Address => Type::Map,
                    TraitType::Any => Type::Any,
                };
                (Source::Trait(id, trait_type), value_type)
            }
        }
    }

    fn setting(&mut self, setting: &str, place: Place) -> (Source, Type) {
        let Some(spec) = self
            .definition
            .settings
            .iter()
            .find(|spec| spec.name == setting)
        else {
            let added = self
                .diagnostics
                .error(place, format!("unknown setting: {setting}"));
            added.suggest(
                setting,
                self.definition
                    .settings
                    .iter()
                    .map(|spec| spec.name.as_str()),
            );
            return (Source::Constant(Constant::Absent), Type::Any);
        };
        let value_type = match spec.setting_type {
            SettingType::String => Type::Text,
            SettingType::Boolean => Type::Boolean,
            SettingType::Integer => Type::Number,
            SettingType::List => Type::List,
            SettingType::Map => Type::Map,
        };
        let constant = match self.settings.get(setting) {
            None => Constant::Absent,
            Some(SettingValue::String(text)) => Constant::Text(text.as_str().into()),
            Some(SettingValue::Boolean(value)) => Constant::Json(value.to_string().into()),
            Some(SettingValue::Integer(value)) => Constant::Json(value.to_string().into()),
            Some(SettingValue::List(texts)) => {
                Constant::Json(serde_json::Value::from(texts.clone()).to_string().into())
            }
            Some(SettingValue::Map(pairs)) => {
                // Not serde_json's map, which has an order of its own.
                let pair = |(key, value): &(String, String)| {
                    format!("{}:{}", json::quoted(key), json::quoted(value))
                };
                Constant::Json(
                    format!(
                        "{{{}}}",
                        pairs.iter().map(pair).collect::<Vec<_>>().join(",")
                    )
                    .into(),
                )
            }
        };
        (Source::Constant(constant), value_type)
    }

    fn condition(&mut self, call: &FilterCall) -> Option<Condition> {
        let Some((first, literals)) = call.arguments.split_first() else {
            self.diagnostics
                .error(call.place, "if needs a name")
                .hint("like: if settings.mode \"a\" \"b\"");
            return None;
        };
        let name = match &first.value {
            ArgumentValue::Setting(name) => name.clone(),
            ArgumentValue::Word {
                text,
                is_quoted: false,
            } => Name {
                segments: text.split('.').map(str::to_owned).collect(),
                place: first.place,
            },
            ArgumentValue::Word { .. } | ArgumentValue::Pair(..) => {
                self.diagnostics
                    .error(first.place, "if needs a name, then literals");
                return None;
            }
        };
        let literals: Vec<Box<str>> = literals
            .iter()
            .filter_map(|argument| self.literal(argument))
            .collect();
        let (source, _) = self.name(&name);
        let Source::Constant(constant) = source else {
            return Some(Condition::Depends(Stage::If { source, literals }));
        };
        let text = match &constant {
            Constant::Absent => None,
            Constant::Text(text) | Constant::Json(text) => Some(text),
        };
        let holds = match literals.is_empty() {
            true => text.is_some_and(|text| !matches!(&**text, "" | "false" | "[]" | "{}")),
            false => text.is_some_and(|text| literals.contains(text)),
        };
        Some(if holds {
            Condition::Always
        } else {
            Condition::Never
        })
    }

    fn literal(&mut self, argument: &Argument) -> Option<Box<str>> {
        match &argument.value {
            ArgumentValue::Word { text, is_quoted } => {
                if !is_quoted
                    && !matches!(text.as_str(), "true" | "false")
                    && !json::is_number(text)
                {
                    let hint = format!("write \"{text}\"");
                    self.diagnostics
                        .error(argument.place, "expected a JSON string, number or boolean")
                        .hint(hint);
                }
                Some(text.as_str().into())
            }
            ArgumentValue::Pair(..) | ArgumentValue::Setting(_) => {
                self.diagnostics
                    .error(argument.place, "expected a JSON string, number or boolean");
                None
            }
        }
    }

    fn filter(&mut self, call: &FilterCall) -> Option<Called> {
        use Called::{Entries, Nulls, Value};
        if let Some((_, unit)) = Unit::WORDS.iter().find(|(word, _)| *word == call.name) {
            return self.without_arguments(call, Value(Filter::Date(*unit)));
        }
        match call.name.as_str() {
            "string" => self.without_arguments(call, Value(Filter::String)),
            "integer" => self.without_arguments(call, Value(Filter::Integer)),
            "number" => self.without_arguments(call, Value(Filter::Number)),
            "boolean" => self.without_arguments(call, Value(Filter::Boolean)),
            "lower" => self.without_arguments(call, Value(Filter::Lower)),
            "upper" => self.without_arguments(call, Value(Filter::Upper)),
            "trim" => self.without_arguments(call, Value(Filter::Trim)),
            "domain" => self.without_arguments(call, Value(Filter::Domain)),
            "json" => self.without_arguments(call, Value(Filter::Json)),
            "scalars" => self.without_arguments(call, Entries(EntryFilter::Scalars)),
            "list" => self.without_arguments(call, Value(Filter::List)),
            "integers" => {
                let (least, most) = self.range(call)?;
                Some(Entries(EntryFilter::Integers(least, most)))
            }
            "lists_of" => Some(Entries(EntryFilter::ListsOf(self.kinds(call)?))),
            "convert" => Some(Entries(EntryFilter::Convert(self.conversions(call)?))),
            "filled" => self.without_arguments(call, Value(Filter::Filled)),
            "like" => Some(Value(Filter::Like(self.names(call)?))),
            "lists" => Some(Entries(EntryFilter::Lists(self.one_argument(call)?))),
            "unwrap" => Some(Entries(EntryFilter::Unwrap(Fold::of(
                &self.one_argument(call)?,
            )))),
            "except_prefix" => Some(Entries(EntryFilter::ExceptPrefix(self.texts(call)?.0))),
            "strings" => {
                let numbers = match call.arguments.is_empty() {
                    true => true,
                    false => self.word(call, &[("booleans", false)])?,
                };
                Some(Entries(EntryFilter::Strings { numbers }))
            }
            "at_most" => Some(Value(Filter::AtMost(self.length(call)?))),
            "between" => {
                let (least, most) = self.range(call)?;
                Some(Value(Filter::Between(least, most)))
            }
            "numbers" => {
                let (least, most) = self.range(call)?;
                Some(Entries(EntryFilter::Numbers(least, most)))
            }
            "names" => Some(Entries(EntryFilter::Names(self.names(call)?))),
            "first" => {
                let most = self.one_argument(call)?.parse().ok();
                let most = self.understood(call, most, "a number of entries")?;
                Some(Entries(EntryFilter::First(most)))
            }
            "truncate" => Some(Value(Filter::Truncate(self.length(call)?))),
            "texts" => Some(Entries(EntryFilter::Texts(self.length(call)?))),
            "join" => Some(Value(Filter::Join(self.one_argument(call)?))),
            "prefix" => Some(Entries(EntryFilter::Prefix(self.one_argument(call)?))),
            "suffix" => Some(Entries(EntryFilter::Suffix(self.one_argument(call)?))),
            "flatten" => Some(Entries(EntryFilter::Flatten(self.one_argument(call)?))),
            "case" => Some(Entries(EntryFilter::Case(self.word(call, Case::WORDS)?))),
            "dates" => Some(Entries(EntryFilter::Dates(self.word(call, Unit::WORDS)?))),
            "nulls" => Some(Nulls(self.word(call, NullPolicy::WORDS)?)),
            "only" => Some(Entries(self.only(call)?)),
            "except" => Some(Entries(EntryFilter::Except(self.folds(call)?.0))),
            "rename" => Some(Entries(EntryFilter::Rename(self.pairs(call)?))),
            unknown => {
                self.diagnostics
                    .error(call.place, format!("unknown filter: {unknown}"))
                    .suggest(unknown, FILTERS);
                None
            }
        }
    }

    fn without_arguments(&mut self, call: &FilterCall, filter: Called) -> Option<Called> {
        if let Some(argument) = call.arguments.first() {
            self.diagnostics
                .error(argument.place, format!("{} takes no arguments", call.name));
        }
        Some(filter)
    }

    fn length(&mut self, call: &FilterCall) -> Option<Length> {
        let texts = self.texts(call)?.0;
        self.understood(
            call,
            length(&texts),
            "a number of characters, or of bytes as in 150 bytes",
        )
    }

    /// Reads pairs of what a key begins with and a filter of a value that takes no arguments.
    fn conversions(&mut self, call: &FilterCall) -> Option<Vec<(String, Filter)>> {
        if call.arguments.is_empty() {
            self.texts(call)?;
        }
        let mut conversions = Vec::new();
        for argument in &call.arguments {
            let ArgumentValue::Pair(prefix, name) = &argument.value else {
                self.diagnostics
                    .error(argument.place, "convert takes pairs")
                    .hint("like: convert int:=number");
                return None;
            };
            let called = self.filter(&FilterCall {
                name: name.clone(),
                arguments: Vec::new(),
                place: argument.place,
            })?;
            let filter = match called {
                Called::Value(filter) => Some(filter),
                Called::Entries(_) | Called::Nulls(_) => None,
            };
            conversions.push((
                prefix.clone(),
                self.understood(call, filter, "filters of a value")?,
            ));
        }
        Some(conversions)
    }

    fn kinds(&mut self, call: &FilterCall) -> Option<Vec<Kind>> {
        let texts = self.texts(call)?.0;
        let kind = |text: &String| match text.as_str() {
            "texts" => Some(Kind::String),
            "numbers" => Some(Kind::Number),
            "booleans" => Some(Kind::Boolean),
            "nulls" => Some(Kind::Null),
            "objects" => Some(Kind::Object),
            _ => None,
        };
        let kinds = texts.iter().map(kind).collect();
        self.understood(call, kinds, "texts, numbers, booleans, nulls, objects")
    }

    fn range(&mut self, call: &FilterCall) -> Option<(f64, f64)> {
        let texts = self.texts(call)?.0;
        let range = match texts.as_slice() {
            [least, most] => least.parse().ok().zip(most.parse().ok()),
            _ => None,
        };
        self.understood(call, range, "the least and the greatest number")
    }

    fn names(&mut self, call: &FilterCall) -> Option<Names> {
        let texts = self.texts(call)?.0;
        let names = match texts.as_slice() {
            [first, others] if length(&texts).is_none() => Some(Names::new(first, others, None)),
            [first, others, longest @ ..] if length(&texts).is_none() => {
                length(longest).map(|longest| Names::new(first, others, Some(longest)))
            }
            longest => length(longest).map(Names::up_to),
        };
        let wanted = "the first character, the others, and how many, as in a-z a-z0-9_ 40, or a number alone";
        self.understood(call, names, wanted)
    }

    fn one_argument(&mut self, call: &FilterCall) -> Option<String> {
        let texts = self.texts(call)?.0;
        match texts.as_slice() {
            [text] => Some(text.clone()),
            _ => {
                self.diagnostics
                    .error(call.place, format!("{} takes one argument", call.name));
                None
            }
        }
    }

    fn word<T: Copy>(&mut self, call: &FilterCall, words: &[(&'static str, T)]) -> Option<T> {
        let written = self.one_argument(call)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == written)
            .map(|(_, value)| *value);
        let choices: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.understood(call, found, &format!("one of {}", choices.join(", ")))
    }

    fn understood<T>(&mut self, call: &FilterCall, value: Option<T>, wanted: &str) -> Option<T> {
        if value.is_none() {
            self.diagnostics
                .error(call.place, format!("{} takes {wanted}", call.name));
        }
        value
    }

    /// `only` of a list that says `all` is no filter at all.
    fn only(&mut self, call: &FilterCall) -> Option<EntryFilter> {
        let (folds, is_setting) = self.folds(call)?;
        if is_setting && folds == [Fold::of("all")] {
            return Some(EntryFilter::Except(Vec::new()));
        }
        Some(EntryFilter::Only { folds, is_setting })
    }

    fn folds(&mut self, call: &FilterCall) -> Option<(Vec<Fold>, bool)> {
        let (texts, is_setting) = self.texts(call)?;
        Some((
            texts.iter().map(|text| Fold::of(text)).collect(),
            is_setting,
        ))
    }

    /// Returns the arguments as texts, and whether any came from the instance's settings.
    fn texts(&mut self, call: &FilterCall) -> Option<(Vec<String>, bool)> {
        if call.arguments.is_empty() {
            self.diagnostics
                .error(call.place, format!("{} needs an argument", call.name));
            return None;
        }
        let mut texts = Vec::new();
        let mut is_setting = false;
        for argument in &call.arguments {
            match &argument.value {
                ArgumentValue::Word { text, .. } => texts.push(text.clone()),
                ArgumentValue::Pair(..) => {
                    self.diagnostics
                        .error(argument.place, format!("{} takes no pairs", call.name));
                }
                ArgumentValue::Setting(name) => {
                    is_setting = true;
                    match self.setting_argument(name)? {
                        SettingValue::List(list) => texts.extend(list),
                        SettingValue::String(text) => texts.push(text),
                        SettingValue::Integer(number) => texts.push(number.to_string()),
                        SettingValue::Map(map) if call.name == "only" => {
                            texts.extend(map.into_iter().map(|(from, _)| from));
                        }
                        SettingValue::Boolean(_) | SettingValue::Map(_) => {
                            let message = format!("{} takes a string or list here", call.name);
                            self.diagnostics.error(argument.place, message);
                        }
                    }
                }
            }
        }
        Some((texts, is_setting))
    }

    fn pairs(&mut self, call: &FilterCall) -> Option<Vec<(Fold, String)>> {
        if call.arguments.is_empty() {
            self.diagnostics
                .error(call.place, "rename takes pairs")
                .hint("like: rename from=to");
        }
        let mut pairs = Vec::new();
        for argument in &call.arguments {
            match &argument.value {
                ArgumentValue::Pair(from, to) => pairs.push((Fold::of(from), to.clone())),
                ArgumentValue::Setting(name) => match self.setting_argument(name)? {
                    SettingValue::Map(map) => {
                        pairs.extend(map.into_iter().map(|(from, to)| (Fold::of(&from), to)))
                    }
                    SettingValue::String(_)
                    | SettingValue::Boolean(_)
                    | SettingValue::Integer(_)
                    | SettingValue::List(_) => {
                        self.diagnostics
                            .error(argument.place, "rename takes a map here");
                    }
                },
                ArgumentValue::Word { .. } => {
                    self.diagnostics
                        .error(argument.place, "rename takes pairs")
                        .hint("like: rename from=to");
                }
            }
        }
        Some(pairs)
    }

    fn setting_argument(&mut self, name: &Name) -> Option<SettingValue> {
        match name.segments.as_slice() {
            [root, setting] if root == "settings" => {
                self.setting(setting, name.place);
                self.settings.get(setting).cloned()
            }
            _ => {
                self.diagnostics
                    .error(name.place, "an argument in ${…} must be a setting");
                None
            }
        }
    }

    /// Returns what type a filter makes of a value, and reports one that it cannot take.
    fn filtered_type(&mut self, filter: &Called, call: &FilterCall, value_type: Type) -> Type {
        let (takes, makes): (&[Type], Type) = match filter {
            Called::Nulls(_) => return value_type,
            Called::Entries(_) => (&[Type::Map], Type::Map),
            Called::Value(filter) => match filter {
                Filter::Date(unit) => (
                    &[Type::Date],
                    if unit.is_number() {
                        Type::Number
                    } else {
                        Type::Text
                    },
                ),
                Filter::String => (
                    &[Type::Text, Type::Number, Type::Boolean, Type::Date],
                    Type::Text,
                ),
                Filter::Integer | Filter::Number => (&[Type::Text, Type::Number], Type::Number),
                Filter::Boolean => (&[Type::Text, Type::Boolean], Type::Boolean),
                Filter::Lower
                | Filter::Upper
                | Filter::Trim
                | Filter::Truncate(_)
                | Filter::Domain => (&[Type::Text], Type::Text),
                Filter::Filled => (&[Type::Text], value_type),
                Filter::AtMost(_) | Filter::Like(_) => (&[Type::Text, Type::Number], value_type),
                Filter::Between(..) => (&[Type::Number], value_type),
                Filter::Json => return Type::Text,
                Filter::List => return Type::List,
                Filter::Join(_) => (&[Type::List], Type::Text),
            },
        };
        self.expect(value_type, takes, &call.name, call.place);
        makes
    }

    fn expect(&mut self, value_type: Type, takes: &[Type], what: &str, place: Place) {
        if value_type != Type::Any && !takes.contains(&value_type) {
            let names: Vec<&str> = takes.iter().map(|takes| takes.name()).collect();
            let message = format!(
                "{what} takes {}, not {}",
                names.join(" or "),
                value_type.name()
            );
            self.diagnostics.error(place, message);
        }
    }

    fn named_in_fields(&mut self, fields: &[BodyField]) -> Named {
        self.named = Named::default();
        fields.iter().for_each(|field| self.name_in_field(field));
        std::mem::take(&mut self.named)
    }

    fn named_in_body(&mut self, body: &Body) -> Named {
        self.named = Named::default();
        self.name_in_body(body);
        std::mem::take(&mut self.named)
    }

    fn name_in_field(&mut self, field: &BodyField) {
        self.name_in_text(&field.key);
        self.name_in_body(&field.value);
    }

    fn name_in_body(&mut self, body: &Body) {
        match body {
            Body::Constant(_) => {}
            Body::Text(text, _) => self.name_in_text(text),
            Body::Object(fields) => fields.iter().for_each(|field| self.name_in_field(field)),
            Body::Array(elements) => elements
                .iter()
                .for_each(|element| self.name_in_body(element)),
        }
    }

    /// Adds the traits that a text writes. What `when` or `if` only test is not written, and would be lost.
    fn name_in_text(&mut self, text: &Text) {
        for operand in text
            .expressions()
            .flat_map(|expression| &expression.alternatives)
        {
            let Operand::Name(name) = operand else {
                continue;
            };
            let segments: Vec<&str> = name.segments.iter().map(String::as_str).collect();
            let mention = match segments.as_slice() {
                ["traits", "rest"] => None,
                ["traits", "address", part] => Part::from_name(part).map(Mention::Part),
                ["traits", name] => Some(self.vocabulary.intern(name)),
                _ => None,
            };
            match mention {
                Some(Mention::Trait(id)) => self.named.add(id),
                Some(Mention::Part(part)) => self.named.parts.push(part),
                None => {}
            }
        }
    }
}

/// What a filter's name and arguments come to.
enum Called {
    Value(Filter),
    Entries(EntryFilter),
    /// Nothing that runs: what null means.
    Nulls(NullPolicy),
}

/// What is known of an `if` before any event.
enum Condition {
    Always,
    Never,
    Depends(Stage),
}

/// Reads `N` or `N bytes`.
fn length(texts: &[String]) -> Option<Length> {
    let (number, unit): (&String, fn(usize) -> Length) = match texts {
        [number] => (number, Length::Characters),
        [number, bytes] if bytes == "bytes" => (number, Length::Bytes),
        _ => return None,
    };
    number.parse().ok().filter(|number| *number > 0).map(unit)
}

/// Makes literals of the values that are the same for every event, as `constant` writes them, and one of neighbouring
/// literals: a key of one literal is found by it.
fn merged(parts: Vec<TextPart>, constant: impl Fn(&str) -> String) -> Vec<TextPart> {
    let literal = |part| match part {
        TextPart::Literal(text) => TextPart::Literal(text),
        TextPart::Value(pipeline) => match pipeline.constant_text() {
            Some(text) => TextPart::Literal(constant(&text).into()),
            None => TextPart::Value(pipeline),
        },
    };
    parts
        .into_iter()
        .map(literal)
        .fold(Vec::new(), |mut merged, part| {
            match (merged.last_mut(), part) {
                (Some(TextPart::Literal(before)), TextPart::Literal(text)) => {
                    *before = format!("{before}{text}").into()
                }
                (_, part) => merged.push(part),
            }
            merged
        })
}

fn subject(operand: &Operand) -> String {
    match operand {
        Operand::Literal(_) => String::new(),
        Operand::Name(name) => name.written().trim_start_matches("traits.").to_owned(),
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|key| (*key).to_owned()).collect()
}
