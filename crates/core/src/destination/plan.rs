//! A destination as it runs: what is tested, and the steps that write. A plan cannot hold a mistake; [`super::run`] carries it out.

use crate::json;
use crate::traits::{Part, TraitId, TraitType};

use super::definition::NullPolicy;
use super::entries::EntryFilter;
use super::filter::Filter;

/// One instance's operations, settings filled in.
#[derive(Debug)]
pub struct Plan {
    pub(super) nulls: NullPolicy,
    /// What must be present for any operation to be asked.
    pub(super) when: Vec<Test>,
    pub(super) properties: Vec<Step>,
    pub(super) operations: Vec<Operation>,
}

/// One operation as it runs.
#[derive(Debug)]
pub struct Operation {
    /// Its id.
    pub id: String,
    /// Whether its records are keyed by member (semantics K3).
    pub is_keyed_by_member: bool,
    /// Whether sending it twice does what sending it once does.
    pub is_idempotent: bool,
    /// The most bytes that its body may have.
    pub(super) max_bytes: Option<u64>,
    pub(super) when: Vec<Test>,
    pub(super) unless: Vec<Test>,
    pub(super) require: Vec<Test>,
    pub(super) request: Vec<TextPart>,
    pub(super) body: Template,
}

/// A value that must be present, and whether its lack means that there is no member.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) value: Template,
    pub(super) is_member: bool,
}

impl Test {
    /// Returns the name of the value, or of the first that it is put together of.
    pub(super) fn subject(&self) -> &str {
        match &self.value {
            Template::Value(pipeline) => &pipeline.subject,
            Template::Text(parts) => {
                let mut values = parts.iter().filter_map(|part| match part {
                    TextPart::Value(pipeline) => Some(&*pipeline.subject),
                    TextPart::Literal(_) => None,
                });
                values.next().unwrap_or_default()
            }
            Template::Constant(_) | Template::Object(_) | Template::Array(_) => "",
        }
    }
}

/// What writes one value.
#[derive(Debug)]
pub(super) enum Template {
    /// The same JSON for every event.
    Constant(Box<str>),
    /// An expression's value.
    Value(Pipeline),
    /// A string put together of several parts.
    Text(Vec<TextPart>),
    /// An object, left out if nothing in it says anything.
    Object(Vec<Step>),
    /// An array, likewise.
    Array(Vec<Template>),
}

impl Template {
    /// Returns what writes an object. Fields that are the same for every event become one text with their neighbours.
    pub(super) fn object(steps: Vec<Step>) -> Template {
        let mut merged: Vec<Step> = Vec::with_capacity(steps.len());
        for step in steps {
            match (merged.last_mut(), step.into_constant()) {
                (Some(Step::Constant(before)), Step::Constant(text)) => {
                    *before = format!("{before}{text}").into()
                }
                (_, step) => merged.push(step),
            }
        }
        Template::Object(merged)
    }
}

/// What writes one member, or several, of an object.
#[derive(Debug)]
pub(super) enum Step {
    /// Members that are the same for every event, each with a comma before it.
    Constant(Box<str>),
    Field {
        key: Key,
        value: Template,
    },
    /// The entries of a map among their siblings, whose keys they never write (semantics T6).
    Spread {
        map: Pipeline,
        siblings: Siblings,
    },
}

impl Step {
    pub(super) fn field(key: Vec<TextPart>, value: Template) -> Step {
        Step::Field {
            key: Key::new(key),
            value,
        }
    }

    fn into_constant(self) -> Step {
        let constant = match &self {
            Step::Field {
                key: Key::Literal { member, .. },
                value: Template::Constant(json),
            } => Some(format!("{member}{json}")),
            Step::Field {
                key: Key::Literal { member, .. },
                value: Template::Value(pipeline),
            } => pipeline
                .constant()
                .and_then(Constant::json)
                .map(|json| format!("{member}{json}")),
            Step::Constant(_) | Step::Field { .. } | Step::Spread { .. } => None,
        };
        constant.map_or(self, |members| Step::Constant(members.into()))
    }
}

/// A field's key.
#[derive(Debug)]
pub(super) enum Key {
    /// The same for every event: the key, and what stands before its value, the comma first.
    Literal {
        text: Box<str>,
        member: Box<str>,
    },
    Text(Vec<TextPart>),
}

impl Key {
    fn new(parts: Vec<TextPart>) -> Key {
        match parts.as_slice() {
            [TextPart::Literal(text)] => Key::Literal {
                text: text.clone(),
                member: format!(",{}:", json::quoted(text)).into(),
            },
            _ => Key::Text(parts),
        }
    }
}

/// The keys that a spread map leaves to the fields beside it.
#[derive(Debug)]
pub(super) struct Siblings {
    /// The keys that are the same for every event.
    literals: Vec<Box<str>>,
    /// The bits of those: what has none of them is none of them.
    bits: u64,
    pub(super) others: Vec<Vec<TextPart>>,
}

impl Siblings {
    pub(super) fn new(keys: impl Iterator<Item = Vec<TextPart>>) -> Siblings {
        let mut siblings = Siblings {
            literals: Vec::new(),
            bits: 0,
            others: Vec::new(),
        };
        for key in keys {
            match key.as_slice() {
                [TextPart::Literal(text)] => {
                    siblings.bits |= json::key_bit(text);
                    siblings.literals.push(text.clone());
                }
                _ => siblings.others.push(key),
            }
        }
        siblings
    }

