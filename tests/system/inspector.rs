//! The MCP Inspector, a third-party host: which tools it sees, and whether it can call them, over
//! each transport.

use std::process::Command;

use pgrecall_harness::home::Home;
use pgrecall_harness::http::Served;
use pgrecall_harness::node;
use pgrecall_harness::programs::Said;
use serde_json::Value;

const TOOLS: [&str; 8] =
    ["memory_remember", "memory_recall", "memory_manage", "memory_forget", "search", "fetch", "save", "index_status"];

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

/// Stores a memory, and recalls it.
fn remembers_and_recalls(inspect: impl Fn(&[&str]) -> Said) {
    let called = |tool: &str, argument: &str| {
        let said = inspect(&["--method", "tools/call", "--tool-name", tool, "--tool-arg", argument]);
        result(&said)["structuredContent"].clone()
    };
    let kept = called("memory_remember", "content=Ana owns the billing service.");
    assert!(["created", "unchanged"].iter().any(|stored| kept["stored"] == *stored), "{kept}");
    let found = called("memory_recall", "query=who owns billing?");
    assert_eq!(found["memories"][0]["content"], "Ana owns the billing service.", "{found}");
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
fn the_inspector_remembers_and_recalls_over_each_transport() {
    let home = Home::new();
    remembers_and_recalls(|arguments| inspect(&home, arguments));
    let served = Served::ready(&home);
    remembers_and_recalls(|arguments| inspect_at(&home, &served, "mcp", arguments));
    remembers_and_recalls(|arguments| inspect_at(&home, &served, "sse", arguments));
}
