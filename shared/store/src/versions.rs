//! Versions: earlier states of records that were replaced by somebody other than their writer.
//!
//! Everyone who sees a shared record can replace it, by its key or its id. The earlier state is kept for as long as a forgotten record, and is
//! restored by being written again. A writer who replaces his own text leaves no version: that is the ordinary case, and each ingested file
//! would add to the history.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::exported;
use crate::sql::{exporting, parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_record::source::{Past, Record};

/// An earlier text of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Version {
    /// Its id, by which it is brought back.
    pub id: Uuid,
    /// The record that it was.
    pub of: Uuid,
    /// The first 200 characters of its text.
    pub content: String,
    /// Who wrote it.
    pub written_by: String,
    /// Who replaced it.
    pub replaced_by: String,
    /// When.
    pub replaced_at: Timestamp,
}

pgrecall_postgres::from_row!(Version { id, of, content, written_by, replaced_by, replaced_at });

/// Keeps the present state of these records, except where the caller wrote it.
pub(crate) async fn keep(transaction: &Transaction, ids: &[Uuid]) -> Result<(), DbError> {
    if !ids.is_empty() {
        transaction.execute_typed(&exporting(sql!("keep_versions")), parameters![ids]).await?;
    }
    Ok(())
}

/// The kept versions of these records, the newest first, twenty of each at the most.
pub async fn list(db: &Db, scope: &Scope, ids: &[Uuid], within: Duration) -> Result<Vec<Version>, DbError> {
    let within = within.as_secs_f64();
    let rows = db.query(scope, sql!("list_versions"), parameters![ids, within]).await?;
    Ok(rows.iter().map(Version::from).collect())
}

/// The versions with these ids, each as the record that brings it back.
pub async fn read(db: &Db, scope: &Scope, ids: &[Uuid], within: Duration) -> Result<Vec<(Uuid, Record)>, DbError> {
    let within = within.as_secs_f64();
    let rows = db.query(scope, sql!("read_versions"), parameters![ids, within]).await?;
    let version = |row: &tokio_postgres::Row| {
        let record = exported::of_row(row);
        (row.get("version_id"), Record { past: record.past.map(Past::active), ..record })
    };
    Ok(rows.iter().map(version).collect())
}

/// Drops the versions of records that are deleted beyond undo: of the caller's own or, with `all`, of everyone's.
pub(crate) async fn drop_of(transaction: &Transaction, ids: &[Uuid], all: bool) -> Result<(), DbError> {
    transaction.execute_typed(sql!("drop_versions"), parameters![ids, all]).await?;
    Ok(())
}

/// Drops the versions that are older than `keep`.
pub async fn retain(db: &Db, keep: Duration) -> Result<(), DbError> {
    let keep = keep.as_secs_f64();
    db.run_while_more(sql!("drop_old_versions"), parameters![keep]).await
}
