//! One event on its way through one plan: bytes are written straight from the parsed event.

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};
use hashbrown::{DefaultHashBuilder, HashMap};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::event::{Event, Id};
use crate::json::{self, Raw};
use crate::traits::{TraitId, TraitType};
use crate::verdict::{Note, NoteCode, Observer, Reason, Refusal};

use super::definition::NullPolicy;
use super::entries::{self, EntryFilter};
use super::filter::{self, Filter, Sink};
use super::material::{Material, address};
use super::plan::{
    Constant, Key, Named, Operation, Pipeline, Plan, Siblings, Source, Stage, Step, Template, Test,
    TextPart,
};
use super::value::{Item, Value, append_key};

impl Plan {
    /// Starts on one event. `options` is the event's flag object for this destination.
    pub fn start<'a, O: Observer>(
        &'a self,
        material: &'a Material<'a>,
        options: Option<Raw<'a>>,
        destination: usize,
        observer: &'a mut O,
    ) -> Run<'a, O> {
        let (event, arena) = (material.event, material.arena);
        Run {
            plan: self,
            material,
            event,
            options,
            destination,
            arena,
            observer,
            properties: None,
            is_testing: false,
        }
    }
}

/// One event on its way through one plan.
pub struct Run<'a, O> {
    plan: &'a Plan,
    material: &'a Material<'a>,
    event: &'a Event<'a>,
    options: Option<Raw<'a>>,
    destination: usize,
    arena: &'a Bump,
    observer: &'a mut O,
    /// What `properties:` came to, once somebody asked for it.
    properties: Option<Properties<'a>>,
    /// Whether a condition is being tested, whose faults are not noted: the body will note them.
    is_testing: bool,
}

/// What `properties:` came to.
#[derive(Clone, Copy)]
struct Properties<'a> {
    /// The entries of `${properties}`; a null among them goes by the definition's policy.
    items: &'a [Item<'a>],
    /// The keys of `${cleared}`.
    cleared: &'a [Value<'a>],
}

/// The same while it is put together.
struct PropertiesBuilder<'a> {
    items: ArenaVec<'a, Item<'a>>,
    cleared: ArenaVec<'a, Value<'a>>,
}

impl<'a, O: Observer> Run<'a, O> {
    /// Decides whether an operation is to be sent at all.
    ///
    /// # Errors
    /// Why it is not: it is not due, or the whole destination is skipped.
    pub fn check_due(&mut self, operation: &'a Operation) -> Result<(), Refusal> {
        self.is_testing = true;
        let due = self.test_all(operation);
        self.is_testing = false;
        due
    }

    fn test_all(&mut self, operation: &'a Operation) -> Result<(), Refusal> {
        for test in &operation.when {
            if !self.is_present(test)? {
                return Err(Refusal::NotDue(if test.is_member {
                    Reason::NoMember
                } else {
                    Reason::NothingToSend
                }));
            }
        }
        if !operation.unless.is_empty() && self.are_present(&operation.unless)? {
            return Err(Refusal::NotDue(Reason::NothingToSend));
        }
        for test in &operation.require {
            if !self.is_present(test)? {
                self.observer.missing(self.destination, test.subject());
                return Err(Refusal::Skipped(Reason::MissingRequired));
            }
        }
        Ok(())
    }

    /// Tells the observer that the operation of that index does not leave.
    pub fn tell_refused(&mut self, operation: usize, refusal: Refusal) {
        self.observer.refused(self.destination, operation, refusal);
    }

