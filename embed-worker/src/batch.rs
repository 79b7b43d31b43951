//! Batches: splits a claim into parts that fit into memory, and packs passages of many jobs into
//! calls to the embedder.
//!
//! A call costs its longest text times its number of texts, because shorter texts are padded.
//! Passages are therefore sorted by length before they are packed up to a budget.

use pgrecall_store::queue::{Claim, Job};
use pgrecall_store::vectors::Pending;

use crate::call_size::Size;

/// The most passages whose texts are in memory at a time, unless a single source has more: a few
/// megabytes.
const MAX_PASSAGES: i32 = 2_000;

/// The most characters in one call. With a batch of 32, a call of long passages then takes about as
/// long as a call of short ones with a few hundred texts, so no heartbeat, store or stop waits long
/// for a call.
pub(crate) const MAX_BYTES: usize = 32 * 1_200;

/// Splits a claim into parts, which are processed in order. Single writes come first, since their
/// caller may search for them at once. Each suspect is a part of its own, at the end, so that a
/// crash on a suspect loses no work on the other jobs.
pub fn parts(claim: &Claim) -> Vec<Claim> {
    let (suspects, trusted): (Vec<&Job>, Vec<&Job>) = claim.jobs.iter().partition(|job| job.suspect);
    let (singles, others): (Vec<&Job>, Vec<&Job>) = trusted.into_iter().partition(|job| job.is_single);
    let mut parts: Vec<Vec<Job>> = Vec::new();
    let mut held = 0;
    for job in singles.into_iter().chain(others) {
        held += job.passages;
        match parts.last_mut() {
            Some(part) if held <= MAX_PASSAGES && part[0].is_single == job.is_single => part.push(job.clone()),
            _ => {
                held = job.passages;
                parts.push(vec![job.clone()]);
            }
        }
    }
    parts.extend(suspects.into_iter().map(|job| vec![job.clone()]));
    parts.into_iter().map(|jobs| Claim { token: claim.token, jobs }).collect()
}

/// Packs passages into calls of at most this size, texts of similar length together.
pub(crate) fn pack(mut passages: Vec<Pending>, size: Size) -> Vec<Vec<Pending>> {
    passages.sort_by_key(|passage| (passage.text.len(), passage.passage));
    let mut batches: Vec<Vec<Pending>> = Vec::new();
    for passage in passages {
        match batches.last_mut() {
            // Passages are sorted, so this text is the longest of the call so far.
            Some(batch) if batch.len() < size.texts && (batch.len() + 1) * passage.text.len() <= size.bytes => {
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

    const SIZE: Size = Size { texts: 32, bytes: MAX_BYTES };

    fn passage(id: i64, length: usize) -> Pending {
        Pending { passage: id, source: id, text_hash: Vec::new(), text: "x".repeat(length) }
    }

    #[test]
    fn a_claim_is_read_in_parts_single_writes_first_and_each_suspect_alone() {
        let job = |source, passages, suspect| {
            let (wanted, attempts, forced, trace) = (1, 0, false, None);
            Job { source, wanted, attempts, suspect, is_single: source > 7, forced, passages, trace }
        };
        let all = [
            (1, 1_500, false),
            (2, 9, true),
            (3, 500, false),
            (4, 1, false),
            (5, 90_000, false),
            (6, 9, true),
            (7, 1, false),
            (8, 1, false),
            (9, 1, false),
        ];
        let jobs = all.map(|(source, passages, suspect)| job(source, passages, suspect)).to_vec();
        let parts = parts(&Claim { token: 7, jobs });
        let sources: Vec<Vec<i64>> =
            parts.iter().map(|part| part.jobs.iter().map(|job| job.source).collect()).collect();
        assert_eq!(sources, [vec![8, 9], vec![1, 3], vec![4], vec![5], vec![7], vec![2], vec![6]]);
        assert!(parts.iter().all(|part| part.token == 7));
        assert!(super::parts(&Claim { token: 7, jobs: Vec::new() }).is_empty());
    }

    #[test]
    fn texts_of_like_length_share_a_call_and_no_call_is_over_its_size() {
        let passages = (0..100).map(|id| passage(id, if id % 2 == 0 { 10 } else { 3_000 })).collect();
        let batches = pack(passages, SIZE);
        assert!(batches.iter().all(|batch| batch.len() <= 32));
        let mixed =
            batches.iter().filter(|b| b.iter().any(|p| p.text.len() == 10) && b.iter().any(|p| p.text.len() > 10));
        assert!(mixed.count() <= 1);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 100);
    }

    #[test]
    fn a_text_over_the_budget_has_a_call_of_its_own() {
        let batches = pack(vec![passage(1, 2 * MAX_BYTES), passage(2, 2 * MAX_BYTES)], SIZE);
        assert_eq!(batches.len(), 2);
    }
}
