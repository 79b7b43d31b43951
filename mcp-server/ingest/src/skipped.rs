//! Counts the files of other formats by their extensions.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    hash::{BuildHasher, RandomState},
    path::Path,
};

use serde::Serialize;

/// Number of extensions that are counted apart: a folder may have a million of them.
const MAX_NAMED: usize = 100;
/// Number of extensions that a person reads.
const MAX_SHOWN: usize = 6;
/// Length of the longest extension that is one, and not a part of a name.
const MAX_CHARACTERS: usize = 12;
/// The name of files without an extension.
const NONE: &str = "no extension";
/// The name of all that are not counted apart.
const REST: &str = "others";

/// How many files have each extension.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Formats(BTreeMap<String, u64>);

impl Formats {
    /// Counts a file.
    pub(crate) fn add(&mut self, path: &Path) {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_one = |text: &str| text.len() <= MAX_CHARACTERS && text.chars().all(|c| c.is_ascii_alphanumeric());
        let name = match extension {
            "" => NONE.to_owned(),
            extension if is_one(extension) => format!(".{}", extension.to_ascii_lowercase()),
            _ => REST.to_owned(),
        };
        self.count(name, 1);
    }

    /// Adds the counts of a batch.
    pub(crate) fn extend(&mut self, batch: Self) {
        for (name, files) in batch.0 {
            self.count(name, files);
        }
    }

    /// Removes files that were counted earlier, and returns how many these are.
    pub(crate) fn remove(&mut self, used: &Self) -> u64 {
        let mut removed = 0;
        for (name, files) in &used.0 {
            let name = if self.0.contains_key(name) { name } else { REST };
            if let Some(count) = self.0.get_mut(name) {
                removed += *files.min(count);
                *count = count.saturating_sub(*files);
            }
        }
        self.0.retain(|_, files| *files > 0);
        removed
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn count(&mut self, name: String, files: u64) {
        let name = if self.0.len() < MAX_NAMED || self.0.contains_key(&name) { name } else { REST.to_owned() };
        *self.0.entry(name).or_default() += files;
    }
}

/// The files of JSON and YAML that are no format of their own. Some are parts of an API description,
/// which the run may read before or after them. Of each path it keeps a hash.
#[derive(Default)]
pub(crate) struct Companions {
    hasher: RandomState,
    others: HashSet<u64>,
    used: HashSet<u64>,
}

impl Companions {
    /// Whether to count a file that is no format of its own.
    pub(crate) fn is_other(&mut self, path: &Path) -> bool {
        let hash = self.hasher.hash_one(path);
        !self.used.contains(&hash) && self.others.insert(hash)
    }

    /// Notes that a description uses a file, and returns whether the file was counted before.
    pub(crate) fn is_used(&mut self, path: &Path) -> bool {
        let hash = self.hasher.hash_one(path);
        self.used.insert(hash) && self.others.remove(&hash)
    }
}

/// Lists the most frequent extensions: `12 .png, 3 .rs, 2 no extension, 4 others`.
impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all: Vec<(&str, u64)> = self.0.iter().map(|(name, files)| (name.as_str(), *files)).collect();
        all.sort_by_key(|(name, files)| (*name == REST, std::cmp::Reverse(*files)));
        let shown = if all.len() > MAX_SHOWN { MAX_SHOWN - 1 } else { all.len() };
        let rest: u64 = all.split_off(shown).iter().map(|(_, files)| files).sum();
        let mut parts: Vec<String> = all.iter().map(|(name, files)| format!("{files} {name}")).collect();
        parts.extend((rest > 0).then(|| format!("{rest} {REST}")));
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_description_uses_is_not_counted_whichever_is_read_first() {
        let (mut companions, mut formats) = (Companions::default(), Formats::default());
        let [a, b, c] = ["/a.yaml", "/b.yaml", "/c.yaml"].map(Path::new);
        assert!(companions.is_other(a) && !companions.is_used(b) && companions.is_other(c));
        assert!(companions.is_used(a) && !companions.is_used(a) && !companions.is_other(b));
        formats.add(a);
        formats.add(c);
        let mut used = Formats::default();
        used.add(a);
        assert_eq!((formats.remove(&used), formats.to_string().as_str()), (1, "1 .yaml"));
        assert_eq!((formats.remove(&used), formats.is_empty()), (1, true));
        assert_eq!(formats.remove(&used), 0);
    }

    #[test]
    fn the_most_frequent_extensions_are_named() {
        let mut formats = Formats::default();
        assert!(formats.is_empty());
        for name in ["a.png", "b.PNG", "c.rs", "Makefile", "notes.v1 draft", "x.averyveryverylongone"] {
            formats.add(Path::new(name));
        }
        assert_eq!(formats.to_string(), "2 .png, 1 .rs, 1 no extension, 2 others");
        for number in 0..10_000 {
            formats.add(Path::new(&format!("a.x{number}")));
        }
        assert!(formats.0.len() <= MAX_NAMED + 1, "a hostile folder fills no memory");
        assert_eq!(formats.0.values().sum::<u64>(), 10_006);
        let mut sum = Formats::default();
        sum.extend(formats.clone());
        sum.extend(formats);
        assert_eq!(sum.0.values().sum::<u64>(), 20_012);
        assert!(sum.to_string().starts_with("4 .png, ") && sum.to_string().ends_with(" others"), "{sum}");
    }
}
