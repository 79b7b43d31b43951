//! The worker's own session: LISTEN, and the locks that say that it lives.
//!
//! A pooled connection could hold neither. NOTIFY is a hint: a session that misses one loses time until the next poll, never a job.
//! tokio-postgres neither reconnects nor listens again, so a session that breaks ends, and the worker opens another.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use pgrecall_postgres::db::{Db, DbError};
use pgrecall_postgres::dsn::Dsn;
use pgrecall_postgres::session::{self, Connected};
use pgrecall_store::metrics::metrics;
use pgrecall_store::queue;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Worker;

/// Between two tries to become the one that embeds. The lock is freed the moment its holder is gone.
const LEAD_AGAIN: Duration = Duration::from_millis(500);
/// How long an echo may take on a database under load.
const ECHO: Duration = Duration::from_secs(10);
/// Between two echoes.
const ECHO_AGAIN: Duration = Duration::from_secs(60);

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
    echo: Arc<Echo>,
}

/// A word that the session is to hear, among all the others that it hears.
#[derive(Debug, Default)]
struct Echo {
    nonce: Mutex<String>,
    heard: Notify,
}

impl Echo {
    fn expect(&self, nonce: &str) {
        *self.nonce.lock() = nonce.to_owned();
    }

    fn hear(&self, payload: &str) {
        if !payload.is_empty() && *self.nonce.lock() == payload {
            self.heard.notify_one();
        }
    }
}

impl Session {
    /// Connects.
    pub async fn open(dsn: &Dsn) -> anyhow::Result<Self> {
        let wake = Wake::default();
        let waker = wake.clone();
        let echo = Arc::new(Echo::default());
        let heard = Arc::clone(&echo);
        let notified = move |payload: &str| {
            heard.hear(payload);
            waker.up();
        };
        let connected = session::connect(dsn, notified).await?;
        Ok(Self { connected, wake, echo })
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

    /// Whether the session hears what another connection says. Nothing else tells: behind an idle transaction pooler LISTEN succeeds,
    /// prepared statements work, the backend stays the same, and nothing is ever heard.
    async fn hears(&self, db: &Db) -> Result<bool, DbError> {
        let nonce = Uuid::now_v7().to_string();
        self.echo.expect(&nonce);
        queue::notify(db, &nonce).await?;
        Ok(tokio::time::timeout(ECHO, self.echo.heard.notified()).await.is_ok())
    }
}

/// Listens for its own echo. A session that hears none from the start is said to be pooled, once, and polling carries on; one that
/// has become deaf is replaced.
pub async fn attend(worker: Worker, session: Arc<Session>) {
    let db = worker.engine.db();
    let (mut heard_before, mut proven) = (false, false);
    loop {
        let listen = async {
            let heard = session.hears(db).await?;
            // Proven once, it is one for as long as it is heard. One that passes words on and keeps nothing is never proven.
            proven = heard && (proven || session::keeps(worker.engine.session_dsn()).await.unwrap_or(false));
            db.use_sessions(proven);
            Ok::<bool, DbError>(heard)
        };
        let heard = tokio::select! {
            () = worker.stop.cancelled() => return,
            heard = listen => heard,
        };
        match heard {
            Ok(true) => {
                heard_before = true;
                metrics().set_listener_healthy(true);
            }
            Ok(false) if heard_before => {
                tracing::warn!(worker.id, "the worker's session stopped receiving notifications; reconnecting");
                worker.stop.cancel();
                return;
            }
            Ok(false) => {
                metrics().set_listener_healthy(false);
                tracing::warn!(
                    worker.id,
                    "the worker's session receives no notifications, as behind a transaction pooler; jobs are found by polling only: set \
                     `database.session_dsn` to Postgres itself, or to a pooler in session mode"
                );
                return;
            }
            // The pool has its own troubles, which others report.
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "no echo was sent"),
        }
        tokio::select! {
            () = worker.stop.cancelled() => return,
            () = tokio::time::sleep(ECHO_AGAIN) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_is_heard_among_others_that_come_at_the_same_moment() {
        let echo = Echo::default();
        echo.expect("mine");
        for payload in ["", "another's", "mine", "", "another's"] {
            echo.hear(payload);
        }
        tokio::time::timeout(ECHO, echo.heard.notified()).await.expect("it was heard");
        echo.expect("the next");
        echo.hear("mine");
        assert!(tokio::time::timeout(Duration::from_millis(10), echo.heard.notified()).await.is_err());
    }
}
