//! `import`: reads the output of `export`, and the data of other programs.

use std::path::PathBuf;

use clap::Args;
use pgrecall_postgres::db::Scope;
use shared::engine::Engine;

use super::{
    context::Context,
    failure::Failure,
    ingest::{Events, broken_off, check_readable, counted, report, write_and_wait},
};
use pgrecall_ingest::{
    Event, Tally,
    import::{self, From, Options},
};

/// The arguments of `import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Files, and folders of notes or of unpacked exports.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The program that wrote the files. Without it, the program is detected for each path.
    #[arg(long, value_enum, value_name = "PROGRAM")]
    from: Option<From>,
    /// Reports how many records are new, replaced, unchanged and broken, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// The collection of every record. Without it, each record keeps its own.
    #[arg(long)]
    collection: Option<String>,
    /// Returns each record of an `export --all` to its owner. Without it, the local user owns every
    /// record.
    #[arg(long)]
    all: bool,
    /// The tenant to import into with `--all`. Without it, the local user's tenant.
    #[arg(long, requires = "all", value_name = "NAME")]
    tenant: Option<String>,
    /// Does not wait for the embedding, which a worker does elsewhere or later.
    #[arg(long)]
    no_wait: bool,
}

pub(super) async fn run(context: &Context, import: Import) -> Result<(), Failure> {
    check_readable(import.paths.iter(), "imported")?;
    let write = async |engine: &Engine, scope: &Scope| write(engine, scope, &import).await;
    let (tally, waited) = write_and_wait(context, !import.no_wait && !import.dry_run, write).await?;
    let summary = summary(&tally, import.dry_run);
    report(context, Some(import.dry_run), tally, waited, &summary)
}

async fn write(engine: &Engine, scope: &Scope, import: &Import) -> Result<Tally, Failure> {
    let options = Options {
        from: import.from,
        collection: import.collection.clone(),
        dry_run: import.dry_run,
        for_owners: import.all,
    };
    let tenant = import.tenant.as_ref().unwrap_or(&scope.tenant);
    let scope = &Scope { tenant: tenant.clone(), ..scope.clone() };
    let (mut tally, mut events) = (Tally::default(), Events::new());
    let shown = |event: Event<'_>| events.show(event);
    let written = import::import(engine, scope, import.paths.clone(), options, &mut tally, shown).await;
    events.close();
    written.map_err(|error| broken_off(error, &summary(&tally, import.dry_run)))?;
    Ok(tally)
}

/// Summarizes a run.
///
/// All four counts are printed, even if they are 0: before an import, they are what a person wants
/// to know.
fn summary(tally: &Tally, dry_run: bool) -> String {
    let (records, files) = (counted(tally.stored(), "record"), counted(tally.files, "file"));
    let done = if dry_run { "would be imported" } else { "imported" };
    let mut text = format!(
        "{records} {done} from {files}: {} new, {} replaced, {} unchanged, {} refused",
        tally.created, tally.replaced, tally.unchanged, tally.refused
    );
    if tally.skipped > 0 {
        text.push_str(&format!(", {} empty", tally.skipped));
    }
    if !tally.redacted.is_empty() {
        text.push_str(&format!(", {} redacted", tally.redacted));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_there_is_and_what_there_is_not() {
        let tally = Tally { files: 1, created: 2, refused: 1, ..Tally::default() };
        assert_eq!(
            summary(&tally, true),
            "2 records would be imported from 1 file: 2 new, 0 replaced, 0 unchanged, 1 refused"
        );
    }
}
