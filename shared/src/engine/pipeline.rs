//! The embedding pipeline: its progress, its failures, and reindexing.

use super::{Engine, EngineError};
use pgrecall_config::Provider;
use pgrecall_postgres::db::Scope;
use pgrecall_store::status::{self, Status};
use pgrecall_store::triage::{self, Units};

impl Engine {
    /// Reads the progress and the failures of the pipeline.
    pub async fn status(&self, scope: &Scope) -> Result<Status, EngineError> {
        let mut status = status::status(&self.inner.db, scope).await?;
        for failing in &mut status.failing {
            failing.error = self.error_for_caller(scope, &failing.error);
        }
        status.reason = status.reason.map(|reason| self.error_for_caller(scope, &reason));
        if self.config().memory.embedding.provider == Provider::Noop {
            status.disable_embedder();
        }
        Ok(status)
    }

    /// Enqueues records to be embedded again, or only those without vectors. Returns their number.
    pub async fn reindex(&self, scope: &Scope, units: &Units) -> Result<u64, EngineError> {
        let enqueued = triage::reindex(&self.inner.db, scope, units).await?;
        self.wake_workers();
        Ok(enqueued)
    }
}
