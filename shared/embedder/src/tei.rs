//! The provider `tei`, Hugging Face's text-embeddings-inference: `/embed`, with the window and the
//! model's name from `/info`.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

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

/// The timeout of a question about the model, which must not use up the time of the answer.
const INFO_TIMEOUT: Duration = Duration::from_secs(5);

/// The one model that the server serves.
#[derive(Debug)]
pub struct TeiEmbedder {
    model: ModelId,
    address: Address,
    http: Http,
    accepted: Accepted,
    /// The answer of `/info`. `None` inside: the server has no such route.
    info: OnceLock<Option<Info>>,
}

#[derive(Debug, Deserialize)]
struct Info {
    model_id: String,
    max_input_length: usize,
}

impl TeiEmbedder {
    /// Makes the embedder without calling the server. `model` decides the prefixes.
    ///
    /// # Errors
    /// [`EmbedError::Configuration`] for an invalid URL or key.
    pub fn new(url: &str, model: Option<String>, access: Access, prefixes: Prefixes) -> Result<Self, EmbedError> {
        let address = Address::parse(url)?;
        let http = Http::new(&address, access)?;
        let model = ModelId::new(Provider::Tei, Some(address.base.clone()), &model.unwrap_or_default());
        Ok(Self { model: prefixes.apply(model), address, http, accepted: Accepted::default(), info: OnceLock::new() })
    }

    /// Reads `/info` and checks the model's name, until the server has answered once.
    fn ask_for_info(&self, deadline: Instant) -> Result<(), EmbedError> {
        if self.info.get().is_some() {
            return Ok(());
        }
        let deadline = deadline.min(Instant::now() + INFO_TIMEOUT);
        let Ok(reply) = self.http.get(&self.address.join("/info"), deadline) else { return Ok(()) };
        let Some(info) = reply.parse_if::<Info>() else {
            let _ = self.info.set(None);
            return Ok(());
        };
        let configured = &self.model.model;
        if !configured.is_empty() && !info.model_id.eq_ignore_ascii_case(configured) {
            return Err(EmbedError::ModelMissing {
                url: self.address.base.clone(),
                model: configured.clone(),
                remedy: format!("it serves {}; configure that one, or start the server with the other", info.model_id),
            });
        }
        if configured.is_empty() && !family::of(&info.model_id).query_prefix.is_empty() {
            tracing::warn!(
                model = info.model_id,
                "this model needs a query prefix: set `memory.embedding.query_prefix` as its page says"
            );
        }
        // Another thread may have set the same answer first.
        let _ = self.info.set(Some(info));
        Ok(())
    }

    fn failure(&self, reply: &Reply, texts: &[String]) -> EmbedError {
        // 413 means a batch with too many texts, or a text with too many tokens. A text alone in
        // its batch is itself too long.
        if reply.status == 413
            && let [text] = texts
        {
            return EmbedError::TooLong { index: 0, tokens: tokens::estimate(text), limit: self.max_tokens() };
        }
        let message = reply.parse_if().map(|failure: Failure| failure.error);
        self.http.status_error(reply, &self.model, texts.len(), message.as_deref())
    }
}

impl Embedder for TeiEmbedder {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&self, purpose: Purpose, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts = self.model.prefixed(purpose, texts);
        // Both have the defaults of the server, which other servers of this API may not share.
        let optional = Parameters::TRUNCATE | Parameters::NORMALIZE;
        let reply = self.accepted.send(optional, &texts, |omitted| {
            let mut request = json!({ "inputs": texts });
            for (parameter, name, value) in
                [(Parameters::TRUNCATE, "truncate", false), (Parameters::NORMALIZE, "normalize", true)]
            {
                if !omitted.contains(parameter) {
                    request[name] = value.into();
                }
            }
            self.http.post(&self.address.join("/embed"), &request, texts.len(), deadline)
        })?;
        if !reply.is_ok() {
            return Err(self.failure(&reply, &texts));
        }
        self.ask_for_info(deadline)?;
        let vectors: Vec<WireVector> = reply.parse(&self.model)?;
        Ok(vectors.into_iter().map(|vector| vector.0).collect())
    }

    fn max_tokens(&self) -> usize {
        let info = self.info.get().and_then(Option::as_ref);
        info.map_or_else(|| family::of(&self.model.model).window, |info| info.max_input_length)
    }
}
