//! Recovery from races and lost connections: retries, a restart of the private Postgres, and a full disk that is remembered.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::{Db, DbError, Role, Transaction};

/// The delays before a transaction is run again. Together they last as long as a restart or a failover of Postgres takes, as far as somebody
/// who waits for an answer would wait.
pub const RETRY_DELAYS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(500), Duration::from_millis(2_000)];
/// How long a failed write counts where no other write follows it.
const FULL_DISK_TTL: Duration = Duration::from_secs(300);

/// Starts the database again if it has died.
type Restart = Box<dyn Fn() -> BoxFuture<'static, Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Recovery {
    restart: Arc<OnceLock<Restart>>,
    /// When a write last failed because the disk was full, unless one has succeeded since.
    disk_full_at: Arc<Mutex<Option<Instant>>>,
}

impl std::fmt::Debug for Recovery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Recovery").finish_non_exhaustive()
    }
}

impl Db {
    /// Has `restart` called after each lost connection: for a Postgres that this program starts.
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

    /// After a lost connection: starts the database again if it died, and drops the connections, which may lead to the wrong server.
    pub async fn reconnect(&self) -> Result<(), DbError> {
        self.drop_connections();
        match self.recovery.restart.get() {
            Some(restart) => restart().await.map_err(DbError::Restart),
            None => Ok(()),
        }
    }

    /// Notes that a write succeeded, and so that the disk has space.
    pub fn note_written(&self) {
        *self.recovery.disk_full_at.lock() = None;
    }

    /// Whether a write of this process failed because the disk was full, and none has succeeded since.
    pub fn is_disk_full(&self) -> bool {
        let at = *self.recovery.disk_full_at.lock();
        at.is_some_and(|at| at.elapsed() < FULL_DISK_TTL)
    }

    /// Runs a transaction with this role's rights and scope, and commits it. After a race with another writer, or a lost connection, it is
    /// run again from the beginning: `work` may only read, or write what it can write twice.
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
