//! One file of `destinations/accepts/`: what a vendor takes.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::described;
use crate::route::Left;

/// What a vendor takes, by operation.
pub(crate) struct Accepted {
    file: Value,
    operations: BTreeMap<String, Taken>,
}

struct Taken {
    item: Validator,
    query: BTreeMap<String, Validator>,
    replaces: bool,
    largest: Option<u64>,
}

/// Why a vendor refuses a record.
pub(crate) struct Fault {
    /// The place in the schema, which is the same for every event.
    pub(crate) what: String,
    /// The place in the body, and what stands there.
    pub(crate) detail: String,
}

impl Accepted {
    pub(crate) fn read(id: &str) -> Accepted {
        let path = format!("destinations/accepts/{id}.json");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|fault| panic!("{path}: {fault}: what does the vendor take?"));
        let file: Value =
            serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{path}: {fault}"));
        let operations = file["operations"].as_object().expect("operations");
        let operations = operations
            .iter()
            .map(|(operation, said)| (operation.clone(), Taken::read(&file, said)))
            .collect();
        Accepted { file, operations }
    }

    pub(crate) fn operations(&self) -> BTreeSet<&str> {
        self.operations.keys().map(String::as_str).collect()
    }

    /// Returns what is wrong with the vendor's own examples, by which a schema is held to its pages.
    pub(crate) fn examples_faults(&self) -> Vec<String> {
        let none = Vec::new();
        let examples = self.file["examples"].as_array().unwrap_or(&none);
        let faults = examples.iter().flat_map(|example| {
            let operation = example["operation"].as_str().expect("an operation");
            let item = &self.operations[operation].item;
            item.iter_errors(&example["item"])
                .map(|fault| format!("{operation}: the vendor's example: {fault}"))
                .collect::<Vec<_>>()
        });
        faults.collect()
    }

    /// Returns what is otherwise in the vendor's own description, if it is in the folder.
    pub(crate) fn differences(
        &self,
        id: &str,
        folder: &str,
        said: &mut Vec<String>,
    ) -> Vec<String> {
        described::differences(id, &self.file, folder, said)
    }

    /// Whether an operation replaces all that the vendor has, so that what it does not mention is cleared.
    pub(crate) fn replaces(&self, operation: &str) -> bool {
        self.operations
            .get(operation)
            .is_some_and(|taken| taken.replaces)
    }

    /// Returns why the vendor refuses a record, or loses a part of it.
    pub(crate) fn faults(&self, record: &Left) -> Vec<Fault> {
        let taken = self
            .operations
            .get(&record.operation)
            .unwrap_or_else(|| panic!("no schema: {}", record.operation));
        // Nearly all are valid, which is quickly seen; what is wrong takes longer to say.
        let is_valid = taken.item.is_valid(&record.body);
        let body = (!is_valid).then_some(&record.body);
        let mut faults: Vec<Fault> = body
            .into_iter()
            .flat_map(|body| taken.item.iter_errors(body))
            .map(|error| Fault {
                what: error.schema_path().to_string(),
                detail: format!("{}: {}", error.instance_path(), error.masked()),
            })
            .collect();
        for (name, value) in record.parameters() {
            let Some(validator) = taken.query.get(&name) else {
                continue;
            };
            faults.extend(
                validator
                    .iter_errors(&Value::from(value))
                    .map(|error| Fault {
                        what: format!("{{{name}}}{}", error.schema_path()),
                        detail: error.masked().to_string(),
                    }),
            );
        }
        if taken.replaces && has_empty(&record.body) {
            faults.push(Fault {
                what: "law: an operation that replaces sends nothing empty".to_owned(),
                detail: String::new(),
            });
        }
        let size = record.n_bytes as u64;
        if let Some(largest) = taken.largest.filter(|largest| size > *largest) {
            faults.push(Fault {
                what: "law: an item is no larger than the vendor takes".to_owned(),
                detail: format!("{size} bytes of {largest}"),
            });
        }
        faults
    }
}

impl Taken {
    fn read(file: &Value, said: &Value) -> Taken {
        let none = Map::new();
        let query = said["query"].as_object().unwrap_or(&none);
        // One item can never be larger than the whole request.
        let largest = ["item_bytes", "bytes"]
            .iter()
            .filter_map(|limit| said["limits"][limit].as_u64());
        Taken {
            item: validator(file, &said["item"]),
            query: query
                .iter()
                .map(|(name, schema)| (name.clone(), validator(file, schema)))
                .collect(),
            replaces: said["replaces"] == true,
            largest: largest.min(),
        }
    }
}

/// Compiles a schema with the parts that the file shares.
fn validator(file: &Value, schema: &Value) -> Validator {
    let mut schema = schema.clone();
    if let (Some(members), Some(shared)) = (schema.as_object_mut(), file.get("$defs")) {
        members.insert("$defs".to_owned(), shared.clone());
    }
    jsonschema::draft202012::new(&schema)
        .unwrap_or_else(|fault| panic!("{}: {fault}", file["vendor"]))
}

fn has_empty(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty() || members.values().any(has_empty),
        Value::Array(elements) => elements.is_empty() || elements.iter().any(has_empty),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
