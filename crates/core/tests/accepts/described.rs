//! Some vendors describe their API for machines. What our files of `destinations/accepts/` say is held to those descriptions:
//! the same fields, nothing required that ours leaves out, the same words.

use std::path::PathBuf;

use groupcast_core::diagnostic::Diagnostics;
use groupcast_core::yaml;
use serde_json::{Map, Value};

/// Compares a file of ours with the vendors' descriptions in the folder, and says what differs and what could not be looked at.
pub(crate) fn differences(
    id: &str,
    file: &Value,
    folder: &str,
    said: &mut Vec<String>,
) -> Vec<String> {
    let none = Vec::new();
    let mut differences = Vec::new();
    for described in file["described"].as_array().unwrap_or(&none) {
        let text = |key: &str| described[key].as_str().expect("a text");
        let operation = text("operation");
        let path = file_of(folder, id, text("url"));
        let Some(vendors) = read(&path) else {
            let path = path.display();
            said.push(format!("SKIPPED: {id} {operation}: no file {path}"));
            continue;
        };
        let Some(schema) = vendors.pointer(text("schema")) else {
            differences.push(format!(
                "{id} {operation}: nothing stands at {}",
                text("schema")
            ));
            continue;
        };
        let ours = &file["operations"][operation]["item"];
        let mut comparison = Comparison {
            ours: file,
            vendors: &vendors,
            differences: Vec::new(),
            n_fields: 0,
        };
        comparison.compare(ours, schema, "");
        let n_fields = comparison.n_fields;
        said.push(format!("{id} {operation}: {n_fields} fields compared"));
        let known = described["differs"].as_object();
        let is_known =
            |difference: &String| known.is_some_and(|known| known.contains_key(difference));
        let new = comparison
            .differences
            .into_iter()
            .filter(|difference| !is_known(difference));
        differences.extend(new.map(|difference| format!("{id} {operation}: {difference}")));
    }
    differences
}

/// Returns where `just vendor-schemas` puts a description: the destination's id with the ending of the address.
fn file_of(folder: &str, id: &str, url: &str) -> PathBuf {
    let ending = url.rsplit('.').next().unwrap_or_default();
    PathBuf::from(folder).join(format!("{id}.{ending}"))
}

fn read(path: &PathBuf) -> Option<Value> {
    let text = std::fs::read_to_string(path).ok()?;
    if path.extension().is_some_and(|ending| ending == "json") {
        return Some(
            serde_json::from_str(&text)
                .unwrap_or_else(|fault| panic!("{}: {fault}", path.display())),
        );
    }
    let mut json = String::new();
    yaml::parse(&text, &mut Diagnostics::new(""))
        .expect("YAML")
        .write_json(&mut json);
    Some(serde_json::from_str(&json).expect("JSON"))
}

struct Comparison<'v> {
    ours: &'v Value,
    vendors: &'v Value,
    differences: Vec<String>,
    n_fields: usize,
}

impl Comparison<'_> {
    fn compare(&mut self, ours: &Value, vendors: &Value, path: &str) {
        let ours = Fields::of(ours, self.ours);
        let vendors = Fields::of(vendors, self.vendors);
        if vendors.properties.is_empty() {
            return;
        }
        for name in &vendors.required {
            if ours.properties.contains_key(name) && !ours.required.contains(name) {
                self.differences
                    .push(format!("{path}/{name}: the vendor requires it"));
            }
        }
        for (name, schema) in &ours.properties {
            let path = format!("{path}/{name}");
            self.n_fields += 1;
            let Some(theirs) = vendors.properties.get(name) else {
                self.differences
                    .push(format!("{path}: the vendor does not name it"));
                continue;
            };
            let words =
                |schema: &Value, root: &Value| resolved(schema, root)["enum"].as_array().cloned();
            if let (Some(words), Some(theirs)) =
                (words(schema, self.ours), words(theirs, self.vendors))
                && words.iter().any(|word| !theirs.contains(word))
            {
                self.differences.push(format!("{path}: other words"));
            }
            self.compare(schema, theirs, &path);
        }
    }
}

/// The fields of an object, those of its parts (`allOf`) among them.
#[derive(Default)]
struct Fields {
    properties: Map<String, Value>,
    required: Vec<String>,
}

impl Fields {
    fn of(schema: &Value, root: &Value) -> Fields {
        let schema = resolved(schema, root);
        let mut fields = Fields::default();
        fields.properties.extend(
            schema["properties"]
                .as_object()
                .cloned()
                .unwrap_or_default(),
        );
        let required = schema["required"].as_array().into_iter().flatten();
        fields
            .required
            .extend(required.filter_map(Value::as_str).map(str::to_owned));
        for part in schema["allOf"].as_array().into_iter().flatten() {
            let part = Fields::of(part, root);
            fields.properties.extend(part.properties);
            fields.required.extend(part.required);
        }
        fields
    }
}

fn resolved<'v>(schema: &'v Value, root: &'v Value) -> &'v Value {
    let reference = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    match reference.and_then(|pointer| root.pointer(pointer)) {
        Some(target) => resolved(target, root),
        None => schema,
    }
}
