//! Import: what `export` wrote comes back as it was, and what other programs keep becomes records.
//!
//! A thread says of each path what it is ([`files`]) and reads it into batches; the caller's task writes each batch in one transaction, or asks
//! what a write would make of it. Nothing of a file is in memory but a few batches, and one conversation of a file of them. What is broken is
//! named by its line or its conversation, and the rest goes in.

mod basic_memory;
mod chatgpt;
mod claude;
mod conversations;
mod elements;
mod files;
mod jsonl;
mod names;
mod out;
mod owners;
mod pgrecall;
mod rehearsal;
mod server_memory;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::ValueEnum;
use pgrecall_postgres::db::Scope;
use shared::engine::{Engine, EngineError};
use tokio::sync::mpsc;

use self::{files::File, out::Out, owners::Writers, rehearsal::Rehearsal};
use crate::{Batch, Batcher, Closed, Event, Step, Tally, half_way, settle};

/// Who wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// What `mcp-server export` wrote.
    Pgrecall,
    /// The knowledge graph of MCP's server-memory: lines of entities and relations.
    ServerMemory,
    /// A folder of Basic Memory's notes.
    BasicMemory,
    /// The conversations.json of an export of ChatGPT.
    Chatgpt,
    /// The conversations.json of an export of Claude.
    Claude,
}

/// What to do with the files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Who wrote them. `None`: what each looks like.
    pub from: Option<From>,
    /// The collection of each record. `None`: its own, else none.
    pub collection: Option<String>,
    /// Whether to say what would be written, and write nothing.
    pub dry_run: bool,
    /// Whether records that name their owner are that owner's again.
    pub for_owners: bool,
}

/// Reads the paths and writes what is in them. Each batch is one transaction, and what it wrote stays whatever happens next.
///
/// # Errors
/// When the database cannot take a batch; what had been written before it is in `tally`.
pub async fn import(
    engine: &Engine,
    scope: &Scope,
    paths: Vec<PathBuf>,
    options: Options,
    tally: &mut Tally,
    mut tell: impl FnMut(Event<'_>),
) -> Result<(), EngineError> {
    let mut rehearsal = options.dry_run.then(Rehearsal::default);
    let for_owners = options.for_owners;
    // One batch waits while one is written and one is read: neither side idles, and memory stays bounded.
    let (steps, mut wanted) = mpsc::channel(1);
    let importer = scope.clone();
    let reading = std::thread::Builder::new()
        .name("import-read".to_owned())
        .spawn(move || read_all(&paths, options, &importer, &mut Batcher::new(steps)))
        .expect("a thread can be started");
    // Nobody asks which files are known: what stands in one says itself what it is.
    while let Some(Step::Write(batch)) = wanted.recv().await {
        let writers = Writers { scope, for_owners };
        write(engine, &writers, batch, rehearsal.as_mut(), tally, &mut tell).await?;
    }
    // The channel is closed, so the thread has ended or is about to.
    if reading.join().is_err() {
        half_way("import", tally, &mut tell);
    }
    Ok(())
}

async fn write(
    engine: &Engine,
    writers: &Writers<'_>,
    batch: Batch,
    rehearsal: Option<&mut Rehearsal>,
    tally: &mut Tally,
    tell: &mut impl FnMut(Event<'_>),
) -> Result<(), EngineError> {
    tally.files += batch.files;
    if let Some((files, bytes)) = batch.counted {
        tell(Event::Counted { files, bytes });
    }
    let (places, records): (Vec<_>, Vec<_>) = batch.records.into_iter().unzip();
    let mut receipts = Vec::new();
    if !records.is_empty() {
        receipts = writers.write(engine, records, rehearsal).await?;
    }
    settle(tally, places.into_iter().zip(receipts), batch.problems, tell);
    tell(Event::Wrote { bytes: batch.bytes_read, tally });
    Ok(())
}

/// The reading thread. Ends early when nobody takes the batches any more.
fn read_all(paths: &[PathBuf], options: Options, importer: &Scope, batcher: &mut Batcher) {
    let for_owners = options.for_owners;
    let mut out = Out::new(batcher, options.collection);
    let _: Result<(), Closed> = (|| {
        let files = files::find(paths, options.from, &mut out)?;
        out.counted(&files)?;
        for file in &files {
            read(file, importer, for_owners, &mut out)?;
            out.file_ends(file)?;
        }
        out.flush()
    })();
}

fn read(file: &File, importer: &Scope, for_owners: bool, out: &mut Out<'_>) -> Result<(), Closed> {
    match file.from {
        From::Pgrecall => jsonl::read(file, out, |line, emit| emit(pgrecall::record(line, importer, for_owners))),
        From::ServerMemory => jsonl::read(file, out, server_memory::records),
        From::BasicMemory => basic_memory::read(file, out),
        From::Chatgpt => conversations::read(file, out, chatgpt::conversation),
        From::Claude => conversations::read(file, out, claude::conversation),
    }
}
