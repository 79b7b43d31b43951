//! The pipeline: claim, embed, store, again and again.
//!
//! No transaction and no pooled connection is held across a call to the embedder. What a claim's calls bring is stored call by call
//! ([`work`](crate::work)), so that whatever ends this worker costs the work of one call.

use std::collections::VecDeque;
use std::time::Duration;

use pgrecall_postgres::db::DbError;
use pgrecall_store::metrics::{metrics, timed};
use pgrecall_store::queue::{self, Claim, Job};
use pgrecall_store::spaces::SpaceId;
use pgrecall_store::vectors;
use tracing::{Instrument, debug_span};

use crate::Worker;
use crate::batch;
use crate::claim_runner::ClaimRunner;

/// Jobs in a claim, as a multiple of the batch size: more to sort by length, and still little to give back.
const BATCHES_A_CLAIM: usize = 4;
/// After a statement failed.
const PAUSE: Duration = Duration::from_secs(1);

/// What one [`step`] came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// There was nothing to claim; the next delayed job is due in this many seconds.
    Idle(Option<f64>),
    /// A claim was worked off.
    Worked {
        /// Vectors stored.
        stored: i64,
        /// Jobs ended.
        settled: usize,
        /// The next jobs, which were claimed when the last of these ended.
        next: Option<Claim>,
    },
    /// The embedder went away, or the worker stops; what was left of the claim was given back.
    EmbedderAway,
}

/// Steps until the worker stops.
pub async fn run(worker: Worker) {
    let poll = worker.engine.config().apigateway.embed_jobs.poll_interval;
    let usable = async || {
        worker.health.ready().await;
        worker.client.available().await;
    };
    let mut claimed = None;
    loop {
        // With jobs in hand there is no waiting for the embedder: its call says how it is, and they go back if it is away.
        if claimed.is_none() {
            tokio::select! {
                () = worker.stop.cancelled() => return,
                () = usable() => {}
            }
        }
        let wait = match step(&worker, claimed.take()).await {
            Ok(Step::Idle(next)) => next.map_or(poll, |seconds| poll.min(Duration::from_secs_f64(seconds.max(0.05)))),
            Ok(Step::Worked { next, .. }) => {
                claimed = next;
                continue;
            }
            Ok(Step::EmbedderAway) => continue,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a step of the pipeline failed; its jobs come back"
                );
                PAUSE
            }
        };
        tokio::select! {
            () = worker.stop.cancelled() => return,
            () = worker.wake.wait() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Works a claim off: the one in hand, or else the next.
pub async fn step(worker: &Worker, claimed: Option<Claim>) -> Result<Step, DbError> {
    let db = worker.engine.db();
    let size = worker.engine.config().apigateway.embed_jobs.batch_size;
    let space = worker.health.space();
    let limit = (size * BATCHES_A_CLAIM) as i64;
    let claimed = match claimed {
        None => {
            timed(&metrics().claim_seconds, worker.claims.claim(db, space.id, limit)).await.inspect_err(|error| {
                if error.is_uncertain() {
                    // The claim may be committed, and nobody here has its token: only the end of the session gives such jobs back.
                    worker.session.cancel();
                }
            })?
        }
        claimed => claimed,
    };
    let Some(claim) = claimed else {
        let promoted = queue::promote(db).await?;
        let next = if promoted.jobs > 0 { Some(0.0) } else { promoted.next_in };
        let again = worker.claims.look_again().map(|wait| wait.as_secs_f64());
        return Ok(Step::Idle([next, again].into_iter().flatten().reduce(f64::min)));
    };
    metrics().count(&metrics().jobs, "claimed", claim.jobs.len());
    match work_off(worker, &claim, space.id, size, limit)
        .instrument(debug_span!("claim", token = claim.token, jobs = claim.jobs.len()))
        .await
    {
        Ok(step) => Ok(step),
        Err(error) => {
            // The statement that failed left the claim as it was; give it back rather than wait for the lease to run out.
            if queue::give_back(db, claim.token, &claim.jobs).await.is_err() {
                // While this worker's heart beats, nobody else would take them: the end of the session gives them back.
                worker.session.cancel();
            }
            Err(error)
        }
    }
}

/// Works a claim off, part by part; with the last one the next `limit` jobs are claimed.
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
            // It has given back what was left of its part.
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
