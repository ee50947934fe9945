//! The characters that a JSON string's escapes stand for, without an allocation of their own.

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;

/// Returns the characters of a string's valid inside; `None` where it holds a lone surrogate.
pub(super) fn unescaped<'a>(inner: &str, arena: &'a Bump) -> Option<&'a str> {
    let mut text = ArenaString::with_capacity_in(inner.len(), arena);
    let mut rest = inner;
    while let Some((before, escape)) = rest.split_once('\\') {
        text.push_str(before);
        let (character, behind) = unescape(escape)?;
        text.push(character);
        rest = behind;
    }
    text.push_str(rest);
    Some(text.into_bump_str())
}

/// Returns the character that an escape stands for, and what is behind the escape.
fn unescape(escape: &str) -> Option<(char, &str)> {
    let mut characters = escape.chars();
    let character = match characters.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unescape_unicode(characters.as_str()),
        itself => itself,
    };
    Some((character, characters.as_str()))
}

fn unescape_unicode(digits: &str) -> Option<(char, &str)> {
    let unit = |digits: &str| u16::from_str_radix(digits, 16).ok();
    let (first, behind) = digits.split_at_checked(4)?;
    let first = unit(first)?;
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Some((character, behind));
    }
    let (second, behind) = behind.strip_prefix("\\u")?.split_at_checked(4)?;
    let character = char::decode_utf16([first, unit(second)?]).next()?.ok()?;
    Some((character, behind))
}
