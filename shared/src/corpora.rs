//! Corpora: how many sources hold each frequent term, counted by a worker when a corpus has changed by a tenth.
//!
//! No write keeps a counter: a counter that every write touches is a queue of its own, and one that is added up later drifts. Rare
//! terms are counted when a query asks for them, so only frequent ones stand here.

use tokio_postgres::types::Type;

use crate::db::{Db, DbError, Role};
use crate::sql::sql;

/// A term in more sources than this is frequent: counting it at every query would cost more than a millisecond.
const FREQUENT: i64 = 1_000;

/// Counts the corpora that have changed enough, and tells the planner. Returns how many.
pub async fn recount(db: &Db) -> Result<usize, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    let changed = transaction.query_typed(sql!("count_corpora"), &[]).await?;
    for row in &changed {
        let (tenant, kind): (&str, &str) = (row.get("tenant_id"), row.get("source_kind"));
        let (sources, words): (i64, i64) = (row.get("sources"), row.get("words"));
        transaction
            .execute_typed(sql!("count_words"), &[(&tenant, Type::TEXT), (&kind, Type::TEXT), (&FREQUENT, Type::INT8)])
            .await?;
        transaction
            .execute_typed(
                sql!("store_corpus"),
                &[(&tenant, Type::TEXT), (&kind, Type::TEXT), (&sources, Type::INT8), (&words, Type::INT8)],
            )
            .await?;
    }
    if !changed.is_empty() {
        transaction.query_typed(sql!("refresh_planner_statistics"), &[]).await?;
    }
    transaction.commit().await?;
    Ok(changed.len())
}

/// Makes the history's next partitions and drops what is older than the retention: partitions, and failures that are over. Returns how
/// many partitions were dropped.
pub async fn retain(db: &Db, retention_days: i32) -> Result<i32, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    let rows = transaction.query_typed(sql!("rotate_history"), &[(&retention_days, Type::INT4)]).await?;
    transaction.execute_typed(sql!("drop_resolved"), &[(&retention_days, Type::INT4)]).await?;
    transaction.commit().await?;
    Ok(rows[0].get("dropped"))
}
