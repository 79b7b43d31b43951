//! Waits until written records are embedded, and stops when waiting is pointless.

use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, EngineError};
use pgrecall_config::Provider;
use pgrecall_postgres::db::Scope;
use pgrecall_store::status;

/// The least time between two counts of the jobs: short enough to show progress.
const COUNT_INTERVAL: Duration = Duration::from_millis(200);
/// After a slow count, the pause is this many times as long as the count.
const PAUSE_FACTOR: u32 = 10;
/// How long a new worker may take to report that it lives and the state of its embedder.
const WORKER_START_GRACE: Duration = Duration::from_secs(5);

/// Why the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEnd {
    /// No job is open.
    Done,
    /// Every worker reports that its embedder is unavailable. The jobs run when it returns.
    EmbedderDown,
    /// No worker is alive.
    NoWorker,
    /// The provider is `noop`.
    Disabled,
    /// The deadline passed.
    Deadline,
}

/// The progress of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    /// The number of open jobs.
    pub pending: i64,
    /// The number of parked jobs, which wait for a person.
    pub failed: i64,
    /// Why the wait ended; `None` while it continues.
    pub ended: Option<WaitEnd>,
}

impl Engine {
    /// Waits until the records that the caller may read are embedded, or until waiting is
    /// pointless. See [`WaitEnd`].
    pub async fn wait_embedded(
        &self,
        scope: &Scope,
        mut progress: impl FnMut(&Waited),
        deadline: Option<Duration>,
    ) -> Result<Waited, EngineError> {
        let begun = Instant::now();
        let mut last_alive = begun;
        loop {
            let counting = Instant::now();
            let (pending, failed) = status::open_jobs(self.db(), scope).await?;
            let rest = COUNT_INTERVAL.max(PAUSE_FACTOR * counting.elapsed());
            let workers = status::workers(self.db()).await?;
            if !workers.is_empty() {
                last_alive = Instant::now();
            }
            let ended = if pending == 0 {
                Some(WaitEnd::Done)
            } else if self.config().memory.embedding.provider == Provider::Noop {
                Some(WaitEnd::Disabled)
            } else if !workers.is_empty()
                && workers.iter().all(|worker| ["down", "disabled"].contains(&worker.embedder.as_str()))
            {
                Some(WaitEnd::EmbedderDown)
            } else if last_alive.elapsed() > WORKER_START_GRACE {
                Some(WaitEnd::NoWorker)
            } else if deadline.is_some_and(|deadline| begun.elapsed() > deadline) {
                Some(WaitEnd::Deadline)
            } else {
                None
            };
            let waited = Waited { pending, failed, ended };
            progress(&waited);
            if ended.is_some() {
                return Ok(waited);
            }
            tokio::time::sleep(rest).await;
        }
    }
}
