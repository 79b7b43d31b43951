//! Converts the members of a message that hosts send in another JSON type than MCP declares.
//!
//! PHP encodes an empty map as `[]`, and some hosts encode the arguments of a call twice. rmcp
//! refuses both, and a host that sends `"capabilities": []` could not even connect.

use pgrecall_record::lenient;
use serde_json::{Map, Value};

/// Converts what can only mean an object. Returns whether anything was converted.
pub(super) fn convert(message: &mut Value) -> bool {
    let Some(params) = message.get_mut("params") else { return false };
    let mut is_converted = empty(params);
    let Some(params) = params.as_object_mut() else { return is_converted };
    if let Some(meta) = params.get_mut("_meta") {
        is_converted |= empty(meta);
    }
    if let Some(arguments) = params.get_mut("arguments") {
        is_converted |= empty(arguments) || parse(arguments);
    }
    if let Some(capabilities) = params.get_mut("capabilities") {
        is_converted |= empty(capabilities);
        // Each capability is an object, too.
        for capability in capabilities.as_object_mut().into_iter().flat_map(Map::values_mut) {
            is_converted |= empty(capability);
        }
    }
    is_converted
}

/// Makes an object of an empty array.
fn empty(value: &mut Value) -> bool {
    let is_empty = value.as_array().is_some_and(Vec::is_empty);
    if is_empty {
        *value = Value::Object(Map::new());
    }
    is_empty
}

/// Makes an object of a text that is blank or the JSON of an object.
fn parse(value: &mut Value) -> bool {
    let Some(text) = value.as_str().map(str::trim) else { return false };
    let parsed = match text {
        "" => Some(Value::Object(Map::new())),
        text => lenient::read(text.as_bytes()).ok().filter(|(_, repairs)| repairs.numbers.is_empty()).map(|(v, _)| v),
    };
    let Some(mut object) = parsed else { return false };
    let is_object = empty(&mut object) || object.is_object();
    if is_object {
        *value = object;
    }
    is_object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_only_mean_an_object_is_one() {
        for (given, expected) in [
            (json!([]), Some(json!({}))),
            (json!({ "_meta": [], "name": "x" }), Some(json!({ "_meta": {}, "name": "x" }))),
            (json!({ "arguments": [] }), Some(json!({ "arguments": {} }))),
            (json!({ "arguments": " " }), Some(json!({ "arguments": {} }))),
            (json!({ "arguments": "[]" }), Some(json!({ "arguments": {} }))),
            (
                json!({ "arguments": r#"{"query": "lamp", "tags": []}"# }),
                Some(json!({ "arguments": { "query": "lamp", "tags": [] } })),
            ),
            (json!({ "capabilities": [] }), Some(json!({ "capabilities": {} }))),
            (
                json!({ "capabilities": { "roots": [], "sampling": [], "elicitation": { "form": {} } } }),
                Some(json!({ "capabilities": { "roots": {}, "sampling": {}, "elicitation": { "form": {} } } })),
            ),
            (json!({ "arguments": { "tags": [], "filter": [] } }), None),
            (json!([1]), None),
            (json!("{}"), None),
            (json!({ "arguments": [1] }), None),
            (json!({ "arguments": "5" }), None),
            (json!({ "arguments": "{\"a\": 1e400}" }), None),
            (json!({ "arguments": "{" }), None),
            (json!({ "_meta": "{}" }), None),
        ] {
            let mut message = json!({ "jsonrpc": "2.0", "id": 1, "method": "x", "params": given });
            assert_eq!(convert(&mut message), expected.is_some(), "{given}");
            assert_eq!(message["params"], expected.unwrap_or(given));
        }
        assert!(!convert(&mut json!({ "id": 1, "result": [] })) && !convert(&mut json!([])));
    }
}
