//! The texts whose last call got no answer, and the size of the next call for each.
//!
//! An embedder that crashes on a text may need longer to return than a claim is held. Without this
//! memory the same texts would be packed together again, and the embedder would crash repeatedly.
//! Each failure halves the size of the next call, until the text is isolated.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use pgrecall_embedder::EmbedError;
use pgrecall_store::vectors::Pending;

use crate::batch;
use crate::call_size::Size;

/// The most texts that are remembered: a text that was forgotten, or embedded by another worker, is
/// never removed, so the history is cleared when it is full.
const MAX_TEXTS: usize = 4_096;

/// The failures of the texts without an answer, by passage id. A text that is rewritten has a new
/// passage id, and thus no failures.
#[derive(Debug, Default)]
pub(crate) struct FailureHistory(Mutex<HashMap<i64, Failure>>);

#[derive(Debug)]
struct Failure {
    /// The most texts that the next call with this text may hold.
    call_size: usize,
    /// How often the text failed while it was isolated.
    alone: u32,
    /// The error of the text's last call.
    error: Arc<EmbedError>,
}

impl FailureHistory {
    /// Packs passages into calls of at most this size. Each call comes with the number of
    /// earlier failures if it holds one isolated text, otherwise 0. Texts that got no answer before
    /// come last, in smaller calls.
    pub(crate) fn pack(&self, pending: Vec<Pending>, size: Size) -> Vec<(Vec<Pending>, u32)> {
        let known = self.0.lock();
        let mut by_size: BTreeMap<Reverse<usize>, Vec<Pending>> = BTreeMap::new();
        for passage in pending {
            let texts = known.get(&passage.passage).map_or(size.texts, |failure| failure.call_size.min(size.texts));
            by_size.entry(Reverse(texts)).or_default().push(passage);
        }
        let pack = |(Reverse(texts), passages)| batch::pack(passages, Size { texts, ..size });
        let calls = by_size.into_iter().flat_map(pack);
        let with_failures = calls.map(|call| {
            let failures = match call.as_slice() {
                [alone] => known.get(&alone.passage).map_or(0, |failure| failure.alone),
                _ => 0,
            };
            (call, failures)
        });
        with_failures.collect()
    }

    /// Records a call whose claim is released, if the call was sent and got no answer. `failures`
    /// is the number of earlier failures if the call holds one isolated text.
    pub(crate) fn record(&self, call: &[Pending], failures: u32, error: EmbedError) {
        use EmbedError as E;
        // An embedder that crashes breaks the call off. The immediate retry then finds it
        // unreachable, so `Unreachable` counts too.
        if !matches!(error, E::BrokenReply { .. } | E::Unreachable { .. } | E::Timeout { .. } | E::LostCall { .. }) {
            return;
        }
        let mut known = self.0.lock();
        if known.len() + call.len() > MAX_TEXTS {
            known.clear();
        }
        let (call_size, error) = ((call.len() / 2).max(1), Arc::new(error));
        let alone = if call.len() == 1 { failures + 1 } else { 0 };
        known.extend(call.iter().map(|text| (text.passage, Failure { call_size, alone, error: Arc::clone(&error) })));
    }

    /// Returns the error of this text's last call.
    pub(crate) fn last_error(&self, passage: &Pending) -> Option<Arc<EmbedError>> {
        self.0.lock().get(&passage.passage).map(|failure| Arc::clone(&failure.error))
    }

    /// Resets the text's count of isolated failures, after a failure was charged to its job. The
    /// next call still holds the text alone.
    pub(crate) fn reset(&self, passage: &Pending) {
        if let Some(failure) = self.0.lock().get_mut(&passage.passage) {
            failure.alone = 0;
        }
    }

    /// Removes texts that were embedded.
    pub(crate) fn remove(&self, passages: &[Pending]) {
        let mut known = self.0.lock();
        for passage in passages {
            known.remove(&passage.passage);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::call::MAX_ISOLATED_FAILURES;

    const SIZE: Size = Size { texts: 32, bytes: batch::MAX_BYTES };

    fn passages(ids: impl IntoIterator<Item = i64>) -> Vec<Pending> {
        let passage = |id| Pending { passage: id, source: id, text_hash: Vec::new(), text: "text".into() };
        ids.into_iter().map(passage).collect()
    }

    fn dead() -> EmbedError {
        EmbedError::BrokenReply { url: "http://test".into(), source: "it broke off".into() }
    }

    /// Runs a claim's calls to an embedder that crashes on text 13, and stays away for longer than
    /// the claim is held. Returns the number of earlier failures of the call that crashed it, and
    /// the number of texts in that call.
    fn claim(history: &FailureHistory, left: &mut Vec<Pending>) -> (u32, usize) {
        for (call, before) in history.pack(left.clone(), SIZE) {
            if call.iter().any(|text| text.passage == 13) {
                history.record(&call, before, dead());
                return (before, call.len());
            }
            history.remove(&call);
            left.retain(|text| !call.contains(text));
        }
        panic!("it was there");
    }

    #[test]
    fn a_text_that_kills_an_embedder_which_stays_away_for_long_is_isolated_soon_and_charged() {
        let (history, mut left) = (FailureHistory::default(), passages(0..100));
        let died: Vec<_> = (0..8).map(|_| claim(&history, &mut left)).collect();
        assert_eq!(died, [(0, 32), (0, 16), (0, 8), (0, 4), (0, 2), (0, 1), (1, 1), (2, 1)]);
        assert_eq!(left, passages([13]), "the others are embedded");
        assert_eq!(history.pack(left.clone(), SIZE), [(passages([13]), MAX_ISOLATED_FAILURES)]);
        assert!(matches!(history.last_error(&left[0]).as_deref(), Some(EmbedError::BrokenReply { .. })));
        history.reset(&left[0]);
        let calls = history.pack(passages([13, 200, 201]), SIZE);
        assert_eq!(calls, [(passages([200, 201]), 0), (passages([13]), 0)], "it is alone, and begins again");
    }

    #[test]
    fn what_was_embedded_or_never_sent_is_called_as_any_other() {
        let (history, both) = (FailureHistory::default(), passages([1, 2]));
        let (embedder, waited) = ("test".to_owned(), Duration::from_secs(300));
        history.record(&both, 0, EmbedError::QueueFull { embedder: embedder.clone(), waited });
        history.record(
            &both,
            0,
            EmbedError::Busy { url: "http://test".into(), status: 429, detail: String::new(), retry_after: None },
        );
        assert_eq!(history.pack(both.clone(), SIZE), [(both.clone(), 0)]);
        history.record(&both, 0, EmbedError::Timeout { embedder, waited });
        assert_eq!(history.pack(both.clone(), SIZE).len(), 2);
        history.remove(&both);
        assert_eq!(history.pack(both.clone(), SIZE), [(both, 0)]);
    }

    #[test]
    fn the_memory_is_bounded() {
        let history = FailureHistory::default();
        for begin in (0..3 * MAX_TEXTS as i64).step_by(32) {
            history.record(&passages(begin..begin + 32), 0, dead());
            assert!(history.0.lock().len() <= MAX_TEXTS);
        }
        assert_eq!(history.pack(passages([3 * MAX_TEXTS as i64 - 1, 0]), SIZE).len(), 2, "the last ones are known");
    }
}
