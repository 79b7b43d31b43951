//! The provider `ollama`: `/api/embed`, or `/api/embeddings` text by text for servers before 0.3.4.
//!
//! A 404 has three meanings, which the body distinguishes. JSON with an `error`: the server knows
//! the route but not the model. Plain text: the server does not know the route, so it is old, or it
//! is not Ollama; the client tries the old route at once to find out. It uses the old route for
//! some minutes and then tries the new one again, since servers are upgraded while their clients
//! run.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

use super::{
    Access, EmbedError, Embedder, ModelId, Prefixes, Provider, Purpose,
    http::{Address, Failure, Http, Reply},
    optional::{Accepted, Parameters},
    shapes::WireVector,
    tokens,
};
use pgrecall_record::model::family;

/// How long the client uses the old route of a server that it found to be old.
const OLD_ROUTE_TTL: Duration = Duration::from_secs(600);
/// The smallest context that Ollama gives any model, whatever the model itself could take.
const SERVED_CONTEXT: usize = 2048;
/// The timeout of a question about the model, which must not use up the time of the answer.
const SHOW_TIMEOUT: Duration = Duration::from_secs(5);
/// The value of `window` before the server was asked.
const NOT_ASKED: usize = 0;

/// One model of an Ollama server.
#[derive(Debug)]
pub struct OllamaEmbedder {
    model: ModelId,
    /// The name as configured, with its tag.
    name: String,
    address: Address,
    http: Http,
    accepted: Accepted,
    old_until: Mutex<Option<Instant>>,
    window: AtomicUsize,
}

#[derive(Deserialize)]
struct Embeddings {
    embeddings: Vec<WireVector>,
}

#[derive(Deserialize)]
struct OldEmbedding {
    embedding: WireVector,
}

#[derive(Deserialize)]
struct Shown {
    model_info: serde_json::Map<String, serde_json::Value>,
}

impl OllamaEmbedder {
    /// Makes the embedder without calling the server.
    ///
    /// # Errors
    /// [`EmbedError::Configuration`] for an invalid URL, model or header.
    pub fn new(
        url: &str,
        model: &str,
        dimensions: Option<usize>,
        access: Access,
        prefixes: Prefixes,
    ) -> Result<Self, EmbedError> {
        if model.trim().is_empty() {
            return Err(EmbedError::Configuration("ollama needs a model, for example nomic-embed-text".to_owned()));
        }
        let address = Address::parse(url)?;
        let http = Http::new(&address, access)?;
        // `nomic-embed-text` and `nomic-embed-text:latest` are one model and must be one space.
        let identity = model.strip_suffix(":latest").unwrap_or(model);
        let model_id = ModelId { dimensions, ..ModelId::new(Provider::Ollama, Some(address.base.clone()), identity) };
        Ok(Self {
            model: prefixes.apply(model_id),
            name: model.to_owned(),
            address,
            http,
            accepted: Accepted::default(),
            old_until: Mutex::new(None),
            window: AtomicUsize::new(NOT_ASKED),
        })
    }

    fn embed_batch(&self, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let dimensions = self.model.dimensions;
        let optional = Parameters::TRUNCATE | dimensions.map_or(Parameters::NONE, |_| Parameters::DIMENSIONS);
        if self.accepted.omits(Parameters::TRUNCATE) {
            // The server truncates a long text without saying so.
            self.check_lengths(texts)?;
        }
        let reply = self.accepted.send(optional, texts, |omitted| {
            let mut request = json!({ "model": self.name, "input": texts });
            if !omitted.contains(Parameters::TRUNCATE) {
                request["truncate"] = false.into();
            }
            if let Some(dimensions) = dimensions.filter(|_| !omitted.contains(Parameters::DIMENSIONS)) {
                request["dimensions"] = dimensions.into();
            }
            self.http.post(&self.address.join("/api/embed"), &request, texts.len(), deadline)
        })?;
        if reply.is_ok() {
            self.ask_for_window(deadline);
            let answer: Embeddings = reply.parse(&self.model)?;
            return Ok(answer.embeddings.into_iter().map(|vector| self.shorten(vector)).collect());
        }
        if reply.status == 404 && reply.parse_if::<Failure>().is_none() {
            let vectors = self.embed_one_by_one(texts, deadline)?;
            tracing::warn!(
                url = self.address.base,
                "this Ollama has no /api/embed, so texts go to it one by one: upgrade it to 0.3.4 or later"
            );
            *self.old_until.lock() = Some(Instant::now() + OLD_ROUTE_TTL);
            return Ok(vectors);
        }
        Err(self.failure(&reply, texts))
    }

