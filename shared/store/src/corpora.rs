//! Corpora: how many sources hold each frequent term, counted by a worker when a corpus has changed by a tenth.
//!
//! No write keeps a counter: a counter that every write touches is a queue of its own, and one that is added up later drifts. Rare
//! terms are counted when a query asks for them, so only frequent ones stand here.

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Role, Transaction};

/// A term in more sources than this is frequent: counting it at every query would cost more than a millisecond.
const FREQUENT: i64 = 1_000;
/// An audience with so many sources has its frequent terms counted: a caller who reads more than ten thousand reads at least one that large, since it reads
/// three.
const AUDIENCE_SOURCES: i64 = 3_000;
/// In an audience, a term in more sources than this is counted: of a term that is frequent in the tenant and rarer than that here, it is not known how rare.
pub(crate) const AUDIENCE_FREQUENT: i64 = 10;

/// Counts the corpora that have changed enough, and tells the planner. Returns how many.
pub async fn recount(db: &Db) -> Result<usize, DbError> {
    db.run_once(Role::Worker, async |transaction| {
        let changed = transaction.query_typed(sql!("count_corpora"), &[]).await?;
        for row in &changed {
            let (tenant, kind): (&str, &str) = (row.get("tenant_id"), row.get("source_kind"));
            let (sources, words): (i64, i64) = (row.get("sources"), row.get("words"));
            transaction.execute_typed(sql!("count_words"), parameters![tenant, kind, FREQUENT]).await?;
            transaction.execute_typed(sql!("store_corpus"), parameters![tenant, kind, sources, words]).await?;
        }
        recount_audiences(&transaction).await?;
        if !changed.is_empty() {
            transaction.query_typed(sql!("refresh_planner_statistics"), &[]).await?;
        }
        Ok(changed.len())
    })
    .await
}

/// Counts the large audiences that have changed enough, each in a statement of its own.
async fn recount_audiences(transaction: &Transaction) -> Result<(), DbError> {
    for row in transaction.query_typed(sql!("count_audiences"), parameters![AUDIENCE_SOURCES]).await? {
        let (tenant, kind, audience): (&str, &str, &str) =
            (row.get("tenant_id"), row.get("source_kind"), row.get("audience"));
        let is_large = row.get::<_, i64>("sources") >= AUDIENCE_SOURCES;
        let parameters = parameters![tenant, kind, audience, AUDIENCE_FREQUENT, is_large];
        transaction.execute_typed(sql!("count_audience_words"), parameters).await?;
    }
    Ok(())
}

/// Makes the history's next partitions and drops what is older than the retention: partitions, and failures that are over. Returns how
/// many partitions were dropped.
pub async fn retain(db: &Db, retention_days: i32) -> Result<i32, DbError> {
    db.run_once(Role::Worker, async |transaction| {
        let rows = transaction.query_typed(sql!("rotate_history"), parameters![retention_days]).await?;
        transaction.execute_typed(sql!("drop_resolved"), parameters![retention_days]).await?;
        Ok(rows[0].get("dropped"))
    })
    .await
}
