//! Corpora: a worker counts how many sources contain each frequent term, when a corpus has changed
//! by a tenth.
//!
//! Writes keep no counters: writers would wait for each other's row locks, and counters that are
//! summed up later drift. Rare terms are counted when a query uses them, so only frequent terms are
//! stored (decision 3).

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Role, Transaction};

/// A term in more sources than this is frequent: counting it for every query would take more than a
/// millisecond.
const FREQUENT_SOURCES: i64 = 1_000;
/// An audience with at least this many sources has its frequent terms counted. A caller reads at
/// most three audiences, so one who reads more than ten thousand sources reads at least one
/// audience of this size.
const AUDIENCE_SOURCES: i64 = 3_000;
/// Within an audience, terms in more sources than this are counted. If a term is frequent in the
/// tenant but was not counted for the audience, its exact number there is unknown.
pub(crate) const AUDIENCE_FREQUENT: i64 = 10;

/// Counts the corpora that have changed enough, and refreshes the planner's statistics if any has.
/// Returns the number of corpora counted.
pub async fn recount(db: &Db) -> Result<usize, DbError> {
    db.run_once(Role::Worker, async |transaction| {
        let changed = transaction.query_typed(sql!("count_corpora"), &[]).await?;
        for row in &changed {
            let (tenant, kind): (&str, &str) = (row.get("tenant_id"), row.get("source_kind"));
            let (sources, words): (i64, i64) = (row.get("sources"), row.get("words"));
            transaction.execute_typed(sql!("count_words"), parameters![tenant, kind, FREQUENT_SOURCES]).await?;
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

/// Counts the large audiences that have changed enough, each in its own statement.
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

/// Creates the history's next partitions, and drops partitions and closed failures that are older
/// than the retention. Returns the number of partitions dropped.
pub async fn retain(db: &Db, retention_days: i32) -> Result<i32, DbError> {
    db.run_once(Role::Worker, async |transaction| {
        let rows = transaction.query_typed(sql!("rotate_history"), parameters![retention_days]).await?;
        transaction.execute_typed(sql!("drop_resolved"), parameters![retention_days]).await?;
        Ok(rows[0].get("dropped"))
    })
    .await
}
