//! Hydrate: reads the records of the chosen candidates.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::diversify::Chosen;
use super::rank::Ranked;
use crate::recall::answer::Context;
use crate::recall::{Explain, FoundPassage, Hit};
use crate::sql::{on_space, parameters, showing, sql};
use pgrecall_postgres::db::{DbError, parameters::typed};
use pgrecall_record::source::{SourceKind, Status};
use pgrecall_record::words::WeightedTerms;

/// The query's terms in one source, each with the passages that contain it; `None` if the source
/// has a single passage.
type Matches = Vec<(String, Option<Vec<i32>>)>;

/// Number of passages of a source, the nearest to the query vector, among which those to show are
/// chosen.
const CONSIDERED_PASSAGES: usize = 16;

/// Reads the chosen sources, in their order. A source that was deleted since it was ranked is left
/// out.
#[tracing::instrument(name = "hydrate", level = "debug", skip_all)]
pub(in crate::recall) async fn run(
    context: &Context<'_>,
    chosen: Vec<Chosen>,
    terms: &WeightedTerms,
) -> Result<Vec<Hit>, DbError> {
    let explains = context.query.explain;
    let ids: Vec<i64> = chosen.iter().map(|chosen| chosen.ranked.candidate.source).collect();
    // A memory is shown whole.
    let has_passages = context.filter.kinds != [SourceKind::Memory.as_str()];
    let mut matches = HashMap::new();
    if explains || has_passages {
        matches = matched_terms(context, &ids).await?;
    }
    let mut passages = HashMap::new();
    if has_passages {
        passages = choose_passages(context, &ids, &matches, terms).await?;
    }
    let first = |id| passages.get(id).and_then(|ordinals: &Vec<i32>| ordinals.first().copied()).unwrap_or(0);
    let ordinals: Vec<i32> = ids.iter().map(first).collect();
    let rows = context.transaction.query_typed(&showing(sql!("hits")), parameters![ids, ordinals]).await?;
    let shown = |row: &Row| Hit { starts_at: row.get("starts_at"), ..hit(row) };
    let mut found: HashMap<i64, Hit> = rows.iter().map(|row| (row.get("id"), shown(row))).collect();
    if context.query.passages > 1 {
        add_passages(context, &passages, &mut found).await?;
    }
    let public = public_ids(context, chosen.iter().flat_map(|it| &it.near_duplicates).copied().collect()).await?;
    let hits = chosen.into_iter().filter_map(|Chosen { ranked, near_duplicates }| {
        let mut hit = found.remove(&ranked.candidate.source)?;
        hit.score = ranked.score;
        hit.near_duplicates = near_duplicates.iter().filter_map(|source| public.get(source)).copied().collect();
        hit.explain = explains.then(|| explained(&ranked, &matches));
        Some(hit)
    });
    Ok(hits.collect())
}

/// Returns the ordinals of the passages to show of each source, best first.
///
/// The nearest to the query vector come first, in the order of a blend like that of the records,
/// then those with most of the terms.
async fn choose_passages(
    context: &Context<'_>,
    ids: &Vec<i64>,
    matches: &HashMap<i64, Matches>,
    terms: &WeightedTerms,
) -> Result<HashMap<i64, Vec<i32>>, DbError> {
    let mut nearest: HashMap<i64, Vec<(i32, f64)>> = HashMap::new();
    if let Some(query) = context.vector {
        let considered = CONSIDERED_PASSAGES as i32;
        let parameters = [typed(ids), (&query.vector, context.db.halfvec()), typed(&considered)];
        let statement = on_space(sql!("nearest_passages"), query.space);
        for row in context.transaction.query_typed(&statement, &parameters).await? {
            nearest.entry(row.get("source")).or_default().push((row.get("ordinal"), row.get("cosine")));
        }
    }
    let choose = |source: &i64| {
        let weights = matches.get(source).map(|matches| passage_weights(matches, terms)).unwrap_or_default();
        let near = nearest.get(source).map(Vec::as_slice).unwrap_or_default();
        (*source, in_order(near, weights, context.tuning.bm25_weight))
    };
    Ok(ids.iter().map(choose).collect())
}

/// Adds further passages to the sources, except to memories.
async fn add_passages(
    context: &Context<'_>,
    passages: &HashMap<i64, Vec<i32>>,
    found: &mut HashMap<i64, Hit>,
) -> Result<(), DbError> {
    let mut wanted: (Vec<i64>, Vec<i32>) = Default::default();
    for (source, ordinals) in passages {
        let is_split = found.get(source).is_some_and(|hit| hit.kind != SourceKind::Memory);
        for ordinal in ordinals.iter().take(context.query.passages).skip(1).filter(|_| is_split) {
            wanted.0.push(*source);
            wanted.1.push(*ordinal);
        }
    }
    let parameters = parameters![wanted.0, wanted.1];
    for row in context.transaction.query_typed(&showing(sql!("read_passages")), parameters).await? {
        if let Some(hit) = found.get_mut(&row.get("source")) {
            let (text, heading, starts_at) = (row.get("text"), row.get("heading"), row.get("starts_at"));
            hit.more_passages.push(FoundPassage { text, heading, starts_at });
        }
    }
    Ok(())
}

