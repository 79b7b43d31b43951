//! Gathers records into batches, each of a size that suits one transaction.

use std::{collections::HashSet, path::Path};

use pgrecall_record::{
    hash::Running,
    source::{Name, Record},
};
use pgrecall_store::files::FileVersion;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{Formats, Part, Place, Problem, origin::Origin, repeated::Keys, skipped::Companions};

/// Records in one transaction: enough to amortize the commit, few enough to report progress often.
const MAX_RECORDS: usize = 200;
/// Bytes of text in one transaction.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The records of one transaction, and the events of reading them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<(Place, Record)>,
    pub(crate) problems: Vec<(Place, Problem)>,
    /// Files that the reader finished since the last batch.
    pub(crate) files: u64,
    pub(crate) other_files: u64,
    pub(crate) other_formats: Formats,
    /// Files that earlier batches counted among the other formats, and that an API description uses.
    pub(crate) used_formats: Formats,
    /// Files and folders that the rules leave out.
    pub(crate) ignored: u64,
    /// Files that the reader skipped as unchanged, and the records that they have.
    pub(crate) unchanged_files: u64,
    pub(crate) unchanged: u64,
    /// The parts of files in this batch, including files that ended without a record.
    pub(crate) file_parts: Vec<FilePart>,
    /// Number of files and total bytes of the run. Only the first batch has it.
    pub(crate) counted: Option<(usize, u64)>,
    /// Bytes that the reader had read when it sent this batch.
    pub(crate) bytes_read: u64,
}

/// The part of a file that a batch holds.
#[derive(Debug)]
pub(crate) struct FilePart {
    pub(crate) file: FileVersion,
    /// Indexes of the file's records in the batch.
    pub(crate) records: Vec<usize>,
    /// Whether an earlier batch already holds records of the file.
    pub(crate) continues: bool,
    /// Set if the file ends in this batch. True if nothing in it was broken or left unread, and it
    /// did not change while it was read.
    pub(crate) ended: Option<bool>,
}

/// A request from the reading thread to the writing task.
#[derive(Debug)]
pub(crate) enum Step {
    Write(Batch),
    /// Asks how many records each file has, for those files that are unchanged.
    Ask(Vec<FileVersion>, oneshot::Sender<Vec<Option<u32>>>),
}

/// Why reading stops early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The receiver of the batches is gone.
    Closed,
    /// The input cannot be read, or not to its end.
    Refused(Problem),
}

impl<P: Into<Problem>> From<P> for Stop {
    fn from(problem: P) -> Self {
        Self::Refused(problem.into())
    }
}

/// Fills batches, and sends each one when it is full.
pub(crate) struct Batcher {
    /// A collection that overrides each record's own.
    pub(crate) collection: Option<String>,
    /// Tags that are added to each record's own.
    pub(crate) tags: Vec<String>,
    steps: mpsc::Sender<Step>,
    next: Batch,
    bytes: usize,
    names: HashSet<Name>,
    /// The keys of the run, if a key that is given twice is noted.
    keys: Option<Keys>,
    companions: Companions,
    /// Total bytes of the finished files.
    finished: u64,
    /// The file that is being read.
    file: Option<FilePart>,
    /// The version with which the file was announced.
    announced: Option<Uuid>,
    is_whole: bool,
}

impl Batcher {
    /// Creates a batcher that sends to `steps`.
    pub(crate) fn new(steps: mpsc::Sender<Step>) -> Self {
        let next = Batch::default();
        Self {
            collection: None,
            tags: Vec::new(),
            steps,
            next,
            bytes: 0,
            names: HashSet::new(),
            keys: None,
            companions: Companions::default(),
            finished: 0,
            file: None,
            announced: None,
            is_whole: true,
        }
    }

    /// Notes each key that is given twice from here on.
    pub(crate) fn notes_keys(&mut self) {
        self.keys = Some(Keys::default());
    }

    /// Ends the run. `place` is that of a note about all of it.
    pub(crate) fn ends(&mut self, place: Place) -> Result<(), Stop> {
        match self.keys.take().and_then(|keys| keys.end()) {
            Some(note) => self.problem(place, Problem::Noted(note)),
            None => Ok(()),
        }
    }

    /// Announces the number of files and their total bytes.
    pub(crate) fn counted(&mut self, files: usize, bytes: u64) -> Result<(), Stop> {
        self.next.counted = Some((files, bytes));
        self.flush()
    }

