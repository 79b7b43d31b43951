//! Splits a stream of byte chunks into lines of bounded length.
//!
//! A peer that never sends a line break must not fill the memory. So a line that exceeds the limit
//! is skipped to its end and reported as too long, and reading continues with the next line.

use std::mem;

/// One line without its line break.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// The bytes of the line.
    Whole(Vec<u8>),
    /// The line exceeded the limit and was skipped.
    TooLong,
}

/// The part of the current line that has been read.
#[derive(Debug)]
pub struct LineBuffer {
    line: Vec<u8>,
    is_too_long: bool,
    limit: usize,
}

impl LineBuffer {
    /// Creates a buffer for lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), is_too_long: false, limit }
    }

    /// Consumes a chunk up to its first line break. Returns the number of bytes consumed and, if
    /// they end a line, the line. An empty chunk means the end of the stream, so that the last line
    /// needs no line break.
    pub fn take(&mut self, chunk: &[u8]) -> (usize, Option<Line>) {
        let end = chunk.iter().position(|byte| *byte == b'\n');
        self.push(&chunk[..end.unwrap_or(chunk.len())]);
        let ends = end.is_some() || chunk.is_empty() && (self.is_too_long || !self.line.is_empty());
        (end.map_or(chunk.len(), |end| end + 1), ends.then(|| self.finish()))
    }

    /// Appends bytes to the current line, line breaks included.
    pub fn push(&mut self, part: &[u8]) {
        if self.line.len() + part.len() > self.limit {
            (self.is_too_long, self.line) = (true, Vec::new());
        } else if !self.is_too_long {
            self.line.extend_from_slice(part);
        }
    }

    /// Returns the current line, and begins the next one.
    pub fn finish(&mut self) -> Line {
        let line = mem::take(&mut self.line);
        if mem::take(&mut self.is_too_long) { Line::TooLong } else { Line::Whole(line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_come_in_any_chunks() {
        let whole = |text: &str| Line::Whole(text.into());
        for size in 1..20 {
            let mut buffer = LineBuffer::new(4);
            let mut lines = Vec::new();
            // The empty chunk after the loop marks the end of the stream.
            for mut chunk in b"one\n\n12345\n1234\nlast".chunks(size) {
                while !chunk.is_empty() {
                    let (used, line) = buffer.take(chunk);
                    chunk = &chunk[used..];
                    lines.extend(line);
                }
            }
            lines.extend(buffer.take(b"").1);
            assert_eq!(lines, [whole("one"), whole(""), Line::TooLong, whole("1234"), whole("last")], "{size}");
            assert_eq!(buffer.take(b""), (0, None));
        }
    }
}
