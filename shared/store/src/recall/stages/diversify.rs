//! Diversify: chooses which of the ranked candidates are shown, with regard to near-duplicates and
//! to the kinds of the sources.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use strum::{EnumString, VariantNames};

use super::feedback::passage_vectors;
use super::rank::Ranked;
use crate::recall::answer::Context;
use crate::recall::stages::Stage;
use pgrecall_postgres::db::DbError;
use pgrecall_record::source::SourceKind;

/// MMR lambda: weight of relevance against diversity.
const MMR_LAMBDA: f64 = 0.7;
/// Share of the best score that the best candidate of a kind must reach to be shown.
const KIND_COVERAGE_SHARE: f64 = 0.8;
/// Number of best candidates that are compared with each other, for each result shown.
const COMPARED_PER_RESULT: usize = 4;
/// Minimum number of candidates that are compared.
const MIN_COMPARED: usize = 100;
/// Maximum number that are compared if most of them are near-duplicates: their vectors take 10 MB.
const MAX_COMPARED: usize = 3_000;

/// How near-duplicates among the results are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Diversity {
    /// All near-duplicates are shown.
    #[default]
    None,
    /// Only the best of each group of near-duplicates is shown.
    Distinct,
    /// Each result is chosen by its relevance and its distance from the results before it (maximal
    /// marginal relevance).
    Mmr,
}

impl Diversity {
    /// Names of all variants.
    pub const NAMES: &'static [&'static str] = Self::VARIANTS;
}

/// Vectors by passage.
type Vectors = HashMap<i64, Vec<f32>>;

/// A candidate that is shown, with the near-duplicates that it replaces.
pub(in crate::recall) struct Chosen {
    pub(in crate::recall) ranked: Ranked,
    pub(in crate::recall) near_duplicates: Vec<i64>,
}

/// The list from which pages are cut.
pub(in crate::recall) struct List {
    /// Results up to the end of the requested page.
    pub(in crate::recall) chosen: Vec<Chosen>,
    /// Number of ranked candidates.
    pub(in crate::recall) total: usize,
}

/// Chooses the results up to the end of the requested page.
#[tracing::instrument(name = "diversify", level = "debug", skip_all)]
pub(in crate::recall) async fn run(context: &Context<'_>, ranked: Vec<Ranked>) -> Result<List, DbError> {
    let diversity = if context.runs(Stage::Diversify) { context.query.diversity } else { Diversity::None };
    let (total, limit, same) = (ranked.len(), context.window.limit, context.tuning.near_duplicate_cosine);
    // Pages are cut from one list, so the compared candidates must not depend on the page.
    // `distinct` may compare more for a later page, since that leaves its earlier choices as they
    // were.
    let shown = if diversity == Diversity::Mmr { context.query.limit } else { limit };
    let mut compared = MIN_COMPARED.max(COMPARED_PER_RESULT * shown);
    let mut vectors = Vectors::new();
    if diversity != Diversity::None {
        vectors = read_vectors(context, &ranked[..compared.min(total)]).await?;
    }
    while diversity == Diversity::Distinct
        && compared < total.min(MAX_COMPARED)
        && !fills(&ranked[..compared], limit, &vectors, same)
    {
        let before = compared;
        compared = (COMPARED_PER_RESULT * compared).min(MAX_COMPARED);
        vectors.extend(read_vectors(context, &ranked[before..compared.min(total)]).await?);
    }
    Ok(List { chosen: choose(ranked, limit, diversity, &vectors, same, compared), total })
}

/// Reads the vectors of these candidates' best passages.
async fn read_vectors(context: &Context<'_>, ranked: &[Ranked]) -> Result<Vectors, DbError> {
    let Some(query) = context.vector else { return Ok(Vectors::new()) };
    let passages: Vec<i64> = ranked.iter().filter_map(|ranked| ranked.candidate.passage).collect();
    passage_vectors(context, query, &passages).await
}

