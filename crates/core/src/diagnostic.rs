//! What is wrong with a file somebody wrote: file, line, column, message, hint. All faults are reported at once.
//!
//! For people who write configuration and definitions; faults of an event are a [`Reason`](crate::verdict::Reason).

use std::fmt;
use std::sync::Arc;

/// One fault of a file, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// The file's name as its reader knows it, or what stands in for one (`environment`).
    pub file: Arc<str>,
    /// Where in the file; absent for what has no text of its own (a missing key, an environment variable).
    pub place: Option<Place>,
    /// What is wrong: lower case, no full stop, the value last.
    pub message: String,
    /// What would mend it.
    pub hint: Option<String>,
}

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is usable, but something in it is probably not meant.
    Warning,
    /// The file cannot be used.
    Error,
}

/// A stretch of one line in a file. Lines and columns start at 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Which text it is in: 0 for the file itself. Others are numbered by whoever laid several texts over each other.
    pub source: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column of the first character, from 1.
    pub column: usize,
    /// Characters marked, at least 1.
    pub length: usize,
}

impl Place {
    /// Returns the place `characters` further right on the same line, `length` characters long.
    #[must_use]
    pub fn within(self, characters: usize, length: usize) -> Place {
        Place {
            line: self.line,
            column: self.column + characters,
            length: length.max(1),
            source: self.source,
        }
    }
}

impl fmt::Display for Diagnostic {
    /// Writes `file:line:column: error: message` and, on a line of its own, the hint.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:", self.file)?;
        if let Some(place) = self.place {
            write!(formatter, "{}:{}:", place.line, place.column)?;
        }
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(formatter, " {severity}: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(formatter, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Collects the diagnostics of one file while it is read.
#[derive(Debug)]
pub struct Diagnostics {
    file: Arc<str>,
    found: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Returns an empty collection for `file`.
    #[must_use]
    pub fn new(file: &str) -> Self {
        Diagnostics {
            file: Arc::from(file),
            found: Vec::new(),
        }
    }

    /// Adds an error; chain [`Added::hint`] to say what would mend it.
    pub fn error(
        &mut self,
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
    ) -> Added<'_> {
        self.add(Severity::Error, place.into(), message.into())
    }

    /// Adds a warning; chain [`Added::hint`] to say what would mend it.
    pub fn warning(
        &mut self,
        place: impl Into<Option<Place>>,
        message: impl Into<String>,
    ) -> Added<'_> {
        self.add(Severity::Warning, place.into(), message.into())
    }

    fn add(&mut self, severity: Severity, place: Option<Place>, message: String) -> Added<'_> {
        let index = self.found.len();
        self.found.push(Diagnostic {
            severity,
            file: Arc::clone(&self.file),
            place,
            message,
            hint: None,
        });
        Added {
            found: &mut self.found,
            index,
        }
    }

    /// Takes in diagnostics of another file.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        self.found.extend(others);
    }

    /// Returns whether any of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        has_errors(&self.found)
    }

    /// Returns the diagnostics in the order of the file.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        // Stable, so that diagnostics of one place stay in the order they were found.
        self.found
            .sort_by(|a, b| (&a.file, a.place).cmp(&(&b.file, b.place)));
        self.found
    }
}

/// Returns whether any of `diagnostics` is an error.
#[must_use]
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// A diagnostic just added, which may still get its hint.
pub struct Added<'a> {
    found: &'a mut Vec<Diagnostic>,
    index: usize,
}

impl Added<'_> {
    /// Sets the hint.
    pub fn hint(self, hint: impl Into<String>) {
        if let Some(diagnostic) = self.found.get_mut(self.index) {
            diagnostic.hint = Some(hint.into());
        }
    }

    /// Sets the hint to `did you mean: X` where a candidate is near enough to `written`.
    pub fn suggest<'c>(self, written: &str, candidates: impl IntoIterator<Item = &'c str>) {
        if let Some(near) = nearest(written, candidates) {
            self.hint(format!("did you mean: {near}"));
        }
    }
}

/// Returns the candidate most like `written`, if any is alike enough to be a slip of the pen.
#[must_use]
pub fn nearest<'c>(
    written: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&written.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_file_place_severity_message_and_hint() {
        let mut diagnostics = Diagnostics::new("a.yaml");
        diagnostics
            .error(
                Place {
                    source: 0,
                    line: 3,
                    column: 5,
                    length: 4,
                },
                "unknown filter: lowr",
            )
            .suggest("lowr", ["lower", "upper"]);
        diagnostics.warning(None, "nothing is sent");
        let lines: Vec<String> = diagnostics
            .into_sorted()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            lines,
            [
                "a.yaml: warning: nothing is sent",
                "a.yaml:3:5: error: unknown filter: lowr\n  hint: did you mean: lower"
            ]
        );
    }

    #[test]
    fn suggests_nothing_that_is_not_near() {
        assert_eq!(nearest("kafka", ["destinations", "http"]), None);
    }
}
