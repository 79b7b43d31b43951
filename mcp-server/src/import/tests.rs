//! Whatever stands in a file, import ends, panics at nothing, and loses nothing that was whole.

use std::{fs, path::PathBuf, sync::atomic::AtomicU32, sync::atomic::Ordering};

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use shared::db::Scope;

use super::{From, Out, files::File};
use crate::ingest::{Batch, gather, root::Location};

static NUMBER: AtomicU32 = AtomicU32::new(0);

fn import(from: From, bytes: &[u8]) -> Batch {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("pgrecall-import-{}-{number}", std::process::id()));
    fs::write(&path, bytes).unwrap();
    let importer = Scope { tenant: "t".into(), owner: "ana".into(), persona: None };
    let location = Location::Named(path.clone());
    let file = File { path: path.clone(), location, bytes: bytes.len() as u64, from, root: PathBuf::from("/") };
    let batch = gather(|batcher| super::read(&file, &importer, false, &mut Out::new(batcher, None)));
    fs::remove_file(path).unwrap();
    batch
}

const ALL: [From; 5] = [From::Pgrecall, From::ServerMemory, From::BasicMemory, From::Chatgpt, From::Claude];

/// JSON that uses the names that the formats do, in places where they may mean something else.
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

/// A conversation of nodes whose parents are any nodes, themselves included.
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
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

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
        // The one that ends where the file does is whole as well, but nobody can know.
        prop_assert_eq!(batch.records.len(), ends.iter().filter(|end| **end < at).count());
        prop_assert_eq!(batch.problems.len(), 1);
        let lines: String = (0..count).map(|n| format!("{}\n", json!({"type": "entity", "name": n.to_string(), "observations": ["seen"]}))).collect();
        let at = (lines.len() as f64 * cut) as usize;
        let batch = import(From::ServerMemory, &lines.as_bytes()[..at]);
        prop_assert!(batch.records.len() >= lines[..at].matches('\n').count() && batch.problems.len() <= 1);
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
