//! Answers while something is not embedded: they say how much, why, and deny nothing for good.

use pgrecall_harness::embedder::{NO_NEAR_DUPLICATES, ScriptedEmbedder};
use pgrecall_harness::home::Home;
use pgrecall_harness::postgres;
use serde_json::{Value, json};

fn note(answer: &Value) -> &str {
    answer["note"].as_str().expect("an answer has a note")
}

#[test]
fn an_answer_says_what_is_not_embedded_and_why_and_others_do_not() {
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&(embedder.config(&postgres::database_now()) + NO_NEAR_DUPLICATES));
    let worker = home.worker();
    let mut host = home.host();
    host.ask("memory_remember", json!({"content": "Net revenue is gross revenue minus refunds."}));
    host.wait_embedded();
    let complete = host.ask("memory_recall", json!({"query": "net revenue"}));
    assert!(complete.get("coverage").is_none() && !note(&complete).contains("not embedded"), "{complete}");
    assert_eq!(worker.stop().code, 0);

    // Everything is embedded, so a worker that is not there is no fault.
    let said = home.run(&["status"]);
    assert!(
        said.stdout.contains("healthy: everything is embedded") && !said.stdout.contains("alive"),
        "{}",
        said.stdout
    );
    assert_eq!(home.run(&["doctor"]).code, 0);

    host.ask("memory_remember", json!({"content": "Dana cannot eat peanuts.", "tags": ["people"]}));
    let asked = |more: Value| {
        let mut arguments = json!({"query": "food allergies of colleagues"});
        arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        arguments
    };
    let answer = host.ask("memory_recall", asked(json!({"tags": ["people"]})));
    assert_eq!((&answer["degraded"], &answer["count"]), (&json!(false), &json!(0)), "{answer}");
    let coverage = &answer["coverage"];
    let counted = json!({"total": 2, "embedded": 1, "pending": 1, "failed": 0, "reason": coverage["reason"]});
    assert_eq!(coverage, &counted, "{answer}");
    assert_eq!(answer["omitted"], json!({"not_embedded": 1}), "{answer}");
    for part in
        ["1 of 2 memory passages", "is not embedded yet", "no worker is alive", "matches yet", "1 record was left out"]
    {
        assert!(note(&answer).contains(part), "{part}: {answer}");
    }
    assert!(!note(&answer).contains("nothing matches"), "{answer}");
    // The same reason everywhere.
    let reason = coverage["reason"].as_str().expect("a reason");
    assert_eq!(host.ask("index_status", json!({}))["reason"], reason);
    for command in ["status", "doctor", "failures"] {
        let said = home.run(&[command]);
        assert!(format!("{}{}", said.stdout, said.stderr).contains("no worker is alive"), "{command}: {}", said.stdout);
    }

    // Queries that it does not concern: other records, and keywords alone.
    for (tool, more) in [
        ("memory_recall", json!({"tags": ["others"]})),
        ("memory_recall", json!({"strategy": "lexical"})),
        ("search", json!({})),
    ] {
        let answer = host.ask(tool, asked(more));
        assert!(answer.get("coverage").is_none() && !note(&answer).contains("not embedded"), "{tool}: {answer}");
    }
    host.leave();
}

#[test]
fn a_least_score_leaves_out_what_does_not_reach_it() {
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&(embedder.config(&postgres::database_now()) + NO_NEAR_DUPLICATES));
    let worker = home.worker();
    let mut host = home.host();
    for text in ["Net revenue is gross revenue minus refunds.", "The office moved to Lisbon."] {
        host.ask("memory_remember", json!({"content": text}));
    }
    host.wait_embedded();
    let exact = json!({"query": "The office moved to Lisbon.", "strategy": "semantic"});
    let with = |min_score: f64, query: &Value| {
        let mut query = query.clone();
        query["min_score"] = json!(min_score);
        query
    };
    let all = host.ask("memory_recall", exact.clone());
    let best = host.ask("memory_recall", with(0.999, &exact));
    assert_eq!((&best["count"], &best["memories"][0]), (&json!(1), &all["memories"][0]), "{best}");
    let none = host.ask("memory_recall", with(0.999, &json!({"query": "lunch", "strategy": "semantic"})));
    assert_eq!(none["count"], 0, "{none}");
    assert!(note(&none).starts_with("nothing fits: no record reaches min_score"), "{none}");
    assert!(note(&none).contains("left out") && none["omitted"].is_object(), "{none}");
    let words = host.ask("memory_recall", json!({"query": "office", "strategy": "lexical", "min_score": 0.5}));
    assert!(words["count"] == 1 && note(&words).contains("compares with the best keyword match"), "{words}");
    assert!(host.refused("search", json!({"query": "x", "min_score": 1.5})).contains("min_score"));
    let said = home.run(&["recall", "lunch", "--strategy", "semantic", "--min-score", "0.999"]);
    assert!(said.stdout.contains("Nothing found") && said.stderr.contains("nothing fits"), "{}", said.stderr);
    assert_eq!(home.run(&["recall", "lunch", "--min-score", "7"]).code, 2);
    host.leave();
    assert_eq!(worker.stop().code, 0);
}

#[test]
fn ingest_reports_its_own_records_and_those_of_unchanged_files() {
    let embedder = ScriptedEmbedder::start();
    let home = Home::with(&(embedder.config(&postgres::database_now()) + NO_NEAR_DUPLICATES));
    let one = home.file("one.md", "# One\n\nThe first.");
    let two = home.file("two.md", "# Two\n\nThe second.");
    let ingest = |paths: &[&std::path::PathBuf]| {
        let paths = paths.iter().map(|path| path.to_str().expect("a plain path"));
        home.json(&["ingest"].into_iter().chain(paths).chain(["--json"]).collect::<Vec<_>>())
    };
    let first = ingest(&[&one]);
    assert_eq!((&first["created"], &first["pending"]), (&json!(1), &json!(1)), "no worker runs: {first}");
    let second = ingest(&[&two]);
    assert_eq!((&second["created"], &second["pending"]), (&json!(1), &json!(1)), "{second}");
    let again = ingest(&[&one, &two]);
    assert_eq!((&again["unchanged_files"], &again["pending"]), (&json!(2), &json!(2)), "{again}");
    let worker = home.worker();
    let done = ingest(&[&one, &two]);
    assert_eq!((&done["pending"], &done["failed"]), (&json!(0), &json!(0)), "{done}");
    assert_eq!(worker.stop().code, 0);
}
