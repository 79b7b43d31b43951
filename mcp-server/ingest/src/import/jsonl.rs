//! Files of JSON lines: each line stands for itself, and a broken one is named by its number.

use std::io::BufReader;

use pgrecall_record::source::Record;

use super::{
    files::{File, unreadable},
    out::Out,
};
use crate::{
    Closed, Part, json,
    lines::{self, Line, MAX_LINE_BYTES},
};

/// Takes what a line becomes: a record, or a sentence about what could become none. One at a time: a line may hold a million.
pub(super) type Emit<'e> = dyn FnMut(Result<Record, String>) -> Result<(), Closed> + 'e;

/// Reads a file of lines, and makes records of each.
pub(super) fn read(
    file: &File,
    out: &mut Out<'_>,
    make: impl Fn(&str, &mut Emit<'_>) -> Result<(), Closed>,
) -> Result<(), Closed> {
    let mut reader = match file.open() {
        Ok(opened) => BufReader::with_capacity(256 * 1024, opened),
        Err(error) => return out.broken(file.place(Part::Whole), unreadable(&error)),
    };
    let (mut number, mut read) = (0, 0);
    loop {
        number += 1;
        let place = || file.place(Part::Line(number));
        let (line, bytes) = match lines::next(&mut reader, MAX_LINE_BYTES) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(()),
            Err(error) => return out.broken(place(), unreadable(&error)),
        };
        read += bytes;
        let mut emit = |made| match made {
            Ok(record) => out.record(place(), record, read),
            Err(why) => out.broken(place(), why),
        };
        match &line {
            Line::Text(text) if text.trim().is_empty() => {}
            Line::Text(text) => match json::check(text.as_bytes()) {
                Ok(()) => make(text.strip_prefix('\u{feff}').unwrap_or(text), &mut emit)?,
                Err(why) => emit(Err(why))?,
            },
            Line::NotUtf8 => emit(Err("the line is not UTF-8".to_owned()))?,
            Line::TooLong => emit(Err(format!("the line is longer than {} MiB", MAX_LINE_BYTES / 1024 / 1024)))?,
        }
    }
}

/// What is wrong with a line.
pub(super) fn wrong(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "the line ends in the middle: the file was cut off there".to_owned();
    }
    // Of one line its number would always be 1.
    let why = error.to_string();
    let why = why.split(" at line ").next().unwrap_or_default();
    let what = if error.is_data() { "does not say what it should" } else { "is not valid JSON" };
    format!("the line {what} ({why}, column {})", error.column())
}
