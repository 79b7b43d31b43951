//! The queue: index jobs from enqueue to their end, each step one statement.
//!
//! A job tells a worker to bring the vectors of one source in one space up to date. A worker holds
//! its jobs through its lease row and a lease token that is new for each claim. Every statement
//! that ends a job names the token, so that a worker that has lost its lease changes nothing
//! (decision 9; docs/internals/job-lifecycle.md has every state and edge).

use std::collections::BTreeMap;

use self::claims::ClaimAttempt;
use crate::spaces::{Space, SpaceId};
use crate::sql::{claiming, enqueuing, on_space, parameters, recording_failures, sql};
use pgrecall_postgres::db::worker::Run;
use pgrecall_postgres::db::{Db, DbError, Role, Scope, Transaction};
use pgrecall_process::telemetry::Trace;
use pgrecall_record::hash;
use pgrecall_record::source::SourceKind;

mod claims;
mod notifier;
mod vacuum;

pub use claims::{Claims, Next};
pub use notifier::{CHANNEL, Notifier, notify};
pub use vacuum::Vacuum;

/// Number of consecutive failures, or of crashes of its worker, after which a job is parked. It
/// stays parked for half an hour, then for twice as long each time, up to six hours, until it
/// succeeds, a person steps in, or its source is written again.
pub const MAX_ATTEMPTS: i32 = 5;

/// Why the reconciler enqueued a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The reconciler found missing or stale vectors.
    Reconcile,
    /// A new space is being filled.
    Rebuild,
}

impl Trigger {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Rebuild => "rebuild",
        }
    }

    /// Returns the flow of all sources that the reconciler finds for this reason. It shares the
    /// embedder with the callers' flows as one of them.
    fn flow(self) -> i64 {
        hash_flow(&[self.as_str()])
    }
}

/// A job that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The source to embed. Together with the space of the claim it identifies the job.
    pub source: i64,
    /// Value of `wanted` at the claim. If it is higher when the job ends, the job runs again.
    pub wanted: i32,
    /// Failed attempts with the present text.
    pub attempts: i32,
    /// Whether a worker died while it held this job. Its call then contains no other job, so that
    /// another crash can be blamed on it (decision 13).
    pub suspect: bool,
    /// Whether a caller wrote this record on its own, or last in a bulk write.
    pub is_single: bool,
    /// Whether to embed passages that have vectors already.
    pub forced: bool,
    /// Number of passages of the source when the job was enqueued.
    pub passages: i32,
    /// Trace of the write that enqueued the job, if it was traced.
    pub trace: Option<Trace>,
}

/// The jobs of one claim, and the token that fences them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Lease token, new for each claim.
    pub token: i64,
    /// The jobs, in ascending order of their order keys.
    pub jobs: Vec<Job>,
}

/// State of the embedder, which a worker reports in its lease row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbedderStatus {
    /// `ok`, `waiting`, `down` or `disabled`.
    pub embedder: &'static str,
    /// Why the embedder is not `ok`, or what delays the model that is to replace it.
    pub reason: Option<String>,
}

/// Whose jobs are enqueued, and how. The jobs of one caller and kind are a flow, and the queue
/// serves all flows equally (decision 40). A record that is written on its own is in another flow
/// than those that are written together, so that it waits for no import of the same caller.
#[derive(Debug, Clone, Copy)]
pub struct Flows<'a> {
    /// The caller.
    pub scope: &'a Scope,
    /// Whether the caller writes many records.
    pub in_bulk: bool,
}

impl Flows<'_> {
    /// Returns the caller's flow of records of this kind.
    pub(crate) fn of(self, kind: &str) -> i64 {
        let way = if self.in_bulk { "in bulk" } else { "singly" };
        hash_flow(&[&self.scope.tenant, &self.scope.owner, kind, way])
    }
}

fn hash_flow(parts: &[&str]) -> i64 {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    i64::from_le_bytes(*hash::of_parts(&parts).first_chunk().expect("a hash has 32 bytes"))
}

