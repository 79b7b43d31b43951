//! Migrations: the schema in `sql/migrations`, applied by the first program that starts.
//!
//! Only one program migrates at a time: a second connection holds an advisory lock for the whole
//! migration. A program refuses a schema newer than its own, because it would write rows that the
//! newer program reads differently.

use std::error::Error;
use std::iter::successors;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use super::error::is_lost;
use super::search_path;
use crate::dsn::{Dsn, DsnError};
use crate::{parameters, sql};

mod embedded {
    refinery::embed_migrations!("../../sql/migrations");
}

const PROBE: &str = include_str!("../../../../sql/setup/probe.sql");
const LOCK: &str = include_str!("../../../../sql/setup/lock.sql");
const BOOTSTRAP: &str = include_str!("../../../../sql/setup/bootstrap.sql");
const BECOME_OWNER: &str = include_str!("../../../../sql/setup/become_owner.sql");

const QUALIFY_NAMES: &str = include_str!("../../../../sql/setup/qualify_names.sql");
const CATALOG: &str = include_str!("../../../../sql/setup/catalog.sql");

/// The last version that was reached by incremental migrations, before the migrations from
/// [`ONE_SCHEMA`] on replaced them all (decision 33).
const LAST_STEP: i64 = 26;
/// The versions that together create the whole schema, one file per subject.
const ONE_SCHEMA: std::ops::RangeInclusive<i32> = 27..=33;
/// The hash of that schema's catalog, which equals the catalog at [`LAST_STEP`].
const SCHEMA_HASH: &str = "7a5e2944d99861abbe4b8397e59a26cc";
/// The last revision that contains the incremental migrations.
const STEPPING_REVISION: &str = "1ac2c6a";

/// The oldest pgvector with iterative scans. Without them a filter would shorten answers.
const OLDEST_PGVECTOR: (u32, u32) = (0, 8);

/// The reason why a database could not be prepared. A failed migration is rolled back; earlier
/// migrations, and the roles and the extension, stay.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The connection failed.
    #[error(transparent)]
    Connect(#[from] DsnError),
    /// The server has no pgvector that could be installed.
    #[error(
        "this Postgres has no pgvector: install it on the server (Debian and Ubuntu: `apt install postgresql-{0}-pgvector`; \
         containers: the `pgvector/pgvector` image; managed services: allow the `vector` extension) and start again"
    )]
    NoPgvector(i64),
    /// The installed or available pgvector is too old.
    #[error("pgvector {0} is too old: 0.8 or newer is needed; install it and run `ALTER EXTENSION vector UPDATE`")]
    OldPgvector(String),
    /// pgvector is available, but the login may not create the extension.
    #[error(
        "the database user may not install pgvector: as an administrator, run `CREATE EXTENSION vector;` in this database, \
         and start again"
    )]
    MayNotInstall(#[source] tokio_postgres::Error),
    /// The login may neither create the roles nor switch to them.
    #[error(
        "the database user may neither create nor take on the roles that pgrecall works as: as an administrator, run `CREATE \
         ROLE pgrecall_owner NOLOGIN; CREATE ROLE pgrecall_server NOLOGIN; CREATE ROLE pgrecall_worker NOLOGIN;` where they \
         are missing, then `GRANT pgrecall_owner, pgrecall_server, pgrecall_worker TO {0};`, and start again"
    )]
    NoRoles(String),
    /// The login may not let the roles use the schema that pgvector is in.
    #[error(
        "pgvector is in the schema \"{0}\", which the roles that pgrecall works as may not use: as an administrator, run `GRANT USAGE \
         ON SCHEMA \"{0}\" TO pgrecall_owner, pgrecall_server, pgrecall_worker;` in this database, and start again"
    )]
    MayNotUseVector(String),
    /// A newer program has migrated this database.
    #[error("the database's schema is version {found}, newer than this program's {known}: update this program")]
    NewerSchema {
        /// The version of the database's schema.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The schema is older than the oldest that this program can migrate.
    #[error(
        "the database's schema is version {0}, and this program begins at version {LAST_STEP}: start pgrecall of revision \
         {STEPPING_REVISION} once, which brings it there, and then this program"
    )]
    OlderSchema(i64),
    /// The catalog does not match the schema's version.
    #[error(
        "the database's schema says that it is version {LAST_STEP}, and its tables, indexes, functions, policies or grants are not \
         those of that version: undo what was changed by hand, or `export` with the program of revision {STEPPING_REVISION} and \
         `import` into a new database"
    )]
    ChangedSchema,
    /// The server is a standby.
    #[error("the database is a read-only standby: point the DSN at the primary")]
    Standby,
    /// A statement of the setup failed.
    #[error("the database could not be made ready{}", .0.as_db_error().map(|e| format!(": {}", e.message())).unwrap_or_default())]
    Statement(#[from] tokio_postgres::Error),
    /// A migration failed and was rolled back. Earlier migrations stay.
    #[error("a migration of the database failed; it was rolled back, and the next start tries again")]
    Migration(#[source] Box<refinery::Error>),
}

impl MigrateError {
    /// Returns whether the connection was lost or Postgres is not ready yet, so that nothing is
    /// wrong with the database itself. A deadlock counts too.
    pub fn is_lost_connection(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_transient(),
            Self::Statement(error) => passes(error),
            // refinery wraps the driver's error, so search the chain of sources for it.
            Self::Migration(error) => {
                let mut causes = successors(error.source(), |&cause| cause.source());
                causes.find_map(|cause| cause.downcast_ref()).is_some_and(passes)
            }
            _ => false,
        }
    }
}

