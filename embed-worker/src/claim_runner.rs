//! Runs a part of a claim: its calls to the embedder one after the other, and the outcome of each.
//!
//! Every failure is charged to its cause. An unavailable embedder costs no job an attempt: the
//! runner holds the claim for a short time, and releases it if the embedder does not return. A
//! rejected call is bisected until the failing text is isolated; only its job fails (decision 13),
//! after the job's other passages are embedded. If both halves of a rejected call are embedded, the
//! call was too large, and further calls are smaller.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use pgrecall_embedder::{EmbedError, FailureClass, Purpose};
use pgrecall_postgres::db::DbError;
use pgrecall_process::telemetry::link_to_current;
use pgrecall_store::metrics::{metrics, timed};
use pgrecall_store::queue::{self, Claim, Job, Next};
use pgrecall_store::vectors::{self, Pending};
use tracing::{Instrument, Span, debug_span, field};

use crate::Worker;
use crate::batch;
use crate::call::{Call, Half, MAX_ISOLATED_FAILURES, NextStep};
use crate::call_size::Size;

/// The outcome of one step of the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// There was nothing to claim. The next job is due, or the next claim worth trying, in this
    /// many seconds.
    Idle(Option<f64>),
    /// A claim was processed.
    Worked {
        /// Vectors stored.
        stored: i64,
        /// Jobs ended.
        settled: usize,
        /// The next jobs, claimed in the transaction that ended the last of these.
        next: Option<Claim>,
    },
    /// The embedder became unavailable, or the worker stops. The rest of the claim was given back.
    EmbedderAway,
}

/// How long a claim is held while the embedder is unavailable. A restart or a short burst of
/// refusals then does not send the jobs through the queue again.
const CLAIM_HOLD_TIMEOUT: Duration = Duration::from_secs(15);
/// After this many passages of one job that the embedder refuses, the job's other passages wait for
/// its next attempt: each refusal costs several calls.
const MAX_REFUSED_PASSAGES: usize = 16;

/// A part of a claim, and its progress.
pub(crate) struct ClaimRunner<'a> {
    worker: &'a Worker,
    claim: &'a Claim,
    calls: VecDeque<Call>,
    /// The number of passages of each source that have no vector yet.
    left: HashMap<i64, usize>,
    /// Sources that are no longer in the claim: their jobs failed, or another worker has them.
    out: HashSet<i64>,
    /// The failures that are charged to jobs at the end of the claim, by source.
    failures: BTreeMap<i64, JobFailure>,
    stored: i64,
    settled: usize,
    /// How many jobs the last store claims, and the jobs that it claimed.
    limit: i64,
    next: Option<Claim>,
    /// The span of each job whose writer was traced, by source.
    traced: HashMap<i64, Span>,
}

/// Why a job fails: the error of the first of its passages that the embedder refuses.
struct JobFailure {
    class: &'static str,
    message: String,
    /// How many of the job's passages were refused.
    passages: usize,
}

impl<'a> ClaimRunner<'a> {
    /// Packs the texts into calls of at most `texts`, or fewer if the embedder takes fewer. The store of the last call claims the next
    /// `limit` jobs; 0 claims none.
    pub(crate) fn new(worker: &'a Worker, claim: &'a Claim, pending: Vec<Pending>, texts: usize, limit: i64) -> Self {
        let mut left: HashMap<i64, usize> = claim.jobs.iter().map(|job| (job.source, 0)).collect();
        for passage in &pending {
            *left.entry(passage.source).or_default() += 1;
        }
        let size = Size { texts, bytes: batch::MAX_BYTES }.within(worker.sizes.most());
        let packed = worker.history.pack(pending, size).into_iter();
        let calls = packed.map(|(passages, failures)| Call::new(passages, failures)).collect();
        let traced = claim.jobs.iter().filter_map(|job| Some((job.source, traced(job, left[&job.source])?))).collect();
        let (out, failures) = (HashSet::new(), BTreeMap::new());
        Self { worker, claim, calls, left, out, failures, stored: 0, settled: 0, limit, next: None, traced }
    }

    /// Makes the calls, one after the other.
    pub(crate) async fn run(mut self) -> Result<Step, DbError> {
        self.settle_what_needs_nothing().await?;
        while let Some(mut call) = self.calls.pop_front() {
            call.passages.retain(|passage| !self.out.contains(&passage.source));
            if call.passages.is_empty() || self.charge_pending_failure(&call) || !self.mark_isolated_call(&call).await?
            {
                continue;
            }
            if self.is_too_large(&call) {
                self.halve(call, None);
                continue;
            }
            let texts: Vec<String> = call.passages.iter().map(|passage| passage.text.clone()).collect();
            let span = debug_span!("embed", texts = texts.len());
            let called =
                timed(&metrics().embed_seconds, self.worker.client.embed(Purpose::Passage, texts)).instrument(span);
            let Some(embedded) = self.worker.stop.run_until_cancelled(called).await else {
                return self.give_back().await;
            };
            let outcome = embedded.as_ref().map_or_else(|error| class_name(error.class()), |_| "ok");
            metrics().count(&metrics().calls, outcome, 1);
            match embedded {
                Ok(vectors) => {
                    self.learn_size(&call);
                    self.store(&call.passages, vectors).await?;
                }
                Err(error) if is_a_texts_fault(&error) => self.halve_or_fail(call, &error),
                Err(error) if self.embedder_returns(&error).await => {
                    if !self.try_again(call, &error) {
                        return self.give_back().await;
                    }
                }
                Err(error) => {
                    self.worker.history.record(&call.passages, call.failures, error);
                    return self.give_back().await;
                }
            }
        }
        self.fail_jobs().await?;
        Ok(Step::Worked { stored: self.stored, settled: self.settled, next: self.next })
    }

