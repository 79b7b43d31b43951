//! A trace collector, which decodes OTLP requests with OpenTelemetry's own types.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span as Sent, span::SpanKind, status::StatusCode};
use prost::Message;

use crate::http;

/// A span that arrived.
#[derive(Debug, Clone)]
pub struct Span {
    /// The service name of the program that sent the span.
    pub service: String,
    /// The span's name.
    pub name: String,
    /// The trace's id, in hexadecimal digits like all ids here.
    pub trace: String,
    /// The span's id.
    pub id: String,
    /// The parent span's id; empty at the root.
    pub parent: String,
    /// The span's kind, such as server or client.
    pub kind: SpanKind,
    /// Whether the span's status is an error.
    pub failed: bool,
    /// The span's attributes, with the values as text.
    pub attributes: Vec<(String, String)>,
    /// The ids of the traces that the span links to.
    pub links: Vec<String>,
}

impl Span {
    /// Returns an attribute's value.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A trace collector. It accepts spans until the test process ends.
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// Starts a collector on a free local port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let taken = Arc::clone(&spans);
        let serve = move || {
            for mut stream in listener.incoming().flatten() {
                let Some(body) = http::body_of(&stream) else { continue };
                let arrived = ExportTraceServiceRequest::decode(&*body).expect("OTLP");
                taken.lock().expect("unpoisoned").extend(read(&arrived));
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok();
            }
        };
        std::thread::Builder::new().name("collector".into()).spawn(serve).expect("a thread");
        Self { address, spans }
    }

    /// The collector's URL, as a value for `traces.endpoint`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans that have arrived.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("unpoisoned").clone()
    }

    /// Returns the first span that has arrived and for which `is_such` is true.
    pub fn find(&self, is_such: impl Fn(&Span) -> bool) -> Option<Span> {
        self.spans().into_iter().find(is_such)
    }
}

fn read(request: &ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource in &request.resource_spans {
        let about = resource.resource.iter().flat_map(|resource| &resource.attributes).map(text).collect::<Vec<_>>();
        let service = about.iter().find(|(name, _)| name == "service.name").map(|(_, value)| value.clone());
        for sent in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            spans.push(span(sent, service.clone().unwrap_or_default()));
        }
    }
    spans
}

fn span(sent: &Sent, service: String) -> Span {
    Span {
        service,
        name: sent.name.clone(),
        trace: digits(&sent.trace_id),
        id: digits(&sent.span_id),
        parent: digits(&sent.parent_span_id),
        kind: sent.kind(),
        failed: sent.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
        attributes: sent.attributes.iter().map(text).collect(),
        links: sent.links.iter().map(|link| digits(&link.trace_id)).collect(),
    }
}

fn text(attribute: &KeyValue) -> (String, String) {
    let value = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    };
    (attribute.key.clone(), value)
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
