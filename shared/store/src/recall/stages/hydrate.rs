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

/// Reads the chosen sources, in their order. A source that was deleted since it was ranked is left
/// out.
#[tracing::instrument(name = "hydrate", level = "debug", skip_all)]
pub(in crate::recall) async fn run(
    context: &Context<'_>,
    chosen: Vec<Chosen>,
    terms: &WeightedTerms,
) -> Result<Vec<Hit>, DbError> {
    let explains = context.query.explain;
    let several = context.query.passages > 1;
    let ids: Vec<i64> = chosen.iter().map(|chosen| chosen.ranked.candidate.source).collect();
    let passages: Vec<Option<i64>> = chosen.iter().map(|chosen| chosen.ranked.candidate.passage).collect();
    let mut matches = HashMap::new();
    // An explanation lists the terms. They also choose the passage to show where no vector did.
    if explains || several || passages.iter().any(Option::is_none) {
        matches = matched_terms(context, &ids).await?;
    }
    let fullest =
        |id| matches.get(id).and_then(|matches| fullest_passages(matches, terms).first().copied()).unwrap_or(0);
    let ordinals: Vec<i32> = ids.iter().map(|id| fullest(id)).collect();
    let rows = context.transaction.query_typed(&showing(sql!("hits")), parameters![ids, passages, ordinals]).await?;
    let shown = |row: &Row| Hit { starts_at: row.get("starts_at"), ..hit(row) };
    let mut found: HashMap<i64, Hit> = rows.iter().map(|row| (row.get("id"), shown(row))).collect();
    if several {
        add_passages(context, &matches, terms, &mut found).await?;
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

/// Adds further passages to the sources, except to memories, which are shown whole: the nearest to
/// the query vector, then those with most of the terms.
async fn add_passages(
    context: &Context<'_>,
    matches: &HashMap<i64, Matches>,
    terms: &WeightedTerms,
    found: &mut HashMap<i64, Hit>,
) -> Result<(), DbError> {
    let limit = context.query.passages;
    let is_split = |hit: &Hit| hit.kind != SourceKind::Memory;
    let ids: Vec<i64> = found.iter().filter(|(_, hit)| is_split(hit)).map(|(id, _)| *id).collect();
    let mut wanted: (Vec<i64>, Vec<Option<i64>>, Vec<Option<i32>>) = Default::default();
    if let Some(query) = context.vector {
        let most = limit as i32;
        let parameters = [typed(&ids), (&query.vector, context.db.halfvec()), typed(&most)];
        let statement = on_space(sql!("nearest_passages"), query.space);
        for row in context.transaction.query_typed(&statement, &parameters).await? {
            wanted.0.push(row.get("source"));
            wanted.1.push(Some(row.get("passage")));
            wanted.2.push(None);
        }
    }
    for source in &ids {
        let matched = matches.get(source).map(|matches| fullest_passages(matches, terms)).unwrap_or_default();
        for ordinal in matched.into_iter().take(limit) {
            wanted.0.push(*source);
            wanted.1.push(None);
            wanted.2.push(Some(ordinal));
        }
    }
    let parameters = parameters![wanted.0, wanted.1, wanted.2];
    for row in context.transaction.query_typed(&showing(sql!("read_passages")), parameters).await? {
        let Some(hit) = found.get_mut(&row.get("source")) else { continue };
        let starts_at: i32 = row.get("starts_at");
        let is_known = hit.starts_at == Some(starts_at) || hit.more_passages.iter().any(|it| it.starts_at == starts_at);
        if !is_known && hit.more_passages.len() + 1 < limit {
            hit.more_passages.push(FoundPassage { text: row.get("text"), heading: row.get("heading"), starts_at });
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

/// Returns the passages that contain matched terms, those with the greatest weight first; the first
/// one, if several have the same.
fn fullest_passages(matches: &Matches, terms: &WeightedTerms) -> Vec<i32> {
    let mut held: BTreeMap<i32, f64> = BTreeMap::new();
    for (term, ordinals) in matches {
        for ordinal in ordinals.iter().flatten() {
            *held.entry(*ordinal).or_default() += terms.weight_of(term);
        }
    }
    let mut found: Vec<(i32, f64)> = held.into_iter().collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found.into_iter().map(|(ordinal, _)| ordinal).collect()
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
        let mut matches = vec![held("a", &[0, 3]), held("b", &[3, 7]), ("c".to_owned(), None)];
        assert_eq!(fullest_passages(&matches, &terms), [3, 0, 7]);
        matches.push(held("c", &[7]));
        assert_eq!(fullest_passages(&matches, &terms), [7, 3, 0]);
        assert!(fullest_passages(&vec![("a".to_owned(), None)], &terms).is_empty());
    }
}
