//! The slots: threads that make the client's calls, one after the other.
//!
//! A call in flight cannot be cancelled. One that is given up keeps its thread until it ends, so another thread takes the slot, and the
//! old one ends with its call; what it still brings is dropped.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{
    ClientOptions, EmbedError, Embedder, FailureClass, ModelId, Purpose, probe::Health, vectors::check_and_normalise,
};

/// A text that every embedder embeds: where it fails, no other text is to blame.
pub(super) const PLAIN_WORD: &str = "hello";
/// An embedder that embedded something within this is not asked for a plain word when it refuses something else.
const RECENT: Duration = Duration::from_secs(10);
/// How long a plain word may take when it decides who is to blame for a refusal.
const PLAIN_WORD_TIMEOUT: Duration = Duration::from_secs(10);

/// What the client's threads share.
pub(super) struct Core {
    pub(super) embedder: Arc<dyn Embedder>,
    pub(super) options: ClientOptions,
    pub(super) dimension: OnceLock<usize>,
    pub(super) health: Arc<Health>,
    waiting: Mutex<mpsc::Receiver<Job>>,
    /// When it last embedded something.
    succeeded_at: Mutex<Option<Instant>>,
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) purpose: Purpose,
    pub(super) texts: Vec<String>,
    pub(super) deadline: Instant,
    /// A probe, which is sent in spite of an open breaker.
    pub(super) probe: bool,
    pub(super) flight: Arc<Flight>,
    pub(super) reply: oneshot::Sender<Result<Vec<Vec<f32>>, EmbedError>>,
}

/// What a call's caller and its thread know of each other.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// When a slot took the call.
    pub(super) started: OnceLock<Instant>,
    /// Set by a caller that gave it up and found another thread for its slot.
    given_up: AtomicBool,
}

impl Core {
    pub(super) fn new(embedder: Arc<dyn Embedder>, options: ClientOptions, waiting: mpsc::Receiver<Job>) -> Arc<Self> {
        let dimension = options.dimension.map(OnceLock::from).unwrap_or_default();
        let health = Arc::new(Health::new(options.breaker));
        let waiting = Mutex::new(waiting);
        Arc::new(Self { embedder, options, dimension, health, waiting, succeeded_at: Mutex::default() })
    }

    /// Starts a slot's thread. It ends when the last client is gone and its call, if any, is over; nobody waits for it.
    pub(super) fn start_slot(self: &Arc<Self>, number: usize) -> std::io::Result<()> {
        let core = Arc::clone(self);
        let thread = thread::Builder::new().name(format!("embed-{}-{number}", self.name()));
        thread.spawn(move || core.serve()).map(drop)
    }

    /// Gives a call up whose answer does not come, and its slot to a new thread.
    pub(super) fn give_up(self: &Arc<Self>, flight: &Flight) {
        // First, so that a thread whose answer comes at this moment makes room for the new one.
        flight.given_up.store(true, Ordering::Release);
        if self.start_slot(0).is_err() {
            flight.given_up.store(false, Ordering::Release);
        }
    }

    /// A slot's thread: one call after the other until the client is gone.
    fn serve(self: &Arc<Self>) {
        loop {
            // The slots take turns at waiting; whoever holds the lock takes the next job.
            let next = self.waiting.lock().blocking_recv();
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
            job.flight.started.get_or_init(Instant::now);
            let result = self.embed(job.purpose, &job.texts, job.deadline);
            if job.flight.given_up.load(Ordering::Acquire) {
                return;
            }
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
            Err(error) if error.blame_is_open() && !self.is_cleared(&error) => error,
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
            // Waiting until the text is accepted, or until a person acts, would never end and would block every other text.
            Ok(error) if error.is_the_embedders() => {
                EmbedError::OnlyThese { embedder, texts: texts.len(), fault: Box::new(error) }
            }
            Ok(error) => error,
            Err(error) => match error.class() {
                FailureClass::Transient | FailureClass::Misconfigured | FailureClass::Disabled => error,
                _ => EmbedError::Unusable { embedder, source: Box::new(error) },
            },
        })
    }

    /// Whether the embedder was well just now. Of a fault on its own side that says nothing: it may have begun since.
    fn is_cleared(&self, error: &EmbedError) -> bool {
        let succeeded_at = *self.succeeded_at.lock();
        !error.is_the_embedders() && succeeded_at.is_some_and(|at| at.elapsed() < RECENT)
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
        *self.succeeded_at.lock() = Some(Instant::now());
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
