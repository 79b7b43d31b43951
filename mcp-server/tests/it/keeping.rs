//! Tests of an agent that maintains its memories.
//!
//! It replaces, reviews, consolidates, forgets and restores them.

use std::thread;

use serde_json::{Value, json};

use crate::home::Home;

fn contents(answer: &Value) -> Vec<&str> {
    let memories = answer["memories"].as_array().expect("memories");
    memories.iter().map(|memory| memory["content"].as_str().expect("a text")).collect()
}

#[test]
fn an_agent_keeps_its_memories_true() {
    let home = Home::ready();
    let mut host = home.host();
    let lisbon = host.ask("memory_remember", json!({"content": "The head office is in Lisbon."}));
    let again = host.ask("memory_remember", json!({"content": "  The head office is in Lisbon.\n"}));
    assert_eq!((&again["stored"], &again["id"]), (&json!("unchanged"), &lisbon["id"]), "{again}");
    assert!(again["note"].as_str().unwrap().contains("identical memory"));
    host.wait_embedded();
    let alike = host.ask("memory_remember", json!({"content": "The head office is in Lisbon now."}));
    assert_eq!(alike["similar"][0]["id"], lisbon["id"], "{alike}");
    let said = host
        .refused("memory_remember", json!({"content": "x", "supersedes": ["0190a5b0-0000-7000-8000-000000000000"]}));
    assert!(said.contains("no record"), "{said}");

    let moved =
        json!({"content": "The head office is in Porto since spring.", "supersedes": [lisbon["id"], alike["id"]]});
    let porto = host.ask("memory_remember", moved);
    assert_eq!(porto["superseded"], json!([lisbon["id"], alike["id"]]));
    let found = host.ask("memory_recall", json!({"query": "where is the head office?"}));
    assert_eq!(contents(&found), ["The head office is in Porto since spring."]);
    let was = found["memories"][0]["supersedes"].as_array().unwrap();
    assert!(was.iter().any(|was| was["id"] == lisbon["id"] && was["until"].is_string()), "{found}");
    let history = host.ask("memory_manage", json!({"action": "get", "ids": [lisbon["id"]]}));
    assert_eq!(history["count"], 3, "{history}");

    let changed = host.ask(
        "memory_manage",
        json!({"action": "update", "ids": [porto["id"]], "tags": ["office"], "metadata": {"city": "Porto"}}),
    );
    assert_eq!(changed["changed"], json!([porto["id"]]));
    let found =
        host.ask("memory_recall", json!({"query": "head office", "tags": ["office"], "filter": {"city": "Porto"}}));
    assert_eq!(found["count"], 1, "{found}");
    let nothing = host.refused("memory_manage", json!({"action": "update", "ids": [porto["id"]]}));
    assert!(nothing.contains("nothing to change"), "{nothing}");

    let trial = host.ask("memory_manage", json!({"action": "archive", "ids": [porto["id"]]}));
    assert_eq!(trial["count"], 1);
    assert_eq!(host.ask("memory_recall", json!({"query": "head office"}))["count"], 0);
    let why = host.ask("memory_recall", json!({"query": "head office", "why_not": porto["id"]}));
    assert!(why["why_not"]["reason"].as_str().unwrap().contains("archived"), "{why}");
    let back = host.ask("memory_manage", json!({"action": "restore", "ids": [porto["id"]]}));
    assert_eq!(back["changed"], json!([porto["id"]]));

    let gone = host.ask("memory_forget", json!({"ids": [porto["id"]], "dry_run": false}));
    assert_eq!((&gone["sources"], &gone["left"]), (&json!(1), &json!(0)));
    assert!(gone["note"].as_str().unwrap().contains("within 168 hours"), "{gone}");
    assert_eq!(host.ask("memory_recall", json!({"query": "head office"}))["count"], 0);
    let back = host.ask("memory_manage", json!({"action": "restore", "ids": [porto["id"]]}));
    assert_eq!((&back["changed"], &back["not_found"]), (&json!([porto["id"]]), &json!([])));
    let found = host.ask("memory_recall", json!({"query": "head office"}));
    assert_eq!(found["memories"][0]["tags"], json!(["office"]), "as it was: {found}");
    host.ask("memory_forget", json!({"ids": [porto["id"]], "dry_run": false, "for_good": true}));
    let back = host.ask("memory_manage", json!({"action": "restore", "ids": [porto["id"]]}));
    assert_eq!(back["not_found"], json!([porto["id"]]));

    let over = json!({"content": "The summer office is in Faro.", "valid_to": "2025-09-30"});
    let over = host.ask("memory_remember", over)["id"].clone();
    host.ask("memory_manage", json!({"action": "archive", "ids": [over]}));
    let back = host.ask("memory_manage", json!({"action": "restore", "ids": [over]}));
    assert_eq!(back["changed"], json!([over]));
    let note = back["note"].as_str().unwrap();
    assert!(note.contains("no longer valid") && note.ends_with("at 2025-09-30T00:00:00Z"), "{note}");
}