    /// Asks which of these files are unchanged, and how many records each of those has.
    pub(crate) fn ask(&mut self, files: Vec<FileVersion>) -> Result<Vec<Option<u32>>, Stop> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        self.steps.blocking_send(Step::Ask(files, answer)).map_err(|_| Stop::Closed)?;
        answered.blocking_recv().map_err(|_| Stop::Closed)
    }

    /// Begins a file. Without a version, the batches do not track the file.
    pub(crate) fn file_begins(&mut self, file: Option<FileVersion>) -> Result<(), Stop> {
        // A batch tracks each file only once, so a file that is named twice needs two batches.
        let is_same = |part: &FilePart, file: &FileVersion| {
            part.file.path == file.path && part.file.collection == file.collection
        };
        if self.next.file_parts.iter().any(|part| file.as_ref().is_some_and(|file| is_same(part, file))) {
            self.flush()?;
        }
        self.announced = file.as_ref().map(|file| file.version);
        self.file = file.map(|file| FilePart { file, records: Vec::new(), continues: false, ended: None });
        self.is_whole = true;
        Ok(())
    }

    /// Marks the file as one whose records also depend on other files, which have this hash.
    ///
    /// Its version is then not the hash of its own bytes, so that the next run reads it again.
    pub(crate) fn file_depends_on(&mut self, hash: &str) {
        if let Some(part) = &mut self.file {
            let mut both = Running::new(&[part.file.version.as_bytes()]);
            both.update(hash.as_bytes());
            part.file.version = both.finish();
        }
    }

    /// Marks the file as one that has more records than were read, which therefore stay stored.
    pub(crate) fn file_is_partial(&mut self) {
        self.is_whole = false;
    }

    /// Checks that the bytes that were read have the version that was announced.
    pub(crate) fn file_was(&mut self, place: Place, version: Uuid) -> Result<(), Stop> {
        if self.is_whole && self.announced.is_some_and(|announced| announced != version) {
            self.is_whole = false;
            let sentence = "it changed while it was read: ingest it again when it rests".to_owned();
            return self.problem(place, Problem::Noted(sentence));
        }
        Ok(())
    }

    /// Counts an unchanged file and its records.
    pub(crate) fn unchanged(&mut self, records: u32) {
        self.next.unchanged_files += 1;
        self.next.unchanged += u64::from(records);
    }

    /// Runs `read`. If it refuses its input, reports the problem at this place.
    pub(crate) fn attempt(
        &mut self,
        place: Place,
        read: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match read(self) {
            Err(Stop::Refused(problem)) => self.problem(place, problem),
            ended => ended,
        }
    }

    /// Adds a record. `read` counts the bytes of its file that have been read so far.
    pub(crate) fn record(&mut self, place: Place, mut record: Record, read: u64) -> Result<(), Stop> {
        if let Some(collection) = &self.collection {
            record.fields.collection.clone_from(collection);
        }
        let own = &mut record.fields.tags;
        own.extend(self.tags.iter().filter(|tag| !own.contains(tag)).cloned().collect::<Vec<_>>());
        if let Err(refused) = record.check() {
            return self.problem(place, refused);
        }
        let details =
            record.details.as_ref().map_or(0, |details| serde_json::to_string(details).map_or(0, |json| json.len()));
        let size = record.fields.title.len() + record.body.len() + details;
        let name = record.name();
        let is_path = place.part == Part::Whole
            && self.file.as_ref().is_some_and(|part| record.fields.key.as_ref() == Some(&part.file.path));
        let keys = self.keys.as_mut().zip(name.as_ref());
        if let Some(note) = keys.and_then(|(keys, name)| keys.add(name, &record, &place, is_path)) {
            self.problem(place.clone(), Problem::Noted(note))?;
        }
        // A second record with the same key replaces the first, but counts as a replacement only if
        // it is in a later batch.
        let again = name.as_ref().is_some_and(|name| self.names.contains(name));
        if again || self.next.records.len() == MAX_RECORDS || self.bytes + size > MAX_BYTES {
            self.flush()?;
        }
        self.names.extend(name);
        self.bytes += size;
        self.next.bytes_read = self.finished + read;
        if let Some(file) = &mut self.file {
            file.records.push(self.next.records.len());
        }
        self.next.records.push((place, record));
        Ok(())
    }

    /// Adds a problem, usually something that did not become a record.
    pub(crate) fn problem(&mut self, place: Place, problem: impl Into<Problem>) -> Result<(), Stop> {
        let problem = problem.into();
        self.is_whole &= !matches!(problem, Problem::Broken(_));
        self.next.problems.push((place, problem));
        // The problems of a file with a million broken lines must not fill the memory.
        if self.next.problems.len() >= MAX_RECORDS { self.flush() } else { Ok(()) }
    }

    /// Counts a file of a format that is not read.
    pub(crate) fn other_file(&mut self, path: &Path) {
        self.next.other_files += 1;
        self.next.other_formats.add(path);
    }

    /// Counts a file of JSON or YAML as one of another format, unless a description uses it.
    pub(crate) fn other_structured(&mut self, origin: &Origin) {
        let path = origin.absolute.as_deref().unwrap_or(&origin.path);
        if self.companions.is_other(path) {
            self.other_file(path);
        }
    }

    /// Notes that a description uses a file, by its absolute path.
    pub(crate) fn uses_file(&mut self, path: &Path) {
        if self.companions.is_used(path) {
            self.next.used_formats.add(path);
        }
    }

    /// Counts a file or folder that the rules leave out.
    pub(crate) fn ignored(&mut self) {
        self.next.ignored += 1;
    }

    /// Ends a file of this length.
    pub(crate) fn file_ends(&mut self, bytes: u64) -> Result<(), Stop> {
        self.finished += bytes;
        self.next.files += 1;
        self.next.bytes_read = self.finished;
        if let Some(file) = self.file.take() {
            self.next.file_parts.push(FilePart { ended: Some(self.is_whole), ..file });
        }
        // Flushing here reports progress even while a million small files are unchanged.
        if self.next.files >= MAX_RECORDS as u64 { self.flush() } else { Ok(()) }
    }

    /// Sends the current batch, and begins the next one.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        if let Some(file) = self.file.as_mut().filter(|file| !file.records.is_empty()) {
            let records = std::mem::take(&mut file.records);
            let part = FilePart { file: file.file.clone(), records, continues: file.continues, ended: None };
            file.continues = true;
            self.next.file_parts.push(part);
        }
        let next = Batch { bytes_read: self.next.bytes_read, ..Batch::default() };
        let batch = std::mem::replace(&mut self.next, next);
        self.bytes = 0;
        self.names.clear();
        self.steps.blocking_send(Step::Write(batch)).map_err(|_| Stop::Closed)
    }
}

