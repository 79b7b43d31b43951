//! A cross-encoder behind text-embeddings-inference: `/rerank` scores each text against the
//! question.
//!
//! It implements [`Embedder`], so that the client's threads, timeouts and breaker serve it too: the
//! first text is the question, and a score s between 0 and 1 comes back as the vector (s, √(1 −
//! s²)), whose length is 1.

use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use super::{
    Access, EmbedError, Embedder, ModelId, Provider, Purpose,
    http::{Address, Failure, Http},
};

/// The one model that the server serves.
#[derive(Debug)]
pub struct TeiReranker {
    model: ModelId,
    address: Address,
    http: Http,
}

#[derive(Deserialize)]
struct Rank {
    index: usize,
    score: f32,
}

impl TeiReranker {
    /// Makes the reranker without calling the server.
    ///
    /// # Errors
    /// [`EmbedError::Configuration`] for an invalid URL or key.
    pub fn new(url: &str, access: Access) -> Result<Self, EmbedError> {
        let address = Address::parse(url)?;
        let http = Http::new(&address, access)?;
        let model = ModelId::new(Provider::Tei, Some(address.base.clone()), "reranker");
        Ok(Self { model, address, http })
    }
}

/// Returns the score that a vector holds.
pub fn score(vector: &[f32]) -> f64 {
    f64::from(vector.first().copied().unwrap_or_default())
}

fn vector(score: f32) -> Vec<f32> {
    let score = score.clamp(0.0, 1.0);
    vec![score, (1.0 - score * score).sqrt()]
}

impl Embedder for TeiReranker {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&self, _: Purpose, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let Some((question, answers)) = texts.split_first() else { return Ok(Vec::new()) };
        // A probe has one word, which is then its own answer.
        let answers = if answers.is_empty() { texts } else { answers };
        let request = json!({ "query": question, "texts": answers, "truncate": true, "raw_scores": false });
        let reply = self.http.post(&self.address.join("/rerank"), &request, answers.len(), deadline)?;
        if !reply.is_ok() {
            let message = reply.parse_if().map(|failure: Failure| failure.error);
            return Err(self.http.status_error(&reply, &self.model, texts.len(), message.as_deref()));
        }
        let mut vectors = vec![vector(1.0); texts.len()];
        let offset = texts.len() - answers.len();
        for rank in reply.parse::<Vec<Rank>>(&self.model)? {
            if let Some(place) = vectors.get_mut(rank.index + offset) {
                *place = vector(rank.score);
            }
        }
        Ok(vectors)
    }

    /// No limit: the server truncates a text that is too long for it.
    fn max_tokens(&self) -> usize {
        usize::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_comes_through_as_a_vector_of_length_one() {
        for wanted in [0.0, 0.25, 1.0, 7.0, -1.0] {
            let carried = vector(wanted);
            assert!((carried.iter().map(|n| n * n).sum::<f32>() - 1.0).abs() < 1e-6);
            assert!((score(&carried) - f64::from(wanted.clamp(0.0, 1.0))).abs() < 1e-6);
        }
    }
}
