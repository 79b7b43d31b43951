//! Hits: what is shown of the sources that were ranked.

use std::collections::HashMap;

use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::fuse::Ranked;
use super::page::Chosen;
use super::scope::Parameter;
use super::{Explain, Hit, Search};
use crate::sql::{showing, sql};
use pgrecall_postgres::db::DbError;
use pgrecall_record::source::{SourceKind, Status};

/// The query's terms in one source: each with the passages that hold it, or `None` where there is one passage only.
type Matches = Vec<(String, Option<Vec<i32>>)>;

impl Search<'_> {
    /// Fetches the ranked sources in their order. One that was deleted meanwhile is left out.
    #[tracing::instrument(level = "debug", skip_all)]
    pub(super) async fn fetch(&self, page: Vec<Chosen>, explain: bool) -> Result<Vec<Hit>, DbError> {
        let (ranked, alike): (Vec<Ranked>, Vec<Vec<i64>>) =
            page.into_iter().map(|chosen| (chosen.ranked, chosen.alike)).unzip();
        let ids: Vec<i64> = ranked.iter().map(|ranked| ranked.candidate.source).collect();
        let mut matches = HashMap::new();
        // The terms are for the one who wants to know, and for the sources whose best passage the vectors did not tell.
        if explain || ranked.iter().any(|ranked| ranked.candidate.passage.is_none()) {
            matches = self.matches(&ids).await?;
        }
        let passages: Vec<Option<i64>> = ranked.iter().map(|ranked| ranked.candidate.passage).collect();
        let ordinals: Vec<i32> = ids.iter().map(|id| matches.get(id).map_or(0, fullest_passage)).collect();
        let parameters: [Parameter<'_>; 3] =
            [(&ids, Type::INT8_ARRAY), (&passages, Type::INT8_ARRAY), (&ordinals, Type::INT4_ARRAY)];
        let rows = self.transaction.query_typed(&showing(sql!("hits")), &parameters).await?;
        let mut found: HashMap<i64, Hit> = rows.iter().map(|row| (row.get("id"), hit(row))).collect();
        let public = self.public_ids(alike.iter().flatten().copied().collect()).await?;
        let hits = ranked.into_iter().zip(alike).filter_map(|(ranked, alike)| {
            let mut hit = found.remove(&ranked.candidate.source)?;
            hit.score = ranked.score;
            hit.alike = alike.iter().filter_map(|source| public.get(source)).copied().collect();
            hit.explain = explain.then(|| explained(&ranked, &matches));
            Some(hit)
        });
        Ok(hits.collect())
    }

    /// How a candidate came by its score.
    pub(super) async fn explain(&self, ranked: &Ranked) -> Result<Explain, DbError> {
        Ok(explained(ranked, &self.matches(&[ranked.candidate.source]).await?))
    }

    async fn public_ids(&self, sources: Vec<i64>) -> Result<HashMap<i64, Uuid>, DbError> {
        if sources.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = self.transaction.query_typed(sql!("public_ids"), &[(&sources, Type::INT8_ARRAY)]).await?;
        Ok(rows.iter().map(|row| (row.get("source"), row.get("source_id"))).collect())
    }

    async fn matches(&self, ids: &[i64]) -> Result<HashMap<i64, Matches>, DbError> {
        let mut matches: HashMap<i64, Matches> = HashMap::new();
        if self.question.terms.is_empty() || ids.is_empty() {
            return Ok(matches);
        }
        let parameters: [Parameter<'_>; 3] =
            [self.narrowing.kinds(), (&ids, Type::INT8_ARRAY), (&self.question.terms, Type::TEXT_ARRAY)];
        for row in self.transaction.query_typed(sql!("matched_terms"), &parameters).await? {
            matches.entry(row.get("source")).or_default().push((row.get("term"), row.get("ordinals")));
        }
        Ok(matches)
    }
}

fn explained(ranked: &Ranked, matches: &HashMap<i64, Matches>) -> Explain {
    let matched = matches.get(&ranked.candidate.source).map(Vec::as_slice).unwrap_or_default();
    // Four digits tell any two answers apart that a reader could.
    let rounded = |score: f64| (score * 1e4).round() / 1e4;
    Explain {
        words: rounded(ranked.words),
        matched_terms: matched.iter().map(|(term, _)| term.clone()).collect(),
        cosine: ranked.candidate.cosine.map(rounded),
        blended: rounded(ranked.blended),
        lent: rounded(ranked.lent),
        recency: rounded(ranked.recency),
        reranked: None,
    }
}

/// The passage that holds most of the matched terms; the first of them, if several do.
fn fullest_passage(matches: &Matches) -> i32 {
    let mut held: HashMap<i32, i32> = HashMap::new();
    for ordinal in matches.iter().filter_map(|(_, ordinals)| ordinals.as_ref()).flatten() {
        *held.entry(*ordinal).or_default() += 1;
    }
    held.into_iter().max_by_key(|(ordinal, terms)| (*terms, -ordinal)).map_or(0, |(ordinal, _)| ordinal)
}

/// A row of hits.sql or fetch_source.sql.
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
        alike: Vec::new(),
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
