//! Property tests: anything that a host sends is a message, an error to send back, or nothing.

use pgrecall_generators::mutate::{assert_sentence, cases, mutated};
use proptest::prelude::*;

use super::{Frame, validate_message};

const MESSAGES: [&str; 7] = [
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"memory_recall","arguments":{"query":"x","limit":5}}}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"no"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[{"uri":"file:///a"}]}}"#,
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"x","data":[{"a":1}]}}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"resources/read","params":{"uri":"pgrecall://a/b"}}"#,
];

fn answer(line: &[u8]) {
    for open in [false, true] {
        if let Frame::Refused(error) = validate_message(line, open) {
            assert_eq!(error["jsonrpc"], "2.0");
            assert!(error["error"]["code"].is_i64() && error.get("id").is_some(), "{error}");
            assert_sentence(error["error"]["message"].as_str().unwrap());
        }
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_message_is_taken_answered_or_ignored(line in mutated(&MESSAGES)) {
        answer(&line);
    }
}

#[test]
fn a_long_name_is_not_repeated_whole() {
    let long = "x".repeat(1_000_000);
    answer(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{long}"}}"#).as_bytes());
    answer(
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{{"{long}":1}}}}}}"#).as_bytes(),
    );
}
