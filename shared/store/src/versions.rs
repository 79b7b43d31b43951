//! Versions: earlier states of records that someone other than their writer replaced.
//!
//! Everyone who sees a shared record can replace it, by its key or its id. The earlier state is
//! kept for as long as a forgotten record, and is restored by writing it again. Writers who replace
//! their own text leave no version: that is the ordinary case, and every ingested file would add to
//! the history.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::exported;
use crate::sql::{exporting, parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Scope, Transaction};
use pgrecall_record::source::{Past, Record};

/// An earlier state of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Version {
    /// Id of the version, by which it is restored.
    pub id: Uuid,
    /// Id of the record.
    pub of: Uuid,
    /// First 200 characters of its text.
    pub content: String,
    /// Author of this state.
    pub written_by: String,
    /// Caller who replaced it.
    pub replaced_by: String,
    /// When it was replaced.
    pub replaced_at: Timestamp,
}

pgrecall_postgres::from_row! { Version: id, of, content, written_by, replaced_by, replaced_at }

/// Keeps the present state of these records, except of those that the caller wrote.
pub(crate) async fn keep(transaction: &Transaction, ids: &[Uuid]) -> Result<(), DbError> {
    if !ids.is_empty() {
        transaction.execute_typed(&exporting(sql!("keep_versions")), parameters![ids]).await?;
    }
    Ok(())
}

/// Lists the kept versions of these records, newest first, at most twenty of each.
pub async fn list(db: &Db, scope: &Scope, ids: &[Uuid], within: Duration) -> Result<Vec<Version>, DbError> {
    let rows = db.query(scope, sql!("list_versions"), parameters![ids, within.as_secs_f64()]).await?;
    Ok(rows.iter().map(Version::from).collect())
}

/// Reads the versions with these ids, each as the record that restores it.
pub async fn read(db: &Db, scope: &Scope, ids: &[Uuid], within: Duration) -> Result<Vec<(Uuid, Record)>, DbError> {
    let rows = db.query(scope, sql!("read_versions"), parameters![ids, within.as_secs_f64()]).await?;
    let version = |row: &tokio_postgres::Row| {
        let record = exported::of_row(row);
        (row.get("version_id"), Record { past: record.past.map(Past::active), ..record })
    };
    Ok(rows.iter().map(version).collect())
}

/// Drops the versions of records that are deleted for good: of the caller's own records or, with
/// `all`, of all of them.
pub(crate) async fn drop_of(transaction: &Transaction, ids: &[Uuid], all: bool) -> Result<(), DbError> {
    transaction.execute_typed(sql!("drop_versions"), parameters![ids, all]).await?;
    Ok(())
}

/// Drops the versions that are older than `keep`.
pub async fn retain(db: &Db, keep: Duration) -> Result<(), DbError> {
    db.run_while_more(sql!("drop_old_versions"), parameters![keep.as_secs_f64()]).await
}
