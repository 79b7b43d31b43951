//! A change of model: search goes on, records written during the change are found by vector
//! similarity, and the change can be undone.

use std::time::Instant;

use pgrecall_generators::rng::SeededRng;
use pgrecall_harness::embedder::ScriptedEmbedder;
use pgrecall_harness::home::{DATABASE_FAILS, Home};
use pgrecall_harness::mcp::Host;
use pgrecall_harness::postgres;
use pgrecall_harness::wait::{self, PATIENCE};
use serde_json::json;

use crate::sources;

/// Writes and recalls until `model` is active. Returns the number of the last record written.
fn load_until(model: &str, writer: &mut Host, reader: &mut Host, begin: usize) -> usize {
    let begun = Instant::now();
    for number in begin.. {
        assert!(begun.elapsed() < PATIENCE, "{model} does not take over: {}", reader.ask("index_status", json!({})));
        writer.ask(
            "memory_remember",
            json!({"content": format!("During this, in turn {number}, the model was changed.")}),
        );
        let found = reader.ask("memory_recall", json!({"query": format!("who owns the ledger? ({number})")}));
        assert_eq!(
            (&found["ranking"], &found["degraded"], &found["count"]),
            (&json!("hybrid"), &json!(false), &json!(10)),
            "{found}"
        );
        if reader.ask("index_status", json!({}))["model"] == model {
            return number;
        }
    }
    unreachable!("numbers do not end before the patience does")
}