    /// Ends the jobs whose vectors exist already.
    async fn settle_what_needs_nothing(&mut self) -> Result<(), DbError> {
        let done: Vec<Job> = self.claim.jobs.iter().filter(|job| self.left[&job.source] == 0).cloned().collect();
        if done.is_empty() { Ok(()) } else { self.store_and_settle(&[], &done).await }
    }

    /// Charges the failure to an isolated text whose last failure released the claim, once the
    /// embedder has recovered. False: nothing was charged.
    fn charge_pending_failure(&mut self, call: &Call) -> bool {
        let [passage] = call.passages.as_slice() else { return false };
        if call.failures < MAX_ISOLATED_FAILURES || !self.worker.client.breaker().is_closed() {
            return false;
        }
        let Some(error) = self.worker.history.last_error(passage) else { return false };
        self.charge(passage, &error);
        true
    }

    /// Whether the embedder takes no call of this size, as an earlier call of this claim showed.
    fn is_too_large(&self, call: &Call) -> bool {
        let size = Size::of(&call.passages);
        size.texts > 1 && size != size.within(self.worker.sizes.most())
    }

    /// Records the size of an embedded call, and that of the refused call of which it was the second
    /// half.
    fn learn_size(&mut self, call: &Call) {
        let sizes = &self.worker.sizes;
        sizes.passed(Size::of(&call.passages));
        match call.half_of {
            Some(half) if half.cut_passages != self.worker.client.cut_passages() => {}
            Some(half) if half.other_passed => sizes.refused(half.size),
            // The second half is the next call, unless the first one was halved, too.
            Some(half) => {
                if let Some(other) = self.calls.front_mut().and_then(|next| next.half_of.as_mut())
                    && other.size == half.size
                {
                    other.other_passed = true;
                }
            }
            None => {}
        }
    }

    /// Marks the call of a suspect before it is sent: if the worker dies now, the crash counts
    /// against this job alone. False: the lease was lost.
    async fn mark_isolated_call(&mut self, call: &Call) -> Result<bool, DbError> {
        let Some(suspect) = self.job_of(call.passages[0].source).filter(|job| job.suspect) else { return Ok(true) };
        let held = queue::call_alone(self.worker.engine.db(), self.claim.token, suspect).await?;
        if !held {
            self.out.insert(suspect.source);
        }
        Ok(held)
    }

    async fn store(&mut self, passages: &[Pending], vectors: Vec<Vec<f32>>) -> Result<(), DbError> {
        self.worker.history.remove(passages);
        for passage in passages {
            *self.left.entry(passage.source).or_default() -= 1;
        }
        let touched: HashSet<i64> = passages.iter().map(|passage| passage.source).collect();
        let done = self.claim.jobs.iter().filter(|job| touched.contains(&job.source) && self.left[&job.source] == 0);
        let done: Vec<Job> = done.cloned().collect();
        let embedded: Vec<(&Pending, Vec<f32>)> = passages.iter().zip(vectors).collect();
        self.store_and_settle(&embedded, &done).await
    }

    async fn store_and_settle(&mut self, embedded: &[(&Pending, Vec<f32>)], done: &[Job]) -> Result<(), DbError> {
        let space = self.worker.health.space().id;
        let is_last = self.limit > 0 && self.calls.is_empty() && !self.worker.stop.is_cancelled();
        let next = is_last.then_some(Next { claims: &self.worker.claims, limit: self.limit });
        let storing = vectors::store(self.worker.engine.db(), space, self.claim, embedded, done, next);
        let span = debug_span!("store", vectors = embedded.len(), jobs = done.len());
        let outcome = timed(&metrics().store_seconds, storing).instrument(span).await.inspect_err(|error| {
            if is_last && error.is_uncertain() {
                // The statement may have claimed the next jobs, and this worker does not know their
                // token: only the end of the session returns them.
                self.worker.session.cancel();
            }
        })?;
        let m = metrics();
        m.texts.inc_by(embedded.len() as u64);
        m.count(&m.vectors, "stored", outcome.stored.unsigned_abs() as usize);
        m.count(&m.vectors, "dropped", outcome.dropped.unsigned_abs() as usize);
        m.count(&m.jobs, "settled", outcome.settled);
        m.count(&m.jobs, "lost", outcome.lost);
        if outcome.dropped > 0 || outcome.lost > 0 {
            tracing::info!(dropped = outcome.dropped, lost = outcome.lost, "vectors came too late and were not stored");
        }
        self.stored += outcome.stored;
        self.settled += outcome.settled;
        self.worker.vacuum.count(outcome.settled);
        // A job's span ends with the job.
        done.iter().for_each(|job| drop(self.traced.remove(&job.source)));
        self.next = outcome.next;
        Ok(())
    }