/// Enqueues sources (source, kind, number of passages) in the writer's transaction. The jobs carry
/// the trace of the current span.
pub async fn enqueue(
    on: &mut impl Run,
    flows: Flows<'_>,
    units: impl Iterator<Item = (i64, SourceKind, i32)>,
) -> Result<(), DbError> {
    let units: Vec<(i64, SourceKind, i32)> = units.collect();
    let sources: Vec<i64> = units.iter().map(|unit| unit.0).collect();
    let kinds: Vec<&str> = units.iter().map(|unit| unit.1.as_str()).collect();
    let items: Vec<i32> = units.iter().map(|unit| unit.2).collect();
    // For each kind its flow, its passages so far, and the place of its last job.
    let mut ends: BTreeMap<&str, (i64, i64, usize)> = BTreeMap::new();
    let (mut in_flows, mut before) = (Vec::with_capacity(units.len()), Vec::with_capacity(units.len()));
    for (place, (kind, items)) in kinds.iter().zip(&items).enumerate() {
        let (flow, passages, last) = ends.entry(kind).or_insert_with(|| (flows.of(kind), 0, 0));
        in_flows.push(*flow);
        before.push(*passages);
        *passages += i64::from(*items).max(1);
        *last = place;
    }
    let mut upto: Vec<Option<i64>> = vec![None; units.len()];
    ends.values().for_each(|(_, passages, place)| upto[*place] = Some(*passages));
    let of_kinds: Vec<i64> = ends.values().map(|(flow, ..)| *flow).collect();
    let trace = Trace::current();
    let (trace, span) = (trace.map(|trace| trace.id), trace.map(|trace| trace.span));
    let parameters = parameters![sources, kinds, items, trace, span, in_flows, of_kinds, before, upto];
    on.run(&enqueuing(sql!("enqueue")), parameters).await?;
    Ok(())
}

/// Creates the lease row of a worker, and returns its id.
pub async fn register(db: &Db, name: &str, lease_seconds: f64, locked: bool) -> Result<i64, DbError> {
    let rows = db.query_once(Role::Worker, sql!("register_worker"), parameters![name, lease_seconds, locked]).await?;
    Ok(rows[0].get("id"))
}

/// Renews the lease. False: the lease was lost, and other workers may hold the jobs.
pub async fn heartbeat(db: &Db, worker: i64, lease_seconds: f64, status: &EmbedderStatus) -> Result<bool, DbError> {
    let parameters = parameters![worker, lease_seconds, status.embedder, status.reason];
    Ok(!db.run_as_worker(sql!("heartbeat"), parameters).await?.is_empty())
}

/// Gives back all jobs of a worker, and deletes its lease row.
pub async fn leave(db: &Db, worker: i64) -> Result<(), DbError> {
    db.run_once(Role::Worker, async |transaction| {
        transaction.query_typed(sql!("lock_worker_row"), parameters![worker]).await?;
        transaction.execute_typed(sql!("leave"), parameters![worker]).await?;
        Ok(())
    })
    .await
}

/// Records that the call with only this suspect begins, so that a crash during it counts against
/// this job. False: the lease was lost.
pub async fn call_alone(db: &Db, token: i64, job: &Job) -> Result<bool, DbError> {
    Ok(!db.run_as_worker(sql!("call_alone"), parameters![job.source, token]).await?.is_empty())
}

/// The result of promoting delayed jobs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promoted {
    /// Number of jobs that became ready.
    pub jobs: i64,
    /// Seconds until the next job is due.
    pub next_in: Option<f64>,
}

/// Makes delayed and parked jobs ready once they are due.
pub async fn promote(db: &Db) -> Result<Promoted, DbError> {
    let rows = db.run_as_worker(sql!("promote_delayed"), &[]).await?;
    Ok(Promoted { jobs: rows[0].get("promoted"), next_in: rows[0].get("next_in") })
}

/// Ends the jobs of a claim whose vectors are all stored and, if `next` is given, claims the next
/// jobs in the same statement. Returns how many jobs were still held.
pub(crate) async fn settle(
    on: &mut impl Run,
    space: SpaceId,
    token: i64,
    jobs: &[Job],
    next: Option<Next<'_>>,
) -> Result<(usize, Option<Claim>), DbError> {
    let sources: Vec<i64> = jobs.iter().map(|job| job.source).collect();
    let wanted: Vec<i32> = jobs.iter().map(|job| job.wanted).collect();
    let turn = ClaimAttempt::beside(space, next);
    let parameters = [turn.parameters().as_slice(), parameters![sources, wanted, token]].concat();
    let rows = on.run(&claiming(sql!("settle")), &parameters).await?;
    Ok((rows[0].get::<_, i64>("settled") as usize, turn.end(&rows)))
}

