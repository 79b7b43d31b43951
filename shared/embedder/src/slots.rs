//! The slots: threads that make the client's calls, one call at a time.
//!
//! A call in flight cannot be cancelled. If its caller gives it up, a new thread takes the slot;
//! the old thread ends with its call, and its late answer is dropped.

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
    ClientOptions, EmbedError, Embedder, FailureClass, ModelId, Purpose, cut::LengthLimits, probe::Health,
    vectors::check_and_normalise,
};

/// The probe word, which every embedder embeds: if it fails, no other text is to blame.
pub(super) const PROBE_TEXT: &str = "hello";
/// How long a success proves that the embedder works. Until then a refusal needs no probe word.
const RECENT: Duration = Duration::from_secs(10);
/// The timeout of a probe word that decides whether the texts or the embedder are to blame.
const PLAIN_WORD_TIMEOUT: Duration = Duration::from_secs(10);

/// The state that the client's threads share.
pub(super) struct Core {
    pub(super) embedder: Arc<dyn Embedder>,
    pub(super) options: ClientOptions,
    pub(super) dimension: OnceLock<usize>,
    pub(super) health: Arc<Health>,
    /// The lengths of passages that the embedder was found to refuse.
    pub(super) lengths: LengthLimits,
    waiting: Mutex<mpsc::Receiver<Job>>,
    /// When the embedder last embedded something.
    succeeded_at: Mutex<Option<Instant>>,
}

/// A queued call.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) purpose: Purpose,
    pub(super) texts: Vec<String>,
    pub(super) deadline: Instant,
    /// Whether the call is a probe, which is sent in spite of an open breaker.
    pub(super) probe: bool,
    pub(super) flight: Arc<InFlightCall>,
    pub(super) reply: oneshot::Sender<Result<Vec<Vec<f32>>, EmbedError>>,
}

/// The state that the caller and the thread of a call share.
#[derive(Debug, Default)]
pub(super) struct InFlightCall {
    /// When a slot took the call.
    pub(super) started: OnceLock<Instant>,
    /// Set if the caller has given the call up and a new thread takes its slot.
    given_up: AtomicBool,
}

impl Core {
    pub(super) fn new(embedder: Arc<dyn Embedder>, options: ClientOptions, waiting: mpsc::Receiver<Job>) -> Arc<Self> {
        let dimension = options.dimension.map(OnceLock::from).unwrap_or_default();
        let health = Arc::new(Health::new(options.breaker));
        let waiting = Mutex::new(waiting);
        let (lengths, succeeded_at) = (LengthLimits::default(), Mutex::default());
        Arc::new(Self { embedder, options, dimension, health, lengths, waiting, succeeded_at })
    }

    /// Starts the thread of a slot.
    ///
    /// The thread ends when the last client is gone and its call, if any, is over; nothing waits
    /// for it.
    pub(super) fn start_slot(self: &Arc<Self>, number: usize) -> std::io::Result<()> {
        let core = Arc::clone(self);
        let thread = thread::Builder::new().name(format!("embed-{}-{number}", self.name()));
        thread.spawn(move || core.serve()).map(drop)
    }

    /// Gives up a call whose answer does not come, and starts a new thread for its slot.
    pub(super) fn give_up(self: &Arc<Self>, flight: &InFlightCall) {
        // Set before the new thread starts, so that the old thread ends even if its answer comes at
        // this moment.
        flight.given_up.store(true, Ordering::Release);
        if self.start_slot(0).is_err() {
            flight.given_up.store(false, Ordering::Release);
        }
    }

    /// Makes one call after the other, until the client is gone or a caller has given up the call.
    fn serve(self: &Arc<Self>) {
        loop {
            // The slots take turns: the thread that holds the lock takes the next job.
            let next = self.waiting.lock().blocking_recv();
            let Some(job) = next else { return };
            if job.reply.is_closed() {
                continue;
            }
            // The breaker may have opened while the job was queued. The call is known to fail, so
            // it fails at once.
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

    /// Embeds texts. Passages and queries that are too long are cut.
    pub(super) fn embed(
        &self,
        purpose: Purpose,
        texts: &[String],
        deadline: Instant,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        match purpose {
            Purpose::Passage => self.embed_passages(texts, deadline),
            Purpose::Query => self.embed_query(texts, deadline),
        }
    }

    /// Embeds texts. If an error leaves open who is to blame, a probe word decides.
    pub(super) fn embed_settled(
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
        let verdict = if texts == [PROBE_TEXT] {
            Err(error)
        } else {
            let word = [PROBE_TEXT.to_owned()];
            let deadline = deadline.min(Instant::now() + PLAIN_WORD_TIMEOUT);
            self.embed_checked(purpose, &word, deadline).map(|_| error)
        };
        Err(match verdict {
            // Waiting until the text is accepted, or until a person acts, would never end and would
            // block every other text.
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

    /// Whether a recent success clears the embedder. It does not clear a fault of the embedder as a
    /// whole, which may have begun since.
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
