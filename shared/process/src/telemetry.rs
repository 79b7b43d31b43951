//! Logs, and the trace in which a piece of work belongs. `shared::telemetry` sends them to a collector.

pub mod logs;
pub mod settings;
mod trace;

pub use self::trace::{Trace, adopt, link_to_current};
