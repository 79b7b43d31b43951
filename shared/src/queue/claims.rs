//! Claims: the next jobs, and how far the claiming has come.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_postgres::types::Type;

use super::{Claim, Job};
use crate::db::{Db, DbError, Role};
use crate::spaces::SpaceId;
use crate::sql::sql;

/// How long a job may be passed over whose order key is lower than what was claimed last: one that was given back, or whose writer
/// took long to commit.
const SWEEP: Duration = Duration::from_secs(1);
/// A claim at the beginning that takes long, because of what it reads through, is made the more seldom.
const SWEEP_SHARE: u32 = 20;

/// The claims of one worker. They begin where the last one ended, and at the beginning once a second and before they say that there is
/// nothing.
///
/// The claimed jobs' entries stay in the index while any snapshot is held open that could still see them. A claim that begins before
/// them reads them all again: with a dump running elsewhere, claims get slower with each one.
#[derive(Debug)]
pub struct Claims {
    worker: i64,
    mark: Mutex<Mark>,
}

#[derive(Debug, Default)]
struct Mark {
    space: Option<SpaceId>,
    /// The highest order key of the last claim.
    order_key: Timestamp,
    /// Until when the beginning may wait.
    until: Option<Instant>,
}

impl Claims {
    /// Those of this worker.
    pub fn new(worker: i64) -> Self {
        Self { worker, mark: Mutex::default() }
    }

    /// Claims up to `limit` ready jobs of a space. No job: `None`.
    pub async fn claim(&self, db: &Db, space: SpaceId, limit: i64) -> Result<Option<Claim>, DbError> {
        let from = self.mark().begin(space, Instant::now());
        if let Some(from) = from
            && let Some((claim, last)) = claim_from(db, self.worker, space, limit, from).await?
        {
            self.mark().order_key = last;
            return Ok(Some(claim));
        }
        let swept = Instant::now();
        let found = claim_from(db, self.worker, space, limit, Timestamp::UNIX_EPOCH).await?;
        let order_key = found.as_ref().map_or(Timestamp::UNIX_EPOCH, |(_, last)| *last);
        let until = Some(swept + SWEEP.max(swept.elapsed() * SWEEP_SHARE));
        *self.mark() = Mark { space: Some(space), order_key, until };
        Ok(found.map(|(claim, _)| claim))
    }

    fn mark(&self) -> MutexGuard<'_, Mark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mark {
    /// Where the next claim may begin; `None` at the beginning.
    fn begin(&self, space: SpaceId, now: Instant) -> Option<Timestamp> {
        let fresh = self.until.is_some_and(|until| now < until);
        (fresh && self.space == Some(space)).then_some(self.order_key)
    }
}

/// Claims up to `limit` ready jobs of a space, whatever was claimed before. No job: `None`.
pub async fn claim(db: &Db, worker: i64, space: SpaceId, limit: i64) -> Result<Option<Claim>, DbError> {
    Ok(claim_from(db, worker, space, limit, Timestamp::UNIX_EPOCH).await?.map(|(claim, _)| claim))
}

/// A claim, and the highest order key in it.
async fn claim_from(
    db: &Db,
    worker: i64,
    space: SpaceId,
    limit: i64,
    from: Timestamp,
) -> Result<Option<(Claim, Timestamp)>, DbError> {
    let mut client = db.client().await?;
    let transaction = db.begin(&mut client, &Role::Worker).await?;
    let rows = transaction
        .query_typed(
            sql!("claim"),
            &[(&space.0, Type::INT4), (&limit, Type::INT8), (&worker, Type::INT8), (&from, Type::TIMESTAMPTZ)],
        )
        .await?;
    transaction.commit().await?;
    let Some(last) = rows.iter().map(|row| row.get("order_key")).max() else { return Ok(None) };
    let jobs = rows.iter().map(|row| Job {
        id: row.get("id"),
        source: row.get("source"),
        wanted: row.get("wanted"),
        attempts: row.get("attempts"),
        suspect: row.get("suspect"),
        forced: row.get("forced"),
    });
    Ok(Some((Claim { token: rows[0].get("lease_token"), jobs: jobs.collect() }, last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_begins_at_the_mark_until_a_second_has_passed_or_the_space_is_another() {
        let now = Instant::now();
        let space = SpaceId(1);
        assert_eq!(Mark::default().begin(space, now), None);
        let order_key = Timestamp::from_second(1_000).expect("a time");
        let mark = Mark { space: Some(space), order_key, until: Some(now + SWEEP) };
        assert_eq!(mark.begin(space, now + SWEEP / 2), Some(order_key));
        assert_eq!(mark.begin(space, now + SWEEP), None);
        assert_eq!(mark.begin(SpaceId(2), now), None);
    }
}
