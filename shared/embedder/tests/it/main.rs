//! Tests of the embedders against a server that misbehaves on demand, and of the real local model.
//!
//! Times in these tests are upper bounds that end a broken test; a slow machine cannot miss them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod local;
mod providers;
mod recovery;
mod servers;

use std::time::Duration;

use pgrecall_embedder::{
    BreakerPolicy, ClientOptions, EmbedClient, EmbedError, FailureClass, ProviderConfig, Purpose, Secret, build,
};
use pgrecall_harness::scripted::{Answer, Request, json_answer, text_answer};
use serde_json::json;

/// The timeout of a test: long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a vector that depends on the text.
fn vector_of(text: &str) -> Vec<f32> {
    vec![1.0, text.len() as f32, text.bytes().map(f32::from).sum()]
}

/// Answers as a healthy Ollama does.
fn ollama_answer(request: &Request) -> Answer {
    match request.path.as_str() {
        "/api/embed" => {
            let vectors: Vec<_> = request.texts().iter().map(|text| vector_of(text)).collect();
            json_answer(200, json!({ "model": "m", "embeddings": vectors }))
        }
        "/api/show" => json_answer(200, json!({ "model_info": { "nomic-bert.context_length": 1024 } })),
        _ => text_answer(404, "text/plain", "404 page not found"),
    }
}

/// Makes a client whose probes follow each other quickly.
fn client_with(provider: ProviderConfig, timeout: Duration) -> EmbedClient {
    let breaker = BreakerPolicy {
        first_retry: Duration::from_millis(20),
        max_retry: Duration::from_millis(40),
        ..BreakerPolicy::default()
    };
    EmbedClient::new(build(provider.into()).unwrap(), ClientOptions { breaker, ..ClientOptions::query(timeout) })
}

fn client(provider: ProviderConfig) -> EmbedClient {
    client_with(provider, PATIENCE)
}

fn ollama(url: String) -> ProviderConfig {
    ProviderConfig::Ollama { url, model: "nomic-embed-text".into(), dimensions: None, headers: Default::default() }
}

fn openai(url: String) -> ProviderConfig {
    let api_key = Some(Secret::new("sk-very-secret"));
    ProviderConfig::OpenAi {
        url,
        model: "text-embedding-3-small".into(),
        api_key,
        dimensions: Some(3),
        headers: Default::default(),
    }
}

fn tei(url: String) -> ProviderConfig {
    ProviderConfig::Tei { url, model: None, api_key: None, headers: Default::default() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// Waits until the breaker has closed after a probe.
async fn recovered(client: &EmbedClient) {
    tokio::time::timeout(PATIENCE, client.available()).await.expect("the probe closes the breaker");
}

/// Embeds texts of which one may be bad: bisects a refused batch until the bad text is isolated, as
/// the worker does.
async fn embed_each(client: &EmbedClient, texts: Vec<String>) -> Result<Vec<Result<Vec<f32>, EmbedError>>, EmbedError> {
    use FailureClass::{Disabled, Misconfigured, Transient};
    let mut done = Vec::new();
    let mut calls = vec![texts];
    while let Some(mut call) = calls.pop() {
        match client.embed(Purpose::Passage, call.clone()).await {
            Ok(vectors) => done.extend(vectors.into_iter().map(Ok)),
            Err(error) if matches!(error.class(), Transient | Misconfigured | Disabled) => return Err(error),
            Err(error) if call.len() == 1 => done.push(Err(error)),
            Err(_) => {
                let second = call.split_off(call.len() / 2);
                calls.extend([second, call]);
            }
        }
    }
    Ok(done)
}
