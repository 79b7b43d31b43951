//! Forget: deletes a source with its passages, vectors, postings and jobs in one transaction, and
//! counts them.
//!
//! The record itself is kept for a while in a table that no recall reads, so that it can be
//! restored: it is then written again, with its id and its past. Deleting for good keeps nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::exported;
use crate::queue;
use crate::spaces::SpaceId;
use crate::sql::{exporting, on_space, parameters, sql};
use crate::versions;
use pgrecall_postgres::db::{Db, DbError, Role, Scope, Transaction};
use pgrecall_record::source::Record;

/// How to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Only count what would be deleted.
    Count,
    /// Keep the records, so that they can be restored.
    Keep,
    /// Keep nothing, and delete what was kept of these records before.
    ForGood,
    /// Like [`Self::ForGood`] if all records are the caller's own; otherwise nothing is deleted.
    OwnForGood,
}

/// What was deleted or, with [`How::Count`], what would be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Number of records.
    pub sources: u64,
    /// Number of their passages.
    pub passages: u64,
    /// Number of their vectors, in every embedding space.
    pub vectors: u64,
    /// Number of their open index jobs.
    pub jobs: u64,
    /// Number of their rows and vectors that still exist after the commit, for any reader: 0 unless
    /// the deletion is faulty.
    pub left: u64,
    /// Ids of no record that the caller can see.
    pub not_found: Vec<Uuid>,
    /// Number of records by owner, for owners other than the caller. With [`How::OwnForGood`]
    /// nothing is deleted if there are any.
    pub others: BTreeMap<String, u64>,
}

/// Forgets these records, or counts what that would delete. The counts are exact, because the
/// records are locked first.
pub async fn forget(db: &Db, scope: &Scope, ids: &[Uuid], how: How) -> Result<Forgotten, DbError> {
    let (mut forgotten, gone) = db
        .run(scope, async |transaction| {
            let rows = transaction.query_typed(sql!("find_forgotten"), parameters![ids]).await?;
            let sources: Vec<i64> = rows.iter().map(|row| row.get("id")).collect();
            let found: Vec<Uuid> = rows.iter().map(|row| row.get("source_id")).collect();
            let count = |column: &str| rows.iter().map(|row| row.get::<_, i64>(column) as u64).sum();
            let mut forgotten = Forgotten {
                sources: sources.len() as u64,
                passages: count("passages"),
                jobs: count("jobs"),
                vectors: count_vectors(&transaction, &sources).await?,
                left: 0,
                not_found: ids.iter().filter(|id| !found.contains(id)).copied().collect(),
                others: BTreeMap::new(),
            };
            forgotten.count_others(&rows, scope);
            if how == How::Keep {
                transaction.execute_typed(&exporting(sql!("keep_forgotten")), parameters![sources]).await?;
            }
            if matches!(how, How::ForGood | How::OwnForGood) {
                // Before the kept records: a caller sees a version only while it sees the record or
                // what was kept of it.
                versions::drop_of(&transaction, ids, how == How::ForGood).await?;
                // A record that was forgotten earlier and is deleted for good now counts as found.
                let dropped = transaction.query_typed(sql!("drop_forgotten_copies"), parameters![ids]).await?;
                forgotten.count_others(&dropped, scope);
                if how == How::OwnForGood && !forgotten.others.is_empty() {
                    transaction.rollback().await?;
                    return Ok((forgotten, Vec::new()));
                }
                let dropped: Vec<Uuid> = dropped.iter().map(|row| row.get("source_id")).collect();
                forgotten.not_found.retain(|id| !dropped.contains(id));
                forgotten.sources += dropped.iter().filter(|id| !found.contains(id)).count() as u64;
            }
            if how != How::Count && !sources.is_empty() {
                queue::lock(&transaction, &sources).await?;
                transaction.execute_typed(sql!("forget"), parameters![sources]).await?;
                return Ok((forgotten, sources));
            }
            Ok((forgotten, Vec::new()))
        })
        .await?;
    if !gone.is_empty() {
        forgotten.left = count_left(db, &gone).await?;
    }
    Ok(forgotten)
}

/// Counts the remaining rows of forgotten sources. Runs as the worker, because row-level security
/// could hide from the caller what a faulty deletion left behind.
async fn count_left(db: &Db, sources: &[i64]) -> Result<u64, DbError> {
    db.run(Role::Worker, async |transaction| {
        let left = transaction.query_typed(sql!("count_left"), parameters![sources]).await?;
        Ok(left[0].get::<_, i64>("rows") as u64 + count_vectors(&transaction, sources).await?)
    })
    .await
}

impl Forgotten {
    /// Counts records by owner, for owners other than the caller.
    fn count_others(&mut self, rows: &[Row], caller: &Scope) {
        for owner in rows.iter().map(|row| row.get::<_, &str>("owner_id")).filter(|owner| *owner != caller.owner) {
            *self.others.entry(owner.to_owned()).or_default() += 1;
        }
    }
}

async fn count_vectors(transaction: &Transaction, sources: &[i64]) -> Result<u64, DbError> {
    let mut vectors = 0;
    for row in transaction.query_typed(sql!("list_spaces"), &[]).await? {
        let statement = on_space(sql!("count_vectors"), SpaceId(row.get("id")));
        let counted = transaction.query_typed(&statement, parameters![sources]).await?;
        vectors += counted[0].get::<_, i64>("vectors") as u64;
    }
    Ok(vectors)
}

/// Reads the records that were forgotten under these ids no longer than `within` ago. Writing such
/// a record restores it.
pub async fn kept(db: &Db, scope: &Scope, ids: &[Uuid], within: Duration) -> Result<Vec<Record>, DbError> {
    let rows = db.query(scope, sql!("read_forgotten"), parameters![ids, within.as_secs_f64()]).await?;
    Ok(rows.iter().map(exported::of_row).collect())
}

/// Deletes what was kept of restored records.
pub async fn release(db: &Db, scope: &Scope, ids: &[Uuid]) -> Result<(), DbError> {
    db.query(scope, sql!("drop_forgotten_copies"), parameters![ids]).await?;
    Ok(())
}

/// Deletes records that were forgotten longer than `keep` ago.
pub async fn retain(db: &Db, keep: Duration) -> Result<(), DbError> {
    db.run_while_more(sql!("drop_forgotten"), parameters![keep.as_secs_f64()]).await
}
