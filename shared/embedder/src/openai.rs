//! The provider `openai`: any server that speaks OpenAI's `/v1/embeddings`.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{
    Access, EmbedError, Embedder, ModelId, Prefixes, Provider, Purpose, VectorFault,
    http::{Address, Http, Reply},
    optional::{Accepted, Parameters},
    shapes::WireVector,
    tokens,
};
use pgrecall_record::model::family;

/// One model of an OpenAI-compatible server.
#[derive(Debug)]
pub struct OpenAiEmbedder {
    model: ModelId,
    url: String,
    http: Http,
    accepted: Accepted,
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    /// The index of the text. Some servers omit it; the order is then the input's.
    index: Option<usize>,
    embedding: WireVector,
}

/// The error formats: OpenAI nests the message, some compatible servers do not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Failure {
    Nested { error: Fault },
    Text { error: String },
    Flat { message: String },
}

#[derive(Deserialize)]
struct Fault {
    message: String,
    code: Option<serde_json::Value>,
}

impl OpenAiEmbedder {
    /// Makes the embedder without calling the server.
    ///
    /// `url` is the API's root with or without `/v1`, or the whole address of `/embeddings`.
    ///
    /// # Errors
    /// [`EmbedError::Configuration`] for an invalid URL, model or key.
    pub fn new(
        url: &str,
        model: &str,
        dimensions: Option<usize>,
        access: Access,
        prefixes: Prefixes,
    ) -> Result<Self, EmbedError> {
        if model.trim().is_empty() {
            return Err(EmbedError::Configuration(
                "openai needs a model, for example text-embedding-3-small".to_owned(),
            ));
        }
        let address = Address::parse(url)?;
        let path = address.base.splitn(4, '/').nth(3).unwrap_or_default();
        let url = match path {
            "" => address.join("/v1/embeddings"),
            path if path == "embeddings" || path.ends_with("/embeddings") => address.join(""),
            _ => address.join("/embeddings"),
        };
        let identity = address.base.trim_end_matches("/embeddings").trim_end_matches("/v1").to_owned();
        let model = ModelId { dimensions, ..ModelId::new(Provider::Openai, Some(identity), model) };
        let http = Http::new(&address, access)?;
        Ok(Self { model: prefixes.apply(model), http, url, accepted: Accepted::default() })
    }

    fn failure(&self, reply: &Reply, texts: &[String]) -> EmbedError {
        let failure: Option<Failure> = reply.parse_if();
        let (message, code) = match &failure {
            Some(Failure::Nested { error }) => {
                (Some(error.message.as_str()), error.code.as_ref().and_then(|c| c.as_str()))
            }
            Some(Failure::Text { error: message } | Failure::Flat { message }) => (Some(message.as_str()), None),
            None => (None, None),
        };
        let url = reply.url.clone();
        match (reply.status, code) {
            // Servers that do not know the route have an error of another shape.
            (404, _) if matches!(failure, Some(Failure::Nested { .. } | Failure::Flat { .. })) => {
                EmbedError::ModelMissing {
                    url,
                    model: self.model.model.clone(),
                    remedy: "check the model's name and that the key may use it".to_owned(),
                }
            }
            // A used-up quota comes back as "slow down", but waiting does not help.
            (429, Some("insufficient_quota")) => EmbedError::Unauthorized { url, status: 429 },
            (400 | 413, _) if texts.len() == 1 && tokens::estimate(&texts[0]) > self.max_tokens() => {
                EmbedError::TooLong { index: 0, tokens: tokens::estimate(&texts[0]), limit: self.max_tokens() }
            }
            _ => self.http.status_error(reply, &self.model, texts.len(), message),
        }
    }
}

/// Puts the items into the order of the texts. False: the order is unknown, because only some items
/// have an index, or an index is not the only one of its text.
fn sort(items: &mut [Item]) -> bool {
    if items.iter().all(|item| item.index.is_none()) {
        return true;
    }
    items.sort_by_key(|item| item.index);
    items.iter().enumerate().all(|(index, item)| item.index == Some(index))
}

impl Embedder for OpenAiEmbedder {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&self, purpose: Purpose, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts = self.model.prefixed(purpose, texts);
        let dimensions = self.model.dimensions;
        let optional = Parameters::ENCODING_FORMAT | dimensions.map_or(Parameters::NONE, |_| Parameters::DIMENSIONS);
        let reply = self.accepted.send(optional, &texts, |omitted| {
            let request = Request {
                model: &self.model.model,
                input: &texts,
                encoding_format: (!omitted.contains(Parameters::ENCODING_FORMAT)).then_some("float"),
                dimensions: dimensions.filter(|_| !omitted.contains(Parameters::DIMENSIONS)),
            };
            self.http.post(&self.url, &request, texts.len(), deadline)
        })?;
        if !reply.is_ok() {
            return Err(self.failure(&reply, &texts));
        }
        let Answer { mut data } = reply.parse(&self.model)?;
        if !sort(&mut data) {
            return Err(EmbedError::BadVector { embedder: self.model.to_string(), fault: VectorFault::Order });
        }
        Ok(data.into_iter().map(|item| item.embedding.0).collect())
    }

    fn max_tokens(&self) -> usize {
        family::of(&self.model.model).window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_put_into_the_order_of_the_texts_or_the_order_is_unknown() {
        for (indexes, expected) in [
            (vec![Some(0), Some(1), Some(2)], Some([0.0, 1.0, 2.0])),
            (vec![Some(2), Some(0), Some(1)], Some([1.0, 2.0, 0.0])),
            (vec![None, None, None], Some([0.0, 1.0, 2.0])),
            (vec![None, Some(1), None], None),
            (vec![None, Some(1), Some(2)], None),
            (vec![Some(0), Some(0), Some(1)], None),
            (vec![Some(0), Some(0), Some(0)], None),
            (vec![Some(1), Some(2), Some(3)], None),
        ] {
            let item = |(place, index): (usize, &Option<usize>)| Item {
                index: *index,
                embedding: WireVector(vec![place as f32]),
            };
            let mut items: Vec<Item> = indexes.iter().enumerate().map(item).collect();
            let sorted = sort(&mut items).then(|| items.iter().map(|item| item.embedding.0[0]).collect());
            assert_eq!(sorted, expected.map(Vec::from), "{indexes:?}");
        }
    }

    #[test]
    fn address_is_understood_with_and_without_the_version() {
        for (url, expected, identity) in [
            ("https://host", "https://host/v1/embeddings", "https://host"),
            ("https://host/", "https://host/v1/embeddings", "https://host"),
            ("https://host/v1", "https://host/v1/embeddings", "https://host"),
            ("https://host/v1/", "https://host/v1/embeddings", "https://host"),
            ("https://host/v1/embeddings", "https://host/v1/embeddings", "https://host"),
            ("https://host/v1beta/openai", "https://host/v1beta/openai/embeddings", "https://host/v1beta/openai"),
            (
                "https://host/d/m/embeddings?api-version=1",
                "https://host/d/m/embeddings?api-version=1",
                "https://host/d/m",
            ),
        ] {
            let embedder = OpenAiEmbedder::new(url, "m", None, Access::default(), Prefixes::default()).expect(url);
            assert_eq!(embedder.url, expected);
            assert_eq!(embedder.model.url.as_deref(), Some(identity));
        }
    }
}
