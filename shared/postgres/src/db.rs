//! The database: connection pools, and transactions with a role and a scope.
//!
//! Every transaction outside a worker's sessions begins in [`Db::run`] or [`Db::run_once`], so the
//! scope is set in one place only (decision 30). Statements go through `query_typed`: they are sent
//! with their parameter types and never prepared under a name, so that they work behind a
//! transaction pooler (decision 12). Statements that a worker repeats go through [`worker`], on
//! sessions where they are available.

mod error;
pub mod migrate;
pub mod parameters;
mod recovery;
mod transaction;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Object, Pool};
use parking_lot::Mutex;
use tokio_postgres::Row;
use tokio_postgres::types::{Kind, Type};

pub use self::error::DbError;
use self::parameters::Parameters;
pub use self::recovery::RETRY_DELAYS;
use self::recovery::Recovery;
pub use self::transaction::Transaction;
use self::worker::Sessions;
use crate::dsn::Dsn;
use crate::{parameters, sql};
use pgrecall_process::ttl_map::TtlMap;
pub use pgrecall_record::identity::Scope;

/// The role that a transaction runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A caller: can see its tenant's rows that are its own, its persona's, or shared with the
    /// tenant.
    Caller(Scope),
    /// A worker: can see the rows of every tenant, and writes no sources.
    Worker,
}

impl From<&Scope> for Role {
    fn from(scope: &Scope) -> Self {
        Self::Caller(scope.clone())
    }
}

/// The connection pools of one database, with facts that are read from it once.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
    reserved: Pool,
    dsn: Dsn,
    sessions: Sessions,
    search_path: String,
    halfvec: Type,
    halfvec_array: Type,
    large: Arc<Mutex<TtlMap<u64, ()>>>,
    recovery: Recovery,
}

/// Maximum connections of each pool. Their sum bounds the program's pooled connections; those of
/// [`crate::session`] are extra.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSizes {
    /// The pool for calls and background work.
    pub calls: usize,
    /// The pool for API keys, the audit log and metrics.
    pub reserved: usize,
    /// The pool of a worker's sessions, once they are in use.
    pub sessions: usize,
}

impl From<usize> for PoolSizes {
    fn from(connections: usize) -> Self {
        Self { calls: connections, reserved: 1, sessions: connections }
    }
}

/// The state of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections in use.
    pub used: usize,
    /// Idle connections.
    pub idle: usize,
    /// Callers that wait for a connection.
    pub waiting: usize,
}

/// How long a scope or filter counts as large after it was counted.
const LARGE_TTL: Duration = Duration::from_secs(30);
/// Maximum number of scopes and filters remembered as large.
const LARGE_CAPACITY: usize = 10_000;
/// Statement timeout for callers. Recalls take milliseconds, so only a pathological statement
/// reaches it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Statement timeout for workers, whose sweeps read whole tables.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(300);

impl Db {
    /// Opens the pools for a database that [`migrate::migrate`] has prepared: for calls, for work
    /// that must not wait behind calls, and for a worker's sessions. Connections are opened on
    /// demand.
    pub async fn open(dsn: &Dsn, session: &Dsn, sizes: impl Into<PoolSizes>) -> Result<Self, DbError> {
        let sizes = sizes.into();
        let pool = dsn.pool(sizes.calls);
        let client = take(&pool, dsn).await?;
        let row = client.query_typed(sql!("vector_types"), &[]).await?.pop().ok_or(DbError::NoPgvector)?;
        let schema: String = row.get("schema");
        let halfvec = Type::new("halfvec".into(), row.get("oid"), Kind::Simple, schema.clone());
        let halfvec_array =
            Type::new("_halfvec".into(), row.get("array_oid"), Kind::Array(halfvec.clone()), schema.clone());
        drop(client);
        let search_path = search_path(&schema);
        let sessions = Sessions::new(session, sizes.sessions, &search_path);
        Ok(Self {
            pool,
            reserved: dsn.pool(sizes.reserved),
            dsn: dsn.clone(),
            sessions,
            search_path,
            halfvec,
            halfvec_array,
            large: Arc::new(Mutex::new(TtlMap::new(LARGE_CAPACITY))),
            recovery: Recovery::default(),
        })
    }

    /// Returns the connection string of this database.
    pub fn dsn(&self) -> &Dsn {
        &self.dsn
    }

    /// Takes a connection from the pool. It waits at most for the pool's wait timeout.
    pub async fn client(&self) -> Result<Object, DbError> {
        take(&self.pool, &self.dsn).await
    }

