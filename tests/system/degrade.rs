//! The embedder is away, hangs, or is not configured: keyword search answers, and marks its answers
//! as degraded.

use std::time::{Duration, Instant};

use pgrecall_harness::embedder::{Mood, NO_NEAR_DUPLICATES, ScriptedEmbedder};
use pgrecall_harness::home::{EMBEDDER_FAILS, Home};
use pgrecall_harness::mcp::Host;
use pgrecall_harness::postgres;
use pgrecall_harness::wait;
use serde_json::{Value, json};

use crate::sources;

/// Far longer than a keyword recall takes on a busy machine, and far shorter than any timeout of an
/// embedder.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Nothing listens on port 1 of any machine.
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

/// Asserts that BM25 alone ranked the answer, and that the answer says so, with the reason and the
/// number of passages that are not embedded.
fn assert_degraded(answer: &Value, reason: &str) {
    assert_eq!((&answer["degraded"], &answer["ranking"]), (&json!(true), &json!("lexical")), "{answer}");
    let note = answer["note"].as_str().expect("a degraded answer says why");
    assert!(
        note.contains(reason) && note.contains("2 of 2 memory passages that you can read are not embedded yet"),
        "{note}"
    );
    assert!(answer["memories"][0]["content"].as_str().is_some_and(|text| text.starts_with("Net revenue")), "{answer}");
}

