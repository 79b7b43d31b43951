//! Decodes text by its byte-order mark, and makes every line end one that the readers know.
//!
//! Windows programs write UTF-16 with a byte-order mark, in which every second byte of an English
//! text is NUL. So the mark decides before a NUL can mean that a file is binary. Without a mark the
//! bytes stay as they are, since nobody would find a wrong guess. The bytes are decoded while they
//! are read, so that the readers' limits hold for the decoded text.

use std::io::{self, Cursor, Read};

use encoding_rs::{UTF_16BE, UTF_16LE};

/// Bytes that are decoded at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Length of the longest byte-order mark.
const MARK_BYTES: u64 = 4;

/// A reader of text as UTF-8.
///
/// Decoded text begins with the byte-order mark of UTF-8, so that no reader applies another
/// encoding to it. A carriage return that no line feed follows becomes a line feed.
pub(crate) struct Text<R> {
    inner: R,
    decoder: Decoder,
    chunk: Vec<u8>,
    decoded: Vec<u8>,
    /// Number of bytes of `decoded` that were passed on.
    taken: usize,
    /// Whether the last chunk ended with a carriage return. It is held until the next byte is
    /// known.
    holds_return: bool,
    has_ended: bool,
}

enum Decoder {
    /// UTF-8, or an encoding without a mark: the bytes are passed on.
    Unchanged,
    Utf16(Box<encoding_rs::Decoder>),
    /// How four bytes are a character, and the bytes so far that are fewer than four.
    Utf32(fn([u8; 4]) -> u32, Vec<u8>),
}

impl Decoder {
    fn of(head: &[u8]) -> Self {
        match head {
            // This mark begins with that of UTF-16, after which a NUL would have to follow.
            [0xff, 0xfe, 0, 0] => Self::Utf32(u32::from_le_bytes, Vec::new()),
            [0, 0, 0xfe, 0xff] => Self::Utf32(u32::from_be_bytes, Vec::new()),
            [0xff, 0xfe, ..] => Self::Utf16(Box::new(UTF_16LE.new_decoder_without_bom_handling())),
            [0xfe, 0xff, ..] => Self::Utf16(Box::new(UTF_16BE.new_decoder_without_bom_handling())),
            _ => Self::Unchanged,
        }
    }

    /// Decodes a chunk. What is no character becomes U+FFFD.
    fn decode(&mut self, chunk: &[u8], is_last: bool, out: &mut Vec<u8>) {
        match self {
            Self::Unchanged => out.extend_from_slice(chunk),
            Self::Utf16(decoder) => {
                // The length cannot overflow, since a chunk has at most `CHUNK_BYTES`.
                let mut text = String::with_capacity(decoder.max_utf8_buffer_length(chunk.len()).unwrap_or_default());
                let _ = decoder.decode_to_string(chunk, &mut text, is_last);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Utf32(number, held) => {
                held.extend_from_slice(chunk);
                let (characters, rest) = held.as_chunks::<4>();
                let decoded = characters.iter().map(|bytes| char::from_u32(number(*bytes)));
                let cut = (is_last && !rest.is_empty()).then_some(None);
                let text: String = decoded.chain(cut).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
                out.extend_from_slice(text.as_bytes());
                held.drain(..characters.len() * 4);
            }
        }
    }
}

/// Returns a reader that decodes these bytes by their byte-order mark.
pub(crate) fn text<R: Read>(mut opened: R) -> io::Result<Text<impl Read>> {
    let mut head = Vec::new();
    (&mut opened).take(MARK_BYTES).read_to_end(&mut head)?;
    Ok(Text {
        decoder: Decoder::of(&head),
        inner: Cursor::new(head).chain(opened),
        chunk: vec![0; CHUNK_BYTES],
        decoded: Vec::new(),
        taken: 0,
        holds_return: false,
        has_ended: false,
    })
}

impl<R: Read> Text<R> {
    /// Decodes the next chunk.
    fn fill(&mut self) -> io::Result<()> {
        let bytes = self.inner.read(&mut self.chunk)?;
        self.has_ended = bytes == 0;
        self.decoded.clear();
        self.taken = 0;
        if std::mem::take(&mut self.holds_return) {
            self.decoded.push(b'\r');
        }
        self.decoder.decode(&self.chunk[..bytes], self.has_ended, &mut self.decoded);
        if !self.has_ended && self.decoded.last() == Some(&b'\r') {
            self.decoded.pop();
            self.holds_return = true;
        }
        for at in 0..self.decoded.len() {
            if self.decoded[at] == b'\r' && self.decoded.get(at + 1) != Some(&b'\n') {
                self.decoded[at] = b'\n';
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.decoded.len() && !self.has_ended {
            self.fill()?;
        }
        let bytes = buffer.len().min(self.decoded.len() - self.taken);
        buffer[..bytes].copy_from_slice(&self.decoded[self.taken..][..bytes]);
        self.taken += bytes;
        Ok(bytes)
    }
}

/// Encodes a text with a byte-order mark in each encoding that has one.
#[cfg(test)]
pub(crate) fn encodings(text: &str) -> [Vec<u8>; 5] {
    let text = format!("\u{feff}{text}");
    let units: Vec<u16> = text.encode_utf16().collect();
    let characters: Vec<u32> = text.chars().map(u32::from).collect();
    [
        text.clone().into_bytes(),
        units.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
        units.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
        characters.iter().flat_map(|char| char.to_le_bytes()).collect(),
        characters.iter().flat_map(|char| char.to_be_bytes()).collect(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A reader that gives its bytes in parts of this size.
    struct Parts<'b>(&'b [u8], usize);

    impl Read for Parts<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = self.1.min(buffer.len()).min(self.0.len());
            buffer[..bytes].copy_from_slice(&self.0[..bytes]);
            self.0 = &self.0[bytes..];
            Ok(bytes)
        }
    }

    fn decoded(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut all = Vec::new();
        text(Parts(bytes, size)).unwrap().read_to_end(&mut all).unwrap();
        all
    }

    #[test]
    fn a_carriage_return_alone_ends_a_line_in_any_parts() {
        for size in 1..6 {
            assert_eq!(decoded(b"a\rb\r\nc\r\r\nd\n\re\r", size), b"a\nb\r\nc\n\r\nd\n\ne\n", "{size}");
        }
    }

    #[test]
    fn what_is_no_character_is_replaced_and_bytes_without_a_mark_stay() {
        let lone = [0xff, 0xfe, 0x3d, 0xd8, b'a', 0];
        assert_eq!(decoded(&lone, 1), "\u{feff}\u{fffd}a".as_bytes());
        assert_eq!(decoded(&[0xff, 0xfe, b'a'], 2), "\u{feff}\u{fffd}".as_bytes());
        let beyond = [0, 0, 0xfe, 0xff, 0, 0x11, 0, 0, 0, 0, 0, b'a', 0, 0];
        assert_eq!(decoded(&beyond, 3), "\u{feff}\u{fffd}a\u{fffd}".as_bytes());
        for unmarked in [&b"caf\xe9"[..], b"\xff", b"\xff\xfb\0\0", b"\0\0\xfe", b""] {
            assert_eq!(decoded(unmarked, 1), unmarked);
        }
    }

    proptest! {
        #[test]
        fn a_text_is_the_same_in_every_encoding(text in "(\\PC|[\n\t😀]){0,40}", size in 1..9_usize) {
            let marked = format!("\u{feff}{text}");
            for bytes in encodings(&text) {
                prop_assert_eq!(&String::from_utf8(decoded(&bytes, size)).unwrap(), &marked);
            }
        }
    }
}
