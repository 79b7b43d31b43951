//! Trace context that is carried from a writer to a worker (decision 18).

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// A position in a trace, which a job carries from its writer to its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace id.
    pub id: Uuid,
    /// The id of the span that continues elsewhere.
    pub span: i64,
}

impl Trace {
    /// Returns the position of the current span, if it is traced and sampled.
    pub fn current() -> Option<Self> {
        let context = Span::current().context();
        let span = context.span().span_context().clone();
        (span.is_valid() && span.is_sampled()).then(|| Self {
            id: Uuid::from_bytes(span.trace_id().to_bytes()),
            span: i64::from_be_bytes(span.span_id().to_bytes()),
        })
    }

    /// Makes `span` a child of this position. The span must not have been entered yet.
    pub fn continue_in(self, span: &Span) {
        let (id, parent) = (TraceId::from_bytes(self.id.into_bytes()), SpanId::from_bytes(self.span.to_be_bytes()));
        let remote = SpanContext::new(id, parent, TraceFlags::SAMPLED, true, TraceState::default());
        adopt(span, Context::new().with_remote_span_context(remote));
    }
}

/// Links `span` to the current span, which belongs to another trace.
pub fn link_to_current(span: &Span) {
    span.add_link(Span::current().context().span().span_context().clone());
}

/// Makes `parent` the parent of `span`, which must not have been entered yet.
pub fn adopt(span: &Span, parent: Context) {
    // `set_parent` fails if tracing is disabled, and then there is no parent to set.
    let _ = span.set_parent(parent);
}
