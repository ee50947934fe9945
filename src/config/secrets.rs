//! Secrets: where a string may stand, `{file: PATH}` or `{env: NAME}` may stand instead. What they yield is never printed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::merge::{OPEN_MAPPINGS, join};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::yaml::{Entry, Node, Scalar, Value};

/// Replaces references by what they refer to, and remembers it, so that it can be kept out of every message.
pub(super) struct Secrets<'a> {
    folder: &'a Path,
    environment: &'a [(String, String)],
    /// The longest first, so that none leaves a rest of another behind.
    texts: Vec<String>,
    /// The files that were read.
    files: Vec<PathBuf>,
    /// Where references stand that lead nowhere.
    unresolved: Vec<Place>,
}

impl<'a> Secrets<'a> {
    /// Starts with none. Paths are relative to `folder`.
    pub(super) fn new(folder: &'a Path, environment: &'a [(String, String)]) -> Self {
        Secrets {
            folder,
            environment,
            texts: Vec::new(),
            files: Vec::new(),
            unresolved: Vec::new(),
        }
    }

    /// Replaces every reference in `root`. One that leads nowhere is reported and reads as an empty string.
    pub(super) fn resolve(&mut self, root: &mut Node, diagnostics: &mut Diagnostics) {
        self.resolve_below(root, "", diagnostics);
        self.texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
    }

    fn resolve_below(&mut self, node: &mut Node, path: &str, diagnostics: &mut Diagnostics) {
        match &mut node.value {
            Value::Map(entries) if is_reference(entries) && !is_mapping(path) => {
                let resolved = self.read(node.place, entries, diagnostics);
                let text = resolved.unwrap_or_else(|| {
                    self.unresolved.push(node.place);
                    String::new()
                });
                self.texts.extend((!text.is_empty()).then(|| text.clone()));
                node.value = Value::Scalar(Scalar {
                    text,
                    is_plain: false,
                    is_secret: true,
                });
            }
            Value::Map(entries) => {
                for entry in entries {
                    self.resolve_below(&mut entry.value, &join(path, &entry.key), diagnostics);
                }
            }
            Value::List(nodes) => {
                for node in nodes {
                    self.resolve_below(node, &format!("{path}[]"), diagnostics);
                }
            }
            Value::Scalar(_) => {}
        }
    }

    fn read(
        &mut self,
        place: Place,
        entries: &[Entry],
        diagnostics: &mut Diagnostics,
    ) -> Option<String> {
        let [Entry { key, value, .. }] = entries else {
            diagnostics.error(place, "a secret is either a file or a variable, not both");
            return None;
        };
        let Some(target) = value
            .as_scalar()
            .filter(|_| !value.is_null())
            .map(|scalar| scalar.text.as_str())
        else {
            diagnostics.error(
                value.place,
                format!(
                    "the secret's {key} must be a string, not {}",
                    value.describe()
                ),
            );
            return None;
        };
        if key == "env" {
            self.variable(target, value.place, diagnostics)
        } else {
            self.file(target, value.place, diagnostics)
        }
    }

    fn variable(&self, name: &str, place: Place, diagnostics: &mut Diagnostics) -> Option<String> {
        let found = self
            .environment
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, text)| text);
        match found {
            Some(text) if !text.is_empty() => return Some(text.clone()),
            // Compose and unit files pass on a variable that nobody set as an empty one.
            Some(_) => {
                diagnostics.error(place, format!("the environment variable is empty: {name}"))
            }
            None => diagnostics.error(place, format!("no such environment variable: {name}")),
        };
        None
    }

    fn file(&mut self, path: &str, place: Place, diagnostics: &mut Diagnostics) -> Option<String> {
        let path = self.folder.join(path);
        match fs::read_to_string(&path) {
            Ok(text) => {
                self.files.push(path);
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
            }
            Err(error) => {
                diagnostics.error(
                    place,
                    format!(
                        "cannot read the secret's file ({error}): {}",
                        path.display()
                    ),
                );
                None
            }
        }
    }

    /// Returns whether `diagnostic` only follows from a reference that leads nowhere.
    pub(super) fn is_consequence(&self, diagnostic: &Diagnostic) -> bool {
        diagnostic
            .place
            .is_some_and(|place| self.unresolved.contains(&place))
    }

    /// Takes every secret out of a diagnostic's message and hint.
    pub(super) fn redacted(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        diagnostic.message = redact(diagnostic.message, &self.texts);
        diagnostic.hint = diagnostic.hint.map(|hint| redact(hint, &self.texts));
        diagnostic
    }

    /// Returns the secrets, for [`redact`], and the files that they were read from.
    pub(super) fn into_texts_and_files(self) -> (Vec<String>, Vec<PathBuf>) {
        (self.texts, self.files)
    }
}

/// Takes `secrets`, the longest first, out of `text`, also as `{:?}` would print them.
pub(super) fn redact(mut text: String, secrets: &[String]) -> String {
    for secret in secrets {
        let quoted = format!("{secret:?}");
        text = text.replace(&quoted, REDACTED);
        if secret.len() < SHORT {
            let shown = text
                .strip_suffix(secret.as_str())
                .filter(|rest| rest.ends_with(": "));
            text = shown
                .map(|rest| format!("{rest}{REDACTED}"))
                .unwrap_or(text);
        } else {
            text = text
                .replace(secret, REDACTED)
                .replace(quoted.trim_matches('"'), REDACTED);
        }
    }
    text
}

const REDACTED: &str = "(secret)";

/// A secret of fewer bytes than this would be found in ordinary words: only where it is the whole value is it taken out.
const SHORT: usize = 4;

fn is_reference(entries: &[Entry]) -> bool {
    !entries.is_empty()
        && entries
            .iter()
            .all(|entry| matches!(entry.key.as_str(), "file" | "env"))
}

/// Returns whether a mapping belongs there, whatever its keys are called.
fn is_mapping(path: &str) -> bool {
    OPEN_MAPPINGS.contains(&path) || path == "destinations[].settings"
}
