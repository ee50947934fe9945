//! What a vendor's own limits take: how long a text may be, and which names a map may have.

/// How long a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Characters(usize),
    Bytes(usize),
}

impl Length {
    /// Returns the number, whatever it counts.
    pub(super) fn number(self) -> usize {
        match self {
            Length::Characters(number) | Length::Bytes(number) => number,
        }
    }

    /// Returns whether a text is short enough.
    pub(super) fn holds(self, text: &str) -> bool {
        // A text has at most as many characters as bytes.
        text.len() <= self.number() || self.cut(text).len() == text.len()
    }

    /// Returns the beginning of a text that is short enough, cut between two characters.
    pub(super) fn cut(self, text: &str) -> &str {
        let end = match self {
            Length::Characters(number) => text.char_indices().nth(number).map(|(end, _)| end),
            Length::Bytes(number) => Some(text.floor_char_boundary(number)),
        };
        end.and_then(|end| text.get(..end)).unwrap_or(text)
    }
}

/// Which names a vendor takes for the entries of a map.
#[derive(Debug, Clone)]
pub(super) struct Names {
    first: Characters,
    others: Characters,
    longest: Option<Length>,
}

impl Names {
    /// Reads the characters that a name may begin with and those that may follow, each as in the brackets of a regular
    /// expression: `A-Za-z_`, or `^.$` for all but those.
    pub(super) fn new(first: &str, others: &str, longest: Option<Length>) -> Names {
        Names {
            first: Characters::read(first),
            others: Characters::read(others),
            longest,
        }
    }

    /// Returns names that need only be short enough.
    pub(super) fn up_to(longest: Length) -> Names {
        Names::new("^", "^", Some(longest))
    }

    /// Returns whether the vendor takes a name; never an empty one.
    pub(super) fn take(&self, name: &str) -> bool {
        if !self.longest.is_none_or(|longest| longest.holds(name)) {
            return false;
        }
        // Nearly every name is ASCII, and each destination looks at every name.
        if name.is_ascii() {
            let (first, others) = (self.first.ascii, self.others.ascii);
            let mut bytes = name.bytes();
            return bytes.next().is_some_and(|byte| first >> byte & 1 == 1)
                && bytes.all(|byte| others >> byte & 1 == 1);
        }
        let mut characters = name.chars();
        characters.next().is_some_and(|first| self.first.has(first))
            && characters.all(|other| self.others.has(other))
    }
}

/// A set of characters.
#[derive(Debug, Clone)]
struct Characters {
    is_all_but: bool,
    ranges: Vec<(char, char)>,
    /// Bit N says whether the ASCII character N is one of them.
    ascii: u128,
}

impl Characters {
    fn read(text: &str) -> Characters {
        let (is_all_but, mut rest) = match text.strip_prefix('^') {
            Some(rest) => (true, rest.chars()),
            None => (false, text.chars()),
        };
        let mut ranges = Vec::new();
        while let Some(first) = rest.next() {
            let mut ahead = rest.clone();
            match (ahead.next(), ahead.next()) {
                (Some('-'), Some(last)) => {
                    ranges.push((first, last));
                    rest = ahead;
                }
                _ => ranges.push((first, first)),
            }
        }
        let mut characters = Characters {
            is_all_but,
            ranges,
            ascii: 0,
        };
        for byte in 0..128_u8 {
            characters.ascii |= u128::from(characters.has(char::from(byte))) << byte;
        }
        characters
    }

    fn has(&self, character: char) -> bool {
        let is_in = |(first, last): &(char, char)| (*first..=*last).contains(&character);
        self.ranges.iter().any(is_in) != self.is_all_but
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_characters_or_bytes() {
        for (length, text, cut) in [
            (Length::Characters(2), "äöü", "äö"),
            (Length::Characters(3), "äöü", "äöü"),
            (Length::Bytes(3), "äöü", "ä"),
            (Length::Bytes(4), "äöü", "äö"),
            (Length::Bytes(1), "😀", ""),
            (Length::Bytes(9), "äöü", "äöü"),
        ] {
            assert_eq!(length.cut(text), cut, "{length:?} {text}");
            assert_eq!(length.holds(text), cut == text, "{length:?} {text}");
        }
    }

    #[test]
    fn names_are_of_their_characters() {
        let column = Names::new("a-z_", "a-z0-9_", Some(Length::Characters(5)));
        let no_path = Names::new("^.$", "^.$", None);
        let words = Names::new("A-Za-z", "A-Za-z0-9_ -", None);
        for (names, name, expected) in [
            (&column, "plan", true),
            (&column, "_1", true),
            (&column, "1st", false),
            (&column, "Plan", false),
            (&column, "größe", false),
            (&column, "", false),
            (&column, "abcde", true),
            (&column, "abcdef", false),
            (&no_path, "total billed", true),
            (&no_path, "公司", true),
            (&no_path, "a.b", false),
            (&no_path, "$set", false),
            (&words, "a-b c", true),
            (&words, "a+b", false),
        ] {
            assert_eq!(names.take(name), expected, "{name}");
        }
        let short = Names::up_to(Length::Bytes(4));
        assert!(short.take("äö") && !short.take("äöü") && !short.take(""));
    }
}
