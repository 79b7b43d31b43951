//! The database as the programs use it: a pool, and transactions that begin with a role and a scope.
//!
//! A server's statements go through `query_typed`: they are sent with their parameter types and never prepared under a name, so that they
//! work behind a transaction pooler. [`Db::begin`] is the only way to such a transaction, and so the only place where a scope is set. What
//! a worker does without end goes through [`worker`], on sessions where it has them.

mod asked;
mod lately;
pub mod migrate;
pub mod worker;

use std::time::Duration;

use deadpool_postgres::{Object, Pool, Transaction};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Kind, Type};

pub use self::asked::Asked;
use self::lately::Lately;
use self::worker::Sessions;
use crate::dsn::{Dsn, DsnError};
use crate::sql::sql;

/// On whose behalf a transaction runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A caller: sees its tenant's rows and, of those, its own, its persona's and the tenant's.
    Caller(Scope),
    /// A worker: sees every tenant, and writes no source.
    Worker,
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The tenant, whose rows are all that exists for the caller.
    pub tenant: String,
    /// The caller, who owns what it writes.
    pub owner: String,
    /// The persona that the caller works as, if any.
    pub persona: Option<String>,
}

/// What went wrong between a program and its database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection could be had.
    #[error(transparent)]
    Unreachable(#[from] DsnError),
    /// The extension is gone, and every vector with it.
    #[error("the database has no pgvector any more: run `mcp-server migrate`")]
    NoPgvector,
    /// A statement failed.
    #[error("{}", refusal(.0))]
    Statement(#[from] tokio_postgres::Error),
}

fn refusal(error: &tokio_postgres::Error) -> String {
    match error.code() {
        Some(&SqlState::DISK_FULL) => {
            "the disk that holds the database is full: free some space, and try again".to_owned()
        }
        Some(code) if crate::integrity::is_damage(code) => format!(
            "the database refused a statement (SQLSTATE {}): its files are damaged; run `mcp-server doctor`, and restore the last \
             good backup",
            code.code()
        ),
        Some(code) => format!("the database refused a statement (SQLSTATE {})", code.code()),
        None => "the database refused a statement: the connection was lost; try again".to_owned(),
    }
}

impl DbError {
    /// Whether the same transaction may succeed when it is tried again: after a race with another writer, or when the connection was lost or led
    /// to a server that is no longer the primary.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(error) => error.is_transient(),
            Self::NoPgvector => false,
            Self::Statement(error) => self.is_race() || is_lost(error),
        }
    }

    /// Whether another writer was in the way, and the connection is well: a deadlock, or something that went or was made since it was looked for.
    pub fn is_race(&self) -> bool {
        match self {
            Self::Statement(error) => error.code().is_some_and(|code| {
                [
                    SqlState::T_R_DEADLOCK_DETECTED,
                    SqlState::T_R_SERIALIZATION_FAILURE,
                    SqlState::FOREIGN_KEY_VIOLATION,
                    SqlState::UNIQUE_VIOLATION,
                ]
                .contains(code)
            }),
            Self::Unreachable(_) | Self::NoPgvector => false,
        }
    }

    /// Whether the values themselves were refused: the same statement with the same values never succeeds.
    pub fn is_bad_data(&self) -> bool {
        // Classes 22, data exception, and 23, integrity constraint violation.
        let of_data = |code: &SqlState| code.code().starts_with("22") || code.code().starts_with("23");
        matches!(self, Self::Statement(error) if error.code().is_some_and(of_data))
    }

    /// Whether the disk that holds the database is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Statement(error) if error.code() == Some(&SqlState::DISK_FULL))
    }

    /// Whether what was to be written is there already.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Statement(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }

    /// Whether what was asked for may have been done all the same: the answer was lost, or the server went down over it.
    pub fn is_uncertain(&self) -> bool {
        let Self::Statement(error) = self else { return false };
        error.code().is_none_or(|code| [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(code))
    }
}

fn is_lost(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        None => error.is_closed() || std::error::Error::source(error).is_some_and(|s| s.is::<std::io::Error>()),
        Some(code) => [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(code),
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
    large: Lately<LargeScope>,
    large_narrowings: Lately<u64>,
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

/// Who asks for what kinds, and whether by meaning too.
pub(crate) type LargeScope = (Scope, Vec<&'static str>, bool);

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
            large: Lately::default(),
            large_narrowings: Lately::default(),
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

    /// A connection that no call takes: for API keys, the audit log and metrics.
    pub async fn reserved(&self) -> Result<Object, DbError> {
        take(&self.reserved, &self.dsn).await
    }

    /// The same as [`client`](Self::client) for someone who may hang up: unless it is released, what it was used for is cancelled in Postgres.
    pub async fn asked(&self) -> Result<Asked, DbError> {
        Ok(Asked::new(self.client().await?, &self.dsn))
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

    /// Begins a transaction with this role's rights and scope, and nothing else of the session.
    pub async fn begin<'a>(&self, client: &'a mut Object, role: &Role) -> Result<Transaction<'a>, DbError> {
        let transaction = client.transaction().await?;
        let (name, timeout, scope) = match role {
            Role::Caller(scope) => ("pgrecall_server", STATEMENT_TIMEOUT, Some(scope)),
            Role::Worker => ("pgrecall_worker", SWEEP_TIMEOUT, None),
        };
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let settings = [
            name.to_owned(),
            self.search_path.clone(),
            text(scope.map(|s| s.tenant.as_str())),
            text(scope.map(|s| s.owner.as_str())),
            text(scope.and_then(|s| s.persona.as_deref())),
            timeout.as_millis().to_string(),
        ];
        let [role, path, tenant, owner, persona, timeout] = &settings;
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 6] = [
            (role, Type::TEXT),
            (path, Type::TEXT),
            (tenant, Type::TEXT),
            (owner, Type::TEXT),
            (persona, Type::TEXT),
            (timeout, Type::TEXT),
        ];
        transaction.query_typed(sql!("begin"), &parameters).await?;
        Ok(transaction)
    }

    /// Where names are looked up.
    pub(crate) fn search_path(&self) -> &str {
        &self.search_path
    }

    /// The scopes that were found to be large: counting them again would be a fifth of a recall.
    pub(crate) fn large_scopes(&self) -> &Lately<LargeScope> {
        &self.large
    }

    /// The narrowed scopes that were found to be large, by their hashes: asking each record again would cost more than all else.
    pub(crate) fn large_narrowings(&self) -> &Lately<u64> {
        &self.large_narrowings
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
