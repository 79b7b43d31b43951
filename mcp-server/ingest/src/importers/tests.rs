//! Property tests: importing any file ends, does not panic, and loses no intact record.

use std::{fs, sync::atomic::AtomicU32, sync::atomic::Ordering};

use pgrecall_postgres::db::Scope;
use pgrecall_record::source::Record;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use pgrecall_generators::mutate::{assert_sentence, cases, mutated};

use super::From;
use crate::{
    Problem,
    batch::{Batch, gather},
    encoding::encodings,
    formats::json,
    origin::Origin,
};

/// A valid file of each program; two of Claude, which writes its memories and projects to others.
const FILES: [&str; 6] = [
    "{\"id\":\"0190a1b2-0000-7000-8000-000000000001\",\"key\":\"k\",\"kind\":\"memory\",\"text\":\"t\",\"visibility\":\"private\",\"status\":\"stale\",\"created_at\":\"2024-05-01T10:00:00+00:00\",\"confidence\":0.5,\"details\":{\"a\":1}}\n",
    "{\"type\":\"entity\",\"name\":\"Ana\",\"entityType\":\"person\",\"observations\":[\"owns billing\"]}\n{\"type\":\"relation\",\"from\":\"Ana\",\"to\":\"B\",\"relationType\":\"is_owner_of\"}\n",
    "---\ntitle: 'C'\npermalink: c/d\ntags:\n- a\n- 'b'\n---\n# C\n\n- [method] Pour #tag (twice)\n- part_of [[X]] (on Sundays)\n",
    "[{\"title\":\"T\",\"id\":\"c\",\"create_time\":1714557600.5,\"current_node\":\"b\",\"mapping\":{\"a\":{\"parent\":null,\"message\":null},\"b\":{\"parent\":\"a\",\"message\":{\"id\":\"m\",\"author\":{\"role\":\"user\"},\"create_time\":1,\"content\":{\"content_type\":\"text\",\"parts\":[\"hi\"]}}}}}]",
    "[{\"uuid\":\"c\",\"name\":\"T\",\"chat_messages\":[{\"uuid\":\"1\",\"sender\":\"human\",\"text\":\"hi\",\"created_at\":\"2024-05-01T10:00:00Z\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]}]",
    "[{\"account_uuid\":\"a\",\"conversations_memory\":\"Owns billing.\",\"project_memories\":{\"p\":\"Builds a boat.\"}},{\"uuid\":\"p\",\"name\":\"Boat\",\"description\":\"d\",\"prompt_template\":\"Be brief.\",\"created_at\":\"2025-01-02T03:04:05Z\",\"docs\":[{\"uuid\":\"d\",\"filename\":\"hull.md\",\"content\":\"# Hull\",\"created_at\":\"2025-02-03T00:00:00Z\"}]}]",
];

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn import(from: From, bytes: &[u8]) -> Batch {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("pgrecall-import-{}-{number}", std::process::id()));
    fs::write(&path, bytes).unwrap();
    let importer = Scope { tenant: "t".into(), owner: "ana".into(), persona: None };
    let origin = Origin::named(path.clone(), bytes.len() as u64);
    let batch = gather(|out| super::read(from, &origin, &importer, false, out));
    fs::remove_file(path).unwrap();
    batch
}

/// The program of each of [`FILES`].
const ALL: [From; 6] =
    [From::Pgrecall, From::ServerMemory, From::BasicMemory, From::Chatgpt, From::Claude, From::Claude];

/// Makes JSON with the names of the formats, in places where they may mean something else.
fn any_json() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 16] = [
        "mapping",
        "current_node",
        "message",
        "parent",
        "author",
        "role",
        "content",
        "parts",
        "chat_messages",
        "sender",
        "text",
        "type",
        "name",
        "observations",
        "create_time",
        "id",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop_oneof![Just("user"), Just("entity"), Just("relation"), Just("human"), Just("\u{0}é😀")]
            .prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((0..NAMES.len(), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (NAMES[name], value)).collect()),
        ]
    })
}

