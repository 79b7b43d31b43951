//! Splits a source's text into passages that fit the embedder, and makes the text that is embedded for each.
//!
//! A passage aims at a number of words, since short passages rank better than what a model's window would hold, and never
//! exceeds the model's tokens: a model drops what is past its window without a word. Passages do not overlap and leave out
//! nothing but the white space between them.

mod heading;
mod remnant;
mod size;

use std::iter::once;
use std::ops::Range;
use std::sync::Arc;

use text_splitter::{ChunkCapacity, ChunkConfig, MarkdownSplitter, TextSplitter};

use crate::source::TextFormat;
use heading::Headings;
use size::Sizer;

/// The words a passage aims at. With 180 and the best passage counted, MiniLM ranks long documents best.
pub const TARGET_WORDS: usize = 180;

/// Tokens kept free in each passage for the title and the headings that [`embed_text`] puts before it.
const PREFIX_TOKENS: usize = 32;

/// Longer texts are split block by block; large enough that few passages end at a block's end.
const BLOCK_BYTES: usize = 32 * 1024;

/// What a passage may hold at the most.
#[derive(Clone)]
pub struct Limit {
    /// Words, as white space divides them.
    pub words: usize,
    /// The model's window in tokens, the marks that it adds at both ends included.
    pub tokens: usize,
    /// Counts a text's tokens as the model does, the marks included: `count("")` is the number of marks.
    pub count: Arc<dyn Fn(&str) -> usize + Send + Sync>,
}

/// A piece of a source's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Its place among the passages of the source, from 0.
    pub ordinal: u32,
    /// The headings in force where it begins, outermost first: `Install > Linux`. Empty without headings.
    pub heading: String,
    /// The text, trimmed, never empty.
    pub text: String,
    /// Where the text stands in the source's text, in bytes.
    pub range: Range<usize>,
}

/// The passages of a text, in order. A text that fits is one passage, and a blank one is none: a record with a title only
/// passes its title as the text.
pub fn split(text: &str, format: TextFormat, limit: &Limit) -> Vec<Passage> {
    let headings = if format == TextFormat::Markdown { Headings::of(text) } else { Headings::default() };
    let sizer = Sizer::new(limit, limit.tokens.saturating_sub(PREFIX_TOKENS));
    let mut ranges = Vec::new();
    for range in remnant::joined(text, pieces(text, format, &sizer), &headings, &sizer) {
        // The sizer adds up words, which for some tokenizers is less than the whole. What is too big after all is split
        // again, by its exact tokens.
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
    // Even pieces: a text of 200 words becomes two of about 100, not one of 180 and a remnant that says nothing.
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

/// A long text in blocks, cut at the best place near their end: a blank line, a line's end, a space. The splitter looks at all
/// of what is left for each passage, so that a book on one line would take it minutes.
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

/// The text to embed for a passage: its title and headings, as much of them as the window leaves room for, on a line of
/// their own, then the passage. What the passage begins with anyway is not said twice.
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
        // A word is a token or more, so at most this many words can stay that are too many.
        let over = (tokens - limit.tokens).div_ceil(4).min(words.len());
        words.truncate(words.len() - over);
    }
    text.to_owned()
}

#[cfg(test)]
mod tests;
