//! The pipeline of every run: a thread reads, and the caller's task writes.
//!
//! The thread reads files into batches. The task writes each batch in one transaction, counts the
//! results and reports them. At most three batches are in memory at a time, whatever the size of
//! the input.

use std::{path::PathBuf, thread};

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::Record;
use pgrecall_store::{files, write::Receipts};
use shared::engine::{Engine, EngineError};
use tokio::sync::mpsc;

use crate::{
    Event, Part, Place, Problem, Tally,
    batch::{Batcher, FilePart, Step, Stop},
};

/// Runs `read` on its own thread, and `write` with each batch that the thread sends.
///
/// `command` names the thread, and the place of a failure of the thread itself.
pub(crate) async fn drive(
    (engine, scope): (&Engine, &Scope),
    command: &str,
    read: impl FnOnce(&mut Batcher) -> Result<(), Stop> + Send + 'static,
    mut write: impl AsyncFnMut(Vec<Record>, Vec<FilePart>) -> Result<Receipts, EngineError>,
    tally: &mut Tally,
    report: &mut impl FnMut(Event<'_>),
) -> Result<(), EngineError> {
    // One batch waits while one is written and one is read: neither side idles, and memory is
    // bounded.
    let (steps, mut received) = mpsc::channel(1);
    let reading = thread::Builder::new().name(format!("{command}-read")).spawn(move || {
        let mut out = Batcher::new(steps);
        // An error means that the receiver is gone, so there is nothing left to do.
        let _ = read(&mut out).and_then(|()| out.flush());
    });
    let reading = reading.expect("a thread can be started");
    while let Some(step) = received.recv().await {
        match step {
            Step::Write(mut batch) => {
                tally.files += batch.files;
                tally.other_files += batch.other_files;
                tally.other_formats.extend(batch.other_formats);
                tally.other_files -= tally.other_formats.remove(&batch.used_formats);
                tally.ignored += batch.ignored;
                tally.unchanged_files += batch.unchanged_files;
                tally.unchanged += batch.unchanged;
                if let Some((files, bytes)) = batch.counted {
                    report(Event::Counted { files, bytes });
                }
                let (places, records): (Vec<_>, Vec<_>) = batch.records.into_iter().unzip();
                let is_empty = records.is_empty() && batch.file_parts.is_empty();
                let receipts = if is_empty { Vec::new() } else { write(records, batch.file_parts).await? };
                assert_eq!(places.len(), receipts.len(), "a write has a receipt for each record");
                let results = places.into_iter().zip(receipts);
                batch.problems.extend(results.filter_map(|(place, outcome)| Some((place, tally.add(outcome)?))));
                settle(&batch.problems, tally, report);
                report(Event::Wrote { bytes: batch.bytes_read, tally });
            }
            Step::Ask(versions, answer) => {
                let known = files::known(engine.db(), scope, &versions).await?;
                tally.records.extend(files::waiting(engine.db(), scope, &versions).await?);
                // The thread may have ended after it asked.
                let _ = answer.send(known);
            }
        }
    }
    // The channel is closed, so the thread has ended or is about to.
    if reading.join().is_err() {
        tracing::error!("the reading of the files failed half-way");
        let why = "reading failed inside pgrecall; the log on stderr says where".to_owned();
        let place = Place { path: PathBuf::from(command), part: Part::Whole };
        settle(&[(place, Problem::Broken(why))], tally, report);
    }
    Ok(())
}

/// Counts problems and reports them.
fn settle(problems: &[(Place, Problem)], tally: &mut Tally, report: &mut impl FnMut(Event<'_>)) {
    for (place, problem) in problems {
        tally.count(problem);
        report(Event::Problem { place, problem });
    }
}
