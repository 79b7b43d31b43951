//! Which files there are to read, and who wrote each.
//!
//! A path is what `--from` says, or what its first lines look like, and then that is told. A folder is the notes in it, or the files that
//! an export of conversations left there.

use std::{
    fs, io,
    io::{BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::{
    From,
    elements::{Element, Elements},
    out::Out,
};
use crate::{
    Closed, Part, Place, Problem,
    lines::{self, Line, MAX_LINE_BYTES},
    root::{Link, Location, Root},
};

/// Lines or conversations that are looked at before a file is given up as unknown: the first of them may be broken.
const LOOKED_AT: usize = 20;

/// A file to read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) location: Location,
    pub(super) bytes: u64,
    pub(super) from: From,
    /// What a person named: the folder in which it was found, or the file itself.
    pub(super) root: PathBuf,
}

impl File {
    /// A part of it, as it is named to a person.
    pub(super) fn place(&self, part: Part) -> Place {
        Place { path: self.path.clone(), part }
    }

    /// Opens it, if it is a file and has stayed in its folder.
    pub(super) fn open(&self) -> io::Result<fs::File> {
        self.location.open()
    }
}

/// What to say of a file that cannot be read.
pub(super) fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read ({error})")
}

/// A file that was found, before it is known who wrote it.
struct Found {
    path: PathBuf,
    location: Location,
    bytes: u64,
}

/// The files of these paths. What cannot be read is told and left out.
pub(super) fn find(paths: &[PathBuf], from: Option<From>, out: &mut Out<'_>) -> Result<Vec<File>, Closed> {
    let mut files = Vec::new();
    for root in paths {
        let mut refused = Vec::new();
        let found = match fs::metadata(root) {
            Ok(found) if found.is_dir() => in_folder(root, from, &mut refused),
            Ok(found) => named(root, found.len(), from),
            Err(error) => Err(unreadable(&error)),
        };
        let whole = |path: &Path| Place { path: path.to_owned(), part: Part::Whole };
        for (path, problem) in refused {
            out.problem(whole(&path), problem)?;
        }
        match found {
            Err(why) => out.broken(whole(root), why)?,
            Ok((written_by, found)) => {
                if from.is_none() {
                    out.noted(whole(root), format!("read as {}", written_by.what()))?;
                }
                let file = |Found { path, location, bytes }| File {
                    path,
                    location,
                    bytes,
                    from: written_by,
                    root: root.clone(),
                };
                files.extend(found.into_iter().map(file));
            }
        }
    }
    Ok(files)
}

/// A file that a person named.
fn named(path: &Path, bytes: u64, from: Option<From>) -> Result<(From, Vec<Found>), String> {
    let location = Location::Named(path.to_owned());
    let from = match from {
        Some(from) => not_packed(&location).map(|()| from)?,
        None => looks_like(path, &location)?,
    };
    Ok((from, vec![Found { path: path.to_owned(), location, bytes }]))
}

impl From {
    fn what(self) -> &'static str {
        match self {
            Self::Pgrecall => "an export of pgrecall",
            Self::ServerMemory => "the knowledge graph of server-memory",
            Self::BasicMemory => "notes of Basic Memory",
            Self::Chatgpt => "conversations of ChatGPT",
            Self::Claude => "conversations of Claude",
        }
    }

    /// Whether a file in a folder is one of its files, by its name.
    fn is_of(self, name: &str) -> bool {
        match self {
            Self::Pgrecall | Self::ServerMemory => name.ends_with(".jsonl"),
            Self::BasicMemory => name.ends_with(".md"),
            Self::Chatgpt | Self::Claude => name.starts_with("conversations") && name.ends_with(".json"),
        }
    }
}

/// Links of a folder that lead out of it, and why they are not followed.
type Refused = Vec<(PathBuf, Problem)>;

/// What a folder is, and its files.
fn in_folder(folder: &Path, from: Option<From>, refused: &mut Refused) -> Result<(From, Vec<Found>), String> {
    let root = Arc::new(Root::open(folder).map_err(|error| unreadable(&error))?);
    let candidates = from.map_or_else(|| vec![From::Chatgpt, From::BasicMemory], |from| vec![from]);
    for candidate in candidates {
        refused.clear();
        let mut search = Search { root: &root, folder, from: candidate, found: Vec::new(), refused };
        search.walk(Path::new("")).map_err(|error| unreadable(&error))?;
        let files = search.found;
        if let Some(first) = files.first() {
            let looks = from.is_none() && candidate == From::Chatgpt;
            let is = if looks { looks_like(&first.path, &first.location)? } else { candidate };
            return Ok((is, files));
        }
    }
    Err("there is nothing in this folder that can be imported: name the files".to_owned())
}

/// A search for the files that one program writes.
struct Search<'s> {
    root: &'s Arc<Root>,
    /// The folder as a person named it.
    folder: &'s Path,
    from: From,
    found: Vec<Found>,
    refused: &'s mut Refused,
}

