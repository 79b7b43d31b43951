//! The MCP SDKs, from which most hosts are made: a whole session of each with the server, over each
//! transport. `tests/clients` has the sessions.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use pgrecall_harness::home::Home;
use pgrecall_harness::http::Served;
use pgrecall_harness::{node, python};

/// Holds a session of each client over stdio, with a server that the client starts, and over HTTP.
fn assert_sessions(script: impl Fn(&Path) -> Command, name: &str, clients: [&str; 2]) {
    let home = Home::new();
    let served = Served::ready(&home);
    let server = home.command("mcp-server", &[]);
    let url = format!("http://{}/mcp", served.address);
    let script = || script(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients").join(name));
    for client in clients {
        for server_or_url in [server.get_program(), OsStr::new(&url)] {
            let mut command = script();
            command.arg(client).arg(server_or_url).env("HOME", home.folder());
            for (name, value) in server.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            let said = home.start_other(&command).finish();
            // The last step; after one that fails, the script prints no other.
            let passed = said.code == 0 && said.stdout.ends_with("close\n");
            assert!(passed, "{client} with {server_or_url:?}: {}{}", said.stdout, said.stderr);
        }
    }
}

#[test]
fn the_python_sdk_holds_a_session_over_each_transport_in_either_era_of_the_protocol() {
    assert_sessions(python::script, "session.py", ["mcp", "mcp-legacy"]);
}

#[test]
fn the_typescript_sdks_hold_a_session_over_each_transport() {
    assert_sessions(node::script, "session.cjs", ["@modelcontextprotocol/sdk", "@modelcontextprotocol/client"]);
}
