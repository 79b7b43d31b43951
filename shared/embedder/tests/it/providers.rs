//! Tests of each provider: requests, and the classification of answers.

use pgrecall_embedder::{EmbedError, EmbedderConfig, FailureClass, Purpose, VectorFault, build};
use pgrecall_harness::scripted::{Answer, Request, ScriptedServer, json_answer, text_answer};
use serde_json::json;

use crate::{client, embed_each, ollama, ollama_answer, openai, recovered, tei, texts, vector_of};

fn openai_answer(request: &Request) -> Answer {
    // In reverse: the indexes determine the order.
    let items = request.texts().into_iter().enumerate().rev();
    let data: Vec<_> = items.map(|(index, text)| json!({ "index": index, "embedding": vector_of(&text) })).collect();
    json_answer(200, json!({ "object": "list", "data": data }))
}

fn tei_answer(request: &Request) -> Answer {
    match request.path.as_str() {
        "/info" => json_answer(200, json!({ "model_id": "intfloat/e5-small", "max_input_length": 100 })),
        _ => json_answer(200, json!(request.texts().iter().map(|text| vector_of(text)).collect::<Vec<_>>())),
    }
}

fn unit(text: &str) -> Vec<f32> {
    let vector = vector_of(text);
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / length).collect()
}

fn assert_close(got: &[f32], expected: &[f32]) {
    assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?} {expected:?}");
}