#[test]
fn two_agents_who_change_one_memory_at_once_lose_nothing_of_each_other() {
    const CHANGES: usize = 15;
    let home = Home::ready();
    let id = home.host().ask("memory_remember", json!({"content": "The head office is in Lisbon."}))["id"].clone();
    thread::scope(|scope| {
        for agent in 0..2 {
            let (home, id) = (&home, &id);
            scope.spawn(move || {
                let mut host = home.host();
                for n in 0..CHANGES {
                    let metadata = json!({format!("agent-{agent}-change-{n}"): true});
                    let changed =
                        host.ask("memory_manage", json!({"action": "update", "ids": [id], "metadata": metadata}));
                    assert_eq!(changed["changed"], json!([id]), "{changed}");
                }
            });
        }
    });
    let is = home.host().ask("memory_manage", json!({"action": "get", "ids": [id]}));
    let metadata = is["memories"][0]["metadata"].as_object().expect("metadata");
    assert_eq!(metadata.len(), 2 * CHANGES, "{metadata:?}");
}

#[test]
fn what_is_said_again_is_the_same_memory_with_whatever_else_is_said_of_it() {
    let home = Home::ready();
    let mut host = home.host();
    let eve = host.ask("memory_remember", json!({"content": "Eve has a red car.", "key": "", "tags": ["eve"]}));
    let bob = host.ask("memory_remember", json!({"content": "Bob sits in room 12.", "key": " "}));
    assert_ne!(eve["id"], bob["id"], "a blank key is none");
    let more =
        json!({"content": "Eve has a red car.", "tags": ["cars"], "metadata": {"a": 1}, "supersedes": [bob["id"]]});
    for stored in ["replaced", "unchanged"] {
        let again = host.ask("memory_remember", more.clone());
        assert_eq!((&again["id"], &again["stored"]), (&eve["id"], &json!(stored)), "{again}");
        assert!(again["note"].as_str().unwrap().contains("identical memory"), "{again}");
    }
    let is = host.ask("memory_manage", json!({"action": "get", "ids": [eve["id"]]}));
    let memory = is["memories"].as_array().unwrap().iter().find(|memory| memory["id"] == eve["id"]).unwrap();
    assert_eq!((&memory["tags"], &memory["metadata"]), (&json!(["eve", "cars"]), &json!({"a": 1})));
    assert_eq!(memory["supersedes"][0]["id"], bob["id"], "{memory}");
    let verified = host.ask("memory_manage", json!({"action": "verify", "ids": [bob["id"]]}));
    assert!(verified["note"].as_str().unwrap().contains(&format!("{} by {}", bob["id"], eve["id"]).replace('"', "")));
    assert_eq!((&verified["changed"], &verified["not_found"]), (&json!([]), &json!([])));

    // A doubted or expired memory does not count as already known, so the same text is stored
    // again.
    host.ask("memory_manage", json!({"action": "doubt", "ids": [eve["id"]]}));
    let red = host.ask("memory_remember", json!({"content": "Eve has a red car."}));
    assert_eq!(red["stored"], "created");
    let over = host.ask("memory_remember", json!({"content": "Zed lives in Rome.", "valid_to": "2020-01-01"}));
    assert!(over["note"].as_str().unwrap().contains("not valid now"), "{over}");
    assert_eq!(host.ask("memory_remember", json!({"content": "Zed lives in Rome."}))["stored"], "created");

    let pair =
        [red["id"].clone(), host.ask("memory_remember", json!({"content": "Eve drives a red car."}))["id"].clone()];
    let merge = json!({"action": "consolidate", "ids": pair, "content": "Eve has a red car."});
    for _ in 0..2 {
        let merged = host.ask("memory_manage", merge.clone());
        assert!(merged["note"].as_str().unwrap().starts_with(red["id"].as_str().unwrap()), "{merged}");
    }
    for (unused, arguments) in [
        ("content", json!({"action": "verify", "ids": [red["id"]], "content": "x"})),
        ("ids", json!({"action": "list", "ids": [red["id"]]})),
        ("cursor", json!({"action": "review_stale", "cursor": "junk"})),
    ] {
        let said = host.refused("memory_manage", arguments);
        assert!(said.contains(&format!("does not use `{unused}`")), "{said}");
    }
    let url = format!("pgrecall://memory/{}", red["id"].as_str().unwrap());
    assert_eq!(host.ask("fetch", json!({"id": url}))["id"], red["id"]);
}

