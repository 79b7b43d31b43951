//! A worker's statements, on sessions of its own (decision 15).
//!
//! A worker repeats the same few statements. On a session each is prepared once, role and settings
//! persist, and a single statement is its own transaction: one round trip instead of four, and no
//! planning. Behind a transaction pooler this is unsafe, because clients share session state. So
//! until the sessions have been verified ([`Db::use_sessions`]), each transaction sets role and
//! settings as a server's does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{GenericClient, Hook, HookError, Object, Pool, StatementCache};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::parameters::Parameters;
use super::{Db, DbError, Role, SWEEP_TIMEOUT, Transaction, take};
use crate::dsn::Dsn;
use crate::{parameters, sql};

/// A session that was handed out more recently than this is not checked again: the check would take
/// a fifth of a short statement's time.
const CHECK_AFTER_IDLE: Duration = Duration::from_secs(1);
/// Time limit for setting up a session.
const SETUP_TIMEOUT: Duration = Duration::from_secs(10);

/// The pool of a worker's sessions.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    pool: Pool,
    dsn: Dsn,
    proven: Arc<AtomicBool>,
}

impl Sessions {
    /// Creates the pool. It opens no connection until the sessions have been verified.
    pub(super) fn new(dsn: &Dsn, connections: usize, search_path: &str) -> Self {
        let search_path = search_path.to_owned();
        let timeout = SWEEP_TIMEOUT.as_millis().to_string();
        let prepare = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let (search_path, timeout) = (search_path.clone(), timeout.clone());
            Box::pin(async move {
                let settings = parameters![search_path, timeout];
                // A pooler without a free server makes its clients wait.
                match tokio::time::timeout(SETUP_TIMEOUT, client.query_typed(sql!("worker_session"), settings)).await {
                    Ok(set) => set.map(drop).map_err(HookError::Backend),
                    Err(_) => Err(HookError::message("it did not answer")),
                }
            })
        });
        let pool = dsn.pool_builder(connections, CHECK_AFTER_IDLE).post_create(prepare).build();
        let pool = pool.expect("a pool with a runtime can have timeouts");
        Self { pool, dsn: dsn.clone(), proven: Arc::default() }
    }

    pub(super) fn drop_connections(&self) {
        self.pool.retain(|_, _| false);
    }
}

/// A connection that runs a worker's statements.
#[expect(clippy::large_enum_variant, reason = "a value lives on the stack for a few statements")]
pub enum WorkerClient<'a> {
    /// A session that keeps role, settings and prepared statements.
    Session(Object),
    /// A pooled connection, on which nothing outlives a transaction.
    Pooled(&'a Db),
}

/// A worker's transaction of several statements.
pub enum WorkerTransaction<'a> {
    /// On a session, with prepared statements.
    Session(deadpool_postgres::Transaction<'a>),
    /// On a pooled connection, without prepared statements.
    Pooled(Transaction),
}

impl Db {
    /// Sets whether a worker's statements run on its sessions. They may only if session state
    /// persists: see [`crate::session::keeps`].
    pub fn use_sessions(&self, proven: bool) {
        self.sessions.proven.store(proven, Ordering::Relaxed);
    }

    /// Returns whether a worker's statements run on its sessions.
    pub fn has_sessions(&self) -> bool {
        self.sessions.proven.load(Ordering::Relaxed)
    }

    /// Returns a connection for a worker's statements.
    pub async fn worker(&self) -> Result<WorkerClient<'_>, DbError> {
        if self.has_sessions() {
            Ok(WorkerClient::Session(take(&self.sessions.pool, &self.sessions.dsn).await?))
        } else {
            Ok(WorkerClient::Pooled(self))
        }
    }

    /// Runs one of the worker's statements in its own transaction.
    pub async fn run_as_worker(&self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, DbError> {
        self.worker().await?.run(statement, parameters).await
    }

    /// Repeats a statement, each time in its own transaction, until its column `more` is false.
    pub async fn run_while_more(&self, statement: &str, parameters: Parameters<'_>) -> Result<(), DbError> {
        while self.run_as_worker(statement, parameters).await?[0].get::<_, bool>("more") {}
        Ok(())
    }
}

/// An executor of statements: a worker's connection, which runs each in its own transaction, or one
/// transaction.
pub trait Run {
    /// Runs a statement.
    fn run(
        &mut self,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> impl Future<Output = Result<Vec<Row>, DbError>> + Send;
}

impl Run for WorkerClient<'_> {
    async fn run(&mut self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Session(client) => run_prepared(client, &client.statement_cache, statement, parameters).await,
            Self::Pooled(db) => db.query_once(Role::Worker, statement, parameters).await,
        }
    }
}

impl Run for Transaction {
    async fn run(&mut self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, DbError> {
        Ok(self.query_typed(statement, parameters).await?)
    }
}

impl Run for WorkerTransaction<'_> {
    async fn run(&mut self, statement: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Session(on) => run_prepared(on, &on.statement_cache, statement, parameters).await,
            Self::Pooled(transaction) => transaction.run(statement, parameters).await,
        }
    }
}

impl WorkerClient<'_> {
    /// Begins a transaction of several statements.
    pub async fn begin(&mut self) -> Result<WorkerTransaction<'_>, DbError> {
        Ok(match self {
            Self::Session(client) => WorkerTransaction::Session(client.transaction().await?),
            Self::Pooled(db) => WorkerTransaction::Pooled(db.begin(&Role::Worker).await?),
        })
    }
}

impl WorkerTransaction<'_> {
    /// Commits the transaction.
    pub async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Session(transaction) => Ok(transaction.commit().await?),
            Self::Pooled(transaction) => transaction.commit().await,
        }
    }
}

/// Runs a statement, which the session prepares only once.
async fn run_prepared(
    on: &impl GenericClient,
    prepared: &StatementCache,
    statement: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, DbError> {
    let (values, types): (Vec<_>, Vec<_>) = parameters.iter().cloned().unzip();
    let run = async { on.query(&on.prepare_typed_cached(statement, &types).await?, &values).await };
    Ok(run.await.inspect_err(|error| {
        // After a migration a statement may return other columns than when it was prepared, and
        // Postgres refuses it. The cleared cache makes the next attempt prepare it again.
        if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) {
            prepared.clear();
        }
    })?)
}
