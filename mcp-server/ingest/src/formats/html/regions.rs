//! Selects the part of a page that holds its text, if the page marks one.

use std::{borrow::Cow, ops::Range};

use super::furniture::Region;

/// An element that may hold the page's text.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) region: Region,
    pub(super) bytes: Range<usize>,
    /// Number of its letters outside of links.
    pub(super) prose: usize,
}

/// Returns the text of the innermost elements that are marked as the page's text and hold enough of
/// it: `main`, in it `article`.
pub(super) fn select(found: &[Found], prose: usize, text: &str) -> String {
    let mut scope: (Vec<Range<usize>>, usize) = (std::iter::once(0..text.len()).collect(), prose);
    let mut is_marked = false;
    for region in [Region::Main, Region::Article, Region::Content, Region::Written] {
        if region == Region::Content && is_marked {
            continue;
        }
        let inner = outermost(found, region, &scope.0);
        let held: usize = inner.iter().map(|(_, prose)| prose).sum();
        // One article is what the page is about; several may be the teasers of others.
        let share = match (region, inner.len()) {
            (Region::Main | Region::Written, _) => 0.25,
            (_, 1) => 0.5,
            _ => 0.9,
        };
        if held > 0 && held as f64 >= share * scope.1 as f64 {
            is_marked = true;
            scope = (inner.into_iter().map(|(bytes, _)| bytes).collect(), held);
        }
    }
    let parts: Vec<Cow<'_, str>> =
        scope.0.iter().filter_map(|bytes| text.get(bytes.clone())).map(|part| part.trim_matches('\n').into()).collect();
    parts.join("\n\n")
}

/// Returns the elements of this kind that lie in no other one, and in the scope, in their order.
fn outermost(found: &[Found], region: Region, scope: &[Range<usize>]) -> Vec<(Range<usize>, usize)> {
    let mut all: Vec<_> = found.iter().filter(|found| found.region == region && !found.bytes.is_empty()).collect();
    all.sort_by_key(|found| (found.bytes.start, std::cmp::Reverse(found.bytes.end)));
    let (mut kept, mut end, mut at) = (Vec::new(), 0, 0);
    for found in all {
        while scope.get(at).is_some_and(|range| range.end <= found.bytes.start) {
            at += 1;
        }
        let is_within =
            scope.get(at).is_some_and(|range| range.start <= found.bytes.start && found.bytes.end <= range.end);
        if is_within && found.bytes.start >= end {
            end = found.bytes.end;
            kept.push((found.bytes.clone(), found.prose));
        }
    }
    kept
}
