//! What an answer leaves out: the reasons, and how its list ends.

use std::collections::BTreeMap;

use serde::Serialize;

use super::candidates::{Candidate, Pool};
use super::stages::rank::Ranked;
use super::{Answer, Ranking};
use crate::coverage::Coverage;

/// Why a record that passes the filter is not in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Omission {
    /// It scores less than the query's `min_score`.
    BelowMinScore,
    /// A better result is nearly the same, and names it.
    NearDuplicate,
    /// It contains no term of the query, and only keywords ranked.
    NoKeyword,
    /// It is not embedded, and contains no term of the query.
    NotEmbedded,
    /// It contains no term of the query, and its cosine is not positive.
    NotSimilar,
}

impl Omission {
    /// Says why `who`, of which there are `count`, were left out.
    fn describe(self, who: &str, count: usize) -> String {
        let (is, has) = if count == 1 { ("is", "has") } else { ("are", "have") };
        match self {
            Self::BelowMinScore => format!("{who} {is} below min_score"),
            Self::NearDuplicate if count == 1 => format!("{who} is a near-duplicate of a result"),
            Self::NearDuplicate => format!("{who} are near-duplicates of results"),
            Self::NoKeyword => format!("{who} {has} no keyword of the query"),
            Self::NotEmbedded => format!("{who} {is} not embedded"),
            Self::NotSimilar => format!("{who} {is} not similar to the query"),
        }
    }
}

/// The number of omitted records by reason.
pub(super) type Omitted = BTreeMap<Omission, usize>;

/// Leaves out the candidates below `min_score`, and counts what the ranking leaves out.
///
/// Only an exhaustive pool tells how many records no score ranked: others hold what the indexes
/// proposed.
pub(super) fn leave_out(
    ranked: &mut Vec<Ranked>,
    pool: &Pool,
    is_exhaustive: bool,
    ranking: Ranking,
    min_score: Option<f64>,
) -> Omitted {
    let unranked = if is_exhaustive { pool.len().saturating_sub(ranked.len()) } else { 0 };
    let mut omitted = Omitted::new();
    if ranking == Ranking::Lexical {
        omitted.insert(Omission::NoKeyword, unranked);
    } else if unranked > 0 {
        let has_none = |candidate: &&Candidate| candidate.cosine.is_none();
        let shown = ranked.iter().map(|ranked| &ranked.candidate).filter(has_none).count();
        let unembedded = pool.values().filter(has_none).count().saturating_sub(shown);
        omitted.extend([(Omission::NotEmbedded, unembedded), (Omission::NotSimilar, unranked - unembedded)]);
    }
    let before = ranked.len();
    if let Some(min_score) = min_score {
        ranked.retain(|ranked| reaches(ranked.score, min_score));
    }
    omitted.insert(Omission::BelowMinScore, before - ranked.len());
    omitted.retain(|_, count| *count > 0);
    omitted
}

/// Returns whether a score reaches the least one, as an answer shows it: with four digits.
pub(super) fn reaches(score: f64, min_score: f64) -> bool {
    score + 0.000_05 >= min_score
}

impl Answer {
    /// Leaves out the hits below a score, after something else than the ranking gave them theirs.
    /// Those that the answer does not hold have a lower score than the last one.
    pub fn leave_out_below(&mut self, min_score: f64) {
        let before = self.hits.len();
        self.hits.retain(|hit| reaches(hit.score, min_score));
        let shown = self.hits.len();
        if shown < before {
            *self.omitted.entry(Omission::BelowMinScore).or_default() += before - shown;
            self.more = false;
            self.end = Some(if shown == 0 { End::Nothing { is_filtered: false } } else { End::Complete { shown } });
        }
    }

    /// Says how the list ends, if it does; nothing is said for good while something waits.
    pub fn end_note(&self) -> Option<String> {
        let waits = self.coverage.as_ref().is_some_and(Coverage::is_pending);
        Some(self.end?.describe(&self.omitted, waits))
    }
}

/// How the list ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There may be more, which the indexes did not propose.
    Cut,
    /// Nothing matches. `is_filtered`: a condition of the filter may be the reason.
    Nothing {
        /// Whether the filter has conditions.
        is_filtered: bool,
    },
    /// The list is complete.
    Complete {
        /// Number of results on all pages.
        shown: usize,
    },
}

