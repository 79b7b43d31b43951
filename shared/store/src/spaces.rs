//! Embedding spaces: the vectors of each model, and which of the spaces is active.
//!
//! A space's row is created as soon as its model is configured, before its dimension is known, so
//! that jobs can wait for the space while the embedder is unavailable. The first vector gives the
//! dimension, and the space's table is created then.

use std::time::Duration;

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError, Role, Transaction};
pub use pgrecall_record::model::SpaceId;
use pgrecall_record::model::{ModelId, Provider};

pub mod index;
pub mod size;

/// Maximum dimension of a vector: the limit of pgvector's HNSW index for `halfvec`.
pub const MAX_DIMENSION: usize = 4_000;

/// Refuses a dimension whose vectors cannot be indexed. The error says what to do.
pub fn check_dimension(provider: Provider, dimension: usize) -> Result<(), DimensionError> {
    let key = match provider {
        Provider::Ollama => Some("memory.embedding.ollama.dimensions"),
        Provider::Openai => Some("memory.embedding.openai.dimensions"),
        Provider::Local | Provider::Tei | Provider::Noop => None,
    };
    if dimension <= MAX_DIMENSION { Ok(()) } else { Err(DimensionError { dimension, key }) }
}

/// The vectors of a model have more dimensions than can be indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DimensionError {
    dimension: usize,
    /// The key that asks the provider for fewer.
    key: Option<&'static str>,
}

impl std::error::Error for DimensionError {}

impl std::fmt::Display for DimensionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dimension, key } = self;
        write!(f, "its vectors have {dimension} dimensions, and pgvector can index {MAX_DIMENSION}: ")?;
        match key {
            Some(key) => write!(f, "set `{key}` to {MAX_DIMENSION} or less, or configure another model"),
            None => write!(f, "configure another model"),
        }
    }
}

/// The vectors of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Number of the space.
    pub id: SpaceId,
    /// The model, with everything that is needed to embed a query for this space.
    pub model: ModelId,
    /// Dimension of the vectors; `None` until the first vector.
    pub dimension: Option<i32>,
    /// Whether queries are answered from this space.
    pub active: bool,
    /// Whether another space has replaced it. A retired space is kept for a while, and nothing is
    /// stored in it.
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

/// Finds or creates the space of a model. `role` is the program's own.
pub async fn ensure(db: &Db, role: &Role, model: &ModelId) -> Result<Space, DbError> {
    let asked = model.dimensions.map_or(0, |asked| i32::try_from(asked).unwrap_or(i32::MAX));
    let (provider, url) = (model.provider.as_str(), model.url.as_deref().unwrap_or_default());
    let parameters = parameters![provider, url, model.model, asked, model.query_prefix, model.document_prefix];
    Ok(space(&db.query(role.clone(), sql!("ensure_space"), parameters).await?[0]))
}

/// Reads the active space or, if there is none, the one that is being built; `None` before a model
/// was configured.
pub(crate) async fn serving(transaction: &Transaction) -> Result<Option<Space>, DbError> {
    Ok(transaction.query_typed(sql!("find_space"), &[]).await?.first().map(space))
}

/// Does the same as `serving`, in its own transaction.
pub async fn read_serving(db: &Db) -> Result<Option<Space>, DbError> {
    db.run(Role::Worker, async |transaction| serving(&transaction).await).await
}

/// Creates the space's table, once its dimension is known, and activates the space if no space is
/// active. Returns the space as stored: with another dimension if another worker stored a different
/// one first.
pub async fn learn_dimension(db: &Db, of: &Space, dimension: usize) -> Result<Space, DbError> {
    let dimension = i32::try_from(dimension).unwrap_or(i32::MAX);
    db.run_once(Role::Worker, async |transaction| {
        transaction.query_typed(sql!("make_space"), parameters![of.id.0, dimension]).await?;
        if serving(&transaction).await?.is_none_or(|serving| !serving.active) {
            activate(&transaction, of.id).await?;
        }
        let rows = transaction.query_typed(sql!("read_space"), parameters![of.id.0]).await?;
        Ok(rows.first().map_or_else(|| of.clone(), space))
    })
    .await
}

/// Reads a space; `None` if it was dropped.
pub async fn read(db: &Db, id: SpaceId) -> Result<Option<Space>, DbError> {
    let rows = db.query(Role::Worker, sql!("read_space"), parameters![id.0]).await?;
    Ok(rows.first().map(space))
}

/// Reads the target space, which is being filled while another one is active.
pub(crate) async fn next(transaction: &Transaction) -> Result<Option<Space>, DbError> {
    Ok(transaction.query_typed(sql!("next_space"), &[]).await?.first().map(space))
}

/// Returns whether a space is complete, apart from recent writes, and marks it as ready then. To be
/// called after a round of the reconciler that found no gaps.
pub async fn mark_if_complete(db: &Db, of: &Space) -> Result<bool, DbError> {
    db.run_once(Role::Worker, async |transaction| {
        Ok(transaction.execute_typed(sql!("mark_space_ready"), parameters![of.id.0]).await? == 1)
    })
    .await
}

/// Makes a space the active one. The space must be complete ([`mark_if_complete`]) and have its [`index`].
/// The space that was active is retired, and can be activated once more
/// until it is dropped.
pub async fn switch_to(db: &Db, of: &Space) -> Result<(), DbError> {
    db.run_once(Role::Worker, async |transaction| activate(&transaction, of.id).await).await
}

async fn activate(transaction: &Transaction, id: SpaceId) -> Result<(), DbError> {
    transaction.query_typed(sql!("activate_space"), parameters![id.0]).await?;
    transaction.execute_typed(sql!("mark_space_active"), parameters![id.0]).await?;
    Ok(())
}

/// Drops the spaces that were replaced longer than `kept` ago, and before that retires those that
/// no worker has filled for as long. Returns the number dropped.
pub async fn drop_retired(db: &Db, kept: Duration) -> Result<i32, DbError> {
    let seconds = kept.as_secs_f64();
    db.query_once(Role::Worker, sql!("retire_untended_spaces"), parameters![seconds]).await?;
    // In its own transaction: retiring can take long, since every source may have a job, and a drop
    // blocks readers until its transaction ends.
    let rows = db.query_once(Role::Worker, sql!("drop_retired_spaces"), parameters![seconds]).await?;
    Ok(rows[0].get("dropped"))
}
