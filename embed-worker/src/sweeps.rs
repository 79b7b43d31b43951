//! The sweeps: periodic maintenance of the queue and the data. Every worker runs all of them, and
//! no sweep blocks another worker's.

use std::error::Error;
use std::time::{Duration, Instant};

use pgrecall_access::audit;
use pgrecall_postgres::db::DbError;
use pgrecall_store::metrics::metrics;
use pgrecall_store::queue::{self, Reaped, Trigger};
use pgrecall_store::spaces::Space;
use pgrecall_store::{corpora, forget, spaces, versions};

use crate::Worker;

/// Interval of the reaper: a dead worker is detected this soon after its lease expires. A check
/// reads a few lease rows.
const REAP_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of the reconciler. It may be long, because writes enqueue their jobs in their own
/// transaction and gaps are rare.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(300);
/// Interval of the reconciler while a space is being filled, or while rows lack their readers.
const RECONCILE_BUILDING: Duration = Duration::from_secs(5);
/// Passages that one statement of the reconciler examines, which takes about ten milliseconds.
const SLICE: i64 = 10_000;
/// Passages whose readers are written in one transaction.
const ALIGNED: i64 = 500;
/// The most time that one sweep of the reconciler takes.
const RECONCILED_FOR: Duration = Duration::from_secs(2);
/// Interval of the counter. A corpus seldom grows by a tenth, but a first ingest creates one within
/// seconds; a check is an index-only scan.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// Interval of the retainer. The history has a partition for each day.
const RETAIN_INTERVAL: Duration = Duration::from_secs(3_600);

/// Gives back the jobs of dead workers.
pub async fn reap(worker: Worker) {
    loop {
        let reaped = queue::reap(worker.engine.db(), worker.id).await;
        if let Some(Reaped { workers, jobs: jobs @ 1.. }) = warn_of_failure(reaped, "the reaper failed; retrying") {
            metrics().count(&metrics().jobs, "reaped", jobs.unsigned_abs() as usize);
            tracing::warn!(workers, jobs, "jobs of dead workers went back to the queue");
            worker.wake.up();
        }
        if !pause(&worker, REAP_INTERVAL).await {
            return;
        }
    }
}

