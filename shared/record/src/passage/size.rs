//! How big a piece of text is, cheaply enough for a splitter that asks many times for each passage.
//!
//! A real tokenizer takes seconds for a million words, and the splitter looks at each word some ten times. So a word's
//! tokens are counted once, and a piece is the sum of its words.

use std::cell::RefCell;
use std::collections::HashMap;

use text_splitter::ChunkSizer;

use super::Limit;

/// Words longer than this many bytes are no words (a line of Chinese, a path, a base64 block), and the splitter cuts them at
/// ever other places. Their tokens are estimated, on the high side for most models; the exact count has the last word.
const REMEMBERED_BYTES: usize = 48;

/// A word counts again for each so many bytes: a blob without a space is one token (the unknown one) to some models, and would
/// be one passage of megabytes.
const WORD_BYTES: usize = 32;

/// Measures in units, of which a full passage has [`Sizer::capacity`]: as many as the limit has words. A piece counts its
/// words, or its share of the token window when that is the larger.
pub(super) struct Sizer<'a> {
    limit: &'a Limit,
    window: usize,
    marks: usize,
    known: RefCell<HashMap<String, usize>>,
}

impl<'a> Sizer<'a> {
    /// `window` is the part of the limit's tokens that a passage may fill.
    pub(super) fn new(limit: &'a Limit, window: usize) -> Self {
        let marks = (limit.count)("");
        Self { limit, window: window.max(marks + 1), marks, known: RefCell::default() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.limit.words.max(1)
    }

    /// The tokens that a passage may have, marks not counted.
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

/// Measures in tokens, marks not counted, by the model's tokenizer itself.
pub(super) struct Exact<'a>(pub(super) &'a Limit);

impl ChunkSizer for Exact<'_> {
    fn size(&self, chunk: &str) -> usize {
        (self.0.count)(chunk).saturating_sub((self.0.count)(""))
    }
}
