//! Splits a source's text into passages that fit the embedding model, and builds the text to embed
//! for each.
//!
//! A passage has a target length in words, because short passages rank better than passages that
//! fill a model's window. It never exceeds the model's tokens, because a model silently truncates
//! longer input. Passages do not overlap, and omit only the white space between them.

mod heading;
mod remnant;
mod size;

use std::iter::once;
use std::ops::Range;
use std::sync::Arc;

use text_splitter::{ChunkCapacity, ChunkConfig, MarkdownSplitter, TextSplitter};

use crate::source::TextFormat;
use heading::Headings;
pub use heading::path_within;
use size::Sizer;

/// Target length of a passage in words. With 180, and sources ranked by their best passage, MiniLM
/// ranks long documents best.
pub const TARGET_WORDS: usize = 180;

/// Tokens reserved in each passage for the title and headings that [`embed_text`] puts before it.
const PREFIX_TOKENS: usize = 32;

/// Texts longer than this are split block by block. A block is large, so that few passages end at
/// its end.
const BLOCK_BYTES: usize = 32 * 1024;

/// The maximum size of a passage.
#[derive(Clone)]
pub struct Limit {
    /// Maximum words, separated by white space.
    pub words: usize,
    /// The model's window in tokens, including the special tokens that it adds at both ends.
    pub tokens: usize,
    /// Counts a text's tokens as the model does, including the special tokens: `count("")` is their
    /// number.
    pub count: Arc<dyn Fn(&str) -> usize + Send + Sync>,
}

/// A piece of a source's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The position among the passages of the source, from 0.
    pub ordinal: u32,
    /// The headings above the start of the passage, outermost first: `Install > Linux`. Empty
    /// without headings.
    pub heading: String,
    /// The text, trimmed and not empty.
    pub text: String,
    /// The position of the text in the source's text, in bytes.
    pub range: Range<usize>,
}

/// Splits a text into passages, in order. A text that fits is one passage, and a blank text has
/// none.
pub fn split(text: &str, format: TextFormat, limit: &Limit) -> Vec<Passage> {
    let headings = if format == TextFormat::Markdown { Headings::of(text) } else { Headings::default() };
    let sizer = Sizer::new(limit, limit.tokens.saturating_sub(PREFIX_TOKENS));
    let mut ranges = Vec::new();
    for range in remnant::joined(text, pieces(text, format, &sizer), &headings, &sizer) {
        // The sizer adds up the tokens of words. Some tokenizers count more for the whole text, so
        // a piece that is still too large is split by its exact token count.
        if sizer.fits_exactly(&text[range.clone()]) {
            ranges.push(range);
        } else {
            let config = ChunkConfig::new(sizer.token_capacity()).with_sizer(size::Exact(limit));
            let within = TextSplitter::new(config);
            let chunks = within.chunk_indices(&text[range.clone()]);
            ranges.extend(chunks.map(|(at, chunk)| range.start + at..range.start + at + chunk.len()));
        }
    }
    let passages = ranges.into_iter().zip(0..);
    passages
        .map(|(range, ordinal)| Passage {
            ordinal,
            heading: headings.path_at(range.start),
            text: text[range.clone()].to_owned(),
            range,
        })
        .collect()
}

fn pieces(text: &str, format: TextFormat, sizer: &Sizer<'_>) -> Vec<Range<usize>> {
    let blank = text.len() - text.trim_start().len();
    let whole = text.trim();
    if whole.is_empty() {
        return Vec::new();
    }
    let total = sizer.units(whole);
    if total <= sizer.capacity() {
        return once(blank..blank + whole.len()).collect();
    }
    // Aim at even pieces: a text of 200 words becomes two pieces of about 100, not one of 180 and a
    // remnant without content.
    let even = total.div_ceil(total.div_ceil(sizer.capacity()));
    let capacity = ChunkCapacity::new(even).with_max(sizer.capacity()).unwrap_or(ChunkCapacity::new(sizer.capacity()));
    let config = || ChunkConfig::new(capacity).with_sizer(sizer);
    let plain = TextSplitter::new(config());
    let markdown = MarkdownSplitter::new(config());
    let mut ranges = Vec::new();
    for block in blocks(text) {
        let within = &text[block.clone()];
        let range = |(at, chunk): (usize, &str)| block.start + at..block.start + at + chunk.len();
        match format {
            TextFormat::Plain => ranges.extend(plain.chunk_indices(within).map(range)),
            TextFormat::Markdown => ranges.extend(markdown.chunk_indices(within).map(range)),
        }
    }
    ranges
}

/// Cuts a long text into blocks at the best place near each block's end: a blank line, a line's
/// end, a sentence's end, or a space. The splitter scans all of the remaining text for each
/// passage, so it would take minutes for a book on one line.
fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut start = 0;
    while text.len() - start > BLOCK_BYTES {
        let most = &text[start..text.floor_char_boundary(start + BLOCK_BYTES)];
        let last =
            |separator: &str| most.rfind(separator).map(|at| at + separator.len()).filter(|at| *at > BLOCK_BYTES / 2);
        let end =
            last("\n\n").or_else(|| last("\n")).or_else(|| last(". ")).or_else(|| last(" ")).unwrap_or(most.len());
        blocks.push(start..start + end);
        start += end;
    }
    blocks.push(start..text.len());
    blocks
}

/// Returns the text to embed for a passage: one line with as much of title and headings as the
/// window has room for, then the passage. A title or heading with which the passage begins is not
/// repeated.
pub fn embed_text(title: &str, heading: &str, text: &str, limit: &Limit) -> String {
    let text = text.trim();
    let said = |part: &str| text.trim_start_matches(['#', ' ']).starts_with(part);
    let mut parts: Vec<&str> =
        heading.split(heading::SEPARATOR).filter(|part| !part.is_empty() && !said(part)).collect();
    let title = title.trim();
    if !title.is_empty() && !said(title) && parts.first() != Some(&title) {
        parts.insert(0, title);
    }
    let prefix = parts.join(heading::SEPARATOR);
    let mut words: Vec<&str> = prefix.split_whitespace().collect();
    while !words.is_empty() {
        let candidate = if text.is_empty() { words.join(" ") } else { format!("{}\n{text}", words.join(" ")) };
        let tokens = (limit.count)(&candidate);
        if tokens <= limit.tokens {
            return candidate;
        }
        // Each word is at least one token, so removing a quarter of the excess is rarely too much,
        // and a few rounds suffice.
        let over = (tokens - limit.tokens).div_ceil(4).min(words.len());
        words.truncate(words.len() - over);
    }
    text.to_owned()
}

#[cfg(test)]
mod tests;
