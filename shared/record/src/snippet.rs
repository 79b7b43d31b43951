//! Chooses the part of a text that an answer shows if the whole is too long: the run of sentences
//! that holds most of the query.

use std::ops::Range;

use crate::sentences::sentences;
use crate::words::{MAX_QUERY_TERMS, WeightedTerms};

/// Maximum bytes of a text in which sentences are compared. A passage is far shorter; of a long
/// memory only the beginning is compared.
const MAX_COMPARED_BYTES: usize = 64 * 1024;

/// Share of the weight that a second sentence with the same term adds.
const REPETITION: f64 = 0.1;

/// Difference below which two weights are the same: sums of floating-point numbers depend on their
/// order.
const EPSILON: f64 = 1e-9;

/// Returns the run of sentences with the greatest weight of distinct terms that costs at most
/// `budget`, as a range of bytes. It is empty if nothing fits.
///
/// Of several with the same weight, the middle one is taken: a sentence that repeats the question
/// may stand before the answer or after it. Without any of the terms, it is the beginning. A
/// sentence that takes more than half the budget is divided between words.
pub fn snippet(text: &str, terms: &WeightedTerms, budget: usize, cost: impl Fn(&str) -> usize) -> Range<usize> {
    let compared = &text[..text.floor_char_boundary(MAX_COMPARED_BYTES)];
    let mut pieces = Vec::new();
    for sentence in sentences(compared) {
        add_pieces(compared, sentence, terms, budget, &cost, &mut pieces);
    }
    match &pieces[best_run(&pieces, terms, budget)] {
        [first, .., last] => first.range.start..last.range.end,
        [only] => only.range.clone(),
        [] => 0..0,
    }
}

struct Piece {
    range: Range<usize>,
    cost: usize,
    held: u64,
    weight: f64,
}

/// Adds a sentence, or its halves until two of them fit into the budget: whole long sentences would
/// leave much of it unused.
fn add_pieces(
    text: &str,
    range: Range<usize>,
    terms: &WeightedTerms,
    budget: usize,
    cost: &impl Fn(&str) -> usize,
    pieces: &mut Vec<Piece>,
) {
    let piece = &text[range.clone()];
    let spent = cost(piece);
    let after_space = |(at, letter): (usize, char)| letter.is_whitespace().then(|| at + letter.len_utf8());
    // The last space may end the piece, and so would divide nothing.
    let spaces = piece.trim_end().char_indices().filter_map(after_space);
    if let Some(half) = spaces.min_by_key(|at| at.abs_diff(piece.len() / 2)).filter(|_| spent > budget / 2) {
        add_pieces(text, range.start..range.start + half, terms, budget, cost, pieces);
        add_pieces(text, range.start + half..range.end, terms, budget, cost, pieces);
    } else {
        let held = terms.held_by(piece);
        pieces.push(Piece { cost: spent, held, weight: terms.weight(held), range });
    }
}

/// Returns the best run of pieces, by their places. Each run is as long as the budget allows.
fn best_run(pieces: &[Piece], terms: &WeightedTerms, budget: usize) -> Range<usize> {
    let (mut best, mut runs) = (0.0, Vec::new());
    let (mut end, mut spent, mut sum) = (0, 0, 0.0);
    let mut counts = [0_u32; MAX_QUERY_TERMS];
    for start in 0..pieces.len() {
        while let Some(piece) = pieces.get(end).filter(|piece| spent + piece.cost <= budget) {
            (end, spent, sum) = (end + 1, spent + piece.cost, sum + piece.weight);
            each_bit(piece.held, |bit| counts[bit] += 1);
        }
        if end == start {
            // This piece alone is too long.
            end = start + 1;
            continue;
        }
        let held = (0..counts.len()).filter(|bit| counts[*bit] > 0).fold(0, |held, bit| held | 1 << bit);
        let distinct = terms.weight(held);
        let weight = distinct + REPETITION * (sum - distinct);
        if weight > best + EPSILON {
            best = weight;
            runs.clear();
        }
        if best > 0.0 && weight > best - EPSILON {
            runs.push(start..end);
        }
        (spent, sum) = (spent - pieces[start].cost, sum - pieces[start].weight);
        each_bit(pieces[start].held, |bit| counts[bit] -= 1);
    }
    if runs.is_empty() {
        return 0..beginning(pieces, budget);
    }
    runs.swap_remove((runs.len() - 1) / 2)
}

