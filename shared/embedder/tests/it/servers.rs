//! Tests of what servers refuse and how they answer: optional parameters, shapes of vectors, and
//! passages that are too long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pgrecall_embedder::{
    ClientOptions, EmbedClient, EmbedError, Embedder, FailureClass, ModelId, Provider, ProviderConfig, Purpose, build,
};
use pgrecall_harness::scripted::{Answer, Request, ScriptedServer, json_answer, text_answer};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{PATIENCE, client, embed_each, ollama, openai, tei, texts, vector_of};

/// Answers like an OpenAI-compatible server, with vectors in the shape that `shape` makes of them.
fn openai_answer(request: &Request, shape: impl Fn(Vec<f32>) -> Value) -> Answer {
    let vector = |(index, text): (usize, &String)| json!({ "index": index, "embedding": shape(vector_of(text)) });
    let data: Vec<Value> = request.texts().iter().enumerate().map(vector).collect();
    json_answer(200, json!({ "data": data }))
}

/// Answers like text-embeddings-inference.
fn tei_answer(request: &Request) -> Answer {
    json_answer(200, json!(request.texts().iter().map(|text| vector_of(text)).collect::<Vec<_>>()))
}

/// A client that cuts passages, as the worker's does.
fn worker_client(provider: ProviderConfig) -> EmbedClient {
    EmbedClient::new(build(provider.into()).unwrap(), ClientOptions::worker(PATIENCE, 1))
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
async fn every_provider_leaves_out_what_a_server_refuses_whatever_the_status() {
    let ollama_of = |url| ProviderConfig::Ollama {
        url,
        model: "nomic-embed-text".into(),
        dimensions: Some(3),
        headers: Default::default(),
    };
    type Provider = (fn(String) -> ProviderConfig, &'static str, fn(&Request) -> Answer);
    let openai_answer = |request: &Request| openai_answer(request, |vector| json!(vector));
    let (openai, ollama, tei): (Provider, Provider, Provider) = (
        (openai, "/v1/embeddings", openai_answer),
        (ollama_of, "/api/embed", crate::ollama_answer),
        (tei, "/embed", tei_answer),
    );
    // The provider, the refused parameters, the refusal's status and words, and whether it is
    // understood.
    let none = "extra inputs are not permitted";
    for ((config, path, answer), refused, status, said, is_understood) in [
        (openai, &["encoding_format"][..], 403, none, true),
        (openai, &["encoding_format"], 501, none, true),
        (openai, &["encoding_format"], 500, "encoding_format is not implemented", true),
        (openai, &["encoding_format"], 404, "no encoding_format here", true),
        (openai, &["encoding_format"], 500, none, false),
        (openai, &["encoding_format"], 401, "encoding_format needs another key", false),
        (tei, &["normalize"], 422, none, true),
        (tei, &["truncate"], 500, "unknown field truncate", true),
        (tei, &["truncate", "normalize"], 400, none, true),
        (ollama, &["truncate"], 400, none, true),
        (ollama, &["truncate"], 500, "unknown field \"truncate\"", true),
        (ollama, &["truncate", "dimensions"], 400, none, true),
        (ollama, &["dimensions"], 400, none, true),
    ] {
        let server =
            ScriptedServer::start(move |request| match refused.iter().any(|key| request.body.get(*key).is_some()) {
                true => json_answer(status, json!({ "error": { "message": said } })),
                false => answer(request),
            });
        let client = client(config(server.url()));
        let case = format!("{path} {refused:?} {status} {said}");
        let answered = client.embed(Purpose::Passage, texts(&["a", "b"])).await;
        assert_eq!(answered.is_ok(), is_understood, "{case}: {answered:?}");
        if is_understood {
            let calls = server.requests(path).len();
            client.embed(Purpose::Query, texts(&["c"])).await.unwrap();
            let requests = server.requests(path);
            assert_eq!(requests.len(), calls + 1, "{case}: what it takes is remembered");
            let sent = |key: &str| requests[calls].body.get(key).is_some();
            assert!(refused.iter().all(|key| !sent(key)), "{case}");
            let optional = ["encoding_format", "truncate", "normalize", "dimensions"];
            let kept = |key: &&str| requests[0].body.get(*key).is_some() && !refused.contains(key);
            assert!(optional.iter().filter(|key| kept(key)).all(|key| sent(key)), "{case}: the others are kept");
        }
    }
}

#[tokio::test]
async fn an_error_with_status_200_keeps_its_words_and_counts_as_the_status_that_it_names() {
    for (config, body, class, said) in [
        (
            openai as fn(String) -> _,
            json!({ "error": "Model not loaded" }),
            FailureClass::Misconfigured,
            "Model not loaded",
        ),
        (
            openai,
            json!({ "error": { "message": "Provider returned error", "code": 429, "metadata": {} } }),
            FailureClass::Transient,
            "slow down (status 429; it said: Provider returned error)",
        ),
        (
            openai,
            json!({ "error": { "message": "No credit", "code": 402 } }),
            FailureClass::Misconfigured,
            "denies access (status 402)",
        ),
        (
            openai,
            json!({ "error": { "message": "Model is gone", "code": "gone" } }),
            FailureClass::Misconfigured,
            "Model is gone",
        ),
        (ollama, json!({ "error": "runner has stopped" }), FailureClass::Misconfigured, "runner has stopped"),
        (tei, json!({ "error": "Model is overloaded" }), FailureClass::Misconfigured, "Model is overloaded"),
    ] {
        let server = ScriptedServer::start(move |_| json_answer(200, body.clone()));
        let client = client(config(server.url()));
        let error = client.embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    // A field `error` of null is no error.
    let server = ScriptedServer::start(|_| {
        json_answer(200, json!({ "error": null, "data": [{ "embedding": [1.0, 2.0, 3.0] }] }))
    });
    client(openai(server.url())).embed(Purpose::Query, texts(&["a"])).await.unwrap();
}

#[tokio::test]
async fn the_error_for_a_refused_probe_word_quotes_the_server() {
    let server =
        ScriptedServer::start(|_| json_answer(400, json!({ "error": { "message": "input_type is missing" } })));
    let error = client(openai(server.url())).embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::Unusable { .. }) && error.to_string().contains("input_type is"), "{error}");
}

#[tokio::test]
async fn an_ollama_that_may_truncate_gets_no_text_that_is_too_long() {
    let server = ScriptedServer::start(|request| match request.body.get("truncate") {
        Some(_) => json_answer(400, json!({ "error": "unknown field \"truncate\"" })),
        None => crate::ollama_answer(request),
    });
    let client = worker_client(ollama(server.url()));
    client.probe().await.unwrap();
    let long = "Plain words of a sentence. ".repeat(400);
    let results = embed_each(&client, texts(&["a", &long])).await.unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let sent: Vec<_> = server.requests("/api/embed").iter().flat_map(|request| request.texts()).collect();
    assert!(sent.len() > 4 && sent.iter().all(|text| text.len() < long.len() / 2 + 100), "it is cut");
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

/// A server's refusal of a text that is too long, and its answer to others.
type Server = (fn(String) -> ProviderConfig, Answer, fn(&Request) -> Answer);

/// The tokens of a text: one for each two bytes of a long word, and one for any other word.
fn tokens(text: &str) -> usize {
    text.split_whitespace().map(|word| if word.len() > 20 { word.len() / 2 } else { 1 }).sum()
}

/// How each server refuses a text that is too long.
fn servers() -> [Server; 4] {
    let ollama_answer = crate::ollama_answer as fn(&Request) -> Answer;
    let openai_answer = |request: &Request| openai_answer(request, |vector| json!(vector));
    let said = |status, body| json_answer(status, body);
    [
        (ollama, said(400, json!({ "error": "the input length exceeds the context length" })), ollama_answer),
        (openai, said(500, json!({ "error": { "message": "input is too large to process" } })), openai_answer),
        (openai, said(400, json!({ "message": "maximum context length is 100 tokens" })), openai_answer),
        (tei, said(413, json!({ "error": "`inputs` must have less than 100 tokens" })), tei_answer),
    ]
}

/// Starts a server that takes texts of at most 100 tokens.
fn limited(refusal: Answer, answer: fn(&Request) -> Answer) -> ScriptedServer {
    ScriptedServer::start(move |request| match request.texts().iter().any(|text| tokens(text) > 100) {
        true => refusal.clone(),
        false => answer(request),
    })
}

#[tokio::test]
async fn a_passage_that_is_too_long_is_cut_and_its_siblings_are_embedded() {
    for (config, refusal, answer) in servers() {
        let server = limited(refusal.clone(), answer);
        let client = worker_client(config(server.url()));
        client.probe().await.unwrap();
        let (dense, prose) = ("c2VjcmV0IGJ5dGVz".repeat(40), "Plain words of a sentence. ".repeat(15));
        let results = embed_each(&client, texts(&["a", &dense, &prose, "b"])).await.unwrap();
        for result in &results {
            let vector = result.as_ref().unwrap_or_else(|error| panic!("{refusal:?}: {error}"));
            let length: f32 = vector.iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-5, "{length}");
        }
        // Further passages like it are cut before, in one call with others, and nothing is refused.
        let sent = || -> Vec<String> {
            let paths = ["/api/embed", "/v1/embeddings", "/embed"].iter();
            paths.flat_map(|path| server.requests(path)).flat_map(|request| request.texts()).collect()
        };
        let before = sent().len();
        let both = texts(&[&dense, &prose]);
        assert_eq!(client.embed(Purpose::Passage, both).await.unwrap().len(), 2);
        assert!(sent().len() > before + 2 && sent()[before..].iter().all(|text| tokens(text) <= 100), "{refusal:?}");
        assert!(client.breaker().is_closed());
    }
}

#[tokio::test]
async fn a_text_for_which_the_connection_breaks_does_not_hold_up_the_others() {
    for fault in [
        Answer::Close,
        Answer::CutOff("{\"data\":[{\"embedding\":[1.0]}]}".into()),
        text_answer(200, "application/json", "{\"data\":["),
    ] {
        let server = limited(fault.clone(), |request| openai_answer(request, |vector| json!(vector)));
        let client = worker_client(openai(server.url()));
        client.probe().await.unwrap();
        let passing = client.passing();
        let dense = "c2VjcmV0IGJ5dGVz".repeat(40);
        let results = embed_each(&client, texts(&["a", &dense, "b", "c"])).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{fault:?}: {results:?}");
        // A short text is not cut, and is named.
        server.script({
            let fault = fault.clone();
            move |request| match request.texts().iter().any(|text| text == "bad") {
                true => fault.clone(),
                false => openai_answer(request, |vector| json!(vector)),
            }
        });
        let results = embed_each(&client, texts(&["a", "bad", "b", "c"])).await.unwrap();
        let failed: Vec<_> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, true, false, false], "{fault:?}");
        assert!(matches!(&results[1], Err(EmbedError::OnlyThese { texts: 1, .. })), "{:?}", results[1]);
        assert!(!passing.has_changed().unwrap(), "{fault:?}: the breaker never opened");
        // Once the probe word fails too, the embedder is to blame.
        server.script(move |_| fault.clone());
        let error = client.embed(Purpose::Passage, texts(&["a"])).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Transient, "{error}");
    }
}

