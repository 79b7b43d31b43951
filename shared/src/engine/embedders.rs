//! The embedders: that of the configured model, and that of the active space, for queries.
//!
//! They are the same until the configured model changes. From then until the cutover, the old
//! space's model embeds the queries; the row of the space describes that model.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pgvector::HalfVector;

use super::concurrent_calls;
use pgrecall_config::{Config, Provider};
use pgrecall_embedder::{
    self, BreakerState, ClientOptions, EmbedClient, EmbedError, Embedder, EmbedderConfig, ModelId, ProviderConfig,
    Purpose, QueryEmbedder,
};
use pgrecall_postgres::db::{Db, DbError};
use pgrecall_record::passage::{Limit, TARGET_WORDS};
use pgrecall_runtime::Runtime;
use pgrecall_store::recall::QueryVector;
use pgrecall_store::spaces::{self, Space};
use pgrecall_store::workers;

/// How long the active space is cached. A cutover is seen within this time; the old space exists
/// longer.
const SERVING_SPACE_TTL: Duration = Duration::from_secs(2);

/// The number of cached query vectors: with 384 numbers each, 1.5 MB.
const MAX_CACHED_QUERIES: usize = 1_000;

pub(super) struct Embedders {
    config: Config,
    model_dir: PathBuf,
    configured: Arc<dyn Embedder>,
    serving: Mutex<Option<Serving>>,
}

/// The active space, and the embedder of its model.
#[derive(Clone)]
struct Serving {
    space: Space,
    embedder: QueryEmbedder,
    read_at: Instant,
}

impl Embedders {
    pub(super) fn new(config: &Config, runtime: &Runtime) -> Result<Self, EmbedError> {
        let model_dir = runtime.model().model.parent().map(PathBuf::from).unwrap_or_default();
        let configured = pgrecall_embedder::build(configured(config, &model_dir))?;
        Ok(Self { config: config.clone(), model_dir, configured, serving: Mutex::new(None) })
    }

    pub(super) fn configured(&self) -> Arc<dyn Embedder> {
        Arc::clone(&self.configured)
    }

    /// Returns the limits of a passage's length, in tokens of the configured model.
    pub(super) fn limit(&self) -> Limit {
        let embedder = self.configured();
        Limit {
            words: TARGET_WORDS,
            tokens: embedder.max_tokens(),
            count: Arc::new(move |text| embedder.count_tokens(text)),
        }
    }

    /// Embeds a text as a query or passage in the active space, or returns why that is not
    /// possible.
    pub(super) async fn query_vector(
        &self,
        db: &Db,
        purpose: Purpose,
        text: &str,
    ) -> Result<Result<QueryVector, String>, DbError> {
        if self.is_disabled() {
            return Ok(Err("as configured (the provider is noop)".to_owned()));
        }
        let Some(serving) = self.serving(db).await? else {
            return Ok(Err(nothing_is_embedded(db).await?));
        };
        let embedded = match purpose {
            Purpose::Query => serving.embedder.embed(text).await.map(|vector| vector.to_vec()),
            Purpose::Passage => {
                let made = serving.embedder.client().embed(purpose, vec![text.to_owned()]).await;
                made.map(|mut vectors| vectors.pop().unwrap_or_default())
            }
        };
        let vector = match embedded {
            Ok(vector) => vector,
            // The reason becomes part of a sentence.
            Err(error) => return Ok(Err(error.to_string().trim_end_matches('.').to_owned())),
        };
        let Some(dimension) = serving.space.dimension else {
            return Ok(Err(nothing_is_embedded(db).await?));
        };
        if vector.len() != dimension as usize {
            return Ok(Err(format!(
                "the model gives vectors of {} numbers and the stored ones have {dimension}",
                vector.len()
            )));
        }
        Ok(Ok(QueryVector { space: serving.space.id, vector: HalfVector::from_f32_slice(&vector) }))
    }

    async fn serving(&self, db: &Db) -> Result<Option<Serving>, DbError> {
        let known = self.serving.lock().clone();
        if let Some(serving) = &known
            && serving.space.active
            && serving.read_at.elapsed() < SERVING_SPACE_TTL
        {
            return Ok(known);
        }
        let Some(space) = spaces::read_serving(db).await? else { return Ok(None) };
        // The embedder stays while the model does, to keep its breaker and its cache.
        let embedder = match known {
            Some(serving) if (&serving.space.model, serving.space.dimension) == (&space.model, space.dimension) => {
                serving.embedder
            }
            _ => self.for_space(&space),
        };
        let serving = Serving { space, embedder, read_at: Instant::now() };
        *self.serving.lock() = Some(serving.clone());
        Ok(Some(serving))
    }

