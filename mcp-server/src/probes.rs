//! What a platform asks: `/healthz` and `/readyz`, to know whether to send requests here, and `/metrics`, on an address of its own.
//!
//! `/healthz` answers while the process lives. `/readyz` asks for a database that answers, with its schema; an embedder that is away shows in its
//! answer only, since recall goes on by words.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use shared::{
    engine::Engine,
    metrics::{self, metrics},
};
use tokio_util::sync::CancellationToken;

use crate::database::Database;

/// How long the database may take to answer.
const PROBE: Duration = Duration::from_secs(3);

/// The probes' routes. Ready is not said any more once `stopping` is cancelled.
pub(crate) fn routes(database: Arc<Database>, stopping: CancellationToken) -> Router {
    let ready = move || ready(database.clone(), stopping.clone());
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// The metrics' route.
pub(crate) fn metrics_routes(database: Arc<Database>) -> Router {
    let measured = move || measured(database.clone());
    Router::new().route("/metrics", get(measured))
}

async fn measured(database: Arc<Database>) -> Response {
    let engine = database.opened().ok();
    let away = engine.as_ref().is_some_and(|engine| engine.why_degraded().is_some());
    metrics().breaker_open.set(i64::from(away));
    let text = metrics().render(engine.as_ref().map(Engine::db)).await;
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn ready(database: Arc<Database>, stopping: CancellationToken) -> Response {
    if stopping.is_cancelled() {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping", None);
    }
    let engine = match database.opened() {
        Ok(engine) => engine,
        Err(why) => return answer(StatusCode::SERVICE_UNAVAILABLE, &why, None),
    };
    match tokio::time::timeout(PROBE, engine.answers()).await {
        Ok(true) => answer(StatusCode::OK, "answers", Some(engine.why_degraded())),
        _ => answer(StatusCode::SERVICE_UNAVAILABLE, "does not answer", None),
    }
}

/// `why_degraded` is known only when there is a database.
fn answer(status: StatusCode, database: &str, why_degraded: Option<Option<String>>) -> Response {
    let ready = status == StatusCode::OK;
    let degraded = why_degraded.as_ref().map(Option::is_some);
    let body = json!({"ready": ready, "database": database, "degraded": degraded, "reason": why_degraded.flatten()});
    (status, Json(body)).into_response()
}
