//! Gathering records into batches of a size that suits one transaction.

use std::collections::HashSet;

use shared::source::{Record, SourceKind};
use tokio::sync::mpsc;

use crate::ingest::Problem;

/// Records of one transaction: enough that its commit costs little, few enough that progress moves.
const MAX_RECORDS: usize = 200;
/// Bytes of text of one transaction.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Some records, each with the place that it stands at, and what there is to say about the way to them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<(String, Record)>,
    pub(super) problems: Vec<(String, Problem)>,
    /// Files that were finished since the last batch.
    pub(super) files: u64,
    /// Files and bytes in all, in the first batch.
    pub(super) counted: Option<(usize, u64)>,
    /// Bytes that were read up to here.
    pub(super) bytes_read: u64,
}

/// Nobody takes batches any more.
#[derive(Debug)]
pub(super) struct Closed;

/// Fills batches and sends each when it is full.
pub(super) struct Out {
    batches: mpsc::Sender<Batch>,
    next: Batch,
    bytes: usize,
    named: HashSet<(SourceKind, String, String)>,
    collection: Option<String>,
    /// Bytes of the files that are finished.
    finished: u64,
}

impl Out {
    /// One that sends to `batches`.
    pub(super) fn new(batches: mpsc::Sender<Batch>) -> Self {
        let named = HashSet::new();
        Self { batches, next: Batch::default(), bytes: 0, named, collection: None, finished: 0 }
    }

    /// Announces what there is to read.
    pub(super) fn counted(&mut self, files: usize, bytes: u64) -> Result<(), Closed> {
        self.next.counted = Some((files, bytes));
        self.flush()
    }

    /// A file begins; its records come into this collection, or into their own.
    pub(super) fn file_begins(&mut self, collection: Option<&str>) {
        self.collection = collection.map(str::to_owned);
    }

    /// Adds a record; `read` bytes of its file have been read by now.
    pub(super) fn record(&mut self, place: String, mut record: Record, read: u64) -> Result<(), Closed> {
        if let Some(collection) = &self.collection {
            record.collection.clone_from(collection);
        }
        let size = record.title.len() + record.body.len();
        let key = record.key.clone().map(|key| (record.kind, record.collection.clone(), key));
        // A key that comes again replaces what it named before; in a batch of its own it also counts as that.
        let again = key.as_ref().is_some_and(|key| self.named.contains(key));
        if again || self.next.records.len() == MAX_RECORDS || self.bytes + size > MAX_BYTES {
            self.flush()?;
        }
        self.named.extend(key);
        self.bytes += size;
        self.next.bytes_read = self.finished + read;
        self.next.records.push((place, record));
        Ok(())
    }

    /// Adds something that did not become a record.
    pub(super) fn problem(&mut self, place: String, problem: Problem) -> Result<(), Closed> {
        self.next.problems.push((place, problem));
        // A file of a million broken lines must not pile up here.
        if self.next.problems.len() >= MAX_RECORDS { self.flush() } else { Ok(()) }
    }

    /// Adds something that is broken.
    pub(super) fn broken(&mut self, place: String, why: impl Into<String>) -> Result<(), Closed> {
        self.problem(place, Problem::Broken(why.into()))
    }

    /// A file of so many bytes is finished.
    pub(super) fn file_ends(&mut self, bytes: u64) {
        self.finished += bytes;
        self.next.files += 1;
        self.next.bytes_read = self.finished;
    }

    /// Sends what there is.
    pub(super) fn flush(&mut self) -> Result<(), Closed> {
        let next = Batch { bytes_read: self.next.bytes_read, ..Batch::default() };
        let batch = std::mem::replace(&mut self.next, next);
        self.bytes = 0;
        self.named.clear();
        self.batches.blocking_send(batch).map_err(|_| Closed)
    }
}

/// What a reader makes of something in tests: records and problems.
#[cfg(test)]
pub(super) fn gather(read: impl FnOnce(&mut Out) -> Result<(), Closed>) -> Batch {
    let (batches, mut sent) = mpsc::channel(10_000);
    let mut out = Out::new(batches);
    read(&mut out).expect("the receiver is open");
    out.flush().expect("the receiver is open");
    drop(out);
    let mut all = Batch::default();
    while let Some(batch) = sent.blocking_recv() {
        all.records.extend(batch.records);
        all.problems.extend(batch.problems);
    }
    all
}