fn each_bit(set: u64, mut call: impl FnMut(usize)) {
    (0..MAX_QUERY_TERMS).filter(|bit| set & 1 << bit != 0).for_each(&mut call);
}

/// Returns how many pieces from the first on fit.
fn beginning(pieces: &[Piece], budget: usize) -> usize {
    let mut left = budget;
    let fits = |piece: &&Piece| {
        let fits = piece.cost <= left;
        left = left.saturating_sub(piece.cost);
        fits
    };
    pieces.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown<'t>(text: &'t str, query: &str, budget: usize) -> &'t str {
        text[snippet(text, &WeightedTerms::of_query(query), budget, str::len)].trim()
    }

    #[test]
    fn the_sentences_with_most_of_the_query_are_shown() {
        let text = "# Locks\n\nLocks protect tables. A vacuum takes one too.\n\n- CREATE INDEX takes a SHARE lock.\n- \
            Nothing else does.\n\nThe end of it. Really the end.";
        let item = "A vacuum takes one too.\n\n- CREATE INDEX takes a SHARE lock.";
        let beginning = "# Locks\n\nLocks protect tables. A vacuum takes one too.";
        assert_eq!(shown(text, "which lock does create index take", 70), item);
        assert_eq!(shown(text, "unrelated", 70), beginning);
        assert_eq!(shown(text, "locks protect", 70), beginning);
        assert_eq!(shown(text, "really", 30), "The end of it. Really the end.");
        assert_eq!(shown("", "sentence", 5), "");
    }

    #[test]
    fn a_long_sentence_is_divided_between_words() {
        assert_eq!(shown("one long sentence only", "sentence", 14), "long sentence");
        assert_eq!(shown("one long sentence only", "sentence", 5), "one");
        assert_eq!(shown("one long sentence only", "sentence", 2), "");
    }

    #[test]
    fn of_equal_runs_the_middle_one_is_shown() {
        assert_eq!(shown("Aa. Bb. Cc. Zebra. Dd. Ee. Ff.", "zebra", 18), "Cc. Zebra. Dd.");
    }

    // Asserts on the number of calls and not on time.
    #[test]
    fn a_long_text_costs_no_more_than_its_beginning() {
        let calls = std::cell::Cell::new(0);
        let count = |piece: &str| {
            calls.set(calls.get() + 1);
            piece.len()
        };
        let found = snippet(&"- a\n".repeat(1_000_000), &WeightedTerms::of_query("a b"), 60_000, count);
        assert_eq!((found.len(), calls.get()), (60_000, MAX_COMPARED_BYTES / 4));
    }

    proptest! {
        #[test]
        fn a_snippet_fits_and_begins_and_ends_between_words(
            text in "([a-zé]{1,6}[ .\n#-]{0,2}){0,40}", query in "[a-z]{1,3} [a-z]{1,3}", budget in 0..80_usize
        ) {
            let terms = WeightedTerms::of_query(&query);
            let found = snippet(&text, &terms, budget, str::len);
            prop_assert!(found.len() <= budget && found.end <= text.len());
            let is_end = |at: usize| at == 0 || at == text.len() || text[..at].ends_with([' ', '\n']) || sentences(&text).iter().any(|it| it.start == at);
            prop_assert!(is_end(found.start) && is_end(found.end));
            // Each sentence fits, so that none is divided.
            if sentences(&text).iter().all(|sentence| sentence.len() <= budget / 2) {
                prop_assert!(terms.held_by(&text) == 0 || terms.held_by(&text[found]) != 0);
            }
        }

        #[test]
        fn a_snippet_holds_a_word_of_the_query_if_the_text_does(
            words in proptest::collection::vec("[a-z]{1,9}[.,\n]?", 1..60), place in any::<proptest::sample::Index>(), budget in 12..80_usize
        ) {
            let text = words.join(" ");
            let terms = WeightedTerms::of_query(&words[place.index(words.len())]);
            let found = snippet(&text, &terms, budget, str::len);
            prop_assert!(terms.held_by(&text) == 0 || terms.held_by(&text[found]) != 0);
        }
    }
}
