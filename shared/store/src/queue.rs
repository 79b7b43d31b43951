//! The queue: index jobs from enqueue to the end, each step one statement.
//!
//! A job says "make this source's vectors true in this space". A worker holds jobs through its lease row and a token that is fresh
//! with each claim; every statement that ends a job names the token, so that a worker that lost its lease changes nothing.

use self::claims::Turn;
use crate::spaces::{Space, SpaceId};
use crate::sql::{claiming, on_space, parameters, recording_failures, sql};
use pgrecall_postgres::db::worker::Run;
use pgrecall_postgres::db::{Db, DbError, Role, Transaction};
use pgrecall_process::telemetry::Trace;
use pgrecall_record::source::SourceKind;

mod claims;
mod notifier;
mod vacuum;

pub use claims::{Claims, Next};
pub use notifier::{CHANNEL, Notifier, notify};
pub use vacuum::Vacuum;

/// After this many failures in a row, or crashes of its worker, a job is parked: left alone for half an hour, then for twice as long,
/// up to six hours, until it succeeds, a person steps in, or its source is written again.
pub const MAX_ATTEMPTS: i32 = 5;

/// Why a job was made, which is also how far it stands back for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The reconciler found the gap.
    Reconcile,
    /// A new space is filled.
    Rebuild,
}

impl Trigger {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Rebuild => "rebuild",
        }
    }

    /// Added to the order key: a rebuild never delays a fresh write and, since the key is a time, never starves.
    fn handicap_seconds(self) -> f64 {
        match self {
            Self::Reconcile => 300.0,
            Self::Rebuild => 3600.0,
        }
    }
}

/// A job in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The source whose vectors it makes true; with the space of its claim, its name.
    pub source: i64,
    /// What was wanted when it was claimed; more by the time it ends means that it runs again.
    pub wanted: i32,
    /// Tries of the present text that failed.
    pub attempts: i32,
    /// A worker died with it in its hands: it is called alone, so that the next death names its cause.
    pub suspect: bool,
    /// It is embedded again even where it has vectors.
    pub forced: bool,
    /// How many passages its source had when it was enqueued.
    pub passages: i32,
    /// The trace that its writer left, if that was traced.
    pub trace: Option<Trace>,
}

/// The jobs of one claim, and the token that holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Fresh with each claim.
    pub token: i64,
    /// The jobs, oldest order key first.
    pub jobs: Vec<Job>,
}

/// What a worker says of its embedder in its lease row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// `ok`, `waiting`, `down` or `disabled`.
    pub embedder: &'static str,
    /// Why, unless it is ok; or what keeps the model that is to replace it.
    pub reason: Option<String>,
}

/// Enqueues sources in the writer's transaction: (source, kind, passages). The jobs carry the trace of the span that this is called in.
pub async fn enqueue(on: &mut impl Run, units: impl Iterator<Item = (i64, SourceKind, i32)>) -> Result<(), DbError> {
    let (mut sources, mut kinds, mut items) = (Vec::new(), Vec::new(), Vec::new());
    for (source, kind, passages) in units {
        sources.push(source);
        kinds.push(kind.as_str());
        items.push(passages);
    }
    let trace = Trace::current();
    let (trace, span) = (trace.map(|trace| trace.id), trace.map(|trace| trace.span));
    on.run(sql!("enqueue"), parameters![sources, kinds, items, trace, span]).await?;
    Ok(())
}

/// Makes a worker's lease row, and returns its id.
pub async fn register(db: &Db, name: &str, lease_seconds: f64, locked: bool) -> Result<i64, DbError> {
    let rows = db.query_once(Role::Worker, sql!("register_worker"), parameters![name, lease_seconds, locked]).await?;
    Ok(rows[0].get("id"))
}

/// Stamps the lease. False: it was lost, and what the worker held is another's.
pub async fn heartbeat(db: &Db, worker: i64, lease_seconds: f64, standing: &Standing) -> Result<bool, DbError> {
    let parameters = parameters![worker, lease_seconds, standing.embedder, standing.reason];
    Ok(!db.run_as_worker(sql!("heartbeat"), parameters).await?.is_empty())
}

/// Gives back all that a worker holds, and removes its row.
pub async fn leave(db: &Db, worker: i64) -> Result<(), DbError> {
    db.run_once(Role::Worker, async |transaction| {
        transaction.query_typed(sql!("lock_worker_row"), parameters![worker]).await?;
        transaction.execute_typed(sql!("leave"), parameters![worker]).await?;
        Ok(())
    })
    .await
}

/// Notes that the call begins which holds this suspect alone. False: the lease was lost.
pub async fn call_alone(db: &Db, token: i64, job: &Job) -> Result<bool, DbError> {
    Ok(!db.run_as_worker(sql!("call_alone"), parameters![job.source, token]).await?.is_empty())
}

/// What became of the jobs that wait for their time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promoted {
    /// Jobs that are ready now.
    pub jobs: i64,
    /// In how many seconds the next one is due.
    pub next_in: Option<f64>,
}

/// Makes delayed and parked jobs ready whose time has come.
pub async fn promote(db: &Db) -> Result<Promoted, DbError> {
    let rows = db.run_as_worker(sql!("promote_delayed"), &[]).await?;
    Ok(Promoted { jobs: rows[0].get("promoted"), next_in: rows[0].get("next_in") })
}

