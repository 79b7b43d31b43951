//! Settings of logs and traces.

use strum::{EnumString, IntoStaticStr};

use pgrecall_record::secret::Headers;

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A `tracing` filter such as `info,pgrecall=debug,shared=debug`: `PGRECALL_LOG`, else `RUST_LOG`, else `info`.
    pub filter: String,
    /// The form of a line: `PGRECALL_LOG_FORMAT`.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines, one object a line.
    Json,
}

impl LogFormat {
    /// The value of `PGRECALL_LOG_FORMAT`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A collector of traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Its address, without a slash at the end; `/v1/traces` is added.
    pub endpoint: String,
    /// Sent with each delivery.
    pub headers: Headers,
    /// What traces call the program, if not by its name: `OTEL_SERVICE_NAME`.
    pub service: Option<String>,
}
