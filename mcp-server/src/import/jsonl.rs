//! Files of JSON lines: each line stands for itself, and a broken one is named by its number.

use std::io::BufReader;

use shared::source::Record;

use super::{
    files::{File, unreadable},
    out::Out,
};
use crate::ingest::{
    Closed, Part,
    lines::{self, Line, MAX_LINE_BYTES},
};

/// What a line becomes: records, and sentences about what could become none.
pub(super) type Made = Vec<Result<Record, String>>;

/// Reads a file of lines, and makes records of each.
pub(super) fn read(file: &File, out: &mut Out<'_>, make: impl Fn(&str) -> Made) -> Result<(), Closed> {
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
        let made = match &line {
            Line::Text(text) if text.trim().is_empty() => continue,
            Line::Text(text) => make(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Line::NotUtf8 => vec![Err("the line is not UTF-8".to_owned())],
            Line::TooLong => vec![Err(format!("the line is longer than {} MiB", MAX_LINE_BYTES / 1024 / 1024))],
        };
        for made in made {
            match made {
                Ok(record) => out.record(place(), record, read)?,
                Err(why) => out.broken(place(), why)?,
            }
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
