//! Where a record's value holds the event (semantics E14).

use std::fmt;

use bumpalo::Bump;

use crate::json::{Kind, LoneSurrogate, Raw, quoted};

/// A place in a JSON value as a JSON Pointer (RFC 6901): `/data`, `/payload/0`; the empty one is the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: Box<str>,
    keys: Box<[String]>,
}

impl Pointer {
    /// Reads a pointer; `None` where it does not begin with `/`, or where a `~` is not `~0` or `~1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Pointer> {
        let keys = match text.strip_prefix('/') {
            Some(keys) => keys.split('/').map(unescaped).collect::<Option<_>>()?,
            None if text.is_empty() => Box::default(),
            None => return None,
        };
        Some(Pointer {
            text: text.into(),
            keys,
        })
    }

    /// Returns the value at this place of `whole`, if there is one.
    ///
    /// # Errors
    /// [`LoneSurrogate`] if an object on the way has such a key.
    pub(super) fn find<'a>(
        &self,
        whole: Raw<'a>,
        arena: &'a Bump,
    ) -> Result<Option<Raw<'a>>, LoneSurrogate> {
        let mut value = whole;
        for key in &self.keys {
            let found = if value.kind() == Kind::Array {
                index(key).and_then(|index| value.elements().get(index).copied())
            } else {
                let members = value.members(arena)?;
                let member = members.iter().find(|member| member.key == key);
                member.map(|member| member.value)
            };
            match found {
                Some(found) => value = found,
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    /// Returns a value that holds `event` at this place.
    #[must_use]
    pub fn around(&self, event: &str) -> String {
        let wrap = |inner: String, key: &String| format!("{{{}:{inner}}}", quoted(key));
        self.keys.iter().rev().fold(event.to_owned(), wrap)
    }
}

impl fmt::Display for Pointer {
    /// Writes the pointer as the configuration has it; the empty one in quotes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.text.is_empty() {
            "\"\""
        } else {
            &self.text
        })
    }
}

fn unescaped(key: &str) -> Option<String> {
    let mut parts = key.split('~');
    let mut whole = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = match part.strip_prefix('0') {
            Some(rest) => ('~', rest),
            None => ('/', part.strip_prefix('1')?),
        };
        whole.push(character);
        whole.push_str(rest);
    }
    Some(whole)
}

/// Reads an index of an array, which has no leading zeros.
fn index(key: &str) -> Option<usize> {
    let is_plain = key == "0" || !key.starts_with(['0', '+']);
    key.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e14_a_place_is_a_json_pointer() {
        // The document of RFC 6901, section 5.
        let document = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        for (pointer, expected) in [
            ("", Some(document)),
            ("/foo", Some(r#"["bar","baz"]"#)),
            ("/foo/0", Some(r#""bar""#)),
            ("/", Some("0")),
            ("/a~1b", Some("1")),
            ("/c%d", Some("2")),
            ("/i\\j", Some("5")),
            ("/k\"l", Some("6")),
            ("/ ", Some("7")),
            ("/m~0n", Some("8")),
            ("/foo/2", None),
            ("/foo/01", None),
            ("/foo/+1", None),
            ("/foo/-", None),
            ("/foo/0/x", None),
            ("/fo", None),
        ] {
            let arena = Bump::new();
            let found = Pointer::parse(pointer).unwrap();
            let found = found.find(Raw::parse(document).unwrap(), &arena).unwrap();
            assert_eq!(found.map(Raw::text), expected, "{pointer}");
        }
        for wrong in ["data", " /data", "/a~", "/a~2"] {
            assert_eq!(Pointer::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn e14_what_is_put_around_an_event_holds_it() {
        for pointer in ["", "/data", "/a~1b/0/\"x"] {
            let (pointer, arena) = (Pointer::parse(pointer).unwrap(), Bump::new());
            let whole = pointer.around(r#"{"type":"group"}"#);
            let found = pointer.find(Raw::parse(&whole).unwrap(), &arena).unwrap();
            assert_eq!(found.map(Raw::text), Some(r#"{"type":"group"}"#));
        }
    }
}
