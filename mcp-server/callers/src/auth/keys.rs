//! API keys, looked up in the database. A valid key is cached for a few seconds, so that not every
//! request queries the database; a revoked key can therefore be used for that long, on each server.

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

use super::{Reason, Refused, Waiting, unavailable};
use crate::caller::Caller;
use crate::fair::{FairLimiter, Lane, Policy};
use shared::database::Database;

/// How long a key that was found is cached.
const KEY_TTL: Duration = Duration::from_secs(5);
const MAX_KEYS: usize = 10_000;
/// Concurrent lookups of keys that are not in the cache, and of keys to renew. They share two
/// connections with the audit log and metrics, so guessed keys take at most one of them.
const UNKNOWN_LOOKUPS: usize = 1;
const RENEWAL_LOOKUPS: usize = 4;
/// The digits of a key's secret.
const SECRET_DIGITS: usize = 64;
/// The most that a request waits, for its turn and the database's answer together.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Keys {
    database: Arc<Database>,
    /// The caller of each key, and until when the entry is valid.
    known: Mutex<TtlMap<Hash, (Caller, Instant)>>,
    /// The limit for keys that are not in the cache, with a share per address.
    unknown_lookups: Turns,
    /// The limit for keys that were valid a moment ago, with a share per key.
    renewal_lookups: Turns,
}

/// The unit of a fair share, so that no address and no key delays the others.
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
    /// Creates the lookup. `waiting` requests may wait for keys of either kind; one address may
    /// take half of these places with unknown keys.
    pub(super) fn new(database: Arc<Database>, waiting: usize) -> Self {
        Self {
            database,
            known: Mutex::new(TtlMap::new(MAX_KEYS)),
            unknown_lookups: Turns::new(UNKNOWN_LOOKUPS, waiting, (waiting / 2).max(1)),
            renewal_lookups: Turns::new(RENEWAL_LOOKUPS, waiting, waiting),
        }
    }

    /// Returns the caller of a key that a request from this address has sent, and the key's hash.
    pub(super) async fn holder(&self, key: &str, address: IpAddr) -> Result<(Caller, Hash), Refused> {
        // A malformed key is not looked up.
        let secret = key.strip_prefix(keys::PREFIX).unwrap_or_default();
        if secret.len() != SECRET_DIGITS || !secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let hash = Hash::of(key);
        Ok((self.look_up(&hash, Some(address)).await?.0, hash))
    }

    /// Returns the caller of the key with this hash, and when the lookup must be repeated. Without
    /// an address, the key was valid when its stream was opened.
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
            // Another request with this key may have looked it up while this one waited.
            if let Some((caller, until)) = self.known(hash)
                && Instant::now() < until
            {
                return Ok((caller, until));
            }
            // The time before the query, so that a slow answer is not cached for longer.
            let asked = Instant::now();
            // The result is cached before the permit is dropped, so that the next request with this
            // key finds it.
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

    /// Caches the caller of a key, for a few seconds from the time of the query.
    fn remember(&self, hash: Hash, holder: Holder, asked: Instant) -> (Caller, Instant) {
        let caller = Caller { scope: holder.scope, scopes: holder.scopes, name: format!("key {}", holder.id).into() };
        let ttl = holder.expires_in.map_or(KEY_TTL, |left| left.min(KEY_TTL));
        let known = (caller, asked + ttl);
        self.known.lock().insert(hash, known.clone(), ttl);
        known
    }

    /// Returns the caller of a key at its last lookup, and until when the entry is valid.
    fn known(&self, hash: &Hash) -> Option<(Caller, Instant)> {
        self.known.lock().get_expired(hash).cloned()
    }
}

fn unknown() -> Refused {
    Refused::new(Reason::Invalid, "the key is not known, has expired, or was revoked")
}
