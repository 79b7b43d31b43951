//! Import: restores what `export` wrote, and converts the data of other programs to records.

use std::path::PathBuf;

use pgrecall_postgres::db::Scope;
use shared::engine::{Engine, EngineError};

pub use crate::importers::From;
use crate::{
    Event, Part, Place, Tally,
    batch::{Batcher, Stop},
    driver,
    dry_run::DryRun,
    importers::{self, detect},
    owners::Writers,
};

/// Options of an import.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The program that wrote the files. `None`: it is detected for each path.
    pub from: Option<From>,
    /// The collection of each record. `None`: the record's own, if it has one.
    pub collection: Option<String>,
    /// Whether to report what would be written, and write nothing.
    pub dry_run: bool,
    /// Whether records that name their owner are written as that owner.
    pub for_owners: bool,
}

/// Reads the paths and writes their records.
///
/// Each batch is one transaction, and stays written whatever happens next.
///
/// # Errors
/// When the database cannot take a batch. `tally` counts the batches before it.
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
    // An import does not track files, because each record carries its own identity.
    let write = async |records, _| writers.write(engine, records).await;
    driver::drive((engine, scope), "import", read, write, tally, &mut report).await
}

fn read_all(paths: &[PathBuf], options: Options, importer: &Scope, out: &mut Batcher) -> Result<(), Stop> {
    out.collection = options.collection;
    out.notes_keys();
    let files = detect::find(paths, options.from, out)?;
    out.counted(files.len(), files.iter().map(|(_, origin)| origin.bytes).sum())?;
    for (from, origin) in &files {
        importers::read(*from, origin, importer, options.for_owners, out)?;
        out.file_ends(origin.bytes)?;
    }
    out.ends(Place { path: "import".into(), part: Part::Whole })
}
