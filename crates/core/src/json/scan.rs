//! One pass over JSON text, which checks its syntax and finds where each value begins and ends.
//!
//! serde_json does the same for a `RawValue`, but only for one level a pass, and a byte at a time: an event's traits were
//! read three times. It accepts exactly what serde_json accepts; a law in `tests/laws.rs` compares the two.

use wide::u8x16;

/// What is still to be read. Every method returns `None` where the text is not JSON.
pub(super) struct Scanner<'a> {
    text: &'a str,
    position: usize,
}

/// A string as it stands in the text, quotes included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted<'a> {
    pub(super) text: &'a str,
    /// Where it begins in the scanned text.
    pub(super) start: usize,
    /// Whether it holds no escape, so that its characters are the text between the quotes.
    pub(super) is_plain: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, position: 0 }
    }

    /// Reads one value of any kind.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        self.skip_space();
        let start = self.position;
        self.skip_value()?;
        self.text.get(start..self.position)
    }

    /// Reads an object, member by member; `member` is given the key and reads the value.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(Quoted<'a>, &mut Self) -> Option<()>,
    ) -> Option<()> {
        self.skip_space();
        self.take(b'{')?;
        self.skip_space();
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let key = self.key()?;
            member(key, self)?;
            self.skip_space();
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Reads one value with `read`, if it begins with `first`.
    pub(super) fn value_with(
        &mut self,
        first: u8,
        read: impl FnOnce(&mut Self) -> Option<()>,
    ) -> Option<&'a str> {
        self.skip_space();
        let start = self.position;
        if self.peek()? == first {
            read(self)?
        } else {
            self.skip_value()?
        }
        self.text.get(start..self.position)
    }

    /// Reads an array, element by element.
    pub(super) fn array(&mut self, mut element: impl FnMut(&'a str)) -> Option<()> {
        self.skip_space();
        self.take(b'[')?;
        self.skip_space();
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            element(self.value()?);
            self.skip_space();
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Returns what was read since `start`.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.position).unwrap_or_default()
    }

    /// Returns whether nothing but white space is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.position == self.text.len()
    }

    /// Passes a value of any kind, before which there is no white space.
    #[inline]
    fn skip_value(&mut self) -> Option<()> {
        match self.peek()? {
            b'{' | b'[' => self.skip_container(),
            _ => self.skip_scalar(),
        }
    }

    #[inline]
    fn skip_scalar(&mut self) -> Option<()> {
        match self.next()? {
            b'"' => self.skip_string().map(|_| ()),
            b't' => self.skip_word(b"rue"),
            b'f' => self.skip_word(b"alse"),
            b'n' => self.skip_word(b"ull"),
            b'-' => {
                let first = self.next()?;
                self.skip_number(first)
            }
            first => self.skip_number(first),
        }
    }

    /// Passes an object or an array. Not recursive: how deep a value goes is the sender's choice.
    fn skip_container(&mut self) -> Option<()> {
        let mut containers = Containers::default();
        loop {
            self.skip_space();
            match self.peek()? {
                b'{' => {
                    self.position += 1;
                    self.skip_space();
                    if self.take(b'}').is_none() {
                        containers.push(true);
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.position += 1;
                    self.skip_space();
                    if self.take(b']').is_none() {
                        containers.push(false);
                        continue;
                    }
                }
                _ => self.skip_scalar()?,
            }
            if self.close(&mut containers)? {
                return Some(());
            }
        }
    }

    /// Passes what may stand behind a value; returns whether that ended the outermost one.
    #[inline]
    fn close(&mut self, containers: &mut Containers) -> Option<bool> {
        while containers.depth > 0 {
            self.skip_space();
            match (self.next()?, containers.is_in_object()) {
                (b',', true) => {
                    self.key()?;
                    return Some(false);
                }
                (b',', false) => return Some(false),
                (b'}', true) | (b']', false) => containers.pop(),
                _ => return None,
            }
        }
        Some(true)
    }

    /// Reads a key and the colon behind it.
    #[inline]
    fn key(&mut self) -> Option<Quoted<'a>> {
        self.skip_space();
        let start = self.position;
        self.take(b'"')?;
        let is_plain = self.skip_string()?;
        let text = self.text.get(start..self.position)?;
        self.skip_space();
        self.take(b':')?;
        Some(Quoted {
            text,
            start,
            is_plain,
        })
    }

    /// Passes a string whose opening quote is passed; returns whether it holds no escape.
    #[inline(always)]
    fn skip_string(&mut self) -> Option<bool> {
        // Most are short: what ends them is in sight.
        if let Some(chunk) = self.rest().first_chunk() {
            let length = stops(chunk).trailing_zeros() as usize;
            if chunk.get(length) == Some(&b'"') {
                self.position += length + 1;
                return Some(true);
            }
        }
        self.skip_long_string()
    }

    #[inline(never)]
    fn skip_long_string(&mut self) -> Option<bool> {
        let mut is_plain = true;
        loop {
            self.position += plain_length(self.rest());
            match self.next()? {
                b'"' => return Some(is_plain),
                b'\\' => self.skip_escape()?,
                _ => return None,
            }
            is_plain = false;
        }
    }

    fn skip_escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => (0..4).try_for_each(|_| self.next()?.is_ascii_hexdigit().then_some(())),
            _ => None,
        }
    }

    /// Passes a number whose first digit is passed.
    fn skip_number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return None,
        }
        if self.take(b'.').is_some() {
            self.skip_some_digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            self.take(b'+').or_else(|| self.take(b'-'));
            self.skip_some_digits()?;
        }
        Some(())
    }

    fn skip_some_digits(&mut self) -> Option<()> {
        self.next()?.is_ascii_digit().then(|| self.skip_digits())
    }

    fn skip_digits(&mut self) {
        self.position += self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
    }

    #[inline]
    fn skip_word<const N: usize>(&mut self, word: &[u8; N]) -> Option<()> {
        (self.rest().first_chunk() == Some(word)).then(|| self.position += N)
    }

    #[inline]
    fn skip_space(&mut self) {
        // One comparison for what is none: most text has no white space between its tokens.
        while self
            .peek()
            .is_some_and(|byte| byte <= b' ' && matches!(byte, b' ' | b'\n' | b'\t' | b'\r'))
        {
            self.position += 1;
        }
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.position += 1)
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text
            .as_bytes()
            .get(self.position..)
            .unwrap_or_default()
    }
}

