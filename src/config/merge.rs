//! Lays environment variables and flags over the file.
//!
//! The `config` crate merges. Its values know neither order nor place, and its paths split at every dot; so each variable
//! and flag goes in as a small tree of its own, and what comes out is hung back onto the tree that was parsed.

use config::{ConfigError, Environment, Map, Source, Value, ValueKind};

use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::yaml::{self, Entry, Node, Scalar};

/// The mappings whose keys are the user's own: what is left of a path below them is one key, dots and all.
pub(super) const OPEN_MAPPINGS: &[&str] = &[
    "kafka.properties",
    "kafka.consumer_properties",
    "kafka.producer_properties",
    "source.event_at",
    "traits.aliases",
    "traits.types",
];

/// The lists of strings: outside the file they are written with commas.
const LISTS: &[&str] = &["source.topics", "traits.known"];

/// Where the whole tree stands in the `config` crate's: a key of its own, since top keys alone are split at dots there.
const ROOT: &str = "root";

/// Lays `environment` over the file's tree and `overrides` over both.
///
/// What is not from the file has a place whose source is its origin, which [`Origins::name`] names.
pub(super) fn merge(
    file: &Node,
    environment: &[(String, String)],
    overrides: &[(String, String)],
    diagnostics: &mut Diagnostics,
) -> (Node, Origins) {
    let mut builder = config::Config::builder().add_source(Layer(to_value(file)));
    let mut origins = Origins::default();
    for (origin, path, text) in variables(environment).into_iter().chain(flags(overrides)) {
        builder = builder.add_source(Layer(nested(&path, Value::new(Some(&origin), text))));
        origins.names.push(origin);
    }
    // Not through `Config::get`, which forgets where a value comes from.
    let merged = builder
        .build()
        .and_then(|merged| merged.cache.into_table())
        .map(|mut table| table.remove(ROOT));
    let tree = match merged {
        Ok(merged) => origins.restore(merged.unwrap_or_default(), Some(file), file.place, ""),
        Err(error) => {
            diagnostics.error(
                None,
                format!("cannot be merged with the environment: {error}"),
            );
            file.clone()
        }
    };
    (tree, origins)
}

/// Returns origin, path and text of each variable that is ours, in a stable order.
fn variables(environment: &[(String, String)]) -> Vec<(String, String, String)> {
    let mut found: Vec<_> = environment
        .iter()
        .filter_map(|(name, text)| variable(name, text))
        .collect();
    found.sort();
    found
}

fn variable(name: &str, text: &str) -> Option<(String, String, String)> {
    // An empty variable is one that compose or a unit file did not fill in.
    let variables = Environment::with_prefix("GROUPCAST")
        .separator("__")
        .ignore_empty(true);
    let alone = variables.source(Some(Map::from([(name.to_owned(), text.to_owned())])));
    let (path, _) = alone.collect().ok()?.into_iter().next()?;
    Some((format!("environment {name}"), path, text.to_owned()))
}

fn flags(overrides: &[(String, String)]) -> impl Iterator<Item = (String, String, String)> {
    overrides
        .iter()
        .map(|(path, text)| (format!("command line {path}"), path.clone(), text.clone()))
}

/// One layer of configuration, as the `config` crate takes it.
#[derive(Debug, Clone)]
struct Layer(Value);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(Map::from([(ROOT.to_owned(), self.0.clone())]))
    }
}

fn to_value(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Scalar(scalar) => Value::new(None, scalar.text.as_str()),
        // A list is replaced as a whole or comes back as it stands in the file: nothing in it is merged.
        yaml::Value::List(_) => Value::new(None, Vec::<Value>::new()),
        yaml::Value::Map(entries) => {
            let table: Map<String, Value> = entries
                .iter()
                .map(|entry| (entry.key.clone(), to_value(&entry.value)))
                .collect();
            Value::new(None, table)
        }
    }
}

fn nested(path: &str, leaf: Value) -> Value {
    let wrap = |inner, key: &str| Value::new(None, Map::from([(key.to_owned(), inner)]));
    keys(path).into_iter().rev().fold(leaf, wrap)
}

fn keys(path: &str) -> Vec<&str> {
    let below =
        |mapping: &&'static str| Some((*mapping, path.strip_prefix(mapping)?.strip_prefix('.')?));
    match OPEN_MAPPINGS.iter().find_map(below) {
        Some((mapping, key)) => mapping.split('.').chain([key]).collect(),
        None => path.split('.').collect(),
    }
}

