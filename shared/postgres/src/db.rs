//! The database: pools of connections, and transactions with a role and a scope.
//!
//! [`Db::run`] is the only door to a transaction, and so the only place where a scope is set. Statements go through `query_typed`: they
//! are sent with their parameter types and never prepared under a name, so that they work behind a transaction pooler. The statements
//! that a worker repeats go through [`worker`], on sessions where it has them.

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

/// On whose behalf a transaction runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A caller: sees its tenant's rows and, of those, its own, its persona's and the tenant's.
    Caller(Scope),
    /// A worker: sees every tenant, and writes no source.
    Worker,
}

impl From<&Scope> for Role {
    fn from(scope: &Scope) -> Self {
        Self::Caller(scope.clone())
    }
}

/// A pool of connections to one database, and what had to be read from it once.
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

/// How many connections each pool opens at most. Together they are what the program takes of the database, without a worker's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSizes {
    /// For calls and for what runs in the background.
    pub calls: usize,
    /// For API keys, the audit log and metrics.
    pub reserved: usize,
    /// Of a worker's sessions, once it has any.
    pub sessions: usize,
}

impl From<usize> for PoolSizes {
    fn from(connections: usize) -> Self {
        Self { calls: connections, reserved: 1, sessions: connections }
    }
}

/// How a pool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections in somebody's hands.
    pub used: usize,
    /// Connections that nobody needs now.
    pub idle: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

/// How long a scope or a filter counts as large after it was counted.
const LARGE_TTL: Duration = Duration::from_secs(30);
/// Scopes and filters that are remembered as large.
const LARGE_CAPACITY: usize = 10_000;
/// A statement may run this long before Postgres cancels it. Recalls take milliseconds; this bounds what is pathological.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// The worker's sweeps read whole tables.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(300);

impl Db {
    /// Opens pools on a database that [`migrate::migrate`] has made ready: for calls, for what must not wait behind calls, and for the
    /// sessions that a worker has there. Each connection is made when it is first needed.
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

    /// Where this database is.
    pub fn dsn(&self) -> &Dsn {
        &self.dsn
    }

    /// A connection of the pool; waits at most as long as the pool was told to.
    pub async fn client(&self) -> Result<Object, DbError> {
        take(&self.pool, &self.dsn).await
    }

    /// How the pool of callers' connections stands.
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        let idle = status.available;
        PoolStatus { used: status.size.saturating_sub(idle), idle, waiting: status.waiting }
    }

    /// Forgets every connection: after a failover each of them may lead to the wrong server.
    pub fn drop_connections(&self) {
        self.pool.retain(|_, _| false);
        self.reserved.retain(|_, _| false);
        self.sessions.drop_connections();
    }

    /// Does the same as [`run`](Self::run), and never runs it again.
    pub async fn run_once<T, F: Future<Output = Result<T, DbError>>>(
        &self,
        role: impl Into<Role>,
        work: impl FnOnce(Transaction) -> F,
    ) -> Result<T, DbError> {
        self.attempt(&role.into(), work).await
    }

    /// The same database on connections that no call takes: for API keys, the audit log and metrics.
    pub fn reserved(&self) -> Self {
        Self { pool: self.reserved.clone(), reserved: self.pool.clone(), ..self.clone() }
    }

    /// Runs one statement in a transaction of its own, as [`run`](Self::run) does.
    pub async fn query(
        &self,
        role: impl Into<Role>,
        statement: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, DbError> {
        self.run(role, async |transaction| Ok(transaction.query_typed(statement, parameters).await?)).await
    }

    /// The secret of this installation, with which cursors are sealed.
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
                // A connection that is lost has nothing to roll back.
                transaction.rollback().await.ok();
                Err(error)
            }
        }
    }

    /// Begins a transaction with a role's rights and scope, and nothing else of the session.
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

    /// Where names are looked up.
    pub fn search_path(&self) -> &str {
        &self.search_path
    }

    /// Whether a scope or a filter, by its hash, was found to be large within the last [`LARGE_TTL`]: to count it again would cost a recall
    /// a fifth of its time, and for a filter more than all else.
    pub fn is_large(&self, hash: u64) -> bool {
        self.large.lock().get(&hash).is_some()
    }

    /// Remembers a scope or a filter as large.
    pub fn note_large(&self, hash: u64) {
        self.large.lock().insert(hash, (), LARGE_TTL);
    }

    /// The type of a vector parameter.
    pub fn halfvec(&self) -> Type {
        self.halfvec.clone()
    }

    /// The type of a parameter that is an array of vectors.
    pub fn halfvec_array(&self) -> Type {
        self.halfvec_array.clone()
    }
}

/// Where names are looked up: our own schema first, then the one that holds pgvector's types and operators. The session's temporary objects come last;
/// Postgres would look there first if they were not named.
fn search_path(vector_schema: &str) -> String {
    format!("pgrecall, \"{}\", pg_temp", vector_schema.replace('"', "\"\""))
}

async fn take(pool: &Pool, dsn: &Dsn) -> Result<Object, DbError> {
    match pool.get().await {
        Ok(client) => Ok(client),
        Err(error) => Err(dsn.explain_pool(error, pool.status().max_size).await.into()),
    }
}
