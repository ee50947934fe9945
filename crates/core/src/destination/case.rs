//! How keys are cased on the way out.

use std::fmt::Write;

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;
use heck::{AsLowerCamelCase, AsSnakeCase, AsTitleCase};

/// How keys are cased on the way out (semantics T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Snake,
    Camel,
    Title,
    Upper,
}

impl Case {
    pub(super) const WORDS: &'static [(&'static str, Case)] = &[
        ("snake", Case::Snake),
        ("camel", Case::Camel),
        ("title", Case::Title),
        ("upper", Case::Upper),
    ];

    /// Returns `key` in this case.
    pub(super) fn apply<'a>(self, key: &'a str, arena: &'a Bump) -> &'a str {
        if let (Case::Snake, Some(cased)) = (self, snake(key, arena)) {
            return cased;
        }
        let mut cased = ArenaString::with_capacity_in(2 * key.len(), arena);
        let written = match self {
            Case::Snake => write!(cased, "{}", AsSnakeCase(key)),
            Case::Camel => write!(cased, "{}", AsLowerCamelCase(key)),
            Case::Title => write!(cased, "{}", AsTitleCase(key)),
            Case::Upper => {
                cased.extend(key.chars().flat_map(char::to_uppercase));
                Ok(())
            }
        };
        // Writing to a string cannot fail.
        written.unwrap_or_default();
        cased.into_bump_str()
    }
}

/// What a character is to a name in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letter {
    Lower,
    Upper,
    /// A digit, or a letter without case.
    Neither,
    /// Nothing of a word.
    Between,
}

impl Letter {
    fn of(character: char) -> Letter {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => Letter::of_byte(byte),
            Ok(_) | Err(_) if character.is_lowercase() => Letter::Lower,
            Ok(_) | Err(_) if character.is_uppercase() => Letter::Upper,
            Ok(_) | Err(_) if character.is_alphanumeric() => Letter::Neither,
            Ok(_) | Err(_) => Letter::Between,
        }
    }

    fn of_byte(byte: u8) -> Letter {
        const LETTERS: [Letter; 256] = {
            let mut letters = [Letter::Between; 256];
            let mut byte = 0_u8;
            while byte.is_ascii() {
                letters[byte as usize] = match byte {
                    b'a'..=b'z' => Letter::Lower,
                    b'A'..=b'Z' => Letter::Upper,
                    b'0'..=b'9' => Letter::Neither,
                    _ => Letter::Between,
                };
                byte += 1;
            }
            letters
        };
        LETTERS
            .get(usize::from(byte))
            .copied()
            .unwrap_or(Letter::Between)
    }
}

/// Where words begin: what has come of a key so far.
struct Words {
    is_in_word: bool,
    is_empty: bool,
    /// The last letter that has case.
    last: Letter,
}

impl Words {
    const NONE: Words = Words {
        is_in_word: false,
        is_empty: true,
        last: Letter::Neither,
    };

    /// Takes the next character; returns whether a word begins with it that is not the first.
    fn begins(&mut self, letter: Letter, next: impl FnOnce() -> Option<Letter>) -> bool {
        if letter == Letter::Between {
            (self.is_in_word, self.last) = (false, Letter::Neither);
            return false;
        }
        let is_boundary = letter == Letter::Upper
            && (self.last == Letter::Lower
                || self.last == Letter::Upper && next() == Some(Letter::Lower));
        let begins = (is_boundary || !self.is_in_word) && !self.is_empty;
        (self.is_in_word, self.is_empty) = (true, false);
        if letter != Letter::Neither {
            self.last = letter;
        }
        begins
    }
}

/// Does what heck does, to a key without a capital sigma, whose lower case depends on what follows: `None` where there is one.
fn snake<'a>(key: &'a str, arena: &'a Bump) -> Option<&'a str> {
    if key.is_ascii() {
        ascii_snake(key, arena)
    } else {
        unicode_snake(key, arena)
    }
}

fn ascii_snake<'a>(key: &'a str, arena: &'a Bump) -> Option<&'a str> {
    // At most a `_` before each letter.
    let mut cased = ArenaString::with_capacity_in(2 * key.len(), arena);
    let (mut words, mut begin) = (Words::NONE, 0);
    let bytes = key.as_bytes();
    for (index, byte) in bytes.iter().enumerate() {
        let letter = Letter::of_byte(*byte);
        let was_in_word = words.is_in_word;
        // Most letters are small, and go on with their word.
        if letter == Letter::Lower && was_in_word {
            words.last = letter;
            continue;
        }
        let begins = words.begins(letter, || {
            bytes.get(index + 1).map(|next| Letter::of_byte(*next))
        });
        if was_in_word && (begins || letter == Letter::Between) {
            cased.push_str(key.get(begin..index)?);
        }
        if begins {
            cased.push('_');
        }
        if begins || !was_in_word {
            begin = index;
        }
    }
    if words.is_in_word {
        cased.push_str(key.get(begin..)?);
    }
    cased.make_ascii_lowercase();
    Some(cased.into_bump_str())
}

fn unicode_snake<'a>(key: &'a str, arena: &'a Bump) -> Option<&'a str> {
    // At most a `_` before each letter, and few letters are longer in lower case.
    let mut cased = ArenaString::with_capacity_in(2 * key.len(), arena);
    let mut words = Words::NONE;
    let mut characters = key.chars().peekable();
    while let Some(character) = characters.next() {
        if character == 'Σ' {
            return None;
        }
        let letter = Letter::of(character);
        if words.begins(letter, || characters.peek().map(|next| Letter::of(*next))) {
            cased.push('_');
        }
        if letter != Letter::Between {
            cased.extend(character.to_lowercase());
        }
    }
    Some(cased.into_bump_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t6_the_short_way_to_snake_case_is_the_same_case() {
        let letters = ["a", "B", "1", "_", ".", "–", "é", "É", "ǅ", "İ", "字"];
        let keys = (0..letters.len().pow(5)).map(|index| {
            (0..5)
                .map(|place| letters[index / letters.len().pow(place) % letters.len()])
                .collect::<String>()
        });
        let arena = Bump::new();
        let words = [
            "totalBilled",
            "Total Billed",
            "HTTPServer2",
            "x",
            "",
            "größe",
            "GRÖẞE",
            "ΟΔΟΣ ΣΟΥ",
            "aBaBaBaBaB",
        ];
        for key in keys.chain(words.map(str::to_owned)) {
            let expected = AsSnakeCase(&key).to_string();
            assert_eq!(
                snake(&key, &arena),
                (!key.contains('Σ')).then_some(&*expected),
                "{key:?}"
            );
        }
    }
}
