//! The elements of a JSON array, one after the other: a file of hundreds of megabytes is never in memory, nor is more than one element of it.
//!
//! The brackets alone separate the elements. What is inside is parsed one by one afterwards, so that a broken or too deeply nested one
//! costs the others nothing, as it would in a parser that reads the whole.

use std::io::{self, BufRead};

use pgrecall_process::lines::{Line, LineBuffer};

use crate::formats::json::Scanner;

/// Bytes of one element: a conversation of years is a few megabytes.
pub(super) const MAX_ELEMENT_BYTES: usize = 64 * 1024 * 1024;

/// What the array has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// An element, which need not be valid JSON.
    Json(Vec<u8>),
    /// It is longer than the limit, and was skipped.
    TooLong,
    /// The file ends before the array does; an element that had begun is lost.
    Cut,
    /// The file is no array.
    NoList,
}

/// The elements of an array, as they are read.
pub(super) struct Elements<R> {
    reader: R,
    begun: bool,
    ended: bool,
    read: u64,
}

impl<R: BufRead> Elements<R> {
    /// The elements of what this reads.
    pub(super) fn of(reader: R) -> Self {
        Self { reader, begun: false, ended: false, read: 0 }
    }

    /// Bytes that were read up to here.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// The next one; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Element>> {
        if self.ended {
            return Ok(None);
        }
        if !self.begun {
            self.begun = true;
            if self.skip(b" \t\n\x0c\r\xef\xbb\xbf")? != Some(b'[') {
                return Ok(self.end(Some(Element::NoList)));
            }
            self.consume(1);
        }
        match self.skip(b" \t\n\x0c\r,")? {
            None => Ok(self.end(Some(Element::Cut))),
            Some(b']') => Ok(self.end(None)),
            Some(_) => self.element(),
        }
    }

    fn element(&mut self) -> io::Result<Option<Element>> {
        let (mut element, mut inside) = (LineBuffer::new(MAX_ELEMENT_BYTES), Inside::default());
        if self.read_until(&mut element, |byte| inside.ends_before(byte))?.is_none() {
            return Ok(self.end(Some(Element::Cut)));
        }
        Ok(Some(match element.finish() {
            Line::Whole(bytes) => Element::Json(bytes),
            Line::TooLong => Element::TooLong,
        }))
    }

    /// Skips these bytes, and returns the first that is another.
    fn skip(&mut self, skipped: &[u8]) -> io::Result<Option<u8>> {
        // A buffer without room holds nothing of what is skipped.
        self.read_until(&mut LineBuffer::new(0), |byte| !skipped.contains(&byte))
    }

    /// Reads up to the first byte that `ends`, and returns that byte; `None` at the end of the file.
    fn read_until(&mut self, into: &mut LineBuffer, mut ends: impl FnMut(u8) -> bool) -> io::Result<Option<u8>> {
        loop {
            let chunk = self.reader.fill_buf()?;
            let end = chunk.iter().position(|byte| ends(*byte));
            let (used, byte, is_empty) = (end.unwrap_or(chunk.len()), end.map(|end| chunk[end]), chunk.is_empty());
            into.push(&chunk[..used]);
            self.consume(used);
            if is_empty || byte.is_some() {
                return Ok(byte);
            }
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
        self.read += bytes as u64;
    }

    fn end(&mut self, last: Option<Element>) -> Option<Element> {
        self.ended = true;
        last
    }
}

/// Where in an element a byte is.
#[derive(Default)]
struct Inside {
    depth: usize,
    scanner: Scanner,
}

impl Inside {
    /// Whether the element ended before this byte.
    fn ends_before(&mut self, byte: u8) -> bool {
        match byte {
            _ if !self.scanner.is_outside(byte) => {}
            b',' | b']' if self.depth == 0 => return true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Vec<Element> {
        // A buffer of three bytes: whatever can be cut between two reads is.
        let mut elements = Elements::of(io::BufReader::with_capacity(3, text.as_bytes()));
        std::iter::from_fn(|| elements.next().unwrap()).collect()
    }

    fn json(text: &str) -> Element {
        Element::Json(text.as_bytes().to_vec())
    }

    #[test]
    fn elements_are_told_apart_by_their_brackets() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let text = format!("\u{feff} [ {{\"a\": \"]}},\\\"\"}} , 7,[1,[2]],\n nonsense,{deep}] ");
        let expected = [json("{\"a\": \"]},\\\"\"} "), json("7"), json("[1,[2]]"), json("nonsense"), json(&deep)];
        assert_eq!(elements(&text), expected);
        assert_eq!(elements("[]"), []);
    }

    #[test]
    fn what_is_cut_or_no_list_says_so_once() {
        assert_eq!(elements("[1,{\"a\":"), [json("1"), Element::Cut]);
        assert_eq!(elements("[1,"), [json("1"), Element::Cut]);
        assert_eq!(elements("{\"a\":1}"), [Element::NoList]);
        assert_eq!(elements(""), [Element::NoList]);
    }
}