/// Chooses `count` results, so that a longer list begins with the shorter one. Two results are
/// near-duplicates from the cosine `same` on. MMR reorders the first `compared` only; the others
/// follow in their order.
fn choose(
    ranked: Vec<Ranked>,
    count: usize,
    diversity: Diversity,
    vectors: &Vectors,
    same: f32,
    compared: usize,
) -> Vec<Chosen> {
    match diversity {
        Diversity::None => {
            ranked.into_iter().take(count).map(|ranked| Chosen { ranked, near_duplicates: Vec::new() }).collect()
        }
        Diversity::Distinct => distinct(ranked, count, vectors, same),
        Diversity::Mmr => select_mmr(ranked, count, vectors, compared),
    }
}

/// Returns whether more than `count` of these candidates remain without near-duplicates.
fn fills(ranked: &[Ranked], count: usize, vectors: &Vectors, same: f32) -> bool {
    let mut shown: Vec<&Ranked> = Vec::new();
    for candidate in ranked {
        if shown.iter().all(|shown| similarity(shown, candidate, vectors) < same) {
            shown.push(candidate);
        }
        if shown.len() > count {
            return true;
        }
    }
    false
}

fn distinct(ranked: Vec<Ranked>, count: usize, vectors: &Vectors, same: f32) -> Vec<Chosen> {
    let mut chosen: Vec<Chosen> = Vec::with_capacity(count);
    for candidate in ranked {
        let full = chosen.len() == count;
        match chosen.iter_mut().find(|shown| similarity(&shown.ranked, &candidate, vectors) >= same) {
            Some(shown) => shown.near_duplicates.push(candidate.candidate.source),
            None if full => break,
            None => chosen.push(Chosen { ranked: candidate, near_duplicates: Vec::new() }),
        }
    }
    chosen
}

fn select_mmr(mut ranked: Vec<Ranked>, count: usize, vectors: &Vectors, compared: usize) -> Vec<Chosen> {
    let rest = ranked.split_off(compared.min(ranked.len()));
    let mut chosen: Vec<Chosen> = Vec::with_capacity(count);
    // Each open candidate with its greatest similarity to a chosen one.
    let mut open: Vec<(Ranked, f32)> = ranked.into_iter().map(|ranked| (ranked, 0.0)).collect();
    while chosen.len() < count && !open.is_empty() {
        let worth = |(candidate, most_similar): &(Ranked, f32)| {
            MMR_LAMBDA * candidate.score - (1.0 - MMR_LAMBDA) * f64::from(*most_similar)
        };
        let best = (0..open.len()).max_by(|a, b| worth(&open[*a]).total_cmp(&worth(&open[*b])).then(b.cmp(a)));
        let (ranked, _) = open.remove(best.expect("it is not empty"));
        for (candidate, most_similar) in &mut open {
            *most_similar = most_similar.max(similarity(&ranked, candidate, vectors));
        }
        chosen.push(Chosen { ranked, near_duplicates: Vec::new() });
    }
    let missing = count - chosen.len();
    chosen.extend(rest.into_iter().take(missing).map(|ranked| Chosen { ranked, near_duplicates: Vec::new() }));
    chosen
}

/// Computes the cosine of two candidates' best passages; 0 if one has no vector.
fn similarity(one: &Ranked, other: &Ranked, vectors: &Vectors) -> f32 {
    let vector = |ranked: &Ranked| vectors.get(&ranked.candidate.passage?);
    let (Some(one), Some(other)) = (vector(one), vector(other)) else { return 0.0 };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt().max(f32::MIN_POSITIVE)
}

/// Moves the best candidate of each kind onto the first page if its score is close to the best
/// score. Otherwise ten thousand operations of an API could hide the one prompt that answers. The
/// candidate gets the last place of the page, and displaces the lowest result of the most frequent
/// kind. The requested page makes no difference, since the list must be the same for all pages.
pub(in crate::recall) fn ensure_kind_coverage(context: &Context<'_>, ranked: &mut Vec<Ranked>) {
    if context.query.filter.kinds.len() != 1 {
        cover_kinds(ranked, context.query.limit);
    }
}

