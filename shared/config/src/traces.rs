//! The section `traces`: where traces are sent.

use super::{
    Env, Headers, Traces,
    keys::{Key, Kind, key},
    read::Reader,
    value::{Setting, Shown},
};

section! {
    /// The trace collector, as the file configures it.
    pub(super) struct Collector {
        /// URL of an OpenTelemetry collector that accepts OTLP over HTTP, such as
        /// `http://collector:4318`; pgrecall appends `/v1/traces`. Unset:
        /// `OTEL_EXPORTER_OTLP_ENDPOINT`; if that is unset too, no traces are sent.
        endpoint: Option<String> = key("traces.endpoint", Kind::Url),
        /// HTTP headers of each export.
        headers: Headers = key("traces.headers", Kind::Headers),
    }
}

/// Reads the section, and the program's name in traces.
pub(super) fn read(reader: &mut Reader, env: Env<'_>) -> Option<Traces> {
    let Collector { endpoint, headers } = Setting::read(reader, &Collector::SECTION);
    let service = env("OTEL_SERVICE_NAME").filter(|name| !name.is_empty());
    endpoint.map(|endpoint| Traces { endpoint, headers, service })
}

/// Appends the section's keys with their values in effect to `shown`.
pub(super) fn show(traces: Option<&Traces>, shown: &mut Vec<Shown>) {
    let endpoint = traces.map(|traces| traces.endpoint.clone());
    let headers = traces.map(|traces| traces.headers.clone()).unwrap_or_default();
    Collector { endpoint, headers }.show(&Collector::SECTION, shown);
}
