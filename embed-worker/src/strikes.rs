//! Strikes: what is remembered of a call without an answer when its claim goes back.
//!
//! An embedder that died of a text may need longer to come back than a claim is held. Without a memory the same texts would be packed
//! together again, and it would die again, for ever. Here each time leaves half as many of them together, until the text stands alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use pgrecall_embedder::EmbedError;
use pgrecall_store::vectors::Pending;

use crate::batch;

/// Texts that are remembered at the most. What was forgotten meanwhile, or embedded by another worker, is never cleared.
const REMEMBERED: usize = 4_096;

/// The texts that got no answer, by passage: a text that is written anew is another passage.
#[derive(Debug, Default)]
pub(crate) struct Strikes(Mutex<HashMap<i64, Strike>>);

#[derive(Debug)]
struct Strike {
    /// How many texts its next call may hold.
    together: usize,
    /// Times that it failed alone.
    alone: u32,
    /// What came instead of the last answer.
    error: Arc<EmbedError>,
}

impl Strikes {
    /// Packs passages into calls of at most `size` texts, each with the strikes of a text that stands alone. Those that got no answer before
    /// come last, in smaller calls.
    pub(crate) fn pack(&self, pending: Vec<Pending>, size: usize) -> Vec<(Vec<Pending>, u32)> {
        let known = self.known();
        let mut by_size: BTreeMap<Reverse<usize>, Vec<Pending>> = BTreeMap::new();
        for passage in pending {
            let size = known.get(&passage.passage).map_or(size, |strike| strike.together.min(size));
            by_size.entry(Reverse(size)).or_default().push(passage);
        }
        let calls = by_size.into_iter().flat_map(|(Reverse(size), passages)| batch::pack(passages, size));
        let with_strikes = calls.map(|call| {
            let strikes = match call.as_slice() {
                [alone] => known.get(&alone.passage).map_or(0, |strike| strike.alone),
                _ => 0,
            };
            (call, strikes)
        });
        with_strikes.collect()
    }

    /// Notes a call that goes back with its claim after `strikes` others of a text that stands alone, if it was sent and got no answer.
    pub(crate) fn note(&self, call: &[Pending], strikes: u32, error: EmbedError) {
        use EmbedError as E;
        // An embedder that dies breaks the call off; it is sent once more at once, and nothing is there.
        if !matches!(error, E::BrokenReply { .. } | E::Unreachable { .. } | E::Timeout { .. } | E::PassedOver { .. }) {
            return;
        }
        let mut known = self.known();
        if known.len() + call.len() > REMEMBERED {
            known.clear();
        }
        let (together, error) = ((call.len() / 2).max(1), Arc::new(error));
        let alone = if call.len() == 1 { strikes + 1 } else { 0 };
        known.extend(call.iter().map(|text| (text.passage, Strike { together, alone, error: Arc::clone(&error) })));
    }

    /// What came instead of this text's last answer.
    pub(crate) fn last_error(&self, passage: &Pending) -> Option<Arc<EmbedError>> {
        self.known().get(&passage.passage).map(|strike| Arc::clone(&strike.error))
    }

    /// A text failed. Its next try is on its own again.
    pub(crate) fn paid(&self, passage: &Pending) {
        if let Some(strike) = self.known().get_mut(&passage.passage) {
            strike.alone = 0;
        }
    }

    /// These texts were embedded.
    pub(crate) fn clear(&self, passages: &[Pending]) {
        let mut known = self.known();
        for passage in passages {
            known.remove(&passage.passage);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<i64, Strike>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::work::STRIKES;

    fn passages(ids: impl IntoIterator<Item = i64>) -> Vec<Pending> {
        let passage = |id| Pending { passage: id, source: id, text_hash: Vec::new(), text: "text".into() };
        ids.into_iter().map(passage).collect()
    }

    fn dead() -> EmbedError {
        EmbedError::BrokenReply { url: "http://test".into(), source: "it broke off".into() }
    }

    /// A claim's calls to an embedder that dies of text 13, and stays away for longer than the claim is held. Returns the strikes of the call
    /// that it died of, and how many texts were in it.
    fn claim(strikes: &Strikes, left: &mut Vec<Pending>) -> (u32, usize) {
        for (call, before) in strikes.pack(left.clone(), 32) {
            if call.iter().any(|text| text.passage == 13) {
                strikes.note(&call, before, dead());
                return (before, call.len());
            }
            strikes.clear(&call);
            left.retain(|text| !call.contains(text));
        }
        panic!("it was there");
    }

    #[test]
    fn a_text_that_kills_an_embedder_which_stays_away_for_long_stands_alone_soon_and_pays() {
        let (strikes, mut left) = (Strikes::default(), passages(0..100));
        let died: Vec<_> = (0..8).map(|_| claim(&strikes, &mut left)).collect();
        assert_eq!(died, [(0, 32), (0, 16), (0, 8), (0, 4), (0, 2), (0, 1), (1, 1), (2, 1)]);
        assert_eq!(left, passages([13]), "the others are embedded");
        assert_eq!(strikes.pack(left.clone(), 32), [(passages([13]), STRIKES)]);
        assert!(matches!(strikes.last_error(&left[0]).as_deref(), Some(EmbedError::BrokenReply { .. })));
        strikes.paid(&left[0]);
        let calls = strikes.pack(passages([13, 200, 201]), 32);
        assert_eq!(calls, [(passages([200, 201]), 0), (passages([13]), 0)], "it is alone, and begins anew");
    }

    #[test]
    fn what_was_embedded_or_never_sent_is_called_as_any_other() {
        let (strikes, both) = (Strikes::default(), passages([1, 2]));
        let (embedder, waited) = ("test".to_owned(), Duration::from_secs(300));
        strikes.note(&both, 0, EmbedError::QueueFull { embedder: embedder.clone(), waited });
        strikes.note(&both, 0, EmbedError::Busy { url: "http://test".into(), status: 429, retry_after: None });
        assert_eq!(strikes.pack(both.clone(), 32), [(both.clone(), 0)]);
        strikes.note(&both, 0, EmbedError::Timeout { embedder, waited });
        assert_eq!(strikes.pack(both.clone(), 32).len(), 2);
        strikes.clear(&both);
        assert_eq!(strikes.pack(both.clone(), 32), [(both, 0)]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let strikes = Strikes::default();
        for begin in (0..3 * REMEMBERED as i64).step_by(32) {
            strikes.note(&passages(begin..begin + 32), 0, dead());
            assert!(strikes.known().len() <= REMEMBERED);
        }
        assert_eq!(strikes.pack(passages([3 * REMEMBERED as i64 - 1, 0]), 32).len(), 2, "the last ones are known");
    }
}
