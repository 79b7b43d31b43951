//! The manifest of an installed part: each file with its size and its SHA-256, written when the
//! part is installed.
//!
//! A part that was installed completely can be damaged later: a full disk truncates a copy, or a
//! bit flips. The manifest detects that before a program fails with an unrelated error. It does not
//! protect against an attacker who can write to the runtime.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::{Condition, sync::tree};

/// The manifest's file name in the part's folder.
const NAME: &str = ".manifest";

/// How thoroughly a part is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Whether each file exists and has the recorded size; takes milliseconds.
    Sizes,
    /// Whether each file has the recorded content; takes about a second.
    Hashes,
}

/// Writes the manifest of the part in `folder`.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    let mut lines = String::new();
    let mut files = tree(folder)?;
    files.retain(|path| path.is_file());
    // In a fixed order.
    files.sort();
    for path in files {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        lines.push_str(&format!("{} {} {}\n", hash(&path)?, fs::metadata(&path)?.len(), name.display()));
    }
    // `create_new` does not follow a link that another user put in the manifest's place.
    File::create_new(folder.join(NAME))?.write_all(lines.as_bytes())
}

/// Compares the part in `folder` with its manifest.
pub(super) fn check(folder: &Path, depth: Depth) -> io::Result<Condition> {
    let path = folder.join(NAME);
    let lines = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Condition::Unverified),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Condition::Damaged(vec![path])),
        lines => lines?,
    };
    let mut damaged = Vec::new();
    for line in lines.lines() {
        match Entry::parse(line) {
            Some(entry) if entry.fits(folder, depth)? => {}
            Some(entry) => damaged.push(folder.join(entry.name)),
            None => damaged.push(path.clone()),
        }
    }
    if lines.is_empty() {
        damaged.push(path);
    }
    Ok(if damaged.is_empty() { Condition::Sound } else { Condition::Damaged(damaged) })
}

/// Returns the SHA-256 of a file, in lower-case hexadecimal.
pub(super) fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(pgrecall_record::hash::hex(&hasher.finalize())),
            length => hasher.update(&buffer[..length]),
        }
    }
}

/// A line of the manifest.
struct Entry<'a> {
    hash: &'a str,
    bytes: u64,
    name: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(3, ' ');
        let (hash, bytes, name) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?);
        (hash.len() == 64).then_some(Self { hash, bytes, name })
    }

    fn fits(&self, folder: &Path, depth: Depth) -> io::Result<bool> {
        let path = folder.join(self.name);
        match fs::metadata(&path) {
            Ok(meta) if !meta.is_file() || meta.len() != self.bytes => Ok(false),
            Ok(_) if depth == Depth::Sizes => Ok(true),
            Ok(_) => Ok(hash(&path)? == self.hash),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_cut_off_or_changed_is_named() {
        let folder = std::env::temp_dir().join(format!("pgrecall-manifest-{}", std::process::id()));
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("a file"), "content").unwrap();
        fs::write(folder.join("below/b"), "").unwrap();
        assert_eq!(check(&folder, Depth::Hashes).unwrap(), Condition::Unverified);
        write(&folder).unwrap();
        assert_eq!(check(&folder, Depth::Hashes).unwrap(), Condition::Sound);

        fs::write(folder.join("a file"), "contenT").unwrap();
        assert_eq!(check(&folder, Depth::Sizes).unwrap(), Condition::Sound);
        assert_eq!(check(&folder, Depth::Hashes).unwrap(), Condition::Damaged(vec![folder.join("a file")]));
        fs::write(folder.join("a file"), "cont").unwrap();
        fs::remove_file(folder.join("below/b")).unwrap();
        let both = vec![folder.join("a file"), folder.join("below/b")];
        assert_eq!(check(&folder, Depth::Sizes).unwrap(), Condition::Damaged(both));
        fs::write(folder.join(NAME), "").unwrap();
        assert_eq!(check(&folder, Depth::Sizes).unwrap(), Condition::Damaged(vec![folder.join(NAME)]));
        fs::remove_dir_all(&folder).unwrap();
    }
}
