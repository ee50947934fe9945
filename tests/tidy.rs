//! The project keeps its own order: modules use only what is below them, nothing is left to do, and files stay short.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// The modules from the top to the ground, as DESIGN has them: each uses only what stands on a later line.
const LAYERS: [&[&str]; 19] = [
    &["cli"],
    &["service"],
    &["http"],
    &["worker"],
    &["kafka"],
    &["config", "metrics", "status", "process", "playground"],
    &["log"],
    &["cases"],
    &["examples", "explanation", "suggestion"],
    &["router"],
    &["send"],
    &["destination"],
    &["selection", "latest", "consent"],
    &["event"],
    &["traits", "flags", "envelope"],
    &["watermark", "verdict"],
    &["date", "yaml"],
    &["diagnostic", "json"],
    &["record"],
];

/// Files with more than 420 lines besides their tests, and why each is better as one.
const LONG: [(&str, &str); 12] = [
    (
        "destination/compile.rs",
        "one pass over a definition: every name, filter and type",
    ),
    (
        "destination/definition.rs",
        "a definition's shape: a struct and its reader, field by field",
    ),
    ("destination/run.rs", "how each of them is carried out"),
    (
        "envelope.rs",
        "everything that is written around a body, on one page",
    ),
    (
        "kafka/source.rs",
        "what the group gives and takes, each with what it does to the partitions",
    ),
    ("json.rs", "everything about JSON as bytes"),
    (
        "kafka/delivery.rs",
        "the guarantee in one place: send, drain, commit, abort",
    ),
    ("kafka/native.rs", "every call that the binding lacks"),
    ("router.rs", "the whole meaning of the program on one page"),
    ("traits/vocabulary.rs", "every name that a trait goes by"),
    ("worker.rs", "the loop, whose steps are read in order"),
    (
        "yaml.rs",
        "the parser and the reader of mappings, which share their positions",
    ),
];

const MAX_LINES: usize = 420;

/// The sources of the shell and of the core.
const ROOTS: [&str; 2] = ["src", "crates/core/src"];

#[test]
fn a_module_uses_only_what_is_below_it() {
    let mut faults = Vec::new();
    for file in sources() {
        let Some(own) = layer(&file.module) else {
            if !matches!(file.module.as_str(), "lib" | "main") {
                faults.push(format!(
                    "{}: no layer has the module {}: give it one here",
                    file.name, file.module
                ));
            }
            continue;
        };
        for (line, used) in file.uses() {
            match layer(&used) {
                Some(_) if used == file.module => {}
                Some(layer) if layer > own => {}
                Some(_) => faults.push(format!(
                    "{}:{line}: {} must not use {used}, which is not below it",
                    file.name, file.module
                )),
                None => faults.push(format!(
                    "{}:{line}: no module of ours: crate::{used}",
                    file.name
                )),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_layer_has_its_modules() {
    let modules: Vec<String> = sources().into_iter().map(|file| file.module).collect();
    for module in LAYERS.iter().copied().flatten() {
        assert!(
            modules.iter().any(|other| other == module),
            "no file of the module {module}"
        );
    }
}

#[test]
fn nothing_is_left_to_do() {
    let mut faults = Vec::new();
    for file in sources() {
        for (line, text) in (1..).zip(file.text.lines()) {
            let words = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];
            faults.extend(
                words
                    .iter()
                    .filter(|word| text.contains(*word))
                    .map(|word| format!("{}:{line}: {word}", file.name)),
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_are_short_or_say_why_not() {
    let mut faults = Vec::new();
    for file in sources() {
        let n_lines = file.untested().lines().count();
        let reason = LONG.iter().find(|(name, _)| file.in_root() == *name);
        match (n_lines > MAX_LINES, reason) {
            (true, None) => faults.push(format!(
                "{}: {n_lines} lines without tests, and no reason in LONG",
                file.name
            )),
            (false, Some(_)) => faults.push(format!(
                "{}: {n_lines} lines: it needs no reason in LONG",
                file.name
            )),
            (true, Some(_)) | (false, None) => {}
        }
    }
    for (name, _) in LONG {
        assert!(
            ROOTS.iter().any(|root| Path::new(root).join(name).exists()),
            "no such file in LONG: {name}"
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

struct Source {
    /// Its path from the project's root.
    name: String,
    /// The module of the crate's root that it is part of.
    module: String,
    text: String,
}

impl Source {
    /// Returns its path from the folder of its crate's sources.
    fn in_root(&self) -> &str {
        ROOTS
            .iter()
            .find_map(|root| self.name.strip_prefix(root)?.strip_prefix('/'))
            .unwrap()
    }

    /// Returns the text before the tests; all of a file of tests only is tests.
    fn untested(&self) -> &str {
        if self.name.ends_with("/tests.rs") || self.name.contains("/tests/") {
            return "";
        }
        self.text
            .find("\n#[cfg(test)]\nmod tests {")
            .map_or(&self.text, |end| &self.text[..end])
    }

    /// Returns the lines of code with their numbers, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..)
            .zip(self.untested().lines())
            .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
    }

    /// Returns each module of the crate's root that a path names, with the path's line.
    fn uses(&self) -> Vec<(usize, String)> {
        let mut uses = Vec::new();
        for (line, code) in self.code() {
            // From a file of the root `super` is the root.
            let code = if !self.in_root().contains('/') {
                code.replace("super::", "crate::")
            } else {
                code.to_owned()
            };
            for path in code.split("crate::").skip(1) {
                let names = path
                    .strip_prefix('{')
                    .map_or(path, |list| list.split('}').next().unwrap_or_default());
                let is_list = path.starts_with('{');
                for name in names.split(',').take(if is_list { usize::MAX } else { 1 }) {
                    let name: String = name
                        .trim()
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    uses.push((line, name));
                }
            }
        }
        uses
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    ROOTS
        .iter()
        .for_each(|root| collect(Path::new(root), &mut paths));
    paths.sort();
    assert!(paths.len() > 20, "the tests run in the project's root");
    paths
        .into_iter()
        .map(|path| {
            let root = ROOTS.iter().find(|root| path.starts_with(root)).unwrap();
            let first = path
                .strip_prefix(root)
                .unwrap()
                .iter()
                .next()
                .unwrap()
                .to_string_lossy();
            Source {
                name: path.to_string_lossy().into_owned(),
                module: first.trim_end_matches(".rs").to_owned(),
                text: std::fs::read_to_string(&path).unwrap(),
            }
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}
