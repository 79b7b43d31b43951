//! Which files there are to read, and who wrote each.
//!
//! A path is what `--from` says, or what its first lines look like, and then that is told. A folder is the notes in it, or the files that
//! an export of conversations left there.

use std::{
    fs, io,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    From,
    elements::{Element, Elements},
    out::Out,
};
use crate::ingest::{
    Closed, Part, Place,
    lines::{self, Line, MAX_LINE_BYTES},
};

/// Lines or conversations that are looked at before a file is given up as unknown: the first of them may be broken.
const LOOKED_AT: usize = 20;

/// A file to read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
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
}

/// What to say of a file that cannot be read.
pub(super) fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read ({error})")
}

/// The files of these paths. What cannot be read is told and left out.
pub(super) fn find(paths: &[PathBuf], from: Option<From>, out: &mut Out<'_>) -> Result<Vec<File>, Closed> {
    let mut files = Vec::new();
    for root in paths {
        let found = match fs::metadata(root) {
            Ok(found) if found.is_dir() => in_folder(root, from),
            Ok(_) => from
                .map_or_else(|| looks_like(root), |from| not_packed(root).map(|()| from))
                .map(|from| (from, vec![root.clone()])),
            Err(error) => Err(unreadable(&error)),
        };
        let whole = |path: &Path| Place { path: path.to_owned(), part: Part::Whole };
        match found {
            Err(why) => out.broken(whole(root), why)?,
            Ok((written_by, found)) => {
                if from.is_none() {
                    out.noted(whole(root), format!("read as {}", written_by.what()))?;
                }
                for path in found {
                    match fs::metadata(&path) {
                        Ok(metadata) => {
                            files.push(File { bytes: metadata.len(), from: written_by, root: root.clone(), path });
                        }
                        Err(error) => out.broken(whole(&path), unreadable(&error))?,
                    }
                }
            }
        }
    }
    Ok(files)
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

/// What a folder is, and its files.
fn in_folder(folder: &Path, from: Option<From>) -> Result<(From, Vec<PathBuf>), String> {
    let candidates = from.map_or_else(|| vec![From::Chatgpt, From::BasicMemory], |from| vec![from]);
    for candidate in candidates {
        let mut files = Vec::new();
        walk(folder, candidate, &mut files).map_err(|error| unreadable(&error))?;
        if let Some(first) = files.first() {
            let is = if from.is_none() && candidate == From::Chatgpt { looks_like(first)? } else { candidate };
            return Ok((is, files));
        }
    }
    Err("there is nothing in this folder that can be imported: name the files".to_owned())
}

/// The files of a folder, in the order of their names. Links to folders are not followed, so that no loop comes of them.
fn walk(folder: &Path, from: From, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            // Notes lie in folders of folders; an export is what lies in its own.
            if from == From::BasicMemory {
                walk(&entry.path(), from, files)?;
            }
        } else if from.is_of(&name) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Refuses an archive: exports come as one, and are not read in it.
fn not_packed(path: &Path) -> Result<(), String> {
    let mut first = [0; 4];
    let opened = fs::File::open(path).and_then(|mut file| file.read(&mut first));
    match opened {
        Ok(4) if first == *b"PK\x03\x04" => {
            Err("it is a ZIP archive: unpack it first, and import the folder that comes of it".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(&error)),
    }
}

/// What the first lines of a file look like.
fn looks_like(path: &Path) -> Result<From, String> {
    const UNKNOWN: &str = "it is nothing that import knows: say with --from what it is, or use `mcp-server ingest`";
    not_packed(path)?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md")) {
        return Ok(From::BasicMemory);
    }
    let opened = || fs::File::open(path).map(BufReader::new).map_err(|error| unreadable(&error));
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
            looks_like(&path)
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
