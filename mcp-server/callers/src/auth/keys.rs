//! API keys, as the database knows them. A good one is cached for a few seconds, so that not each request asks the database; a revoked one may be
//! used for as long, on each server.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pgrecall_access::keys::{self, Hash, Holder};
use pgrecall_process::ttl_map::TtlMap;
use pgrecall_store::metrics::metrics;
use tokio::time::timeout;
use tracing::warn;

use super::{Caller, Reason, Refused, Waiting, unavailable};
use crate::fair::{FairLimiter, Lane, Policy};
use shared::database::Database;

/// How long a key that was found is cached.
const KEY_TTL: Duration = Duration::from_secs(5);
const MAX_KEYS: usize = 10_000;
/// Lookups at once of keys that were never seen, and of keys to renew. They share two connections with the audit log: guesses take one of them at the
/// most.
const UNKNOWN_LOOKUPS: usize = 1;
const RENEWAL_LOOKUPS: usize = 4;
/// Digits of a key's secret.
const SECRET_DIGITS: usize = 64;
/// How long a request waits for its turn, and the database for its answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Keys {
    database: Arc<Database>,
    /// Whom each key stands for, and until when that holds.
    known: Mutex<TtlMap<Hash, (Caller, Instant)>>,
    /// For keys that were never seen, by the address that sends them.
    unknown_lookups: Turns,
    /// For keys that were good a moment ago, by key.
    renewal_lookups: Turns,
}

/// What shares turns with others of its kind: no address and no key keeps the others waiting.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Share {
    Address(IpAddr),
    Key(Hash),
}

/// A concurrency limit with fair shares, and a bound on the requests that wait.
struct Turns {
    limiter: FairLimiter<Share>,
    waiting: Waiting,
}

impl Turns {
    fn new(permits: usize, waiting: usize, queue: usize) -> Self {
        let policy = Policy { permits, shared: true, queue, max_wait: LOOKUP_TIMEOUT, load: |_, _| () };
        Self { limiter: FairLimiter::new(policy), waiting: Waiting::new(waiting) }
    }
}

impl Keys {
    /// `waiting`: requests that may wait for keys of either kind. One address may take half of that with keys that were never seen.
    pub(super) fn new(database: Arc<Database>, waiting: usize) -> Self {
        Self {
            database,
            known: Mutex::new(TtlMap::new(MAX_KEYS)),
            unknown_lookups: Turns::new(UNKNOWN_LOOKUPS, waiting, (waiting / 2).max(1)),
            renewal_lookups: Turns::new(RENEWAL_LOOKUPS, waiting, waiting),
        }
    }

    /// Whom a key stands for that a request from this address has, and its hash.
    pub(super) async fn holder(&self, key: &str, address: IpAddr) -> Result<(Caller, Hash), Refused> {
        // What cannot be one is not looked for.
        let secret = key.strip_prefix(keys::PREFIX).unwrap_or_default();
        if secret.len() != SECRET_DIGITS || !secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let hash = Hash::of(key);
        Ok((self.look_up(&hash, Some(address)).await?.0, hash))
    }

    /// Whom the key with this hash stands for, and when that must be asked again. Without an address it is a key that was good when its stream
    /// was opened.
    pub(super) async fn look_up(&self, hash: &Hash, address: Option<IpAddr>) -> Result<(Caller, Instant), Refused> {
        let (turns, share) = match (self.known(hash), address) {
            (Some((caller, until)), _) if Instant::now() < until => return Ok((caller, until)),
            (None, Some(address)) => (&self.unknown_lookups, Share::Address(address)),
            _ => (&self.renewal_lookups, Share::Key(*hash)),
        };
        let engine = self.database.opened().map_err(|_| unavailable())?;
        let _waits = turns.waiting.enter()?;
        let found = timeout(LOOKUP_TIMEOUT, async {
            let Ok(_turn) = turns.limiter.permit(&share, 1, Lane::Read).await else {
                metrics().refuse("keys");
                return Err(unavailable());
            };
            // Another request of this key may have looked it up in the meantime.
            if let Some((caller, until)) = self.known(hash)
                && Instant::now() < until
            {
                return Ok((caller, until));
            }
            // From before the question: an answer that was long on its way is not cached for longer.
            let asked = Instant::now();
            // Noted before the next request of this key has its turn.
            match keys::find(engine.db(), hash).await {
                Ok(Some(holder)) => Ok(self.remember(*hash, holder, asked)),
                Ok(None) => {
                    self.known.lock().remove(hash);
                    Err(unknown())
                }
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "a key could not be checked");
                    Err(unavailable())
                }
            }
        });
        found.await.unwrap_or_else(|_| Err(unavailable()))
    }

    /// Caches whom a key stands for, for a few seconds from when that was asked.
    fn remember(&self, hash: Hash, holder: Holder, asked: Instant) -> (Caller, Instant) {
        let caller = Caller { scope: holder.scope, scopes: holder.scopes, name: format!("key {}", holder.id).into() };
        let ttl = holder.expires_in.map_or(KEY_TTL, |left| left.min(KEY_TTL));
        let known = (caller, asked + ttl);
        self.known.lock().insert(hash, known.clone(), ttl);
        known
    }

    /// Whom a key stood for when it was last looked up, and until when that holds.
    fn known(&self, hash: &Hash) -> Option<(Caller, Instant)> {
        self.known.lock().get_expired(hash).cloned()
    }
}

fn unknown() -> Refused {
    Refused::new(Reason::Invalid, "the key is not known, has expired, or was revoked")
}
