//! Hydrate: reads the records of the chosen candidates.

use std::collections::HashMap;

use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::diversify::Chosen;
use super::rank::Ranked;
use crate::recall::answer::Context;
use crate::recall::{Explain, Hit};
use crate::sql::{parameters, showing, sql};
use pgrecall_postgres::db::DbError;
use pgrecall_record::source::{SourceKind, Status};

/// The query's terms in one source, each with the passages that contain it; `None` if the source
/// has a single passage.
type Matches = Vec<(String, Option<Vec<i32>>)>;

/// Reads the chosen sources, in their order. A source that was deleted since it was ranked is left
/// out.
#[tracing::instrument(name = "hydrate", level = "debug", skip_all)]
pub(in crate::recall) async fn run(context: &Context<'_>, chosen: Vec<Chosen>) -> Result<Vec<Hit>, DbError> {
    let explains = context.query.explain;
    let ids: Vec<i64> = chosen.iter().map(|chosen| chosen.ranked.candidate.source).collect();
    let passages: Vec<Option<i64>> = chosen.iter().map(|chosen| chosen.ranked.candidate.passage).collect();
    let mut matches = HashMap::new();
    // An explanation lists the terms. They also choose the passage to show where no vector did.
    if explains || passages.iter().any(Option::is_none) {
        matches = matched_terms(context, &ids).await?;
    }
    let ordinals: Vec<i32> = ids.iter().map(|id| matches.get(id).map_or(0, fullest_passage)).collect();
    let rows = context.transaction.query_typed(&showing(sql!("hits")), parameters![ids, passages, ordinals]).await?;
    let mut found: HashMap<i64, Hit> = rows.iter().map(|row| (row.get("id"), hit(row))).collect();
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

/// Finds the passage that contains the most of the matched terms; the first one, if several do.
fn fullest_passage(matches: &Matches) -> i32 {
    let mut held: HashMap<i32, i32> = HashMap::new();
    for ordinal in matches.iter().filter_map(|(_, ordinals)| ordinals.as_ref()).flatten() {
        *held.entry(*ordinal).or_default() += 1;
    }
    held.into_iter().max_by_key(|(ordinal, terms)| (*terms, -ordinal)).map_or(0, |(ordinal, _)| ordinal)
}

/// Converts a row of hits.sql or fetch_source.sql.
pub(crate) fn hit(row: &Row) -> Hit {
    Hit {
        id: row.get("source_id"),
        kind: SourceKind::parse(row.get("source_kind")).expect("the database checks source_kind"),
        text: row.get::<_, Option<String>>("text").unwrap_or_default(),
        heading: row.get::<_, Option<String>>("heading").unwrap_or_default(),
        fields: serde_json::from_value(row.get("fields")).expect("fragments/hit.sql names the fields"),
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
    fn the_passage_with_most_of_the_terms_is_shown() {
        let matches =
            vec![("a".to_owned(), Some(vec![0, 3])), ("b".to_owned(), Some(vec![3, 7])), ("c".to_owned(), None)];
        assert_eq!(fullest_passage(&matches), 3);
        assert_eq!(fullest_passage(&vec![("a".to_owned(), None)]), 0);
        assert_eq!(fullest_passage(&vec![("a".to_owned(), Some(vec![2, 5]))]), 2);
    }
}
