//! The section `memory`: how text becomes vectors, how answers are ranked, and how memories stay true.

use std::time::Duration;

use strum::{EnumString, IntoStaticStr};

use super::read::Reader;
use pgrecall_record::model::Provider;
use pgrecall_record::secret::{Headers, Secret};
use pgrecall_record::secrets::Secrets;

/// The memory's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// How text becomes vectors.
    pub embedding: Embedding,
    /// How answers are ranked.
    pub recall: Recall,
    /// What is done before something is remembered.
    pub remember: Remember,
    /// What is kept of what was forgotten.
    pub forget: Forget,
    /// How credentials in a record are handled.
    pub secrets: Secrets,
}

/// How text becomes vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedding {
    /// Who makes them.
    pub provider: Provider,
    /// A query's whole wait for its embedding.
    pub timeout: Duration,
    /// How long a replaced model's vectors are kept.
    pub keep_replaced: Duration,
    /// Put before each query. `None`: what the model is known to need; empty: nothing.
    pub query_prefix: Option<String>,
    /// Put before each passage. `None`: what the model is known to need; empty: nothing.
    pub document_prefix: Option<String>,
    /// The model inside the process.
    pub local: Local,
    /// Ollama.
    pub ollama: Ollama,
    /// An OpenAI-compatible API.
    pub openai: Openai,
    /// text-embeddings-inference.
    pub tei: Tei,
}

/// The model inside the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Threads of the model. `None`: one for each physical core that the process may use.
    pub threads: Option<usize>,
}

/// Ollama.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ollama {
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// Sent with each request.
    pub headers: Headers,
}

/// An OpenAI-compatible API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Openai {
    /// The base, to which `/embeddings` is added; without a slash at the end.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// The bearer token.
    pub api_key: Option<Secret>,
    /// The vectors' length to ask for. `None`: do not ask.
    pub dimensions: Option<usize>,
    /// Sent with each request.
    pub headers: Headers,
}

/// text-embeddings-inference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tei {
    /// Where it listens, without a slash at the end. Set whenever it is the provider.
    pub url: Option<String>,
    /// The bearer token.
    pub api_key: Option<Secret>,
    /// Sent with each request.
    pub headers: Headers,
}

/// How answers are ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// How the ranking by meaning and the one by words become one.
    pub fusion: Fusion,
    /// How much meaning counts in a blend, in percent; words count the rest.
    pub meaning: u32,
    /// How much of a score age takes at the most, in percent.
    pub recency: u32,
    /// After how long age has taken half of that.
    pub half_life: Duration,
    /// What looks at the best answers once more. `None`: nothing.
    pub rerank: Option<Rerank>,
}

/// How two rankings become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Fusion {
    /// The weighted sum of both scores.
    Blend,
    /// The sum of the reciprocal ranks.
    Rrf,
}

/// A cross-encoder behind text-embeddings-inference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerank {
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// The bearer token.
    pub api_key: Option<Secret>,
    /// Sent with each request.
    pub headers: Headers,
    /// The longest that a query waits for it.
    pub timeout: Duration,
    /// How many of the best answers it is shown.
    pub candidates: usize,
}

/// What is done before something is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remember {
    /// What becomes of memories that say nearly the same.
    pub near_duplicates: NearDuplicates,
    /// From which cosine on they do, in percent.
    pub similarity: u32,
    /// The longest that a look for them may take.
    pub timeout: Duration,
}

/// What becomes of the caller's memories that say nearly the same as a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NearDuplicates {
    /// They are named beside the new one.
    Report,
    /// The new one takes their place.
    Supersede,
    /// Nobody looks for them.
    Ignore,
}

/// What is kept of what was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forget {
    /// How long it can be brought back. Zero: not at all.
    pub keep: Duration,
}

impl Memory {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            embedding: Embedding::read(reader),
            recall: Recall {
                fusion: reader.named("memory.recall.fusion"),
                meaning: reader.number("memory.recall.meaning"),
                recency: reader.number("memory.recall.recency"),
                half_life: reader.duration("memory.recall.half_life"),
                rerank: Rerank::read(reader),
            },
            remember: Remember {
                near_duplicates: reader.named("memory.remember.near_duplicates"),
                similarity: reader.number("memory.remember.similarity"),
                timeout: reader.duration("memory.remember.timeout"),
            },
            forget: Forget { keep: reader.duration("memory.forget.keep") },
            secrets: reader.named("memory.secrets"),
        }
    }
}

impl Rerank {
    fn read(reader: &mut Reader) -> Option<Self> {
        let rerank = Self {
            api_key: reader.secret("memory.recall.rerank.api_key"),
            headers: reader.headers("memory.recall.rerank.headers"),
            timeout: reader.duration("memory.recall.rerank.timeout"),
            candidates: reader.number("memory.recall.rerank.candidates") as usize,
            url: reader.url("memory.recall.rerank.url")?,
        };
        Some(rerank)
    }
}

impl Fusion {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl NearDuplicates {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Embedding {
    fn read(reader: &mut Reader) -> Self {
        let provider: Provider = reader.named("memory.embedding.provider");
        let ollama = Ollama {
            url: reader.url("memory.embedding.ollama.url").unwrap_or_default(),
            model: reader.text_or_default("memory.embedding.ollama.model"),
            headers: reader.headers("memory.embedding.ollama.headers"),
        };
        let openai = Openai {
            url: reader.url("memory.embedding.openai.url").unwrap_or_default(),
            model: reader.text_or_default("memory.embedding.openai.model"),
            api_key: reader.secret("memory.embedding.openai.api_key"),
            dimensions: reader.optional_number("memory.embedding.openai.dimensions").map(|number| number as usize),
            headers: reader.headers("memory.embedding.openai.headers"),
        };
        let tei = Tei {
            url: reader.url("memory.embedding.tei.url"),
            api_key: reader.secret("memory.embedding.tei.api_key"),
            headers: reader.headers("memory.embedding.tei.headers"),
        };
        if provider == Provider::Tei && tei.url.is_none() {
            let at = reader.at("memory.embedding.provider");
            reader.find(format!("{at} is tei; set `memory.embedding.tei.url` to where it listens."));
        }
        Self {
            provider,
            timeout: reader.duration("memory.embedding.timeout"),
            keep_replaced: reader.duration("memory.embedding.keep_replaced"),
            query_prefix: reader.text("memory.embedding.query_prefix"),
            document_prefix: reader.text("memory.embedding.document_prefix"),
            local: Local {
                threads: reader.optional_number("memory.embedding.local.threads").map(|number| number as usize),
            },
            ollama,
            openai,
            tei,
        }
    }
}
