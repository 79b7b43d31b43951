//! Lines of a file, each of bounded length, counted from 1.

use std::io::{self, BufRead};

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
    let mut line = Vec::new();
    let (mut too_long, mut taken) = (false, 0);
    loop {
        let chunk = reader.fill_buf()?;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let used = end.map_or(chunk.len(), |end| end + 1);
        if line.len() + part.len() > limit {
            too_long = true;
            line = Vec::new();
        } else if !too_long {
            line.extend_from_slice(part);
        }
        reader.consume(used);
        taken += used as u64;
        if end.is_some() || used == 0 {
            break;
        }
    }
    if taken == 0 {
        return Ok(None);
    }
    let line = match (too_long, String::from_utf8(line)) {
        (true, _) => Line::TooLong,
        (false, Ok(text)) => Line::Text(text),
        (false, Err(_)) => Line::NotUtf8,
    };
    Ok(Some((line, taken)))
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
