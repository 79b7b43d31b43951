//! Tokens of an OAuth 2.1 authorization server: signed by one of its keys, meant for this server,
//! and still valid.

use std::{
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation,
    errors::ErrorKind,
    jwk::{Jwk, JwkSet, KeyOperations, PublicKeyUse},
};
use parking_lot::Mutex;
use pgrecall_config::Oauth;
use pgrecall_process::tasks;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::{Reason, Refused, Waiting, claims, invalid, ring_provider};
use crate::caller::Caller;

/// How long the issuer's keys are used before they are read again, so that a withdrawn key is
/// detected.
const REFRESH_AGE: Duration = Duration::from_secs(600);
/// The minimum time between two reads, so that tokens with unknown keys do not cause a flood of
/// requests to the issuer.
const MIN_READ_INTERVAL: Duration = Duration::from_secs(10);
/// How long the keys are used while new ones cannot be read.
const MAX_KEY_AGE: Duration = Duration::from_secs(24 * 3600);
/// How long one request to the issuer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The size of the largest document that is read.
const MAX_DOCUMENT_BYTES: u64 = 512 * 1024;
/// The length of the longest token that is read, in bytes.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Checks tokens.
pub(super) struct Tokens {
    issuer: Arc<Issuer>,
    /// Bounds the tokens that wait while the issuer's keys are read.
    waiting: Waiting,
}

/// The issuer, and its known keys.
struct Issuer {
    oauth: Oauth,
    agent: ureq::Agent,
    known: Mutex<Option<Known>>,
    tried: Mutex<Tried>,
    /// Notified when a read has ended, whether it succeeded or failed.
    read: Notify,
}

/// The last read of the keys.
#[derive(Default)]
struct Tried {
    at: Option<Instant>,
    under_way: bool,
}

/// The issuer's keys.
#[derive(Clone)]
struct Known {
    set: Arc<JwkSet>,
    read_at: Instant,
}

