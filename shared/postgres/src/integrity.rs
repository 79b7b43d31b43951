//! Checks whether a database's files are damaged, as far as Postgres can tell within a time budget.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::dsn::{Dsn, DsnError};
use crate::sql;

const SESSION: &str = include_str!("../../../sql/setup/backup_session.sql");

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integrity {
    /// Whether data checksums are enabled, so that Postgres verifies each page that it reads.
    pub has_checksums: bool,
    /// The number of pages that failed verification since the statistics were last reset.
    pub failures: i64,
    /// The result of reading the tables.
    pub checked: Checked,
}

/// The result of reading the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Only the counters were read.
    CountersOnly,
    /// No damage was found.
    Sound {
        /// The number of tables that were read.
        tables: usize,
        /// Whether amcheck also checked the B-tree indexes.
        indexes: bool,
    },
    /// Postgres reported damage, with this message.
    Damaged(String),
    /// The time budget ran out before everything was read.
    Unfinished,
}

/// The reason why a check could not run.
#[derive(Debug, thiserror::Error)]
pub enum IntegrityError {
    /// The connection failed.
    #[error(transparent)]
    Connect(#[from] DsnError),
    /// A statement failed.
    #[error("the database refused a statement of the check")]
    Statement(#[from] tokio_postgres::Error),
}

/// Returns whether an SQLSTATE reports damaged files.
pub fn is_damage(code: &SqlState) -> bool {
    [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code)
}

/// Reads the counters. With `reads_all` it also reads every table and, if the extension amcheck is
/// installed, checks the B-tree indexes, within `budget`; the login must then be a superuser.
pub async fn check(dsn: &Dsn, reads_all: bool, budget: Duration) -> Result<Integrity, IntegrityError> {
    let (client, serving) = dsn.connect_in_task("integrity").await?;
    let row = client.query_one(sql!("checksum_failures"), &[]).await?;
    let (has_checksums, failures) = (row.get("has_checksums"), row.get("failures"));
    let checked = match reads_all {
        false => Checked::CountersOnly,
        true => match tokio::time::timeout(budget, read_all(&client, budget)).await {
            Err(_elapsed) => Checked::Unfinished,
            Ok(Ok((tables, indexes))) => Checked::Sound { tables, indexes },
            Ok(Err(error)) => match error.as_db_error() {
                Some(said) if is_damage(said.code()) => Checked::Damaged(said.message().to_owned()),
                Some(said) if *said.code() == SqlState::QUERY_CANCELED => Checked::Unfinished,
                _ => return Err(error.into()),
            },
        },
    };
    // The server does not notice that the client of a running statement is gone, so a statement
    // that is still running ends by its statement timeout.
    drop(client);
    serving.abort();
    Ok(Integrity { has_checksums, failures, checked })
}

async fn read_all(client: &Client, budget: Duration) -> Result<(usize, bool), tokio_postgres::Error> {
    client.batch_execute(SESSION).await?;
    client.query_one(sql!("limit_statements"), &[&budget.as_millis().to_string()]).await?;
    let tables = client.query(sql!("stored_tables"), &[]).await?;
    for table in &tables {
        let name: String = table.get("name");
        client.query_one(&sql!("count_rows").replace("{table}", &name), &[]).await?;
    }
    let indexes = client.query_one(sql!("has_amcheck"), &[]).await?.get("installed");
    if indexes {
        client.query(sql!("check_indexes"), &[]).await?;
    }
    Ok((tables.len(), indexes))
}
