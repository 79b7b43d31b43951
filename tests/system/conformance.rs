//! The MCP conformance suite, run against everything between the socket and the server.
//!
//! The suite calls tools that pgrecall does not have; `mcp-server/server/examples/conformance`
//! serves them with the same HTTP code.

use std::collections::BTreeSet;
use std::path::Path;

use pgrecall_harness::home::Home;
use pgrecall_harness::http::Served;
use pgrecall_harness::node;
use serde_json::Value;

/// Scenarios that need a session: the server sends the client a request, and the answer, which is
/// another POST, must reach the call that waits for it. Since 2026-07-28 the server asks in its own
/// answer, and needs no session.
const NEED_A_SESSION: [&str; 6] = [
    "tools-call-sampling",
    "tools-call-elicitation",
    "elicitation-sep1034-defaults",
    "elicitation-sep1330-enums",
    // Without a session these two check nothing.
    "server-sse-multiple-streams",
    "server-session-lifecycle",
];

/// Scenarios that the suite runs but does not score, because they came too late for the revision or
/// because the suite's own server fails in them. Ours passes them.
const UNSCORED: [(&str, &[&str]); 2] = [
    ("2025-11-25", &["json-schema-2020-12", "server-session-lifecycle"]),
    ("2026-07-28", &["json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation"]),
];

/// Runs the scenarios that a revision requires of a server, and returns each with its failures, in
/// the suite's words.
fn judge(revision: &str, sessions: bool) -> Vec<(String, Vec<String>)> {
    let home = Home::new();
    let arguments = ["--address", "127.0.0.1:0", "--sessions"];
    let arguments = if sessions { &arguments[..] } else { &arguments[..2] };
    let served = Served::started(home.start_other(&home.command("examples/conformance", arguments)));
    let results = home.folder().join("results");
    let mut suite = node::command("conformance");
    suite.args(["server", "--requirements", revision, "--url", &format!("http://{}/mcp", served.address)]);
    suite.arg("--output-dir").arg(&results).env("HOME", home.folder());
    let said = home.start_other(&suite).finish();
    let judge = |scenario: String| {
        let wrong = complaints(&results, &scenario);
        (scenario, wrong)
    };
    let judged: Vec<_> = required(revision).into_iter().map(judge).collect();
    // If the suite failed, one of the scenarios read must contain the failure.
    let is_known = said.code == 0 || judged.iter().any(|(_, wrong)| !wrong.is_empty());
    assert!(is_known, "the suite ended with {}: {}{}", said.code, said.stdout, said.stderr);
    judged
}

/// Returns the scenarios that a revision requires of a server, and those of [`UNSCORED`].
fn required(revision: &str) -> Vec<String> {
    let file = node::modules().join(format!("@modelcontextprotocol/conformance/requirements/{revision}.yaml"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let scored = text.lines().skip_while(|line| *line != "server:").skip(1).map_while(|line| line.strip_prefix("  - "));
    let also = UNSCORED.iter().filter(|(of, _)| *of == revision).flat_map(|(_, names)| names.iter().copied());
    let all: Vec<_> = scored.chain(also).map(str::to_owned).collect();
    assert!(all.len() >= 30, "{} is read wrongly: {all:?}", file.display());
    all
}

/// Returns the failed checks of a scenario. A scenario in which no check passed counts as not run.
fn complaints(results: &Path, scenario: &str) -> Vec<String> {
    let folder = format!("server-{scenario}-");
    let found = std::fs::read_dir(results).into_iter().flatten().flatten().find(|entry| {
        // The scenario's name is followed by the time, and no longer name continues with a digit
        // here.
        let name = entry.file_name();
        name.to_str().and_then(|name| name.strip_prefix(&folder)).is_some_and(|time| time.starts_with("20"))
    });
    let checks = found.and_then(|folder| std::fs::read(folder.path().join("checks.json")).ok()).unwrap_or_default();
    let checks: Vec<Value> = serde_json::from_slice(&checks).unwrap_or_default();
    let is = |check: &Value, status: &str| check["status"] == status;
    let mut wrong: Vec<_> = checks
        .iter()
        .filter(|check| !is(check, "SUCCESS") && !is(check, "INFO"))
        .map(|check| format!("{}: {}", text(&check["status"]), explained(check)))
        .collect();
    if wrong.is_empty() && !checks.iter().any(|check| is(check, "SUCCESS")) {
        wrong.push("FAILURE: it was not run".to_owned());
    }
    wrong
}

fn explained(check: &Value) -> String {
    let why =
        if check["errorMessage"].is_string() { text(&check["errorMessage"]) } else { &check["details"].to_string() };
    format!("{}: {}: {why}", text(&check["id"]), text(&check["description"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Panics with all failures, if there are any.
fn assert_conforms<'a>(judged: impl IntoIterator<Item = &'a (String, Vec<String>)>) {
    let failed: Vec<_> = judged.into_iter().filter(|(_, wrong)| !wrong.is_empty()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn the_server_conforms_to_the_last_revision_with_sessions() {
    assert_conforms(&judge("2025-11-25", true));
    let judged = judge("2025-11-25", false);
    let needs_a_session = |scenario: &str| NEED_A_SESSION.contains(&scenario);
    assert_conforms(judged.iter().filter(|(scenario, _)| !needs_a_session(scenario)));
    let failed: BTreeSet<_> = judged.iter().filter(|(_, wrong)| !wrong.is_empty()).map(|(it, _)| it.as_str()).collect();
    assert_eq!(failed, BTreeSet::from(NEED_A_SESSION), "the rest passes: take it off the list");
}

#[test]
fn the_server_conforms_to_the_revision_without_sessions_whether_it_keeps_some_for_others_or_not() {
    for sessions in [false, true] {
        assert_conforms(&judge("2026-07-28", sessions));
    }
}
