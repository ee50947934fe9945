//! One pass over JSON text, which checks its syntax and finds where each value begins and ends.
//!
//! serde_json does the same for a `RawValue`, but only for one level a pass, and a byte at a time: an event's traits were
//! read three times. It accepts exactly what serde_json accepts; a law in `tests/laws.rs` compares the two.

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
    pub(super) fn object(&mut self, mut member: impl FnMut(Quoted<'a>, &mut Self) -> Option<()>) -> Option<()> {
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
    pub(super) fn value_with(&mut self, first: u8, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<&'a str> {
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

    /// Passes a value of any kind. Not recursive: how deep a value goes is the sender's choice.
    fn skip_value(&mut self) -> Option<()> {
        let mut containers = Containers::default();
        loop {
            self.skip_space();
            match self.next()? {
                b'"' => {
                    self.skip_string()?;
                }
                b'{' => {
                    self.skip_space();
                    if self.take(b'}').is_none() {
                        containers.push(true);
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.skip_space();
                    if self.take(b']').is_none() {
                        containers.push(false);
                        continue;
                    }
                }
                b't' => self.skip_word("rue")?,
                b'f' => self.skip_word("alse")?,
                b'n' => self.skip_word("ull")?,
                b'-' => {
                    let first = self.next()?;
                    self.skip_number(first)?;
                }
                first => self.skip_number(first)?,
            }
            if self.close(&mut containers)? {
                return Some(());
            }
        }
    }

    /// Passes what may stand behind a value; returns whether that ended the outermost one.
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
    fn key(&mut self) -> Option<Quoted<'a>> {
        self.skip_space();
        let start = self.position;
        self.take(b'"')?;
        let is_plain = self.skip_string()?;
        let text = self.text.get(start..self.position)?;
        self.skip_space();
        self.take(b':')?;
        Some(Quoted { text, start, is_plain })
    }

    /// Passes a string whose opening quote is passed; returns whether it holds no escape.
    fn skip_string(&mut self) -> Option<bool> {
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
        self.position += self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
    }

    fn skip_word(&mut self, word: &str) -> Option<()> {
        self.rest().starts_with(word.as_bytes()).then(|| self.position += word.len())
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r')) {
            self.position += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.position += 1)
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.position..).unwrap_or_default()
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
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(chunk) = bytes.get(length..).and_then(<[u8]>::first_chunk::<8>) {
        let stops = stops(*chunk);
        if stops != 0 {
            return length + stops.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let rest = bytes.get(length..).unwrap_or_default();
    length + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count()
}

/// Returns whether all bytes can stand in a string as themselves.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    // Where the length is no multiple of eight, the last chunk sees some bytes again, which is cheaper than one at a time.
    match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(last), ..) => stops(*last) == 0 && bytes.as_chunks::<8>().0.iter().all(|chunk| stops(*chunk) == 0),
        (None, Some([a, b, c, d]), Some([w, x, y, z])) => stops([*a, *b, *c, *d, *w, *x, *y, *z]) == 0,
        (None, ..) => plain_length(bytes) == bytes.len(),
    }
}

/// Returns a word that is zero if all bytes can stand in a string as themselves. Else the lowest byte that cannot has its
/// high bit set, and none below it has (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
fn stops(chunk: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = ONES << 7;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let word = u64::from_le_bytes(chunk);
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    (is_control | is_zero(word ^ (ONES * 0x22)) | is_zero(word ^ (ONES * 0x5c))) & HIGH_BITS
}
