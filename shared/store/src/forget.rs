//! Forget: a source goes, and its passages, vectors, words and jobs with it, in one transaction that counts them.
//!
//! The record alone is kept for a while, in a table where no recall looks, so that it can be brought back: by being written again, with its
//! id and its past. Forgetting for good keeps nothing.

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
    /// Only count what would go.
    Count,
    /// Keep the records, to be brought back.
    Keep,
    /// Keep nothing, not even what was kept of these records before.
    ForGood,
    /// The same, if all of them are the caller's own; otherwise nothing is forgotten.
    OwnForGood,
}

/// What is gone or, after a count, what would go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// Records.
    pub sources: u64,
    /// Their passages.
    pub passages: u64,
    /// Their vectors, in every embedding space.
    pub vectors: u64,
    /// Their open index jobs.
    pub jobs: u64,
    /// Rows and vectors of theirs, of whatever reader, that are still there after the commit: none.
    pub left: u64,
    /// Ids that name nothing that the caller can see.
    pub not_found: Vec<Uuid>,
    /// Whose the records are that are not the caller's own, and how many. With [`How::OwnForGood`], nothing is forgotten if there are any.
    pub others: BTreeMap<String, u64>,
}

/// Forgets these records, or says what that would remove. The counts are exact: the records are locked while they are counted.
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
                // Before what was kept of the records: whoever sees neither a record nor what was kept of it sees no version of it.
                versions::drop_of(&transaction, ids, how == How::ForGood).await?;
                // What was forgotten before and is gone for good now was there to be found.
                let dropped = transaction.query_typed(sql!("drop_kept"), parameters![ids]).await?;
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

/// Counts what is left of forgotten sources. As the worker: the policies would hide from a caller what a faulty deletion left behind.
async fn count_left(db: &Db, sources: &[i64]) -> Result<u64, DbError> {
    db.run(Role::Worker, async |transaction| {
        let left = transaction.query_typed(sql!("count_left"), parameters![sources]).await?;
        Ok(left[0].get::<_, i64>("rows") as u64 + count_vectors(&transaction, sources).await?)
    })
    .await
}

impl Forgotten {
    /// Counts records that are not the caller's own, by their owners.
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

/// What was forgotten under these ids not longer than `within` ago: whoever writes it brings it back.
pub async fn kept(db: &Db, scope: &Scope, ids: &[Uuid], within: Duration) -> Result<Vec<Record>, DbError> {
    let within = within.as_secs_f64();
    let rows = db.query(scope, sql!("read_forgotten"), parameters![ids, within]).await?;
    Ok(rows.iter().map(exported::of_row).collect())
}

/// Drops what was kept of records that were brought back.
pub async fn release(db: &Db, scope: &Scope, ids: &[Uuid]) -> Result<(), DbError> {
    db.query(scope, sql!("drop_kept"), parameters![ids]).await?;
    Ok(())
}

/// Drops what was forgotten longer ago than it is kept.
pub async fn retain(db: &Db, keep: Duration) -> Result<(), DbError> {
    let keep = keep.as_secs_f64();
    db.run_while_more(sql!("drop_forgotten"), parameters![keep]).await
}
