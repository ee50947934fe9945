//! The text of definitions: strings with `${…}`, and the expressions inside, as written.
//!
//! Grammar: `operand (?? operand)* (| filter argument*)*`, where an operand is a name or a JSON string, number or boolean.

use crate::diagnostic::{Diagnostics, Place};
use crate::json;
use crate::yaml::{Node, Scalar};

/// A string of a definition, cut at its `${…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) segments: Vec<Segment>,
}

/// Literal text, or an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    Expression(Expression),
}

/// `a ?? b | filter …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) alternatives: Vec<Operand>,
    pub(super) filters: Vec<FilterCall>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operand {
    Literal(Literal),
    Name(Name),
}

/// A literal as JSON writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    String(String),
    Number(String),
    Boolean(bool),
}

/// A dotted name such as `traits.address.city` or `traits["a.b"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) segments: Vec<String>,
    pub(super) place: Place,
}

impl Name {
    pub(super) fn root(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }

    pub(super) fn written(&self) -> String {
        self.segments.join(".")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilterCall {
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) value: ArgumentValue,
    pub(super) place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ArgumentValue {
    /// A bare word or a quoted string.
    Word { text: String, is_quoted: bool },
    /// `a=b`
    Pair(String, String),
    /// `${settings.x}`
    Setting(Name),
}

impl Text {
    /// Parses a scalar; what cannot be read is reported and yields nothing.
    pub(super) fn parse(
        node: &Node,
        scalar: &Scalar,
        diagnostics: &mut Diagnostics,
    ) -> Option<Text> {
        let mut parser = Parser {
            rest: &scalar.text,
            text: &scalar.text,
            place: node.place,
            is_plain: scalar.is_plain,
        };
        match parser.text() {
            Ok(segments) => Some(Text { segments }),
            Err(fault) => {
                let added = diagnostics.error(fault.place, fault.message);
                if let Some(hint) = fault.hint {
                    added.hint(hint);
                }
                None
            }
        }
    }

    /// Returns the text if it holds no expression.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [] => Some(""),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the expression if the text is exactly one `${…}`.
    pub(super) fn expression(&self) -> Option<&Expression> {
        match self.segments.as_slice() {
            [Segment::Expression(expression)] => Some(expression),
            _ => None,
        }
    }

    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Expression(expression) => Some(expression),
            Segment::Literal(_) => None,
        })
    }
}

struct Fault {
    place: Place,
    message: String,
    hint: Option<&'static str>,
}

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
    place: Place,
    is_plain: bool,
}

const UNCLOSED: &str = "close it with }; inside { } or [ ] of YAML, or where it holds `: ` or ` #`, write the ${…} in double quotes";