/// Explains the score of a candidate.
pub(in crate::recall) async fn explain(context: &Context<'_>, ranked: &Ranked) -> Result<Explain, DbError> {
    Ok(explained(ranked, &matched_terms(context, &[ranked.candidate.source]).await?))
}

async fn public_ids(context: &Context<'_>, sources: Vec<i64>) -> Result<HashMap<i64, Uuid>, DbError> {
    if sources.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = context.transaction.query_typed(sql!("public_ids"), parameters![sources]).await?;
    Ok(rows.iter().map(|row| (row.get("source"), row.get("source_id"))).collect())
}

async fn matched_terms(context: &Context<'_>, ids: &[i64]) -> Result<HashMap<i64, Matches>, DbError> {
    let mut matches: HashMap<i64, Matches> = HashMap::new();
    if context.terms.terms.is_empty() || ids.is_empty() {
        return Ok(matches);
    }
    let parameters = parameters![context.filter.kinds, ids, context.terms.terms];
    for row in context.transaction.query_typed(sql!("matched_terms"), parameters).await? {
        matches.entry(row.get("source")).or_default().push((row.get("term"), row.get("ordinals")));
    }
    Ok(matches)
}

fn explained(ranked: &Ranked, matches: &HashMap<i64, Matches>) -> Explain {
    let matched = matches.get(&ranked.candidate.source).map(Vec::as_slice).unwrap_or_default();
    // Rounded to four digits, which are enough to tell the results apart.
    let rounded = |score: f64| (score * 1e4).round() / 1e4;
    Explain {
        bm25: rounded(ranked.bm25),
        matched_terms: matched.iter().map(|(term, _)| term.clone()).collect(),
        cosine: ranked.candidate.cosine.map(rounded),
        blended: rounded(ranked.blended),
        neighbor_boost: rounded(ranked.neighbor_boost),
        recency: rounded(ranked.recency),
        reranked: None,
    }
}

/// Returns the weight of the terms that each passage of a source contains.
fn passage_weights(matches: &Matches, terms: &WeightedTerms) -> BTreeMap<i32, f64> {
    let mut held: BTreeMap<i32, f64> = BTreeMap::new();
    for (term, ordinals) in matches {
        for ordinal in ordinals.iter().flatten() {
            *held.entry(*ordinal).or_default() += terms.weight_of(term);
        }
    }
    held
}

/// Returns the ordinals of passages, best first: those with a cosine by its blend with the weight of
/// their terms, and then the others by that weight. Equal ones stay in the order of the text.
fn in_order(nearest: &[(i32, f64)], mut weights: BTreeMap<i32, f64>, terms_share: f64) -> Vec<i32> {
    let greatest = weights.values().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut first: Vec<(i32, f64)> = Vec::new();
    for (ordinal, cosine) in nearest {
        let weight = weights.remove(ordinal).unwrap_or_default() / greatest;
        first.push((*ordinal, (1.0 - terms_share) * cosine.max(0.0) + terms_share * weight));
    }
    let mut rest: Vec<(i32, f64)> = weights.into_iter().collect();
    for part in [&mut first, &mut rest] {
        part.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    first.into_iter().chain(rest).map(|(ordinal, _)| ordinal).collect()
}

/// Converts a row of hits.sql or fetch_source.sql.
pub(crate) fn hit(row: &Row) -> Hit {
    Hit {
        id: row.get("source_id"),
        kind: SourceKind::parse(row.get("source_kind")).expect("the database checks source_kind"),
        text: row.get::<_, Option<String>>("text").unwrap_or_default(),
        heading: row.get::<_, Option<String>>("heading").unwrap_or_default(),
        fields: serde_json::from_value(row.get("fields")).expect("fragments/hit.sql names the fields"),
        starts_at: None,
        more_passages: Vec::new(),
        score: 1.0,
        status: Status::parse(row.get("status")).expect("the database checks status"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        last_verified: row.get("last_verified"),
        supersedes: row
            .get::<_, Option<Value>>("supersedes")
            .map(|list| serde_json::from_value(list).expect("fragments/hit.sql makes what was superseded"))
            .unwrap_or_default(),
        superseded_by: row.get("superseded_by"),
        near_duplicates: Vec::new(),
        owner: row.get("owner"),
        changed_by: row.get("changed_by"),
        explain: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passages_with_most_of_the_terms_come_first() {
        let terms =
            WeightedTerms::new([("a", 1.0), ("b", 1.0), ("c", 5.0)].map(|(term, weight)| (term.to_owned(), weight)));
        let held = |term: &str, ordinals: &[i32]| (term.to_owned(), Some(ordinals.to_vec()));
        let ordered =
            |matches: &Matches, nearest: &[(i32, f64)]| in_order(nearest, passage_weights(matches, &terms), 0.3);
        let mut matches = vec![held("a", &[0, 3]), held("b", &[3, 7]), ("c".to_owned(), None)];
        assert_eq!(ordered(&matches, &[]), [3, 0, 7]);
        assert_eq!(ordered(&matches, &[(9, 0.9), (0, 0.8), (3, 0.3)]), [0, 9, 3, 7]);
        matches.push(held("c", &[7]));
        assert_eq!(ordered(&matches, &[]), [7, 3, 0]);
        assert_eq!(ordered(&vec![("a".to_owned(), None)], &[(0, -0.1)]), [0]);
        assert!(ordered(&Vec::new(), &[]).is_empty());
    }
}
