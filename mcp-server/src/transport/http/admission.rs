//! How many requests are answered at once. One that finds no place waits for a moment, and is then told to come again: a queue that grows
//! without bound answers nobody in time.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::{Edge, refusal};

/// How long a request waits for a place.
const WAIT: Duration = Duration::from_secs(2);
/// When to come again.
const AGAIN: HeaderValue = HeaderValue::from_static("2");

/// The places.
#[derive(Clone)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    /// Those who wait for one; as many as there are places.
    waiting: Arc<Semaphore>,
}

impl Admission {
    pub(super) fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), waiting: Arc::new(Semaphore::new(places)) }
    }
}

/// Gives a request a place until its answer has left.
pub(super) async fn admit(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let Admission { places, waiting } = edge.admission;
    let place = match Arc::clone(&places).try_acquire_owned() {
        Ok(place) => place,
        Err(_) => {
            let Ok(_waits) = waiting.try_acquire() else { return busy() };
            let Ok(Ok(place)) = tokio::time::timeout(WAIT, places.acquire_owned()).await else { return busy() };
            place
        }
    };
    next.run(request).await.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held_until_the_body_is_dropped = &place;
            frame
        }))
    })
}

fn busy() -> Response {
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "the server is busy: try again in a few seconds");
    response.headers_mut().insert(header::RETRY_AFTER, AGAIN);
    response
}
