//! The source of the bytes: a file, or stdin.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use pgrecall_record::{hash, source::MAX_FIELD_BYTES};

use crate::{Format, Part, Place, Problem, root::Location};

/// Bytes that are searched for a NUL, which no text has, but pictures, archives and programs do.
const BINARY_WITHIN: usize = 8 * 1024;

/// A file to read, or stdin.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The path as a person wrote it, or below a folder that a person named.
    pub(crate) path: PathBuf,
    /// The same path in an absolute form; stdin has none.
    pub(crate) absolute: Option<PathBuf>,
    pub(crate) location: Location,
    /// Length in bytes; 0 if it is not known before the end.
    pub(crate) bytes: u64,
}

impl Origin {
    pub(crate) fn stdin() -> Self {
        Self { path: "stdin".into(), absolute: None, location: Location::Named("stdin".into()), bytes: 0 }
    }

    /// Creates the origin of a file that a person named.
    pub(crate) fn named(path: PathBuf, bytes: u64) -> Self {
        Self { absolute: Some(absolute(&path)), location: Location::Named(path.clone()), path, bytes }
    }

    /// Whether a person named the file, and not only a folder that it is in.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.location, Location::Named(_))
    }

    /// Returns the path from the folder that a person named, or the name of a file that a person
    /// named.
    pub(crate) fn relative_path(&self) -> &Path {
        match (&self.location, &self.absolute) {
            (Location::Within(root, _), Some(path)) => path.strip_prefix(root.path()).unwrap_or(path),
            _ => self.path.file_name().map_or(&self.path, Path::new),
        }
    }

    /// Returns the path under which the database tracks the file; stdin has none.
    pub(crate) fn path(&self) -> Option<String> {
        self.absolute.as_deref().map(tracked)
    }

    pub(crate) fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match &self.absolute {
            Some(_) => Box::new(self.location.open()?),
            None => Box::new(io::stdin().lock()),
        })
    }

    /// Returns the place of a part of the file.
    pub(crate) fn place(&self, part: Part) -> Place {
        Place { path: self.path.clone(), part }
    }

    /// Returns the key of the file's document, so that the same file replaces it.
    ///
    /// A text from stdin has no path, so its hash is the key.
    pub(crate) fn key(&self, text: &[u8]) -> String {
        self.path().unwrap_or_else(|| format!("stdin:{}", hash::short(text)))
    }

    /// Returns the key of a part of the file, so that the parts of two files never replace each
    /// other. A part of stdin has only its own name.
    pub(crate) fn key_of(&self, part: &str) -> String {
        let key = self.path().map_or_else(|| part.to_owned(), |path| format!("{path}#{part}"));
        if key.len() <= MAX_FIELD_BYTES { key } else { format!("part:{}", hash::short(key.as_bytes())) }
    }

    /// Returns the title of a document that has none: the file's name without its extension.
    pub(crate) fn stem(&self) -> String {
        self.absolute.as_deref().and_then(Path::file_stem).unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns the file's URL, percent-encoded.
    pub(crate) fn url(&self) -> Option<String> {
        self.absolute.as_deref().map(file_url)
    }

    /// Makes the problem of a file that is not in its format. A file that a folder contains is
    /// skipped.
    pub(crate) fn misfit(&self, sentence: impl Into<String>) -> Problem {
        if self.is_named() { Problem::Broken(sentence.into()) } else { Problem::Useless(sentence.into()) }
    }

    /// Reads all bytes, or refuses a file that exceeds the limit.
    pub(crate) fn whole(&self, opened: impl Read, format: Format, limit: usize) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        opened.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit && !self.is_binary(&bytes, format) {
            let limit = limit / 1024 / 1024;
            return Err(format!("it is longer than {limit} MiB, the most that one document may hold: split it").into());
        }
        Ok(bytes)
    }

    /// Decodes the bytes as UTF-8.
    ///
    /// Other encodings are refused and not guessed, since nobody would find a wrong guess.
    pub(crate) fn text(&self, bytes: Vec<u8>, format: Format) -> Result<String, Problem> {
        if self.is_binary(&bytes, format) {
            let is_backup = bytes.starts_with(b"PGDMP");
            let why =
                if is_backup { "it is a backup: `mcp-server restore` reads it" } else { "it is binary, not text" };
            return Err(self.misfit(why));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            format!("it is not UTF-8 (at byte {at}): convert it, for example with `iconv -f latin1 -t utf-8`")
        })?;
        let marks = text.len() - text.trim_start_matches('\u{feff}').len();
        Ok(if marks > 0 { text[marks..].to_owned() } else { text })
    }

    fn is_binary(&self, bytes: &[u8], format: Format) -> bool {
        format != Format::Pdf && bytes[..bytes.len().min(BINARY_WITHIN)].contains(&0)
    }
}

