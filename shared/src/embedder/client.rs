//! The asynchronous side: calls that block run on threads of this client, and no caller waits past its time.
//!
//! A call in flight cannot be cancelled, so it is abandoned: its thread ends with the call's own deadline, and what it still
//! brings is dropped. Calls queue for a slot behind a bounded channel. Every answer is checked here, whatever the provider.

use std::{
    iter,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    BreakerPolicy, BreakerState, EmbedError, Embedder, FailureClass, ModelId, Purpose,
    probe::{Health, StopProbe},
    vectors::check_and_normalise,
};

/// A text that every embedder embeds: where it fails, no other text is to blame.
pub(super) const PLAIN_WORD: &str = "hello";
/// How long a plain word may take when it decides who is to blame for a refusal.
const PLAIN_WORD_TIMEOUT: Duration = Duration::from_secs(10);

/// How a client treats its embedder.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// In the threads' names: `embed-NAME-0`.
    pub name: &'static str,
    /// A call's whole wait: queue, embedding and check.
    pub timeout: Duration,
    /// Calls under way at once, each on a thread of its own.
    pub slots: usize,
    /// Calls that may wait for a slot; a further one waits to be queued, within its time.
    pub queue: usize,
    /// The dimension that vectors must have; `None` takes that of the first answer.
    pub dimension: Option<usize>,
    /// When a failed embedder is tried again.
    pub breaker: BreakerPolicy,
}

impl ClientOptions {
    /// For queries: people wait, so a few pass at once.
    pub fn query(timeout: Duration) -> Self {
        Self { name: "query", timeout, slots: 4, queue: 64, dimension: None, breaker: BreakerPolicy::default() }
    }

    /// For the worker's batches, `slots` of them at once.
    pub fn worker(timeout: Duration, slots: usize) -> Self {
        Self { name: "worker", timeout, slots, queue: slots, dimension: None, breaker: BreakerPolicy::default() }
    }
}

/// An embedder with a time limit, a check and a breaker. Clones share all of it.
#[derive(Debug, Clone)]
pub struct EmbedClient {
    jobs: mpsc::Sender<Job>,
    core: Arc<Core>,
    /// Ends the probe's thread with the last clone.
    _stop_probe: Arc<StopProbe>,
}

/// What the client's threads share.
pub(super) struct Core {
    embedder: Arc<dyn Embedder>,
    options: ClientOptions,
    dimension: OnceLock<usize>,
    pub(super) health: Arc<Health>,
}

#[derive(Debug)]
struct Job {
    purpose: Purpose,
    texts: Arc<[String]>,
    range: Range<usize>,
    deadline: Instant,
    /// Asked for in spite of an open breaker.
    probe: bool,
    started: Arc<AtomicBool>,
    reply: oneshot::Sender<Result<Vec<Vec<f32>>, EmbedError>>,
}

impl EmbedClient {
    /// Starts the slots' threads. They end when the last clone is gone and their call, if any, is over; nobody waits for them.
    ///
    /// # Panics
    /// Where the system gives the process no thread.
    pub fn new(embedder: Arc<dyn Embedder>, options: ClientOptions) -> Self {
        let (jobs, waiting) = mpsc::channel(options.queue.max(1));
        let waiting = Arc::new(Mutex::new(waiting));
        let dimension = options.dimension.map(OnceLock::from).unwrap_or_default();
        let health = Arc::new(Health::new(options.breaker));
        let slots = options.slots.max(1);
        let core = Arc::new(Core { embedder, options, dimension, health: health.clone() });
        for slot in 0..slots {
            let (core, waiting) = (core.clone(), waiting.clone());
            thread::Builder::new()
                .name(format!("embed-{}-{slot}", core.options.name))
                .spawn(move || core.serve(&waiting))
                .expect("the system gives a new process its first threads");
        }
        Self { jobs, core, _stop_probe: Arc::new(StopProbe(health)) }
    }

    /// The vectors of `texts`, in their order and of length 1.
    ///
    /// # Errors
    /// Any [`EmbedError`], within the configured time.
    pub async fn embed(&self, purpose: Purpose, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let all = 0..texts.len();
        self.call(purpose, &texts.into(), all, false).await
    }

    /// Like [`embed`](Self::embed), but one bad text fails alone: a batch that is refused is halved until the text is found.
    ///
    /// # Errors
    /// The outer error is the embedder's ([`FailureClass::Transient`], `Misconfigured`, `Disabled`): no text is to blame. An
    /// inner one is its text's (`RefusedBatch`, `TooLong`, `BadVector`).
    pub async fn embed_each(
        &self,
        purpose: Purpose,
        texts: Vec<String>,
    ) -> Result<Vec<Result<Vec<f32>, EmbedError>>, EmbedError> {
        let texts: Arc<[String]> = texts.into();
        let mut done = Vec::with_capacity(texts.len());
        // Ranges still to do, the next one last: results come out in the texts' order.
        let mut ranges: Vec<Range<usize>> = iter::once(0..texts.len()).collect();
        while let Some(range) = ranges.pop() {
            match self.call(purpose, &texts, range.clone(), false).await {
                Ok(vectors) => done.extend(vectors.into_iter().map(Ok)),
                Err(error) => match error.class() {
                    FailureClass::Transient | FailureClass::Misconfigured | FailureClass::Disabled => {
                        return Err(error);
                    }
                    _ if range.len() <= 1 => done.push(Err(error)),
                    _ => {
                        let middle = range.start + range.len() / 2;
                        ranges.extend([middle..range.end, range.start..middle]);
                    }
                },
            }
        }
        Ok(done)
    }

