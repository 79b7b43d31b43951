//! API keys, as the database knows them. A good one is believed for a few seconds, so that not each request asks anew; it is for as long that
//! a revoked one may still be used.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use shared::api_keys::Hash;
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
/// How long a request waits for its turn, and the database for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Keys {
    database: Arc<Database>,
    known: Mutex<HashMap<Hash, (Caller, Instant)>>,
    looking: Semaphore,
}

impl Keys {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, known: Mutex::default(), looking: Semaphore::new(LOOKING) }
    }

    /// Whom a key stands for.
    pub(super) async fn holder(&self, key: &str) -> Result<Caller, Refused> {
        let hash = Hash::of(key);
        if let Some(caller) = self.known(&hash) {
            return Ok(caller);
        }
        let unavailable =
            || Refused::new(Reason::Unavailable, "keys cannot be checked now: try again in a few seconds");
        let engine = self.database.opened().map_err(|_| unavailable())?;
        let found = timeout(PATIENCE, async {
            let _turn = self.looking.acquire().await;
            engine.find_api_key(&hash).await
        });
        let holder = match found.await {
            Ok(Ok(Some(holder))) => holder,
            Ok(Ok(None)) => {
                return Err(Refused::new(Reason::Invalid, "the key is not known, has expired, or was revoked"));
            }
            Ok(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "a key could not be checked");
                return Err(unavailable());
            }
            Err(_) => return Err(unavailable()),
        };
        let caller = Caller { scope: holder.scope, scopes: holder.scopes, name: format!("key {}", holder.id).into() };
        let until = Instant::now() + holder.expires_in.map_or(BELIEVED, |left| left.min(BELIEVED));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(hash, (caller.clone(), until));
        Ok(caller)
    }

    fn known(&self, hash: &Hash) -> Option<Caller> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).filter(|(_, until)| Instant::now() < *until).map(|(caller, _)| caller.clone())
    }
}
