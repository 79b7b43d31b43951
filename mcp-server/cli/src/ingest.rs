//! `ingest`: writes files into the database, then waits for their vectors.

use std::path::PathBuf;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar};
use pgrecall_postgres::db::Scope;
use pgrecall_record::source::SourceKind;
use pgrecall_store::coverage::{grouped, time_left};
use serde::Serialize;
use shared::engine::{Engine, EngineError, Waited};
use uuid::Uuid;

use super::{
    consent::{self, Consent},
    context::{Context, Worker, explain_wait},
    failure::Failure,
    help::EXPERT,
    narrow::one_of,
    output,
    progress::{self, Lines},
};
use pgrecall_ingest::{Event, Format, Loss, Options, Place, Problem, STDIN, Tally};

/// Number of skipped or redacted inputs that are named; the others are only counted.
const MAX_NAMED: u64 = 5;
/// Number of broken inputs that are named: each may have to be fixed, but a completely broken file
/// should not hide the rest.
const MAX_NAMED_BROKEN: u64 = 50;

/// What `--as` may name.
const KINDS: [SourceKind; 4] = [SourceKind::Document, SourceKind::Memory, SourceKind::Asset, SourceKind::Prompt];

/// The arguments of `ingest`.
#[derive(Debug, Args)]
pub(super) struct Ingest {
    /// Files and folders to read; `-` is stdin.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The kind of each record. Without it, the kind that a JSONL line names, or a document. API
    /// operations, tools and prompts that a file lists keep their own kind.
    #[arg(long = "as", value_name = "KIND", value_parser = one_of::<SourceKind>(KINDS.map(SourceKind::as_str)))]
    kind: Option<SourceKind>,
    /// The collection of each record. Without it, the collection that a JSONL line names, the title
    /// of an API, or the file name of a list.
    #[arg(long)]
    collection: Option<String>,
    /// A tag that each record gets. Repeatable. A later run without it removes the tag again.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Leaves out the files and folders that match this pattern, which is written as in .gitignore:
    /// `drafts/`, `*.tmp.md`. Repeatable.
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    exclude: Vec<String>,
    /// Also reads the files that .gitignore names. Without it, a folder in a git work tree is read
    /// without them.
    #[arg(long, help_heading = EXPERT)]
    no_ignore: bool,
    /// The format of the named files, whatever their names suggest. Without it, stdin is JSONL.
    #[arg(long, value_enum, help_heading = EXPERT)]
    format: Option<Format>,
    /// Deletes the records of files under these paths that are gone, and the records that a file no
    /// longer holds. Files that --exclude or .gitignore leaves out are not gone.
    #[arg(long)]
    prune: bool,
    /// Lets --prune delete without asking, even if a folder is empty now or lost more than half of
    /// its records.
    #[arg(long, requires = "prune")]
    yes: bool,
    /// Does not wait for the embedding, which a worker does elsewhere or later.
    #[arg(long)]
    no_wait: bool,
}

/// The output with `--json`.
#[derive(Debug, Serialize)]
struct Report {
    /// Present only for an import.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    #[serde(flatten)]
    tally: Tally,
    /// Records of this run that have no vectors yet; null if the command did not wait.
    pending: Option<i64>,
    failed: Option<i64>,
}

pub(super) async fn run(context: &Context, ingest: Ingest) -> Result<(), Failure> {
    check_readable(ingest.paths.iter().filter(|path| path.as_os_str() != STDIN), "ingested")?;
    let Ingest { paths, kind, collection, tags, exclude, no_ignore, format, prune, yes, no_wait } = ingest;
    let options = Options { kind, collection, format, tags, exclude, no_ignore, prunes: prune };
    let is_jsonl = format.is_none() && paths.iter().all(|path| path.as_os_str() == STDIN);
    let mut nobody = None;
    let agrees = async |losses: &[Loss]| yes || ask(losses, &mut nobody).await;
    let written = write(context, !no_wait, None, summary, async |engine, scope, tally, shown| {
        pgrecall_ingest::ingest((engine, scope), paths, options, tally, shown, agrees).await
    });
    let written = written.await;
    if is_jsonl && matches!(written, Err(Failure::Told)) {
        eprintln!("stdin is read as JSONL: name another format with --format, such as `--format markdown`.");
    }
    match nobody {
        Some(failure) => Err(failure),
        None => written,
    }
}

