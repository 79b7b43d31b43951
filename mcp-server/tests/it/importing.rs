//! Tests of `import`, `export` and `eval` with the real engine.

use serde_json::{Value, json};

use crate::home::{Home, text};

/// Makes a home with a document and memories of all sorts: with and without a key, superseded, and
/// of a conversation.
fn lived_in() -> Home {
    let home = Home::ready();
    let first =
        home.json(&["remember", "The office is in Lisbon.", "--tag", "office", "--urn", "urn:city:lisbon", "--json"]);
    let old = first["id"].as_str().unwrap();
    home.json(&["remember", "The office is in Porto.", "--supersedes", old, "--json"]);
    let keyed = [
        "remember",
        "Ana owns billing.",
        "--key",
        "billing",
        "--dimension",
        "relationship",
        "--category",
        "owner",
        "--source",
        "ana",
        "--metadata",
        r#"{"team": {"name": "data", "size": 4.50, "lead": null}}"#,
        "--json",
    ];
    home.json(&keyed);
    let turns = "{\"_id\":\"t1\",\"text\":\"Where shall we go?\",\"metadata\":{\"session\":\"s\"},\"confidence\":0.7}\n\
                 {\"_id\":\"t2\",\"text\":\"To the sea.\",\"metadata\":{\"session\":\"s\"},\"valid_from\":\"2026-01-02T03:04:05.678901Z\"}\n";
    let turns = home.file("turns.jsonl", turns);
    home.json(&["ingest", "--as", "memory", text(&turns), "--json"]);
    let lines = "{\"_id\":\"a\",\"title\":\"Alpha\",\"text\":\"# Alpha\\n\\nThe first.\",\"format\":\"markdown\",\"details\":{\"b\":[1]},\"uri\":\"https://a\"}\n";
    let lines = home.file("lines.jsonl", lines);
    home.json(&["ingest", "--collection", "letters", text(&lines), "--json"]);
    home
}

#[test]
fn what_was_exported_comes_back_as_it_was() {
    let home = lived_in();
    let exported = home.run(&["export"]).stdout;
    assert_eq!(exported.lines().count(), 6);
    let letters = home.run(&["export", "--kind", "document", "--collection", "letters"]).stdout;
    assert_eq!(letters.lines().count(), 1);
    assert_eq!(home.run(&["export", "--collection", "numbers"]).stdout, "");

    let other = Home::ready();
    let backup = other.file("backup.jsonl", &exported);
    let dry = other.run(&["import", text(&backup), "--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    assert_eq!(dry.stdout, "6 records would be imported from 1 file: 6 new, 0 replaced, 0 unchanged, 0 refused\n");
    assert!(dry.stderr.contains("read as an export of pgrecall"), "{}", dry.stderr);
    assert_eq!(other.run(&["export"]).stdout, "", "a dry run writes nothing");

    let report = other.json(&["import", text(&backup), "--json"]);
    assert_eq!((&report["created"], &report["pending"]), (&json!(6), &json!(0)), "{report}");
    assert_eq!(other.run(&["export"]).stdout, exported);
    for home in [&home, &other] {
        let again = home.json(&["import", text(&backup), "--json"]);
        assert_eq!((&again["unchanged"], &again["replaced"]), (&json!(6), &json!(0)), "{again}");
    }
    assert_eq!(home.run(&["export"]).stdout, exported, "what is there already is left as it is");
    for question in ["where is the office?", "who pays the bills?", "holidays"] {
        let recall = |home: &Home| home.json(&["recall", question, "--include-stale", "--json"]);
        assert_eq!(recall(&home), recall(&other));
    }

    // Half of the export, cut in the middle of a line.
    let third = Home::ready();
    let half = third.file("half.jsonl", &exported[..exported.len() / 2]);
    let whole = exported[..exported.len() / 2].lines().count() as u64 - 1;
    let said = third.run(&["import", text(&half), "--json"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains(&format!("half.jsonl:{}: the line ends in the middle", whole + 1)), "{}", said.stderr);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&report["created"], &report["refused"]), (&json!(whole), &json!(1)));
}

#[test]
fn what_other_programs_keep_comes_in_and_the_same_again_changes_nothing() {
    let home = Home::ready();
    let graph = "{\"type\":\"entity\",\"name\":\"Ana Lima\",\"entityType\":\"person\",\"observations\":[\"owns billing\",\"lives in Porto\"]}\n\
                 nonsense\n{\"type\":\"relation\",\"from\":\"Ana Lima\",\"to\":\"Billing\",\"relationType\":\"is_owner_of\"}\n";
    let graph = home.file("memory.json", graph);
    home.file(
        "notes/coffee.md",
        "---\ntitle: Coffee\ntags: [kitchen]\n---\n- [method] Pour over at 94 degrees\n- goes_with [[Chocolate]]\n",
    );
    let turn = |id: &str, parent: Value, role: &str, said: &str| {
        json!({"id": id, "parent": parent, "message": {"id": id, "author": {"role": role}, "create_time": 1714557600.0,
               "content": {"content_type": "text", "parts": [said]}}})
    };
    let chat = json!([{"title": "Trip", "conversation_id": "c1", "current_node": "m2", "mapping": {
        "m1": turn("m1", Value::Null, "user", "Where is it warm in May?"),
        "m2": turn("m2", json!("m1"), "assistant", "On Madeira, with the levadas in bloom."),
    }}]);
    home.file("chatgpt/conversations.json", chat.to_string());
    home.file("chatgpt/user.json", "{}");
    let claude = json!([{"uuid": "c2", "name": "Bread", "chat_messages": [
        {"uuid": "b1", "sender": "human", "text": "How long does sourdough rise?", "created_at": "2025-02-03T10:00:00Z"}]}]);
    let claude = home.file("claude.json", claude.to_string());
    let (notes, chats) = (home.files().join("notes"), home.files().join("chatgpt"));
    let all = ["import", text(&graph), text(&notes), text(&chats), text(&claude), "--json"];

    let said = home.run(&all);
    assert_eq!(said.code, 1, "a line is broken: {}", said.stderr);
    for expected in [
        "memory.json:2: the line is not valid JSON",
        "read as conversations of Claude",
        "read as conversations of ChatGPT",
    ] {
        assert!(said.stderr.contains(expected), "{expected}: {}", said.stderr);
    }
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&report["created"], &report["files"], &report["pending"]),
        (&json!(9), &json!(4), &json!(0)),
        "{report}"
    );
    let again: Value = serde_json::from_str(&home.run(&all).stdout).unwrap();
    assert_eq!((&again["unchanged"], &again["replaced"]), (&json!(9), &json!(0)), "{again}");

    let known = home.json(&["recall", "who is responsible for invoices?", "--urn", "urn:entity:Ana_Lima", "--json"]);
    assert_eq!(known["count"], 3, "{known}");
    let turn = &home.json(&["recall", "Madeira", "--filter", "session=c1", "--json"])["memories"][0];
    assert_eq!(
        (&turn["key"], &turn["metadata"]["speaker"], &turn["metadata"]["date"]),
        (&json!("c1:m2"), &json!("assistant"), &json!("2024-05-01"))
    );
    assert!(turn["created_at"].as_str().unwrap().starts_with("2024-05-01T10:00:00"), "{turn}");
    assert_eq!(home.json(&["search", "espresso and beans", "--json"])["results"][0]["key"], "coffee");

    let zip = home.file("export.zip", b"PK\x03\x04\0\0");
    let said = home.run(&["import", text(&zip), "--from", "chatgpt"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("unpack it first"), "{}", said.stderr);
}

