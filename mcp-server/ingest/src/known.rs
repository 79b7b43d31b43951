//! Recognizes unchanged files: those whose present version the database has recorded.
//!
//! A version is a hash of the bytes, of the options, and of the readers' version. The bytes are
//! hashed once for the query, and once more while the file is read, so that a file that changed in
//! between is not taken for its older version.

use std::io::{self, Read};

use pgrecall_record::hash::{self, Running};
use pgrecall_store::files::FileVersion;
use uuid::Uuid;

use crate::{Format, Options, formats, origin::Origin};

/// The readers' version. Raise it when a reader makes other records of the same bytes: every file
/// then counts as changed.
const READERS: u32 = 3;
/// Bytes that are read from a file at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Computes the version of a file.
///
/// Returns `None` for stdin, which can be read only once, and for a file that cannot be opened,
/// which reading reports.
pub(super) fn version(origin: &Origin, options: &Options) -> Option<FileVersion> {
    let path = origin.path()?;
    let format = formats::choose(origin, options).ok()?;
    let mut hashing = Hashing::new(origin.open().ok()?, format, options);
    let mut chunk = vec![0; CHUNK_BYTES];
    while hashing.read(&mut chunk).ok()? > 0 {}
    let collection = options.collection.clone().unwrap_or_default();
    Some(FileVersion { path, collection, version: hashing.finish() })
}

/// A reader that hashes the bytes that it passes on.
pub(super) struct Hashing<R> {
    inner: R,
    hash: Running,
}

impl<R> Hashing<R> {
    pub(super) fn new(inner: R, format: Format, options: &Options) -> Self {
        let kind = options.kind.map_or("", |kind| kind.as_str());
        let (readers, format) = (READERS.to_le_bytes(), format!("{format:?}"));
        let mut parts: Vec<&[u8]> = vec![&readers, format.as_bytes(), kind.as_bytes()];
        // Without tags, the hash is that of the versions that had no tags.
        parts.extend(options.tags.iter().map(String::as_bytes));
        let hash = hash::Running::new(&parts);
        Self { inner, hash }
    }

    /// Returns the version of the bytes that were read.
    pub(super) fn finish(self) -> Uuid {
        self.hash.finish()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.hash.update(&buffer[..bytes]);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::from_bytes;
    use pgrecall_record::source::SourceKind;

    fn version_of(bytes: &[u8], options: &Options) -> FileVersion {
        let mut found = None;
        from_bytes("known.md", bytes, true, |origin| found = version(origin, options));
        found.unwrap()
    }

    #[test]
    fn a_version_is_the_bytes_and_what_was_asked_for() {
        let asked = Options::default();
        assert_eq!(version_of(b"text", &asked), version_of(b"text", &asked));
        assert_ne!(version_of(b"text", &asked).version, version_of(b"texts", &asked).version);
        let as_memory = Options { kind: Some(SourceKind::Memory), ..Options::default() };
        assert_ne!(version_of(b"text", &asked).version, version_of(b"text", &as_memory).version);
        let tagged = |tags: &[&str]| {
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            version_of(b"text", &Options { tags, ..Options::default() }).version
        };
        assert_eq!(version_of(b"text", &asked).version, tagged(&[]));
        assert!(tagged(&["a"]) != tagged(&[]) && tagged(&["a", "b"]) != tagged(&["ab"]));
        let as_text = Options { format: Some(Format::Text), ..Options::default() };
        assert_ne!(version_of(b"text", &asked).version, version_of(b"text", &as_text).version);
    }
}
