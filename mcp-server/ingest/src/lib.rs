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
pub mod import;
pub(crate) mod json;
mod jsonl;
mod known;
pub mod lines;
mod listing;
mod openapi;
mod origin;
pub mod pdf;
mod prune;
mod reading;
mod report;
pub(crate) mod root;
mod structured;
mod walk;
mod yaml;

use std::{collections::HashSet, mem, path::PathBuf};

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::{Record, SourceKind};
use pgrecall_store::files::{self, Mark};
use shared::engine::{Engine, EngineError};
use tokio::sync::mpsc;
use uuid::Uuid;

use self::batch::FileMark;
#[cfg(test)]
pub(crate) use self::batch::gather;
pub(crate) use self::batch::{Batch, Batcher, Closed, Step};
pub use self::format::Format;
pub use self::report::{Event, Part, Place, Problem, Tally, half_way, settle};

/// What a person names instead of a path to have stdin read.
pub const STDIN: &str = "-";

/// What to make of the files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What each record becomes. `None`: what a JSONL line says of itself, else a document.
    pub kind: Option<SourceKind>,
    /// The collection of each record. `None`: what a JSONL line says of itself, or an API's title, else none.
    pub collection: Option<String>,
    /// What the named files are, whatever their names promise.
    pub format: Option<Format>,
    /// Whether records that no file holds any more are forgotten.
    pub prunes: bool,
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

/// Reads the paths and writes what is in them. Each batch is one transaction, and what it wrote stays whatever happens next.
///
/// # Errors
/// When the database cannot take a batch; what had been written before it is in `tally`.
pub async fn ingest(
    engine: &Engine,
    scope: &Scope,
    paths: Vec<PathBuf>,
    options: Options,
    tally: &mut Tally,
    mut tell: impl FnMut(Event<'_>),
) -> Result<(), EngineError> {
    // One batch waits while one is written and one is read: neither side idles, and memory stays bounded.
    let (steps, mut wanted) = mpsc::channel(1);
    let (from, prunes) = (paths.clone(), options.prunes);
    let reading = std::thread::Builder::new()
        .name("ingest-read".to_owned())
        .spawn(move || reading::read_all(&paths, &options, &mut Batcher::new(steps)))
        .expect("a thread can be started");
    let mut carried = HashSet::new();
    while let Some(step) = wanted.recv().await {
        match step {
            Step::Write(batch) => write(engine, scope, batch, &mut carried, tally, &mut tell).await?,
            Step::Ask(files, answer) => {
                let known = files::known(engine.db(), scope, &files).await?;
                // Whoever asked may have stopped meanwhile.
                let _ = answer.send(known);
            }
        }
    }
    // The channel is closed, so the thread has ended or is about to.
    if reading.join().is_err() {
        half_way("ingest", tally, &mut tell);
    }
    Ok(prune::prune(engine, scope, &from, prunes, tally).await?)
}

/// Writes a batch. `carried`: what earlier batches wrote of the file that goes on in this one.
async fn write(
    engine: &Engine,
    scope: &Scope,
    batch: Batch,
    carried: &mut HashSet<Uuid>,
    tally: &mut Tally,
    tell: &mut impl FnMut(Event<'_>),
) -> Result<(), EngineError> {
    tally.files += batch.files;
    tally.other_files += batch.other_files;
    tally.unchanged_files += batch.unchanged_files;
    tally.unchanged += batch.unchanged;
    if let Some((files, bytes)) = batch.counted {
        tell(Event::Counted { files, bytes });
    }
    let (places, records): (Vec<_>, Vec<_>) = batch.records.into_iter().unzip();
    let goes_on = batch.marks.last().filter(|mark| mark.ended.is_none()).map(|mark| mark.records.clone());
    let marks: Vec<Mark> = batch.marks.into_iter().map(|mark| noted(mark, carried)).collect();
    let mut receipts = Vec::new();
    if !records.is_empty() || !marks.is_empty() {
        receipts = engine.write_files(scope, records, marks).await?;
        if let Some(places) = goes_on {
            carried.extend(places.iter().filter_map(|place| Some(receipts[*place].as_ref().ok()?.id)));
        }
    }
    settle(tally, places.into_iter().zip(receipts), batch.problems, tell);
    tell(Event::Wrote { bytes: batch.bytes_read, tally });
    Ok(())
}

/// What is to be noted of a file, and what is to be remembered of one that goes on.
fn noted(mark: FileMark, carried: &mut HashSet<Uuid>) -> Mark {
    let earlier = mem::take(carried);
    let earlier = if mark.continues { earlier } else { HashSet::new() };
    let finishes = match mark.ended {
        Some(is_whole) => is_whole.then_some(earlier),
        None => {
            *carried = earlier;
            None
        }
    };
    Mark { file: mark.file, records: mark.records, finishes }
}

#[cfg(test)]
mod tests;