    /// Asks the embedder for one word's vector, even while the breaker is open, and returns its dimension.
    ///
    /// # Errors
    /// Any [`EmbedError`] but `BreakerOpen`.
    pub async fn probe(&self) -> Result<usize, EmbedError> {
        let word: Arc<[String]> = vec![PLAIN_WORD.to_owned()].into();
        let vectors = self.call(Purpose::Query, &word, 0..1, true).await?;
        Ok(vectors[0].len())
    }

    /// The vectors' dimension, once one has come or where the options name it.
    pub fn dimension(&self) -> Option<usize> {
        self.core.dimension.get().copied()
    }

    /// What the breaker thinks of the embedder.
    pub fn breaker(&self) -> BreakerState {
        self.core.health.state()
    }

    /// Waits until calls pass. A worker claims nothing before.
    pub async fn available(&self) {
        self.core.health.closed().await;
    }

    /// The embedder behind this client.
    pub fn embedder(&self) -> &Arc<dyn Embedder> {
        &self.core.embedder
    }

    /// The model behind this client.
    pub fn model(&self) -> &ModelId {
        self.core.embedder.model()
    }

    async fn call(
        &self,
        purpose: Purpose,
        texts: &Arc<[String]>,
        range: Range<usize>,
        probe: bool,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        if !probe {
            self.core.health.admit()?;
        }
        let waited = self.core.options.timeout;
        let deadline = Instant::now() + waited;
        let started = Arc::new(AtomicBool::new(false));
        let (reply, answer) = oneshot::channel();
        let job = Job { purpose, texts: texts.clone(), range, deadline, probe, started: started.clone(), reply };
        let answered = async {
            self.jobs.send(job).await.map_err(|_| EmbedError::Stopped)?;
            answer.await.map_err(|_| EmbedError::Stopped)?
        };
        if let Ok(result) = tokio::time::timeout_at(deadline.into(), answered).await {
            return result;
        }
        let embedder = self.model().to_string();
        if !started.load(Ordering::Acquire) {
            // Its own other texts kept it busy: no sign that it is down.
            return Err(EmbedError::QueueFull { embedder, waited });
        }
        let error = EmbedError::Timeout { embedder, waited };
        self.core.failed(&error);
        Err(error)
    }
}

impl Core {
    /// A slot's thread: one call after the other until the client is gone.
    fn serve(self: &Arc<Self>, waiting: &Mutex<mpsc::Receiver<Job>>) {
        loop {
            // The slots take turns at waiting; whoever holds the lock takes the next job.
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(job) = next else { return };
            if job.reply.is_closed() {
                continue;
            }
            // It may have opened while the job was queued: nobody waits for what is known to fail.
            if !job.probe
                && let Err(open) = self.health.admit()
            {
                let _ = job.reply.send(Err(open));
                continue;
            }
            job.started.store(true, Ordering::Release);
            let result = self.embed(job.purpose, &job.texts[job.range], job.deadline);
            if job.reply.is_closed() {
                tracing::debug!(embedder = %self.embedder.model(), "a late answer was dropped");
                continue;
            }
            match &result {
                Ok(_) => self.succeeded(),
                Err(error) => self.failed(error),
            }
            let _ = job.reply.send(result);
        }
    }

    /// One call with its verdict: where an error leaves open who is to blame, a plain word decides.
    pub(super) fn embed(
        &self,
        purpose: Purpose,
        texts: &[String],
        deadline: Instant,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let error = match self.embed_checked(purpose, texts, deadline) {
            Err(error) if error.blame_is_open() => error,
            settled => return settled,
        };
        let embedder = self.embedder.model().to_string();
        let verdict = if let [only] = texts
            && only == PLAIN_WORD
        {
            Err(error)
        } else {
            let word = [PLAIN_WORD.to_owned()];
            let deadline = deadline.min(Instant::now() + PLAIN_WORD_TIMEOUT);
            self.embed_checked(purpose, &word, deadline).map(|_| error)
        };
        Err(match verdict {
            // A fault that only these texts cause is a refusal of them: waiting for it to pass would be waiting for ever.
            Ok(EmbedError::ServerFault { status, detail, .. }) => {
                EmbedError::Refused { embedder, status, texts: texts.len(), detail }
            }
            Ok(error) => error,
            Err(error) => match error.class() {
                FailureClass::Transient | FailureClass::Misconfigured | FailureClass::Disabled => error,
                _ => EmbedError::Unusable { embedder, source: Box::new(error) },
            },
        })
    }

    fn embed_checked(
        &self,
        purpose: Purpose,
        texts: &[String],
        deadline: Instant,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let embedder = || self.embedder.model().to_string();
        // A panic in a provider's or a model's code must cost one batch, not a slot.
        let mut vectors = catch_unwind(AssertUnwindSafe(|| self.embedder.embed(purpose, texts, deadline)))
            .map_err(|_| EmbedError::Panicked { embedder: embedder(), texts: texts.len() })??;
        let got = check_and_normalise(&mut vectors, texts.len())
            .map_err(|fault| EmbedError::BadVector { embedder: embedder(), fault })?;
        let expected = *self.dimension.get_or_init(|| got);
        if got != expected {
            return Err(EmbedError::DimensionChanged { embedder: embedder(), expected, got });
        }
        Ok(vectors)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.options.timeout
    }

    pub(super) fn name(&self) -> &'static str {
        self.options.name
    }

    pub(super) fn model(&self) -> &ModelId {
        self.embedder.model()
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("model", self.embedder.model())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
