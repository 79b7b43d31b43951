//! An embedder that is away, that hangs, or that was never wanted: words answer, and say that it is only they.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use system_tests::embedder::{Mood, ScriptedEmbedder};
use system_tests::home::Home;
use system_tests::mcp::Host;
use system_tests::postgres;
use system_tests::wait;

use crate::sources;

/// Far more than a recall by words takes on a machine that does other things as well, far less than any timeout of an embedder.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Nothing listens on the first port of any machine.
const OLLAMA_AWAY: &str = "memory:\n  embedding:\n    provider: ollama\n    ollama: { url: \"http://127.0.0.1:1\" }\n";

fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (call(), begun.elapsed())
}

fn remember_revenue(host: &mut Host) {
    for content in ["Net revenue is gross revenue minus refunds.", "The checkout team owns orders_v2."] {
        host.ask("memory_remember", json!({"content": content}));
    }
}

fn recall_revenue(host: &mut Host) -> Value {
    host.ask("memory_recall", json!({"query": "how is net revenue calculated?"}))
}

/// Answered by words, labelled so, with the reason and the share that waits.
fn assert_degraded(answer: &Value, reason: &str) {
    assert_eq!((&answer["degraded"], &answer["ranking"]), (&json!(true), &json!("lexical")), "{answer}");
    let note = answer["note"].as_str().expect("a degraded answer says why");
    assert!(note.contains(reason) && note.contains("100 % of the passages are not embedded yet"), "{note}");
    assert!(answer["memories"][0]["content"].as_str().is_some_and(|text| text.starts_with("Net revenue")), "{answer}");
}

#[test]
fn words_answer_at_once_while_nothing_listens_where_ollama_should_be() {
    let dsn = postgres::database_now();
    let home = Home::with(&format!("database:\n  dsn: {}\n{OLLAMA_AWAY}", json!(dsn)));
    let mut host = home.host();
    remember_revenue(&mut host);
    for _ in 0..3 {
        let (answer, took) = timed(|| recall_revenue(&mut host));
        assert_degraded(&answer, "127.0.0.1:1");
        assert!(took < AT_ONCE, "{took:?}");
    }
    host.leave();
}

#[test]
fn ingest_ends_at_once_while_the_embedder_of_the_private_database_is_away() {
    let home = Home::with(OLLAMA_AWAY);
    let lines = home.file("lines.jsonl", sources::lines(50));
    let ingest = ["ingest", lines.to_str().expect("a plain path"), "--as", "memory", "--json"];
    home.json(&ingest);
    // The database stands by now: what is measured is the waiting.
    let (report, took) = timed(|| home.json(&ingest));
    assert_eq!((&report["unchanged"], &report["pending"]), (&json!(50), &json!(50)), "{report}");
    assert!(took < 2 * AT_ONCE, "{took:?}");
    let (answer, took) = timed(|| home.json(&["recall", "who owns the ledger?", "--json"]));
    assert_eq!((&answer["degraded"], &answer["count"]), (&json!(true), &json!(10)), "{answer}");
    assert!(took < AT_ONCE, "{took:?}");
}

#[test]
fn a_hanging_embedder_is_waited_for_once_and_its_vectors_fill_in_when_it_is_back() {
    let embedder = ScriptedEmbedder::start();
    embedder.set(Mood::Hanging);
    let config = embedder.config(&postgres::database_now()).replace("timeout: 5s", "timeout: 2s")
        + "apigateway:\n  embed_jobs: { embed_timeout: 2s }\n";
    let home = Home::with(&config);
    let worker = home.worker();
    let mut host = home.host();
    remember_revenue(&mut host);

    let (first, took) = timed(|| recall_revenue(&mut host));
    assert_degraded(&first, "2 s");
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(2) + AT_ONCE, "{took:?}");
    let calls = embedder.calls();
    for _ in 0..20 {
        let (next, took) = timed(|| recall_revenue(&mut host));
        assert_degraded(&next, "2 s");
        assert!(took < Duration::from_secs(1), "it did not wait again: {took:?}");
    }
    // Server and worker may each have sent a probe meanwhile; a recall sends nothing.
    assert!(embedder.calls() <= calls + 2, "{} calls", embedder.calls() - calls);

    embedder.set(Mood::Well);
    host.wait_embedded();
    let mut answer = Value::Null;
    wait::until("recall has the meaning back", || {
        answer = recall_revenue(&mut host);
        answer["degraded"] == false
    });
    assert_eq!(answer["ranking"], "hybrid", "{answer}");
    assert!(!answer.to_string().contains("words only"), "{answer}");
    host.leave();
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn an_open_breaker_asks_the_embedder_nothing() {
    let embedder = ScriptedEmbedder::start();
    embedder.set(Mood::Failing(503));
    let home = Home::with(&embedder.config(&postgres::database_now()));
    let mut host = home.host();
    remember_revenue(&mut host);
    assert_degraded(&recall_revenue(&mut host), "503");
    let begun = Instant::now();
    let calls = embedder.calls();
    for _ in 0..5 {
        assert_degraded(&recall_revenue(&mut host), "503");
    }
    // The breaker's own probes come a second after each other, and then more seldom.
    let probes = 1 + begun.elapsed().as_secs() as usize;
    assert!(embedder.calls() - calls <= probes, "{} calls for 5 recalls", embedder.calls() - calls);
    host.leave();
}

#[test]
fn without_an_embedder_everything_is_stored_and_found_by_words() {
    let home = Home::with("memory:\n  embedding:\n    provider: noop\n");
    let (kept, took) = timed(|| home.json(&["remember", "Net revenue is gross revenue minus refunds.", "--json"]));
    assert_eq!((&kept["stored"], &kept["embedding"]), (&json!("created"), &json!("pending")), "{kept}");
    assert!(took < 4 * AT_ONCE, "{took:?}");
    let lines = home.file("lines.jsonl", sources::lines(200));
    let (report, took) =
        timed(|| home.json(&["ingest", lines.to_str().expect("a plain path"), "--as", "memory", "--json"]));
    assert_eq!((&report["created"], &report["pending"], &report["failed"]), (&json!(200), &json!(201), &json!(0)));
    assert!(took < 2 * AT_ONCE, "{took:?}");
    let mut host = home.host();
    assert_degraded(&recall_revenue(&mut host), "noop");
    host.leave();
    let status = home.json(&["status", "--json"]);
    assert_eq!((&status["pending"], &status["coverage"]), (&json!(201), &json!(0.0)), "{status}");
}
