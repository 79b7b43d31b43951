//! Claims: the next jobs, and how far the claiming has come.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Claim, Job};
use crate::spaces::SpaceId;
use crate::sql::{claiming, sql};
use pgrecall_postgres::db::parameters::{Parameter, typed};
use pgrecall_postgres::db::{Db, DbError};
use pgrecall_process::telemetry::Trace;

/// How long a job may be passed over whose order key is lower than what was claimed last: one that was given back, or whose writer
/// took long to commit.
const SWEEP: Duration = Duration::from_secs(1);
/// A claim at the beginning that takes long, because of what it reads through, is made the more seldom.
const SWEEP_SHARE: u32 = 20;

/// One that takes no longer is made before it is said that there is nothing.
const CHEAP: Duration = Duration::from_millis(20);

/// The claims of one worker. They begin where the last one ended, and at the beginning once a second and, unless that takes long, before
/// they say that there is nothing.
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
    /// Until when the beginning may wait, and how long it took to look there.
    until: Option<Instant>,
    took: Duration,
}

impl Claims {
    /// Those of this worker.
    pub fn new(worker: i64) -> Self {
        Self { worker, mark: Mutex::default() }
    }

    /// Claims up to `limit` ready jobs of a space. No job: `None`.
    pub async fn claim(&self, db: &Db, space: SpaceId, limit: i64) -> Result<Option<Claim>, DbError> {
        let next = Next { claims: self, limit };
        let turn = Turn::alone(space, next);
        let from_the_mark = turn.from > Timestamp::UNIX_EPOCH;
        match turn.claim(db).await? {
            // At the beginning there may be one that was given back.
            None if from_the_mark && self.mark().took <= CHEAP => {
                Turn { from: Timestamp::UNIX_EPOCH, ..Turn::alone(space, next) }.claim(db).await
            }
            claim => Ok(claim),
        }
    }

    /// When to look again after there was nothing, because the beginning was left out.
    pub fn look_again(&self) -> Option<Duration> {
        let mark = self.mark();
        let until = mark.until.filter(|_| mark.took > CHEAP)?;
        Some(until.saturating_duration_since(Instant::now()))
    }

    fn mark(&self) -> MutexGuard<'_, Mark> {
        self.mark.lock()
    }
}

impl Mark {
    /// Where the next claim may begin; `None` at the beginning.
    fn begin(&self, space: SpaceId, now: Instant) -> Option<Timestamp> {
        let fresh = self.until.is_some_and(|until| now < until);
        (fresh && self.space == Some(space)).then_some(self.order_key)
    }
}

/// Who claims the next jobs, and how many at the most.
#[derive(Debug, Clone, Copy)]
pub struct Next<'a> {
    /// The worker's claims, which know where the last one ended.
    pub claims: &'a Claims,
    /// As many jobs.
    pub limit: i64,
}

/// A claim in progress, alone or in the statement that ends other jobs.
pub(super) struct Turn<'a> {
    claims: Option<&'a Claims>,
    space: SpaceId,
    worker: i64,
    limit: i64,
    from: Timestamp,
    token: i64,
    begun: Instant,
}

impl<'a> Turn<'a> {
    /// A claim alone: from where the last one ended or, when that is due, from the beginning.
    fn alone(space: SpaceId, Next { claims, limit }: Next<'a>) -> Self {
        let begun = Instant::now();
        let from = claims.mark().begin(space, begun).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { claims: Some(claims), space, worker: claims.worker, limit, from, token: fresh_token(), begun }
    }

    /// A claim beside the end of other jobs, which may wait for a writer. Where none is asked for, or one from the beginning is due, it claims
    /// nothing.
    pub(super) fn beside(space: SpaceId, next: Option<Next<'a>>) -> Self {
        let begun = Instant::now();
        let mark = next.and_then(|next| Some((next, next.claims.mark().begin(space, begun)?)));
        match mark {
            Some((Next { claims, limit }, from)) => {
                Self { claims: Some(claims), space, worker: claims.worker, limit, from, token: fresh_token(), begun }
            }
            None => Self { claims: None, space, worker: 0, limit: 0, from: Timestamp::UNIX_EPOCH, token: 0, begun },
        }
    }

    /// The first five parameters of `claim.sql` and `settle.sql`.
    pub(super) fn parameters(&self) -> [Parameter<'_>; 5] {
        [typed(&self.space.0), typed(&self.limit), typed(&self.worker), typed(&self.from), typed(&self.token)]
    }

    async fn claim(self, db: &Db) -> Result<Option<Claim>, DbError> {
        let rows = db.run_as_worker(&claiming(sql!("claim")), &self.parameters()).await?;
        Ok(self.end(&rows))
    }

    /// Reads what was claimed, and moves the mark.
    pub(super) fn end(self, rows: &[Row]) -> Option<Claim> {
        // Beside the end of other jobs there is a row in any case.
        let rows: Vec<&Row> = rows.iter().filter(|row| row.get::<_, Option<i64>>("lease_token").is_some()).collect();
        let last = rows.iter().map(|row| row.get("order_key")).max();
        if let Some(claims) = self.claims {
            let mut mark = claims.mark();
            if self.from == Timestamp::UNIX_EPOCH {
                let took = self.begun.elapsed();
                let until = Some(self.begun + SWEEP.max(took * SWEEP_SHARE));
                *mark = Mark { space: Some(self.space), order_key: last.unwrap_or(mark.order_key), until, took };
            } else if let Some(last) = last
                && mark.order_key == self.from
            {
                // Otherwise another loop has started again from the beginning, and there may be more where it ended.
                mark.order_key = last;
            }
        }
        let jobs = rows.iter().map(|row| Job {
            source: row.get("source"),
            wanted: row.get("wanted"),
            attempts: row.get("attempts"),
            suspect: row.get("suspect"),
            forced: row.get("forced"),
            passages: row.get("items_total"),
            trace: row.get::<_, Option<Uuid>>("trace_id").zip(row.get("span_id")).map(|(id, span)| Trace { id, span }),
        });
        (!rows.is_empty()).then(|| Claim { token: self.token, jobs: jobs.collect() })
    }
}

/// A token that no claim ever had: 62 bits of chance. A sequence would give one twice when Postgres crashes, or a standby takes over, before
/// the last values reached the disk there.
fn fresh_token() -> i64 {
    (Uuid::now_v7().as_u64_pair().1 & (u64::MAX >> 2)).cast_signed()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_tokens_are_equal() {
        let tokens: HashSet<i64> = (0..100_000).map(|_| fresh_token()).collect();
        assert_eq!(tokens.len(), 100_000);
        assert!(tokens.iter().all(|token| *token >= 0));
    }

    #[test]
    fn a_claim_begins_at_the_mark_until_a_second_has_passed_or_the_space_is_another() {
        let now = Instant::now();
        let space = SpaceId(1);
        assert_eq!(Mark::default().begin(space, now), None);
        let order_key = Timestamp::from_second(1_000).expect("a time");
        let mark = Mark { space: Some(space), order_key, until: Some(now + SWEEP), took: Duration::ZERO };
        assert_eq!(mark.begin(space, now + SWEEP / 2), Some(order_key));
        assert_eq!(mark.begin(space, now + SWEEP), None);
        assert_eq!(mark.begin(SpaceId(2), now), None);
    }
}
