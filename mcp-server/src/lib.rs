//! `mcp-server`: MCP for hosts, and a command line for people, over one database.
//!
//! [`run`] is the whole program. The transports are open to other servers as well, so that a suite that needs tools of its own can test
//! them. [`cli`](self) reads the command line, `server` and `tools` are what an MCP host sees, `transport`
//! carries the messages, `database` opens the engine while the host already talks, `ingest` turns files into
//! records, `import` brings back what was kept elsewhere, and `eval` measures how good the answers are.

mod audit;
pub mod auth;
#[cfg(test)]
mod between_callers;
mod calls;
mod cli;
mod completions;
mod database;
mod eval;
mod fair;
mod import;
mod ingest;
mod probes;
mod prompts;
mod resources;
mod server;
mod tools;
pub mod transport;

pub use cli::{Cli, run};