/// Cuts a title to `bytes` bytes. A title is one line, and the body has the whole text.
pub(crate) fn bounded(mut title: String, bytes: usize) -> String {
    title.truncate(title.floor_char_boundary(bytes));
    title
}

/// Returns the text under which the database tracks a path. A byte that is not UTF-8 is written as
/// `\xE9`, so that two names with such bytes stay two.
pub(crate) fn tracked(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02X}")));
    }
    text
}

/// Returns the path that a text of [`tracked`] stands for, if it stands for other bytes.
pub(crate) fn untracked(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits =
            rest.get(..4).filter(|code| code.starts_with(b"\\x")).and_then(|code| str::from_utf8(&code[2..]).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|byte| !byte.is_ascii()) {
            Some(byte) => (bytes.push(byte), rest = &rest[4..]),
            None => (bytes.push(*first), rest = after),
        };
    }
    (bytes != text.as_bytes()).then(|| OsString::from_vec(bytes).into())
}

/// Returns a path in a form that does not depend on the working folder.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}

fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes().iter().copied() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(byte.into());
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// Passes a file of these bytes to a reader, as one that a person named or one in a folder.
#[cfg(test)]
pub(crate) fn from_bytes(name: &str, bytes: &[u8], named: bool, read: impl FnOnce(&Origin)) {
    let (folder, name) = (std::env::temp_dir(), format!("pgrecall-ingest-{}-{name}", std::process::id()));
    let path = folder.join(&name);
    fs::write(&path, bytes).unwrap();
    let mut origin = Origin::named(path.clone(), bytes.len() as u64);
    if !named {
        origin.location = Location::Within(crate::root::Root::open(&folder).unwrap().into(), name.into());
    }
    read(&origin);
    fs::remove_file(path).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_file_is_escaped() {
        assert_eq!(file_url(Path::new("/a b/ü#1.md")), "file:///a%20b/%C3%BC%231.md");
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_tracked_as_one_of_its_own() {
        let path = |name: &[u8]| PathBuf::from(OsString::from_vec(name.to_vec()));
        for (name, text) in [
            (&b"/a/caf\xe9.md"[..], "/a/caf\\xE9.md"),
            (b"/a/caf\xe8.md", "/a/caf\\xE8.md"),
            (b"\xff\xfe/\xc3", "\\xFF\\xFE/\\xC3"),
        ] {
            assert_eq!(tracked(&path(name)), text);
            assert_eq!(untracked(text), Some(path(name)), "{text}");
        }
        for text in ["/a/caf\u{e9}.md", "", "a\\x41b", "\\x", "\\xé9"] {
            assert_eq!((tracked(Path::new(text)).as_str(), untracked(text)), (text, None));
        }
        assert_eq!(file_url(&path(b"/a\xe9")), "file:///a%E9");
    }

    #[test]
    fn a_text_from_stdin_is_known_by_what_it_says() {
        let stdin = Origin::stdin();
        assert_eq!(stdin.key(b"a"), stdin.key(b"a"));
        assert_ne!(stdin.key(b"a"), stdin.key(b"b"));
        assert_eq!(stdin.url(), None);
    }

    #[test]
    fn the_parts_of_two_files_have_two_keys_of_bounded_length() {
        let [a, b] = ["a.yaml", "b.yaml"].map(|name| Origin::named(name.into(), 0));
        assert!(a.key_of("GET /x").ends_with("/a.yaml#GET /x"));
        assert_ne!(a.key_of("GET /x"), b.key_of("GET /x"));
        let long = "x".repeat(2_000);
        assert_ne!(a.key_of(&long), b.key_of(&long));
        assert!(a.key_of(&long).len() < MAX_FIELD_BYTES);
        assert_eq!(Origin::stdin().key_of("GET /x"), "GET /x");
    }

    #[test]
    fn a_title_is_cut_between_characters() {
        assert_eq!(bounded("aüü".to_owned(), 4), "aü");
    }
}
