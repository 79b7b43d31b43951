//! Measures the size of a text, cheaply enough for a splitter that asks several times for each
//! passage.
//!
//! A real tokenizer takes seconds for a million words, and the splitter looks at each word about
//! ten times. So the tokens of each distinct word are counted once, and a text's count is the sum
//! over its words.

use std::cell::RefCell;
use std::collections::HashMap;

use text_splitter::ChunkSizer;

use super::Limit;

/// Longer words are not cached. They are not really words (a line of Chinese, a path, a base64
/// block), and the splitter cuts them at ever different places. Their tokens are estimated, too
/// high for most models; the exact count decides in the end.
const REMEMBERED_BYTES: usize = 48;

/// A long word counts as one word for each this many bytes. Some models tokenize a blob without
/// spaces as one unknown token, so it would become a passage of megabytes.
const WORD_BYTES: usize = 32;

/// Measures texts in units. A full passage has [`Sizer::capacity`] units, which is the limit's
/// number of words. A text's units are its words or its share of the token window, whichever is
/// larger.
pub(super) struct Sizer<'a> {
    limit: &'a Limit,
    window: usize,
    marks: usize,
    known: RefCell<HashMap<String, usize>>,
}

impl<'a> Sizer<'a> {
    /// Creates a sizer. `window` is the part of the limit's tokens that a passage may fill.
    pub(super) fn new(limit: &'a Limit, window: usize) -> Self {
        let marks = (limit.count)("");
        Self { limit, window: window.max(marks + 1), marks, known: RefCell::default() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.limit.words.max(1)
    }

    /// Returns the maximum tokens of a passage without the special tokens.
    pub(super) fn token_capacity(&self) -> usize {
        self.window - self.marks
    }

    pub(super) fn fits_exactly(&self, text: &str) -> bool {
        (self.limit.count)(text) <= self.window
    }

    pub(super) fn units(&self, text: &str) -> usize {
        let (mut words, mut tokens) = (0, 0);
        for word in text.split_whitespace() {
            words += word.len().div_ceil(WORD_BYTES);
            tokens += self.tokens(word);
        }
        words.max((tokens * self.capacity()).div_ceil(self.token_capacity()))
    }

    fn tokens(&self, word: &str) -> usize {
        if word.len() > REMEMBERED_BYTES {
            return if word.is_ascii() { word.len() / 2 } else { word.chars().count() };
        }
        let mut known = self.known.borrow_mut();
        if let Some(tokens) = known.get(word) {
            return *tokens;
        }
        let tokens = (self.limit.count)(word).saturating_sub(self.marks);
        known.insert(word.to_owned(), tokens);
        tokens
    }
}

impl ChunkSizer for Sizer<'_> {
    fn size(&self, chunk: &str) -> usize {
        self.units(chunk)
    }
}

/// Measures texts in tokens with the model's own tokenizer, without the special tokens.
pub(super) struct Exact<'a>(pub(super) &'a Limit);

impl ChunkSizer for Exact<'_> {
    fn size(&self, chunk: &str) -> usize {
        (self.0.count)(chunk).saturating_sub((self.0.count)(""))
    }
}