impl<'t> Parser<'t> {
    fn text(&mut self) -> Result<Vec<Segment>, Fault> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        while !self.rest.is_empty() {
            if let Some(rest) = self.rest.strip_prefix("$${") {
                literal.push_str("${");
                self.rest = rest;
            } else if self.rest.starts_with("${") {
                if !literal.is_empty() {
                    segments.push(Segment::Literal(std::mem::take(&mut literal)));
                }
                segments.push(Segment::Expression(self.braced()?));
            } else {
                let mut characters = self.rest.chars();
                literal.extend(characters.next());
                self.rest = characters.as_str();
            }
        }
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        Ok(segments)
    }

    fn braced(&mut self) -> Result<Expression, Fault> {
        let start = self.rest;
        self.take("${");
        let mut alternatives = vec![self.operand(start)?];
        let mut filters = Vec::new();
        loop {
            self.skip_space();
            if self.take("}") {
                return Ok(Expression {
                    alternatives,
                    filters,
                });
            }
            if self.rest.is_empty() {
                return Err(self.fault(start, 2, "unclosed ${", Some(UNCLOSED)));
            }
            if filters.is_empty() && self.take("??") {
                alternatives.push(self.operand(start)?);
            } else if self.take("|") {
                filters.push(self.filter(start)?);
            } else {
                return Err(self.fault(self.rest, 1, "expected ??, | or } here", None));
            }
        }
    }

    fn operand(&mut self, start: &'t str) -> Result<Operand, Fault> {
        self.skip_space();
        if self.rest.is_empty() {
            return Err(self.fault(start, 2, "unclosed ${", Some(UNCLOSED)));
        }
        if self.rest.starts_with('"') {
            return Ok(Operand::Literal(Literal::String(self.quoted()?)));
        }
        let at = self.rest;
        if self
            .rest
            .starts_with(|c: char| c.is_ascii_digit() || c == '-')
        {
            let number =
                self.while_matches(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
            return match json::is_number(number) {
                true => Ok(Operand::Literal(Literal::Number(number.to_owned()))),
                false => Err(self.fault(at, number.len(), "not a number as JSON writes one", None)),
            };
        }
        let name = self.name()?;
        Ok(match name.segments.as_slice() {
            [word] if word == "true" => Operand::Literal(Literal::Boolean(true)),
            [word] if word == "false" => Operand::Literal(Literal::Boolean(false)),
            _ => Operand::Name(name),
        })
    }

    fn name(&mut self) -> Result<Name, Fault> {
        let at = self.rest;
        let mut segments = vec![self.word(at)?];
        loop {
            if self.take(".") {
                segments.push(self.word(at)?);
            } else if self.take("[") {
                segments.push(self.quoted()?);
                if !self.take("]") {
                    return Err(self.fault(self.rest, 1, "expected ] here", None));
                }
            } else {
                let length = at.len() - self.rest.len();
                return Ok(Name {
                    segments,
                    place: self.place_of(at, length),
                });
            }
        }
    }

    fn word(&mut self, at: &'t str) -> Result<String, Fault> {
        let word = self.while_matches(|c| c.is_alphanumeric() || c == '_' || c == '$');
        if word.is_empty() {
            let hint =
                r#"names are like traits.name; write traits["a b"] for a key that is no word"#;
            return Err(self.fault(
                if self.rest.is_empty() { at } else { self.rest },
                1,
                "expected a name here",
                Some(hint),
            ));
        }
        Ok(word.to_owned())
    }

    fn filter(&mut self, start: &'t str) -> Result<FilterCall, Fault> {
        self.skip_space();
        let at = self.rest;
        let name = self.word(start)?;
        let place = self.place_of(at, name.len());
        let mut arguments = Vec::new();
        loop {
            self.skip_space();
            if self.rest.is_empty() || self.rest.starts_with(['|', '}']) {
                return Ok(FilterCall {
                    name,
                    arguments,
                    place,
                });
            }
            arguments.push(self.argument()?);
        }
    }

    fn argument(&mut self) -> Result<Argument, Fault> {
        let at = self.rest;
        if self.take("${") {
            self.skip_space();
            let name = self.name()?;
            self.skip_space();
            if !self.take("}") {
                return Err(self.fault(at, 2, "unclosed ${", Some(UNCLOSED)));
            }
            let place = name.place;
            return Ok(Argument {
                value: ArgumentValue::Setting(name),
                place,
            });
        }
        if self.rest.starts_with("??") {
            return Err(self.fault(at, 2, "?? must come before the filters", None));
        }
        let is_quoted = self.rest.starts_with('"');
        let text = self.argument_word()?;
        let value = if self.take("=") {
            ArgumentValue::Pair(text, self.argument_word()?)
        } else {
            ArgumentValue::Word { text, is_quoted }
        };
        Ok(Argument {
            value,
            place: self.place_of(at, at.len() - self.rest.len()),
        })
    }

    fn argument_word(&mut self) -> Result<String, Fault> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        Ok(self
            .while_matches(|c| !c.is_whitespace() && !matches!(c, '|' | '}' | '='))
            .to_owned())
    }

    /// Reads a JSON string.
    fn quoted(&mut self) -> Result<String, Fault> {
        let at = self.rest;
        let mut strings = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        match strings.next() {
            Some(Ok(text)) => {
                self.rest = self.rest.get(strings.byte_offset()..).unwrap_or_default();
                Ok(text)
            }
            Some(Err(_)) | None => Err(self.fault(at, 1, "not a string as JSON writes one", None)),
        }
    }

    fn while_matches(&mut self, matches: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !matches(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Returns the place of `at`, a tail of the text. Text over several lines was folded, so that only its begin is known.
    fn place_of(&self, at: &str, length: usize) -> Place {
        let before = self
            .text
            .get(..self.text.len() - at.len())
            .unwrap_or_default();
        let is_one_line = self.place.length >= self.text.chars().count();
        if !is_one_line {
            return self.place;
        }
        self.place
            .within(before.chars().count() + usize::from(!self.is_plain), length)
    }

    fn fault(&self, at: &str, length: usize, message: &str, hint: Option<&'static str>) -> Fault {
        Fault {
            place: self.place_of(at, length),
            message: message.to_owned(),
            hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn parsed(yaml: &str) -> Result<Vec<Segment>, String> {
        let mut diagnostics = Diagnostics::new("d.yaml");
        let node = yaml::parse(yaml, &mut diagnostics).unwrap();
        let text = Text::parse(&node, node.as_scalar().unwrap(), &mut diagnostics);
        text.map(|text| text.segments)
            .ok_or_else(|| diagnostics.into_sorted()[0].to_string())
    }

    fn shape(yaml: &str) -> String {
        let segments = parsed(yaml).unwrap();
        let words = segments.iter().map(|segment| match segment {
            Segment::Literal(text) => format!("'{text}'"),
            Segment::Expression(expression) => {
                let operands: Vec<String> = expression.alternatives.iter().map(operand).collect();
                let filters: Vec<String> = expression.filters.iter().map(filter).collect();
                format!("<{}{}>", operands.join(" ?? "), filters.concat())
            }
        });
        words.collect()
    }

    fn operand(operand: &Operand) -> String {
        match operand {
            Operand::Literal(literal) => format!("{literal:?}"),
            Operand::Name(name) => name.segments.join("/"),
        }
    }

    fn filter(filter: &FilterCall) -> String {
        let arguments: Vec<String> = filter
            .arguments
            .iter()
            .map(|argument| match &argument.value {
                ArgumentValue::Word { text, is_quoted } => {
                    format!(" {text}{}", if *is_quoted { "!" } else { "" })
                }
                ArgumentValue::Pair(a, b) => format!(" {a}→{b}"),
                ArgumentValue::Setting(name) => format!(" @{}", name.written()),
            })
            .collect();
        format!("|{}{}", filter.name, arguments.concat())
    }

    #[test]
    fn texts_are_cut_at_their_expressions() {
        for (yaml, expected) in [
            ("plain", "'plain'"),
            ("${groupId}", "<groupId>"),
            ("a-${groupId}-b", "'a-'<groupId>'-b'"),
            ("$${x} and $5", "'${x} and $5'"),
            (
                "${ traits.name ?? traits[\"a.b\"] ?? \"x}\" }",
                r#"<traits/name ?? traits/a.b ?? String("x}")>"#,
            ),
            (
                "${true ?? -1.5e3}",
                r#"<Boolean(true) ?? Number("-1.5e3")>"#,
            ),
            (
                "${traits.rest | only ${settings.list} | suffix __c | rename a=b \"c d\"=e}",
                "<traits/rest|only @settings.list|suffix __c|rename a→b c d→e>",
            ),
            (
                "${x | if settings.mode \"a\" \"b\"}",
                "<x|if settings.mode a! b!>",
            ),
            ("${traits.rest\n  | join \", \"}", "<traits/rest|join , !>"),
        ] {
            assert_eq!(shape(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn faults_name_their_column() {
        for (yaml, expected) in [
            (
                "${groupId",
                "d.yaml:1:1: error: unclosed ${\n  hint: close it",
            ),
            ("ab ${groupId", "d.yaml:1:4: error: unclosed ${"),
            ("'ab ${groupId'", "d.yaml:1:5: error: unclosed ${"),
            ("${}", "d.yaml:1:3: error: expected a name here"),
            ("${a b}", "d.yaml:1:5: error: expected ??, | or } here"),
            ("${a | }", "d.yaml:1:7: error: expected a name here"),
            ("${01}", "d.yaml:1:3: error: not a number"),
            ("${traits[\"a\"}", "d.yaml:1:13: error: expected ] here"),
            (
                "${a | x ?? b}",
                "d.yaml:1:9: error: ?? must come before the filters",
            ),
        ] {
            let fault = parsed(yaml).unwrap_err();
            assert!(fault.starts_with(expected), "{yaml}: {fault}");
        }
    }
}
