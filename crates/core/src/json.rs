//! JSON whose values keep their source bytes (semantics E8, E10).
//!
//! One pass checks the syntax; values stay slices of the source until somebody needs their meaning.

mod scan;
mod unescape;

use std::collections::{HashMap, HashSet};

use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use serde_json::value::RawValue;

use self::scan::{Quoted, Scanner, is_plain};
use self::unescape::unescaped;

/// One JSON value as its source text, valid and without surrounding white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

/// What kind of JSON value a [`Raw`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// Returns the kind's name with its article, for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        }
    }
}

/// One member of an object: its key unescaped, its value as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key.
    pub key: &'a str,
    /// The value.
    pub value: Raw<'a>,
    /// Key and value as they came, where that is just how [`write_quoted`], a colon and the value would say it; else empty.
    pub source: &'a str,
}

/// A string or key that holds a lone surrogate (`"\ud800"`): JSON by its grammar, but no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoneSurrogate;

impl<'a> Raw<'a> {
    /// The value `null`.
    pub const NULL: Raw<'static> = Raw("null");
    /// The value `{}`.
    pub const EMPTY_OBJECT: Raw<'static> = Raw("{}");

    /// Checks that `text` is exactly one JSON value.
    ///
    /// # Errors
    /// What serde_json says of it: line, column and what it expected there.
    pub fn parse(text: &'a str) -> Result<Raw<'a>, serde_json::Error> {
        let mut scanner = Scanner::new(text);
        match scanner.value() {
            Some(value) if scanner.is_at_end() => Ok(Raw(value)),
            Some(_) | None => serde_json::from_str::<&RawValue>(text).map(|raw| Raw(raw.get())),
        }
    }

    /// Returns the source text.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.0
    }

    /// Returns what kind of value it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'"') => Kind::String,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            Some(_) | None => Kind::Number,
        }
    }

    /// Returns whether it is an array without elements, which is how PHP writes an object without members.
    #[must_use]
    pub fn is_empty_array(self) -> bool {
        let inner = self
            .0
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        inner.is_some_and(|inner| inner.trim_ascii().is_empty())
    }

    /// Returns whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// Returns whether it is a string without an escape.
    pub(crate) fn is_plain_string(self) -> bool {
        self.kind() == Kind::String && is_plain(self.inner().as_bytes())
    }

    /// Returns what stands between a string's quotes, where nothing but a backslash is not plain.
    fn inner(self) -> &'a str {
        self.0
            .get(1..self.0.len().saturating_sub(1))
            .unwrap_or_default()
    }

    /// Returns a string's characters, in `arena` if they must be put together; `None` if it is no string.
    ///
    /// # Errors
    /// [`LoneSurrogate`], since such a string has no characters.
    pub fn string(self, arena: &'a Bump) -> Result<Option<&'a str>, LoneSurrogate> {
        if self.kind() != Kind::String {
            return Ok(None);
        }
        let inner = self.inner();
        if is_plain(inner.as_bytes()) {
            return Ok(Some(inner));
        }
        unescaped(inner, arena).map(Some).ok_or(LoneSurrogate)
    }

    /// Returns the members of an object, duplicates resolved: keys compare unescaped, the last value wins at the first
    /// one's position (semantics E10). Anything but an object has no members.
    ///
    /// # Errors
    /// [`LoneSurrogate`] if a key has one.
    pub fn members(self, arena: &'a Bump) -> Result<&'a [Member<'a>], LoneSurrogate> {
        if self.kind() != Kind::Object {
            return Ok(&[]);
        }
        members(&mut Scanner::new(self.0), arena).unwrap_or(Ok(&[]))
    }

    /// Returns the elements of an array; anything else has none.
    #[must_use]
    pub fn elements(self) -> Vec<Raw<'a>> {
        let mut elements = Vec::new();
        if self.kind() == Kind::Array {
            Scanner::new(self.0)
                .array(|element| elements.push(Raw(element)))
                .unwrap_or_default();
        }
        elements
    }

    /// Returns the elements of an array, kept in `arena`; anything else has none.
    #[must_use]
    pub fn elements_in(self, arena: &'a Bump) -> &'a [Raw<'a>] {
        let mut elements = ArenaVec::new_in(arena);
        if self.kind() == Kind::Array {
            Scanner::new(self.0)
                .array(|element| elements.push(Raw(element)))
                .unwrap_or_default();
        }
        elements.into_bump_slice()
    }
}

/// An object of which one member is itself read as an object.
#[derive(Debug)]
pub struct Object<'a> {
    /// The object itself.
    pub raw: Raw<'a>,
    /// Its members, duplicates resolved as in [`Raw::members`].
    pub members: &'a [Member<'a>],
    /// The members of the inner object; none where it is no object, or not there.
    pub inner: Result<&'a [Member<'a>], LoneSurrogate>,
}