    pub(super) fn has_literal(&self, key: &str) -> bool {
        self.bits & json::key_bit(key) != 0 && self.literals.iter().any(|literal| **literal == *key)
    }
}

#[derive(Debug)]
pub(super) enum TextPart {
    Literal(Box<str>),
    Value(Pipeline),
}

/// An expression: the first of its sources that is given, through its filters.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) sources: Vec<Source>,
    pub(super) stages: Vec<Stage>,
    /// What null means here, where it is not what the definition says.
    pub(super) nulls: Option<NullPolicy>,
    /// What is noted when a value does not fit: the first source's name.
    pub(super) subject: Box<str>,
    /// Whether a filter can make two keys one.
    pub(super) changes_keys: bool,
    /// The trait that this is, where a text leaves as it came if it is no longer than so many bytes of JSON.
    pub(super) plain: Option<(TraitId, usize)>,
}

impl Pipeline {
    pub(super) fn new(
        mut sources: Vec<Source>,
        stages: Vec<Stage>,
        nulls: Option<NullPolicy>,
        subject: Box<str>,
    ) -> Pipeline {
        let flattens = |filter: &EntryFilter| matches!(filter, EntryFilter::Flatten(_));
        let is_flattened = stages
            .iter()
            .any(|stage| matches!(stage, Stage::Entries(filters) if filters.iter().any(flattens)));
        for source in &mut sources {
            if let Source::Rest(named) = source {
                named.is_flattened = is_flattened;
            }
        }
        let changes_keys = stages.iter().any(|stage| match stage {
            Stage::Entries(filters) => filters.iter().any(EntryFilter::changes_keys),
            Stage::Filter(_) | Stage::If { .. } => false,
        });
        let plain = match (sources.as_slice(), stages.as_slice()) {
            ([Source::Trait(id, TraitType::Text)], []) => Some((*id, usize::MAX)),
            ([Source::Trait(id, TraitType::Text)], [Stage::Filter(Filter::Truncate(length))]) => {
                Some((*id, length.number()))
            }
            _ => None,
        };
        Pipeline {
            sources,
            stages,
            nulls,
            subject,
            changes_keys,
            plain,
        }
    }

    /// Returns the filter that each of several sources goes through before the next one is asked, and the stages behind it.
    pub(super) fn conversion(&self) -> (Option<&Filter>, &[Stage]) {
        match self.stages.split_first() {
            Some((Stage::Filter(filter), rest)) if self.sources.len() > 1 && filter.makes_way() => {
                (Some(filter), rest)
            }
            _ => (None, &self.stages),
        }
    }

    /// Returns what this yields, if that is the same for every event.
    fn constant(&self) -> Option<&Constant> {
        match (self.sources.as_slice(), self.stages.as_slice()) {
            ([Source::Constant(constant)], []) => Some(constant),
            _ => None,
        }
    }

    /// Returns the text that this yields, if that is the same for every event.
    pub(super) fn constant_text(&self) -> Option<Box<str>> {
        match self.constant()? {
            Constant::Text(text) | Constant::Json(text) => Some(text.clone()),
            Constant::Absent => None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Stage {
    Filter(Filter),
    /// Filters of a map that follow one another.
    Entries(Vec<EntryFilter>),
    If {
        source: Source,
        literals: Vec<Box<str>>,
    },
}

/// Where a value comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Constant(Constant),
    GroupId,
    UserId,
    AnonymousId,
    Member,
    MessageId,
    Timestamp,
    Trait(TraitId, TraitType),
    Part(Part),
    Address,
    Traits,
    /// All traits but those named elsewhere.
    Rest(Named),
    Properties,
    Cleared,
    Context(Vec<String>),
    Options(Vec<String>),
    Event,
    Raw,
}

/// The value of a setting or literal.
#[derive(Debug, Clone)]
pub(super) enum Constant {
    Absent,
    Text(Box<str>),
    Json(Box<str>),
}

impl Constant {
    fn json(&self) -> Option<String> {
        match self {
            Constant::Absent => None,
            Constant::Text(text) => Some(json::quoted(text)),
            Constant::Json(json) => Some(json.to_string()),
        }
    }
}

/// The traits and address parts that a scope names, so that `traits.rest` leaves them out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// For each [`TraitId`] whether it is named, as far as the last that is.
    traits: Vec<bool>,
    pub(super) parts: Vec<Part>,
    /// Whether objects of the rest leave as entries under joined keys.
    pub(super) is_flattened: bool,
}

impl Named {
    pub(super) fn add(&mut self, id: TraitId) {
        let length = self.traits.len().max(id.index() + 1);
        self.traits.resize(length, false);
        if let Some(is_named) = self.traits.get_mut(id.index()) {
            *is_named = true;
        }
    }

    pub(super) fn has(&self, id: TraitId) -> bool {
        self.traits.get(id.index()).copied().unwrap_or_default()
    }
}

impl Plan {
    /// Returns whether some events do not reach it at all (semantics F11).
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        !self.when.is_empty()
    }

    /// Returns the operations in order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Leaves out the operations that add rather than set, so that sending an event again does no harm.
    #[must_use]
    pub fn without_additions(mut self) -> Plan {
        self.operations.retain(|operation| operation.is_idempotent);
        self
    }
}
