//! Turns text into the terms of the word index, the same for what is written and for what is asked.
//!
//! All of it happens here and not in the database, so neither a locale nor a text-search configuration changes a result.
//! [`segment`] finds words and identifiers, [`fold`] brings each to one spelling, [`stop`] names the words that carry no
//! meaning; this file counts what is left.

mod fold;
mod segment;
mod stop;

use std::collections::HashMap;

use segment::Role;

/// The most terms a query may have. Each one is an index scan, and a judged query of a whole paragraph has about fifty;
/// past that somebody pasted a document, and its opening stands for the rest.
pub const MAX_QUERY_TERMS: usize = 64;

/// The terms of one text, ready for BM25. Empty for a text without a word in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Each term once, in byte order, with how often it occurs. Terms are at most 64 bytes long.
    pub counts: Vec<(String, u32)>,
    /// The length that BM25 normalises by: the words that carry meaning. Only the smallest parts of an identifier count,
    /// so a text full of long names is not taken for a long text.
    pub length: u32,
}

/// The terms of a text that is to be found.
pub fn index_terms(text: &str) -> Words {
    let mut spelled: HashMap<String, u32> = HashMap::new();
    let mut length = 0_u32;
    segment::each_token(&fold::normalise(text), &mut |token, role| {
        let token = token.to_lowercase();
        if role != Role::Whole && stop::is_stop_word(&token) {
            return;
        }
        // A single character stands beside the pairs that it is part of: it is findable, but the pairs are the length.
        length = length.saturating_add(u32::from(matches!(role, Role::Word | Role::Pair)));
        let count = spelled.entry(token).or_default();
        *count = count.saturating_add(1);
    });
    // Stemming comes after counting: a long text repeats its words, and each spelling needs it only once.
    let mut counts: HashMap<String, u32> = HashMap::with_capacity(spelled.len());
    for (token, count) in spelled {
        let sum = counts.entry(fold::term(token)).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // One order everywhere: two writers that touch the same postings lock them in the same sequence.
    counts.sort_unstable();
    Words { counts, length }
}

/// The terms of a question, each once with how often it is said, in the order of the text, at most [`MAX_QUERY_TERMS`]. A text that has
/// any of them answers it. Empty for a question of stop words only.
pub fn query_terms(text: &str) -> Vec<(String, u32)> {
    let mut places = HashMap::new();
    let mut terms: Vec<(String, u32)> = Vec::new();
    segment::each_token(&fold::normalise(text), &mut |token, role| {
        // The pairs of a run of Chinese or Japanese say more than its characters, which would match nearly everything.
        if terms.len() >= MAX_QUERY_TERMS || role == Role::Single {
            return;
        }
        let token = token.to_lowercase();
        if role != Role::Whole && stop::is_stop_word(&token) {
            return;
        }
        let term = fold::term(token);
        match places.get(&term) {
            Some(&place) => {
                let (_, count): &mut (String, u32) = &mut terms[place];
                *count = count.saturating_add(1);
            }
            None => {
                places.insert(term.clone(), terms.len());
                terms.push((term, 1));
            }
        }
    });
    terms
}

#[cfg(test)]
mod tests;
