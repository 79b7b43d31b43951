//! Reads the elements of a JSON array one by one, so that at most one element is in memory.
//!
//! The file may have hundreds of megabytes. Only the brackets separate the elements, and each
//! element is parsed afterwards. A parser of the whole file would lose the others to one broken or
//! too deeply nested element.

use std::io::{self, BufRead};

use pgrecall_process::lines::{Line, LineBuffer};

use crate::formats::json::Scanner;

/// Size limit, in bytes, of one element. A conversation of years has a few megabytes.
pub(super) const MAX_ELEMENT_BYTES: usize = 64 * 1024 * 1024;

/// An element of the array, or a reason why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// An element, which need not be valid JSON.
    Json(Vec<u8>),
    /// An element that exceeded the limit and was skipped.
    TooLong,
    /// The file ends before the array does; an element that had begun is lost.
    Cut,
    /// The file is not an array.
    NoList,
}

/// A reader of the elements of an array.
pub(super) struct Elements<R> {
    reader: R,
    begun: bool,
    ended: bool,
    read: u64,
}

impl<R: BufRead> Elements<R> {
    /// Creates a reader of the array in these bytes.
    pub(super) fn of(reader: R) -> Self {
        Self { reader, begun: false, ended: false, read: 0 }
    }

    /// Returns the number of bytes that were read so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Reads the next element; `None` at the end of the array.
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

    /// Skips these bytes, and returns the first other byte.
    fn skip(&mut self, skipped: &[u8]) -> io::Result<Option<u8>> {
        // A buffer with limit 0 holds nothing of the skipped bytes.
        self.read_until(&mut LineBuffer::new(0), |byte| !skipped.contains(&byte))
    }

    /// Reads up to the first byte that `ends` accepts, and returns it; `None` at the end of the
    /// file.
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

/// The position in an element: the depth in brackets, and the state of its strings.
#[derive(Default)]
struct Inside {
    depth: usize,
    scanner: Scanner,
}

impl Inside {
    /// Returns whether the element ended before this byte.
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
        // With a buffer of three bytes, everything that can be split between two reads is.
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
