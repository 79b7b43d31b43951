//! Python packages that scripts/test-parts installed: the Python SDK of MCP.

use std::path::Path;
use std::process::Command;

use crate::programs;

/// Returns a command that runs a script, which can load all packages.
pub fn script(path: &Path) -> Command {
    let mut command = Command::new(programs::cache().join("python/bin/python"));
    command.arg(path).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