#[test]
fn a_judged_collection_is_measured_in_a_home_of_its_own() {
    let home = Home::ready();
    let corpus: String = [
        ("cat", "The cat sleeps on the sofa all day."),
        ("rain", "Rain is expected over the coast tomorrow."),
        ("tax", "The income tax return is due at the end of July."),
    ]
    .iter()
    .map(|(id, said)| format!("{}\n", json!({"_id": id, "text": said})))
    .collect();
    home.file("set/corpus.jsonl", corpus);
    home.file("set/queries.jsonl", "{\"_id\":\"1\",\"text\":\"sofa\"}\n{\"_id\":\"2\",\"text\":\"weather forecast\"}\n{\"_id\":\"3\",\"text\":\"unjudged\"}\n");
    home.file("set/qrels.tsv", "query-id\tcorpus-id\tscore\n1\tcat\t1\n2\train\t2\n2\ttax\t0\n");
    let set = home.files().join("set");
    let measured = home.json(&["eval", text(&set), "--json"]);
    assert_eq!((&measured["records"], &measured["questions"]), (&json!(3), &json!(2)), "{measured}");
    let rankings = &measured["rankings"];
    assert_eq!(
        (&rankings["hybrid"]["ndcg@10"], &rankings["semantic"]["ndcg@10"]),
        (&json!(1.0), &json!(1.0)),
        "{measured}"
    );
    assert_eq!(
        (&rankings["lexical"]["ndcg@10"], &rankings["lexical"]["unanswered"]),
        (&json!(0.5), &json!(1)),
        "{measured}"
    );
    assert!(rankings["hybrid"]["p95_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(home.run(&["export"]).stdout, "", "the home itself has nothing of it");
    let table = home.run(&["eval", text(&set), "--k", "1", "--as", "memory"]).stdout;
    assert!(table.contains("recall@1 ") && table.lines().count() == 5, "{table}");
    let missing = home.run(&["eval", text(&home.files())]);
    assert_eq!((missing.code, missing.stderr.contains("corpus.jsonl")), (2, true), "{}", missing.stderr);
}