impl Search<'_> {
    /// Finds the files of a folder, by its path from the root, in the order of their names. No link to a folder is followed, so that no loop
    /// comes of one.
    fn walk(&mut self, at: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(self.root.path().join(at))?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let (path, kind) = (at.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() {
                // Notes lie in folders of folders; an export is what lies in its own.
                if self.from == From::BasicMemory {
                    self.walk(&path)?;
                }
            } else if kind.is_symlink() {
                self.link(path);
            } else if kind.is_file() && self.from.is_of(&name) {
                self.add(&path, path.clone(), entry.metadata()?.len());
            }
        }
        Ok(())
    }

    fn link(&mut self, path: PathBuf) {
        let is_of = |path: &Path| path.file_name().is_some_and(|name| self.from.is_of(&name.to_string_lossy()));
        match self.root.resolve(&path) {
            Link::File(target, bytes) if is_of(&path) && !(is_of(&target) && self.is_walked(&target)) => {
                self.add(&path, target, bytes);
            }
            Link::Outside(problem) => self.refused.push((self.folder.join(path), problem)),
            Link::File(..) | Link::Ignored => {}
        }
    }

    /// Whether the walk comes to this place.
    fn is_walked(&self, path: &Path) -> bool {
        let is_hidden = path.components().any(|name| name.as_os_str().as_encoded_bytes().starts_with(b"."));
        !is_hidden && (self.from == From::BasicMemory || path.components().count() == 1)
    }

    fn add(&mut self, path: &Path, target: PathBuf, bytes: u64) {
        let location = Location::Within(Arc::clone(self.root), target);
        self.found.push(Found { path: self.folder.join(path), location, bytes });
    }
}

/// Refuses an archive: exports come as one, and are not read in it.
fn not_packed(location: &Location) -> Result<(), String> {
    let mut first = [0; 4];
    let opened = location.open().and_then(|mut file| file.read(&mut first));
    match opened {
        Ok(4) if first == *b"PK\x03\x04" => {
            Err("it is a ZIP archive: unpack it first, and import the folder that comes of it".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(&error)),
    }
}

/// What the first lines of a file look like.
fn looks_like(path: &Path, location: &Location) -> Result<From, String> {
    const UNKNOWN: &str = "it is nothing that import knows: say with --from what it is, or use `mcp-server ingest`";
    not_packed(location)?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md")) {
        return Ok(From::BasicMemory);
    }
    let opened = || location.open().map(BufReader::new).map_err(|error| unreadable(&error));
    let mut elements = Elements::of(opened()?);
    for _ in 0..LOOKED_AT {
        match elements.next().map_err(|error| unreadable(&error))? {
            Some(Element::Json(bytes)) => {
                let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { continue };
                if value.get("mapping").is_some() {
                    return Ok(From::Chatgpt);
                }
                if value.get("chat_messages").is_some() {
                    return Ok(From::Claude);
                }
            }
            Some(Element::TooLong) => {}
            Some(Element::NoList | Element::Cut) | None => break,
        }
    }
    let mut reader = opened()?;
    for _ in 0..LOOKED_AT {
        let Some((line, _)) = lines::next(&mut reader, MAX_LINE_BYTES).map_err(|error| unreadable(&error))? else {
            break;
        };
        let Line::Text(line) = line else { continue };
        let Ok(value) = serde_json::from_str::<Value>(line.trim_start_matches('\u{feff}')) else { continue };
        match value.get("type").and_then(Value::as_str) {
            Some("entity" | "relation") => return Ok(From::ServerMemory),
            _ if value.get("id").is_some() && value.get("kind").is_some() => return Ok(From::Pgrecall),
            _ => {}
        }
    }
    Err(UNKNOWN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_lines() {
        let path = std::env::temp_dir().join(format!("pgrecall-looks-{}", std::process::id()));
        let looks = |content: &str| {
            fs::write(&path, content).unwrap();
            looks_like(&path, &Location::Named(path.clone()))
        };
        assert_eq!(looks("{\"type\":\"relation\",\"from\":\"a\"}\n"), Ok(From::ServerMemory));
        assert_eq!(looks("broken\n{\"id\":\"1\",\"kind\":\"memory\"}\n"), Ok(From::Pgrecall));
        assert_eq!(looks("[{\"title\":\"t\",\"mapping\":{}}]"), Ok(From::Chatgpt));
        assert_eq!(looks("\u{feff} [ 1, {\"chat_messages\":[]}]"), Ok(From::Claude));
        assert!(looks("PK\u{3}\u{4}abc").unwrap_err().contains("unpack it first"));
        for unknown in ["", "[]", "[", "text", "{\"_id\":\"1\",\"text\":\"t\"}"] {
            assert!(looks(unknown).unwrap_err().contains("--from"), "{unknown}");
        }
        fs::remove_file(path).unwrap();
    }
}
