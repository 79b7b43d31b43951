//! Cuts a passage or a query that the embedder refuses as too long, until every part is embedded.
//!
//! The tokens of a passage are estimated for a server's model, and the estimate is too low for
//! dense text such as base64, hashes and minified code. Servers report a text that is too long in
//! many ways, so a refusal counts as one of length if the parts are embedded: a text that is
//! refused for its content has a part that is refused, too. The vector of a cut passage is the mean
//! of its parts' vectors (docs/decisions/0038-what-an-embedding-server-takes.md).

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use parking_lot::Mutex;

use super::{EmbedError, FailureClass, Purpose, VectorFault, slots::Core, vectors::check_and_normalise};

/// The length in bytes from which a refused part is cut. A shorter one is not refused for its
/// length: no model has so small a window.
const MIN_CUT_BYTES: usize = 128;
/// The most parts of a passage, and thus the most calls that it costs.
const MAX_PARTS: usize = 64;
/// The classes of density: eight by the length of the words, each for ASCII and for other text.
const CLASSES: usize = 16;

/// The lengths in bytes that an embedder was found to refuse, by the density of the text.
///
/// One limit for all texts would cut prose to the length of base64.
#[derive(Debug, Default)]
pub(super) struct LengthLimits {
    by_density: Mutex<[Option<LengthLimit>; CLASSES]>,
    /// How many passages were cut because the embedder refused them.
    learned: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct LengthLimit {
    /// The shortest length that was refused.
    refused: usize,
    /// The length of a part that was embedded.
    part: usize,
}

impl LengthLimits {
    /// Cuts a text into the parts that the embedder takes, as far as is known.
    pub(super) fn cut<'a>(&self, text: &'a str) -> Vec<&'a str> {
        match self.by_density.lock()[density(text)] {
            Some(limit) if text.len() >= limit.refused => split(text, limit.part.max(text.len() / MAX_PARTS)),
            _ => vec![text],
        }
    }

    /// Returns how many passages were cut because the embedder refused them.
    pub(super) fn learned(&self) -> usize {
        self.learned.load(Ordering::Relaxed)
    }

    /// Records that the embedder refused `refused` bytes of a text and took `part` bytes.
    fn learn(&self, text: &str, refused: usize, part: usize) {
        self.learned.fetch_add(1, Ordering::Relaxed);
        let known = &mut self.by_density.lock()[density(text)];
        let refused = known.map_or(refused, |known| known.refused.min(refused));
        // A part of a denser text may have been shorter. A part must be shorter than what is
        // refused.
        let part = known.map_or(part, |known| known.part.min(part)).clamp(1, refused.saturating_sub(1).max(1));
        *known = Some(LengthLimit { refused, part });
        tracing::info!(refused, part, "the embedder takes no passage this long; further ones like it are cut before");
    }
}

impl Core {
    /// Embeds passages, each in as many parts as the embedder needs.
    ///
    /// Only a passage that is alone in its call is cut for a refusal, since the caller halves a
    /// refused call of several.
    pub(super) fn embed_passages(&self, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        let parts: Vec<Vec<&str>> = texts.iter().map(|text| self.lengths.cut(text)).collect();
        if let ([text], [parts]) = (texts, parts.as_slice()) {
            return Ok(vec![self.embed_in_parts(Purpose::Passage, text, parts, deadline)?]);
        }
        if parts.iter().all(|parts| parts.len() == 1) {
            return self.embed_settled(Purpose::Passage, texts, deadline);
        }
        let all: Vec<String> = parts.iter().flatten().map(|part| (*part).to_owned()).collect();
        let mut vectors = Vec::with_capacity(all.len());
        // The caller chose the size of the call, so no call may hold more texts.
        for call in all.chunks(texts.len()) {
            vectors.extend(self.embed_settled(Purpose::Passage, call, deadline)?);
        }
        let mut vectors = vectors.into_iter();
        let one = |parts: &Vec<&str>| self.mean(parts.iter().map(|part| part.len()).zip(vectors.by_ref()).collect());
        parts.iter().map(one).collect()
    }

    /// Embeds a query, in parts if it is longer than the model's window.
    ///
    /// Someone waits for it, so a refusal that may have another reason is not tried in parts.
    pub(super) fn embed_query(&self, texts: &[String], deadline: Instant) -> Result<Vec<Vec<f32>>, EmbedError> {
        match (self.embed_settled(Purpose::Query, texts, deadline), texts) {
            (Err(error), [text]) if error.class() == FailureClass::TooLong => {
                Ok(vec![self.embed_in_parts(Purpose::Query, text, &split(text, text.len().div_ceil(2)), deadline)?])
            }
            (settled, _) => settled,
        }
    }