/// Where the values come from that are not in the file.
#[derive(Debug, Default)]
pub(super) struct Origins {
    names: Vec<String>,
}

impl Origins {
    /// Names the origin as the diagnostic's file where its place stands for one.
    pub(super) fn name(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        let source = diagnostic.place.map_or(0, |place| place.source);
        if let Some(name) = source
            .checked_sub(1)
            .and_then(|index| self.names.get(index))
        {
            diagnostic.file = name.as_str().into();
            diagnostic.place = None;
        }
        diagnostic
    }

    /// Stands for the origin; the file itself is 0.
    fn place(&self, origin: &str) -> Place {
        let index = self.names.iter().position(|name| name == origin);
        Place {
            source: index.map_or(0, |index| index + 1),
            ..Place::default()
        }
    }

    /// Turns a merged value back into a node. `written` is what the file has there, `around` where the mapping around it stands.
    fn restore(&self, merged: Value, written: Option<&Node>, around: Place, path: &str) -> Node {
        let origin = merged.origin().map(|origin| self.place(origin));
        match (merged.kind, origin, written) {
            (ValueKind::Table(table), _, written) => {
                self.restore_mapping(table, written, around, path)
            }
            (_, None, Some(written)) => written.clone(),
            (kind, origin, _) => replacement(&kind.to_string(), origin.unwrap_or(around), path),
        }
    }

    fn restore_mapping(
        &self,
        mut table: Map<String, Value>,
        written: Option<&Node>,
        around: Place,
        path: &str,
    ) -> Node {
        let mut entries = Vec::new();
        let place = written.map_or(around, |node| node.place);
        if let Some(Node {
            value: yaml::Value::Map(written),
            ..
        }) = written
        {
            for entry in written {
                let Some(merged) = table.remove(&entry.key) else {
                    continue;
                };
                let value =
                    self.restore(merged, Some(&entry.value), place, &join(path, &entry.key));
                entries.push(Entry {
                    value,
                    ..entry.clone()
                });
            }
        }
        let mut added: Vec<_> = table.into_iter().collect();
        added.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, merged) in added {
            let value = self.restore(merged, None, place, &join(path, &key));
            entries.push(Entry {
                key_place: first_leaf(&value),
                key,
                value,
            });
        }
        Node {
            place,
            value: yaml::Value::Map(entries),
        }
    }
}

fn replacement(text: &str, place: Place, path: &str) -> Node {
    let scalar = |text: &str| {
        let scalar = Scalar {
            text: text.trim().to_owned(),
            is_plain: true,
            is_secret: false,
        };
        Node {
            place,
            value: yaml::Value::Scalar(scalar),
        }
    };
    if !LISTS.contains(&path) {
        return scalar(text);
    }
    let items = text
        .split(',')
        .filter(|item| !item.trim().is_empty())
        .map(scalar)
        .collect();
    Node {
        place,
        value: yaml::Value::List(items),
    }
}

