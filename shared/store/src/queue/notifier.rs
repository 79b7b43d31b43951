//! Wake-ups for workers, sent after the commit and seldom.
//!
//! NOTIFY inside a writer's transaction takes a lock that all commits of the database share. Here one task a process notifies on a
//! connection of its own: the first wish at once, then at most one in a few milliseconds, however many writes there were. A wake-up
//! that is lost costs time only: the worker's poll is the guarantee.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError};

/// The channel that workers listen on.
pub const CHANNEL: &str = "pgrecall_jobs";

/// A connection that takes longer over a wake-up leads nowhere.
const ANSWER: Duration = Duration::from_secs(3);
/// A flood of writes gives one NOTIFY in this long.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks for a wake-up. Cheap, never waits, and many wishes become one.
#[derive(Debug, Clone)]
pub struct Notifier {
    wish: Arc<Notify>,
}

impl Notifier {
    /// A notifier, and the future that sends its wake-ups until it is told to stop.
    pub fn new(db: Db, stop: CancellationToken) -> (Self, impl Future<Output = ()> + Send) {
        let wish = Arc::new(Notify::new());
        let notifier = Self { wish: Arc::clone(&wish) };
        (notifier, async move {
            let mut kept = None;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = wish.notified() => {}
                }
                if let Err(error) = wake_workers(&db, &mut kept).await {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "a wake-up was not sent; workers find the jobs when they poll"
                    );
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    /// There is something to do.
    pub fn wake(&self) {
        self.wish.notify_one();
    }
}

/// Wakes the workers on the connection that was kept from the last time, or on another one if it leads nowhere any more.
async fn wake_workers(db: &Db, kept: &mut Option<Object>) -> Result<(), DbError> {
    if let Some(client) = kept
        && let Ok(Ok(())) = tokio::time::timeout(ANSWER, notify_on(client, "")).await
    {
        return Ok(());
    }
    let client = kept.insert(db.client().await?);
    notify_on(client, "").await
}

/// Wakes the workers at once, with a payload that says why.
pub async fn notify(db: &Db, payload: &str) -> Result<(), DbError> {
    notify_on(&db.client().await?, payload).await
}

async fn notify_on(client: &Object, payload: &str) -> Result<(), DbError> {
    client.query_typed(sql!("notify"), parameters![payload]).await?;
    Ok(())
}
