//! The embedder of queries: a client behind a cache.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    EmbedClient, EmbedError, Purpose,
    cache::{self, VectorCache},
};

/// Embeds one query at a time. Clones share the client and the cache.
#[derive(Debug, Clone)]
pub struct QueryEmbedder {
    client: EmbedClient,
    cache: Arc<Mutex<VectorCache>>,
}

impl QueryEmbedder {
    /// Wraps `client` with a cache of `cached` vectors (a vector of 384 dimensions takes 1.5 KB).
    pub fn new(client: EmbedClient, cached: usize) -> Self {
        Self { client, cache: Arc::new(Mutex::new(VectorCache::new(cached))) }
    }

    /// Embeds a query to a vector of length 1. A cached query is answered even while the embedder
    /// is down.
    ///
    /// # Errors
    /// Any [`EmbedError`], within the client's timeout; at once while the breaker is open.
    pub async fn embed(&self, text: &str) -> Result<Arc<[f32]>, EmbedError> {
        let key = cache::key(self.client.model(), text);
        if let Some(vector) = self.cache.lock().get(&key) {
            return Ok(vector);
        }
        let mut vectors = self.client.embed(Purpose::Query, vec![text.to_owned()]).await?;
        let vector: Arc<[f32]> = vectors.pop().expect("the client checked the count").into();
        self.cache.lock().put(key, vector.clone());
        Ok(vector)
    }

    /// Returns the client, for its breaker, dimension and model.
    pub fn client(&self) -> &EmbedClient {
        &self.client
    }
}
