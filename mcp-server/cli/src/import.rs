//! `import`: what `export` wrote, and what other programs keep.

use std::path::PathBuf;

use clap::Args;
use pgrecall_postgres::db::Scope;
use serde::Serialize;
use shared::engine::Engine;

use super::{
    context::{Context, Worker, explain_wait},
    failure::Failure,
    ingest::{Problems, counted, wait},
    output, progress,
};
use pgrecall_ingest::{
    import::{self, From, Options},
    {Event, Tally},
};

/// What to read.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Files, and folders of notes or of unpacked exports.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Who wrote them; without it what each looks like.
    #[arg(long, value_enum, value_name = "PROGRAM")]
    from: Option<From>,
    /// Says how many records are new, replaced, unchanged and broken, and writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// The collection of each record; without it its own, or none.
    #[arg(long)]
    collection: Option<String>,
    /// Gives each record that `export --all` wrote back to its owner; without it every record is the local user's.
    #[arg(long)]
    all: bool,
    /// With `--all`, the tenant that the records come into; without it the local user's.
    #[arg(long, requires = "all", value_name = "NAME")]
    tenant: Option<String>,
    /// Leaves the embedding to a worker that runs elsewhere, or later.
    #[arg(long)]
    no_wait: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    #[serde(flatten)]
    tally: Tally,
    /// Sources of the tenant that wait for their vectors; null when nobody waited for them.
    pending: Option<i64>,
    failed: Option<i64>,
}

pub(super) async fn run(context: &Context, import: Import) -> Result<(), Failure> {
    for path in &import.paths {
        if let Err(error) = std::fs::metadata(path) {
            return Err(Failure::Misused(format!("{} cannot be read ({error}); nothing was imported", path.display())));
        }
    }
    let waits = !import.no_wait && !import.dry_run;
    let (tally, waited) = context
        .with_engine(if waits { Worker::Inside } else { Worker::None }, async |engine, scope| {
            let tally = write(engine, scope, &import).await?;
            let waited = if waits { Some(wait(engine, scope).await?) } else { None };
            Ok((tally, waited))
        })
        .await?;
    let (refused, stored) = (tally.refused, tally.stored());
    if context.json {
        let (pending, failed) = (waited.map(|waited| waited.pending), waited.map(|waited| waited.failed));
        output::json(&Report { dry_run: import.dry_run, tally, pending, failed })?;
    } else {
        output::line(&summary(&tally, import.dry_run))?;
    }
    match waited {
        None if import.dry_run => eprintln!("Nothing was written."),
        None => eprintln!("Not waiting for the embedding; words find it already."),
        Some(waited) => {
            if explain_wait(&waited) && stored > 0 && !context.json {
                output::line("All of it is embedded.")?;
            }
        }
    }
    if refused > 0 { Err(Failure::Told) } else { Ok(()) }
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
    let mut tally = Tally::default();
    let bar = progress::bytes(0);
    bar.set_message("reading");
    let mut problems = Problems::default();
    let written = import::import(engine, scope, import.paths.clone(), options, &mut tally, |event| match event {
        Event::Counted { files, bytes } => {
            bar.set_length(bytes);
            bar.set_message(counted(files as u64, "file"));
        }
        Event::Wrote { bytes, tally } => {
            bar.set_position(bytes);
            bar.set_message(counted(tally.stored(), "record"));
        }
        Event::Problem { place, problem } => problems.report(&bar, place, problem),
    })
    .await;
    bar.finish_and_clear();
    problems.close();
    if let Err(error) = written {
        // What came before the failure is there to stay, and a second run goes over it quickly.
        eprintln!("{} before the database failed; run it again to go on.", summary(&tally, import.dry_run));
        return Err(error.into());
    }
    Ok(tally)
}

/// All four counts, also those of nothing: whoever asks before importing wants to know just that.
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
