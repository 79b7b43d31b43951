//! Ingest: files become records, and records are written.
//!
//! A thread walks the paths and reads the files into batches; the caller's task writes each batch in one transaction. At
//! most three batches are in memory at a time, however much there is to read. What cannot be read or stored is named and the rest
//! goes on: a broken line among a million must not cost the others. To add a format: a [`Format`], and a reader beside the others.

mod batch;
mod document;
mod format;
mod front_matter;
mod html;
mod jsonl;
pub(crate) mod lines;
mod listing;
mod openapi;
mod origin;
pub(crate) mod pdf;
mod structured;
mod walk;
mod yaml;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use shared::{
    db::Scope,
    engine::{Engine, EngineError},
    source::{Record, RecordError, SourceKind, Stored},
};
use tokio::sync::mpsc;

pub(crate) use self::format::Format;
use self::{
    batch::{Batch, Batcher, Closed},
    origin::{Origin, unreadable},
};

/// What a person names instead of a path to have stdin read.
pub(crate) const STDIN: &str = "-";

/// What to make of the files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// What each record becomes. `None`: what a JSONL line says of itself, else a document.
    pub(crate) kind: Option<SourceKind>,
    /// The collection of each record. `None`: what a JSONL line says of itself, or an API's title, else none.
    pub(crate) collection: Option<String>,
    /// What the named files are, whatever their names promise.
    pub(crate) format: Option<Format>,
}

impl Options {
    /// A record of a file that does not say what it is, as what was asked for.
    fn becoming(&self, record: Record) -> Record {
        match self.kind {
            Some(kind) => Record { kind, visibility: Record::new(kind, "").visibility, ..record },
            None => record,
        }
    }
}

/// Where a record stands: `FILE`, or a part of it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) part: Part,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Line(u64),
    Page(u32),
    /// One of the things that a file lists, by its name.
    Entry(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match &self.part {
            Part::Whole => Ok(()),
            Part::Line(line) => write!(f, ":{line}"),
            Part::Page(page) => write!(f, ", page {page}"),
            Part::Entry(name) => write!(f, ", {name}"),
        }
    }
}

/// Why something did not become a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// There is nothing in it, which is no mistake: judged sets hold empty documents.
    Empty,
    /// It is of no use here and nobody said that it was: a binary file that happened to lie in a folder.
    Useless(String),
    /// It is broken, for the reason in the sentence.
    Broken(String),
    /// It is in order but for something that a person should know.
    Noted(String),
}

impl Problem {
    fn of(refused: &RecordError) -> Self {
        match refused {
            RecordError::Empty => Self::Empty,
            refused => Self::Broken(refused.to_string()),
        }
    }
}

/// What ingest has to say while it goes on.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// The files were counted: this many, with this many bytes.
    Counted { files: usize, bytes: u64 },
    /// A batch was written; so many bytes have been read by now.
    Wrote { bytes: u64, tally: &'a Tally },
    /// Something did not become a record.
    Problem { place: &'a Place, problem: &'a Problem },
}

/// What became of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Files that were read.
    pub(crate) files: u64,
    /// Files in the folders that are of other formats.
    pub(crate) other_files: u64,
    /// New records.
    pub(crate) created: u64,
    /// Records that replaced one with the same key.
    pub(crate) replaced: u64,
    /// Records that were there already, just so.
    pub(crate) unchanged: u64,
    /// What was empty or useless, and passed over.
    pub(crate) skipped: u64,
    /// What was broken, and named.
    pub(crate) refused: u64,
}

impl Tally {
    /// Records that are in the database now.
    pub(crate) fn stored(&self) -> u64 {
        self.created + self.replaced + self.unchanged
    }

    fn count(&mut self, problem: &Problem) {
        match problem {
            Problem::Empty | Problem::Useless(_) => self.skipped += 1,
            Problem::Broken(_) => self.refused += 1,
            Problem::Noted(_) => {}
        }
    }
}

