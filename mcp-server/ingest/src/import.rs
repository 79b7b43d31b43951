//! Import: what `export` wrote comes back as it was, and what other programs keep becomes records.

use std::path::PathBuf;

use pgrecall_postgres::db::Scope;
use shared::engine::{Engine, EngineError};

pub use crate::importers::From;
use crate::{
    Event, Tally,
    batch::{Batcher, Stop},
    driver,
    dry_run::DryRun,
    importers::{self, detect},
    owners::Writers,
};

/// What to do with the files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Who wrote them. `None`: what each looks like.
    pub from: Option<From>,
    /// The collection of each record. `None`: its own, else none.
    pub collection: Option<String>,
    /// Whether to report what would be written, and write nothing.
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
    mut report: impl FnMut(Event<'_>),
) -> Result<(), EngineError> {
    let dry_run = options.dry_run.then(DryRun::default);
    let mut writers = Writers { scope, for_owners: options.for_owners, dry_run };
    let importer = scope.clone();
    let read = move |out: &mut Batcher| read_all(&paths, options, &importer, out);
    // An importer notes no files: a record says itself which one it is.
    let write = async |records, _| writers.write(engine, records).await;
    driver::drive((engine, scope), "import", read, write, tally, &mut report).await
}

fn read_all(paths: &[PathBuf], options: Options, importer: &Scope, out: &mut Batcher) -> Result<(), Stop> {
    out.collection = options.collection;
    let files = detect::find(paths, options.from, out)?;
    out.counted(files.len(), files.iter().map(|(_, origin)| origin.bytes).sum())?;
    for (from, origin) in &files {
        importers::read(*from, origin, importer, options.for_owners, out)?;
        out.file_ends(origin.bytes)?;
    }
    Ok(())
}