/// Returns whether a retry may succeed: the connection was lost, or there was a deadlock with a
/// program of the previous version, which holds locks until it exits.
fn passes(error: &tokio_postgres::Error) -> bool {
    is_lost(error) || error.code() == Some(&SqlState::T_R_DEADLOCK_DETECTED)
}

/// The state of a database before any change.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The server's version as in `server_version_num`: 160014 is 16.14.
    pub server_version: i64,
    /// The version of pgvector that is installed in this database.
    pub vector: Option<String>,
    /// The version of pgvector that could be installed.
    pub vector_available: Option<String>,
    /// The schema's version; `None` before the first migration.
    pub schema_version: Option<i64>,
    vector_schema: Option<String>,
    may_take_on_roles: bool,
    may_create_roles: bool,
    roles_may_use_vector: bool,
    in_recovery: bool,
}

impl Probe {
    /// Returns the server's version as people write it: 16.14.
    pub fn server(&self) -> String {
        format!("{}.{}", self.server_version / 10_000, self.server_version % 10_000)
    }
}

/// Returns the newest schema version that this program knows.
pub fn known_version() -> i64 {
    embedded::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).max().unwrap_or_default()
}

/// Reads the state of a database.
pub async fn probe(dsn: &Dsn) -> Result<Probe, MigrateError> {
    let (client, serving) = dsn.connect_in_task("migrate").await?;
    let probe = probe_with(&client).await;
    drop(client);
    serving.await.ok();
    probe
}

/// Prepares a database: roles, extension, schema. Returns the schema's version before and after.
pub async fn migrate(dsn: &Dsn) -> Result<(i64, i64), MigrateError> {
    let known = known_version();
    let (mut worker, serving) = dsn.connect_in_task("migrate").await?;
    let before = probe_with(&worker).await?;
    let from = refuse_what_cannot_work(&before, known, dsn)?;
    // An administrator may have moved pgvector to another schema.
    if from == known && before.roles_may_use_vector {
        return Ok((from, known));
    }
    let (mut guard, guard_serving) = dsn.connect_in_task("migrate-lock").await?;
    let lock = guard.transaction().await?;
    lock.query_typed(LOCK, &[]).await?;
    worker.batch_execute(BOOTSTRAP).await.map_err(|error| match error.code() {
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) if before.vector.is_none() => MigrateError::MayNotInstall(error),
        _ => MigrateError::Statement(error),
    })?;
    // Another program may have migrated the database while this one waited for the lock.
    let ready = probe_with(&worker).await?;
    refuse_what_cannot_work(&ready, known, dsn)?;
    let schema = ready.vector_schema.unwrap_or_else(|| "public".to_owned());
    if !ready.roles_may_use_vector {
        return Err(MigrateError::MayNotUseVector(schema));
    }
    worker.query_typed(BECOME_OWNER, parameters![search_path(&schema)]).await?;
    if ready.schema_version == Some(LAST_STEP) {
        rewrite_history(&mut worker).await?;
    }
    // A migration that was corrected after some databases had applied it must not stop those
    // databases.
    embedded::migrations::runner()
        .set_abort_divergent(false)
        .run_async(&mut worker)
        .await
        .map_err(|error| MigrateError::Migration(Box::new(error)))?;
    lock.commit().await?;
    drop((worker, guard));
    serving.await.ok();
    guard_serving.await.ok();
    Ok((from, known))
}