impl Tokens {
    /// Creates the check; `waiting` tokens may wait while the issuer's keys are read.
    pub(super) fn new(oauth: &Oauth, waiting: usize) -> Self {
        ring_provider::install();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            // A redirect could choose another source of the keys.
            .max_redirects(0)
            .user_agent(concat!("pgrecall/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let (known, tried, read) = (Mutex::default(), Mutex::default(), Notify::new());
        let issuer = Arc::new(Issuer { oauth: oauth.clone(), agent, known, tried, read });
        Self { issuer, waiting: Waiting::new(waiting) }
    }

    /// Returns the caller that a token names, and for how much longer the token is valid.
    pub(super) async fn bearer(&self, token: &str) -> Result<(Caller, Duration), Refused> {
        if token.len() > LONGEST_TOKEN {
            return Err(invalid("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid("the token cannot be read"))?;
        if !ring_provider::ALGORITHMS.contains(&header.alg) {
            return Err(invalid(format!("a token signed with {:?} is not accepted", header.alg)));
        }
        claims::check_type(&header)?;
        if header.crit.is_some() {
            return Err(invalid("the token has a critical header (`crit`) that this server does not know"));
        }
        let key = self.key(&header).await?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| invalid("the token's key cannot be used"))?;
        let data = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &signature_only(header.alg));
        let claims = data.map_err(|error| invalid(why(error.kind())))?.claims;
        let left = claims::check(&claims, &self.issuer.oauth)?;
        Ok((claims::caller(&claims, &self.issuer.oauth)?, left))
    }

    /// Returns the key that a token names. An unknown key may be new, so the keys are read again.
    async fn key(&self, header: &Header) -> Result<Jwk, Refused> {
        let usable = || self.issuer.known.lock().clone().filter(|known| known.read_at.elapsed() < MAX_KEY_AGE);
        if let Some(known) = usable()
            && let Some(key) = find(&known.set, header)
        {
            // Reads in the background: a token with a known key does not wait for the check whether
            // the key was withdrawn.
            if known.read_at.elapsed() > REFRESH_AGE {
                Issuer::begin_to_read(&self.issuer);
            }
            return Ok(key);
        }
        let read = self.issuer.read.notified();
        if Issuer::begin_to_read(&self.issuer) {
            let _waits = self.waiting.enter()?;
            tokio::time::timeout(REQUEST_TIMEOUT * 4, read).await.ok();
        }
        let Some(known) = usable() else {
            let sentence = "tokens cannot be checked now: the issuer's keys cannot be read";
            return Err(Refused::new(Reason::Unavailable, sentence));
        };
        find(&known.set, header).ok_or_else(|| invalid("the token's key is not one of its issuer's"))
    }
}

/// Makes the library verify only the signature, with this algorithm. [`claims`] checks the claims,
/// and is stricter.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims::<&str>(&[]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

impl Issuer {
    /// Starts to read the keys, unless that was tried less than `MIN_READ_INTERVAL` ago. The read runs in its
    /// own task, so it continues if the caller hangs up. Returns whether a read is in progress.
    fn begin_to_read(issuer: &Arc<Self>) -> bool {
        let mut tried = issuer.tried.lock();
        if tried.under_way || tried.at.is_some_and(|at| at.elapsed() < MIN_READ_INTERVAL) {
            return tried.under_way;
        }
        *tried = Tried { at: Some(Instant::now()), under_way: true };
        let issuer = Arc::clone(issuer);
        tasks::detached("issuer-keys", async move {
            let from = Arc::clone(&issuer);
            let fetched = tokio::task::spawn_blocking(move || fetch_keys(&from.agent, &from.oauth)).await;
            match fetched.map_err(|error| error.to_string()).and_then(|fetched| fetched) {
                Ok(set) => {
                    debug!(keys = set.keys.len(), issuer = issuer.oauth.issuer, "the issuer's keys were read");
                    let known = Known { set: Arc::new(set), read_at: Instant::now() };
                    *issuer.known.lock() = Some(known);
                }
                Err(error) => warn!(error, issuer = issuer.oauth.issuer, "the issuer's keys cannot be read"),
            }
            issuer.tried.lock().under_way = false;
            issuer.read.notify_waiters();
        });
        true
    }
}

/// Returns the key that signs for this header: the one that it names, or the only one that fits.
fn find(set: &JwkSet, header: &Header) -> Option<Jwk> {
    let signs = |key: &&Jwk| {
        let common = &key.common;
        let for_signatures = common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        // Both enumerations have the same names for the algorithms.
        let for_this = common.key_algorithm.is_none_or(|it| format!("{it:?}") == format!("{:?}", header.alg));
        let verifies =
            common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        for_signatures && for_this && verifies
    };
    match &header.kid {
        Some(kid) => set.keys.iter().filter(signs).find(|key| key.common.key_id.as_ref() == Some(kid)).cloned(),
        None => match set.keys.iter().filter(signs).collect::<Vec<_>>()[..] {
            [only] => Some(only.clone()),
            _ => None,
        },
    }
}

/// Reads the issuer's keys, from the configured URL or from the one in the issuer's metadata.
fn fetch_keys(agent: &ureq::Agent, oauth: &Oauth) -> Result<JwkSet, String> {
    let url = match &oauth.jwks_url {
        Some(url) => url.clone(),
        None => {
            let base = oauth.issuer.trim_end_matches('/');
            // The URLs of OpenID Connect, and of RFC 8414, which puts `.well-known` before the
            // issuer's path.
            let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
            let (host, path) = base.split_at(base.len() - rest.find('/').map_or(0, |at| rest.len() - at));
            let about = fetch(agent, &format!("{base}/.well-known/openid-configuration"))
                .or_else(|_| fetch(agent, &format!("{host}/.well-known/oauth-authorization-server{path}")))?;
            if about["issuer"].as_str() != Some(oauth.issuer.as_str()) {
                return Err(format!("{} says that it is {}", oauth.issuer, about["issuer"]));
            }
            let url = about["jwks_uri"].as_str().ok_or("the issuer does not say where its keys are")?;
            if origin(url) != origin(&oauth.issuer) {
                return Err(format!(
                    "the issuer says that its keys are at {url}, which is another server; set `server.oauth.jwks_url` if that is right"
                ));
            }
            url.to_owned()
        }
    };
    let set = fetch(agent, &url)?;
    serde_json::from_value(set).map_err(|error| format!("{url} is not a JWK set: {error}"))
}

/// Returns scheme, host and port of a URL, without the scheme's default port.
fn origin(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#', '\\']).next()?.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let host = authority.strip_suffix(default).unwrap_or(&authority).to_owned();
    (!host.is_empty() && !host.contains('@')).then_some((scheme, host))
}

fn fetch(agent: &ureq::Agent, url: &str) -> Result<Value, String> {
    let mut response = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    if !response.status().is_success() {
        return Err(format!("{url} answered with {}; redirects are not followed", response.status()));
    }
    let mut document = Vec::new();
    let mut body = response.body_mut().as_reader().take(MAX_DOCUMENT_BYTES + 1);
    body.read_to_end(&mut document).map_err(|error| format!("{url}: {error}"))?;
    if document.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(format!("{url} is longer than {MAX_DOCUMENT_BYTES} bytes"));
    }
    serde_json::from_slice(&document).map_err(|error| format!("{url} is not JSON: {error}"))
}

/// Describes what is wrong with a token, without quoting any of it.
fn why(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::InvalidAlgorithm => "the token is signed with another algorithm than its key is for",
        _ => "the token cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tokens_that_wait_for_the_issuers_keys_are_bounded() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let jwks_url = Some(format!("http://{}/keys", silent.local_addr().unwrap()));
        let tokens = Tokens::new(&Oauth { jwks_url, ..super::super::fuzz::oauth() }, 1);
        // The header is {"alg":"ES256","kid":"x"}.
        let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.c2ln";
        let mut first = Box::pin(tokens.bearer(token));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        let second = futures_util::poll!(std::pin::pin!(tokens.bearer(token)));
        assert!(matches!(second, std::task::Poll::Ready(Err(Refused { reason: Reason::Unavailable, .. }))));
        // Closing the connection ends the read.
        drop(silent);
        assert_eq!(first.await.unwrap_err().reason, Reason::Unavailable);
    }

    #[test]
    fn an_address_is_of_the_same_server_when_scheme_host_and_port_are() {
        let same = |a: &str, b: &str| origin(a).is_some() && origin(a) == origin(b);
        assert!(same("https://login.example/x", "https://LOGIN.example:443/keys"));
        for other in [
            "http://login.example/keys",
            "https://login.example:8443/keys",
            "https://login.example.evil/keys",
            "https://login.example@evil.example/keys",
            "file:///etc/keys",
            "//login.example/keys",
        ] {
            assert!(!same("https://login.example", other), "{other}");
        }
    }
}
