//! Lines of a file, each of bounded length, counted from 1.

use std::io::{self, BufRead, BufReader, Read};

use pgrecall_process::lines::{self, LineBuffer};
use pgrecall_record::source::Record;

use crate::{
    Part,
    batch::{Batcher, Stop},
    formats::json,
    origin::Origin,
};

/// Size limit, in bytes, of one line of JSONL: the longest text with its metadata, twice over for
/// JSON's escapes.
pub const MAX_LINE_BYTES: usize = 40 * 1024 * 1024;

/// One line, without its line break.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// The text of the line.
    Text(String),
    /// The line is not UTF-8.
    NotUtf8,
    /// The line exceeded the limit and was skipped.
    TooLong,
}

/// Reads the next line, and returns it with its number of bytes; `None` at the end.
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

/// Takes a record of a line, or the reason why there is none.
///
/// The records come one at a time, because a line may hold a million.
pub(crate) type Emit<'e> = dyn FnMut(Result<Record, String>) -> Result<(), Stop> + 'e;

/// Passes each line of JSON to `make`, with its number, and reports a broken line by its number.
///
/// Returns whether the file could be read to its end.
pub(crate) fn each(
    origin: &Origin,
    opened: impl Read,
    out: &mut Batcher,
    mut make: impl FnMut(u64, &str, &mut Emit<'_>) -> Result<(), Stop>,
) -> Result<bool, Stop> {
    let mut reader = BufReader::with_capacity(256 * 1024, opened);
    let (mut number, mut read) = (0, 0);
    loop {
        number += 1;
        let place = || origin.place(Part::Line(number));
        let (line, bytes) = match next(&mut reader, MAX_LINE_BYTES) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(true),
            Err(error) => return out.problem(place(), error).map(|()| false),
        };
        read += bytes;
        let text = match line {
            Line::Text(text) if text.trim_start_matches('\u{feff}').trim().is_empty() => continue,
            Line::Text(text) => json::check(text.as_bytes()).map(|()| text),
            Line::NotUtf8 => Err("the line is not UTF-8".to_owned()),
            Line::TooLong => Err(format!("the line is longer than {} MiB", MAX_LINE_BYTES / 1024 / 1024)),
        };
        let mut emit = |made| match made {
            Ok(record) => out.record(place(), record, read),
            Err(why) => out.problem(place(), why),
        };
        match text {
            Ok(text) => make(number, &text, &mut emit)?,
            Err(why) => emit(Err(why))?,
        }
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
