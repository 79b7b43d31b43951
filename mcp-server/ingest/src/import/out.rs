//! Where the readers put what they find.

use pgrecall_record::source::Record;

use super::files::File;
use crate::{Batcher, Closed, Place, Problem};

/// Batches that go to the writing task; their records lie in one collection, if one was asked for.
pub(super) struct Out<'b> {
    batcher: &'b mut Batcher,
    collection: Option<String>,
}

impl<'b> Out<'b> {
    pub(super) fn new(batcher: &'b mut Batcher, collection: Option<String>) -> Self {
        Self { batcher, collection }
    }

    /// Announces the files that there are to read.
    pub(super) fn counted(&mut self, files: &[File]) -> Result<(), Closed> {
        self.batcher.counted(files.len(), files.iter().map(|file| file.bytes).sum())
    }

    /// Adds a record; `read` bytes of its file have been read by now.
    pub(super) fn record(&mut self, place: Place, mut record: Record, read: u64) -> Result<(), Closed> {
        if let Some(collection) = &self.collection {
            record.fields.collection.clone_from(collection);
        }
        self.batcher.record(place, record, read)
    }

    /// Adds something that is broken.
    pub(super) fn broken(&mut self, place: Place, why: impl Into<String>) -> Result<(), Closed> {
        self.batcher.problem(place, Problem::Broken(why.into()))
    }

    /// Adds something that did not become a record.
    pub(super) fn problem(&mut self, place: Place, problem: Problem) -> Result<(), Closed> {
        self.batcher.problem(place, problem)
    }

    /// Adds something that a person should know.
    pub(super) fn noted(&mut self, place: Place, what: String) -> Result<(), Closed> {
        self.batcher.problem(place, Problem::Noted(what))
    }

    /// The file is finished.
    pub(super) fn file_ends(&mut self, file: &File) -> Result<(), Closed> {
        self.batcher.file_ends(file.bytes)
    }

    /// Sends what there is.
    pub(super) fn flush(&mut self) -> Result<(), Closed> {
        self.batcher.flush()
    }
}