    /// Embeds through the old route, which takes one text and silently truncates a long one. The
    /// client therefore checks the lengths first.
    fn embed_one_by_one(&self, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.check_lengths(texts)?;
        let url = self.address.join("/api/embeddings");
        let one = |text: &String| {
            let reply = self.http.post(&url, &json!({ "model": self.name, "prompt": text }), 1, deadline)?;
            match reply.is_ok() {
                true => reply.parse(&self.model).map(|answer: OldEmbedding| self.shorten(answer.embedding)),
                false => Err(self.failure(&reply, std::slice::from_ref(text))),
            }
        };
        texts.iter().map(one).collect()
    }

    /// Shortens a vector to the configured dimension, as newer versions of Ollama do it; the client
    /// normalizes the vector.
    fn shorten(&self, WireVector(mut vector): WireVector) -> Vec<f32> {
        vector.truncate(self.model.dimensions.unwrap_or(usize::MAX));
        vector
    }

    fn failure(&self, reply: &Reply, texts: &[String]) -> EmbedError {
        // Ollama has no code for a text that is too long, only a sentence; if a single text is
        // refused, its length decides.
        if matches!(reply.status, 400 | 413)
            && texts.len() == 1
            && let Err(too_long) = self.check_lengths(texts)
        {
            return too_long;
        }
        let failure: Option<Failure> = reply.parse_if();
        match (reply.status, failure) {
            (404, Some(_)) => EmbedError::ModelMissing {
                url: self.address.base.clone(),
                model: self.name.clone(),
                remedy: format!("run `ollama pull {}`", self.name),
            },
            (404, None) => EmbedError::UnexpectedReply {
                url: self.address.base.clone(),
                what: "status 404 for /api/embed and for /api/embeddings".to_owned(),
            },
            (_, failure) => {
                let message = failure.as_ref().map(|failure| failure.error.as_str());
                self.http.status_error(reply, &self.model, texts.len(), message)
            }
        }
    }

    /// Checks the lengths of texts that already have their prefix.
    fn check_lengths(&self, texts: &[String]) -> Result<(), EmbedError> {
        let limit = self.max_tokens();
        let mut lengths = texts.iter().map(|text| tokens::estimate(text)).enumerate();
        match lengths.find(|&(_, tokens)| tokens > limit) {
            Some((index, tokens)) => Err(EmbedError::TooLong { index, tokens, limit }),
            None => Ok(()),
        }
    }

    /// Reads the model's context length, once. If that fails, the window of the model's family
    /// applies.
    fn ask_for_window(&self, deadline: Instant) {
        let unknown = family::of(&self.model.model).window;
        if self.window.compare_exchange(NOT_ASKED, unknown, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let deadline = deadline.min(Instant::now() + SHOW_TIMEOUT);
        let shown = self.http.post(&self.address.join("/api/show"), &json!({ "model": self.name }), 64, deadline);
        let Some(Shown { model_info }) = shown.ok().filter(Reply::is_ok).and_then(|r| r.parse_if()) else {
            return;
        };
        let lengths = model_info.iter().filter(|(key, _)| key.ends_with(".context_length"));
        if let Some(length) = lengths.filter_map(|(_, value)| value.as_u64()).find(|&length| length > 0) {
            // all-minilm says 512 and was trained on 256: the family's window applies if it is
            // smaller.
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            self.window.store(if unknown < 512 { length.min(unknown) } else { length }, Ordering::Relaxed);
        }
    }
}

impl Embedder for OllamaEmbedder {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&self, purpose: Purpose, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts = self.model.prefixed(purpose, texts);
        let old_until = *self.old_until.lock();
        match old_until {
            Some(until) if Instant::now() < until => self.embed_one_by_one(&texts, deadline),
            _ => self.embed_batch(&texts, deadline),
        }
    }

    fn max_tokens(&self) -> usize {
        let window = match self.window.load(Ordering::Relaxed) {
            NOT_ASKED => family::of(&self.model.model).window,
            window => window,
        };
        window.min(SERVED_CONTEXT)
    }
}
