//! The failures of embedding, classified by the caller's next step.
//!
//! A worker retries, splits, parks or stops without reading a message. `detail` holds the server's
//! own message, shortened and with every secret masked, because a person needs it to repair the
//! configuration.

use std::{path::PathBuf, time::Duration};

/// The caller's next step after a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The embedder is down, slow or busy: wait for it. No text is to blame, so no job loses an
    /// attempt.
    Transient,
    /// The embedder works and refuses these texts: split the batch. A text that is refused alone
    /// has failed.
    RefusedBatch,
    /// A text is longer than the model's window: cut it into smaller passages. A retry never
    /// succeeds.
    TooLong,
    /// Nothing succeeds until a person changes the configuration or the embedder: stop claiming,
    /// and report it.
    Misconfigured,
    /// The embedder answered with vectors that must not be stored: split the batch. A text that
    /// gets such a vector alone has failed.
    BadVector,
    /// No embedder is configured: fall back to keyword search.
    Disabled,
}

/// A failed embedding call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// No connection could be made.
    #[error("Nothing answers at {url}: start the embedder there, or correct its url.")]
    Unreachable {
        /// The URL that was tried.
        url: String,
        /// The error of the transport.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The connection was made, but TLS failed.
    #[error(
        "TLS with {url} failed: check that the url's scheme is right and that the certificate is one that is trusted here."
    )]
    Tls {
        /// The URL that was tried.
        url: String,
        /// The error of the transport.
        #[source]
        source: Box<ureq::Error>,
    },
    /// No complete answer arrived within the timeout.
    #[error("The embedder {embedder} did not answer within {} s: check its load, or raise the timeout.", tenths(*waited))]
    Timeout {
        /// The provider and model, or the URL.
        embedder: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The embedder hung and has recovered, and the answer to this earlier call does not come.
    #[error("The embedder {embedder} lost a call: it did not answer within {} s, and has answered others since.", tenths(*waited))]
    LostCall {
        /// The provider and model, or the URL.
        embedder: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The answer broke off before its end.
    #[error("The connection to {url} broke off before the whole answer had arrived: check the embedder's log.")]
    BrokenReply {
        /// The URL of the request.
        url: String,
        /// The error of the transport or the JSON parser.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Status 429, or 503 with `Retry-After`.
    #[error(
        "The embedder at {url} asks to slow down (status {status}; it said: {detail}): lower the number of workers if \
         this lasts."
    )]
    Busy {
        /// The URL of the request.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's own message.
        detail: String,
        /// The wait that the embedder asks for, if it names one.
        retry_after: Option<Duration>,
    },
    /// Status 408, 424, 425, or 500 and above.
    #[error("The embedder at {url} failed (status {status}): {detail}")]
    ServerFault {
        /// The URL of the request.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's own message.
        detail: String,
    },
    /// The embedder refuses these texts and embeds others.
    #[error("The embedder {embedder} refuses {texts} text(s) (status {status}): {detail}")]
    Refused {
        /// The provider and model, or the URL.
        embedder: String,
        /// The HTTP status.
        status: u16,
        /// The number of texts in the batch.
        texts: usize,
        /// The server's own message.
        detail: String,
    },
    /// The embedder fails on these texts and embeds others, so the texts are the cause, whatever
    /// the server reports.
    #[error("The embedder {embedder} rejects these {texts} text(s) and embeds others. Its error for them: {fault}")]
    OnlyThese {
        /// The provider and model, or the URL.
        embedder: String,
        /// The number of texts in the batch.
        texts: usize,
        /// The error that the server reported, which for any other text would blame the embedder.
        fault: Box<EmbedError>,
    },
    /// A text does not fit into the model's window.
    #[error(
        "Text {index} of the batch has {tokens} tokens, and the model takes {limit}: split it, or shorten the query."
    )]
    TooLong {
        /// The index of the text in the batch, from 0.
        index: usize,
        /// The length in tokens, prefix included; an estimate unless the model is local.
        tokens: usize,
        /// The model's window, in tokens.
        limit: usize,
    },
    /// Status 401, 402 or 403, or a used-up quota.
    #[error("The embedder at {url} denies access (status {status}): check the API key, its rights and its quota.")]
    Unauthorized {
        /// The URL of the request.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The embedder works but does not have the model.
    #[error("The embedder at {url} does not have the model {model}: {remedy}.")]
    ModelMissing {
        /// The URL of the request.
        url: String,
        /// The configured model.
        model: String,
        /// The fix, without a full stop: "run `ollama pull MODEL`".
        remedy: String,
    },
    /// The answer is a redirect. The client does not follow it, since it would send texts and the
    /// key to an address that is not configured.
    #[error("{url} redirects to {location}: configure the address that the embedder really has.")]
    Redirected {
        /// The URL of the request.
        url: String,
        /// The `Location` header.
        location: String,
    },
    /// The server does not speak the configured API.
    #[error("{url} answered with {what} where embeddings were expected: check the url and the provider.")]
    UnexpectedReply {
        /// The URL of the request.
        url: String,
        /// The answer that came, as a noun phrase.
        what: String,
    },
    /// The embedder refuses even the probe word, so no text is to blame.
    #[error(
        "The embedder {embedder} cannot embed even a plain word: check the model's name and its options. It said: {source}"
    )]
    Unusable {
        /// The provider and model, or the URL.
        embedder: String,
        /// The error for the probe word.
        #[source]
        source: Box<EmbedError>,
    },
    /// The model behind the configured name has changed.
    #[error(
        "The embedder {embedder} now returns {got} dimensions, and this embedding space has {expected}: another model answers \
         there; restore it, or configure the new one under a name of its own."
    )]
    DimensionChanged {
        /// The provider and model, or the URL.
        embedder: String,
        /// The dimension until now.
        expected: usize,
        /// The dimension of the new vectors.
        got: usize,
    },
    /// The configuration of the embedder is invalid.
    #[error("The embedder's configuration is wrong: {0}.")]
    Configuration(String),
    /// The local model could not be loaded.
    #[error("The local model could not be loaded from {}: run `mcp-server setup --repair`.", path.display())]
    ModelFiles {
        /// The file that failed to load.
        path: PathBuf,
        /// The error of the loader.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The local model failed on these texts.
    #[error("The local model failed on a batch of {texts} text(s).")]
    Inference {
        /// The number of texts in the batch.
        texts: usize,
        /// The error of the runtime.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The embedder's code panicked on these texts. The process continues.
    #[error("The embedder {embedder} panicked on a batch of {texts} text(s): please report this.")]
    Panicked {
        /// The provider and model, or the URL.
        embedder: String,
        /// The number of texts in the batch.
        texts: usize,
    },
    /// The answer holds vectors that must not be stored.
    #[error("The embedder {embedder} returned {fault}: the answer was thrown away.")]
    BadVector {
        /// The provider and model, or the URL.
        embedder: String,
        /// The fault of the vectors.
        fault: VectorFault,
    },
    /// The breaker is open, so the embedder was not called.
    #[error("The embedder is not asked for now, {} s after it failed; a probe tries it again automatically. It failed with: {reason}", open_for.as_secs())]
    BreakerOpen {
        /// The latest failure, as a sentence.
        reason: String,
        /// The time since the breaker opened.
        open_for: Duration,
        /// The time until the next probe is due.
        retry_in: Duration,
    },
    /// Every slot was busy with earlier calls until the timeout.
    #[error("The embedder {embedder} was busy with earlier texts for {} s: raise the timeout, or write less at a time.", tenths(*waited))]
    QueueFull {
        /// The provider and model, or the URL.
        embedder: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The threads of the client have ended, because the process exits.
    #[error("The embedder's threads have stopped, since the process is leaving.")]
    Stopped,
    /// The provider is `noop`.
    #[error("No embedder is configured (provider noop): recall uses keyword search.")]
    Disabled,
}

/// Why a vector is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VectorFault {
    /// The number of vectors differs from the number of texts.
    #[error("{got} vectors for {expected} texts")]
    Count {
        /// The number of texts sent.
        expected: usize,
        /// The number of vectors received.
        got: usize,
    },
    /// Indexes of which one is missing, doubled or out of range: the text of a vector is unknown.
    #[error("vectors without one index for each text")]
    Order,
    /// A vector without components.
    #[error("an empty vector for text {index}")]
    Empty {
        /// The index of the text in the batch, from 0.
        index: usize,
    },
    /// NaN, an infinity, or `null` in place of a number.
    #[error("a vector with NaN or an infinity for text {index}")]
    NotFinite {
        /// The index of the text in the batch, from 0.
        index: usize,
    },
    /// A vector of length 0, for which no cosine is defined.
    #[error("a zero vector for text {index}")]
    Zero {
        /// The index of the text in the batch, from 0.
        index: usize,
    },
    /// Vectors of different dimensions in one answer.
    #[error("a vector of {got} dimensions for text {index} among others of {expected}")]
    Mixed {
        /// The index of the text in the batch, from 0.
        index: usize,
        /// The dimension of the other vectors.
        expected: usize,
        /// The dimension of this vector.
        got: usize,
    },
}

impl EmbedError {
    /// Returns the caller's next step.
    pub fn class(&self) -> FailureClass {
        use EmbedError as E;
        match self {
            E::Unreachable { .. }
            | E::Timeout { .. }
            | E::LostCall { .. }
            | E::BrokenReply { .. }
            | E::Busy { .. }
            | E::ServerFault { .. }
            | E::BreakerOpen { .. }
            | E::QueueFull { .. }
            | E::Stopped => FailureClass::Transient,
            E::Refused { .. } | E::OnlyThese { .. } | E::Inference { .. } | E::Panicked { .. } => {
                FailureClass::RefusedBatch
            }
            E::TooLong { .. } => FailureClass::TooLong,
            E::Tls { .. }
            | E::Unauthorized { .. }
            | E::ModelMissing { .. }
            | E::Redirected { .. }
            | E::UnexpectedReply { .. }
            | E::Unusable { .. }
            | E::DimensionChanged { .. }
            | E::Configuration(_)
            | E::ModelFiles { .. } => FailureClass::Misconfigured,
            E::BadVector { .. } => FailureClass::BadVector,
            E::Disabled => FailureClass::Disabled,
        }
    }

    /// Returns the wait that the embedder asks for, or the time until the open breaker's next
    /// probe.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            EmbedError::Busy { retry_after, .. } => *retry_after,
            EmbedError::BreakerOpen { retry_in, .. } => Some(*retry_in),
            _ => None,
        }
    }

    /// Whether the error can be the fault of these texts or of the embedder as a whole.
    ///
    /// The client then embeds a probe word to decide. `Unauthorized` is included because a firewall
    /// in front of an embedder denies access to a text that looks like an attack, and `BrokenReply`
    /// because a text can crash the process that embeds it.
    pub(super) fn blame_is_open(&self) -> bool {
        use EmbedError as E;
        matches!(
            self,
            E::Refused { .. }
                | E::ServerFault { .. }
                | E::BrokenReply { .. }
                | E::BadVector { .. }
                | E::Unauthorized { .. }
                | E::UnexpectedReply { .. }
                | E::DimensionChanged { .. }
        )
    }

    /// Whether the error means that the embedder as a whole does not work.
    pub(super) fn is_the_embedders(&self) -> bool {
        matches!(self.class(), FailureClass::Transient | FailureClass::Misconfigured)
    }
}

/// Rounds to tenths of a second, for messages.
fn tenths(time: Duration) -> f32 {
    ((time.as_secs_f32() * 10.0).round() / 10.0).max(0.1)
}
