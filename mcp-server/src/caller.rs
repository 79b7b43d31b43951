//! Who is asking, and what they may do.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use shared::db::Scope;

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose records it sees, and under whose name it writes.
    pub scope: Scope,
}

/// Why nobody is let in.
#[derive(Debug)]
pub struct Refused {
    /// 401, 403, 429 or 503.
    pub status: StatusCode,
    /// What is wrong, and what to do.
    pub sentence: String,
    /// What a client must bring, where that is what is missing.
    pub challenge: Option<HeaderValue>,
    /// When to come again.
    pub retry_after: Option<Duration>,
}

impl Refused {
    fn unauthorized(sentence: &str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            sentence: sentence.to_owned(),
            challenge: Some(HeaderValue::from_static("Bearer")),
            retry_after: None,
        }
    }
}

/// Tells who is asking.
#[derive(Clone)]
pub struct Gate {
    /// Who a request without credentials comes from; `None`: it is refused.
    anonymous: Option<Caller>,
}

impl Gate {
    /// A gate that takes requests without credentials for this caller's, or refuses them.
    pub fn new(anonymous: Option<Caller>) -> Self {
        Self { anonymous }
    }

    /// Who sends a request with these headers.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        if headers.contains_key(header::AUTHORIZATION) {
            return Err(Refused::unauthorized("this server knows no keys"));
        }
        self.anonymous
            .clone()
            .ok_or_else(|| Refused::unauthorized("say who you are: send `Authorization: Bearer` and a key"))
    }
}
