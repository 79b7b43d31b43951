//! A transaction on a pooled connection.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::Object;
use tokio_postgres::Client;

use super::DbError;
use crate::dsn::Dsn;

/// A transaction of [`Db::run`](super::Db::run). Clones are the same transaction.
///
/// It owns its connection. If it borrowed it, `run` could not guarantee that its callers' futures
/// are `Send`.
#[derive(Clone)]
pub struct Transaction {
    connection: Arc<Connection>,
}

struct Connection {
    object: Option<Object>,
    dsn: Dsn,
    has_ended: AtomicBool,
}

impl Transaction {
    /// Begins a transaction on this connection.
    pub(super) async fn begin(object: Object, dsn: &Dsn) -> Result<Self, DbError> {
        let connection = Connection { object: Some(object), dsn: dsn.clone(), has_ended: AtomicBool::new(false) };
        let transaction = Self { connection: Arc::new(connection) };
        transaction.batch_execute("BEGIN").await?;
        Ok(transaction)
    }

    /// Commits, unless the transaction was rolled back.
    pub(super) async fn commit(&self) -> Result<(), DbError> {
        if self.connection.has_ended.load(Ordering::Relaxed) { Ok(()) } else { self.end("COMMIT").await }
    }

    /// Rolls back. Use it where the work succeeds without changing anything.
    pub async fn rollback(&self) -> Result<(), DbError> {
        self.end("ROLLBACK").await
    }

    async fn end(&self, command: &str) -> Result<(), DbError> {
        let ended = self.batch_execute(command).await;
        // Set even on an error: a transaction whose commit fails is over too, and the pool drops a
        // closed connection.
        self.connection.has_ended.store(true, Ordering::Relaxed);
        Ok(ended?)
    }

    /// Runs `part` under a savepoint. If it fails, only `part` is rolled back, and the transaction
    /// goes on.
    pub async fn savepoint<T>(&self, part: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        self.batch_execute("SAVEPOINT part").await?;
        let result = part.await;
        self.batch_execute(if result.is_ok() { "RELEASE part" } else { "ROLLBACK TO part" }).await?;
        result
    }
}

impl Deref for Transaction {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.connection.object.as_ref().expect("the connection is there until it is dropped")
    }
}

/// Cancels the running statement in Postgres and closes the connection if the transaction has not
/// ended: a caller that disconnects drops its future in the middle of a statement. The connection
/// is not reused, because a late cancel request could end another caller's statement.
impl Drop for Connection {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        // A closed connection has no statement to cancel. Without a runtime, the program is exiting
        // and cannot run a task.
        let is_over = *self.has_ended.get_mut() || object.is_closed();
        if is_over || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (dsn, token) = (self.dsn.clone(), object.cancel_token());
        pgrecall_process::tasks::detached("cancel", async move {
            dsn.cancel(token).await;
            // The connection's slot in the pool is released only after the cancellation.
            drop(Object::take(object));
        });
    }
}