/// Returns where a mapping that is not in the file comes from.
fn first_leaf(node: &Node) -> Place {
    match &node.value {
        yaml::Value::Map(entries) => entries
            .first()
            .map_or(node.place, |entry| first_leaf(&entry.value)),
        yaml::Value::Scalar(_) | yaml::Value::List(_) => node.place,
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn pairs(pairs: Pairs<'_>) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn merged(file: &str, environment: Pairs<'_>, overrides: Pairs<'_>) -> (Node, Origins) {
        let mut diagnostics = Diagnostics::new("g.yaml");
        let file = yaml::parse(file, &mut diagnostics).unwrap();
        let merged = merge(
            &file,
            &pairs(environment),
            &pairs(overrides),
            &mut diagnostics,
        );
        assert_eq!(diagnostics.into_sorted(), []);
        merged
    }

    #[test]
    fn environment_goes_over_the_file_and_flags_over_both() {
        let rows: &[(&str, Pairs<'_>, Pairs<'_>, &str)] = &[
            ("a: 1", &[], &[], r#"{"a":1}"#),
            ("a: 1", &[("GROUPCAST__A", "2")], &[], r#"{"a":2}"#),
            (
                "a: 1",
                &[("GROUPCAST__A", "2")],
                &[("a", "3")],
                r#"{"a":3}"#,
            ),
            (
                "a: 1",
                &[
                    ("groupcast__a", "2"),
                    ("GROUPCAST_A", "4"),
                    ("OTHER__A", "5"),
                ],
                &[],
                r#"{"a":2}"#,
            ),
            // An empty variable is one that nobody set; an empty flag was typed.
            ("a: 1", &[("GROUPCAST__A", "")], &[], r#"{"a":1}"#),
            ("a: 1", &[], &[("a", "")], r#"{"a":null}"#),
            (
                "",
                &[("GROUPCAST__KAFKA__BROKERS", "b:1,c:2")],
                &[],
                r#"{"kafka":{"brokers":"b:1,c:2"}}"#,
            ),
            (
                "kafka:",
                &[("GROUPCAST__KAFKA__BROKERS", "b")],
                &[],
                r#"{"kafka":{"brokers":"b"}}"#,
            ),
            (
                "kafka: {brokers: a}",
                &[("GROUPCAST__KAFKA", "x")],
                &[],
                r#"{"kafka":"x"}"#,
            ),
            // Order, spelling and quotes of the file survive; what is new comes last.
            (
                "z: 1.50\ny: '7'\nx: 12345678901234567890\nw: [3, {v: 1e3}]",
                &[("GROUPCAST__B", "true"), ("GROUPCAST__A", "0x1F")],
                &[("x", "no")],
                r#"{"z":1.50,"y":"7","x":"no","w":[3,{"v":1e3}],"a":31,"b":true}"#,
            ),
            // librdkafka's names hold dots; in a variable a dot may be written as two underscores.
            (
                "kafka: {properties: {fetch.min.bytes: 1, group.protocol: a}}",
                &[
                    ("GROUPCAST__KAFKA__PROPERTIES__FETCH__MIN__BYTES", "2"),
                    ("GROUPCAST__KAFKA__PROPERTIES__GROUP.PROTOCOL.TYPE", "b"),
                ],
                &[("kafka.producer_properties.linger.ms", "9")],
                r#"{"kafka":{"properties":{"fetch.min.bytes":2,"group.protocol":"a","group.protocol.type":"b"},"producer_properties":{"linger.ms":9}}}"#,
            ),
            // The same in the file's own keys: a dotted top key is no path.
            (
                "kafka.brokers: a\nkafka: {}",
                &[],
                &[],
                r#"{"kafka.brokers":"a","kafka":{}}"#,
            ),
            (
                "source: {topics: [a]}",
                &[
                    ("GROUPCAST__SOURCE__TOPICS", "b, c,"),
                    ("GROUPCAST__TRAITS__KNOWN", "x"),
                ],
                &[],
                r#"{"source":{"topics":["b","c"]},"traits":{"known":["x"]}}"#,
            ),
            (
                "source: {group_id: g}",
                &[],
                &[("source.group_id", "a,b")],
                r#"{"source":{"group_id":"a,b"}}"#,
            ),
            // A secret's reference is replaced as a whole.
            (
                "kafka: {brokers: {env: X}}",
                &[("GROUPCAST__KAFKA__BROKERS", "b")],
                &[],
                r#"{"kafka":{"brokers":"b"}}"#,
            ),
        ];
        for (file, environment, overrides, expected) in rows {
            let mut json = String::new();
            merged(file, environment, overrides).0.write_json(&mut json);
            assert_eq!(json, *expected, "{file} {environment:?} {overrides:?}");
        }
    }

    #[test]
    fn each_value_says_where_it_comes_from() {
        let file = "kafka:\n  brokers: a\n";
        let (tree, origins) = merged(
            file,
            &[("GROUPCAST__KAFKA__BROKRS", "b")],
            &[("http.listen", "c"), ("kafka.brokers", "d")],
        );
        let mut diagnostics = Diagnostics::new("g.yaml");
        let kafka = tree.get("kafka").unwrap();
        let mut fields = yaml::Fields::new(kafka, "kafka", &mut diagnostics);
        diagnostics.error(fields.node("brokers").unwrap().place, "brokers");
        diagnostics.error(kafka.place, "kafka");
        diagnostics.error(tree.get("http").unwrap().place, "http");
        fields.finish(&mut diagnostics);
        yaml::Fields::new(&tree, "", &mut diagnostics).finish(&mut diagnostics);
        let named: Vec<String> = diagnostics
            .into_sorted()
            .into_iter()
            .map(|found| origins.name(found).to_string())
            .collect();
        assert_eq!(
            named,
            [
                "g.yaml:1:1: error: http",
                "g.yaml:1:1: error: unknown key: kafka",
                "g.yaml:2:3: error: kafka",
                "environment GROUPCAST__KAFKA__BROKRS: error: unknown key: kafka.brokrs\n  hint: did you mean: brokers",
                "command line http.listen: error: unknown key: http",
                "command line kafka.brokers: error: brokers",
            ]
        );
    }
}
