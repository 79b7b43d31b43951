//! The pipeline: claim, embed, store, in a loop.
//!
//! No transaction and no pooled connection is held during a call to the embedder. The vectors of
//! each call are stored before the next call (`claim_runner`), so a crash of this worker costs the
//! work of one call.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrecall_embedder::{ClientOptions, EmbedClient, Provider};
use pgrecall_postgres::db::DbError;
use pgrecall_store::metrics::{metrics, timed};
use pgrecall_store::queue::{self, Claim, Job};
use pgrecall_store::spaces::SpaceId;
use pgrecall_store::vectors;
use tracing::{Instrument, debug_span};

use crate::Worker;
use crate::batch;
use crate::claim_runner::{ClaimRunner, Step};

/// Jobs in a claim, as a multiple of the batch size: large enough to sort texts by length, and
/// small enough to give back quickly.
const BATCHES_A_CLAIM: usize = 4;
/// The most passages in a claim of several jobs: enough to sort them by length, and few enough that
/// other callers' documents do not wait long.
pub(crate) const MAX_PASSAGES_PER_CLAIM: i64 = 512;
/// The most passages of a claim ahead, which delays the documents in progress by about one call.
const MAX_PASSAGES_AHEAD: i64 = 32;
/// Interval of the claims ahead where no notification arrives.
const AHEAD_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after a failed statement.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Repeats [`step`] until the worker stops.
pub async fn run(worker: Worker) {
    let poll = worker.engine.config().apigateway.embed_jobs.poll_interval;
    let mut claimed = None;
    loop {
        // With jobs in hand the loop does not wait for the embedder: the call shows whether it is
        // available, and the jobs are given back if it is not.
        if claimed.is_none() && !is_usable(&worker).await {
            return;
        }
        let wait = match step(&worker, claimed.take()).await {
            Ok(Step::Idle(next)) => next.map_or(poll, |seconds| poll.min(Duration::from_secs_f64(seconds.max(0.05)))),
            Ok(Step::Worked { next, .. }) => {
                claimed = next;
                continue;
            }
            Ok(Step::EmbedderAway) => continue,
            Err(error) => {
                warn(&error);
                RETRY_DELAY
            }
        };
        worker.idle_loops.fetch_add(1, Ordering::Relaxed);
        let goes_on = wait_for_jobs(&worker, wait).await;
        worker.idle_loops.fetch_sub(1, Ordering::Relaxed);
        if !goes_on {
            return;
        }
    }
}

/// Repeats [`step_ahead`] until the worker stops, so that a record that a caller has just written
/// does not wait until a loop has finished its claim of documents.
pub async fn run_ahead(worker: Worker) {
    if !is_usable(&worker).await {
        return;
    }
    let worker = with_own_slot(worker);
    while is_usable(&worker).await {
        match step_ahead(&worker).await {
            Ok(Step::Worked { .. } | Step::EmbedderAway) => continue,
            Ok(Step::Idle(_)) => {}
            Err(error) => warn(&error),
        }
        if !wait_for_jobs(&worker, AHEAD_INTERVAL).await {
            return;
        }
    }
}

/// Returns the worker with a client of its own if the model runs in this process, so that its calls
/// do not wait for those of the other loops. A server gets no more calls at once than are
/// configured.
fn with_own_slot(worker: Worker) -> Worker {
    if worker.client.model().provider != Provider::Local {
        return worker;
    }
    let timeout = worker.engine.config().apigateway.embed_jobs.embed_timeout;
    let dimension = worker.client.dimension();
    let options = ClientOptions { name: "fresh", dimension, ..ClientOptions::worker(timeout, 1) };
    let client = EmbedClient::new(Arc::clone(worker.client.embedder()), options);
    Worker { client, ..worker }
}

/// Waits until the embedder can be used. False: the worker stops.
async fn is_usable(worker: &Worker) -> bool {
    let usable = async {
        worker.health.ready().await;
        worker.client.available().await;
    };
    worker.stop.run_until_cancelled(usable).await.is_some()
}

/// Waits for a notification, at most this long. False: the worker stops.
async fn wait_for_jobs(worker: &Worker, most: Duration) -> bool {
    tokio::select! {
        () = worker.stop.cancelled() => return false,
        () = worker.wake.wait() => {}
        () = tokio::time::sleep(most) => {}
    }
    true
}

