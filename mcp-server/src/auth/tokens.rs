//! Tokens of an OAuth 2.1 authorization server: signed by one of its keys, meant for this server, and still good.

use std::{
    io::Read,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation,
    errors::ErrorKind,
    jwk::{Jwk, JwkSet, PublicKeyUse},
};
use serde_json::{Map, Value};
use shared::{api_keys::Scopes, config::Oauth, db::Scope, tasks};
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::{Caller, Reason, Refused, ring_provider};

/// How long the server's keys are used before they are read anew, so that one that was withdrawn is noticed.
const FRESH: Duration = Duration::from_secs(600);
/// The least time between two reads, whatever tokens come: an unknown key must not become a flood of requests to the issuer.
const AGAIN: Duration = Duration::from_secs(10);
/// How long the keys are used while new ones cannot be read.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// How long a read may take.
const FETCH: Duration = Duration::from_secs(5);
/// The longest document that is read.
const DOCUMENT: u64 = 512 * 1024;
/// How far two machines' clocks may be apart.
const LEEWAY_SECONDS: u64 = 30;
/// The longest token, and the longest name in one.
const LONGEST_TOKEN: usize = 16 * 1024;
const LONGEST_NAME: usize = 200;

/// What checks tokens.
pub(super) struct Tokens(Arc<Issuer>);

/// The issuer, and what is known of its keys.
struct Issuer {
    oauth: Oauth,
    agent: ureq::Agent,
    known: Mutex<Option<Known>>,
    tried: Mutex<Tried>,
    /// Rung when a read has ended, whatever came of it.
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
    pub(super) fn new(oauth: &Oauth) -> Self {
        ring_provider::install();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(FETCH))
            .user_agent(concat!("pgrecall/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let (known, tried, read) = (Mutex::default(), Mutex::default(), Notify::new());
        Self(Arc::new(Issuer { oauth: oauth.clone(), agent, known, tried, read }))
    }

    /// Whom a token stands for.
    pub(super) async fn bearer(&self, token: &str) -> Result<Caller, Refused> {
        if token.len() > LONGEST_TOKEN {
            return Err(invalid("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid("the token cannot be read"))?;
        if !ring_provider::ALGORITHMS.contains(&header.alg) {
            return Err(invalid(format!("a token signed with {:?} is not taken", header.alg)));
        }
        if header.crit.is_some() {
            return Err(invalid("the token asks for something that is not known here (crit)"));
        }
        let key = self.key(&header).await?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| invalid("the token's key cannot be used"))?;
        let data = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &self.validation(header.alg));
        let claims = data.map_err(|error| invalid(why(error.kind())))?.claims;
        self.caller(&claims)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.0.oauth.issuer]);
        validation.set_audience(&[&self.0.oauth.audience]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        validation
    }

    /// The key that a token names. One that is not known may be new: the keys are read again.
    async fn key(&self, header: &Header) -> Result<Jwk, Refused> {
        let usable = || self.0.known().filter(|known| known.read_at.elapsed() < STALE);
        if let Some(known) = usable()
            && let Some(key) = find(&known.set, header)
        {
            // A good key is not kept waiting for a look whether it still is one.
            if known.read_at.elapsed() > FRESH {
                Issuer::begin_to_read(&self.0);
            }
            return Ok(key);
        }
        let read = self.0.read.notified();
        if Issuer::begin_to_read(&self.0) {
            tokio::time::timeout(FETCH * 4, read).await.ok();
        }
        match usable() {
            Some(known) => {
                find(&known.set, header).ok_or_else(|| invalid("the token's key is not one of its issuer's"))
            }
            None => {
                let sentence = "tokens cannot be checked now: the issuer's keys cannot be read";
                Err(Refused::new(Reason::Unavailable, sentence))
            }
        }
    }

    /// Whom a token's claims name.
    fn caller(&self, claims: &Map<String, Value>) -> Result<Caller, Refused> {
        let user = name_in(claims, &self.0.oauth.user_claim)?;
        let tenant = match &self.0.oauth.tenant_claim {
            Some(claim) => name_in(claims, claim)?,
            None => "default".to_owned(),
        };
        let persona = match &self.0.oauth.persona_claim {
            Some(claim) if claims.contains_key(claim) => Some(name_in(claims, claim)?),
            _ => None,
        };
        let granted: Vec<&str> = match claims.get(&self.0.oauth.scope_claim) {
            Some(Value::String(names)) => names.split(' ').collect(),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let ours = granted.iter().filter_map(|name| name.strip_prefix(self.0.oauth.scope_prefix.as_str()));
        let scopes = Scopes::named(ours);
        if scopes == Scopes::default() {
            let [read, write, admin] = Scopes::NAMES.map(|name| format!("{}{name}", self.0.oauth.scope_prefix));
            let sentence = format!("the token grants none of the scopes {read}, {write} and {admin}");
            return Err(Refused::new(Reason::Forbidden, sentence));
        }
        let name = format!("user {user}").into();
        Ok(Caller { scope: Scope { tenant, owner: user, persona }, scopes, name })
    }
}

impl Issuer {
    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to read the keys, unless that was tried a moment ago; in a task of its own, which does not end with a caller that hangs up.
    /// Returns whether a read is under way.
    fn begin_to_read(issuer: &Arc<Self>) -> bool {
        let mut tried = issuer.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.under_way || tried.at.is_some_and(|at| at.elapsed() < AGAIN) {
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
                    *issuer.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
                }
                Err(error) => warn!(error, issuer = issuer.oauth.issuer, "the issuer's keys cannot be read"),
            }
            issuer.tried.lock().unwrap_or_else(PoisonError::into_inner).under_way = false;
            issuer.read.notify_waiters();
        });
        true
    }
}

