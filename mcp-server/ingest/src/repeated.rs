//! Finds keys that are given twice in one run.
//!
//! The later record replaces the earlier one, which nobody would notice without a note that names
//! both places.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    path::PathBuf,
};

use pgrecall_record::source::Name;

use crate::{Part, Place};

/// Number of keys that are remembered, in about 35 MB.
const MAX_KEYS: usize = 1_000_000;
/// Number of records that a note of their own names.
const MAX_NAMED: u64 = 10;

/// The keys of a run, each with its place.
#[derive(Default)]
pub(crate) struct Keys {
    hasher: RandomState,
    places: HashMap<u64, Short>,
    /// The files in which a place may be.
    files: Vec<PathBuf>,
    repeated: u64,
    is_full: bool,
}

/// A place, in few bytes.
#[derive(Clone, Copy)]
enum Short {
    /// A whole file, whose path is the key.
    File,
    /// A file, and a line of it, or 0.
    Part(u32, u32),
}

impl Keys {
    /// Remembers the key of a record, and returns a note if an earlier record has it.
    ///
    /// `is_path`: the key is the path of the record's file.
    pub(crate) fn add(&mut self, name: &Name, place: &Place, is_path: bool) -> Option<String> {
        let hash = self.hasher.hash_one(name);
        if self.places.len() == MAX_KEYS && !self.places.contains_key(&hash) {
            let is_first = !std::mem::replace(&mut self.is_full, true);
            return is_first.then(|| {
                format!("more than {MAX_KEYS} keys: those from here on are not compared; ingest the files one by one")
            });
        }
        match self.places.entry(hash) {
            Entry::Vacant(new) => {
                new.insert(if is_path { Short::File } else { short(&mut self.files, place) });
                None
            }
            Entry::Occupied(known) => {
                let earlier = *known.get();
                self.repeated += 1;
                (self.repeated <= MAX_NAMED).then(|| self.note(earlier, place, is_path))
            }
        }
    }

    /// Returns a note about the records that no note named.
    pub(crate) fn end(&self) -> Option<String> {
        let more = self.repeated.saturating_sub(MAX_NAMED);
        (more > 0)
            .then(|| format!("{more} more records have a key that was given before, and replaced the earlier record"))
    }

    fn note(&self, earlier: Short, place: &Place, is_path: bool) -> String {
        let earlier = match earlier {
            Short::File if is_path => return "the file is named twice, here and earlier: it was read twice".to_owned(),
            Short::File => {
                return "its key is the path of a file of this run: this record replaces that file's document"
                    .to_owned();
            }
            Short::Part(file, line) => {
                let part = if line == 0 { Part::Whole } else { Part::Line(line.into()) };
                Place { path: self.files.get(file as usize).unwrap_or(&place.path).clone(), part }
            }
        };
        format!("its key was given before, at {earlier}: this record replaces that one; give each a key of its own")
    }
}

fn short(files: &mut Vec<PathBuf>, place: &Place) -> Short {
    if files.last() != Some(&place.path) {
        files.push(place.path.clone());
    }
    let line = if let Part::Line(line) = place.part { u32::try_from(line).unwrap_or_default() } else { 0 };
    Short::Part(u32::try_from(files.len() - 1).unwrap_or(u32::MAX), line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgrecall_record::source::{Record, SourceKind};

    fn named(key: &str) -> Name {
        let mut record = Record::new(SourceKind::Document, "text");
        record.fields.key = Some(key.to_owned());
        record.name().unwrap()
    }

    fn line(path: &str, line: u64) -> Place {
        Place { path: path.into(), part: Part::Line(line) }
    }

    #[test]
    fn a_key_that_is_given_twice_is_noted_with_both_places() {
        let mut keys = Keys::default();
        assert_eq!(keys.add(&named("a"), &line("one.jsonl", 3), false), None);
        assert_eq!(keys.add(&named("b"), &line("two.jsonl", 1), false), None);
        assert!(keys.add(&named("a"), &line("two.jsonl", 2), false).unwrap().contains("at one.jsonl:3"));
        let whole = Place { path: "c.md".into(), part: Part::Whole };
        assert_eq!(keys.add(&named("/c.md"), &whole, true), None);
        assert!(keys.add(&named("/c.md"), &whole, true).unwrap().contains("twice"));
        assert!(keys.add(&named("/c.md"), &line("export.jsonl", 1), false).unwrap().contains("path of a file"));
        assert_eq!(keys.end(), None);
    }

    #[test]
    fn many_repetitions_are_counted() {
        let mut keys = Keys::default();
        let notes = (0..1_000).filter(|at| keys.add(&named("a"), &line("a.jsonl", at + 1), false).is_some()).count();
        assert_eq!(notes as u64, MAX_NAMED);
        assert!(keys.end().unwrap().starts_with("989 more records"));
    }
}
