//! What a platform asks: `/healthz` and `/readyz`, to know whether to send requests here, and `/metrics`, on an address of its own.
//!
//! `/healthz` answers while the process lives. `/readyz` asks for a database that answers, with its schema; an embedder that is away shows in its
//! answer only, since recall goes on by words, and so does a full disk, since what is stored is still found.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use pgrecall_store::metrics::{self, metrics};
use serde_json::json;
use shared::engine::Engine;
use tokio_util::sync::CancellationToken;

use shared::database::Database;

/// The probes' routes. Ready is not said any more once `stopping` is cancelled.
pub fn routes(database: Arc<Database>, stopping: CancellationToken) -> Router {
    let ready = move || ready(database.clone(), stopping.clone());
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// The metrics' route.
pub fn metrics_routes(database: Arc<Database>) -> Router {
    let one_at_a_time = Arc::new(tokio::sync::Mutex::new(()));
    let measured = move || measured(database.clone(), one_at_a_time.clone());
    Router::new().route("/metrics", get(measured))
}

/// Reads them. One request at a time asks the database, so that many of them do not take the connections of the API keys.
async fn measured(database: Arc<Database>, one_at_a_time: Arc<tokio::sync::Mutex<()>>) -> Response {
    let _turn = one_at_a_time.lock().await;
    let engine = database.opened().ok();
    let away = engine.as_ref().is_some_and(|engine| engine.why_degraded().is_some());
    metrics().breaker_open.set(i64::from(away));
    let text = metrics().render(engine.as_ref().map(Engine::db)).await;
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn ready(database: Arc<Database>, stopping: CancellationToken) -> Response {
    if stopping.is_cancelled() {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping", None, None);
    }
    // Why not is in the log, and none of a stranger's business.
    let Ok(engine) = database.opened() else {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "not open", None, None);
    };
    if engine.ping().await {
        answer(StatusCode::OK, "answers", Some(engine.why_degraded().is_some()), engine.why_read_only())
    } else {
        answer(StatusCode::SERVICE_UNAVAILABLE, "does not answer", None, None)
    }
}

/// Whether recalls are degraded, and why writes fail, is known only when there is a database.
fn answer(status: StatusCode, database: &str, degraded: Option<bool>, read_only: Option<&str>) -> Response {
    let ready = status == StatusCode::OK;
    let body = json!({"ready": ready, "database": database, "degraded": degraded, "read_only": read_only});
    (status, Json(body)).into_response()
}
