//! The trace that a piece of work belongs to, as it is carried from a writer to a worker.

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// Where a trace stands: what a job carries from its writer to its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: Uuid,
    /// The span of it that goes on elsewhere.
    pub span: i64,
}

impl Trace {
    /// That of the span we are in, if it is traced and is going to be kept.
    pub fn current() -> Option<Self> {
        let context = Span::current().context();
        let span = context.span().span_context().clone();
        (span.is_valid() && span.is_sampled()).then(|| Self {
            id: Uuid::from_bytes(span.trace_id().to_bytes()),
            span: i64::from_be_bytes(span.span_id().to_bytes()),
        })
    }

    /// Makes `span`, which must not have been entered yet, the continuation of this one.
    pub fn go_on_in(self, span: &Span) {
        let (id, parent) = (TraceId::from_bytes(self.id.into_bytes()), SpanId::from_bytes(self.span.to_be_bytes()));
        let remote = SpanContext::new(id, parent, TraceFlags::SAMPLED, true, TraceState::default());
        adopt(span, Context::new().with_remote_span_context(remote));
    }
}

/// Says of a span that it belongs with the one we are in, which is of another trace.
pub fn link_to_current(span: &Span) {
    span.add_link(Span::current().context().span().span_context().clone());
}

/// Makes `parent` the parent of `span`, which must not have been entered yet.
pub fn adopt(span: &Span, parent: Context) {
    // It fails where nothing is traced, and then there is nothing to do.
    let _ = span.set_parent(parent);
}