#[test]
fn what_is_said_twice_is_found_and_made_one() {
    let home = Home::ready();
    let mut host = home.host();
    let texts = [
        "Release day is the first Tuesday of a month.",
        "Releases happen on the first Tuesday of a month.",
        "Lunch is at noon.",
    ];
    let ids: Vec<Value> = texts
        .iter()
        .map(|text| {
            host.ask("memory_remember", json!({"content": text, "tags": [text[..5].to_lowercase()]}))["id"].clone()
        })
        .collect();
    host.wait_embedded();
    let review = host.ask("memory_manage", json!({"action": "review_duplicates"}));
    assert_eq!(
        review["duplicates"].as_array().map_or(0, Vec::len),
        0,
        "they are alike, and below the threshold: {review}"
    );
    let made = host.ask(
        "memory_manage",
        json!({"action": "consolidate", "ids": [ids[0], ids[1]], "content": "We release on the first Tuesday of each month."}),
    );
    assert_eq!(made["changed"], json!([ids[0], ids[1]]));
    let found = host.ask("memory_recall", json!({"query": "when do we release?", "limit": 1}));
    assert_eq!(contents(&found), ["We release on the first Tuesday of each month."]);
    assert_eq!(found["memories"][0]["tags"], json!(["relea"]), "with the tags of what it replaced");
    let said = host.refused("memory_manage", json!({"action": "consolidate", "ids": [ids[2]]}));
    assert!(said.contains("give 2 to 100"), "{said}");

    let verified = host.ask("memory_manage", json!({"action": "verify", "ids": [ids[2]]}));
    assert_eq!(verified["note"], "verified");
    assert_eq!(host.ask("memory_manage", json!({"action": "review_stale"}))["count"], 0);
    host.ask("memory_manage", json!({"action": "doubt", "ids": [ids[2]]}));
    assert_eq!(contents(&host.ask("memory_manage", json!({"action": "review_stale"}))), ["Lunch is at noon."]);

    let page = host.ask("memory_manage", json!({"action": "list", "limit": 1, "filter": {"$status": "superseded"}}));
    assert_eq!(contents(&page), [texts[1]]);
    let cursor = page["cursor"].clone();
    let next = json!({"action": "list", "limit": 1, "filter": {"$status": "superseded"}, "cursor": cursor});
    let next = host.ask("memory_manage", next);
    assert_eq!((contents(&next), next["cursor"].is_null()), (vec![texts[0]], true));
    let forged = host.refused("memory_manage", json!({"action": "list", "cursor": cursor}));
    assert!(forged.contains("does not belong to this call"), "{forged}");
}

