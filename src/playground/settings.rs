//! A destination's settings as the text of an editor.

use std::fmt::Write as _;

use serde_json::Value;

use crate::destination::{Definition, SettingSpec, SettingType, Settings};
use crate::diagnostic::{Diagnostics, Place};
use crate::yaml;

/// Reads settings as they stand in an editor.
pub(super) fn read_settings(
    definition: &Definition,
    text: &str,
    found: &mut Diagnostics,
) -> Settings {
    let node = yaml::parse(text, found);
    let place = Place {
        source: 0,
        line: 1,
        column: 1,
        length: 1,
    };
    definition.read_settings(node.as_ref(), place, found)
}

/// Writes settings for an editor: what is given, and what else there is as comments.
pub(super) fn settings_text(definition: &Definition, given: Option<&Settings>) -> String {
    let mut text = String::new();
    for spec in &definition.settings {
        let value = match given {
            Some(settings) => settings
                .get(&spec.name)
                .filter(|value| Some(*value) != spec.default.as_ref())
                .map(|value| value.as_json()),
            None => sample(spec),
        };
        // Writing to a string cannot fail.
        match (value, &spec.default) {
            (Some(value), _) => writeln!(text, "{}: {value}", spec.name),
            (None, Some(default)) => writeln!(text, "# {}: {}", spec.name, default.as_json()),
            (None, None) => writeln!(text, "# {}:", spec.name),
        }
        .unwrap_or_default();
    }
    text
}

/// Returns the value that a setting has where nobody gave one; absent where its default will do.
fn sample(spec: &SettingSpec) -> Option<Value> {
    if spec.name == "custom_traits" && spec.setting_type == SettingType::List {
        return Some("all".into());
    }
    spec.is_required.then(|| match spec.setting_type {
        // As a shell would name it: a secret is never there to be shown.
        SettingType::String => format!("${{{}}}", spec.name.to_uppercase()).into(),
        SettingType::Boolean => true.into(),
        SettingType::Integer => 1.into(),
        SettingType::List => Value::Array(Vec::new()),
        SettingType::Map => Value::Object(serde_json::Map::new()),
    })
}
