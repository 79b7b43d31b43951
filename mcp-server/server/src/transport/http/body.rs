//! Reads the message in a request's body within limits, and validates it like a line on stdin.

use std::time::Duration;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::Request,
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{
    super::frame::{self, Frame},
    refusal,
};

/// Size limit, in bytes, of a body. A memory has at most 64 KiB, and the bodies of many callers
/// must fit into a small pod's memory.
pub(super) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Time that a body may take to arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a body that is no JSON-RPC message, and passes any other on.
pub(super) async fn validate(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    // A session of the predecessor answers on its stream, and reads the message as stdin does.
    let is_session = parts.uri.path() == "/message";
    match frame::validate_message(&body, true) {
        Frame::Refused(error) if is_session && frame::is_invalid_params(&error) => {
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
        Frame::Refused(error) if !frame::is_unknown_method(&error) => {
            tracing::debug!(%error, "a message was refused");
            // A valid message with wrong parameters gets a JSON-RPC error as a regular answer.
            let status = if frame::is_invalid_params(&error) { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            (status, Json(error)).into_response()
        }
        Frame::Ignored if body.trim_ascii().is_empty() => {
            refusal(StatusCode::BAD_REQUEST, "the request has no body: send one JSON-RPC message")
        }
        _ => {
            let repaired = if is_session { None } else { frame::repaired(&body) };
            if let Some(body) = &repaired {
                parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
            }
            next.run(Request::from_parts(parts, repaired.map_or(Body::from(body), Body::from))).await
        }
    }
}

async fn read(body: Body) -> Result<Bytes, Response> {
    match tokio::time::timeout(ARRIVAL_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "the message is longer than 1 MiB"))
        }
        Ok(Err(_)) => Err(refusal(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(refusal(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in 10 s")),
    }
}
