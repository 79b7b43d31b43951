//! Sets up the logs and traces of a program. Our own crates' spans go to a collector by OTLP over
//! HTTP.
//!
//! A call continues the trace of its caller, and its jobs carry the trace, so that the worker's
//! part of the work, minutes later and in another process, has the same trace id. Sending never
//! delays an answer: if the collector is unavailable, only the spans are lost.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::{Level, Metadata, Span, Subscriber, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::{
    Layer,
    filter::FilterFn,
    layer::SubscriberExt,
    registry::LookupSpan,
    util::{SubscriberInitExt, TryInitError},
};

use pgrecall_process::tasks;
use pgrecall_process::telemetry::{
    adopt, logs,
    settings::{Log, Traces},
};

/// The timeout of one delivery to the collector.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout for the last spans, when the program ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// The most bytes that are read of a collector's answer.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024;
/// The crates whose spans are traced, besides those whose names begin with `pgrecall_`.
const PROGRAMS: [&str; 3] = ["mcp_server", "embed_worker", "shared"];

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Logs were set up before.
    #[error("logs are set up twice in one process; set them up once, at its start")]
    Twice(#[from] TryInitError),
}

/// The trace exporter, which must be finished before the program ends.
#[derive(Debug, Default)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sends the remaining spans, within two seconds.
    pub fn finish(self) {
        // The client has already reported a failed delivery.
        self.provider.iter().for_each(|provider| drop(provider.shutdown_with_timeout(FLUSH_TIMEOUT)));
    }
}

/// Sets up logs and traces for the process, and logs panics. `program` is the name in the traces.
pub fn init(log: &Log, traces: Option<&Traces>, program: &'static str) -> Result<Telemetry, TelemetryError> {
    let (lines, refused) = logs::layer(log);
    let (traced, provider, untraced) = match traces.map(|traces| layer(traces, program)) {
        Some(Ok((layer, ours, provider))) => (Some(layer.with_filter(ours)), Some(provider), None),
        Some(Err(error)) => (None, None, Some(error)),
        None => (None, None, None),
    };
    tracing_subscriber::registry().with(traced).with(lines).try_init()?;
    if let Some(error) = refused {
        // A typo in a variable that other programs read as well must not prevent the start.
        tracing::warn!(filter = log.filter, %error, "the log filter cannot be read; logging `info`");
    }
    if let Some(error) = untraced {
        tracing::warn!(%error, "no traces are sent: check `traces.endpoint` and the variables that begin with OTEL_");
    }
    std::panic::set_hook(Box::new(logs::log_panic));
    Ok(Telemetry { provider })
}

/// Makes `span` continue the trace that a caller names in a W3C `traceparent`.
///
/// `span` must not have been entered yet. A `traceparent` that cannot be parsed is ignored.
pub fn continue_trace(traceparent: &str, tracestate: Option<&str>, span: &Span) {
    let mut given = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    given.extend(tracestate.map(|state| ("tracestate".to_owned(), state.to_owned())));
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &given);
    if context.span().span_context().is_valid() {
        adopt(span, context);
    }
}

/// Makes the layer that turns spans into traces, and its filter. `program` is the service name,
/// unless `OTEL_SERVICE_NAME` is set.
fn layer<S>(
    traces: &Traces,
    program: &'static str,
) -> Result<(OpenTelemetryLayer<S, SdkTracer>, FilterFn, SdkTracerProvider), ExporterBuildError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new())
        .with_endpoint(format!("{}/v1/traces", traces.endpoint))
        .with_headers(traces.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect())
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let service = traces.service.clone().unwrap_or_else(|| program.to_owned());
    let version = KeyValue::new("service.version", crate::VERSION);
    let resource = Resource::builder().with_service_name(service).with_attribute(version).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("pgrecall"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    Ok((layer, FilterFn::new(is_traced as fn(&Metadata<'_>) -> bool).with_max_level_hint(LevelFilter::DEBUG), provider))
}

/// Whether a span is traced: ours, except those of tasks, which last as long as the program. Work
/// in a task begins its own trace.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    let is_ours = krate.starts_with("pgrecall_") || PROGRAMS.contains(&krate);
    *metadata.level() <= Level::DEBUG && is_ours && metadata.name() != tasks::SPAN
}

/// The HTTP client of the exporter: ureq, on the exporter's own thread, which may block.
#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
    /// Whether the last delivery failed. Only changes are logged.
    failing: AtomicBool,
}

impl Client {
    fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(EXPORT_TIMEOUT))
            .user_agent(concat!("pgrecall/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().new_agent(), failing: AtomicBool::new(false) }
    }

    fn report(&self, failure: Option<String>) {
        let failed = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(why) if !failed => {
                tracing::warn!(
                    why,
                    "traces do not reach their collector, and are lost until they do: check `traces.endpoint`"
                );
            }
            None if failed => tracing::info!("traces reach their collector again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let delivered = self.agent.run(Request::from_parts(parts, body.to_vec()));
        self.report(match &delivered {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answered {}", response.status())),
            Err(error) => Some(error.to_string()),
        });
        let (parts, mut body) = delivered?.into_parts();
        let answer = body.with_config().limit(MAX_RESPONSE_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, answer.into()))
    }
}
