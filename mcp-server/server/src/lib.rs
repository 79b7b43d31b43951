//! The MCP server that a host sees.
//!
//! [`transport`] carries the messages, `server` answers them, and `tools`, `prompts` and
//! `resources` are its offers. The transports can carry other servers too, so that a suite with
//! tools of its own can test them.

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