impl<'a> Object<'a> {
    /// Reads `text` as exactly one object, and its member `inner` with it, in one pass. `None` for all else, which
    /// [`Raw::parse`] and [`Raw::members`] tell apart.
    #[must_use]
    pub fn parse(text: &'a str, inner: &str, arena: &'a Bump) -> Option<Object<'a>> {
        let mut scanner = Scanner::new(text);
        let mut inner_members: Result<&[Member<'_>], _> = Ok(&[]);
        let members = members_with(&mut scanner, arena, |key, scanner| {
            if key != inner {
                return scanner.value();
            }
            // The last of several is the one that counts (E10).
            inner_members = Ok(&[]);
            scanner.value_with(b'{', |scanner| {
                inner_members = members(scanner, arena)?;
                Some(())
            })
        })?;
        let object = Object {
            raw: Raw(text.trim_ascii()),
            members: members.ok()?,
            inner: inner_members,
        };
        scanner.is_at_end().then_some(object)
    }
}

fn members<'a>(
    scanner: &mut Scanner<'a>,
    arena: &'a Bump,
) -> Option<Result<&'a [Member<'a>], LoneSurrogate>> {
    members_with(scanner, arena, |_, scanner| scanner.value())
}

fn members_with<'a>(
    scanner: &mut Scanner<'a>,
    arena: &'a Bump,
    mut read: impl FnMut(&str, &mut Scanner<'a>) -> Option<&'a str>,
) -> Option<Result<&'a [Member<'a>], LoneSurrogate>> {
    let mut members = ArenaVec::with_capacity_in(32, arena);
    let (mut fault, mut seen, mut may_repeat) = (None, 0, false);
    scanner.object(|key, scanner| {
        match key_text(key, arena) {
            Ok(text) => {
                let bit = key_bit(text);
                may_repeat |= seen & bit != 0;
                seen |= bit;
                let value = read(text, scanner)?;
                let source = scanner.since(key.start);
                let is_tight = key.is_plain && source.len() == key.text.len() + 1 + value.len();
                members.push(Member {
                    key: text,
                    value: Raw(value),
                    source: if is_tight { source } else { "" },
                });
            }
            Err(lone_surrogate) => {
                scanner.value()?;
                fault = Some(lone_surrogate);
            }
        }
        Some(())
    })?;
    if let Some(lone_surrogate) = fault {
        return Some(Err(lone_surrogate));
    }
    if may_repeat && has_duplicates(&members, |member| member.key) {
        resolve_duplicates(&mut members);
    }
    Some(Ok(members.into_bump_slice()))
}

fn key_text<'a>(key: Quoted<'a>, arena: &'a Bump) -> Result<&'a str, LoneSurrogate> {
    match key.text.get(1..key.text.len().saturating_sub(1)) {
        Some(inner) if key.is_plain => Ok(inner),
        Some(_) | None => Raw(key.text).string(arena).map(Option::unwrap_or_default),
    }
}

/// Few enough keys that comparing each with each is cheaper than hashing them.
const FEW_KEYS: usize = 64;

