//! Authentication: by an API key, by a token of an authorization server, or without credentials
//! where that is allowed.

mod claims;
mod failures;
#[cfg(test)]
mod fuzz;
mod keys;
mod rate;
mod ring_provider;
mod tokens;
mod validity;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use pgrecall_access::keys::{PREFIX, Scopes};
use pgrecall_config::{Anonymous, Config, Server};
use pgrecall_store::metrics::metrics;
use shared::listener::network_of;
use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::validity::AuthValidity;
use self::{failures::Failures, keys::Keys, rate::Rates, tokens::Tokens};
use crate::{audit::Audit, caller::Caller};
use shared::database::Database;

/// Why a request was refused.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The kind of the refusal.
    pub reason: Reason,
    /// What is wrong, and what to do.
    pub sentence: String,
}

/// What is wrong with a request's credentials, or with the request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The request has no credentials.
    Missing,
    /// They are malformed or unknown, have expired, or were revoked.
    Invalid,
    /// They are valid, but do not permit this.
    Forbidden,
    /// There were too many requests; retry after this time.
    TooMany(Duration),
    /// They cannot be checked now.
    Unavailable,
}

impl Refused {
    fn new(reason: Reason, sentence: impl Into<String>) -> Self {
        Self { reason, sentence: sentence.into() }
    }

    /// Returns the HTTP status of the refusal.
    pub fn status(&self) -> StatusCode {
        match self.reason {
            Reason::Missing | Reason::Invalid => StatusCode::UNAUTHORIZED,
            Reason::Forbidden => StatusCode::FORBIDDEN,
            Reason::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns when to retry, if a retry can help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.reason {
            Reason::TooMany(wait) => Some(wait),
            Reason::Unavailable => Some(Duration::from_secs(2)),
            _ => None,
        }
    }
}

fn invalid(sentence: impl Into<String>) -> Refused {
    Refused::new(Reason::Invalid, sentence)
}

fn unavailable() -> Refused {
    Refused::new(Reason::Unavailable, "credentials cannot be checked now: try again in a few seconds")
}

/// A bound on the requests that wait for a check of their credentials. Further requests are refused
/// immediately, because each waiting one holds a connection.
struct Waiting(Semaphore);

impl Waiting {
    fn new(requests: usize) -> Self {
        Self(Semaphore::new(requests))
    }

    fn enter(&self) -> Result<SemaphorePermit<'_>, Refused> {
        self.0.try_acquire().map_err(|_| {
            metrics().refuse("keys");
            unavailable()
        })
    }
}

/// The share of a port's connections whose requests may wait for the same kind of check: one in
/// this many. There are three kinds (unknown keys, keys to renew, and tokens), so that requests
/// without valid credentials do not delay the holder of a key.
const WAITING_PART: usize = 8;
/// Headers that proxies add to a forwarded request.
const PASSED_ON: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// Authenticates requests.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    anonymous: Option<Caller>,
    /// Whether anonymous requests are accepted even through a proxy.
    always: bool,
    keys: Option<Keys>,
    tokens: Option<Tokens>,
    rates: Option<Rates>,
    failures: Option<Failures>,
    metadata: Option<Metadata>,
    audit: Option<Audit>,
}

/// The metadata that tells a client where it gets a token (RFC 9728).
#[derive(Debug, Clone)]
pub struct Metadata {
    /// The URL of the document.
    pub url: String,
    /// The document.
    pub document: serde_json::Value,
}

impl Gate {
    /// Creates a gate that attributes every request without credentials to this caller.
    pub fn open(caller: Caller) -> Self {
        Self(Arc::new(Inner { anonymous: Some(caller), always: true, ..Inner::default() }))
    }

    /// Creates the configured gate for a port with this many connections. It looks keys up in this
    /// database, and notes refusals in the audit log.
    pub fn new(config: &Config, connections: usize, database: Arc<Database>, audit: Option<Audit>) -> Self {
        let server = &config.server;
        let waiting = (connections / WAITING_PART).max(1);
        Self(Arc::new(Inner {
            anonymous: server.takes_anonymous().then(|| Caller::local(config)),
            always: server.anonymous == Anonymous::Always,
            keys: Some(Keys::new(database, waiting)),
            tokens: server.oauth.as_ref().map(|oauth| Tokens::new(oauth, waiting)),
            rates: server.rate_limit.map(Rates::new),
            failures: server.failure_limit.map(Failures::new),
            metadata: metadata(server),
            audit,
        }))
    }

    /// Authenticates a request with these headers from this address, and applies the rate limit.
    /// Returns the caller, and for how long it stays authenticated.
    pub async fn identify(&self, headers: &HeaderMap, address: IpAddr) -> Result<(Caller, AuthValidity), Refused> {
        let found = self.authenticate_from(headers, network_of(address)).await;
        let (caller, validity) = found.inspect_err(|refused| self.note(refused, None))?;
        if let Some(rates) = &self.0.rates {
            rates.check(&caller).inspect_err(|refused| {
                metrics().refuse("rate");
                self.note(refused, Some(&caller));
            })?;
        }
        Ok((caller, validity))
    }

