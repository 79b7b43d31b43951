//! The pipeline: claim, embed, store, again and again.
//!
//! No transaction and no pooled connection is held across a call to the embedder. Each call's vectors are stored as soon as they are
//! there, so that whatever ends this worker costs the work of one call.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use shared::db::DbError;
use shared::embedder::{EmbedError, FailureClass, Purpose};
use shared::queue::{self, Claim, Job};
use shared::store::{self, Pending};

use crate::Worker;
use crate::batch;

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
    },
    /// The embedder went away; what was left of the claim was given back.
    EmbedderAway,
}

/// Steps until the worker stops.
pub async fn run(worker: Worker) {
    let poll = worker.engine.config().apigateway.embed_jobs.poll_interval;
    loop {
        tokio::select! {
            () = worker.stop.cancelled() => return,
            () = worker.health.ready() => {}
        }
        let wait = match step(&worker).await {
            Ok(Step::Idle(next)) => next.map_or(poll, |seconds| poll.min(Duration::from_secs_f64(seconds.max(0.05)))),
            Ok(Step::Worked { .. } | Step::EmbedderAway) => continue,
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

/// Claims once, and works the claim off.
pub async fn step(worker: &Worker) -> Result<Step, DbError> {
    let db = worker.engine.db();
    let size = worker.engine.config().apigateway.embed_jobs.batch_size;
    let space = worker.health.space();
    let limit = (size * BATCHES_A_CLAIM) as i64;
    let Some(claim) = queue::claim(db, worker.id, space.id, limit).await? else {
        return Ok(Step::Idle(queue::promote(db).await?));
    };
    let worked = async {
        let pending = store::pending_passages(db, space.id, &claim, worker.engine.limit()).await?;
        let mut work = Work::new(worker, &claim, pending, size);
        work.settle_what_needs_nothing().await?;
        work.off().await
    };
    match worked.await {
        Ok(step) => Ok(step),
        Err(error) => {
            // The statement that failed left the claim as it was; give it back rather than wait for the lease to run out.
            queue::give_back(db, claim.token, &claim.jobs).await.ok();
            Err(error)
        }
    }
}

/// The name of a failure's class in the database and in metrics.
fn class_name(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Transient => "transient",
        FailureClass::RefusedBatch => "refused",
        FailureClass::TooLong => "too_long",
        FailureClass::Misconfigured => "misconfigured",
        FailureClass::BadVector => "bad_vector",
        FailureClass::Disabled => "disabled",
    }
}

/// A claim, and how far it is.
struct Work<'a> {
    worker: &'a Worker,
    claim: &'a Claim,
    calls: VecDeque<Vec<Pending>>,
    /// Passages that each job still waits for.
    left: HashMap<i64, usize>,
    /// Jobs that failed: their passages are not embedded any more.
    failed: HashSet<i64>,
    stored: i64,
    settled: usize,
}

impl<'a> Work<'a> {
    fn new(worker: &'a Worker, claim: &'a Claim, pending: Vec<Pending>, size: usize) -> Self {
        let mut left: HashMap<i64, usize> = claim.jobs.iter().map(|job| (job.source, 0)).collect();
        for passage in &pending {
            *left.entry(passage.source).or_default() += 1;
        }
        let calls = batch::pack(pending, size).into();
        Self { worker, claim, calls, left, failed: HashSet::new(), stored: 0, settled: 0 }
    }

    /// Ends the jobs whose vectors are all there already.
    async fn settle_what_needs_nothing(&mut self) -> Result<(), DbError> {
        let done: Vec<Job> = self.claim.jobs.iter().filter(|job| self.left[&job.source] == 0).cloned().collect();
        self.store(&[], &done).await
    }

    /// Makes the calls, one after the other.
    async fn off(mut self) -> Result<Step, DbError> {
        while let Some(call) = self.calls.pop_front() {
            let call: Vec<Pending> = call.into_iter().filter(|p| !self.failed.contains(&p.source)).collect();
            if call.is_empty() {
                continue;
            }
            let texts: Vec<String> = call.iter().map(|passage| passage.text.clone()).collect();
            let embedded = tokio::select! {
                () = self.worker.stop.cancelled() => {
                    self.give_back().await?;
                    return Ok(Step::EmbedderAway);
                }
                embedded = self.worker.client.embed(Purpose::Passage, texts) => embedded,
            };
            match embedded {
                Ok(vectors) => {
                    let embedded: Vec<(&Pending, Vec<f32>)> = call.iter().zip(vectors).collect();
                    let done = self.count_down(&call);
                    self.store(&embedded, &done).await?;
                }
                Err(error) if self.may_be_one_texts_fault(&error) => self.split_or_fail(call, &error).await?,
                Err(error) => {
                    self.worker.health.down(error.to_string());
                    self.give_back().await?;
                    return Ok(Step::EmbedderAway);
                }
            }
        }
        Ok(Step::Worked { stored: self.stored, settled: self.settled })
    }

    /// The jobs that have no passage left once this call is stored.
    fn count_down(&mut self, call: &[Pending]) -> Vec<Job> {
        for passage in call {
            *self.left.entry(passage.source).or_default() -= 1;
        }
        let touched: HashSet<i64> = call.iter().map(|passage| passage.source).collect();
        let done = self.claim.jobs.iter().filter(|job| touched.contains(&job.source) && self.left[&job.source] == 0);
        done.cloned().collect()
    }

    async fn store(&mut self, embedded: &[(&Pending, Vec<f32>)], done: &[Job]) -> Result<(), DbError> {
        if embedded.is_empty() && done.is_empty() {
            return Ok(());
        }
        let space = self.worker.health.space().id;
        let outcome = store::store(self.worker.engine.db(), space, self.claim, embedded, done).await?;
        if outcome.dropped > 0 || outcome.lost > 0 {
            tracing::info!(dropped = outcome.dropped, lost = outcome.lost, "vectors came too late and were not stored");
        }
        self.stored += outcome.stored;
        self.settled += outcome.settled;
        Ok(())
    }

    fn may_be_one_texts_fault(&self, error: &EmbedError) -> bool {
        matches!(error.class(), FailureClass::RefusedBatch | FailureClass::TooLong | FailureClass::BadVector)
    }

    /// Halves a refused call until the one bad text stands alone; that one fails, and only its job with it.
    async fn split_or_fail(&mut self, mut call: Vec<Pending>, error: &EmbedError) -> Result<(), DbError> {
        if call.len() > 1 {
            let second = call.split_off(call.len() / 2);
            self.calls.push_front(second);
            self.calls.push_front(call);
            return Ok(());
        }
        let Some(job) = self.claim.jobs.iter().find(|job| job.source == call[0].source) else { return Ok(()) };
        self.failed.insert(job.source);
        let class = class_name(error.class());
        let last = queue::fail(self.worker.engine.db(), self.claim.token, job, class, &error.to_string()).await?;
        if last == Some(true) {
            tracing::error!(
                job.id = job.id,
                error.class = class,
                "a source could not be embedded and was given up: see `mcp-server status`"
            );
        }
        Ok(())
    }

    /// Gives back the jobs that are neither done nor failed.
    async fn give_back(&self) -> Result<(), DbError> {
        let open = |job: &&Job| self.left[&job.source] > 0 && !self.failed.contains(&job.source);
        let jobs: Vec<Job> = self.claim.jobs.iter().filter(open).cloned().collect();
        queue::give_back(self.worker.engine.db(), self.claim.token, &jobs).await
    }
}
