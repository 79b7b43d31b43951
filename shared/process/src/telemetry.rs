//! Logs, and the trace in which a piece of work belongs. The façade sends traces to a collector.

pub mod logs;
pub mod settings;
mod trace;

pub use self::trace::{Trace, adopt, link_to_current};
