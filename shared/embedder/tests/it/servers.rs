//! Tests of what servers refuse and how they answer: optional parameters, and shapes of vectors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pgrecall_embedder::{EmbedError, FailureClass, ProviderConfig, Purpose};
use pgrecall_harness::scripted::{Answer, Request, ScriptedServer, json_answer};
use serde_json::{Value, json};

use crate::{client, openai, texts, vector_of};

/// Answers like an OpenAI-compatible server, with vectors in the shape that `shape` makes of them.
fn openai_answer(request: &Request, shape: impl Fn(Vec<f32>) -> Value) -> Answer {
    let vector = |(index, text): (usize, &String)| json!({ "index": index, "embedding": shape(vector_of(text)) });
    let data: Vec<Value> = request.texts().iter().enumerate().map(vector).collect();
    json_answer(200, json!({ "data": data }))
}

fn sent(server: &ScriptedServer, key: &str) -> Vec<bool> {
    server.requests("/v1/embeddings").iter().map(|request| request.body.get(key).is_some()).collect()
}

#[tokio::test]
async fn parameters_that_a_server_refuses_are_left_out_and_never_sent_again() {
    // The status of the refusal, the refused parameters, and those that are sent in the end.
    for (status, refused, kept) in [
        (400, ["encoding_format", ""], ["dimensions", ""]),
        (422, ["encoding_format", ""], ["dimensions", ""]),
        (400, ["dimensions", ""], ["encoding_format", ""]),
        (422, ["encoding_format", "dimensions"], ["", ""]),
        (400, ["", ""], ["encoding_format", "dimensions"]),
    ] {
        let server =
            ScriptedServer::start(move |request| match refused.iter().any(|key| request.body.get(*key).is_some()) {
                true => json_answer(status, json!({ "detail": "Extra inputs are not permitted" })),
                false => openai_answer(request, |vector| json!(vector)),
            });
        let client = client(openai(server.url()));
        assert_eq!(client.embed(Purpose::Passage, texts(&["a", "b"])).await.unwrap().len(), 2);
        let calls = server.calls();
        client.embed(Purpose::Query, texts(&["c"])).await.unwrap();
        assert_eq!(server.calls(), calls + 1, "{refused:?}: what it takes is remembered");
        for key in ["encoding_format", "dimensions"] {
            assert_eq!(sent(&server, key).last(), Some(&kept.contains(&key)), "{refused:?}: {key}");
        }
        assert!(client.breaker().is_closed());
    }
}

#[tokio::test]
async fn a_value_that_a_server_refuses_is_left_out() {
    let server = ScriptedServer::start(|request| match request.body["encoding_format"].as_str() {
        None | Some("base64") => openai_answer(request, |vector| json!(vector)),
        Some(_) => json_answer(400, json!({ "detail": "Valid values are ['base64', null]." })),
    });
    client(openai(server.url())).embed(Purpose::Query, texts(&["a"])).await.unwrap();
}

#[tokio::test]
async fn a_text_that_is_refused_is_sent_once_after_the_server_has_taken_the_parameters() {
    let server = ScriptedServer::start(|request| match request.texts().iter().any(|text| text == "bad") {
        true => json_answer(400, json!({ "error": { "message": "no" } })),
        false => openai_answer(request, |vector| json!(vector)),
    });
    let client = client(openai(server.url()));
    client.embed(Purpose::Query, texts(&["a"])).await.unwrap();
    let error = client.embed(Purpose::Query, texts(&["bad"])).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::RefusedBatch, "{error}");
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_server_that_refuses_everything_is_reported_with_its_first_answer() {
    let server = ScriptedServer::start(|request| {
        let format = request.body.get("encoding_format").is_some();
        json_answer(400, json!({ "error": { "message": if format { "the first" } else { "another" } } }))
    });
    let error = client(openai(server.url())).embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(matches!(error, EmbedError::Unusable { .. }) && cause.contains("the first"), "{error}: {cause}");
}

#[tokio::test]
async fn a_server_that_begins_to_refuse_a_parameter_is_understood() {
    let strict = Arc::new(AtomicBool::new(false));
    let is_strict = strict.clone();
    let server = ScriptedServer::start(move |request| {
        match is_strict.load(Ordering::SeqCst) && request.body.get("encoding_format").is_some() {
            true => json_answer(400, json!({ "error": { "message": "unknown parameter" } })),
            false => openai_answer(request, |vector| json!(vector)),
        }
    });
    let client = client(openai(server.url()));
    client.probe().await.unwrap();
    strict.store(true, Ordering::SeqCst);
    client.probe().await.unwrap();
    client.embed(Purpose::Query, texts(&["a"])).await.unwrap();
}

#[tokio::test]
async fn vectors_are_read_in_every_shape() {
    type Shape = fn(Vec<f32>) -> Value;
    let shapes: [(&str, Shape); 3] = [
        ("numbers", |vector| json!(vector)),
        ("nested", |vector| json!([vector])),
        // (1.0, 1.0, 97.0) for "a", in little-endian 32-bit floats.
        ("base64", |vector| json!(if vector[2] == 97.0 { "AACAPwAAgD8AAMJC" } else { "" })),
    ];
    for (name, shape) in shapes {
        let server = ScriptedServer::start(move |request| openai_answer(request, shape));
        let vectors = client(openai(server.url())).embed(Purpose::Query, texts(&["a"])).await.unwrap();
        let length = (1.0_f32 + 1.0 + 97.0 * 97.0).sqrt();
        assert!((vectors[0][2] - 97.0 / length).abs() < 1e-6, "{name}: {vectors:?}");
    }
}

#[tokio::test]
async fn ollama_is_asked_for_the_configured_dimension_and_a_longer_vector_is_shortened() {
    for honors in [true, false] {
        let server = ScriptedServer::start(move |request| {
            let asked = request.body["dimensions"].as_u64().map_or(8, |asked| asked as usize);
            let vector = vec![1.0; if honors { asked } else { 8 }];
            json_answer(200, json!({ "embeddings": vec![vector; request.texts().len()] }))
        });
        let config = ProviderConfig::Ollama {
            url: server.url(),
            model: "qwen3-embedding:8b".into(),
            dimensions: Some(4),
            headers: Default::default(),
        };
        let client = client(config);
        assert_eq!(client.probe().await.unwrap(), 4, "honors: {honors}");
        assert_eq!(server.requests("/api/embed")[0].body["dimensions"], json!(4));
        assert_eq!(client.model().dimensions, Some(4));
    }
}
