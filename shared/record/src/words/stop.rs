//! English stop words.
//!
//! They are neither indexed nor searched. BM25 ranks better without them on every judged
//! collection, and they would be 25 to 40 % of all postings. A query of stop words only is answered
//! by vector similarity. The list holds function words only, not words that someone might look for
//! (`system`, `new`, `first`).

use std::collections::HashSet;
use std::sync::LazyLock;

const LIST: &str = "\
    a about after again all also am an and any are aren't as at be because been before being between both but by can \
    can't cannot could couldn't did didn't do does doesn't doing don't during each few for from further had hadn't \
    has hasn't have haven't having he he's her here hers herself him himself his how i i'd i'll i'm i've if in into \
    is isn't it it's its itself let's may me might more most my myself no nor not of on only or other our ours \
    ourselves out over own same she she's should shouldn't so some such than that that's the their theirs them \
    themselves then there there's these they they're they've this those through to too under until up upon us very \
    was wasn't we we'll we're we've were weren't what what's when where which while who whom whose why will with \
    won't would wouldn't you you'd you'll you're you've your yours yourself yourselves";

static STOP_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| LIST.split(' ').collect());

/// Returns whether a lower-case word is a stop word.
pub(super) fn is_stop_word(word: &str) -> bool {
    STOP_WORDS.contains(word)
}

#[cfg(test)]
mod tests {
    use super::{LIST, is_stop_word};

    #[test]
    fn each_stop_word_is_known() {
        assert!(LIST.split(' ').all(is_stop_word));
        assert!(!is_stop_word(""));
    }
}
