//! `mcp-server`: MCP for hosts, and a command line for people, over one database.
//!
//! [`run`] is the whole program. [`cli`](self) reads the command line, `server` and `tools` are what an MCP host sees, `transport`
//! carries the messages, `database` opens the engine while the host already talks, and `ingest` turns files into records.

mod cli;
mod database;
mod ingest;
mod server;
mod tools;
mod transport;

pub use cli::{Cli, run};
