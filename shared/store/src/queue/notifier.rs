//! Wakes the workers after a commit, at a limited rate.
//!
//! NOTIFY inside a writer's transaction takes a lock that all commits of the database share.
//! Therefore one task per process notifies on its own connection: the first time at once, then at
//! most once in a few milliseconds, however many writes there are. A lost wake-up costs only time,
//! because the workers also poll.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError};

/// The channel that workers listen on.
pub const CHANNEL: &str = "pgrecall_jobs";

/// Timeout of a wake-up, after which the connection counts as dead.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(3);
/// Minimum interval between two notifications.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Requests wake-ups. Cheap and never waits; requests that come close together are merged into one.
#[derive(Debug, Clone)]
pub struct Notifier {
    wish: Arc<Notify>,
}

impl Notifier {
    /// Makes a notifier, and the future that sends its wake-ups until `stop` is cancelled.
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
                tokio::time::sleep(MIN_INTERVAL).await;
            }
        })
    }

    /// Requests a wake-up.
    pub fn wake(&self) {
        self.wish.notify_one();
    }
}

/// Wakes the workers on the connection from the last time, or on a new one if that is dead.
async fn wake_workers(db: &Db, kept: &mut Option<Object>) -> Result<(), DbError> {
    if let Some(client) = kept
        && let Ok(Ok(())) = tokio::time::timeout(NOTIFY_TIMEOUT, notify_on(client, "")).await
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
