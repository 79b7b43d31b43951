//! Logs, and the trace context that a job carries. `shared::telemetry` exports them to a collector.

pub mod logs;
pub mod settings;
mod trace;

pub use self::trace::{Trace, adopt, link_to_current};