/// A claim that is somebody's name.
fn name_in(claims: &Map<String, Value>, claim: &str) -> Result<String, Refused> {
    match claims.get(claim).and_then(Value::as_str) {
        Some(name) if !name.trim().is_empty() && name.len() <= LONGEST_NAME && !name.contains(char::is_control) => {
            Ok(name.to_owned())
        }
        _ => Err(Refused::new(Reason::Forbidden, format!("the token's claim `{claim}` is missing, or no name"))),
    }
}

/// The key that signs for this header: the one that it names, or the only one that there is.
fn find(set: &JwkSet, header: &Header) -> Option<Jwk> {
    let signs = |key: &&Jwk| {
        let common = &key.common;
        let for_signatures = common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        // The two enumerations call an algorithm by the same name.
        let for_this = common.key_algorithm.is_none_or(|it| format!("{it:?}") == format!("{:?}", header.alg));
        for_signatures && for_this
    };
    match &header.kid {
        Some(kid) => set.keys.iter().filter(signs).find(|key| key.common.key_id.as_ref() == Some(kid)).cloned(),
        None => match set.keys.iter().filter(signs).collect::<Vec<_>>()[..] {
            [only] => Some(only.clone()),
            _ => None,
        },
    }
}

/// The issuer's keys, from where the configuration or the issuer itself says that they are.
fn fetch_keys(agent: &ureq::Agent, oauth: &Oauth) -> Result<JwkSet, String> {
    let url = match &oauth.jwks_url {
        Some(url) => url.clone(),
        None => {
            let base = oauth.issuer.trim_end_matches('/');
            // Where OpenID Connect puts it, and where RFC 8414 does: before the issuer's path.
            let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
            let (host, path) = base.split_at(base.len() - rest.find('/').map_or(0, |at| rest.len() - at));
            let about = fetch(agent, &format!("{base}/.well-known/openid-configuration"))
                .or_else(|_| fetch(agent, &format!("{host}/.well-known/oauth-authorization-server{path}")))?;
            if about["issuer"].as_str() != Some(oauth.issuer.as_str()) {
                return Err(format!("{} says that it is {}", oauth.issuer, about["issuer"]));
            }
            about["jwks_uri"].as_str().ok_or("the issuer does not say where its keys are")?.to_owned()
        }
    };
    let set = fetch(agent, &url)?;
    serde_json::from_value(set).map_err(|error| format!("{url} is no set of keys: {error}"))
}

fn fetch(agent: &ureq::Agent, url: &str) -> Result<Value, String> {
    let mut response = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    let mut document = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(DOCUMENT)
        .read_to_end(&mut document)
        .map_err(|error| format!("{url}: {error}"))?;
    serde_json::from_slice(&document).map_err(|error| format!("{url} is not JSON: {error}"))
}

fn invalid(sentence: impl Into<String>) -> Refused {
    Refused::new(Reason::Invalid, sentence)
}

/// What is wrong with a token, without anything of it.
fn why(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        ErrorKind::InvalidAudience => "the token is meant for another server",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks one of the claims exp, iss and aud",
        _ => "the token cannot be read",
    }
}
