//! Embedding servers with limits that nobody configured: the worker finds them, and embeds what can
//! be embedded.

use pgrecall_harness::embedder::{Mood, NO_NEAR_DUPLICATES, ScriptedEmbedder};
use pgrecall_harness::home::Home;
use pgrecall_harness::postgres;
use pgrecall_harness::wait;
use serde_json::json;

use crate::sources;

/// Returns base64 of about so many bytes, in lines.
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
