//! API keys, as the database knows them. A good one is cached for a few seconds, so that not each request asks the database; a revoked one may be
//! used for as long, on each server.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use pgrecall_access::keys::{self, Hash, Holder};
use pgrecall_postgres::db::DbError;
use pgrecall_store::metrics::metrics;
use tokio::time::timeout;
use tracing::warn;

use super::{Caller, Reason, Refused, Waiting, unavailable};
use crate::fair::{FairLimiter, Lane, Policy};
use shared::database::Database;

/// How long a key that was found is believed.
const BELIEVED: Duration = Duration::from_secs(5);
/// Keys that are kept in mind.
const KEPT: usize = 10_000;
/// Keys that were never seen, and keys to renew, that are looked up at once. They share two connections with the audit log: guesses take one of them
/// at the most.
const LOOKING: usize = 1;
const RENEWING: usize = 4;
/// Digits of a key's secret.
const SECRET: usize = 64;
/// How long a request waits for its turn, and the database for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Keys {
    database: Arc<Database>,
    known: Mutex<HashMap<Hash, (Caller, Instant)>>,
    /// For keys that were never seen, by the address that sends them.
    looking: Turns,
    /// For keys that were good a moment ago, by key.
    renewing: Turns,
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
        let policy = Policy { permits, shared: true, queue, max_wait: PATIENCE, load: |_, _| () };
        Self { limiter: FairLimiter::new(policy), waiting: Waiting::new(waiting) }
    }
}

impl Keys {
    /// `waiting`: requests that may wait for keys of either kind. One address may take half of that with keys that were never seen.
    pub(super) fn new(database: Arc<Database>, waiting: usize) -> Self {
        Self {
            database,
            known: Mutex::default(),
            looking: Turns::new(LOOKING, waiting, (waiting / 2).max(1)),
            renewing: Turns::new(RENEWING, waiting, waiting),
        }
    }

    /// Whom a key stands for that a request from this address has, and its hash.
    pub(super) async fn holder(&self, key: &str, address: IpAddr) -> Result<(Caller, Hash), Refused> {
        // What cannot be one is not looked for.
        let secret = key.strip_prefix(keys::PREFIX).unwrap_or_default();
        if secret.len() != SECRET || !secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let hash = Hash::of(key);
        Ok((self.look_up(&hash, Some(address)).await?.0, hash))
    }

    /// Whom the key with this hash stands for, and when that must be asked again. Without an address it is a key that was good when its stream
    /// was opened.
    pub(super) async fn look_up(&self, hash: &Hash, address: Option<IpAddr>) -> Result<(Caller, Instant), Refused> {
        let known = self.known(hash);
        let (turns, share) = match (known, address) {
            (Some((caller, until)), _) if Instant::now() < until => return Ok((caller, until)),
            (None, Some(address)) => (&self.looking, Share::Address(address)),
            _ => (&self.renewing, Share::Key(*hash)),
        };
        let engine = self.database.opened().map_err(|_| unavailable())?;
        let _waits = turns.waiting.enter()?;
        let found = timeout(PATIENCE, async {
            let Ok(_turn) = turns.limiter.permit(&share, 1, Lane::Read).await else { return Ok(Found::Busy) };
            // Another request of this key may have looked it up in the meantime.
            if let Some((caller, until)) = self.known(hash)
                && Instant::now() < until
            {
                return Ok(Found::Holder(caller, until));
            }
            // From before the question: an answer that was long on its way is not cached for longer.
            let asked = Instant::now();
            // Noted before the next request of this key has its turn.
            Ok::<_, DbError>(match keys::find(engine.db(), hash).await? {
                Some(holder) => {
                    let (caller, until) = self.believe(*hash, holder, asked);
                    Found::Holder(caller, until)
                }
                None => {
                    self.known.lock().remove(hash);
                    Found::Nobody
                }
            })
        });
        match found.await {
            Ok(Ok(Found::Holder(caller, until))) => Ok((caller, until)),
            Ok(Ok(Found::Nobody)) => Err(unknown()),
            Ok(Ok(Found::Busy)) => {
                metrics().refuse("keys");
                Err(unavailable())
            }
            Err(_) => Err(unavailable()),
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "a key could not be checked");
                Err(unavailable())
            }
        }
    }

    /// Notes whom a key stands for, for a few seconds from when that was asked.
    fn believe(&self, hash: Hash, holder: Holder, asked: Instant) -> (Caller, Instant) {
        let caller = Caller { scope: holder.scope, scopes: holder.scopes, name: format!("key {}", holder.id).into() };
        let until = asked + holder.expires_in.map_or(BELIEVED, |left| left.min(BELIEVED));
        let mut known = self.known.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(hash, (caller.clone(), until));
        (caller, until)
    }

    /// Whom a key stood for, and until when that is believed.
    fn known(&self, hash: &Hash) -> Option<(Caller, Instant)> {
        self.known.lock().get(hash).cloned()
    }
}

fn unknown() -> Refused {
    Refused::new(Reason::Invalid, "the key is not known, has expired, or was revoked")
}

/// What came of a look for a key.
enum Found {
    Holder(Caller, Instant),
    Nobody,
    /// Too many wait.
    Busy,
}