/// Enqueues the sources whose vectors are missing or stale. When a space that is being filled lacks
/// none, makes it the active one.
pub async fn reconcile(worker: Worker) {
    let mut space = worker.health.watch_space();
    loop {
        let current = space.borrow_and_update().clone();
        // The row decides, not this worker's copy: another worker may have created the space's
        // table while this worker's embedder is unavailable and its dimension unknown.
        let now = match spaces::read(worker.engine.db(), current.id).await {
            Ok(Some(now)) if !now.retired => now,
            Ok(_) => {
                tracing::info!(
                    space = current.id.0,
                    "the embedding space was replaced; no more vectors are stored in it"
                );
                return;
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn Error, "the space could not be read");
                current.clone()
            }
        };
        if now.active && !current.active {
            worker.health.activated();
        }
        let reconciled = reconcile_for_a_while(&worker, &now).await;
        let (found, aligned) = warn_of_failure(reconciled, "the reconciler failed; retrying").unwrap_or_default();
        // In a space without a table, every source has its job by now, and later writes enqueue
        // their own.
        let waits_for_its_model = now.dimension.is_none() && found == 0;
        let every =
            if (now.active || waits_for_its_model) && !aligned { RECONCILE_INTERVAL } else { RECONCILE_BUILDING };
        tokio::select! {
            () = worker.stop.cancelled() => return,
            _ = space.changed() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Reconciles slice after slice until the round or the time is over; the next sweep continues
/// there, on any worker. Returns how many sources were enqueued, and whether readers were written
/// for any row.
async fn reconcile_for_a_while(worker: &Worker, space: &Space) -> Result<(i64, bool), DbError> {
    let db = worker.engine.db();
    let trigger = if space.active { Trigger::Reconcile } else { Trigger::Rebuild };
    let begun = Instant::now();
    let (mut found, mut aligned) = (0, false);
    let is_over = || begun.elapsed() > RECONCILED_FOR || worker.stop.is_cancelled();
    'sweep: loop {
        // The round moves on only when the whole slice is aligned, because a row that it passes
        // waits for the next round.
        loop {
            match queue::align_readers(db, space, SLICE, ALIGNED).await? {
                None => break 'sweep,
                Some(0) => break,
                Some(_) => aligned = true,
            }
            if is_over() {
                break 'sweep;
            }
        }
        let step = queue::reconcile(db, space, trigger, SLICE).await?;
        found += step.found;
        if step.found > 0 {
            worker.wake.up();
        }
        if step.ended && found == 0 && !space.active && space.dimension.is_some() {
            activate(worker, space).await?;
        }
        if step.ended || !step.had_turn || is_over() {
            break;
        }
    }
    if found > 0 {
        metrics().reconciled.inc_by(found.unsigned_abs());
        tracing::info!(found, "sources without their vectors were enqueued");
    }
    Ok((found, aligned))
}

/// Builds the index of a space that lacks no vector, and makes the space active.
async fn activate(worker: &Worker, space: &Space) -> Result<(), DbError> {
    let db = worker.engine.db();
    if spaces::mark_if_complete(db, space).await?
        && spaces::index::build(worker.engine.session_dsn(), db, space).await?
        // Check again: building the index takes time, and new writes may have arrived.
        && spaces::mark_if_complete(db, space).await?
    {
        spaces::switch_to(db, space).await?;
        tracing::info!(
            space = space.id.0,
            model = space.model.model,
            "the new embedding space is complete and now active"
        );
        worker.health.activated();
    }
    Ok(())
}

/// Recounts the corpora that have changed.
pub async fn count(worker: Worker) {
    loop {
        let counted = corpora::recount(worker.engine.db()).await;
        if let Some(corpora @ 1..) = warn_of_failure(counted, "counting the frequent words failed") {
            tracing::debug!(corpora, "the frequent words were counted");
        }
        if !pause(&worker, COUNT_INTERVAL).await {
            return;
        }
    }
}

/// Drops history and deleted data that are past their retention.
pub async fn retain(worker: Worker) {
    let (db, config) = (worker.engine.db(), worker.engine.config());
    let kept = config.memory.embedding.keep_replaced;
    let days = i32::try_from(config.apigateway.embed_jobs.retention_days).unwrap_or(i32::MAX);
    let audit_days = i32::try_from(config.server.audit_days).unwrap_or(i32::MAX);
    let keeps_forgotten = worker.engine.keeps_forgotten();
    loop {
        // With 0 no calls are recorded. Entries from before stay.
        if audit_days > 0 {
            warn_of_failure(audit::retain(db, audit_days).await, "deleting old audit entries failed; retrying later");
        }
        let dropped = corpora::retain(db, days).await;
        if let Some(dropped @ 1..) = warn_of_failure(dropped, "the retainer failed; retrying") {
            tracing::info!(dropped, "history past its retention was dropped");
        }
        let versions = versions::retain(db, keeps_forgotten).await;
        warn_of_failure(versions, "deleting expired versions failed; retrying later");
        let forgotten = forget::retain(db, keeps_forgotten).await;
        warn_of_failure(forgotten, "deleting expired forgotten records failed; retrying later");
        let dropped = spaces::drop_retired(db, kept).await;
        if let Some(dropped @ 1..) = warn_of_failure(dropped, "deleting the vectors of a replaced model failed") {
            tracing::info!(dropped, "the vectors of replaced models were dropped");
        }
        if !pause(&worker, RETAIN_INTERVAL).await {
            return;
        }
    }
}

/// Vacuums the queue while this worker empties it.
pub async fn vacuum(worker: Worker) {
    let (session, db) = (worker.engine.session_dsn(), worker.engine.db());
    worker.stop.run_until_cancelled(worker.vacuum.keep_on(session, db)).await;
}

/// Waits for `every`. False: the worker stops.
async fn pause(worker: &Worker, every: Duration) -> bool {
    worker.stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some()
}

/// Logs the failure of a statement, which the next sweep repeats. Returns the value of one that
/// succeeded.
fn warn_of_failure<T>(result: Result<T, DbError>, failure: &str) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(error = error as &dyn Error, "{failure}")).ok()
}
