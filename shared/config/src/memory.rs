//! The section `memory`: embedding, ranking, near-duplicates, and the retention of deleted records.

use std::time::Duration;

use strum::{EnumString, IntoStaticStr};

use super::{
    Headers, Provider, Secret, Secrets,
    keys::{Key, Kind, key},
    read::Reader,
    value::{Setting, Shown, Word},
};

section! {
    /// Embedding, ranking, near-duplicates, and the retention of deleted records.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Memory {
        /// The embedding provider, its timeout, and the prefixes of its model.
        pub embedding: Embedding = Embedding::SECTION,
        /// How results are ranked.
        pub recall: Recall = Recall::SECTION,
        /// The search for near-duplicates of a new memory.
        pub remember: Remember = Remember::SECTION,
        /// How long deleted records can be restored.
        pub forget: Forget = Forget::SECTION,
        /// How credentials of a known shape (keys of cloud services, tokens, private keys, passwords in connection
        /// strings) are handled when a record is written: `redact` replaces each by a note of its kind, `refuse`
        /// refuses the record, `off` stores the record unchanged.
        pub secrets: Secrets = key("memory.secrets", Kind::Word(&["redact", "refuse", "off"])).default("redact"),
    }
}

section! {
    /// The embedding provider, its timeout, and the prefixes of its model.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Embedding {
        /// The embedder, which turns texts into vectors: `local` runs a model inside the process;
        /// `noop` makes no vectors, and recall uses keywords only.
        pub provider: Provider =
            key("memory.embedding.provider", Kind::Word(&["local", "ollama", "openai", "tei", "noop"]))
                .default("local"),
        /// Maximum time that a query waits for its embedding. Then recall falls back to keyword
        /// search and marks the answer `degraded`.
        pub timeout: Duration = key("memory.embedding.timeout", Kind::Duration(1)).default("30s"),
        /// How long the vectors of a replaced model are kept. Until then, configuring the old model
        /// again reverts the change at once.
        pub keep_replaced: Duration = key("memory.embedding.keep_replaced", Kind::Duration(0)).default("24h"),
        /// Prefix of each query that is embedded. Unset: the prefix that the model is known to need
        /// (`search_query: ` for nomic models).
        pub query_prefix: Option<String> = key("memory.embedding.query_prefix", Kind::Prefix),
        /// Prefix of each passage that is embedded. Unset: the prefix that the model is known to
        /// need (`search_document: ` for nomic models).
        pub document_prefix: Option<String> = key("memory.embedding.document_prefix", Kind::Prefix),
        /// The model inside the process.
        pub local: Local = Local::SECTION,
        /// An Ollama server.
        pub ollama: Ollama = Ollama::SECTION,
        /// An OpenAI-compatible API.
        pub openai: Openai = Openai::SECTION,
        /// A text-embeddings-inference server.
        pub tei: Tei = Tei::SECTION,
    }
}

section! {
    /// The model inside the process.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Local {
        /// Threads of the local model. Unset: one for each physical core, within the container's CPU limit.
        pub threads: Option<usize> = key("memory.embedding.local.threads", Kind::Number(1, 256)),
    }
}

section! {
    /// An Ollama server.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Ollama {
        /// URL of the Ollama server.
        pub url: String = key("memory.embedding.ollama.url", Kind::Url).default("http://127.0.0.1:11434"),
        /// Name of the model, as in `ollama list`.
        pub model: String = key("memory.embedding.ollama.model", Kind::Text).default("nomic-embed-text"),
        /// Requested number of dimensions; longer vectors are shortened. Unset: the model's own
        /// number, which is detected. Needed for a model with more than 4,000 dimensions.
        pub dimensions: Option<usize> = key("memory.embedding.ollama.dimensions", Kind::Number(1, 4000)),
        /// HTTP headers of each request.
        pub headers: Headers = key("memory.embedding.ollama.headers", Kind::Headers),
    }
}

section! {
    /// An OpenAI-compatible API.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Openai {
        /// Base URL of an OpenAI-compatible API; pgrecall appends `/embeddings`.
        pub url: String = key("memory.embedding.openai.url", Kind::Url).default("https://api.openai.com/v1"),
        /// Name of the model.
        pub model: String = key("memory.embedding.openai.model", Kind::Text).default("text-embedding-3-small"),
        /// Bearer token of each request. Unset: no token is sent.
        pub api_key: Option<Secret> = key("memory.embedding.openai.api_key", Kind::Secret),
        /// Requested number of dimensions. Unset: the model's own number, which is detected.
        pub dimensions: Option<usize> = key("memory.embedding.openai.dimensions", Kind::Number(1, 4000)),
        /// HTTP headers of each request.
        pub headers: Headers = key("memory.embedding.openai.headers", Kind::Headers),
    }
}

