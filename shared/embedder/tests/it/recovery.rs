//! Tests of an embedder that goes down and comes back: who waits, and that recovery is automatic.

use std::{
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use pgrecall_embedder::{
    BreakerPolicy, BreakerState, ClientOptions, EmbedClient, EmbedError, Embedder, FailureClass, ModelId, NoopEmbedder,
    Provider, Purpose, QueryEmbedder,
};

use pgrecall_harness::scripted::{Answer, ScriptedServer, json_answer, text_answer};
use serde_json::json;

use crate::{PATIENCE, client, client_with, embed_each, ollama, ollama_answer, recovered, texts};

#[tokio::test]
async fn nothing_listening_fails_at_once_and_is_used_again_when_it_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(ollama(format!("http://{address}")));

    let error = client.embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::Unreachable { .. }), "{error}");
    assert_eq!(error.class(), FailureClass::Transient);
    let error = client.embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::BreakerOpen { .. }), "{error}");
    assert!(!client.breaker().is_closed());

    let _server = ScriptedServer::listen(TcpListener::bind(address).unwrap(), |request, _| ollama_answer(request));
    recovered(&client).await;
    assert_eq!(client.embed(Purpose::Query, texts(&["a"])).await.unwrap().len(), 1);
}

#[tokio::test]
async fn hanging_embedder_costs_the_first_query_its_timeout_and_the_next_ones_nothing() {
    let server = ScriptedServer::start(|_| Answer::Hang);
    let timeout = Duration::from_millis(300);
    let query = QueryEmbedder::new(client_with(ollama(server.url()), timeout), 10);

    let start = Instant::now();
    let error = query.embed("first").await.unwrap_err();
    assert!(matches!(error, EmbedError::Timeout { .. }), "{error}");
    assert!(start.elapsed() >= timeout);

    // Hundreds of queries: if each waited for the hung probe, the test would exceed its timeout.
    for _ in 0..500 {
        let error = query.embed("next").await.unwrap_err();
        assert!(matches!(error, EmbedError::BreakerOpen { .. }), "{error}");
    }
    assert!(start.elapsed() < PATIENCE);
    let asked: Vec<_> = server.requests("/api/embed").iter().flat_map(|request| request.texts()).collect();
    assert!(!asked.iter().any(|text| text.contains("next")), "{asked:?}");

    server.script(ollama_answer);
    recovered(query.client()).await;
    query.embed("next").await.unwrap();
}

