//! How much a degraded answer has to do without: the share of the passages that are not embedded.
//!
//! It counts every passage that the caller reads. Each degraded recall would do so just when the embedder is away, and none needs it to the second.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Engine;
use crate::db::Scope;
use crate::status;

/// How long a share is said before it is counted anew.
const BELIEVED: Duration = Duration::from_secs(10);
/// A count that takes longer is not worth the wait.
const WITHIN: Duration = Duration::from_millis(500);
/// Then it is not tried again for so long.
const TOO_LONG: Duration = Duration::from_secs(300);
/// Callers whose shares are kept.
const MAX_CALLERS: usize = 1_000;

/// The shares, 0 to 1, by caller.
#[derive(Debug, Default)]
pub(super) struct Unembedded(Mutex<HashMap<Scope, Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    /// `None`: it is being counted, or that took too long.
    share: Option<f64>,
    until: Instant,
}

impl Unembedded {
    fn known(&self) -> MutexGuard<'_, HashMap<Scope, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted last. The first to ask when it is old counts it anew, and everybody else is told the old one meanwhile.
    fn ask(&self, scope: &Scope) -> Result<Option<f64>, MustCount> {
        let mut all = self.known();
        let now = Instant::now();
        let share = match all.get(scope) {
            Some(known) if known.until > now => return Ok(known.share),
            known => known.and_then(|known| known.share),
        };
        if all.len() >= MAX_CALLERS {
            all.clear();
        }
        all.insert(scope.clone(), Known { share, until: now + WITHIN });
        Err(MustCount)
    }

    fn tell(&self, scope: &Scope, share: Option<f64>, believed: Duration) {
        self.known().insert(scope.clone(), Known { share, until: Instant::now() + believed });
    }
}

struct MustCount;

impl Engine {
    /// The share of the passages that the caller reads that are not embedded, as it was a moment ago; `None` where counting them would take too long.
    pub(super) async fn unembedded(&self, scope: &Scope) -> Option<f64> {
        let shares = &self.inner.unembedded;
        match shares.ask(scope) {
            Ok(share) => share,
            Err(MustCount) => {
                let counted = tokio::time::timeout(WITHIN, status::unembedded(self.db(), scope)).await;
                let believed = if counted.is_ok() { BELIEVED } else { TOO_LONG };
                // The words have answered by now: what cannot be counted is left out.
                let share = counted.ok().and_then(Result::ok);
                shares.tell(scope, share, believed);
                share
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_counts_and_the_others_are_told_what_it_was() {
        let shares = Unembedded::default();
        let scope = |owner: &str| Scope { tenant: "t".to_owned(), owner: owner.to_owned(), persona: None };
        let (one, another) = (scope("one"), scope("another"));
        assert!(shares.ask(&one).is_err(), "nobody has counted");
        assert!(matches!(shares.ask(&one), Ok(None)), "somebody does");
        shares.tell(&one, Some(0.5), BELIEVED);
        assert!(matches!(shares.ask(&one), Ok(Some(share)) if share == 0.5));
        assert!(shares.ask(&another).is_err());
        let long_ago = Known { share: Some(0.5), until: Instant::now() };
        shares.known().insert(one.clone(), long_ago);
        assert!(shares.ask(&one).is_err() && matches!(shares.ask(&one), Ok(Some(_))));
    }
}