fn warn(error: &DbError) {
    tracing::warn!(error = error as &dyn Error, "a step of the pipeline failed; its jobs return to the queue");
}

/// Processes one claim: the given one, or else a new one.
pub async fn step(worker: &Worker, claimed: Option<Claim>) -> Result<Step, DbError> {
    let db = worker.engine.db();
    let limit = (worker.engine.config().apigateway.embed_jobs.batch_size * BATCHES_A_CLAIM) as i64;
    let claimed = match claimed {
        None => try_claim(worker, worker.claims.claim(db, worker.health.space().id, limit)).await?,
        claimed => claimed,
    };
    if let Some(claim) = claimed {
        return process(worker, &claim, limit).await;
    }
    let promoted = queue::promote(db).await?;
    let next = if promoted.jobs > 0 { Some(0.0) } else { promoted.next_in };
    let again = worker.claims.next_sweep_in().map(|wait| wait.as_secs_f64());
    Ok(Step::Idle([next, again].into_iter().flatten().reduce(f64::min)))
}

/// Claims single writes ahead and processes them, if all loops are busy.
pub async fn step_ahead(worker: &Worker) -> Result<Step, DbError> {
    if worker.idle_loops.load(Ordering::Relaxed) > 0 {
        return Ok(Step::Idle(None));
    }
    let claiming = worker.claims.claim_ahead(worker.engine.db(), worker.health.space().id, MAX_PASSAGES_AHEAD);
    match try_claim(worker, claiming).await? {
        Some(claim) => process(worker, &claim, 0).await,
        None => Ok(Step::Idle(None)),
    }
}

async fn try_claim(
    worker: &Worker,
    claiming: impl Future<Output = Result<Option<Claim>, DbError>>,
) -> Result<Option<Claim>, DbError> {
    timed(&metrics().claim_seconds, claiming).await.inspect_err(|error| {
        if error.is_uncertain() {
            // The claim may be committed although its token is unknown here. Only the end of the
            // session returns these jobs.
            worker.session.cancel();
        }
    })
}

/// Processes a claim. The last store claims the next `limit` jobs; 0 claims none.
async fn process(worker: &Worker, claim: &Claim, limit: i64) -> Result<Step, DbError> {
    metrics().count(&metrics().jobs, "claimed", claim.jobs.len());
    let size = worker.engine.config().apigateway.embed_jobs.batch_size;
    let span = debug_span!("claim", token = claim.token, jobs = claim.jobs.len());
    let step = work_off(worker, claim, worker.health.space().id, size, limit).instrument(span).await;
    // A failed statement did not change the claim. Give the claim back, because otherwise its jobs
    // wait until the lease expires.
    if step.is_err() && queue::give_back(worker.engine.db(), claim.token, &claim.jobs).await.is_err() {
        // While this worker renews its lease, no other worker takes these jobs. The end of the
        // session returns them.
        worker.session.cancel();
    }
    step
}

/// Processes a claim part by part. The last store of the last part claims the next `limit` jobs.
async fn work_off(worker: &Worker, claim: &Claim, space: SpaceId, size: usize, limit: i64) -> Result<Step, DbError> {
    let db = worker.engine.db();
    let (mut all_stored, mut all_settled, mut claimed) = (0, 0, None);
    let mut parts = VecDeque::from(batch::parts(claim));
    while let Some(part) = parts.pop_front() {
        let reading = vectors::pending_passages(db, space, &part, worker.engine.limit());
        let pending = reading.instrument(debug_span!("read")).await?;
        let limit = if parts.is_empty() { limit } else { 0 };
        match ClaimRunner::new(worker, &part, pending, size, limit).run().await? {
            Step::Worked { stored, settled, next } => {
                all_stored += stored;
                all_settled += settled;
                claimed = next;
            }
            // The runner has given back the rest of its own part.
            ended => {
                let rest: Vec<Job> = parts.into_iter().flat_map(|part| part.jobs).collect();
                if !rest.is_empty() {
                    metrics().count(&metrics().jobs, "given_back", rest.len());
                    queue::give_back(db, claim.token, &rest).await?;
                }
                return Ok(ended);
            }
        }
    }
    Ok(Step::Worked { stored: all_stored, settled: all_settled, next: claimed })
}
