//! Health and metrics over HTTP: `/healthz`, `/readyz` and `/metrics`.
//!
//! `/healthz` answers while the process lives. `/readyz` succeeds while the worker has a session
//! and the database answers. The embedder's state is only reported in the body of `/readyz`: an
//! unavailable embedder is no reason to take a pod out of service.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use pgrecall_process::open_files;
use pgrecall_store::metrics::{self, metrics};
use pgrecall_store::queue::EmbedderStatus;
use shared::engine::Engine;
use shared::listener::{self, Limits, Plain, Proxies, Service};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

/// How long requests in progress may take at a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// Publishes the embedder's status; `None` while the worker has no session.
pub type Report = watch::Sender<Option<EmbedderStatus>>;

/// The engine, once its database is open.
pub(crate) type Opened = Arc<OnceLock<Engine>>;

#[derive(Clone)]
struct Observed {
    engine: Opened,
    report: watch::Receiver<Option<EmbedderStatus>>,
    /// Held while metrics are read, so that many requests do not take many connections.
    asks: Arc<Mutex<()>>,
}

/// Serves until `stop` is canceled. It starts before the database is open, so that probes see a
/// live process.
pub(crate) async fn serve(
    socket: TcpListener,
    engine: Opened,
    report: watch::Receiver<Option<EmbedderStatus>>,
    stop: CancellationToken,
) {
    let limits = Limits::of_probes(open_files::raise_limit());
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .with_state(Observed { engine, report, asks: Arc::default() });
    let service = Service { name: "worker", handshake: Plain, routes, limits, proxies: Proxies::default() };
    listener::serve(socket, service, stop, DRAIN_TIMEOUT).await;
}

async fn ready(State(observed): State<Observed>) -> Response {
    let report = observed.report.borrow().clone();
    let answers = match observed.engine.get() {
        Some(engine) => engine.ping().await,
        None => false,
    };
    let (status, worker) = match (&report, answers) {
        (Some(_), true) => (StatusCode::OK, "at work"),
        (_, false) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer"),
        (None, true) => (StatusCode::SERVICE_UNAVAILABLE, "not at work yet"),
    };
    let embedder = report.as_ref().map(|report| report.embedder);
    let reason = report.and_then(|report| report.reason);
    let degraded = embedder.is_some_and(|embedder| !["ok", "disabled"].contains(&embedder));
    let body = serde_json::json!({"worker": worker, "embedder": embedder, "degraded": degraded, "reason": reason});
    (status, Json(body)).into_response()
}

async fn measured(State(observed): State<Observed>) -> Response {
    let open = observed.report.borrow().as_ref().is_some_and(|status| status.embedder == "down");
    metrics().breaker_open.set(i64::from(open));
    let _turn = observed.asks.lock().await;
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics().render(observed.engine.get().map(Engine::db)).await)
        .into_response()
}
