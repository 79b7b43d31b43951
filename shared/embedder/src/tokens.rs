//! A token count for models whose tokenizer lives elsewhere.
//!
//! The estimate errs upward: a passage that is cut a little too short costs nothing, but one that
//! is too long is refused by the embedder or, worse, truncated silently.

/// The start and end markers that nearly every model adds.
const SPECIAL_TOKENS: usize = 2;

/// Estimates the tokens of a text: at least as many as the usual tokenizers (WordPiece, byte-pair,
/// SentencePiece) make of ordinary text.
pub(super) fn estimate(text: &str) -> usize {
    let mut tokens = SPECIAL_TOKENS;
    let mut letters = 0;
    let mut digits = 0;
    for c in text.chars() {
        // A run of letters has a token for every four letters, a run of digits one for every two.
        letters = if c.is_ascii_alphabetic() { letters + 1 } else { 0 };
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        tokens += match c {
            _ if letters > 0 => usize::from(letters % 4 == 1),
            _ if digits > 0 => usize::from(digits % 2 == 1),
            _ if c.is_ascii_whitespace() => 0,
            _ if c.is_ascii() || c.is_alphabetic() && c < '\u{2E80}' => 1,
            // Tokenizers split ideographs, emoji and the like into bytes if their vocabulary lacks
            // them.
            _ => 2,
        };
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimate_is_never_below_what_wordpiece_makes() {
        // Counted with the tokenizer of all-MiniLM-L6-v2, its two special tokens included.
        for (text, tokens) in [
            ("", 2),
            ("How do we calculate net revenue for a quarter?", 12),
            ("SELECT cust_id FROM hive.sales.orders_v2", 16),
            ("Наблюдаемость", 15),
            ("東京タワー", 7),
        ] {
            assert!(estimate(text) >= tokens, "{text:?}: {} < {tokens}", estimate(text));
        }
    }

    #[test]
    fn estimate_stays_within_twice_the_length_of_prose() {
        let prose = "The quick brown fox jumps over the lazy dog and runs away into the deep green forest".repeat(10);
        assert!(estimate(&prose) < 2 * 17 * 10 + SPECIAL_TOKENS);
    }
}
