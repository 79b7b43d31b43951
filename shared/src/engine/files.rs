//! Records that come from files, and what is noted of the files.

use uuid::Uuid;

use super::{Engine, EngineError};
use crate::db::Scope;
use crate::files::{self, FileVersion, Known, Mark};
use crate::forget::{self, How};
use crate::source::Record;
use crate::write::Receipts;

impl Engine {
    /// Writes records of files in one transaction with what is to be noted of these.
    pub async fn write_files(
        &self,
        scope: &Scope,
        records: Vec<Record>,
        marks: Vec<Mark>,
    ) -> Result<Receipts, EngineError> {
        self.write_batch(scope, records, move |batch| batch.marking(marks)).await
    }

    /// How many sources came of each of these files, for those that need not be read again.
    pub async fn known_files(&self, scope: &Scope, files: &[FileVersion]) -> Result<Vec<Option<u32>>, EngineError> {
        Ok(files::known(self.db(), scope, files).await?)
    }

    /// A page of what was ingested from this path or below it, after a path.
    pub async fn files_under(&self, scope: &Scope, path: &str, after: &str) -> Result<Vec<Known>, EngineError> {
        Ok(files::under(self.db(), scope, path, after).await?)
    }

    /// A page of sources that no file holds any more, after one.
    pub async fn released_sources(
        &self,
        scope: &Scope,
        path: &str,
        gone: &[i64],
        after: i64,
    ) -> Result<Vec<(i64, Uuid)>, EngineError> {
        Ok(files::released(self.db(), scope, path, gone, after).await?)
    }

    /// Forgets sources that no file holds any more; they can be brought back like any that was forgotten. Returns how many there were.
    pub async fn prune(&self, scope: &Scope, sources: &[Uuid]) -> Result<u64, EngineError> {
        Ok(forget::forget(self.db(), scope, sources, How::Keep).await?.sources)
    }

    /// Forgets that there were these files.
    pub async fn forget_files(&self, scope: &Scope, files: &[i64]) -> Result<(), EngineError> {
        Ok(files::forget(self.db(), scope, files).await?)
    }
}
