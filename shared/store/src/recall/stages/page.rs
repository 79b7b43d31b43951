//! Page: cuts the requested page from the list.

use super::diversify::{Chosen, List};
use crate::recall::Query;
use crate::recall::answer::Context;

/// A page of the list.
pub(in crate::recall) struct Page {
    pub(in crate::recall) chosen: Vec<Chosen>,
    /// Whether there are further results after this page.
    pub(in crate::recall) more: bool,
    /// Why there are none, if there are none.
    pub(in crate::recall) end: Option<String>,
}

/// Cuts the page from the list. `is_exhaustive`: every source that may answer is among the
/// candidates.
pub(in crate::recall) fn cut(context: &Context<'_>, list: List, is_exhaustive: bool) -> Page {
    let List { mut chosen, total } = list;
    let shown = chosen.len();
    let seen: usize = chosen.iter().map(|chosen| 1 + chosen.near_duplicates.len()).sum();
    let more = total > seen;
    let end = (!more).then(|| describe_end(shown, seen, context.query, is_exhaustive));
    chosen.drain(..context.query.offset.min(shown));
    Page { chosen, more, end }
}

/// Explains why there is nothing after `shown` results, which represent `seen` candidates.
fn describe_end(shown: usize, seen: usize, query: &Query, is_exhaustive: bool) -> String {
    match (shown, seen - shown) {
        _ if !is_exhaustive => "the list ends here: narrow the question or the filter to see more".to_owned(),
        (0, _) if query.filter.has_conditions() => {
            "nothing matches: check the filter, each condition of which must match exactly".to_owned()
        }
        (0, _) => "nothing matches".to_owned(),
        (shown, 0) => format!("nothing more exists: these are all {shown} that match"),
        (shown, near_duplicates) => {
            format!(
                "nothing more exists: these are all {shown} that match, and {near_duplicates} more are near-duplicates"
            )
        }
    }
}
