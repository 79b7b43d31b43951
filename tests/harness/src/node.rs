//! Third-party programs that run on Node.js: another MCP host, and the conformance suite.

use std::path::PathBuf;
use std::process::Command;

/// Returns a command that runs a program as scripts/test-parts installed it.
pub fn command(program: &str) -> Command {
    let programs = modules().join(".bin");
    let mut command = Command::new(programs.join("node"));
    command.arg(programs.join(program));
    command
}

/// The folder of all packages.
#[expect(clippy::disallowed_methods, reason = "it is a setting of the tests and none of the programs")]
pub fn modules() -> PathBuf {
    let cache =
        std::env::var("PGRECALL_TEST_CACHE").expect("PGRECALL_TEST_CACHE is set: run the tests with scripts/test");
    PathBuf::from(cache).join("node/node_modules")
}