    fn are_present(&mut self, tests: &'a [Test]) -> Result<bool, Refusal> {
        for test in tests {
            if !self.is_present(test)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_present(&mut self, test: &'a Test) -> Result<bool, Refusal> {
        match &test.value {
            Template::Value(pipeline) => Ok(self
                .evaluate(pipeline)?
                .is_present(pipeline.nulls.unwrap_or(self.plan.nulls), self.arena)),
            Template::Text(parts) => Ok(self
                .text(parts)?
                .is_some_and(|text| !text.trim().is_empty())),
            Template::Constant(json) => {
                Ok(Value::Json(json).is_present(NullPolicy::Keep, self.arena))
            }
            Template::Object(_) | Template::Array(_) => Ok(true),
        }
    }

    /// Appends the operation's method and path, values percent-encoded.
    ///
    /// # Errors
    /// The whole destination is skipped if a value is absent.
    pub fn write_request(
        &mut self,
        operation: &'a Operation,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        for part in &operation.request {
            match part {
                TextPart::Literal(text) => out.extend_from_slice(text.as_bytes()),
                TextPart::Value(pipeline) => {
                    let value = self.evaluate(pipeline)?;
                    let Some(text) = value.text(self.arena) else {
                        self.note_unfit(&value, &pipeline.subject);
                        self.observer.missing(self.destination, &pipeline.subject);
                        return Err(Refusal::Skipped(Reason::MissingRequired));
                    };
                    percent_encoded(text).for_each(|piece| out.extend_from_slice(piece.as_bytes()));
                }
            }
        }
        Ok(())
    }

    /// Appends the operation's body.
    ///
    /// # Errors
    /// It is not due if the body comes to nothing, and a dead letter if a key that must be read is no text or the body is larger
    /// than the vendor takes.
    pub fn write_body(
        &mut self,
        operation: &'a Operation,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let start = out.len();
        if self.write(&operation.body, out)? {
            let is_too_large = operation
                .max_bytes
                .is_some_and(|most| (out.len() - start) as u64 > most);
            return match is_too_large {
                true => Err(Refusal::DeadLettered(Reason::TooLarge)),
                false => Ok(()),
            };
        }
        match operation.body {
            Template::Object(_) => out.extend_from_slice(b"{}"),
            Template::Constant(_) | Template::Value(_) | Template::Text(_) | Template::Array(_) => {
                return Err(Refusal::NotDue(Reason::NothingToSend));
            }
        }
        Ok(())
    }

    /// Appends what a template says; returns whether it said anything.
    fn write(&mut self, template: &'a Template, out: &mut Vec<u8>) -> Result<bool, Refusal> {
        match template {
            Template::Constant(json) => {
                out.extend_from_slice(json.as_bytes());
                Ok(true)
            }
            Template::Value(pipeline) => {
                let value = self.evaluate(pipeline)?;
                let policy = pipeline.nulls.unwrap_or(self.plan.nulls);
                self.note_nulls(&value, policy, &pipeline.subject);
                Ok(value.write(policy, out))
            }
            Template::Text(parts) => Ok(match self.text(parts)? {
                Some(text) => Value::Text(text).write(NullPolicy::Keep, out),
                None => false,
            }),
            Template::Object(steps) => self.write_object(steps, out),
            Template::Array(elements) => self.write_array(elements, out),
        }
    }

    fn write_object(&mut self, steps: &'a [Step], out: &mut Vec<u8>) -> Result<bool, Refusal> {
        let start = out.len();
        let mut is_first = true;
        out.push(b'{');
        for step in steps {
            match step {
                Step::Constant(members) => append_member(members, &mut is_first, out),
                Step::Field { key, value } => {
                    let (before, was_first) = (out.len(), is_first);
                    match key {
                        Key::Literal { member, .. } => append_member(member, &mut is_first, out),
                        Key::Text(parts) => {
                            let Some(key) = self.text(parts)? else {
                                continue;
                            };
                            append_key(key, &mut is_first, out);
                        }
                    }
                    if !self.write(value, out)? {
                        out.truncate(before);
                        is_first = was_first;
                    }
                }
                Step::Spread { map, siblings } => {
                    self.write_spread(map, siblings, &mut is_first, out)?
                }
            }
        }
        out.push(b'}');
        if is_first {
            out.truncate(start);
        }
        Ok(!is_first)
    }

    fn write_spread(
        &mut self,
        map: &'a Pipeline,
        siblings: &'a Siblings,
        is_first: &mut bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let items = self.spread(map, siblings)?;
        let policy = map.nulls.unwrap_or(self.plan.nulls);
        self.note_nulls(&Value::Map(items), policy, &map.subject);
        for item in items {
            item.write(policy, is_first, out);
        }
        Ok(())
    }

    /// Returns the entries of a map that no sibling field's key takes.
    fn spread(
        &mut self,
        map: &'a Pipeline,
        siblings: &'a Siblings,
    ) -> Result<&'a [Item<'a>], Refusal> {
        let items = match (map.sources.as_slice(), map.stages.as_slice()) {
            // The usual ones need no list of what goes into the filters.
            ([Source::Rest(named)], []) => self.rest(named, &[], &map.subject)?,
            ([Source::Rest(named)], [Stage::Entries(filters)]) => {
                let items = self.rest(named, filters, &map.subject)?;
                self.without_collisions(map, items)
            }
            _ => self.opened(map)?,
        };
        let is_taken = |item: &Item<'_>| siblings.has_literal(item.key);
        if siblings.others.is_empty() && !items.iter().any(is_taken) {
            return Ok(items);
        }
        self.without_siblings(items, siblings)
    }

