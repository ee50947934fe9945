//! What an instance of a destination is set to: types declared by the definition, values given by the configuration.

use std::fmt;

use crate::diagnostic::{Diagnostics, Place};
use crate::yaml::{self, Entry, Fields, Node, Value};

/// One setting as the definition declares it.
#[derive(Debug, Clone)]
pub struct SettingSpec {
    /// Its name.
    pub name: String,
    /// The type of its value.
    pub setting_type: SettingType,
    /// Whether an instance must give it.
    pub is_required: bool,
    /// Whether it is never shown.
    pub is_secret: bool,
    /// Its value where an instance gives none.
    pub default: Option<SettingValue>,
    /// What it does, in a sentence.
    pub about: String,
}

/// The type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingType {
    /// `string`
    String,
    /// `boolean`
    Boolean,
    /// `integer`
    Integer,
    /// `list`, of strings; a single string is a list of one.
    List,
    /// `map`, of strings to strings.
    Map,
}

impl SettingType {
    /// The types by the word that definitions use.
    pub const WORDS: &'static [(&'static str, SettingType)] = &[
        ("string", SettingType::String),
        ("boolean", SettingType::Boolean),
        ("integer", SettingType::Integer),
        ("list", SettingType::List),
        ("map", SettingType::Map),
    ];

    /// Returns the type's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, setting_type)| *setting_type == self)
            .map_or("", |(word, _)| *word)
    }

    /// Returns some value of the type, to check a definition without an instance.
    fn placeholder(self) -> SettingValue {
        match self {
            SettingType::String => SettingValue::String("x".to_owned()),
            SettingType::Boolean => SettingValue::Boolean(true),
            SettingType::Integer => SettingValue::Integer(1),
            SettingType::List => SettingValue::List(Vec::new()),
            SettingType::Map => SettingValue::Map(Vec::new()),
        }
    }

    fn read(self, node: &Node) -> Option<SettingValue> {
        match self {
            SettingType::String => Some(SettingValue::String(node.as_scalar()?.text.clone())),
            SettingType::Boolean => yaml::boolean(node).map(SettingValue::Boolean),
            SettingType::Integer => {
                Some(SettingValue::Integer(node.as_scalar()?.text.parse().ok()?))
            }
            SettingType::List => yaml::strings(node).map(SettingValue::List),
            SettingType::Map => match &node.value {
                Value::Map(entries) => {
                    let pair = |entry: &Entry| {
                        Some((entry.key.clone(), entry.value.as_scalar()?.text.clone()))
                    };
                    entries
                        .iter()
                        .map(pair)
                        .collect::<Option<_>>()
                        .map(SettingValue::Map)
                }
                Value::Scalar(_) | Value::List(_) => None,
            },
        }
    }
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingValue {
    /// Of a `string`.
    String(String),
    /// Of a `boolean`.
    Boolean(bool),
    /// Of an `integer`.
    Integer(i64),
    /// Of a `list`.
    List(Vec<String>),
    /// Of a `map`, in the order written.
    Map(Vec<(String, String)>),
}

