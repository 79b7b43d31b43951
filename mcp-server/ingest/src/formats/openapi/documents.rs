//! The files of one API description: the file itself, and those next to it that it refers to.
//!
//! Only JSON and YAML files in the folder that a person named are opened. A description that was
//! named alone has no such folder: whoever wrote it must not choose which other files become
//! records (decision 29).

use std::{
    collections::HashMap,
    ffi::OsStr,
    io::Read,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use pgrecall_record::hash;
use serde_json::Value;

use crate::{
    Format, encoding,
    formats::{json::MAX_VALUES, structured},
    origin::Origin,
    root::{Location, Root},
};

/// Number of other files that are read for one description.
const MAX_FILES: usize = 500;
/// Bytes of text in these files.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A value, and the index of the file that it is in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'r> {
    pub(super) value: &'r Value,
    pub(super) document: usize,
}

/// The value that a reference names.
pub(super) enum Target<'r> {
    Found(Node<'r>),
    /// The file is read, and has nothing there.
    Missing,
    /// The file is not read.
    Outside,
}

/// The files of a description. The first is the description itself.
pub(super) struct Documents {
    /// The paths from the root, and the contents.
    all: Vec<(PathBuf, Value)>,
    indexes: HashMap<PathBuf, usize>,
    /// Files that could not be read, and why.
    failed: Vec<(PathBuf, String)>,
    /// Files that were not read as they are, and what was repaired or left out.
    repaired: Vec<(PathBuf, String)>,
    hashes: String,
    bytes_left: usize,
    values_left: usize,
}

impl Documents {
    /// Creates the documents of a description that refers to no other file.
    pub(super) fn of(path: &Path, description: Value) -> Self {
        let values_left = MAX_VALUES.saturating_sub(count(&description));
        let path = path.to_owned();
        Self {
            indexes: HashMap::from([(path.clone(), 0)]),
            all: vec![(path, description)],
            failed: Vec::new(),
            repaired: Vec::new(),
            hashes: String::new(),
            bytes_left: MAX_BYTES,
            values_left,
        }
    }

    /// Reads the files that the description refers to, and those that these refer to.
    pub(super) fn load(origin: &Origin, description: Value) -> Self {
        let Location::Within(root, path) = &origin.location else {
            return Self::of(origin.relative_path(), description);
        };
        let mut documents = Self::of(path, description);
        let mut next = 0;
        while next < documents.all.len() {
            for path in documents.others(next) {
                match documents.read(root, &path) {
                    Ok(value) => {
                        documents.indexes.insert(path.clone(), documents.all.len());
                        documents.all.push((path, value));
                    }
                    Err(why) => documents.failed.push((path, why)),
                }
            }
            next += 1;
        }
        documents
    }

    pub(super) fn description(&self) -> Node<'_> {
        Node { value: &self.all[0].1, document: 0 }
    }

    /// Returns a text that changes when one of the other files does, or when they are read at all.
    /// `None`: the description refers to no other file.
    pub(super) fn others_hash(&self) -> Option<&str> {
        let refers = references(&self.all[0].1).iter().any(|file| !is_address(file));
        Some(self.hashes.as_str()).filter(|_| refers)
    }

    /// Whether a reference names a file that a run with another folder might read.
    pub(super) fn may_be_read(&self, from: usize, reference: &str) -> bool {
        !is_address(reference) && matches!(self.find(from, reference), Target::Outside)
    }

    /// Returns the absolute paths of the other files that were read.
    pub(super) fn others_read(&self, origin: &Origin) -> Vec<PathBuf> {
        let Location::Within(root, _) = &origin.location else { return Vec::new() };
        self.all[1..].iter().map(|(path, _)| root.path().join(path)).collect()
    }

    pub(super) fn failed(&self) -> &[(PathBuf, String)] {
        &self.failed
    }

    pub(super) fn repaired(&self) -> &[(PathBuf, String)] {
        &self.repaired
    }

    /// Finds the value that a reference in this document names.
    pub(super) fn find(&self, from: usize, reference: &str) -> Target<'_> {
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let document = match file {
            "" => from,
            file => {
                let path = joined(&self.all[from].0, file);
                let Some(index) = path.and_then(|path| self.indexes.get(&path)) else { return Target::Outside };
                *index
            }
        };
        let whole = &self.all[document].1;
        let found = whole.pointer(pointer).or_else(|| whole.pointer(&unescaped(pointer)?));
        found.map_or(Target::Missing, |value| Target::Found(Node { value, document }))
    }

    /// Returns the paths of files that a document refers to and that are not known yet.
    fn others(&self, document: usize) -> Vec<PathBuf> {
        let (path, value) = &self.all[document];
        let mut others = Vec::new();
        for other in references(value).into_iter().filter_map(|file| joined(path, file)) {
            let is_known = self.indexes.contains_key(&other)
                || others.contains(&other)
                || self.failed.iter().any(|(failed, _)| *failed == other);
            if !is_known && others.len() + self.all.len() + self.failed.len() <= MAX_FILES {
                others.push(other);
            }
        }
        others
    }

    fn read(&mut self, root: &Arc<Root>, path: &Path) -> Result<Value, String> {
        if Format::of(path) != Some(Format::Structured) {
            return Err("it is not JSON or YAML".to_owned());
        }
        let read = || {
            let opened = Location::Within(Arc::clone(root), path.to_owned()).open()?;
            let mut bytes = Vec::new();
            encoding::text(opened)?.take(self.bytes_left as u64 + 1).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        let bytes = read().map_err(|error| format!("it cannot be read ({error})"))?;
        self.hashes.push_str(&hash::short(&bytes));
        self.bytes_left = self
            .bytes_left
            .checked_sub(bytes.len())
            .ok_or_else(|| format!("the files have more than {} MiB together", MAX_BYTES / 1024 / 1024))?;
        let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let (value, notes) = structured::parse(text.trim_start_matches('\u{feff}'), self.values_left)?;
        self.repaired.extend(notes.into_iter().map(|note| (path.to_owned(), note)));
        self.values_left = self.values_left.saturating_sub(count(&value));
        Ok(value)
    }
}

