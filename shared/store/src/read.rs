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
    /// The record; its text is whole.
    pub hit: Hit,
    /// What it has besides its text.
    pub details: Option<Value>,
}

/// One whole record; `None` when there is none that the caller can see.
pub async fn fetch(db: &Db, scope: &Scope, id: Uuid) -> Result<Option<Fetched>, DbError> {
    let rows = db.query(scope, &showing(sql!("fetch_source")), parameters![id]).await?;
    Ok(rows.first().map(|row| Fetched { hit: hit(row), details: row.get("details") }))
}

/// These records whole, as they were written, each with its past and whose it is. Those that the caller cannot see are left out.
pub async fn records(db: &Db, scope: &Scope, ids: &[Uuid]) -> Result<Vec<Record>, DbError> {
    db.run(scope, async |transaction| records_within(&transaction, ids).await).await
}

/// [`records`], in a transaction that is somebody else's.
pub(crate) async fn records_within(transaction: &Transaction, ids: &[Uuid]) -> Result<Vec<Record>, DbError> {
    let rows = transaction.query_typed(&exporting(sql!("read_sources")), parameters![ids]).await?;
    Ok(rows.iter().map(exported::of_row).collect())
}

/// A record as `export` writes it and `import` reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// Where the next page begins: after this.
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

/// What to export.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These kinds; all of them when it is empty.
    pub kinds: Vec<SourceKind>,
    /// This collection; every one when there is none.
    pub collection: Option<String>,
}

/// A page of records in the order they were first written.
pub async fn export(db: &Db, scope: &Scope, of: &Selection, after: i64, limit: i64) -> Result<Vec<Exported>, DbError> {
    let kinds: Vec<&str> = of.kinds.iter().map(|kind| kind.as_str()).collect();
    let parameters = parameters![after, limit, kinds, of.collection];
    let rows = db.query(scope, &exporting(sql!("export_sources")), parameters).await?;
    Ok(rows.iter().map(Exported::of).collect())
}

/// A page of a tenant's records, of every owner, each with its owner.
pub async fn export_all(
    db: &Db,
    tenant: &str,
    of: &Selection,
    after: i64,
    limit: i64,
) -> Result<Vec<Exported>, DbError> {
    let kinds: Vec<&str> = of.kinds.iter().map(|kind| kind.as_str()).collect();
    let parameters = parameters![after, limit, kinds, of.collection, tenant];
    // The worker's role reads every record, and writes none.
    let rows = db.query(Role::Worker, &exporting(sql!("export_all_sources")), parameters).await?;
    Ok(rows.iter().map(Exported::of).collect())
}

/// Counts a tenant's records, of every owner.
pub async fn count_all(db: &Db, tenant: &str, of: &Selection) -> Result<i64, DbError> {
    let kinds: Vec<&str> = of.kinds.iter().map(|kind| kind.as_str()).collect();
    let rows = db.query(Role::Worker, sql!("count_sources"), parameters![kinds, of.collection, tenant]).await?;
    Ok(rows.first().map_or(0, |row| row.get("sources")))
}
