//! Forget: a source goes, and its passages, vectors, words and jobs with it, in one transaction that counts them.

use serde::Serialize;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::db::{Db, DbError, Role, Scope};
use crate::queue;
use crate::spaces::SpaceId;
use crate::sql::{on_space, sql};

/// What is gone or, after a dry run, what would go.
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
    /// Ids that name nothing that the caller can see.
    pub not_found: Vec<Uuid>,
}

/// Forgets these records, or says what that would remove. The counts are exact: the records are locked while they are counted.
pub async fn forget(db: &Db, scope: &Scope, ids: &[Uuid], dry_run: bool) -> Result<Forgotten, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Caller(scope.clone())).await?;
    let rows = transaction.query_typed(sql!("find_forgotten"), &[(&ids, Type::UUID_ARRAY)]).await?;
    let sources: Vec<i64> = rows.iter().map(|row| row.get("id")).collect();
    let found: Vec<Uuid> = rows.iter().map(|row| row.get("source_id")).collect();
    let count = |column: &str| rows.iter().map(|row| row.get::<_, i64>(column) as u64).sum();
    let mut forgotten = Forgotten {
        sources: sources.len() as u64,
        passages: count("passages"),
        jobs: count("jobs"),
        vectors: 0,
        not_found: ids.iter().filter(|id| !found.contains(id)).copied().collect(),
    };
    for row in transaction.query_typed(sql!("list_spaces"), &[]).await? {
        let statement = on_space(sql!("count_vectors"), SpaceId(row.get("id")));
        let counted = transaction.query_typed(&statement, &[(&sources, Type::INT8_ARRAY)]).await?;
        forgotten.vectors += counted[0].get::<_, i64>("vectors") as u64;
    }
    if !dry_run {
        queue::lock(&transaction, &sources).await?;
        forgotten.sources = transaction.execute_typed(sql!("forget"), &[(&sources, Type::INT8_ARRAY)]).await?;
    }
    transaction.commit().await?;
    Ok(forgotten)
}
