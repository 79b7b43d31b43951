//! Validates one message, a line or a body, before rmcp sees it.
//!
//! rmcp silently drops a message that it cannot parse, and ends the session at a message that comes
//! too early. But a host that made a mistake needs an answer, and one bad message must not end the
//! server. So each message becomes one that rmcp accepts, a JSON-RPC error to send back, or
//! nothing.

mod bytes;
mod objects;

use pgrecall_record::lenient::{self, Repairs};
use rmcp::model::ClientJsonRpcMessage;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// Size limit, in bytes, of one message. It is rmcp's own limit, and far beyond the longest memory.
pub(super) const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of a method's name that an answer repeats.
const MAX_QUOTED: usize = 100;

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;

/// The `_meta` key in which a request of revision 2026-07-28 names its revision, since there is no
/// `initialize`.
const INLINE_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The `_meta` key under which a call of a tool carries the number of its lone surrogates that were
/// replaced, for the note of its answer.
pub(crate) const SURROGATES: &str = "pgrecall/surrogates";
/// The `_meta` key for bytes that were not UTF-8, in the same way.
pub(crate) const INVALID_BYTES: &str = "pgrecall/invalid_bytes";
/// The path to the arguments of a call, which an error leaves out.
const ARGUMENTS_PATH: &str = "params.arguments.";

/// The result of validating a message.
#[derive(Debug)]
pub(super) enum Frame {
    /// A message for rmcp.
    Message {
        /// The message itself.
        message: Box<ClientJsonRpcMessage>,
        /// Whether the message begins the session, so that other messages than `initialize` may
        /// follow.
        opens: bool,
    },
    /// A JSON-RPC error to send back.
    Refused(Value),
    /// A message that expects no answer.
    Ignored,
}

/// Validates a message. `open` says whether the session has begun.
pub(super) fn validate_message(line: &[u8], open: bool) -> Frame {
    let text = bytes::readable(line);
    if text.bytes.trim_ascii().is_empty() {
        return Frame::Ignored;
    }
    let Message { value, repairs, .. } = match read(&text) {
        Ok(read) => read,
        Err(error) => return unreadable(&text.bytes, &error),
    };
    let object = match &value {
        Value::Object(object) => object,
        Value::Array(_) => {
            return refused(Value::Null, INVALID_REQUEST, "batches are not supported: send one message at a time");
        }
        _ => return refused(Value::Null, INVALID_REQUEST, "a JSON-RPC message is an object"),
    };
    let id = match object.get("id") {
        None => None,
        Some(id @ (Value::String(_) | Value::Number(_))) if !id.is_f64() => Some(id.clone()),
        Some(_) if !object.contains_key("method") => return Frame::Ignored,
        Some(_) => return refused(Value::Null, INVALID_REQUEST, "`id` must be a string or an integer"),
    };
    let Some(method) = object.get("method") else {
        // This is a response. Its sender expects no answer, even if the response is broken.
        return match (object.contains_key("result") || object.contains_key("error"), id) {
            (true, _) if open => message(value, false).unwrap_or(Frame::Ignored),
            (true, _) => Frame::Ignored,
            (false, id) => refused(id.unwrap_or(Value::Null), INVALID_REQUEST, "the message has no `method`"),
        };
    };
    let Some(method) = method.as_str().map(str::to_owned) else {
        return refused(id.unwrap_or(Value::Null), INVALID_REQUEST, "`method` must be a string");
    };
    let Some(id) = id else {
        return if open { message(value, false).unwrap_or(Frame::Ignored) } else { Frame::Ignored };
    };
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return refused(id, INVALID_REQUEST, "`jsonrpc` must be \"2.0\"");
    }
    if object.get("params").is_some_and(|params| !params.is_object() && !params.is_null()) {
        return refused(id, INVALID_PARAMS, "`params` must be an object");
    }
    if let Some(problem) = repairs.numbers_problem() {
        // Null would mean that the argument was not given, or that it is to be removed.
        let problem = problem.replace(ARGUMENTS_PATH, "");
        return refused(id, INVALID_PARAMS, &format!("{problem}: write a number up to 1.8e308, or a string"));
    }
    // Errors repeat the name, so it is shortened.
    let method = method[..method.floor_char_boundary(MAX_QUOTED)].to_owned();
    let inline = object.get("params").and_then(|params| params.get("_meta")?.get(INLINE_VERSION)).is_some();
    let opens = method == "initialize" || (inline && method != "server/discover");
    if !(open || opens || method == "ping" || method == "server/discover") {
        let text = format!("`{method}` came before `initialize`: send `initialize` first, then call again");
        return refused(id, INVALID_REQUEST, &text);
    }
    match message(value, opens) {
        Ok(Frame::Message { message, .. }) if is_unknown(&message) => {
            // A request that names its revision has no `initialize`, whatever its parameters.
            let known = method == "tools/call" || (method == "initialize" && !inline);
            let (code, text) = match known {
                true => (INVALID_PARAMS, format!("the parameters of `{method}` do not match MCP's schema")),
                false => (METHOD_NOT_FOUND, format!("there is no method `{method}` here")),
            };
            refused(id, code, &text)
        }
        Ok(frame) => frame,
        Err(error) => refused(id, INVALID_PARAMS, &format!("`{method}` cannot be read: {error}")),
    }
}