section! {
    /// A text-embeddings-inference server.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Tei {
        /// URL of the text-embeddings-inference server. Needed if `provider` is `tei`.
        pub url: Option<String> = key("memory.embedding.tei.url", Kind::Url),
        /// Bearer token of each request. Unset: no token is sent.
        pub api_key: Option<Secret> = key("memory.embedding.tei.api_key", Kind::Secret),
        /// HTTP headers of each request.
        pub headers: Headers = key("memory.embedding.tei.headers", Kind::Headers),
    }
}

section! {
    /// How results are ranked.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Recall {
        /// How vector similarity and BM25 are combined: `blend` adds the scores, `rrf` the reciprocal ranks.
        pub fusion: Fusion = key("memory.recall.fusion", Kind::Word(&["blend", "rrf"])).default("blend"),
        /// Weight of vector similarity in a blend, in percent; BM25 has the rest.
        pub vector_weight: u32 = key("memory.recall.vector_weight", Kind::Number(0, 100)).default("70"),
        /// Maximum loss of score by age, in percent. 0: age does not count.
        pub recency: u32 = key("memory.recall.recency", Kind::Number(0, 100)).default("0"),
        /// Half-life of the recency decay.
        pub half_life: Duration = key("memory.recall.half_life", Kind::Duration(1000)).default("720h"),
        /// The cross-encoder that ranks the best results again. `None`: no reranking.
        pub rerank: Option<Rerank> = Rerank::SECTION,
    }
}

section! {
    /// A cross-encoder behind text-embeddings-inference.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Rerank {
        /// URL of a text-embeddings-inference server with a cross-encoder, which reranks the best
        /// results; pgrecall appends `/rerank`. Unset: no reranking.
        pub url: String = key("memory.recall.rerank.url", Kind::Url),
        /// Bearer token of each request. Unset: no token is sent.
        pub api_key: Option<Secret> = key("memory.recall.rerank.api_key", Kind::Secret),
        /// HTTP headers of each request.
        pub headers: Headers = key("memory.recall.rerank.headers", Kind::Headers),
        /// Maximum time that a query waits for the cross-encoder. Then the answer keeps its first
        /// ranking, and says so.
        pub timeout: Duration = key("memory.recall.rerank.timeout", Kind::Duration(1)).default("2s"),
        /// Number of results that are reranked.
        pub candidates: usize = key("memory.recall.rerank.candidates", Kind::Number(1, 100)).default("30"),
    }
}

section! {
    /// The search for near-duplicates of a new memory.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Remember {
        /// How the caller's near-duplicates of a new memory are handled: `report` lists them, `supersede` replaces them
        /// with the new one, `ignore` does not search for them.
        pub near_duplicates: NearDuplicates =
            key("memory.remember.near_duplicates", Kind::Word(&["report", "supersede", "ignore"])).default("report"),
        /// Cosine similarity from which two memories are near-duplicates, in percent: for this
        /// search, for `review_duplicates`, and where near-duplicate results are collapsed. The
        /// right value depends on the model.
        pub similarity: u32 = key("memory.remember.similarity", Kind::Number(50, 100)).default("92"),
        /// Maximum time of the search for near-duplicates. Then the memory is stored without it.
        pub timeout: Duration = key("memory.remember.timeout", Kind::Duration(1)).default("2s"),
    }
}

section! {
    /// How long deleted records can be restored.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Forget {
        /// How long a forgotten record, and the replaced version of a shared record, can be
        /// restored. `0s`: they cannot be restored.
        pub keep: Duration = key("memory.forget.keep", Kind::Duration(0)).default("168h"),
    }
}

impl Memory {
    /// Checks the rule between the section's keys.
    pub(super) fn complete(&self, reader: &mut Reader) {
        if self.embedding.provider == Provider::Tei && !reader.is_set("memory.embedding.tei.url") {
            let wrong = " is tei; set `memory.embedding.tei.url` to where it listens.";
            reader.find_at("memory.embedding.provider", wrong);
        }
    }
}

/// How vector similarity and BM25 are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Fusion {
    /// The weighted sum of both scores.
    Blend,
    /// The sum of the reciprocal ranks.
    Rrf,
}

/// How the caller's near-duplicates of a new memory are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NearDuplicates {
    /// They are listed with the new memory.
    Report,
    /// The new memory replaces them.
    Supersede,
    /// No search for them takes place.
    Ignore,
}

impl Word for Provider {}
impl Word for Secrets {}
impl Word for Fusion {}
impl Word for NearDuplicates {}
