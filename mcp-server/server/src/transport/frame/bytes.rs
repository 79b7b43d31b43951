//! Makes the bytes of a message readable as JSON, where they can mean only one thing.
//!
//! Hosts in other encodings send bytes that are not UTF-8 (`caf\xe9`), Python sends the UTF-8 of
//! lone surrogates (CESU-8), and hand-written JSON has line breaks and tabs in its strings. None of
//! them makes the message's id unreadable, so none must cost the answer.

use std::borrow::Cow;

/// The bytes of a message, and what was replaced in them.
pub(super) struct Readable<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// The U+FFFD that stand for bytes that were not UTF-8.
    pub(super) invalid: usize,
    had_mark: bool,
}

impl Readable<'_> {
    /// Whether anything was replaced.
    pub(super) fn is_changed(&self) -> bool {
        self.had_mark || matches!(self.bytes, Cow::Owned(_))
    }
}

/// Leaves out a byte-order mark, replaces bytes that are not UTF-8 by U+FFFD, and escapes the
/// control characters in strings.
pub(super) fn readable(message: &[u8]) -> Readable<'_> {
    let unmarked = message.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(message);
    let had_mark = unmarked.len() < message.len();
    let invalid = unmarked.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count();
    let bytes = match String::from_utf8_lossy(unmarked) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let bytes = match escaped(&bytes) {
        Some(escaped) => Cow::Owned(escaped),
        None => bytes,
    };
    Readable { bytes, invalid, had_mark }
}

/// Escapes the control characters in strings; `None` if there are none.
fn escaped(text: &[u8]) -> Option<Vec<u8>> {
    let is_control = |byte: &u8| *byte < 0x20;
    // Most messages have none at all, not even a line break between tokens.
    text.iter().find(|byte| is_control(byte))?;
    let (mut out, mut is_string, mut is_escape, mut found) = (Vec::with_capacity(text.len()), false, false, false);
    for byte in text {
        // A backslash before it escapes nothing that JSON knows, and stays wrong.
        if is_string && !is_escape && is_control(byte) {
            found = true;
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            out.push(*byte);
        }
        is_string ^= *byte == b'"' && !is_escape;
        is_escape = is_string && *byte == b'\\' && !is_escape;
    }
    found.then_some(out)
}
