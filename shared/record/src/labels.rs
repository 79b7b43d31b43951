//! Labels: the values that filters match, as plain text that can be compared for equality.
//!
//! A record's tags, URNs, collection, dimension, category and every pair of its metadata become
//! labels. Containment in metadata then means "has each of the filter's labels", which an index can
//! answer under row-level security; jsonb's `@>` cannot be an index condition there (decision 4).

use serde_json::{Map, Value};

use crate::hash;

/// Maximum bytes of a label. A longer label is replaced by its hash, because a B-tree entry may
/// take at most a third of a page.
const MAX_LABEL_BYTES: usize = 200;

/// Returns the label of a tag.
pub fn tag(tag: &str) -> String {
    bounded(format!("tag={tag}"))
}

/// Returns the label of an entity's URN.
pub fn urn(urn: &str) -> String {
    bounded(format!("urn={urn}"))
}

/// Returns the label of a collection.
pub fn collection(name: &str) -> String {
    bounded(format!("collection={name}"))
}

/// Returns the label of a memory's dimension.
pub fn dimension(name: &str) -> String {
    bounded(format!("dimension={name}"))
}

/// Returns the label of a memory's category.
pub fn category(name: &str) -> String {
    bounded(format!("category={name}"))
}

/// Returns the labels of a metadata object, sorted and without duplicates. There is one for each
/// leaf, and one for each object and array on the way, so that the filter `{"a": {}}` matches as
/// with jsonb's `@>`.
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
            // As in jsonb's containment, the order and position of items do not matter.
            for item in items {
                flatten(&format!("{path}[]"), item, labels);
            }
        }
        Value::Number(number) => labels.push(bounded(format!("{path}={}", canonical(number)))),
        leaf => labels.push(bounded(format!("{path}={leaf}"))),
    }
}

/// Formats a number so that equal values have equal text: jsonb treats 1, 1.0 and 1e0 as equal.
fn canonical(number: &serde_json::Number) -> String {
    // Beyond 2^53 an `f64` cannot represent every integer.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(value) if !number.is_i64() && !number.is_u64() && value.fract() == 0.0 && value.abs() < EXACT => {
            format!("{value:.0}")
        }
        _ => number.to_string(),
    }
}

/// Escapes separators as JSON Pointer does, so that a key with a slash in it is not read as a path.
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

    /// Returns whether all labels of a filter are among a record's, as the statements check it.
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
