//! The share of passages that are not embedded, for the note of a degraded answer.
//!
//! The count reads every passage that the caller may read. Each degraded recall would count just
//! when the embedder is unavailable, and none needs an exact number, so the share is cached.

use std::time::Duration;

use parking_lot::Mutex;

use super::Engine;
use pgrecall_postgres::db::Scope;
use pgrecall_process::ttl_map::TtlMap;
use pgrecall_store::status;

/// How long a counted share is cached.
const SHARE_TTL: Duration = Duration::from_secs(10);
/// The timeout of a count; an answer must not wait longer for it.
const COUNT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long no new count begins after one that timed out.
const TIMEOUT_TTL: Duration = Duration::from_secs(300);
/// The most callers whose shares are cached.
const MAX_CALLERS: usize = 1_000;

/// The shares by caller, 0 to 1. `None`: the first count is under way, or the last one failed.
#[derive(Debug)]
pub(super) struct Unembedded(Mutex<TtlMap<Scope, Option<f64>>>);

impl Default for Unembedded {
    fn default() -> Self {
        Self(Mutex::new(TtlMap::new(MAX_CALLERS)))
    }
}

impl Unembedded {
    /// Returns the cached share. Once it has expired, the first caller counts again, and the others
    /// still get the old share.
    fn get(&self, scope: &Scope) -> Result<Option<f64>, MustCount> {
        let mut shares = self.0.lock();
        if let Some(share) = shares.get(scope) {
            return Ok(*share);
        }
        let old = shares.get_expired(scope).copied().flatten();
        shares.insert(scope.clone(), old, COUNT_TIMEOUT);
        Err(MustCount)
    }

    fn set(&self, scope: &Scope, share: Option<f64>, ttl: Duration) {
        self.0.lock().insert(scope.clone(), share, ttl);
    }
}

struct MustCount;

impl Engine {
    /// Returns the cached share of the caller's passages that are not embedded. `None`: it could
    /// not be counted in time.
    pub(super) async fn unembedded(&self, scope: &Scope) -> Option<f64> {
        let shares = &self.inner.unembedded;
        match shares.get(scope) {
            Ok(share) => share,
            Err(MustCount) => {
                let counted = tokio::time::timeout(COUNT_TIMEOUT, status::unembedded(self.db(), scope)).await;
                let ttl = if counted.is_ok() { SHARE_TTL } else { TIMEOUT_TTL };
                // The ranking is done by now: a share that cannot be counted is left out.
                let share = counted.ok().and_then(Result::ok);
                shares.set(scope, share, ttl);
                share
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_counts_and_the_others_get_the_old_share() {
        let shares = Unembedded::default();
        let scope = |owner: &str| Scope { tenant: "t".to_owned(), owner: owner.to_owned(), persona: None };
        let (one, another) = (scope("one"), scope("another"));
        assert!(shares.get(&one).is_err(), "nobody has counted");
        assert!(matches!(shares.get(&one), Ok(None)), "somebody is counting");
        shares.set(&one, Some(0.5), SHARE_TTL);
        assert!(matches!(shares.get(&one), Ok(Some(share)) if share == 0.5));
        assert!(shares.get(&another).is_err());
        shares.set(&one, Some(0.5), Duration::ZERO);
        assert!(shares.get(&one).is_err() && matches!(shares.get(&one), Ok(Some(_))));
    }
}