#[tokio::test]
async fn each_provider_returns_unit_vectors_in_the_order_of_the_texts() {
    for (answer, config, prefix) in [
        (ollama_answer as fn(&Request) -> Answer, ollama as fn(String) -> _, "search_document: "),
        (openai_answer, openai, ""),
        (tei_answer, tei, ""),
    ] {
        let server = ScriptedServer::start(answer);
        let client = client(config(server.url()));
        let vectors = client.embed(Purpose::Passage, texts(&["a", "bcd", "ef"])).await.unwrap();
        for (vector, text) in vectors.iter().zip(["a", "bcd", "ef"]) {
            assert_close(vector, &unit(&format!("{prefix}{text}")));
        }
        assert_eq!(client.dimension(), Some(3));
        assert_eq!(client.probe().await.unwrap(), 3);
        assert!(client.embed(Purpose::Query, Vec::new()).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn prefixes_follow_the_model_unless_configured() {
    let server = ScriptedServer::start(ollama_answer);
    let client = client(ollama(server.url()));
    client.embed(Purpose::Query, texts(&["a"])).await.unwrap();
    assert_eq!(server.requests("/api/embed")[0].texts(), ["search_query: a"]);
    assert_eq!(server.requests("/api/embed")[0].body["truncate"], json!(false));

    let configured = EmbedderConfig { query_prefix: Some("q ".into()), ..ollama(server.url()).into() };
    let embedder = build(configured).unwrap();
    assert_eq!(embedder.model().query_prefix, "q ");
    assert_eq!(embedder.model().document_prefix, "search_document: ");
    assert_ne!(embedder.model(), client.model(), "another prefix is another space");
}

#[tokio::test]
async fn one_refused_text_fails_alone() {
    for status in [400, 413, 422, 500] {
        let server = ScriptedServer::start(move |request| match request.texts().iter().any(|t| t.contains("bad")) {
            true => json_answer(status, json!({ "error": "no" })),
            false => ollama_answer(request),
        });
        let client = client(ollama(server.url()));
        let error = client.embed(Purpose::Passage, texts(&["a", "bad"])).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::RefusedBatch, "{error}");
        let results = embed_each(&client, texts(&["a", "b", "c", "bad", "d"])).await.unwrap();
        for (index, result) in results.iter().enumerate() {
            match result {
                Ok(vector) => {
                    assert_close(vector, &unit(&format!("search_document: {}", ["a", "b", "c", "", "d"][index])))
                }
                Err(error) => assert_eq!((index, error.class()), (3, FailureClass::RefusedBatch)),
            }
        }
        assert!(client.breaker().is_closed(), "the embedder works");
    }
}

#[tokio::test]
async fn a_server_that_refuses_everything_blames_no_text() {
    let server =
        ScriptedServer::start(|_| json_answer(400, json!({ "error": "this model does not support embeddings" })));
    let client = client(ollama(server.url()));
    let error = embed_each(&client, texts(&["a", "b"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::Unusable { .. }), "{error}");
    assert_eq!(error.class(), FailureClass::Misconfigured);
    let error = client.embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
    assert!(error.to_string().contains("does not support embeddings"), "{error}");
    server.script(ollama_answer);
    recovered(&client).await;
}

#[tokio::test]
async fn unusable_vectors_are_refused_by_name() {
    type IsFault = fn(&VectorFault) -> bool;
    let faults: [(&str, IsFault); 7] = [
        ("[[1.0,NaN,1.0],[1.0,1.0,1.0]]", |f| matches!(f, VectorFault::NotFinite { .. })),
        ("[[1.0,null,1.0],[1.0,1.0,1.0]]", |f| matches!(f, VectorFault::NotFinite { index: 0 })),
        ("[[1.0,1.0,1.0],[1e99,1.0,1.0]]", |f| matches!(f, VectorFault::NotFinite { index: 1 })),
        ("[[1.0,1.0,1.0],[0.0,0.0,0.0]]", |f| matches!(f, VectorFault::Zero { index: 1 })),
        ("[[],[]]", |f| matches!(f, VectorFault::Empty { index: 0 })),
        ("[[1.0,1.0,1.0]]", |f| matches!(f, VectorFault::Count { expected: 2, got: 1 })),
        ("[[1.0,1.0,1.0],[1.0,1.0]]", |f| matches!(f, VectorFault::Mixed { index: 1, expected: 3, got: 2 })),
    ];
    for (vectors, is_fault) in faults {
        let server = ScriptedServer::start(move |request| match request.texts().len() {
            2 => text_answer(200, "application/json", &format!("{{\"embeddings\":{vectors}}}")),
            _ => ollama_answer(request),
        });
        let client = client(ollama(server.url()));
        match client.embed(Purpose::Passage, texts(&["a", "b"])).await.unwrap_err() {
            EmbedError::BadVector { fault, .. } => assert!(is_fault(&fault), "{vectors}: {fault}"),
            other => panic!("{vectors}: {other}"),
        }
        let results = embed_each(&client, texts(&["a", "b"])).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{vectors}: alone, both texts are embedded");
    }
}

#[tokio::test]
async fn another_model_behind_the_same_name_stops_everything() {
    let server = ScriptedServer::start(ollama_answer);
    let client = client(ollama(server.url()));
    client.embed(Purpose::Passage, texts(&["a"])).await.unwrap();
    server.script(|_| json_answer(200, json!({ "embeddings": [[1.0, 2.0]] })));
    let error = embed_each(&client, texts(&["a"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::DimensionChanged { expected: 3, got: 2, .. }), "{error}");
    assert_eq!(error.class(), FailureClass::Misconfigured);
    assert_eq!(client.dimension(), Some(3));
}

#[tokio::test]
async fn what_is_no_embedder_is_named() {
    let huge = format!("{{\"embeddings\":[[{}1.0]]}}", "1.0,".repeat(500_000));
    for (answer, expected) in [
        (text_answer(200, "text/html", "<!doctype html><p>Log in"), "an HTML page"),
        (text_answer(200, "application/json", "{\"models\":[]}"), "JSON of another shape"),
        (text_answer(200, "text/plain", ""), "an empty page"),
        (text_answer(200, "text/plain", "hi"), "not JSON"),
        (text_answer(404, "text/html", "<p>nothing here"), "404"),
        (text_answer(405, "text/plain", "no"), "status 405"),
        (text_answer(200, "application/json", &huge), "more than"),
    ] {
        let server = ScriptedServer::start(move |_| answer.clone());
        let client = client(ollama(server.url()));
        let error = client.embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
        assert!(matches!(error, EmbedError::UnexpectedReply { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.class(), FailureClass::Misconfigured);
    }
}

#[tokio::test]
async fn redirects_are_named_and_not_followed() {
    let target = ScriptedServer::start(ollama_answer);
    let location = format!("{}/api/embed?key=abc", target.url());
    let server = ScriptedServer::start(move |_| Answer::Whole {
        status: 307,
        headers: vec![("Location", location.clone())],
        body: String::new(),
    });
    let error = client(openai(server.url())).embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::Redirected { .. }), "{error}");
    assert!(error.to_string().contains(&target.url()) && !error.to_string().contains("abc"), "{error}");
    assert!(target.requests("/api/embed").is_empty());
}

#[tokio::test]
async fn ollama_without_the_model_is_told_from_an_old_ollama() {
    let missing = |_: &Request| {
        json_answer(404, json!({ "error": "model \"nomic-embed-text\" not found, try pulling it first" }))
    };
    let server = ScriptedServer::start(missing);
    let client = client(ollama(server.url()));
    let error = client.embed(Purpose::Passage, texts(&["a"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::ModelMissing { .. }), "{error}");
    assert_eq!(error.class(), FailureClass::Misconfigured);
    assert!(error.to_string().contains("ollama pull nomic-embed-text"), "{error}");
    assert!(server.requests("/api/embeddings").is_empty(), "the slow way is not for a missing model");
    server.script(ollama_answer);
    recovered(&client).await;
    client.embed(Purpose::Passage, texts(&["a"])).await.unwrap();
}

#[tokio::test]
async fn old_ollama_is_asked_text_by_text() {
    let server = ScriptedServer::start(|request| match (request.path.as_str(), request.texts().as_slice()) {
        ("/api/embeddings", [text]) => json_answer(200, json!({ "embedding": vector_of(text) })),
        _ => text_answer(404, "text/plain", "404 page not found"),
    });
    let client = client(ollama(server.url()));
    let vectors = client.embed(Purpose::Passage, texts(&["a", "bc"])).await.unwrap();
    assert_close(&vectors[1], &unit("search_document: bc"));
    client.embed(Purpose::Passage, texts(&["d"])).await.unwrap();
    assert_eq!(server.requests("/api/embed").len(), 1, "for a while the new way is not tried again");
    assert_eq!(server.requests("/api/embeddings").len(), 3);

    // The old route would truncate the text silently.
    let results = embed_each(&client, vec!["word ".repeat(5_000)]).await.unwrap();
    assert!(matches!(results[0], Err(EmbedError::TooLong { .. })));
}

#[tokio::test]
async fn ollama_tells_the_window_and_a_longer_text_is_too_long() {
    let server = ScriptedServer::start(|request| match request.texts().iter().any(|text| text.len() > 20_000) {
        true => json_answer(400, json!({ "error": "the input length exceeds the context length" })),
        false => ollama_answer(request),
    });
    let client = client(ollama(server.url()));
    assert_eq!(client.embedder().max_tokens(), 2048, "what is known of the family, before the server was asked");
    client.embed(Purpose::Passage, texts(&["a"])).await.unwrap();
    assert_eq!(client.embedder().max_tokens(), 1024);
    let results = embed_each(&client, vec!["a".into(), "word ".repeat(5_000)]).await.unwrap();
    assert!(results[0].is_ok());
    assert!(matches!(results[1], Err(EmbedError::TooLong { limit: 1024, .. })));
}

#[tokio::test]
async fn openai_gets_key_and_dimensions_and_the_key_is_never_repeated() {
    let server = ScriptedServer::start(openai_answer);
    let client = client(openai(server.url()));
    client.embed(Purpose::Query, texts(&["a"])).await.unwrap();
    let request = &server.requests("/v1/embeddings")[0];
    assert!(request.headers.contains(&("authorization".into(), "Bearer sk-very-secret".into())));
    assert_eq!(
        request.body,
        json!({
            "model": "text-embedding-3-small", "input": ["a"], "encoding_format": "float", "dimensions": 3,
        })
    );

    for status in [400, 401, 404, 500] {
        server.script(move |_| json_answer(status, json!({ "error": { "message": "key sk-very-secret is bad" } })));
        let client = crate::client(openai(server.url()));
        let error = client.embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
        let next = client.embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
        let shown = format!("{error} {error:?} {next} {client:?} {:?}", openai(server.url()));
        assert!(!shown.contains("very-secret"), "{shown}");
    }
}

#[tokio::test]
async fn openai_statuses_say_what_to_do() {
    for (status, body, class) in [
        (401, json!({ "error": { "message": "bad key" } }), FailureClass::Misconfigured),
        (
            404,
            json!({ "error": { "message": "no such model", "code": "model_not_found" } }),
            FailureClass::Misconfigured,
        ),
        (429, json!({ "error": { "message": "slow", "code": "rate_limit_exceeded" } }), FailureClass::Transient),
        (429, json!({ "error": { "message": "pay", "code": "insufficient_quota" } }), FailureClass::Misconfigured),
        (503, json!({ "message": "overloaded" }), FailureClass::Transient),
    ] {
        let server = ScriptedServer::start(move |_| json_answer(status, body.clone()));
        let error = client(openai(server.url())).embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
        assert_eq!(error.class(), class, "{status}: {error}");
    }
}

#[tokio::test]
async fn tei_splits_a_batch_that_is_too_large_and_names_a_text_that_is_too_long() {
    let server = ScriptedServer::start(|request| match request.texts() {
        texts if texts.len() > 2 => {
            json_answer(413, json!({ "error": "batch size 5 > 2", "error_type": "Validation" }))
        }
        texts if texts.iter().any(|text| text.len() > 300) => {
            json_answer(413, json!({ "error": "`inputs` must have less than 100 tokens", "error_type": "Validation" }))
        }
        _ => tei_answer(request),
    });
    let client = client(tei(server.url()));
    let long = "word ".repeat(100);
    let results = embed_each(&client, texts(&["a", "b", "c", &long, "d"])).await.unwrap();
    let ok: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, true, true, false, true]);
    assert!(matches!(results[3], Err(EmbedError::TooLong { limit: 100, .. })), "{:?}", results[3]);
    assert_eq!(client.embedder().max_tokens(), 100);
}

#[tokio::test]
async fn tei_that_serves_another_model_is_misconfigured() {
    let server = ScriptedServer::start(tei_answer);
    let config = pgrecall_embedder::ProviderConfig::Tei {
        url: server.url(),
        model: Some("BAAI/bge-m3".into()),
        api_key: None,
        headers: Default::default(),
    };
    let error = client(config).embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::ModelMissing { .. }), "{error}");
    assert!(error.to_string().contains("intfloat/e5-small"), "{error}");
}
