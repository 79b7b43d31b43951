//! Claims: takes the next jobs from the queue, starting at a watermark.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Claim, Job};
use crate::spaces::SpaceId;
use crate::sql::{claiming, claiming_ahead, sql};
use pgrecall_postgres::db::parameters::{Parameter, typed};
use pgrecall_postgres::db::{Db, DbError};
use pgrecall_process::telemetry::Trace;

/// Interval of the claims that start at the lowest order key. They find jobs behind the watermark,
/// which were given back or whose writer committed late.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// A claim from the lowest order key that is slow, because it reads many dead index entries, is
/// repeated only after this multiple of its duration.
const SWEEP_SHARE: u32 = 20;

/// If the last claim from the lowest order key took no longer than this, another one is made before
/// the queue counts as empty.
const CHEAP_SWEEP: Duration = Duration::from_millis(20);

/// The claims of one worker. A claim starts where the last one ended. Once a second it starts at
/// the lowest order key instead, and also before it reports an empty queue, unless that is slow.
///
/// The index keeps the entries of claimed jobs while any open snapshot could still see them, and a
/// claim that starts before these entries reads all of them. While a dump runs elsewhere, each such
/// claim would be slower than the last.
///
/// A write starts its job no earlier than the highest order key that was claimed before (decision
/// 40), so the watermark passes no fresh job but one whose writer commits late.
#[derive(Debug)]
pub struct Claims {
    worker: i64,
    /// The most passages of a claim of several jobs.
    passages: i64,
    mark: Mutex<Watermark>,
    /// When the claims ahead last began at the lowest order key. They do not move `mark`: the jobs
    /// before theirs are still to be claimed.
    ahead: Mutex<Watermark>,
}

#[derive(Debug, Default)]
struct Watermark {
    space: Option<SpaceId>,
    /// Highest order key of the last claim.
    order_key: Timestamp,
    /// Time until which claims may start at `order_key`, and the duration of the last claim from
    /// the lowest key.
    until: Option<Instant>,
    took: Duration,
}

impl Claims {
    /// Starts the claims of this worker.
    pub fn new(worker: i64) -> Self {
        Self { worker, passages: i64::MAX, mark: Mutex::default(), ahead: Mutex::default() }
    }

    /// Limits each claim to this many passages, except that it may consist of one larger job.
    pub fn of_at_most(self, passages: i64) -> Self {
        Self { passages, ..self }
    }

    /// Claims up to `limit` ready jobs of a space. `None`: there are none.
    pub async fn claim(&self, db: &Db, space: SpaceId, limit: i64) -> Result<Option<Claim>, DbError> {
        let next = Next { claims: self, limit };
        let turn = ClaimAttempt::alone(space, next);
        let from_the_mark = turn.from > Timestamp::UNIX_EPOCH;
        match turn.claim(db).await? {
            // A job that was given back may lie behind the watermark.
            None if from_the_mark && self.mark.lock().took <= CHEAP_SWEEP => {
                ClaimAttempt { from: Timestamp::UNIX_EPOCH, ..ClaimAttempt::alone(space, next) }.claim(db).await
            }
            claim => Ok(claim),
        }
    }

    /// Claims single writes of at most `passages` passages that start within the next `passages` of
    /// virtual time, while all loops are busy with earlier claims. Suspects wait for an ordinary
    /// claim, since a crash would count against the earlier claims, too.
    pub async fn claim_ahead(&self, db: &Db, space: SpaceId, passages: i64) -> Result<Option<Claim>, DbError> {
        let begun = Instant::now();
        let from = {
            let (mark, ahead) = (self.mark.lock(), self.ahead.lock());
            ahead.begin(space, begun).and_then(|_| mark.at(space)).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        let (limit, token, worker) = (passages, fresh_token(), self.worker);
        let turn = ClaimAttempt { claims: None, space, worker, limit, passages, is_ahead: true, from, token, begun };
        let claim = turn.claim(db).await?;
        if from == Timestamp::UNIX_EPOCH {
            *self.ahead.lock() = Watermark::after_sweep(space, from, begun);
        }
        Ok(claim)
    }

    /// Returns how long to wait before the next claim if the queue seemed empty only because jobs
    /// behind the watermark were skipped.
    pub fn next_sweep_in(&self) -> Option<Duration> {
        let mark = self.mark.lock();
        let until = mark.until.filter(|_| mark.took > CHEAP_SWEEP)?;
        Some(until.saturating_duration_since(Instant::now()))
    }
}

impl Watermark {
    /// Returns the watermark after a claim from the lowest order key.
    fn after_sweep(space: SpaceId, order_key: Timestamp, begun: Instant) -> Self {
        let took = begun.elapsed();
        let until = Some(begun + SWEEP_INTERVAL.max(took * SWEEP_SHARE));
        Self { space: Some(space), order_key, until, took }
    }

    /// Returns the order key where the last claim of this space ended.
    fn at(&self, space: SpaceId) -> Option<Timestamp> {
        (self.space == Some(space)).then_some(self.order_key)
    }