/// Makes a conversation of nodes whose parents are any nodes, including the node itself.
fn any_tree() -> impl Strategy<Value = Value> {
    vec((0..12_usize, prop_oneof![Just("user"), Just("assistant"), Just("tool")]), 1..12).prop_map(|nodes| {
        let mapping: serde_json::Map<String, Value> = nodes
            .iter()
            .enumerate()
            .map(|(at, (parent, role))| {
                let message =
                    json!({"author": {"role": role}, "create_time": at, "content": {"parts": [format!("turn {at}")]}});
                (at.to_string(), json!({"parent": parent.to_string(), "message": message}))
            })
            .collect();
        json!({"title": "t", "id": "c", "current_node": (nodes.len() - 1).to_string(), "mapping": mapping})
    })
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_bytes_are_read_to_their_end(bytes in vec(any::<u8>(), 0..400)) {
        for from in ALL {
            import(from, &bytes);
        }
    }

    #[test]
    fn any_json_is_read_to_its_end_and_what_comes_of_it_can_be_checked(values in vec(any_json(), 0..6)) {
        let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
        for from in ALL {
            let list = matches!(from, From::Chatgpt | From::Claude);
            let text = if list { Value::from(values.clone()).to_string() } else { lines.clone() };
            for (_, record) in import(from, text.as_bytes()).records {
                let _ = record.check();
            }
        }
    }

    #[test]
    fn any_file_that_is_nearly_right_is_records_or_sentences(file in mutated(&FILES)) {
        for from in ALL {
            let batch = import(from, &file);
            prop_assert!(bytes_of(&batch) <= 100 * file.len() + 10_000);
            for (_, problem) in &batch.problems {
                if let Problem::Useless(said) | Problem::Broken(said) | Problem::Noted(said) = problem {
                    assert_sentence(said);
                }
            }
        }
    }

    #[test]
    fn a_tree_in_which_anything_is_anythings_parent_ends(trees in vec(any_tree(), 1..4)) {
        let batch = import(From::Chatgpt, Value::from(trees.clone()).to_string().as_bytes());
        prop_assert!(batch.problems.is_empty());
        prop_assert!(batch.records.len() <= trees.iter().map(|tree| tree["mapping"].as_object().unwrap().len()).sum());
    }

    #[test]
    fn a_file_that_is_cut_keeps_what_was_whole(count in 1..6_usize, cut in 0.0..1.0_f64) {
        let messages = |n: usize| json!({"uuid": n.to_string(), "chat_messages": [{"uuid": format!("m{n}"), "sender": "human", "text": "é]},{\"x"}]});
        let whole = Value::from((0..count).map(messages).collect::<Vec<_>>()).to_string();
        let at = (whole.len() as f64 * cut) as usize;
        let ends: Vec<usize> = (1..=count).map(|n| Value::from((0..n).map(messages).collect::<Vec<_>>()).to_string().len() - 1).collect();
        let batch = import(From::Claude, &whole.as_bytes()[..at]);
        // An element that ends at the very end of the file is complete too, but no reader can know
        // that.
        prop_assert_eq!(batch.records.len(), ends.iter().filter(|end| **end < at).count());
        prop_assert_eq!(batch.problems.len(), 1);
        let lines: String = (0..count).map(|n| format!("{}\n", json!({"type": "entity", "name": n.to_string(), "observations": ["seen"]}))).collect();
        let at = (lines.len() as f64 * cut) as usize;
        let batch = import(From::ServerMemory, &lines.as_bytes()[..at]);
        prop_assert!(batch.records.len() >= lines[..at].matches('\n').count() && batch.problems.len() <= 1);
    }
}

#[test]
fn a_file_is_the_same_in_every_encoding_with_a_mark() {
    for (from, file) in ALL.into_iter().zip(FILES) {
        let records = |bytes: &[u8]| import(from, bytes).records.into_iter().map(|(_, record)| record.body);
        let expected: Vec<_> = records(file.as_bytes()).collect();
        assert!(!expected.is_empty(), "{from:?}");
        for bytes in encodings(file) {
            assert!(records(&bytes).eq(expected.iter().cloned()), "{from:?}");
        }
    }
}

