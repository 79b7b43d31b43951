//! The cache of query vectors: a repeated query does not wait for the embedder.
//!
//! An LRU cache with a fixed number of entries. The key is a digest, so a long query takes no more
//! memory than a short one, and the cache holds no query text.

use std::{collections::HashMap, sync::Arc};

use sha2::{Digest, Sha256};

use super::ModelId;

type Key = [u8; 32];

/// A bounded map from (model, text) to the vector of the text.
#[derive(Debug)]
pub(super) struct VectorCache {
    capacity: usize,
    /// The number of uses so far, which is the time of the latest one.
    clock: u64,
    /// Each vector with the time of its last use.
    vectors: HashMap<Key, (u64, Arc<[f32]>)>,
}

impl VectorCache {
    /// Makes an empty cache for `capacity` vectors; 0 caches nothing.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, clock: 0, vectors: HashMap::new() }
    }

    pub(super) fn get(&mut self, key: &Key) -> Option<Arc<[f32]>> {
        let (used, vector) = self.vectors.get_mut(key)?;
        self.clock += 1;
        *used = self.clock;
        Some(vector.clone())
    }

    pub(super) fn put(&mut self, key: Key, vector: Arc<[f32]>) {
        if self.capacity == 0 {
            return;
        }
        if self.vectors.len() >= self.capacity && !self.vectors.contains_key(&key) {
            let oldest = self.vectors.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            oldest.and_then(|key| self.vectors.remove(&key));
        }
        self.clock += 1;
        self.vectors.insert(key, (self.clock, vector));
    }
}

/// Returns the cache key of a query under a model.
pub(super) fn key(model: &ModelId, text: &str) -> Key {
    let mut hash = Sha256::new();
    let dimensions = model.dimensions.map(|n| n.to_string()).unwrap_or_default();
    let url = model.url.as_deref().unwrap_or_default();
    // The query prefix changes the vector of a query, the document prefix does not.
    for part in [model.provider.as_str(), url, &model.model, &dimensions, &model.query_prefix, text] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Provider;

    fn vector(x: f32) -> Arc<[f32]> {
        Arc::from([x])
    }

    #[test]
    fn least_recently_used_goes_first() {
        let mut cache = VectorCache::new(2);
        cache.put([1; 32], vector(1.0));
        cache.put([2; 32], vector(2.0));
        assert!(cache.get(&[1; 32]).is_some());
        cache.put([3; 32], vector(3.0));
        assert_eq!(cache.vectors.len(), 2);
        assert!(cache.get(&[2; 32]).is_none());
        assert_eq!(cache.get(&[1; 32]).as_deref(), Some([1.0].as_slice()));
    }

    #[test]
    fn second_put_replaces_and_does_not_grow() {
        let mut cache = VectorCache::new(2);
        cache.put([1; 32], vector(1.0));
        cache.put([1; 32], vector(1.5));
        assert_eq!(cache.vectors.len(), 1);
        assert_eq!(cache.get(&[1; 32]).as_deref(), Some([1.5].as_slice()));
    }

    #[test]
    fn capacity_zero_caches_nothing() {
        let mut cache = VectorCache::new(0);
        cache.put([1; 32], vector(1.0));
        assert_eq!(cache.vectors.len(), 0);
    }

    #[test]
    fn key_depends_on_model_and_text_and_on_where_one_ends() {
        let a = ModelId::new(Provider::Ollama, Some("http://a".into()), "m");
        let b = ModelId::new(Provider::Ollama, Some("http://a".into()), "n");
        let prefixed = ModelId { query_prefix: "query: ".into(), ..a.clone() };
        assert_eq!(key(&a, "text"), key(&a, "text"));
        assert_ne!(key(&a, "text"), key(&b, "text"));
        assert_ne!(key(&a, "query: text"), key(&prefixed, "text"));
    }
}
