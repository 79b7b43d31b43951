//! How MCP messages travel. Each transport hands whole, checked messages to rmcp and keeps what is malformed away from it.

mod frame;
mod lines;
pub(crate) mod stdio;
