//! Read: whole records, one by its id or all of them page by page.

use serde_json::Value;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::{Db, DbError, Role, Scope};
use crate::recall::{Hit, hit};
use crate::sql::{showing, sql};

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
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Caller(scope.clone())).await?;
    let rows = transaction.query_typed(&showing(sql!("fetch_source")), &[(&id, Type::UUID)]).await?;
    transaction.commit().await?;
    Ok(rows.first().map(|row| Fetched { hit: hit(row), details: row.get("details") }))
}

/// A record as `export` writes it and `ingest` reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// Where the next page begins: after this.
    pub cursor: i64,
    /// The record.
    pub line: Value,
}

/// A page of records in the order they were first written.
pub async fn export(db: &Db, scope: &Scope, after: i64, limit: i64) -> Result<Vec<Exported>, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Caller(scope.clone())).await?;
    let rows = transaction.query_typed(sql!("export_sources"), &[(&after, Type::INT8), (&limit, Type::INT8)]).await?;
    transaction.commit().await?;
    let exported = rows.iter().map(|row| Exported {
        cursor: row.get("id"),
        line: serde_json::from_str(row.get("line")).expect("the statement makes JSON"),
    });
    Ok(exported.collect())
}
