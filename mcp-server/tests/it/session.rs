//! Tests of a session with the real engine: an agent remembers, recalls and forgets.

use serde_json::json;

use crate::home::Home;

#[test]
fn an_agent_remembers_recalls_and_forgets() {
    let home = Home::ready();
    let mut host = home.host();
    let dana = host.ask(
        "memory_remember",
        json!({"content": "Dana prefers weekly summaries on Friday afternoon.", "dimension": "preference", "tags": ["reports"],
               "metadata": {"team": "data"}, "key": "dana-summaries"}),
    );
    assert_eq!((&dana["stored"], &dana["embedding"]), (&json!("created"), &json!("pending")));
    let orders = host.ask(
        "memory_remember",
        json!({"content": "The checkout team owns orders_v2.", "entity_urns": ["urn:li:dataset:hive.sales.orders_v2"]}),
    );
    // Keyword search finds the memory at once, whatever the embedder does.
    let found = host.ask("memory_recall", json!({"query": "who owns orders_v2?", "strategy": "lexical"}));
    assert_eq!(found["memories"][0]["id"], orders["id"], "{found}");
    assert_eq!(found["ranking"], "lexical");

    host.wait_embedded();
    let found = host.ask("memory_recall", json!({"query": "When should I send the report?", "explain": true}));
    assert_eq!(found["memories"][0]["id"], dana["id"], "{found}");
    assert_eq!((&found["ranking"], &found["degraded"]), (&json!("hybrid"), &json!(false)));
    assert_eq!(found["memories"][0]["key"], "dana-summaries");
    assert!(found["memories"][0]["explain"]["cosine"].is_number());
    let named = host.ask("memory_recall", json!({"entity_urns": ["urn:li:dataset:hive.sales.orders_v2"]}));
    assert_eq!(named["count"], 1);
    let none = host.ask("memory_recall", json!({"query": "summaries", "filter": {"no_such_key": 1}}));
    assert_eq!(none["count"], 0);
    assert!(none["note"].as_str().unwrap().contains("filter"), "{none}");
    let whole = host.ask("fetch", json!({"id": dana["id"]}));
    assert_eq!(whole["text"], "Dana prefers weekly summaries on Friday afternoon.");

    let again =
        host.ask("memory_remember", json!({"content": "Dana prefers monthly summaries.", "key": "dana-summaries"}));
    assert_eq!((&again["stored"], &again["id"]), (&json!("replaced"), &dana["id"]));

    let trial = host.ask("memory_forget", json!({"ids": [dana["id"], orders["id"]]}));
    assert_eq!((&trial["dry_run"], &trial["sources"]), (&json!(true), &json!(2)));
    assert_eq!(host.ask("memory_recall", json!({"query": "Dana"}))["memories"][0]["id"], dana["id"]);
    let gone = host.ask("memory_forget", json!({"ids": [dana["id"]], "dry_run": false}));
    assert_eq!((&gone["dry_run"], &gone["sources"], &gone["passages"]), (&json!(false), &json!(1), &json!(1)));
    let left = host.ask("memory_recall", json!({"query": "Dana"}));
    assert!(left["memories"].as_array().unwrap().iter().all(|memory| memory["id"] != dana["id"]), "{left}");
    assert!(host.refused("fetch", json!({"id": dana["id"]})).contains("there is no source"));
    let absent = host.ask("memory_forget", json!({"ids": [dana["id"]], "dry_run": false}));
    assert_eq!((&absent["sources"], &absent["not_found"]), (&json!(0), &json!([dana["id"]])));

    for (bad, part) in [
        (json!({"content": "  "}), "empty"),
        (json!({"content": "a\u{0}b"}), "NUL"),
        (json!({"content": "x".repeat(70_000)}), "65536"),
    ] {
        let said = host.refused("memory_remember", bad);
        assert!(said.contains(part), "{said}");
    }
    host.hang_up();
    assert_eq!(host.finish().1, 0);
}

#[test]
fn two_servers_share_one_home_and_calls_piped_in_are_answered() {
    let home = Home::ready();
    let mut first = home.host();
    let mut second = home.host();
    let kept = first.ask("memory_remember", json!({"content": "Both hosts see this."}));
    let found = second.ask("memory_recall", json!({"query": "which hosts see this?"}));
    assert_eq!(found["memories"][0]["id"], kept["id"]);
    first.hang_up();
    assert_eq!(first.finish().1, 0);
    second.wait_embedded();
    // The last call is in progress when the input ends.
    second.send(&json!({"jsonrpc": "2.0", "id": "last", "method": "tools/call",
        "params": {"name": "memory_recall", "arguments": {"query": "hosts"}}}));
    second.hang_up();
    let (rest, code) = second.finish();
    assert_eq!(code, 0);
    assert!(rest.iter().any(|message| message["result"]["structuredContent"]["count"] == 1), "{rest:?}");
}
