//! Lines of a file, each of bounded length, counted from 1.

use std::io::{self, BufRead, BufReader, Read};

use pgrecall_process::lines::{self, LineBuffer};
use pgrecall_record::{
    lenient::{self, Repairs},
    source::Record,
};

use crate::{
    Part, Problem,
    batch::{Batcher, Stop},
    encoding,
    formats::json,
    origin::Origin,
};

/// Size limit, in bytes, of one line of JSONL: the longest text with its metadata, twice over for
/// JSON's escapes.
pub const MAX_LINE_BYTES: usize = 40 * 1024 * 1024;

/// Number of repaired lines that the report names.
const MAX_NAMED: usize = 8;

/// One line, without its line break and without byte-order marks before it: files with a mark may
/// have been joined.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// The text of the line.
    Text(String),
    /// The line is not UTF-8.
    NotUtf8,
    /// The line exceeded the limit and was skipped.
    TooLong,
}

/// Returns a reader of lines that decodes these bytes by their byte-order mark.
pub fn reader(opened: impl Read) -> io::Result<impl BufRead> {
    encoding::text(opened).map(BufReader::new)
}

/// Reads the next line, and returns it with its number of bytes; `None` at the end.
pub fn next(reader: &mut impl BufRead, limit: usize) -> io::Result<Option<(Line, u64)>> {
    let (mut buffer, mut taken) = (LineBuffer::new(limit), 0);
    loop {
        let (used, line) = buffer.take(reader.fill_buf()?);
        reader.consume(used);
        taken += used as u64;
        let line = match line {
            Some(lines::Line::Whole(line)) => String::from_utf8(line)
                .map_or(Line::NotUtf8, |line| Line::Text(line.trim_start_matches('\u{feff}').to_owned())),
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
/// A line that JavaScript or Python wrote is repaired first, which a note says.
///
/// Returns whether the file could be read to its end.
pub(crate) fn each(
    origin: &Origin,
    opened: impl Read,
    out: &mut Batcher,
    mut make: impl FnMut(u64, &str, &mut Emit<'_>) -> Result<(), Stop>,
) -> Result<bool, Stop> {
    let mut reader = BufReader::with_capacity(256 * 1024, opened);
    let (mut number, mut read, mut repaired) = (0, 0, Repaired::default());
    loop {
        number += 1;
        let place = || origin.place(Part::Line(number));
        let (line, bytes) = match next(&mut reader, MAX_LINE_BYTES) {
            Ok(Some(next)) => next,
            Ok(None) => {
                repaired.note().map_or(Ok(()), |note| out.problem(origin.place(Part::Whole), Problem::Noted(note)))?;
                return Ok(true);
            }
            Err(error) => return out.problem(place(), error).map(|()| false),
        };
        read += bytes;
        let text = match line {
            Line::Text(text) if text.trim().is_empty() => continue,
            Line::Text(text) => json::check(text.as_bytes()).map(|()| text),
            Line::NotUtf8 => Err("the line is not UTF-8".to_owned()),
            Line::TooLong => Err(format!("the line is longer than {} MiB", MAX_LINE_BYTES / 1024 / 1024)),
        };
        let mut is_taken = false;
        let mut emit = |made| match made {
            Ok(record) => {
                is_taken = true;
                out.record(place(), record, read)
            }
            Err(why) => out.problem(place(), why),
        };
        match text.map(repair) {
            Ok((text, repairs)) => {
                make(number, &text, &mut emit)?;
                if is_taken && repairs.surrogates > 0 {
                    repaired.add(number);
                }
                if is_taken && let Some(problem) = repairs.numbers_problem() {
                    out.problem(place(), Problem::Noted(format!("{problem}: read as null")))?;
                }
            }
            Err(why) => emit(Err(why))?,
        }
    }
}

/// Repairs a line, if it needs that. Valid JSON is unchanged.
fn repair(text: String) -> (String, Repairs) {
    let repaired = lenient::repaired(text.as_bytes());
    let made = repaired.and_then(|(bytes, repairs)| Some((String::from_utf8(bytes).ok()?, repairs)));
    made.unwrap_or((text, Repairs::default()))
}

/// The lines whose lone surrogates were replaced. One note names the first of them, since a file
/// may have a million.
#[derive(Default)]
struct Repaired {
    first: Vec<u64>,
    more: u64,
}

impl Repaired {
    fn add(&mut self, line: u64) {
        if self.first.len() < MAX_NAMED {
            self.first.push(line);
        } else {
            self.more += 1;
        }
    }

    fn note(&self) -> Option<String> {
        let named: Vec<_> = self.first.iter().map(u64::to_string).collect();
        let (lines, more) = match (named.len(), self.more) {
            (0, _) => return None,
            (1, _) => ("line", String::new()),
            (_, 0) => ("lines", String::new()),
            (_, more) => ("lines", format!(" and {more} more")),
        };
        let named = named.join(", ");
        Some(format!("halves of cut characters (lone surrogates) were replaced by U+FFFD on {lines} {named}{more}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_text_or_says_what_it_is_instead() {
        let mut bytes = b"\xef\xbb\xbf\xef\xbb\xbfone\n\n\xff\n12345678901\n\xef\xbb\xbflast".as_slice();
        let mut lines = Vec::new();
        while let Some((line, _)) = next(&mut bytes, 10).unwrap() {
            lines.push(line);
        }
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(lines, [text("one"), text(""), Line::NotUtf8, Line::TooLong, text("last")]);
    }
}