    /// Returns the state of the pool for calls.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        let idle = status.available;
        PoolStatus { used: status.size.saturating_sub(idle), idle, waiting: status.waiting }
    }

    /// Drops every idle connection, because after a failover each may lead to the wrong server.
    pub fn drop_connections(&self) {
        self.pool.retain(|_, _| false);
        self.reserved.retain(|_, _| false);
        self.sessions.drop_connections();
    }

    /// Does the same as [`run`](Self::run), but never retries.
    pub async fn run_once<T, F: Future<Output = Result<T, DbError>>>(
        &self,
        role: impl Into<Role>,
        work: impl FnOnce(Transaction) -> F,
    ) -> Result<T, DbError> {
        self.attempt(&role.into(), work).await
    }

    /// Returns this database with the reserved pool, whose connections no call takes: for API keys,
    /// the audit log and metrics.
    pub fn reserved(&self) -> Self {
        Self { pool: self.reserved.clone(), reserved: self.pool.clone(), ..self.clone() }
    }

    /// Runs one statement in its own transaction, with the retries of [`run`](Self::run).
    pub async fn query(
        &self,
        role: impl Into<Role>,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DbError> {
        self.run(role, async |transaction| Ok(transaction.query_typed(statement, parameters).await?)).await
    }

    /// Does the same as [`query`](Self::query), but never retries.
    pub async fn query_once(
        &self,
        role: impl Into<Role>,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DbError> {
        self.run_once(role, async |transaction| Ok(transaction.query_typed(statement, parameters).await?)).await
    }

    /// Returns the secret of this installation, which seals cursors.
    pub async fn secret(&self) -> Result<Vec<u8>, DbError> {
        let rows = self.query(Role::Worker, sql!("read_secret"), &[]).await?;
        Ok(rows[0].get("secret"))
    }

    async fn attempt<T, F: Future<Output = Result<T, DbError>>>(
        &self,
        role: &Role,
        work: impl FnOnce(Transaction) -> F,
    ) -> Result<T, DbError> {
        let transaction = self.begin(role).await?;
        match work(transaction.clone()).await {
            Ok(value) => {
                transaction.commit().await?;
                Ok(value)
            }
            Err(error) => {
                // A rollback fails if the connection is lost, and then there is nothing to roll
                // back.
                transaction.rollback().await.ok();
                Err(error)
            }
        }
    }

    /// Begins a transaction with the rights and the scope of a role. All settings are local to the
    /// transaction.
    async fn begin(&self, role: &Role) -> Result<Transaction, DbError> {
        let (name, timeout, scope) = match role {
            Role::Caller(scope) => ("pgrecall_server", STATEMENT_TIMEOUT, Some(scope)),
            Role::Worker => ("pgrecall_worker", SWEEP_TIMEOUT, None),
        };
        let timeout = timeout.as_millis().to_string();
        let setting = |of: fn(&Scope) -> Option<&str>| scope.and_then(of).unwrap_or_default();
        let (tenant, owner) = (setting(|scope| Some(&scope.tenant)), setting(|scope| Some(&scope.owner)));
        let persona = setting(|scope| scope.persona.as_deref());
        let parameters = parameters![name, self.search_path, tenant, owner, persona, timeout];
        let transaction = Transaction::begin(self.client().await?, &self.dsn).await?;
        transaction.query_typed(sql!("begin"), parameters).await?;
        Ok(transaction)
    }

    /// Returns the search path.
    pub fn search_path(&self) -> &str {
        &self.search_path
    }

    /// Returns whether a scope or filter, identified by its hash, was counted as large within the
    /// last [`LARGE_TTL`]. Counting again would take a fifth of a recall's time, and for a filter
    /// more than the rest of the recall.
    pub fn is_large(&self, hash: u64) -> bool {
        self.large.lock().get(&hash).is_some()
    }

    /// Remembers a scope or filter as large.
    pub fn note_large(&self, hash: u64) {
        self.large.lock().insert(hash, (), LARGE_TTL);
    }

    /// Returns the type of a vector parameter.
    pub fn halfvec(&self) -> Type {
        self.halfvec.clone()
    }

    /// Returns the type of a parameter that is an array of vectors.
    pub fn halfvec_array(&self) -> Type {
        self.halfvec_array.clone()
    }
}

/// Returns the search path: our schema, then the schema of pgvector's types and operators, then
/// temporary objects. If `pg_temp` were not named, Postgres would search it first.
fn search_path(vector_schema: &str) -> String {
    format!("pgrecall, \"{}\", pg_temp", vector_schema.replace('"', "\"\""))
}

async fn take(pool: &Pool, dsn: &Dsn) -> Result<Object, DbError> {
    match pool.get().await {
        Ok(client) => Ok(client),
        Err(error) => Err(dsn.explain_pool(error, pool.status().max_size).await.into()),
    }
}
