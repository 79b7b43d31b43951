//! Ingest: reads documents and data into records, and skips unchanged files.

use std::{collections::HashSet, mem, path::PathBuf};

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Record, SourceKind};
use pgrecall_store::{files::FileRecord, write::Receipts};
use shared::engine::{Engine, EngineError};
use uuid::Uuid;

use crate::{
    Event, Format, Part, Place, Tally,
    batch::{Batcher, FilePart, Stop},
    driver, formats,
    ignored::Wishes,
    known::{self, Hashing},
    origin::Origin,
    prune::{self, Loss},
    walk::{Entry, Found, Walk},
};

/// Folders of files that no person wrote.
const SKIPPED_FOLDERS: [&str; 4] = ["node_modules", "target", "__pycache__", "venv"];
/// Limits of one query for unchanged files: the number of files, and the bytes that are hashed
/// before any file is read.
const MAX_ASKED_FILES: usize = 200;
const MAX_ASKED_BYTES: u64 = 64 * 1024 * 1024;

/// Options of an ingest.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The kind of each record. `None`: what a JSONL line names, else a document.
    pub kind: Option<SourceKind>,
    /// The collection of each record. `None`: what a JSONL line names, or the title of an API, else
    /// none.
    pub collection: Option<String>,
    /// The format of the named files, whatever their names suggest.
    pub format: Option<Format>,
    /// Tags that each record gets, after its own.
    pub tags: Vec<String>,
    /// Patterns, as in `.gitignore`, of files and folders that are left out.
    pub exclude: Vec<String>,
    /// Whether files are read that the `.gitignore` files of a work tree name.
    pub no_ignore: bool,
    /// Whether records that are no longer in any file are deleted.
    pub prunes: bool,
}

/// Reads the paths and writes their records.
///
/// Each batch is one transaction, and stays written whatever happens next. `agrees` is asked before
/// a path loses most of its records.
///
/// # Errors
/// When the database cannot take a batch. `tally` counts the batches before it.
pub async fn ingest(
    (engine, scope): (&Engine, &Scope),
    paths: Vec<PathBuf>,
    options: Options,
    tally: &mut Tally,
    mut report: impl FnMut(Event<'_>),
    agrees: impl AsyncFnOnce(&[Loss]) -> bool,
) -> Result<(), EngineError> {
    let roots = paths.clone();
    let before = if options.prunes { Some(prune::before(engine, scope, &roots).await?) } else { None };
    let mut earlier = HashSet::new();
    let read = move |out: &mut Batcher| read_all(&paths, &options, out);
    let write = async |records, parts| write(engine, scope, records, parts, &mut earlier).await;
    driver::drive((engine, scope), "ingest", read, write, tally, &mut report).await?;
    report(Event::Finished);
    match before {
        Some(before) => prune::prune(engine, scope, before, agrees, tally).await?,
        None => prune::count(engine, scope, &roots, tally).await?,
    }
    Ok(())
}

/// Writes a batch, and tracks its files.
///
/// `earlier` holds the ids that earlier batches wrote for the file that continues in this one.
async fn write(
    engine: &Engine,
    scope: &Scope,
    records: Vec<Record>,
    parts: Vec<FilePart>,
    earlier: &mut HashSet<Uuid>,
) -> Result<Receipts, EngineError> {
    let unfinished = parts.last().filter(|part| part.ended.is_none()).map(|part| part.records.clone());
    let mark = |FilePart { file, records, continues, ended }| {
        if !continues {
            earlier.clear();
        }
        let finishes = ended.map(|_| mem::take(earlier)).filter(|_| ended == Some(true));
        FileRecord { file, records, finishes }
    };
    let marks = parts.into_iter().map(mark).collect();
    let receipts = engine.write_files(scope, records, marks).await?;
    let unfinished = unfinished.into_iter().flatten();
    earlier.extend(unfinished.filter_map(|index| Some(receipts[index].as_ref().ok()?.id)));
    Ok(receipts)
}

/// Whether the walk reads a file, or enters a folder.
pub(crate) fn is_wanted(entry: Entry<'_>) -> bool {
    match entry {
        Entry::File(path) => Format::of(path).is_some(),
        Entry::Folder(name) => !SKIPPED_FOLDERS.iter().any(|skipped| name == *skipped),
    }
}

/// Walks the paths, asks which files are unchanged, and reads the others.
fn read_all(paths: &[PathBuf], options: &Options, out: &mut Batcher) -> Result<(), Stop> {
    out.collection.clone_from(&options.collection);
    out.tags.clone_from(&options.tags);
    out.notes_keys();
    let wishes = Wishes { exclude: options.exclude.clone(), git: !options.no_ignore };
    let walk = || Walk::new(paths, &is_wanted).leaving_out(wishes.clone());
    let (files, bytes) = walk().count();
    out.counted(files, bytes)?;
    let (mut origins, mut bytes) = (Vec::new(), 0);
    for found in walk() {
        match found {
            Found::File(origin) => {
                bytes += origin.bytes;
                origins.push(origin);
            }
            Found::Other(path) => out.other_file(&path),
            Found::Ignored => out.ignored(),
            Found::Refused(place, problem) => out.problem(place, problem)?,
        }
        if origins.len() >= MAX_ASKED_FILES || bytes >= MAX_ASKED_BYTES {
            read_changed(&mem::take(&mut origins), options, out)?;
            bytes = 0;
        }
    }
    read_changed(&origins, options, out)?;
    out.ends(Place { path: "ingest".into(), part: Part::Whole })
}

/// Reads those of these files that changed.
fn read_changed(origins: &[Origin], options: &Options, out: &mut Batcher) -> Result<(), Stop> {
    let versions: Vec<_> = origins.iter().map(|origin| known::version(origin, options)).collect();
    let mut known = out.ask(versions.iter().flatten().cloned().collect())?.into_iter();
    for (origin, version) in origins.iter().zip(versions) {
        match version.as_ref().and_then(|_| known.next().flatten()) {
            Some(records) => out.unchanged(records),
            None => {
                out.file_begins(version)?;
                read_origin(origin, options, out)?;
            }
        }
        out.file_ends(origin.bytes)?;
    }
    Ok(())
}

pub(crate) fn read_origin(origin: &Origin, options: &Options, out: &mut Batcher) -> Result<(), Stop> {
    let whole = || origin.place(Part::Whole);
    out.attempt(whole(), |out| {
        let format = formats::choose(origin, options)?;
        let mut opened = Hashing::new(origin.open()?, format, options);
        out.attempt(whole(), |out| formats::read(origin, format, &mut opened, options, out))?;
        out.file_was(whole(), opened.finish())
    })
}
