//! Recovery from races and lost connections: retries, a restart of the private Postgres, and the
//! memory of a full disk.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::{Db, DbError, Role, Transaction};

/// The delays before each retry of a transaction. Their sum is about the time of a restart or
/// failover of Postgres, as far as a waiting caller would tolerate it.
pub const RETRY_DELAYS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(500), Duration::from_millis(2_000)];
/// How long a write that failed on a full disk counts if no other write follows.
const FULL_DISK_TTL: Duration = Duration::from_secs(300);

/// Restarts the database if it has died.
type Restart = Box<dyn Fn() -> BoxFuture<'static, Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Recovery {
    restart: Arc<OnceLock<Restart>>,
    /// The time at which a write last failed because the disk was full, unless one has succeeded
    /// since.
    disk_full_at: Arc<Mutex<Option<Instant>>>,
}

impl std::fmt::Debug for Recovery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Recovery").finish_non_exhaustive()
    }
}

impl Db {
    /// Registers `restart`, which is called after each lost connection, for a Postgres that this
    /// program starts.
    pub fn restart_with<F, E>(&self, restart: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let restart: Restart = Box::new(move || {
            let restarted = restart();
            Box::pin(async move { restarted.await.map_err(Into::into) })
        });
        self.recovery.restart.set(restart).ok();
    }

    /// Recovers from a lost connection: drops the connections, which may lead to the wrong server,
    /// and restarts the database if it died.
    pub async fn reconnect(&self) -> Result<(), DbError> {
        self.drop_connections();
        match self.recovery.restart.get() {
            Some(restart) => restart().await.map_err(DbError::Restart),
            None => Ok(()),
        }
    }

    /// Records that a write succeeded, so the disk has space.
    pub fn note_written(&self) {
        *self.recovery.disk_full_at.lock() = None;
    }

    /// Returns whether a write of this process failed in the last 5 minutes because the disk was
    /// full, and none has succeeded since.
    pub fn is_disk_full(&self) -> bool {
        let at = *self.recovery.disk_full_at.lock();
        at.is_some_and(|at| at.elapsed() < FULL_DISK_TTL)
    }

    /// Runs a transaction with the rights and the scope of a role, and commits it. After a race
    /// with another writer or a lost connection it is retried from the start, so `work` may only
    /// read, or must be idempotent.
    pub async fn run<T, F: Future<Output = Result<T, DbError>>>(
        &self,
        role: impl Into<Role>,
        work: impl Fn(Transaction) -> F,
    ) -> Result<T, DbError> {
        let (role, mut delays) = (role.into(), RETRY_DELAYS.iter());
        loop {
            let error = match self.attempt(&role, &work).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if error.is_disk_full() {
                *self.recovery.disk_full_at.lock() = Some(Instant::now());
            }
            let Some(delay) = delays.next().filter(|_| error.is_transient()) else { return Err(error) };
            tracing::debug!(error = &error as &dyn std::error::Error, "retrying a transaction");
            tokio::time::sleep(*delay).await;
            if !error.is_race() {
                self.reconnect().await?;
            }
        }
    }
}
