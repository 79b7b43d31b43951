//! Batches: passages of many jobs packed into calls to the embedder.
//!
//! A call costs its longest text times its number of texts, so passages are sorted by length and packed up to a budget: padding is
//! work that nobody reads.

use shared::store::Pending;

/// Characters in one call. With a batch of 32 a call of long passages then takes about as long as one of short ones takes at a few
/// hundred texts, and a heartbeat, a store or a stop never waits for long.
const BUDGET: usize = 32 * 1_200;

/// Packs passages into calls of at most `size` texts each, texts of like length together.
pub fn pack(mut passages: Vec<Pending>, size: usize) -> Vec<Vec<Pending>> {
    passages.sort_by_key(|passage| (passage.text.len(), passage.passage));
    let mut batches: Vec<Vec<Pending>> = Vec::new();
    for passage in passages {
        match batches.last_mut() {
            // Sorted: this text is the longest so far, and the call's cost is its length times the number of texts.
            Some(batch) if batch.len() < size && (batch.len() + 1) * passage.text.len() <= BUDGET => {
                batch.push(passage)
            }
            _ => batches.push(vec![passage]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(id: i64, length: usize) -> Pending {
        Pending { passage: id, source: id, text_hash: Vec::new(), text: "x".repeat(length) }
    }

    #[test]
    fn texts_of_like_length_share_a_call_and_no_call_is_over_its_size() {
        let passages = (0..100).map(|id| passage(id, if id % 2 == 0 { 10 } else { 3_000 })).collect();
        let batches = pack(passages, 32);
        assert!(batches.iter().all(|batch| batch.len() <= 32));
        let mixed =
            batches.iter().filter(|b| b.iter().any(|p| p.text.len() == 10) && b.iter().any(|p| p.text.len() > 10));
        assert!(mixed.count() <= 1);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 100);
    }

    #[test]
    fn a_text_over_the_budget_has_a_call_of_its_own() {
        let batches = pack(vec![passage(1, 2 * BUDGET), passage(2, 2 * BUDGET)], 32);
        assert_eq!(batches.len(), 2);
    }
}