impl End {
    /// Describes the end. While something `waits` for its vectors, nothing is said for good.
    fn describe(self, omitted: &Omitted, waits: bool) -> String {
        let total: usize = omitted.values().sum();
        let is_too_low = omitted.contains_key(&Omission::BelowMinScore);
        let said = match self {
            Self::Cut => "the list ends here: narrow the question or the filter to see more".to_owned(),
            Self::Nothing { .. } if is_too_low && waits => {
                "nothing fits yet: nothing that is embedded or has a keyword reaches min_score".to_owned()
            }
            Self::Nothing { .. } if is_too_low => "nothing fits: no record reaches min_score".to_owned(),
            Self::Nothing { .. } if waits => "nothing that is embedded or has a keyword matches yet".to_owned(),
            Self::Nothing { is_filtered: true } if omitted.is_empty() => {
                "nothing matches: check the filter, each condition of which must match exactly".to_owned()
            }
            Self::Nothing { .. } => "nothing matches".to_owned(),
            Self::Complete { shown: 1 } if waits => "this is the only one that matches so far".to_owned(),
            Self::Complete { shown: 1 } => "nothing more exists: this is the only one that matches".to_owned(),
            Self::Complete { shown } if waits => format!("these are all {shown} that match so far"),
            Self::Complete { shown } => format!("nothing more exists: these are all {shown} that match"),
        };
        let reasons: Vec<String> = match omitted.iter().collect::<Vec<_>>()[..] {
            [(reason, count @ 1)] => vec![reason.describe("it", *count)],
            [(reason, count)] => vec![reason.describe("they", *count)],
            ref all => all.iter().map(|(reason, count)| reason.describe(&count.to_string(), **count)).collect(),
        };
        match total {
            0 => said,
            1 => format!("{said}; 1 record was left out: {}", reasons.join(", ")),
            _ => format!("{said}; {total} records were left out: {}", reasons.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(source: i64, score: f64) -> Ranked {
        let candidate = Candidate { cosine: Some(score), ..Candidate::of(source) };
        Ranked { candidate, score, ..Ranked::default() }
    }

    #[test]
    fn records_without_a_score_or_with_too_low_a_score_are_counted() {
        let mut pool: Pool = (1..=6).map(|source| (source, Candidate::of(source))).collect();
        for source in 1..=5 {
            pool.get_mut(&source).unwrap().cosine = Some(-0.1);
        }
        let all = || vec![ranked(1, 0.9), ranked(2, 0.499_96), ranked(3, 0.4)];
        let mut kept = all();
        let omitted = leave_out(&mut kept, &pool, true, Ranking::Hybrid, Some(0.5));
        assert_eq!(kept.len(), 2, "the second is shown as 0.5");
        let counted = [(Omission::BelowMinScore, 1), (Omission::NotEmbedded, 1), (Omission::NotSimilar, 2)];
        assert_eq!(omitted, counted.into());
        assert_eq!(leave_out(&mut all(), &pool, true, Ranking::Lexical, None), [(Omission::NoKeyword, 3)].into());
        assert_eq!(leave_out(&mut all(), &pool, false, Ranking::Hybrid, None), Omitted::new());
    }

    #[test]
    fn the_end_of_a_list_says_what_was_left_out_and_nothing_for_good_while_something_waits() {
        let (nothing, complete) = (End::Nothing { is_filtered: true }, End::Complete { shown: 3 });
        let none = Omitted::new();
        let dissimilar: Omitted = [(Omission::NotSimilar, 47)].into();
        let both: Omitted = [(Omission::NotSimilar, 47), (Omission::BelowMinScore, 1)].into();
        let unembedded: Omitted = [(Omission::NotEmbedded, 1)].into();
        let of_both = "48 records were left out: 1 is below min_score, 47 are not similar to the query";
        for (end, omitted, waits, said) in [
            (
                nothing,
                &none,
                false,
                "nothing matches: check the filter, each condition of which must match exactly".into(),
            ),
            (nothing, &none, true, "nothing that is embedded or has a keyword matches yet".to_owned()),
            (nothing, &both, false, format!("nothing fits: no record reaches min_score; {of_both}")),
            (
                nothing,
                &both,
                true,
                format!("nothing fits yet: nothing that is embedded or has a keyword reaches min_score; {of_both}"),
            ),
            (
                nothing,
                &dissimilar,
                false,
                "nothing matches; 47 records were left out: they are not similar to the query".to_owned(),
            ),
            (End::Nothing { is_filtered: false }, &none, false, "nothing matches".to_owned()),
            (complete, &none, false, "nothing more exists: these are all 3 that match".to_owned()),
            (
                complete,
                &unembedded,
                true,
                "these are all 3 that match so far; 1 record was left out: it is not embedded".to_owned(),
            ),
            (End::Cut, &none, true, "the list ends here: narrow the question or the filter to see more".to_owned()),
        ] {
            assert_eq!(end.describe(omitted, waits), said);
        }
    }
}
