//! Embedding servers with limits that nobody configured: the worker finds them, embeds what can be
//! embedded, and says why if it cannot.

use pgrecall_harness::embedder::{Mood, NO_NEAR_DUPLICATES, ScriptedEmbedder, embed};
use pgrecall_harness::home::Home;
use pgrecall_harness::postgres;
use pgrecall_harness::scripted::{ScriptedServer, json_answer};
use pgrecall_harness::wait;
use serde_json::{Value, json};

use crate::sources;

/// What a worker logs whose model has too many dimensions.
const CANNOT_BE_USED: &[&str] = &["the embedder answers and cannot be used"];

/// Returns base64 of about `bytes` bytes, in lines.
fn base64(bytes: usize) -> String {
    let line = "c2VjcmV0IGJ5dGVzIG9mIGFuIGltYWdlIHRoYXQgaXMgaW4gYSBkb2N1bWVudCwgbGluZSBieSBsaW4=\n";
    line.repeat(bytes / line.len())
}

#[test]
fn a_document_of_dense_text_is_embedded_whole_although_its_passages_are_too_long() {
    let embedder = ScriptedEmbedder::start();
    embedder.set(Mood::TakingBytes(300));
    let home = Home::with(&(embedder.config(&postgres::database_now()) + NO_NEAR_DUPLICATES));
    let document = format!("# Certificates\n\nHow they are renewed.\n\n## Data\n\n{}", base64(12_000));
    let file = home.file("certificates.md", document);
    home.json(&["ingest", file.to_str().expect("a plain path"), "--no-wait", "--json"]);
    let worker = home.worker();
    home.wait_embedded();
    let status = home.json(&["status", "--json"]);
    assert_eq!((&status["failed"], &status["failing"]), (&json!(0), &json!([])), "{status}");
    // Others like it are cut before: nearly no call is refused any more.
    let (calls, texts) = (embedder.calls(), embedder.texts());
    let file = home.file("more.md", format!("# More\n\n{}", base64(11_000)));
    home.json(&["ingest", file.to_str().expect("a plain path"), "--no-wait", "--json"]);
    home.wait_embedded();
    assert!(embedder.texts() > texts && embedder.calls() - calls < 30, "{} calls", embedder.calls() - calls);
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn a_passage_that_is_refused_leaves_its_siblings_their_vectors() {
    let embedder = ScriptedEmbedder::start();
    embedder.refuse_always("poison");
    let home = Home::with(&(embedder.config(&postgres::database_now()) + NO_NEAR_DUPLICATES));
    let section = |number: usize| {
        let what = if number == 0 { "poison" } else { "fine" };
        format!("# Section {number}\n\n{}\n\n", format!("It is {what}, and rather long. ").repeat(40))
    };
    let file = home.file("sections.md", (0..8).map(section).collect::<String>());
    home.json(&["ingest", file.to_str().expect("a plain path"), "--no-wait", "--json"]);
    let worker = home.worker();
    let mut status = json!(null);
    wait::until("the refused passages are known, and the others are embedded", || {
        status = home.json(&["status", "--json"]);
        status["failing"][0]["class"] == "refused"
            && status["coverage"].as_f64().is_some_and(|share| share > 0.7 && share < 1.0)
    });
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn the_batch_limit_of_a_server_is_learned() {
    let embedder = ScriptedEmbedder::start();
    embedder.set(Mood::TakingTexts(10));
    let home = Home::with(&(embedder.config(&postgres::database_now()) + NO_NEAR_DUPLICATES));
    let lines = home.file("lines.jsonl", sources::lines(600));
    home.json(&["ingest", lines.to_str().expect("a plain path"), "--as", "memory", "--no-wait", "--json"]);
    let worker = home.worker();
    home.wait_embedded();
    // Calls of eight to ten texts take 60 to 75 calls; with a tenth for calls that a claim ends.
    assert!(embedder.calls() < 100, "{} calls", embedder.calls());
    assert_eq!(worker.stop().code, 0);
}

/// An Ollama whose vectors have 4,096 dimensions, unless fewer are asked for.
fn large_ollama() -> ScriptedServer {
    ScriptedServer::start(|request| {
        let asked = request.body["dimensions"].as_u64().map_or(4_096, |asked| asked as usize);
        let vector = |text: &String| -> Vec<f32> { embed(text).into_iter().cycle().take(asked).collect() };
        match request.path.as_str() {
            "/api/embed" => {
                let vectors: Vec<Vec<f32>> = request.texts().iter().map(vector).collect();
                json_answer(200, json!({ "embeddings": vectors }))
            }
            _ => json_answer(200, json!({ "model_info": {} })),
        }
    })
}

fn ollama(server: &ScriptedServer, dsn: &str, dimensions: &str) -> String {
    format!(
        "database: {{ dsn: {} }}\nmemory:\n  embedding:\n    provider: ollama\n    ollama: {{ url: \"{}\", model: \"qwen3-embedding:8b\"{dimensions} }}\n",
        json!(dsn),
        server.url()
    )
}

#[test]
fn a_model_with_too_many_dimensions_is_named_wherever_one_looks_and_asked_for_fewer() {
    let (server, dsn) = (large_ollama(), postgres::database_now());
    let mut home = Home::with(&ollama(&server, &dsn, ""));
    home.expect_logs(CANNOT_BE_USED);
    let worker = home.worker();
    let mut host = home.host();
    host.ask("memory_remember", json!({"content": "Net revenue is gross revenue minus refunds."}));
    let why = ["4096 dimensions", "memory.embedding.ollama.dimensions"];
    let names_it = |text: &str| why.iter().all(|part| text.contains(part));
    let mut status = Value::Null;
    wait::until("the worker says why", || {
        status = host.ask("index_status", json!({}));
        status["reason"].as_str().is_some_and(names_it)
    });
    assert_eq!(status["verdict"], "waiting_for_model", "{status}");
    let found = host.ask("memory_recall", json!({"query": "how is net revenue calculated?"}));
    assert!(found["degraded"] == true && found["note"].as_str().is_some_and(names_it), "{found}");
    for command in ["status", "doctor", "failures"] {
        let said = home.run(&[command]);
        assert!(names_it(&format!("{}{}", said.stdout, said.stderr)), "{command}: {} {}", said.stdout, said.stderr);
    }
    assert!(home.json(&["failures", "--json"])["reason"].as_str().is_some_and(names_it));
    host.leave();
    assert_eq!(worker.stop().code, 0);

    home.configure(&ollama(&server, &dsn, ", dimensions: 1024"));
    let worker = home.worker();
    home.wait_embedded();
    let status = home.json(&["status", "--json"]);
    assert_eq!((&status["dimension"], &status["verdict"]), (&json!(1024), &json!("healthy")), "{status}");
    assert_eq!(home.run(&["doctor"]).code, 0);
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn an_empty_store_and_a_missing_worker_are_told_from_a_fault() {
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&embedder.config(&postgres::database_now()));
    let said = home.run(&["status"]);
    assert!(said.stdout.contains("healthy: nothing is stored yet"), "{}", said.stdout);
    let mut host = home.host();
    let found = host.ask("memory_recall", json!({"query": "anything"}));
    assert_eq!((&found["degraded"], &found["note"]), (&json!(false), &json!("nothing is stored yet")), "{found}");
    host.ask("memory_remember", json!({"content": "Net revenue is gross revenue minus refunds."}));
    let found = host.ask("memory_recall", json!({"query": "net revenue"}));
    assert!(found["note"].as_str().is_some_and(|note| note.contains("no worker is alive")), "{found}");
    let status = host.ask("index_status", json!({}));
    assert!(status["reason"].as_str().is_some_and(|why| why.contains("no worker is alive")), "{status}");
    let said = home.run(&["status"]);
    assert!(said.stdout.contains("1 sources wait, and no worker is alive"), "{}", said.stdout);
    host.leave();
}
