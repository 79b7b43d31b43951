//! The worker's own session: LISTEN, and the locks that show that the worker lives.
//!
//! A pooled connection could do neither. NOTIFY is a hint: a session that misses one delays jobs
//! until the next poll, and loses none. tokio-postgres neither reconnects nor repeats LISTEN, so
//! when the session breaks, the worker opens another.

use std::error::Error;
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

/// Delay between two attempts to take the leader lock. Postgres frees the lock as soon as its
/// holder's session ends.
const LEAD_AGAIN: Duration = Duration::from_millis(500);
/// How long an echo may take on a database under load.
const ECHO_INTERVAL: Duration = Duration::from_secs(10);
/// Delay between two echoes.
const ECHO_AGAIN: Duration = Duration::from_secs(60);

/// Wakes the pipeline's loops. A wake-up that arrives while no loop waits is kept for the next one
/// that does.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Wakes the loops, because there is a job to claim.
    pub fn up(&self) {
        self.0.notify_one();
        self.0.notify_waiters();
    }

    /// Waits for a wake-up.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}

/// A Postgres session that belongs to one worker.
pub struct Session {
    /// The connection, which takes the locks and listens.
    pub(crate) connection: Connected,
    wake: Wake,
    echo: Arc<Echo>,
}

/// The notification that the session waits for among all others.
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
    /// Connects to Postgres.
    pub async fn open(dsn: &Dsn) -> anyhow::Result<Self> {
        let wake = Wake::default();
        let waker = wake.clone();
        let echo = Arc::new(Echo::default());
        let heard = Arc::clone(&echo);
        let notified = move |payload: &str| {
            heard.hear(payload);
            waker.up();
        };
        let connection = session::connect(dsn, notified).await?;
        Ok(Self { connection, wake, echo })
    }

    /// Waits until this process holds the leader lock, and so is the only one that embeds. False:
    /// the shutdown came first.
    pub async fn lead(&self, shutdown: &CancellationToken) -> anyhow::Result<bool> {
        loop {
            if self.connection.lead().await.context("requesting the lock of the embedding worker")? {
                return Ok(true);
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(LEAD_AGAIN)).await.is_none() {
                return Ok(false);
            }
        }
    }

    /// Returns the handle that notifications wake.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Checks whether the session receives a notification from another connection. No cheaper check
    /// is reliable: behind an idle transaction pooler LISTEN succeeds, prepared statements work and
    /// the backend stays the same, but no notification arrives.
    async fn hears(&self, db: &Db) -> Result<bool, DbError> {
        let nonce = Uuid::now_v7().to_string();
        self.echo.expect(&nonce);
        queue::notify(db, &nonce).await?;
        Ok(tokio::time::timeout(ECHO_INTERVAL, self.echo.heard.notified()).await.is_ok())
    }
}

/// Checks every minute whether the session receives its own echo. If it never does, the connection
/// is pooled: the worker logs that once and relies on polling. If it stops receiving, the worker
/// replaces the session.
pub async fn check_echo(worker: Worker, session: Arc<Session>) {
    let db = worker.engine.db();
    let (mut heard_before, mut proven) = (false, false);
    loop {
        let listen = async {
            let heard = session.hears(db).await?;
            // `session::keeps` is checked once, and holds as long as echoes arrive. A transaction
            // pooler that forwards notifications but keeps no session state never passes the check.
            proven = heard && (proven || session::keeps(worker.engine.session_dsn()).await.unwrap_or(false));
            db.use_sessions(proven);
            Ok::<bool, DbError>(heard)
        };
        let Some(heard) = worker.stop.run_until_cancelled(listen).await else { return };
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
            // Not a warning: other parts report the pool's errors.
            Err(error) => tracing::debug!(error = &error as &dyn Error, "no echo was sent"),
        }
        if worker.stop.run_until_cancelled(tokio::time::sleep(ECHO_AGAIN)).await.is_none() {
            return;
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
        tokio::time::timeout(ECHO_INTERVAL, echo.heard.notified()).await.expect("it was heard");
        echo.expect("the next");
        echo.hear("mine");
        assert!(tokio::time::timeout(Duration::from_millis(10), echo.heard.notified()).await.is_err());
    }
}