/// Reads the paths and writes what is in them. Each batch is one transaction, and what it wrote stays whatever happens next.
///
/// # Errors
/// When the database cannot take a batch; what had been written before it is in `tally`.
pub(crate) async fn ingest(
    engine: &Engine,
    scope: &Scope,
    paths: Vec<PathBuf>,
    options: Options,
    tally: &mut Tally,
    mut tell: impl FnMut(Event<'_>),
) -> Result<(), EngineError> {
    // One batch waits while one is written and one is read: neither side idles, and memory stays bounded.
    let (batches, mut written) = mpsc::channel(1);
    let reading = std::thread::Builder::new()
        .name("ingest-read".to_owned())
        .spawn(move || read_all(&paths, &options, &mut Batcher::new(batches)))
        .expect("a thread can be started");
    while let Some(batch) = written.recv().await {
        write(engine, scope, batch, tally, &mut tell).await?;
    }
    // The channel is closed, so the thread has ended or is about to.
    if reading.join().is_err() {
        tracing::error!("the reading of the files failed half-way");
        let place = Place { path: PathBuf::from("ingest"), part: Part::Whole };
        let problem = Problem::Broken("reading failed inside pgrecall; the log on stderr says where".to_owned());
        tally.count(&problem);
        tell(Event::Problem { place: &place, problem: &problem });
    }
    Ok(())
}

async fn write(
    engine: &Engine,
    scope: &Scope,
    batch: Batch,
    tally: &mut Tally,
    tell: &mut impl FnMut(Event<'_>),
) -> Result<(), EngineError> {
    tally.files += batch.files;
    tally.other_files += batch.other_files;
    if let Some((files, bytes)) = batch.counted {
        tell(Event::Counted { files, bytes });
    }
    let (places, records): (Vec<_>, Vec<_>) = batch.records.into_iter().unzip();
    let mut problems = batch.problems;
    if !records.is_empty() {
        let receipts = engine.write(scope, records).await?;
        for (place, receipt) in places.into_iter().zip(receipts) {
            match receipt.map(|receipt| receipt.stored) {
                Ok(Stored::Created) => tally.created += 1,
                Ok(Stored::Replaced) => tally.replaced += 1,
                Ok(Stored::Unchanged) => tally.unchanged += 1,
                Err(refused) => problems.push((place, Problem::of(&refused))),
            }
        }
    }
    for (place, problem) in &problems {
        tally.count(problem);
        tell(Event::Problem { place, problem });
    }
    tell(Event::Wrote { bytes: batch.bytes_read, tally });
    Ok(())
}

/// The reading thread. Ends early when nobody takes the batches any more.
fn read_all(paths: &[PathBuf], options: &Options, out: &mut Batcher) {
    let _: Result<(), Closed> = (|| {
        let walked = walk::files(paths);
        out.counted(&walked)?;
        for file in &walked.files {
            let origin = if file.path == Path::new(STDIN) { Origin::stdin() } else { Origin::file(file) };
            read_origin(&origin, options, out)?;
            out.file_ends(file.bytes)?;
        }
        out.flush()
    })();
}

fn read_origin(origin: &Origin, options: &Options, out: &mut Batcher) -> Result<(), Closed> {
    let format = match origin.format(options) {
        Ok(format) => format,
        Err(problem) => return out.problem(origin.place(Part::Whole), problem),
    };
    let opened = match origin.open() {
        Ok(opened) => opened,
        Err(error) => return out.problem(origin.place(Part::Whole), unreadable(&error)),
    };
    if format == Format::JsonLines {
        return jsonl::read(origin, opened, options, out);
    }
    let bytes = match origin.whole(opened, format) {
        Ok(bytes) => bytes,
        Err(problem) => return out.problem(origin.place(Part::Whole), problem),
    };
    match format {
        Format::Markdown | Format::Text | Format::JsonLines => document::read(origin, bytes, format, options, out),
        Format::Html => html::read(origin, bytes, options, out),
        Format::Pdf => pdf::read(origin, bytes, options, out),
        Format::Structured => structured::read(origin, bytes, options, out),
    }
}
