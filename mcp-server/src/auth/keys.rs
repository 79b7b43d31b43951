//! API keys, as the database knows them. A good one is cached for a few seconds, so that not each request asks the database; a revoked one may be
//! used for as long, on each server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use shared::api_keys::{self, Hash};
use tokio::{sync::Semaphore, time::timeout};
use tracing::warn;

use super::{Caller, Reason, Refused};
use crate::database::Database;

/// How long a key that was found is believed.
const BELIEVED: Duration = Duration::from_secs(5);
/// Keys that are kept in mind.
const KEPT: usize = 10_000;
/// Keys that are looked for at once: whoever tries keys out must not take the database away from those who have one.
const LOOKING: usize = 4;
/// Digits of a key's secret.
const SECRET: usize = 64;
/// How long a request waits for its turn, and the database for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Keys {
    database: Arc<Database>,
    known: Mutex<HashMap<Hash, (Caller, Instant)>>,
    /// For keys that were never seen, and for those that were good a moment ago.
    looking: Semaphore,
    renewing: Semaphore,
}

impl Keys {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, known: Mutex::default(), looking: Semaphore::new(LOOKING), renewing: Semaphore::new(LOOKING) }
    }

    /// Whom a key stands for, and its hash.
    pub(super) async fn holder(&self, key: &str) -> Result<(Caller, Hash), Refused> {
        // What cannot be one is not looked for.
        let secret = key.strip_prefix(api_keys::PREFIX).unwrap_or_default();
        if secret.len() != SECRET || !secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let hash = Hash::of(key);
        Ok((self.look_up(&hash).await?.0, hash))
    }

    /// Whom the key with this hash stands for, and when that must be asked again.
    pub(super) async fn look_up(&self, hash: &Hash) -> Result<(Caller, Instant), Refused> {
        let turn = match self.known(hash) {
            Some((caller, until)) if Instant::now() < until => return Ok((caller, until)),
            Some(_) => &self.renewing,
            None => &self.looking,
        };
        let unavailable =
            || Refused::new(Reason::Unavailable, "keys cannot be checked now: try again in a few seconds");
        let engine = self.database.opened().map_err(|_| unavailable())?;
        let found = timeout(PATIENCE, async {
            let _turn = turn.acquire().await;
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