    /// Authenticates a request, and limits wrong keys and tokens by address. Valid credentials from
    /// a blocked address are accepted, because behind a proxy all callers may share the address
    /// that sends wrong ones.
    async fn authenticate_from(&self, headers: &HeaderMap, address: IpAddr) -> Result<(Caller, AuthValidity), Refused> {
        let blocked = self.0.failures.as_ref().and_then(|failures| failures.is_blocked(address, Instant::now()));
        let refused = match self.authenticate(headers, address).await {
            Err(refused) if refused.reason == Reason::Invalid => refused,
            other => return other,
        };
        let Some(failures) = &self.0.failures else { return Err(refused) };
        failures.count(address, Instant::now());
        Err(blocked.map_or(refused, |wait| {
            metrics().refuse("address");
            Refused::new(
                Reason::TooMany(wait),
                "too many wrong keys or tokens came from this address: wait for as long as Retry-After says",
            )
        }))
    }

    /// Notes a refusal. A request without credentials is not noted, because clients send it to
    /// discover how to authenticate; neither is one whose credentials cannot be checked now.
    fn note(&self, refused: &Refused, caller: Option<&Caller>) {
        let reason = match refused.reason {
            Reason::Missing | Reason::Unavailable => return,
            Reason::Invalid => "invalid",
            Reason::Forbidden => "forbidden",
            Reason::TooMany(_) => "too many requests",
        };
        if let Some(audit) = &self.0.audit {
            audit.refused(reason, caller);
        }
    }

    /// Authenticates a request with these headers from this address.
    async fn authenticate(&self, headers: &HeaderMap, address: IpAddr) -> Result<(Caller, AuthValidity), Refused> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (first, second) = (given.next(), given.next());
        let Some(first) = first else {
            // A request that a proxy on this machine forwards comes from another machine.
            let passed_on = !self.0.always && PASSED_ON.iter().any(|name| headers.contains_key(*name));
            let caller = self.0.anonymous.clone().filter(|_| !passed_on).ok_or_else(|| {
                Refused::new(
                    Reason::Missing,
                    "credentials are missing: send `Authorization: Bearer` and a key or token",
                )
            });
            return Ok((caller?, AuthValidity::Lasting));
        };
        let bearer = match (first.to_str().ok().and_then(bearer), second) {
            (Some(bearer), None) => bearer,
            (_, Some(_)) => return Err(invalid("the request has two Authorization headers")),
            (None, None) => return Err(invalid("the Authorization header must be `Bearer` and a key or token")),
        };
        match (&self.0.keys, &self.0.tokens) {
            (Some(keys), _) if bearer.starts_with(PREFIX) => {
                let (caller, hash) = keys.holder(bearer, address).await?;
                Ok((caller, AuthValidity::Key(self.clone(), hash)))
            }
            (_, Some(tokens)) => {
                let (caller, left) = tokens.bearer(bearer).await?;
                Ok((caller, AuthValidity::Until(Instant::now() + left)))
            }
            _ => Err(invalid("this is not a key of this server: keys begin with `pgr_`")),
        }
    }

    /// Returns the `WWW-Authenticate` header of a refusal with 401 or 403.
    pub fn challenge(&self, refused: &Refused) -> Option<HeaderValue> {
        let error = match refused.reason {
            // RFC 6750: a request without credentials gets no error code.
            Reason::Missing => None,
            Reason::Invalid => Some("invalid_token"),
            Reason::Forbidden => Some("insufficient_scope"),
            Reason::TooMany(_) | Reason::Unavailable => return None,
        };
        let metadata = self.0.metadata.as_ref().map(|metadata| format!("resource_metadata=\"{}\"", metadata.url));
        let error = error.map(|error| format!("error=\"{error}\""));
        let parts: Vec<String> = [error, metadata].into_iter().flatten().collect();
        HeaderValue::from_str(format!("Bearer {}", parts.join(", ")).trim_end()).ok()
    }

    /// Returns the metadata about the authorization server, if there is one.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.0.metadata.as_ref()
    }
}

fn metadata(server: &Server) -> Option<Metadata> {
    let oauth = server.oauth.as_ref()?;
    let base = server.public_address();
    let document = serde_json::json!({
        "resource": format!("{base}/mcp"),
        "authorization_servers": [oauth.issuer],
        "bearer_methods_supported": ["header"],
        "scopes_supported": Scopes::NAMES.map(|name| format!("{}{name}", oauth.scope_prefix)),
        "resource_name": "pgrecall",
    });
    Some(Metadata { url: format!("{base}/.well-known/oauth-protected-resource/mcp"), document })
}

/// Returns the credentials after `Bearer`, whose case does not matter.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, rest) = header.trim().split_once(' ')?;
    let rest = rest.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() && !rest.contains(' ')).then_some(rest)
}
