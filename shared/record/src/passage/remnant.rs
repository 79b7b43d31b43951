//! Merges the remnants that a splitter leaves: a heading separated from its section, or the last
//! three words that no longer fit. The embedding of such a passage is noise.

use std::iter::once;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::heading::Headings;
use super::size::Sizer;

/// A passage smaller than one fourth of a full passage is a remnant.
const FRACTION: usize = 4;

/// Merges each remnant with its neighbor in the same section. If both together are too large, their
/// text is divided evenly.
pub(super) fn joined(
    text: &str,
    pieces: Vec<Range<usize>>,
    headings: &Headings,
    sizer: &Sizer<'_>,
) -> Vec<Range<usize>> {
    let is_remnant = |range: &Range<usize>| is_small(&text[range.clone()], sizer);
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let before = ranges
            .pop_if(|before| headings.same(before.start, piece.start) && (is_remnant(&piece) || is_remnant(before)));
        match before {
            Some(before) => ranges.extend(shared(text, before, piece, sizer)),
            None => ranges.push(piece),
        }
    }
    ranges
}

fn is_small(text: &str, sizer: &Sizer<'_>) -> bool {
    sizer.units(text) * FRACTION < sizer.capacity()
}

fn shared(text: &str, before: Range<usize>, piece: Range<usize>, sizer: &Sizer<'_>) -> Vec<Range<usize>> {
    let both = &text[before.start..piece.end];
    if sizer.units(both) <= sizer.capacity() {
        return once(before.start..piece.end).collect();
    }
    let middle = both.len() / 2;
    let nearest = |bounds: &mut dyn Iterator<Item = (usize, &str)>| {
        bounds.map(|(at, _)| at).min_by_key(|at| at.abs_diff(middle)).unwrap_or_default()
    };
    let cuts = [nearest(&mut both.split_sentence_bound_indices()), nearest(&mut both.split_word_bound_indices())];
    for cut in cuts {
        let (first, second) = (both[..cut].trim_end(), both[cut..].trim_start());
        let fits = |half: &str| !is_small(half, sizer) && sizer.units(half) <= sizer.capacity();
        if fits(first) && fits(second) {
            return Vec::from([before.start..before.start + first.len(), piece.end - second.len()..piece.end]);
        }
    }
    Vec::from([before, piece])
}
