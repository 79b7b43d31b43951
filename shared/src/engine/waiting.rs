//! Waits until the records of one command are embedded, and stops when waiting is pointless.

use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, EngineError};
use pgrecall_config::Provider;
use pgrecall_postgres::db::Scope;
use pgrecall_store::coverage::{self, Left};
use pgrecall_store::workers;
use uuid::Uuid;

/// The least time between two counts of the passages: short enough to show progress.
const COUNT_INTERVAL: Duration = Duration::from_millis(200);
/// After a slow count, the pause is this many times as long as the count.
const PAUSE_FACTOR: u32 = 10;
/// The least time between two estimates, each of which counts all passages of the caller.
const ESTIMATE_INTERVAL: Duration = Duration::from_secs(2);
/// How long a new worker may take to report that it lives and the state of its embedder.
const WORKER_START_GRACE: Duration = Duration::from_secs(5);

/// Why the wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEnd {
    /// No job of the records is open.
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waited {
    /// The number of records that wait.
    pub pending: i64,
    /// The number of their passages that have no vector yet.
    pub passages: i64,
    /// The number of parked records, which wait for a person.
    pub failed: i64,
    /// Seconds until everything of the caller is embedded, as its status says.
    pub seconds_left: Option<f64>,
    /// Whether other records of the caller wait too, and may come first.
    pub others_wait: bool,
    /// Why nothing is embedded now, if nothing is.
    pub reason: Option<String>,
    /// Why the wait ended; `None` while it continues.
    pub ended: Option<WaitEnd>,
}

impl Engine {
    /// Waits until these records are embedded, or until waiting is pointless. See [`WaitEnd`].
    pub async fn wait_embedded(
        &self,
        scope: &Scope,
        mut records: Vec<Uuid>,
        mut progress: impl FnMut(&Waited),
        deadline: Option<Duration>,
    ) -> Result<Waited, EngineError> {
        let begun = Instant::now();
        let (mut last_alive, mut estimated) = (begun, None);
        let mut waited = Waited::default();
        // A key that came twice has one record.
        records.sort_unstable();
        records.dedup();
        loop {
            let counting = Instant::now();
            let Left { pending, failed, passages } = coverage::of_records(self.db(), scope, &records).await?;
            (waited.pending, waited.failed, waited.passages) = (pending.len() as i64, failed.len() as i64, passages);
            // A record that is done does not wait again.
            records = [pending, failed].concat();
            if waited.pending > 0 && estimated.is_none_or(|at: Instant| at.elapsed() >= ESTIMATE_INTERVAL) {
                let all = coverage::read(self.db(), scope).await?.all();
                waited.seconds_left = all.seconds_left;
                waited.others_wait = all.passages.is_some_and(|all| all.pending > passages);
                estimated = Some(Instant::now());
            }
            let rest = COUNT_INTERVAL.max(PAUSE_FACTOR * counting.elapsed());
            let workers = workers::live(self.db()).await?;
            if !workers.is_empty() {
                last_alive = Instant::now();
            }
            waited.reason = workers::why_not_embedding(&workers).filter(|_| waited.pending > 0);
            waited.ended = if waited.pending == 0 {
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
            progress(&waited);
            if waited.ended.is_some() {
                return Ok(waited);
            }
            tokio::time::sleep(rest).await;
        }
    }
}
