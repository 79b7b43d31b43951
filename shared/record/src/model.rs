//! The identity of an embedding model, and of the space that its vectors belong to.

use std::fmt;

use strum::{EnumString, IntoStaticStr};

pub mod family;

/// Who makes vectors of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Provider {
    /// The model inside the process.
    Local,
    /// Ollama's own API.
    Ollama,
    /// An OpenAI-compatible `/v1/embeddings`.
    Openai,
    /// text-embeddings-inference.
    Tei,
    /// Nobody: recall answers by words alone.
    Noop,
}

crate::named!(Provider);

/// What a text is embedded for: some models want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A question that somebody waits for.
    Query,
    /// A piece of stored text.
    Passage,
}

/// The identity of an embedding space: vectors compare only when all of it but the address is equal. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelId {
    /// Who makes the vectors.
    pub provider: Provider,
    /// Where, without credentials and query string; `None` in this process.
    pub url: Option<String>,
    /// The model's name.
    pub model: String,
    /// The dimension asked for, where one can be asked for. The real one is detected.
    pub dimensions: Option<usize>,
    /// Put before each query.
    pub query_prefix: String,
    /// Put before each passage.
    pub document_prefix: String,
}

impl ModelId {
    /// Its name with its provider's, as people are told it: `ollama/nomic-embed-text`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.provider.as_str(), self.model)
    }

    /// Whether its vectors compare with the other's, wherever each of them is served.
    pub fn shares_a_space_with(&self, other: &Self) -> bool {
        *self == Self { url: self.url.clone(), ..other.clone() }
    }

    /// A model with the prefixes of its family.
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

    /// The texts with the prefix that the model wants before them.
    pub fn prefixed(&self, purpose: Purpose, texts: &[String]) -> Vec<String> {
        let prefix = match purpose {
            Purpose::Query => &self.query_prefix,
            Purpose::Passage => &self.document_prefix,
        };
        texts.iter().map(|text| format!("{prefix}{text}")).collect()
    }
}

/// `ollama/nomic-embed-text at http://…`, for messages.
impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider.as_str(), self.model)?;
        self.url.iter().try_for_each(|url| write!(f, " at {url}"))
    }
}

/// A space's number, which names its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpaceId(pub i32);

impl SpaceId {
    /// The table of the space's vectors.
    pub fn table(self) -> String {
        format!("vectors_{}", self.0)
    }
}
