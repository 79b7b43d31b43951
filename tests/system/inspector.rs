//! The MCP Inspector, a third-party host: which tools it sees, and whether it can call them, over
//! each transport.

use std::process::Command;

use pgrecall_harness::home::Home;
use pgrecall_harness::http::Served;
use pgrecall_harness::node;
use pgrecall_harness::programs::Said;
use serde_json::{Value, json};

const TOOLS: [&str; 8] =
    ["memory_remember", "memory_recall", "memory_manage", "memory_forget", "search", "fetch", "save", "index_status"];
const FACT: &str = "Dana is allergic to peanuts and shellfish.";
const OTHER: &str = "The orders_v2 table replaced orders in March; its owner is the checkout team.";
/// Has no word of the fact, so only the vectors find it.
const QUESTION: &str = "Which foods make a colleague sick?";
/// The Inspector's exit code for a tool that answers with an error.
const TOOL_FAILED: i32 = 5;

/// Returns the Inspector's command line, with a HOME of its own so that no personal settings apply.
fn inspector(home: &Home) -> Command {
    let mut command = node::command("mcp-inspector");
    command.args(["--cli", "--format", "json"]).env("HOME", home.folder());
    command
}

/// Runs the Inspector on a server that it starts.
fn inspect(home: &Home, arguments: &[&str]) -> Said {
    let server = home.command("mcp-server", &[]);
    let mut command = inspector(home);
    // The Inspector passes only these variables to the server.
    for (name, value) in server.get_envs() {
        if let Some(value) = value {
            command.arg("-e").arg(format!("{}={}", name.display(), value.display()));
        }
    }
    command.arg(server.get_program()).args(arguments);
    home.start_other(&command).finish()
}

/// Runs the Inspector on a running server.
fn inspect_at(home: &Home, served: &Served, path: &str, arguments: &[&str]) -> Said {
    let mut command = inspector(home);
    command.arg(format!("http://{}/{path}", served.address)).args(arguments);
    home.start_other(&command).finish()
}

/// Returns the result that the Inspector printed.
fn result(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let answer: Value = serde_json::from_str(&said.stdout).expect("it prints JSON");
    answer["result"].clone()
}

/// Remembers, recalls, searches and fetches, and sees an error. Each call is a session of its own.
fn uses_the_tools(home: &Home, inspect: impl Fn(&[&str]) -> Said) {
    // The Inspector passes this object on as it is; it converts the values of `--tool-arg`.
    let call = |tool: &str, arguments: Value| {
        inspect(&["--method", "tools/call", "--tool-name", tool, "--tool-args-json", &arguments.to_string()])
    };
    let called = |tool: &str, arguments: Value| result(&call(tool, arguments))["structuredContent"].clone();

    let kept = called("memory_remember", json!({"content": FACT}));
    assert!(["created", "unchanged"].iter().any(|stored| kept["stored"] == *stored), "{kept}");
    home.wait_embedded();
    let found = called("memory_recall", json!({"query": QUESTION, "limit": "1"}));
    assert_eq!((&found["memories"][0]["content"], &found["count"]), (&json!(FACT), &json!(1)), "{found}");
    let found = called("search", json!({"query": "noodles on Tuesday"}));
    assert_eq!(found["results"][0]["title"], "Lunch menu", "{found}");
    let whole = called("fetch", json!({"id": found["results"][0]["id"]}));
    assert_eq!(whole["text"], "Tuesday: noodles.", "{whole}");

    let refused = call("memory_recall", json!({"query": QUESTION, "limit": 1000}));
    assert_eq!(refused.code, TOOL_FAILED, "{}", refused.stderr);
    assert!(refused.stdout.contains("it must lie between 1 and 100"), "{}", refused.stdout);
}

#[test]
fn the_inspector_finds_nothing_wrong_with_the_tools_in_either_era_of_the_protocol() {
    let home = Home::new();
    let served = Served::ready(&home);
    for era in ["legacy", "modern"] {
        let asked = ["--method", "tools/list", "--strict", "--protocol-era", era];
        for said in [inspect(&home, &asked), inspect_at(&home, &served, "mcp", &asked)] {
            let listed = result(&said);
            let findings: Vec<&str> = said.stderr.lines().filter(|line| !line.starts_with('{')).collect();
            assert!(findings.is_empty(), "{era}: {findings:#?}");
            let tools = listed["tools"].as_array().expect("a list of tools");
            assert!(TOOLS.iter().all(|name| tools.iter().any(|tool| tool["name"] == *name)), "{listed}");
            assert!(listed.to_string().len() < 12 * 1024, "hosts drop longer lists");
        }
    }
}

#[test]
fn the_inspector_uses_the_tools_over_each_transport() {
    let home = Home::new();
    let served = Served::ready(&home);
    for arguments in [&["remember", OTHER][..], &["save", "Lunch menu", "Tuesday: noodles."]] {
        assert_eq!(home.run(arguments).code, 0);
    }
    uses_the_tools(&home, |arguments| inspect(&home, arguments));
    uses_the_tools(&home, |arguments| inspect_at(&home, &served, "mcp", arguments));
    uses_the_tools(&home, |arguments| inspect_at(&home, &served, "sse", arguments));
}