    /// Bisects a rejected call. If it holds a single text, charges the failure to that text's job.
    fn halve_or_fail(&mut self, call: Call, error: &EmbedError) {
        if call.passages.len() > 1 {
            let size = Size::of(&call.passages);
            let cut_passages = self.worker.client.cut_passages();
            self.halve(call, Some(Half { size, cut_passages, other_passed: false }));
        } else {
            self.charge(&call.passages[0], error);
        }
    }

    /// Handles a call that failed as a whole, now that the embedder has recovered. False: the
    /// caller must release the claim.
    fn try_again(&mut self, mut call: Call, error: &EmbedError) -> bool {
        match call.failed(error) {
            NextStep::Retry => self.calls.push_front(call),
            NextStep::Bisect => self.halve(call, None),
            NextStep::FailText => self.charge(&call.passages[0], error),
            NextStep::ReleaseClaim => return false,
        }
        true
    }

    /// Makes the halves of a call the next calls.
    fn halve(&mut self, call: Call, half_of: Option<Half>) {
        let [first, second] = call.halves(half_of);
        self.calls.push_front(second);
        self.calls.push_front(first);
    }

    /// Charges a failure to the passage's job. The job fails at the end of the claim, so that its
    /// other passages get their vectors.
    fn charge(&mut self, passage: &Pending, error: &EmbedError) {
        self.worker.history.reset(passage);
        let class = class_name(error.class());
        let first = || JobFailure { class, message: error.to_string(), passages: 0 };
        let failure = self.failures.entry(passage.source).or_insert_with(first);
        failure.passages += 1;
        if failure.passages >= MAX_REFUSED_PASSAGES {
            self.out.insert(passage.source);
        }
    }

    /// Fails the jobs to which a failure was charged.
    async fn fail_jobs(&mut self) -> Result<(), DbError> {
        for (source, failure) in std::mem::take(&mut self.failures) {
            self.out.insert(source);
            self.fail(source, failure).await?;
        }
        Ok(())
    }

    async fn fail(&mut self, source: i64, failure: JobFailure) -> Result<(), DbError> {
        let JobFailure { class, message, .. } = failure;
        let Some(job) = self.job_of(source) else { return Ok(()) };
        if let Some(span) = self.traced.remove(&job.source) {
            span.record("error.type", class).record("otel.status_code", "ERROR");
        }
        let parked = queue::fail(self.worker.engine.db(), self.claim.token, job, class, &message).await?;
        let outcome = match parked {
            Some(true) => "parked",
            Some(false) => "failed",
            None => "lost",
        };
        metrics().count(&metrics().jobs, outcome, 1);
        if parked == Some(true) {
            tracing::error!(
                job.source = job.source,
                error.class = class,
                "a source could not be embedded and is left alone for a while: see `mcp-server failures`"
            );
        }
        Ok(())
    }

    /// Waits up to `CLAIM_HOLD_TIMEOUT` for the embedder while the claim is held. False: it did not
    /// return, the worker stops, or the error needs a person.
    async fn embedder_returns(&self, error: &EmbedError) -> bool {
        if error.class() != FailureClass::Transient {
            return false;
        }
        let returns = tokio::time::timeout(CLAIM_HOLD_TIMEOUT, self.worker.client.available());
        self.worker.stop.run_until_cancelled(returns).await.is_some_and(|returned| returned.is_ok())
    }

    /// Returns the jobs that are neither done nor failed to the queue.
    async fn give_back(&mut self) -> Result<Step, DbError> {
        self.fail_jobs().await?;
        let open = |job: &&Job| self.left[&job.source] > 0 && !self.out.contains(&job.source);
        let jobs: Vec<Job> = self.claim.jobs.iter().filter(open).cloned().collect();
        queue::give_back(self.worker.engine.db(), self.claim.token, &jobs).await?;
        metrics().count(&metrics().jobs, "given_back", jobs.len());
        Ok(Step::EmbedderAway)
    }

    fn job_of(&self, source: i64) -> Option<&'a Job> {
        self.claim.jobs.iter().find(|job| job.source == source)
    }
}

fn is_a_texts_fault(error: &EmbedError) -> bool {
    matches!(error.class(), FailureClass::RefusedBatch | FailureClass::TooLong | FailureClass::BadVector)
}

/// Opens a span in the trace that wrote the job's text, from the claim to the job's end. The span
/// is linked to the worker's own trace, which holds the calls that the job shares with others.
fn traced(job: &Job, passages: usize) -> Option<Span> {
    let trace = job.trace?;
    let empty = field::Empty;
    let span = debug_span!(
        parent: None, "index", otel.kind = "consumer", source = job.source, passages, attempts = job.attempts,
        error.type = empty, otel.status_code = empty
    );
    trace.continue_in(&span);
    link_to_current(&span);
    Some(span)
}

/// Returns the name of a failure's class in the database and in metrics.
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
