//! The transports of MCP. Each passes whole, validated messages to rmcp, and no malformed ones.

mod frame;
pub mod http;
mod lines;
pub mod stdio;

use rmcp::ServerHandler;

pub(crate) use self::frame::{INVALID_BYTES, SURROGATES};
use pgrecall_callers::caller::Caller;

/// A server that the transports can carry.
pub trait Handler: ServerHandler + Clone {
    /// Returns this server for one caller, for the whole session.
    fn of(&self, caller: Caller) -> Self;
}
