//! Wake-ups for workers, sent after the commit and seldom.
//!
//! NOTIFY inside a writer's transaction takes a lock that all commits of the database share. Here one task a process notifies on a
//! connection of its own: the first wish at once, then at most one in a few milliseconds, however many writes there were. A wake-up
//! that is lost costs time only: the worker's poll is the guarantee.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use crate::db::{Db, DbError};
use crate::sql::sql;

/// The channel that workers listen on.
pub const CHANNEL: &str = "pgrecall_jobs";

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
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = wish.notified() => {}
                }
                if let Err(error) = notify(&db, "").await {
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

/// Wakes the workers at once, with a payload that says why.
pub async fn notify(db: &Db, payload: &str) -> Result<(), DbError> {
    let client = db.client().await?;
    client.query_typed(sql!("notify"), &[(&payload, Type::TEXT)]).await?;
    Ok(())
}
