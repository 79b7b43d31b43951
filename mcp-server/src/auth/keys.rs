//! API keys, as the database knows them. A good one is cached for a few seconds, so that not each request asks the database; a revoked one may be
//! used for as long, on each server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use shared::{
    api_keys::{self, Hash},
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
}

/// So many at once, and so many that wait.
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
        Self { database, known: Mutex::default(), looking: Turns::new(LOOKING), renewing: Turns::new(RENEWING) }
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
        let Ok(_waits) = turn.waiting.try_acquire() else {
            metrics().refuse("keys");
            return Err(unavailable());
        };
        let found = timeout(PATIENCE, async {
            let _turn = turn.running.acquire().await;
            // From before the question: an answer that was long on its way is not cached for longer.
            (Instant::now(), engine.find_api_key(hash).await)
        });
        let (asked, holder) = match found.await {
            Ok((asked, Ok(Some(holder)))) => (asked, holder),
            Ok((_, Ok(None))) => {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
                return Err(unknown());
            }
            Ok((_, Err(error))) => {
                warn!(error = &error as &dyn std::error::Error, "a key could not be checked");
                return Err(unavailable());
            }
            Err(_) => return Err(unavailable()),
        };
        let caller = Caller { scope: holder.scope, scopes: holder.scopes, name: format!("key {}", holder.id).into() };
        let until = asked + holder.expires_in.map_or(BELIEVED, |left| left.min(BELIEVED));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(*hash, (caller.clone(), until));
        Ok((caller, until))
    }

    /// Whom a key stood for, and until when that is believed.
    fn known(&self, hash: &Hash) -> Option<(Caller, Instant)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }
}

fn unknown() -> Refused {
    Refused::new(Reason::Invalid, "the key is not known, has expired, or was revoked")
}
