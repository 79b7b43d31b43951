//! A collector of traces, which reads what arrives with OpenTelemetry's own types.

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
    /// The program.
    pub service: String,
    /// What was done.
    pub name: String,
    /// The trace, in hexadecimal digits as everywhere here.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// The span above it; empty at the root.
    pub parent: String,
    /// How it stands to the others.
    pub kind: SpanKind,
    /// Whether it says that it failed.
    pub failed: bool,
    /// Its attributes, in a form to read.
    pub attributes: Vec<(String, String)>,
    /// The traces that it is linked to.
    pub links: Vec<String>,
}

impl Span {
    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The collector. It takes spans until the test process ends.
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// One on a free port of this machine.
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

    /// Where it is, as `traces.endpoint` says it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has arrived.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().expect("unpoisoned").clone()
    }

    /// The first span that has arrived and is such.
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
