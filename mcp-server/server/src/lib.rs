//! The MCP server: what a host sees.
//!
//! [`transport`] carries the messages, `server` answers them, and `tools`, `prompts` and `resources` are what it offers. The transports
//! are open to other servers as well, so that a suite that needs tools of its own can test them.

#[cfg(test)]
mod between_callers;
pub mod calls;
mod completions;
pub mod probes;
mod prompts;
mod resources;
pub mod server;
pub mod tools;
pub mod transport;
