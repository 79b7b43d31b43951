//! `ingest`: files into the database, then their vectors.

use std::path::PathBuf;

use clap::Args;
use indicatif::ProgressBar;
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::SourceKind;
use serde::Serialize;
use shared::engine::{Engine, Waited};

use super::{
    ask::one_of,
    context::{Context, Worker, explain_wait},
    failure::Failure,
    output, progress,
};
use pgrecall_ingest::{Event, Format, Options, Place, Problem, STDIN, Tally};

/// Empty records that are named before they are only counted.
const NAMED: u64 = 5;
/// Broken ones: each may have to be mended, but a wholly broken file should not bury the rest.
const NAMED_BROKEN: u64 = 50;

/// What `--as` may name.
const KINDS: [SourceKind; 4] = [SourceKind::Document, SourceKind::Memory, SourceKind::Asset, SourceKind::Prompt];

/// What to read.
#[derive(Debug, Args)]
pub(super) struct Ingest {
    /// Files and folders; `-` is stdin.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What each record becomes; without it what a JSONL line says of itself, else a document. Operations, tools and prompts
    /// that a file lists are what they are.
    #[arg(long = "as", value_name = "KIND", value_parser = one_of::<SourceKind>(KINDS.map(SourceKind::as_str)))]
    kind: Option<SourceKind>,
    /// The collection of each record; without it what a line says of itself, an API's title, or a list's file name.
    #[arg(long)]
    collection: Option<String>,
    /// What the named files are, whatever their names say; stdin is JSONL without it.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Forgets the records of files under these paths that are gone, and those that a file does not hold any more.
    #[arg(long)]
    prune: bool,
    /// Leaves the embedding to a worker that runs elsewhere, or later.
    #[arg(long)]
    no_wait: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// Of an import only.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    #[serde(flatten)]
    tally: Tally,
    /// Sources of the tenant that wait for their vectors; null when nobody waited for them.
    pending: Option<i64>,
    failed: Option<i64>,
}

pub(super) async fn run(context: &Context, ingest: Ingest) -> Result<(), Failure> {
    check_readable(ingest.paths.iter().filter(|path| path.as_os_str() != STDIN), "ingested")?;
    let write = async |engine: &Engine, scope: &Scope| write(engine, scope, &ingest).await;
    let (tally, waited) = write_and_wait(context, !ingest.no_wait, write).await?;
    let summary = summary(&tally);
    report(context, None, tally, waited, &summary)
}

/// Refuses paths that cannot be read, before anything is started for them.
pub(super) fn check_readable<'a>(mut paths: impl Iterator<Item = &'a PathBuf>, done: &str) -> Result<(), Failure> {
    paths.try_for_each(|path| match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Misused(format!("{} cannot be read ({error}); nothing was {done}", path.display()))),
    })
}

/// Writes records, and waits for their vectors if asked to.
pub(super) async fn write_and_wait(
    context: &Context,
    waits: bool,
    write: impl AsyncFnOnce(&Engine, &Scope) -> Result<Tally, Failure>,
) -> Result<(Tally, Option<Waited>), Failure> {
    let body = async |engine: &Engine, scope: &Scope| {
        let tally = write(engine, scope).await?;
        Ok((tally, if waits { Some(wait(engine, scope).await?) } else { None }))
    };
    context.with_engine(if waits { Worker::Inside } else { Worker::None }, body).await
}

/// Prints what was written, and says what still waits for its vector. `dry_run`: of an import.
pub(super) fn report(
    context: &Context,
    dry_run: Option<bool>,
    tally: Tally,
    waited: Option<Waited>,
    summary: &str,
) -> Result<(), Failure> {
    let (refused, stored) = (tally.refused, tally.stored());
    if context.json {
        let (pending, failed) = (waited.map(|waited| waited.pending), waited.map(|waited| waited.failed));
        output::json(&Report { dry_run, tally, pending, failed })?;
    } else {
        output::line(summary)?;
    }
    match waited {
        None if dry_run == Some(true) => eprintln!("Nothing was written."),
        None => eprintln!("Not waiting for the embedding; words find it already."),
        Some(waited) => {
            if explain_wait(&waited) && stored > 0 && !context.json {
                output::line("All of it is embedded.")?;
            }
        }
    }
    if refused > 0 { Err(Failure::Told) } else { Ok(()) }
}

async fn write(engine: &Engine, scope: &Scope, ingest: &Ingest) -> Result<Tally, Failure> {
    let Ingest { kind, collection, format, prune, .. } = ingest;
    let options = Options { kind: *kind, collection: collection.clone(), format: *format, prunes: *prune };
    let (mut tally, mut events) = (Tally::default(), Events::new());
    let shown = |event: Event<'_>| events.show(event);
    let written = pgrecall_ingest::ingest(engine, scope, ingest.paths.clone(), options, &mut tally, shown).await;
    events.close();
    written.map_err(|error| broken_off(error, &summary(&tally)))?;
    Ok(tally)
}

