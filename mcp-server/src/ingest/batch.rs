//! Gathering records into batches of a size that suits one transaction.

use std::collections::HashSet;

use shared::source::{Record, SourceKind};
use tokio::sync::mpsc;

use super::{Place, Problem, walk::Walked};

/// Records of one transaction: enough that its commit costs little, few enough that progress moves.
const MAX_RECORDS: usize = 200;
/// Bytes of text of one transaction.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Some records, and what there is to say about the way to them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<(Place, Record)>,
    pub(super) problems: Vec<(Place, Problem)>,
    /// Files that were finished since the last batch.
    pub(super) files: u64,
    pub(super) other_files: u64,
    /// Files and bytes in all, in the first batch.
    pub(super) counted: Option<(usize, u64)>,
    /// Bytes that were read up to here.
    pub(super) bytes_read: u64,
}

/// Nobody takes batches any more.
#[derive(Debug)]
pub(super) struct Closed;

/// Fills batches and sends each when it is full.
pub(super) struct Batcher {
    batches: mpsc::Sender<Batch>,
    next: Batch,
    bytes: usize,
    keys: HashSet<(SourceKind, String, String)>,
    /// Bytes of the files that are finished.
    finished: u64,
}

impl Batcher {
    /// A batcher that sends to `batches`.
    pub(super) fn new(batches: mpsc::Sender<Batch>) -> Self {
        Self { batches, next: Batch::default(), bytes: 0, keys: HashSet::new(), finished: 0 }
    }

    /// Announces what there is to read, and what the walk could not.
    pub(super) fn counted(&mut self, walked: &Walked) -> Result<(), Closed> {
        let bytes = walked.files.iter().map(|file| file.bytes).sum();
        self.next.counted = Some((walked.files.len(), bytes));
        self.next.other_files = walked.other_files;
        self.next.problems.extend(walked.problems.iter().cloned());
        self.flush()
    }

    /// Adds a record; `read` bytes of its file have been read by now.
    pub(super) fn record(&mut self, place: Place, record: Record, read: u64) -> Result<(), Closed> {
        if let Err(refused) = record.check() {
            return self.problem(place, Problem::of(&refused));
        }
        let details =
            record.details.as_ref().map_or(0, |details| serde_json::to_string(details).map_or(0, |json| json.len()));
        let size = record.title.len() + record.body.len() + details;
        let key = record.key.clone().map(|key| (record.kind, record.collection.clone(), key));
        // A key that comes again replaces what it named before; in a batch of its own it also counts as that.
        let again = key.as_ref().is_some_and(|key| self.keys.contains(key));
        if again || self.next.records.len() == MAX_RECORDS || self.bytes + size > MAX_BYTES {
            self.flush()?;
        }
        self.keys.extend(key);
        self.bytes += size;
        self.next.bytes_read = self.finished + read;
        self.next.records.push((place, record));
        Ok(())
    }

    /// Adds something that did not become a record.
    pub(super) fn problem(&mut self, place: Place, problem: Problem) -> Result<(), Closed> {
        self.next.problems.push((place, problem));
        // A file of a million broken lines must not pile up here.
        if self.next.problems.len() >= MAX_RECORDS { self.flush() } else { Ok(()) }
    }

    /// The file is of no format that is understood.
    pub(super) fn other_file(&mut self) {
        self.next.other_files += 1;
    }

    /// A file of so many bytes is finished.
    pub(super) fn file_ends(&mut self, bytes: u64) -> Result<(), Closed> {
        self.finished += bytes;
        self.next.files += 1;
        self.next.bytes_read = self.finished;
        Ok(())
    }

    /// Sends what there is.
    pub(super) fn flush(&mut self) -> Result<(), Closed> {
        let next = Batch { bytes_read: self.next.bytes_read, ..Batch::default() };
        let batch = std::mem::replace(&mut self.next, next);
        self.bytes = 0;
        self.keys.clear();
        self.batches.blocking_send(batch).map_err(|_| Closed)
    }
}

/// What a reader makes of `text` in tests: records and problems.
#[cfg(test)]
pub(super) fn gather(read: impl FnOnce(&mut Batcher) -> Result<(), Closed>) -> Batch {
    let (batches, mut sent) = mpsc::channel(64);
    let mut batcher = Batcher::new(batches);
    read(&mut batcher).expect("the receiver is open");
    batcher.flush().expect("the receiver is open");
    drop(batcher);
    let mut all = Batch::default();
    while let Some(batch) = sent.blocking_recv() {
        all.records.extend(batch.records);
        all.problems.extend(batch.problems);
        all.files += batch.files;
        all.other_files += batch.other_files;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Part;

    fn sizes(records: impl Iterator<Item = Record>) -> Vec<usize> {
        let (batches, mut sent) = mpsc::channel(64);
        let mut batcher = Batcher::new(batches);
        for record in records {
            batcher.record(Place { path: "f".into(), part: Part::Whole }, record, 0).unwrap();
        }
        batcher.flush().unwrap();
        drop(batcher);
        std::iter::from_fn(|| sent.blocking_recv()).map(|batch| batch.records.len()).collect()
    }

    fn record(key: &str, bytes: usize) -> Record {
        Record { key: Some(key.to_owned()), ..Record::new(SourceKind::Document, "x".repeat(bytes)) }
    }

    #[test]
    fn a_batch_is_full_by_count_or_by_bytes() {
        assert_eq!(sizes((0..450).map(|n| record(&n.to_string(), 1))), [200, 200, 50]);
        assert_eq!(sizes((0..3).map(|n| record(&n.to_string(), 3 * 1024 * 1024))), [1, 1, 1]);
    }

    #[test]
    fn a_key_that_comes_again_begins_a_batch() {
        assert_eq!(sizes(["a", "b", "a"].iter().map(|key| record(key, 1))), [2, 1]);
    }
}
