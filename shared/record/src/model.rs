//! The identity of an embedding model and of its embedding space.

use std::fmt;

use strum::{EnumString, IntoStaticStr};

pub mod family;

/// The software that computes embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Provider {
    /// The model that runs inside the process.
    Local,
    /// Ollama's native API.
    Ollama,
    /// An OpenAI-compatible `/v1/embeddings` endpoint.
    Openai,
    /// Hugging Face text-embeddings-inference.
    Tei,
    /// No embeddings: recall answers by keyword search alone.
    Noop,
}

crate::named!(Provider);

/// The kind of text that is embedded. Some models use a different prefix for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A query, for which a caller is waiting.
    Query,
    /// A passage of stored text.
    Passage,
}

/// The identity of an embedding space, without secrets. Two vectors are comparable only if
/// everything but the address is equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelId {
    /// The provider of the vectors.
    pub provider: Provider,
    /// The provider's address without credentials and query string; `None` for a model in this
    /// process.
    pub url: Option<String>,
    /// The model's name.
    pub model: String,
    /// The dimension to request, if the provider accepts one. The actual dimension is detected.
    pub dimensions: Option<usize>,
    /// The text put before each query.
    pub query_prefix: String,
    /// The text put before each passage.
    pub document_prefix: String,
}

impl ModelId {
    /// Returns provider and model as shown to people: `ollama/nomic-embed-text`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.provider.as_str(), self.model)
    }

    /// Returns whether the vectors of both models are comparable, regardless of where each model is
    /// served.
    pub fn shares_a_space_with(&self, other: &Self) -> bool {
        *self == Self { url: self.url.clone(), ..other.clone() }
    }

    /// Creates the identity of a model with the prefixes of its family.
    pub fn new(provider: Provider, url: Option<String>, model: &str) -> Self {
        let family = family::of(model);
        Self {
            provider,
            url,
            model: model.to_owned(),
            dimensions: None,
            query_prefix: family.query_prefix.to_owned(),
            document_prefix: family.document_prefix.to_owned(),
        }
    }

    /// Returns the texts, each after the prefix that the model expects for `purpose`.
    pub fn prefixed(&self, purpose: Purpose, texts: &[String]) -> Vec<String> {
        let prefix = match purpose {
            Purpose::Query => &self.query_prefix,
            Purpose::Passage => &self.document_prefix,
        };
        texts.iter().map(|text| format!("{prefix}{text}")).collect()
    }
}

/// Writes `ollama/nomic-embed-text at http://…`, for messages.
impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider.as_str(), self.model)?;
        self.url.iter().try_for_each(|url| write!(f, " at {url}"))
    }
}

/// The number of an embedding space, which is part of the name of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpaceId(pub i32);

impl SpaceId {
    /// Returns the name of the table that holds the space's vectors.
    pub fn table(self) -> String {
        format!("vectors_{}", self.0)
    }
}
