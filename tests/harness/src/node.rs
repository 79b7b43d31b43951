//! Third-party programs that run on Node.js: MCP clients, and the conformance suite.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;

/// Returns a command that runs a program as scripts/test-parts installed it.
pub fn command(program: &str) -> Command {
    let programs = modules().join(".bin");
    let mut command = Command::new(programs.join("node"));
    command.arg(programs.join(program));
    command
}

/// Returns a command that runs a script, which can load all packages.
pub fn script(path: &Path) -> Command {
    let mut command = Command::new(modules().join(".bin/node"));
    command.arg(path).env("NODE_PATH", modules());
    command
}

/// The folder of all packages.
pub fn modules() -> PathBuf {
    programs::cache().join("node/node_modules")
}