    /// Whether no embedder is configured, so that keyword search alone is no fault.
    pub(super) fn is_disabled(&self) -> bool {
        self.config.memory.embedding.provider == Provider::Noop
    }

    /// Returns why the breaker of the query embedder is open, if it is.
    pub(super) fn why_away(&self) -> Option<String> {
        let serving = self.serving.lock().clone()?;
        match serving.embedder.client().breaker() {
            BreakerState::Open { reason, .. } => Some(reason),
            BreakerState::Closed => None,
        }
    }

    /// Returns an embedder of the space's model.
    pub(super) fn of(&self, space: &Space) -> Result<Arc<dyn Embedder>, EmbedError> {
        let configured = self.configured.model();
        // Requesting the dimension that the model returns by default gives the same vectors.
        let asked = configured.dimensions.filter(|asked| space.dimension == i32::try_from(*asked).ok());
        let unasked = ModelId { dimensions: space.model.dimensions.or(asked), ..space.model.clone() };
        if unasked.shares_a_space_with(configured) {
            Ok(self.configured())
        } else {
            pgrecall_embedder::build(self.of_space(&space.model))
        }
    }

    fn for_space(&self, space: &Space) -> QueryEmbedder {
        let embedder = self.of(space).unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the active space has a model that cannot be used here"
            );
            self.configured()
        });
        // One slot for each concurrent call, so no call waits behind another caller's.
        let slots = concurrent_calls(&self.config);
        let options = ClientOptions { slots, ..ClientOptions::query(self.config.memory.embedding.timeout) };
        let client = EmbedClient::new(embedder, options);
        QueryEmbedder::new(client, MAX_CACHED_QUERIES)
    }

    /// Returns the configuration for a space's model. Keys and headers come from the provider's
    /// section as it is today.
    fn of_space(&self, model: &ModelId) -> EmbedderConfig {
        let mut config = self.config.clone();
        let embedding = &mut config.memory.embedding;
        embedding.provider = model.provider;
        let url = model.url.clone().unwrap_or_default();
        (embedding.ollama.model, embedding.ollama.url) = (model.model.clone(), url.clone());
        (embedding.openai.model, embedding.openai.url) = (model.model.clone(), url.clone());
        (embedding.ollama.dimensions, embedding.openai.dimensions) = (model.dimensions, model.dimensions);
        embedding.tei.url = Some(url);
        embedding.query_prefix = Some(model.query_prefix.clone());
        embedding.document_prefix = Some(model.document_prefix.clone());
        self::configured(&config, &self.model_dir)
    }
}

/// Returns why no vector is stored, as far as the workers know.
async fn nothing_is_embedded(db: &Db) -> Result<String, DbError> {
    let why = workers::why_not_embedding(&workers::live(db).await?);
    Ok(why.unwrap_or_else(|| "nothing is embedded yet".to_owned()))
}

/// Converts the configuration file's settings to those of the embedder.
fn configured(config: &Config, model_dir: &std::path::Path) -> EmbedderConfig {
    let embedding = &config.memory.embedding;
    let provider = match embedding.provider {
        Provider::Local => ProviderConfig::Local { model_dir: model_dir.to_owned(), threads: embedding.local.threads },
        Provider::Ollama => ProviderConfig::Ollama {
            url: embedding.ollama.url.clone(),
            model: embedding.ollama.model.clone(),
            dimensions: embedding.ollama.dimensions,
            headers: embedding.ollama.headers.clone(),
        },
        Provider::Openai => ProviderConfig::OpenAi {
            url: embedding.openai.url.clone(),
            model: embedding.openai.model.clone(),
            api_key: embedding.openai.api_key.clone(),
            dimensions: embedding.openai.dimensions,
            headers: embedding.openai.headers.clone(),
        },
        Provider::Tei => ProviderConfig::Tei {
            url: embedding.tei.url.clone().unwrap_or_default(),
            model: None,
            api_key: embedding.tei.api_key.clone(),
            headers: embedding.tei.headers.clone(),
        },
        Provider::Noop => ProviderConfig::Noop,
    };
    EmbedderConfig {
        provider,
        query_prefix: embedding.query_prefix.clone(),
        document_prefix: embedding.document_prefix.clone(),
    }
}
