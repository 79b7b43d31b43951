//! The pgvector extension of the private database, created over a connection, so that pg_dump
//! includes it.
//!
//! Older homes have an extension from single-user mode, with object ids that pg_dump takes for a
//! part of Postgres. Their dumps lack it and cannot be restored. `sql/setup/renumber_extension.sql`
//! repairs them, once and in place.

use std::time::Duration;

use tokio_postgres::Client;

use super::cluster::Cluster;

/// How long creating or repairing the extension may take. Neither depends on the amount of data.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The first object id of users' objects. pg_dump takes objects with smaller ids for a part of
/// Postgres, and leaves them out.
pub(crate) const FIRST_USER_ID: i64 = 16_384;

const EXTENSION_ID: &str = include_str!("../../../../sql/setup/extension_id.sql");
const RENUMBER: &str = include_str!("../../../../sql/setup/renumber_extension.sql");
const MAKE: &str = include_str!("../../../../sql/setup/make_extension.sql");

impl Cluster {
    /// Creates or repairs the extension. A failure is only logged: if the extension is missing, the
    /// migration reports it, and one that could not be repaired still works.
    pub(super) async fn ready_extension(&self) {
        let why = match tokio::time::timeout(TIMEOUT, self.make_or_repair()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.as_db_error().map_or_else(|| error.to_string(), |said| said.message().to_owned()),
            Err(_elapsed) => format!("it took longer than {} s", TIMEOUT.as_secs()),
        };
        tracing::warn!(
            why,
            "pgvector's extension in the private database could not be made ready; the next start tries again, and until then \
             a backup may lack it"
        );
    }

    async fn make_or_repair(&self) -> Result<(), tokio_postgres::Error> {
        let (client, connection) = self.address("/").open().await?;
        let serving = pgrecall_process::tasks::connection("extension", connection);
        let done = make_or_repair(&client).await;
        drop(client);
        serving.await.ok();
        done
    }
}

async fn make_or_repair(client: &Client) -> Result<(), tokio_postgres::Error> {
    match client.query_opt(EXTENSION_ID, &[]).await?.map(|row| row.get::<_, i64>("id")) {
        None => client.batch_execute(MAKE).await,
        Some(id) if id < FIRST_USER_ID => {
            client.batch_execute(RENUMBER).await?;
            tracing::warn!(
                "the object ids of pgvector's extension were repaired; pg_dump and pg_upgrade now include it"
            );
            // The repair drops the statistics of vector columns. Plans are good enough without them
            // until autovacuum collects new ones.
            Ok(())
        }
        Some(_) => Ok(()),
    }
}
