//! A short visit to a database, for a program that is otherwise not asynchronous.

use std::time::Duration;

use anyhow::Context;
use pgrecall_postgres::dsn::Dsn;
use tokio_postgres::Client;

/// Nothing that is asked here takes long, unless Postgres is away or frozen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects, asks, and leaves.
///
/// # Errors
/// When there is no connection, when a statement fails, and when the answer takes too long.
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
