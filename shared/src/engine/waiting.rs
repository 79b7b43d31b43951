//! Waiting for what was written to be embedded, without waiting in vain.

use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, EngineError};
use pgrecall_config::Provider;
use pgrecall_postgres::db::Scope;
use pgrecall_store::status;

/// How often the jobs are counted at the most: a person sees progress.
const EVERY: Duration = Duration::from_millis(200);
/// Where a count takes long, it rests so many times as long.
const REST: u32 = 10;
/// A worker that has just been started needs this long to say that it lives and how its embedder is.
const GRACE: Duration = Duration::from_secs(5);

/// Why the waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitEnd {
    /// Nothing waits any more.
    Done,
    /// Every worker says that its embedder is away: the rest fills in when it comes back.
    EmbedderDown,
    /// No worker is alive.
    NoWorker,
    /// The provider is `noop`.
    Disabled,
    /// The deadline passed.
    Deadline,
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited {
    /// Jobs that are still open.
    pub pending: i64,
    /// Jobs that failed and wait for a person.
    pub failed: i64,
    /// Why it ended; `None` while it goes on.
    pub ended: Option<WaitEnd>,
}

pub(super) async fn wait(
    engine: &Engine,
    scope: &Scope,
    mut progress: impl FnMut(&Waited),
    deadline: Option<Duration>,
) -> Result<Waited, EngineError> {
    let begun = Instant::now();
    let mut last_alive = begun;
    loop {
        let counting = Instant::now();
        let (pending, failed) = status::open_jobs(engine.db(), scope).await?;
        let rest = EVERY.max(REST * counting.elapsed());
        let workers = status::workers(engine.db()).await?;
        if !workers.is_empty() {
            last_alive = Instant::now();
        }
        let ended = if pending == 0 {
            Some(WaitEnd::Done)
        } else if engine.config().memory.embedding.provider == Provider::Noop {
            Some(WaitEnd::Disabled)
        } else if !workers.is_empty()
            && workers.iter().all(|worker| ["down", "disabled"].contains(&worker.embedder.as_str()))
        {
            Some(WaitEnd::EmbedderDown)
        } else if last_alive.elapsed() > GRACE {
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
