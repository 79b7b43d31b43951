//! The sweeps: what keeps the queue true while nobody looks. Each runs on every worker, and none gets in another's way.

use std::time::Duration;

use shared::queue::{self, Trigger};
use shared::{corpora, spaces};

use crate::Worker;

/// A worker that died is noticed within this, or within another lease where that is shorter, after its lease ran out.
const REAP: Duration = Duration::from_secs(30);
/// The embedded database's workers die often, with their host, and their locks tell at once.
const REAP_EMBEDDED: Duration = Duration::from_secs(2);
/// Gaps are rare: writes enqueue in their own transaction.
const RECONCILE: Duration = Duration::from_secs(300);
/// While a space is being built.
const RECONCILE_BUILDING: Duration = Duration::from_secs(5);
/// Sources that one sweep enqueues.
const RECONCILED_AT_ONCE: i64 = 5_000;
/// Corpora grow by a tenth seldom, but a first ingest makes one within seconds; looking is an index-only scan.
const COUNT: Duration = Duration::from_secs(10);
/// The history has a partition a day.
const RETAIN: Duration = Duration::from_secs(3_600);

/// Gives back the jobs of dead workers.
pub async fn reap(worker: Worker) {
    let lease = worker.engine.config().apigateway.embed_jobs.lease_duration;
    let every = if worker.engine.is_embedded() { REAP_EMBEDDED } else { REAP.min(lease) };
    loop {
        match queue::reap(worker.engine.db(), worker.id).await {
            Ok(reaped) if reaped.jobs > 0 => {
                tracing::warn!(
                    workers = reaped.workers,
                    jobs = reaped.jobs,
                    "jobs of dead workers went back to the queue"
                );
                worker.wake.up();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the reaper failed and tries again"),
        }
        if !pause(&worker, every).await {
            return;
        }
    }
}

/// Enqueues what is missing or stale and, when nothing is, makes a space that was being built the active one.
pub async fn reconcile(worker: Worker) {
    let mut space = worker.health.watch_space();
    loop {
        let current = space.borrow_and_update().clone();
        let trigger = if current.active { Trigger::Reconcile } else { Trigger::Rebuild };
        match queue::reconcile(worker.engine.db(), &current, trigger, RECONCILED_AT_ONCE).await {
            Ok(0) if !current.active && current.dimension.is_some() => {
                match spaces::activate_when_whole(worker.engine.db(), &current).await {
                    Ok(true) => {
                        tracing::info!(
                            space = current.id.0,
                            "the new embedding space is whole and answers queries now"
                        );
                        worker.health.activated();
                    }
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "the new space was not activated")
                    }
                }
            }
            Ok(0) => {}
            Ok(found) => {
                tracing::info!(found, "sources without their vectors were enqueued");
                worker.wake.up();
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the reconciler failed and tries again")
            }
        }
        let every = if current.active { RECONCILE } else { RECONCILE_BUILDING };
        tokio::select! {
            () = worker.stop.cancelled() => return,
            _ = space.changed() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Counts the corpora that have changed.
pub async fn count(worker: Worker) {
    loop {
        match corpora::recount(worker.engine.db()).await {
            Ok(0) => {}
            Ok(corpora) => tracing::debug!(corpora, "the frequent words were counted"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the words were not counted"),
        }
        if !pause(&worker, COUNT).await {
            return;
        }
    }
}

/// Drops history that is past its retention.
pub async fn retain(worker: Worker) {
    let days = i32::try_from(worker.engine.config().apigateway.embed_jobs.retention_days).unwrap_or(i32::MAX);
    loop {
        match corpora::retain(worker.engine.db(), days).await {
            Ok(0) => {}
            Ok(dropped) => tracing::info!(dropped, "history past its retention was dropped"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the retainer failed and tries again")
            }
        }
        if !pause(&worker, RETAIN).await {
            return;
        }
    }
}

/// False: the worker stops.
async fn pause(worker: &Worker, every: Duration) -> bool {
    tokio::select! {
        () = worker.stop.cancelled() => false,
        () = tokio::time::sleep(every) => true,
    }
}
