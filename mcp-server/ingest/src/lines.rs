//! Lines of a file, each of bounded length, counted from 1.

use std::io::{self, BufRead};

use pgrecall_process::lines::{self, LineBuffer};

/// Bytes of one line of JSONL: the longest text with its metadata, twice over for JSON's escapes.
pub const MAX_LINE_BYTES: usize = 40 * 1024 * 1024;

/// One line, without its line break.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Its text.
    Text(String),
    /// It is not UTF-8.
    NotUtf8,
    /// It is longer than the limit, and was skipped.
    TooLong,
}

/// The next line of a file, and how many bytes it took; `None` at the end.
pub fn next(reader: &mut impl BufRead, limit: usize) -> io::Result<Option<(Line, u64)>> {
    let (mut buffer, mut taken) = (LineBuffer::new(limit), 0);
    loop {
        let (used, line) = buffer.take(reader.fill_buf()?);
        reader.consume(used);
        taken += used as u64;
        let line = match line {
            Some(lines::Line::Whole(line)) => String::from_utf8(line).map_or(Line::NotUtf8, Line::Text),
            Some(lines::Line::TooLong) => Line::TooLong,
            None if used == 0 => return Ok(None),
            None => continue,
        };
        return Ok(Some((line, taken)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_text_or_says_what_it_is_instead() {
        let mut bytes = b"one\n\n\xff\n123456789\nlast".as_slice();
        let mut lines = Vec::new();
        while let Some((line, _)) = next(&mut bytes, 8).unwrap() {
            lines.push(line);
        }
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(lines, [text("one"), text(""), Line::NotUtf8, Line::TooLong, text("last")]);
    }
}
