//! The records that the tests store, and checks that all of them are stored and embedded.

use std::collections::BTreeMap;
use std::ops::Range;

use pgrecall_harness::home::Home;
use serde_json::{Value, json};

const SUBJECTS: [&str; 8] = ["checkout", "billing", "search", "catalogue", "shipping", "returns", "fraud", "payroll"];
const VERBS: [&str; 7] = ["owns", "rebuilt", "retired", "measures", "doubts", "documents", "migrated"];
const OBJECTS: [&str; 9] = [
    "the ledger",
    "the nightly export",
    "the refund table",
    "the queue",
    "the warehouse",
    "the index",
    "the forecast",
    "the audit",
    "the cache",
];

/// Returns the key of a record.
pub(crate) fn key(number: usize) -> String {
    format!("record-{number}")
}

/// Returns `count` short records, one per line, all different.
pub(crate) fn lines(count: usize) -> String {
    lines_of(0..count)
}

/// Returns the records with these numbers.
pub(crate) fn lines_of(numbers: Range<usize>) -> String {
    let line = |number: usize| {
        let (subject, verb, object) = (SUBJECTS[number % 8], VERBS[number / 3 % 7], OBJECTS[number / 5 % 9]);
        let text = format!("The {subject} team {verb} {object}; note {number} of the year.");
        json!({"_id": key(number), "text": text}).to_string() + "\n"
    };
    numbers.map(line).collect()
}

/// Returns the first line of a statement as it is sent, by which the fault proxy and
/// `pg_stat_activity` identify it.
pub(crate) fn statement(name: &str) -> String {
    let path = format!("{}/../sql/queries/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().next().expect("a statement begins with what it does").to_owned()
}

/// Returns how often each key is exported.
pub(crate) fn exported(home: &Home) -> BTreeMap<String, usize> {
    let said = home.run(&["export"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let mut keys = BTreeMap::new();
    for line in said.stdout.lines() {
        let line: Value = serde_json::from_str(line).expect("export writes JSON lines");
        *keys.entry(line["key"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    keys
}

/// Asserts that each of these records exists once and is completely embedded, and that no job is
/// left.
pub(crate) fn assert_whole(home: &Home, count: usize) {
    let keys = exported(home);
    assert!(keys.values().all(|times| *times == 1), "a record is there twice");
    let missing: Vec<String> = (0..count).map(key).filter(|key| !keys.contains_key(key)).collect();
    assert!(missing.is_empty() && keys.len() == count, "{} of {count}; missing {missing:?}", keys.len());
    let status = home.json(&["status", "--json"]);
    for (field, value) in [("pending", json!(0)), ("running", json!(0)), ("failed", json!(0)), ("coverage", json!(1.0))]
    {
        assert_eq!(status[field], value, "{field}: {status}");
    }
    assert_eq!(status["succeeded"], count, "{status}");
}