/// Answers a message that serde_json refuses. Its id is known if only its depth is wrong, since
/// values that are not kept may be nested to any depth.
fn unreadable(text: &[u8], error: &serde_json::Error) -> Frame {
    #[derive(Deserialize)]
    struct Head {
        id: Value,
        #[serde(rename = "method")]
        _method: IgnoredAny,
    }
    match serde_json::from_slice(text) {
        Ok(Head { id: id @ (Value::String(_) | Value::Number(_)), .. }) => {
            refused(id, INVALID_PARAMS, "the message is nested deeper than 127 levels: send flatter arguments")
        }
        _ => refused(Value::Null, PARSE_ERROR, &format!("the message is not valid JSON: {error}")),
    }
}

/// Returns the text of a message after its repair; `None` if it needs none.
///
/// rmcp reads the body of a request again.
pub(super) fn repaired(line: &[u8]) -> Option<Vec<u8>> {
    let Message { value, is_changed, .. } = read(&bytes::readable(line)).ok()?;
    is_changed.then(|| serde_json::to_vec(&value).ok())?
}

/// A message as it was read.
struct Message {
    value: Value,
    repairs: Repairs,
    /// Whether it differs from the bytes that came.
    is_changed: bool,
}

/// Reads a message, and notes in a call of a tool how much of it was replaced.
fn read(text: &bytes::Readable) -> serde_json::Result<Message> {
    let (mut value, repairs): (Value, Repairs) = lenient::read(&text.bytes)?;
    let is_converted = objects::convert(&mut value);
    if value["method"] == "tools/call"
        && let Some(params) = value.get_mut("params").and_then(Value::as_object_mut)
    {
        for (key, count) in [(SURROGATES, repairs.surrogates), (INVALID_BYTES, text.invalid)] {
            if count > 0
                && let Some(meta) = params.entry("_meta").or_insert_with(|| json!({})).as_object_mut()
            {
                meta.insert(key.to_owned(), count.into());
            }
        }
    }
    let is_changed = text.is_changed() || is_converted || !repairs.is_empty();
    Ok(Message { value, repairs, is_changed })
}

/// Makes the error for a message that is longer than [`MAX_MESSAGE_BYTES`].
pub(super) fn too_long() -> Value {
    error(Value::Null, INVALID_REQUEST, &format!("the message is longer than {} MiB", MAX_MESSAGE_BYTES / 1024 / 1024))
}

/// Whether an error says that the method does not exist.
pub(super) fn is_unknown_method(error: &Value) -> bool {
    error["error"]["code"] == METHOD_NOT_FOUND
}

/// Whether an error is about a method's parameters.
pub(super) fn is_invalid_params(error: &Value) -> bool {
    error["error"]["code"] == INVALID_PARAMS
}

fn message(value: Value, opens: bool) -> Result<Frame, serde_json::Error> {
    serde_json::from_value(value).map(|message| Frame::Message { message: Box::new(message), opens })
}

/// Whether rmcp did not recognize a request. It also reads a known method with unreadable
/// parameters this way.
fn is_unknown(message: &ClientJsonRpcMessage) -> bool {
    matches!(message, ClientJsonRpcMessage::Request(request)
        if matches!(request.request, rmcp::model::ClientRequest::CustomRequest(_)))
}

