//! Vacuums the table of open jobs while workers empty it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sql::{parameters, sql};
use pgrecall_postgres::db::{Db, DbError};
use pgrecall_postgres::dsn::Dsn;

const BECOME_OWNER: &str = include_str!("../../../../sql/setup/become_owner.sql");

/// Number of ended jobs after which to vacuum. Each leaves two dead row versions, so the table
/// stays at about ten megabytes.
const VACUUM_THRESHOLD: u64 = 20_000;
/// Interval between checks of the counter.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// Pause between two vacuums, as a multiple of the last one's duration: normally, and if it could
/// not remove the dead rows because a snapshot is held open.
const PAUSE_FACTOR: u32 = 10;
const PAUSE_FACTOR_IF_BLOCKED: u32 = 100;

/// Counts a worker's ended jobs, and vacuums after many of them. Autovacuum would also do it, but
/// once a minute only; this keeps claims fast while a backlog is worked off.
#[derive(Debug, Default)]
pub struct Vacuum {
    ended: AtomicU64,
}

impl Vacuum {
    /// Counts ended jobs.
    pub fn count(&self, ended: usize) {
        self.ended.fetch_add(ended as u64, Ordering::Relaxed);
    }

    /// Checks the counter and vacuums, without end.
    pub async fn keep_on(&self, session: &Dsn, db: &Db) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            // Behind a transaction pooler the owner's role would stay set on a server connection
            // that others use.
            if self.ended.load(Ordering::Relaxed) < VACUUM_THRESHOLD || !db.has_sessions() {
                continue;
            }
            self.ended.store(0, Ordering::Relaxed);
            let begun = Instant::now();
            let left = vacuum(session, db).await.unwrap_or_else(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "the queue was not vacuumed; autovacuum does it");
                0
            });
            let rest = if left < VACUUM_THRESHOLD.cast_signed() { PAUSE_FACTOR } else { PAUSE_FACTOR_IF_BLOCKED };
            tokio::time::sleep(begun.elapsed() * rest).await;
        }
    }
}

/// Vacuums the table as its owner, in a session of its own. Returns how many dead rows remain.
async fn vacuum(session: &Dsn, db: &Db) -> Result<i64, DbError> {
    let (client, connection) = session.connect().await?;
    let serving = pgrecall_process::tasks::connection("vacuum", connection);
    let vacuumed = async {
        client.query_typed(BECOME_OWNER, parameters![db.search_path()]).await?;
        client.batch_execute(sql!("vacuum_jobs")).await?;
        Ok::<i64, DbError>(client.query_typed(sql!("dead_jobs"), &[]).await?[0].get("dead"))
    };
    let vacuumed = vacuumed.await;
    drop(client);
    serving.await.ok();
    vacuumed
}
