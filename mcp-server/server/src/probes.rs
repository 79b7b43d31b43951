//! The endpoints for a platform: `/healthz`, `/readyz` and `/metrics`, on addresses of their own.
//!
//! `/healthz` answers while the process lives. `/readyz` requires a database that answers and has
//! its schema. A missing embedder or a full disk only appears in the body: without the embedder
//! recalls fall back to BM25, and with a full disk the stored records are still found.

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

/// Makes the routes of the probes. `/readyz` fails once `stopping` is cancelled.
pub fn routes(database: Arc<Database>, stopping: CancellationToken) -> Router {
    let ready = move || ready(database.clone(), stopping.clone());
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// Makes the route of the metrics.
pub fn metrics_routes(database: Arc<Database>) -> Router {
    let one_at_a_time = Arc::new(tokio::sync::Mutex::new(()));
    let measured = move || measured(database.clone(), one_at_a_time.clone());
    Router::new().route("/metrics", get(measured))
}

/// Renders the metrics.
///
/// One request at a time queries the database, so that many requests do not use up the connections
/// that authentication needs.
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
    // The reason is in the log. A client that is not authenticated must not see it.
    let Ok(engine) = database.opened() else {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "not open", None, None);
    };
    if engine.ping().await {
        answer(StatusCode::OK, "answers", Some(engine.why_degraded().is_some()), engine.why_read_only())
    } else {
        answer(StatusCode::SERVICE_UNAVAILABLE, "does not answer", None, None)
    }
}

/// Makes an answer.
///
/// `degraded` and `read_only` are known only while the database answers.
fn answer(status: StatusCode, database: &str, degraded: Option<bool>, read_only: Option<&str>) -> Response {
    let ready = status == StatusCode::OK;
    let body = json!({"ready": ready, "database": database, "degraded": degraded, "read_only": read_only});
    (status, Json(body)).into_response()
}
