//! The MCP Inspector, a host that is not ours: what it sees of the server, and what it can do with it.

use serde_json::Value;
use system_tests::home::Home;
use system_tests::leash::Said;
use system_tests::node;

const TOOLS: [&str; 6] = ["memory_remember", "memory_recall", "memory_forget", "search", "fetch", "index_status"];

/// Runs the Inspector on the server of a home.
fn inspect(home: &Home, arguments: &[&str]) -> Said {
    let server = home.command("mcp-server", &[]);
    let mut command = node::command("mcp-inspector");
    command.args(["--cli", "--format", "json"]);
    // It hands its server only what it is told to, and it must not find a person's own settings.
    for (name, value) in server.get_envs() {
        if let Some(value) = value {
            command.arg("-e").arg(format!("{}={}", name.display(), value.display()));
        }
    }
    command.arg(server.get_program()).args(arguments).env("HOME", home.folder());
    home.start_other(&command).finish()
}

/// The structured content of a tool's answer.
fn called(home: &Home, tool: &str, argument: &str) -> Value {
    let said = inspect(home, &["--method", "tools/call", "--tool-name", tool, "--tool-arg", argument]);
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let answer: Value = serde_json::from_str(&said.stdout).expect("it prints JSON");
    answer["result"]["structuredContent"].clone()
}

#[test]
fn the_inspector_finds_nothing_wrong_with_the_tools_in_either_era_of_the_protocol() {
    let home = Home::new();
    for era in ["legacy", "modern"] {
        let said = inspect(&home, &["--method", "tools/list", "--strict", "--protocol-era", era]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        let findings: Vec<&str> = said.stderr.lines().filter(|line| !line.starts_with('{')).collect();
        assert!(findings.is_empty(), "{era}: {findings:#?}");
        let listed: Value = serde_json::from_str(&said.stdout).expect("it prints JSON");
        let tools = listed["result"]["tools"].as_array().expect("a list of tools");
        assert!(TOOLS.iter().all(|name| tools.iter().any(|tool| tool["name"] == *name)), "{listed}");
        assert!(listed["result"].to_string().len() < 12 * 1024, "hosts drop longer lists");
    }
}

#[test]
fn the_inspector_remembers_and_recalls() {
    let home = Home::new();
    let kept = called(&home, "memory_remember", "content=Ana owns the billing service.");
    assert_eq!(kept["stored"], "created", "{kept}");
    let found = called(&home, "memory_recall", "query=who owns billing?");
    assert_eq!((&found["memories"][0]["id"], found["count"].as_i64()), (&kept["id"], Some(1)), "{found}");
}
