//! What can go wrong while text becomes vectors, classified by what the caller does next.
//!
//! A worker retries, splits, buries or stops; it never reads a message to find out which. The server's own words ride along in
//! `detail`, shortened and with every secret blotted out, because they are what a person needs to repair the configuration.

use std::{path::PathBuf, time::Duration};

/// What the caller does next with a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The embedder is down, slow or busy: wait for it. No text is to blame, so no attempt is burned.
    Transient,
    /// The embedder works, and refuses these texts: split the batch; a text refused alone has failed.
    RefusedBatch,
    /// A text is longer than the model's window: cut it into smaller passages; the same text will never pass.
    TooLong,
    /// Nothing will succeed until a person changes the configuration or the embedder: stop claiming and say so.
    Misconfigured,
    /// The embedder answered with vectors that must not be stored: split the batch; a text that gets one alone has failed.
    BadVector,
    /// There is no embedder, by configuration: answer by words.
    Disabled,
}

/// A failed embedding call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// No connection could be made.
    #[error("Nothing answers at {url}: start the embedder there, or correct its url.")]
    Unreachable {
        /// Where the connection was tried.
        url: String,
        /// What the transport said.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The connection was made, and TLS was not.
    #[error(
        "TLS with {url} failed: check that the url's scheme is right and that the certificate is one that is trusted here."
    )]
    Tls {
        /// Where the connection was tried.
        url: String,
        /// What the transport said.
        #[source]
        source: Box<ureq::Error>,
    },
    /// No whole answer within the time allowed.
    #[error("The embedder {embedder} did not answer within {} s: check its load, or raise the timeout.", tenths(*waited))]
    Timeout {
        /// The provider and model, or the URL.
        embedder: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// It hung and is well again, and the answer to what it was asked before does not come.
    #[error("The embedder {embedder} lost a call: it did not answer within {} s, and answers others by now.", tenths(*waited))]
    PassedOver {
        /// The provider and model, or the URL.
        embedder: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The answer began and did not end.
    #[error("The connection to {url} broke off before the whole answer had arrived: check the embedder's log.")]
    BrokenReply {
        /// Where the request went.
        url: String,
        /// What the transport or the JSON parser said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Status 429, or 503 with a time to come back at.
    #[error("The embedder at {url} asks to slow down (status {status}): lower the number of workers if this lasts.")]
    Busy {
        /// Where the request went.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long the embedder asks to be left alone, if it said.
        retry_after: Option<Duration>,
    },
    /// A status of 500 and above.
    #[error("The embedder at {url} failed (status {status}): {detail}")]
    ServerFault {
        /// Where the request went.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's own words.
        detail: String,
    },
    /// The embedder refuses these texts, and embeds others.
    #[error("The embedder {embedder} refuses {texts} text(s) (status {status}): {detail}")]
    Refused {
        /// The provider and model, or the URL.
        embedder: String,
        /// The HTTP status.
        status: u16,
        /// How many texts the batch held.
        texts: usize,
        /// The server's own words.
        detail: String,
    },
    /// The embedder fails on these texts and embeds others: the texts are the cause, whatever the server reports.
    #[error("The embedder {embedder} rejects these {texts} text(s) and embeds others. Its error for them: {fault}")]
    OnlyThese {
        /// The provider and model, or the URL.
        embedder: String,
        /// How many texts the batch held.
        texts: usize,
        /// What it would mean if it failed over any text.
        fault: Box<EmbedError>,
    },
    /// A text does not fit into the model's window.
    #[error(
        "Text {index} of the batch has {tokens} tokens, and the model takes {limit}: split it into smaller passages."
    )]
    TooLong {
        /// The text's place in the batch, from 0.
        index: usize,
        /// Its length in tokens, the prefix included; an estimate unless the model is local.
        tokens: usize,
        /// The model's window in tokens.
        limit: usize,
    },
    /// Status 401, 402 or 403, or a used-up quota.
    #[error("The embedder at {url} denies access (status {status}): check the API key, its rights and its quota.")]
    Unauthorized {
        /// Where the request went.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The embedder works and does not have the model.
    #[error("The embedder at {url} does not have the model {model}: {remedy}.")]
    ModelMissing {
        /// Where the request went.
        url: String,
        /// The configured model.
        model: String,
        /// What to do, without a full stop: "run `ollama pull MODEL`".
        remedy: String,
    },
    /// The answer is a redirect, which is not followed: it would carry texts and key to an address nobody configured.
    #[error("{url} redirects to {location}: configure the address that the embedder really has.")]
    Redirected {
        /// Where the request went.
        url: String,
        /// The `Location` header.
        location: String,
    },
    /// What answers is not the API that is configured.
    #[error("{url} answered with {what} where embeddings were expected: check the url and the provider.")]
    UnexpectedReply {
        /// Where the request went.
        url: String,
        /// What came instead, as a noun phrase.
        what: String,
    },
    /// Even a plain word is refused, so no text is to blame.
    #[error("The embedder {embedder} cannot embed even a plain word: check the model's name and its options.")]
    Unusable {
        /// The provider and model, or the URL.
        embedder: String,
        /// What it said to the plain word.
        #[source]
        source: Box<EmbedError>,
    },
    /// The model behind the configured name is another one than before.
    #[error(
        "The embedder {embedder} now returns {got} dimensions, and this embedding space has {expected}: another model answers \
         there; restore it, or configure the new one under a name of its own."
    )]
    DimensionChanged {
        /// The provider and model, or the URL.
        embedder: String,
        /// The dimension held so far.
        expected: usize,
        /// The dimension of the new vectors.
        got: usize,
    },
    /// The configuration cannot work.
    #[error("The embedder's configuration is wrong: {0}.")]
    Configuration(String),
    /// The local model could not be loaded.
    #[error("The local model could not be loaded from {}: run `mcp-server setup --repair`.", path.display())]
    ModelFiles {
        /// The file at fault.
        path: PathBuf,
        /// What the loader said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The local model failed on these texts.
    #[error("The local model failed on a batch of {texts} text(s).")]
    Inference {
        /// How many texts the batch held.
        texts: usize,
        /// What the runtime said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The embedder's code panicked on these texts. The process lives on.
    #[error("The embedder {embedder} panicked on a batch of {texts} text(s): please report this.")]
    Panicked {
        /// The provider and model, or the URL.
        embedder: String,
        /// How many texts the batch held.
        texts: usize,
    },
    /// An answer that must not be stored.
    #[error("The embedder {embedder} returned {fault}: the answer was thrown away.")]
    BadVector {
        /// The provider and model, or the URL.
        embedder: String,
        /// What is wrong with it.
        fault: VectorFault,
    },
    /// The embedder is known to be down, so it was not asked.
    #[error("The embedder is not asked for now, {} s after it failed; a probe tries it again automatically. It failed with: {reason}", open_for.as_secs())]
    BreakerOpen {
        /// The failure that opened the breaker.
        reason: String,
        /// How long ago that was.
        open_for: Duration,
        /// When the next probe is due; zero while one is under way.
        retry_in: Duration,
    },
    /// Every slot was busy with earlier calls until the time was up.
    #[error("The embedder {embedder} was busy with earlier texts for {} s: raise the timeout, or write less at a time.", tenths(*waited))]
    QueueFull {
        /// The provider and model, or the URL.
        embedder: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The client's threads are gone: the process is leaving.
    #[error("The embedder's threads have stopped, since the process is leaving.")]
    Stopped,
    /// The provider is `noop`.
    #[error("No embedder is configured (provider noop): recall answers by words.")]
    Disabled,
}

/// Why a vector is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VectorFault {
    /// Another number of vectors than of texts.
    #[error("{got} vectors for {expected} texts")]
    Count {
        /// Texts sent.
        expected: usize,
        /// Vectors received.
        got: usize,
    },
    /// A vector without components.
    #[error("an empty vector for text {index}")]
    Empty {
        /// The text's place in the batch, from 0.
        index: usize,
    },
    /// NaN, an infinity, or `null` where a number belongs.
    #[error("a vector with NaN or an infinity for text {index}")]
    NotFinite {
        /// The text's place in the batch, from 0.
        index: usize,
    },
    /// A vector of no length, to which every distance is undefined.
    #[error("a zero vector for text {index}")]
    Zero {
        /// The text's place in the batch, from 0.
        index: usize,
    },
    /// Vectors of different dimensions in one answer.
    #[error("a vector of {got} dimensions for text {index} beside others of {expected}")]
    Mixed {
        /// The text's place in the batch, from 0.
        index: usize,
        /// The dimension of the others.
        expected: usize,
        /// Its own.
        got: usize,
    },
}

impl EmbedError {
    /// What the caller does next.
    pub fn class(&self) -> FailureClass {
        use EmbedError as E;
        match self {
            E::Unreachable { .. }
            | E::Timeout { .. }
            | E::PassedOver { .. }
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

    /// How long the embedder asks to be left alone, where it said.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            EmbedError::Busy { retry_after, .. } => *retry_after,
            EmbedError::BreakerOpen { retry_in, .. } => Some(*retry_in),
            _ => None,
        }
    }

    /// Whether the answer leaves open who is to blame, these texts or the embedder as a whole. A plain word tells: see
    /// [`EmbedClient`](super::EmbedClient). A firewall before an embedder denies access to a text that looks like an attack.
    pub(super) fn blame_is_open(&self) -> bool {
        use EmbedError as E;
        matches!(
            self,
            E::Refused { .. }
                | E::ServerFault { .. }
                | E::BadVector { .. }
                | E::Unauthorized { .. }
                | E::UnexpectedReply { .. }
                | E::DimensionChanged { .. }
        )
    }

    /// Whether it says that the embedder as a whole does not work.
    pub(super) fn is_the_embedders(&self) -> bool {
        matches!(self.class(), FailureClass::Transient | FailureClass::Misconfigured)
    }
}

/// Seconds for a sentence: a time that was measured has more digits than anyone reads.
fn tenths(time: Duration) -> f32 {
    ((time.as_secs_f32() * 10.0).round() / 10.0).max(0.1)
}
