//! A limit on concurrent requests, since each takes memory for its body and its answer.
//!
//! Callers have shares of it, as they have of the calls. A request that finds no room waits for a
//! moment, and is then refused with a `Retry-After`.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt;
use pgrecall_store::metrics::metrics;

use super::{Edge, refusal};
use pgrecall_callers::{
    caller::{Caller, CallerId, Weights},
    fair::{FairLimiter, Lane, Policy, Refused},
};

/// Time that a request may wait.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Value of the `Retry-After` header, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// The limiter of requests.
#[derive(Clone)]
pub(super) struct Admission {
    limiter: FairLimiter<CallerId>,
    weights: Weights,
}

impl Admission {
    pub(super) fn new(requests: usize, weights: Weights) -> Self {
        let policy = Policy { permits: requests, shared: true, queue: requests, max_wait: MAX_WAIT, load: |_, _| () };
        Self { limiter: FairLimiter::new(policy), weights }
    }
}

/// Admits a request, and holds its permit until the body of the answer is sent.
pub(super) async fn admit(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>() else { return busy(false) };
    let Admission { limiter, weights } = edge.admission;
    let permit = match limiter.permit(&caller.id(), weights.of(caller), Lane::Read).await {
        Ok(permit) => permit,
        Err(Refused::QueueFull(_)) => return busy(true),
        Err(Refused::WaitedTooLong { own_share, .. }) => return busy(own_share),
    };
    next.run(request).await.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held_until_the_body_is_dropped = &permit;
            frame
        }))
    })
}

/// Makes the refusal. `own_share`: the caller's own requests take its whole share.
fn busy(own_share: bool) -> Response {
    let (reason, sentence) = if own_share {
        ("own_share", "too many of your requests are under way: retry in a few seconds")
    } else {
        ("requests", "the server answers as many requests as it can: retry in a few seconds")
    };
    metrics().refuse(reason);
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, sentence);
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}
