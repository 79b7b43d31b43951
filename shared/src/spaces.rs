//! Embedding spaces: which model's vectors there are, and which of them answer.
//!
//! A space's row is made as soon as its model is configured, before anyone knows its dimension, so that jobs can wait for it while its
//! embedder is away. The first vector tells the dimension, and the space's table is made then.

use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::db::{Db, DbError, Role};
use crate::embedder::{ModelId, Provider};
use crate::sql::sql;

pub mod index;
pub mod size;

/// The most numbers that a vector may have: what pgvector's HNSW index takes of a `halfvec`.
pub const MAX_DIMENSION: usize = 4_000;

/// A space's number, which names its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpaceId(pub i32);

impl SpaceId {
    /// The table of the space's vectors.
    pub(crate) fn table(self) -> String {
        format!("vectors_{}", self.0)
    }
}

/// One model's vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Its number.
    pub id: SpaceId,
    /// Enough to embed a query for it.
    pub model: ModelId,
    /// How many numbers a vector has; `None` until the first vector told.
    pub dimension: Option<i32>,
    /// Whether queries are answered from it.
    pub active: bool,
    /// Whether it was replaced. It is kept for a while, and nothing is stored in it any more.
    pub retired: bool,
}

fn space(row: &tokio_postgres::Row) -> Space {
    Space {
        id: SpaceId(row.get("id")),
        model: ModelId {
            provider: Provider::parse(row.get("provider")).unwrap_or(Provider::Noop),
            url: row.get::<_, Option<String>>("url").filter(|url| !url.is_empty()),
            model: row.get("model"),
            dimensions: usize::try_from(row.get::<_, i32>("asked_dimension")).ok().filter(|asked| *asked > 0),
            query_prefix: row.get("query_prefix"),
            document_prefix: row.get("document_prefix"),
        },
        dimension: row.get("dimension"),
        active: row.get::<_, &str>("state") == "active",
        retired: row.get::<_, &str>("state") == "retired",
    }
}

/// Finds or makes the space of a model. `role` is the program's own.
pub async fn ensure(db: &Db, role: &Role, model: &ModelId) -> Result<Space, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, role).await?;
    let rows = transaction
        .query_typed(
            sql!("ensure_space"),
            &[
                (&model.provider.as_str(), Type::TEXT),
                (&model.url.as_deref().unwrap_or_default(), Type::TEXT),
                (&model.model, Type::TEXT),
                (&model.dimensions.map_or(0, |asked| i32::try_from(asked).unwrap_or(i32::MAX)), Type::INT4),
                (&model.query_prefix, Type::TEXT),
                (&model.document_prefix, Type::TEXT),
            ],
        )
        .await?;
    let found = space(&rows[0]);
    transaction.commit().await?;
    Ok(found)
}

/// The space that answers queries, or else the one that will; `None` before any model was configured.
pub(crate) async fn serving(transaction: &Transaction<'_>) -> Result<Option<Space>, DbError> {
    Ok(transaction.query_typed(sql!("find_space"), &[]).await?.first().map(space))
}

/// The same in a transaction of its own.
pub async fn read_serving(db: &Db) -> Result<Option<Space>, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    let space = serving(&transaction).await?;
    transaction.commit().await?;
    Ok(space)
}

/// Makes the space's table, now that its dimension is known, and makes the space the active one if there is no other. Returns it as it is then: with
/// another dimension where another worker was first, and learnt that one.
pub async fn learn_dimension(db: &Db, of: &Space, dimension: usize) -> Result<Space, DbError> {
    let dimension = i32::try_from(dimension).unwrap_or(i32::MAX);
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    transaction.query_typed(sql!("make_space"), &[(&of.id.0, Type::INT4), (&dimension, Type::INT4)]).await?;
    let none_active = serving(&transaction).await?.is_none_or(|serving| !serving.active);
    if none_active {
        activate(&transaction, of.id).await?;
    }
    let rows = transaction.query_typed(sql!("read_space"), &[(&of.id.0, Type::INT4)]).await?;
    transaction.commit().await?;
    Ok(rows.first().map_or_else(|| of.clone(), space))
}

/// A space as it is now; `None` when it was dropped.
pub async fn read(db: &Db, id: SpaceId) -> Result<Option<Space>, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    let rows = transaction.query_typed(sql!("read_space"), &[(&id.0, Type::INT4)]).await?;
    transaction.commit().await?;
    Ok(rows.first().map(space))
}

/// The space that is being filled beside the one that answers.
pub(crate) async fn next(transaction: &Transaction<'_>) -> Result<Option<Space>, DbError> {
    Ok(transaction.query_typed(sql!("next_space"), &[]).await?.first().map(space))
}

/// Whether a space is filled, but for what was written in the last moments. To be asked after a round of the reconciler that found
/// nothing missing.
pub async fn is_whole(db: &Db, of: &Space) -> Result<bool, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    let whole = transaction.execute_typed(sql!("mark_space_whole"), &[(&of.id.0, Type::INT4)]).await?;
    transaction.commit().await?;
    Ok(whole == 1)
}

/// Switches queries to a space, which [`is_whole`] and has its [`index`]. What was active is retired, and can be taken up again until
/// it is dropped.
pub async fn switch_to(db: &Db, of: &Space) -> Result<(), DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    activate(&transaction, of.id).await?;
    transaction.commit().await?;
    Ok(())
}

async fn activate(transaction: &Transaction<'_>, id: SpaceId) -> Result<(), DbError> {
    transaction.query_typed(sql!("activate_space"), &[(&id.0, Type::INT4)]).await?;
    transaction.execute_typed(sql!("mark_space_active"), &[(&id.0, Type::INT4)]).await?;
    Ok(())
}

/// Drops the spaces that were replaced longer ago than `kept`, after retiring those that nobody has filled for as long. Returns how many were
/// dropped.
pub async fn drop_retired(db: &Db, kept: Duration) -> Result<i32, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    transaction.query_typed(sql!("retire_untended_spaces"), &[(&kept.as_secs_f64(), Type::FLOAT8)]).await?;
    // A space that was never finished can have a job for every source, and a drop keeps readers waiting until its transaction ends.
    transaction.commit().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    let rows = transaction.query_typed(sql!("drop_retired_spaces"), &[(&kept.as_secs_f64(), Type::FLOAT8)]).await?;
    transaction.commit().await?;
    Ok(rows[0].get("dropped"))
}