    /// Returns the entries of what an expression yields; none where that is no map.
    fn opened(&mut self, map: &'a Pipeline) -> Result<&'a [Item<'a>], Refusal> {
        let value = self.evaluate(map)?;
        if !value.is_map() {
            self.note_unfit(&value, &map.subject);
        }
        Ok(filter::open(value, self.arena)
            .map_err(Refusal::DeadLettered)?
            .unwrap_or_default())
    }

    fn without_siblings(
        &mut self,
        items: &'a [Item<'a>],
        siblings: &'a Siblings,
    ) -> Result<&'a [Item<'a>], Refusal> {
        let mut others = ArenaVec::with_capacity_in(siblings.others.len(), self.arena);
        for parts in &siblings.others {
            others.extend(self.text(parts)?);
        }
        let mut kept = ArenaVec::with_capacity_in(items.len(), self.arena);
        for item in items {
            if siblings.has_literal(item.key) || others.contains(&item.key) {
                self.note(NoteCode::KeyCollision, item.key);
            } else {
                kept.push(*item);
            }
        }
        Ok(kept.into_bump_slice())
    }

    /// Returns what filters make of the traits that are not named elsewhere.
    fn rest(
        &mut self,
        named: &Named,
        filters: &'a [EntryFilter],
        subject: &str,
    ) -> Result<&'a [Item<'a>], Refusal> {
        let (arena, material) = (self.arena, self.material);
        let mut kept = ArenaVec::with_capacity_in(material.traits.len(), arena);
        let mut sink = NoteSink { run: self, subject };
        let taken = material.rest(named, |item| {
            entries::pass(item, filters, arena, &mut sink, &mut kept)
        });
        taken
            .map(|()| kept.into_bump_slice())
            .map_err(Refusal::DeadLettered)
    }

    /// Returns what filters make of entries.
    fn pass(
        &mut self,
        items: &[Item<'a>],
        filters: &'a [EntryFilter],
        subject: &str,
    ) -> Result<&'a [Item<'a>], Refusal> {
        let arena = self.arena;
        let mut kept = ArenaVec::with_capacity_in(items.len(), arena);
        let mut sink = NoteSink { run: self, subject };
        for item in items {
            entries::pass(item, filters, arena, &mut sink, &mut kept)
                .map_err(Refusal::DeadLettered)?;
        }
        Ok(kept.into_bump_slice())
    }

    fn write_array(
        &mut self,
        elements: &'a [Template],
        out: &mut Vec<u8>,
    ) -> Result<bool, Refusal> {
        let start = out.len();
        let mut is_empty = true;
        out.push(b'[');
        for element in elements {
            let before = out.len();
            if !is_empty {
                out.push(b',');
            }
            if self.write(element, out)? {
                is_empty = false;
            } else {
                out.truncate(before);
            }
        }
        out.push(b']');
        if is_empty {
            out.truncate(start);
        }
        Ok(!is_empty)
    }

    fn key(&mut self, key: &'a Key) -> Result<Option<&'a str>, Refusal> {
        match key {
            Key::Literal { text, .. } => Ok(Some(text)),
            Key::Text(parts) => self.text(parts),
        }
    }

    /// Puts a string together; if any part is absent or null, so is the whole.
    fn text(&mut self, parts: &'a [TextPart]) -> Result<Option<&'a str>, Refusal> {
        let mut whole = ArenaString::new_in(self.arena);
        for part in parts {
            match part {
                TextPart::Literal(text) => whole.push_str(text),
                TextPart::Value(pipeline) => {
                    let value = self.evaluate(pipeline)?;
                    let Some(text) = value.text(self.arena) else {
                        self.note_unfit(&value, &pipeline.subject);
                        return Ok(None);
                    };
                    whole.push_str(text);
                }
            }
        }
        Ok(Some(whole.into_bump_str()))
    }

    fn evaluate(&mut self, pipeline: &'a Pipeline) -> Result<Value<'a>, Refusal> {
        if let Some((id, length)) = pipeline.plain {
            let Some(found) = self.event.traits.get(id) else {
                return Ok(Value::Absent);
            };
            if found.value.is_plain_string() && found.value.text().len() <= length {
                return Ok(Value::Raw(found.value));
            }
        }
        // Most expressions are no more than this.
        if let ([source], []) = (pipeline.sources.as_slice(), pipeline.stages.as_slice()) {
            return self.source(source, &pipeline.subject);
        }
        let (conversion, stages) = pipeline.conversion();
        let mut value = Value::Absent;
        for (index, source) in pipeline.sources.iter().enumerate() {
            let mut next = self.source(source, &pipeline.subject)?;
            if let Some(conversion) = conversion {
                next = self.converted(conversion, next, &pipeline.subject);
            }
            if next.is_given() && !next.is_blank(self.arena) {
                value = next;
                self.note_losers(pipeline.sources.get(index + 1..).unwrap_or_default());
                break;
            }
            // A blank text says more than null, and null more than nothing.
            if !value.is_given() && !matches!(next, Value::Absent) {
                value = next;
            }
        }
        for stage in stages {
            match stage {
                Stage::Filter(filter) => value = self.converted(filter, value, &pipeline.subject),
                Stage::Entries(filters) => {
                    value = self.filtered(value, filters, &pipeline.subject)?
                }
                Stage::If { source, literals } => {
                    if !self.passes(source, literals, &pipeline.subject)? {
                        return Ok(Value::Absent);
                    }
                }
            }
        }
        if let Value::Map(items) = value {
            return Ok(Value::Map(self.without_collisions(pipeline, items)));
        }
        Ok(value)
    }

    fn converted(&mut self, filter: &'a Filter, value: Value<'a>, subject: &str) -> Value<'a> {
        let arena = self.arena;
        filter.apply(value, arena, &mut NoteSink { run: self, subject })
    }

    /// Notes each trait that has a value, and that another one of `??` goes before (semantics T3).
    fn note_losers(&mut self, sources: &'a [Source]) {
        for source in sources {
            let Source::Trait(id, _) = source else {
                continue;
            };
            if let Some(found) = self
                .event
                .traits
                .get(*id)
                .filter(|found| !found.value.is_null())
            {
                self.note(NoteCode::TraitCollision, found.name);
            }
        }
    }

    /// Takes the entries of a value through filters; what is given and no map has none.
    fn filtered(
        &mut self,
        value: Value<'a>,
        filters: &'a [EntryFilter],
        subject: &str,
    ) -> Result<Value<'a>, Refusal> {
        if !value.is_given() {
            return Ok(value);
        }
        match filter::open(value, self.arena).map_err(Refusal::DeadLettered)? {
            Some(items) => Ok(Value::Map(self.pass(items, filters, subject)?)),
            None => {
                self.note(NoteCode::TraitTypeMismatch, subject);
                Ok(Value::Absent)
            }
        }
    }

    fn passes(
        &mut self,
        source: &'a Source,
        literals: &[Box<str>],
        subject: &str,
    ) -> Result<bool, Refusal> {
        let value = self.source(source, subject)?;
        if literals.is_empty() {
            return Ok(value.is_present(self.plan.nulls, self.arena));
        }
        Ok(value
            .text(self.arena)
            .is_some_and(|text| literals.iter().any(|literal| **literal == *text)))
    }

    fn source(&mut self, source: &'a Source, subject: &str) -> Result<Value<'a>, Refusal> {
        let event = self.event;
        Ok(match source {
            Source::Constant(Constant::Absent) => Value::Absent,
            Source::Constant(Constant::Text(text)) => Value::Text(text),
            Source::Constant(Constant::Json(json)) => Value::Json(json),
            Source::GroupId => id(Some(&event.group_id)),
            Source::UserId => id(event.user_id.as_ref()),
            Source::AnonymousId => id(event.anonymous_id.as_ref()),
            Source::Member => id(event.member()),
            Source::MessageId => {
                let given = event.field("messageId").filter(|raw| !raw.is_null());
                let value = given.map_or(Value::Absent, Value::Raw);
                self.typed(value, TraitType::Text, subject)
            }
            Source::Timestamp => event.time.as_ref().map_or(Value::Absent, Value::Date),
            Source::Trait(id, trait_type) => {
                let value = event
                    .traits
                    .get(*id)
                    .map_or(Value::Absent, |found| Value::from_raw(found.value));
                self.typed(value, *trait_type, subject)
            }
            Source::Part(part) => {
                let value = event
                    .traits
                    .address()
                    .part(*part)
                    .map_or(Value::Absent, Value::from_raw);
                self.typed(value, TraitType::Text, subject)
            }
            Source::Address => match event.traits.get(TraitId::ADDRESS) {
                Some(_) => self.typed(
                    address(event, None, self.arena),
                    TraitType::Address,
                    subject,
                ),
                None => Value::Absent,
            },
            Source::Traits => Value::Map(self.material.traits),
            Source::Rest(named) => Value::Map(self.rest(named, &[], subject)?),
            Source::Properties => Value::Map(self.properties()?.items),
            Source::Cleared => Value::List(self.properties()?.cleared),
            Source::Context(path) => follow(event.field("context"), path, self.arena)?,
            Source::Options(path) => follow(self.options, path, self.arena)?,
            Source::Event => Value::Map(self.material.members()),
            Source::Raw => Value::Raw(event.raw),
        })
    }

    /// Gives a mapped trait its type (semantics T8); what does not fit is absent and noted.
    fn typed(&mut self, value: Value<'a>, trait_type: TraitType, subject: &str) -> Value<'a> {
        if !value.is_given() {
            return value;
        }
        let fitting = match (trait_type, value) {
            (TraitType::Any, value) => Some(value),
            (TraitType::Address, value) => matches!(value, Value::Map(_)).then_some(value),
            // Only `createdAt` has the type.
            (TraitType::Date, Value::Raw(raw)) => self.material.created_at(raw).map(Value::Date),
            (TraitType::Date, _) => None,
            (TraitType::Integer, value) => filter::integer(&value, self.arena),
            (TraitType::Number, value) => filter::number(value, self.arena),
            (TraitType::Text, Value::Raw(raw)) if raw.kind() == crate::json::Kind::Boolean => None,
            (TraitType::Text, value) => filter::string(value, self.arena),
        };
        fitting.unwrap_or_else(|| {
            self.note(NoteCode::TraitTypeMismatch, subject);
            Value::Absent
        })
    }

    /// Returns what `properties:` came to; made at the first call.
    fn properties(&mut self) -> Result<Properties<'a>, Refusal> {
        if let Some(properties) = self.properties {
            return Ok(properties);
        }
        // Whoever asks first, what does not fit is noted once.
        let was_testing = std::mem::replace(&mut self.is_testing, false);
        let properties = self.make_properties();
        self.is_testing = was_testing;
        Ok(*self.properties.insert(properties?))
    }

    fn make_properties(&mut self) -> Result<Properties<'a>, Refusal> {
        let items = ArenaVec::with_capacity_in(
            self.plan.properties.len() + self.event.traits.entries().len(),
            self.arena,
        );
        let mut properties = PropertiesBuilder {
            items,
            cleared: ArenaVec::new_in(self.arena),
        };
        for step in &self.plan.properties {
            match step {
                // Only bodies have them.
                Step::Constant(_) => {}
                Step::Field {
                    key,
                    value: Template::Value(pipeline),
                } => {
                    let Some(key) = self.key(key)? else { continue };
                    let item = Item::new(key, self.evaluate(pipeline)?);
                    self.add_property(
                        item,
                        pipeline.nulls,
                        Some(&pipeline.subject),
                        &mut properties,
                    );
                }
                Step::Field { key, value } => {
                    let Some(key) = self.key(key)? else { continue };
                    let mut json = Vec::new();
                    if self.write(value, &mut json)? {
                        let value =
                            Value::Json(self.arena.alloc_str(&String::from_utf8_lossy(&json)));
                        properties.items.push(Item::new(key, value));
                    }
                }
                Step::Spread { map, siblings } => {
                    for item in self.spread(map, siblings)? {
                        self.add_property(*item, map.nulls, None, &mut properties);
                    }
                }
            }
        }
        let PropertiesBuilder { items, cleared } = properties;
        Ok(Properties {
            items: items.into_bump_slice(),
            cleared: cleared.into_bump_slice(),
        })
    }

    /// Adds one entry. A null that has a policy of its own is decided here, since the map is written by the definition's.
    fn add_property(
        &mut self,
        mut item: Item<'a>,
        nulls: Option<NullPolicy>,
        subject: Option<&str>,
        properties: &mut PropertiesBuilder<'a>,
    ) {
        if matches!(item.value, Value::Absent) {
            return;
        }
        if matches!(item.value, Value::Null) {
            match nulls {
                None => properties.cleared.push(Value::Text(item.key)),
                Some(NullPolicy::Unset) => return properties.cleared.push(Value::Text(item.key)),
                Some(NullPolicy::Drop) => {
                    return self.note(NoteCode::NullNotExpressible, subject.unwrap_or(item.key));
                }
                Some(NullPolicy::Keep) => item.value = Value::Json("null"),
                Some(NullPolicy::Empty) => item.value = Value::Text(""),
            }
        }
        properties.items.push(item);
    }

    /// Lets one of several items of the same key stay, at the first one's position: non-null first, then the one that a
    /// filter did not rename, then input order (semantics T6, T3). Notes the keys that met.
    fn without_collisions(&mut self, map: &Pipeline, items: &'a [Item<'a>]) -> &'a [Item<'a>] {
        if !map.changes_keys || !json::has_duplicates(items, |item| item.key) {
            return items;
        }
        let mut first: HashMap<&str, usize, DefaultHashBuilder, &Bump> =
            HashMap::with_capacity_and_hasher_in(
                items.len(),
                DefaultHashBuilder::default(),
                self.arena,
            );
        let mut kept: ArenaVec<'a, Item<'a>> = ArenaVec::with_capacity_in(items.len(), self.arena);
        let rank = |item: &Item<'_>| (matches!(item.value, Value::Null), item.is_renamed);
        for item in items {
            let index = *first.entry(item.key).or_insert(kept.len());
            let Some(earlier) = kept.get_mut(index) else {
                kept.push(*item);
                continue;
            };
            if rank(item) < rank(earlier) {
                *earlier = *item;
            }
            self.note(NoteCode::KeyCollision, item.key);
        }
        kept.into_bump_slice()
    }

    /// Notes a value that is there and of no use where it stands (semantics T8).
    fn note_unfit(&mut self, value: &Value<'_>, subject: &str) {
        if value.is_given() {
            self.note(NoteCode::TraitTypeMismatch, subject);
        }
    }

    /// Notes each null that the destination has no way to say (semantics N3).
    fn note_nulls(&mut self, value: &Value<'a>, policy: NullPolicy, subject: &str) {
        if policy != NullPolicy::Drop {
            return;
        }
        match value {
            Value::Null => self.note(NoteCode::NullNotExpressible, subject),
            Value::Map(items) => {
                for item in items
                    .iter()
                    .filter(|item| matches!(item.value, Value::Null))
                {
                    self.note(NoteCode::NullNotExpressible, item.key);
                }
            }
            Value::Absent
            | Value::Raw(_)
            | Value::Text(_)
            | Value::Json(_)
            | Value::Date(..)
            | Value::List(_) => {}
        }
    }

    fn note(&mut self, code: NoteCode, subject: &str) {
        if !self.is_testing {
            self.observer
                .note(Some(self.destination), Note { code, subject });
        }
    }
}

