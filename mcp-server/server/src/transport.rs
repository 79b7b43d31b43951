//! How MCP messages travel. Each transport hands whole, checked messages to rmcp and keeps what is malformed away from it.

mod frame;
pub mod http;
mod lines;
pub mod stdio;

use rmcp::ServerHandler;

use pgrecall_callers::auth::Caller;

/// A server that the transports can carry.
pub trait Handler: ServerHandler + Clone {
    /// The same for one caller, for as long as a session lasts.
    fn of(&self, caller: Caller) -> Self;
}
