//! The terms of a query with their weights, to find them in a text faster than by indexing it.

use super::{MAX_QUERY_TERMS, fold, index_terms, query_terms};

/// The terms of a query, each with its weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WeightedTerms(Vec<(String, f64)>);

impl WeightedTerms {
    /// Takes terms as [`query_terms`] makes them, at most [`MAX_QUERY_TERMS`].
    pub fn new(terms: impl IntoIterator<Item = (String, f64)>) -> Self {
        Self(terms.into_iter().filter(|(_, weight)| *weight > 0.0).take(MAX_QUERY_TERMS).collect())
    }

    /// Returns the terms of a query whose statistics are not known, all with the same weight.
    pub fn of_query(text: &str) -> Self {
        Self::new(query_terms(text).into_iter().map(|(term, _)| (term, 1.0)))
    }

    /// Returns whether there are no terms.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the terms that a text contains, as a set of bits.
    ///
    /// An identifier is found by its parts, and as a whole only where it is spelled as in the
    /// query, so this is no substitute for the index.
    pub fn held_by(&self, text: &str) -> u64 {
        let mut held = 0;
        if self.is_empty() {
            return held;
        }
        if !text.is_ascii() {
            for (term, _) in index_terms(text).counts {
                held |= self.bit_of(&term);
            }
            return held;
        }
        // A stem begins with the first letter of its word, and most words begin with no term's.
        let initials = self.0.iter().filter_map(|(term, _)| term.bytes().next());
        let initials = initials.filter(u8::is_ascii).fold(0_u128, |set, byte| set | 1 << byte);
        for word in text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '\'') {
            let Some(first) = word.bytes().next() else { continue };
            if initials & 1 << first.to_ascii_lowercase() != 0 {
                held |= self.bit_of(&fold::term(word.to_ascii_lowercase()));
            }
        }
        for (place, (term, _)) in self.0.iter().enumerate() {
            let is_compound = term.bytes().any(|byte| byte.is_ascii_punctuation() && byte != b'\'');
            if is_compound && text.to_ascii_lowercase().contains(term.as_str()) {
                held |= 1 << place;
            }
        }
        held
    }

    /// Returns the sum of the weights of a set of terms.
    pub fn weight(&self, held: u64) -> f64 {
        self.0.iter().enumerate().filter(|(place, _)| held & 1 << place != 0).map(|(_, (_, weight))| weight).sum()
    }

    /// Returns the weight of a term; 0 if it is none of these.
    pub fn weight_of(&self, term: &str) -> f64 {
        self.0.iter().find(|(known, _)| known == term).map_or(0.0, |(_, weight)| *weight)
    }

    fn bit_of(&self, term: &str) -> u64 {
        self.0.iter().position(|(known, _)| known == term).map_or(0, |place| 1 << place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_terms_of_a_query_are_found_in_any_form_of_their_words() {
        let terms = WeightedTerms::of_query("Which locks does CREATE INDEX take on pg_stat_activity of version 1.4.2?");
        let held = |text: &str| terms.weight(terms.held_by(text));
        assert_eq!(held("creating an indexed table"), 2.0);
        assert_eq!(held("It LOCKED pg_stat_activity."), 5.0, "the name counts as a whole and in parts");
        assert_eq!(held("since 1.4.2"), 1.0);
        assert_eq!(held("“creating” cafés"), 1.0);
        assert_eq!(held("nothing"), 0.0);
    }

    proptest! {
        // Plain words are found exactly where the index would find them.
        #[test]
        fn words_match_as_in_the_index(words in proptest::collection::vec("[a-zA-Z]{1,8}(s|ing|ed|ly|'s)?", 1..12), asked in 0..12_usize) {
            let text = words.join(" ").to_lowercase();
            let query = words[asked % words.len()].to_lowercase();
            let terms = WeightedTerms::of_query(&query);
            let indexed = index_terms(&text).counts;
            for (place, (term, _)) in terms.0.iter().enumerate() {
                let expected = indexed.iter().any(|(known, _)| known == term);
                prop_assert_eq!(terms.held_by(&text) & 1 << place != 0, expected, "{} in {}", term, text);
            }
        }
    }
}
