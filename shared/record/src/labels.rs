//! Labels: what a filter asks for, as plain text that equality can find.
//!
//! A record's tags, URNs, collection, dimension, category and every pair of its metadata become labels. Containment on metadata then is "holds
//! each of the filter's labels", which an index answers under row-level security; jsonb's `@>` cannot be an index condition there.

use serde_json::{Map, Value};

use crate::hash;

/// Longer labels are stored as their hash: a B-tree entry must fit a third of a page, and nobody filters by reading one.
const MAX_LABEL_BYTES: usize = 200;

/// The label of a tag.
pub fn tag(tag: &str) -> String {
    bounded(format!("tag={tag}"))
}

/// The label of an entity's URN.
pub fn urn(urn: &str) -> String {
    bounded(format!("urn={urn}"))
}

/// The label of a collection.
pub fn collection(name: &str) -> String {
    bounded(format!("collection={name}"))
}

/// The label of a memory's dimension.
pub fn dimension(name: &str) -> String {
    bounded(format!("dimension={name}"))
}

/// The label of a memory's category.
pub fn category(name: &str) -> String {
    bounded(format!("category={name}"))
}

/// The labels of a metadata object: one for each leaf and, so that a filter of `{"a": {}}` finds what jsonb's `@>` finds, one for
/// each object and array on the way. Sorted, each once.
pub fn metadata(object: &Map<String, Value>) -> Vec<String> {
    let mut labels = Vec::new();
    for (key, value) in object {
        flatten(&format!("metadata/{}", escape(key)), value, &mut labels);
    }
    labels.sort_unstable();
    labels.dedup();
    labels
}

fn flatten(path: &str, value: &Value, labels: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            labels.push(bounded(format!("{path}={{}}")));
            for (key, value) in object {
                flatten(&format!("{path}/{}", escape(key)), value, labels);
            }
        }
        Value::Array(items) => {
            labels.push(bounded(format!("{path}=[]")));
            // jsonb's containment ignores order and place, and so do these.
            for item in items {
                flatten(&format!("{path}[]"), item, labels);
            }
        }
        Value::Number(number) => labels.push(bounded(format!("{path}={}", canonical(number)))),
        leaf => labels.push(bounded(format!("{path}={leaf}"))),
    }
}

/// jsonb compares numbers by value: 1, 1.0 and 1e0 are one.
fn canonical(number: &serde_json::Number) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: beyond it a double skips integers
    match number.as_f64() {
        Some(value) if !number.is_i64() && !number.is_u64() && value.fract() == 0.0 && value.abs() < EXACT => {
            format!("{value:.0}")
        }
        _ => number.to_string(),
    }
}

/// As in JSON pointers, so that a key with a slash in it is not a path.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1").replace('[', "~2").replace('=', "~3")
}

fn bounded(label: String) -> String {
    if label.len() <= MAX_LABEL_BYTES {
        label
    } else {
        format!("sha256={}", hash::hex(&hash::of_parts(&[label.as_bytes()])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(value: Value) -> Vec<String> {
        metadata(value.as_object().expect("an object"))
    }

    /// Whether a filter's labels all stand among a record's, which is what the statements ask.
    fn contains(record: Value, filter: Value) -> bool {
        let held = labels(record);
        labels(filter).iter().all(|wanted| held.contains(wanted))
    }

    #[test]
    fn containment_is_what_jsonb_means_by_it() {
        assert!(contains(json!({"a": 1, "b": {"c": "x"}}), json!({"b": {"c": "x"}})));
        assert!(contains(json!({"a": [1, 2, {"b": 3}]}), json!({"a": [2]})));
        assert!(contains(json!({"a": {"b": 1}}), json!({"a": {}})));
        assert!(contains(json!({"a": 1.0}), json!({"a": 1})));
        assert!(!contains(json!({"a": "1"}), json!({"a": 1})));
        assert!(!contains(json!({"a": ["x"]}), json!({"a": "x"})));
        assert!(!contains(json!({"a": 1}), json!({"c": 1})));
    }

    #[test]
    fn a_key_with_a_slash_is_not_a_path() {
        assert!(!contains(json!({"a/b": 1}), json!({"a": {"b": 1}})));
        assert!(!contains(json!({"a[]": 1}), json!({"a": [1]})));
    }

    #[test]
    fn a_long_value_is_found_by_its_hash() {
        let long = "x".repeat(5_000);
        assert!(contains(json!({"a": long}), json!({"a": long})));
        assert!(labels(json!({"a": long})).iter().all(|label| label.len() <= MAX_LABEL_BYTES));
    }
}