    /// Returns the order key where the next claim may start; `None` for the lowest one.
    fn begin(&self, space: SpaceId, now: Instant) -> Option<Timestamp> {
        self.at(space).filter(|_| self.until.is_some_and(|until| now < until))
    }
}

/// A request to claim the next jobs.
#[derive(Debug, Clone, Copy)]
pub struct Next<'a> {
    /// The worker's claims, with the watermark.
    pub claims: &'a Claims,
    /// Maximum number of jobs.
    pub limit: i64,
}

/// A claim in progress, either in its own statement or in the one that settles other jobs.
pub(super) struct ClaimAttempt<'a> {
    /// The claims whose watermark moves; `None` if it must not.
    claims: Option<&'a Claims>,
    space: SpaceId,
    worker: i64,
    limit: i64,
    passages: i64,
    is_ahead: bool,
    from: Timestamp,
    token: i64,
    begun: Instant,
}

impl<'a> ClaimAttempt<'a> {
    /// Begins a claim in its own statement: from the watermark or, if that is due, from the lowest
    /// order key.
    fn alone(space: SpaceId, Next { claims, limit }: Next<'a>) -> Self {
        let begun = Instant::now();
        let from = claims.mark.lock().begin(space, begun).unwrap_or(Timestamp::UNIX_EPOCH);
        Self::from(claims, space, limit, from, begun)
    }

    fn from(claims: &'a Claims, space: SpaceId, limit: i64, from: Timestamp, begun: Instant) -> Self {
        let Claims { worker, passages, .. } = *claims;
        let token = fresh_token();
        Self { claims: Some(claims), space, worker, limit, passages, is_ahead: false, from, token, begun }
    }

    /// Begins a claim in the statement that settles other jobs. It claims nothing if there is no
    /// request, or if a claim from the lowest order key is due: this statement may wait for a
    /// writer, which would count as the duration of that claim.
    pub(super) fn beside(space: SpaceId, next: Option<Next<'a>>) -> Self {
        let begun = Instant::now();
        let mark = next.and_then(|next| Some((next, next.claims.mark.lock().begin(space, begun)?)));
        match mark {
            Some((Next { claims, limit }, from)) => Self::from(claims, space, limit, from, begun),
            None => {
                let from = Timestamp::UNIX_EPOCH;
                Self { claims: None, space, worker: 0, limit: 0, passages: 0, is_ahead: false, from, token: 0, begun }
            }
        }
    }

    /// Returns the first seven parameters of `claim.sql` and `settle.sql`.
    pub(super) fn parameters(&self) -> [Parameter<'_>; 7] {
        let Self { space, limit, worker, from, token, passages, is_ahead, .. } = self;
        [typed(&space.0), typed(limit), typed(worker), typed(from), typed(token), typed(passages), typed(is_ahead)]
    }

    async fn claim(self, db: &Db) -> Result<Option<Claim>, DbError> {
        let statement = if self.is_ahead { claiming_ahead(sql!("claim")) } else { claiming(sql!("claim")) };
        let rows = db.run_as_worker(&statement, &self.parameters()).await?;
        Ok(self.end(&rows))
    }

    /// Reads the claimed jobs, and moves the watermark.
    pub(super) fn end(self, rows: &[Row]) -> Option<Claim> {
        // settle.sql always returns a row, even if it claims nothing.
        let rows: Vec<&Row> = rows.iter().filter(|row| row.get::<_, Option<i64>>("lease_token").is_some()).collect();
        let last = rows.iter().map(|row| row.get("order_key")).max();
        if let Some(claims) = self.claims {
            let mut mark = claims.mark.lock();
            if self.from == Timestamp::UNIX_EPOCH {
                *mark = Watermark::after_sweep(self.space, last.unwrap_or(mark.order_key), self.begun);
            } else if let Some(last) = last
                && mark.order_key == self.from
            {
                // If the watermark has changed, another loop has claimed from the lowest order key,
                // and more ready jobs may follow where that claim ended.
                mark.order_key = last;
            }
        }
        let jobs = rows.iter().map(|row| Job {
            source: row.get("source"),
            wanted: row.get("wanted"),
            attempts: row.get("attempts"),
            suspect: row.get("suspect"),
            is_single: row.get("is_single"),
            forced: row.get("forced"),
            passages: row.get("items_total"),
            trace: row.get::<_, Option<Uuid>>("trace_id").zip(row.get("span_id")).map(|(id, span)| Trace { id, span }),
        });
        (!rows.is_empty()).then(|| Claim { token: self.token, jobs: jobs.collect() })
    }
}

/// Makes a lease token that no claim ever had: 62 random bits. A sequence could return a value
/// twice if Postgres crashes, or a standby takes over, before its last values were flushed.
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
        assert_eq!(Watermark::default().begin(space, now), None);
        let order_key = Timestamp::from_second(1_000).expect("a time");
        let mark = Watermark { space: Some(space), order_key, until: Some(now + SWEEP_INTERVAL), took: Duration::ZERO };
        assert_eq!(mark.begin(space, now + SWEEP_INTERVAL / 2), Some(order_key));
        assert_eq!(mark.begin(space, now + SWEEP_INTERVAL), None);
        assert_eq!(mark.begin(SpaceId(2), now), None);
    }
}
