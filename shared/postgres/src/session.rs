//! A worker's own session: a connection outside the pools that listens and holds locks (decision
//! 15).

use futures_util::StreamExt;
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::db::DbError;
use crate::dsn::{Dsn, DsnError};
use crate::{parameters, sql};

/// An open session.
pub struct Connected {
    client: Client,
    closed: CancellationToken,
}

/// Opens a session. `notified` is called with the payload of each notification.
pub async fn connect(dsn: &Dsn, notified: impl Fn(&str) + Send + 'static) -> Result<Connected, DsnError> {
    let (client, mut connection) = dsn.connect().await?;
    let closed = CancellationToken::new();
    let over = closed.clone();
    pgrecall_process::tasks::detached("session", async move {
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

/// Returns whether the database answers on a new connection.
pub async fn answers(dsn: &Dsn) -> bool {
    let Ok((client, _serving)) = dsn.connect_in_task("probe").await else { return false };
    client.simple_query(sql!("session_is_read_only")).await.is_ok()
}

/// Returns whether session state persists, which it does not behind a transaction pooler.
///
/// One connection sets a variable, a second one takes a free backend and keeps it, and then the
/// first one reads its variable. A session that receives its own notification is no proof, because
/// some transaction poolers forward notifications.
pub async fn keeps(dsn: &Dsn) -> Result<bool, DbError> {
    let word = Uuid::now_v7().to_string();
    let (one, serving) = dsn.connect_in_task("session-probe").await?;
    one.query_typed(sql!("set_word"), parameters![word]).await?;
    let (mut other, other_serving) = dsn.connect_in_task("session-probe").await?;
    let taken = other.transaction().await?;
    taken.query_typed(sql!("read_word"), &[]).await?;
    let found: Option<String> = one.query_typed(sql!("read_word"), &[]).await?[0].get("word");
    taken.rollback().await?;
    drop((one, other));
    serving.await.ok();
    other_serving.await.ok();
    Ok(found.as_deref() == Some(word.as_str()))
}

impl Connected {
    /// Tries to become the only process that embeds for this database, and returns whether it is.
    pub async fn lead(&self) -> Result<bool, DbError> {
        Ok(self.client.query_typed(sql!("lead"), &[]).await?[0].get("leads"))
    }

    /// Takes a worker's lock, which is free only if no live session holds it.
    pub async fn lock_worker(&self, worker: i64) -> Result<(), DbError> {
        let worker = i32::try_from(worker).unwrap_or(i32::MAX);
        self.client.query_typed(sql!("lock_worker"), parameters![worker]).await?;
        Ok(())
    }

    /// Subscribes to the notifications of new jobs.
    pub async fn listen(&self) -> Result<(), DbError> {
        self.client.batch_execute(sql!("listen")).await?;
        Ok(())
    }

    /// Waits until the session has ended.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}