#[tokio::test]
async fn an_embedder_that_asks_to_slow_down_is_left_alone_for_that_long() {
    let server = ScriptedServer::start(|_| Answer::Whole {
        status: 429,
        headers: vec![("Retry-After", "120".into())],
        body: String::new(),
    });
    let client = client(ollama(server.url()));
    let error = client.embed(Purpose::Passage, texts(&["a"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::Busy { status: 429, .. }), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
    let BreakerState::Open { since, retry_at, .. } = client.breaker() else { panic!("{:?}", client.breaker()) };
    assert_eq!(retry_at - since, Duration::from_secs(120));
    assert_eq!(server.requests("/api/embed").len(), 1);

    // An explicit probe ignores the open breaker.
    server.script(ollama_answer);
    assert_eq!(client.probe().await.unwrap(), 3);
    assert!(client.breaker().is_closed());
}

#[tokio::test]
async fn failing_server_is_transient_and_recovers() {
    for fault in [
        text_answer(500, "application/json", "{\"error\":\"out of memory\"}"),
        text_answer(502, "text/html", "<html>Bad Gateway</html>"),
        Answer::CutOff("{\"embeddings\":[[1.0,2.0,3.0]]}".into()),
        text_answer(200, "application/json", "{\"embeddings\":[[1.0,2.0,"),
        Answer::Close,
    ] {
        let said = fault.clone();
        let server = ScriptedServer::start(move |_| said.clone());
        let client = client(ollama(server.url()));
        let error = client.embed(Purpose::Passage, texts(&["a", "b"])).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Transient, "{fault:?}: {error}");
        let outer = embed_each(&client, texts(&["a", "b"])).await.unwrap_err();
        assert!(matches!(outer, EmbedError::BreakerOpen { .. }), "{fault:?}: {outer}");
        server.script(ollama_answer);
        recovered(&client).await;
        assert_eq!(client.embed(Purpose::Passage, texts(&["a", "b"])).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn cached_query_is_answered_without_asking_even_while_the_embedder_is_down() {
    let server = ScriptedServer::start(ollama_answer);
    let query = QueryEmbedder::new(client(ollama(server.url())), 1);
    let first = query.embed("the same").await.unwrap();
    assert_eq!(query.embed("the same").await.unwrap(), first);
    assert_eq!(server.requests("/api/embed").len(), 1);

    server.script(|_| text_answer(500, "text/plain", "down"));
    query.embed("another").await.unwrap_err();
    assert_eq!(query.embed("the same").await.unwrap(), first);
}

#[tokio::test]
async fn disabled_embedder_says_so_and_never_opens_the_breaker() {
    let client = EmbedClient::new(Arc::new(NoopEmbedder::default()), ClientOptions::query(PATIENCE));
    for _ in 0..2 {
        let error = client.embed(Purpose::Query, texts(&["a"])).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Disabled);
    }
    assert!(client.breaker().is_closed());
}

/// An embedder that runs a closure for each call, in the client's thread.
struct Scripted<F>(ModelId, F);

impl<F> Scripted<F> {
    fn new(call: F) -> Arc<Self> {
        Arc::new(Self(ModelId::new(Provider::Local, None, "scripted"), call))
    }
}

impl<F> Embedder for Scripted<F>
where
    F: Fn(&[String]) -> Result<Vec<Vec<f32>>, EmbedError> + Send + Sync + 'static,
{
    fn model(&self) -> &ModelId {
        &self.0
    }

    fn embed(&self, _: Purpose, texts: &[String], _: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        (self.1)(texts)
    }

    fn max_tokens(&self) -> usize {
        10
    }
}

#[tokio::test]
async fn a_panic_costs_one_text_and_no_thread() {
    let embedder = Scripted::new(|texts: &[String]| {
        assert!(!texts.contains(&"bad".to_owned()), "scripted");
        Ok(texts.iter().map(|_| vec![1.0]).collect())
    });
    let client = EmbedClient::new(embedder, ClientOptions { slots: 1, ..ClientOptions::query(PATIENCE) });
    let results = embed_each(&client, texts(&["a", "b", "bad", "c"])).await.unwrap();
    let failed: Vec<_> = results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, false, true, false]);
    assert!(matches!(results[2], Err(EmbedError::Panicked { .. })));
    assert!(client.breaker().is_closed());
}

#[tokio::test]
async fn a_text_that_the_embedder_takes_for_an_attack_is_blamed_and_nobody_else_waits_for_it() {
    for turned_away in [
        text_answer(403, "text/html", "<html>Forbidden</html>"),
        text_answer(200, "text/html", "<html>Request blocked</html>"),
        text_answer(451, "text/plain", "no"),
        text_answer(500, "text/plain", "oops"),
        json_answer(200, json!({ "model": "m", "embeddings": [[1.0, 2.0]] })),
    ] {
        let server =
            ScriptedServer::start(move |request| match request.texts().iter().any(|text| text.contains("<script>")) {
                true => turned_away.clone(),
                false => ollama_answer(request),
            });
        let client = client(ollama(server.url()));
        client.probe().await.unwrap();
        let results = embed_each(&client, texts(&["a", "b", "<script>", "c"])).await.unwrap();
        let failed: Vec<_> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, false, true, false]);
        assert!(client.breaker().is_closed());
        // A failure of the embedder as a whole still blames the embedder.
        server.script(|_| text_answer(403, "text/html", "<html>Forbidden</html>"));
        let error = client.embed(Purpose::Passage, texts(&["<script>"])).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Misconfigured, "{error}");
    }
}

