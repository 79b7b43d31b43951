//! Finds keys that are given twice in one run.
//!
//! The later record replaces the earlier one, which nobody would notice without a note that names
//! both places. A record that is the same as the earlier one needs none: two exports may overlap.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    path::PathBuf,
};

use pgrecall_record::source::{Name, Record};

use crate::{Part, Place};

/// Number of keys that are remembered, in about 35 MB.
const MAX_KEYS: usize = 1_000_000;
/// Number of records that a note of their own names.
const MAX_NAMED: u64 = 10;

/// The keys of a run, each with its place.
#[derive(Default)]
pub(crate) struct Keys {
    hasher: RandomState,
    /// Each place with a hash of its record. Half of a hash, since a note that is missing by chance
    /// is rarer than one in four billion.
    places: HashMap<u64, (Short, u32)>,
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
    pub(crate) fn add(&mut self, name: &Name, record: &Record, place: &Place, is_path: bool) -> Option<String> {
        let hash = self.hasher.hash_one(name);
        let Record { fields, body, details, .. } = record;
        let content = self.hasher.hash_one((body, details, format!("{fields:?}"))) as u32;
        if self.places.len() == MAX_KEYS && !self.places.contains_key(&hash) {
            let is_first = !std::mem::replace(&mut self.is_full, true);
            return is_first.then(|| {
                format!("more than {MAX_KEYS} keys: those from here on are not compared; ingest the files one by one")
            });
        }
        match self.places.entry(hash) {
            Entry::Vacant(new) => {
                new.insert((if is_path { Short::File } else { short(&mut self.files, place) }, content));
                None
            }
            Entry::Occupied(known) if !is_path && known.get().1 == content => None,
            Entry::Occupied(known) => {
                let (earlier, _) = *known.get();
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

    fn named(key: &str, text: &str) -> (Name, Record) {
        let mut record = Record::new(SourceKind::Document, text);
        record.fields.key = Some(key.to_owned());
        (record.name().unwrap(), record)
    }

    fn line(path: &str, line: u64) -> Place {
        Place { path: path.into(), part: Part::Line(line) }
    }

    #[test]
    fn a_key_that_is_given_twice_is_noted_with_both_places() {
        let mut keys = Keys::default();
        let mut add = |key: &str, text: &str, place: Place, is_path: bool| {
            let (name, record) = named(key, text);
            keys.add(&name, &record, &place, is_path)
        };
        assert_eq!(add("a", "one", line("one.jsonl", 3), false), None);
        assert_eq!(add("b", "one", line("two.jsonl", 1), false), None);
        assert!(add("a", "two", line("two.jsonl", 2), false).unwrap().contains("at one.jsonl:3"));
        assert_eq!(add("a", "one", line("three.jsonl", 1), false), None, "the same record");
        let whole = || Place { path: "c.md".into(), part: Part::Whole };
        assert_eq!(add("/c.md", "one", whole(), true), None);
        assert!(add("/c.md", "one", whole(), true).unwrap().contains("twice"));
        assert!(add("/c.md", "two", line("export.jsonl", 1), false).unwrap().contains("path of a file"));
        assert_eq!(keys.end(), None);
    }

    #[test]
    fn many_repetitions_are_counted() {
        let mut keys = Keys::default();
        let mut add = |at: u64| {
            let (name, record) = named("a", &format!("text {at}"));
            keys.add(&name, &record, &line("a.jsonl", at), false)
        };
        let notes = (1..=1_000).filter(|at| add(*at).is_some()).count();
        assert_eq!(notes as u64, MAX_NAMED);
        assert!(keys.end().unwrap().starts_with("989 more records"));
    }
}