/// The containers around a value, outermost first: a bit each, set for an object.
#[derive(Default)]
struct Containers {
    depth: usize,
    /// The innermost ones, the last as the lowest bit.
    bits: u64,
    /// What did not fit into `bits`. Empty for nearly all values, and then without memory of its own.
    outer: Vec<u64>,
}

impl Containers {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    fn is_in_object(&self) -> bool {
        self.bits & 1 == 1
    }
}

/// Returns how many bytes come before the first that cannot stand in a string as itself: a quote, a backslash or a
/// control character.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(chunk) = bytes.get(length..).and_then(<[u8]>::first_chunk) {
        let stops = stops(chunk);
        if stops != 0 {
            return length + stops.trailing_zeros() as usize;
        }
        length += CHUNK;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    length
        + rest
            .iter()
            .take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20))
            .count()
}

/// Returns whether all bytes can stand in a string as themselves.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    // Where the length is no multiple of a chunk, the last one sees some bytes again, which is cheaper than one at a time.
    match (
        bytes.last_chunk(),
        bytes.first_chunk::<8>(),
        bytes.last_chunk::<8>(),
    ) {
        (Some(last), ..) => {
            stops(last) == 0 && bytes.as_chunks().0.iter().all(|chunk| stops(chunk) == 0)
        }
        (None, Some(first), Some(last)) => stops(&joined(first, last)) == 0,
        (None, ..) => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => stops(&joined(&joined(first, last), &[b' '; 8])) == 0,
            _ => plain_length(bytes) == bytes.len(),
        },
    }
}

/// As many bytes as the smallest vector registers hold.
const CHUNK: usize = 16;

/// Returns a bit for each byte that cannot stand in a string as itself, the first byte's as the lowest.
#[inline]
fn stops(chunk: &[u8; CHUNK]) -> u32 {
    let bytes = u8x16::new(*chunk);
    let is_control = bytes.min(u8x16::splat(0x1F)).simd_eq(bytes);
    let is_stop =
        is_control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
    is_stop.to_bitmask()
}

#[inline]
fn joined<const N: usize, const M: usize>(first: &[u8; N], second: &[u8; N]) -> [u8; M] {
    let mut joined = [0; M];
    joined
        .iter_mut()
        .zip(first.iter().chain(second))
        .for_each(|(to, from)| *to = *from);
    joined
}
