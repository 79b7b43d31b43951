//! The worker's own session: LISTEN, and the locks that say that it lives.
//!
//! A pooled connection could hold neither. NOTIFY is a hint: a session that misses one loses time until the next poll, never a job.
//! tokio-postgres neither reconnects nor listens again, so a session that breaks ends, and the worker opens another.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use shared::dsn::Dsn;
use shared::session::{self, Connected};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Between two tries to become the one that embeds. The lock is freed the moment its holder is gone.
const LEAD_AGAIN: Duration = Duration::from_millis(500);

/// Wakes the pipeline's loops; a wake-up that comes while none waits is kept for the next one that does.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// There is something to claim.
    pub fn up(&self) {
        self.0.notify_one();
        self.0.notify_waiters();
    }

    /// Waits until there is.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}

/// A session that is the worker's alone.
pub struct Session {
    connected: Connected,
    wake: Wake,
}

impl Session {
    /// Connects.
    pub async fn open(dsn: &Dsn) -> anyhow::Result<Self> {
        let wake = Wake::default();
        let waker = wake.clone();
        let connected = session::connect(dsn, move || waker.up()).await?;
        Ok(Self { connected, wake })
    }

    /// Waits until this process is the one that embeds. False: the shutdown came first.
    pub async fn lead(&self, shutdown: &CancellationToken) -> anyhow::Result<bool> {
        loop {
            if self.connected.lead().await.context("asking for the lock of the one that embeds")? {
                return Ok(true);
            }
            tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                () = tokio::time::sleep(LEAD_AGAIN) => {}
            }
        }
    }

    /// Takes the lock that is free only when this worker is dead.
    pub async fn lock_worker(&self, worker: i64) -> anyhow::Result<()> {
        Ok(self.connected.lock_worker(worker).await?)
    }

    /// Listens. Whoever polls after this misses nothing.
    pub async fn listen(&self) -> anyhow::Result<()> {
        Ok(self.connected.listen().await?)
    }

    /// What the session wakes.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Returns when the session is gone.
    pub async fn broken(&self) {
        self.connected.closed().await;
    }
}