/// Returns whether two of the items have the same key.
pub(crate) fn has_duplicates<'a, T>(items: &'a [T], key: impl Fn(&'a T) -> &'a str) -> bool {
    if items.len() > FEW_KEYS {
        let mut seen = HashSet::with_capacity(items.len());
        return !items.iter().all(|item| seen.insert(key(item)));
    }
    // A bit for each key that came: where it was clear, no earlier key is the same.
    let mut seen = 0_u64;
    items.iter().enumerate().any(|(index, item)| {
        let bit = key_bit(key(item));
        let is_new = seen & bit == 0;
        seen |= bit;
        !is_new
            && items
                .iter()
                .take(index)
                .any(|other| key(other) == key(item))
    })
}

/// Returns a bit that is the same for the same key, and seldom for two keys of one event.
#[inline]
pub(crate) fn key_bit(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let [first, .., last] = bytes else { return 1 };
    let middle = bytes.get(bytes.len() / 2).copied().unwrap_or_default();
    let length = u32::try_from(bytes.len()).unwrap_or_default();
    1_u64.rotate_left(
        u32::from(*first) ^ (u32::from(*last) << 1) ^ (u32::from(middle) << 2) ^ (length << 3),
    )
}

fn resolve_duplicates(members: &mut ArenaVec<'_, Member<'_>>) {
    let mut first: HashMap<&str, usize> = HashMap::with_capacity(members.len());
    let mut n_kept = 0;
    for index in 0..members.len() {
        let Some(member) = members.get(index).copied() else {
            continue;
        };
        let place = *first.entry(member.key).or_insert(n_kept);
        n_kept = n_kept.max(place + 1);
        if let Some(kept) = members.get_mut(place) {
            *kept = member;
        }
    }
    members.truncate(n_kept);
}

/// Returns whether any value of the valid JSON `text` is nested deeper than `limit` containers.
#[must_use]
pub fn is_nested_deeper(text: &str, limit: usize) -> bool {
    // Fewer opening brackets than the limit settle it at once, and nearly every event has fewer. They differ from each other
    // in one bit; a sum of bytes is what the compiler counts 16 at a time, and 64 of them cannot overflow one.
    let n_opening = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| u8::from(byte | 0x20 == b'{'))
            .sum::<u8>()
    };
    if text
        .as_bytes()
        .chunks(64)
        .map(|bytes| usize::from(n_opening(bytes)))
        .sum::<usize>()
        <= limit
    {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

/// Returns whether `text` is several JSON values, one behind the other, or begins so.
#[must_use]
pub fn holds_several(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.value().is_some() && !scanner.is_at_end() && scanner.value().is_some()
}

/// Returns valid JSON without the white space between its tokens; strings and numbers stay as they are.
#[must_use]
pub fn compact(text: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let is_kept = |character: &char| {
        let is_space = matches!(character, ' ' | '\t' | '\n' | '\r');
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = in_string,
            '"' => in_string = !in_string,
            _ => {}
        }
        in_string || !is_space
    };
    text.chars().filter(is_kept).collect()
}