/// Prints what was written before a failure, and returns the failure. What was written stays, and a second run skips it.
pub(super) fn broken_off(error: impl Into<Failure>, summary: &str) -> Failure {
    eprintln!("{summary} before the database failed; run it again to go on.");
    error.into()
}

/// Shows the events of a write: progress in a bar, and problems as lines above it.
pub(super) struct Events {
    bar: ProgressBar,
    problems: Problems,
}

impl Events {
    pub(super) fn new() -> Self {
        let bar = progress::bytes(0);
        bar.set_message("reading");
        Self { bar, problems: Problems::default() }
    }

    pub(super) fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Counted { files, bytes } => {
                self.bar.set_length(bytes);
                self.bar.set_message(counted(files as u64, "file"));
            }
            Event::Wrote { bytes, tally } => {
                self.bar.set_position(bytes);
                self.bar.set_message(counted(tally.stored(), "record"));
            }
            Event::Problem { place, problem } => self.problems.report(&self.bar, place, problem),
        }
    }

    pub(super) fn close(&self) {
        self.bar.finish_and_clear();
        self.problems.close();
    }
}

/// Waits for the vectors with a bar, which knows how many there are only from the first look.
pub(super) async fn wait(engine: &Engine, scope: &Scope) -> Result<Waited, Failure> {
    let bar = progress::count(0);
    bar.set_message("embedding");
    let mut most = 0;
    let waited = engine
        .wait_embedded(
            scope,
            |waited| {
                let pending = u64::try_from(waited.pending).unwrap_or_default();
                most = most.max(pending);
                bar.set_length(most);
                bar.set_position(most - pending);
            },
            None,
        )
        .await;
    bar.finish_and_clear();
    Ok(waited?)
}

/// Tells problems, and from some number on only counts them.
#[derive(Default)]
pub(super) struct Problems {
    passed_over: u64,
    broken: u64,
    redacted: u64,
}

impl Problems {
    pub(super) fn report(&mut self, bar: &ProgressBar, place: &Place, problem: &Problem) {
        let (count, named, text) = match problem {
            Problem::Empty => (&mut self.passed_over, NAMED, "skipped: it is empty"),
            Problem::Useless(why) => (&mut self.passed_over, NAMED, &*format!("skipped: {why}")),
            Problem::Broken(why) => (&mut self.broken, NAMED_BROKEN, why.as_str()),
            Problem::Redacted(secrets) => (&mut self.redacted, NAMED, &*format!("{secrets} redacted, and not stored")),
            Problem::Noted(what) => return progress::tell(bar, &format!("{place}: {what}")),
        };
        *count += 1;
        if *count <= named {
            progress::tell(bar, &format!("{place}: {text}"));
        }
    }

    pub(super) fn close(&self) {
        for (count, named, what) in [
            (self.passed_over, NAMED, "skipped"),
            (self.broken, NAMED_BROKEN, "broken"),
            (self.redacted, NAMED, "with secrets redacted"),
        ] {
            if count > named {
                eprintln!("… and {} more {what}", count - named);
            }
        }
    }
}

fn summary(tally: &Tally) -> String {
    let mut parts = Vec::new();
    for (count, what) in [(tally.created, "new"), (tally.replaced, "replaced"), (tally.unchanged, "unchanged")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let mut text = format!("{} stored from {}", counted(tally.stored(), "record"), counted(tally.files, "file"));
    if !parts.is_empty() {
        text.push_str(&format!(" ({})", parts.join(", ")));
    }
    for (count, what) in [(tally.skipped, "skipped"), (tally.refused, "broken"), (tally.removed, "forgotten")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if !tally.redacted.is_empty() {
        text.push_str(&format!(", {} redacted", tally.redacted));
    }
    if tally.other_files > 0 {
        text.push_str(&format!(", {} of other formats skipped", counted(tally.other_files, "file")));
    }
    if tally.removable > 0 {
        text.push_str(&format!(
            "; no file holds {} any more: --prune forgets that",
            counted(tally.removable, "record")
        ));
    }
    text
}

pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_there_is() {
        let tally = Tally { files: 1, created: 2, unchanged: 1, skipped: 1, refused: 4, ..Tally::default() };
        assert_eq!(summary(&tally), "3 records stored from 1 file (2 new, 1 unchanged), 1 skipped, 4 broken");
        assert_eq!(summary(&Tally::default()), "0 records stored from 0 files");
    }
}