#[test]
fn what_is_nested_too_deep_costs_nothing_else() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let good = |id: &str| json!({"uuid": id, "chat_messages": [{"uuid": id, "sender": "human", "text": "hello"}]});
    let text = format!("[{},{{\"chat_messages\":{deep}}},{}]", good("a"), good("b"));
    let batch = import(From::Claude, text.as_bytes());
    assert_eq!(batch.records.len(), 2);
    assert!(batch.problems[0].0.to_string().ends_with("conversation 2"), "{:?}", batch.problems[0]);
    let batch = import(From::ServerMemory, format!("{deep}\n{{\"type\":\"entity\",\"name\":\"a\"}}\n").as_bytes());
    assert_eq!((batch.records.len(), batch.problems.len()), (1, 1));
}

/// Returns the bytes of all records and problems of a batch.
fn bytes_of(batch: &Batch) -> usize {
    let of = |record: &Record| serde_json::to_string(record).unwrap().len();
    batch.records.iter().map(|(_, record)| of(record)).sum::<usize>()
        + batch.problems.iter().map(|(place, problem)| format!("{place}{problem:?}").len()).sum::<usize>()
}

// A text that a file has once for a conversation, an entity or a note is in each of its records.
// With a long name and many records, the output grew with the square of the file.
#[test]
fn what_stands_in_each_record_is_short_however_long_it_is_in_the_file() {
    let (long, many) = ("x".repeat(100_000), 400);
    let node = |n: usize| {
        (
            format!("{n}"),
            json!({"parent": (n + 1).to_string(), "message": {"author": {"role": "user"}, "content": {"parts": ["a"]}}}),
        )
    };
    let broken = |n: usize| (format!("{n}"), json!({"parent": (n + 1).to_string(), "message": 5}));
    let tree = |nodes: Vec<(String, Value)>| {
        let mapping: serde_json::Map<String, Value> = nodes.into_iter().collect();
        json!([{"title": long, "id": long, "current_node": "0", "mapping": mapping}]).to_string()
    };
    let messages =
        |message: Value| json!([{"name": long, "uuid": long, "chat_messages": vec![message; many]}]).to_string();
    let observations = |name: &str, kind: &str| {
        json!({"type": "entity", "name": name, "entityType": kind, "observations": vec!["a"; many]}).to_string()
    };
    let note = |front: &str| format!("---\n{front}\n---\n{}", "- [a] b\n".repeat(many));
    let tags = format!("tags: [{}]", "t,".repeat(30_000));
    for (from, text) in [
        (From::Chatgpt, tree((0..many).map(node).collect())),
        (From::Chatgpt, tree((0..many).map(broken).collect())),
        (From::Claude, messages(json!({"sender": "human", "text": "a"}))),
        (From::Claude, messages(json!(5))),
        (From::ServerMemory, observations(&long, "t")),
        (From::ServerMemory, observations("n", &long)),
        (
            From::ServerMemory,
            json!({"type": "entity", "name": "n", "observations": vec![json!([long]); 20]}).to_string(),
        ),
        (From::BasicMemory, note(&format!("title: {long}"))),
        (From::BasicMemory, note(&format!("permalink: {}", &long[..60_000]))),
        (From::BasicMemory, note(&tags)),
        (From::BasicMemory, note(&format!("a: b\n{}", "  c\n".repeat(400_000)))),
    ] {
        let batch = import(from, text.as_bytes());
        assert!(!batch.records.is_empty() || !batch.problems.is_empty());
        let (read, made) = (text.len(), bytes_of(&batch));
        assert!(made < 4 * read + many * 6_000, "{from:?} made {made} bytes of {read}");
    }
}

