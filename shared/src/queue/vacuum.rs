//! The vacuum of the open jobs' table, by those who empty it.

use tokio_postgres::types::Type;

use crate::db::{Db, DbError};
use crate::dsn::Dsn;
use crate::sql::sql;

const BECOME_OWNER: &str = include_str!("../../../sql/setup/become_owner.sql");

/// After so many ended jobs, two versions of a row each, a worker vacuums: the table then stays at some ten megabytes.
pub const VACUUM_AFTER: u64 = 50_000;

/// Vacuums the table, as its owner, in a session of its own. While a snapshot is held open elsewhere it takes little away.
pub async fn vacuum(session: &Dsn, db: &Db) -> Result<(), DbError> {
    let (client, connection) = session.connect().await?;
    let serving = crate::tasks::connection("vacuum", connection);
    let vacuumed = async {
        client.query_typed(BECOME_OWNER, &[(&db.search_path(), Type::TEXT)]).await?;
        client.batch_execute(sql!("vacuum_jobs")).await
    };
    let vacuumed = vacuumed.await;
    drop(client);
    serving.await.ok();
    Ok(vacuumed?)
}