struct NoteSink<'r, 'a, O> {
    run: &'r mut Run<'a, O>,
    subject: &'r str,
}

impl<O: Observer> Sink for NoteSink<'_, '_, O> {
    fn note(&mut self, code: NoteCode, key: Option<&str>) {
        self.run.note(code, key.unwrap_or(self.subject));
    }
}

/// Appends `member`, which begins with a comma, to an object.
fn append_member(member: &str, is_first: &mut bool, out: &mut Vec<u8>) {
    let member = member.as_bytes();
    let member = if std::mem::take(is_first) {
        member.get(1..).unwrap_or_default()
    } else {
        member
    };
    out.extend_from_slice(member);
}

/// What stands unescaped in one path segment or query value (RFC 3986, unreserved).
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes a value for a request.
pub(super) fn percent_encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, PATH_SEGMENT)
}

fn id<'a>(id: Option<&'a Id<'a>>) -> Value<'a> {
    match id {
        // A string leaves in its source bytes, a number as a string of its digits (E3).
        Some(id) if id.raw.kind() == crate::json::Kind::String => Value::Raw(id.raw),
        Some(id) => Value::Text(id.text),
        None => Value::Absent,
    }
}

/// Follows keys into nested objects; they compare unescaped, the last of a duplicate wins (E10).
fn follow<'a>(
    start: Option<Raw<'a>>,
    path: &[String],
    arena: &'a Bump,
) -> Result<Value<'a>, Refusal> {
    let Some(mut value) = start else {
        return Ok(Value::Absent);
    };
    for key in path {
        let members = value
            .members(arena)
            .map_err(|_| Refusal::DeadLettered(Reason::InvalidString))?;
        match members.iter().find(|member| member.key == *key) {
            Some(member) => value = member.value,
            None => return Ok(Value::Absent),
        }
    }
    Ok(Value::from_raw(value))
}