/// Replaces the migration history of a database at [`LAST_STEP`] by that of [`ONE_SCHEMA`], if its
/// catalog has the expected hash.
async fn rewrite_history(worker: &mut Client) -> Result<(), MigrateError> {
    let migrations = embedded::migrations::runner();
    let made = || migrations.get_migrations().iter().filter(|it| ONE_SCHEMA.contains(&it.version()));
    let versions: Vec<i32> = made().map(|it| it.version()).collect();
    let names: Vec<&str> = made().map(|it| it.name()).collect();
    let checksums: Vec<String> = made().map(|it| it.checksum().to_string()).collect();
    let transaction = worker.transaction().await?;
    transaction.batch_execute(QUALIFY_NAMES).await?;
    let catalog = transaction.query_typed(CATALOG, &[]).await?;
    if catalog[0].get::<_, &str>("hash") != SCHEMA_HASH {
        return Err(MigrateError::ChangedSchema);
    }
    transaction.query_typed(sql!("rewrite_history"), parameters![versions, names, checksums]).await?;
    transaction.commit().await?;
    tracing::info!(from = LAST_STEP, to = ONE_SCHEMA.end(), "rewrote the history of the schema, which is unchanged");
    Ok(())
}

fn refuse_what_cannot_work(probe: &Probe, known: i64, dsn: &Dsn) -> Result<i64, MigrateError> {
    let found = probe.schema_version.unwrap_or_default();
    if found > known {
        return Err(MigrateError::NewerSchema { found, known });
    }
    if (1..LAST_STEP).contains(&found) {
        return Err(MigrateError::OlderSchema(found));
    }
    let Some(version) = probe.vector.as_ref().or(probe.vector_available.as_ref()) else {
        return Err(MigrateError::NoPgvector(probe.server_version / 10_000));
    };
    if major_minor(version) < OLDEST_PGVECTOR {
        return Err(MigrateError::OldPgvector(version.clone()));
    }
    if (found < known || !probe.roles_may_use_vector) && probe.in_recovery {
        return Err(MigrateError::Standby);
    }
    if found < known && !probe.may_take_on_roles && !probe.may_create_roles {
        return Err(MigrateError::NoRoles(dsn.user()));
    }
    Ok(found)
}

fn major_minor(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

async fn probe_with(client: &Client) -> Result<Probe, MigrateError> {
    let one = |rows: Vec<Row>| rows.into_iter().next().expect("a SELECT without FROM gives one row");
    let row = one(client.query_typed(PROBE, &[]).await?);
    let schema_version = if row.get("migrated") {
        Some(one(client.query_typed(sql!("schema_version"), &[]).await?).get("version"))
    } else {
        None
    };
    Ok(Probe {
        server_version: row.get("server_version"),
        vector: row.get("vector_installed"),
        vector_available: row.get("vector_available"),
        schema_version,
        vector_schema: row.get("vector_schema"),
        may_take_on_roles: row.get("may_take_on_roles"),
        may_create_roles: row.get("may_create_roles"),
        roles_may_use_vector: row.get("roles_may_use_vector"),
        in_recovery: row.get("in_recovery"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_and_not_by_letter() {
        assert!(major_minor("0.7.4") < OLDEST_PGVECTOR);
        assert!(major_minor("0.8.5") >= OLDEST_PGVECTOR);
        assert!(major_minor("0.10.0") >= OLDEST_PGVECTOR);
    }
}
