//! The elements of a JSON array, one after the other: a file of hundreds of megabytes is never in memory, nor is more than one element of it.
//!
//! The elements are told apart by their brackets alone. What is inside is parsed one by one afterwards, so that a broken or too deeply nested one
//! costs the others nothing, as it would in a parser that reads the whole.

use std::io::{self, BufRead};

/// Bytes of one element: a conversation of years is a few megabytes.
pub(super) const MAX_ELEMENT_BYTES: usize = 64 * 1024 * 1024;

/// What stands in the array.
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
            if self.skip(|byte| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(&byte))? != Some(b'[') {
                return Ok(self.end(Some(Element::NoList)));
            }
            self.consume(1);
        }
        match self.skip(|byte| byte.is_ascii_whitespace() || byte == b',')? {
            None => Ok(self.end(Some(Element::Cut))),
            Some(b']') => Ok(self.end(None)),
            Some(_) => self.element(),
        }
    }

    fn element(&mut self) -> io::Result<Option<Element>> {
        let mut element = Vec::new();
        let mut inside = Inside::default();
        let mut too_long = false;
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok(self.end(Some(Element::Cut)));
            }
            let end = chunk.iter().position(|byte| inside.ends_before(*byte));
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if element.len() + part.len() > MAX_ELEMENT_BYTES {
                too_long = true;
                element = Vec::new();
            } else if !too_long {
                element.extend_from_slice(part);
            }
            let used = part.len();
            self.consume(used);
            if end.is_some() {
                return Ok(Some(if too_long { Element::TooLong } else { Element::Json(element) }));
            }
        }
    }

    /// Passes over bytes, and shows the first that is another.
    fn skip(&mut self, passed: impl Fn(u8) -> bool) -> io::Result<Option<u8>> {
        loop {
            let chunk = self.reader.fill_buf()?;
            let found = chunk.iter().position(|byte| !passed(*byte));
            let (used, byte) = (found.unwrap_or(chunk.len()), found.map(|at| chunk[at]));
            let is_empty = chunk.is_empty();
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

/// Where in an element a byte stands.
#[derive(Default)]
struct Inside {
    depth: usize,
    text: bool,
    escaped: bool,
}

impl Inside {
    /// Whether the element ended before this byte.
    fn ends_before(&mut self, byte: u8) -> bool {
        if self.text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.text = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b',' | b']' if self.depth == 0 => return true,
            b'"' => self.text = true,
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