/// Returns valid JSON with one member or element a line, for people; strings and numbers stay as they are.
#[must_use]
pub fn pretty(text: &str) -> String {
    let (mut pretty, mut depth, mut in_string, mut escaped) =
        (String::new(), 0_usize, false, false);
    let text = compact(text);
    let mut characters = text.chars().peekable();
    let new_line = |pretty: &mut String, depth: usize| {
        pretty.push('\n');
        pretty.push_str(&"  ".repeat(depth));
    };
    while let Some(character) = characters.next() {
        match character {
            _ if in_string => {
                in_string = escaped || character != '"';
                escaped = character == '\\' && !escaped;
                pretty.push(character);
            }
            '{' | '[' => {
                pretty.push(character);
                // An empty container stays on its line.
                match characters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(closing) => pretty.push(closing),
                    None => {
                        depth += 1;
                        new_line(&mut pretty, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut pretty, depth);
                pretty.push(character);
            }
            ',' => {
                pretty.push(',');
                new_line(&mut pretty, depth);
            }
            ':' => pretty.push_str(": "),
            _ => {
                in_string = character == '"';
                pretty.push(character);
            }
        }
    }
    pretty
}

/// Returns whether `text` is a number as JSON writes one.
#[must_use]
pub fn is_number(text: &str) -> bool {
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let integer = digits(unsigned);
    if integer == 0 || (integer > 1 && unsigned.starts_with('0')) {
        return false;
    }
    let mut rest = unsigned.get(integer..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = fraction.get(length..).unwrap_or_default();
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let length = digits(exponent);
        return length > 0 && length == exponent.len();
    }
    rest.is_empty()
}

/// Returns a JSON number as sign and the digits on either side of its point, the exponent applied.
///
/// `None` for text that is no JSON number, and for exponents so large that writing the digits out would be a nuisance.
#[must_use]
pub fn decimal(text: &str) -> Option<(bool, String, String)> {
    const MAX_EXPONENT: usize = 400;
    if !is_number(text) {
        return None;
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let exponent: isize = exponent
        .strip_prefix('+')
        .unwrap_or(exponent)
        .parse()
        .ok()?;
    let shift = exponent.unsigned_abs();
    if shift > MAX_EXPONENT {
        return None;
    }
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let zeros = "0".repeat(shift);
    let digits = if exponent < 0 {
        format!("{zeros}{integer}{fraction}")
    } else {
        format!("{integer}{fraction}{zeros}")
    };
    let point = if exponent < 0 {
        integer.len()
    } else {
        integer.len() + shift
    };
    let (integer, fraction) = digits.split_at_checked(point)?;
    let integer = integer.trim_start_matches('0');
    let integer = if integer.is_empty() { "0" } else { integer };
    // Zeros that only the exponent's padding put there are no digits that came.
    let fraction = if exponent > 0 {
        fraction
            .get(..fraction.len().saturating_sub(shift))
            .unwrap_or_default()
    } else {
        fraction
    };
    Some((
        text.starts_with('-'),
        integer.to_owned(),
        fraction.to_owned(),
    ))
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_quoted(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    // Serializing a string into a vector cannot fail.
    serde_json::to_writer(out, text).unwrap_or_default();
}

/// Returns `text` as a JSON string, quotes included.
#[must_use]
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members_of(text: &str) -> Result<Vec<(String, &str)>, LoneSurrogate> {
        let members = Raw::parse(text)
            .unwrap()
            .members(Box::leak(Box::new(Bump::new())))?;
        Ok(members
            .iter()
            .map(|member| (member.key.to_owned(), member.value.text()))
            .collect())
    }

    #[test]
    fn e8_values_keep_their_source_bytes() {
        let members =
            members_of(r#"{ "a" : 12345678901234567890 , "b":1.0,"c":1e3,"d":"\u00e9","e":[ 1 , {"x": null}] }"#).unwrap();
        let values: Vec<&str> = members.iter().map(|(_, value)| *value).collect();
        assert_eq!(
            values,
            [
                "12345678901234567890",
                "1.0",
                "1e3",
                r#""\u00e9""#,
                r#"[ 1 , {"x": null}]"#
            ]
        );
    }

    #[test]
    fn e10_the_last_duplicate_wins_at_the_first_position() {
        let expected = Ok(vec![("a".to_owned(), "3"), ("b".to_owned(), "2")]);
        assert_eq!(members_of(r#"{"a":1,"b":2,"\u0061":3}"#), expected);
    }

    #[test]
    fn e10_duplicates_among_many_keys_resolve_alike() {
        let keys: Vec<String> = (0..100)
            .map(|index| format!(r#""k{index}":{index}"#))
            .collect();
        let text = format!(r#"{{{},"k7":"again"}}"#, keys.join(","));
        let members = members_of(&text).unwrap();
        assert_eq!(members.len(), 100);
        assert_eq!(members[7], ("k7".to_owned(), r#""again""#));
    }

    #[test]
    fn e10_a_lone_surrogate_in_a_key_is_no_text() {
        assert_eq!(members_of(r#"{"\ud800":1}"#), Err(LoneSurrogate));
        assert_eq!(
            members_of(r#"{"\ud83d\ude00":1}"#),
            Ok(vec![("😀".to_owned(), "1")])
        );
        assert_eq!(
            Raw::parse(r#""\udc00""#).unwrap().string(&Bump::new()),
            Err(LoneSurrogate)
        );
        assert_eq!(
            members_of(r#"{"a":"\ud800"}"#),
            Ok(vec![("a".to_owned(), r#""\ud800""#)])
        );
    }

    #[test]
    fn e10_strings_are_what_serde_json_reads() {
        let pieces = [
            "a",
            "é",
            "😀",
            r"\n",
            r"\/",
            r"\\",
            r#"\""#,
            r"\b\f\r\t",
            r"\u00e9",
            r"\u0000",
            r"\ud83d",
            r"\ude00",
            r"\uD83D\uDE00",
        ];
        for (index, first) in pieces.iter().enumerate() {
            for second in pieces {
                for third in pieces.iter().skip(index) {
                    let text = format!("\"{first}{second}{third}\"");
                    let arena = Bump::new();
                    let read = Raw::parse(&text).unwrap().string(&arena).ok().flatten();
                    assert_eq!(
                        read,
                        serde_json::from_str::<String>(&text).ok().as_deref(),
                        "{text}"
                    );
                }
            }
        }
    }

    #[test]
    fn e9_nesting_counts_containers_outside_strings() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!is_nested_deeper(&nested(64), 64));
        assert!(is_nested_deeper(&nested(65), 64));
        assert!(!is_nested_deeper(
            &format!(r#"["{}\"["]"#, "[".repeat(99)),
            64
        ));
        assert!(!is_nested_deeper(&format!("[{}1]", "[],".repeat(99)), 64));
        assert!(
            !is_nested_deeper(&format!(r#"["\"{}"]"#, "[".repeat(99)), 64),
            "an escaped quote ends no string"
        );
        assert!(
            is_nested_deeper(&format!(r#"["\\",{}]"#, nested(64)), 64),
            "an escaped backslash escapes no quote"
        );
        assert!(
            !is_nested_deeper(&format!("[[],{}]", nested(63)), 64),
            "as deep as the limit is not deeper"
        );
    }

    #[test]
    fn compact_json_keeps_its_strings() {
        assert_eq!(
            compact("{ \"a b\" : [ 1.0 ,\n\"\\\" x\" ] }"),
            r#"{"a b":[1.0,"\" x"]}"#
        );
    }

    #[test]
    fn pretty_json_has_a_member_a_line() {
        let expected = "{\n  \"a:\\\",\": [\n    1.0,\n    {}\n  ],\n  \"b\": []\n}";
        assert_eq!(pretty(r#"{"a:\",": [1.0, { }],"b":[]}"#), expected);
    }

    #[test]
    fn decimals_have_their_exponent_applied() {
        for (text, negative, integer, fraction) in [
            ("0", false, "0", ""),
            ("-1.50", true, "1", "50"),
            ("1e3", false, "1000", ""),
            ("1.2345e2", false, "123", "45"),
            ("1.5E+0", false, "1", "5"),
            ("12e-1", false, "1", "2"),
            ("5e-3", false, "0", "005"),
        ] {
            assert_eq!(
                decimal(text),
                Some((negative, integer.to_owned(), fraction.to_owned())),
                "{text}"
            );
        }
        assert_eq!(decimal("1e999999999999999999999"), None);
        assert_eq!(decimal("1e-401"), None);
        assert_eq!(
            decimal("1e400").map(|(_, integer, _)| integer.len()),
            Some(401)
        );
        assert_eq!(
            decimal("1e-400").map(|(_, _, fraction)| fraction.len()),
            Some(400)
        );
    }

    #[test]
    fn numbers_are_json_numbers() {
        for number in [
            "0",
            "-0",
            "10",
            "1.0",
            "1e3",
            "-1.5E-07",
            "12345678901234567890",
        ] {
            assert!(is_number(number), "{number}");
            assert!(Raw::parse(number).is_ok(), "{number}");
        }
        for text in [
            "", "-", "01", "+1", ".5", "5.", "1e", "1e+", "1 ", "0x1", "NaN", "１",
        ] {
            assert!(!is_number(text), "{text}");
        }
    }
}