/// Ends jobs of a claim whose vectors are all stored, and claims the next ones in the same statement if that is asked for. Returns how
/// many were still held.
pub(crate) async fn settle(
    on: &mut impl Run,
    space: SpaceId,
    token: i64,
    jobs: &[Job],
    next: Option<Next<'_>>,
) -> Result<(usize, Option<Claim>), DbError> {
    let sources: Vec<i64> = jobs.iter().map(|job| job.source).collect();
    let wanted: Vec<i32> = jobs.iter().map(|job| job.wanted).collect();
    let turn = Turn::beside(space, next);
    let parameters = [turn.parameters().as_slice(), parameters![sources, wanted, token]].concat();
    let rows = on.run(&claiming(sql!("settle")), &parameters).await?;
    Ok((rows[0].get::<_, i64>("settled") as usize, turn.end(&rows)))
}

/// Locks jobs that are about to be stored or given back, as far as this claim holds them still.
pub(crate) async fn hold(on: &mut impl Run, token: i64, sources: &[i64]) -> Result<(), DbError> {
    on.run(sql!("hold"), parameters![sources, token]).await?;
    Ok(())
}

/// Locks the jobs of sources that are about to be changed or forgotten.
pub(crate) async fn lock(transaction: &Transaction, sources: &[i64]) -> Result<(), DbError> {
    transaction.query_typed(sql!("lock_jobs"), parameters![sources]).await?;
    Ok(())
}

/// Gives jobs back: it was not their fault, and costs them nothing.
pub async fn give_back(db: &Db, token: i64, jobs: &[Job]) -> Result<(), DbError> {
    let sources: Vec<i64> = jobs.iter().map(|job| job.source).collect();
    let mut client = db.worker().await?;
    let mut transaction = client.begin().await?;
    hold(&mut transaction, token, &sources).await?;
    transaction.run(sql!("give_back"), parameters![sources, token]).await?;
    transaction.commit().await
}

/// Counts a failure against one job. Returns whether that parked it; `None` when the lease was lost.
pub async fn fail(db: &Db, token: i64, job: &Job, class: &str, error: &str) -> Result<Option<bool>, DbError> {
    let parameters = parameters![job.source, token, job.wanted, MAX_ATTEMPTS, class, error];
    let rows = db.run_as_worker(&recording_failures(sql!("fail")), parameters).await?;
    Ok(rows.first().map(|row| row.get("parked")))
}

/// What a reaping found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Dead workers.
    pub workers: i64,
    /// The jobs that they held.
    pub jobs: i64,
}

/// Gives back the jobs of dead workers. `worker` is the one that reaps, which is not dead.
pub async fn reap(db: &Db, worker: i64) -> Result<Reaped, DbError> {
    let parameters = parameters![worker, MAX_ATTEMPTS];
    db.run_once(Role::Worker, async |transaction| {
        let rows = transaction.query_typed(&recording_failures(sql!("reap")), parameters).await?;
        let dead: Vec<i64> = rows[0].get("workers");
        if !dead.is_empty() {
            transaction.execute_typed(sql!("bury_workers"), parameters![dead]).await?;
        }
        Ok(Reaped { workers: dead.len() as i64, jobs: rows[0].get("jobs") })
    })
    .await
}

/// What a step of the reconciler found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// Sources that were enqueued.
    pub found: i64,
    /// Whether the round through all passages is over.
    pub ended: bool,
    /// Whether this caller had the turn. Otherwise another worker is at it, and it is not known what there is to find.
    pub had_turn: bool,
}

/// Writes next to passages, vectors and labels who reads them, where a program of the version before did not, of at most `most` among the next `slice`
/// passages of the reconciler's round. Returns how many passages that were; `None`: another worker has the turn.
pub async fn align_readers(db: &Db, space: &Space, slice: i64, most: i64) -> Result<Option<i64>, DbError> {
    if space.dimension.is_none() {
        return Ok(Some(0));
    }
    let statement = on_space(sql!("align_readers"), space.id);
    let parameters = parameters![space.id.0, slice, most];
    Ok(db.query_once(Role::Worker, &statement, parameters).await?.first().map(|row| row.get("aligned")))
}

/// Enqueues the sources whose vectors are missing or stale in a space, of the next `slice` passages of the workers' common round.
pub async fn reconcile(db: &Db, space: &Space, trigger: Trigger, slice: i64) -> Result<Reconciled, DbError> {
    let (trigger, handicap) = (trigger.as_str(), trigger.handicap_seconds());
    let parameters = parameters![space.id.0, trigger, handicap, slice];
    db.run_once(Role::Worker, async |transaction| {
        if space.dimension.is_some() {
            let rows = transaction.query_typed(&on_space(sql!("reconcile"), space.id), parameters).await?;
            let found = rows.first().map(|row| (row.get("found"), row.get("ended")));
            let (enqueued, ended) = found.unwrap_or_default();
            Ok(Reconciled { found: enqueued, ended, had_turn: found.is_some() })
        } else {
            let found = transaction.execute_typed(sql!("reconcile_all"), parameters).await?;
            Ok(Reconciled { found: found.cast_signed(), ended: found < slice.unsigned_abs(), had_turn: true })
        }
    })
    .await
}