impl SettingValue {
    /// Returns the value as JSON, which is YAML too.
    #[must_use]
    pub fn as_json(&self) -> serde_json::Value {
        match self {
            SettingValue::String(text) => text.as_str().into(),
            SettingValue::Boolean(value) => (*value).into(),
            SettingValue::Integer(value) => (*value).into(),
            SettingValue::List(list) => list.clone().into(),
            SettingValue::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| (key.clone(), value.as_str().into()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// All settings of an instance that have a value.
#[derive(Clone, Default)]
pub struct Settings(Vec<Setting>);

#[derive(Clone)]
struct Setting {
    name: String,
    value: SettingValue,
    is_secret: bool,
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.redacted();
        formatter
            .debug_map()
            .entries(
                shown
                    .0
                    .iter()
                    .map(|setting| (&setting.name, &setting.value)),
            )
            .finish()
    }
}

impl Settings {
    /// Returns the value of the setting of that name, given or default.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SettingValue> {
        self.0
            .iter()
            .find(|setting| setting.name == name)
            .map(|setting| &setting.value)
    }

    /// Returns the settings with every secret replaced by `(secret)`, for whatever is shown to people.
    #[must_use]
    pub fn redacted(&self) -> Settings {
        let mut settings = self.clone();
        for setting in settings.0.iter_mut().filter(|setting| setting.is_secret) {
            setting.value = match setting.value {
                SettingValue::List(_) => SettingValue::List(vec!["(secret)".to_owned()]),
                SettingValue::Map(_) => SettingValue::Map(Vec::new()),
                SettingValue::String(_) | SettingValue::Boolean(_) | SettingValue::Integer(_) => {
                    SettingValue::String("(secret)".to_owned())
                }
            };
        }
        settings
    }

    /// Returns a value for every setting, so that a definition can be checked without an instance.
    pub(super) fn placeholders(specs: &[SettingSpec]) -> Settings {
        let value = |spec: &SettingSpec| {
            spec.default
                .clone()
                .unwrap_or_else(|| spec.setting_type.placeholder())
        };
        Settings(
            specs
                .iter()
                .map(|spec| Setting {
                    name: spec.name.clone(),
                    value: value(spec),
                    is_secret: false,
                })
                .collect(),
        )
    }

    pub(super) fn read(
        specs: &[SettingSpec],
        node: Option<&Node>,
        place: Place,
        diagnostics: &mut Diagnostics,
    ) -> Settings {
        let entries = match node.map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.as_slice(),
            Some(Value::Scalar(_) | Value::List(_)) | None => &[],
        };
        if let Some(node) =
            node.filter(|node| !matches!(node.value, Value::Map(_)) && !node.is_null())
        {
            diagnostics.error(
                node.place,
                format!("settings must be a mapping, not {}", node.describe()),
            );
        }
        for entry in entries {
            if specs.iter().all(|spec| spec.name != entry.key) {
                let added =
                    diagnostics.error(entry.key_place, format!("unknown setting: {}", entry.key));
                added.suggest(&entry.key, specs.iter().map(|spec| spec.name.as_str()));
            }
        }
        let mut settings = Vec::new();
        for spec in specs {
            let node = entries
                .iter()
                .find(|entry| entry.key == spec.name)
                .map(|entry| &entry.value);
            let is_secret = spec.is_secret || node.is_some_and(Node::holds_secret);
            if let Some(value) = spec.value(node, place, diagnostics) {
                settings.push(Setting {
                    name: spec.name.clone(),
                    value,
                    is_secret,
                });
            }
        }
        Settings(settings)
    }
}

impl SettingSpec {
    /// Reads the `settings:` of a definition.
    pub(super) fn read_all(node: &Node, diagnostics: &mut Diagnostics) -> Vec<SettingSpec> {
        match &node.value {
            Value::Map(entries) => entries
                .iter()
                .map(|entry| SettingSpec::read(entry, diagnostics))
                .collect(),
            Value::Scalar(_) | Value::List(_) => {
                diagnostics.error(
                    node.place,
                    format!("settings must be a mapping, not {}", node.describe()),
                );
                Vec::new()
            }
        }
    }

    fn read(entry: &Entry, diagnostics: &mut Diagnostics) -> SettingSpec {
        let context = format!("settings.{}", entry.key);
        let mut fields = Fields::new(&entry.value, &context, diagnostics);
        if !fields.has("type") {
            fields.missing("type", diagnostics);
        }
        let setting_type = fields
            .choice("type", SettingType::WORDS, diagnostics)
            .unwrap_or(SettingType::String);
        let has_default = fields.has("default");
        let default = fields.node("default").and_then(|node| {
            let value = setting_type.read(node);
            if value.is_none() {
                let wanted = setting_type.word();
                diagnostics.error(
                    node.place,
                    format!(
                        "{context}.default must be of type {wanted}, not {}",
                        node.describe()
                    ),
                );
            }
            value
        });
        let spec = SettingSpec {
            name: entry.key.clone(),
            setting_type,
            is_required: fields.boolean("required", diagnostics).unwrap_or(false),
            is_secret: fields.boolean("secret", diagnostics).unwrap_or(false),
            default,
            about: fields.string("about", diagnostics).unwrap_or_default(),
        };
        if !spec.is_required && !has_default {
            diagnostics.error(
                fields.place(),
                format!("{context} needs a default, or required: true"),
            );
        }
        fields.finish(diagnostics);
        spec
    }

    fn value(
        &self,
        node: Option<&Node>,
        place: Place,
        diagnostics: &mut Diagnostics,
    ) -> Option<SettingValue> {
        let Some(node) = node.filter(|node| !node.is_null()) else {
            if self.is_required {
                let added = diagnostics.error(place, format!("missing setting: {}", self.name));
                added.hint(format!("{}: {}", self.name, self.about));
            }
            return self.default.clone();
        };
        let value = self.setting_type.read(node);
        if value.is_none() {
            let wanted = self.setting_type.word();
            diagnostics.error(
                node.place,
                format!(
                    "settings.{} must be of type {wanted}, not {}",
                    self.name,
                    node.describe()
                ),
            );
        }
        value
    }
}