/// Asks whether paths may lose these records. Without a person to ask, `nobody` becomes the failure.
async fn ask(losses: &[Loss], nobody: &mut Option<Failure>) -> bool {
    let what = losses.iter().map(described).collect::<Vec<_>>().join("; ");
    match consent::ask(&what).await {
        Consent::Given => true,
        Consent::Refused => false,
        Consent::NobodyToAsk => {
            *nobody = Some(consent::nobody(&what));
            false
        }
    }
}

fn described(loss: &Loss) -> String {
    let Loss { path, records, held, is_empty } = loss;
    let why = if *is_empty { ", which is an empty folder now: its disk may not be mounted" } else { "" };
    format!("delete {records} of the {} from {}{why}", counted(*held, "record"), path.display())
}

fn glob(text: &str) -> Result<String, String> {
    pgrecall_ingest::check_pattern(text).map(|()| text.to_owned())
}

/// Refuses unreadable paths before anything is started for them.
pub(super) fn check_readable<'a>(mut paths: impl Iterator<Item = &'a PathBuf>, done: &str) -> Result<(), Failure> {
    paths.try_for_each(|path| match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::Misused(format!("{} cannot be read ({error}); nothing was {done}", path.display()))),
    })
}

/// Writes records, and waits for their vectors if `waits` is set. Prints the summary, and reports
/// what is not embedded yet.
///
/// `dry_run` is set for an import only.
pub(super) async fn write(
    context: &Context,
    waits: bool,
    dry_run: Option<bool>,
    summary: impl Fn(&Tally) -> String,
    write: impl AsyncFnOnce(&Engine, &Scope, &mut Tally, &mut dyn FnMut(Event<'_>)) -> Result<(), EngineError>,
) -> Result<(), Failure> {
    let body = async |engine: &Engine, scope: &Scope| {
        let (mut tally, mut events) = (Tally::default(), Events::new());
        let written = write(engine, scope, &mut tally, &mut |event| events.show(event)).await;
        events.close();
        if let Err(error) = written {
            // The written records stay, and a second run skips them.
            eprintln!("{} before the database failed; run it again to continue.", summary(&tally));
            return Err(error.into());
        }
        let records = std::mem::take(&mut tally.records);
        Ok((tally, if waits { Some(wait(engine, scope, records).await?) } else { None }))
    };
    let (tally, waited) = context.with_engine(if waits { Worker::Inside } else { Worker::None }, body).await?;
    let (refused, stored, summary) = (tally.refused, tally.stored(), summary(&tally));
    if context.json {
        let (pending, failed) = waited.as_ref().map(|waited| (waited.pending, waited.failed)).unzip();
        output::json(&Report { dry_run, tally, pending, failed })?;
    } else {
        output::line(&summary)?;
    }
    match waited {
        None if dry_run == Some(true) => eprintln!("Nothing was written."),
        None => eprintln!("Not waiting for the embedding; keyword search finds it already."),
        Some(waited) => {
            if explain_wait(&waited) && stored > 0 && !context.json {
                output::line("All of it is embedded.")?;
            }
        }
    }
    if refused > 0 { Err(Failure::Told) } else { Ok(()) }
}

/// Shows the events of a write: progress in a bar, and problems as lines above it.
struct Events {
    bar: ProgressBar,
    lines: Lines,
    problems: Problems,
}

impl Events {
    fn new() -> Self {
        Self { bar: progress::bytes(0, "reading"), lines: Lines::new(), problems: Problems::default() }
    }

    fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Counted { files, bytes } => {
                self.bar.set_length(bytes);
                self.bar.set_message(counted(files as u64, "file"));
            }
            Event::Wrote { bytes, tally } => {
                self.bar.set_position(bytes);
                let records = counted(tally.stored(), "record");
                let total = self.bar.length().unwrap_or_default();
                self.lines.say(|| format!("reading: {} of {}, {records}", HumanBytes(bytes), HumanBytes(total)));
                self.bar.set_message(records);
            }
            Event::Finished => self.bar.finish_and_clear(),
            Event::Problem { place, problem } => self.problems.report(&self.bar, place, problem),
        }
    }

    fn close(&self) {
        self.bar.finish_and_clear();
        self.problems.close();
    }
}

