//! `import`: reads the output of `export`, and the data of other programs.

use std::path::PathBuf;

use clap::Args;
use pgrecall_postgres::db::Scope;

use super::{
    context::Context,
    failure::Failure,
    help::EXPERT,
    ingest::{check_readable, counted, write},
};
use pgrecall_ingest::{
    Tally,
    import::{self, From, Options},
};

/// The arguments of `import`.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Files, and folders of notes or of unpacked exports.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The program that wrote the files. Without it, the program is detected for each path.
    #[arg(long, value_enum, value_name = "PROGRAM", help_heading = EXPERT)]
    from: Option<From>,
    /// Reports how many records are new, replaced, unchanged and broken, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// The collection of every record. Without it, each record keeps its own.
    #[arg(long)]
    collection: Option<String>,
    /// Returns each record of an `export --all` to its owner. Without it, the local user owns every
    /// record.
    #[arg(long, help_heading = EXPERT)]
    all: bool,
    /// The tenant to import into with `--all`. Without it, the local user's tenant.
    #[arg(long, requires = "all", value_name = "NAME", help_heading = EXPERT)]
    tenant: Option<String>,
    /// Does not wait for the embedding, which a worker does elsewhere or later.
    #[arg(long)]
    no_wait: bool,
}

pub(super) async fn run(context: &Context, import: Import) -> Result<(), Failure> {
    check_readable(import.paths.iter(), "imported")?;
    let Import { paths, from, dry_run, collection, all: for_owners, tenant, no_wait } = import;
    let options = Options { from, collection, dry_run, for_owners };
    let summary = |tally: &Tally| summary(tally, dry_run);
    write(context, !no_wait && !dry_run, Some(dry_run), summary, async |engine, scope, tally, shown| {
        let scope = &Scope { tenant: tenant.unwrap_or_else(|| scope.tenant.clone()), ..scope.clone() };
        import::import(engine, scope, paths, options, tally, shown).await
    })
    .await
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
