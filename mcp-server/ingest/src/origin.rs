//! Where bytes come from: a file, or stdin.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{Format, Options, Part, Place, Problem, format, root::Location, walk};

/// A text has no NUL; what has one this early is a picture, an archive or a program.
const BINARY_WITHIN: usize = 8 * 1024;

/// What is read as one: a file, or stdin.
#[derive(Debug)]
pub(super) struct Origin {
    /// As a person wrote it.
    path: PathBuf,
    /// The same in a form that holds from wherever it is ingested; stdin has none.
    absolute: Option<PathBuf>,
    location: Location,
    /// Its length; 0 where nobody can tell before it is read.
    pub(super) bytes: u64,
    /// Whether a person named it, rather than a folder that it lies in.
    pub(super) named: bool,
}

impl Origin {
    pub(super) fn of(file: walk::File) -> Self {
        let named = file.is_named();
        let path = if file.absolute.is_some() { file.path } else { PathBuf::from("stdin") };
        Self { path, absolute: file.absolute, location: file.location, bytes: file.bytes, named }
    }

    /// Where it lies; stdin lies nowhere.
    pub(super) fn path(&self) -> Option<String> {
        self.absolute.as_ref().map(|path| path.to_string_lossy().into_owned())
    }

    /// What it is: what a person says of it, else what its name promises. A name that promises nothing is a text's.
    pub(super) fn format(&self, options: &Options) -> Result<Format, Problem> {
        if let Some(format) = options.format.filter(|_| self.named) {
            return Ok(format);
        }
        if self.absolute.is_none() {
            return Ok(Format::JsonLines);
        }
        match (Format::of(&self.path), format::advice(&self.path)) {
            (Some(format), _) => Ok(format),
            (None, Some(advice)) => Err(Problem::Broken(advice)),
            (None, None) => Ok(Format::Text),
        }
    }

    pub(super) fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match &self.absolute {
            Some(_) => Box::new(self.location.open()?),
            None => Box::new(io::stdin().lock()),
        })
    }

    /// Where in it something stands.
    pub(super) fn place(&self, part: Part) -> Place {
        Place { path: self.path.clone(), part }
    }

    /// What its document is called, so that the same again replaces it. A text from stdin has no name but itself.
    pub(super) fn key(&self, text: &[u8]) -> String {
        match &self.absolute {
            Some(path) => path.to_string_lossy().into_owned(),
            None => format!("stdin:{}", pgrecall_record::hash::short(text)),
        }
    }

    /// The name that a document without a title goes by.
    pub(super) fn stem(&self) -> String {
        self.absolute.as_deref().and_then(Path::file_stem).unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The address of the file, with what may not stand in one escaped.
    pub(super) fn url(&self) -> Option<String> {
        self.absolute.as_deref().map(file_url)
    }

    /// What is wrong with a file that is not of its format. One that a folder happens to hold is only passed over.
    pub(super) fn misfit(&self, sentence: impl Into<String>) -> Problem {
        if self.named { Problem::Broken(sentence.into()) } else { Problem::Useless(sentence.into()) }
    }

    /// All its bytes, or why they are too many.
    pub(super) fn whole(&self, opened: impl Read, format: Format) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        opened.take(format.limit() as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if bytes.len() > format.limit() && !self.is_binary(&bytes, format) {
            let limit = format.limit() / 1024 / 1024;
            return Err(Problem::Broken(format!(
                "it is longer than {limit} MiB, the most that one document may hold: split it"
            )));
        }
        Ok(bytes)
    }

    /// The text that these bytes are. Text that is not UTF-8 is refused rather than guessed at: a wrong guess would be found by nobody.
    pub(super) fn text(&self, bytes: Vec<u8>, format: Format) -> Result<String, Problem> {
        if self.is_binary(&bytes, format) {
            return Err(self.misfit("it is binary, not text"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::Broken(format!(
                "it is not UTF-8 (at byte {at}): convert it, for example with `iconv -f latin1 -t utf-8`"
            ))
        })?;
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }

    fn is_binary(&self, bytes: &[u8], format: Format) -> bool {
        format != Format::Pdf && bytes[..bytes.len().min(BINARY_WITHIN)].contains(&0)
    }
}

/// Why nothing could be read.
pub(super) fn unreadable(error: &io::Error) -> Problem {
    Problem::Broken(format!("it cannot be read ({error})"))
}

/// A title is a line, not a text: what is longer stands in the body anyway.
pub(super) fn bounded(mut title: String, bytes: usize) -> String {
    let end = (0..=bytes.min(title.len())).rev().find(|end| title.is_char_boundary(*end)).unwrap_or(0);
    title.truncate(end);
    title
}

fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(byte.into());
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// A file of a test's own, and what a reader makes of it.
#[cfg(test)]
pub(super) fn from_bytes(name: &str, bytes: &[u8], named: bool, read: impl FnOnce(&Origin)) {
    let path = std::env::temp_dir().join(format!("pgrecall-ingest-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let origin = Origin::of(walk::File::named(path.clone(), bytes.len() as u64));
    read(&Origin { named, ..origin });
    std::fs::remove_file(path).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_file_is_escaped() {
        assert_eq!(file_url(Path::new("/a b/ü#1.md")), "file:///a%20b/%C3%BC%231.md");
    }

    #[test]
    fn a_text_from_stdin_is_known_by_what_it_says() {
        let stdin = Origin::of(walk::File::stdin());
        assert_eq!(stdin.key(b"a"), stdin.key(b"a"));
        assert_ne!(stdin.key(b"a"), stdin.key(b"b"));
        assert_eq!(stdin.url(), None);
    }

    #[test]
    fn a_title_is_cut_between_characters() {
        assert_eq!(bounded("aüü".to_owned(), 4), "aü");
    }
}
