//! Short connections to a database from synchronous code.

use std::time::Duration;

use anyhow::Context;
use pgrecall_postgres::dsn::Dsn;
use tokio_postgres::Client;

/// Longer than any query here takes, unless Postgres is down or frozen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects, runs `question`, and disconnects.
///
/// # Errors
/// If the connection fails, a statement fails, or the answer takes longer than [`PATIENCE`].
pub(super) fn ask<T>(dsn: &str, question: impl AsyncFnOnce(&mut Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let answer = async {
            let (mut client, connection) = Dsn::parse(dsn)?.connect().await?;
            let serving = pgrecall_process::tasks::connection("chaos", connection);
            let answer = question(&mut client).await;
            drop(client);
            serving.await.ok();
            answer
        };
        tokio::time::timeout(PATIENCE, answer).await.context("Postgres does not answer")?
    })
}
