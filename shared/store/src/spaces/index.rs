//! Builds the HNSW index of a space that was filled without one.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{Space, size};
use crate::sql::{on_space, parameters, sql};
use pgrecall_postgres::db::{Db, DbError};
use pgrecall_postgres::dsn::Dsn;

/// Maximum memory of a build. A larger graph is built on disk, which is slower.
const MOST_KILOBYTES: f64 = 1024.0 * 1024.0;
const LEAST_KILOBYTES: f64 = 64.0 * 1024.0;

/// Builds the index, unless it exists. False: another worker is building it. Takes minutes for a
/// million vectors; writes and searches continue.
pub async fn build(session: &Dsn, db: &Db, space: &Space) -> Result<bool, DbError> {
    let (client, connection) = session.connect().await?;
    let serving = pgrecall_process::tasks::connection("index", connection);
    let built = build_with(&client, db, space).await;
    drop(client);
    serving.await.ok();
    built
}

/// State of the index.
struct Known {
    is_there: bool,
    is_valid: bool,
    vectors: f64,
}

pgrecall_postgres::from_row! { Known: is_there, is_valid, vectors }

async fn look(client: &Client, space: &Space) -> Result<Option<Known>, DbError> {
    let table = format!("pgrecall.{}", space.id.table());
    let index = format!("{table}_embedding_idx");
    let rows = client.query_typed(sql!("index_of_space"), parameters![index, table]).await?;
    Ok(rows.first().map(Known::from))
}

async fn build_with(client: &Client, db: &Db, space: &Space) -> Result<bool, DbError> {
    if look(client, space).await?.is_some_and(|known| known.is_valid) {
        return Ok(true);
    }
    if !client.query_typed(sql!("lock_index"), parameters![space.id.0]).await?[0].get::<_, bool>("builds") {
        return Ok(false);
    }
    // The worker that held the lock until now may have built the index.
    let Some(known) = look(client, space).await? else { return Ok(false) };
    if known.is_valid {
        return Ok(true);
    }
    let dimension = u64::try_from(space.dimension.unwrap_or_default()).unwrap_or_default();
    let bytes = known.vectors * size::build_bytes(dimension) as f64;
    let memory = format!("{:.0}kB", (bytes / 1024.0).clamp(LEAST_KILOBYTES, MOST_KILOBYTES));
    tracing::info!(space = space.id.0, memory, "building the index of the new embedding space");
    let mut helpers: Option<&str> = None;
    let mut left_behind = known.is_there;
    loop {
        client.query_typed(sql!("prepare_index_build"), parameters![db.search_path(), memory, helpers]).await?;
        if left_behind {
            client.batch_execute(&on_space(sql!("drop_index"), space.id)).await?;
        }
        match client.batch_execute(&on_space(sql!("build_index"), space.id)).await {
            Ok(()) => return Ok(true),
            // The parallel workers' shared memory is too small for the graph, but the memory of a
            // single process is not.
            Err(error) if error.code() == Some(&SqlState::DISK_FULL) && helpers.is_none() => {
                tracing::info!(space = space.id.0, "too little shared memory to build in parallel; building alone");
                (helpers, left_behind) = (Some("0"), true);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