/// Returns the files to which the references in a value point, in order.
fn references(value: &Value) -> Vec<&str> {
    let (mut files, mut stack) = (Vec::new(), vec![value]);
    while let Some(value) = stack.pop() {
        match value {
            Value::Object(object) => stack.extend(object.values()),
            Value::Array(items) => stack.extend(items),
            _ => continue,
        }
        let file = value.get("$ref").and_then(Value::as_str).and_then(|text| text.split('#').next());
        files.extend(file.filter(|file| !file.is_empty()));
    }
    // The stack found the last reference first.
    files.reverse();
    files
}

/// Whether a reference is an address on the web, or any other with a scheme.
fn is_address(reference: &str) -> bool {
    reference.contains("://")
}

/// Counts the values in a value.
fn count(value: &Value) -> usize {
    let (mut count, mut stack) = (0, vec![value]);
    while let Some(value) = stack.pop() {
        count += 1;
        match value {
            Value::Object(object) => stack.extend(object.values()),
            Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
    count
}

/// Returns the path from the root of a file that the file at `from` refers to.
///
/// `None` if it is outside of the root, on the web, or hidden: the walk passes over hidden files.
fn joined(from: &Path, reference: &str) -> Option<PathBuf> {
    let reference = unescaped(reference)?;
    // An address has a scheme, and a query is of an address.
    if reference.starts_with('/') || reference.contains([':', '?', '\\', '\0']) {
        return None;
    }
    let folder = from.parent().unwrap_or(Path::new(""));
    let mut path = folder.to_owned();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." if !path.pop() => return None,
            ".." => {}
            part => path.push(part),
        }
    }
    let is_hidden = |part: Component<'_>| part.as_os_str().as_encoded_bytes().starts_with(b".");
    let new = path.strip_prefix(folder).unwrap_or(&path);
    (!new.components().any(is_hidden) && path.file_name() != Some(OsStr::new(""))).then_some(path)
}

/// Decodes the percent-encoded characters (`%7B`) of a reference.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_stays_in_the_root() {
        let joined =
            |from: &str, reference: &str| joined(Path::new(from), reference).map(|path| path.display().to_string());
        for (from, reference, path) in [
            ("api.yaml", "./paths/a.yaml", "paths/a.yaml"),
            ("api.yaml", "a.yaml", "a.yaml"),
            ("paths/a.yaml", "../schemas/b%20c.yaml", "schemas/b c.yaml"),
            ("..2026/api.yaml", "a.yaml", "..2026/a.yaml"),
        ] {
            assert_eq!(joined(from, reference).as_deref(), Some(path));
        }
        for outside in [
            "../a.yaml",
            "x/../../a.yaml",
            "/etc/a.yaml",
            "https://a/b.yaml",
            "file:///a.yaml",
            ".git/a.yaml",
            "x/.a.json",
            "%2e%2e/a.yaml",
            "%ff",
        ] {
            assert_eq!(joined("api.yaml", outside), None, "{outside}");
        }
        assert_eq!(joined("v1/api.yaml", "../.env.yaml"), None);
    }
}
