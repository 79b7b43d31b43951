//! Turns text into the terms of the keyword index, in the same way for stored text and for queries.
//!
//! All of it happens here and not in the database, so no locale and no text-search configuration
//! affects results. [`segment`] finds words and identifiers, [`fold`] normalizes and stems each,
//! [`stop`] lists the stop words, and [`weighted`] finds a query's terms in a text. This file counts
//! the terms.

mod fold;
mod segment;
mod stop;
mod weighted;

use std::collections::HashMap;

use segment::Role;

pub use weighted::WeightedTerms;

/// Maximum number of terms in a query. Each term costs an index scan. A query of a whole paragraph
/// from the judged collections has about 50 terms; beyond 64 someone has pasted a document, and its
/// beginning is enough.
pub const MAX_QUERY_TERMS: usize = 64;

/// The terms of one text, for BM25. Empty for a text without words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Each distinct term with its number of occurrences, in byte order. A term has at most 64
    /// bytes.
    pub counts: Vec<(String, u32)>,
    /// The length that BM25 normalizes by, without stop words. Of an identifier only the smallest
    /// parts count, so that a text with long names is not taken for a long text.
    pub length: u32,
}

/// Returns the revision of the folding that gave a text its terms, or `None` for the first one.
///
/// It is part of a record's hash: a record that is written again gets its new terms, although
/// nothing in it has changed. Raise it for the texts whose terms a change concerns.
pub fn folding_revision(text: &str) -> Option<u32> {
    // Hebrew and Arabic, and their presentation forms.
    let is_folded = |c| matches!(c, '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}');
    text.contains(is_folded).then_some(2)
}

/// Returns the terms of a text that is stored.
pub fn index_terms(text: &str) -> Words {
    let mut spelled: HashMap<String, u32> = HashMap::new();
    let mut length = 0_u32;
    segment::each_token(&fold::normalise(text), &mut |token, role| {
        let token = token.to_lowercase();
        if role != Role::Whole && stop::is_stop_word(&token) {
            return;
        }
        // Single characters are indexed in addition to the pairs that contain them, but only the
        // pairs count in the length.
        length = length.saturating_add(u32::from(matches!(role, Role::Word | Role::Pair)));
        let count = spelled.entry(token).or_default();
        *count = count.saturating_add(1);
    });
    // Terms are stemmed after counting, so that each distinct spelling is stemmed only once.
    let mut counts: HashMap<String, u32> = HashMap::with_capacity(spelled.len());
    for (token, count) in spelled {
        let sum = counts.entry(fold::term(token)).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    // A fixed order: two writers that touch the same postings lock them in the same order, so they
    // do not deadlock.
    counts.sort_unstable();
    Words { counts, length }
}

/// Returns the distinct terms of a query with their numbers of occurrences, in the order of the
/// text, at most [`MAX_QUERY_TERMS`]. A text matches if it has any of them. The list is empty if
/// the query has only stop words.
pub fn query_terms(text: &str) -> Vec<(String, u32)> {
    let mut terms: Vec<(String, u32)> = Vec::new();
    segment::each_token(&fold::normalise(text), &mut |token, role| {
        // Only pairs of Chinese or Japanese characters are searched: single characters would match
        // nearly every text.
        if terms.len() >= MAX_QUERY_TERMS || role == Role::Single {
            return;
        }
        let token = token.to_lowercase();
        if role != Role::Whole && stop::is_stop_word(&token) {
            return;
        }
        let term = fold::term(token);
        match terms.iter_mut().find(|(known, _)| *known == term) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => terms.push((term, 1)),
        }
    });
    terms
}

#[cfg(test)]
mod tests;
