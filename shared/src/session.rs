//! A session of a worker's own: a connection outside the pool that listens and holds locks.

use futures_util::StreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;

use crate::db::DbError;
use crate::dsn::{Dsn, DsnError};
use crate::sql::sql;

/// A connected session.
pub struct Connected {
    client: Client,
    closed: CancellationToken,
}

/// Connects, and calls `notified` with the payload of every notification that arrives.
pub async fn connect(dsn: &Dsn, notified: impl Fn(&str) + Send + 'static) -> Result<Connected, DsnError> {
    let (client, mut connection) = dsn.connect().await?;
    let closed = CancellationToken::new();
    let over = closed.clone();
    crate::tasks::detached("session", async move {
        let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(notification) = message {
                notified(notification.payload());
            }
        }
        over.cancel();
    });
    Ok(Connected { client, closed })
}

impl Connected {
    /// Whether this process is now the one that embeds for its database.
    pub async fn lead(&self) -> Result<bool, DbError> {
        Ok(self.client.query_typed(sql!("lead"), &[]).await?[0].get("leads"))
    }

    /// Takes a worker's lock, which is free only when its holder is dead.
    pub async fn lock_worker(&self, worker: i64) -> Result<(), DbError> {
        let worker = i32::try_from(worker).unwrap_or(i32::MAX);
        self.client.query_typed(sql!("lock_worker"), &[(&worker, Type::INT4)]).await?;
        Ok(())
    }

    /// Listens for jobs.
    pub async fn listen(&self) -> Result<(), DbError> {
        self.client.batch_execute(sql!("listen")).await?;
        Ok(())
    }

    /// Returns when the session is gone.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}
