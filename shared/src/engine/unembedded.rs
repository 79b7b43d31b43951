//! How much a degraded answer has to do without: the share of the passages that are not embedded.
//!
//! It counts every passage that the caller reads. Each degraded recall would do so just when the embedder is away, and none needs it to the second.

use std::time::Duration;

use parking_lot::Mutex;

use super::Engine;
use pgrecall_postgres::db::Scope;
use pgrecall_process::ttl_map::TtlMap;
use pgrecall_store::status;

/// How long a share is answered before it is counted again.
const SHARE_TTL: Duration = Duration::from_secs(10);
/// A count that takes longer is not worth the wait.
const COUNT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long it is not counted again after a count that took too long.
const TIMEOUT_TTL: Duration = Duration::from_secs(300);
/// Callers whose shares are kept.
const MAX_CALLERS: usize = 1_000;

/// The shares by caller, 0 to 1. `None`: it is being counted, or that took too long.
#[derive(Debug)]
pub(super) struct Unembedded(Mutex<TtlMap<Scope, Option<f64>>>);

impl Default for Unembedded {
    fn default() -> Self {
        Self(Mutex::new(TtlMap::new(MAX_CALLERS)))
    }
}

impl Unembedded {
    /// The share that was counted last. Once it has expired, the first caller counts it again, and the others still get the old one.
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
    /// The share of the passages that the caller reads that are not embedded, as it was a moment ago; `None` where counting them would take too long.
    pub(super) async fn unembedded(&self, scope: &Scope) -> Option<f64> {
        let shares = &self.inner.unembedded;
        match shares.get(scope) {
            Ok(share) => share,
            Err(MustCount) => {
                let counted = tokio::time::timeout(COUNT_TIMEOUT, status::unembedded(self.db(), scope)).await;
                let ttl = if counted.is_ok() { SHARE_TTL } else { TIMEOUT_TTL };
                // The words have answered by now: what cannot be counted is left out.
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
