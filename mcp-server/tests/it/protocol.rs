//! Tests of the protocol over stdio, with nothing set up.
//!
//! Requests that need no database must not wait for one.

use std::time::{Duration, Instant};

use pgrecall_server::tools::MAX_TOOLS_LIST_BYTES;
use serde_json::json;

use crate::home::Home;

#[test]
fn the_session_opens_at_once_and_the_list_of_tools_is_small() {
    let home = Home::bare();
    let begun = Instant::now();
    let mut host = home.start_host();
    let about = host.initialize();
    let listed = host.request("tools/list", json!({}));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(about["serverInfo"]["name"], "pgrecall");
    assert!(about["instructions"].as_str().unwrap().contains("memory_recall"));
    let bytes = listed["result"].to_string().len();
    assert!(bytes <= MAX_TOOLS_LIST_BYTES, "{bytes}");
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "memory_remember",
            "memory_recall",
            "memory_manage",
            "memory_forget",
            "search",
            "fetch",
            "save",
            "index_status"
        ]
    );
    for tool in tools {
        assert!(tool["annotations"]["openWorldHint"] == false && tool["outputSchema"]["type"] == "object", "{tool}");
    }
}

#[test]
fn malformed_messages_are_answered_and_the_server_goes_on() {
    let home = Home::bare();
    let mut host = home.host();
    let cases: [(&[u8], i64); 6] = [
        (b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\":", -32700),
        (b"hello", -32700),
        (b"\"\xff", -32700),
        (b"[1, 2]", -32600),
        (b"{\"id\": 5}", -32600),
        (&vec![b'x'; 17 * 1024 * 1024], -32600),
    ];
    for (line, code) in cases {
        host.send_raw(line);
        let answer = host.receive();
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|text| text.len() > 10), "{answer}");
    }
    let unknown = host.request("tools/burn", json!({}));
    assert_eq!(unknown["error"]["code"], -32601);
    let nameless = host.request("tools/call", json!({"name": 5}));
    assert_eq!(nameless["error"]["code"], -32602);
    let missing = host.request("tools/call", json!({"name": "memory_burn", "arguments": {}}));
    assert!(missing["error"]["message"].as_str().unwrap().contains("memory_recall"), "{missing}");
    assert!(host.request("tools/list", json!({}))["result"]["tools"].is_array());
}

#[test]
fn a_call_before_initialize_is_refused_and_the_session_can_still_open() {
    let home = Home::bare();
    let mut host = home.start_host();
    let early = host.request("tools/call", json!({"name": "index_status"}));
    assert!(early["error"]["message"].as_str().unwrap().contains("initialize"), "{early}");
    host.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    assert_eq!(host.request("ping", json!({}))["result"], json!({}));
    let broken = host.request("initialize", json!({"protocolVersion": 5}));
    assert_eq!(broken["error"]["code"], -32602);
    assert!(host.initialize()["capabilities"]["tools"].is_object());
}

#[test]
fn the_stateless_revision_needs_no_initialize() {
    let home = Home::bare();
    let mut host = home.start_host();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let about = host.request("server/discover", json!({"_meta": meta}));
    assert!(about["result"]["supportedVersions"].is_array(), "{about}");
    let listed = host.request("tools/list", json!({"_meta": meta}));
    assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(8), "{listed}");
}

#[test]
fn wrong_arguments_are_told_by_name_before_anything_else_happens() {
    let home = Home::bare();
    let mut host = home.host();
    let said = host.refused("memory_recall", json!({"q": "x", "limit": 10_000, "strategy": "psychic"}));
    for part in ["no argument `q`: use query", "between 1 and 100", "use one of auto, semantic"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(host.refused("search", json!({"query": "x", "limit": 0})).contains("`limit` is 0"));
    assert!(host.refused("memory_remember", json!({"content": ["x"]})).contains("must be a string"));
    assert!(host.refused("memory_remember", json!({})).contains("`content` is missing"));
    assert!(host.refused("fetch", json!({"id": 7})).contains("`id` must be a string"));
}

#[test]
fn a_database_that_cannot_open_is_an_answer_that_says_what_to_do() {
    let home = Home::bare();
    let mut host = home.host();
    for _ in 0..2 {
        assert!(host.refused("index_status", json!({})).contains("mcp-server setup"));
    }
}

#[test]
fn the_server_leaves_in_order_when_its_host_hangs_up_or_a_signal_comes() {
    let home = Home::bare();
    let mut host = home.host();
    // The request is unanswered when the input ends: a script that pipes its calls in must get its
    // answers.
    host.send(&json!({"jsonrpc": "2.0", "id": "last", "method": "tools/list"}));
    host.hang_up();
    let (rest, code) = host.finish();
    assert_eq!(code, 0);
    assert!(rest.iter().any(|message| message["id"] == "last" && message["result"].is_object()), "{rest:?}");
    for signal in ["TERM", "INT"] {
        let host = home.host();
        host.signal(signal);
        let begun = Instant::now();
        let (_, code) = host.finish();
        assert_eq!(code, 0, "{signal}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