#[test]
fn answers_come_in_pages_and_say_as_much_as_is_asked_for() {
    let home = Home::ready();
    let mut host = home.host();
    for number in 0..7 {
        host.ask(
            "memory_remember",
            json!({"content": format!("The walrus census counted herd {number}."), "key": format!("w{number}")}),
        );
    }
    host.ask("memory_remember", json!({"content": "Penguins live elsewhere.", "valid_to": "2020-01-01"}));
    host.wait_embedded();
    for asked in [
        json!({"query": "walrus census", "limit": 3, "strategy": "lexical"}),
        // The results are selected by MMR, and cut by the token budget.
        json!({"query": "walrus census", "limit": 4, "diversity": "mmr", "max_tokens": 200}),
    ] {
        let mut asked = asked;
        let mut seen = Vec::new();
        loop {
            let page = host.ask("memory_recall", asked.clone());
            let scores: Vec<f64> =
                page["memories"].as_array().unwrap().iter().map(|m| m["score"].as_f64().unwrap()).collect();
            assert!(scores.is_sorted_by(|one, next| one >= next), "{page}");
            seen.extend(contents(&page).into_iter().map(str::to_owned));
            let Some(cursor) = page.get("cursor") else { break };
            asked["cursor"] = cursor.clone();
        }
        assert_eq!(seen.len(), 7, "{seen:?}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 7, "no page repeats another: {seen:?}");
    }

    let concise = host.ask("memory_recall", json!({"query": "walrus census", "limit": 1, "response": "concise"}));
    let fields: Vec<_> = concise["memories"][0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["id", "content", "score"], "{concise}");
    let distinct = host.ask("memory_recall", json!({"query": "walrus census", "diversity": "distinct"}));
    let alike = distinct["memories"][0]["near_duplicates"].as_array().map_or(0, Vec::len);
    assert!(alike > 0 && distinct["count"].as_u64().unwrap() < 7, "{distinct}");

    let explained = host.ask(
        "memory_recall",
        json!({"query": "walrus census", "limit": 2, "explain": true, "filter": {"$owner": "local"}}),
    );
    assert!(explained["filters"].as_array().is_some_and(|filters| filters.len() > 1), "{explained}");
    assert_eq!(explained["memories"][0]["explain"]["recency"], 1.0);
    let over = host.ask("memory_recall", json!({"query": "penguins"}));
    assert!(!contents(&over).contains(&"Penguins live elsewhere."), "{over}");
    let before = host.ask("memory_recall", json!({"query": "penguins", "as_of": "2019-06-01"}));
    assert_eq!(contents(&before)[0], "Penguins live elsewhere.");
    let future = host.ask("memory_recall", json!({"query": "walrus", "as_of": "2999-01-01", "limit": 1}));
    assert_eq!(future["count"], 1, "what is true has no end");
    let changed = host.ask("memory_recall", json!({"query": "walrus", "changed_since": "2999-01-01"}));
    assert_eq!(changed["count"], 0);
    let unknown = host.refused("memory_recall", json!({"query": "walrus", "filter": {"$mood": "good"}}));
    assert!(unknown.contains("`$mood` is no field"), "{unknown}");
}

#[test]
fn what_was_made_is_saved_and_found_beside_everything_else() {
    let home = Home::ready();
    let mut host = home.host();
    let query = json!({"title": "Net revenue by quarter", "content": "SELECT quarter, sum(net) FROM orders_v2 GROUP BY 1", "tags": ["sql"],
                       "details": {"dialect": "postgres"}});
    let saved = host.ask("save", query.clone());
    assert_eq!(host.ask("save", query)["stored"], "unchanged");
    host.ask(
        "save",
        json!({"kind": "prompt", "title": "Summarise an incident", "content": "Summarise {incident} for {audience}."}),
    );
    host.wait_embedded();
    let found = host.ask("search", json!({"query": "how much did we earn each quarter?", "limit": 5}));
    assert_eq!(found["results"][0]["id"], saved["id"], "{found}");
    assert_eq!((&found["kinds"]["asset"], &found["kinds"]["prompt"]), (&json!(1), &json!(1)));
    let whole = host.ask("fetch", json!({"id": saved["id"]}));
    assert!(whole["text"].as_str().unwrap().contains("\"dialect\": \"postgres\""), "{whole}");
}