#[test]
fn a_long_id_is_a_hash_so_that_no_two_become_one() {
    let long = "x".repeat(5_000);
    let message = |id: String| json!({"uuid": id, "sender": "human", "text": "a"});
    let file = json!([{"uuid": "c", "chat_messages": [message(format!("{long}1")), message(format!("{long}2"))]}]);
    let keys: Vec<_> = import(From::Claude, file.to_string().as_bytes())
        .records
        .into_iter()
        .map(|(_, record)| record.fields.key.unwrap())
        .collect();
    assert!(keys.len() == 2 && keys[0] != keys[1] && keys[0].len() < 100, "{keys:?}");
}

#[test]
fn a_character_that_was_cut_in_two_and_a_number_out_of_range_cost_no_conversation() {
    let chatgpt = r#"[{"title":"T","id":"c","current_node":"b","mapping":{
        "a":{"parent":null,"message":{"id":"m1","author":{"role":"user"},"create_time":1e400,"content":{"parts":["cut \ud83d"]}}},
        "b":{"parent":"a","message":{"id":"m2","author":{"role":"assistant"},"create_time":1,"content":{"parts":["fine \ud83d\ude00"]}}}}},
        {"title":"\ude00","id":"d","mapping":{"a":{"message":{"id":"m3","author":{"role":"user"},"create_time":NaN,"content":{"parts":["hi"]}}}}}]"#;
    let claude = r#"[{"uuid":"q","chat_messages":[{"uuid":"1","sender":"human","text":"cut \ud83d"}]}]"#;
    let graph = "{\"type\":\"entity\",\"name\":\"Ana\",\"observations\":[\"cut \\ud83d\",\"rows\"],\"weight\":1e999}\nnonsense \\ud83d NaN\n";
    let export = "{\"id\":\"0190a1b2-0000-7000-8000-000000000001\",\"kind\":\"memory\",\"text\":\"\\udc00\",\"visibility\":\"private\"}\n";
    for (from, text, bodies, notes) in [
        (
            From::Chatgpt,
            chatgpt,
            &["cut \u{fffd}", "fine 😀", "hi"][..],
            &["conversation 1 (T)", "conversation 2 (\u{fffd})"][..],
        ),
        (From::Claude, claude, &["cut \u{fffd}"], &["conversation 1 ()"]),
        (From::ServerMemory, graph, &["Ana: cut \u{fffd}", "Ana: rows"], &[":1", ""]),
        (From::Pgrecall, export, &["\u{fffd}"], &[""]),
    ] {
        let batch = import(from, text.as_bytes());
        let found: Vec<_> = batch.records.iter().map(|(_, record)| record.body.as_str()).collect();
        assert_eq!(found, bodies, "{:?}", batch.problems);
        let noted = batch.problems.iter().filter(|(_, problem)| matches!(problem, Problem::Noted(_)));
        let places: Vec<_> = noted.map(|(place, _)| place.to_string()).collect();
        assert_eq!(places.len(), notes.len(), "{:?}", batch.problems);
        assert!(places.iter().zip(notes).all(|(place, end)| place.ends_with(end)), "{places:?}");
        let broken = batch.problems.iter().filter(|(_, problem)| matches!(problem, Problem::Broken(_))).count();
        assert_eq!(broken, usize::from(from == From::ServerMemory));
    }
    let said = format!("{:?}", import(From::Chatgpt, chatgpt.as_bytes()).problems);
    assert!(said.contains("`mapping.a.message.create_time` is 1e400"), "{said}");
}

#[test]
fn more_values_than_memory_should_hold_are_refused_before_they_are_made() {
    let values = format!("[{}0]", "0,".repeat(json::MAX_VALUES));
    for (from, text) in [
        (From::Claude, format!("[{{\"chat_messages\":{values}}}]")),
        (From::Chatgpt, format!("[{{\"mapping\":{values}}}]")),
        (From::ServerMemory, format!("{{\"type\":\"entity\",\"name\":\"a\",\"observations\":{values}}}")),
        (From::Pgrecall, format!("{{\"id\":{values}}}")),
    ] {
        let batch = import(from, text.as_bytes());
        assert!(format!("{:?}", batch.problems).contains("more than 2500000 values"), "{from:?}");
    }
}