#[tokio::test]
async fn an_embedder_that_does_one_thing_at_a_time_is_not_taken_for_one_that_hangs() {
    let patience = Duration::from_millis(120);
    let busy = Mutex::new(());
    let embedder = Scripted::new(move |texts: &[String]| {
        if texts == ["hello"] {
            // The probe waits behind the call under way, for as long as its timeout allows.
            let begun = Instant::now();
            while busy.try_lock().is_err() {
                if begun.elapsed() > patience {
                    return Err(EmbedError::Timeout { embedder: "scripted".into(), waited: patience });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        } else {
            let _at_work = busy.lock().unwrap();
            std::thread::sleep(3 * patience);
        }
        Ok(texts.iter().map(|_| vec![1.0]).collect())
    });
    let options = ClientOptions { patience: Some(patience), ..ClientOptions::worker(PATIENCE, 1) };
    let client = EmbedClient::new(embedder, options);
    let passing = client.passing();
    client.embed(Purpose::Passage, texts(&["long"])).await.unwrap();
    assert!(!passing.has_changed().unwrap(), "the breaker never opened");
}

#[tokio::test]
async fn a_full_queue_is_told_from_an_embedder_that_is_down_and_a_client_goes_without_waiting() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let ended = Arc::new(AtomicUsize::new(0));
    let embedder = Scripted::new({
        let ended = ended.clone();
        move |texts: &[String]| {
            if texts != ["hello"] {
                let _ = held.lock().unwrap().recv();
                ended.fetch_add(1, Ordering::SeqCst);
            }
            Ok(texts.iter().map(|_| vec![1.0]).collect())
        }
    });
    let timeout = Duration::from_millis(100);
    let client = EmbedClient::new(embedder, ClientOptions { slots: 1, queue: 1, ..ClientOptions::query(timeout) });
    let error = client.embed(Purpose::Passage, texts(&["slow"])).await.unwrap_err();
    assert!(matches!(error, EmbedError::Timeout { .. }), "{error}");
    // The abandoned call still occupies the one slot.
    let error = client.probe().await.unwrap_err();
    assert!(matches!(error, EmbedError::QueueFull { .. }), "{error}");
    drop(client);
    assert_eq!(ended.load(Ordering::SeqCst), 0, "dropping the client did not wait for the call");
    drop(release);
}

#[tokio::test]
async fn a_call_that_the_embedder_lost_while_it_hung_is_given_up_when_it_is_well_again() {
    let down = Arc::new(AtomicBool::new(true));
    let (_never_released, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(Some(held));
    let embedder = Scripted::new({
        let down = down.clone();
        move |texts: &[String]| {
            if texts == ["hello"] && down.load(Ordering::SeqCst) {
                return Err(EmbedError::Timeout { embedder: "scripted".into(), waited: Duration::ZERO });
            }
            let held = if texts == ["hello"] { None } else { held.lock().unwrap().take() };
            if let Some(held) = held {
                let _ = held.recv();
            }
            Ok(texts.iter().map(|_| vec![1.0]).collect())
        }
    });
    let soon = Duration::from_millis(20);
    let breaker = BreakerPolicy { first_retry: soon, max_retry: soon, ..BreakerPolicy::default() };
    let options = ClientOptions { slots: 1, breaker, patience: Some(soon), ..ClientOptions::worker(PATIENCE, 1) };
    let client = EmbedClient::new(embedder, options);
    let mut passing = client.passing();
    // No other call is made: the client finds out while it watches this one.
    let recovers = async {
        passing.wait_for(|passing| !passing).await.unwrap();
        down.store(false, Ordering::SeqCst);
    };
    let both = async { tokio::join!(client.embed(Purpose::Passage, texts(&["lost"])), recovers) };
    let (lost, ()) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    let error = lost.unwrap_err();
    assert!(matches!(error, EmbedError::LostCall { .. }), "{error}");
    assert_eq!(error.class(), FailureClass::Transient);
    assert!(client.breaker().is_closed());
    // A new thread serves the one slot.
    client.embed(Purpose::Passage, texts(&["lost"])).await.unwrap();
}
