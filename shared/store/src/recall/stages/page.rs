//! Page: cuts the requested page from the list.

use super::diversify::{Chosen, List};
use crate::recall::End;
use crate::recall::answer::Context;

/// A page of the list.
pub(in crate::recall) struct Page {
    pub(in crate::recall) chosen: Vec<Chosen>,
    /// Whether there are further results after this page.
    pub(in crate::recall) more: bool,
    /// Why there are none, if there are none.
    pub(in crate::recall) end: Option<End>,
    /// Number of near-duplicates that are not shown, on this page and those before it.
    pub(in crate::recall) near_duplicates: usize,
}

/// Cuts the page from the list. `is_complete`: every source that may answer is among the candidates.
pub(in crate::recall) fn cut(context: &Context<'_>, list: List, is_complete: bool) -> Page {
    let List { mut chosen, total } = list;
    let shown = chosen.len();
    let seen: usize = chosen.iter().map(|chosen| 1 + chosen.near_duplicates.len()).sum();
    let more = total > seen;
    let end = (!more).then(|| match shown {
        _ if !is_complete => End::Cut,
        0 => End::Nothing { is_filtered: context.query.filter.has_conditions() },
        shown => End::Complete { shown },
    });
    chosen.drain(..context.query.offset.min(shown));
    Page { chosen, more, end, near_duplicates: seen - shown }
}
