//! Settings of logs and traces.

use strum::{EnumString, IntoStaticStr};

use pgrecall_record::secret::Headers;

/// The filter and the format of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A `tracing` filter such as `info,pgrecall=debug,shared=debug`: `PGRECALL_LOG`, else
    /// `RUST_LOG`, else `info`.
    pub filter: String,
    /// The format of a line: `PGRECALL_LOG_FORMAT`.
    pub format: LogFormat,
}

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum LogFormat {
    /// JSON from a server whose stderr is no terminal, else text.
    #[default]
    Auto,
    /// Text for people.
    Text,
    /// JSON for machines, one object per line.
    Json,
}

impl LogFormat {
    /// Returns the value of `PGRECALL_LOG_FORMAT`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The collector that traces are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// The collector's address without a trailing slash; `/v1/traces` is appended.
    pub endpoint: String,
    /// HTTP headers sent with each export.
    pub headers: Headers,
    /// The service name in traces, if it is not the program's name: `OTEL_SERVICE_NAME`.
    pub service: Option<String>,
}