#[test]
fn words_answer_at_once_while_nothing_listens_where_ollama_should_be() {
    let dsn = postgres::database_now();
    let home = Home::with(&format!("database:\n  dsn: {}\n{OLLAMA_AWAY}", json!(dsn)));
    home.expect_logs(EMBEDDER_FAILS);
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
    home.expect_logs(EMBEDDER_FAILS);
    let lines = home.file("lines.jsonl", sources::lines(50));
    let ingest = ["ingest", lines.to_str().expect("a plain path"), "--as", "memory", "--json"];
    home.json(&ingest);
    // The database exists by now, so the time measured is the wait for the embedder.
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
        + NO_NEAR_DUPLICATES
        + "apigateway:\n  embed_jobs: { embed_timeout: 2s }\n";
    let home = Home::with(&config);
    home.expect_logs(EMBEDDER_FAILS);
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
    // Server and worker may each have sent a probe by now. A recall sends nothing.
    assert!(embedder.calls() <= calls + 2, "{} calls", embedder.calls() - calls);

    embedder.set(Mood::Well);
    host.wait_embedded();
    let mut answer = Value::Null;
    wait::until("recall has the meaning back", || {
        answer = recall_revenue(&mut host);
        answer["degraded"] == false
    });
    assert_eq!(answer["ranking"], "hybrid", "{answer}");
    assert!(!answer.to_string().contains("keywords only"), "{answer}");
    host.leave();
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn an_open_breaker_asks_the_embedder_nothing() {
    let embedder = ScriptedEmbedder::start();
    embedder.set(Mood::Failing(503));
    let home = Home::with(&embedder.config(&postgres::database_now()));
    home.expect_logs(EMBEDDER_FAILS);
    let mut host = home.host();
    remember_revenue(&mut host);
    assert_degraded(&recall_revenue(&mut host), "503");
    let begun = Instant::now();
    let calls = embedder.calls();
    for _ in 0..5 {
        assert_degraded(&recall_revenue(&mut host), "503");
    }
    // The breaker's first probe comes after one second, and each later interval is twice as long.
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
    assert_eq!((&report["created"], &report["pending"], &report["failed"]), (&json!(200), &json!(200), &json!(0)));
    assert!(took < 2 * AT_ONCE, "{took:?}");
    let mut host = home.host();
    let answer = recall_revenue(&mut host);
    assert_eq!((&answer["degraded"], &answer["ranking"]), (&json!(false), &json!("lexical")), "{answer}");
    let note = answer["note"].as_str().expect("it says what ranked");
    assert!(note.starts_with("ranked by keywords only, as configured (the provider is noop)"), "{answer}");
    assert!(answer["memories"][0]["content"].as_str().is_some_and(|text| text.starts_with("Net revenue")), "{answer}");
    host.leave();
    assert!(home.run(&["status"]).stdout.contains("keyword search only, as configured"));
    assert_eq!(home.run(&["doctor"]).code, 0);
    let status = home.json(&["status", "--json"]);
    assert_eq!((&status["pending"], &status["coverage"]), (&json!(201), &json!(0.0)), "{status}");
    assert_eq!((&status["verdict"], &status["embedder"]), (&json!("healthy"), &json!("disabled")), "{status}");
}

#[test]
fn one_bad_text_in_64_is_found_in_13_calls_and_the_others_are_stored() {
    let embedder = ScriptedEmbedder::start();
    embedder.refuse_always("poison");
    let config = embedder.config(&postgres::database_now());
    let home = Home::with(&(config + NO_NEAR_DUPLICATES + "apigateway:\n  embed_jobs: { batch_size: 64 }\n"));
    let mut host = home.host();
    for number in 0..64 {
        let what = if number == 37 { "poison" } else { "fine" };
        host.ask("memory_remember", json!({"content": format!("Text {number} is {what}.")}));
    }
    let worker = home.worker();
    let (mut calls, mut status) = (0, json!(null));
    wait::until("the others are stored, and the culprit is known", || {
        calls = embedder.calls();
        status = host.ask("index_status", json!({}));
        status["succeeded"] == 63 && status["failing"][0]["class"] == "refused"
    });
    let attempts = status["failing"][0]["attempts"].as_u64().expect("a number") as usize;
    // One call checks the embedder, and each attempt on the bad text, the running one included,
    // took at most two.
    let calls = calls - 1 - 2 * attempts;
    assert!(calls <= 13, "{calls} calls, {status}");
    assert!(status["failing"][0]["error"].as_str().is_some_and(|said| said.contains("scripted poison")), "{status}");
    let listed = home.json(&["failures", "--json"]);
    assert_eq!((&listed["count"], &listed["failures"][0]["state"]), (&json!(1), &json!("retrying")), "{listed}");
    assert_eq!(home.json(&["dismiss", "--all", "--json"])["dismissed"], 1);
    let status = host.ask("index_status", json!({}));
    assert_eq!((&status["verdict"], &status["failing"]), (&json!("healthy"), &json!([])), "{status}");
    host.leave();
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn an_outage_burns_no_attempt_is_asked_after_seldom_and_ends_by_itself() {
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&(embedder.config(&postgres::database_now()) + NO_NEAR_DUPLICATES));
    home.expect_logs(EMBEDDER_FAILS);
    let worker = home.worker();
    let mut host = home.host();
    for (round, mood) in [Mood::Away, Mood::Busy(1), Mood::Failing(500)].into_iter().enumerate() {
        host.wait_embedded();
        embedder.set(mood.clone());
        let (begun, calls) = (Instant::now(), embedder.calls());
        for number in 0..40 {
            host.ask("memory_remember", json!({"content": format!("Round {round}, number {number}: it waits.")}));
        }
        wait::until("the worker has noticed", || host.ask("index_status", json!({}))["verdict"] == "waiting_for_model");
        // 14 s are enough for two probes. An embedder that is unreachable cannot count them, so the
        // test waits for a fixed time.
        wait::until("the outage has lasted", || begun.elapsed() > Duration::from_secs(14));
        let asked = embedder.calls() - calls;
        // The calls that were in flight, each followed by its probe, and then at most one probe per
        // five seconds.
        let probes = begun.elapsed().as_secs() as usize / 5 + 1;
        assert!(asked <= probes + 4, "{mood:?}: {asked} calls in {:?}", begun.elapsed());
        embedder.set(Mood::Well);
        let back = Instant::now();
        host.wait_embedded();
        assert!(back.elapsed() < Duration::from_secs(30), "{mood:?}: {:?}", back.elapsed());
        let listed = home.json(&["failures", "--all", "--json"]);
        assert_eq!(listed["count"], 0, "{mood:?}: {listed}");
    }
    host.leave();
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn a_quota_that_lets_a_plain_word_pass_costs_no_text_an_attempt() {
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&(embedder.config(&postgres::database_now()) + NO_NEAR_DUPLICATES));
    home.expect_logs(EMBEDDER_FAILS);
    let worker = home.worker();
    let mut host = home.host();
    host.ask("memory_remember", json!({"content": "The first one tells that all is well."}));
    host.wait_embedded();
    embedder.set(Mood::Crowded);
    let calls = embedder.calls();
    host.ask("memory_remember", json!({"content": "This one stands alone, and waits."}));
    // The calls are attempts on the text, each followed by a probe that finds the embedder healthy.
    // Ten are more than a text gets that fails for a reason of its own.
    wait::until("it was tried again and again", || embedder.calls() >= calls + 10);
    let listed = home.json(&["failures", "--all", "--json"]);
    assert_eq!(listed["count"], 0, "{listed}");
    embedder.set(Mood::Well);
    host.wait_embedded();
    host.leave();
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn a_text_that_is_turned_away_as_an_attack_fails_alone_and_the_others_are_embedded() {
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&(embedder.config(&postgres::database_now()) + NO_NEAR_DUPLICATES));
    embedder.refuse_with_403("DROP TABLE");
    let mut host = home.host();
    // The worker sends the shortest text first, so everything else waits for this one.
    host.ask("memory_remember", json!({"content": "DROP TABLE x"}));
    for number in 0..5 {
        host.ask("memory_remember", json!({"content": format!("Note {number} is longer than what came before it.")}));
    }
    let worker = home.worker();
    let mut status = json!(null);
    wait::until("the others are stored, and the culprit is known", || {
        status = host.ask("index_status", json!({}));
        status["succeeded"] == 5 && status["failing"][0]["class"] == "refused"
    });
    assert!(status["failing"][0]["error"].as_str().is_some_and(|said| said.contains("status 403")), "{status}");
    assert_eq!(status["embedder"], "working", "{status}");
    host.leave();
    assert_eq!(worker.stop().code, 0);
}