    /// Embeds one text, given in parts, and halves each part that is refused. If a part is refused
    /// that cannot be too long, the text fails with its first error.
    ///
    /// An error that only the probe word turned into the text's fault may have been a short one of
    /// the embedder, so the text is sent once more: otherwise a broken connection would make all
    /// further passages of that length be cut.
    fn embed_in_parts(
        &self,
        purpose: Purpose,
        text: &str,
        parts: &[&str],
        deadline: Instant,
    ) -> Result<Vec<f32>, EmbedError> {
        let mut left: Vec<&str> = parts.iter().rev().copied().collect();
        let mut done = Vec::new();
        let (mut first_error, mut refused, mut is_retried) = (None, usize::MAX, false);
        while let Some(part) = left.pop() {
            match self.embed_settled(purpose, &[part.to_owned()], deadline) {
                Ok(vectors) => done.extend(vectors.into_iter().map(|vector| (part.len(), vector))),
                Err(error) if !matches!(error.class(), FailureClass::RefusedBatch | FailureClass::TooLong) => {
                    return Err(error);
                }
                Err(EmbedError::OnlyThese { .. }) if !is_retried => {
                    is_retried = true;
                    left.push(part);
                }
                Err(error) => {
                    let parts = done.len() + left.len();
                    let is_cut = purpose == Purpose::Query || self.options.cuts_passages;
                    if !is_cut || part.len() < MIN_CUT_BYTES || parts >= MAX_PARTS {
                        return Err(first_error.unwrap_or(error));
                    }
                    refused = refused.min(part.len());
                    first_error.get_or_insert(error);
                    left.extend(split(part, part.len().div_ceil(2)).into_iter().rev());
                }
            }
        }
        if first_error.is_some() && purpose == Purpose::Passage {
            let taken = done.iter().map(|(length, _)| *length).filter(|length| *length < refused);
            self.lengths.learn(text, refused, taken.max().unwrap_or(refused / 2));
        }
        self.mean(done)
    }

    /// Returns the mean of vectors, weighted by the lengths of their parts, at length 1.
    fn mean(&self, mut parts: Vec<(usize, Vec<f32>)>) -> Result<Vec<f32>, EmbedError> {
        if parts.len() == 1 {
            return Ok(parts.remove(0).1);
        }
        let mut mean = vec![0.0; parts.first().map_or(0, |(_, vector)| vector.len())];
        for (length, vector) in &parts {
            mean.iter_mut().zip(vector).for_each(|(sum, number)| *sum += *length as f32 * number);
        }
        let mut means = [mean];
        let bad = |fault: VectorFault| EmbedError::BadVector { embedder: self.model().to_string(), fault };
        check_and_normalise(&mut means, 1).map_err(bad)?;
        let [mean] = means;
        Ok(mean)
    }
}

/// Returns the class of a text's density.
fn density(text: &str) -> usize {
    let words = text.split_ascii_whitespace().count().max(1);
    let class = (text.len() / words).max(1).ilog2().min(7) as usize;
    let is_other = text.bytes().filter(|byte| !byte.is_ascii()).count() * 2 > text.len();
    2 * class + usize::from(is_other)
}

/// Splits a text into parts of at most `max_bytes`, after white space where there is some in the
/// last quarter of a part. Parts of nothing but white space are left out.
fn split(text: &str, max_bytes: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > max_bytes {
        let most = rest.floor_char_boundary(max_bytes).max(rest.ceil_char_boundary(1));
        let earliest = rest.floor_char_boundary(most - most / 4);
        let space = rest[earliest..most].char_indices().rfind(|(_, letter)| letter.is_whitespace());
        let (part, tail) = rest.split_at(space.map_or(most, |(at, letter)| earliest + at + letter.len_utf8()));
        parts.push(part);
        rest = tail;
    }
    parts.push(rest);
    parts.retain(|part| !part.trim().is_empty());
    if parts.is_empty() { vec![text] } else { parts }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_without_spaces_is_cut_between_letters() {
        assert_eq!(split("日本語", 4), ["日", "本", "語"]);
        assert_eq!(split("one two three", 9), ["one two ", "three"]);
        assert_eq!(split("   ", 1), ["   "]);
    }

    #[test]
    fn prose_and_dense_text_have_limits_of_their_own() {
        let limits = LengthLimits::default();
        let (prose, dense) = ("Plain words of a sentence. ".repeat(40), "c2VjcmV0IGJ5dGVz".repeat(40));
        limits.learn(&dense, 640, 320);
        assert_eq!(limits.cut(&dense).len(), 2);
        assert_eq!(limits.cut(&dense[..639]), [&dense[..639]], "what was never refused is sent whole");
        assert_eq!(limits.cut(&prose), [prose.as_str()]);
        limits.learn(&dense, 320, 160);
        assert_eq!(limits.cut(&dense).len(), 4, "a smaller limit replaces a larger one");
        limits.learn(&dense, 640, 320);
        assert_eq!(limits.cut(&dense).len(), 4);
    }

    proptest! {
        #[test]
        fn parts_fit_and_are_the_whole_text_but_for_white_space(
            text in "(\\PC|\\s|[a-z ]{9}){1,80}", most in 4..300_usize
        ) {
            let parts = split(&text, most);
            prop_assert!(parts.iter().all(|part| part.len() <= most) || text.trim().is_empty());
            let squeezed = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(squeezed(&parts.concat()), squeezed(&text));
        }
    }
}