/// Waits for the vectors of these records, with a progress bar over their passages.
///
/// The total is not known in advance, so the bar's length is the highest number of waiting passages
/// so far.
pub(super) async fn wait(engine: &Engine, scope: &Scope, records: Vec<Uuid>) -> Result<Waited, Failure> {
    let (bar, mut lines) = (progress::embedding(0), Lines::new());
    let mut total = 0;
    let waited = engine
        .wait_embedded(
            scope,
            records,
            |waited| {
                total = total.max(waited.passages);
                let says = how_far(waited, total);
                bar.set_length(total.cast_unsigned());
                bar.set_position((total - waited.passages).cast_unsigned());
                bar.set_message(says.clone());
                lines.say(|| format!("embedding: {says}"));
            },
            None,
        )
        .await;
    bar.finish_and_clear();
    Ok(waited?)
}

/// Says how many of the passages are embedded, and how long the rest takes.
fn how_far(waited: &Waited, total: i64) -> String {
    let mut says = format!("{} of {} passages", grouped(total - waited.passages), grouped(total));
    if let Some(reason) = &waited.reason {
        says.push_str(&format!("; {reason}"));
    } else if let Some(seconds) = waited.seconds_left {
        says.push_str(&format!(", {} left", time_left(seconds, waited.others_wait)));
    }
    says
}

/// Reports problems. Beyond a limit it only counts them.
#[derive(Default)]
pub(super) struct Problems {
    skipped: u64,
    broken: u64,
    redacted: u64,
}

impl Problems {
    pub(super) fn report(&mut self, bar: &ProgressBar, place: &Place, problem: &Problem) {
        let (count, named, text) = match problem {
            Problem::Empty => (&mut self.skipped, MAX_NAMED, "skipped: it is empty"),
            Problem::Useless(why) => (&mut self.skipped, MAX_NAMED, &*format!("skipped: {why}")),
            Problem::Broken(why) => (&mut self.broken, MAX_NAMED_BROKEN, why.as_str()),
            Problem::Redacted(secrets) => {
                (&mut self.redacted, MAX_NAMED, &*format!("{secrets} redacted, and not stored"))
            }
            Problem::Noted(what) => return progress::tell(bar, &format!("{place}: {what}")),
        };
        *count += 1;
        if *count <= named {
            progress::tell(bar, &format!("{place}: {text}"));
        }
    }

    pub(super) fn close(&self) {
        for (count, named, what) in [
            (self.skipped, MAX_NAMED, "skipped"),
            (self.broken, MAX_NAMED_BROKEN, "broken"),
            (self.redacted, MAX_NAMED, "with secrets redacted"),
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
        let (files, formats) = (counted(tally.other_files, "file"), &tally.other_formats);
        text.push_str(&format!(", {files} of other formats skipped ({formats})"));
    }
    if tally.ignored > 0 {
        text.push_str(&format!(", {} left out by .gitignore or --exclude", counted(tally.ignored, "path")));
    }
    if tally.removable > 0 {
        text.push_str(&format!(
            "; {} of earlier runs no longer in these files: --prune deletes them",
            counted(tally.removable, "record")
        ));
    }
    if tally.withheld > 0 {
        text.push_str(&format!("; {} of earlier runs no longer in these files", counted(tally.withheld, "record")));
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

    #[test]
    fn the_progress_counts_passages_and_estimates_the_time_that_the_status_estimates() {
        let waited = Waited { passages: 1_204, ..Waited::default() };
        let said = |waited: Waited| how_far(&waited, 1_900);
        assert_eq!(said(waited.clone()), "696 of 1,900 passages");
        let estimated = Waited { seconds_left: Some(240.0), ..waited };
        assert_eq!(said(estimated.clone()), "696 of 1,900 passages, about 4 min left");
        let shared = Waited { others_wait: true, ..estimated };
        assert_eq!(said(shared.clone()), "696 of 1,900 passages, at most about 4 min left");
        let stopped = Waited { reason: Some("no worker is alive".to_owned()), ..shared };
        assert_eq!(said(stopped), "696 of 1,900 passages; no worker is alive");
    }
}
