//! Embeds text: one trait, five providers, and a client that limits how long its caller waits.
//!
//! [`build`] makes the configured provider. [`EmbedClient`] runs its blocking calls on threads of
//! its own, checks every answer and has a circuit breaker; the worker embeds passages through it.
//! [`QueryEmbedder`] adds a cache, for recall. [`FailureClass`] classifies errors by the caller's
//! next step.

mod breaker;
mod cache;
mod client;
mod cut;
mod error;
mod http;
mod local;
mod ollama;
mod openai;
mod optional;
mod probe;
mod query;
pub mod rerank;
mod shapes;
mod slots;
mod tei;
mod tokens;
mod vectors;

use std::{path::PathBuf, sync::Arc, time::Instant};

pub use pgrecall_record::model::{ModelId, Provider, Purpose};
pub use pgrecall_record::secret::{Headers, Secret};

pub use self::{
    breaker::{Breaker, BreakerPolicy, BreakerState},
    client::{ClientOptions, EmbedClient},
    error::{EmbedError, FailureClass, VectorFault},
    local::LocalEmbedder,
    ollama::OllamaEmbedder,
    openai::OpenAiEmbedder,
    query::QueryEmbedder,
    tei::TeiEmbedder,
};

/// A model of one provider. Calls block; asynchronous code uses [`EmbedClient`].
pub trait Embedder: Send + Sync + 'static {
    /// Returns the identity of the embedding space of this embedder's vectors.
    fn model(&self) -> &ModelId;

    /// Embeds `texts`: returns their vectors in the same order, as the provider gives them.
    ///
    /// The embedder adds the task prefix; the client checks and normalizes the vectors. Returns
    /// soon after `deadline` in any case.
    ///
    /// # Errors
    /// Any [`EmbedError`] except those of the client (`BreakerOpen`, `QueueFull`, `Unusable`,
    /// `DimensionChanged`, `Stopped`).
    fn embed(&self, purpose: Purpose, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// Returns the longest length of a passage, in tokens as [`count_tokens`](Self::count_tokens)
    /// counts them.
    fn max_tokens(&self) -> usize;

    /// Counts the tokens of a passage, prefix and special tokens included.
    ///
    /// The count is exact for a local model. Otherwise it is an estimate that is never too low for
    /// ordinary text.
    fn count_tokens(&self, text: &str) -> usize {
        tokens::estimate(&self.model().document_prefix) + tokens::estimate(text)
    }
}

/// A provider, and task prefixes that replace the built-in ones.
#[derive(Debug, Clone)]
pub struct EmbedderConfig {
    /// The provider, and how to reach it.
    pub provider: ProviderConfig,
    /// Put before each query; `None` takes the prefix of the model's family.
    pub query_prefix: Option<String>,
    /// Put before each passage; `None` takes the prefix of the model's family.
    pub document_prefix: Option<String>,
}

impl From<ProviderConfig> for EmbedderConfig {
    fn from(provider: ProviderConfig) -> Self {
        Self { provider, query_prefix: None, document_prefix: None }
    }
}

/// How to reach a provider. URLs are `http://` or `https://` and hold no credentials.
#[derive(Debug, Clone)]
pub enum ProviderConfig {
    /// all-MiniLM-L6-v2 inside this process.
    Local {
        /// The folder with `model.onnx`, `tokenizer.json` and `config.json`.
        model_dir: PathBuf,
        /// CPU threads for a batch; `None` takes one for each physical core.
        threads: Option<usize>,
    },
    /// An Ollama server.
    Ollama {
        /// The server's address, for example `http://ollama:11434`.
        url: String,
        /// The model's name as `ollama list` shows it.
        model: String,
        /// The dimension to ask for. A server that ignores it gets its vectors shortened.
        dimensions: Option<usize>,
        /// Additional headers, for a server behind a gateway.
        headers: Headers,
    },
    /// Any server with OpenAI's `/v1/embeddings`.
    OpenAi {
        /// `https://host`, `https://host/v1`, or the whole address that ends in `/embeddings`.
        url: String,
        /// The model's name.
        model: String,
        /// Sent as a bearer token.
        api_key: Option<Secret>,
        /// The dimension to ask for, where the model can shorten its vectors.
        dimensions: Option<usize>,
        /// Additional headers, for a server behind a gateway.
        headers: Headers,
    },
    /// Hugging Face's text-embeddings-inference, which serves one model.
    Tei {
        /// The server's address.
        url: String,
        /// The name of the served model, which decides the prefixes; checked against the server's
        /// own.
        model: Option<String>,
        /// Sent as a bearer token.
        api_key: Option<Secret>,
        /// Additional headers, for a server behind a gateway.
        headers: Headers,
    },
    /// No embedder: recall uses keyword search alone.
    Noop,
}

/// Makes the configured embedder.
///
/// The local model is loaded here (about 0.2 s). A server is not called yet, since it may be down.
///
/// # Errors
/// [`EmbedError::Configuration`] for an invalid URL, model or header; [`EmbedError::ModelFiles`] if
/// the local model does not load.
pub fn build(config: EmbedderConfig) -> Result<Arc<dyn Embedder>, EmbedError> {
    let prefixes = Prefixes { query: config.query_prefix, document: config.document_prefix };
    Ok(match config.provider {
        ProviderConfig::Local { model_dir, threads } => Arc::new(LocalEmbedder::load(&model_dir, threads, prefixes)?),
        ProviderConfig::Ollama { url, model, dimensions, headers } => {
            let access = Access { api_key: None, headers };
            Arc::new(OllamaEmbedder::new(&url, &model, dimensions, access, prefixes)?)
        }
        ProviderConfig::OpenAi { url, model, api_key, dimensions, headers } => {
            Arc::new(OpenAiEmbedder::new(&url, &model, dimensions, Access { api_key, headers }, prefixes)?)
        }
        ProviderConfig::Tei { url, model, api_key, headers } => {
            Arc::new(TeiEmbedder::new(&url, model, Access { api_key, headers }, prefixes)?)
        }
        ProviderConfig::Noop => Arc::new(NoopEmbedder::default()),
    })
}

/// The credentials and headers that a server needs.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Sent as a bearer token.
    pub api_key: Option<Secret>,
    /// Sent with each request.
    pub headers: Headers,
}

/// The configured prefixes; `None` keeps the prefix of the model's family.
#[derive(Debug, Clone, Default)]
pub struct Prefixes {
    /// Put before each query.
    pub query: Option<String>,
    /// Put before each passage.
    pub document: Option<String>,
}

impl Prefixes {
    fn apply(self, mut model: ModelId) -> ModelId {
        model.query_prefix = self.query.unwrap_or(model.query_prefix);
        model.document_prefix = self.document.unwrap_or(model.document_prefix);
        model
    }
}

/// The provider `noop`: every call fails with [`EmbedError::Disabled`].
#[derive(Debug)]
pub struct NoopEmbedder {
    model: ModelId,
}

impl Default for NoopEmbedder {
    fn default() -> Self {
        Self { model: ModelId::new(Provider::Noop, None, "none") }
    }
}

impl Embedder for NoopEmbedder {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&self, _: Purpose, _: &[String], _: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        Err(EmbedError::Disabled)
    }

    /// The window of the default model: passages are cut for a model that may be configured later.
    fn max_tokens(&self) -> usize {
        pgrecall_record::model::family::of("all-MiniLM-L6-v2").window
    }
}
