//! Integrity: whether the files of a database are as Postgres wrote them, as far as that can be asked in bounded time.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::dsn::{Dsn, DsnError};
use crate::sql;

const SESSION: &str = include_str!("../../../sql/setup/backup_session.sql");

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integrity {
    /// Whether Postgres checks each page that it reads.
    pub has_checksums: bool,
    /// Pages that failed that check since the statistics were reset.
    pub failures: i64,
    /// The part that was read now.
    pub checked: Checked,
}

/// The result of reading tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Nothing more than the counters was asked.
    CountersOnly,
    /// No damage was found.
    Sound {
        /// Tables.
        tables: usize,
        /// Whether the indexes were compared with each other by amcheck.
        indexes: bool,
    },
    /// Something is damaged: Postgres' own sentence.
    Damaged(String),
    /// The time was over before everything was read.
    Unfinished,
}

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
pub enum IntegrityError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] DsnError),
    /// A statement failed.
    #[error("the database refused a statement of the check")]
    Statement(#[from] tokio_postgres::Error),
}

/// Whether an error says that the database's files are damaged.
pub fn is_damage(code: &SqlState) -> bool {
    [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(code)
}

/// Asks the counters, and with `reads_all` reads every table and, where the extension amcheck is installed, checks the B-tree indexes, for as long as
/// `budget` allows. The login must be a superuser then.
pub async fn check(dsn: &Dsn, reads_all: bool, budget: Duration) -> Result<Integrity, IntegrityError> {
    let (client, connection) = dsn.connect().await?;
    let serving = pgrecall_process::tasks::connection("integrity", connection);
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
    // The server does not notice that the connection of a running statement is gone. Its statement timeout ends it.
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