fn cover_kinds(ranked: &mut Vec<Ranked>, count: usize) {
    let Some(best) = ranked.first().map(|ranked| ranked.score) else { return };
    let kind = |ranked: &Ranked| ranked.candidate.kind;
    for at in count..ranked.len() {
        if ranked[at].score < KIND_COVERAGE_SHARE * best {
            return;
        }
        let mut shown: BTreeMap<SourceKind, usize> = BTreeMap::new();
        for held in ranked[..count].iter().filter_map(kind) {
            *shown.entry(held).or_default() += 1;
        }
        if kind(&ranked[at]).is_none_or(|kind| shown.contains_key(&kind)) {
            continue;
        }
        let Some((most, 2..)) = shown.into_iter().max_by_key(|(_, many)| *many) else { return };
        let place = (0..count).rev().find(|place| kind(&ranked[*place]) == Some(most)).expect("it was counted");
        let added = ranked.remove(at);
        let displaced = ranked.remove(place);
        ranked.insert(count - 1, added);
        ranked.insert(count, displaced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recall::candidates::Candidate;

    fn ranked(source: i64, score: f64) -> Ranked {
        let candidate = Candidate { passage: Some(source), ..Candidate::of(source) };
        Ranked { candidate, bm25: 0.0, blended: score, neighbor_boost: 0.0, recency: 1.0, score }
    }

    fn sources<'a>(ranked: impl IntoIterator<Item = &'a Ranked>) -> Vec<i64> {
        ranked.into_iter().map(|ranked| ranked.candidate.source).collect()
    }

    fn chosen(diversity: Diversity, count: usize) -> (Vec<i64>, Vec<i64>) {
        let vectors = HashMap::from([(1, vec![1.0, 0.0]), (2, vec![1.0, 0.05]), (3, vec![0.0, 1.0])]);
        let all = vec![ranked(1, 0.9), ranked(2, 0.85), ranked(3, 0.7), ranked(4, 0.6)];
        let page = choose(all, count, diversity, &vectors, 0.92, 100);
        (
            sources(page.iter().map(|chosen| &chosen.ranked)),
            page.iter().flat_map(|chosen| chosen.near_duplicates.clone()).collect(),
        )
    }

    #[test]
    fn the_best_of_those_that_say_the_same_stands_for_the_others() {
        assert_eq!(chosen(Diversity::None, 2), (vec![1, 2], vec![]));
        assert_eq!(chosen(Diversity::Distinct, 2), (vec![1, 3], vec![2]));
        // A candidate without a vector is no near-duplicate.
        assert_eq!(chosen(Diversity::Distinct, 10), (vec![1, 3, 4], vec![2]));
    }

    #[test]
    fn what_is_unlike_the_best_comes_before_what_repeats_it() {
        assert_eq!(chosen(Diversity::Mmr, 2).0, [1, 3]);
        assert_eq!(chosen(Diversity::Mmr, 4).0[..2], [1, 3], "a longer list begins with the shorter one");
        // Only the first candidates are compared, and the same ones for every page.
        let all = || (0..60).map(|source| ranked(source, 1.0 - source as f64 / 100.0)).collect::<Vec<_>>();
        let vectors: HashMap<_, _> = (0..60_i64).map(|source| (source, vec![1.0, (source % 4) as f32])).collect();
        let order = |count| sources(choose(all(), count, Diversity::Mmr, &vectors, 0.92, 20).iter().map(|c| &c.ranked));
        let whole = order(60);
        assert!((1..60).all(|count| order(count) == whole[..count]));
        assert_ne!(whole[..20], (0..20).collect::<Vec<_>>());
        assert_eq!(whole[20..], (20..60).collect::<Vec<_>>());
    }

    #[test]
    fn a_kind_whose_best_is_nearly_as_good_has_a_place() {
        let mut all = vec![ranked(1, 0.9), ranked(2, 0.85), ranked(3, 0.84), ranked(4, 0.8), ranked(5, 0.3)];
        for (candidate, kind) in
            all.iter_mut().zip([SourceKind::Document; 3].into_iter().chain([SourceKind::Prompt, SourceKind::Tool]))
        {
            candidate.candidate.kind = Some(kind);
        }
        cover_kinds(&mut all, 3);
        assert_eq!(sources(&all), [1, 2, 4, 3, 5]);
        cover_kinds(&mut all, 10);
        assert_eq!(all.len(), 5);
    }
}
