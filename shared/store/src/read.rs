//! Read: whole records, one by its id or all of them page by page.

use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::exported;
use crate::recall::{Hit, hit};
use crate::sql::{exporting, parameters, showing, sql};
use pgrecall_postgres::db::{Db, DbError, Role, Scope, Transaction};
use pgrecall_record::source::{Record, SourceKind};

/// One whole record.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The record, with its full text.
    pub hit: Hit,
    /// Structured details, apart from the text.
    pub details: Option<Value>,
}

/// Reads one whole record. `None`: the caller can see no record with this id.
pub async fn fetch(db: &Db, scope: &Scope, id: Uuid) -> Result<Option<Fetched>, DbError> {
    let rows = db.query(scope, &showing(sql!("fetch_source")), parameters![id]).await?;
    Ok(rows.first().map(|row| Fetched { hit: hit(row), details: row.get("details") }))
}

/// Reads whole records as they were written, each with its past and its owner. Leaves out those
/// that the caller cannot see.
pub async fn records(db: &Db, scope: &Scope, ids: &[Uuid]) -> Result<Vec<Record>, DbError> {
    db.run(scope, async |transaction| records_within(&transaction, ids).await).await
}

/// Does the same as [`records`], in the transaction of the caller.
pub(crate) async fn records_within(transaction: &Transaction, ids: &[Uuid]) -> Result<Vec<Record>, DbError> {
    let rows = transaction.query_typed(&exporting(sql!("read_sources")), parameters![ids]).await?;
    Ok(rows.iter().map(exported::of_row).collect())
}

/// A record in the form that `export` writes and `import` reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// Cursor after which the next page begins.
    pub cursor: i64,
    /// The record.
    pub line: Value,
}

impl Exported {
    fn of(row: &Row) -> Self {
        let line = serde_json::from_str(row.get("line")).expect("the statement makes JSON");
        Self { cursor: row.get("id"), line }
    }
}

/// Which records to export.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only these kinds; all kinds if empty.
    pub kinds: Vec<SourceKind>,
    /// Only this collection; all collections if `None`.
    pub collection: Option<String>,
}

/// Reads a page of records, in the order in which they were first written.
pub async fn export(db: &Db, scope: &Scope, of: &Selection, after: i64, limit: i64) -> Result<Vec<Exported>, DbError> {
    let kinds: Vec<&str> = of.kinds.iter().map(|kind| kind.as_str()).collect();
    let rows =
        db.query(scope, &exporting(sql!("export_sources")), parameters![after, limit, kinds, of.collection]).await?;
    Ok(rows.iter().map(Exported::of).collect())
}

/// Reads a page of a tenant's records of every owner, each with its owner.
pub async fn export_all(
    db: &Db,
    tenant: &str,
    of: &Selection,
    after: i64,
    limit: i64,
) -> Result<Vec<Exported>, DbError> {
    let kinds: Vec<&str> = of.kinds.iter().map(|kind| kind.as_str()).collect();
    let parameters = parameters![after, limit, kinds, of.collection, tenant];
    // The worker's role may read every record and write none.
    let rows = db.query(Role::Worker, &exporting(sql!("export_all_sources")), parameters).await?;
    Ok(rows.iter().map(Exported::of).collect())
}

/// Counts a tenant's records of every owner.
pub async fn count_all(db: &Db, tenant: &str, of: &Selection) -> Result<i64, DbError> {
    let kinds: Vec<&str> = of.kinds.iter().map(|kind| kind.as_str()).collect();
    let rows = db.query(Role::Worker, sql!("count_sources"), parameters![kinds, of.collection, tenant]).await?;
    Ok(rows.first().map_or(0, |row| row.get("sources")))
}