/// Locks jobs before their vectors are stored or they are given back, if this claim still holds
/// them.
pub(crate) async fn hold(on: &mut impl Run, token: i64, sources: &[i64]) -> Result<(), DbError> {
    on.run(sql!("hold"), parameters![sources, token]).await?;
    Ok(())
}

/// Locks the jobs of sources that are about to be changed or forgotten.
pub(crate) async fn lock(transaction: &Transaction, sources: &[i64]) -> Result<(), DbError> {
    transaction.query_typed(sql!("lock_jobs"), parameters![sources]).await?;
    Ok(())
}

/// Gives jobs back without counting an attempt, since they did not cause the failure.
pub async fn give_back(db: &Db, token: i64, jobs: &[Job]) -> Result<(), DbError> {
    let sources: Vec<i64> = jobs.iter().map(|job| job.source).collect();
    let mut client = db.worker().await?;
    let mut transaction = client.begin().await?;
    hold(&mut transaction, token, &sources).await?;
    transaction.run(sql!("give_back"), parameters![sources, token]).await?;
    transaction.commit().await
}

/// Counts a failure against one job. Returns whether the job was parked; `None` if the lease was
/// lost.
pub async fn fail(db: &Db, token: i64, job: &Job, class: &str, error: &str) -> Result<Option<bool>, DbError> {
    let parameters = parameters![job.source, token, job.wanted, MAX_ATTEMPTS, class, error];
    let rows = db.run_as_worker(&recording_failures(sql!("fail")), parameters).await?;
    Ok(rows.first().map(|row| row.get("parked")))
}

/// The result of a sweep of the reaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Number of dead workers.
    pub workers: i64,
    /// Number of their jobs that returned to the queue or were parked.
    pub jobs: i64,
}

/// Returns the jobs of dead workers to the queue. `worker` is the reaping worker, which is alive
/// whatever its lease says.
pub async fn reap(db: &Db, worker: i64) -> Result<Reaped, DbError> {
    let parameters = parameters![worker, MAX_ATTEMPTS];
    db.run_once(Role::Worker, async |transaction| {
        let rows = transaction.query_typed(&recording_failures(sql!("reap")), parameters).await?;
        let dead: Vec<i64> = rows[0].get("workers");
        if !dead.is_empty() {
            transaction.execute_typed(sql!("delete_dead_workers"), parameters![dead]).await?;
        }
        Ok(Reaped { workers: dead.len() as i64, jobs: rows[0].get("jobs") })
    })
    .await
}

/// The result of one step of the reconciler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// Number of sources enqueued.
    pub found: i64,
    /// Whether the round through all passages is complete.
    pub ended: bool,
    /// Whether this caller had the turn. If not, another worker is reconciling, and nothing is
    /// known about missing vectors. Always true for a space that has no table yet.
    pub had_turn: bool,
}

/// Corrects the audience of passages, vectors and labels that a program of the previous version
/// wrote. Looks at the next `slice` passages of the reconciler's round and corrects at most `most`
/// of them. Returns the number corrected; `None` if another worker has the turn.
pub async fn align_readers(db: &Db, space: &Space, slice: i64, most: i64) -> Result<Option<i64>, DbError> {
    if space.dimension.is_none() {
        return Ok(Some(0));
    }
    let statement = on_space(sql!("align_readers"), space.id);
    let parameters = parameters![space.id.0, slice, most];
    Ok(db.query_once(Role::Worker, &statement, parameters).await?.first().map(|row| row.get("aligned")))
}

/// Enqueues the sources whose vectors are missing or stale in a space, within the next `slice`
/// passages of the round that all workers share.
pub async fn reconcile(db: &Db, space: &Space, trigger: Trigger, slice: i64) -> Result<Reconciled, DbError> {
    let (trigger, flow) = (trigger.as_str(), trigger.flow());
    let parameters = parameters![space.id.0, trigger, flow, slice];
    db.run_once(Role::Worker, async |transaction| {
        if space.dimension.is_some() {
            let rows = transaction.query_typed(&enqueuing(&on_space(sql!("reconcile"), space.id)), parameters).await?;
            let found = rows.first().map(|row| (row.get("found"), row.get("ended")));
            let (enqueued, ended) = found.unwrap_or_default();
            Ok(Reconciled { found: enqueued, ended, had_turn: found.is_some() })
        } else {
            let found = transaction.execute_typed(&enqueuing(sql!("reconcile_all")), parameters).await?;
            Ok(Reconciled { found: found.cast_signed(), ended: found < slice.unsigned_abs(), had_turn: true })
        }
    })
    .await
}