#[tokio::test]
async fn status_429_with_the_size_as_its_reason_is_about_the_texts() {
    let too_large = "Request too large for text-embedding-3-small on tokens per min (TPM): Limit 100, Requested 900. \
                     The input or output tokens must be reduced in order to run successfully.";
    for (said, is_size) in [
        (too_large, true),
        (
            "Rate limit reached for text-embedding-3-small on tokens per min: Limit 100, Used 90. Try again in 2s.",
            false,
        ),
        ("slow down", false),
        ("Too many tokens, please wait before trying again.", false),
    ] {
        let answer =
            json_answer(429, json!({ "error": { "message": said, "type": "tokens", "code": "rate_limit_exceeded" } }));
        let server = limited(answer, |request| openai_answer(request, |vector| json!(vector)));
        let client = worker_client(openai(server.url()));
        client.probe().await.unwrap();
        let dense = "c2VjcmV0IGJ5dGVz".repeat(40);
        let answered = embed_each(&client, texts(&["a", &dense, "b"])).await;
        match is_size {
            true => {
                assert!(answered.unwrap().iter().all(Result::is_ok), "{said}");
                assert_eq!(client.cut_passages(), 1, "it is remembered");
                let error = client.embed(Purpose::Query, vec![dense]).await.unwrap_err().to_string();
                assert!(error.contains("Request too large for"), "{error}");
                assert!(client.breaker().is_closed());
            }
            false => {
                let error = answered.unwrap_err();
                assert!(matches!(error, EmbedError::Busy { .. }) && error.to_string().contains(said), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_once_cuts_nothing_and_blames_no_text() {
    for text in ["Plain words of a sentence. ".repeat(40), "short".to_owned()] {
        let breaks = AtomicBool::new(true);
        let broken = text.clone();
        let server = ScriptedServer::start(move |request| {
            match request.texts().contains(&broken) && breaks.swap(false, Ordering::SeqCst) {
                true => Answer::CutOff("{\"data\":[{\"embedding\":[1.0]}]}".into()),
                false => openai_answer(request, |vector| json!(vector)),
            }
        });
        let client = worker_client(openai(server.url()));
        client.probe().await.unwrap();
        client.embed(Purpose::Passage, vec![text]).await.unwrap();
        assert_eq!(client.cut_passages(), 0);
        assert!(client.breaker().is_closed());
    }
}

#[tokio::test]
async fn a_call_that_gets_no_answer_while_probes_are_answered_is_given_up() {
    let server = ScriptedServer::start(|request| match request.texts().iter().any(|text| text == "bad") {
        true => Answer::Hang,
        false => openai_answer(request, |vector| json!(vector)),
    });
    let patience = Some(Duration::from_millis(200));
    let options = ClientOptions { patience, ..ClientOptions::worker(PATIENCE, 1) };
    let client = EmbedClient::new(build(openai(server.url()).into()).unwrap(), options);
    client.probe().await.unwrap();
    for call in [texts(&["a", "bad"]), texts(&["bad"])] {
        // On a machine under load a probe may be slow, and the call then counts as lost.
        let error = loop {
            match client.embed(Purpose::Passage, call.clone()).await.unwrap_err() {
                EmbedError::LostCall { .. } => {}
                error => break error,
            }
        };
        assert_eq!(error.class(), FailureClass::RefusedBatch, "{error}");
        assert!(error.to_string().contains("lost a call"), "{error}");
        assert!(client.breaker().is_closed());
        client.embed(Purpose::Passage, texts(&["a"])).await.unwrap();
    }
}

#[tokio::test]
async fn the_vector_of_a_cut_passage_is_the_mean_of_its_parts() {
    let server = ScriptedServer::start(|request| match request.texts().iter().any(|text| text.len() > 200) {
        true => json_answer(400, json!({ "error": { "message": "too long" } })),
        false => {
            let vector = |text: &String| if text.starts_with('a') { json!([1.0, 0.0]) } else { json!([0.0, 1.0]) };
            let data: Vec<Value> = request.texts().iter().map(|text| json!({ "embedding": vector(text) })).collect();
            json_answer(200, json!({ "data": data }))
        }
    });
    let client = worker_client(openai(server.url()));
    client.probe().await.unwrap();
    let text = "a".repeat(150) + &"b".repeat(150);
    let vector = client.embed(Purpose::Passage, vec![text.clone()]).await.unwrap().remove(0);
    let half = 0.5_f32.sqrt();
    assert!(vector.iter().all(|number| (number - half).abs() < 1e-6), "{vector:?}");
    let again = client.embed(Purpose::Passage, vec![text.clone(), "a".to_owned()]).await.unwrap();
    assert_eq!(again, [vector, vec![1.0, 0.0]], "it has the same vector, however it is cut");
    // Someone waits for a query, which is not cut for a refusal that may have other reasons.
    let error = client.embed(Purpose::Query, vec![text]).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::RefusedBatch, "{error}");
}

#[tokio::test]
async fn a_query_that_is_longer_than_the_window_is_cut() {
    for (config, refusal, answer) in [
        (
            ollama as fn(String) -> ProviderConfig,
            json_answer(400, json!({ "error": "the input length exceeds the context length" })),
            crate::ollama_answer as fn(&Request) -> Answer,
        ),
        (tei, json_answer(413, json!({ "error": "must have less than 100 tokens" })), tei_answer),
    ] {
        let server = limited(refusal, answer);
        let client = client(config(server.url()));
        client.probe().await.unwrap();
        for text in ["c2VjcmV0IGJ5dGVz".repeat(400), "Plain words of a sentence. ".repeat(150)] {
            let vector = client.embed(Purpose::Query, vec![text]).await.unwrap().remove(0);
            assert!((vector.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
        }
        assert_eq!(client.cut_passages(), 0);
        assert!(client.breaker().is_closed());
    }
}

#[tokio::test]
async fn a_long_passage_that_is_refused_for_its_content_fails_and_changes_nothing_for_others() {
    let server = ScriptedServer::start(|request| match request.texts().iter().any(|text| text.contains("<script>")) {
        true => json_answer(403, json!({ "error": { "message": "blocked" } })),
        false => openai_answer(request, |vector| json!(vector)),
    });
    let client = worker_client(openai(server.url()));
    client.probe().await.unwrap();
    for text in ["word ".repeat(200) + "<script>", "<script>".to_owned() + &"word ".repeat(200)] {
        let calls = server.calls();
        let error = client.embed(Purpose::Passage, vec![text.clone()]).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::RefusedBatch, "{error}");
        assert!(server.calls() - calls < 20, "{} calls", server.calls() - calls);
        assert_eq!(client.cut_passages(), 0);
        let before = server.calls();
        client.embed(Purpose::Passage, vec![text.replace("<script>", "")]).await.unwrap();
        assert_eq!(server.calls(), before + 1, "a text of that length is sent whole");
    }
}

/// An embedder of texts up to a number of bytes, which records the texts that it embeds.
struct Limited {
    model: ModelId,
    bytes: usize,
    embedded: Mutex<Vec<String>>,
}

impl Embedder for Limited {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn embed(&self, _: Purpose, texts: &[String], _: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.iter().any(|text| text.len() > self.bytes) {
            let (embedder, detail) = ("limited".to_owned(), "too long".to_owned());
            return Err(EmbedError::Refused { embedder, status: 400, texts: texts.len(), detail });
        }
        self.embedded.lock().unwrap().extend(texts.iter().filter(|text| *text != "hello").cloned());
        Ok(texts.iter().map(|text| vector_of(text)).collect())
    }

    fn max_tokens(&self) -> usize {
        512
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_passage_is_embedded_whole_whatever_the_limit(
        passages in prop::collection::vec("[a-z]{1,8}( [a-z]{1,9}|[A-Za-z0-9+/]{40}|日本語 ){1,40}", 1..4),
        bytes in 128..2_000_usize,
    ) {
        let model = ModelId::new(Provider::Local, None, "limited");
        let embedder = Arc::new(Limited { model, bytes, embedded: Mutex::default() });
        let client = EmbedClient::new(embedder.clone(), ClientOptions::worker(PATIENCE, 1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        for passage in &passages {
            embedder.embedded.lock().unwrap().clear();
            let vectors = runtime.block_on(client.embed(Purpose::Passage, vec![passage.clone()])).unwrap();
            prop_assert_eq!(vectors.len(), 1);
            prop_assert_eq!(squeezed(&embedder.embedded.lock().unwrap().concat()), squeezed(passage));
        }
    }
}
