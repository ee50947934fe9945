//! Values in the path of a request: each stays in its segment (semantics K4).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use crate::verdict::{Reason, Refusal};

/// What stands unescaped in one path segment or query value (RFC 3986, unreserved).
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes a value for a request.
pub(super) fn percent_encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, PATH_SEGMENT)
}

/// The segment of a path that is being written. Clients resolve `.` and `..` (RFC 3986, section 5.2.4), also where they are
/// percent-encoded (the URL standard), and servers decode more than once.
#[derive(Debug, Default)]
pub(super) struct Segment {
    has_value: bool,
    n_dots: usize,
    has_other: bool,
    /// Whether the path has ended and the query begun, where nothing is a segment.
    is_query: bool,
}

impl Segment {
    /// Takes what the definition writes, which may end the segment.
    pub(super) fn add_literal(&mut self, text: &str) -> Result<(), Refusal> {
        for byte in text.bytes() {
            match byte {
                _ if self.is_query => break,
                b'/' | b'?' => {
                    self.end()?;
                    *self = Segment {
                        is_query: byte == b'?',
                        ..Segment::default()
                    };
                }
                b'.' => self.n_dots += 1,
                _ => self.has_other = true,
            }
        }
        Ok(())
    }

    pub(super) fn add_value(&mut self, text: &str) {
        self.has_value = true;
        match n_dots(text) {
            Some(count) => self.n_dots += count,
            None => self.has_other = true,
        }
    }

    /// Ends the segment.
    ///
    /// # Errors
    /// A dead letter if a value left it empty, `.` or `..`.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        let is_unsafe = self.has_value && !self.has_other && self.n_dots <= 2 && !self.is_query;
        if is_unsafe {
            return Err(Refusal::DeadLettered(Reason::UnsafePath));
        }
        Ok(())
    }
}

/// Returns how many dots a text is, percent-encoded ones too, however often; `None` if it is more than dots.
fn n_dots(text: &str) -> Option<usize> {
    let (mut rest, mut count) = (text, 0);
    while !rest.is_empty() {
        rest = match rest.strip_prefix('%') {
            Some(encoded) => encoded
                .trim_start_matches("25")
                .strip_prefix("2e")
                .or_else(|| encoded.trim_start_matches("25").strip_prefix("2E"))?,
            None => rest.strip_prefix('.')?,
        };
        count += 1;
    }
    Some(count)
}