#[test]
fn another_model_takes_over_under_a_steady_load_and_the_change_can_be_taken_back() {
    let embedder = ScriptedEmbedder::start();
    let dsn = postgres::database_now();
    let mut home = Home::with(&embedder.config(&dsn));
    let lines = home.file("lines.jsonl", sources::lines(400));
    home.json(&["ingest", lines.to_str().expect("a plain path"), "--as", "memory", "--no-wait", "--json"]);
    let worker = home.worker();
    home.wait_embedded();
    assert_eq!(worker.stop().code, 0);
    // The servers keep the old configuration: in a rolling update they do not change at the same
    // time.
    let (mut writer, mut reader) = (home.host(), home.host());

    home.configure(&embedder.config_of("scripted-96", &dsn));
    let worker = home.worker();
    let written = load_until("openai/scripted-96", &mut writer, &mut reader, 0);
    let status = reader.ask("index_status", json!({}));
    assert_eq!((&status["dimension"], &status["next_model"]), (&json!(96), &json!(null)), "{status}");
    reader.wait_embedded();
    let found = reader
        .ask("memory_recall", json!({"query": format!("During this, in turn {written}, the model was changed.")}));
    assert_eq!(found["ranking"], "hybrid", "{found}");
    assert!(found["memories"][0]["content"].as_str().is_some_and(|c| c.starts_with("During")), "{found}");
    assert_eq!(worker.stop().code, 0);

    // The 400 records still have their vectors of this model and must not be embedded again, so the
    // embedder refuses their texts.
    embedder.refuse_always(" team ");
    home.configure(&embedder.config(&dsn));
    let worker = home.worker();
    load_until("openai/scripted", &mut writer, &mut reader, written + 1);
    let failures = home.json(&["failures", "--all", "--json"]);
    assert_eq!(failures["count"], 0, "{failures}");
    writer.leave();
    reader.leave();
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn a_command_changes_the_model_and_refuses_one_that_is_not_configured() {
    let embedder = ScriptedEmbedder::start();
    let dsn = postgres::database_now();
    let mut home = Home::with(&embedder.config(&dsn));
    let lines = home.file("lines.jsonl", sources::lines(100));
    home.json(&["ingest", lines.to_str().expect("a plain path"), "--as", "memory", "--no-wait", "--json"]);
    let worker = home.worker();
    home.wait_embedded();
    assert_eq!(worker.stop().code, 0);
    let refused = home.run(&["reindex", "--model", "scripted-96"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("the configured model is openai/scripted:"), "{}", refused.stderr);

    home.configure(&embedder.config_of("scripted-96", &dsn));
    let done = home.json(&["reindex", "--model", "scripted-96", "--json"]);
    assert_eq!(done, json!({"model": "openai/scripted-96", "active": true}));
    let status = home.json(&["status", "--json"]);
    assert_eq!((&status["dimension"], &status["coverage"]), (&json!(96), &json!(1.0)), "{status}");
    assert_recalls_by_meaning(&home);

    // The same model with another vector length counts as another model. Until the cutover, queries
    // are embedded at the old length.
    let shorter = format!("{}      dimensions: 32\n", embedder.config_of("scripted-96", &dsn));
    home.configure(&shorter);
    let begun = home.json(&["reindex", "--model", "scripted-96", "--no-wait", "--json"]);
    assert_eq!(begun, json!({"model": "openai/scripted-96", "active": false}));
    assert_recalls_by_meaning(&home);
    let done = home.json(&["reindex", "--model", "scripted-96", "--json"]);
    assert_eq!(done, json!({"model": "openai/scripted-96", "active": true}));
    let status = home.json(&["status", "--json"]);
    assert_eq!((&status["dimension"], &status["coverage"]), (&json!(32), &json!(1.0)), "{status}");
    assert_recalls_by_meaning(&home);
}

#[test]
fn a_change_of_model_ends_although_its_workers_are_killed_again_and_again() {
    let embedder = ScriptedEmbedder::start();
    let dsn = postgres::database_now();
    let short_lease = "apigateway:\n  embed_jobs: { lease_duration: 1s, poll_interval: 1s, batch_size: 8 }\n";
    let mut home = Home::with(&format!("{}{short_lease}", embedder.config(&dsn)));
    home.expect_logs(DATABASE_FAILS);
    let lines = home.file("lines.jsonl", sources::lines(300));
    home.json(&["ingest", lines.to_str().expect("a plain path"), "--as", "memory", "--no-wait", "--json"]);
    let worker = home.worker();
    home.wait_embedded();
    assert_eq!(worker.stop().code, 0);
    let mut host = home.host();

    home.configure(&format!("{}{short_lease}", embedder.config_of("scripted-96", &dsn)));
    let mut rng = SeededRng(41);
    let mut killed = 0;
    let switched = |host: &mut Host| host.ask("index_status", json!({}))["model"] == "openai/scripted-96";
    let embedded = |host: &mut Host| host.ask("index_status", json!({}))["next_model"]["coverage"].as_f64();
    while !switched(&mut host) {
        let before = embedded(&mut host);
        let worker = home.worker();
        // A job whose worker dies five times is parked, so every second worker lives until it has
        // stored vectors.
        if killed % 2 == 0 {
            wait::until("vectors are stored", || switched(&mut host) || embedded(&mut host) > before);
        }
        // This kills the worker while it starts, while it embeds texts, while it builds the index,
        // and in between.
        wait::within(rng.millis(20, 1500), || switched(&mut host));
        worker.kill();
        killed += 1;
        assert!(killed < 200, "the change never ends: {}", host.ask("index_status", json!({})));
        assert_recalls_by_meaning(&home);
    }
    let worker = home.worker();
    home.wait_embedded();
    let left = "SELECT count(*)::text FROM pgrecall.index_jobs WHERE status <> 'failed'";
    wait::until("no job is left", || postgres::texts_now(&dsn, left) == ["0"]);
    let failures = home.json(&["failures", "--all", "--json"]);
    assert_eq!(failures["count"], 0, "{failures}");
    assert_recalls_by_meaning(&home);
    assert_eq!(worker.stop().code, 0);
    host.leave();
}

fn assert_recalls_by_meaning(home: &Home) {
    let found = home.json(&["recall", "who owns the ledger?", "--json"]);
    assert_eq!((&found["ranking"], &found["degraded"]), (&json!("hybrid"), &json!(false)), "{found}");
}