fn refused(id: Value, code: i32, text: &str) -> Frame {
    Frame::Refused(error(id, code, text))
}

fn error(id: Value, code: i32, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})
}

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str, open: bool) -> i64 {
        match validate_message(line.as_bytes(), open) {
            Frame::Refused(error) => error["error"]["code"].as_i64().unwrap(),
            other => panic!("{line} was taken: {other:?}"),
        }
    }

    fn opens(line: &str, open: bool) -> bool {
        match validate_message(line.as_bytes(), open) {
            Frame::Message { opens, .. } => opens,
            other => panic!("{line} was not taken: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_json_is_a_parse_error() {
        assert_eq!(code("{\"jsonrpc\":", true), -32700);
        assert_eq!(code("hello", true), -32700);
        let Frame::Refused(error) = validate_message(b"{\"a\": \"\xff}", true) else { panic!("taken") };
        assert_eq!(error["error"]["code"], -32700);
        assert_eq!(code(&"[".repeat(100_000), true), -32700);
    }

    #[test]
    fn bytes_that_json_does_not_allow_cost_neither_the_message_nor_its_id() {
        let call = |content: &[u8]| {
            let head =
                br#"{"jsonrpc":"2.0","id":33,"method":"tools/call","params":{"name":"x","arguments":{"content":""#;
            [head, content, br#""}}}"#].concat()
        };
        for (content, expected, invalid) in [
            (&b"caf\xe9"[..], "caf\u{fffd}", 1),
            (b"cut \xed\xa0\xbd", "cut \u{fffd}\u{fffd}\u{fffd}", 3),
            (b"a\tb\x01", "a\tb\u{1}", 0),
            (b"a\nb", "a\nb", 0),
            (b"\\\"\t\xff\\ud83d", "\"\t\u{fffd}\u{fffd}", 1),
        ] {
            let line = call(content);
            assert!(matches!(validate_message(&line, true), Frame::Message { .. }), "{content:?}");
            let again: Value = serde_json::from_slice(&repaired(&line).unwrap()).unwrap();
            assert_eq!((&again["params"]["arguments"]["content"], &again["id"]), (&json!(expected), &json!(33)));
            let noted = again["params"]["_meta"].get(INVALID_BYTES).and_then(Value::as_u64).unwrap_or_default();
            assert_eq!(noted, invalid, "{content:?}");
        }
        let marked = [b"\xEF\xBB\xBF", call(b"a").as_slice()].concat();
        assert!(matches!(validate_message(&marked, true), Frame::Message { .. }));
        assert_eq!(repaired(&marked).as_deref().map(<[u8]>::first), Some(Some(&b'{')));
        assert_eq!(repaired(&call("a é 😀".as_bytes())), None);
    }

    #[test]
    fn a_host_that_sends_empty_arrays_for_objects_connects_and_calls() {
        for line in [
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":[],"clientInfo":{"name":"php","version":"1"}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[],"_meta":[]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":"{\"query\":\"a\"}"}}"#,
        ] {
            assert!(matches!(validate_message(line.as_bytes(), true), Frame::Message { .. }), "{line}");
            assert!(repaired(line.as_bytes()).is_some());
        }
    }

    #[test]
    fn a_message_that_is_nested_too_deep_is_answered_under_its_id() {
        for depth in [200, 100_000] {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            for line in [
                format!(
                    r#"{{"jsonrpc":"2.0","id":39,"method":"tools/call","params":{{"name":"x","arguments":{{"a":{open}{close}}}}}}}"#
                ),
                format!(r#"{{"params":{{"a":"\ud83d{open}","b":{open}{close}}},"method":"x","id":39}}"#),
            ] {
                let Frame::Refused(error) = validate_message(line.as_bytes(), true) else { panic!("taken: {depth}") };
                assert_eq!((&error["id"], &error["error"]["code"]), (&json!(39), &json!(-32602)), "{error}");
                assert!(error["error"]["message"].as_str().unwrap().contains("nested deeper"), "{error}");
            }
            let line = format!(r#"{{"jsonrpc":"2.0","id":{open}{close},"method":"ping"}}"#);
            assert_eq!(code(&line, true), -32700);
        }
    }

    #[test]
    fn a_lone_surrogate_costs_neither_the_message_nor_its_id() {
        let call = r#"{"jsonrpc":"2.0","id":903,"method":"tools/call","params":{"name":"memory_remember","arguments":{"content":"cut \ud83d"}}}"#;
        assert!(!opens(call, true));
        let again: Value = serde_json::from_slice(&repaired(call.as_bytes()).unwrap()).unwrap();
        assert_eq!(again["params"]["arguments"]["content"], "cut \u{fffd}");
        assert_eq!(again["params"]["_meta"], json!({SURROGATES: 1}));
        assert_eq!(again["id"], 903);
        let valid = call.replace("\\ud83d", "\\ud83d\\ude00");
        assert!(!opens(&valid, true) && repaired(valid.as_bytes()).is_none());
        for other in [
            r#"{"jsonrpc":"2.0","id":"\ude00","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"\ud83d"}}"#,
        ] {
            assert!(!opens(other, true));
        }
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"\ud83d"}"#, true), -32602);
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":"\ud83d"}}"#, true), -32602);
    }

    #[test]
    fn a_number_out_of_range_is_answered_under_the_id_by_the_name_of_the_argument() {
        for (number, method, named) in [
            ("1e400", "tools/call", "`metadata.sizes[1]` is 1e400,"),
            ("NaN", "tools/call", "`metadata.sizes[1]` is NaN,"),
            ("-1e999", "initialize", "`metadata.sizes[1]` is -1e999,"),
        ] {
            let line = format!(
                r#"{{"jsonrpc":"2.0","id":"n","method":"{method}","params":{{"name":"x","arguments":{{"metadata":{{"sizes":[1,{number}]}}}}}}}}"#
            );
            let Frame::Refused(error) = validate_message(line.as_bytes(), true) else { panic!("taken: {line}") };
            assert_eq!((&error["id"], &error["error"]["code"]), (&json!("n"), &json!(-32602)), "{error}");
            assert!(error["error"]["message"].as_str().unwrap().starts_with(named), "{error}");
        }
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1e400,"method":"ping"}"#, true), -32600);
        let notice = r#"{"jsonrpc":"2.0","method":"notifications/initialized","params":{"a":1e400}}"#;
        assert!(matches!(validate_message(notice.as_bytes(), true), Frame::Message { .. } | Frame::Ignored));
    }

    #[test]
    fn what_is_json_but_no_message_is_an_invalid_request() {
        for line in ["[]", "1", "null", "{}", "{\"id\":1}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}"] {
            assert_eq!(code(line, true), -32600, "{line}");
        }
        assert_eq!(code("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", true), -32600);
        assert_eq!(code("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", true), -32600);
    }

    #[test]
    fn an_error_names_the_request_where_it_can_be_read() {
        let Frame::Refused(error) =
            validate_message(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\"}", false)
        else {
            panic!("taken")
        };
        assert_eq!(error["id"], 7);
        assert!(error["error"]["message"].as_str().unwrap().contains("initialize"), "{error}");
    }

    #[test]
    fn a_call_before_initialize_is_refused_and_a_stateless_one_is_not() {
        assert_eq!(code("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}", false), -32600);
        assert!(!opens("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", false));
        assert!(opens(
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"_meta\":{\
             \"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}",
            false
        ));
        assert!(opens(
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\",\
             \"capabilities\":{},\"clientInfo\":{\"name\":\"t\",\"version\":\"1\"}}}",
            false
        ));
    }

    #[test]
    fn unreadable_parameters_and_unknown_methods_are_told_apart() {
        assert_eq!(code("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}", false), -32602);
        assert_eq!(
            code("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":5}}", true),
            -32602
        );
        assert_eq!(code("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":[]}", true), -32602);
        assert_eq!(code("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/burn\"}", true), -32601);
        assert_eq!(
            code(
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"_meta\":{\
                 \"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}}}",
                true
            ),
            -32601
        );
    }

    #[test]
    fn notifications_and_responses_are_never_answered() {
        for (line, open) in [
            ("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", false),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", false),
            ("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1,\"message\":\"x\"}}", true),
            ("   ", true),
        ] {
            assert!(matches!(validate_message(line.as_bytes(), open), Frame::Ignored), "{line}");
        }
        assert!(!opens("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}", true));
    }
}