/// Runs a reader in a test, and returns its records and problems as one batch.
#[cfg(test)]
pub(crate) fn gather(read: impl FnOnce(&mut Batcher) -> Result<(), Stop>) -> Batch {
    let (batches, mut sent) = mpsc::channel(4096);
    let mut batcher = Batcher::new(batches);
    read(&mut batcher).expect("the receiver is open");
    batcher.flush().expect("the receiver is open");
    drop(batcher);
    let mut all = Batch::default();
    while let Some(Step::Write(batch)) = sent.blocking_recv() {
        all.records.extend(batch.records);
        all.problems.extend(batch.problems);
        all.files += batch.files;
        all.other_files += batch.other_files;
    }
    all
}

#[cfg(test)]
mod tests {
    use pgrecall_record::source::{RecordFields, SourceKind};

    use super::*;

    fn sizes(records: impl Iterator<Item = Record>) -> Vec<usize> {
        let (batches, mut sent) = mpsc::channel(64);
        let mut batcher = Batcher::new(batches);
        for record in records {
            batcher.record(Place { path: "f".into(), part: Part::Whole }, record, 0).unwrap();
        }
        batcher.flush().unwrap();
        drop(batcher);
        let sent = std::iter::from_fn(|| sent.blocking_recv());
        sent.map(|step| if let Step::Write(batch) = step { batch.records.len() } else { 0 }).collect()
    }

    fn record(key: &str, bytes: usize) -> Record {
        Record {
            fields: RecordFields { key: Some(key.to_owned()), ..RecordFields::default() },
            ..Record::new(SourceKind::Document, "x".repeat(bytes))
        }
    }

    #[test]
    fn a_batch_is_full_by_count_or_by_bytes() {
        assert_eq!(sizes((0..450).map(|n| record(&n.to_string(), 1))), [200, 200, 50]);
        assert_eq!(sizes((0..3).map(|n| record(&n.to_string(), 3 * 1024 * 1024))), [1, 1, 1]);
    }

    #[test]
    fn a_file_is_noted_in_each_batch_that_holds_of_it_and_ends_in_the_last() {
        let (steps, mut sent) = mpsc::channel(64);
        let mut batcher = Batcher::new(steps);
        let file = FileVersion { path: "/f".into(), collection: String::new(), version: Uuid::nil() };
        let place = || Place { path: "f".into(), part: Part::Whole };
        for (broken, records) in [(false, 250), (true, 1), (false, 0)] {
            batcher.file_begins(Some(file.clone())).unwrap();
            for number in 0..records {
                batcher.record(place(), record(&format!("{records}-{number}"), 1), 0).unwrap();
            }
            if broken {
                batcher.problem(place(), Problem::Broken(String::new())).unwrap();
            }
            batcher.file_was(place(), Uuid::nil()).unwrap();
            batcher.file_ends(1).unwrap();
        }
        batcher.flush().unwrap();
        drop(batcher);
        let mut marks = Vec::new();
        while let Some(Step::Write(batch)) = sent.blocking_recv() {
            marks.extend(batch.file_parts.iter().map(|part| (part.records.len(), part.continues, part.ended)));
        }
        assert_eq!(
            marks,
            [(200, false, None), (50, true, Some(true)), (1, false, Some(false)), (0, false, Some(true))]
        );
    }

    #[test]
    fn a_key_that_comes_again_begins_a_batch() {
        assert_eq!(sizes(["a", "b", "a"].iter().map(|key| record(key, 1))), [2, 1]);
    }
}
