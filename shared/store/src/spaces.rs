//! Embedding spaces: which model's vectors there are, and which of them answer.
//!
//! A space's row is made as soon as its model is configured, before anyone knows its dimension, so that jobs can wait for it while its
//! embedder is away. The first vector tells the dimension, and the space's table is made then.

use std::time::Duration;

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Role, Transaction};
pub use pgrecall_record::model::SpaceId;
use pgrecall_record::model::{ModelId, Provider};

pub mod index;
pub mod size;

/// The most numbers that a vector may have: what pgvector's HNSW index takes of a `halfvec`.
pub const MAX_DIMENSION: usize = 4_000;

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
    let asked = model.dimensions.map_or(0, |asked| i32::try_from(asked).unwrap_or(i32::MAX));
    let (provider, url) = (model.provider.as_str(), model.url.as_deref().unwrap_or_default());
    let parameters = parameters![provider, url, model.model, asked, model.query_prefix, model.document_prefix];
    Ok(space(&db.query(role.clone(), sql!("ensure_space"), parameters).await?[0]))
}

/// The space that answers queries, or else the one that will; `None` before any model was configured.
pub(crate) async fn serving(transaction: &Transaction) -> Result<Option<Space>, DbError> {
    Ok(transaction.query_typed(sql!("find_space"), &[]).await?.first().map(space))
}

/// The same in a transaction of its own.
pub async fn read_serving(db: &Db) -> Result<Option<Space>, DbError> {
    db.run(Role::Worker, async |transaction| serving(&transaction).await).await
}

/// Makes the space's table, now that its dimension is known, and makes the space the active one if there is no other. Returns it as it is then: with
/// another dimension where another worker was first, and learnt that one.
pub async fn learn_dimension(db: &Db, of: &Space, dimension: usize) -> Result<Space, DbError> {
    let dimension = i32::try_from(dimension).unwrap_or(i32::MAX);
    db.run_once(Role::Worker, async |transaction| {
        transaction.query_typed(sql!("make_space"), parameters![of.id.0, dimension]).await?;
        let none_active = serving(&transaction).await?.is_none_or(|serving| !serving.active);
        if none_active {
            activate(&transaction, of.id).await?;
        }
        let rows = transaction.query_typed(sql!("read_space"), parameters![of.id.0]).await?;
        Ok(rows.first().map_or_else(|| of.clone(), space))
    })
    .await
}

/// A space as it is now; `None` when it was dropped.
pub async fn read(db: &Db, id: SpaceId) -> Result<Option<Space>, DbError> {
    let rows = db.query(Role::Worker, sql!("read_space"), parameters![id.0]).await?;
    Ok(rows.first().map(space))
}

/// The space that is being filled beside the one that answers.
pub(crate) async fn next(transaction: &Transaction) -> Result<Option<Space>, DbError> {
    Ok(transaction.query_typed(sql!("next_space"), &[]).await?.first().map(space))
}

/// Whether a space is filled, but for what was written in the last moments. To be asked after a round of the reconciler that found
/// nothing missing.
pub async fn is_whole(db: &Db, of: &Space) -> Result<bool, DbError> {
    db.run_once(Role::Worker, async |transaction| {
        Ok(transaction.execute_typed(sql!("mark_space_whole"), parameters![of.id.0]).await? == 1)
    })
    .await
}

/// Switches queries to a space, which [`is_whole`] and has its [`index`]. What was active is retired, and can be taken up again until
/// it is dropped.
pub async fn switch_to(db: &Db, of: &Space) -> Result<(), DbError> {
    db.run_once(Role::Worker, async |transaction| activate(&transaction, of.id).await).await
}

async fn activate(transaction: &Transaction, id: SpaceId) -> Result<(), DbError> {
    transaction.query_typed(sql!("activate_space"), parameters![id.0]).await?;
    transaction.execute_typed(sql!("mark_space_active"), parameters![id.0]).await?;
    Ok(())
}

/// Drops the spaces that were replaced longer ago than `kept`, after retiring those that nobody has filled for as long. Returns how many were
/// dropped.
pub async fn drop_retired(db: &Db, kept: Duration) -> Result<i32, DbError> {
    let seconds = kept.as_secs_f64();
    let run = async |statement: &str| {
        let work =
            async |transaction: Transaction| Ok(transaction.query_typed(statement, parameters![seconds]).await?);
        db.run_once(Role::Worker, work).await
    };
    run(sql!("retire_untended_spaces")).await?;
    // In a transaction of its own: retiring can take long, with a job for every source, and a drop blocks readers until its transaction ends.
    Ok(run(sql!("drop_retired_spaces")).await?[0].get("dropped"))
}
