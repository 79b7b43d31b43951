//! Tests of a session with the real engine: an agent remembers, recalls and forgets.

use pgrecall_harness::pdf::{Page, pdf};
use serde_json::{Value, json};

use crate::home::{Home, text};

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

/// What hosts send for a list, an object, a number or a boolean, and what JavaScript and Python
/// write for half of a character and for a number out of range.
#[test]
fn what_hosts_write_is_understood_where_it_can_mean_one_thing() {
    let home = Home::ready();
    let mut host = home.host();
    let none = "00000000-0000-0000-0000-000000000000";
    for (tool, arguments) in [
        ("memory_remember", json!({"content": "The lamp oil is in bay 4", "tags": "[\"oil\",\"bay\"]"})),
        ("memory_remember", json!({"content": "The lamp oil is in bay 7", "metadata": "{\"session\":\"s1\"}"})),
        ("memory_remember", json!({"content": "The lamp oil is in bay 8", "confidence": "0.8"})),
        ("memory_remember", json!({"content": "The lamp oil is in bay 6", "tags": "oil", "visibility": "Private"})),
        ("memory_recall", json!({"query": "lamp oil", "limit": "5", "include_stale": "false", "strategy": "Lexical"})),
        ("memory_recall", json!({"query": "lamp oil", "tags": "oil", "filter": "{\"$status\": \"Active\"}"})),
        ("memory_manage", json!({"action": "GET", "ids": format!("[\"{none}\"]")})),
        ("memory_forget", json!({"ids": none, "dry_run": "True"})),
        ("search", json!({"query": "lamp oil", "kinds": "Memory", "max_tokens": "500"})),
    ] {
        host.ask(tool, arguments);
    }
    let found = host.ask("memory_recall", json!({"query": "lamp oil", "tags": ["oil", "bay"], "strategy": "lexical"}));
    assert_eq!(found["count"], 1, "{found}");
    let dated = host.ask("memory_remember", json!({"content": "[\"a\"]", "valid_from": "2026-03"}));
    assert_eq!(dated["note"], "`valid_from` was read as 2026-03-01T00:00:00Z");
    let whole = host.ask("fetch", json!({"id": dated["id"]}));
    assert_eq!(whole["text"], "[\"a\"]", "a text stays a text");
    let said = host.refused("memory_remember", json!({"content": "x", "tags": "[oil", "metadata": "{\"n\": 1e400}"}));
    assert_eq!(
        said,
        "`tags` must be an array, and a string was given; `metadata.n` is 1e400, which JSON cannot hold as a number"
    );

    let mut call = |arguments: &[u8]| {
        let call = r#"{"jsonrpc":"2.0","id":903,"method":"tools/call","params":{"name":"memory_remember","arguments":"#;
        host.send_raw(&[call.as_bytes(), arguments, b"}}"].concat());
        let answer = host.receive();
        assert_eq!(answer["id"], 903, "{answer}");
        answer
    };
    let cut = call(br#"{"content":"cut emoji \ud83d"}"#)["result"]["structuredContent"].take();
    assert_eq!(cut["note"], "half of a cut character (a lone surrogate) was replaced by U+FFFD");
    let other =
        call(b"{\"content\":\"caf\xe9\tau lait\",\"tags\":\"null\",\"metadata\":[]}")["result"]["structuredContent"]
            .take();
    assert_eq!(other["note"], "bytes that are not UTF-8 were replaced by U+FFFD, in 1 place(s): send UTF-8");
    let twice = call(br#""{\"content\":\"encoded twice\"}""#);
    assert_eq!(twice["result"]["structuredContent"]["stored"], "created", "{twice}");
    let deep = format!(r#"{{"content":"x","metadata":{{"a":{}{}}}}}"#, "[".repeat(200), "]".repeat(200));
    let said = call(deep.as_bytes())["error"]["message"].take();
    assert!(said.as_str().unwrap().contains("nested deeper"), "{said}");
    let large = call(br#"{"content":"x","metadata":{"sizes":[1,1e400]}}"#);
    let said = large["error"]["message"].as_str().unwrap();
    assert!(said.starts_with("`metadata.sizes[1]` is 1e400"), "{said}");
}

#[test]
fn a_result_in_a_long_document_leads_to_its_place() {
    let home = Home::ready();
    let filler = |word: &str| format!("The {word} is described here, and nothing else is said. ").repeat(30);
    let answer = "Press the zebra button\nto leave the editor.";
    let body = format!(
        "# Guide\n\n{}\n\n## Escaping\n\n{}\n\n{answer}\n\n{}\n\n## Zebras\n\n{}\n\nA zebra is no button.\n",
        filler("start"),
        filler("hatch"),
        filler("exit"),
        filler("animal")
    );
    home.file("book/guide.md", &body);
    let said = |page: &str| format!("{} {}", page, "Other words follow on this page. ".repeat(12));
    let pages = ["Apples are red.", "Pears are green.", "Quinces are hard and sour."].map(said);
    home.file("book/fruit.pdf", pdf("Fruit", &pages.each_ref().map(|page| Page::Text(page))));
    assert_eq!(home.run(&["ingest", text(&home.files().join("book"))]).code, 0);

    let mut host = home.host();
    let found =
        host.ask("search", json!({"query": "which button leaves the editor?", "passages": 3, "max_tokens": 250}));
    let first = &found["results"][0];
    let shown = first["text"].as_str().unwrap();
    assert!(shown.contains(answer) && shown.contains("fetch has the whole"), "{first}");
    assert_eq!(first["section"], "Guide > Escaping", "{first}");
    let position = first["position"].as_u64().unwrap() as usize;
    let start = shown.trim_start_matches(['…', ' ', '\n']);
    assert!(body[position..].starts_with(&start[..20]), "{first}");
    let further = first["passages"].as_array().unwrap();
    assert_eq!(further.len(), 2, "{first}");
    let is_placed = |passage: &Value| passage["section"].as_str().is_some_and(|section| section.starts_with("Guide"));
    assert!(further.iter().all(is_placed), "{first}");

    let around = host.ask("fetch", json!({"id": first["id"], "around": position}));
    let offset = around["offset"].as_u64().unwrap_or_default() as usize;
    assert!(around["text"].as_str().unwrap().contains(answer) && offset <= position, "{around}");
    assert!(body[offset..].starts_with(around["text"].as_str().unwrap()), "{around}");
    assert!(host.refused("fetch", json!({"id": first["id"], "around": 1_000_000})).contains("ends at character"));
    assert!(host.refused("search", json!({"query": "x", "passages": 11})).contains("between 1 and 10"));

    let found = host.ask("search", json!({"query": "quinces hard and sour", "max_tokens": 150, "limit": 1}));
    let first = &found["results"][0];
    assert_eq!((&first["page"], &first["section"]), (&json!(3), &Value::Null), "{first}");
    assert!(first["text"].as_str().unwrap().contains("Quinces"), "{first}");

    let long = format!("{} Dana is allergic to peanuts. {}", filler("office"), filler("garden"));
    host.ask("memory_remember", json!({"content": long}));
    let found = host.ask("memory_recall", json!({"query": "peanuts allergic", "max_tokens": 150}));
    let memory = &found["memories"][0];
    assert!(memory["content"].as_str().unwrap().contains("allergic to peanuts."), "{memory}");
    let position = memory["position"].as_u64().unwrap() as usize;
    assert!(long[position..].starts_with("The ") || long[position..].starts_with("Dana"), "{memory}");
    host.hang_up();
    assert_eq!(host.finish().1, 0);
}
