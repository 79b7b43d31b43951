//! Finds the files to import, and the program that wrote each of them.
//!
//! `--from` names the program of a path; otherwise the first lines of the file decide, and the run
//! reports the decision. A folder holds notes, or the files of an export of conversations.

use std::{
    fs,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use pgrecall_record::lenient;
use serde_json::Value;

use super::{
    From, claude,
    elements::{Element, Elements},
};
use crate::{
    Part, Place, Problem, STDIN,
    batch::{Batcher, Stop},
    encoding,
    lines::{self, Line, MAX_LINE_BYTES},
    origin::Origin,
    walk::{Entry, Found, Walk},
};

/// Lines or conversations that are read before a file counts as unknown: the first ones may be
/// broken.
const MAX_LOOKED_AT: usize = 20;

/// Finds the files of these paths, each with its program. Reports and skips unreadable paths.
pub(crate) fn find(paths: &[PathBuf], from: Option<From>, out: &mut Batcher) -> Result<Vec<(From, Origin)>, Stop> {
    let mut files = Vec::new();
    for path in paths {
        let whole = || Place { path: path.clone(), part: Part::Whole };
        out.attempt(whole(), |out| {
            let metadata = fs::metadata(path)?;
            let (program, found) = if metadata.is_dir() {
                in_folder(path, from, out)?
            } else {
                let origin = Origin::named(path.clone(), metadata.len());
                (from.map_or_else(|| looks_like(&origin), |from| not_packed(&origin).map(|()| from))?, vec![origin])
            };
            if from.is_none() {
                out.problem(whole(), Problem::Noted(format!("read as {}", program.what())))?;
            }
            files.extend(found.into_iter().map(|origin| (program, origin)));
            Ok(())
        })?;
    }
    Ok(files)
}

/// Returns the program that wrote a folder, and its files.
fn in_folder(folder: &Path, from: Option<From>, out: &mut Batcher) -> Result<(From, Vec<Origin>), Stop> {
    // The walk would take a folder that is called `-` for stdin.
    let folder = &[if folder.as_os_str() == STDIN { Path::new(".").join(folder) } else { folder.to_owned() }];
    let program = match from {
        Some(from) => from,
        // The files of a ChatGPT export are among those of a Claude export.
        None => {
            let mut chats = Walk::new(folder, &|entry| From::Claude.is_wanted(entry));
            let first = chats.find_map(|found| if let Found::File(origin) = found { Some(origin) } else { None });
            match first.as_ref().map(looks_like) {
                Some(Ok(program)) => program,
                Some(Err(why)) if first.is_some_and(|first| From::Chatgpt.is_wanted(Entry::File(&first.path))) => {
                    return Err(why.into());
                }
                // Notes may lie next to a `projects.json` of another program.
                Some(Err(_)) | None => From::BasicMemory,
            }
        }
    };
    let mut files = Vec::new();
    for found in Walk::new(folder, &|entry| program.is_wanted(entry)) {
        match found {
            Found::File(origin) => files.push(origin),
            Found::Other(_) | Found::Ignored => {}
            // A folder that cannot be read completely is not imported at all.
            Found::Refused(_, Problem::Broken(why)) => return Err(why.into()),
            Found::Refused(place, problem) => out.problem(place, problem)?,
        }
    }
    if files.is_empty() {
        return Err("there is nothing in this folder that can be imported: name the files".to_owned().into());
    }
    Ok((program, files))
}

/// Refuses an archive: exports are delivered as archives, which this program does not unpack.
fn not_packed(origin: &Origin) -> Result<(), Problem> {
    let mut first = [0; 5];
    let read = origin.open()?.read(&mut first)?;
    let why = match &first[..read] {
        [b'P', b'K', 3, 4, ..] => "it is a ZIP archive: unpack it first, and import the resulting folder",
        b"PGDMP" => "it is a backup: `mcp-server restore` reads it",
        _ => return Ok(()),
    };
    Err(why.to_owned().into())
}

/// Detects the program from the first lines of a file.
fn looks_like(origin: &Origin) -> Result<From, Problem> {
    const UNKNOWN: &str = "its format is not known: name it with --from, or use `mcp-server ingest`";
    not_packed(origin)?;
    if origin.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("md")) {
        return Ok(From::BasicMemory);
    }
    let mut elements = Elements::of(BufReader::new(encoding::text(origin.open()?)?));
    for _ in 0..MAX_LOOKED_AT {
        match elements.next()? {
            Some(Element::Json(bytes)) => {
                let Ok((value, _)) = lenient::read::<Value>(&bytes) else { continue };
                if value.get("mapping").is_some() {
                    return Ok(From::Chatgpt);
                }
                if value.as_object().is_some_and(claude::is_known) {
                    return Ok(From::Claude);
                }
            }
            Some(Element::TooLong) => {}
            Some(Element::NoList | Element::Cut) | None => break,
        }
    }
    let mut reader = BufReader::new(encoding::text(origin.open()?)?);
    for _ in 0..MAX_LOOKED_AT {
        let Some((line, _)) = lines::next(&mut reader, MAX_LINE_BYTES)? else { break };
        let Line::Text(line) = line else { continue };
        let Ok((value, _)) = lenient::read::<Value>(line.as_bytes()) else { continue };
        match value.get("type").and_then(Value::as_str) {
            Some("entity" | "relation") => return Ok(From::ServerMemory),
            _ if value.get("id").is_some() && value.get("kind").is_some() => return Ok(From::Pgrecall),
            _ => {}
        }
    }
    Err(UNKNOWN.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_lines() {
        let path = std::env::temp_dir().join(format!("pgrecall-looks-{}", std::process::id()));
        let looks = |content: &str| {
            fs::write(&path, content).unwrap();
            looks_like(&Origin::named(path.clone(), 0)).map_err(|problem| match problem {
                Problem::Broken(why) => why,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(looks("{\"type\":\"relation\",\"from\":\"a\"}\n"), Ok(From::ServerMemory));
        assert_eq!(looks("broken\n{\"id\":\"1\",\"kind\":\"memory\"}\n"), Ok(From::Pgrecall));
        assert_eq!(looks("[{\"title\":\"t\",\"mapping\":{}}]"), Ok(From::Chatgpt));
        assert_eq!(looks("\u{feff} [ 1, {\"chat_messages\":[]}]"), Ok(From::Claude));
        assert_eq!(looks("[{\"conversations_memory\":\"a\"}]"), Ok(From::Claude));
        assert_eq!(looks("[{\"uuid\":\"p\",\"name\":\"n\",\"docs\":[]}]"), Ok(From::Claude));
        assert_eq!(looks("{\"type\":\"entity\",\"name\":\"cut \\ud83d\"}\n"), Ok(From::ServerMemory));
        assert_eq!(looks("[{\"title\":\"cut \\ude00\",\"mapping\":{}}]"), Ok(From::Chatgpt));
        assert!(looks("PK\u{3}\u{4}abc").unwrap_err().contains("unpack it first"));
        for unknown in ["", "[]", "[", "text", "{\"_id\":\"1\",\"text\":\"t\"}"] {
            assert!(looks(unknown).unwrap_err().contains("--from"), "{unknown}");
        }
        fs::remove_file(path).unwrap();
    }
}
