//! API keys, as the database knows them. A good one is cached for a few seconds, so that not each request asks the database; a revoked one may be
//! used for as long, on each server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use shared::{
    api_keys::{self, Hash, Holder},
    db::DbError,
    metrics::metrics,
};
use tokio::{sync::Semaphore, time::timeout};
use tracing::warn;

use super::{Caller, Reason, Refused};
use crate::database::Database;

/// How long a key that was found is believed.
const BELIEVED: Duration = Duration::from_secs(5);
/// Keys that are kept in mind.
const KEPT: usize = 10_000;
/// Keys that were never seen, and keys to renew, that are looked for at once. They share two connections with the audit log: whoever tries
/// keys out takes one of them at the most.
const LOOKING: usize = 1;
const RENEWING: usize = 4;
/// Requests that wait for either. More are refused at once: they would only be refused later.
const MAX_WAITING: usize = 256;
/// Digits of a key's secret.
const SECRET: usize = 64;
/// How long a request waits for its turn, and the database for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Keys {
    database: Arc<Database>,
    known: Mutex<HashMap<Hash, (Caller, Instant)>>,
    /// For keys that were never seen, and for those that were good a moment ago.
    looking: Turns,
    renewing: Turns,
    /// Keys that are being looked for.
    under_way: Mutex<HashMap<Hash, Arc<tokio::sync::Mutex<()>>>>,
}

/// A concurrency limit with a bounded wait queue.
struct Turns {
    running: Semaphore,
    waiting: Semaphore,
}

impl Turns {
    fn new(running: usize) -> Self {
        Self { running: Semaphore::new(running), waiting: Semaphore::new(MAX_WAITING) }
    }
}

impl Keys {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self {
            database,
            known: Mutex::default(),
            looking: Turns::new(LOOKING),
            renewing: Turns::new(RENEWING),
            under_way: Mutex::default(),
        }
    }

    /// Whom a key stands for, and its hash. `only_known`: one that was never seen here is taken for a wrong one.
    pub(super) async fn holder(&self, key: &str, only_known: bool) -> Result<(Caller, Hash), Refused> {
        // What cannot be one is not looked for.
        let secret = key.strip_prefix(api_keys::PREFIX).unwrap_or_default();
        if secret.len() != SECRET || !secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let hash = Hash::of(key);
        Ok((self.look_up(&hash, only_known).await?.0, hash))
    }

    /// Whom the key with this hash stands for, and when that must be asked again. `only_known`: see [`Self::holder`].
    pub(super) async fn look_up(&self, hash: &Hash, only_known: bool) -> Result<(Caller, Instant), Refused> {
        let turn = match self.known(hash) {
            Some((caller, until)) if Instant::now() < until => return Ok((caller, until)),
            Some(_) => &self.renewing,
            None if only_known => return Err(unknown()),
            None => &self.looking,
        };
        let unavailable =
            || Refused::new(Reason::Unavailable, "keys cannot be checked now: try again in a few seconds");
        let engine = self.database.opened().map_err(|_| unavailable())?;
        // One request of a key looks, and the others wait for what it finds: each of them looking would keep the other keys waiting.
        let one = UnderWay::of(self, *hash);
        let found = timeout(PATIENCE, async {
            let _alone = one.looks.lock().await;
            if let Some((caller, until)) = self.known(hash)
                && Instant::now() < until
            {
                return Ok(Found::Holder(caller, until));
            }
            let Ok(_waits) = turn.waiting.try_acquire() else {
                metrics().refuse("keys");
                return Ok(Found::Crowded);
            };
            let _turn = turn.running.acquire().await;
            // From before the question: an answer that was long on its way is not cached for longer.
            let asked = Instant::now();
            // Noted before the next request of this key has its turn.
            Ok::<_, DbError>(match api_keys::find(engine.db(), hash).await? {
                Some(holder) => {
                    let (caller, until) = self.believe(*hash, holder, asked);
                    Found::Holder(caller, until)
                }
                None => {
                    self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
                    Found::Nobody
                }
            })
        });
        match found.await {
            Ok(Ok(Found::Holder(caller, until))) => Ok((caller, until)),
            Ok(Ok(Found::Nobody)) => Err(unknown()),
            Ok(Ok(Found::Crowded)) | Err(_) => Err(unavailable()),
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
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(hash, (caller.clone(), until));
        (caller, until)
    }

    /// Whom a key stood for, and until when that is believed.
    fn known(&self, hash: &Hash) -> Option<(Caller, Instant)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
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
    Crowded,
}

/// A request that looks for a key, or waits for another one that does.
struct UnderWay<'a> {
    keys: &'a Keys,
    hash: Hash,
    looks: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> UnderWay<'a> {
    fn of(keys: &'a Keys, hash: Hash) -> Self {
        let mut all = keys.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        Self { keys, hash, looks: all.entry(hash).or_default().clone() }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut all = self.keys.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own and this one's: nobody else waits.
        if Arc::strong_count(&self.looks) == 2 {
            all.remove(&self.hash);
        }
    }
}
